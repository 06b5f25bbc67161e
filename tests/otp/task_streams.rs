//! Many tasks, so many at once.

use super::tasks::{after, panicked};
use super::{clean_runs, error, next_down, nothing_comes, one_node, settle};
use netsplit::otp::OnTimeout;
use netsplit::{Context, ExitReason, Keep, Scenario, Task, TaskError, TaskStream, millis, secs};
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

/// How many tasks run at once, and how many did at most.
#[derive(Clone, Default)]
struct Gauge(Rc<RefCell<(usize, usize)>>);

struct Runs(Gauge);

impl Gauge {
    fn begin(&self) -> Runs {
        let mut gauge = self.0.borrow_mut();
        gauge.0 += 1;
        gauge.1 = gauge.1.max(gauge.0);
        Runs(self.clone())
    }

    fn most(&self) -> usize {
        self.0.borrow().1
    }

    fn now(&self) -> usize {
        self.0.borrow().0
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        self.0.0.borrow_mut().0 -= 1;
    }
}

/// A task for each of these waits, in milliseconds, that gives its place; at a wait of 13 it fails.
fn waits(
    gauge: &Gauge,
    waits: Vec<u64>,
) -> TaskStream<impl Iterator<Item = (u64, u64)> + use<>, u64> {
    let gauge = gauge.clone();
    let items = (0..).zip(waits);
    Task::async_stream_nolink(items, move |own: Context, (place, wait)| {
        let gauge = gauge.clone();
        async move {
            let _runs = gauge.begin();
            own.sleep(millis(wait)).await;
            assert!(wait != 13, "thirteen is too much");
            place
        }
    })
}

#[test]
fn a_stream_of_tasks_gives_results_in_order_and_so_many_run_at_once() {
    one_node(async |ctx: &Context| {
        let gauge = Gauge::default();
        let began = ctx.now();
        let results = waits(&gauge, vec![50, 10, 10, 10])
            .max_concurrency(2)
            .collect()
            .await;
        assert_eq!(results, [Ok(0), Ok(1), Ok(2), Ok(3)]);
        assert_eq!((gauge.most(), ctx.now().since(began)), (2, millis(50)));
        // The default is the same on every machine.
        let gauge = Gauge::default();
        waits(&gauge, vec![1; 30]).collect().await;
        assert_eq!(gauge.most(), 8);
        nothing_comes(ctx).await;
    });
}

#[test]
fn a_stream_without_order_gives_results_as_they_are_done() {
    one_node(async |_: &Context| {
        let stream = waits(&Gauge::default(), vec![50, 10, 30, 20]).ordered(false);
        assert_eq!(stream.collect().await, [Ok(1), Ok(3), Ok(2), Ok(0)]);
    });
}

#[test]
fn no_task_of_a_stream_starts_before_somebody_waits_nor_before_there_is_room() {
    one_node(async |ctx: &Context| {
        let gauge = Gauge::default();
        let mut stream = waits(&gauge, vec![10, 20, 30]).max_concurrency(2);
        settle(ctx).await;
        assert_eq!(gauge.most(), 0);
        assert_eq!(stream.next().await, Some(Ok(0)));
        // The third begins when it is asked for the second.
        ctx.sleep(millis(100)).await;
        assert_eq!(gauge.now(), 0);
        assert_eq!(stream.next().await, Some(Ok(1)));
        assert_eq!(stream.next().await, Some(Ok(2)));
        assert_eq!(stream.next().await, None);
        assert_eq!(stream.next().await, None);
        let none = Task::async_stream([0; 0], |own, n| after(own, 1, n));
        assert_eq!(none.collect().await, []);
    });
}

#[test]
fn a_task_of_a_stream_that_is_not_done_in_time_ends_the_stream_or_stands_as_a_timeout() {
    one_node(async |ctx: &Context| {
        let gauge = Gauge::default();
        let of = |waits_of: &[u64]| {
            let stream = waits(&gauge, waits_of.to_vec()).timeout(millis(50));
            stream.max_concurrency(2)
        };
        let kill = of(&[10, 90, 20, 30]).on_timeout(OnTimeout::KillTask);
        let late = || Err(TaskError::Timeout);
        assert_eq!(kill.collect().await, [Ok(0), late(), Ok(2), Ok(3)]);
        ctx.yield_now().await;
        assert_eq!(gauge.now(), 0);
        // What the third has given is dropped with the stream.
        let exit = of(&[10, 90, 5, 45, 45]);
        assert_eq!(exit.collect().await, [Ok(0), late()]);
        ctx.yield_now().await;
        assert_eq!(gauge.now(), 0, "the others are killed");
        // The timeout of each begins with it, and one may be without.
        let calm = of(&[40, 40, 40, 40]).max_concurrency(1);
        assert!(calm.collect().await.iter().all(Result::is_ok));
        let calm = of(&[9_000, 8_000]).no_timeout();
        assert_eq!(calm.collect().await, [Ok(0), Ok(1)]);
        // As in Elixir, 5 s where nothing else is said.
        let late_one = waits(&gauge, vec![5_001]).collect().await;
        assert_eq!(late_one, [late()]);
        nothing_comes(ctx).await;
    });
}

#[test]
fn a_task_of_a_stream_that_fails_stands_as_an_error_or_takes_its_owner_along() {
    one_node(async |ctx: &Context| {
        let results = waits(&Gauge::default(), vec![5, 13, 5]).collect().await;
        assert_eq!(
            results,
            [Ok(0), Err(panicked("thirteen is too much")), Ok(2)]
        );
        let (_, _monitor) = ctx.spawn_monitor(|_: Context| async {
            let stream = Task::async_stream([1, 2, 3], |own: Context, n: u64| async move {
                own.sleep(millis(n)).await;
                assert!(n != 2, "two is too much");
            });
            drop(stream.collect().await);
            unreachable!("it dies with its task")
        });
        let reason = ExitReason::Panic("two is too much".to_owned());
        assert_eq!(next_down(ctx).await, reason);
    });
}

#[test]
fn the_tasks_of_a_stream_end_when_it_is_dropped_and_with_their_owner() {
    one_node(async |ctx: &Context| {
        let gauge = Gauge::default();
        let mut stream = waits(&gauge, vec![10, 5_000, 5_000, 5_000]).no_timeout();
        assert_eq!(stream.next().await, Some(Ok(0)));
        assert_eq!(gauge.now(), 3);
        drop(stream);
        settle(ctx).await;
        assert_eq!(gauge.now(), 0);
        for way in 0..3 {
            let of = gauge.clone();
            let (owner, _monitor) = ctx.spawn_monitor(move |own: Context| async move {
                let mut stream = waits(&of, vec![10, 5_000, 5_000]).no_timeout();
                stream.next().await;
                if way == 0 {
                    return;
                }
                // It lives for as long as its owner.
                own.sleep(secs(10)).await;
                drop(stream);
            });
            ctx.sleep(millis(20)).await;
            match way {
                0 => {}
                1 => ctx.send_exit(owner, ExitReason::Kill),
                _ => ctx.send_exit(owner, error("x")),
            }
            next_down(ctx).await;
            settle(ctx).await;
            assert_eq!(gauge.now(), 0, "way {way}");
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_gives_a_result_for_each_item_whatever_they_do(
        of in prop::collection::vec(0..30u64, 0..20),
        most in 1..6usize,
        timeout in 5..40u64,
        ordered: bool,
    ) {
        let scenario = Scenario::new("stream").client("a", move |ctx: Context| {
            let of = of.clone();
            async move {
                let gauge = Gauge::default();
                let stream = waits(&gauge, of.clone()).max_concurrency(most).ordered(ordered);
                let stream = stream.timeout(millis(timeout)).on_timeout(OnTimeout::KillTask);
                let results = stream.collect().await;
                assert!(gauge.most() <= most);
                ctx.yield_now().await;
                assert_eq!(gauge.now(), 0);
                assert_eq!(results.len(), of.len());
                let mut values: Vec<u64> = results.iter().flatten().copied().collect();
                prop_assert_in_order(ordered, &values);
                values.sort_unstable();
                for (wait, place) in of.iter().zip(0..) {
                    let came = values.binary_search(&place).is_ok();
                    if *wait == 13 && *wait < timeout || *wait > timeout {
                        assert!(!came, "{place} of {of:?} gives no value");
                    } else if *wait < timeout {
                        assert!(came, "{place} of {of:?} gives its place");
                    }
                }
                ctx.count("ended");
            }
        });
        let scenario = scenario.finally("it ended", |view| view.counter("ended") == 1);
        clean_runs(&scenario, 4, Keep::default());
    }
}

fn prop_assert_in_order(ordered: bool, values: &[u64]) {
    assert!(!ordered || values.is_sorted(), "{values:?}");
}
