//! Faults of mail: an ack is lost, comes twice, comes late; all that is not acked is sent again at once; an
//! outbox or a broker is down for a while.

use crate::removal::deviations;
use netsplit::choice::Kind;
use netsplit::mail::queue::{Broker, Queue, QueueSettings, ToBroker};
use netsplit::mail::{
    Batch, Inbox, Letter, Outbox, OutboxRef, Reader, RedbStore, Store, StoreError, Table, Verdict,
};
use netsplit::otp::ToSupervisor;
use netsplit::trace::{Event, LetterId, Mailed};
use netsplit::{
    Address, Chance, Context, ExitReason, Fault, Faults, Keep, Outcome, Scenario, Supervisor,
    child, millis, secs,
};
use std::collections::BTreeSet;

const LEDGER: Table = Table("ledger");

/// Writes each number into a table, and tells how often it has come.
struct Ledger(Context);

impl Reader for Ledger {
    type Message = u64;

    fn open(_: &dyn Store, ctx: Context) -> Result<Ledger, StoreError> {
        Ok(Ledger(ctx))
    }

    async fn letter(&mut self, letter: Letter<u64>, batch: &mut Batch) -> Verdict {
        batch.put(LEDGER, letter.message.to_be_bytes(), []);
        let number = letter.message;
        self.0
            .observe("read", |read: &mut Vec<u64>| read.push(number));
        letter.ack()
    }
}

async fn shop(ctx: Context<ToSupervisor>) -> ExitReason {
    let outbox = || Outbox::new("outbox", |ctx| RedbStore::open(ctx.files(), "outbox.redb"));
    let broker = || {
        Broker::new("broker", |ctx| RedbStore::open(ctx.files(), "broker.redb"))
            .queue("orders", QueueSettings::new())
            .ack_timeout(secs(2))
    };
    let tree = Supervisor::one_for_one().intensity(1000, secs(1));
    let tree = tree.child(child("outbox", outbox));
    tree.child(child("broker", broker)).run(ctx).await
}

async fn bank(ctx: Context<ToSupervisor>) -> ExitReason {
    let inbox =
        || Inbox::<Ledger>::new("ledger", |ctx| RedbStore::open(ctx.files(), "ledger.redb"));
    let tree = Supervisor::one_for_one().intensity(1000, secs(1));
    tree.child(child("ledger", inbox)).run(ctx).await
}

/// Sends the bank a letter every 100 ms, from the first second on.
async fn customer(ctx: Context) {
    ctx.sleep(secs(1)).await;
    let mut number = 0;
    loop {
        let outbox = OutboxRef::named(("shop", "outbox"));
        if outbox
            .send(("bank", "ledger"), "ada", &number)
            .await
            .is_ok()
        {
            ctx.observe("sent", |sent: &mut Vec<u64>| sent.push(number));
        }
        number += 1;
        ctx.sleep(millis(100)).await;
    }
}

fn orders() -> Queue<u64> {
    Queue::new(Address::<ToBroker>::named("shop", "broker"), "orders")
}

/// Publishes an order every 100 ms, from the first second on.
async fn buyer(ctx: Context) {
    ctx.sleep(secs(1)).await;
    for number in 0_u64.. {
        if orders().publish(&number).await.is_ok() {
            ctx.observe("published", |sent: &mut Vec<u64>| sent.push(number));
        }
        ctx.sleep(millis(100)).await;
    }
}

/// Takes orders, and takes 50 ms for each.
async fn worker(ctx: Context) {
    loop {
        let Ok(mut consumer) = orders().consume(3).await else {
            ctx.sleep(millis(100)).await;
            continue;
        };
        while let Ok(order) = consumer.next().await {
            let (number, attempt) = (*order.message(), order.attempt());
            let taken = (ctx.now().as_nanos() / 1_000_000, number, attempt);
            ctx.observe("taken", |all: &mut Vec<(u64, u64, u32)>| all.push(taken));
            ctx.sleep(millis(50)).await;
            order.ack();
        }
    }
}

/// Letters and orders for ten seconds, the last three of them quiet.
fn cluster() -> Scenario {
    Scenario::new("mail")
        .node("shop", shop)
        .node("bank", bank)
        .node("yard", worker)
        .client("customer", customer)
        .client("buyer", buyer)
        .horizon(secs(10))
        .quiet(secs(3))
}

fn run(scenario: &Scenario, seed: u64) -> Outcome {
    let keep = Keep {
        log: true,
        draws: true,
        payloads: false,
    };
    let outcome = scenario.run_with(Chance::Seed(seed), keep);
    let outcome = outcome.expect("a scenario that can be run");
    assert!(
        outcome.is_ok(),
        "{:?} {:?}",
        outcome.violation,
        outcome.error
    );
    outcome
}

/// What was told of letters: when, which, at which attempt, what.
fn told(outcome: &Outcome) -> Vec<(u64, LetterId, u32, Mailed)> {
    let log = outcome.log.as_ref().expect("a log");
    let told = log.entries().iter().filter_map(|entry| match entry.event {
        Event::Mail {
            letter,
            attempt,
            what,
            ..
        } => Some((entry.at_ns, letter, u32::from(attempt), what)),
        _ => None,
    });
    told.collect()
}

fn count(outcome: &Outcome, what: Mailed) -> usize {
    told(outcome).iter().filter(|told| told.3 == what).count()
}

/// Runs the cluster with this at two seconds.
fn with(fault: Fault<String>) -> Outcome {
    let faults = Faults::calm().at(secs(2), fault);
    let scenario = cluster()
        .faults(faults)
        .finally("each letter is read once", |view| {
            let sent: &Vec<u64> = view.observed("sent").expect("letters");
            let read: &Vec<u64> = view.observed("read").expect("letters");
            assert!(sent.len() > 50, "{sent:?}");
            read.windows(2).all(|two| two[0] < two[1]) && read.len() >= sent.len()
        });
    run(&scenario, 7)
}

#[test]
fn without_a_fault_no_letter_comes_again() {
    let outcome = run(&cluster().finally("it ends", |_| true), 7);
    for what in [Mailed::Repeated, Mailed::StaleAck, Mailed::Returned] {
        assert_eq!(count(&outcome, what), 0, "{what:?}");
    }
}

#[test]
fn a_letter_whose_ack_is_lost_comes_again_and_is_recognised() {
    let outcome = with(Fault::lose_ack("bank", 1));
    assert_eq!(count(&outcome, Mailed::Repeated), 1);
    assert_eq!(count(&outcome, Mailed::StaleAck), 0);
}

#[test]
fn an_ack_that_comes_twice_is_in_vain_the_second_time() {
    let outcome = with(Fault::repeat_ack("bank", 2));
    assert_eq!(count(&outcome, Mailed::Repeated), 0);
    assert_eq!(count(&outcome, Mailed::StaleAck), 1);
}

#[test]
fn an_ack_of_an_earlier_attempt_that_comes_late_does_no_harm() {
    let outcome = with(Fault::late_ack("bank", 1, secs(2)));
    let stale: Vec<_> = told(&outcome);
    let stale: Vec<_> = stale
        .iter()
        .filter(|told| told.3 == Mailed::StaleAck)
        .collect();
    assert_eq!(stale.len(), 1);
    let &(at, letter, attempt, _) = stale[0];
    assert!((secs(4)..secs(5)).contains(&std::time::Duration::from_nanos(at)));
    let acked = told(&outcome);
    let mut acked = acked
        .iter()
        .filter(|told| told.1 == letter && told.3 == Mailed::Acked);
    assert!(acked.any(|acked| acked.2 > attempt && acked.0 < at));
}

/// When the worker has taken which order, at which attempt: of those that it was given more than once.
fn twice(taken: &[(u64, u64, u32)]) -> Vec<(u64, u64, u32)> {
    let twice = |number: u64| taken.iter().filter(|taken| taken.1 == number).count() > 1;
    taken
        .iter()
        .filter(|taken| twice(taken.1))
        .copied()
        .collect()
}

#[test]
fn an_order_whose_ack_is_lost_comes_again_when_its_consumer_has_had_it_for_too_long() {
    for (fault, again) in [
        (Fault::lose_ack("yard", 1), 1),
        (Fault::repeat_ack("yard", 1), 0),
        (Fault::late_ack("yard", 1, secs(1)), 0),
    ] {
        let text = fault.to_string();
        let scenario = cluster().faults(Faults::calm().at(secs(2), fault));
        let scenario = scenario.finally("it was taken again", move |view| {
            let taken: &Vec<(u64, u64, u32)> = view.observed("taken").expect("orders");
            let published: &Vec<u64> = view.observed("published").expect("orders");
            let all: BTreeSet<u64> = taken.iter().map(|taken| taken.1).collect();
            assert!(
                published
                    .iter()
                    .filter(|number| !all.contains(number))
                    .count()
                    <= 1
            );
            let twice = twice(taken);
            if again == 0 {
                return twice.is_empty();
            }
            // What the consumer has just now when it is cancelled comes again, too.
            assert!(!twice.is_empty(), "{text}");
            let first = twice[0];
            let second = twice[1..].iter().find(|taken| taken.1 == first.1);
            let second = second.expect("it has come again");
            let later = second.0 - first.0;
            assert!((2000..2700).contains(&later) && second.2 == 2, "{twice:?}");
            true
        });
        run(&scenario, 7);
    }
}

/// The letters of the outbox that are accepted and not acked at this time.
fn waiting(outcome: &Outcome, at_ns: u64) -> BTreeSet<LetterId> {
    let mut waiting = BTreeSet::new();
    for (at, letter, _, what) in told(outcome) {
        match what {
            _ if at >= at_ns => break,
            // A queue keeps the order of no key.
            Mailed::Accepted { key } if key != 0.into() => drop(waiting.insert(letter)),
            Mailed::Acked => drop(waiting.remove(&letter)),
            _ => {}
        }
    }
    waiting
}

/// The letters that are sent within a millisecond from this time on.
fn sent(outcome: &Outcome, at_ns: u64) -> BTreeSet<LetterId> {
    let all = told(outcome).into_iter();
    let sent =
        all.filter(|told| told.3 == Mailed::Sent && (at_ns..at_ns + 1_000_000).contains(&told.0));
    sent.map(|told| told.1).collect()
}

#[test]
fn a_redelivery_storm_sends_all_again_that_an_outbox_has_sent_and_is_not_acked() {
    let storm = Fault::redeliver("shop", "outbox");
    let faults = Faults::calm()
        .at(secs(2), Fault::crash("bank", secs(4)))
        .at(millis(4050), storm);
    let scenario = cluster().faults(faults).finally("it ends", |_| true);
    let outcome = run(&scenario, 7);
    let at = 4_050_000_000;
    let waiting = waiting(&outcome, at);
    assert!(waiting.len() > 15, "{waiting:?}");
    assert!(sent(&outcome, at).is_superset(&waiting));
    assert!(!sent(&outcome, at - 2_000_000).is_superset(&waiting));
}

#[test]
fn a_redelivery_storm_of_a_broker_makes_other_attempts_of_what_consumers_have() {
    let faults = Faults::calm().at(millis(2020), Fault::redeliver("shop", "broker"));
    let scenario = cluster()
        .faults(faults)
        .finally("it was taken again", |view| {
            let taken: &Vec<(u64, u64, u32)> = view.observed("taken").expect("orders");
            let twice = twice(taken);
            assert_eq!(twice.len(), 2, "{twice:?}");
            twice[0].1 == twice[1].1 && (twice[0].2, twice[1].2) == (1, 2)
        });
    let outcome = run(&scenario, 7);
    assert_eq!(count(&outcome, Mailed::Returned), 1);
    assert_eq!(count(&outcome, Mailed::StaleAck), 1);
}

#[test]
fn an_outage_takes_a_broker_down_for_so_long_and_what_it_had_confirmed_is_there() {
    let outage = Fault::outage("shop", "broker", millis(1500));
    let scenario = cluster().faults(Faults::calm().at(secs(2), outage));
    let scenario = scenario.finally("it goes on", |view| {
        let published: &Vec<u64> = view.observed("published").expect("orders");
        let taken: &Vec<(u64, u64, u32)> = view.observed("taken").expect("orders");
        let in_it = |taken: &&(u64, u64, u32)| (2060..3500).contains(&taken.0);
        assert_eq!(taken.iter().filter(in_it).count(), 0, "{taken:?}");
        assert!(published.len() > 40, "{published:?}");
        let all: BTreeSet<u64> = taken.iter().map(|taken| taken.1).collect();
        published
            .iter()
            .filter(|number| !all.contains(number))
            .count()
            <= 1
    });
    run(&scenario, 7);
}

/// Faults of mail, and an orderly stop of nodes, often.
fn often() -> Faults {
    Faults::calm()
        .lose_acks(0.05)
        .repeat_acks(0.05)
        .late_acks(0.05, secs(1))
        .redelivery_storms(secs(2))
        .outages(secs(3), millis(500))
}

#[test]
fn every_drawn_one_is_on_the_tape_and_can_be_taken_away_by_itself() {
    let scenario = cluster().faults(often()).finally("it ends", |_| true);
    let of_plan = [Kind::Storm, Kind::Outage];
    let of_acks = [Kind::LostAck, Kind::RepeatedAck, Kind::LateAck];
    let mut gone = BTreeSet::new();
    for seed in 0..2 {
        let first = run(&scenario, seed);
        let tape = deviations(&scenario, &first);
        let again = scenario.run_with(Chance::Tape(tape.clone()), Keep::default());
        assert_eq!(again.expect("it runs").digest, first.digest, "seed {seed}");
        for index in 0..tape.edits.len() {
            let mut less = tape.clone();
            let edit = less.edits.remove(index);
            let is_of_mail = of_plan.contains(&edit.kind) || of_acks.contains(&edit.kind);
            if !is_of_mail || !gone.insert((seed, edit.kind)) {
                continue;
            }
            let outcome = scenario.run_with(Chance::Tape(less), Keep::default());
            let outcome = outcome.expect("it runs");
            assert_ne!(outcome.digest, first.digest, "without {edit}");
            let (all, left) = (first.plan.faults(), outcome.plan.faults());
            assert_eq!(
                all.len() - left.len(),
                usize::from(of_plan.contains(&edit.kind))
            );
        }
    }
    let kinds: BTreeSet<Kind> = gone.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds.len(), of_plan.len() + of_acks.len(), "{kinds:?}");
}

#[test]
fn a_profile_says_what_befalls_mail_and_a_spared_node_is_spared_it() {
    assert_eq!(
        often().to_string(),
        "send all mail again every 2s, take a keeper of mail down every 3s for 500ms, \
         5 % of acks lost, 5 % of acks sent twice, 5 % of acks up to 1s late"
    );
    let spared = often().spare("shop").spare("bank").spare("yard");
    let scenario = cluster().faults(spared).finally("it ends", |_| true);
    let outcome = run(&scenario, 1);
    let log = outcome.log.as_ref().expect("a log");
    let mut struck = log.entries().iter();
    assert!(!struck.any(|entry| matches!(entry.event, Event::Struck { .. })));
    assert_eq!(outcome.plan.faults().len(), 0);
}

#[test]
fn mail_stands_all_of_it_over_many_seeds() {
    let scenario = cluster()
        .faults(Faults::chaos().with_processes().with_mail())
        .horizon(secs(20))
        .quiet(secs(12))
        .finally("no letter is lost", |view| {
            let sent: &Vec<u64> = view.observed("sent").expect("letters");
            let read: &Vec<u64> = view.observed("read").expect("letters");
            let read: BTreeSet<u64> = read.iter().copied().collect();
            // The last may still be on its way.
            let all = &sent[..sent.len().saturating_sub(3)];
            all.iter().all(|number| read.contains(number))
        });
    for seed in 0..6 {
        run(&scenario, seed);
    }
}
