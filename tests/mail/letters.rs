//! Letters from outbox to inbox, over many seeds.

use crate::durable::{Durable, look, wipe};
use netsplit::mail::{
    Batch, Draft, Inbox, Letter, MemoryStore, Outbox, OutboxRef, Reader, Recipient, RedbStore,
    SendError, Store, StoreError, Table, Verdict,
};
use netsplit::process::Via;
use netsplit::trace::{Event, Mailed, WhyDead};
use netsplit::{
    BackOff, Chance, Context, ExitReason, Faults, Keep, Outcome, PacketKind, Scenario, StartError,
    Supervisor, child, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const EFFECTS: Table = Table("effects");
/// What is put here is of letters that are not acked.
const DROPPED: Table = Table("dropped");

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
            0 => {
                batch.put(DROPPED, b"requeued", b"yes");
                return letter.requeue();
            }
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
    if look("b", |store| store.len(DROPPED)) != Ok(0) {
        return Err("a letter that was not acked has changed something".to_owned());
    }
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

/// What became of letters, in its order.
fn mailed(outcome: &Outcome) -> Vec<(u64, Mailed)> {
    let log = outcome.log.as_ref().expect("the run kept its log");
    let mailed = log.entries().iter().filter_map(|entry| match entry.event {
        Event::Mail { letter, what, .. } => Some((letter.number, what)),
        _ => None,
    });
    mailed.collect()
}

fn logged(scenario: &Scenario, seed: u64) -> Vec<(u64, Mailed)> {
    let keep = Keep {
        log: true,
        ..Keep::default()
    };
    mailed(&clean_run(scenario, seed, keep))
}

/// Two nodes, of which `a` does as it is told, once its outbox runs.
fn pair<F>(
    outbox: impl Fn(Outbox) -> Outbox + Send + Sync + Copy + 'static,
    does: impl Fn(Context, OutboxRef) -> F + Send + Sync + Copy + 'static,
) -> Scenario
where
    F: Future<Output = ()> + 'static,
{
    Scenario::new("pair")
        .node("b", |ctx: Context| async move {
            let inbox = Inbox::<Ledger>::new("ledger", |ctx| Ok(Durable::open("b", ctx)));
            inbox.start(&ctx).await.expect("an inbox");
            ctx.receive().await;
        })
        .client("a", move |ctx: Context| async move {
            let made = Outbox::new("outbox", |ctx| Ok(Durable::open("a", ctx)));
            let outbox = outbox(made).start(&ctx).await.expect("an outbox");
            does(ctx, outbox).await;
        })
        .finally("it ended", |_| true)
        .horizon(secs(60))
}

const ENTRY: Entry = Entry { account: 1, nth: 1 };

#[test]
fn every_ack_twice_and_late_is_recognised_and_changes_nothing() {
    let scenario = pair(
        |outbox| outbox,
        |ctx, outbox| async move {
            for nth in 0..20 {
                let entry = Entry { account: 1, nth };
                let sent = outbox.send(("b", "ledger"), 1, &entry).await;
                sent.expect("it is stored");
            }
            ctx.sleep(secs(50)).await;
        },
    );
    let faults = Faults::calm()
        .duplicate_kind(PacketKind::Ack, 1.0)
        .reorder(0.5, secs(5));
    let scenario = scenario.faults(faults);
    let (mut stale, mut repeated) = (0, 0);
    for seed in 0..20 {
        let mailed = logged(&scenario, seed);
        let count = |wanted| mailed.iter().filter(|(_, what)| *what == wanted).count();
        assert_eq!((count(Mailed::Effected), count(Mailed::Acked)), (20, 20));
        stale += count(Mailed::StaleAck);
        repeated += count(Mailed::Repeated);
        let written: Vec<u64> = entries("b").iter().map(|entry| entry.nth).collect();
        assert_eq!(written, (0..20).collect::<Vec<_>>());
    }
    assert!(stale > 100, "{stale}");
    assert!(repeated > 20, "{repeated}");
}

#[test]
fn with_every_first_ack_lost_each_effect_is_made_once() {
    let lost = Faults::calm().lose_kind(PacketKind::Ack, 0.8);
    let scenario = pair(
        |outbox| outbox.retry(BackOff::new(millis(100), millis(400))),
        |ctx, outbox| async move {
            for nth in 0..20 {
                let entry = Entry { account: 1, nth };
                let sent = outbox.send(("b", "ledger"), 1, &entry).await;
                sent.expect("it is stored");
            }
            ctx.sleep(secs(50)).await;
        },
    );
    let mailed = logged(&scenario.faults(lost), 3);
    let count = |wanted| mailed.iter().filter(|(_, what)| *what == wanted).count();
    assert_eq!((count(Mailed::Effected), count(Mailed::Acked)), (20, 20));
    assert!(count(Mailed::Repeated) > 20, "{}", count(Mailed::Repeated));
    assert_eq!(entries("b").len(), 20);
}

#[test]
fn a_letter_to_nobody_is_tried_until_its_deadline_and_set_aside() {
    let scenario = pair(
        |outbox| outbox,
        |ctx, outbox| async move {
            let deadline = ctx.wall_clock() + secs(5);
            let to_no_name = Draft::to(("b", "nobody")).deadline(deadline);
            let by_no_key = Draft::to(Recipient::keyed("ada")).deadline(deadline);
            outbox.post(to_no_name, &ENTRY).await.expect("it is stored");
            outbox.post(by_no_key, &ENTRY).await.expect("it is stored");
            ctx.sleep(secs(10)).await;
            let dead = outbox.dead(10).await.expect("a store that works");
            let why: Vec<WhyDead> = dead.iter().map(|mail| mail.why).collect();
            assert_eq!(why, [WhyDead::Expired, WhyDead::Nobody]);
            let letters = dead.iter().map(|mail| mail.letter).collect();
            outbox.forget(letters).await.expect("a store that works");
            assert_eq!(outbox.dead(10).await, Ok(Vec::new()));
        },
    );
    let mailed = logged(&scenario, 1);
    let tries = mailed.iter().filter(|fact| **fact == (1, Mailed::Sent));
    assert!(tries.count() >= 4);
    assert!(!mailed.contains(&(2, Mailed::Sent)));
    assert!(mailed.contains(&(1, Mailed::Dead(WhyDead::Expired))));
    assert!(mailed.contains(&(2, Mailed::Dead(WhyDead::Nobody))));
}

#[test]
fn a_letter_by_key_goes_to_whoever_stands_for_that() {
    let scenario = pair(
        |outbox| outbox.route(|key| (key == "ada".into()).then(|| ("b", "ledger").into())),
        |ctx, outbox| async move {
            let sent = outbox.send(Recipient::keyed("ada"), "ada", &ENTRY).await;
            sent.expect("it is stored");
            ctx.sleep(secs(30)).await;
        },
    );
    clean_run(&scenario, 1, Keep::default());
    assert_eq!(entries("b"), [ENTRY]);
}

#[test]
fn what_an_outbox_does_not_take_is_said_and_changes_nothing() {
    let scenario = pair(
        |outbox| outbox.largest(8).backlog(2).window(1),
        |ctx, outbox| async move {
            let large = outbox.send("nobody", 1, &"far too large".to_owned()).await;
            let expected = SendError::TooLarge { bytes: 14, most: 8 };
            assert_eq!(large, Err(expected));
            let late = Draft::to("nobody").deadline(ctx.wall_clock());
            let late = outbox.post(late, &ENTRY).await;
            assert_eq!(late, Err(SendError::PastDeadline));
            for _ in 0..2 {
                let sent = outbox.send("nobody", 1, &ENTRY).await;
                sent.expect("there is room");
            }
            let full = outbox.send("nobody", 1, &ENTRY).await;
            assert_eq!(full, Err(SendError::Full { most: 2 }));
            let gone = OutboxRef::named("another").send("nobody", 1, &ENTRY).await;
            assert!(matches!(gone, Err(SendError::Unanswered(_))), "{gone:?}");
        },
    );
    let mailed = logged(&scenario, 1);
    let accepted = |fact: &&(u64, Mailed)| matches!(fact.1, Mailed::Accepted { .. });
    assert_eq!(mailed.iter().filter(accepted).count(), 2);
}

#[test]
fn a_letter_of_another_type_is_set_aside_as_unreadable_and_those_after_it_are_read() {
    let scenario = pair(
        |outbox| outbox,
        |ctx, outbox| async move {
            let text = outbox.send(("b", "ledger"), 1, &"a text".to_owned()).await;
            text.expect("it is stored");
            let entry = outbox.send(("b", "ledger"), 1, &ENTRY).await;
            entry.expect("it is stored");
            ctx.sleep(secs(30)).await;
            let dead = outbox.dead(10).await.expect("a store that works");
            assert_eq!(dead[0].why, WhyDead::Unreadable);
        },
    );
    clean_run(&scenario, 1, Keep::default());
    assert_eq!(entries("b"), [ENTRY]);
}

#[test]
fn an_outbox_whose_store_was_wiped_is_another_one_and_none_of_its_letters_is_taken_for_done() {
    let scenario = Scenario::new("wiped")
        .node("b", |ctx: Context| async move {
            let inbox = Inbox::<Ledger>::new("ledger", |ctx| Ok(Durable::open("b", ctx)));
            inbox.start(&ctx).await.expect("an inbox");
            ctx.receive().await;
        })
        .client("a", |ctx: Context| async move {
            ctx.trap_exit(true);
            for nth in 0..3 {
                // Each time its store is an empty one.
                let outbox = Outbox::new("outbox", |_| Ok(MemoryStore::new()));
                let outbox = outbox.start(&ctx).await.expect("an outbox");
                let entry = Entry { account: 1, nth };
                let sent = outbox.send(("b", "ledger"), 1, &entry).await;
                sent.expect("it is stored");
                ctx.sleep(secs(10)).await;
                let pid = ctx.whereis("outbox").expect("it lives");
                ctx.send_exit(pid, ExitReason::Kill);
                ctx.sleep(secs(1)).await;
            }
        })
        .finally("it ended", |_| true)
        .horizon(secs(60));
    clean_run(&scenario, 1, Keep::default());
    let written: Vec<u64> = entries("b").iter().map(|entry| entry.nth).collect();
    assert_eq!(written, [0, 1, 2]);
}

#[test]
fn a_store_that_does_not_open_is_the_reason_why_an_outbox_or_inbox_does_not_start() {
    let newer = || StoreError::Newer {
        store: "mail.redb".to_owned(),
        found: 9,
        known: 1,
    };
    let scenario = Scenario::new("newer")
        .client("a", move |ctx: Context| async move {
            ctx.trap_exit(true);
            let open = move |_| Err::<MemoryStore, _>(newer());
            let outbox = Outbox::new("outbox", open).start(&ctx).await;
            let failed = StartError::Failed(ExitReason::error(newer()));
            assert_eq!(outbox.err(), Some(failed.clone()));
            let inbox = Inbox::<Ledger>::new("ledger", open).start(&ctx).await;
            assert_eq!(inbox.err(), Some(failed));
        })
        .finally("it ended", |_| true);
    clean_run(&scenario, 1, Keep::default());
}

/// A ledger that panics at some entries.
struct Frail(Ledger);

impl Reader for Frail {
    type Message = Entry;

    fn open(store: &dyn Store, ctx: Context) -> Result<Frail, StoreError> {
        Ok(Frail(Ledger::open(store, ctx)?))
    }

    async fn letter(&mut self, letter: Letter<Entry>, batch: &mut Batch) -> Verdict {
        let entry = letter.message;
        batch.put(Table("half"), b"done", b"yes");
        assert!(entry.account != 9, "a poison letter");
        self.0.letter(letter, batch).await
    }
}

#[test]
fn a_letter_that_makes_its_reader_panic_is_set_aside_at_its_deadline_and_takes_no_other_with_it() {
    let scenario = Scenario::new("poison")
        .node("b", |ctx: Context<_>| async move {
            let inbox = || Inbox::<Frail>::new("ledger", |ctx| Ok(Durable::open("b", ctx)));
            let tree = Supervisor::one_for_one().intensity(1000, secs(1));
            tree.child(child("ledger", inbox)).run(ctx).await
        })
        .client("a", |ctx: Context| async move {
            let outbox = Outbox::new("outbox", |ctx| Ok(Durable::open("a", ctx)));
            let outbox = outbox.start(&ctx).await.expect("an outbox");
            let deadline = ctx.wall_clock() + secs(20);
            let letters: Vec<Entry> = (0..20)
                .map(|nth| Entry {
                    account: if nth % 10 == 4 { 9 } else { 1 + nth % 2 },
                    nth,
                })
                .collect();
            let drafts = letters.iter().map(|entry| {
                let draft = Draft::to(("b", "ledger")).key(entry.account);
                let poison = entry.account == 9;
                (
                    if poison {
                        draft.deadline(deadline)
                    } else {
                        draft
                    },
                    entry,
                )
            });
            outbox.post_all(drafts).await.expect("they are stored");
            ctx.sleep(secs(15)).await;
            ctx.observe("others", |others: &mut usize| *others = entries("b").len());
            ctx.sleep(secs(40)).await;
            let dead = outbox.dead(10).await.expect("a store that works");
            assert!(dead.iter().all(|mail| mail.why == WhyDead::Expired));
            assert_eq!(dead.len(), 2);
        })
        .finally("the others were read before", |view| {
            view.observed("others") == Some(&18_usize)
        })
        .horizon(secs(60));
    clean_runs(&scenario, 10);
}

/// Notes what it reads, in the order in which it does.
struct Diary(Context);

impl Reader for Diary {
    type Message = u64;

    fn open(_: &dyn Store, ctx: Context) -> Result<Diary, StoreError> {
        Ok(Diary(ctx))
    }

    async fn letter(&mut self, letter: Letter<u64>, _: &mut Batch) -> Verdict {
        self.0
            .observe("read", |read: &mut Vec<u64>| read.push(letter.message));
        letter.ack()
    }
}

#[test]
fn letters_of_a_key_keep_their_order_though_another_machine_takes_the_place_of_their_recipients() {
    let scenario = Scenario::new("written off").script(|sim| {
        sim.node("b", |ctx: Context| async move {
            let inbox = Inbox::<Diary>::new("diary", |ctx| RedbStore::open(ctx.files(), "diary"));
            inbox.start(&ctx).await.expect("an inbox");
            ctx.sleep(secs(1_000)).await;
        });
        sim.client("a", |ctx: Context| async move {
            let outbox = Outbox::new("outbox", |_| Ok(MemoryStore::new()));
            let outbox = outbox.start(&ctx).await.expect("an outbox");
            for number in 0..60u64 {
                outbox
                    .send(("b", "diary"), "ada", &number)
                    .await
                    .expect("it is stored");
                ctx.sleep(millis(100)).await;
            }
        });
        sim.run_for(secs(2));
        sim.partition(["a"], ["b"]);
        sim.run_for(secs(1));
        sim.zombie("b");
        sim.run_for(secs(1));
        sim.heal();
        sim.run_for(secs(30));
        assert_eq!(sim.observed::<Vec<u64>>("read"), Some((0..60).collect()));
    });
    for seed in 0..20 {
        let outcome = scenario.run(seed).expect("it can run");
        assert_eq!(outcome.violation, None, "seed {seed}");
    }
}
