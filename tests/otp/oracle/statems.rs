//! Rules 12 and 13: the state machine. The same as `statems.erl`.

use super::machine::Action::{
    CancelStateTimeout, CancelTimeout, EventTimeout, Insert, StateTimeout, Timeout,
};
use super::machine::{Action, Ask, State, machine};
use super::{end_of, next, ready};
use crate::common::error;
use crate::settle;
use netsplit::{Address, Context, ExitReason, millis, secs};

cases! { "statems":
    otp_12_enter_call_then_inserted_then_postponed_then_timeouts_of_zero_then_the_mailbox,
    otp_12_the_first_state_is_entered_before_what_init_inserts,
    otp_12_timeouts_of_zero_come_in_the_order_in_which_they_are_set,
    otp_12_what_is_inserted_comes_before_what_waits,
    otp_12_what_is_inserted_comes_before_what_was_postponed,
    otp_12_an_event_timeout_of_zero_comes_before_the_mailbox,
    otp_12_an_event_timeout_of_zero_is_cancelled_by_an_inserted_event,
    otp_12_an_event_timeout_of_zero_is_cancelled_by_a_postponed_event,
    otp_12_an_event_timeout_of_zero_and_another_timeout_of_zero,
    otp_12_an_event_timeout_comes_where_nothing_else_does,
    otp_12_an_event_timeout_is_cancelled_by_any_event,
    otp_12_what_is_postponed_again_keeps_its_order,
    otp_12_what_is_postponed_comes_before_the_mailbox,
    otp_12_a_call_that_is_postponed_is_answered_in_the_state_that_takes_it,
    otp_12_a_timeout_of_zero_comes_after_what_is_tried_again,
    otp_13_the_same_state_again_is_no_change,
    otp_13_a_state_that_is_repeated_is_entered_and_postponed_events_stay,
    otp_13_a_change_of_state_cancels_the_state_timeout_and_no_other,
    otp_13_the_same_state_again_leaves_the_state_timeout_alone,
    otp_13_a_state_timeout_that_comes_with_a_change_is_of_the_new_state,
    otp_13_a_timeout_that_is_set_again_begins_anew,
    otp_13_timeouts_can_be_cancelled,
    otp_09_terminate_of_a_state_machine_sees_its_state,
    otp_09_a_state_machine_ends_with_its_parent,
}

type Client = Context<String>;

fn say(word: &str) -> Ask {
    Ask::Say(word.to_owned())
}

fn for_c(word: &str) -> Ask {
    Ask::ForC(word.to_owned())
}

fn keep(actions: &[Action]) -> Ask {
    Ask::Keep(actions.to_vec())
}

fn repeat(actions: &[Action]) -> Ask {
    Ask::Repeat(actions.to_vec())
}

fn go(state: State, actions: &[Action]) -> Ask {
    Ask::Go(state, actions.to_vec())
}

/// Starts a machine that begins with these actions.
async fn start(ctx: &Client, actions: &[Action]) -> Address<Ask> {
    machine(actions).start(ctx).await.expect("its init is fine")
}

/// Tells a machine all of this at once, and waits until it is done.
async fn tell<const N: usize>(ctx: &Client, machine: Address<Ask>, all: [Ask; N]) {
    machine.send(Ask::Work(50));
    for what in all {
        machine.send(what);
    }
    ctx.sleep(millis(300)).await;
}

async fn otp_12_enter_call_then_inserted_then_postponed_then_timeouts_of_zero_then_the_mailbox(
    ctx: &Client,
) {
    let actions = [Insert('x'), Insert('y'), StateTimeout(0), Timeout('n', 0)];
    let all = [
        for_c("one"),
        for_c("two"),
        go(State::C, &actions),
        say("mailbox"),
    ];
    tell(ctx, start(ctx, &[]).await, all).await;
}

async fn otp_12_the_first_state_is_entered_before_what_init_inserts(ctx: &Client) {
    let actions = [Insert('x'), StateTimeout(0), Timeout('n', 0)];
    tell(ctx, start(ctx, &actions).await, [say("mailbox")]).await;
}

async fn otp_12_timeouts_of_zero_come_in_the_order_in_which_they_are_set(ctx: &Client) {
    let machine = start(ctx, &[]).await;
    let actions = [StateTimeout(0), Timeout('n', 0), Timeout('m', 0)];
    tell(ctx, machine, [keep(&actions), say("mailbox")]).await;
    let actions = [Timeout('m', 0), Timeout('n', 0), StateTimeout(0)];
    tell(ctx, machine, [keep(&actions), say("mailbox")]).await;
}

async fn otp_12_what_is_inserted_comes_before_what_waits(ctx: &Client) {
    let two = keep(&[Insert('x'), Insert('y')]);
    let all = [two, say("one"), keep(&[Insert('z')]), say("two")];
    tell(ctx, start(ctx, &[]).await, all).await;
}

async fn otp_12_what_is_inserted_comes_before_what_was_postponed(ctx: &Client) {
    let all = [for_c("one"), go(State::C, &[Insert('x')])];
    tell(ctx, start(ctx, &[]).await, all).await;
}

async fn otp_12_an_event_timeout_of_zero_comes_before_the_mailbox(ctx: &Client) {
    let all = [keep(&[EventTimeout(0)]), say("mailbox")];
    tell(ctx, start(ctx, &[]).await, all).await;
}

async fn otp_12_an_event_timeout_of_zero_is_cancelled_by_an_inserted_event(ctx: &Client) {
    let all = [keep(&[EventTimeout(0), Insert('x')]), say("mailbox")];
    tell(ctx, start(ctx, &[]).await, all).await;
}

async fn otp_12_an_event_timeout_of_zero_is_cancelled_by_a_postponed_event(ctx: &Client) {
    let all = [
        for_c("one"),
        go(State::C, &[EventTimeout(0)]),
        say("mailbox"),
    ];
    tell(ctx, start(ctx, &[]).await, all).await;
}

async fn otp_12_an_event_timeout_of_zero_and_another_timeout_of_zero(ctx: &Client) {
    let machine = start(ctx, &[]).await;
    tell(
        ctx,
        machine,
        [keep(&[EventTimeout(0), StateTimeout(0)]), say("mailbox")],
    )
    .await;
    tell(
        ctx,
        machine,
        [keep(&[StateTimeout(0), EventTimeout(0)]), say("mailbox")],
    )
    .await;
}

async fn otp_12_an_event_timeout_comes_where_nothing_else_does(ctx: &Client) {
    tell(ctx, start(ctx, &[]).await, [keep(&[EventTimeout(30)])]).await;
}

async fn otp_12_an_event_timeout_is_cancelled_by_any_event(ctx: &Client) {
    let machine = start(ctx, &[]).await;
    tell(ctx, machine, [keep(&[EventTimeout(100)]), say("message")]).await;
    tell(ctx, machine, [keep(&[EventTimeout(100), Insert('x')])]).await;
    tell(ctx, machine, [keep(&[EventTimeout(100), StateTimeout(30)])]).await;
}

async fn otp_12_what_is_postponed_again_keeps_its_order(ctx: &Client) {
    let (to_b, to_c) = (go(State::B, &[]), go(State::C, &[]));
    let all = [for_c("one"), for_c("two"), to_b, for_c("three"), to_c];
    tell(ctx, start(ctx, &[]).await, all).await;
}

async fn otp_12_what_is_postponed_comes_before_the_mailbox(ctx: &Client) {
    let all = [for_c("one"), go(State::C, &[]), for_c("two")];
    tell(ctx, start(ctx, &[]).await, all).await;
}

async fn otp_12_a_call_that_is_postponed_is_answered_in_the_state_that_takes_it(ctx: &Client) {
    let me = ctx.address();
    let machine = start(ctx, &[]).await;
    ctx.spawn(move |caller: Context| async move {
        let answer = machine.call(Ask::Get, secs(5)).await;
        say!(&caller, "answer {}", answer.expect("an answer"));
        me.send("ready".to_owned());
    });
    settle(ctx).await;
    machine.send(go(State::C, &[]));
    ready(ctx).await;
}

async fn otp_12_a_timeout_of_zero_comes_after_what_is_tried_again(ctx: &Client) {
    let to_b = go(State::B, &[StateTimeout(0), Insert('x')]);
    tell(
        ctx,
        start(ctx, &[]).await,
        [for_c("one"), to_b, go(State::C, &[])],
    )
    .await;
}

async fn otp_13_the_same_state_again_is_no_change(ctx: &Client) {
    let all = [
        for_c("one"),
        go(State::A, &[]),
        say("mailbox"),
        go(State::C, &[]),
    ];
    tell(ctx, start(ctx, &[]).await, all).await;
}

async fn otp_13_a_state_that_is_repeated_is_entered_and_postponed_events_stay(ctx: &Client) {
    let again = repeat(&[Insert('x')]);
    let all = [for_c("one"), again, say("mailbox"), go(State::C, &[])];
    tell(ctx, start(ctx, &[]).await, all).await;
}

async fn otp_13_a_change_of_state_cancels_the_state_timeout_and_no_other(ctx: &Client) {
    let all = [
        keep(&[StateTimeout(60), Timeout('n', 60)]),
        go(State::B, &[]),
    ];
    tell(ctx, start(ctx, &[]).await, all).await;
}

async fn otp_13_the_same_state_again_leaves_the_state_timeout_alone(ctx: &Client) {
    let machine = start(ctx, &[]).await;
    tell(ctx, machine, [keep(&[StateTimeout(60)]), go(State::A, &[])]).await;
    tell(ctx, machine, [keep(&[StateTimeout(60)]), repeat(&[])]).await;
}

async fn otp_13_a_state_timeout_that_comes_with_a_change_is_of_the_new_state(ctx: &Client) {
    let all = [
        keep(&[StateTimeout(60)]),
        go(State::B, &[StateTimeout(100)]),
    ];
    tell(ctx, start(ctx, &[]).await, all).await;
}

async fn otp_13_a_timeout_that_is_set_again_begins_anew(ctx: &Client) {
    let all = [
        keep(&[Timeout('n', 50), Timeout('m', 100)]),
        keep(&[Timeout('n', 150)]),
    ];
    tell(ctx, start(ctx, &[]).await, all).await;
}

async fn otp_13_timeouts_can_be_cancelled(ctx: &Client) {
    let set = keep(&[StateTimeout(60), Timeout('n', 60), Timeout('m', 60)]);
    let all = [set, keep(&[CancelStateTimeout, CancelTimeout('n')])];
    tell(ctx, start(ctx, &[]).await, all).await;
}

async fn otp_09_terminate_of_a_state_machine_sees_its_state(ctx: &Client) {
    for end in [ExitReason::Normal, error("boom")] {
        let machine = start(ctx, &[]).await;
        let monitor = ctx.monitor(machine.pid().unwrap());
        machine.send(go(State::B, &[]));
        machine.send(Ask::Stop(end));
        say!(ctx, "down {}", end_of(ctx, monitor).await);
    }
}

async fn otp_09_a_state_machine_ends_with_its_parent(ctx: &Client) {
    ctx.trap_exit(true);
    let machine = machine(&[])
        .start_link(ctx)
        .await
        .expect("its init is fine");
    machine.send(go(State::B, &[]));
    ctx.send_exit(machine.pid().unwrap(), ExitReason::Shutdown);
    say!(ctx, "{}", next(ctx).await);
}
