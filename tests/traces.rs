//! Traces of small runs, as a person reads them: one snapshot each.
//!
//! After a change that is meant: `INSTA_UPDATE=always cargo test --test traces`, then read the diff.

use netsplit::sim::{Chance, Keep};
use netsplit::{
    Address, Context, Distribution, ExitReason, Faults, Flow, GenServer, Info, Network, NodeId,
    PacketKind, Path, Refusal, ReplyTo, Scenario, Server, millis, report, secs,
};
use serde::{Deserialize, Serialize};

/// A snapshot is read in review: it stays short.
const LINES_MOST: usize = 40;

/// Every packet takes 5 ms, so that a reader can follow.
fn scenario(name: &str) -> Scenario {
    let path = Path::new(Distribution::Constant(millis(5)));
    Scenario::new(name)
        .network(Network::new(path))
        .finally("it ended", |_| true)
        .horizon(secs(4))
        .quiet(secs(3))
}

/// The trace of a run, and below it how the run ended.
fn trace(scenario: &Scenario, seed: u64) -> String {
    let keep = Keep {
        log: true,
        ..Keep::default()
    };
    let run = scenario.run_with(Chance::Seed(seed), keep);
    let outcome = run.expect("a good scenario");
    assert_eq!((&outcome.violation, &outcome.error), (&None, &None));
    let log = outcome.log.as_ref().expect("a log was asked for");
    let mut lines = report::trace::lines(log, &outcome.names);
    assert!(lines.len() < LINES_MOST, "{} lines", lines.len());
    lines.push(format!("books: {}", outcome.books));
    lines.join("\n")
}

/// The first seed whose trace holds this, and that trace: a drawn fault falls where it falls.
fn trace_with(scenario: &Scenario, what: &str) -> String {
    let mut traces = (0..500).map(|seed| trace(scenario, seed));
    traces
        .find(|trace| trace.contains(what))
        .unwrap_or_else(|| panic!("no seed shows `{what}`"))
}

/// Answers each number with the next.
async fn next_number(ctx: Context<(u64, ReplyTo<u64>)>) {
    ctx.register("next").expect("a free name");
    loop {
        let (number, reply_to) = ctx.receive_message().await;
        reply_to.reply(number + 1);
    }
}

#[test]
fn ping_pong_on_one_node() {
    let scenario = scenario("ping_pong").client("home", |ctx: Context| async move {
        let server = ctx.spawn_link(next_number);
        for number in [1, 5] {
            let next = server.call(|reply_to| (number, reply_to), secs(1)).await;
            assert_eq!(next, Ok(number + 1));
        }
    });
    insta::assert_snapshot!(trace(&scenario, 1));
}

fn ping_across_nodes(name: &str) -> Scenario {
    scenario(name)
        .node("server", next_number)
        .client("client", |ctx: Context| async move {
            let server: Address<(u64, ReplyTo<u64>)> = Address::named("server", "next");
            ctx.sleep(millis(1)).await;
            let next = server.call(|reply_to| (1, reply_to), millis(100)).await;
            ctx.note(format_args!("the answer: {next:?}"));
        })
}

#[test]
fn ping_pong_across_nodes() {
    insta::assert_snapshot!(trace(&ping_across_nodes("across"), 1));
}

#[test]
fn a_lost_question() {
    let faults = Faults::calm().lose_kind(PacketKind::Data, 1.0);
    insta::assert_snapshot!(trace(&ping_across_nodes("loss").faults(faults), 1));
}

#[test]
fn a_lost_answer() {
    let faults = Faults::calm().lose_kind(PacketKind::Reply, 1.0);
    insta::assert_snapshot!(trace(&ping_across_nodes("lost_reply").faults(faults), 1));
}

#[test]
fn a_duplicated_ack() {
    #[derive(Debug, Serialize, Deserialize)]
    enum Post {
        Letter(String, Address<Post>),
        Ack,
    }
    let scenario = scenario("duplicate_ack")
        .node("reader", |ctx: Context<Post>| async move {
            ctx.register("reader").expect("a free name");
            if let Post::Letter(_, from) = ctx.receive_message().await {
                from.send_datagram_as(PacketKind::Ack, Post::Ack);
            }
        })
        .client("writer", |ctx: Context<Post>| async move {
            ctx.sleep(millis(1)).await;
            let letter = Post::Letter("dear reader".to_owned(), ctx.address());
            Address::named("reader", "reader").send_datagram(letter);
            for _ in 0..2 {
                let _ = ctx.receive_message().await;
            }
        })
        .faults(Faults::calm().duplicate_kind(PacketKind::Ack, 1.0));
    insta::assert_snapshot!(trace(&scenario, 1));
}

#[test]
fn a_packet_overtaken_by_a_later_one() {
    let scenario = scenario("reorder")
        .client("reader", |ctx: Context<u64>| async move {
            ctx.register("reader").expect("a free name");
            for _ in 0..3 {
                let _ = ctx.receive_message().await;
            }
        })
        .client("writer", |ctx: Context| async move {
            ctx.sleep(millis(1)).await;
            for number in 1..=3u64 {
                Address::named("reader", "reader").send_datagram(number);
            }
        })
        .faults(Faults::calm().reorder(0.5, millis(50)));
    insta::assert_snapshot!(trace_with(&scenario, "·1 to node reader is held back"));
}

/// A node that works through a list of names, and crashes at a drawn moment.
fn crashing(faults: Faults) -> Scenario {
    scenario("crash")
        .node("shop", |ctx: Context<u64>| async move {
            for order in 1..3 {
                let clerk = ctx.spawn(|clerk: Context<u64>| async move {
                    let _ = clerk.receive_message().await;
                });
                clerk.send(order);
                ctx.sleep(millis(400)).await;
            }
        })
        .faults(faults)
}

#[test]
fn a_crash_between_two_steps_and_a_reboot() {
    let scenario = crashing(Faults::calm().crash(secs(2), millis(100)).crash_calls(0));
    insta::assert_snapshot!(trace_with(&scenario, "reboots"));
}

#[test]
fn a_crash_inside_a_poll_and_a_reboot() {
    let scenario = crashing(Faults::calm().crash(secs(2), millis(100)));
    let trace = trace_with(&scenario, "inside a step, at call 2 of the host");
    insta::assert_snapshot!(trace);
}

#[test]
fn a_message_to_a_node_that_has_rebooted() {
    let scenario = scenario("old_address")
        .node("server", |ctx: Context<Address<u64>>| async move {
            ctx.register("server").expect("a free name");
            let worker = ctx.spawn(|worker: Context<u64>| async move {
                let _ = worker.receive_message().await;
            });
            Address::named("client", "client").send(worker);
            let _ = ctx.receive().await;
        })
        .client("client", |ctx: Context<Address<u64>>| async move {
            ctx.register("client").expect("a free name");
            let old = ctx.receive_message().await;
            let new = ctx.receive_message().await;
            for (worker, number) in [(old, 1), (new, 2)] {
                worker.send(number);
            }
        })
        .faults(Faults::calm().crash(secs(2), millis(100)).crash_calls(0));
    insta::assert_snapshot!(trace_with(&scenario, "a process of an earlier incarnation"));
}

#[test]
fn an_exit_along_a_link() {
    let scenario = scenario("link").client("home", |ctx: Context| async move {
        ctx.trap_exit(true);
        let parent = ctx.spawn_link(|parent: Context| async move {
            parent.register("parent").expect("a free name");
            parent.spawn_link(|_: Context| async { ExitReason::error("the till is empty") });
            parent.receive().await;
        });
        let exit = ctx.receive_info(|info| matches!(info, Info::Exit { .. }));
        let Info::Exit { from, reason } = exit.await else {
            panic!("an exit was asked for");
        };
        assert_eq!(Some(from), parent.pid());
        ctx.note(reason);
    });
    insta::assert_snapshot!(trace(&scenario, 1));
}

#[test]
fn a_monitor_that_fires_and_one_of_a_dead_process() {
    let scenario = scenario("monitor").client("home", |ctx: Context| async move {
        let (worker, _) = ctx.spawn_monitor(|worker: Context| async move {
            worker.sleep(millis(20)).await;
        });
        let pid = worker.pid().expect("an address by pid");
        ctx.send_exit(pid, ExitReason::Kill);
        ctx.receive().await;
        let _ = ctx.monitor(pid);
        ctx.receive().await;
    });
    insta::assert_snapshot!(trace(&scenario, 1));
}

#[test]
fn a_call_that_times_out_and_its_stale_answer() {
    let scenario = scenario("stale").client("home", |ctx: Context| async move {
        let slow = ctx.spawn(|slow: Context<ReplyTo<u64>>| async move {
            let reply_to = slow.receive_message().await;
            slow.sleep(millis(20)).await;
            reply_to.reply(7);
        });
        let answer = slow.call(|reply_to| reply_to, millis(10)).await;
        ctx.note(format_args!("{answer:?}"));
    });
    insta::assert_snapshot!(trace(&scenario, 1));
}

#[test]
fn a_timer_that_is_cancelled_and_one_that_fires() {
    let scenario = scenario("timer").client("home", |ctx: Context<String>| async move {
        let (late, soon) = (millis(20), millis(10));
        let cancelled = ctx.send_after(ctx.address(), "never".to_owned(), late);
        ctx.send_after(ctx.address(), "soon".to_owned(), soon);
        let _ = ctx.receive_message().await;
        assert_eq!(ctx.cancel_timer(cancelled), Some(soon));
        assert!(ctx.receive_within(secs(1)).await.is_none());
    });
    insta::assert_snapshot!(trace(&scenario, 1));
}

#[test]
fn a_name_is_released_and_taken_again() {
    let scenario = scenario("name").client("home", |ctx: Context| async move {
        for reason in [ExitReason::Normal, ExitReason::Shutdown] {
            let holder = move |holder: Context<()>| async move {
                holder.register("the one").expect("a free name");
                holder.receive_message().await;
                reason
            };
            let (_, monitor) = ctx.spawn_monitor(holder);
            ctx.sleep(millis(1)).await;
            Address::named("home", "the one").send(());
            let is_it =
                |info: &Info| matches!(info, Info::Down { monitor: m, .. } if *m == monitor);
            ctx.receive_info(is_it).await;
        }
        Address::named("home", "the one").send(());
    });
    insta::assert_snapshot!(trace(&scenario, 1));
}

#[test]
fn a_panic_with_mail_unread() {
    let scenario = scenario("panic").client("home", |ctx: Context| async move {
        let (worker, _) = ctx.spawn_monitor(|worker: Context<u64>| async move {
            let shares = 10 / worker.receive_message().await;
            worker.note(shares);
        });
        worker.send(0);
        worker.send(5);
        ctx.receive().await;
    });
    // Where it panicked is the place in this file, which moves.
    let trace = trace(&scenario, 1);
    let (before, after) = trace.split_once("traces.rs:").expect("the panic's place");
    let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
    insta::assert_snapshot!(format!("{before}traces.rs:…{after}"));
}

#[test]
fn a_server_that_stops() {
    #[derive(Debug, Serialize, Deserialize)]
    enum Account {
        Deposit(u64),
        Close(ReplyTo<u64>),
    }
    struct AccountServer {
        balance: u64,
    }
    impl GenServer for AccountServer {
        type Args = u64;
        type Message = Account;

        async fn init(opening: u64, _: &mut Context<Account>) -> Result<Self, Refusal> {
            Ok(AccountServer { balance: opening })
        }

        async fn handle(&mut self, message: Account, _: &mut Context<Account>) -> Flow {
            match message {
                Account::Deposit(amount) => self.balance += amount,
                Account::Close(reply_to) => {
                    reply_to.reply(self.balance);
                    return Flow::Stop(ExitReason::ShutdownWith("closed".to_owned()));
                }
            }
            Flow::Next
        }

        async fn terminate(&mut self, reason: &ExitReason, ctx: &mut Context<Account>) {
            ctx.note(format_args!("terminate: {reason}"));
        }
    }
    let scenario = scenario("server").client("home", |ctx: Context| async move {
        let server = Server::<AccountServer>::with(100).name("account");
        let account = server.start_link(&ctx).await.expect("it starts");
        ctx.trap_exit(true);
        account.send(Account::Deposit(5));
        assert_eq!(account.call(Account::Close, secs(1)).await, Ok(105));
        ctx.receive().await;
    });
    insta::assert_snapshot!(trace(&scenario, 1));
}

#[test]
fn a_slow_handler_keeps_its_node_busy() {
    let scenario = scenario("busy").client("home", |ctx: Context| async move {
        let other = ctx.spawn(|other: Context<()>| async move {
            other.receive_message().await;
        });
        other.send(());
        ctx.work(millis(30)).await;
        assert_eq!(ctx.node(), NodeId::new(0));
    });
    insta::assert_snapshot!(trace(&scenario, 1));
}

#[test]
fn a_failure_tells_which_supervisors_gave_up_however_long_ago_that_was() {
    use netsplit::otp::process;
    use netsplit::{Supervisor, child, report};
    let scenario = Scenario::new("shop")
        .node("shop", |ctx| {
            let till = child("till", || process(|_: Context| async { panic!("a bug") }));
            Supervisor::one_for_one().child(till).run(ctx)
        })
        .client("guest", |ctx: Context| async move {
            ctx.sleep(secs(10)).await;
        })
        .finally("never", |_| false);
    let keep = Keep {
        log: true,
        ..Keep::default()
    };
    let outcome = scenario
        .run_with(Chance::Seed(7), keep)
        .expect("it can be run");
    let failure = report::Failure::new("shop", &outcome, 1, String::new()).expect("a violation");
    let [line] = &failure.gave_up[..] else {
        panic!("{:?}", failure.gave_up);
    };
    assert!(
        line.ends_with("<shop.0.0>  gives up at its child 0 till: too many restarts"),
        "{line}"
    );
    let text = failure.to_string();
    assert!(
        text.contains(&format!("  supervisors that gave up:\n     {line}\n")),
        "{text}"
    );
}
