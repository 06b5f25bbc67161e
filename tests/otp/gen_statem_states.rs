//! Rule 13: what a change of state is, and what it does to postponed events and timeouts.

use super::gen_statem::State::{A, B, C};
use super::gen_statem::{Do, Script, tells, tells_from};
use super::one_node;
use netsplit::{
    Context, Event, GenStatem, Initial, Never, Refusal, ReplyTo, StateMachine, Transition, millis,
    secs,
};

#[test]
fn otp_13_next_to_the_same_state_makes_no_enter_call_and_tries_nothing_again() {
    let script: Script = |state, event| match (state, event) {
        (A, "p") => vec![Do::Postpone],
        (A, "go") => vec![Do::Next(A)],
        (A, "change") => vec![Do::Next(B)],
        _ => vec![],
    };
    tells(
        script,
        &["p", "go", "other", "change"],
        &["A: p", "A: go", "A: other", "A: change", "A -> B", "B: p"],
    );
}

#[test]
fn otp_13_a_state_with_other_data_is_another_state() {
    let script: Script = |state, event| match (state, event) {
        (A, "go") => vec![Do::Next(C(1))],
        (C(1), "p") => vec![Do::Postpone],
        (C(1), "same") => vec![Do::Next(C(1))],
        (C(1), "go") => vec![Do::Next(C(2))],
        _ => vec![],
    };
    tells(
        script,
        &["go", "p", "same", "go"],
        &[
            "A: go",
            "A -> C(1)",
            "C(1): p",
            "C(1): same",
            "C(1): go",
            "C(1) -> C(2)",
            "C(2): p",
        ],
    );
}

#[test]
fn otp_13_repeat_enters_again_and_tries_nothing_again() {
    let script: Script = |state, event| match (state, event) {
        (A, "p") => vec![Do::Postpone],
        (A, "again") => vec![Do::Repeat, Do::Postpone],
        (A, "change") => vec![Do::Next(B)],
        _ => vec![],
    };
    tells(
        script,
        &["p", "again", "change"],
        &[
            "A: p",
            "A: again",
            "A -> A",
            "A: change",
            "A -> B",
            "B: p",
            "B: again",
        ],
    );
}

#[test]
fn otp_13_a_change_and_a_change_back_try_postponed_events_each_time() {
    let script: Script = |state, event| match (state, event) {
        (A | B, "p") => vec![Do::Postpone],
        (A, "go") => vec![Do::Next(B)],
        (B, "go") => vec![Do::Next(A)],
        (A, "out") => vec![Do::Next(C(0))],
        _ => vec![],
    };
    tells(
        script,
        &["p", "go", "go", "out"],
        &[
            "A: p",
            "A: go",
            "A -> B",
            "B: p",
            "B: go",
            "B -> A",
            "A: p",
            "A: out",
            "A -> C(0)",
            "C(0): p",
        ],
    );
}

#[test]
fn otp_13_a_change_cancels_the_state_timeout_and_named_ones_live_on() {
    let init = || {
        Ok(Initial::state(A)
            .state_timeout(millis(20))
            .timeout('n', millis(20)))
    };
    let script: Script = |_, event| match event {
        "go" => vec![Do::Next(B)],
        _ => vec![],
    };
    tells_from(init, script, &["go"], &["A: go", "A -> B", "B: timeout n"]);
}

#[test]
fn otp_13_the_same_state_and_a_repeated_one_keep_the_state_timeout() {
    let init = || Ok(Initial::state(A).state_timeout(millis(20)));
    let same: Script = |_, event| match event {
        "go" => vec![Do::Next(A)],
        _ => vec![],
    };
    tells_from(init, same, &["go"], &["A: go", "A: state timeout"]);
    let again: Script = |_, event| match event {
        "go" => vec![Do::Repeat],
        _ => vec![],
    };
    tells_from(
        init,
        again,
        &["go"],
        &["A: go", "A -> A", "A: state timeout"],
    );
}

#[test]
fn otp_13_a_state_timeout_that_is_set_with_a_change_is_the_new_states() {
    let init = || Ok(Initial::state(A).state_timeout(millis(20)));
    let script: Script = |state, event| match (state, event) {
        (A, "go") => vec![Do::Next(B), Do::StateTimeout(50)],
        (B, "state timeout") => vec![Do::Next(C(0))],
        _ => vec![],
    };
    tells_from(
        init,
        script,
        &["go"],
        &["A: go", "A -> B", "B: state timeout", "B -> C(0)"],
    );
}

#[test]
fn otp_13_a_timeout_of_the_enter_call_takes_the_place_of_the_handlers() {
    let script: Script = |state, event| match (state, event) {
        (A, "go") => vec![Do::Next(B), Do::StateTimeout(0), Do::Timeout('n', 0)],
        (B, "enter") => vec![Do::StateTimeout(10)],
        _ => vec![],
    };
    tells(
        script,
        &["go", "other"],
        &[
            "A: go",
            "A -> B",
            "B: timeout n",
            "B: other",
            "B: state timeout",
        ],
    );
}

#[test]
fn otp_13_a_timeout_that_is_set_again_restarts_and_one_that_is_cancelled_never_comes() {
    let script: Script = |_, event| match event {
        "go" => vec![
            Do::StateTimeout(5),
            Do::Timeout('n', 5),
            Do::Timeout('m', 5),
        ],
        "again" => vec![Do::StateTimeout(20), Do::Cancel('n'), Do::Timeout('m', 10)],
        "timeout m" => vec![Do::CancelState],
        _ => vec![],
    };
    tells(
        script,
        &["go", "again"],
        &["A: go", "A: again", "A: timeout m"],
    );
}

#[test]
fn otp_13_a_timeout_of_zero_that_waits_is_cancelled_and_set_again_as_any() {
    let script: Script = |_, event| match event {
        "go" => vec![
            Do::Timeout('x', 0),
            Do::Timeout('n', 0),
            Do::StateTimeout(0),
            Do::Insert("i"),
        ],
        // In OTP 25 the timer that is set in the place of a timeout of zero comes as a bare message.
        "i" => vec![Do::Next(B), Do::Cancel('x'), Do::Timeout('n', 10)],
        _ => vec![],
    };
    tells(
        script,
        &["go", "other"],
        &["A: go", "A: i", "A -> B", "B: other", "B: timeout n"],
    );
}

#[test]
fn otp_13_a_timeout_that_has_fired_is_cancelled_where_it_was_not_taken() {
    let script: Script = |_, event| match event {
        "go" => vec![
            Do::Next(C(0)),
            Do::StateTimeout(5),
            Do::Timeout('n', 5),
            Do::Timeout('m', 5),
        ],
        // All three fire meanwhile.
        "slow" => vec![Do::Next(B), Do::Sleep(20), Do::Cancel('n')],
        _ => vec![],
    };
    tells(
        script,
        &["go", "slow"],
        &[
            "A: go",
            "A -> C(0)",
            "C(0): slow",
            "C(0) -> B",
            "B: timeout m",
        ],
    );
}

#[test]
fn otp_13_an_event_timeout_is_cancelled_by_any_event() {
    let init = || Ok(Initial::state(A).timeout('n', millis(5)));
    let script: Script = |_, event| match event {
        "go" => vec![Do::EventTimeout(10)],
        "timeout n" => vec![Do::EventTimeout(20)],
        _ => vec![],
    };
    tells_from(
        init,
        script,
        &["go"],
        &["A: go", "A: timeout n", "A: event timeout"],
    );
    // What waits in the mailbox is an event, too.
    let busy: Script = |_, event| match event {
        "go" => vec![Do::EventTimeout(10)],
        _ => vec![],
    };
    tells(busy, &["go", "other"], &["A: go", "A: other"]);
}

#[test]
fn a_timeout_stands_in_the_mailbox_where_it_fired() {
    let script: Script = |_, event| match event {
        "go" => vec![Do::StateTimeout(5), Do::Timeout('n', 15), Do::Sleep(1)],
        // Both fire meanwhile, behind what is in the mailbox already.
        "slow" => vec![Do::Sleep(20)],
        _ => vec![],
    };
    tells(
        script,
        &["go", "slow", "other"],
        &[
            "A: go",
            "A: slow",
            "A: other",
            "A: state timeout",
            "A: timeout n",
        ],
    );
}

#[test]
fn a_timeout_is_an_event_that_can_be_postponed() {
    let init = || Ok(Initial::state(A).state_timeout(millis(5)));
    let script: Script = |state, event| match (state, event) {
        (A, "state timeout") => vec![Do::Postpone, Do::Insert("i")],
        (A, "i") => vec![Do::Next(B)],
        _ => vec![],
    };
    tells_from(
        init,
        script,
        &[],
        &["A: state timeout", "A: i", "A -> B", "B: state timeout"],
    );
}

/// A state that equals any other, whatever number it has.
#[derive(Clone, Debug)]
struct Numbered(u32);

impl PartialEq for Numbered {
    fn eq(&self, _: &Numbered) -> bool {
        true
    }
}

/// A machine that counts in its state.
struct Counter;

impl GenStatem for Counter {
    type Args = ();
    type Message = ReplyTo<u32>;
    type Internal = Never;
    type State = Numbered;
    type Name = Never;

    async fn init(
        (): (),
        _: &mut Context<ReplyTo<u32>>,
    ) -> Result<(Counter, Initial<Counter>), Refusal> {
        Ok((Counter, Initial::state(Numbered(0))))
    }

    async fn handle(
        &mut self,
        event: Event<Counter>,
        state: &Numbered,
        _: &mut Context<ReplyTo<u32>>,
    ) -> Transition<Counter> {
        if let Event::External(reply_to) = event {
            reply_to.reply(state.0);
        }
        Transition::next(Numbered(state.0 + 1))
    }
}

#[test]
fn otp_13_a_state_that_is_equal_to_the_old_one_takes_its_place() {
    one_node(async |ctx: &Context| {
        let counter = StateMachine::<Counter>::with(()).start(ctx).await;
        let counter = counter.expect("it starts");
        for number in 0..3 {
            assert_eq!(counter.call(|to| to, secs(5)).await, Ok(number));
        }
    });
}
