//! Rule 5: monitors.

use super::{dead_pid, ends_as_told, error, idle, next_down, nothing_comes, one_node, settle};
use netsplit::{Context, ExitReason, Info, MonitorRef, Received};

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
fn otp_05_each_monitor_gives_one_down_with_the_reason() {
    one_node(async |ctx: &Context| {
        let child = ctx.spawn(ends_as_told);
        let monitors: Vec<_> = (0..3).map(|_| ctx.monitor(child.pid().unwrap())).collect();
        child.send(error("x"));
        let mut told: Vec<MonitorRef> = Vec::new();
        for (monitor, reason) in downs(ctx, 3).await {
            assert_eq!(reason, error("x"));
            told.push(monitor);
        }
        assert!(monitors.iter().all(|monitor| told.contains(monitor)));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_05_a_down_names_the_process() {
    one_node(async |ctx: &Context| {
        let (child, monitor) = ctx.spawn_monitor(|_: Context| async {});
        let down = Info::Down {
            monitor,
            of: child.pid().unwrap().into(),
            reason: ExitReason::Normal,
        };
        assert_eq!(ctx.receive().await, Received::Info(down));
    });
}

#[test]
fn otp_05_the_monitor_of_a_dead_pid_gives_noproc() {
    one_node(async |ctx: &Context| {
        let gone = dead_pid(ctx).await;
        let monitors = [ctx.monitor(gone), ctx.monitor(gone)];
        let expected = monitors.map(|monitor| (monitor, ExitReason::NoProc));
        assert_eq!(downs(ctx, 2).await, expected);
    });
}

#[test]
fn otp_05_the_end_of_a_monitored_process_hurts_nobody() {
    one_node(async |ctx: &Context| {
        let (child, _monitor) = ctx.spawn_monitor(idle::<u64>);
        ctx.send_exit(child.pid().unwrap(), ExitReason::Kill);
        assert_eq!(next_down(ctx).await, ExitReason::Killed);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_05_a_monitor_works_one_way() {
    one_node(async |ctx: &Context| {
        let child = ctx.spawn(idle::<u64>).pid().unwrap();
        let (watcher, _monitor) = ctx.spawn_monitor(move |own: Context<ExitReason>| async move {
            let _monitor = own.monitor(child);
            own.receive_message().await
        });
        watcher.send(error("x"));
        assert_eq!(next_down(ctx).await, error("x"));
        settle(ctx).await;
        assert!(ctx.is_alive(child));
    });
}

#[test]
fn otp_05_demonitor_ends_one_monitor_of_several() {
    one_node(async |ctx: &Context| {
        let child = ctx.spawn(ends_as_told);
        let [a, b] = [(); 2].map(|()| ctx.monitor(child.pid().unwrap()));
        ctx.demonitor(a, false);
        child.send(error("x"));
        assert_eq!(downs(ctx, 1).await, [(b, error("x"))]);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_05_demonitor_with_flush_leaves_nothing_behind_whatever_the_order() {
    one_node(async |ctx: &Context| {
        let (child, monitor) = ctx.spawn_monitor(|_: Context| async {});
        let other = ctx.monitor(child.pid().unwrap());
        ctx.yield_now().await;
        ctx.demonitor(monitor, true);
        // Only what belongs to that monitor is removed.
        assert_eq!(downs(ctx, 1).await, [(other, ExitReason::Normal)]);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_05_demonitor_without_flush_leaves_a_down_that_is_already_there() {
    one_node(async |ctx: &Context| {
        let (_, monitor) = ctx.spawn_monitor(|_: Context| async {});
        settle(ctx).await;
        ctx.demonitor(monitor, false);
        assert_eq!(downs(ctx, 1).await, [(monitor, ExitReason::Normal)]);
    });
}

#[test]
fn otp_05_demonitor_twice_is_as_good_as_once() {
    one_node(async |ctx: &Context| {
        let (child, monitor) = ctx.spawn_monitor(ends_as_told);
        ctx.demonitor(monitor, true);
        ctx.demonitor(monitor, true);
        child.send(error("x"));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_05_a_monitor_dies_with_who_holds_it() {
    one_node(async |ctx: &Context<()>| {
        let told = ctx.address();
        let child = ctx.spawn(ends_as_told);
        let pid = child.pid().unwrap();
        ctx.spawn(move |watcher: Context| async move {
            let _monitor = watcher.monitor(pid);
            told.send(());
        });
        ctx.receive_message().await;
        settle(ctx).await;
        child.send(error("x"));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_05_a_name_is_free_before_the_down_is_there() {
    one_node(async |ctx: &Context| {
        let (child, _monitor) = ctx.spawn_monitor(|child: Context<ExitReason>| async move {
            child.register("name").expect("a free name");
            child.receive_message().await
        });
        settle(ctx).await;
        assert_eq!(ctx.whereis("name"), child.pid());
        child.send(error("x"));
        assert_eq!(next_down(ctx).await, error("x"));
        assert_eq!(ctx.whereis("name"), None);
        assert_eq!(ctx.register("name"), Ok(()));
    });
}

#[test]
fn otp_05_a_name_is_free_before_the_exit_signal_is_there() {
    one_node(async |ctx: &Context| {
        ctx.trap_exit(true);
        ctx.spawn_link(|child: Context| async move {
            child.register("name").expect("a free name");
            child.yield_now().await;
            error("x")
        });
        assert_eq!(super::next_exit(ctx).await.1, error("x"));
        assert_eq!(ctx.whereis("name"), None);
    });
}

#[test]
fn otp_05_name_exit_and_down_come_in_this_order_in_the_trace() {
    use netsplit::trace::Event;
    let outcomes = one_node(async |ctx: &Context| {
        let (_, _monitor) = ctx.spawn_monitor(|child: Context| async move {
            child.register("name").expect("a free name");
        });
        next_down(ctx).await;
    });
    for outcome in outcomes {
        let place =
            |wanted: fn(&Event) -> bool| super::events(&outcome).position(|event| wanted(&event));
        let unnamed = place(|event| matches!(event, Event::Unnamed { .. }));
        let down = place(|event| matches!(event, Event::Down { .. }));
        assert!(unnamed.is_some() && unnamed < down);
    }
}
