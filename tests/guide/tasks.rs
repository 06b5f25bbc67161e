//! The code of `docs/guide/tasks.md`.

use super::pages::TASKS;
use netsplit::otp::{OnTimeout, process};
use netsplit::{
    Context, ExitReason, Scenario, Shutdown, Supervisor, Task, TaskError, TaskSupervisor,
    TaskSupervisorRef, check, child, millis, secs,
};

/// Works for so many milliseconds; at 13 it fails.
async fn work(ctx: Context, long: u64) -> u64 {
    ctx.sleep(millis(long)).await;
    assert!(long != 13, "thirteen is too much");
    2 * long
}

#[test]
fn a_task_works_out_one_value() {
    let scenario = Scenario::new("tasks").client("a", |ctx: Context| async move {
        let (a, b) = (Task::async_(|c| work(c, 20)), Task::async_(|c| work(c, 30)));
        // Both work at once, and whoever ends this process ends them: they are linked.
        assert_eq!(
            a.await_within(secs(1)).await? + b.await_within(secs(1)).await?,
            100
        );

        let fails = Task::async_nolink(|c| work(c, 13)); // its failure is a value, and no more
        let reason = ExitReason::Panic("thirteen is too much".to_owned());
        assert_eq!(
            fails.await_within(secs(1)).await,
            Err(TaskError::Exit(reason))
        );

        let mut slow = Task::async_(|c| work(c, 5_000));
        assert_eq!(slow.yield_within(secs(1)).await, None); // not yet: ask again, or
        let stopped = slow.shutdown(Shutdown::Within(secs(1))).await;
        assert_eq!(stopped, Err(TaskError::Exit(ExitReason::Shutdown)));
        ctx.count("done");
        Ok::<(), ExitReason>(())
    });
    check(scenario.finally("done", |view| view.counter("done") == 1));
}

#[test]
fn a_stream_of_tasks_works_on_so_many_items_at_once() {
    let scenario = Scenario::new("stream").client("a", |ctx: Context| async move {
        let mut results = Task::async_stream([50, 10, 900, 20], work)
            .max_concurrency(2)
            .timeout(millis(100)) // for each
            .on_timeout(OnTimeout::KillTask);
        assert_eq!(results.next().await, Some(Ok(100))); // in the order of the items
        assert_eq!(results.next().await, Some(Ok(20)));
        assert_eq!(results.next().await, Some(Err(TaskError::Timeout)));
        assert_eq!(results.collect().await, [Ok(40)]);
        ctx.count("done");
    });
    check(scenario.finally("done", |view| view.counter("done") == 1));
}

async fn user(ctx: Context) {
    let tasks = TaskSupervisorRef::named("tasks");
    let task = tasks
        .async_nolink(|c| work(c, 10))
        .await
        .expect("there is room");
    assert_eq!(tasks.children().await, Ok(vec![task.pid()]));
    assert_eq!(task.await_within(secs(1)).await, Ok(20));
    tasks
        .start_child(|c: Context| async move { c.count("told") })
        .await
        .expect("there is room");
    ctx.count("done");
}

#[test]
fn tasks_stand_under_a_supervisor() {
    let scenario = Scenario::new("tree").node("house", |ctx| {
        Supervisor::one_for_one()
            .child(child("tasks", || {
                TaskSupervisor::new().name("tasks").max_children(100)
            }))
            .child(child("user", || process(user)).transient())
            .run(ctx)
    });
    check(scenario.finally("done", |view| {
        view.counter("done") + view.counter("told") == 2
    }));
}

#[test]
fn the_page_shows_the_code_that_is_tested() {
    TASKS.is_held_by(&[include_str!("tasks.rs")]);
}
