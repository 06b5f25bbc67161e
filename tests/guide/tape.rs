//! A tape that is kept, as a test: what stands at the end of the README.

use super::scenario::scenario;
use netsplit::{Chance, Keep, Tape};

#[test]
fn an_order_that_was_sold_twice_is_sold_once() {
    let tape: Tape = include_str!("twice.tape").parse().expect("a tape");
    let outcome = scenario().run_with(Chance::Tape(tape), Keep::default());
    let outcome = outcome.expect("a scenario that can be run");
    assert_eq!(outcome.drift, [], "the tape no longer fits");
    assert_eq!(outcome.violation, None);
}
