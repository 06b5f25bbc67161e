//! What code says with `tracing`: in the log of its run, with virtual time, node and process; in no digest.

use netsplit::report::{Failure, trace::lines};
use netsplit::{Chance, Context, ExitReason, Keep, Outcome, Scenario, Sim, millis, secs};
use std::cell::RefCell;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Instrument, Metadata, Span, Subscriber, info, info_span, instrument, warn};

const LOG: Keep = Keep {
    log: true,
    draws: false,
    payloads: false,
};

fn run(scenario: &Scenario, seed: u64, keep: Keep) -> Outcome {
    let outcome = scenario.run_with(Chance::Seed(seed), keep);
    let outcome = outcome.expect("a good scenario");
    assert_eq!(outcome.error, None);
    outcome
}

/// The notes of a run, in the columns of its trace but the step, with one blank between them.
fn notes(outcome: &Outcome) -> Vec<String> {
    let log = outcome.log.as_ref().expect("a log was asked for");
    let lines = lines(log, &outcome.names).into_iter();
    let notes = lines.filter(|line| line.contains(" notes: "));
    let spaced = notes.map(|line| {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        words.remove(2);
        words.join(" ")
    });
    spaced.collect()
}

/// The same, of a scenario under a seed.
fn said(scenario: &Scenario, seed: u64) -> Vec<String> {
    notes(&run(scenario, seed, LOG))
}

#[instrument(target = "till", skip(ctx))]
async fn sell(ctx: &Context, apples: u32) {
    ctx.sleep(millis(10)).await;
    info!(target: "till", price = 3 * apples, "sold to {:?}", "you");
    ctx.sleep(millis(10)).await;
}

/// Two processes on one node that sell at once, each within spans of its own.
fn shop() -> Scenario {
    let seller = |apples, after| {
        move |ctx: Context| {
            async move {
                ctx.sleep(after).await;
                sell(&ctx, apples).await;
                warn!(target: "till", token = ctx.random() % 2 > 7, "closed");
            }
            .instrument(info_span!(target: "till", "day", seller = apples))
        }
    };
    Scenario::new("shop")
        .node("shop", move |ctx: Context| async move {
            ctx.spawn(seller(1, millis(1)));
            ctx.spawn(seller(2, millis(5)));
        })
        .finally("it ended", |_| true)
        .horizon(secs(1))
}

#[test]
fn spans_and_events_are_in_the_log_with_time_node_and_process() {
    let expected = [
        "0.000000 s shop <shop.1.0> notes: INFO day{seller=1}: till: begins",
        "0.000000 s shop <shop.2.0> notes: INFO day{seller=2}: till: begins",
        "0.001000 s shop <shop.1.0> notes: INFO day{seller=1}:sell{apples=1}: till: begins",
        "0.005000 s shop <shop.2.0> notes: INFO day{seller=2}:sell{apples=2}: till: begins",
        "0.011000 s shop <shop.1.0> notes: \
         INFO day{seller=1}:sell{apples=1}: till: sold to \"you\" price=3",
        "0.015000 s shop <shop.2.0> notes: \
         INFO day{seller=2}:sell{apples=2}: till: sold to \"you\" price=6",
        "0.021000 s shop <shop.1.0> notes: INFO day{seller=1}:sell{apples=1}: till: ends, after 20ms",
        "0.021000 s shop <shop.1.0> notes: WARN day{seller=1}: till: closed token=false",
        "0.025000 s shop <shop.2.0> notes: INFO day{seller=2}:sell{apples=2}: till: ends, after 20ms",
        "0.025000 s shop <shop.2.0> notes: WARN day{seller=2}: till: closed token=false",
    ];
    let mut said = said(&shop(), 1);
    // The two start in a drawn order.
    said[..2].sort();
    assert_eq!(said, expected);
}

#[test]
fn what_is_said_touches_no_digest() {
    let quiet = Scenario::new("shop")
        .node("shop", |ctx: Context| async move {
            for (apples, after) in [(1, millis(1)), (2, millis(5))] {
                ctx.spawn(move |ctx: Context| async move {
                    ctx.sleep(after).await;
                    ctx.sleep(millis(10)).await;
                    ctx.sleep(millis(10)).await;
                    let _ = apples;
                });
            }
        })
        .finally("it ended", |_| true)
        .horizon(secs(1));
    let loud = shop_that_looks_only();
    for seed in 0..20 {
        let digests = [
            run(&loud, seed, LOG).digest,
            run(&loud, seed, Keep::default()).digest,
            run(&quiet, seed, LOG).digest,
        ];
        assert_eq!([digests[0]; 3], digests, "seed {seed}");
    }
}

/// The shop, whose fields do nothing but look.
fn shop_that_looks_only() -> Scenario {
    Scenario::new("shop")
        .node("shop", |ctx: Context| async move {
            for (apples, after) in [(1, millis(1)), (2, millis(5))] {
                ctx.spawn(move |ctx: Context| async move {
                    ctx.sleep(after).await;
                    sell(&ctx, apples).await;
                });
            }
        })
        .finally("it ended", |_| true)
        .horizon(secs(1))
}

#[test]
fn a_guard_held_across_an_await_stays_its_own_process_s_affair() {
    let scenario = Scenario::new("guards")
        .node("a", |ctx: Context| async move {
            let careless = ctx.spawn(|ctx: Context| async move {
                let span = info_span!(target: "t", "careless");
                let _guard = span.enter();
                ctx.sleep(millis(10)).await;
                info!(target: "t", "still within");
                ctx.sleep(secs(9)).await;
            });
            ctx.spawn(|ctx: Context| async move {
                ctx.sleep(millis(5)).await;
                info!(target: "t", "in no span");
                assert!(Span::current().is_none());
            });
            ctx.sleep(millis(20)).await;
            ctx.send_exit(careless.pid().expect("a pid"), ExitReason::Kill);
            ctx.sleep(millis(1)).await;
            // It takes the slot of one that has ended.
            ctx.spawn(|_: Context| async move { info!(target: "t", "in none either") });
        })
        .finally("it ended", |_| true)
        .horizon(secs(1));
    let expected = [
        "0.000000 s a <a.1.0> notes: INFO careless: t: begins",
        "0.005000 s a <a.2.0> notes: INFO t: in no span",
        "0.010000 s a <a.1.0> notes: INFO careless: t: still within",
        "0.021000 s a <a.1.1> notes: INFO t: in none either",
    ];
    assert_eq!(said(&scenario, 1), expected);
}

#[test]
fn what_is_said_outside_of_processes_names_none() {
    let scenario = Scenario::new("outside")
        .node("a", |ctx: Context| {
            info!(target: "t", "made");
            async move { ctx.sleep(millis(5)).await }
        })
        .script(|sim: &mut Sim<'_, '_>| {
            sim.run_for(millis(3));
            info_span!(target: "t", "script").in_scope(|| info!(target: "t", "three"));
        })
        .finally("it looks", |_| {
            info!(target: "t", "looked");
            true
        });
    let expected = [
        "0.000000 s a <a.0.0> notes: INFO t: made",
        "0.003000 s - - notes: INFO script: t: begins",
        "0.003000 s - - notes: INFO script: t: three",
        "0.003000 s - - notes: INFO script: t: ends, after 0ns",
        "0.003000 s - - notes: INFO t: looked",
    ];
    assert_eq!(said(&scenario, 1), expected);
}

/// Says so when it is dropped.
struct Loud;

impl Drop for Loud {
    fn drop(&mut self) {
        info!(target: "t", "dropped");
    }
}

#[test]
fn what_is_said_after_a_kill_is_not_noted() {
    let scenario = Scenario::new("fenced")
        .node("a", |ctx: Context| async move {
            let returns = ctx.spawn(|_: Context| async { drop(Loud) });
            let killed = ctx.spawn(|ctx: Context| async move {
                let _loud = Loud;
                ctx.sleep(secs(9)).await;
            });
            let suicide = ctx.spawn(|ctx: Context| async move {
                ctx.send_exit(ctx.pid(), ExitReason::Kill);
                drop(Loud);
            });
            let _ = (returns, suicide);
            ctx.sleep(millis(1)).await;
            ctx.send_exit(killed.pid().expect("a pid"), ExitReason::Kill);
        })
        .finally("it ended", |_| true)
        .horizon(secs(1));
    let expected = ["0.000000 s a <a.1.0> notes: INFO t: dropped"];
    assert_eq!(said(&scenario, 1), expected);
}

#[test]
fn parents_records_and_levels_are_as_the_code_gives_them() {
    let scenario = Scenario::new("parents")
        .node("a", |_: Context| async move {
            let outer = info_span!(target: "t", "outer", id = tracing::field::Empty);
            outer.record("id", 7);
            let inner = tracing::debug_span!(target: "t", parent: &outer, "inner");
            drop(outer);
            tracing::error!(target: "t", parent: &inner, r#type = "x", "told");
            let _guard = inner.entered();
            tracing::trace!(target: "t", parent: None, "alone");
            info!(target: "t", answer = 42);
        })
        .finally("it ended", |_| true)
        .horizon(secs(1));
    let expected = [
        "0.000000 s a <a.0.0> notes: ERROR outer{id=7}:inner: t: told type=\"x\"",
        "0.000000 s a <a.0.0> notes: DEBUG outer{id=7}:inner: t: begins",
        "0.000000 s a <a.0.0> notes: TRACE t: alone",
        "0.000000 s a <a.0.0> notes: INFO outer{id=7}:inner: t: answer=42",
        "0.000000 s a <a.0.0> notes: DEBUG outer{id=7}:inner: t: ends, after 0ns",
    ];
    assert_eq!(said(&scenario, 1), expected);
}

#[test]
fn a_failure_shows_them_among_its_last_events() {
    let scenario = shop().finally("it fails", |_| false);
    let outcome = run(&scenario, 1, LOG);
    let failure = Failure::new("shop", &outcome, 25, "again".to_owned()).expect("it fails");
    let text = failure.to_string();
    let line = "<shop.2.0>  notes: WARN day{seller=2}: till: closed token=false";
    assert!(text.contains(line), "{text}");
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "runs on several threads at once are what is tested"
)]
fn runs_on_many_threads_do_not_mix() {
    let alone: Vec<Vec<String>> = (0..8).map(|seed| said(&shop(), seed)).collect();
    std::thread::scope(|threads| {
        for thread in 0..8 {
            let alone = &alone;
            threads.spawn(move || {
                for seed in 0..50u64 {
                    // Every other run keeps no log, and is silent.
                    run(&shop(), seed, Keep::default());
                    let seed = (seed + thread) % 8;
                    assert_eq!(said(&shop(), seed), alone[seed as usize], "seed {seed}");
                }
            });
        }
    });
}

/// With this variable set, the test below is alone in its program.
const ALONE: &str = "NETSPLIT_TEST_ALONE";

fn say() {
    info!(target: "t", "said");
}

/// Where one subscriber is registered, the thread that meets a callsite first decides for all whether it is
/// heard: no other run with a log may be there to hide it.
#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "a second thread and a program of its own are what is tested"
)]
fn what_another_thread_says_first_is_heard_all_the_same() {
    let name = "what_another_thread_says_first_is_heard_all_the_same";
    if std::env::var_os(ALONE).is_none() {
        let program = std::env::current_exe().expect("this test is a program");
        let done = Command::new(program)
            .args([name, "--exact"])
            .env(ALONE, "")
            .output();
        let done = done.expect("this program can be started");
        let text = String::from_utf8_lossy(&done.stdout);
        assert!(text.contains("1 passed"), "{text}");
        return;
    }
    let scenario = Scenario::new("first").script(|_: &mut Sim<'_, '_>| {
        std::thread::scope(|threads| drop(threads.spawn(say).join()));
        say();
    });
    let scenario = scenario.finally("it ended", |_| true);
    let scenario = scenario.node("a", |_: Context| async {});
    assert_eq!(said(&scenario, 1), ["0.000000 s - - notes: INFO t: said"]);
}

thread_local! {
    static KEPT: RefCell<Option<Span>> = const { RefCell::new(None) };
}

#[test]
fn a_span_that_outlives_its_run_says_nothing_in_another() {
    let scenario = Scenario::new("kept")
        .node("a", |_: Context| async move {
            let before = KEPT.with(|kept| kept.borrow_mut().take());
            if let Some(span) = before {
                span.in_scope(|| info!(target: "t", "second"));
            } else {
                let span = info_span!(target: "t", "kept");
                span.in_scope(|| info!(target: "t", "first"));
                KEPT.with(|kept| *kept.borrow_mut() = Some(span));
            }
        })
        .finally("it ended", |_| true)
        .horizon(secs(1));
    let first = said(&scenario, 1);
    assert_eq!(first[1], "0.000000 s a <a.0.0> notes: INFO kept: t: first");
    let second = said(&scenario, 1);
    assert_eq!(second, ["0.000000 s a <a.0.0> notes: INFO t: second"]);
}

/// A user's own subscriber, which counts the events.
struct Counts(Arc<AtomicU64>);

impl Subscriber for Counts {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_user_s_own_subscriber_hears_runs_without_a_log_and_is_back_after_one_with() {
    let count = Arc::new(AtomicU64::new(0));
    let heard = || count.load(Ordering::Relaxed);
    tracing::subscriber::with_default(Counts(count.clone()), || {
        run(&shop(), 1, Keep::default());
        assert_eq!(heard(), 4);
        let with_log = run(&shop(), 1, LOG);
        assert_eq!(heard(), 4);
        assert_eq!(notes(&with_log).len(), 10);
        info!("outside of runs");
        assert_eq!(heard(), 5);
        run(&shop(), 1, Keep::default());
        assert_eq!(heard(), 9);
    });
}

#[test]
fn a_run_without_a_log_makes_no_field() {
    let looked = Arc::new(Mutex::new(0));
    let scenario = Scenario::new("fields")
        .node("a", {
            let looked = looked.clone();
            move |_: Context| {
                let looked = looked.clone();
                async move {
                    info!(
                        looked = {
                            *looked.lock().expect("one thread") += 1;
                            0
                        }
                    )
                }
            }
        })
        .finally("it ended", |_| true)
        .horizon(secs(1));
    run(&scenario, 1, LOG);
    run(&scenario, 1, Keep::default());
    assert_eq!(*looked.lock().expect("one thread"), 1);
}
