//! Names across nodes: whoever holds one is found when the signal comes there.

use super::chaos::sweep;
use super::{
    across, clean_runs, ends_as_told, ends_with, error, idle, logged, next_down, nothing_comes,
    pid, settle, start,
};
use netsplit::trace::Event;
use netsplit::{
    Address, CallError, Context, ExitReason, Fault, Faults, Info, Keep, MonitorRef, Pid, ReplyTo,
    Scenario, Time, millis, secs,
};
use std::collections::BTreeMap;

/// A process that takes a name, and ends for the reason that it is sent.
async fn holder(own: Context<ExitReason>) -> ExitReason {
    own.register("name").expect("a free name");
    ends_as_told(own).await
}

/// Starts one on the node `far`, and waits until it has its name.
async fn start_holder() -> Address<ExitReason> {
    let far = start().await;
    let named = Address::<ReplyTo<u64>>::named("far", "name");
    // It takes no questions, so a call of it fails when it is there, and with `NoProc` before.
    while named.call(|to| to, secs(20)).await == Err(CallError::NoProc) {}
    far
}

async fn down<M: netsplit::Message>(ctx: &Context<M>) -> (MonitorRef, ExitReason) {
    let down = ctx.receive_info(|info| matches!(info, Info::Down { .. }));
    let Info::Down {
        monitor,
        of,
        reason,
    } = down.await
    else {
        unreachable!("nothing else was asked for")
    };
    assert_eq!(of, monitor.of());
    (monitor, reason)
}

#[test]
fn otp_05_and_23_a_monitor_by_name_is_one_of_its_holder_across_nodes() {
    across(holder, async |ctx: &Context| {
        let far = start_holder().await;
        let node = pid(far).node();
        let mut monitors = vec![ctx.monitor(("far", "name")), ctx.monitor((node, "name"))];
        monitors.push(ctx.monitor(Address::<u64>::named("far", "name")));
        monitors.push(ctx.monitor(far));
        far.send(error("x"));
        let mut told = Vec::new();
        for _ in 0..4 {
            let (monitor, reason) = down(ctx).await;
            assert_eq!(reason, error("x"));
            told.push(monitor);
        }
        told.sort_unstable();
        assert_eq!(told, monitors);
        assert_eq!(monitors[0].of(), (node, "name").into());
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_05_and_23_a_monitor_of_a_name_that_nobody_holds_gives_noproc_across_nodes() {
    across(holder, async |ctx: &Context| {
        let monitor = ctx.monitor(("far", "name"));
        assert_eq!(down(ctx).await, (monitor, ExitReason::NoProc));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_05_and_23_whose_name_it_is_is_decided_when_the_monitor_comes_there_across_nodes() {
    // The name is taken by a process that is told to before the monitor is sent: a pair's order.
    let role = |own: Context<Option<ExitReason>>| async move {
        let mut reason = None;
        while reason.is_none() {
            reason = own.receive_message().await;
            let _taken = own.register("name");
        }
        reason.unwrap()
    };
    across(role, async |ctx: &Context| {
        let far = start::<Option<ExitReason>>().await;
        far.send(None);
        let monitor = ctx.monitor(("far", "name"));
        settle(ctx).await;
        far.send(Some(error("x")));
        let (of, reason) = down(ctx).await;
        assert_eq!(of, monitor);
        // It had come, and had it taken the name too, or not yet.
        assert!([error("x"), ExitReason::NoProc].contains(&reason));
    });
}

#[test]
fn otp_05_and_23_demonitor_ends_a_monitor_by_name_and_nobody_is_told_across_nodes() {
    let outcomes = logged(holder, async |ctx: &Context| {
        let far = start_holder().await;
        let [gone, kept, flushed] = [(); 3].map(|()| ctx.monitor(("far", "name")));
        settle(ctx).await;
        ctx.demonitor(gone, false);
        far.send(error("x"));
        ctx.sleep(millis(ctx.random_below(20))).await;
        ctx.demonitor(flushed, true);
        assert_eq!(down(ctx).await, (kept, error("x")));
        nothing_comes(ctx).await;
    });
    for outcome in outcomes {
        let signals = super::events(&outcome).filter(|event| {
            // What goes back: two downs at most, of three monitors.
            let Event::Packet { id, kind, .. } = event else {
                return false;
            };
            *kind == netsplit::PacketKind::Signal && id.from.node().to_string() == "far"
        });
        assert!(signals.count() <= 2);
    }
}

#[test]
fn otp_05_and_23_a_lost_connection_ends_a_monitor_by_name_across_nodes() {
    across(holder, async |ctx: &Context| {
        let far = start_holder().await;
        let before = ctx.monitor(("far", "name"));
        settle(ctx).await;
        ctx.disconnect(pid(far).node());
        assert_eq!(down(ctx).await, (before, ExitReason::NoConnection));
        // One that is set afterwards is another: each tells once.
        let after = ctx.monitor(("far", "name"));
        settle(ctx).await;
        far.send(error("x"));
        assert_eq!(down(ctx).await, (after, error("x")));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_05_and_23_a_monitor_by_name_dies_with_who_holds_it_across_nodes() {
    let outcomes = logged(holder, async |ctx: &Context<()>| {
        let far = start_holder().await;
        let told = ctx.address();
        ctx.spawn(move |watcher: Context| async move {
            let _monitor = watcher.monitor(("far", "name"));
            told.send(());
        });
        ctx.receive_message().await;
        settle(ctx).await;
        far.send(error("x"));
        nothing_comes(ctx).await;
    });
    for outcome in outcomes {
        assert!(!super::events(&outcome).any(|event| matches!(event, Event::Down { .. })));
    }
}

#[test]
fn otp_04_and_23_an_exit_by_name_ends_its_holder_across_nodes() {
    across(holder, async |ctx: &Context| {
        ctx.send_exit(("far", "name"), ExitReason::Kill);
        let far = start_holder().await;
        let _monitor = ctx.monitor(far);
        settle(ctx).await;
        ctx.send_exit(("far", "name"), error("by name"));
        assert_eq!(next_down(ctx).await, error("by name"));
        let far = start_holder().await;
        let _monitor = ctx.monitor(far);
        ctx.send_exit(Address::<u64>::named("far", "name"), ExitReason::Kill);
        assert_eq!(next_down(ctx).await, ExitReason::Killed);
    });
}

#[test]
fn is_alive_knows_nothing_of_the_names_of_another_node() {
    across(holder, async |ctx: &Context| {
        let far = start_holder().await;
        assert!(!ctx.is_alive(far) && !ctx.is_alive(("far", "name")));
    });
}

#[test]
fn otp_05_and_23_a_monitor_by_name_finds_the_next_incarnation_after_a_reboot() {
    let scenario = Scenario::new("reboot").node("far", |own: Context<u64>| async move {
        own.register("name").expect("a free name");
        idle(own).await;
    });
    let scenario = ends_with(scenario, async |ctx: &Context| {
        for _ in 0..2 {
            let monitor = ctx.monitor(("far", "name"));
            // The crash ends it, and while the node is down every other.
            let (of, reason) = down(ctx).await;
            assert_eq!((of, reason), (monitor, ExitReason::NoConnection));
            ctx.sleep(secs(30)).await;
        }
        let _monitor = ctx.monitor(("far", "name"));
        settle(ctx).await;
        assert_eq!(ctx.mailbox_len(), 0, "it lives");
    });
    let crash = || Fault::crash("far", secs(10));
    let faults = Faults::calm().at(secs(5), crash()).at(secs(60), crash());
    clean_runs(&scenario.faults(faults), 20, Keep::default());
}

/// Monitors of names on a peer, and how many downs each has brought.
type Told = BTreeMap<(Pid, MonitorRef), u32>;

/// Monitors a name of a peer again and again, mostly until it is told of an end.
async fn watch(own: Context, peer: &str, until: Time) {
    while own.now() < until {
        let monitor = own.monitor((peer, "name"));
        let key = (own.pid(), monitor);
        own.observe("told", |told: &mut Told| {
            told.insert(key, 0);
        });
        if own.random_below(4) == 0 {
            own.sleep(millis(own.random_below(2_000))).await;
            own.demonitor(monitor, true);
            // From now on one would be too many.
            own.observe("told", |told: &mut Told| {
                told.insert(key, 1);
            });
        } else {
            let (fired, reason) = down(&own).await;
            own.count(&reason.to_string());
            own.observe("told", |told: &mut Told| {
                *told.entry((own.pid(), fired)).or_default() += 1;
            });
        }
    }
}

#[test]
fn otp_05_and_23_under_chaos_each_monitor_by_name_gives_one_down_and_a_flushed_one_none() {
    const FAULTS: u64 = 40;
    let until = Time::ZERO + secs(FAULTS + 100);
    let mut scenario = Scenario::new("names").faults(Faults::chaos());
    for (node, peer) in [("a", "b"), ("b", "a")] {
        scenario = scenario.node(node, move |ctx: Context| async move {
            for _ in 0..2 {
                ctx.spawn(move |own: Context| watch(own, peer, until));
            }
            loop {
                let life = millis(ctx.random_below(5_000));
                let (_, _monitor) = ctx.spawn_monitor(move |own: Context| async move {
                    own.register("name").expect("a name whose holder has ended");
                    own.sleep(life).await;
                });
                down(&ctx).await;
            }
        });
    }
    let scenario = scenario.horizon(secs(FAULTS)).script(move |sim| {
        sim.run_for(secs(FAULTS));
        sim.quiet();
        sim.run_for(secs(200));
        for ((by, monitor), downs) in sim.observed::<Told>("told").unwrap_or_default() {
            let lives = sim.view(|view| super::chaos::still_up(view, by));
            assert!(
                downs == 1 || !lives && downs == 0,
                "{by} was told {downs} times of {monitor:?}"
            );
        }
    });
    sweep(&scenario, &["noconnection", "noproc", "normal"]);
}
