//! Rule 4 across nodes: exit signals and exit reasons.

use super::{
    across, client, dead_pid, ends_as_told, error, idle, lives, next_down, next_exit,
    nothing_comes, pid, settle, start, trapper,
};
use netsplit::{Address, CallError, Context, ExitReason, Pid, ReplyTo, secs};

#[test]
fn otp_04_normal_from_another_process_is_ignored_across_nodes() {
    across(idle::<u64>, async |ctx: &Context| {
        let far = pid(start::<u64>().await);
        ctx.send_exit(far, ExitReason::Normal);
        assert!(lives(ctx, far).await);
    });
}

#[test]
fn otp_04_normal_along_a_link_is_ignored_across_nodes() {
    across(ends_as_told, async |ctx: &Context| {
        let far = start::<ExitReason>().await;
        ctx.link(pid(far));
        far.send(ExitReason::Normal);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_04_normal_from_another_process_comes_to_who_traps_across_nodes() {
    let role = |own: Context<Pid>| async move {
        let near = own.receive_message().await;
        own.send_exit(near, ExitReason::Normal);
        idle(own).await;
    };
    across(role, async |ctx: &Context| {
        ctx.trap_exit(true);
        let far = start::<Pid>().await;
        far.send(ctx.pid());
        assert_eq!(next_exit(ctx).await, (pid(far), ExitReason::Normal));
    });
}

#[test]
fn otp_04_a_sent_kill_cannot_be_trapped_and_turns_into_killed_across_nodes() {
    across(trapper, async |ctx: &Context| {
        ctx.trap_exit(true);
        let far = pid(start::<u64>().await);
        settle(ctx).await;
        ctx.link(far);
        let _monitor = ctx.monitor(far);
        ctx.send_exit(far, ExitReason::Kill);
        assert_eq!(next_exit(ctx).await, (far, ExitReason::Killed));
        assert_eq!(next_down(ctx).await, ExitReason::Killed);
    });
}

#[test]
fn otp_04_killed_along_a_link_ends_who_does_not_trap_across_nodes() {
    across(idle::<u64>, async |ctx: &Context| {
        let far = pid(start::<u64>().await);
        let (_, _monitor) = ctx.spawn_monitor(move |near: Context| async move {
            near.link(far);
            idle(near).await;
        });
        settle(ctx).await;
        ctx.send_exit(far, ExitReason::Kill);
        assert_eq!(next_down(ctx).await, ExitReason::Killed);
    });
}

#[test]
fn otp_04_a_kill_along_a_link_can_be_trapped_across_nodes() {
    across(ends_as_told, async |ctx: &Context| {
        ctx.trap_exit(true);
        let far = start::<ExitReason>().await;
        ctx.link(pid(far));
        far.send(ExitReason::Kill);
        assert_eq!(next_exit(ctx).await, (pid(far), ExitReason::Kill));
    });
}

#[test]
fn otp_04_a_kill_along_a_link_is_not_converted_where_it_is_not_trapped_across_nodes() {
    across(ends_as_told, async |ctx: &Context| {
        let far = start::<ExitReason>().await;
        let (_, _monitor) = ctx.spawn_monitor(move |near: Context| async move {
            near.link(pid(far));
            far.send(ExitReason::Kill);
            idle(near).await;
        });
        assert_eq!(next_down(ctx).await, ExitReason::Kill);
    });
}

#[test]
fn otp_04_every_reason_but_normal_ends_who_does_not_trap_and_travels_unchanged_across_nodes() {
    across(idle::<u64>, async |ctx: &Context| {
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
            let far = pid(start::<u64>().await);
            let _monitor = ctx.monitor(far);
            ctx.send_exit(far, reason.clone());
            assert_eq!(next_down(ctx).await, reason);
        }
    });
}

#[test]
fn otp_04_trapping_turns_exit_signals_into_messages_until_it_ends_across_nodes() {
    let role = |own: Context<u64>| async move {
        own.trap_exit(true);
        client().send(());
        assert_eq!(next_exit(&own).await.1, error("1"));
        own.trap_exit(false);
        client().send(());
        idle(own).await;
    };
    across(role, async |ctx: &Context<()>| {
        let far = pid(start::<u64>().await);
        let _monitor = ctx.monitor(far);
        for text in ["1", "2"] {
            ctx.receive_message().await;
            ctx.send_exit(far, error(text));
        }
        assert_eq!(next_down(ctx).await, error("2"));
    });
}

#[test]
fn otp_04_an_exit_signal_to_a_dead_process_is_nothing_across_nodes() {
    across(idle::<u64>, async |ctx: &Context| {
        ctx.trap_exit(true);
        let gone = dead_pid(ctx).await;
        for reason in [ExitReason::Kill, ExitReason::Normal, error("x")] {
            ctx.send_exit(gone, reason);
        }
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_04_the_first_of_two_exit_signals_counts_across_nodes() {
    across(idle::<u64>, async |ctx: &Context| {
        let far = pid(start::<u64>().await);
        let _monitor = ctx.monitor(far);
        ctx.send_exit(far, error("first"));
        ctx.send_exit(far, ExitReason::Kill);
        assert_eq!(next_down(ctx).await, error("first"));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_04_a_panic_is_an_exit_reason_with_its_message_across_nodes() {
    let role = |own: Context<u64>| async move {
        let n = own.receive_message().await;
        assert!(n == 0, "on purpose {n}");
    };
    across(role, async |ctx: &Context| {
        ctx.trap_exit(true);
        let far = start::<u64>().await;
        ctx.link(pid(far));
        far.send(7);
        let reason = ExitReason::Panic("on purpose 7".to_owned());
        assert_eq!(next_exit(ctx).await, (pid(far), reason));
    });
}

#[test]
fn otp_04_a_killed_process_takes_nothing_more_across_nodes() {
    let role = |own: Context<u64>| async move {
        loop {
            client().send(own.receive_message().await);
        }
    };
    across(role, async |ctx: &Context<u64>| {
        let far = start::<u64>().await;
        ctx.send_exit(pid(far), ExitReason::Kill);
        far.send(1);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_04_a_failed_call_becomes_a_reason_where_the_caller_dies_of_it_across_nodes() {
    across(idle::<ReplyTo<u64>>, async |ctx: &Context| {
        let silent = start::<ReplyTo<u64>>().await;
        let ask = move |to: Address<ReplyTo<u64>>| {
            move |_: Context| async move {
                to.call(|reply_to| reply_to, secs(100)).await?;
                Ok::<(), CallError>(())
            }
        };
        let (_, _monitor) = ctx.spawn_monitor(ask(silent));
        assert_eq!(next_down(ctx).await, ExitReason::error(CallError::Timeout));
        let (_, _monitor) = ctx.spawn_monitor(ask(Address::named("far", "nobody")));
        assert_eq!(next_down(ctx).await, ExitReason::NoProc);
        let (_, _monitor) = ctx.spawn_monitor(ask(silent));
        ctx.sleep(secs(50)).await;
        ctx.disconnect(pid(silent).node());
        assert_eq!(next_down(ctx).await, ExitReason::NoConnection);
    });
}
