//! Rules 14 to 20, as the dynamic supervisor keeps them.

use super::{ends_as_told, error, events, next_down, one_node, settle};
use netsplit::otp::{process, sys};
use netsplit::trace::{Event, Supervision};
use netsplit::{
    Address, BackOff, ChildError, Context, DynamicSupervisor, DynamicSupervisorRef, ExitReason,
    Info, Pid, Refusal, Server, Shutdown, SpecError, StartError, Time, millis, secs,
};
use netsplit::{Flow, GenServer};
use std::cell::Cell;
use std::rc::Rc;

/// A pool of processes that end as they are told.
fn pool() -> DynamicSupervisor<u64> {
    DynamicSupervisor::new(|_| process(ends_as_told))
}

async fn started(pool: DynamicSupervisorRef<u64>, args: u64) -> Pid {
    let child = pool.start_child(args).await.expect("a start");
    child.expect("a process")
}

/// Ends a child, and lets its supervisor see to it.
async fn ends(ctx: &Context, child: Pid, reason: ExitReason) {
    Address::of(child).send(reason);
    settle(ctx).await;
}

async fn pids(pool: DynamicSupervisorRef<u64>) -> Vec<Pid> {
    let children = pool.which_children().await.expect("a pool");
    children.into_iter().filter_map(|child| child.pid).collect()
}

#[test]
fn otp_15_a_dynamic_child_that_ends_is_restarted_alone_and_keeps_its_place() {
    one_node(async |ctx: &Context| {
        let pool = pool().start(ctx).await.expect("a start");
        let (a, b) = (started(pool, 1).await, started(pool, 2).await);
        ends(ctx, a, error("bug")).await;
        let now = pids(pool).await;
        assert!(now.len() == 2 && now[0] != a && now[1] == b, "{now:?}");
        let info = &pool.which_children().await.expect("a pool")[0];
        assert_eq!((info.restarts, info.restarting), (1, false));
    });
}

#[test]
fn otp_16_more_restarts_than_the_intensity_and_the_dynamic_supervisor_gives_up() {
    one_node(async |ctx: &Context| {
        let pool = pool()
            .intensity(2, secs(5))
            .start(ctx)
            .await
            .expect("a start");
        let _down = ctx.monitor(pool.pid().expect("a pid"));
        let bystander = started(pool, 0).await;
        let mut child = started(pool, 1).await;
        for _ in 0..2 {
            ends(ctx, child, error("bug")).await;
            child = pids(pool).await[1];
        }
        Address::of(child).send(error("bug"));
        assert_eq!(next_down(ctx).await, ExitReason::Shutdown);
        assert!(!ctx.is_alive(bystander));
    });
}

#[test]
fn otp_19_a_temporary_dynamic_child_goes_for_good_and_a_transient_one_only_after_a_clean_end() {
    one_node(async |ctx: &Context| {
        let temporary = pool().temporary().start(ctx).await.expect("a start");
        let child = started(temporary, 1).await;
        ends(ctx, child, error("bug")).await;
        assert_eq!(temporary.which_children().await, Ok(vec![]));
        let clean = [
            ExitReason::Normal,
            ExitReason::Shutdown,
            ExitReason::ShutdownWith("idle".to_owned()),
        ];
        for reason in clean {
            let transient = pool().transient().start(ctx).await.expect("a start");
            let child = started(transient, 1).await;
            ends(ctx, child, reason).await;
            assert_eq!(transient.which_children().await, Ok(vec![]));
        }
        let transient = pool().transient().start(ctx).await.expect("a start");
        let child = started(transient, 1).await;
        ends(ctx, child, error("bug")).await;
        assert_eq!(pids(transient).await.len(), 1);
    });
}

/// Stops in so many milliseconds.
struct Slow(u64);

impl GenServer for Slow {
    type Args = u64;
    type Message = u64;

    async fn init(takes: u64, ctx: &mut Context<u64>) -> Result<Slow, Refusal> {
        ctx.trap_exit(true);
        match takes {
            0 => Err(Refusal::Ignore),
            1 => Err(Refusal::Stop(error("no"))),
            takes => Ok(Slow(takes)),
        }
    }

    async fn handle(&mut self, _: u64, _: &mut Context<u64>) -> Flow {
        Flow::Stop(error("told to"))
    }

    async fn terminate(&mut self, _: &ExitReason, ctx: &mut Context<u64>) {
        ctx.sleep(millis(self.0)).await;
    }
}

#[test]
fn otp_20_a_dynamic_supervisor_stops_its_children_together_and_kills_the_late() {
    one_node(async |ctx: &Context| {
        let pool = DynamicSupervisor::new(Server::<Slow>::with);
        let pool = pool.shutdown(Shutdown::Within(millis(100)));
        ctx.trap_exit(true);
        let pool = pool.start_link(ctx).await.expect("a start");
        for takes in [20, 30, 40, 5_000, 6_000] {
            started(pool, takes).await;
        }
        let all = pids(pool).await;
        let pid = pool.pid().expect("a pid");
        let _down = ctx.monitor(pid);
        // An exit that is not its parent's is no order to stop.
        ctx.spawn(move |stranger: Context| async move {
            stranger.send_exit(pid, error("a stranger's"));
        });
        ctx.sleep(millis(1)).await;
        assert_eq!(pids(pool).await.len(), 5);
        ctx.send_exit(pid, ExitReason::Shutdown);
        assert_eq!(next_down(ctx).await, ExitReason::Shutdown);
        assert_eq!(ctx.now(), Time::ZERO + millis(101));
        assert!(all.iter().all(|pid| !ctx.is_alive(*pid)));
    });
}

#[test]
fn otp_14_a_dynamic_child_that_ignores_or_refuses_its_start_is_not_kept() {
    one_node(async |ctx: &Context| {
        let pool = DynamicSupervisor::new(Server::<Slow>::with);
        let pool = pool.start(ctx).await.expect("a start");
        assert_eq!(pool.start_child(0).await, Ok(None));
        let failed = StartError::Failed(error("no"));
        assert_eq!(pool.start_child(1).await, Err(ChildError::Start(failed)));
        assert_eq!(pool.which_children().await, Ok(vec![]));
    });
}

#[test]
fn otp_17_a_dynamic_child_that_ignores_its_restart_is_dropped() {
    one_node(async |ctx: &Context| {
        let takes = Rc::new(Cell::new(10));
        let of = takes.clone();
        let pool = DynamicSupervisor::new(move |_: u64| Server::<Slow>::with(of.get()));
        let pool = pool.start(ctx).await.expect("a start");
        let child = started(pool, 1).await;
        takes.set(0);
        ctx.send_exit(child, ExitReason::Kill);
        settle(ctx).await;
        assert_eq!(pool.which_children().await, Ok(vec![]));
    });
}

#[test]
fn otp_17_a_dynamic_child_whose_restart_fails_is_tried_again_until_its_supervisor_gives_up() {
    let outcomes = one_node(async |ctx: &Context| {
        let takes = Rc::new(Cell::new(10));
        let of = takes.clone();
        let pool = DynamicSupervisor::new(move |_: u64| Server::<Slow>::with(of.get()));
        let pool = pool
            .intensity(3, secs(5))
            .start(ctx)
            .await
            .expect("a start");
        let _down = ctx.monitor(pool.pid().expect("a pid"));
        let child = started(pool, 1).await;
        // From now on no start succeeds.
        takes.set(1);
        ctx.send_exit(child, ExitReason::Kill);
        assert_eq!(next_down(ctx).await, ExitReason::Shutdown);
    });
    for outcome in outcomes {
        let restart = |event: &Event| {
            let Event::Supervision { what, .. } = event else {
                return false;
            };
            matches!(what, Supervision::Restarts { child: 0, .. })
        };
        assert_eq!(events(&outcome).filter(restart).count(), 3);
    }
}

#[test]
fn a_dynamic_supervisor_has_no_more_children_than_it_may_and_forgets_those_it_terminates() {
    one_node(async |ctx: &Context| {
        let pool = pool().max_children(2).start(ctx).await.expect("a start");
        let (a, b) = (started(pool, 1).await, started(pool, 2).await);
        assert_eq!(pool.start_child(3).await, Err(ChildError::MaxChildren(2)));
        assert_eq!(pool.terminate_child(a).await, Ok(()));
        assert_eq!(pool.terminate_child(a).await, Err(ChildError::NotFound));
        assert!(!ctx.is_alive(a));
        let c = started(pool, 3).await;
        assert_eq!(pids(pool).await, [b, c]);
        let count = pool.count_children().await.expect("a pool");
        assert_eq!(
            (count.specs, count.active, count.workers, count.supervisors),
            (2, 2, 2, 0)
        );
    });
}

#[test]
fn a_dynamic_child_that_waits_for_its_restart_counts_as_one_and_can_be_terminated() {
    one_node(async |ctx: &Context| {
        let back_off = BackOff::new(secs(10), secs(60));
        let pool = pool().back_off(back_off).max_children(1);
        let pool = pool.start(ctx).await.expect("a start");
        let child = started(pool, 1).await;
        ends(ctx, child, error("bug")).await;
        let info = &pool.which_children().await.expect("a pool")[0];
        assert_eq!((info.pid, info.restarting), (None, true));
        let status = sys::status(pool, secs(5)).await.expect("it answers");
        assert_eq!(status.state, "1 child, 0 active");
        assert_eq!(pool.start_child(2).await, Err(ChildError::MaxChildren(1)));
        assert_eq!(pool.terminate_child(child).await, Ok(()));
        ctx.sleep(secs(20)).await;
        assert_eq!(pool.which_children().await, Ok(vec![]));
    });
}

#[test]
fn a_dynamic_child_whose_end_is_told_twice_while_it_waits_is_restarted_once() {
    one_node(async |ctx: &Context| {
        let says_so_first = async |own: Context<ExitReason>| {
            let reason = own.receive_message().await;
            own.send_exit("pool", reason.clone());
            reason
        };
        let pool = DynamicSupervisor::new(move |_: u64| process(says_so_first));
        let pool = pool.name("pool").back_off(BackOff::new(secs(1), secs(1)));
        let pool = pool.start(ctx).await.expect("a start");
        let child = started(pool, 1).await;
        ends(ctx, child, error("bug")).await;
        ctx.sleep(secs(1)).await;
        let info = &pool.which_children().await.expect("it has not given up")[0];
        assert_eq!((info.restarts, info.restarting), (1, false));
    });
}

#[test]
fn an_intensity_without_a_period_is_refused_before_anything_is_started() {
    one_node(async |ctx: &Context| {
        let pool = pool().intensity(1, secs(0)).start_link(ctx).await;
        assert_eq!(pool, Err(StartError::Spec(SpecError::NoPeriod)));
    });
}

#[test]
fn a_dynamic_supervisor_dies_with_its_parent_and_its_children_with_it() {
    one_node(async |ctx: &Context| {
        let (parent, _down) = ctx.spawn_monitor(|parent: Context<ExitReason>| async move {
            let pool = pool()
                .name("pool")
                .start_link(&parent)
                .await
                .expect("a start");
            started(pool, 1).await;
            parent.receive_message().await
        });
        ctx.sleep(millis(1)).await;
        let pool = DynamicSupervisorRef::<u64>::at(ctx.node(), "pool");
        let child = pids(pool).await[0];
        let monitor = ctx.monitor(child);
        parent.send(error("the parent's"));
        ctx.receive_info(|info| matches!(info, Info::Down { monitor: m, .. } if *m == monitor))
            .await;
        settle(ctx).await;
        assert_eq!(ctx.whereis("pool"), None);
    });
}
