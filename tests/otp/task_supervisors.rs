//! Tasks under a supervisor.

use super::tasks::{after, panicked, stubborn};
use super::{all_seeds, error, idle, next_down, nothing_comes, one_node, settle};
use futures::future::select;
use netsplit::otp::{OnTimeout, process, sys};
use netsplit::trace::Event;
use netsplit::{
    Address, ChildError, Context, ExitReason, Fault, Faults, Message, Never, Scenario, Supervisor,
    Task, TaskError, TaskSupervisor, TaskSupervisorRef, child, millis, secs,
};
use std::rc::Rc;
use std::time::Duration;

async fn tasks<M: Message>(ctx: &Context<M>) -> TaskSupervisorRef {
    let supervisor = TaskSupervisor::new().name("tasks").start_link(ctx).await;
    supervisor.expect("a free name")
}

#[test]
fn a_supervised_task_gives_its_value_and_is_a_child_until_then() {
    one_node(async |ctx: &Context| {
        let tasks = tasks(ctx).await;
        let slow = tasks
            .async_(|own| after(own, 50, 1))
            .await
            .expect("it runs");
        let fast = TaskSupervisorRef::named("tasks").async_nolink(|own| async move {
            own.sleep(millis(10)).await;
            Rc::new(2)
        });
        let fast = fast.await.expect("it runs");
        let child = tasks
            .start_child(|own| after_unit(own, 90))
            .await
            .expect("it runs");
        assert_eq!(
            tasks.children().await,
            Ok(vec![slow.pid(), fast.pid(), child])
        );
        assert_eq!(fast.await_within(secs(1)).await, Ok(Rc::new(2)));
        assert_eq!(slow.await_within(secs(1)).await, Ok(1));
        assert_eq!(tasks.children().await, Ok(vec![child]));
        assert_eq!(tasks.terminate_child(child).await, Ok(()));
        assert_eq!(
            tasks.terminate_child(child).await,
            Err(ChildError::NotFound)
        );
        assert_eq!(tasks.children().await, Ok(vec![]));
        nothing_comes(ctx).await;
    });

    async fn after_unit(own: Context, wait: u64) {
        after(own, wait, 0).await;
    }
}

#[test]
fn a_supervised_task_fails_as_its_link_says_and_its_supervisor_lives() {
    one_node(async |ctx: &Context| {
        let tasks = tasks(ctx).await;
        let fails = |own: Context| async move {
            own.sleep(millis(1)).await;
            panic!("a bug");
        };
        let task: Task<u64> = tasks.async_nolink(fails).await.expect("it runs");
        assert_eq!(task.await_within(secs(1)).await, Err(panicked("a bug")));
        let at_once: Task<u64> = tasks.async_nolink(|_| panics()).await.expect("it runs");
        assert_eq!(
            at_once.await_within(secs(1)).await,
            Err(panicked("at once"))
        );
        let (_, _monitor) = ctx.spawn_monitor(move |_: Context| async move {
            let task: Task<u64> = tasks.async_(fails).await.expect("it runs");
            drop(task.await_within(secs(1)).await);
            unreachable!("it dies with its task")
        });
        assert_eq!(next_down(ctx).await, ExitReason::Panic("a bug".to_owned()));
        assert_eq!(tasks.children().await, Ok(vec![]));
        nothing_comes(ctx).await;
    });

    #[allow(clippy::unused_async, reason = "it panics before it is a future")]
    fn panics() -> std::future::Ready<u64> {
        panic!("at once")
    }
}

#[test]
fn what_was_done_before_its_owner_is_told_of_the_start_is_not_lost() {
    one_node(async |ctx: &Context| {
        let tasks = tasks(ctx).await;
        for _ in 0..10 {
            let task = tasks.async_nolink(|_| async { 5 }).await.expect("it runs");
            assert_eq!(task.await_within(Duration::ZERO).await, Ok(5));
        }
    });
}

#[test]
fn a_task_supervisor_takes_no_more_than_it_may_and_none_when_it_does_not_run() {
    one_node(async |ctx: &Context| {
        let tasks = TaskSupervisor::new().max_children(1).start_link(ctx).await;
        let tasks = tasks.expect("it starts");
        let first = tasks
            .async_(|own| after(own, 5, 1))
            .await
            .expect("there is room");
        let second = tasks.async_(|own| after(own, 5, 2)).await;
        assert_eq!(second.err(), Some(ChildError::MaxChildren(1)));
        assert_eq!(first.await_within(secs(1)).await, Ok(1));
        assert!(tasks.async_(|own| after(own, 5, 2)).await.is_ok());
        let nobody = TaskSupervisorRef::named("nobody");
        let failed = nobody.async_(|own| after(own, 5, 2)).await.err();
        assert_eq!(failed, Some(ChildError::Call(netsplit::CallError::NoProc)));
        let stream = nobody
            .async_stream([1], |own, n| after(own, 1, n))
            .collect()
            .await;
        assert!(matches!(stream[..], [Err(TaskError::NotStarted(_))]));
    });
}

#[test]
fn supervised_tasks_are_stopped_with_their_tree_together() {
    let scenario = Scenario::new("tree").node("house", |ctx| {
        Supervisor::one_for_one()
            .child(child("tasks", || TaskSupervisor::new().name("tasks")))
            .child(child("user", || process(user)).temporary())
            .run(ctx)
    });
    async fn user(_: Context) {
        let tasks = TaskSupervisorRef::named("tasks");
        for _ in 0..3 {
            tasks.start_child(stubborn_unit).await.expect("it runs");
            tasks.start_child(idle::<Never>).await.expect("it runs");
        }
    }
    async fn stubborn_unit(own: Context) {
        stubborn(own).await;
    }
    let stop = Fault::stop("house", secs(60), secs(60));
    let faults = Faults::calm().at(secs(1), stop);
    let scenario = scenario.finally("its log tells", |_| true);
    for outcome in all_seeds(&scenario.faults(faults).horizon(secs(30))) {
        let log = outcome.log.as_ref().expect("a log");
        let entries = log.entries().iter();
        let halts: Vec<u64> = entries
            .filter(|entry| matches!(entry.event, Event::Halt { .. }))
            .map(|entry| entry.at_ns)
            .collect();
        // Asked at once, and killed together 5 s later.
        assert_eq!(halts, [6_000_000_000]);
    }
}

#[test]
fn a_task_that_its_owner_no_longer_waits_for_is_not_started() {
    one_node(async |ctx: &Context| {
        let tasks = tasks(ctx).await;
        let supervisor = Address::<Never>::at(ctx.node(), "tasks");
        for drops in [true, false] {
            sys::suspend(supervisor, secs(1)).await.expect("it runs");
            let (owner, _monitor) = ctx.spawn_monitor(move |own: Context| async move {
                let runs = |own: Context| async move { own.count("ran") };
                let start = Box::pin(tasks.async_nolink(runs));
                let enough = if drops { millis(1) } else { secs(10) };
                let enough = Box::pin(own.sleep(enough));
                // The request lies in the mailbox of its supervisor.
                drop(select(start, enough).await);
                own.sleep(secs(10)).await;
            });
            ctx.sleep(millis(2)).await;
            if !drops {
                ctx.send_exit(owner, ExitReason::Kill);
            }
            sys::resume(supervisor, secs(1)).await.expect("it runs");
            settle(ctx).await;
            ctx.send_exit(owner, ExitReason::Kill);
            next_down(ctx).await;
        }
    })
    .iter()
    .for_each(|outcome| assert!(outcome.counters.is_empty(), "{:?}", outcome.counters));
}

#[test]
fn a_supervised_task_that_is_linked_ends_with_its_owner() {
    one_node(async |ctx: &Context| {
        let tasks = tasks(ctx).await;
        let (owner, _monitor) = ctx.spawn_monitor(move |own: Context| async move {
            let _linked = tasks.async_(stubborn_not).await.expect("it runs");
            let _free = tasks.async_nolink(stubborn_not).await.expect("it runs");
            own.sleep(secs(10)).await;
        });
        settle(ctx).await;
        let children = tasks.children().await.expect("it runs");
        ctx.send_exit(owner, error("x"));
        next_down(ctx).await;
        assert!(!ctx.is_alive(children[0]) && ctx.is_alive(children[1]));
    });

    async fn stubborn_not(own: Context) {
        idle(own).await;
    }
}

#[test]
fn a_supervised_stream_is_as_any_other_and_its_tasks_end_with_their_owner() {
    one_node(async |ctx: &Context| {
        let tasks = tasks(ctx).await;
        let stream = tasks.async_stream([30u64, 10, 20], |own, n| after(own, n, n));
        let results = stream.max_concurrency(2).collect().await;
        assert_eq!(results, [Ok(30), Ok(10), Ok(20)]);
        let stream = tasks.async_stream_nolink([30u64, 900, 20], |own, n| after(own, n, n));
        let stream = stream.timeout(millis(100)).on_timeout(OnTimeout::KillTask);
        assert_eq!(
            stream.collect().await,
            [Ok(30), Err(TaskError::Timeout), Ok(20)]
        );
        let (owner, _monitor) = ctx.spawn_monitor(move |_: Context| async move {
            let wait = |own, n| after(own, n, n);
            drop(
                tasks
                    .async_stream_nolink([9_000u64; 3], wait)
                    .no_timeout()
                    .collect()
                    .await,
            );
        });
        ctx.sleep(millis(10)).await;
        assert_eq!(tasks.children().await.expect("it runs").len(), 3);
        ctx.send_exit(owner, ExitReason::Kill);
        next_down(ctx).await;
        settle(ctx).await;
        assert_eq!(tasks.children().await, Ok(vec![]));
        nothing_comes(ctx).await;
    });
}
