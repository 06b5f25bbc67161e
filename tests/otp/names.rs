//! Rule 23, the local part: names.

use super::gen_server::{Plan, Probe};
use super::{dead_letters, ends_as_told, error, idle, next_down, nothing_comes, one_node, settle};
use netsplit::trace::DeadReason;
use netsplit::{
    Address, Context, ExitReason, Info, NameError, Pid, Server, StartError, Target, millis, secs,
};

/// A process that takes a name, and ends for the reason that it is sent.
async fn holder(own: Context<ExitReason>) -> ExitReason {
    own.register("name").expect("a free name");
    ends_as_told(own).await
}

#[test]
fn otp_23_a_name_has_one_holder_and_an_error_names_it() {
    one_node(async |ctx: &Context| {
        let child = ctx.spawn(|child: Context| async move {
            child.register("name").expect("a free name");
            idle(child).await;
        });
        settle(ctx).await;
        let holder = child.pid().unwrap();
        let name = "name".to_owned();
        assert_eq!(ctx.register("name"), Err(NameError::Taken { name, holder }));
        assert_eq!(ctx.whereis("name"), Some(holder));
    });
}

#[test]
fn otp_23_a_process_has_one_name() {
    one_node(async |ctx: &Context| {
        assert_eq!(ctx.register("a"), Ok(()));
        let twice = ctx.register("a");
        assert!(matches!(twice, Err(NameError::Taken { holder, .. }) if holder == ctx.pid()));
        assert_eq!(ctx.register("b"), Err(NameError::Named("b".to_owned())));
        assert_eq!(ctx.whereis("b"), None);
    });
}

#[test]
fn otp_23_a_name_given_back_can_be_taken_by_another() {
    one_node(async |ctx: &Context| {
        assert_eq!(ctx.register("a"), Ok(()));
        ctx.unregister();
        ctx.unregister();
        assert_eq!(ctx.whereis("a"), None);
        assert_eq!(ctx.register("b"), Ok(()));
        let child = ctx.spawn(|child: Context| async move {
            child.register("a").expect("a free name");
            idle(child).await;
        });
        settle(ctx).await;
        assert_eq!(ctx.whereis("a"), child.pid());
    });
}

#[test]
fn otp_23_a_name_is_freed_on_every_way_out() {
    one_node(async |ctx: &Context| {
        for way in 0..7 {
            let (child, _monitor) = ctx.spawn_monitor(move |child: Context<()>| async move {
                child.register("name").expect("free again");
                child.receive_message().await;
                match way {
                    0 => ExitReason::Normal,
                    1 => error("x"),
                    2 => panic!("on purpose"),
                    3 => {
                        child.exit(ExitReason::Shutdown).await;
                        unreachable!("exit never returns")
                    }
                    4 => {
                        child.link(super::dead_pid(&child).await);
                        child.receive_message().await;
                        unreachable!("a dead link ends it")
                    }
                    _ => {
                        child.receive_message().await;
                        unreachable!("it was killed")
                    }
                }
            });
            settle(ctx).await;
            assert_eq!(ctx.whereis("name"), child.pid());
            child.send(());
            match way {
                5 => ctx.send_exit(child.pid().unwrap(), ExitReason::Kill),
                6 => ctx.send_exit(child.pid().unwrap(), error("asked to")),
                _ => {}
            }
            next_down(ctx).await;
            assert_eq!(ctx.whereis("name"), None, "way out {way}");
        }
    });
}

#[test]
fn otp_23_an_address_by_name_stays_good_across_restarts_and_a_pid_does_not() {
    let outcomes = one_node(async |ctx: &Context<(u64, u64)>| {
        let told = ctx.address();
        let by_name = Address::<u64>::at(ctx.node(), "worker");
        let mut pids = Vec::new();
        for life in 0..2 {
            let (worker, _monitor) = ctx.spawn_monitor(move |own: Context<u64>| async move {
                own.register("worker").expect("a free name");
                let got = own.receive_message().await;
                told.send((life, got));
            });
            settle(ctx).await;
            by_name.send(7 + life);
            assert_eq!(ctx.receive_message().await, (life, 7 + life));
            next_down(ctx).await;
            pids.push(worker);
        }
        pids[0].send(9);
        by_name.send(10);
    });
    for outcome in outcomes {
        assert_eq!(
            dead_letters(&outcome),
            [DeadReason::NoProc, DeadReason::NoName]
        );
    }
}

#[test]
fn otp_23_a_server_whose_name_is_taken_does_not_start_and_its_starter_lives() {
    use super::gen_server::{Plan, Probe};
    one_node(async |ctx: &Context<String>| {
        ctx.register("taken").expect("a free name");
        let plan = Plan::new(ctx.address());
        let start = Server::<Probe>::with(plan).name("taken").start_link(ctx);
        assert_eq!(start.await, Err(StartError::AlreadyStarted(ctx.pid())));
        super::nothing_comes(ctx).await;
    });
}

#[test]
fn otp_05_and_23_a_monitor_by_name_is_one_of_its_holder_and_the_down_tells_the_name() {
    one_node(async |ctx: &Context| {
        let child = ctx.spawn(holder);
        settle(ctx).await;
        let by_name = [
            ctx.monitor("name"),
            ctx.monitor((ctx.node(), "name")),
            ctx.monitor(("client", "name")),
            ctx.monitor(Address::<u64>::at(ctx.node(), "name")),
        ];
        let by_pid = ctx.monitor(child);
        child.send(error("x"));
        let expected = by_name.into_iter().chain([by_pid]);
        let mut told = Vec::new();
        for _ in 0..5 {
            let Info::Down {
                monitor,
                of,
                reason,
            } = ctx.receive_info(|_| true).await
            else {
                unreachable!("nothing else comes")
            };
            assert_eq!((of, reason), (monitor.of(), error("x")));
            told.push(monitor);
        }
        told.sort_unstable();
        assert!(told.into_iter().eq(expected));
        assert_eq!(by_name[0].of(), Target::from("name"));
        assert_eq!(by_pid.of().pid(), child.pid());
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_05_and_23_a_monitor_by_a_name_that_nobody_holds_gives_noproc() {
    one_node(async |ctx: &Context| {
        let monitor = ctx.monitor("name");
        let down = Info::Down {
            monitor,
            of: "name".into(),
            reason: ExitReason::NoProc,
        };
        assert_eq!(ctx.receive_info(|_| true).await, down);
        let child = ctx.spawn(holder);
        settle(ctx).await;
        // Killed, and not gone yet: its name is nobody's.
        ctx.send_exit(child, ExitReason::Kill);
        let _monitor = ctx.monitor("name");
        assert_eq!(next_down(ctx).await, ExitReason::NoProc);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_05_and_23_a_monitor_by_name_stays_with_its_process_when_the_name_goes_to_another() {
    one_node(async |ctx: &Context| {
        let first = ctx.spawn(|own: Context<bool>| async move {
            own.register("name").expect("a free name");
            while own.receive_message().await {
                own.unregister();
            }
        });
        settle(ctx).await;
        let monitor = ctx.monitor("name");
        first.send(true);
        settle(ctx).await;
        let second = ctx.spawn(holder);
        settle(ctx).await;
        second.send(error("x"));
        nothing_comes(ctx).await;
        first.send(false);
        let down = Info::Down {
            monitor,
            of: "name".into(),
            reason: ExitReason::Normal,
        };
        assert_eq!(ctx.receive_info(|_| true).await, down);
    });
}

#[test]
fn otp_05_and_23_demonitor_ends_a_monitor_by_name_whoever_has_the_name_now() {
    let outcomes = one_node(async |ctx: &Context| {
        let first = ctx.spawn(|own: Context<()>| async move {
            own.register("name").expect("a free name");
            own.receive_message().await;
            own.unregister();
            own.receive_message().await;
        });
        settle(ctx).await;
        let [gone, kept] = [(); 2].map(|()| ctx.monitor("name"));
        if ctx.random_below(2) == 0 {
            first.send(());
            settle(ctx).await;
            ctx.spawn(holder);
            settle(ctx).await;
        }
        ctx.demonitor(gone, false);
        ctx.demonitor(gone, false);
        ctx.send_exit(first, error("x"));
        let Info::Down { monitor, .. } = ctx.receive_info(|_| true).await else {
            unreachable!("nothing else comes")
        };
        assert_eq!(monitor, kept);
        nothing_comes(ctx).await;
        // One that has fired is flushed.
        ctx.send_exit("name", ExitReason::Kill);
        let fired = ctx.monitor("name");
        ctx.demonitor(fired, true);
        nothing_comes(ctx).await;
    });
    for outcome in outcomes {
        let down = |event: &_| matches!(event, netsplit::trace::Event::Down { .. });
        assert_eq!(super::events(&outcome).filter(down).count(), 2);
    }
}

#[test]
fn otp_05_and_23_a_monitor_by_name_dies_with_who_holds_it() {
    let outcomes = one_node(async |ctx: &Context| {
        let child = ctx.spawn(holder);
        settle(ctx).await;
        ctx.spawn(|watcher: Context| async move {
            let _monitors = [watcher.monitor("name"), watcher.monitor("name")];
        });
        settle(ctx).await;
        child.send(error("x"));
        settle(ctx).await;
    });
    for outcome in outcomes {
        let down = |event| matches!(event, netsplit::trace::Event::Down { .. });
        assert!(!super::events(&outcome).any(down));
    }
}

#[test]
fn otp_04_and_23_an_exit_by_name_ends_its_holder_and_no_other() {
    one_node(async |ctx: &Context| {
        ctx.send_exit("name", ExitReason::Kill);
        for _ in 0..2 {
            let (child, _monitor) = ctx.spawn_monitor(holder);
            assert!(!ctx.is_alive("name"));
            settle(ctx).await;
            assert!(ctx.is_alive("name") && ctx.is_alive(child));
            ctx.send_exit("name", error("by name"));
            assert!(!ctx.is_alive("name") && !ctx.is_alive(child));
            assert_eq!(next_down(ctx).await, error("by name"));
        }
        // A process can ask itself by its own name.
        let (_, _monitor) = ctx.spawn_monitor(|own: Context| async move {
            own.register("own").expect("a free name");
            own.send_exit("own", ExitReason::Normal);
            own.sleep(millis(1)).await;
            unreachable!("it never returns from an await")
        });
        assert_eq!(next_down(ctx).await, ExitReason::Normal);
    });
}

#[test]
fn otp_23_of_two_who_start_a_server_of_one_name_at_once_one_hears_of_the_other_and_lives() {
    one_node(async |ctx: &Context<Result<Pid, StartError>>| {
        let told = ctx.address();
        for _ in 0..2 {
            ctx.spawn(move |own: Context| async move {
                let started = Server::<Probe>::with(Plan::new(Address::at(own.node(), "nobody")))
                    .name("till")
                    .start_link(&own)
                    .await;
                told.send(started.map(|till| till.pid().expect("a pid")));
                own.sleep(secs(1)).await;
                own.count("lives");
            });
        }
        let (a, b) = (ctx.receive_message().await, ctx.receive_message().await);
        let till = ctx.whereis("till").expect("one of them");
        let taken = Err(StartError::AlreadyStarted(till));
        assert!([(Ok(till), taken.clone()), (taken, Ok(till))].contains(&(a, b)));
        ctx.sleep(secs(2)).await;
    })
    .iter()
    .for_each(|outcome| assert_eq!(outcome.counters["lives"], 2));
}
