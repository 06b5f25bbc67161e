//! Set-up: the first send makes a connection, both sides hear of it, and it can fail.

use super::{at, ear, echo, heard, moment, steady, uneven};
use netsplit::{
    Address, CallError, Context, ExitReason, Info, Network, Received, ReplyTo, Scenario,
    ScenarioError, check, millis, secs,
};

/// A client that sends these to `ear` on `to` at its beginning.
fn sends(scenario: Scenario, to: &'static str, messages: std::ops::Range<u64>) -> Scenario {
    scenario.client("client", move |_: Context| {
        let messages = messages.clone();
        async move { messages.for_each(|n| Address::named(to, "ear").send(n)) }
    })
}

#[test]
fn the_first_send_sets_a_connection_up_and_both_sides_hear_of_it() {
    let declare = |s| {
        ear(s, "a").client("b", |ctx: Context| async move {
            ctx.monitor_nodes(true);
            let a = ctx.node_named("a").expect("a node");
            assert!(ctx.nodes().is_empty());
            Address::named("a", "ear").send(1u64);
            assert_eq!(ctx.receive().await, Received::Info(Info::NodeUp(a)));
            assert_eq!(ctx.nodes(), [a]);
            ctx.count("up");
        })
    };
    uneven(declare, |sim| {
        sim.run_for(secs(1));
        assert_eq!(heard(sim, "a"), ["up b", "1"]);
        assert_eq!(sim.view(|view| view.counter("up")), 1);
    });
}

#[test]
fn a_set_up_takes_a_round_trip_and_then_what_waited_leaves() {
    steady(
        |s| sends(ear(s, "a"), "a", 1..2),
        |sim| {
            sim.run_for(secs(1));
            assert_eq!(moment(sim, "a", "up client"), at(millis(5)));
            assert_eq!(moment(sim, "a", "1"), at(millis(15)));
        },
    );
}

#[test]
fn what_waits_for_a_set_up_arrives_in_the_order_sent() {
    uneven(
        |s| sends(ear(s, "a"), "a", 1..20),
        |sim| {
            sim.run_for(secs(1));
            let numbers = (1..20).map(|n: u64| n.to_string());
            let expected: Vec<String> = ["up client".to_owned()]
                .into_iter()
                .chain(numbers)
                .collect();
            assert_eq!(heard(sim, "a"), expected);
        },
    );
}

#[test]
fn connect_sets_up_a_connection_that_carries_nothing_yet() {
    let declare = |s| {
        ear(s, "a").client("client", |ctx: Context| async move {
            ctx.connect(ctx.node_named("a").expect("a node"));
            ctx.connect(ctx.node());
        })
    };
    uneven(declare, |sim| {
        sim.run_for(secs(1));
        assert_eq!(heard(sim, "a"), ["up client"]);
    });
}

#[test]
fn a_set_up_without_an_answer_fails_after_7_s_and_what_waited_is_a_dead_letter() {
    steady(
        |s| sends(ear(s, "a"), "a", 1..4),
        |sim| {
            sim.partition(["a"], ["client"]);
            sim.run_for(millis(6999));
            assert_eq!(sim.view(|view| view.books().dead), 0);
            sim.run_for(millis(1));
            assert_eq!(sim.view(|view| view.books().dead), 3);
            sim.heal();
            sim.run_for(secs(100));
            assert_eq!(
                sim.view(|view| (view.books().dead, view.books().received)),
                (3, 0)
            );
        },
    );
}

#[test]
fn a_set_up_that_fails_gives_noconnection_to_links_monitors_and_calls() {
    let pids = Scenario::new("pids").client("client", |ctx: Context<netsplit::Pid>| async move {
        ctx.register("client").expect("a free name");
        ctx.trap_exit(true);
        ctx.monitor_nodes(true);
        let far = ctx.receive_message().await;
        ctx.disconnect(far.node());
        ctx.sleep(secs(1)).await;
        // The network is cut by now.
        ctx.link(far);
        let monitor = ctx.monitor(far);
        ctx.monitor_node(far.node());
        let began = ctx.now();
        let ask = Address::<ReplyTo<u64>>::of(far)
            .call(|to| to, secs(60))
            .await;
        assert_eq!(ask, Err(CallError::NodeDown(far.node())));
        assert_eq!(ctx.now(), began + secs(7));
        let reason = ExitReason::NoConnection;
        let exit = Info::Exit {
            from: far,
            reason: reason.clone(),
        };
        let down = Info::Down {
            monitor,
            of: far.into(),
            reason,
        };
        let up_and_down = [Info::NodeUp(far.node()), Info::NodeDown(far.node())];
        // Only who asked for this node hears that a set-up failed: there was no connection to lose.
        for wanted in up_and_down
            .into_iter()
            .chain([exit, down, Info::NodeDown(far.node())])
        {
            assert_eq!(ctx.receive().await, Received::Info(wanted));
        }
        assert_eq!(ctx.receive_within(secs(60)).await, None);
        ctx.count("done");
    });
    let scenario = pids.node("far", |ctx: Context<u64>| async move {
        Address::named("client", "client").send(ctx.pid());
        ctx.receive_message().await;
    });
    check(scenario.script(|sim| {
        sim.run_for(millis(900));
        sim.partition(["client"], ["far"]);
        assert!(sim.run_until(secs(100), |view| view.counter("done") == 1));
    }));
}

#[test]
fn a_set_up_to_a_node_that_is_down_is_refused_at_once() {
    steady(
        |s| sends(ear(s, "a"), "a", 1..4),
        |sim| {
            sim.crash("a");
            sim.run_for(millis(9));
            assert_eq!(sim.view(|view| view.books().dead), 0);
            sim.run_for(millis(1));
            assert_eq!(sim.view(|view| view.books().dead), 3);
        },
    );
}

#[test]
fn a_set_up_to_a_machine_without_power_has_no_answer() {
    steady(
        |s| sends(ear(s, "a"), "a", 1..4),
        |sim| {
            sim.power_cut("a");
            sim.run_for(millis(6999));
            assert_eq!(sim.view(|view| view.books().dead), 0);
            sim.run_for(millis(1));
            assert_eq!(sim.view(|view| view.books().dead), 3);
        },
    );
}

#[test]
fn the_send_after_a_failed_set_up_tries_again() {
    let declare = |s| {
        ear(s, "a").client("client", |ctx: Context| async move {
            let ear = Address::named("a", "ear");
            for (n, wait) in [(1u64, 8), (2, 8), (3, 0)] {
                ear.send(n);
                ctx.sleep(secs(wait)).await;
            }
        })
    };
    uneven(declare, |sim| {
        sim.partition(["a"], ["client"]);
        sim.run_for(secs(10));
        assert_eq!(sim.view(|view| view.books().dead), 1);
        sim.heal();
        sim.run_for(secs(10));
        assert_eq!(heard(sim, "a"), ["up client", "2", "3"]);
    });
}

#[test]
fn a_set_up_that_was_given_up_makes_no_connection_when_the_network_heals() {
    uneven(
        |s| sends(ear(s, "a"), "a", 1..2),
        |sim| {
            sim.partition(["a"], ["client"]);
            sim.run_for(secs(10));
            sim.heal();
            sim.run_for(secs(10));
            assert_eq!(heard(sim, "a"), [""; 0]);
        },
    );
}

#[test]
fn a_set_up_that_is_called_off_is_heard_of_by_nobody() {
    let declare = |s| {
        ear(s, "a").client("client", |ctx: Context| async move {
            let a = ctx.node_named("a").expect("a node");
            ctx.monitor_nodes(true);
            ctx.monitor_node(a);
            Address::named("a", "ear").send(1u64);
            ctx.disconnect(a);
            // There was no connection to lose; but who watches the node is told that there is none.
            assert_eq!(ctx.receive().await, Received::Info(Info::NodeDown(a)));
            assert_eq!(ctx.receive_within(secs(60)).await, None);
            ctx.count("done");
        })
    };
    uneven(declare, |sim| {
        sim.run_for(secs(100));
        assert_eq!(
            sim.view(|view| (view.counter("done"), view.books().dead)),
            (1, 1)
        );
        assert_eq!(heard(sim, "a"), [""; 0]);
    });
}

#[test]
fn the_time_of_a_set_up_can_be_set() {
    let network = Network::default().set_up_time(secs(2));
    let scenario = sends(ear(Scenario::new("short"), "a"), "a", 1..2);
    check(scenario.network(network).script(|sim| {
        sim.partition(["a"], ["client"]);
        sim.run_for(millis(1999));
        assert_eq!(sim.view(|view| view.books().dead), 0);
        sim.run_for(millis(1));
        assert_eq!(sim.view(|view| view.books().dead), 1);
    }));
}

/// Two nodes whose processes each send to the other at the beginning.
fn crossing(scenario: Scenario) -> Scenario {
    let half = |scenario: Scenario, own: &'static str, other: &'static str| {
        scenario.node(own, move |ctx: Context<u64>| async move {
            ctx.register("ear").expect("a free name");
            (1..=3).for_each(|n| Address::<u64>::named(other, "ear").send(n));
            super::listen(&ctx, own).await;
        })
    };
    half(half(scenario, "a", "b"), "b", "a")
}

#[test]
fn two_nodes_that_call_each_other_at_once_get_one_connection() {
    uneven(crossing, |sim| {
        sim.run_for(secs(10));
        assert_eq!(heard(sim, "a"), ["up b", "1", "2", "3"]);
        assert_eq!(heard(sim, "b"), ["up a", "1", "2", "3"]);
    });
}

#[test]
fn two_nodes_that_call_each_other_at_once_fail_apart_and_then_connect() {
    uneven(crossing, |sim| {
        sim.partition_one_way(["a"], ["b"]);
        sim.run_for(secs(8));
        assert_eq!(sim.view(|view| view.books().received), 0);
        sim.heal();
        sim.run_for(secs(1));
        let ups = |node| {
            heard(sim, node)
                .iter()
                .filter(|line| line.starts_with("up"))
                .count()
        };
        let downs = |node| {
            heard(sim, node)
                .iter()
                .filter(|line| line.starts_with("down"))
                .count()
        };
        for node in ["a", "b"] {
            assert_eq!(ups(node), downs(node), "{:?}", heard(sim, node));
        }
    });
}

#[test]
fn a_client_that_calls_over_a_new_connection_gets_its_answer() {
    let declare = |s| {
        echo(s, "a").client("client", |ctx: Context| async move {
            let echo = Address::<ReplyTo<u64>>::named("a", "echo");
            assert_eq!(echo.call(|to| to, secs(1)).await, Ok(7));
            ctx.count("answered");
        })
    };
    uneven(declare, |sim| {
        sim.run_for(secs(1));
        assert_eq!(sim.view(|view| view.counter("answered")), 1);
    });
}

#[test]
fn a_set_up_that_may_take_no_time_is_refused() {
    let network = Network::default().set_up_time(secs(0));
    let scenario = ear(Scenario::new("never"), "a").network(network);
    let refused = scenario.script(|_| {}).validate();
    assert_eq!(refused, Err(ScenarioError::ZeroSetUpTime));
}
