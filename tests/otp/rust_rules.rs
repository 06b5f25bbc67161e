//! Rules 26 and 27: what dropping, killing and panicking mean for futures.

use super::{
    dead_pid, error, events, idle, next_down, nothing_comes, one_node, settle, with_client,
};
use futures::future::{Either, join, select};
use futures::stream::{FuturesUnordered, StreamExt};
use futures::{FutureExt, pin_mut, select_biased};
use netsplit::trace::Event;
use netsplit::{
    Address, CallError, Context, ExitReason, Info, Received, ReplyTo, Scenario, Time, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

type Question = ReplyTo<u64>;

/// Sends, sets a timer, draws and starts a process when it is dropped.
struct LastWords<'a> {
    ctx: &'a Context,
    told: Address<u64>,
}

impl Drop for LastWords<'_> {
    fn drop(&mut self) {
        self.told.send(1);
        self.ctx.send_after(self.told, 2, millis(1));
        let told = self.told;
        self.ctx
            .spawn(move |_: Context| async move { told.send(3) });
        self.ctx
            .send_exit(told.pid().expect("an address by pid"), ExitReason::Kill);
        assert_eq!(self.ctx.random(), 0, "nothing is drawn");
        let _taken = self.ctx.register("last words");
    }
}

/// A process that says its last words when it is dropped.
async fn talkative(ctx: Context, told: Address<u64>) {
    let _last = LastWords { ctx: &ctx, told };
    loop {
        ctx.receive().await;
    }
}

#[test]
fn otp_26_what_drop_sends_draws_and_starts_after_a_kill_does_not_happen() {
    let outcomes = one_node(async |ctx: &Context<u64>| {
        let told = ctx.address();
        let (child, _monitor) = ctx.spawn_monitor(move |child| talkative(child, told));
        settle(ctx).await;
        ctx.send_exit(child.pid().unwrap(), ExitReason::Kill);
        assert_eq!(next_down(ctx).await, ExitReason::Killed);
        nothing_comes(ctx).await;
        assert_eq!(ctx.whereis("last words"), None);
    });
    for outcome in outcomes {
        assert_eq!(outcome.books.sent, 0);
        let spawned = events(&outcome).filter(|event| matches!(event, Event::Spawn { .. }));
        assert_eq!(spawned.count(), 2);
    }
}

#[test]
fn otp_26_what_drop_does_as_a_panic_unwinds_still_happens() {
    // A panic is no kill: as with `after` in Erlang, the process is still there while it unwinds.
    one_node(async |ctx: &Context<u64>| {
        struct Last(Address<u64>);
        impl Drop for Last {
            fn drop(&mut self) {
                self.0.send(1);
            }
        }
        let told = ctx.address();
        ctx.spawn(move |_: Context| async move {
            let _last = Last(told);
            panic!("on purpose");
        });
        assert_eq!(ctx.receive_message().await, 1);
    });
}

#[test]
fn otp_26_a_process_that_kills_itself_never_returns_from_its_next_await() {
    one_node(async |ctx: &Context<u64>| {
        let told = ctx.address();
        let (_, _monitor) = ctx.spawn_monitor(move |child: Context<u64>| async move {
            child.address().send(1);
            child.send_exit(child.pid(), ExitReason::Kill);
            // A message is there, and yet this never returns.
            let n = child.receive_message().await;
            told.send(n);
            n_was_taken(n)
        });
        assert_eq!(next_down(ctx).await, ExitReason::Killed);
        nothing_comes(ctx).await;
    })
    .iter()
    .for_each(|outcome| assert_eq!((outcome.books.unread, outcome.books.received), (1, 0)));

    fn n_was_taken(n: u64) -> ExitReason {
        error(&format!("{n} was taken"))
    }
}

#[test]
fn otp_26_a_process_that_exits_itself_ends_for_that_reason_even_if_it_returns_at_once() {
    one_node(async |ctx: &Context| {
        let (_, _monitor) = ctx.spawn_monitor(|child: Context| async move {
            child.send_exit(child.pid(), error("its own"));
            ExitReason::Normal
        });
        assert_eq!(next_down(ctx).await, error("its own"));
        let (_, _monitor) = ctx.spawn_monitor(|child: Context<()>| async move {
            child.send_exit(child.pid(), ExitReason::Kill);
            panic!("after its end");
        });
        assert_eq!(next_down(ctx).await, ExitReason::Killed);
    });
}

#[test]
fn otp_26_what_a_process_does_after_it_has_killed_itself_does_not_happen() {
    let outcomes = one_node(async |ctx: &Context<u64>| {
        let told = ctx.address();
        let (_, _monitor) = ctx.spawn_monitor(move |child: Context| async move {
            told.send(1);
            child.send_exit(child.pid(), ExitReason::Kill);
            told.send(2);
            child.send_after(told, 3, millis(1));
            child.spawn(move |_: Context| async move { told.send(4) });
            let _taken = child.register("after the end");
        });
        assert_eq!(ctx.receive_message().await, 1);
        assert_eq!(next_down(ctx).await, ExitReason::Killed);
        nothing_comes(ctx).await;
        assert_eq!(ctx.whereis("after the end"), None);
    });
    assert!(outcomes.iter().all(|outcome| outcome.books.sent == 1));
}

#[test]
fn otp_26_exit_never_returns() {
    one_node(async |ctx: &Context<u64>| {
        let told = ctx.address();
        let (_, _monitor) = ctx.spawn_monitor(move |child: Context| async move {
            child.exit(ExitReason::Shutdown).await;
            told.send(1);
        });
        assert_eq!(next_down(ctx).await, ExitReason::Shutdown);
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_26_a_receive_that_loses_a_race_has_lost_nothing() {
    one_node(async |ctx: &Context<u64>| {
        let told = ctx.address();
        ctx.spawn(move |child: Context| async move {
            for n in 0..20 {
                child.sleep(millis(3)).await;
                told.send(n);
            }
        });
        // The ticks of this clock and of that one meet every 6 ms.
        let mut next = 0;
        while next < 20 {
            let (receive, tick) = (ctx.receive_message(), ctx.sleep(millis(2)));
            pin_mut!(receive, tick);
            if let Either::Left((n, _)) = select(receive, tick).await {
                assert_eq!(n, next);
                next += 1;
            }
        }
    });
}

#[test]
fn otp_26_a_receive_that_was_never_polled_again_has_lost_nothing() {
    one_node(async |ctx: &Context<u64>| {
        {
            let receive = ctx.receive();
            pin_mut!(receive);
            assert!(futures::poll!(receive.as_mut()).is_pending());
            ctx.address().send(7);
        }
        assert_eq!(ctx.receive_message().await, 7);
    });
}

#[test]
fn otp_26_select_biased_takes_its_branches_in_order() {
    one_node(async |ctx: &Context<u64>| {
        ctx.address().send(7);
        let taken = select_biased! {
            n = ctx.receive_message().fuse() => Some(n),
            () = ctx.sleep(millis(0)).fuse() => None,
        };
        assert_eq!(taken, Some(7));
        let taken = select_biased! {
            n = ctx.receive_message().fuse() => Some(n),
            () = ctx.sleep(millis(5)).fuse() => None,
        };
        assert_eq!((taken, ctx.now()), (None, Time::ZERO + millis(5)));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_26_a_loser_of_a_race_can_be_waited_for_again() {
    one_node(async |ctx: &Context<u64>| {
        ctx.send_after(ctx.address(), 7, millis(10));
        let receive = ctx.receive_message();
        pin_mut!(receive);
        for _ in 0..3 {
            let tick = ctx.sleep(millis(3));
            pin_mut!(tick);
            assert!(matches!(
                select(receive.as_mut(), tick).await,
                Either::Right(_)
            ));
        }
        assert_eq!((receive.await, ctx.now()), (7, Time::ZERO + millis(10)));
    });
}

#[test]
fn otp_26_receives_and_sleeps_can_be_joined() {
    one_node(async |ctx: &Context<u64>| {
        ctx.send_after(ctx.address(), 7, millis(10));
        let sleeps = join(ctx.sleep(millis(5)), ctx.sleep(millis(20)));
        let (n, _) = join(ctx.receive_message(), sleeps).await;
        assert_eq!((n, ctx.now()), (7, Time::ZERO + millis(20)));
    });
}

#[test]
fn otp_26_calls_in_an_unordered_set_all_get_their_answers() {
    one_node(async |ctx: &Context| {
        let calls = FuturesUnordered::new();
        for n in 1..=10 {
            let server = ctx.spawn(move |own: Context<Question>| async move {
                let question = own.receive_message().await;
                own.sleep(millis(n % 4)).await;
                question.reply(n);
            });
            calls.push(server.call(|reply_to| reply_to, secs(1)));
        }
        let mut answers: Vec<u64> = calls
            .map(|answer| answer.expect("answered"))
            .collect()
            .await;
        answers.sort_unstable();
        assert_eq!(answers, Vec::from_iter(1..=10));
    });
}

#[test]
fn otp_26_sleeps_in_an_unordered_set_end_in_their_order() {
    one_node(async |ctx: &Context| {
        let sleep = async |ms: u64| {
            ctx.sleep(millis(ms)).await;
            ms
        };
        let sleeps: FuturesUnordered<_> = [30, 10, 20].into_iter().map(sleep).collect();
        assert_eq!(sleeps.collect::<Vec<_>>().await, [10, 20, 30]);
        assert_eq!(ctx.now(), Time::ZERO + millis(30));
    });
}

#[test]
fn otp_26_a_wait_in_an_unordered_set_is_not_forgotten_when_its_process_wakes_for_another_reason() {
    one_node(async |ctx: &Context<u64>| {
        ctx.send_after(ctx.address(), 7, millis(10));
        let set: FuturesUnordered<_> = [ctx.receive_message()].into_iter().collect();
        let ticks = async {
            for _ in 0..5 {
                ctx.sleep(millis(1)).await;
            }
        };
        let (got, ()) = join(set.collect::<Vec<_>>(), ticks).await;
        assert_eq!((got, ctx.now()), (vec![7], Time::ZERO + millis(10)));
    });
}

#[test]
fn otp_26_a_channel_within_a_node_wakes_its_reader() {
    one_node(async |ctx: &Context<u64>| {
        let (sender, receiver) = futures::channel::oneshot::channel();
        ctx.spawn(move |child: Context| async move {
            child.sleep(millis(5)).await;
            sender.send(7).expect("the reader waits");
        });
        // Beside a wait of ours, and wrapped by a combinator.
        let set: FuturesUnordered<_> = [receiver].into_iter().collect();
        let (got, ()) = join(set.collect::<Vec<_>>(), ctx.sleep(millis(1))).await;
        assert_eq!((got, ctx.now()), (vec![Ok(7)], Time::ZERO + millis(5)));
    });
}

#[test]
fn otp_26_a_dropped_call_ends_its_alias_and_a_late_answer_is_stale() {
    let outcomes = one_node(async |ctx: &Context| {
        let server = ctx.spawn(|own: Context<Question>| async move {
            let question = own.receive_message().await;
            own.sleep(millis(10)).await;
            question.reply(7);
        });
        {
            let (call, tick) = (
                server.call(|reply_to| reply_to, secs(5)),
                ctx.sleep(millis(5)),
            );
            pin_mut!(call, tick);
            assert!(matches!(select(call, tick).await, Either::Right(_)));
        }
        ctx.sleep(millis(20)).await;
    });
    for outcome in outcomes {
        assert_eq!((outcome.books.stale, outcome.books.received), (1, 1));
        // Its timer is gone with it: nothing happens at 5 s.
        assert_eq!(outcome.at, Time::ZERO + millis(25));
    }
}

#[test]
fn otp_26_a_killed_callers_alias_ends_with_it() {
    let outcomes = one_node(async |ctx: &Context<Question>| {
        let server = ctx.address();
        let caller = ctx.spawn(move |_: Context| async move {
            server.call(|reply_to| reply_to, secs(5)).await.map(drop)
        });
        let question = ctx.receive_message().await;
        ctx.send_exit(caller.pid().unwrap(), ExitReason::Kill);
        settle(ctx).await;
        question.reply(1);
    });
    assert!(outcomes.iter().all(|outcome| outcome.books.stale == 1));
}

#[test]
fn otp_26_nothing_preempts_a_handler_that_does_not_await() {
    one_node(async |ctx: &Context| {
        let shared = Rc::new(Cell::new(0));
        for _ in 0..5 {
            let shared = shared.clone();
            ctx.spawn(move |child: Context| async move {
                for _ in 0..10 {
                    let before = shared.get();
                    let _drawn = child.random();
                    shared.set(before + 1);
                    child.yield_now().await;
                }
            });
        }
        settle(ctx).await;
        assert_eq!(shared.get(), 50);
    });
}

#[test]
fn otp_26_a_handler_that_works_holds_up_its_node_and_no_other() {
    let scenario = Scenario::new("work").node("other", |ctx: Context| async move {
        ctx.sleep(millis(5)).await;
        ctx.observe("other", |at: &mut u64| *at = ctx.now().as_nanos());
    });
    let scenario = scenario.finally("the other node is in time", |view| {
        view.observed("other") == Some(&5_000_000u64)
    });
    with_client(scenario, async |ctx: &Context<Duration>| {
        let told = ctx.address();
        ctx.spawn(move |child: Context| async move {
            child.sleep(millis(5)).await;
            told.send(child.now().since(Time::ZERO));
        });
        settle(ctx).await;
        ctx.work(millis(49)).await;
        assert_eq!(ctx.now(), Time::ZERO + millis(50));
        assert_eq!(ctx.receive_message().await, millis(50));
    });
}

/// An answer whose drop sends: code of a user that must not run inside the kernel.
#[derive(Debug, Serialize, Deserialize)]
struct Clingy(Address<u64>);

impl Drop for Clingy {
    fn drop(&mut self) {
        self.0.send(1);
    }
}

#[test]
fn otp_26_an_unread_answer_is_dropped_like_all_else_that_a_killed_process_had() {
    let outcomes = one_node(async |ctx: &Context<u64>| {
        let told = ctx.address();
        let server = ctx.spawn(move |own: Context<ReplyTo<Clingy>>| async move {
            let question = own.receive_message().await;
            let caller = question.caller();
            question.reply(Clingy(told));
            own.send_exit(caller, ExitReason::Kill);
        });
        let (_, _monitor) = ctx.spawn_monitor(move |_: Context| async move {
            let _answer = server.call(|reply_to| reply_to, secs(1)).await;
        });
        assert_eq!(next_down(ctx).await, ExitReason::Killed);
        nothing_comes(ctx).await;
    });
    assert!(outcomes.iter().all(|outcome| outcome.books.unread == 1));
}

#[test]
fn otp_26_a_panic_while_messages_are_looked_at_loses_none_of_them() {
    let outcomes = one_node(async |ctx: &Context| {
        let (child, _monitor) = ctx.spawn_monitor(|child: Context<u64>| async move {
            child
                .receive_where(|n| {
                    assert_ne!(*n, 2, "two");
                    false
                })
                .await;
        });
        for n in 1..=3 {
            child.send(n);
        }
        let ExitReason::Panic(said) = next_down(ctx).await else {
            panic!("it panicked");
        };
        assert!(said.contains("two"), "{said}");
    });
    assert!(outcomes.iter().all(|outcome| outcome.books.unread == 3));
}

#[test]
fn otp_26_messages_sent_while_messages_are_looked_at_come_behind_them() {
    one_node(async |ctx: &Context<u64>| {
        let me = ctx.address();
        me.send(1);
        me.send(2);
        let taken = ctx.receive_where(|n| {
            if *n < 3 {
                me.send(*n + 2);
            }
            *n == 2
        });
        assert_eq!(taken.await, 2);
        for n in [1, 3, 4] {
            assert_eq!(ctx.receive_message().await, n);
        }
    });
}

#[test]
fn otp_27_a_panic_ends_its_process_and_no_other() {
    one_node(async |ctx: &Context<u64>| {
        let (_, _monitor) = ctx.spawn_monitor(|_: Context<()>| async { panic!("on purpose") });
        let (_, other) = ctx.spawn_monitor(idle::<u64>);
        assert_eq!(
            next_down(ctx).await,
            ExitReason::Panic("on purpose".to_owned())
        );
        let unheard = ctx.receive_within(secs(1)).await;
        assert!(
            !matches!(unheard, Some(Received::Info(Info::Down { monitor, .. })) if monitor == other)
        );
    });
}

#[test]
fn otp_27_a_panic_in_drop_after_a_kill_ends_nothing_else() {
    one_node(async |ctx: &Context<()>| {
        struct Bad;
        impl Drop for Bad {
            fn drop(&mut self) {
                panic!("in drop");
            }
        }
        let told = ctx.address();
        let (child, _monitor) = ctx.spawn_monitor(move |child: Context| async move {
            let _bad = Bad;
            told.send(());
            idle(child).await;
        });
        ctx.receive_message().await;
        ctx.send_exit(child.pid().unwrap(), ExitReason::Kill);
        assert_eq!(next_down(ctx).await, ExitReason::Killed);
        assert_eq!(dead_pid(ctx).await.node(), ctx.node());
    });
}

#[test]
fn otp_26_a_call_and_its_timeout_leave_no_timer_behind() {
    let outcomes = one_node(async |ctx: &Context| {
        let server = ctx.spawn(|own: Context<Question>| async move {
            own.receive_message().await.reply(1);
        });
        let answer = server.call(|reply_to| reply_to, secs(30)).await;
        assert_eq!(answer, Ok(1));
        let answer: Result<u64, CallError> = server.call(|reply_to| reply_to, secs(30)).await;
        assert!(answer.is_err());
    });
    assert!(outcomes.iter().all(|outcome| outcome.at == Time::ZERO));
}
