//! Rules 1 to 7: signals, links, exits, monitors. The same as `signals.erl`.

use super::{await_end, end_of, next, nothing, ready};
use crate::common::{error, idle};
use crate::{dead_pid, settle};
use netsplit::{CallError, Context, ExitReason, Message, Pid, ReplyTo, millis, secs};

cases! { "signals":
    otp_01_what_one_process_sends_comes_in_order,
    otp_01_two_senders_come_in_any_order,
    otp_01_a_link_made_after_a_kill_finds_nobody,
    otp_01_a_link_made_before_a_kill_tells_killed,
    otp_01_a_monitor_before_a_kill_tells_killed_and_one_after_it_noproc,
    otp_02_two_links_and_one_unlink_leave_none,
    otp_02_an_unlink_leaves_an_exit_message_that_is_there_already,
    otp_02_a_link_goes_both_ways,
    otp_03_a_link_to_a_dead_process_brings_noproc,
    otp_04_normal_from_another_process_is_ignored,
    otp_04_normal_along_a_link_is_ignored,
    otp_04_normal_from_another_process_comes_to_one_that_traps,
    otp_04_a_process_that_sends_itself_normal_ends,
    otp_04_a_process_that_traps_gets_its_own_exit_signal,
    otp_04_a_process_that_kills_itself_is_killed_though_it_traps,
    otp_04_exit_of_itself_is_not_trapped,
    otp_04_a_sent_kill_cannot_be_trapped_and_turns_into_killed,
    otp_04_a_kill_along_a_link_can_be_trapped,
    otp_04_a_kill_along_a_link_is_not_converted,
    otp_04_killed_along_a_link_ends_with_killed,
    otp_04_a_reason_goes_along_a_chain_of_links,
    otp_04_one_that_traps_ends_a_chain_of_links,
    otp_04_an_error_in_a_process_is_its_reason,
    otp_04_the_first_of_two_exit_signals_counts,
    otp_05_monitors_stack,
    otp_05_the_monitor_of_a_dead_process_gives_noproc,
    otp_05_demonitor_leaves_a_down_that_is_there_already,
    otp_05_demonitor_with_flush_leaves_nothing,
    otp_05_a_name_is_free_when_its_end_is_told,
    otp_05_the_end_of_a_monitored_process_hurts_nobody,
    otp_07_a_place_for_an_answer_takes_one,
    otp_07_whether_a_place_for_an_answer_counts_is_judged_when_the_answer_comes,
}

type Client = Context<String>;

/// Starts a process that takes everything and does nothing.
fn spawn_idle<M: Message>(ctx: &Context<M>) -> Pid {
    ctx.spawn(idle::<()>)
        .pid()
        .expect("a spawned process has a pid")
}

async fn otp_01_what_one_process_sends_comes_in_order(ctx: &Client) {
    ctx.trap_exit(true);
    let me = ctx.address();
    ctx.spawn_link(move |child: Context| async move {
        me.send("one".to_owned());
        me.send("two".to_owned());
        child.send_exit(me.pid().unwrap(), ExitReason::Normal);
        me.send("three".to_owned());
    });
    for _ in 0..5 {
        say!(ctx, "{}", next(ctx).await);
    }
}

async fn otp_01_two_senders_come_in_any_order(ctx: &Client) {
    let me = ctx.address();
    ctx.spawn(move |_: Context| async move { me.send("one".to_owned()) });
    ctx.spawn(move |_: Context| async move { me.send("two".to_owned()) });
    say!(ctx, "{}", next(ctx).await);
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_01_a_link_made_after_a_kill_finds_nobody(ctx: &Client) {
    ctx.trap_exit(true);
    let child = spawn_idle(ctx);
    ctx.send_exit(child, ExitReason::Kill);
    ctx.link(child);
    say!(ctx, "{}", next(ctx).await);
    nothing(ctx).await;
}

async fn otp_01_a_link_made_before_a_kill_tells_killed(ctx: &Client) {
    ctx.trap_exit(true);
    let child = spawn_idle(ctx);
    ctx.link(child);
    ctx.send_exit(child, ExitReason::Kill);
    say!(ctx, "{}", next(ctx).await);
    nothing(ctx).await;
}

async fn otp_01_a_monitor_before_a_kill_tells_killed_and_one_after_it_noproc(ctx: &Client) {
    let child = spawn_idle(ctx);
    let before = ctx.monitor(child);
    ctx.send_exit(child, ExitReason::Kill);
    let after = ctx.monitor(child);
    say!(ctx, "before: {}", end_of(ctx, before).await);
    say!(ctx, "after: {}", end_of(ctx, after).await);
}

async fn otp_02_two_links_and_one_unlink_leave_none(ctx: &Client) {
    let child = spawn_idle(ctx);
    let monitor = ctx.monitor(child);
    ctx.link(child);
    ctx.link(child);
    ctx.unlink(child);
    ctx.send_exit(child, error("boom"));
    say!(ctx, "child: {}", end_of(ctx, monitor).await);
    say!(ctx, "still here");
}

async fn otp_02_an_unlink_leaves_an_exit_message_that_is_there_already(ctx: &Client) {
    ctx.trap_exit(true);
    let child = ctx.spawn_link(|_: Context| async { error("boom") });
    await_end(ctx, child.pid().unwrap()).await;
    settle(ctx).await;
    ctx.unlink(child.pid().unwrap());
    say!(ctx, "{}", next(ctx).await);
    nothing(ctx).await;
}

async fn otp_02_a_link_goes_both_ways(ctx: &Client) {
    let left = spawn_idle(ctx);
    let left_monitor = ctx.monitor(left);
    let me = ctx.address();
    let (_, right_monitor) = ctx.spawn_monitor(move |child: Context| async move {
        child.link(left);
        me.send("ready".to_owned());
        idle(child).await;
    });
    ready(ctx).await;
    ctx.send_exit(left, error("boom"));
    say!(ctx, "right: {}", end_of(ctx, right_monitor).await);
    say!(ctx, "left: {}", end_of(ctx, left_monitor).await);
    let other = spawn_idle(ctx);
    let other_monitor = ctx.monitor(other);
    ctx.spawn(move |child: Context| async move {
        child.link(other);
        error("boom")
    });
    say!(ctx, "other: {}", end_of(ctx, other_monitor).await);
}

async fn otp_03_a_link_to_a_dead_process_brings_noproc(ctx: &Client) {
    let gone = dead_pid(ctx).await;
    let (_, monitor) = ctx.spawn_monitor(move |child: Context| async move {
        child.link(gone);
        idle(child).await;
    });
    say!(ctx, "child: {}", end_of(ctx, monitor).await);
    ctx.trap_exit(true);
    ctx.link(gone);
    say!(ctx, "{}", next(ctx).await);
    nothing(ctx).await;
}

async fn otp_04_normal_from_another_process_is_ignored(ctx: &Client) {
    let child = spawn_idle(ctx);
    let monitor = ctx.monitor(child);
    ctx.send_exit(child, ExitReason::Normal);
    ctx.send_exit(child, ExitReason::Shutdown);
    say!(ctx, "child: {}", end_of(ctx, monitor).await);
}

async fn otp_04_normal_along_a_link_is_ignored(ctx: &Client) {
    ctx.spawn_link(|_: Context| async {});
    nothing(ctx).await;
}

async fn otp_04_normal_from_another_process_comes_to_one_that_traps(ctx: &Client) {
    ctx.trap_exit(true);
    let me = ctx.pid();
    ctx.spawn(move |child: Context| async move { child.send_exit(me, ExitReason::Normal) });
    say!(ctx, "{}", next(ctx).await);
    nothing(ctx).await;
}

async fn otp_04_a_process_that_sends_itself_normal_ends(ctx: &Client) {
    let (_, monitor) = ctx.spawn_monitor(|child: Context| async move {
        child.send_exit(child.pid(), ExitReason::Normal);
        idle(child).await;
    });
    say!(ctx, "child: {}", end_of(ctx, monitor).await);
}

async fn otp_04_a_process_that_traps_gets_its_own_exit_signal(ctx: &Client) {
    ctx.trap_exit(true);
    ctx.send_exit(ctx.pid(), ExitReason::Normal);
    say!(ctx, "{}", next(ctx).await);
    ctx.send_exit(ctx.pid(), error("boom"));
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_04_a_process_that_kills_itself_is_killed_though_it_traps(ctx: &Client) {
    let (_, monitor) = ctx.spawn_monitor(|child: Context| async move {
        child.trap_exit(true);
        child.send_exit(child.pid(), ExitReason::Kill);
        idle(child).await;
    });
    say!(ctx, "child: {}", end_of(ctx, monitor).await);
}

async fn otp_04_exit_of_itself_is_not_trapped(ctx: &Client) {
    let (_, monitor) = ctx.spawn_monitor(|child: Context| async move {
        child.trap_exit(true);
        child.exit(error("boom")).await;
    });
    say!(ctx, "child: {}", end_of(ctx, monitor).await);
}

async fn otp_04_a_sent_kill_cannot_be_trapped_and_turns_into_killed(ctx: &Client) {
    ctx.trap_exit(true);
    let me = ctx.address();
    let (child, monitor) = ctx.spawn_monitor(move |child: Context| async move {
        child.trap_exit(true);
        me.send("ready".to_owned());
        idle(child).await;
    });
    let child = child.pid().unwrap();
    ctx.link(child);
    ready(ctx).await;
    ctx.send_exit(child, ExitReason::Kill);
    say!(ctx, "child: {}", end_of(ctx, monitor).await);
    say!(ctx, "{}", next(ctx).await);
    nothing(ctx).await;
}

async fn otp_04_a_kill_along_a_link_can_be_trapped(ctx: &Client) {
    ctx.trap_exit(true);
    ctx.spawn_link(|_: Context| async { ExitReason::Kill });
    say!(ctx, "{}", next(ctx).await);
    nothing(ctx).await;
}

async fn otp_04_a_kill_along_a_link_is_not_converted(ctx: &Client) {
    let (_, monitor) = ctx.spawn_monitor(|child: Context| async move {
        child.spawn_link(|_: Context| async { ExitReason::Kill });
        idle(child).await;
    });
    say!(ctx, "child: {}", end_of(ctx, monitor).await);
}

async fn otp_04_killed_along_a_link_ends_with_killed(ctx: &Client) {
    let (_, monitor) = ctx.spawn_monitor(|child: Context| async move {
        let linked = child.spawn_link(idle::<()>);
        child.send_exit(linked.pid().unwrap(), ExitReason::Kill);
        idle(child).await;
    });
    say!(ctx, "child: {}", end_of(ctx, monitor).await);
}

async fn otp_04_a_reason_goes_along_a_chain_of_links(ctx: &Client) {
    let (_, monitor) = ctx.spawn_monitor(|first: Context| async move {
        first.spawn_link(|second: Context| async move {
            second.spawn_link(|_: Context| async { error("boom") });
            idle(second).await;
        });
        idle(first).await;
    });
    say!(ctx, "first: {}", end_of(ctx, monitor).await);
}

async fn otp_04_one_that_traps_ends_a_chain_of_links(ctx: &Client) {
    let me = ctx.address();
    let (first, monitor) = ctx.spawn_monitor(move |first: Context| async move {
        first.spawn_link(move |second: Client| async move {
            second.trap_exit(true);
            second.spawn_link(|_: Context| async { error("boom") });
            say!(&second, "second: {}", next(&second).await);
            me.send("ready".to_owned());
            idle(second).await;
        });
        idle(first).await;
    });
    ready(ctx).await;
    ctx.send_exit(first.pid().unwrap(), ExitReason::Shutdown);
    say!(ctx, "first: {}", end_of(ctx, monitor).await);
}

async fn otp_04_an_error_in_a_process_is_its_reason(ctx: &Client) {
    ctx.trap_exit(true);
    ctx.spawn_link(|_: Context<()>| async { panic!("boom") });
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_04_the_first_of_two_exit_signals_counts(ctx: &Client) {
    let child = spawn_idle(ctx);
    let monitor = ctx.monitor(child);
    ctx.send_exit(child, error("first"));
    ctx.send_exit(child, ExitReason::Kill);
    say!(ctx, "child: {}", end_of(ctx, monitor).await);
}

async fn otp_05_monitors_stack(ctx: &Client) {
    let child = spawn_idle(ctx);
    let _ = ctx.monitor(child);
    let _ = ctx.monitor(child);
    ctx.send_exit(child, error("boom"));
    say!(ctx, "{}", next(ctx).await);
    say!(ctx, "{}", next(ctx).await);
    nothing(ctx).await;
}

async fn otp_05_the_monitor_of_a_dead_process_gives_noproc(ctx: &Client) {
    let _ = ctx.monitor(dead_pid(ctx).await);
    say!(ctx, "{}", next(ctx).await);
    nothing(ctx).await;
}

async fn otp_05_demonitor_leaves_a_down_that_is_there_already(ctx: &Client) {
    let (child, monitor) = ctx.spawn_monitor(|_: Context| async { error("boom") });
    await_end(ctx, child.pid().unwrap()).await;
    settle(ctx).await;
    ctx.demonitor(monitor, false);
    say!(ctx, "something: {}", next(ctx).await != "nothing");
    nothing(ctx).await;
}

async fn otp_05_demonitor_with_flush_leaves_nothing(ctx: &Client) {
    let (child, monitor) = ctx.spawn_monitor(|_: Context| async { error("boom") });
    await_end(ctx, child.pid().unwrap()).await;
    ctx.demonitor(monitor, true);
    nothing(ctx).await;
}

async fn otp_05_a_name_is_free_when_its_end_is_told(ctx: &Client) {
    ctx.trap_exit(true);
    let me = ctx.address();
    let child = ctx.spawn_link(move |child: Context| async move {
        child.register("name").expect("a free name");
        me.send("ready".to_owned());
        idle(child).await;
    });
    ready(ctx).await;
    say!(ctx, "taken: {}", ctx.whereis("name") == child.pid());
    ctx.send_exit(child.pid().unwrap(), error("boom"));
    say!(ctx, "{}", next(ctx).await);
    say!(ctx, "free: {}", ctx.register("name").is_ok());
}

async fn otp_05_the_end_of_a_monitored_process_hurts_nobody(ctx: &Client) {
    let me = ctx.address();
    let (watcher, monitor) = ctx.spawn_monitor(move |watcher: Client| async move {
        let _ = watcher.spawn_monitor(|_: Context| async { error("boom") });
        say!(&watcher, "watcher: {}", next(&watcher).await);
        me.send("ready".to_owned());
        idle(watcher).await;
    });
    ready(ctx).await;
    ctx.send_exit(watcher.pid().unwrap(), ExitReason::Shutdown);
    say!(ctx, "watcher: {}", end_of(ctx, monitor).await);
}

// In Rust it is `call` that makes a place for an answer, and ends it.

async fn otp_07_a_place_for_an_answer_takes_one(ctx: &Client) {
    // A `ReplyTo` is used up by its first answer, and is no `Clone`: a second answer does not compile.
    let answers = ctx.spawn(|child: Context<ReplyTo<String>>| async move {
        child.receive_message().await.reply("one".to_owned());
    });
    let answer = answers.call(|place| place, secs(1)).await;
    say!(ctx, "{}", answer.expect("an answer"));
    nothing(ctx).await;
}

async fn otp_07_whether_a_place_for_an_answer_counts_is_judged_when_the_answer_comes(ctx: &Client) {
    let late = ctx.spawn(|child: Context<ReplyTo<String>>| async move {
        let place = child.receive_message().await;
        child.sleep(millis(20)).await;
        place.reply("one".to_owned());
    });
    let ended = late.call(|place| place, millis(10)).await;
    assert_eq!(ended, Err(CallError::Timeout));
    await_end(ctx, late.pid().unwrap()).await;
    nothing(ctx).await;
}
