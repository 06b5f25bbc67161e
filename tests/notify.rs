//! The scenarios of a notification service: each breaks as its story says, and its sound twin does not.

#[path = "../scenarios/notify/mod.rs"]
#[allow(unreachable_pub, reason = "modules of the gallery")]
mod notify;

use netsplit::explore::{Options, Report, SHRINK_TRIES, Strategy, shrink, sweep};
use netsplit::{Form, Scenario};
use notify::{heartbeats, pod_mailbox, pod_outbox, waiting};

fn swept(scenario: &Scenario, seeds: u64, keep_going: bool) -> Report {
    let options = Options {
        seeds: 0..seeds,
        keep_going,
        ..Options::default()
    };
    sweep(scenario, &options, &mut |_| ()).expect("it can be run")
}

/// Some of so many seeds violates the property that the scenario states, and none another; tells what the
/// first says.
fn breaks_as_stated(scenario: &Scenario, seeds: u64) -> String {
    let Form::Broken { property } = scenario.form() else {
        panic!("{} is sound", scenario.name());
    };
    let found = swept(scenario, seeds, true).violations;
    assert!(found.iter().all(|found| found.property == *property));
    let first = found.into_iter().next();
    first.expect("a seed that violates it").detail
}

fn holds(scenario: &Scenario) {
    let sweep = swept(scenario, 30, false);
    assert_eq!(scenario.form(), &Form::Sound);
    assert_eq!(sweep.violations, [], "{}", scenario.name());
    assert!(sweep.sometimes.iter().all(|reached| reached.seeds > 0));
}

#[test]
fn a_pod_that_boots_processes_again_what_it_has_acked_long_ago() {
    let detail = breaks_as_stated(&pod_mailbox::all(), 20);
    assert!(detail.contains("has made 2 vouchers"), "{detail}");
    assert!(detail.contains("says Ack"), "{detail}");
}

#[test]
fn a_filter_on_the_status_is_no_cure_a_message_is_lost_or_still_processed_twice() {
    let filtered = pod_mailbox::unacked();
    let detail = breaks_as_stated(&filtered, 200);
    assert!(detail.contains("was never processed"), "{detail}");
    let reached = &swept(&filtered, 200, true).sometimes[0];
    assert_eq!(reached.property, "a message is processed twice");
    assert!(reached.seeds > 1, "{}", reached.seeds);
}

#[test]
fn a_slow_pod_is_taken_for_dead_and_two_workers_are_on_one_event() {
    let detail = breaks_as_stated(&heartbeats::slow(), 100);
    assert_eq!(detail.matches("begins at").count(), 2, "{detail}");
    assert!(detail.contains("finishes at"), "{detail}");
}

#[test]
fn a_pod_whose_work_hangs_keeps_its_event_for_ever_and_the_report_names_what_it_waits_for() {
    let hung = heartbeats::hung();
    let detail = breaks_as_stated(&hung, 20);
    assert!(detail.starts_with("nobody has done event"), "{detail}");
    let waits = hung.run(0).unwrap().violation.unwrap().waits;
    let (first, others) = waits.processes.split_first().unwrap();
    assert!(first.contains("\"worker\"  waits for the answer of <db.0.0> \"db\""));
    assert!(others.iter().all(|line| !line.contains("answer")));
}

#[test]
fn services_that_wait_for_each_other_are_named_and_no_fault_is_needed() {
    let waiting = waiting::waiting();
    let detail = breaks_as_stated(&waiting, 20);
    let ring = "<accounts.0.0> -> <billing.0.0> -> <accounts.0.0>\n";
    assert!(detail.starts_with(ring), "{detail}");
    let mut seeds = 0..20;
    let failing = seeds.find(|seed| waiting.run(*seed).unwrap().violation.is_some());
    let shrunk = shrink(&waiting, failing.unwrap(), Strategy::Time, SHRINK_TRIES).unwrap();
    assert!(shrunk.tape.edits.len() <= 3, "{}", shrunk.tape);
    assert!(shrunk.outcome.plan.faults().is_empty());
}

#[test]
fn each_sound_twin_holds_under_every_fault() {
    holds(&pod_outbox::scenario());
    holds(&heartbeats::fenced());
    holds(&waiting::passing_on());
}
