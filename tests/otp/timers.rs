//! Rule 22: timers.

use super::{dead_letters, dead_pid, idle, nothing_comes, one_node, settle};
use netsplit::trace::DeadReason;
use netsplit::{Address, Context, ExitReason, Faults, Scenario, Time, millis, secs};

#[test]
fn otp_22_a_timer_sends_its_message_once_and_in_time() {
    one_node(async |ctx: &Context<u64>| {
        ctx.send_after(ctx.address(), 7, millis(20));
        assert_eq!(ctx.receive_message().await, 7);
        assert_eq!(ctx.now(), Time::ZERO + millis(20));
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_22_timers_fire_in_the_order_of_their_times() {
    one_node(async |ctx: &Context<u64>| {
        for after in [30, 10, 20] {
            ctx.send_after(ctx.address(), after, millis(after));
        }
        for after in [10, 20, 30] {
            assert_eq!(ctx.receive_message().await, after);
        }
    });
}

#[test]
fn otp_22_cancelling_tells_the_time_left_and_then_it_never_fires() {
    one_node(async |ctx: &Context<u64>| {
        let timer = ctx.send_after(ctx.address(), 7, millis(20));
        ctx.sleep(millis(5)).await;
        assert_eq!(ctx.read_timer(timer), Some(millis(15)));
        assert_eq!(ctx.cancel_timer(timer), Some(millis(15)));
        assert_eq!(
            (ctx.read_timer(timer), ctx.cancel_timer(timer)),
            (None, None)
        );
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_22_cancelling_a_timer_that_has_fired_says_that_it_is_gone() {
    one_node(async |ctx: &Context<u64>| {
        let timer = ctx.send_after(ctx.address(), 7, millis(20));
        ctx.sleep(millis(21)).await;
        assert_eq!(
            (ctx.read_timer(timer), ctx.cancel_timer(timer)),
            (None, None)
        );
        assert_eq!(ctx.receive_message().await, 7);
    });
}

#[test]
fn otp_22_a_timer_cancelled_at_its_moment_has_fired_or_never_will() {
    let outcomes = one_node(async |ctx: &Context<u64>| {
        let timer = ctx.send_after(ctx.address(), 7, millis(20));
        ctx.sleep(millis(20)).await;
        let read = ctx.read_timer(timer);
        let left = ctx.cancel_timer(timer);
        assert_eq!(read, left);
        settle(ctx).await;
        let came = ctx.mailbox_len();
        assert!(
            matches!((left, came), (None, 1) | (Some(_), 0)),
            "{left:?}, {came}"
        );
        ctx.observe("left", |all: &mut Vec<bool>| all.push(left.is_some()));
    });
    // Both orders are drawn: a cancelled timer's message is never sent.
    let sent: Vec<u64> = outcomes.iter().map(|outcome| outcome.books.sent).collect();
    assert!(sent.contains(&0) && sent.contains(&1), "{sent:?}");
}

#[test]
fn otp_22_a_timer_of_an_old_number_does_not_cancel_a_newer_one() {
    one_node(async |ctx: &Context<u64>| {
        let old = ctx.send_after(ctx.address(), 1, millis(1));
        assert_eq!(ctx.receive_message().await, 1);
        ctx.send_after(ctx.address(), 2, millis(1));
        assert_eq!(ctx.cancel_timer(old), None);
        assert_eq!(ctx.receive_message().await, 2);
    });
}

#[test]
fn otp_22_another_process_may_cancel_a_timer() {
    one_node(async |ctx: &Context<u64>| {
        let timer = ctx.send_after(ctx.address(), 7, millis(20));
        ctx.spawn(move |child: Context| async move {
            child.cancel_timer(timer);
        });
        nothing_comes(ctx).await;
    });
}

#[test]
fn otp_22_a_timer_to_a_pid_dies_with_that_process() {
    let outcomes = one_node(async |ctx: &Context| {
        let child = ctx.spawn(idle::<u64>);
        let timer = ctx.send_after(child, 7, millis(20));
        ctx.send_exit(child.pid().unwrap(), ExitReason::Kill);
        settle(ctx).await;
        assert_eq!(
            (ctx.read_timer(timer), ctx.cancel_timer(timer)),
            (None, None)
        );
        ctx.sleep(millis(50)).await;
    });
    for outcome in outcomes {
        assert_eq!((outcome.books.sent, outcome.books.dead), (0, 0));
    }
}

#[test]
fn otp_22_a_timer_to_a_dead_pid_is_gone_at_once() {
    let outcomes = one_node(async |ctx: &Context| {
        let gone = Address::<u64>::of(dead_pid(ctx).await);
        let timer = ctx.send_after(gone, 7, millis(20));
        assert_eq!(
            (ctx.read_timer(timer), ctx.cancel_timer(timer)),
            (None, None)
        );
        ctx.sleep(millis(50)).await;
    });
    for outcome in outcomes {
        assert_eq!((outcome.books.sent, outcome.books.dead), (0, 0));
    }
}

#[test]
fn otp_22_a_timer_outlives_who_set_it_where_its_receiver_lives() {
    one_node(async |ctx: &Context<u64>| {
        let me = ctx.address();
        ctx.spawn(move |child: Context| async move {
            child.send_after(me, 7, millis(20));
        });
        assert_eq!(ctx.receive_message().await, 7);
    });
}

#[test]
fn otp_22_a_timer_to_a_name_looks_it_up_when_it_fires() {
    one_node(async |ctx: &Context<(u64, u64)>| {
        let told = ctx.address();
        let holder = |number: u64| {
            move |own: Context<u64>| async move {
                own.register("name").expect("a free name");
                told.send((number, own.receive_message().await));
            }
        };
        let first = ctx.spawn(holder(1));
        settle(ctx).await;
        let name = Address::<u64>::at(ctx.node(), "name");
        ctx.send_after(name, 7, millis(20));
        ctx.send_exit(first.pid().unwrap(), ExitReason::Kill);
        settle(ctx).await;
        ctx.spawn(holder(2));
        assert_eq!(ctx.receive_message().await, (2, 7));
    });
}

#[test]
fn otp_22_a_timer_to_a_name_that_nobody_holds_makes_a_dead_letter() {
    let outcomes = one_node(async |ctx: &Context| {
        ctx.send_after(Address::<u64>::at(ctx.node(), "name"), 7, millis(20));
        ctx.sleep(millis(50)).await;
    });
    for outcome in outcomes {
        assert_eq!(dead_letters(&outcome), [DeadReason::NoName]);
    }
}

#[test]
fn otp_22_a_timer_never_fires_early_and_its_lateness_is_not_time_left() {
    let scenario = Scenario::new("late timers").faults(Faults::calm().late_timers(millis(5)));
    super::with_client(scenario, async |ctx: &Context<u64>| {
        for _ in 0..10 {
            let began = ctx.now();
            let timer = ctx.send_after(ctx.address(), 7, millis(20));
            assert_eq!(ctx.read_timer(timer), Some(millis(20)));
            assert_eq!(ctx.receive_message().await, 7);
            let took = ctx.now().since(began);
            assert!((millis(20)..=millis(25)).contains(&took), "{took:?}");
            let cancelled = ctx.send_after(ctx.address(), 8, millis(20));
            assert_eq!(ctx.cancel_timer(cancelled), Some(millis(20)));
        }
    });
}

#[test]
fn otp_22_a_receive_with_a_timeout_takes_a_message_or_tells_that_the_time_is_over() {
    one_node(async |ctx: &Context<u64>| {
        assert_eq!(ctx.receive_within(millis(20)).await, None);
        assert_eq!(ctx.now(), Time::ZERO + millis(20));
        ctx.send_after(ctx.address(), 7, millis(10));
        let received = ctx.receive_within(secs(1)).await;
        assert_eq!(received.and_then(netsplit::Received::message), Some(7));
        assert_eq!(ctx.now(), Time::ZERO + millis(30));
        // What is there is taken, however short the time.
        ctx.address().send(8);
        let received = ctx.receive_within(millis(0)).await;
        assert_eq!(received.and_then(netsplit::Received::message), Some(8));
    });
}
