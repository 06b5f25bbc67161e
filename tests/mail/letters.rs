//! Letters from outbox to inbox, over many seeds.

use crate::durable::{Durable, look, wipe};
use netsplit::mail::{
    Batch, Inbox, Letter, Outbox, OutboxRef, Reader, Store, StoreError, Table, Verdict,
};
use netsplit::process::Via;
use netsplit::{Chance, Context, Faults, Keep, Outcome, Scenario, Supervisor, child, millis, secs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const EFFECTS: Table = Table("effects");

/// The `nth` entry of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    account: u64,
    nth: u64,
}

/// Writes what it reads into a table, in the order in which it reads it.
struct Ledger {
    written: u64,
    ctx: Context,
}

impl Reader for Ledger {
    type Message = Entry;

    fn open(store: &dyn Store, ctx: Context) -> Result<Ledger, StoreError> {
        let written = store.len(EFFECTS)?;
        Ok(Ledger { written, ctx })
    }

    async fn letter(&mut self, letter: Letter<Entry>, batch: &mut Batch) -> Verdict {
        match self.ctx.random_below(20) {
            0 => return letter.requeue(),
            1 => self.ctx.sleep(millis(300)).await,
            _ => {}
        }
        let Entry { account, nth } = letter.message;
        if account == 3 && nth % 5 == 4 {
            return letter.reject("an entry that no ledger takes");
        }
        let entry = [account.to_be_bytes(), nth.to_be_bytes()].concat();
        batch.put(EFFECTS, self.written.to_be_bytes(), entry);
        self.written += 1;
        letter.ack()
    }
}

/// All entries of a ledger, in the order in which they were written.
fn entries(store: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    let (from, to): (&[u8], &[u8]) = (&[], &[u8::MAX; 9]);
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
    look(store, |store| {
        store.scan(EFFECTS, from..=to, &mut |_, value| {
            let (account, nth) = value.split_at(8);
            found.push(Entry {
                account: number(account),
                nth: number(nth),
            });
            true
        })
    })
    .expect("a store in memory");
    found
}

/// Each entry is there once, those of an account in their order, and all that were promised.
fn verdict(promised: &[Entry]) -> Result<(), String> {
    let entries = entries("b");
    let mut last = BTreeMap::new();
    for entry in &entries {
        let before = last.insert(entry.account, entry.nth);
        if before >= Some(entry.nth) {
            return Err(format!(
                "{entry:?} came after entry {before:?} of its account"
            ));
        }
    }
    let is_rejected = |entry: &&Entry| entry.account == 3 && entry.nth % 5 == 4;
    let lost = |entry: &&Entry| !entries.contains(entry) && !is_rejected(entry);
    match promised.iter().find(lost) {
        Some(lost) => Err(format!("{lost:?} is lost")),
        None => Ok(()),
    }
}

const LETTERS: u64 = 60;

fn bank(via: Via, fails_one_in: u64) -> Scenario {
    Scenario::new("bank")
        .node("a", move |ctx: Context<_>| async move {
            let outbox = move || {
                let open = move |ctx| Ok(Durable::open("a", ctx).failing(fails_one_in));
                Outbox::new("outbox", open).over(via).window(16)
            };
            let tree = Supervisor::one_for_one().intensity(1000, secs(1));
            tree.child(child("outbox", outbox)).run(ctx).await
        })
        .node("b", move |ctx: Context<_>| async move {
            let inbox = move || {
                let open = move |ctx| Ok(Durable::open("b", ctx).failing(fails_one_in));
                Inbox::<Ledger>::new("ledger", open)
            };
            let tree = Supervisor::one_for_one().intensity(1000, secs(1));
            tree.child(child("ledger", inbox)).run(ctx).await
        })
        .client("teller", |ctx: Context| async move {
            let outbox = OutboxRef::named(("a", "outbox"));
            for number in 0..LETTERS {
                let entry = Entry {
                    account: 1 + ctx.random_below(3),
                    nth: number,
                };
                let sent = outbox.send(("b", "ledger"), entry.account, &entry).await;
                if sent.is_ok() {
                    ctx.observe("promised", |all: &mut Vec<Entry>| all.push(entry));
                }
                ctx.sleep(millis(ctx.random_below(500))).await;
            }
        })
        .finally("each entry once, in order, and none lost", |view| {
            verdict(
                view.observed::<Vec<Entry>>("promised")
                    .map_or(&[], Vec::as_slice),
            )
        })
        .horizon(secs(240))
        .quiet(secs(120))
}

fn clean_run(scenario: &Scenario, seed: u64, keep: Keep) -> Outcome {
    wipe();
    let outcome = scenario.run_with(Chance::Seed(seed), keep);
    let outcome = outcome.unwrap_or_else(|error| panic!("the scenario cannot be run: {error}"));
    if let Some(violation) = &outcome.violation {
        let (property, detail) = (&violation.property, &violation.detail);
        panic!("seed {seed}: violated \"{property}\": {detail}");
    }
    if let Some(error) = &outcome.error {
        panic!("seed {seed}: {error}");
    }
    outcome
}

fn clean_runs(scenario: &Scenario, seeds: u64) {
    for seed in 0..seeds {
        clean_run(scenario, seed, Keep::default());
    }
}

fn chaos() -> Faults {
    Faults::calm()
        .lose(0.3)
        .duplicate(0.5)
        .reorder(0.1, secs(1))
        .crash(secs(10), secs(2))
        .power_cut(secs(40), secs(5))
        .stop(secs(60), secs(2))
        .pause(secs(30), secs(2))
        .partition(secs(10), secs(5))
        .break_connections(secs(20))
        .drift(200)
        .swarm()
}

#[test]
fn letters_by_datagram_survive_crashes_of_both_ends_cuts_losses_and_duplicates() {
    clean_runs(&bank(Via::Datagram, 0).faults(chaos()), 150);
}

#[test]
fn letters_over_connections_survive_the_same() {
    clean_runs(&bank(Via::Connection, 0).faults(chaos()), 150);
}

#[test]
fn letters_survive_stores_that_fail_and_disks_that_are_full() {
    clean_runs(&bank(Via::Datagram, 20).faults(chaos()), 100);
}

#[test]
fn without_faults_each_letter_is_promised_and_written() {
    clean_run(&bank(Via::Datagram, 0), 1, Keep::default());
    let written = entries("b").len() as u64;
    assert!(written > LETTERS * 3 / 4 && written <= LETTERS, "{written}");
}
