//! The check of supervisors, over real ones: drawn trees whose children do drawn things, under faults.
//!
//! No run may draw a complaint. That the check finds what is wrong is shown beside it, in
//! `src/check/supervision/tests.rs`, with histories made by hand.

mod trees;

use netsplit::otp::process;
use netsplit::trace::{Event, Supervision};
use netsplit::{
    Chance, Context, ExitReason, Faults, Keep, Scenario, Supervisor, check, child, millis, secs,
};
use std::collections::BTreeMap;

/// Seeds of a scenario; each draws another tree, and another history of it.
const SEEDS: u64 = 100;

/// Runs so many seeds; none may be violated. (A bound that is reached would be an error.)
fn no_complaint(scenario: &Scenario) {
    for seed in 0..SEEDS {
        let outcome = scenario.run(seed).expect("it can be run");
        if let Some(violation) = outcome.violation {
            panic!("seed {seed}: {}: {}", violation.property, violation.detail);
        }
        assert_eq!(outcome.error, None, "seed {seed}");
    }
}

#[test]
fn drawn_trees_whose_children_do_drawn_things_draw_no_complaint() {
    no_complaint(&trees::scenario(Faults::calm()));
}

#[test]
fn drawn_trees_draw_no_complaint_under_chaos() {
    let faults = Faults::chaos()
        .crash(secs(10), secs(2))
        .stop(secs(10), secs(2));
    no_complaint(&trees::scenario(faults));
}

#[test]
fn a_supervisor_counts_by_the_clock_of_its_node_and_is_judged_by_it() {
    let crashes = || {
        process(async |ctx: Context| {
            ctx.sleep(millis(995)).await;
            ExitReason::error("drawn")
        })
    };
    let tree = move || {
        Supervisor::one_for_one()
            .intensity(1, secs(1))
            .child(child("a", crashes))
    };
    let scenario = Scenario::new("drift")
        .node("n", move |ctx| tree().run(ctx))
        .faults(Faults::calm().drift(100_000))
        .horizon(secs(10))
        .finally("ends", |_| true);
    no_complaint(&scenario);
}

/// What a supervisor has done, by name.
fn name(what: Supervision) -> String {
    match what {
        Supervision::Begins { strategy, .. } => format!("begins {strategy}"),
        Supervision::Starts { by_hand: true, .. } => "starts by hand".to_owned(),
        Supervision::Stops { by_hand: true, .. } => "stops by hand".to_owned(),
        Supervision::NotStarted { ignored: true, .. } => "is ignored".to_owned(),
        other => {
            let debug = format!("{other:?}");
            debug.split(' ').next().unwrap_or_default().to_owned()
        }
    }
}

#[test]
fn drawn_trees_do_all_that_supervisors_do_and_their_logs_are_judged_alike() {
    let scenario = trees::scenario(Faults::chaos());
    let mut seen = BTreeMap::new();
    for seed in 0..100 {
        let keep = Keep {
            log: true,
            ..Keep::default()
        };
        let outcome = scenario.run_with(Chance::Seed(seed), keep);
        let log = outcome.expect("it can be run").log.expect("it was kept");
        assert_eq!(check::supervision(&log), Ok(()));
        for entry in log.entries() {
            if let Event::Supervision { what, .. } = entry.event {
                *seen.entry(name(what)).or_insert(0_u64) += 1;
            }
        }
    }
    let often = |name: &str| assert!(seen.get(name) > Some(&20), "{name}: {seen:?}");
    for strategy in [
        "one_for_one",
        "one_for_all",
        "rest_for_one",
        "simple_one_for_one",
    ] {
        often(&format!("begins {strategy}"));
    }
    for what in [
        "Starts",
        "Started",
        "NotStarted",
        "Stops",
        "Ended",
        "Restarts",
        "Waits",
        "GivesUp",
        "ShutsDown",
        "starts by hand",
        "stops by hand",
        "is ignored",
    ] {
        often(what);
    }
}
