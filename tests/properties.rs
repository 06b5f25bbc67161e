//! Properties of every sort: when each is looked at, what violates it, and what a violation tells.

use netsplit::sim::{Called, Wait, print_ring};
use netsplit::{
    Address, Context, Cut, Fault, Faults, Outcome, Refusal, ReplyTo, Scenario, ScenarioError, Time,
    View, micros, millis, secs,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A clock that ticks at these moments.
fn ticks(name: &str, at: &[Duration]) -> Scenario {
    let at = at.to_vec();
    Scenario::new(name)
        .node("clock", move |ctx: Context| {
            let at = at.clone();
            async move {
                for at in at {
                    ctx.sleep(at.saturating_sub(ctx.now().since(Time::ZERO)))
                        .await;
                    ctx.observe("ticks", |ticks: &mut u64| *ticks += 1);
                    ctx.count("ticks");
                }
            }
        })
        .horizon(secs(10))
}

fn ticked(view: &View) -> u64 {
    view.observed("ticks").copied().unwrap_or(0)
}

fn run(scenario: &Scenario) -> Outcome {
    let outcome = scenario.run(7).expect("a scenario that can be run");
    assert_eq!(outcome.error, None);
    outcome
}

/// What a run violates, with what the property says.
fn violated(scenario: &Scenario) -> Option<(String, String)> {
    let violation = run(scenario).violation?;
    Some((violation.property, violation.detail))
}

const LATE: &str = "it did not hold at any step up to its deadline, 3.000 s";

#[test]
fn what_must_never_happen_is_violated_by_the_step_at_which_it_does() {
    let scenario = ticks("never", &[secs(1), secs(2), secs(3)]);
    let never = |most| {
        scenario
            .clone()
            .never("it ticks too often", move |v| ticked(v) > most)
    };
    assert_eq!(violated(&never(3)), None);
    let violation = run(&never(1)).violation.expect("a violation");
    assert_eq!(
        (violation.property.as_str(), violation.detail.as_str()),
        ("it ticks too often", "")
    );
    assert_eq!(violation.at.as_nanos(), 2_000_000_000);
}

#[test]
fn an_eventually_holds_up_to_the_very_moment_of_its_deadline() {
    let scenario = ticks("in time", &[secs(1), secs(3), secs(5)]);
    let scenario = scenario.eventually("it ticks twice", secs(3), |view| ticked(view) == 2);
    assert_eq!(violated(&scenario), None);
}

#[test]
fn an_eventually_that_comes_one_step_too_late_is_violated() {
    let scenario = ticks(
        "late",
        &[secs(1), Duration::from_nanos(3_000_000_001), secs(5)],
    );
    let eventually = |ticks| {
        let look = move |view: &View| match ticked(view) {
            some if some >= ticks => Ok(()),
            some => Err(format!("{some} ticks")),
        };
        scenario.clone().eventually("it ticks", secs(3), look)
    };
    assert_eq!(violated(&eventually(1)), None);
    let late = violated(&eventually(2)).expect("a violation").1;
    assert_eq!(late, format!("{LATE}; it does now"));
    let later = violated(&eventually(3)).expect("a violation").1;
    assert_eq!(later, format!("2 ticks\n{LATE}"));
    assert_eq!(run(&eventually(3)).at.as_nanos(), 3_000_000_001);
}

#[test]
fn an_eventually_is_violated_where_nothing_more_can_happen_before_its_deadline() {
    let scenario = ticks("ended", &[secs(1)]);
    let scenario = scenario.eventually("it ticks twice", secs(3), |view| ticked(view) == 2);
    assert_eq!(
        violated(&scenario),
        Some(("it ticks twice".to_owned(), LATE.to_owned()))
    );
}

#[test]
fn an_eventually_may_hold_for_one_step_only_and_before_the_faults_stop() {
    let scenario = ticks("once", &[millis(10), millis(20), secs(9)])
        .faults(Faults::calm().late_timers(Duration::from_nanos(1)))
        .eventually("there was one tick", secs(0), |view| ticked(view) == 1);
    assert_eq!(violated(&scenario), None);
}

#[test]
fn the_time_of_an_eventually_runs_from_the_end_of_the_faults() {
    // Faults stop at 7.5 s, a quarter of the horizon before its end.
    let scenario = ticks("after", &[secs(8), secs(9)]).faults(Faults::calm().lose(0.1));
    let within = |within| {
        let look = |view: &View| ticked(view) == 2;
        scenario.clone().eventually("it ticks twice", within, look)
    };
    assert_eq!(violated(&within(millis(1_500))), None);
    assert!(violated(&within(millis(1_499))).is_some());
    let quiet = within(millis(500)).quiet(secs(1));
    assert_eq!(violated(&quiet), None);
}

#[test]
fn a_deadline_after_the_horizon_is_refused_with_what_to_do() {
    let eventually = |within| ticks("too long", &[]).eventually("it ends", within, |_| true);
    assert_eq!(eventually(secs(10)).validate(), Ok(()));
    let error = eventually(secs(11)).validate().expect_err("a refusal");
    assert!(
        matches!(&error, ScenarioError::DeadlineTooLate { property, .. } if property == "it ends")
    );
    assert_eq!(
        error.to_string(),
        "\"it ends\" must have held by 11.000 s, and a run ends at 10.000 s: raise the horizon, let faults \
         stop earlier with `quiet(…)`, or give it less time"
    );
    let faulty = |within| eventually(within).faults(Faults::calm().lose(0.1));
    assert_eq!(faulty(millis(2_500)).validate(), Ok(()));
    assert!(faulty(millis(2_501)).validate().is_err());
}

/// How often a property is looked at in a run of three ticks.
fn looks(add: impl FnOnce(Scenario, Arc<AtomicU64>) -> Scenario) -> (u64, u64) {
    let looks = Arc::new(AtomicU64::new(0));
    let scenario = add(ticks("looks", &[secs(1), secs(2), secs(3)]), looks.clone());
    let steps = run(&scenario.finally("it ends", |_| true)).steps;
    (looks.load(Ordering::Relaxed), steps)
}

#[test]
fn what_has_held_or_was_reached_is_not_looked_at_again() {
    let (all, steps) = looks(|scenario, looks| {
        scenario.never("never", move |_| {
            looks.fetch_add(1, Ordering::Relaxed) == u64::MAX
        })
    });
    assert!(all >= steps && all > 3, "{all} looks, {steps} steps");
    let seen = |view: &View, looks: &AtomicU64| {
        looks.fetch_add(1, Ordering::Relaxed);
        ticked(view) == 2
    };
    let (sometimes, _) = looks(|s, looks| s.sometimes("reached", move |view| seen(view, &looks)));
    let (eventually, _) =
        looks(|s, looks| s.eventually("held", secs(5), move |view| seen(view, &looks)));
    assert_eq!(sometimes, eventually);
    assert!(sometimes < all, "{sometimes} of {all}");
}

#[test]
fn an_outcome_keeps_what_was_reached_as_it_was_declared() {
    let scenario = ticks("reached", &[secs(1), secs(2)])
        .sometimes("two ticks", |view| ticked(view) == 2)
        .sometimes("three ticks", |view| ticked(view) == 3)
        .sometimes("one tick", |view| view.counter("ticks") == 1);
    let outcome = run(&scenario);
    assert!(outcome.is_ok());
    assert_eq!(outcome.reached, ["two ticks", "one tick"]);
    assert_eq!(scenario.sometimes_names().count(), 3);
}

#[test]
fn a_sometimes_that_panics_fails_its_run() {
    let scenario = ticks("blind", &[]).sometimes("it sees", |_| panic!("blind"));
    let said = violated(&scenario).expect("a violation");
    assert_eq!(
        said,
        (
            "it sees".to_owned(),
            "the property panicked: blind".to_owned()
        )
    );
}

#[test]
fn a_broken_form_names_no_sometimes() {
    let scenario = ticks("broken", &[])
        .sometimes("it ticks", |_| false)
        .broken("it ticks");
    let error = scenario.validate().expect_err("a refusal");
    assert_eq!(error, ScenarioError::BrokenSometimes("it ticks".to_owned()));
}

// --- Counters ---------------------------------------------------------------------------------

#[test]
fn counters_add_up_over_crashes_and_are_read_by_properties() {
    let scenario = Scenario::new("counters")
        .node("home", |ctx: Context| async move {
            ctx.count("boots");
            ctx.count_by("letters", 3);
            ctx.count_by("most", u64::MAX);
            ctx.sleep(secs(20)).await;
        })
        .faults(Faults::calm().crash(secs(1), millis(10)).crash_calls(0))
        .finally("boots are counted", |view| {
            view.counter("boots") == u64::from(view.boots("home")) && view.counter("none") == 0
        })
        .horizon(secs(10));
    let outcome = run(&scenario);
    assert_eq!(outcome.violation, None);
    let boots = outcome.counters["boots"];
    assert!(boots > 1);
    assert_eq!(outcome.counters["letters"], 3 * boots);
    assert_eq!(outcome.counters["most"], u64::MAX);
    assert_eq!(outcome.counters.len(), 3);
}

#[test]
fn counting_changes_no_run_not_even_one_that_crashes_inside_a_poll() {
    let scenario = |counts: bool| {
        Scenario::new("counts")
            .node("home", move |ctx: Context<u64>| async move {
                loop {
                    for number in 0..4 {
                        ctx.address().send(number);
                        if counts {
                            ctx.count("sent");
                        }
                        ctx.receive_message().await;
                    }
                    ctx.sleep(millis(50)).await;
                }
            })
            .faults(Faults::calm().crash(secs(1), millis(10)))
            .finally("it ended", |_| true)
            .horizon(secs(5))
    };
    for seed in 0..50 {
        let run = |counts| scenario(counts).run(seed).expect("it can be run");
        let (plain, counted) = (run(false), run(true));
        assert_eq!(
            (plain.digest, plain.events),
            (counted.digest, counted.events)
        );
        assert!(counted.counters["sent"] > 0);
    }
}

#[test]
fn what_has_ended_counts_no_more() {
    struct Last(Context);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.count("dropped");
        }
    }
    let scenario = Scenario::new("ended")
        .client("a", |ctx: Context| async move {
            let last = Last(ctx);
            last.0.count("alive");
            last.0.exit(netsplit::ExitReason::Normal).await;
        })
        .finally("it ended", |_| true);
    let counters = run(&scenario).counters;
    assert_eq!(
        counters.into_iter().collect::<Vec<_>>(),
        [("alive".to_owned(), 1)]
    );
}

// --- What processes wait for ------------------------------------------------------------------

type Question = ReplyTo<u64>;

/// A node whose server asks the one on `next` as soon as it is asked itself, and never answers.
fn asks(scenario: Scenario, node: &'static str, next: &'static str) -> Scenario {
    scenario.node(node, move |ctx: Context<Question>| async move {
        ctx.register("server").expect("a free name");
        ctx.receive_message().await;
        let next = Address::<Question>::named(next, "server");
        let _ = next.call(|reply_to| reply_to, secs(100)).await;
    })
}

fn ring_of_three() -> Scenario {
    let scenario = Scenario::new("ring");
    let scenario = asks(scenario, "b", "c");
    let scenario = asks(asks(scenario, "c", "d"), "d", "b");
    scenario
        .client("a", |ctx: Context| async move {
            ctx.sleep(secs(1)).await;
            let server = Address::<Question>::named("b", "server");
            let _ = server.call(|reply_to| reply_to, secs(100)).await;
            ctx.observe("answered", |answered: &mut bool| *answered = true);
        })
        .horizon(secs(60))
}

fn answered(view: &View) -> bool {
    view.observed("answered").copied().unwrap_or(false)
}

#[test]
fn processes_that_wait_for_each_other_are_named_as_a_ring_without_those_who_wait_for_them() {
    let scenario = ring_of_three().always("no ring", |view| match view.call_cycle() {
        Some(ring) => Err(print_ring(&ring)),
        None => Ok(()),
    });
    let said = violated(&scenario).expect("a violation").1;
    assert_eq!(said, "<b.0.0> -> <c.0.0> -> <d.0.0> -> <b.0.0>");
}

#[test]
fn a_chain_of_calls_is_no_ring() {
    let scenario = asks(asks(Scenario::new("chain"), "b", "c"), "c", "d");
    let scenario = scenario
        .node("d", |ctx: Context<Question>| async move {
            ctx.register("server").expect("a free name");
            loop {
                ctx.sleep(millis(1)).await;
            }
        })
        .client("a", |_: Context| async {
            let server = Address::<Question>::named("b", "server");
            let _ = server.call(|reply_to| reply_to, secs(5)).await;
        })
        .never("no ring", |view| view.call_cycle().is_some())
        .horizon(secs(1));
    assert_eq!(violated(&scenario), None);
}

#[test]
fn an_eventually_that_does_not_hold_tells_what_each_process_waits_for() {
    let scenario = ring_of_three().eventually("the client is answered", secs(50), answered);
    let waits = run(&scenario).violation.expect("a violation").waits;
    insta::assert_snapshot!("ring", waits);
}

#[test]
fn every_sort_of_wait_is_told() {
    let scenario = Scenario::new("waits")
        .node("a", |ctx: Context<u64>| async move {
            ctx.register("clerk").expect("a free name");
            ctx.spawn(|ctx: Context| async move {
                let gone = Address::<Question>::named("b", "gone");
                let _ = gone.call(|reply_to| reply_to, secs(40)).await;
                ctx.sleep(secs(1)).await;
            });
            ctx.spawn(|ctx: Context| async move {
                ctx.sleep(secs(3)).await;
                let never = Address::<Question>::named("b", "never");
                let _ = never.call(|reply_to| reply_to, secs(40)).await;
            });
            ctx.spawn(|ctx: Context<u64>| async move {
                let _ = ctx.receive_within(secs(50)).await;
            });
            ctx.spawn(|ctx: Context| async move { ctx.sleep(secs(60)).await });
            ctx.spawn(|_: Context| std::future::pending::<()>());
            ctx.address().send(1);
            ctx.address().send(2);
            ctx.receive_where(|number| *number > 2).await;
        })
        .node("b", |ctx: Context| async move {
            ctx.register("gone").expect("a free name");
            let busy = ctx.spawn(|ctx: Context<u64>| async move {
                ctx.receive().await;
            });
            ctx.sleep(secs(1)).await;
            ctx.unregister();
            busy.send(1);
            ctx.work(secs(50)).await;
        })
        .client("c", |_: Context| std::future::ready(()))
        .finally("it fails", |view| {
            let waiting = view.waiting();
            let calls = waiting.iter().flat_map(|waiting| &waiting.waits);
            let nobody = |wait: &&Wait| {
                matches!(
                    wait,
                    Wait::Answer {
                        of: Called::Nobody { .. },
                        ..
                    }
                )
            };
            assert_eq!(calls.filter(nobody).count(), 2);
            false
        })
        .horizon(secs(30))
        .quiet(micros(100))
        .faults(Faults::calm().at(secs(2), Fault::cut(Cut::between(["a"], ["b"]), secs(30))));
    let waits = run(&scenario).violation.expect("a violation").waits;
    insta::assert_snapshot!("waits", waits);
}

#[test]
fn the_answer_of_a_start_is_waited_for_with_the_name_of_who_is_started() {
    use netsplit::{Flow, GenServer, Server};
    struct Slow;
    impl GenServer for Slow {
        type Args = ();
        type Message = u64;
        async fn init((): (), ctx: &mut Context<u64>) -> Result<Slow, Refusal> {
            ctx.sleep(secs(90)).await;
            Ok(Slow)
        }
        async fn handle(&mut self, _: u64, _: &mut Context<u64>) -> Flow {
            Flow::Next
        }
    }
    let scenario = Scenario::new("start")
        .client("a", |ctx: Context| async move {
            let _ = Server::<Slow>::with(()).name("slow").start(&ctx).await;
        })
        .finally("it fails", |_| false);
    let waits = run(&scenario).violation.expect("a violation").waits;
    insta::assert_snapshot!("start", waits);
}

#[test]
fn many_processes_are_told_by_the_first_twenty_and_their_number() {
    let scenario = Scenario::new("many")
        .client("a", |ctx: Context<u64>| async move {
            for _ in 0..30 {
                ctx.spawn(|ctx: Context<u64>| async move {
                    ctx.receive_message().await;
                });
            }
            ctx.sleep(secs(90)).await;
        })
        .finally("it fails", |view| view.waiting().len() != 31)
        .always("a violation of another sort tells nothing", |view| {
            view.step() < 1_000
        });
    let waits = run(&scenario).violation.expect("a violation").waits;
    assert_eq!((waits.processes.len(), waits.more), (20, 11));
    assert!(
        waits.processes[0].starts_with("<a.0.0>  waits for a timer"),
        "{waits}"
    );
    assert!(waits.to_string().ends_with("\n… and 11 more"), "{waits}");
}

#[test]
fn what_must_hold_after_each_step_tells_of_no_waits() {
    let scenario = ticks("always", &[secs(1)]).always("it fails", |_| false);
    let waits = run(&scenario).violation.expect("a violation").waits;
    assert_eq!(waits.to_string(), "");
}
