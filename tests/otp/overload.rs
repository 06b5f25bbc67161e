//! What a full mailbox and a dead letter tell: watermarks, those who watch dead letters, and the laws where
//! senders wait.

use super::mailboxes::{own, rest};
use super::{dead_letters, events, idle, nothing_comes, one_node, settle};
use netsplit::explore::Strategy;
use netsplit::otp::sys;
use netsplit::process::{Target, Wait};
use netsplit::trace::{DeadReason, Event};
use netsplit::{
    Address, Context, Flow, GenServer, GenStatem, Info, Initial, Keep, MailboxBound, Never,
    Overflow, Received, Refusal, ReplyTo, Scenario, Server, Sim, StateMachine, Transition, millis,
    secs,
};
use serde::{Deserialize, Serialize};

use DeadReason::MailboxFull;

// ---- watermarks

/// A process that bounds its mailbox, and takes nothing.
fn bounded(ctx: &Context<u32>, bound: MailboxBound) -> Address<u32> {
    ctx.spawn(move |ctx: Context<u32>| async move {
        ctx.bound_mailbox(bound);
        ctx.sleep(secs(10)).await;
    })
}

#[test]
fn a_mailbox_that_crosses_its_watermarks_is_told_of_once_each_way() {
    let outcomes = one_node(async |ctx: &Context<u32>| {
        let me = ctx.address();
        ctx.bound_mailbox(MailboxBound::unbounded(1, 3));
        let told = ctx.spawn(|ctx: Context<ReplyTo<Vec<(bool, usize)>>>| async move {
            ctx.watch_overload(true);
            let mut told = Vec::new();
            loop {
                match ctx.receive().await {
                    Received::Info(Info::Overloaded { len, .. }) => told.push((true, len)),
                    Received::Info(Info::Relieved { len, .. }) => told.push((false, len)),
                    Received::Info(other) => panic!("{other:?}"),
                    Received::Message(to) => to.reply(told.clone()),
                }
            }
        });
        settle(ctx).await;
        (0..5).for_each(|nth| me.send(nth));
        for _ in 0..3 {
            ctx.receive_message().await;
        }
        (0..2).for_each(|nth| me.send(nth));
        let answer = told.call(|to| to, secs(1)).await;
        assert_eq!(answer, Ok(vec![(true, 3)]));
        for _ in 0..4 {
            ctx.receive_message().await;
        }
        (0..3).for_each(|nth| me.send(nth));
        rest(ctx).await;
        let answer = told.call(|to| to, secs(1)).await;
        let both = [(true, 3), (false, 1)];
        assert_eq!(answer, Ok([both, both].concat()));
    });
    for outcome in outcomes {
        let crossed = events(&outcome).filter_map(|event| match event {
            Event::Overloaded { len, .. } => Some((true, len)),
            Event::Relieved { len, .. } => Some((false, len)),
            _ => None,
        });
        let crossed: Vec<_> = crossed.collect();
        assert_eq!(crossed, [(true, 3), (false, 1), (true, 3), (false, 1)]);
    }
}

#[test]
fn who_listens_no_more_or_has_ended_is_told_nothing() {
    one_node(async |ctx: &Context<u32>| {
        ctx.watch_overload(true);
        ctx.watch_overload(true);
        ctx.watch_dead_letters(true);
        let listener = ctx.spawn(|ctx: Context| async move {
            ctx.watch_overload(true);
            ctx.watch_dead_letters(true);
        });
        settle(ctx).await;
        assert!(!ctx.is_alive(listener.pid().expect("a pid")));
        let full = bounded(ctx, MailboxBound::new(1).policy(Overflow::DropNewest));
        settle(ctx).await;
        full.send(1);
        let overloaded = Info::Overloaded {
            pid: full.pid().expect("a pid"),
            len: 1,
        };
        assert_eq!(ctx.receive().await, Received::Info(overloaded));
        ctx.watch_overload(false);
        ctx.watch_dead_letters(false);
        let other = bounded(ctx, MailboxBound::new(1).policy(Overflow::DropNewest));
        settle(ctx).await;
        ctx.spawn(move |_: Context| async move { (0..2).for_each(|nth| other.send(nth)) });
        nothing_comes(ctx).await;
    });
}

// ---- dead letters

#[test]
fn every_dead_letter_of_a_node_is_told_to_those_who_watch() {
    one_node(async |ctx: &Context<u32>| {
        ctx.watch_dead_letters(true);
        let gone = super::dead_pid(ctx).await;
        let (me, nobody) = (ctx.pid(), Address::<u64>::named("client", "nobody"));
        let sender = ctx.spawn(move |_: Context| async move {
            Address::<u32>::of(gone).send(1);
            nobody.send(2);
            Address::<u64>::of(me).send(3);
        });
        let sender = sender.pid().expect("a pid");
        let expected = [
            (Target::Pid(gone), DeadReason::NoProc),
            (nobody.target(), DeadReason::NoName),
            (Target::Pid(me), DeadReason::OtherType),
        ];
        for (nth, (to, why)) in (1..).zip(expected) {
            let Received::Info(Info::DeadLetter(letter)) = ctx.receive().await else {
                panic!("no dead letter");
            };
            assert_eq!((letter.to, letter.why, letter.missed), (to, why, 0));
            assert_eq!((letter.id.from, letter.id.nth()), (sender, nth));
        }
        nothing_comes(ctx).await;
    });
}

#[test]
fn watchers_that_write_dead_letters_about_dead_letters_come_to_an_end() {
    let outcomes = one_node(async |ctx: &Context<u32>| {
        let gone = super::dead_pid(ctx).await;
        for _ in 0..2 {
            ctx.spawn(move |ctx: Context<u32>| async move {
                ctx.watch_dead_letters(true);
                loop {
                    ctx.receive().await;
                    Address::<u32>::of(gone).send(1);
                }
            });
        }
        settle(ctx).await;
        Address::<u32>::of(gone).send(0);
        nothing_comes(ctx).await;
    });
    for outcome in outcomes {
        assert_eq!(
            outcome.books.dead, 3,
            "one, and one of each watcher about it"
        );
    }
}

#[test]
fn a_watcher_that_reads_nothing_misses_dead_letters_and_is_told_how_many() {
    one_node(async |ctx: &Context<u32>| {
        ctx.watch_dead_letters(true);
        let nobody = Address::<u32>::named("client", "nobody");
        let flood = ctx.spawn(move |ctx: Context<u32>| async move {
            loop {
                let count = ctx.receive_message().await;
                (0..count).for_each(|nth| nobody.send(nth));
            }
        });
        flood.send(1_500);
        settle(ctx).await;
        assert_eq!(ctx.mailbox_len(), 1_001);
        while ctx.mailbox_len() > 0 {
            let Received::Info(Info::DeadLetter(letter)) = ctx.receive().await else {
                panic!("no dead letter");
            };
            assert_eq!(letter.missed, 0);
        }
        flood.send(1);
        let Received::Info(Info::DeadLetter(letter)) = ctx.receive().await else {
            panic!("no dead letter");
        };
        assert_eq!(letter.missed, 499);
    });
}

#[test]
fn properties_count_dead_letters_by_their_reason() {
    let scenario = Scenario::new("counted")
        .client("client", |ctx: Context<u32>| async move {
            let me = own(&ctx, 1, Overflow::DropNewest);
            (0..4).for_each(|nth| me.send(nth));
            Address::<u32>::named("client", "nobody").send(1);
        })
        .finally("three and one", |view| {
            let counts = [MailboxFull, DeadReason::NoName, DeadReason::NoProc]
                .map(|why| view.dead_letters(why));
            assert_eq!((counts, view.books().dead), ([3, 1, 0], 4));
            true
        });
    assert_eq!(scenario.run(7).expect("a good scenario").violation, None);
}

// ---- servers

#[derive(Debug, Serialize, Deserialize)]
enum Count {
    Up,
    Read(ReplyTo<u32>),
}

struct Counter(u32);

impl GenServer for Counter {
    type Args = ();
    type Message = Count;

    async fn init((): (), ctx: &mut Context<Count>) -> Result<Self, Refusal> {
        (0..5).for_each(|_| ctx.address().send(Count::Up));
        Ok(Counter(0))
    }

    async fn handle(&mut self, message: Count, _: &mut Context<Count>) -> Flow {
        match message {
            Count::Up => self.0 += 1,
            Count::Read(to) => to.reply(self.0),
        }
        Flow::Next
    }
}

#[test]
fn a_servers_mailbox_is_bounded_before_its_init() {
    let outcomes = one_node(async |ctx: &Context<u32>| {
        let bound = MailboxBound::new(3).policy(Overflow::Refuse);
        let counter = Server::<Counter>::with(()).mailbox(bound).start(ctx).await;
        let counter = counter.expect("it starts");
        settle(ctx).await;
        assert_eq!(counter.call(Count::Read, secs(1)).await, Ok(3));
    });
    for outcome in outcomes {
        assert_eq!(dead_letters(&outcome), [MailboxFull; 2]);
    }
}

#[test]
fn what_sys_asks_takes_no_room_in_a_full_mailbox_and_is_answered() {
    let outcomes = one_node(async |ctx: &Context<u32>| {
        let bound = MailboxBound::new(1).policy(Overflow::DropOldest);
        let counter = Server::<Counter>::with(()).mailbox(bound).start(ctx).await;
        let counter = counter.expect("it starts");
        sys::suspend(counter, secs(1))
            .await
            .expect("it is a server");
        counter.send(Count::Up);
        let status = sys::status(counter, secs(1)).await.expect("it answers");
        assert_eq!(status.mailbox, 1);
        counter.send(Count::Up);
        sys::resume(counter, secs(1)).await.expect("it is a server");
        assert_eq!(counter.call(Count::Read, secs(1)).await, Ok(2));
    });
    for outcome in outcomes {
        assert_eq!(dead_letters(&outcome), [MailboxFull; 5]);
    }
}

/// Puts off all that comes before it is opened.
struct Door;

impl GenStatem for Door {
    type Args = ();
    type Message = Option<ReplyTo<u32>>;
    type State = u32;
    type Internal = Never;
    type Name = Never;

    async fn init(
        (): (),
        _: &mut Context<Self::Message>,
    ) -> Result<(Self, Initial<Self>), Refusal> {
        Ok((Door, Initial::state(0)))
    }

    async fn handle(
        &mut self,
        event: netsplit::Event<Self>,
        opened: &u32,
        ctx: &mut Context<Self::Message>,
    ) -> Transition<Self> {
        match event {
            netsplit::Event::External(None) => Transition::next(opened + 1),
            early @ netsplit::Event::External(Some(_)) if *opened == 0 => {
                Transition::keep().postpone(early)
            }
            netsplit::Event::External(Some(asked)) => {
                asked.reply(*opened);
                ctx.sleep(millis(2)).await;
                Transition::keep()
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_a_state_machine_postpones_takes_no_room_in_its_mailbox() {
    let outcomes = one_node(async |ctx: &Context<u32>| {
        let bound = MailboxBound::new(1).policy(Overflow::Refuse);
        let door = StateMachine::<Door>::with(()).mailbox(bound);
        let door = door.start(ctx).await.expect("it starts");
        for _ in 0..3 {
            ctx.spawn(move |ctx: Context| async move {
                assert_eq!(door.call(Some, secs(1)).await, Ok(1));
                ctx.observe("answered", |answered: &mut u32| *answered += 1);
            });
            settle(ctx).await;
        }
        door.send(None);
        settle(ctx).await;
        // It is at the first, and answers the second before it takes this.
        assert!(door.try_send(None).is_ok());
        ctx.sleep(millis(2)).await;
        assert!(door.try_send(None).is_err());
    });
    for outcome in outcomes {
        assert_eq!(dead_letters(&outcome), []);
    }
}

// ---- laws

/// Producers that fill two mailboxes of one node, whose owners are slow, and start again when they are
/// killed.
fn crowd() -> Scenario {
    Scenario::new("crowd")
        .node("home", |ctx: Context<u32>| async move {
            let slow = |capacity, policy| {
                ctx.spawn_link(move |ctx: Context<u32>| async move {
                    ctx.bound_mailbox(MailboxBound::new(capacity).policy(policy));
                    loop {
                        ctx.receive_message().await;
                        ctx.sleep(millis(ctx.random_below(4))).await;
                    }
                })
            };
            let waits = slow(2, Overflow::Wait);
            let drops = slow(1, Overflow::DropOldest);
            for nth in 0..3 {
                ctx.spawn_link(move |ctx: Context| async move {
                    loop {
                        waits.send(nth);
                        drops.send(nth);
                        ctx.yield_now().await;
                        ctx.observe("sent", |sent: &mut u32| *sent += 1);
                    }
                });
            }
            idle(ctx).await;
        })
        .finally("something was sent", |view| {
            view.observed("sent").is_some_and(|sent: &u32| *sent > 3)
        })
        .horizon(millis(200))
}

#[test]
fn a_crash_while_senders_wait_for_room_leaves_nobody_behind() {
    let scenario = crowd().script(|sim: &mut Sim<'_, '_>| {
        for _ in 0..5 {
            sim.run_for(millis(7));
            let waits = sim.view(|view| view.waiting());
            let for_room = waits
                .iter()
                .filter(|waiting| matches!(waiting.waits[..], [Wait::Room { .. }]));
            assert_eq!(for_room.count(), 3);
            sim.crash("home");
            sim.run_for(millis(1));
            sim.boot("home");
        }
    });
    for outcome in super::all_seeds(&scenario) {
        let mut up = true;
        for event in events(&outcome) {
            match event {
                Event::Boot { .. } => up = true,
                Event::Crash { .. } => up = false,
                Event::Admitted { .. } => assert!(up, "nobody is let go by a crash"),
                _ => {}
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run_under_every_strategy_though_senders_wait() {
    let scenario = crowd();
    let keep = Keep {
        draws: true,
        payloads: true,
        log: false,
    };
    for strategy in [Strategy::Time, Strategy::Walk, Strategy::Pos, Strategy::Pct] {
        for seed in 0..10 {
            let run = || {
                scenario
                    .run_with(strategy.chance(seed), keep)
                    .expect("a good scenario")
            };
            let (first, again) = (run(), run());
            assert_eq!(
                (&first.violation, &first.error),
                (&None, &None),
                "{strategy} {seed}"
            );
            assert_eq!(
                (first.digest, first.payloads),
                (again.digest, again.payloads)
            );
            assert_eq!(first.draws, again.draws);
        }
    }
}

#[test]
fn all_who_wait_go_on_at_once_when_a_mailbox_is_given_room_for_them() {
    one_node(async |ctx: &Context<u32>| {
        ctx.bound_mailbox(MailboxBound::new(1));
        let mailbox = ctx.address();
        for number in 0..3 {
            ctx.spawn(move |own: Context| async move {
                mailbox.send(number);
                own.yield_now().await;
                own.observe("went on", |count: &mut u32| *count += 1);
            });
        }
        let went_on = async || {
            settle(ctx).await;
            let mut seen = 0;
            ctx.observe("went on", |count: &mut u32| seen = *count);
            seen
        };
        assert_eq!(went_on().await, 1);
        ctx.bound_mailbox(MailboxBound::new(3));
        assert_eq!(went_on().await, 3);
    });
}
