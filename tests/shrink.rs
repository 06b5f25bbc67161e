//! Shrinking: what is left of a failure is small, is needed, and can be read.

#[path = "../scenarios/supe/duplicate_ack.rs"]
#[allow(unreachable_pub, reason = "a module of the gallery")]
mod duplicate_ack;

use netsplit::choice::Tape;
use netsplit::explore::{SHRINK_TRIES, ShrinkError, Shrunk, Strategy, shrink};
use netsplit::{
    Address, Bounds, Chance, Context, Faults, Keep, Outcome, PacketKind, RunError, Scenario,
    ScenarioError, millis, secs,
};
use std::sync::atomic::{AtomicU64, Ordering};

fn least_failing(scenario: &Scenario, from: u64) -> u64 {
    let mut seeds = from..from + 10_000;
    let fails = |seed: &u64| scenario.run(*seed).unwrap().violation.is_some();
    seeds.find(fails).expect("a seed that fails")
}

fn shrunk(scenario: &Scenario, seed: u64) -> Shrunk {
    shrink(scenario, seed, Strategy::Time, SHRINK_TRIES).unwrap()
}

fn play(scenario: &Scenario, tape: &Tape) -> Outcome {
    let chance = Chance::Tape(tape.clone());
    scenario.run_with(chance, Keep::default()).unwrap()
}

fn violated(outcome: &Outcome) -> Option<&str> {
    let violation = outcome.violation.as_ref();
    violation.map(|violation| violation.property.as_str())
}

/// The tape violates the property, and reads back as one that does; without any one edit it does not.
fn is_needed(scenario: &Scenario, shrunk: &Shrunk, property: &str) {
    let read: Tape = shrunk.tape.to_string().parse().unwrap();
    assert_eq!(read, shrunk.tape);
    let again = play(scenario, &read);
    assert_eq!(violated(&again), Some(property), "{read}");
    assert_eq!(again.digest, shrunk.outcome.digest, "{read}");
    assert_eq!(again.drift, [], "{read}");
    for index in 0..read.edits.len() {
        let mut less = read.clone();
        let edit = less.edits.remove(index);
        let outcome = play(scenario, &less);
        assert_ne!(violated(&outcome), Some(property), "without `{edit}`");
    }
}

#[test]
fn a_second_ack_that_loses_a_letter_shrinks_to_at_most_three_edits_that_can_be_read() {
    let scenario = duplicate_ack::scenario();
    let shrunk = shrunk(&scenario, least_failing(&scenario, 0));
    let tape = &shrunk.tape;
    assert!(tape.edits.len() <= 3, "{tape}");
    assert!(shrunk.edits_before > 20, "{}", shrunk.edits_before);
    assert!(!shrunk.exhausted, "{} tries", shrunk.tries);
    is_needed(&scenario, &shrunk, "no letter is lost");
    let text = tape.to_string();
    assert!(text.contains("-- child crashes at "), "{text}");
    assert!(text.contains(" from <child"), "{text}");
    assert!(
        tape.edits.iter().all(|edit| !edit.note.is_empty()),
        "{text}"
    );
}

/// Ten numbers from a client to a server, which keeps what came, in its order.
fn numbers(faults: Faults) -> Scenario {
    Scenario::new("numbers")
        .node("server", |ctx: Context<u32>| async move {
            ctx.register("server").expect("a free name");
            loop {
                let number = ctx.receive_message().await;
                ctx.observe("came", |came: &mut Vec<u32>| came.push(number));
            }
        })
        .client("client", |ctx: Context| async move {
            for number in 0..10_u32 {
                Address::named("server", "server").send_datagram_as(PacketKind::Control, number);
                ctx.sleep(millis(20)).await;
            }
        })
        .faults(faults)
        .horizon(secs(2))
}

fn came(view: &netsplit::View) -> &[u32] {
    view.observed::<Vec<u32>>("came").map_or(&[], Vec::as_slice)
}

/// A scenario of one node, which does this once.
fn alone<F: Future<Output = ()> + 'static>(
    faults: Faults,
    work: impl Fn(Context) -> F + Send + Sync + 'static,
) -> Scenario {
    let scenario = Scenario::new("alone").node("node", work);
    scenario.faults(faults).horizon(secs(2))
}

async fn two_children(ctx: Context) {
    for name in ["elder", "younger"] {
        ctx.spawn(move |child: Context| async move {
            child.observe("order", |order: &mut Vec<&str>| order.push(name));
        });
    }
}

async fn sleeper(ctx: Context) {
    ctx.sleep(millis(10)).await;
    let now = ctx.now();
    ctx.observe("woke", |woke: &mut u64| *woke = now.as_nanos());
}

#[test]
fn each_kind_of_edit_says_what_it_does() {
    let calm = Faults::calm;
    let all = |view: &netsplit::View| came(view) == (0..10).collect::<Vec<u32>>();
    let in_order = |view: &netsplit::View| came(view).is_sorted();
    let woke = |view: &netsplit::View| view.observed::<u64>("woke") == Some(&10_000_000);
    let elder_first = |view: &netsplit::View| {
        let order = view.observed::<Vec<&str>>("order");
        order == Some(&vec!["elder", "younger"])
    };
    let cases = [
        (
            numbers(calm().lose(0.05)).finally("it holds", all),
            "lose client#0 # = 1    -- control # from <client.0.0> to server (#) at 0.# s is lost",
        ),
        (
            numbers(calm().duplicate(0.05)).finally("it holds", all),
            "duplicate client#0 # = 1    -- control # from <client.0.0> to server (#) at 0.# s comes twice",
        ),
        (
            numbers(calm().reorder(0.1, millis(200))).always("it holds", in_order),
            "reorder client#0 # = #    -- control # from <client.0.0> to server (#) at 0.# s is held",
        ),
        (
            numbers(calm().crash(secs(1), millis(1)).crash_calls(0))
                .always("it holds", |view| view.boots("server") < 2),
            "crash server 0 = 1    -- server crashes at 0.# s",
        ),
        (
            numbers(calm().crash(secs(1), millis(1))).always("it holds", |view| {
                view.is_up("server") || view.boots("server") == 0
            }),
            "crash server # = #    -- server crashes at",
        ),
        (
            alone(calm(), two_children).finally("it holds", elder_first),
            "rank node#0/1 1 = 1    -- <node.1.0> steps later among those ready at 0.000 s",
        ),
        (
            alone(calm().late_timers(millis(3)), sleeper).finally("it holds", woke),
            "timer-late node#0 1 = 1    -- a timer that <node.0.0> set at 0.000 s fires 1ns late",
        ),
        (
            alone(calm().slow(0.5, millis(50)), sleeper).finally("it holds", woke),
            "step-cost node#0 0 = #    -- each step of node costs #ms in boot 0",
        ),
    ];
    for (scenario, expected) in cases {
        let seed = least_failing(&scenario, 0);
        let shrunk = shrunk(&scenario, seed);
        is_needed(&scenario, &shrunk, "it holds");
        let lines: Vec<String> = shrunk.tape.edits.iter().map(ToString::to_string).collect();
        let fits = |line: &String| fits(line, expected);
        assert!(lines.iter().any(fits), "{expected}\n{}", shrunk.tape);
    }
}

/// Whether a line begins like this; `#` between blanks or brackets stands for any number.
fn fits(line: &str, expected: &str) -> bool {
    let plain = |text: &str| {
        let numbers = |c: char| c.is_ascii_digit() || c == '#';
        let mut plain = String::new();
        for c in text.chars() {
            if !numbers(c) || !plain.ends_with('#') {
                plain.push(if numbers(c) { '#' } else { c });
            }
        }
        plain
    };
    plain(line).starts_with(&plain(expected))
}

#[test]
fn shrinking_keeps_to_the_property_that_the_seed_violated() {
    let scenario = numbers(Faults::calm().lose(0.2).duplicate(0.2))
        .finally("nothing comes twice", |view| {
            !came(view).windows(2).any(|pair| pair[0] == pair[1])
        })
        .finally("nothing is lost", |view| {
            (0..10).all(|number| came(view).contains(&number))
        });
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let Some(property) = violated(&scenario.run(seed).unwrap()).map(str::to_owned) else {
            continue;
        };
        let shrunk = shrunk(&scenario, seed);
        assert_eq!(violated(&shrunk.outcome), Some(property.as_str()));
        assert_eq!(shrunk.tape.edits.len(), 1, "{}", shrunk.tape);
        seen.insert(property);
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[test]
fn a_failure_that_needs_no_fault_shrinks_to_an_empty_tape() {
    let scenario =
        numbers(Faults::calm().lose(0.5)).always("nothing comes", |view| came(view).is_empty());
    let shrunk = shrunk(&scenario, least_failing(&scenario, 0));
    assert_eq!(shrunk.tape.edits, []);
    is_needed(&scenario, &shrunk, "nothing comes");
}

#[test]
fn few_tries_still_give_a_tape_that_fails_and_say_that_they_were_few() {
    let scenario = duplicate_ack::scenario();
    let shrunk = shrink(&scenario, least_failing(&scenario, 0), Strategy::Time, 5).unwrap();
    assert!(shrunk.exhausted && shrunk.tries < 10, "{}", shrunk.tries);
    assert!(shrunk.tape.edits.len() > 3);
    assert_eq!(
        violated(&play(&scenario, &shrunk.tape)),
        Some("no letter is lost")
    );
}

// --- What cannot be shrunk --------------------------------------------------------------------

#[test]
fn a_seed_that_violates_nothing_is_refused() {
    let scenario = numbers(Faults::calm()).finally("it ends", |_| true);
    let error = shrink(&scenario, 7, Strategy::Time, SHRINK_TRIES).unwrap_err();
    let said = "seed 7 of `numbers` violates no property";
    assert!(error.to_string().starts_with(said), "{error}");
}

#[test]
fn a_scenario_that_cannot_be_run_is_refused() {
    let error = shrink(&Scenario::new("nothing"), 7, Strategy::Time, SHRINK_TRIES).unwrap_err();
    assert_eq!(error, ShrinkError::Scenario(ScenarioError::NoNodes));
}

#[test]
fn a_run_that_reaches_a_bound_is_refused() {
    let bounds = Bounds {
        steps: 10,
        ..Bounds::default()
    };
    let scenario = numbers(Faults::calm())
        .finally("it ends", |_| true)
        .bounds(bounds);
    let error = shrink(&scenario, 7, Strategy::Time, SHRINK_TRIES).unwrap_err();
    let is_bound = |error: &RunError| matches!(error, RunError::Bound(_));
    assert!(
        matches!(&error, ShrinkError::Stopped { seed: 7, error, .. } if is_bound(error)),
        "{error}"
    );
}

#[test]
fn a_failure_that_does_not_repeat_is_refused_as_a_leak_in_determinism() {
    static RUNS: AtomicU64 = AtomicU64::new(1);
    let leak = |ctx: Context| async move {
        ctx.sleep(millis(RUNS.fetch_add(1, Ordering::Relaxed)))
            .await;
    };
    let scenario = alone(Faults::calm(), leak).finally("never", |_| false);
    let error = shrink(&scenario, 7, Strategy::Time, SHRINK_TRIES).unwrap_err();
    assert!(
        matches!(error, ShrinkError::NotRepeated { seed: 7, .. }),
        "{error}"
    );
}
