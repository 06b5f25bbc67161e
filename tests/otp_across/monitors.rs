//! Rule 5 across nodes: monitors.

use super::{
    LONG, across, client, dead_pid, ends_as_told, error, idle, lives, logged, next_down,
    nothing_comes, pid, settle, start,
};
use netsplit::{
    Address, CallError, Context, ExitReason, Info, MonitorRef, Pid, Received, ReplyTo, millis,
};

async fn downs(ctx: &Context, count: usize) -> Vec<(MonitorRef, ExitReason)> {
    let mut downs = Vec::new();
    while downs.len() < count {
        match ctx.receive().await {
            Received::Info(Info::Down {
                monitor, reason, ..
            }) => downs.push((monitor, reason)),
            other => panic!("{other:?}"),
        }
    }
    downs
}

#[test]
fn otp_05_each_monitor_gives_one_down_with_the_reason_across_nodes() {
    across(ends_as_told, async |ctx: &Context| {
        let far = start::<ExitReason>().await;
        let monitors: Vec<_> = (0..3).map(|_| ctx.monitor(pid(far))).collect();
        far.send(error("x"));
        let told = downs(ctx, 3).await;
        assert!(told.iter().all(|(_, reason)| *reason == error("x")));
        let told: Vec<MonitorRef> = told.into_iter().map(|(monitor, _)| monitor).collect();
        assert!(monitors.iter().all(|monitor| told.contains(monitor)));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_05_a_down_names_the_process_across_nodes() {
    across(ends_as_told, async |ctx: &Context| {
        let far = start::<ExitReason>().await;
        let monitor = ctx.monitor(pid(far));
        far.send(ExitReason::Normal);
        let down = Info::Down {
            monitor,
            of: pid(far).into(),
            reason: ExitReason::Normal,
        };
        assert_eq!(ctx.receive().await, Received::Info(down));
    });
}

#[test]
fn otp_05_the_monitor_of_a_dead_pid_gives_noproc_across_nodes() {
    across(idle::<u64>, async |ctx: &Context| {
        let gone = dead_pid(ctx).await;
        let monitors = [ctx.monitor(gone), ctx.monitor(gone)];
        let expected = monitors.map(|monitor| (monitor, ExitReason::NoProc));
        assert_eq!(downs(ctx, 2).await, expected);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_05_a_lost_connection_gives_each_monitor_one_down_noconnection_across_nodes() {
    across(idle::<u64>, async |ctx: &Context| {
        let far = pid(start::<u64>().await);
        let monitors = [ctx.monitor(far), ctx.monitor(far)];
        settle(ctx).await;
        ctx.disconnect(far.node());
        let expected = monitors.map(|monitor| (monitor, ExitReason::NoConnection));
        assert_eq!(downs(ctx, 2).await, expected);
        // The process lives, and its end brings nothing more.
        assert!(lives(ctx, far).await);
        ctx.send_exit(far, ExitReason::Kill);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_05_a_monitor_works_one_way_across_nodes() {
    let role = |own: Context<Pid>| async move {
        let _monitor = own.monitor(own.receive_message().await);
        client().send(());
        error("x")
    };
    across(role, async |ctx: &Context<()>| {
        let near = ctx.spawn(idle::<u64>);
        let far = start::<Pid>().await;
        let _monitor = ctx.monitor(pid(far));
        far.send(pid(near));
        ctx.receive_message().await;
        assert_eq!(next_down(ctx).await, error("x"));
        settle(ctx).await;
        assert!(ctx.is_alive(pid(near)));
    });
}

#[test]
fn otp_05_demonitor_ends_one_monitor_of_several_across_nodes() {
    across(ends_as_told, async |ctx: &Context| {
        let far = start::<ExitReason>().await;
        let [a, b] = [(); 2].map(|()| ctx.monitor(pid(far)));
        ctx.demonitor(a, false);
        far.send(error("x"));
        assert_eq!(downs(ctx, 1).await, [(b, error("x"))]);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_05_demonitor_with_flush_leaves_nothing_behind_whatever_the_order_across_nodes() {
    across(ends_as_told, async |ctx: &Context| {
        let far = start::<ExitReason>().await;
        let [monitor, other] = [(); 2].map(|()| ctx.monitor(pid(far)));
        far.send(error("x"));
        // The down is under way, or there.
        ctx.sleep(millis(ctx.random_below(20))).await;
        ctx.demonitor(monitor, true);
        // Only what belongs to that monitor is removed.
        assert_eq!(downs(ctx, 1).await, [(other, error("x"))]);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_05_demonitor_without_flush_leaves_a_down_that_is_already_there_across_nodes() {
    across(ends_as_told, async |ctx: &Context| {
        let far = start::<ExitReason>().await;
        let monitor = ctx.monitor(pid(far));
        far.send(error("x"));
        settle(ctx).await;
        ctx.demonitor(monitor, false);
        assert_eq!(downs(ctx, 1).await, [(monitor, error("x"))]);
    });
}

#[test]
fn otp_05_demonitor_twice_is_as_good_as_once_across_nodes() {
    across(ends_as_told, async |ctx: &Context| {
        let far = start::<ExitReason>().await;
        let monitor = ctx.monitor(pid(far));
        ctx.demonitor(monitor, true);
        ctx.demonitor(monitor, true);
        far.send(error("x"));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_05_a_monitor_dies_with_who_holds_it_across_nodes() {
    let outcomes = logged(ends_as_told, async |ctx: &Context<()>| {
        let far = start::<ExitReason>().await;
        let (of, told) = (pid(far), ctx.address());
        ctx.spawn(move |watcher: Context| async move {
            let _monitor = watcher.monitor(of);
            told.send(());
        });
        ctx.receive_message().await;
        settle(ctx).await;
        far.send(error("x"));
        nothing_comes(ctx).await;
    });
    let down = |event| matches!(event, netsplit::trace::Event::Down { .. });
    assert!(
        outcomes
            .iter()
            .all(|outcome| !super::events(outcome).any(down))
    );
}

#[test]
fn otp_05_a_name_is_free_before_the_down_is_there_across_nodes() {
    let role = |own: Context<ReplyTo<()>>| async move {
        own.register("name").expect("the name is free again");
        own.receive_message().await.reply(());
        own.receive_message().await;
    };
    across(role, async |ctx: &Context| {
        let named = Address::<ReplyTo<()>>::named("far", "name");
        for _ in 0..3 {
            let far = start::<ReplyTo<()>>().await;
            let _monitor = ctx.monitor(pid(far));
            // Whoever has the name answers this, or it would be a panic.
            assert_eq!(far.call(|to| to, LONG).await, Ok(()));
            let asked = named.call(|to| to, LONG).await;
            assert_eq!(asked, Err(CallError::Exit(ExitReason::Normal)));
            assert_eq!(next_down(ctx).await, ExitReason::Normal);
            assert_eq!(named.call(|to| to, LONG).await, Err(CallError::NoProc));
        }
    });
}
