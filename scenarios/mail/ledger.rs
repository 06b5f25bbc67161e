//! What is done with letters here: transfers that a customer hands in at a shop, and that a bank books.

use super::storm;
use netsplit::mail::{Batch, Store, StoreError, Table};
use netsplit::{Context, Message, Scenario, Supervisor, View, millis, secs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub(crate) const LOST: &str = "no transfer that was promised is lost";
pub(crate) const ONCE: &str = "each transfer is booked once, in the order of its account";

const TRANSFERS: u32 = 60;
const ACCOUNTS: u32 = 3;

/// A transfer to an account: the how-manieth of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transfer {
    pub(crate) account: u32,
    pub(crate) nth: u32,
}

pub(crate) const BOOKS: Table = Table("books");

/// What the bank has booked, line by line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Vec<Transfer>);

impl Ledger {
    /// Reads what is stored.
    pub(crate) fn read(store: &dyn Store) -> Result<Ledger, StoreError> {
        let mut lines = Vec::new();
        let (first, last): (&[u8], &[u8]) = (&[], &[u8::MAX; 9]);
        store.scan(BOOKS, first..=last, &mut |_, line| {
            lines.extend(postcard::from_bytes::<Transfer>(line));
            true
        })?;
        Ok(Ledger(lines))
    }

    /// Books a transfer: in the next line, whatever stands in those before.
    pub(crate) fn book(&mut self, transfer: Transfer, batch: &mut Batch) {
        let line = self.0.len() as u64;
        let written = postcard::to_allocvec(&transfer).expect("two numbers");
        batch.put(BOOKS, line.to_be_bytes(), written);
        self.0.push(transfer);
    }

    /// Shows it to those who judge. A bank that was written off, and runs on, is not asked any more.
    pub(crate) fn show<M: Message>(&self, ctx: &Context<M>) {
        let boot = ctx.pid().incarnation();
        ctx.observe("books", |(last, books): &mut (u32, Ledger)| {
            if boot >= *last {
                (*last, *books) = (boot, self.clone());
            }
        });
    }

    /// Whether each is there once, those of an account in their order.
    fn is_in_order(&self) -> Result<(), String> {
        let mut last = BTreeMap::new();
        for transfer in &self.0 {
            if let Some(before) = last.insert(transfer.account, transfer.nth)
                && before >= transfer.nth
            {
                return Err(format!("{transfer:?} comes after number {before}"));
            }
        }
        Ok(())
    }
}

/// Hands in transfers, one after the other, and notes those that were promised. Where it hears nothing it is
/// not known: it hands in the next.
pub(crate) async fn customer<F>(ctx: Context, post: impl Fn(Transfer) -> F)
where
    F: Future<Output = bool>,
{
    for nth in 1..=TRANSFERS {
        let transfer = Transfer {
            account: nth % ACCOUNTS,
            nth,
        };
        if post(transfer).await {
            ctx.observe("promised", |all: &mut Vec<Transfer>| all.push(transfer));
        }
        ctx.sleep(millis(200)).await;
    }
}

pub(crate) fn supervised() -> Supervisor {
    Supervisor::one_for_one().intensity(1000, secs(10))
}

/// A scenario in every storm, for as long as a customer needs.
pub(crate) fn stormy(scenario: Scenario) -> Scenario {
    scenario.faults(storm()).horizon(secs(60)).quiet(secs(30))
}

/// What is booked is right at every moment.
pub(crate) fn booked_once(scenario: Scenario) -> Scenario {
    scenario.always(ONCE, |view| match books(view) {
        Some(books) => books.is_in_order(),
        None => Ok(()),
    })
}

/// All that was promised is booked in the end.
pub(crate) fn none_lost(scenario: Scenario) -> Scenario {
    scenario.finally(LOST, |view| {
        let promised = view.observed::<Vec<Transfer>>("promised");
        let mut promised = promised.into_iter().flatten();
        let booked =
            |transfer: &&Transfer| books(view).is_some_and(|books| books.0.contains(transfer));
        match promised.find(|transfer| !booked(transfer)) {
            Some(lost) => Err(format!("{lost:?} is not booked")),
            None => Ok(()),
        }
    })
}

fn books(view: &View) -> Option<&Ledger> {
    view.observed::<(u32, Ledger)>("books")
        .map(|(_, books)| books)
}
