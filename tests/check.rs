//! `check()` in a test, and the sweep below it: what a failure says, and what the environment changes.

use netsplit::explore::{Options, Report, Side, Strategy, Trouble, sweep};
use netsplit::trace::Event;
use netsplit::{Address, Context, Faults, Keep, Scenario, millis, secs};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// With this variable set, the tests below whose names begin with `child_` check their scenarios.
const CHILD: &str = "NETSPLIT_TEST_CHILD";

/// Ten letters to a node that may crash, over a network that may lose them.
fn letters() -> Scenario {
    Scenario::new("letters")
        .broken("all letters arrive")
        .node("desk", |ctx: Context<u32>| async move {
            ctx.register("desk").expect("a free name");
            loop {
                let letter = ctx.receive_message().await;
                ctx.observe("read", |read: &mut BTreeSet<u32>| {
                    read.insert(letter);
                });
            }
        })
        .client("guest", |ctx: Context| async move {
            let desk = Address::<u32>::named("desk", "desk");
            for letter in 0..10 {
                ctx.sleep(millis(50)).await;
                desk.send_datagram(letter);
            }
        })
        .finally("all letters arrive", |view| {
            let read = view.observed::<BTreeSet<u32>>("read");
            match read.map_or(0, BTreeSet::len) {
                10 => Ok(()),
                some => Err(format!("{some} of 10 letters arrived")),
            }
        })
        .faults(Faults::calm().lose(0.01).crash(secs(20), millis(100)))
        .horizon(secs(1))
}

/// The least of the first thousand seeds that loses a letter.
fn least() -> u64 {
    let report = swept(&letters(), Options::default());
    report.violations.first().expect("a seed that fails").seed
}

fn swept(scenario: &Scenario, options: Options) -> Report {
    sweep(scenario, &options, &mut |_| {}).expect("a scenario that can be run")
}

/// A scenario that counts its runs, which no seed repeats.
fn leaky() -> Scenario {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    Scenario::new("leaky")
        .node("a", |ctx: Context<u64>| async move {
            ctx.sleep(millis(5)).await;
            let runs = RUNS.fetch_add(1, Ordering::Relaxed);
            ctx.address().send(runs);
            ctx.receive_message().await;
            ctx.sleep(millis(1 + runs)).await;
        })
        .finally("it ended", |_| true)
        .horizon(secs(60))
}

// --- Tests of a user, which run in a child ----------------------------------------------------

#[allow(
    clippy::disallowed_methods,
    reason = "how the parent says that it is one"
)]
fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

fn checked(scenario: Scenario) {
    if is_child() {
        netsplit::check(scenario);
    }
}

mod child {
    use super::*;

    #[test]
    fn letters_arrive() {
        checked(letters());
    }

    #[test]
    fn nobody_is_there() {
        checked(Scenario::new("nobody").finally("it holds", |_| true));
    }

    #[test]
    fn nobody_wins() {
        let scenario = leaky().sometimes("somebody wins", |_| false);
        checked(scenario.node("b", |_: Context| async {}).horizon(millis(1)));
    }

    #[test]
    fn it_leaks() {
        checked(leaky().finally("it fails", |_| false));
    }
}

/// What came of a test in a child.
struct Done {
    passed: bool,
    out: String,
    err: String,
}

/// Runs one of the tests above, with these variables.
fn child(test: &str, variables: &[(&str, &str)]) -> Done {
    child_with(test, variables, &[])
}

fn child_with(test: &str, variables: &[(&str, &str)], more: &[&str]) -> Done {
    let mut command = Command::new(std::env::current_exe().expect("this file"));
    command
        .args([test, "--exact", "--nocapture"])
        .args(more)
        .env_remove("NETSPLIT_SEED")
        .env_remove("NETSPLIT_SEEDS")
        .env_remove("NETSPLIT_STRATEGY")
        .env("RUST_BACKTRACE", "0")
        .env(CHILD, "yes")
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    let output = command.output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Done {
        passed: output.status.success(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// The report within a test's standard error: from the scenario's line to the one to paste.
fn report(done: &Done) -> &str {
    let start = done.err.find("scenario ").expect("a report");
    let again = start
        + done.err[start..]
            .find("  again:  ")
            .expect("a line to paste");
    let end = done.err[again..]
        .find('\n')
        .map_or(done.err.len(), |end| again + end);
    &done.err[start..end]
}

// --- What is proved ---------------------------------------------------------------------------

#[test]
fn a_failure_tells_all_of_it_and_ends_with_the_line_to_paste() {
    let seed = least();
    let done = child("child::letters_arrive", &[]);
    assert!(!done.passed);
    let outcome = letters().run(seed).expect("a scenario that can be run");
    let violation = outcome.violation.expect("a violation");
    let report = report(&done);
    let parts = [
        "scenario letters failed after ".to_owned(),
        "violated: \"all letters arrive\"".to_owned(),
        violation.detail,
        format!("seed {seed}"),
        format!("at {}", violation.at),
        format!("step {}", violation.step),
        outcome.digest.to_string(),
        "last events of letters:".to_owned(),
        "sends ·".to_owned(),
        format!("messages: {}", outcome.books),
        format!(
            "again:  NETSPLIT_SEED={seed} cargo test -p netsplit --test check \
             child::letters_arrive -- --exact --nocapture"
        ),
    ];
    for part in parts {
        assert!(report.contains(&part), "no `{part}` in:\n{report}");
    }
}

#[test]
fn a_failure_is_read_from_top_to_bottom() {
    let done = child("child::letters_arrive", &[]);
    let digest = letters().run(least()).expect("it can be run").digest;
    let report = report(&done).replace(&digest.to_string(), "[digest]");
    let speed = report.find("  ").expect("a speed");
    let (seeds, rest) = (&report[..speed], report[speed..].split_once('\n'));
    insta::assert_snapshot!("failure", format!("{seeds}\n{}", rest.expect("a report").1));
}

#[test]
fn the_line_to_paste_has_the_test_of_a_single_thread_too() {
    let one = child_with("child::letters_arrive", &[], &["--test-threads=1"]);
    let many = child("child::letters_arrive", &[]);
    let again = |done: &Done| report(done).lines().last().map(str::to_owned);
    assert_eq!(again(&one), again(&many));
}

#[test]
fn one_seed_prints_its_events_and_fails_as_before() {
    let seed = least();
    let done = child(
        "child::letters_arrive",
        &[("NETSPLIT_SEED", &seed.to_string())],
    );
    assert!(!done.passed);
    let digest = letters()
        .run(seed)
        .expect("it can be run")
        .digest
        .to_string();
    assert!(
        done.out.contains("<guest.0.0>") && done.out.contains(&digest),
        "{}",
        done.out
    );
    assert!(report(&done).contains(&digest));
    assert!(report(&done).starts_with("scenario letters failed after 1 seed"));
}

#[test]
fn one_seed_that_holds_prints_its_events_and_passes() {
    let held = (0..least()).next().expect("a seed that holds").to_string();
    let done = child("child::letters_arrive", &[("NETSPLIT_SEED", &held)]);
    assert!(
        done.passed && done.out.contains("<guest.0.0>"),
        "{}",
        done.err
    );
}

#[test]
fn the_environment_says_which_seeds() {
    let least = least();
    let before = least.to_string();
    let range = format!("{least}..{}", least + 1);
    let found = format!("{least}..{}", least + 500);
    let cases = [(&before, true), (&range, false), (&found, false)];
    for (seeds, passes) in cases {
        let done = child("child::letters_arrive", &[("NETSPLIT_SEEDS", seeds)]);
        assert_eq!(done.passed, passes, "{seeds}: {}", done.err);
    }
    let done = child("child::letters_arrive", &[("NETSPLIT_SEEDS", &before)]);
    assert!(done.out.contains("nothing violated"), "{}", done.out);
    let both = [("NETSPLIT_SEED", before.as_str()), ("NETSPLIT_SEEDS", "1")];
    assert!(!child("child::letters_arrive", &both).passed);
}

#[test]
fn the_environment_says_which_strategy_and_the_line_to_paste_does_too() {
    let walk = ("NETSPLIT_STRATEGY", "walk");
    let done = child("child::letters_arrive", &[walk]);
    let again = "again:  NETSPLIT_STRATEGY=walk NETSPLIT_SEED=";
    assert!(report(&done).contains(again), "{}", done.err);
    let seed = report(&done).split_once(again).expect("a line to paste").1;
    let seed = seed.split_once(' ').expect("a seed").0;
    let outcome = letters().run_with(
        Strategy::Walk.chance(seed.parse().expect("a seed")),
        Keep::default(),
    );
    let digest = outcome.expect("it can be run").digest.to_string();
    assert!(report(&done).contains(&digest), "{}", done.err);
    let done = child("child::letters_arrive", &[("NETSPLIT_STRATEGY", "wlk")]);
    let said =
        "NETSPLIT_STRATEGY: there is no strategy `wlk`: write one of time, walk, pos, pct, swarm";
    assert!(!done.passed && done.err.contains(said), "{}", done.err);
}

#[test]
fn what_says_no_seeds_is_refused_with_the_variable_and_what_to_write() {
    let cases = [
        (
            "NETSPLIT_SEED",
            "x",
            "NETSPLIT_SEED: `x` is no seed: a seed is a whole number",
        ),
        ("NETSPLIT_SEED", "1..2", "NETSPLIT_SEED: `1..2` is no seed"),
        (
            "NETSPLIT_SEEDS",
            "all",
            "NETSPLIT_SEEDS: `all` says no seeds: write how many",
        ),
        (
            "NETSPLIT_SEEDS",
            "0",
            "NETSPLIT_SEEDS: `0` is an empty range",
        ),
        (
            "NETSPLIT_SEEDS",
            "7..7",
            "NETSPLIT_SEEDS: `7..7` is an empty range",
        ),
    ];
    for (variable, value, said) in cases {
        let done = child("child::letters_arrive", &[(variable, value)]);
        assert!(
            !done.passed && done.err.contains(said),
            "{value}: {}",
            done.err
        );
    }
}

#[test]
fn a_scenario_that_cannot_be_run_fails_with_what_it_lacks() {
    let done = child("child::nobody_is_there", &[]);
    let said = "scenario nobody cannot be run: it has no nodes: add at least one";
    assert!(!done.passed && done.err.contains(said), "{}", done.err);
}

#[test]
fn what_no_seed_reaches_fails_a_check_by_its_name_but_not_one_seed_run_again() {
    let done = child("child::nobody_wins", &[]);
    let said = "scenario leaky failed: no run of 1,000 seeds has reached \"somebody wins\": run more seeds";
    assert!(!done.passed && done.err.contains(said), "{}", done.err);
    assert!(child("child::nobody_wins", &[("NETSPLIT_SEED", "3")]).passed);
}

#[test]
fn a_violation_that_does_not_come_again_is_a_leak_and_no_violation() {
    let done = child("child::it_leaks", &[]);
    assert!(!done.passed);
    let report = report(&done);
    assert!(
        report.contains("two runs of seed 0 of leaky differ"),
        "{report}"
    );
    assert!(!report.contains("violated: "), "{report}");
}

/// The events at which two runs of a leaky scenario part, each with the event it follows from.
fn parting(scenario: &Scenario, check_determinism: bool) -> Vec<[Event; 2]> {
    let options = Options {
        seeds: 0..1,
        check_determinism,
        ..Options::default()
    };
    let report = swept(scenario, options);
    let Some(Trouble::Diverged(divergence)) = report.trouble else {
        panic!("no difference: {report:?}");
    };
    let sides = divergence.difference.expect("the event").sides;
    let event = |side: &Side, index: usize| side.log.entries()[index].event;
    let pair = |side: &Side| {
        let cause = side.causes.last().expect("a cause");
        [event(side, side.at.expect("an event")), event(side, *cause)]
    };
    sides.iter().map(pair).collect()
}

#[test]
fn a_leak_is_told_with_the_first_event_that_differs_and_its_cause() {
    for [event, cause] in parting(&leaky().finally("it fails", |_| false), false) {
        assert!(matches!(event, Event::TimerSet { .. }), "{event:?}");
        assert!(matches!(cause, Event::Receive { .. }), "{cause:?}");
    }
}

#[test]
fn the_check_of_determinism_sees_a_leak_where_it_enters_a_local_message() {
    for [event, _] in parting(&leaky(), true) {
        assert!(matches!(event, Event::Send { .. }), "{event:?}");
    }
}

#[test]
fn a_sweep_without_violations_covers_all_seeds() {
    let calm = letters().faults(Faults::calm());
    let options = |jobs| Options {
        seeds: 5..205,
        jobs,
        ..Options::default()
    };
    let one = swept(&calm, options(1));
    assert_eq!((one.seeds, one.violations.len()), (200, 0));
    for jobs in [0, 2, 7, 300] {
        let many = swept(&calm, options(jobs));
        assert_eq!(
            (one.seeds, one.events, one.steps, one.sim_ns),
            (many.seeds, many.events, many.steps, many.sim_ns)
        );
    }
}

#[test]
fn the_least_seed_is_found_and_counted_up_to_whatever_the_jobs() {
    let least = least();
    for jobs in [1, 2, 3, 8] {
        let options = Options {
            jobs,
            ..Options::default()
        };
        let report = swept(&letters(), options);
        assert_eq!(report.seeds, least + 1);
        assert_eq!(report.violations.len(), 1);
        assert_eq!(report.violations[0].seed, least);
    }
}

#[test]
fn no_seeds_are_covered_where_none_are_asked_for() {
    let options = Options {
        seeds: 7..7,
        ..Options::default()
    };
    let report = swept(&letters(), options);
    assert_eq!((report.seeds, report.violations.len()), (0, 0));
}
