//! Tasks: beyond OTP's own rules, as Elixir has them.

use super::{clean_runs, error, idle, next_down, next_exit, nothing_comes, one_node, settle};
use futures::future::join;
use netsplit::otp::process;
use netsplit::trace::Event;
use netsplit::{
    Context, ExitReason, Fault, Faults, Keep, Pid, Received, Scenario, Shutdown, Supervisor, Task,
    TaskError, TaskSupervisor, TaskSupervisorRef, Time, child, millis, secs,
};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Gives a number after so many milliseconds.
pub(super) async fn after(own: Context, wait: u64, number: u64) -> u64 {
    own.sleep(millis(wait)).await;
    number
}

/// Never ends by itself, and not by `shutdown` either.
pub(super) async fn stubborn(own: Context) -> u64 {
    own.trap_exit(true);
    idle(own).await;
    0
}

pub(super) fn panicked(text: &str) -> TaskError {
    TaskError::Exit(ExitReason::Panic(text.to_owned()))
}

// ---- one task

#[test]
fn a_task_gives_its_value_of_any_type_and_nothing_comes_into_the_mailbox() {
    one_node(async |ctx: &Context| {
        // No message could hold it.
        let shared = Rc::new(RefCell::new(vec![1]));
        let held = shared.clone();
        let task = Task::async_(|own: Context| async move {
            own.sleep(millis(3)).await;
            held.borrow_mut().push(2);
            held
        });
        let began = ctx.now();
        let held = task.await_within(secs(5)).await.expect("it returns");
        assert!(Rc::ptr_eq(&held, &shared));
        assert_eq!((*held.borrow()).as_slice(), [1, 2]);
        assert_eq!(ctx.now().since(began), millis(3));
        assert_eq!(ctx.mailbox_len(), 0);
    });
}

#[test]
fn a_task_that_has_ended_gives_its_value_whenever_it_is_asked_for() {
    one_node(async |ctx: &Context| {
        let tasks = [1, 2, 3].map(|n| Task::async_(move |own| after(own, n, n)));
        ctx.sleep(secs(1)).await;
        for (task, n) in tasks.into_iter().zip(1..) {
            assert_eq!(task.await_within(Duration::ZERO).await, Ok(n));
        }
    });
}

#[test]
fn two_tasks_are_awaited_at_once() {
    one_node(async |ctx: &Context| {
        let began = ctx.now();
        let [a, b] = [40, 30].map(|n| Task::async_(move |own| after(own, n, n)));
        let both = join(a.await_within(secs(1)), b.await_within(secs(1))).await;
        assert_eq!(both, (Ok(40), Ok(30)));
        assert_eq!(ctx.now().since(began), millis(40));
    });
}

#[test]
fn a_linked_task_that_is_not_done_in_time_is_killed_and_its_owner_lives() {
    one_node(async |ctx: &Context| {
        let task = Task::async_(|own| after(own, 100, 1));
        let pid = task.pid();
        let _monitor = ctx.monitor(pid);
        assert_eq!(task.await_within(millis(5)).await, Err(TaskError::Timeout));
        assert_eq!(next_down(ctx).await, ExitReason::Killed);
        nothing_comes(ctx).await;
    });
}

#[test]
fn a_task_without_a_link_that_is_not_done_in_time_goes_on() {
    one_node(async |ctx: &Context| {
        let task = Task::async_nolink(|own| after(own, 100, 1));
        let _monitor = ctx.monitor(task.pid());
        assert_eq!(task.await_within(millis(5)).await, Err(TaskError::Timeout));
        assert_eq!(next_down(ctx).await, ExitReason::Normal);
        assert_eq!(ctx.now(), Time::ZERO + millis(100));
    });
}

#[test]
fn a_linked_task_that_fails_takes_its_owner_along_and_tells_one_that_traps() {
    one_node(async |ctx: &Context| {
        let fails = |own: Context| async move {
            own.sleep(millis(1)).await;
            panic!("a bug");
        };
        let (_, _monitor) = ctx.spawn_monitor(move |_: Context| async move {
            let task: Task<u64> = Task::async_(fails);
            let _dies = task.await_within(secs(5)).await;
            unreachable!("it dies with its task")
        });
        let reason = ExitReason::Panic("a bug".to_owned());
        assert_eq!(next_down(ctx).await, reason);
        ctx.trap_exit(true);
        let task: Task<u64> = Task::async_(fails);
        let pid = task.pid();
        assert_eq!(task.await_within(secs(5)).await, Err(panicked("a bug")));
        assert_eq!(next_exit(ctx).await, (pid, reason));
    });
}

#[test]
fn a_task_without_a_link_that_fails_is_an_error_and_no_more() {
    one_node(async |ctx: &Context| {
        for way in 0..3 {
            let task = Task::async_nolink(move |own| async move {
                match way {
                    0 => panic!("a bug"),
                    1 => drop(own.exit(error("x")).await),
                    _ => own.send_exit(own.pid(), ExitReason::Kill),
                }
                own.sleep(secs(1)).await;
            });
            let expected = [
                panicked("a bug"),
                TaskError::Exit(error("x")),
                TaskError::Exit(ExitReason::Killed),
            ];
            assert_eq!(task.await_within(secs(5)).await, Err(expected[way].clone()));
        }
        nothing_comes(ctx).await;
    });
}

#[test]
fn a_task_is_asked_again_and_again_until_it_is_done_and_then_its_value_is_taken() {
    one_node(async |ctx: &Context| {
        let mut task = Task::async_(|own| after(own, 100, 7));
        for _ in 0..3 {
            assert_eq!(task.yield_within(millis(30)).await, None);
        }
        assert_eq!(task.yield_within(millis(30)).await, Some(Ok(7)));
        assert_eq!(ctx.now(), Time::ZERO + millis(100));
        assert_eq!(
            task.yield_within(millis(30)).await,
            Some(Err(TaskError::Taken))
        );
        assert_eq!(task.await_within(millis(30)).await, Err(TaskError::Taken));
    });
}

#[test]
fn only_the_owner_waits_for_a_task() {
    one_node(async |ctx: &Context| {
        let owner = ctx.pid();
        let not_owner = move || TaskError::NotOwner { owner };
        let tasks = [1, 2, 3, 4].map(|n| Task::async_(move |own| after(own, n, n)));
        let [a, mut b, c, d] = tasks;
        let other = Task::async_(move |_| async move {
            assert_eq!(a.await_within(secs(1)).await, Err(not_owner()));
            assert_eq!(b.yield_within(secs(1)).await, Some(Err(not_owner())));
            assert_eq!(c.shutdown(Shutdown::BrutalKill).await, Err(not_owner()));
            assert_eq!(d.ignore(), Some(Err(not_owner())));
        });
        assert_eq!(other.await_within(secs(5)).await, Ok(()));
        let text = not_owner().to_string();
        assert!(text.contains(&owner.to_string()), "{text}");
    });
}

#[test]
fn a_task_that_is_shut_down_gives_the_reason_of_its_end_or_its_value() {
    one_node(async |ctx: &Context| {
        let within = Shutdown::Within(secs(2));
        let exit = |reason| Err(TaskError::Exit(reason));
        let task = Task::async_(|own| after(own, 100, 1));
        assert_eq!(task.shutdown(within).await, exit(ExitReason::Shutdown));
        let task = Task::async_(|own| after(own, 100, 1));
        assert_eq!(
            task.shutdown(Shutdown::BrutalKill).await,
            exit(ExitReason::Killed)
        );
        let task = Task::async_(|own| after(own, 1, 1));
        ctx.sleep(millis(2)).await;
        assert_eq!(task.shutdown(within).await, Ok(1));
        // It traps exits, and takes too long.
        let task = Task::async_(stubborn);
        settle(ctx).await;
        let began = ctx.now();
        assert_eq!(task.shutdown(within).await, exit(ExitReason::Killed));
        assert_eq!(ctx.now().since(began), secs(2));
        // It traps exits, and does what it has to.
        let task = Task::async_(|own| async move {
            own.trap_exit(true);
            next_exit(&own).await;
            after(own, 10_000, 8).await
        });
        settle(ctx).await;
        assert_eq!(task.shutdown(Shutdown::Infinity).await, Ok(8));
        nothing_comes(ctx).await;
    });
}

#[test]
fn a_task_that_is_ignored_goes_on_without_a_link() {
    one_node(async |ctx: &Context<u64>| {
        let told = ctx.address();
        let task: Task<()> = Task::async_(move |own| async move {
            own.sleep(millis(1)).await;
            told.send(1);
            panic!("nobody minds");
        });
        assert_eq!(task.ignore(), None);
        assert_eq!(ctx.receive_message().await, 1);
        nothing_comes(ctx).await;
        let task = Task::async_(|own| after(own, 1, 5));
        ctx.sleep(millis(2)).await;
        assert_eq!(task.ignore(), Some(Ok(5)));
    });
}

#[test]
fn a_task_whose_handle_is_dropped_goes_on_and_is_still_linked() {
    one_node(async |ctx: &Context<u64>| {
        let told = ctx.address();
        let (_, _monitor) = ctx.spawn_monitor(move |own: Context| async move {
            drop(Task::async_(move |own| async move {
                own.sleep(millis(1)).await;
                told.send(1);
                own.exit(error("x")).await;
            }));
            own.sleep(secs(10)).await;
        });
        assert_eq!(ctx.receive_message().await, 1);
        assert_eq!(next_down(ctx).await, error("x"));
        // And so does one whose wait is dropped.
        let task = Task::async_nolink(move |own| async move {
            own.sleep(millis(1)).await;
            told.send(2);
        });
        drop(task.await_within(secs(1)));
        assert_eq!(ctx.receive_message().await, 2);
    });
}

#[test]
fn a_linked_task_ends_with_its_owner_and_one_without_a_link_goes_on() {
    one_node(async |ctx: &Context<(bool, Pid)>| {
        let told = ctx.address();
        let (owner, _monitor) = ctx.spawn_monitor(move |own: Context| async move {
            let _tasks = [
                Task::async_(|own| after(own, 1000, 0)),
                Task::async_nolink(|own| after(own, 1000, 0)),
            ];
            told.send((true, _tasks[0].pid()));
            told.send((false, _tasks[1].pid()));
            own.sleep(secs(10)).await;
        });
        let (linked, free) = (ctx.receive_message().await, ctx.receive_message().await);
        ctx.send_exit(owner, error("x"));
        next_down(ctx).await;
        assert!(!ctx.is_alive(linked.1) && ctx.is_alive(free.1));
    });
}

#[test]
fn what_is_ready_when_the_time_is_over_is_a_value_or_a_timeout() {
    let outcomes = one_node(async |ctx: &Context| {
        let task = Task::async_(|own| after(own, 5, 1));
        let came = task.await_within(millis(5)).await;
        ctx.count(if came.is_ok() { "value" } else { "timeout" });
        nothing_comes(ctx).await;
    });
    for key in ["value", "timeout"] {
        let seen = outcomes
            .iter()
            .any(|outcome| outcome.counters.contains_key(key));
        assert!(seen, "no order has brought a {key}");
    }
}

// ---- what others see

#[test]
fn a_server_that_waits_for_a_task_takes_its_messages_afterwards() {
    one_node(async |ctx: &Context<u64>| {
        let own = ctx.address();
        let task = Task::async_(move |child| async move {
            own.send(1);
            own.send(2);
            after(child, 5, 3).await
        });
        assert_eq!(task.await_within(secs(1)).await, Ok(3));
        assert_eq!(ctx.receive().await, Received::Message(1));
        assert_eq!(ctx.receive().await, Received::Message(2));
    });
}

#[test]
fn a_task_that_calls_who_waits_for_it_is_found_as_a_ring() {
    use netsplit::ReplyTo;
    let scenario = Scenario::new("ring")
        .client("a", |ctx: Context<ReplyTo<u64>>| async move {
            let own = ctx.address();
            let task = Task::async_(move |_| async move { own.call(|to| to, secs(900)).await });
            drop(task.await_within(secs(900)).await);
            ctx.count("ended");
        })
        .eventually("it ends", secs(2), |view| view.counter("ended") == 1)
        .horizon(secs(10));
    let outcome = scenario.run(1).expect("it can be run");
    let detail = outcome.violation.expect("it does not").waits.to_string();
    assert!(
        detail.contains("wait for each other: <a.0.0> -> <a.1.0> -> <a.0.0>"),
        "{detail}"
    );
    assert!(detail.contains("waits for the end of <a.1.0>"), "{detail}");
}

#[test]
fn a_crash_at_any_call_ends_all_tasks_and_the_next_boot_begins_anew() {
    async fn worker(ctx: Context) {
        let tasks = TaskSupervisorRef::named("tasks");
        let task = tasks
            .async_nolink(|own| after(own, 5, 1))
            .await
            .expect("it runs");
        let all = Task::async_stream(0..5, |own, n| after(own, n, n)).max_concurrency(2);
        assert_eq!(all.collect().await.len(), 5);
        assert_eq!(task.await_within(secs(1)).await, Ok(1));
        ctx.count("done");
    }
    for call in 1..40 {
        let crash = Fault::crash_at_call("house", call, millis(10));
        let scenario = Scenario::new("crash").node("house", |ctx| {
            Supervisor::one_for_one()
                .child(child("tasks", || TaskSupervisor::new().name("tasks")))
                .child(child("worker", || process(worker)).transient())
                .run(ctx)
        });
        let scenario = scenario.faults(Faults::calm().at(Duration::ZERO, crash));
        let scenario = scenario.finally("it is done in the end", |view| view.counter("done") >= 1);
        clean_runs(&scenario.horizon(secs(5)), 2, Keep::default());
    }
}

#[test]
fn the_end_of_a_task_whose_handle_was_dropped_wakes_nobody() {
    let outcomes = one_node(async |_: &Context| {
        drop(Task::async_nolink(|own: Context| after(own, 1_000, 1)));
        // It waits for an end meanwhile, as it would for that one.
        let other = Task::async_(|own: Context| after(own, 2_000, 2));
        assert_eq!(other.await_within(secs(5)).await, Ok(2));
    });
    for outcome in outcomes {
        let log = outcome.log.as_ref().expect("a log");
        let client = |event: &Event| matches!(event, Event::Step { pid } if pid.slot() == 0);
        let steps = log.entries().iter().filter(|entry| client(&entry.event));
        let at_its_end = steps.filter(|entry| entry.at_ns == 1_000_000_000).count();
        assert_eq!(at_its_end, 0);
    }
}
