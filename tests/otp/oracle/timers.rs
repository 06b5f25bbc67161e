//! Rule 22: timers. The same as `timers.erl`.

use super::{await_end, next, nothing, ready};
use crate::common::idle;
use crate::{dead_pid, settle};
use netsplit::{Address, Context, ExitReason, Message, Received, TimerRef, millis};

cases! { "timers":
    otp_22_a_cancelled_timer_had_time_left_and_never_fires,
    otp_22_a_timer_that_has_fired_is_gone_and_its_message_there,
    otp_22_a_timer_cancelled_at_its_moment_has_fired_or_never_will,
    otp_22_timers_of_one_moment_fire_in_any_order,
    otp_22_timers_fire_in_the_order_of_their_times,
    otp_22_a_timer_dies_with_the_process_that_it_is_for,
    otp_22_a_timer_outlives_the_process_that_has_set_it,
    otp_22_a_timer_to_a_dead_process_is_gone,
    otp_22_a_timer_to_a_name_looks_it_up_when_it_fires,
    otp_22_a_timer_to_a_name_that_nobody_has_is_no_error,
    otp_22_another_process_may_cancel_a_timer,
    otp_22_a_wait_with_a_timeout_takes_what_comes_before_it,
    otp_22_a_message_at_the_moment_of_the_timeout_is_taken_or_comes_later,
}

type Client = Context<String>;

fn message() -> String {
    "message".to_owned()
}

/// What cancelling a timer tells.
fn cancel<M: Message>(ctx: &Context<M>, timer: TimerRef) {
    match ctx.cancel_timer(timer) {
        None => say!(ctx, "it is gone"),
        Some(left) if left.is_zero() => say!(ctx, "no time was left"),
        Some(_) => say!(ctx, "time was left"),
    }
}

async fn otp_22_a_cancelled_timer_had_time_left_and_never_fires(ctx: &Client) {
    let timer = ctx.send_after(ctx.address(), message(), millis(100));
    cancel(ctx, timer);
    cancel(ctx, timer);
    ctx.sleep(millis(150)).await;
    nothing(ctx).await;
}

async fn otp_22_a_timer_that_has_fired_is_gone_and_its_message_there(ctx: &Client) {
    let timer = ctx.send_after(ctx.address(), message(), millis(20));
    ctx.sleep(millis(60)).await;
    cancel(ctx, timer);
    say!(ctx, "{}", next(ctx).await);
    nothing(ctx).await;
}

async fn otp_22_a_timer_cancelled_at_its_moment_has_fired_or_never_will(ctx: &Client) {
    let timer = ctx.send_after(ctx.address(), message(), millis(50));
    ctx.sleep(millis(50)).await;
    cancel(ctx, timer);
    settle(ctx).await;
    nothing(ctx).await;
}

async fn otp_22_timers_of_one_moment_fire_in_any_order(ctx: &Client) {
    ctx.send_after(ctx.address(), "one".to_owned(), millis(50));
    ctx.send_after(ctx.address(), "two".to_owned(), millis(50));
    say!(ctx, "{}", next(ctx).await);
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_22_timers_fire_in_the_order_of_their_times(ctx: &Client) {
    ctx.send_after(ctx.address(), "two".to_owned(), millis(100));
    ctx.send_after(ctx.address(), "one".to_owned(), millis(20));
    say!(ctx, "{}", next(ctx).await);
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_22_a_timer_dies_with_the_process_that_it_is_for(ctx: &Client) {
    let child = ctx.spawn(idle::<String>);
    let timer = ctx.send_after(child, message(), millis(100));
    ctx.send_exit(child.pid().unwrap(), ExitReason::Kill);
    await_end(ctx, child.pid().unwrap()).await;
    settle(ctx).await;
    cancel(ctx, timer);
}

async fn otp_22_a_timer_outlives_the_process_that_has_set_it(ctx: &Client) {
    let me = ctx.address();
    let child = ctx.spawn(move |child: Context| async move {
        child.send_after(me, message(), millis(50));
    });
    await_end(ctx, child.pid().unwrap()).await;
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_22_a_timer_to_a_dead_process_is_gone(ctx: &Client) {
    let gone = Address::of(dead_pid(ctx).await);
    cancel(ctx, ctx.send_after(gone, message(), millis(100)));
}

async fn otp_22_a_timer_to_a_name_looks_it_up_when_it_fires(ctx: &Client) {
    let me = ctx.address();
    let holder = |word: &'static str| {
        move |holder: Client| async move {
            holder.register("timers_name").expect("a free name");
            me.send("ready".to_owned());
            holder.receive_message().await;
            say!(&holder, "{word}");
            me.send("ready".to_owned());
        }
    };
    let first = ctx.spawn(holder("the first has it")).pid().unwrap();
    ready(ctx).await;
    let name = Address::at(ctx.node(), "timers_name");
    ctx.send_after(name, message(), millis(100));
    ctx.send_exit(first, ExitReason::Kill);
    await_end(ctx, first).await;
    ctx.spawn(holder("the second has it"));
    ready(ctx).await;
    ready(ctx).await;
}

async fn otp_22_a_timer_to_a_name_that_nobody_has_is_no_error(ctx: &Client) {
    let name = Address::at(ctx.node(), "timers_nobody");
    let timer = ctx.send_after(name, message(), millis(20));
    ctx.sleep(millis(60)).await;
    cancel(ctx, timer);
}

async fn otp_22_another_process_may_cancel_a_timer(ctx: &Client) {
    let timer = ctx.send_after(ctx.address(), message(), millis(100));
    let other = ctx.spawn(move |other: Context| async move { cancel(&other, timer) });
    await_end(ctx, other.pid().unwrap()).await;
    ctx.sleep(millis(150)).await;
    nothing(ctx).await;
}

/// What comes within so many milliseconds, or that nothing does.
async fn within(ctx: &Client, time: u64) -> String {
    let received = ctx.receive_within(millis(time)).await;
    received
        .and_then(Received::message)
        .unwrap_or_else(|| "nothing".to_owned())
}

async fn otp_22_a_wait_with_a_timeout_takes_what_comes_before_it(ctx: &Client) {
    ctx.send_after(ctx.address(), message(), millis(20));
    say!(ctx, "{}", within(ctx, 100).await);
    ctx.send_after(ctx.address(), message(), millis(100));
    say!(ctx, "{}", within(ctx, 20).await);
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_22_a_message_at_the_moment_of_the_timeout_is_taken_or_comes_later(ctx: &Client) {
    ctx.send_after(ctx.address(), message(), millis(50));
    let taken = within(ctx, 50).await;
    say!(ctx, "{taken}");
    if taken == "nothing" {
        say!(ctx, "{}", next(ctx).await);
    }
}
