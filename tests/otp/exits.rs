//! Rule 4: exit signals and exit reasons.

use super::{ends_as_told, error, idle, next_down, next_exit, nothing_comes, one_node, settle};
use netsplit::{Address, CallError, Context, ExitReason, Message, Pid, ReplyTo, millis, secs};

/// How a process that runs `code` ends.
async fn end_of<F>(ctx: &Context<impl Message>, code: impl FnOnce(Context) -> F) -> ExitReason
where
    F: Future<Output: netsplit::IntoExit> + 'static,
{
    let (_, _monitor) = ctx.spawn_monitor(code);
    next_down(ctx).await
}

/// A process that traps exits and does nothing else; it is ready when this returns.
async fn trapper(ctx: &Context<impl Message>) -> Pid {
    let trapper = ctx.spawn(|child: Context| async move {
        child.trap_exit(true);
        idle(child).await;
    });
    settle(ctx).await;
    trapper.pid().unwrap()
}

#[test]
fn otp_04_normal_from_another_process_is_ignored() {
    one_node(async |ctx: &Context| {
        let child = ctx.spawn(idle::<u64>).pid().unwrap();
        settle(ctx).await;
        ctx.send_exit(child, ExitReason::Normal);
        settle(ctx).await;
        assert!(ctx.is_alive(child));
    });
}

#[test]
fn otp_04_normal_along_a_link_is_ignored() {
    one_node(async |ctx: &Context| {
        ctx.spawn_link(|_: Context| async {});
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_04_normal_from_another_process_comes_to_who_traps() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let me = ctx.pid();
        let child = ctx.spawn(move |child: Context| async move {
            child.send_exit(me, ExitReason::Normal);
            idle(child).await;
        });
        let from = child.pid().unwrap();
        assert_eq!(next_exit(ctx).await, (from, ExitReason::Normal));
    });
}

#[test]
fn otp_04_a_process_that_sends_itself_normal_ends() {
    one_node(async |ctx: &Context| {
        let reason = end_of(ctx, |child: Context| async move {
            child.send_exit(child.pid(), ExitReason::Normal);
            idle(child).await;
            error("it went on")
        });
        assert_eq!(reason.await, ExitReason::Normal);
    });
}

#[test]
fn otp_04_a_process_that_traps_gets_its_own_exit_signal_as_a_message() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        ctx.send_exit(ctx.pid(), ExitReason::Normal);
        assert_eq!(next_exit(ctx).await, (ctx.pid(), ExitReason::Normal));
        ctx.send_exit(ctx.pid(), error("x"));
        assert_eq!(next_exit(ctx).await, (ctx.pid(), error("x")));
    });
}

#[test]
fn otp_04_a_sent_kill_cannot_be_trapped_and_turns_into_killed() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let child = trapper(ctx).await;
        ctx.link(child);
        let _monitor = ctx.monitor(child);
        ctx.send_exit(child, ExitReason::Kill);
        assert_eq!(next_exit(ctx).await, (child, ExitReason::Killed));
        assert_eq!(next_down(ctx).await, ExitReason::Killed);
    });
}

#[test]
fn otp_04_killed_along_a_link_can_be_trapped() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let child = ctx.spawn_link(idle::<u64>).pid().unwrap();
        ctx.send_exit(child, ExitReason::Kill);
        assert_eq!(next_exit(ctx).await, (child, ExitReason::Killed));
    });
}

#[test]
fn otp_04_a_kill_along_a_link_can_be_trapped() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let child = ctx.spawn_link(|_: Context| async { ExitReason::Kill });
        assert_eq!(
            next_exit(ctx).await,
            (child.pid().unwrap(), ExitReason::Kill)
        );
    });
}

#[test]
fn otp_04_a_kill_along_a_link_is_not_converted_where_it_is_not_trapped() {
    one_node(async |ctx: &Context| {
        let reason = end_of(ctx, |child: Context| async move {
            child.spawn_link(|_: Context| async { ExitReason::Kill });
            idle(child).await;
        });
        assert_eq!(reason.await, ExitReason::Kill);
    });
}

#[test]
fn otp_04_a_process_that_sends_itself_kill_is_killed_though_it_traps() {
    one_node(async |ctx: &Context| {
        let reason = end_of(ctx, |child: Context| async move {
            child.trap_exit(true);
            child.send_exit(child.pid(), ExitReason::Kill);
            idle(child).await;
        });
        assert_eq!(reason.await, ExitReason::Killed);
    });
}

#[test]
fn otp_04_a_process_that_exits_ends_though_it_traps_and_nothing_is_converted() {
    one_node(async |ctx: &Context| {
        for reason in [ExitReason::Kill, ExitReason::Normal, error("x")] {
            let given = reason.clone();
            let ended = end_of(ctx, |child: Context| async move {
                child.trap_exit(true);
                child.exit(given).await;
            });
            assert_eq!(ended.await, reason);
        }
    });
}

#[test]
fn otp_04_every_reason_but_normal_ends_who_does_not_trap() {
    one_node(async |ctx: &Context| {
        let reasons = [
            ExitReason::Shutdown,
            ExitReason::ShutdownWith("later".to_owned()),
            ExitReason::NoProc,
            ExitReason::NoConnection,
            ExitReason::Killed,
            error("x"),
            ExitReason::Panic("x".to_owned()),
        ];
        for reason in reasons {
            let (child, _monitor) = ctx.spawn_monitor(idle::<u64>);
            ctx.send_exit(child.pid().unwrap(), reason.clone());
            assert_eq!(next_down(ctx).await, reason);
        }
    });
}

#[test]
fn otp_04_trapping_turns_exit_signals_into_messages_until_it_ends() {
    one_node(async |ctx: &Context<()>| {
        let told = ctx.address();
        let (child, _monitor) = ctx.spawn_monitor(move |child: Context| async move {
            child.trap_exit(true);
            told.send(());
            assert_eq!(next_exit(&child).await.1, error("1"));
            child.trap_exit(false);
            told.send(());
            idle(child).await;
        });
        for text in ["1", "2"] {
            ctx.receive_message().await;
            ctx.send_exit(child.pid().unwrap(), error(text));
        }
        assert_eq!(next_down(ctx).await, error("2"));
    });
}

#[test]
fn otp_04_an_exit_signal_to_a_dead_process_is_nothing() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let gone = super::dead_pid(ctx).await;
        for reason in [ExitReason::Kill, ExitReason::Normal, error("x")] {
            ctx.send_exit(gone, reason);
        }
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_04_the_first_of_two_exit_signals_counts() {
    one_node(async |ctx: &Context| {
        let (child, _monitor) = ctx.spawn_monitor(idle::<u64>);
        ctx.send_exit(child.pid().unwrap(), error("first"));
        ctx.send_exit(child.pid().unwrap(), ExitReason::Kill);
        assert_eq!(next_down(ctx).await, error("first"));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_04_what_a_process_returns_is_its_reason() {
    one_node(async |ctx: &Context| {
        let end = end_of(ctx, |_: Context| async {});
        assert_eq!(end.await, ExitReason::Normal);
        let end = end_of(ctx, |_: Context| async { ExitReason::Shutdown });
        assert_eq!(end.await, ExitReason::Shutdown);
        let end = end_of(ctx, |_: Context| async { Ok::<(), ExitReason>(()) });
        assert_eq!(end.await, ExitReason::Normal);
        let end = end_of(ctx, |_: Context| async { Err::<(), _>(error("x")) });
        assert_eq!(end.await, error("x"));
    });
}

#[test]
fn otp_04_a_failed_call_becomes_a_reason_where_the_caller_dies_of_it() {
    one_node(async |ctx: &Context| {
        let gone = Address::<ReplyTo<u64>>::of(super::dead_pid(ctx).await);
        let end = end_of(ctx, move |_: Context| async move {
            gone.call(|reply_to| reply_to, secs(1)).await?;
            Ok::<(), CallError>(())
        });
        assert_eq!(end.await, ExitReason::NoProc);
        let silent = ctx.spawn(idle::<ReplyTo<u64>>);
        let end = end_of(ctx, move |_: Context| async move {
            silent.call(|reply_to| reply_to, millis(1)).await?;
            Ok::<(), CallError>(())
        });
        assert_eq!(end.await, ExitReason::error(CallError::Timeout));
    });
}

#[test]
fn otp_04_a_panic_is_an_exit_reason_with_its_message() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let child = ctx.spawn_link(|_: Context<()>| async { panic!("on {}", "purpose") });
        let reason = ExitReason::Panic("on purpose".to_owned());
        assert_eq!(next_exit(ctx).await, (child.pid().unwrap(), reason));
    });
}

#[test]
fn otp_04_a_killed_process_dies_before_anything_else_steps() {
    one_node(async |ctx: &Context<u64>| {
        let told = ctx.address();
        let child = ctx.spawn(move |child: Context<u64>| async move {
            loop {
                told.send(child.receive_message().await);
            }
        });
        settle(ctx).await;
        // It is ready to take this, and never does.
        child.send(1);
        ctx.send_exit(child.pid().unwrap(), ExitReason::Kill);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_04_a_process_killed_before_its_first_step_never_steps() {
    one_node(async |ctx: &Context<u64>| {
        let told = ctx.address();
        let (child, _monitor) = ctx.spawn_monitor(move |_: Context| async move { told.send(1) });
        ctx.send_exit(child.pid().unwrap(), ExitReason::Kill);
        assert_eq!(next_down(ctx).await, ExitReason::Killed);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_04_an_exit_from_a_linked_process_ends_a_whole_group_but_who_traps() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        let child = ctx.spawn_link(ends_as_told);
        let sibling = ctx.spawn_link(idle::<u64>).pid().unwrap();
        child.send(error("x"));
        assert_eq!(next_exit(ctx).await.1, error("x"));
        // Its sibling was linked to the parent only, who lives.
        assert!(ctx.is_alive(sibling));
    });
}
