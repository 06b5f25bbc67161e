//! Transfers from a shop to a bank: each is handed to an outbox, and counts once, in its account's order.
//!
//! The shop's machine keeps letters, the bank's what it has booked, each on a disk that loses what was not
//! synced. The outbox sends a letter until it is acked. The inbox commits what a letter does together with
//! the memory that it is done, and acks it then: so it may come as often as it likes.
//!
//! What each of these safeguards is for is shown by those who leave one out: `mail/mutant_…`.

use super::ledger::{Ledger, Transfer, booked_once, customer, none_lost, stormy, supervised};
use super::{machine, store};
use netsplit::mail::{Batch, Inbox, Letter, Outbox, OutboxRef, Reader, Store, StoreError, Verdict};
use netsplit::{Context, Scenario, child, secs};

/// Who reads the bank's letters.
struct Bank {
    ledger: Ledger,
    ctx: Context,
}

impl Reader for Bank {
    type Message = Transfer;

    fn open(store: &dyn Store, ctx: Context) -> Result<Bank, StoreError> {
        let ledger = Ledger::read(store)?;
        ledger.show(&ctx);
        Ok(Bank { ledger, ctx })
    }

    async fn letter(&mut self, letter: Letter<Transfer>, batch: &mut Batch) -> Verdict {
        self.ledger.book(letter.message, batch);
        self.ledger.show(&self.ctx);
        letter.ack()
    }
}

async fn post(transfer: Transfer) -> bool {
    let outbox = OutboxRef::named(("shop", "outbox"));
    let account = u64::from(transfer.account);
    let posted = outbox.send(("bank", "ledger"), account, &transfer);
    posted.await.is_ok()
}

/// The scenario.
pub(crate) fn scenario() -> Scenario {
    let scenario = Scenario::new("mail/outbox")
        .summary("letters that are sent until they are acked: each counts once, in order, whatever crashes")
        .node("shop", |ctx| {
            let outbox = || Outbox::new("outbox", |ctx| store(&ctx));
            machine(ctx, move || supervised().child(child("outbox", outbox)))
        })
        .node("bank", |ctx| {
            let inbox = || Inbox::<Bank>::new("ledger", |ctx| store(&ctx));
            machine(ctx, move || supervised().child(child("ledger", inbox)))
        })
        .client("customer", |ctx| customer(ctx, post));
    none_lost(booked_once(stormy(scenario))).finally("no letter is lost or stuck", |view| {
        view.mail_is_through(secs(10))
    })
}
