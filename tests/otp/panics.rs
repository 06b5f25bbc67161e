//! What a panic prints: a process's nothing, any other what it printed before. Seen from outside, in a
//! process of the operating system that runs one test of this binary.

use super::{next_down, one_node};
use netsplit::{Context, ExitReason};
use std::panic::{catch_unwind, set_hook, take_hook};
use std::process::Command;

/// Runs one test of this binary by itself; gives what it wrote.
fn output_of(test: &str) -> String {
    let own = std::env::current_exe().expect("the path of this binary");
    let output = Command::new(own)
        .args(["--exact", test, "--nocapture"])
        .output()
        .expect("this binary runs");
    assert!(output.status.success(), "{test} failed: {output:?}");
    let written = [output.stdout, output.stderr].concat();
    let written = String::from_utf8(written).expect("text");
    assert!(written.contains("1 passed"), "{written}");
    written
}

#[test]
fn a_process_panics_and_the_hook_of_before_says_that_it_heard() {
    let before = take_hook();
    set_hook(Box::new(move |info| {
        if info.payload().downcast_ref() == Some(&"outside of any process") {
            eprintln!("the hook of before heard it");
        } else {
            before(info);
        }
    }));
    one_node(async |ctx: &Context| {
        let (_, _monitor) = ctx.spawn_monitor(|_: Context<()>| async { panic!("in a process") });
        let reason = ExitReason::Panic("in a process".to_owned());
        assert_eq!(next_down(ctx).await, reason);
    });
    assert!(catch_unwind(|| panic!("outside of any process")).is_err());
}

#[test]
fn otp_27_a_panic_of_a_process_prints_nothing_and_any_other_goes_to_the_hook_of_before() {
    let written = output_of("panics::a_process_panics_and_the_hook_of_before_says_that_it_heard");
    assert!(!written.contains("in a process"), "{written}");
    assert!(written.contains("the hook of before heard it"), "{written}");
}
