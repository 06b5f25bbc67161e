//! Mailboxes with a bound: the four policies, who waits and who does not, watermarks; and dead letters that
//! are watched.

use super::{SEEDS, dead_letters, events, one_node, settle, with_client};
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use netsplit::process::{Called, Target, Wait};
use netsplit::trace::{DeadReason, Event};
use netsplit::{
    Address, CallError, Context, DeadLetter, ExitReason, Info, MailboxBound, Never, Outcome,
    Overflow, Pid, Received, ReplyTo, Scenario, Sim, TrySendError, millis, secs,
};

use DeadReason::MailboxFull;

/// Bounds the client's own mailbox, with which most of these tests do what they have to.
pub(crate) fn own(ctx: &Context<u32>, capacity: usize, policy: Overflow) -> Address<u32> {
    ctx.bound_mailbox(MailboxBound::new(capacity).policy(policy));
    ctx.address()
}

/// All messages that are in the mailbox.
pub(crate) async fn rest(ctx: &Context<u32>) -> Vec<u32> {
    let mut all = Vec::new();
    while let Some(Received::Message(message)) = ctx.receive_within(millis(1)).await {
        all.push(message);
    }
    all
}

fn held(outcome: &Outcome) -> Vec<Pid> {
    let held = events(outcome).filter_map(|event| match event {
        Event::Held { pid, .. } => Some(pid),
        _ => None,
    });
    held.collect()
}

fn admitted(outcome: &Outcome) -> Vec<Pid> {
    let admitted = events(outcome).filter_map(|event| match event {
        Event::Admitted { pid, .. } => Some(pid),
        _ => None,
    });
    admitted.collect()
}

// ---- Wait

#[test]
fn senders_to_a_full_mailbox_wait_for_room_and_go_on_in_the_order_in_which_they_came() {
    let outcomes = one_node(async |ctx: &Context<u32>| {
        let me = own(ctx, 2, Overflow::Wait);
        for sender in 0..5 {
            ctx.spawn(move |ctx: Context| async move {
                for nth in 0..4 {
                    me.send(10 * sender + nth);
                    // It is not polled before there is room, though it waits for nothing else.
                    ctx.yield_now().await;
                }
            });
        }
        settle(ctx).await;
        let mut taken = Vec::new();
        for _ in 0..20 {
            assert!(ctx.mailbox_len() <= 2 + 5, "{}", ctx.mailbox_len());
            taken.push(ctx.receive_message().await);
            settle(ctx).await;
        }
        for sender in 0..5 {
            let own = taken.iter().filter(|message| **message / 10 == sender);
            assert!(own.is_sorted(), "{taken:?}");
        }
    });
    for outcome in outcomes {
        assert!(held(&outcome).len() > 5, "{outcome:?}");
        assert_eq!(held(&outcome), admitted(&outcome));
        assert_eq!(dead_letters(&outcome), []);
    }
}

#[test]
fn each_message_that_is_taken_lets_one_sender_go_on() {
    one_node(async |ctx: &Context<u32>| {
        let me = own(ctx, 1, Overflow::Wait);
        me.send(0);
        for sender in 1..=3 {
            ctx.spawn(move |ctx: Context| async move {
                me.send(sender);
                ctx.yield_now().await;
                me.send(10 + sender);
            });
        }
        settle(ctx).await;
        let mut taken = Vec::new();
        for _ in 0..3 {
            taken.push(ctx.receive_message().await);
            settle(ctx).await;
            assert_eq!(ctx.mailbox_len(), 4, "one went on, and has sent again");
        }
        taken.extend(rest(ctx).await);
        let again: Vec<u32> = taken[1..4].iter().map(|first| first + 10).collect();
        assert_eq!(taken[4..], again);
    });
}

#[test]
fn what_is_sent_in_one_step_goes_in_beyond_the_capacity_and_the_sender_waits_for_all_of_it() {
    one_node(async |ctx: &Context<u32>| {
        let me = own(ctx, 2, Overflow::Wait);
        ctx.spawn(move |ctx: Context| async move {
            (0..5).for_each(|nth| me.send(nth));
            ctx.yield_now().await;
            me.send(99);
        });
        settle(ctx).await;
        for nth in 0..3 {
            assert_eq!(ctx.mailbox_len(), 5 - nth, "no room yet");
            assert_eq!(ctx.receive_message().await, nth as u32);
            settle(ctx).await;
        }
        assert_eq!(
            ctx.mailbox_len(),
            3,
            "two of its own, and what it sent when it went on"
        );
        assert_eq!(rest(ctx).await, [3, 4, 99]);
    });
}

#[test]
fn a_process_never_waits_for_itself_and_a_timer_waits_for_nobody() {
    let outcomes = one_node(async |ctx: &Context<u32>| {
        let me = own(ctx, 1, Overflow::Wait);
        ctx.send_after(me, 4, millis(5));
        (1..=3).for_each(|nth| me.send(nth));
        ctx.sleep(millis(10)).await;
        assert_eq!(rest(ctx).await, [1, 2, 3, 4]);
    });
    assert!(outcomes.iter().all(|outcome| held(outcome).is_empty()));
}

#[test]
fn nobody_waits_for_room_at_a_process_that_has_ended() {
    let ends = [
        ExitReason::Normal,
        ExitReason::Kill,
        ExitReason::error("it fails"),
    ];
    for end in ends {
        let outcomes = one_node(async move |ctx: &Context<u32>| {
            let end = end.clone();
            let full = ctx.spawn(move |ctx: Context<u32>| async move {
                ctx.bound_mailbox(MailboxBound::new(1));
                ctx.sleep(millis(5)).await;
                if end == ExitReason::Kill {
                    ctx.send_exit(ctx.pid(), end.clone());
                }
                end
            });
            settle(ctx).await;
            let start = ctx.now();
            (0..3).for_each(|nth| full.send(nth));
            ctx.yield_now().await;
            assert_eq!(ctx.now().since(start), millis(4));
            full.send(3);
            ctx.yield_now().await;
        });
        for outcome in outcomes {
            assert_eq!((held(&outcome).len(), admitted(&outcome).len()), (1, 1));
            assert_eq!((outcome.books.unread, outcome.books.dead), (3, 1));
        }
    }
}

#[test]
fn a_sender_that_is_killed_while_it_waits_holds_nobody_up() {
    one_node(async |ctx: &Context<u32>| {
        let me = own(ctx, 1, Overflow::Wait);
        me.send(0);
        let first = ctx.spawn(move |ctx: Context| async move {
            me.send(1);
            ctx.yield_now().await;
            me.send(100);
        });
        settle(ctx).await;
        ctx.spawn(move |ctx: Context| async move {
            me.send(2);
            ctx.yield_now().await;
            me.send(3);
        });
        settle(ctx).await;
        ctx.send_exit(first.pid().expect("a pid"), ExitReason::Kill);
        settle(ctx).await;
        assert_eq!(rest(ctx).await, [0, 1, 2, 3]);
    });
}

#[test]
fn a_sender_to_two_full_mailboxes_waits_for_both() {
    one_node(async |ctx: &Context<u32>| {
        let slow = |after| {
            ctx.spawn(move |ctx: Context<u32>| async move {
                ctx.bound_mailbox(MailboxBound::new(1));
                ctx.sleep(after).await;
                loop {
                    ctx.receive().await;
                }
            })
        };
        let (one, other) = (slow(millis(5)), slow(millis(8)));
        settle(ctx).await;
        let start = ctx.now();
        for full in [one, other, one, other] {
            full.send(0);
        }
        ctx.yield_now().await;
        assert_eq!(ctx.now().since(start), millis(7));
    });
}

#[test]
fn a_caller_waits_for_its_answer_and_no_longer_than_its_timeout() {
    let outcomes = with_client(
        Scenario::new("callers"),
        async |ctx: &Context<ReplyTo<u32>>| {
            let slow = ctx.spawn(|ctx: Context<ReplyTo<u32>>| async move {
                ctx.bound_mailbox(MailboxBound::new(1));
                ctx.sleep(millis(5)).await;
                loop {
                    ctx.receive_message().await.reply(7);
                    ctx.sleep(millis(5)).await;
                }
            });
            settle(ctx).await;
            for _ in 0..2 {
                ctx.spawn(move |_: Context| async move {
                    assert_eq!(slow.call(|to| to, secs(1)).await, Ok(7));
                });
            }
            settle(ctx).await;
            let start = ctx.now();
            let failed = slow.call(|to| to, millis(1)).await;
            assert_eq!(failed, Err(CallError::Timeout));
            assert_eq!(ctx.now().since(start), millis(1));
            assert_eq!(slow.call(|to| to, secs(1)).await, Ok(7));
        },
    );
    assert!(outcomes.iter().all(|outcome| held(outcome).is_empty()));
}

#[test]
fn more_room_lets_senders_go_on_and_less_drops_nothing() {
    one_node(async |ctx: &Context<u32>| {
        let me = own(ctx, 1, Overflow::Wait);
        ctx.spawn(move |ctx: Context| async move {
            (0..4).for_each(|nth| me.send(nth));
            ctx.yield_now().await;
            me.send(4);
        });
        settle(ctx).await;
        own(ctx, 3, Overflow::Wait);
        settle(ctx).await;
        assert_eq!(ctx.mailbox_len(), 4, "one is beyond the bound");
        own(ctx, 4, Overflow::Wait);
        settle(ctx).await;
        assert_eq!(ctx.mailbox_len(), 5, "it went on");
        own(ctx, 1, Overflow::DropNewest);
        assert_eq!(rest(ctx).await, [0, 1, 2, 3, 4]);
    });
}

#[test]
fn who_waits_goes_on_waiting_though_others_are_turned_away_from_now_on() {
    let outcomes = one_node(async |ctx: &Context<u32>| {
        let me = own(ctx, 1, Overflow::Wait);
        ctx.spawn(move |ctx: Context| async move {
            (0..2).for_each(|nth| me.send(nth));
            ctx.sleep(secs(1)).await;
        });
        settle(ctx).await;
        own(ctx, 1, Overflow::Refuse).send(9);
        settle(ctx).await;
        assert_eq!(ctx.receive_message().await, 0);
    });
    for outcome in outcomes {
        let turns = events(&outcome).filter(|event| {
            matches!(
                event,
                Event::Admitted { .. } | Event::Receive { .. } | Event::DeadLetter { .. }
            )
        });
        let turns: Vec<Event> = turns.collect();
        let [
            Event::DeadLetter { .. },
            Event::Receive { .. },
            Event::Admitted { .. },
        ] = turns[..]
        else {
            panic!("{turns:?}");
        };
    }
}

#[test]
fn a_sender_that_waits_takes_nothing_more_out_of_its_own_mailbox_meanwhile() {
    type Receive = fn(&Context<u32>) -> LocalBoxFuture<'_, u32>;
    let receives: [Receive; 3] = [
        |ctx| Box::pin(ctx.receive_message()),
        |ctx| {
            Box::pin(async {
                match ctx.receive().await {
                    Received::Message(message) => message,
                    Received::Info(info) => panic!("{info:?}"),
                }
            })
        },
        // A combinator that wakes what it holds by wakers of its own.
        |ctx| {
            let one = futures::stream::iter([ctx.receive_message()]).buffer_unordered(2);
            Box::pin(async { one.boxed_local().next().await.expect("a message") })
        },
    ];
    for receive in receives {
        one_node(async move |ctx: &Context<u32>| {
            let me = own(ctx, 1, Overflow::Wait);
            let pump = ctx.spawn(move |ctx: Context<u32>| async move {
                loop {
                    me.send(receive(&ctx).await);
                }
            });
            settle(ctx).await;
            (0..4).for_each(|nth| pump.send(nth));
            settle(ctx).await;
            for nth in 0..4 {
                assert_eq!(ctx.mailbox_len(), 2.min(4 - nth));
                assert_eq!(ctx.receive_message().await, nth as u32);
                settle(ctx).await;
            }
        });
    }
}

// ---- what makes no progress

/// Two processes that have each filled the other's mailbox, and do not take what is in their own.
fn ring_of_rooms() -> Scenario {
    let greedy = |ctx: Context<Address<Never>>| async move {
        ctx.register("greedy").expect("a free name");
        ctx.bound_mailbox(MailboxBound::new(1));
        let peer: Address<Address<Never>> = Address::named("home", "modest");
        settle(&ctx).await;
        for _ in 0..2 {
            peer.send(Address::of(ctx.pid()));
        }
        ctx.receive().await;
    };
    Scenario::new("ring of rooms").node("home", move |ctx: Context<Address<Never>>| async move {
        ctx.register("modest").expect("a free name");
        ctx.bound_mailbox(MailboxBound::new(1));
        let greedy = ctx.spawn(greedy);
        settle(&ctx).await;
        for _ in 0..2 {
            greedy.send(Address::of(ctx.pid()));
        }
        ctx.receive().await;
    })
}

#[test]
fn processes_that_wait_for_room_in_each_others_mailboxes_are_found_as_a_ring() {
    let scenario = ring_of_rooms().script(|sim: &mut Sim<'_, '_>| {
        sim.run_for(secs(1));
        let (ring, waits) = sim.view(|view| (view.call_cycle(), view.waiting()));
        let ring = ring.expect("a ring");
        assert_eq!(ring.len(), 2);
        for (waiting, peer) in waits.iter().zip(ring.iter().rev()) {
            let [
                Wait::Room {
                    of: Called::Process { pid, .. },
                },
            ] = &waiting.waits[..]
            else {
                panic!("{waiting}");
            };
            assert_eq!(pid, peer);
        }
        let line = waits[1].to_string();
        assert_eq!(
            line,
            "<home.1.0> \"greedy\"  waits for room in the mailbox of <home.0.0> \"modest\"; \
             2 in its mailbox"
        );
    });
    for seed in 0..SEEDS {
        let outcome = scenario.run(seed).expect("a good scenario");
        assert_eq!((outcome.violation, outcome.error), (None, None));
    }
}

// ---- Refuse, drop the newest, drop the oldest

#[test]
fn a_full_mailbox_that_refuses_gives_the_message_back_to_who_tries() {
    let outcomes = one_node(async |ctx: &Context<u32>| {
        let me = own(ctx, 2, Overflow::Refuse);
        assert_eq!(me.try_send(1), Ok(()));
        me.send(2);
        let refused = TrySendError {
            message: 3,
            why: MailboxFull,
        };
        assert_eq!(me.try_send(3), Err(refused));
        me.send(4);
        assert_eq!(ctx.receive_message().await, 1);
        assert_eq!(me.try_send(5), Ok(()));
        assert_eq!(rest(ctx).await, [2, 5]);
    });
    for outcome in outcomes {
        assert_eq!(dead_letters(&outcome), [MailboxFull]);
        let refused = events(&outcome).filter(|event| matches!(event, Event::Refused { .. }));
        assert_eq!(refused.count(), 1);
        assert_eq!((outcome.books.sent, outcome.books.received), (4, 3));
    }
}

#[test]
fn who_tries_to_send_does_not_wait_and_is_told_that_nobody_is_there() {
    let outcomes = one_node(async |ctx: &Context<u32>| {
        let me = own(ctx, 1, Overflow::Wait);
        assert_eq!(me.try_send(1), Ok(()));
        assert_eq!(me.try_send(2).map_err(|error| error.why), Err(MailboxFull));
        assert_eq!(ctx.mailbox_len(), 1);
        let nobody = Address::<u32>::named("client", "nobody").try_send(3);
        assert_eq!(nobody.map_err(|error| error.message), Err(3));
        let gone = super::dead_pid(ctx).await;
        let why = |address: Address<u64>| address.try_send(4).map_err(|error| error.why);
        assert_eq!(why(Address::of(gone)), Err(DeadReason::NoProc));
        assert_eq!(why(Address::of(ctx.pid())), Err(DeadReason::OtherType));
        let error = ExitReason::from(
            Address::<u64>::of(gone)
                .try_send(4)
                .expect_err("it is gone"),
        );
        let said = "error: the message was not sent: no such process";
        assert_eq!(error.to_string(), said);
    });
    for outcome in outcomes {
        assert_eq!((dead_letters(&outcome).len(), held(&outcome).len()), (0, 0));
        assert_eq!(outcome.books.sent, 1);
    }
}

#[test]
fn a_full_mailbox_drops_the_newest_or_the_oldest_and_each_is_a_dead_letter() {
    let kept = [
        (Overflow::Refuse, [1, 2], [3, 4, 5]),
        (Overflow::DropNewest, [1, 2], [3, 4, 5]),
        (Overflow::DropOldest, [4, 5], [1, 2, 3]),
    ];
    for (policy, kept, dropped) in kept {
        let outcomes = one_node(async move |ctx: &Context<u32>| {
            let me = own(ctx, 2, policy);
            ctx.watch_dead_letters(true);
            ctx.spawn(move |_: Context| async move { (1..=5).for_each(|nth| me.send(nth)) });
            settle(ctx).await;
            let mut letters = Vec::new();
            for _ in dropped {
                let Info::DeadLetter(DeadLetter {
                    id,
                    to,
                    why,
                    missed,
                }) = ctx.receive_info(|_| true).await
                else {
                    panic!("another info");
                };
                assert_eq!((to, why, missed), (Target::Pid(ctx.pid()), MailboxFull, 0));
                letters.push(id.nth());
            }
            assert_eq!(letters, dropped);
            assert_eq!(rest(ctx).await, kept);
        });
        for outcome in outcomes {
            assert_eq!(dead_letters(&outcome), [MailboxFull; 3]);
        }
    }
}

#[test]
fn where_messages_are_dropped_trying_to_send_succeeds() {
    for policy in [Overflow::DropNewest, Overflow::DropOldest] {
        let outcomes = one_node(async move |ctx: &Context<u32>| {
            let me = own(ctx, 1, policy);
            assert_eq!((me.try_send(1), me.try_send(2)), (Ok(()), Ok(())));
            assert_eq!(ctx.mailbox_len(), 1);
        });
        assert!(outcomes.iter().all(|outcome| outcome.books.dead == 1));
    }
}

/// A question with a number.
type Asked = (u32, ReplyTo<u32>);

#[test]
fn a_call_whose_question_is_not_kept_fails_at_once() {
    let policies = [
        (Overflow::Refuse, [Ok(1), Err(CallError::MailboxFull)]),
        (Overflow::DropNewest, [Ok(1), Err(CallError::MailboxFull)]),
        (Overflow::DropOldest, [Err(CallError::MailboxFull), Ok(2)]),
    ];
    for (policy, expected) in policies {
        let outcomes = one_node(async move |ctx: &Context<u32>| {
            let server = ctx.spawn(move |ctx: Context<Asked>| async move {
                ctx.bound_mailbox(MailboxBound::new(1).policy(policy));
                ctx.sleep(millis(10)).await;
                loop {
                    let (number, to) = ctx.receive_message().await;
                    to.reply(number);
                }
            });
            settle(ctx).await;
            // Both are calls of one process: which of them has failed is known.
            let first = server.call(|to| (1, to), secs(1));
            let second = server.call(|to| (2, to), secs(1));
            let start = ctx.now();
            let both =
                futures::future::join(async { (first.await, ctx.now().since(start)) }, async {
                    (second.await, ctx.now().since(start))
                });
            let (first, second) = both.await;
            for ((answer, after), expected) in [first, second].into_iter().zip(expected.clone()) {
                let at_once = answer == Err(CallError::MailboxFull);
                assert_eq!(answer, expected);
                assert_eq!(after, if at_once { millis(0) } else { millis(9) });
            }
            // Nothing of that call is left behind.
            assert_eq!(server.call(|to| (3, to), secs(1)).await, Ok(3));
        });
        for outcome in outcomes {
            assert_eq!(dead_letters(&outcome), [MailboxFull]);
            assert_eq!(outcome.books.stale, 0);
        }
    }
}

#[test]
fn what_the_system_tells_is_never_dropped_and_takes_no_room() {
    for policy in [
        Overflow::Wait,
        Overflow::Refuse,
        Overflow::DropNewest,
        Overflow::DropOldest,
    ] {
        one_node(async move |ctx: &Context<u32>| {
            let me = own(ctx, 1, policy);
            ctx.trap_exit(true);
            let (child, _) = ctx.spawn_monitor(|_: Context| async {});
            ctx.link(child.pid().expect("a pid"));
            settle(ctx).await;
            assert_eq!(ctx.mailbox_len(), 2);
            assert_eq!(me.try_send(1), Ok(()));
            let (other, _) = ctx.spawn_monitor(|_: Context| async {});
            let _ = ctx.monitor(other.pid().expect("a pid"));
            settle(ctx).await;
            assert_eq!(ctx.mailbox_len(), 5);
            me.send(2);
            let mut infos = 0;
            while ctx.mailbox_len() > 0 {
                infos += usize::from(ctx.receive().await.message().is_none());
            }
            assert_eq!(infos, 4);
        });
    }
}

#[test]
fn a_message_that_is_taken_out_of_the_middle_makes_room_too() {
    one_node(async |ctx: &Context<u32>| {
        let me = own(ctx, 2, Overflow::Refuse);
        me.send(1);
        me.send(2);
        assert_eq!(ctx.receive_where(|message| *message == 2).await, 2);
        assert_eq!(me.try_send(3), Ok(()));
        assert_eq!(me.try_send(4).map_err(|error| error.message), Err(4));
        assert_eq!(rest(ctx).await, [1, 3]);
    });
}

#[test]
fn what_a_look_into_the_mailbox_sends_to_itself_is_counted_once_it_is_back() {
    for policy in [Overflow::Refuse, Overflow::DropNewest, Overflow::DropOldest] {
        let outcomes = one_node(async move |ctx: &Context<u32>| {
            let me = own(ctx, 2, policy);
            me.send(1);
            me.send(2);
            let mut looks = 0;
            let found = ctx.receive_where(|message| {
                looks += 1;
                if looks == 1 {
                    me.send(3);
                }
                *message == 2
            });
            assert_eq!(found.await, 2);
            assert_eq!(
                rest(ctx).await,
                [1],
                "there was no room, and no oldest to be seen"
            );
        });
        assert!(outcomes.iter().all(|outcome| outcome.books.dead == 1));
    }
}

#[test]
fn a_mailbox_without_a_bound_of_its_own_is_bounded_by_the_run() {
    for bound in [
        None,
        Some(MailboxBound::new(50)),
        Some(MailboxBound::unbounded(1, 9)),
    ] {
        let scenario = Scenario::new("flood")
            .bounds(netsplit::Bounds {
                mailbox: 20,
                ..Default::default()
            })
            .client("client", move |ctx: Context<u32>| async move {
                bound.into_iter().for_each(|bound| ctx.bound_mailbox(bound));
                loop {
                    ctx.address().send(1);
                    ctx.yield_now().await;
                }
            })
            .finally("it ended", |_| true);
        let error = scenario.run(7).expect("a good scenario").error;
        let text = error.expect("an error").to_string();
        assert!(text.contains("20 messages in one mailbox"), "{text}");
    }
}

#[test]
fn a_bound_that_makes_no_sense_says_so() {
    type Make = fn() -> MailboxBound;
    let refused: [(Make, &str); 3] = [
        (|| MailboxBound::new(0), "its capacity is 0"),
        (
            || MailboxBound::unbounded(5, 5),
            "the low watermark, 5, must be below the high one, 5",
        ),
        (
            || MailboxBound::new(3).watermarks(1, 4),
            "the high watermark, 4, is beyond the capacity, 3",
        ),
    ];
    for (bound, says) in refused {
        let panicked = std::panic::catch_unwind(bound).expect_err("it is refused");
        let text = panicked.downcast_ref::<String>().cloned();
        let text = text.or(panicked
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned()));
        assert!(
            text.as_deref().is_some_and(|text| text.contains(says)),
            "{text:?}"
        );
    }
}
