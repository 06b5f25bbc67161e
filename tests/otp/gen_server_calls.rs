//! Rules 7 and 8: calls and their answers.

use super::common::events;
use super::gen_server::{Ask, Plan, start};
use super::{dead_pid, error, idle, one_node, settle};
use netsplit::trace::Event;
use netsplit::{Address, CallError, Context, ExitReason, Outcome, ReplyTo, Time, millis, secs};

type Question = ReplyTo<u64>;

/// Asks `to` for at most a second.
async fn ask(to: Address<Question>) -> Result<u64, CallError> {
    to.call(|reply_to| reply_to, secs(1)).await
}

#[test]
fn otp_07_whether_an_alias_counts_is_judged_when_the_answer_arrives() {
    let outcomes = one_node(async |ctx: &Context| {
        let server = ctx.spawn(|own: Context<Question>| async move {
            let late = own.receive_message().await;
            own.sleep(millis(10)).await;
            late.reply(1);
            own.receive_message().await.reply(2);
        });
        let late = server.call(|reply_to| reply_to, millis(5)).await;
        assert_eq!(late, Err(CallError::Timeout));
        // The late answer is nobody's, and not that of the next call.
        assert_eq!(ask(server).await, Ok(2));
    });
    for outcome in outcomes {
        assert_eq!((outcome.books.stale, outcome.books.received), (1, 3));
    }
}

#[test]
fn otp_07_an_answer_at_the_moment_of_the_timeout_counts_or_is_stale() {
    let outcomes = one_node(async |ctx: &Context| {
        let server = ctx.spawn(|own: Context<Question>| async move {
            let question = own.receive_message().await;
            own.sleep(millis(5)).await;
            question.reply(1);
        });
        let answer = server.call(|reply_to| reply_to, millis(5)).await;
        assert!(matches!(answer, Ok(1) | Err(CallError::Timeout)));
        settle(ctx).await;
    });
    let stale: Vec<u64> = outcomes.iter().map(|outcome| outcome.books.stale).collect();
    assert!(stale.contains(&0) && stale.contains(&1), "{stale:?}");
}

#[test]
fn otp_07_an_answer_that_comes_after_the_servers_end_is_stale() {
    let outcomes = one_node(async |ctx: &Context<Question>| {
        // The server hands the question on and ends; the caller, who has not yet stepped, hears of its
        // end before the answer comes.
        let keeper = ctx.address();
        let server = ctx.spawn(move |own: Context<Question>| async move {
            keeper.send(own.receive_message().await);
            own.receive_message().await;
        });
        let (caller, monitor) = ctx.spawn_monitor(move |_: Context| async move {
            match ask(server).await {
                Err(CallError::Exit(reason)) => reason,
                other => error(&format!("{other:?}")),
            }
        });
        let question = ctx.receive_message().await;
        assert_eq!(question.caller(), caller.pid().unwrap());
        ctx.send_exit(server.pid().unwrap(), ExitReason::Shutdown);
        settle(ctx).await;
        question.reply(1);
        let _ = monitor;
        assert_eq!(super::next_down(ctx).await, ExitReason::Shutdown);
    });
    for outcome in outcomes {
        assert_eq!(outcome.books.stale, 1);
    }
}

#[test]
fn otp_08_a_call_gets_its_answer() {
    one_node(async |ctx: &Context<String>| {
        let server = start(ctx, Plan::new(ctx.address())).await;
        server.send(Ask::Add(2));
        assert_eq!(server.call(Ask::Get, secs(1)).await, Ok(2));
    });
}

#[test]
fn otp_08_a_call_without_an_answer_ends_at_its_timeout() {
    one_node(async |ctx: &Context<String>| {
        let server = start(ctx, Plan::new(ctx.address())).await;
        let answer = server.call(Ask::Ignore, millis(30)).await;
        assert_eq!(answer, Err(CallError::Timeout));
        assert_eq!(ctx.now(), Time::ZERO + millis(30));
        // The server lives, and answers the next.
        assert_eq!(server.call(Ask::Get, secs(1)).await, Ok(0));
    });
}

#[test]
fn otp_08_a_call_to_a_dead_process_or_to_nobodys_name_ends_in_noproc_at_once() {
    one_node(async |ctx: &Context| {
        let gone = Address::<Question>::of(dead_pid(ctx).await);
        assert_eq!(ask(gone).await, Err(CallError::NoProc));
        let nobody = Address::at(ctx.node(), "nobody");
        assert_eq!(ask(nobody).await, Err(CallError::NoProc));
        assert_eq!(ctx.now(), Time::ZERO);
    });
}

#[test]
fn otp_08_a_call_ends_with_the_servers_exit_reason_normal_too() {
    one_node(async |ctx: &Context<String>| {
        for reason in [ExitReason::Normal, ExitReason::Shutdown, error("x")] {
            let server = start(ctx, Plan::new(ctx.address())).await;
            let stop = |reply_to| Ask::StopAt(reply_to, reason.clone());
            let answer = server.call(stop, secs(1)).await;
            assert_eq!(answer, Err(CallError::Exit(reason.clone())));
        }
        let server = start(ctx, Plan::new(ctx.address())).await;
        let pid = server.pid().unwrap();
        ctx.spawn(move |killer: Context| async move {
            killer.sleep(millis(1)).await;
            killer.send_exit(pid, ExitReason::Kill);
        });
        let answer = server.call(Ask::Ignore, secs(1)).await;
        assert_eq!(answer, Err(CallError::Exit(ExitReason::Killed)));
    });
}

#[test]
fn otp_08_an_answer_before_the_servers_end_counts() {
    one_node(async |ctx: &Context| {
        let server = ctx.spawn(|own: Context<Question>| async move {
            own.receive_message().await.reply(7);
            error("after the answer")
        });
        assert_eq!(ask(server).await, Ok(7));
    });
}

#[test]
fn otp_08_callers_among_the_unread_get_the_exit_reason_and_no_timeout() {
    let outcomes = one_node(async |ctx: &Context<ExitReason>| {
        let server = ctx.spawn(|own: Context<Question>| async move {
            own.sleep(millis(10)).await;
            error("busy, then gone")
        });
        let told = ctx.address();
        for _ in 0..3 {
            ctx.spawn(move |_: Context| async move {
                if let Err(CallError::Exit(reason)) = ask(server).await {
                    told.send(reason);
                }
            });
        }
        for _ in 0..3 {
            assert_eq!(ctx.receive_message().await, error("busy, then gone"));
            assert_eq!(ctx.now(), Time::ZERO + millis(10));
        }
    });
    for outcome in outcomes {
        assert_eq!(outcome.books.unread, 3);
    }
}

#[test]
fn otp_08_a_process_that_calls_itself_is_told_so() {
    one_node(async |ctx: &Context<Question>| {
        assert_eq!(ask(ctx.address()).await, Err(CallError::CallingSelf));
        ctx.register("me").expect("a free name");
        let me = Address::at(ctx.node(), "me");
        assert_eq!(ask(me).await, Err(CallError::CallingSelf));
        assert_eq!(ctx.mailbox_len(), 0);
    });
}

#[test]
fn otp_08_a_server_that_calls_itself_is_told_so_and_lives() {
    one_node(async |ctx: &Context<String>| {
        let server = start(ctx, Plan::new(ctx.address())).await;
        assert_eq!(server.call(Ask::CallYourself, secs(5)).await, Ok(true));
        assert_eq!(server.call(Ask::Get, secs(1)).await, Ok(0));
    });
}

#[test]
fn otp_08_any_process_that_holds_the_place_for_the_answer_may_answer() {
    one_node(async |ctx: &Context| {
        let third = ctx.spawn(|own: Context<Question>| async move {
            let question = own.receive_message().await;
            own.sleep(millis(5)).await;
            question.reply(42);
            idle(own).await;
        });
        let server = ctx.spawn(move |own: Context<Question>| async move {
            loop {
                third.send(own.receive_message().await);
            }
        });
        assert_eq!(ask(server).await, Ok(42));
    });
}

#[test]
fn otp_08_a_server_takes_no_other_message_while_a_handler_waits() {
    one_node(async |ctx: &Context<String>| {
        let server = start(ctx, Plan::new(ctx.address())).await;
        server.send(Ask::Sleep(10));
        assert_eq!(server.call(Ask::Get, secs(1)).await, Ok(0));
        assert_eq!(ctx.now(), Time::ZERO + millis(10));
    });
}

#[test]
fn otp_08_calls_leave_the_mailbox_alone() {
    one_node(async |ctx: &Context<u64>| {
        let server = ctx.spawn(|own: Context<Question>| async move {
            loop {
                own.receive_message().await.reply(7);
            }
        });
        ctx.address().send(1);
        assert_eq!(ask(server).await, Ok(7));
        assert_eq!(ctx.receive_message().await, 1);
    });
}

/// How many timers a run has set, and how many of them went off or were cancelled.
fn timers(outcome: &Outcome) -> (usize, usize) {
    let count = |is_it: fn(&Event) -> bool| events(outcome).filter(is_it).count();
    (
        count(|event| matches!(event, Event::TimerSet { .. })),
        count(|event| {
            matches!(
                event,
                Event::TimerFired { .. } | Event::TimerCancelled { .. }
            )
        }),
    )
}

#[test]
fn otp_08_a_call_that_is_answered_at_once_sets_no_timer() {
    let outcomes = one_node(async |ctx: &Context| {
        let server = ctx.spawn(|own: Context<Question>| async move {
            loop {
                own.receive_message().await.reply(1);
            }
        });
        for _ in 0..3 {
            assert_eq!(ask(server).await, Ok(1));
        }
    });
    for outcome in outcomes {
        assert_eq!(timers(&outcome), (0, 0));
    }
}

#[test]
fn otp_08_calls_that_wait_side_by_side_end_each_at_its_own_moment() {
    let outcomes = one_node(async |ctx: &Context| {
        let server = ctx.spawn(|own: Context<(u64, Question)>| async move {
            let mut unanswered = Vec::new();
            loop {
                let (number, question) = own.receive_message().await;
                match number {
                    0 => question.reply(0),
                    _ => unanswered.push(question),
                }
            }
        });
        let call = async |number| {
            let ask = |reply_to| (number, reply_to);
            (server.call(ask, millis(10 * number)).await, ctx.now())
        };
        let (late, soon, now, next) = futures::join!(call(3), call(1), call(0), call(2));
        let timeout = |ms| (Err(CallError::Timeout), Time::ZERO + millis(ms));
        assert_eq!((late, soon), (timeout(30), timeout(10)));
        assert_eq!((now, next), ((Ok(0), Time::ZERO), timeout(20)));
    });
    for outcome in outcomes {
        assert_eq!(timers(&outcome), (3, 3));
    }
}

#[test]
fn otp_08_a_caller_that_is_killed_at_the_moment_of_its_call_leaves_no_timer() {
    let outcomes = one_node(async |ctx: &Context| {
        let server = ctx.spawn(idle::<Question>);
        let caller = ctx.spawn(move |_: Context| async move { drop(ask(server).await) });
        ctx.yield_now().await;
        ctx.send_exit(caller.pid().unwrap(), ExitReason::Kill);
        ctx.send_exit(server.pid().unwrap(), ExitReason::Kill);
        // Longer than the call would have waited.
        ctx.sleep(secs(2)).await;
    });
    for outcome in outcomes {
        let (set, over) = timers(&outcome);
        assert_eq!(set, over);
    }
}
