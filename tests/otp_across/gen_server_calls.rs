//! Rules 7 and 8 across nodes: calls and their answers.

use super::{
    LONG, across, client, dead_pid, error, host, idle, logged, next_down, nothing_comes, pid,
    settle, signals_of_far, start, start_on, with_client,
};
use netsplit::{Address, CallError, Context, ExitReason, Pid, ReplyTo, Scenario, millis, secs};

type Question = ReplyTo<u64>;
/// A question, and to whom it is to be passed on.
type Passed = (Address<Question>, Question);

async fn ask(to: Address<Question>) -> Result<u64, CallError> {
    to.call(|reply_to| reply_to, LONG).await
}

/// A process that answers each question with its how-manieth it is.
async fn counts(own: Context<Question>) {
    for n in 1.. {
        own.receive_message().await.reply(n);
    }
}

#[test]
fn otp_07_whether_an_alias_counts_is_judged_when_the_answer_arrives_across_nodes() {
    let role = |own: Context<Question>| async move {
        let late = own.receive_message().await;
        own.sleep(secs(100)).await;
        late.reply(1);
        own.receive_message().await.reply(2);
    };
    let outcomes = across(role, async |ctx: &Context| {
        let far = start::<Question>().await;
        let late = far.call(|to| to, secs(90)).await;
        assert_eq!(late, Err(CallError::Timeout));
        ctx.sleep(secs(5)).await;
        // The late answer is nobody's, and not that of the next call.
        assert_eq!(ask(far).await, Ok(2));
    });
    assert!(outcomes.iter().all(|outcome| outcome.books.stale == 1));
}

#[test]
fn otp_07_an_answer_that_is_sent_in_time_and_arrives_late_is_stale_across_nodes() {
    let outcomes = across(counts, async |ctx: &Context| {
        let far = start::<Question>().await;
        // The question takes a millisecond at least, and so does the answer.
        let answer = far.call(|to| to, millis(1)).await;
        assert_eq!(answer, Err(CallError::Timeout));
        settle(ctx).await;
        assert_eq!(ask(far).await, Ok(2));
    });
    assert!(outcomes.iter().all(|outcome| outcome.books.stale == 1));
}

#[test]
fn otp_07_an_answer_near_the_timeout_counts_or_is_stale_and_never_both_across_nodes() {
    let outcomes = across(counts, async |ctx: &Context| {
        let far = start::<Question>().await;
        for _ in 0..20 {
            if let Ok(answer) = far.call(|to| to, millis(11)).await {
                ctx.count_by("answered", u64::from(answer > 0));
            }
        }
        settle(ctx).await;
    });
    let mut both = [false; 2];
    for outcome in outcomes {
        let answered = outcome.counters.get("answered").copied().unwrap_or(0);
        assert_eq!(answered + outcome.books.stale, 20);
        both = [both[0] || answered > 0, both[1] || answered < 20];
    }
    assert_eq!(both, [true; 2]);
}

#[test]
fn otp_07_an_answer_that_comes_after_the_loss_of_the_connection_is_stale_across_nodes() {
    let role = |own: Context<Question>| async move {
        let question = own.receive_message().await;
        own.sleep(secs(300)).await;
        question.reply(1);
        idle(own).await;
    };
    let outcomes = across(role, async |ctx: &Context| {
        let far = start::<Question>().await;
        let node = pid(far).node();
        let (_, _monitor) = ctx.spawn_monitor(move |_: Context| async move {
            match ask(far).await {
                Err(CallError::NodeDown(lost)) if lost == node => ExitReason::Shutdown,
                other => error(&format!("{other:?}")),
            }
        });
        settle(ctx).await;
        ctx.disconnect(node);
        assert_eq!(next_down(ctx).await, ExitReason::Shutdown);
        ctx.sleep(LONG).await;
    });
    // It was sent over a new connection, to a place that counts no more.
    assert!(outcomes.iter().all(|outcome| outcome.books.stale == 1));
}

#[test]
fn otp_07_an_answer_that_comes_after_the_servers_end_is_stale_across_nodes() {
    let passes = |own: Context<Passed>| async move {
        let (to, question) = own.receive_message().await;
        to.send(question);
    };
    let late = |own: Context<Question>| async move {
        let question = own.receive_message().await;
        own.sleep(secs(150)).await;
        question.reply(1);
        idle(own).await;
    };
    let scenario = host(host(Scenario::new("late"), "far", passes), "third", late);
    let outcomes = with_client(scenario, async |ctx: &Context| {
        let far = start_on::<Passed>("far").await;
        let third = start_on::<Question>("third").await;
        // Both come while this node is busy, and the caller steps when both are there.
        ctx.spawn(|busy: Context| async move {
            busy.sleep(millis(1)).await;
            busy.work(secs(400)).await;
        });
        let answer = far.call(|to| (third, to), LONG).await;
        assert_eq!(answer, Err(CallError::Exit(ExitReason::Normal)));
    });
    assert!(outcomes.iter().all(|outcome| outcome.books.stale == 1));
}

#[test]
fn otp_08_a_call_gets_its_answer_across_nodes() {
    across(counts, async |ctx: &Context<u64>| {
        let far = start::<Question>().await;
        ctx.address().send(1);
        for n in 1..=5 {
            assert_eq!(ask(far).await, Ok(n));
        }
        // Calls leave the mailbox alone.
        assert_eq!(ctx.mailbox_len(), 1);
    });
}

#[test]
fn otp_08_calls_of_many_at_once_each_get_their_own_answer_across_nodes() {
    let echo = |own: Context<(u64, Question)>| async move {
        let mut waiting = Vec::new();
        for _ in 0..10 {
            waiting.push(own.receive_message().await);
        }
        // Answered in another order than asked.
        while !waiting.is_empty() {
            let index = own.random_below(waiting.len() as u64) as usize;
            let (n, question) = waiting.swap_remove(index);
            question.reply(n);
        }
    };
    across(echo, async |ctx: &Context<(u64, u64)>| {
        let far = start::<(u64, Question)>().await;
        let told = ctx.address();
        for n in 0..10 {
            ctx.spawn(move |_: Context| async move {
                let answer = far.call(|to| (n, to), LONG).await;
                told.send((n, answer.expect("an answer")));
            });
        }
        for _ in 0..10 {
            let (asked, answered) = ctx.receive_message().await;
            assert_eq!(asked, answered);
        }
    });
}

#[test]
fn otp_08_a_call_without_an_answer_ends_at_its_timeout_across_nodes() {
    across(idle::<Question>, async |ctx: &Context| {
        let far = start::<Question>().await;
        let began = ctx.now();
        let answer = far.call(|to| to, secs(30)).await;
        assert_eq!(answer, Err(CallError::Timeout));
        // Timers are up to 5 ms late in rough weather.
        let took = ctx.now().since(began);
        assert!((secs(30)..secs(30) + millis(5)).contains(&took), "{took:?}");
    });
}

#[test]
fn otp_08_a_call_to_a_dead_process_or_to_nobodys_name_ends_in_noproc_across_nodes() {
    across(idle::<u64>, async |ctx: &Context| {
        let gone = Address::<Question>::of(dead_pid(ctx).await);
        assert_eq!(ask(gone).await, Err(CallError::NoProc));
        let nobody = ask(Address::named("far", "nobody")).await;
        assert_eq!(nobody, Err(CallError::NoProc));
    });
}

#[test]
fn otp_08_a_call_ends_with_the_servers_exit_reason_normal_too_across_nodes() {
    let role = |own: Context<(ExitReason, Question)>| async move {
        let (reason, _question) = own.receive_message().await;
        reason
    };
    across(role, async |ctx: &Context| {
        for reason in [ExitReason::Normal, ExitReason::Shutdown, error("x")] {
            let far = start::<(ExitReason, Question)>().await;
            let answer = far.call(|to| (reason.clone(), to), LONG).await;
            assert_eq!(answer, Err(CallError::Exit(reason)));
        }
        let far = start::<(ExitReason, Question)>().await;
        let server = pid(far);
        ctx.spawn(move |killer: Context| async move {
            killer.send_exit(server, ExitReason::Kill);
        });
        let answer = far.call(|to| (ExitReason::Normal, to), LONG).await;
        // The kill may come before the question.
        assert!(
            matches!(
                answer,
                Err(CallError::Exit(ExitReason::Killed | ExitReason::Normal) | CallError::NoProc)
            ),
            "{answer:?}"
        );
    });
}

#[test]
fn otp_08_an_answer_before_the_servers_end_counts_across_nodes() {
    let role = |own: Context<Question>| async move {
        own.receive_message().await.reply(7);
        error("after the answer")
    };
    across(role, async |_: &Context| {
        let far = start::<Question>().await;
        assert_eq!(ask(far).await, Ok(7));
    });
}

#[test]
fn otp_08_callers_among_the_unread_get_the_exit_reason_and_no_timeout_across_nodes() {
    let role = |own: Context<Question>| async move {
        own.sleep(secs(300)).await;
        error("busy, then gone")
    };
    let outcomes = across(role, async |ctx: &Context<ExitReason>| {
        let far = start::<Question>().await;
        let told = ctx.address();
        for _ in 0..3 {
            ctx.spawn(move |_: Context| async move {
                if let Err(CallError::Exit(reason)) = ask(far).await {
                    told.send(reason);
                }
            });
        }
        for _ in 0..3 {
            assert_eq!(ctx.receive_message().await, error("busy, then gone"));
        }
    });
    assert!(outcomes.iter().all(|outcome| outcome.books.unread == 3));
}

#[test]
fn otp_08_a_call_over_a_connection_that_is_lost_ends_in_node_down_across_nodes() {
    across(idle::<Question>, async |ctx: &Context<Pid>| {
        let far = start::<Question>().await;
        let node = pid(far).node();
        let breaks = ctx.spawn(move |own: Context<()>| async move {
            own.receive_message().await;
            own.sleep(secs(60)).await;
            own.disconnect(node);
        });
        breaks.send(());
        let began = ctx.now();
        assert_eq!(ask(far).await, Err(CallError::NodeDown(node)));
        let took = ctx.now().since(began);
        assert!((secs(59)..secs(61)).contains(&took), "{took:?}");
        // The process lives, and takes the next question.
        assert_eq!(far.call(|to| to, secs(30)).await, Err(CallError::Timeout));
    });
}

#[test]
fn otp_08_a_process_that_calls_itself_by_its_name_of_another_node_asks_that_node() {
    // Names are of a node: the same one elsewhere is somebody else.
    let scenario = host(Scenario::new("namesake"), "far", counts);
    let scenario = scenario.node("third", |own: Context<Question>| async move {
        own.register("client").expect("a free name");
        counts(own).await;
    });
    with_client(scenario, async |_: &Context<Question>| {
        assert_eq!(ask(client()).await, Err(CallError::CallingSelf));
        assert_eq!(ask(Address::named("third", "client")).await, Ok(1));
    });
}

#[test]
fn otp_08_any_process_that_holds_the_place_for_the_answer_may_answer_across_nodes() {
    let passes = |own: Context<Passed>| async move {
        let (to, question) = own.receive_message().await;
        to.send(question);
        own.sleep(LONG).await;
    };
    let scenario = host(Scenario::new("third"), "far", passes);
    let scenario = host(scenario, "third", counts);
    with_client(scenario, async |_: &Context| {
        for _ in 0..2 {
            let far = start_on::<Passed>("far").await;
            let third = start_on::<Question>("third").await;
            assert_eq!(far.call(|to| (third, to), LONG).await, Ok(1));
        }
    });
}

#[test]
fn otp_08_an_answer_of_a_third_node_counts_though_the_server_has_ended() {
    // As in OTP the end of the server that was asked ends the call, if it is heard of first.
    let passes = |own: Context<Passed>| async move {
        let (to, question) = own.receive_message().await;
        to.send(question);
        own.sleep(millis(own.random_below(60))).await;
    };
    let scenario = host(Scenario::new("race"), "far", passes);
    let scenario = host(scenario, "third", counts);
    let outcomes = with_client(scenario, async |ctx: &Context| {
        let far = start_on::<Passed>("far").await;
        let third = start_on::<Question>("third").await;
        match far.call(|to| (third, to), LONG).await {
            Ok(1) => ctx.count("answer first"),
            Err(CallError::Exit(ExitReason::Normal)) => ctx.count("end first"),
            other => panic!("{other:?}"),
        }
        nothing_comes(ctx).await;
    });
    for first in ["answer first", "end first"] {
        let seen = outcomes.iter().filter(|o| o.counters.contains_key(first));
        assert!(seen.count() > 5, "{first}");
    }
}

#[test]
fn otp_08_a_server_forgets_a_caller_that_was_killed_across_nodes() {
    let keeps = |own: Context<Question>| async move {
        let _unanswered = [own.receive_message().await, own.receive_message().await];
        own.sleep(secs(100)).await;
    };
    let outcomes = logged(keeps, async |ctx: &Context| {
        let far = start::<Question>().await;
        for _ in 0..2 {
            let caller = ctx.spawn(move |_: Context| async move { ask(far).await.map(|_| ()) });
            ctx.sleep(secs(1)).await;
            ctx.send_exit(caller, ExitReason::Kill);
        }
        settle(ctx).await;
    });
    // Otherwise it would tell them of its end.
    for outcome in outcomes {
        assert_eq!(signals_of_far(&outcome), 0);
    }
}
