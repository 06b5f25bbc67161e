//! Brokers, consumers and nodes that crash, and the ways between them.

use super::common::{Shelf, broker, run, take};
use netsplit::mail::queue::{ConsumeError, Queue, QueueSettings, ToBroker};
use netsplit::otp::ToSupervisor;
use netsplit::{
    Address, CallError, Context, ExitReason, Faults, Info, Scenario, Supervisor, View, child,
    millis, secs,
};
use std::collections::{BTreeMap, BTreeSet};

const LETTERS: u32 = 60;
const POISON: u32 = 13;

fn settings() -> QueueSettings {
    QueueSettings::new().delivery_limit(QueueSettings::DELIVERY_LIMIT)
}

/// A node with a broker, which is started again when it ends.
async fn post(ctx: Context<ToSupervisor>) -> ExitReason {
    if ctx.pid().incarnation() == 0 {
        Shelf::clear();
    }
    let broker = || broker().queue("jobs", settings());
    Supervisor::one_for_one()
        .intensity(1_000, secs(1))
        .child(child("broker", broker))
        .run(ctx)
        .await
}

fn jobs() -> Queue<u32> {
    Queue::new(Address::<ToBroker>::named("post", "broker"), "jobs").timeout(secs(1))
}

/// Publishes each number until it is confirmed.
async fn shop(ctx: Context) {
    for number in 0..LETTERS {
        while jobs().publish(&number).await.is_err() {
            ctx.sleep(millis(100)).await;
        }
        ctx.observe("confirmed", |confirmed: &mut Vec<u32>| {
            confirmed.push(number)
        });
        ctx.sleep(millis(50)).await;
    }
}

/// How a worker takes its letters.
type Consumes = (u32, bool);

/// Works on letters until something fails; the poison kills it.
async fn worker(ctx: Context, (prefetch, alone): Consumes) -> Result<(), ExitReason> {
    let queue = jobs();
    let mut consumer = match alone {
        true => queue.consume_exclusively(prefetch).await?,
        false => queue.consume(prefetch).await?,
    };
    loop {
        let job = consumer.next().await?;
        let number = *job.message();
        ctx.sleep(millis(5)).await;
        if number == POISON {
            panic!("thirteen");
        }
        ctx.observe("done", |done: &mut Vec<u32>| done.push(number));
        job.ack();
    }
}

/// A node with a worker, which is started again when it ends.
async fn works(ctx: Context, how: Consumes) {
    loop {
        let (_, monitor) = ctx.spawn_monitor(move |ctx: Context| worker(ctx, how));
        let is_it = |info: &Info| matches!(info, Info::Down { monitor: of, .. } if *of == monitor);
        ctx.receive_info(is_it).await;
        ctx.sleep(millis(20)).await;
    }
}

/// Takes dead letters, and notes why they died.
async fn undertaker(ctx: Context) {
    let dead = Queue::<u32>::new(Address::named("post", "broker"), "jobs.dead");
    loop {
        let Ok(mut consumer) = dead.consume(5).await else {
            ctx.sleep(millis(100)).await;
            continue;
        };
        while let Ok(letter) = consumer.next().await {
            let number = *letter.message();
            ctx.observe("dead", |dead: &mut BTreeSet<u32>| dead.extend([number]));
            letter.ack();
        }
    }
}

/// A post, two nodes of workers, a shop and an undertaker.
fn office(name: &str, how: Consumes, faults: Faults) -> Scenario {
    Scenario::new(name)
        .node("post", post)
        .node("one", move |ctx: Context| works(ctx, how))
        .node("two", move |ctx: Context| works(ctx, how))
        .client("shop", shop)
        .client("undertaker", undertaker)
        .faults(faults)
        .horizon(secs(60))
        .quiet(secs(30))
        .finally(
            "all that was confirmed is done, or was set aside",
            |view: &View| {
                let confirmed = view
                    .observed::<Vec<u32>>("confirmed")
                    .cloned()
                    .unwrap_or_default();
                let done = view
                    .observed::<Vec<u32>>("done")
                    .cloned()
                    .unwrap_or_default();
                let dead = view
                    .observed::<BTreeSet<u32>>("dead")
                    .cloned()
                    .unwrap_or_default();
                let is_settled = |number| done.contains(number) || dead.contains(number);
                confirmed.len() as u32 == LETTERS && confirmed.iter().all(is_settled)
            },
        )
        .finally("the poison alone was set aside", |view: &View| {
            let dead = view
                .observed::<BTreeSet<u32>>("dead")
                .cloned()
                .unwrap_or_default();
            dead == BTreeSet::from([POISON])
        })
        .finally("nothing is left", |_: &View| Shelf::letters() == 0)
}

/// Everything but disks that lie and namesakes that outlive their nodes, which would share a shelf.
fn storm() -> Faults {
    Faults::calm()
        .lose(0.3)
        .duplicate(0.5)
        .crash(secs(8), secs(1))
        .pause(secs(15), secs(2))
        .partition(secs(8), secs(3))
        .break_connections(secs(5))
        .kill_processes(secs(4))
        .step_clocks(secs(20), secs(10))
        .late_timers(millis(50))
        .swarm()
}

#[test]
fn queue_loses_nothing_and_blames_the_poison_alone_in_a_calm_run() {
    run(&office("calm office", (10, false), Faults::calm()), 10);
}

#[test]
fn queue_loses_nothing_and_blames_the_poison_alone_while_all_ends_crash() {
    run(&office("stormy office", (10, false), storm()), 40);
}

#[test]
fn queue_with_an_exclusive_consumer_keeps_its_order_while_all_ends_crash() {
    let in_order = |view: &View| {
        let done = view
            .observed::<Vec<u32>>("done")
            .cloned()
            .unwrap_or_default();
        let mut first = BTreeMap::new();
        for (at, number) in done.iter().enumerate() {
            first.entry(*number).or_insert(at);
        }
        // By number, the places at which each was done first go up.
        first.values().is_sorted()
    };
    let office = office("orderly office", (10, true), storm());
    run(
        &office.finally("each is done first in the order of publishing", in_order),
        150,
    );
}

#[test]
fn queue_has_all_that_it_had_after_a_crash_of_its_broker_and_of_its_node() {
    let scenario = Scenario::new("reboot").script(|sim| {
        sim.node("post", post);
        sim.client("shop", |ctx: Context| async move {
            for number in 0..6 {
                jobs().publish(&number).await.expect("a confirm");
            }
            let mut consumer = jobs().consume(4).await.expect("a consumer");
            assert_eq!(take(&mut consumer, 1).await, Ok(vec![0]));
            let held = consumer.next().await.expect("a letter");
            ctx.sleep(millis(100)).await; // The ack is there.
            ctx.count("ready");
            // The broker is killed: what this consumer holds is waiting again.
            while consumer.next().await.is_ok() {}
            let (letter, attempt) = (held.letter(), held.attempt());
            ctx.sleep(millis(100)).await;
            held.ack(); // It comes too late.
            let mut consumer = jobs().consume(2).await.expect("a consumer");
            let again = consumer.next().await.expect("a letter");
            assert_eq!((again.letter(), again.attempt()), (letter, attempt + 1));
            assert!(again.is_redelivered());
            assert_eq!(jobs().counts().await.expect("counts").stale, 1);
            ctx.count("again");
            // Its whole node crashes.
            while consumer.next().await.is_ok() {}
            ctx.sleep(secs(2)).await;
            let mut consumer = jobs().consume(9).await.expect("a consumer");
            assert_eq!(take(&mut consumer, 5).await, Ok(vec![1, 2, 3, 4, 5]));
            ctx.count("done");
        });
        assert!(sim.run_until(secs(5), |view| view.counter("ready") == 1));
        sim.kill("post", "broker");
        assert!(sim.run_until(secs(5), |view| view.counter("again") == 1));
        sim.crash("post");
        sim.boot("post");
        assert!(sim.run_until(secs(9), |view| view.counter("done") == 1));
    });
    run(&scenario, 20);
}

#[test]
fn queue_cancels_a_consumer_whose_node_is_gone_and_gives_its_letters_to_another() {
    let scenario = Scenario::new("node gone").script(|sim| {
        sim.node("post", post);
        sim.node("one", |ctx: Context| async move {
            let mut consumer = jobs().consume(3).await?;
            let held = consumer.next().await?;
            ctx.count("held");
            ctx.sleep(secs(1_000)).await;
            held.ack();
            Ok::<(), ExitReason>(())
        });
        sim.client("shop", |ctx: Context| async move {
            for number in 0..3 {
                while jobs().publish(&number).await.is_err() {}
            }
            while jobs()
                .info()
                .await
                .expect("an answer")
                .expect("a queue")
                .waiting
                == 0
            {
                ctx.sleep(millis(10)).await;
            }
            let mut consumer = jobs().consume(3).await.expect("a consumer");
            assert_eq!(take(&mut consumer, 3).await, Ok(vec![0, 1, 2]));
            ctx.count("done");
        });
        assert!(sim.run_until(secs(5), |view| view.counter("held") == 1));
        sim.crash("one");
        assert!(sim.run_until(secs(200), |view| view.counter("done") == 1));
    });
    run(&scenario, 20);
}

#[test]
fn queue_forgets_a_consumer_whose_wish_was_answered_too_late() {
    for alone in [false, true] {
        let scenario = Scenario::new("late answer").script(move |sim| {
            sim.node("post", post);
            sim.client("shop", move |ctx: Context| async move {
                for number in 0..6 {
                    while jobs().publish(&number).await.is_err() {}
                }
                ctx.count("published");
                ctx.sleep(millis(500)).await;
                let consume = async || match alone {
                    true => jobs().consume_exclusively(2).await,
                    false => jobs().consume(2).await,
                };
                let late = ConsumeError::Broker(CallError::Timeout);
                assert_eq!(consume().await.err(), Some(late));
                ctx.sleep(secs(2)).await;
                let mut consumer = consume().await.expect("a consumer");
                assert_eq!(take(&mut consumer, 6).await, Ok((0..6).collect()));
                ctx.count("done");
            });
            assert!(sim.run_until(secs(5), |view| view.counter("published") == 1));
            sim.pause("post");
            sim.run_for(secs(2));
            sim.resume("post");
            assert!(sim.run_until(secs(9), |view| view.counter("done") == 1));
        });
        run(&scenario, 20);
    }
}
