//! Shrinking: what is left of a failure is small, is needed, and can be read.

#[path = "../scenarios/supe/duplicate_ack.rs"]
#[allow(unreachable_pub, reason = "a module of the gallery")]
mod duplicate_ack;

use netsplit::explore::{SHRINK_TRIES, ShrinkError, Shrunk, shrink};
use netsplit::{Chance, Keep, Scenario};

fn least_failing(scenario: &Scenario, from: u64) -> u64 {
    (from..from + 10_000)
        .find(|seed| scenario.run(*seed).unwrap().violation.is_some())
        .expect("a seed that fails")
}

#[test]
fn a_duplicated_ack_that_loses_a_letter_shrinks_to_at_most_three_edits() {
    let scenario = duplicate_ack::scenario();
    let mut seed = 0;
    for _ in 0..10 {
        seed = least_failing(&scenario, seed);
        let t = std::time::Instant::now();
        let s = shrink(&scenario, seed, SHRINK_TRIES).unwrap();
        println!(
            "{seed} {} {} {:?}\n{}",
            s.edits_before,
            s.tries,
            t.elapsed(),
            s.tape
        );
        seed += 1;
    }
}
