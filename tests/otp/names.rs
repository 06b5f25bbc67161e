//! Rule 23, the local part: names.

use super::{dead_letters, error, idle, next_down, one_node, settle};
use netsplit::trace::DeadReason;
use netsplit::{Address, Context, ExitReason, NameError, Server, StartError};

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
