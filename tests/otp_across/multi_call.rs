//! Rule 8 for many at once: a call to the server of one name on several nodes.

use super::{LONG, error, settle, with_client};
use netsplit::{
    Address, CallError, Context, ExitReason, NodeId, ReplyTo, Scenario, abcast, multi_call, secs,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, Serialize, Deserialize)]
enum Ask {
    Number,
    Add(u64),
}

type Question = (Ask, Option<ReplyTo<u64>>);

fn number(reply_to: ReplyTo<u64>) -> Question {
    (Ask::Number, Some(reply_to))
}

/// How the server of a node deals with a question.
#[derive(Clone, Copy)]
enum Manner {
    Answers(u64),
    /// After so long.
    Late(Duration, u64),
    Silent,
    Ends,
    /// There is no server.
    Absent,
}

async fn server(ctx: Context<Question>, manner: Manner) -> Result<(), ExitReason> {
    if let Manner::Absent = manner {
        return Ok(());
    }
    ctx.register("server").expect("a free name");
    let mut added = 0;
    loop {
        let (ask, reply_to) = ctx.receive_message().await;
        if let Ask::Add(n) = ask {
            added += n;
        }
        let Some(reply_to) = reply_to else { continue };
        match manner {
            Manner::Answers(n) => reply_to.reply(n + added),
            Manner::Late(after, n) => {
                ctx.sleep(after).await;
                reply_to.reply(n);
            }
            Manner::Ends => return Err(error("asked too much")),
            Manner::Silent | Manner::Absent => {}
        }
    }
}

/// A node for each of these manners: `n0`, `n1`, …
fn nodes(manners: &[Manner]) -> Scenario {
    let mut scenario = Scenario::new("many");
    for (index, manner) in manners.iter().copied().enumerate() {
        scenario = scenario.node(&format!("n{index}"), move |ctx| server(ctx, manner));
    }
    scenario
}

fn ids<const N: usize>(ctx: &Context<Question>) -> [NodeId; N] {
    std::array::from_fn(|index| ctx.node_named(&format!("n{index}")).expect("a node"))
}

/// In the order of nodes: answers come in any.
fn sorted<T: Clone>(of: &[(NodeId, T)]) -> Vec<(NodeId, T)> {
    let mut sorted = of.to_vec();
    sorted.sort_by_key(|(node, _)| *node);
    sorted
}

#[test]
fn otp_08_a_multi_call_gives_the_answers_by_node_and_for_every_other_node_its_error() {
    let manners = [
        Manner::Answers(10),
        Manner::Absent,
        Manner::Ends,
        Manner::Silent,
        Manner::Answers(14),
    ];
    with_client(nodes(&manners), async |ctx: &Context<Question>| {
        // Itself, too: it is registered as `client`, and so is nobody's server.
        let [n0, n1, n2, n3, n4] = ids(ctx);
        let all = [n0, n1, n2, n3, n4, ctx.node()];
        let answers = multi_call(all, "server", number, LONG).await;
        assert_eq!(sorted(&answers.replies), [(n0, 10), (n4, 14)]);
        let ended = CallError::Exit(error("asked too much"));
        let failed = [
            (n1, CallError::NoProc),
            (n2, ended),
            (n3, CallError::Timeout),
            (ctx.node(), CallError::NoProc),
        ];
        assert_eq!(sorted(&answers.failed), failed);
        assert_eq!(answers.failed.last(), Some(&(n3, CallError::Timeout)));
    });
}

#[test]
fn otp_08_a_multi_call_asks_its_own_nodes_server_too_but_never_itself() {
    with_client(
        nodes(&[Manner::Answers(1)]),
        async |ctx: &Context<Question>| {
            let own = ctx.spawn(|ctx| server(ctx, Manner::Answers(2)));
            let [far] = ids(ctx);
            let name_is_taken = async || {
                while ctx.whereis("server").is_none() {
                    ctx.yield_now().await;
                }
            };
            name_is_taken().await;
            let answers = multi_call([far, ctx.node()], "server", number, LONG).await;
            assert_eq!(sorted(&answers.replies), [(far, 1), (ctx.node(), 2)]);
            // Its own answer needs no network.
            assert_eq!(answers.replies[0].0, ctx.node());
            let itself = multi_call([ctx.node()], "client", number, LONG).await;
            assert_eq!(itself.failed, [(ctx.node(), CallError::CallingSelf)]);
            let _ = own;
        },
    );
}

#[test]
fn otp_08_answers_of_a_multi_call_come_as_they_are_given_and_one_timeout_is_for_all() {
    let late = |seconds| Manner::Late(secs(seconds), seconds);
    // What a connection's weather adds is far less than what lies between two answers.
    let manners = [late(600), late(200), late(4000), late(400), Manner::Silent];
    let scenario = nodes(&manners);
    with_client(scenario, async |ctx: &Context<Question>| {
        let asked: [NodeId; 5] = ids(ctx);
        let began = ctx.now();
        let answers = multi_call(asked, "server", number, secs(1000)).await;
        let numbers: Vec<u64> = answers.replies.iter().map(|(_, number)| *number).collect();
        assert_eq!(numbers, [200, 400, 600]);
        let failed = [
            (asked[2], CallError::Timeout),
            (asked[4], CallError::Timeout),
        ];
        assert_eq!(sorted(&answers.failed), failed);
        let took = ctx.now().since(began);
        assert!(took >= secs(1000) && took < secs(1001), "{took:?}");
    });
}

#[test]
fn otp_07_and_08_a_multi_call_that_is_dropped_ends_its_aliases_and_late_answers_are_stale() {
    let late = |n| Manner::Late(secs(300), n);
    let outcomes = with_client(
        nodes(&[late(1), late(2)]),
        async |ctx: &Context<Question>| {
            let asked: [NodeId; 2] = ids(ctx);
            let call = Box::pin(multi_call(asked, "server", number, LONG));
            let sleep = Box::pin(ctx.sleep(secs(200)));
            let first = futures::future::select(call, sleep).await;
            assert!(matches!(first, futures::future::Either::Right(_)));
            drop(first);
            ctx.sleep(secs(400)).await;
        },
    );
    for outcome in outcomes {
        assert_eq!(outcome.books.stale, 2, "{}", outcome.books);
    }
}

#[test]
fn otp_08_a_multi_call_to_no_node_is_over_at_once() {
    with_client(nodes(&[]), async |ctx: &Context<Question>| {
        let answers = multi_call([], "server", number, LONG).await;
        assert!(answers.replies.is_empty() && answers.failed.is_empty());
        assert_eq!(ctx.now().as_nanos(), 0);
    });
}

#[test]
fn what_is_cast_to_all_comes_before_what_is_called_for_after_it() {
    let manners = [Manner::Answers(10), Manner::Answers(20), Manner::Absent];
    let outcomes = with_client(nodes(&manners), async |ctx: &Context<Question>| {
        let all: [NodeId; 3] = ids(ctx);
        abcast(all, "server", || -> Question { (Ask::Add(1), None) });
        let answers = multi_call(all, "server", number, LONG).await;
        assert_eq!(sorted(&answers.replies), [(all[0], 11), (all[1], 21)]);
        settle(ctx).await;
    });
    for outcome in outcomes {
        // The message and the question to the node without a server.
        assert_eq!(outcome.books.dead, 2);
    }
}

#[test]
fn otp_08_calls_that_are_joined_are_under_way_at_once() {
    let late = |n| Manner::Late(secs(500), n);
    with_client(
        nodes(&[late(1), late(2)]),
        async |ctx: &Context<Question>| {
            let ask = |node| Address::<Question>::named(node, "server").call(number, LONG);
            let (one, two) = futures::join!(ask("n0"), ask("n1"));
            assert_eq!((one, two), (Ok(1), Ok(2)));
            let took = ctx.now().since(netsplit::Time::ZERO);
            assert!(took < secs(550), "{took:?}");
        },
    );
}
