//! Nodes: what a crash and a reboot do to processes, and what becomes of messages between nodes.

use super::{all_seeds, dead_letters, error, events, idle, next_down, next_exit, with_client};
use netsplit::trace::{DeadReason, Event};
use netsplit::{
    Address, CallError, Context, Distribution, ExitReason, Faults, Info, Network, Outcome, Path,
    Pid, Received, ReplyTo, Scenario, Time, millis, secs,
};
use serde::{Deserialize, Serialize};

/// A node whose process, named `echo`, answers with its pid.
fn echo() -> Scenario {
    Scenario::new("echo").node("server", |ctx: Context<ReplyTo<Pid>>| async move {
        ctx.register("echo").expect("a free name");
        loop {
            ctx.receive_message().await.reply(ctx.pid());
        }
    })
}

async fn ask(to: Address<ReplyTo<Pid>>) -> Result<Pid, CallError> {
    to.call(|reply_to| reply_to, millis(100)).await
}

/// Asks by name until somebody else than `but` answers.
async fn who_answers(but: Option<Pid>) -> Pid {
    loop {
        match ask(Address::named("server", "echo")).await {
            Ok(pid) if Some(pid) != but => return pid,
            _ => {}
        }
    }
}

/// Crashes the server once a second or so.
fn crashes() -> Faults {
    Faults::calm().crash(secs(1), millis(300))
}

#[test]
fn otp_08_a_call_to_a_name_on_another_node_gets_its_answer() {
    with_client(echo(), async |_: &Context| {
        let by_name = ask(Address::named("server", "echo"))
            .await
            .expect("answered");
        assert_eq!(ask(Address::of(by_name)).await, Ok(by_name));
    });
}

#[test]
fn otp_08_a_call_to_nobody_on_another_node_fails_with_noproc() {
    let outcomes = with_client(echo(), async |_: &Context| {
        let nobody = ask(Address::named("server", "nobody")).await;
        assert_eq!(nobody, Err(CallError::NoProc));
    });
    for outcome in outcomes {
        assert_eq!(dead_letters(&outcome), [DeadReason::NoName]);
    }
}

#[test]
fn otp_07_questions_and_answers_go_over_connections_and_are_never_duplicated() {
    let outcomes = with_client(
        echo().faults(Faults::calm().duplicate(1.0)),
        async |ctx: &Context| {
            let first = ask(Address::named("server", "echo")).await;
            let second = ask(Address::named("server", "echo")).await;
            assert_eq!(first, second);
            ctx.sleep(secs(1)).await;
        },
    );
    for outcome in outcomes {
        assert_eq!((outcome.books.stale, outcome.books.received), (0, 4));
    }
}

/// An answer whose drop sends.
#[derive(Debug, Serialize, Deserialize)]
struct Clingy(Address<u64>);

impl Drop for Clingy {
    fn drop(&mut self) {
        self.0.send(1);
    }
}

#[test]
fn otp_26_what_the_drop_of_a_stale_answer_sends_is_not_sent() {
    let scenario = Scenario::new("clingy")
        .network(Network::new(Path::new(Distribution::Constant(millis(5)))))
        .node("server", |ctx: Context<ReplyTo<Clingy>>| async move {
            ctx.register("server").expect("a free name");
            let question = ctx.receive_message().await;
            question.reply(Clingy(Address::named("client", "client")));
            idle(ctx).await;
        });
    let outcomes = with_client(scenario, async |ctx: &Context<u64>| {
        ctx.register("client").expect("a free name");
        let server = Address::<ReplyTo<Clingy>>::named("server", "server");
        let answer = server.call(|reply_to| reply_to, millis(10)).await;
        assert!(matches!(answer, Err(CallError::Timeout)));
        // The server's own copy was dropped as it was sent.
        assert_eq!(ctx.receive_message().await, 1);
        super::nothing_comes(ctx).await;
    });
    assert!(outcomes.iter().all(|outcome| outcome.books.stale == 1));
}

#[test]
fn otp_07_an_answer_that_another_node_sends_too_late_is_stale() {
    let outcomes = with_client(echo(), async |ctx: &Context| {
        let answer = Address::<ReplyTo<Pid>>::named("server", "echo")
            .call(|reply_to| reply_to, millis(1))
            .await;
        assert_eq!(answer, Err(CallError::Timeout));
        ctx.sleep(secs(1)).await;
    });
    assert!(outcomes.iter().all(|outcome| outcome.books.stale == 1));
}

#[test]
fn otp_08_a_process_of_a_third_node_may_answer() {
    let scenario = Scenario::new("third")
        .node("third", |ctx: Context<ReplyTo<u64>>| async move {
            ctx.register("third").expect("a free name");
            ctx.receive_message().await.reply(3);
            idle(ctx).await;
        })
        .node("server", |ctx: Context<ReplyTo<u64>>| async move {
            ctx.register("server").expect("a free name");
            let question = ctx.receive_message().await;
            Address::named("third", "third").send(question);
            idle(ctx).await;
        });
    with_client(scenario, async |_: &Context| {
        let server = Address::<ReplyTo<u64>>::named("server", "server");
        let answer = server.call(|reply_to| reply_to, secs(1)).await;
        assert_eq!(answer, Ok(3));
    });
}

#[test]
fn otp_03_a_link_to_a_node_that_crashes_brings_noconnection() {
    with_client(echo().faults(crashes()), async |ctx: &Context| {
        ctx.trap_exit(true);
        let far = who_answers(None).await;
        ctx.link(far);
        assert_eq!(next_exit(ctx).await, (far, ExitReason::NoConnection));
        ctx.unlink(far);
    });
}

#[test]
fn otp_05_a_monitor_of_a_node_that_crashes_gives_noconnection() {
    with_client(echo().faults(crashes()), async |ctx: &Context| {
        let far = who_answers(None).await;
        let monitor = ctx.monitor(far);
        let down = Info::Down {
            monitor,
            of: far.into(),
            reason: ExitReason::NoConnection,
        };
        assert_eq!(ctx.receive().await, Received::Info(down));
        ctx.demonitor(monitor, true);
    });
}

#[test]
fn otp_03_a_reboot_is_a_new_incarnation_and_a_pid_of_the_old_one_is_dead() {
    let scenario = echo().faults(crashes());
    let outcomes = with_client(scenario, async |ctx: &Context| {
        let old = who_answers(None).await;
        let new = who_answers(Some(old)).await;
        assert!(new.incarnation() > old.incarnation());
        Address::<u64>::of(old).send(1);
        ctx.sleep(millis(20)).await;
    });
    let old = outcomes
        .iter()
        .filter(|outcome| dead_letters(outcome).contains(&DeadReason::OldIncarnation));
    // It may have crashed again meanwhile; mostly it has not.
    assert!(old.count() > 40);
}

/// What a link to a pid and a monitor of it told.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Seen {
    link: ExitReason,
    down: ExitReason,
}

#[test]
fn otp_03_within_a_node_too_a_pid_of_an_earlier_incarnation_is_dead() {
    type Report = (Pid, Option<Seen>);
    let scenario =
        Scenario::new("old pid")
            .faults(crashes())
            .node("server", |ctx: Context<Pid>| async move {
                ctx.trap_exit(true);
                let keeper = Address::<Report>::named("client", "keeper");
                keeper.send((ctx.pid(), None));
                let old = ctx.receive_message().await;
                ctx.link(old);
                let (of, link) = next_exit(&ctx).await;
                let _monitor = ctx.monitor(old);
                let down = next_down(&ctx).await;
                keeper.send((of, Some(Seen { link, down })));
                idle(ctx).await;
            });
    with_client(scenario, async |ctx: &Context<Report>| {
        ctx.register("keeper").expect("a free name");
        // The client keeps the pid of the first incarnation, and gives it to later ones.
        let (first, _) = ctx.receive_message().await;
        let noproc = Seen {
            link: ExitReason::NoProc,
            down: ExitReason::NoProc,
        };
        loop {
            match ctx.receive_message().await {
                (later, None) => Address::of(later).send(first),
                (of, Some(seen)) => {
                    assert_eq!((of, seen), (first, noproc));
                    return;
                }
            }
        }
    });
}

#[test]
fn a_crash_drops_all_processes_and_nobody_sees_an_exit() {
    let scenario =
        Scenario::new("crash")
            .faults(crashes())
            .node("server", |ctx: Context<u64>| async move {
                ctx.register("root").expect("a free name");
                ctx.trap_exit(true);
                let child = ctx.spawn_link(idle::<u64>).pid().unwrap();
                let _monitor = ctx.monitor(child);
                let received = ctx.receive().await;
                ctx.observe("seen", |all: &mut Vec<String>| {
                    all.push(super::line(&received))
                });
            });
    let scenario = scenario.finally("nothing was seen", |view| {
        view.observed::<Vec<String>>("seen").is_none()
    });
    let outcomes = with_client(scenario, async |ctx: &Context| ctx.sleep(secs(10)).await);
    let mut crashes = 0;
    for outcome in &outcomes {
        let told = |event: &Event| matches!(event, Event::Down { .. } | Event::ExitSignal { .. });
        assert!(!events(outcome).any(|event| told(&event)));
        let crash = |event: &Event| matches!(event, Event::Crash { .. });
        crashes += events(outcome).filter(crash).count();
    }
    assert!(crashes > 100, "{crashes}");
}

#[test]
fn a_crash_frees_the_names_and_ends_the_timers_of_its_node() {
    let scenario =
        Scenario::new("timers")
            .faults(crashes())
            .node("server", |ctx: Context| async move {
                assert_eq!(ctx.whereis("name"), None);
                ctx.register("name").expect("a free name");
                // To another node's name: it outlives its setter, and not its node.
                let far = Address::<u32>::named("client", "client");
                ctx.send_after(far, ctx.pid().incarnation(), millis(700));
                ctx.observe("boots", |boots: &mut u32| *boots += 1);
            });
    let outcomes = with_client(scenario, async |ctx: &Context<u32>| {
        ctx.register("client").expect("a free name");
        let mut came = Vec::new();
        while let Some(received) = ctx.receive_within(secs(10)).await {
            came.extend(received.message());
        }
        assert!(came.is_sorted() && !came.is_empty(), "{came:?}");
    });
    let boots = |outcome| {
        events(outcome)
            .filter(|e| matches!(e, Event::Boot { .. }))
            .count()
    };
    let fired = |outcome| {
        events(outcome)
            .filter(|e| matches!(e, Event::Packet { .. }))
            .count()
    };
    assert!(
        outcomes
            .iter()
            .any(|outcome| fired(outcome) + 1 < boots(outcome))
    );
    for outcome in &outcomes {
        // A name that is not free would be a panic, and an early end.
        let panics = events(outcome).filter(|event| {
            let panic = netsplit::trace::Reason::Panic;
            matches!(event, Event::Exit { reason, .. } if *reason == panic)
        });
        assert_eq!(panics.count(), 0);
    }
}

#[test]
fn otp_26_what_drop_sends_after_a_crash_is_not_sent() {
    struct Last(Address<u64>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.send(1);
        }
    }
    let scenario =
        Scenario::new("last words")
            .faults(crashes())
            .node("server", |ctx: Context| async move {
                let _last = Last(Address::named("client", "client"));
                loop {
                    ctx.sleep(millis(100)).await;
                }
            });
    let outcomes = with_client(scenario, async |ctx: &Context<u64>| {
        ctx.register("client").expect("a free name");
        assert_eq!(ctx.receive_within(secs(30)).await, None);
    });
    assert!(outcomes.iter().all(|outcome| outcome.books.sent == 0));
}

#[test]
fn a_crash_inside_a_poll_keeps_what_came_before_its_call_and_nothing_after() {
    const SENDS: u64 = 5;
    let constant = Path::new(Distribution::Constant(millis(5)));
    let scenario = Scenario::new("prefix")
        .network(Network::new(constant))
        .faults(crashes())
        .node("server", |ctx: Context| async move {
            let client = Address::<(Pid, u64, u64)>::named("client", "client");
            for batch in 0.. {
                ctx.sleep(millis(20)).await;
                for n in 0..SENDS {
                    client.send_datagram((ctx.pid(), batch, n));
                }
            }
        });
    let outcomes = with_client(scenario, async |ctx: &Context<(Pid, u64, u64)>| {
        ctx.register("client").expect("a free name");
        // What comes at one moment was sent in one poll. Datagrams may overtake one another there.
        while ctx.now() < Time::ZERO + secs(15) {
            let mut came = vec![ctx.receive_message().await];
            ctx.sleep(millis(1)).await;
            while let Some(received) = ctx.receive_within(millis(0)).await {
                came.extend(received.message());
            }
            came.sort_unstable();
            let (from, batch, _) = came[0];
            for (nth, message) in (0..).zip(&came) {
                assert_eq!(*message, (from, batch, nth), "in {came:?}");
            }
            ctx.note(came.len());
        }
    });
    let log = |outcome: &Outcome| outcome.log.clone().expect("a log");
    let cuts = |outcome| -> Vec<String> {
        let log = log(outcome);
        let notes = events(outcome).filter_map(|event| match event {
            Event::Note { text, .. } => log.text(text).map(str::to_owned),
            _ => None,
        });
        notes.collect()
    };
    // Every cut was drawn.
    let all: Vec<String> = outcomes.iter().flat_map(cuts).collect();
    for cut in 1..=SENDS {
        assert!(all.contains(&cut.to_string()), "{cut}");
    }
}

#[test]
fn what_comes_to_a_node_that_is_down_is_a_dead_letter() {
    let scenario = echo().faults(crashes());
    let outcomes = with_client(scenario, async |ctx: &Context| {
        for _ in 0..200 {
            Address::<u64>::named("server", "nobody").send_datagram(1);
            ctx.sleep(millis(20)).await;
        }
    });
    let down = |outcome| dead_letters(outcome).contains(&DeadReason::NodeDown);
    let seeds = outcomes.iter().filter(|outcome| down(outcome)).count();
    assert!(seeds > 10, "{seeds}");
}

#[test]
fn clients_are_spared_by_crashes() {
    let outcomes = with_client(echo().faults(crashes()), async |ctx: &Context| {
        ctx.sleep(secs(30)).await;
        assert_eq!(ctx.pid().incarnation(), 0);
    });
    assert_eq!(outcomes.len() as u64, super::SEEDS);
}

/// A message, as an old version of a program knows it.
mod old {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) enum Order {
        Buy(u64),
    }
}

/// The same message, as a newer version knows it.
mod new {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) enum Order {
        Buy(u64),
        Sell(u64),
    }
}

/// A shop of the old version, which says to `client` what it is asked to buy.
fn old_shop() -> Scenario {
    Scenario::new("shop").node("server", |ctx: Context<old::Order>| async move {
        ctx.register("shop").expect("a free name");
        loop {
            let old::Order::Buy(n) = ctx.receive_message().await;
            Address::named("client", "client").send(n);
        }
    })
}

#[test]
fn a_message_of_another_type_from_another_node_is_a_dead_letter() {
    let outcomes = with_client(old_shop(), async |ctx: &Context<u64>| {
        Address::<u64>::named("server", "shop").send(1);
        Address::<String>::named("server", "shop").send("one".to_owned());
        ctx.sleep(secs(1)).await;
        assert_eq!(ctx.mailbox_len(), 0);
    });
    for outcome in outcomes {
        assert_eq!(dead_letters(&outcome), [DeadReason::OtherType; 2]);
    }
}

#[test]
fn a_message_of_another_type_within_a_node_is_a_dead_letter() {
    let outcomes = super::one_node(async |ctx: &Context<u64>| {
        Address::<String>::of(ctx.pid()).send("one".to_owned());
        Address::<u64>::of(ctx.pid()).send(2);
        assert_eq!(ctx.receive_message().await, 2);
    });
    for outcome in outcomes {
        assert_eq!(dead_letters(&outcome), [DeadReason::OtherType]);
    }
}

#[test]
fn a_newer_message_is_understood_as_far_as_the_older_version_knows_it() {
    let outcomes = with_client(old_shop(), async |ctx: &Context<u64>| {
        ctx.register("client").expect("a free name");
        let shop = Address::named("server", "shop");
        shop.send(new::Order::Buy(1));
        assert_eq!(ctx.receive_message().await, 1);
        shop.send(new::Order::Sell(2));
        ctx.sleep(secs(1)).await;
        // It took no harm.
        shop.send(new::Order::Buy(3));
        assert_eq!(ctx.receive_message().await, 3);
    });
    for outcome in outcomes {
        assert_eq!(dead_letters(&outcome), [DeadReason::Undecodable]);
    }
}

#[test]
fn a_node_whose_process_has_ended_stays_up_with_nobody_on_it() {
    let scenario = Scenario::new("ended")
        .node("server", |ctx: Context<ReplyTo<u64>>| async move {
            ctx.register("server").expect("a free name");
            let _unanswered = ctx.receive_message().await;
            error("by itself")
        })
        .client("client", |_: Context| async move {
            let server = Address::<ReplyTo<u64>>::named("server", "server");
            let ended = CallError::Exit(ExitReason::error("by itself"));
            for error in [ended, CallError::NoProc] {
                let answer = server.call(|reply_to| reply_to, secs(1)).await;
                assert_eq!(answer, Err(error));
            }
        })
        .finally("the node is up, and nobody has the name", |view| {
            view.is_up("server")
                && view.boots("server") == 1
                && view.whereis("server", "server").is_none()
        });
    for outcome in all_seeds(&scenario) {
        assert_eq!(dead_letters(&outcome), [DeadReason::NoName]);
    }
}
