//! The code of `docs/guide/connections.md`.

use super::pages::CONNECTIONS;
use netsplit::{
    Address, CallError, Context, Distribution, ExitReason, Faults, Info, Network, Path, Rate,
    Received, ReplyTo, Scenario, check, millis, multi_call, secs,
};

/// Notes the numbers that come, in the order in which they come.
async fn listener(ctx: Context<u32>) {
    ctx.register("listener").expect("a free name");
    loop {
        let number = ctx.receive_message().await;
        ctx.observe("came", |came: &mut Vec<u32>| came.push(number));
    }
}

fn bad_network() -> Faults {
    Faults::calm()
        .lose(0.2)
        .duplicate(0.2)
        .reorder(0.2, secs(1))
}

#[test]
fn what_is_sent_comes_once_and_in_order() {
    let scenario = Scenario::new("send").node("b", listener);
    let scenario = scenario.client("a", |_: Context| async move {
        for number in 0..10 {
            Address::<u32>::named("b", "listener").send(number);
        }
    });
    check(
        scenario
            .faults(bad_network())
            .finally("all in order", |view| {
                view.observed("came") == Some(&(0..10).collect::<Vec<u32>>())
            }),
    );
}

#[test]
fn each_datagram_is_on_its_own() {
    let scenario = Scenario::new("datagrams").node("b", listener);
    let scenario = scenario.client("a", |_: Context| async move {
        for number in 0..10 {
            Address::<u32>::named("b", "listener").send_datagram(number);
        }
    });
    let came = |view: &netsplit::View| {
        view.observed::<Vec<u32>>("came")
            .cloned()
            .unwrap_or_default()
    };
    let scenario = scenario
        .sometimes("one is lost", move |view| {
            view.now().as_nanos() > 2_000_000_000 && !came(view).contains(&3)
        })
        .sometimes("one comes twice", move |view| {
            came(view).iter().filter(|number| **number == 3).count() == 2
        })
        .sometimes("one overtakes another", move |view| !came(view).is_sorted());
    check(scenario.faults(bad_network()));
}

#[test]
fn a_call_tells_why_there_is_no_answer() {
    check(Scenario::new("calls").script(|sim| {
        sim.node("b", |ctx: Context<ReplyTo<u32>>| async move {
            ctx.register("echo").expect("a free name");
            ctx.receive_message().await.reply(7);
            ctx.receive_message().await; // and no answer
            let _unanswered = ctx.receive_message().await;
            ExitReason::error("that is one too many")
        });
        sim.client("a", |ctx: Context| async move {
            let echo = Address::<ReplyTo<u32>>::named("b", "echo");
            let b = ctx.node_named("b").expect("a node");
            let ask = || echo.call(|reply_to| reply_to, secs(1));
            assert_eq!(ask().await, Ok(7));
            assert_eq!(ask().await, Err(CallError::Timeout));
            let ended = ExitReason::error("that is one too many");
            assert_eq!(ask().await, Err(CallError::Exit(ended)));
            assert_eq!(ask().await, Err(CallError::NoProc));
            ctx.sleep(secs(1)).await; // meanwhile b crashes
            assert_eq!(ask().await, Err(CallError::NodeDown(b)));
            ctx.count("done");
        });
        sim.run_for(millis(1_500));
        sim.crash("b");
        assert!(sim.run_until(secs(5), |view| view.counter("done") == 1));
    }));
}

#[test]
fn a_majority_answers_though_one_node_is_down() {
    check(Scenario::new("a majority").script(|sim| {
        for (replica, value) in [("r1", 7), ("r2", 7), ("r3", 6)] {
            sim.node(replica, move |ctx: Context<ReplyTo<u32>>| async move {
                ctx.register("value").expect("a free name");
                loop {
                    ctx.receive_message().await.reply(value);
                }
            });
        }
        sim.crash("r3");
        sim.client("reader", |ctx: Context| async move {
            let replicas = ["r1", "r2", "r3"].map(|name| ctx.node_named(name).expect("a node"));
            let ask = |reply_to: ReplyTo<u32>| reply_to;
            let answers = multi_call(replicas, "value", ask, secs(1)).await;
            assert!(answers.replies.iter().all(|(_, value)| *value == 7));
            assert_eq!(answers.replies.len(), 2);
            assert_eq!(
                answers.failed,
                [(replicas[2], CallError::NodeDown(replicas[2]))]
            );
            ctx.count("done");
        });
        assert!(sim.run_until(secs(5), |view| view.counter("done") == 1));
    }));
}

#[test]
fn a_short_cut_delays_and_a_long_one_breaks() {
    check(Scenario::new("cuts").script(|sim| {
        sim.node("b", listener);
        sim.client("a", |ctx: Context| async move {
            let listener = Address::<u32>::named("b", "listener");
            for number in 0.. {
                listener.send(number);
                ctx.sleep(secs(1)).await;
            }
        });
        let came = |sim: &netsplit::Sim<'_, '_>| sim.observed::<Vec<u32>>("came").expect("some");
        sim.run_for(millis(4_500));
        sim.partition(["a"], ["b"]);
        sim.run_for(secs(30)); // not long enough for anybody to give up
        sim.heal();
        sim.run_for(secs(1));
        let so_far = came(sim);
        assert_eq!(so_far, (0..36).collect::<Vec<u32>>(), "late, but all of it");

        sim.partition(["a"], ["b"]);
        sim.run_for(secs(80)); // both sides have given up: between 45 and 75 s
        sim.heal();
        sim.run_for(secs(10)); // a new connection, with what was sent since
        let then = came(sim);
        assert!(then.is_sorted() && then.len() > so_far.len());
        assert!(then.len() < 126, "what was under way when it broke is lost");
    }));
}

#[test]
fn breaks_are_told() {
    check(Scenario::new("breaks").script(|sim| {
        sim.node("b", listener);
        sim.client("a", |ctx: Context| async move {
            ctx.monitor_nodes(true); // from now on: every connection of this node
            let b = ctx.node_named("b").expect("a node");
            ctx.connect(b); // sending would do
            assert_eq!(ctx.receive().await, Received::Info(Info::NodeUp(b)));
            assert_eq!(ctx.nodes(), [b]);

            ctx.disconnect(b);
            assert_eq!(ctx.receive().await, Received::Info(Info::NodeDown(b)));
            assert!(ctx.nodes().is_empty());

            ctx.monitor_nodes(false);
            ctx.monitor_node(b); // once: and it connects, where there is no connection
            ctx.count("waits");
            assert_eq!(ctx.receive().await, Received::Info(Info::NodeDown(b)));
            ctx.count("heard");
        });
        sim.run_for(secs(1));
        assert_eq!(sim.view(|view| view.counter("waits")), 1);
        sim.power_cut("b"); // silence
        sim.run_for(secs(44));
        assert_eq!(sim.view(|view| view.counter("heard")), 0);
        sim.run_for(secs(32));
        assert_eq!(sim.view(|view| view.counter("heard")), 1);
    }));
}

#[test]
fn links_and_monitors_break_with_the_connection() {
    check(Scenario::new("noconnection").script(|sim| {
        sim.node("b", |ctx: Context| async move {
            ctx.observe("b", |pid: &mut Option<netsplit::Pid>| {
                *pid = Some(ctx.pid())
            });
            ctx.sleep(secs(3600)).await;
        });
        let of_b: Option<netsplit::Pid> = sim.observed("b").flatten();
        assert!(of_b.is_none(), "it has not stepped yet");
        sim.run_for(millis(1));
        let b = sim
            .observed::<Option<netsplit::Pid>>("b")
            .flatten()
            .expect("a pid");
        sim.client("a", move |ctx: Context| async move {
            let monitor = ctx.monitor(b);
            let reason = ExitReason::NoConnection;
            let down = Info::Down {
                monitor,
                of: b.into(),
                reason,
            };
            assert_eq!(ctx.receive().await, Received::Info(down));
            ctx.count("told");
        });
        sim.run_for(secs(1));
        sim.break_connection("a", "b"); // the process on b is alive all the while
        assert!(sim.run_until(secs(1), |view| view.counter("told") == 1));
    }));
}

#[test]
fn a_full_connection_makes_its_sender_wait() {
    let slow = Path::default().with_bandwidth(1_000); // bytes in a second
    let network = Network::new(slow).buffer(2_000);
    let scenario =
        Scenario::new("busy")
            .network(network)
            .node("b", |ctx: Context<Vec<u8>>| async move {
                ctx.register("listener").expect("a free name");
                loop {
                    ctx.receive_message().await;
                }
            });
    let scenario = scenario.client("a", |ctx: Context| async move {
        for _ in 0..10 {
            Address::named("b", "listener").send(vec![0u8; 1_000]);
            ctx.yield_now().await; // a sender that has filled the buffer is held here
            ctx.count("sent");
        }
    });
    check(scenario.script(|sim| {
        sim.run_for(secs(1));
        assert!(sim.view(|view| view.counter("sent")) < 5);
        sim.run_for(secs(10));
        assert_eq!(sim.view(|view| view.counter("sent")), 10);
    }));
}

#[test]
fn a_network_of_ones_own() {
    let near = Path::new(Distribution::uniform(millis(1), millis(2)));
    let far = Path::new(Distribution::uniform(millis(80), millis(120)))
        .with_loss(Rate::new(0.01).expect("from 0 to 1"))
        .with_bandwidth(1_000_000);
    let network = Network::new(near)
        .path("a", "c", far.clone()) // one way each
        .path("c", "a", far)
        .set_up_time(secs(2))
        .tick_time(secs(4))
        .buffer(64 * 1024);
    let scenario = Scenario::new("two places").network(network);
    let scenario = scenario.node("b", listener).node("c", listener);
    let scenario = scenario.client("a", |ctx: Context| async move {
        ctx.sleep(secs(1)).await;
        Address::<u32>::named("b", "listener").send(1);
        Address::<u32>::named("c", "listener").send(2);
    });
    check(scenario.script(|sim| {
        sim.run_for(millis(1_010));
        assert_eq!(sim.observed("came"), Some(vec![1u32]));
        // Three ways: hello, welcome, and the message itself; each may be lost and sent again.
        assert!(sim.run_until(secs(60), |view| view.observed("came")
            == Some(&vec![1u32, 2])));
    }));
}

#[test]
fn the_page_shows_the_code_that_is_tested() {
    CONNECTIONS.is_held_by(&[include_str!("connections.rs")]);
}

#[test]
fn the_defaults_are_those_that_the_page_tells() {
    let settings = Network::default().settings();
    assert_eq!(settings.set_up, secs(7));
    assert_eq!(settings.tick, secs(60));
    assert_eq!(settings.buffer_bytes, 1024 * 1024);
    for told in ["after 7 s (", "| 60 s (", "| 1 MiB ("] {
        assert!(CONNECTIONS.text.contains(told), "{told}");
    }
}
