//! Mailboxes with a bound, across nodes: nobody far away waits, and callers hear what became of their
//! questions; dead letters are told on the node where they are found.

use super::{LONG, across, dead_pid, idle, logged, settle, signals_of_far, start};
use futures::future::join;
use netsplit::trace::DeadReason;
use netsplit::{
    Address, CallError, Context, Distribution, Info, Keep, MailboxBound, Network, Overflow, Path,
    Received, ReplyTo, Scenario, millis, secs,
};

#[test]
fn senders_of_other_nodes_never_wait_for_room_and_what_they_send_goes_in_across_nodes() {
    let role = |ctx: Context<(u32, Option<ReplyTo<usize>>)>| async move {
        ctx.bound_mailbox(MailboxBound::new(2));
        settle(&ctx).await;
        let waiting = ctx.mailbox_len();
        for nth in 0..10 {
            assert_eq!(ctx.receive_message().await.0, nth);
        }
        let (_, asked) = ctx.receive_message().await;
        asked.expect("a question").reply(waiting);
    };
    across(role, async |ctx: &Context| {
        let far = start().await;
        for nth in 0..10_u32 {
            assert!(far.try_send((nth, None)).is_ok());
            ctx.yield_now().await;
        }
        let answer = far.call(|to| (10, Some(to)), LONG).await;
        assert_eq!(answer, Ok(11_usize));
    });
}

#[test]
fn a_call_whose_question_is_dropped_fails_as_soon_as_that_is_known_across_nodes() {
    let full = || Err(CallError::MailboxFull);
    let policies = [
        (Overflow::Refuse, [Ok(1_u32), full()]),
        (Overflow::DropNewest, [Ok(1_u32), full()]),
        (Overflow::DropOldest, [full(), Ok(2)]),
    ];
    for (policy, expected) in policies {
        let role = move |ctx: Context<(u32, ReplyTo<u32>)>| async move {
            ctx.bound_mailbox(MailboxBound::new(1).policy(policy));
            settle(&ctx).await;
            settle(&ctx).await;
            loop {
                let (number, asked) = ctx.receive_message().await;
                asked.reply(number);
            }
        };
        let outcomes = across(role, async move |ctx: &Context| {
            let far = start().await;
            ctx.sleep(secs(100)).await;
            let (called, long) = (ctx.now(), secs(7200));
            let call = async |number: u32| {
                let answer = far.call(|to| (number, to), long).await;
                if answer == Err(CallError::MailboxFull) {
                    assert!(ctx.now().since(called) < secs(150), "it is known before");
                }
                answer
            };
            let (first, second) = join(call(1), call(2)).await;
            assert_eq!([first, second], expected);
            assert_eq!(far.call(|to| (3, to), long).await, Ok(3_u32));
        });
        for outcome in outcomes {
            assert_eq!((outcome.books.dead, outcome.books.stale), (1, 0));
        }
    }
}

#[test]
fn a_server_forgets_a_caller_whose_question_it_has_turned_away_across_nodes() {
    let role = |ctx: Context<Option<ReplyTo<u32>>>| async move {
        ctx.bound_mailbox(MailboxBound::new(1).policy(Overflow::Refuse));
        ctx.sleep(secs(100)).await;
    };
    let outcomes = logged(role, async |ctx: &Context| {
        let far = start::<Option<ReplyTo<u32>>>().await;
        far.send(None);
        let answer = far.call(Some, LONG).await;
        assert_eq!(answer, Err(CallError::MailboxFull));
        settle(ctx).await;
    });
    // That it was turned away; of the server's end the caller is not told.
    for outcome in outcomes {
        assert_eq!(signals_of_far(&outcome), 1);
    }
}

#[test]
fn a_dead_letter_is_told_on_the_node_where_it_found_nobody_across_nodes() {
    let role = |ctx: Context<ReplyTo<DeadReason>>| async move {
        ctx.watch_dead_letters(true);
        let asked = ctx.receive_message().await;
        let Info::DeadLetter(letter) = ctx.receive_info(|_| true).await else {
            panic!("another info");
        };
        assert_eq!(letter.id.from, asked.caller());
        asked.reply(letter.why);
    };
    across(role, async |ctx: &Context<u32>| {
        ctx.watch_dead_letters(true);
        let gone = dead_pid(ctx).await;
        let far = start().await;
        let call = far.call(|to: ReplyTo<DeadReason>| to, LONG);
        let send = async { Address::<u32>::of(gone).send(1) };
        let (told, ()) = join(call, send).await;
        assert_eq!(told, Ok(DeadReason::NoProc));
        assert_eq!(ctx.mailbox_len(), 0, "nothing was told here");
    });
}

#[test]
fn what_cannot_be_sent_for_want_of_a_connection_is_told_on_the_node_of_its_sender_across_nodes() {
    let scenario = Scenario::new("no connection")
        .node("far", idle::<u32>)
        .client("client", |ctx: Context| async move {
            ctx.watch_dead_letters(true);
            ctx.spawn(|ctx: Context| async move {
                ctx.sleep(secs(1)).await;
                Address::<u32>::named("far", "anybody").send(1);
            });
            let Info::DeadLetter(letter) = ctx.receive_info(|_| true).await else {
                panic!("another info");
            };
            assert_eq!(letter.why, DeadReason::NoConnection);
            ctx.count("told");
        })
        .script(|sim| {
            sim.crash("far");
            sim.run_for(LONG);
            assert_eq!(sim.view(|view| view.counter("told")), 1);
        });
    super::all_seeds(&scenario, Keep::default());
}

#[test]
fn a_sender_that_fills_a_connection_and_a_mailbox_waits_for_both_across_nodes() {
    // The connection is free again 50 ms after the message was sent.
    for (slow, both) in [(5, 50), (201, 200)] {
        let network = Network::new(Path::new(Distribution::Constant(millis(50))));
        for connection_first in [true, false] {
            let scenario = Scenario::new("both").node("far", |ctx: Context<Vec<u8>>| async move {
                ctx.register("ear").expect("a free name");
                idle(ctx).await;
            });
            let scenario = scenario.network(network.clone().buffer(1_000));
            let scenario = super::ends_with(scenario, async move |ctx: &Context| {
                ctx.connect(ctx.node_named("far").expect("a node"));
                ctx.sleep(secs(1)).await;
                let near = ctx.spawn(move |ctx: Context<u32>| async move {
                    ctx.bound_mailbox(MailboxBound::new(1));
                    ctx.sleep(millis(slow)).await;
                    loop {
                        let Received::Message(_) = ctx.receive().await else {
                            panic!("an info")
                        };
                    }
                });
                ctx.sleep(millis(1)).await;
                let far = Address::<Vec<u8>>::named("far", "ear");
                let fill = |line: bool| match line {
                    true => far.send(vec![0; 2_000]),
                    false => (0..2).for_each(|nth| near.send(nth)),
                };
                let start = ctx.now();
                fill(connection_first);
                fill(!connection_first);
                ctx.yield_now().await;
                let waited = ctx.now().since(start);
                assert!(
                    waited >= millis(both) && waited < millis(both + 150),
                    "{waited:?}"
                );
            });
            super::all_seeds(&scenario, Keep::default());
        }
    }
}
