//! Breaks: loud ones are heard of at once, silent ones after the tick time; what they end.

use super::{Heard, at, ear, gone, heard, moment, silence, steady, uneven};
use netsplit::{
    Address, CallError, Context, ExitReason, Fault, Info, Network, Pid, Received, ReplyTo,
    Scenario, Sim, Time, check, millis, secs,
};
use std::time::Duration;

/// Two nodes, `a` and `b`, each with an ear; the one of `a` connects them.
fn pair(scenario: Scenario) -> Scenario {
    let scenario = scenario.node("a", |ctx: Context<u64>| async move {
        ctx.register("ear").expect("a free name");
        ctx.connect(ctx.node_named("b").expect("a node"));
        super::listen(&ctx, "a").await;
    });
    ear(scenario, "b")
}

/// A silence lasts between 45 and 75 s before it is noticed.
fn assert_within_tick_time(sim: &Sim<'_, '_>, node: &str, line: &str, since: Time) {
    let silence = silence(sim, node, line, since);
    assert!(
        (secs(45)..=secs(75)).contains(&silence),
        "after {silence:?}"
    );
}

#[test]
fn a_crash_is_heard_of_as_soon_as_a_packet_can_tell() {
    steady(pair, |sim| {
        sim.run_for(secs(1));
        sim.crash("a");
        sim.run_for(secs(1));
        assert_eq!(heard(sim, "b"), ["up a", "down a"]);
        assert_eq!(moment(sim, "b", "down a"), at(millis(1005)));
    });
}

#[test]
fn a_graceful_stop_is_heard_of_after_all_that_was_sent_before_it() {
    let declare = |s| {
        ear(s, "b").node("a", |ctx: Context| async move {
            ctx.trap_exit(true);
            ctx.connect(ctx.node_named("b").expect("a node"));
            let stop = ctx.receive().await;
            assert!(matches!(
                stop,
                Received::Info(Info::Exit {
                    reason: ExitReason::Shutdown,
                    ..
                })
            ));
            (1..=20).for_each(|n: u64| Address::named("b", "ear").send(n));
        })
    };
    uneven(declare, |sim| {
        sim.run_for(secs(1));
        sim.stop("a");
        sim.run_for(secs(1));
        let seen = heard(sim, "b");
        assert_eq!(seen.len(), 22);
        assert_eq!((&*seen[1], &*seen[20], &*seen[21]), ("1", "20", "down a"));
        assert!(!sim.is_up("a"));
    });
}

#[test]
fn a_power_cut_is_noticed_45_to_75_s_after_it() {
    let scenario = pair(Scenario::new("power"));
    let after = |at: u64, until: u64| {
        move |view: &netsplit::View| {
            let down = |(_, line): &&(Time, String)| line == "down a";
            let noticed = view
                .observed::<Heard>("b")
                .and_then(|all| all.iter().find(down));
            let window = Time::ZERO + secs(at)..Time::ZERO + secs(until);
            noticed.is_some_and(|(at, _)| window.contains(at))
        }
    };
    let scenario = scenario
        .sometimes("it is noticed early", after(46, 48))
        .sometimes("it is noticed late", after(74, 76));
    check(scenario.script(|sim| {
        sim.run_for(secs(1));
        let since = sim.now();
        sim.power_cut("a");
        sim.run_for(secs(100));
        assert_eq!(heard(sim, "b"), ["up a", "down a"]);
        assert_within_tick_time(sim, "b", "down a", since);
    }));
}

#[test]
fn a_cut_is_noticed_by_each_side_for_itself() {
    let scenario = pair(Scenario::new("cut"));
    let scenario = scenario.sometimes("they notice it apart", |view| {
        let both = ["a", "b"].map(|node| view.observed::<Heard>(node).map_or(0, Vec::len));
        both[0] != both[1] && both[0] + both[1] == 3 && view.now() > Time::ZERO + secs(50)
    });
    check(scenario.script(|sim| {
        sim.run_for(secs(1));
        let since = sim.now();
        sim.partition(["a"], ["b"]);
        sim.run_for(secs(100));
        assert_within_tick_time(sim, "a", "down b", since);
        assert_within_tick_time(sim, "b", "down a", since);
        sim.heal();
        sim.run_for(secs(100));
        for (node, other) in [("a", "b"), ("b", "a")] {
            assert_eq!(
                heard(sim, node),
                [format!("up {other}"), format!("down {other}")]
            );
        }
    }));
}

#[test]
fn a_cut_in_one_direction_is_noticed_by_who_hears_nothing_and_then_told_to_the_other() {
    steady(pair, |sim| {
        sim.run_for(secs(1));
        let since = sim.now();
        sim.partition_one_way(["a"], ["b"]);
        sim.run_for(secs(100));
        assert_within_tick_time(sim, "b", "down a", since);
        let noticed = moment(sim, "b", "down a").expect("noticed");
        assert_eq!(moment(sim, "a", "down b"), Some(noticed + millis(5)));
    });
}

#[test]
fn the_end_of_a_pause_of_any_length_finds_what_the_peers_have_made_of_it() {
    uneven(pair, |sim| {
        sim.run_for(secs(1));
        let since = sim.now();
        sim.pause("a");
        sim.run_for(secs(100));
        assert_within_tick_time(sim, "b", "down a", since);
        assert_eq!(heard(sim, "a"), ["up b"]);
        sim.resume("a");
        sim.run_for(secs(1));
        assert_eq!(heard(sim, "a"), ["up b", "down b"]);
    });
}

#[test]
fn the_tick_time_can_be_set() {
    let network = Network::default().tick_time(secs(8));
    check(pair(Scenario::new("tick")).network(network).script(|sim| {
        sim.run_for(secs(1));
        let since = sim.now();
        sim.power_cut("a");
        sim.run_for(secs(20));
        let silence = silence(sim, "b", "down a", since);
        assert!((secs(6)..=secs(10)).contains(&silence), "after {silence:?}");
    }));
}

#[test]
fn a_connection_that_comes_up_to_a_machine_that_has_just_lost_its_power_is_noticed_too() {
    steady(pair, |sim| {
        // The call of `a` has come to `b`, and the answer is on its way.
        sim.run_for(millis(7));
        let since = sim.now();
        sim.power_cut("b");
        sim.run_for(secs(100));
        assert_eq!(heard(sim, "a"), ["up b", "down b"]);
        assert_within_tick_time(sim, "a", "down b", since);
    });
}

#[test]
fn a_connection_that_comes_up_to_a_node_that_has_just_paused_is_noticed_too() {
    steady(pair, |sim| {
        sim.run_for(millis(2));
        let since = sim.now();
        sim.pause("a");
        sim.run_for(secs(100));
        assert_eq!(heard(sim, "b"), ["up a", "down a"]);
        assert_within_tick_time(sim, "b", "down a", since);
    });
}

#[test]
fn a_broken_connection_is_told_to_both_sides_and_the_next_send_makes_a_new_one() {
    let declare = |s| {
        ear(s, "b").node("a", |ctx: Context<u64>| async move {
            ctx.spawn(|sender: Context| async move {
                for n in 1..=3 {
                    Address::<u64>::named("b", "ear").send(n);
                    sender.sleep(secs(2)).await;
                }
            });
            super::listen(&ctx, "a").await;
        })
    };
    uneven(declare, |sim| {
        sim.run_for(secs(1));
        sim.break_connection("a", "b");
        sim.run_for(secs(9));
        assert_eq!(heard(sim, "a"), ["up b", "down b", "up b"]);
        assert_eq!(heard(sim, "b"), ["up a", "1", "down a", "up a", "2", "3"]);
    });
}

#[test]
fn what_is_under_way_when_a_connection_breaks_is_lost() {
    let declare = |s| {
        ear(s, "b").node("a", |ctx: Context| async move {
            ctx.connect(ctx.node_named("b").expect("a node"));
            ctx.sleep(secs(1)).await;
            (1..=3).for_each(|n: u64| Address::named("b", "ear").send(n));
        })
    };
    type Break = fn(&mut Sim<'_, '_>);
    let breaks: [Break; 3] = [
        |sim| sim.break_connection("a", "b"),
        |sim| sim.crash("a"),
        |sim| sim.crash("b"),
    ];
    for breaks in breaks {
        steady(declare, move |sim| {
            sim.run_for(millis(1004));
            breaks(sim);
            sim.run_for(secs(2));
            let books = sim.view(|view| view.books());
            assert_eq!((books.sent, books.received, books.lost), (3, 0, 3));
        });
    }
}

#[test]
fn a_process_hears_of_every_connection_of_its_node_and_of_no_other() {
    let declare = |s| {
        let scenario = ear(ear(ear(s, "a"), "b"), "c");
        scenario.client("client", |ctx: Context| async move {
            ctx.connect(ctx.node_named("a").expect("a node"));
            ctx.sleep(secs(1)).await;
            ctx.connect(ctx.node_named("b").expect("a node"));
        })
    };
    uneven(declare, |sim| {
        sim.run_for(secs(2));
        sim.crash("a");
        sim.run_for(secs(2));
        assert_eq!(heard(sim, "a"), ["up client"]);
        assert_eq!(heard(sim, "b"), ["up client"]);
        assert_eq!(heard(sim, "c"), [""; 0]);
    });
}

#[test]
fn who_listens_no_more_hears_no_more() {
    let declare = |s| {
        ear(s, "a").client("client", |ctx: Context| async move {
            let a = ctx.node_named("a").expect("a node");
            ctx.monitor_nodes(true);
            ctx.monitor_nodes(true);
            ctx.connect(a);
            // Listening twice is as good as once.
            assert_eq!(ctx.receive().await, Received::Info(Info::NodeUp(a)));
            ctx.monitor_nodes(false);
            assert_eq!(ctx.receive_within(secs(60)).await, None);
            ctx.count("done");
        })
    };
    uneven(declare, |sim| {
        sim.run_for(secs(1));
        sim.break_connection("a", "client");
        assert!(sim.run_until(secs(100), |view| view.counter("done") == 1));
    });
}

#[test]
fn who_watches_one_node_hears_once_that_it_is_lost() {
    let declare = |s| {
        ear(ear(s, "a"), "b").client("client", |ctx: Context| async move {
            let [a, b] = ["a", "b"].map(|name| ctx.node_named(name).expect("a node"));
            // Watching sets the connection up; a node's own is never lost.
            ctx.monitor_node(a);
            ctx.monitor_node(ctx.node());
            ctx.connect(b);
            assert_eq!(ctx.receive().await, Received::Info(Info::NodeDown(a)));
            ctx.connect(a);
            assert_eq!(ctx.receive_within(secs(60)).await, None);
            ctx.count("done");
        })
    };
    uneven(declare, |sim| {
        sim.run_for(secs(1));
        sim.break_connection("b", "client");
        sim.break_connection("a", "client");
        sim.run_for(secs(1));
        assert_eq!(heard(sim, "a"), ["up client", "down client", "up client"]);
        sim.break_connection("a", "client");
        assert!(sim.run_until(secs(100), |view| view.counter("done") == 1));
    });
}

/// A client that is linked to the process `far` of node `a`, watches it twice, and asks it.
fn tied(scenario: Scenario) -> Scenario {
    let scenario = scenario.client("client", |ctx: Context<Pid>| async move {
        ctx.register("client").expect("a free name");
        ctx.trap_exit(true);
        ctx.monitor_nodes(true);
        let far = ctx.receive_message().await;
        ctx.link(far);
        let [first, second] = [(); 2].map(|()| ctx.monitor(far));
        let ask = Address::<ReplyTo<u64>>::of(far)
            .call(|to| to, secs(500))
            .await;
        assert_eq!(ask, Err(CallError::NodeDown(far.node())));
        let exit = Info::Exit {
            from: far,
            reason: gone(),
        };
        let down = |monitor| Info::Down {
            monitor,
            of: far.into(),
            reason: gone(),
        };
        let (up, lost) = (Info::NodeUp(far.node()), Info::NodeDown(far.node()));
        for wanted in [up.clone(), exit, down(first), down(second), lost] {
            assert_eq!(ctx.receive().await, Received::Info(wanted));
        }
        ctx.count("parted");
        ctx.sleep(secs(200)).await;
        // Nothing of it comes back with the connection.
        ctx.connect(far.node());
        assert_eq!(ctx.receive().await, Received::Info(up));
        ctx.send_exit(far, ExitReason::Kill);
        assert_eq!(ctx.receive_within(secs(60)).await, None);
        ctx.count("done");
    });
    scenario.node("a", |ctx: Context<ReplyTo<u64>>| async move {
        ctx.trap_exit(true);
        Address::named("client", "client").send(ctx.pid());
        loop {
            let line = match ctx.receive().await {
                Received::Info(info) => format!("{info:?}"),
                Received::Message(_) => "question".to_owned(),
            };
            ctx.observe("far", |all: &mut Vec<String>| all.push(line));
        }
    })
}

fn tied_and_parted(part: fn(&mut Sim<'_, '_>), ends: u64) {
    uneven(tied, move |sim| {
        sim.run_for(secs(1));
        part(sim);
        assert!(sim.run_until(secs(ends), |view| view.counter("parted") == 1));
        sim.run_for(secs(100));
        sim.heal();
        assert!(sim.run_until(secs(500), |view| view.counter("done") == 1));
        let far = sim.observed::<Vec<String>>("far").unwrap_or_default();
        let exits = far.iter().filter(|line| line.starts_with("Exit"));
        assert_eq!(
            exits.count(),
            usize::from(sim.view(|view| view.boots("a")) == 1),
            "{far:?}"
        );
    });
}

#[test]
fn a_break_gives_noconnection_to_links_monitors_and_calls_and_a_heal_brings_none_back() {
    tied_and_parted(|sim| sim.break_connection("a", "client"), 1);
}

#[test]
fn a_cut_gives_noconnection_to_links_monitors_and_calls_and_a_heal_brings_none_back() {
    tied_and_parted(|sim| sim.partition(["a"], ["client"]), 75);
}

#[test]
fn a_call_to_a_node_that_crashes_ends_at_once() {
    let declare = |s| {
        let scenario = super::ear(s, "idle");
        let scenario = scenario.node("a", |ctx: Context<ReplyTo<u64>>| async move {
            ctx.register("a").expect("a free name");
            ctx.sleep(secs(100)).await;
        });
        scenario.client("client", |ctx: Context| async move {
            let a = ctx.node_named("a").expect("a node");
            let ask = Address::<ReplyTo<u64>>::named("a", "a").call(|to| to, secs(50));
            assert_eq!(ask.await, Err(CallError::NodeDown(a)));
            assert_eq!(ctx.now(), Time::ZERO + millis(1005));
            ctx.count("done");
        })
    };
    steady(declare, |sim| {
        sim.run_for(secs(1));
        sim.crash("a");
        sim.run_for(secs(1));
        assert_eq!(sim.view(|view| view.counter("done")), 1);
    });
}

#[test]
fn who_disconnects_breaks_what_lies_across_and_what_was_sent_before_still_arrives() {
    let declare = |s| {
        ear(s, "b").node("a", |ctx: Context| async move {
            ctx.monitor_nodes(true);
            let b = ctx.node_named("b").expect("a node");
            ctx.connect(b);
            assert_eq!(ctx.receive().await, Received::Info(Info::NodeUp(b)));
            (1..=5).for_each(|n: u64| Address::named("b", "ear").send(n));
            ctx.disconnect(b);
            assert!(ctx.nodes().is_empty());
            assert_eq!(ctx.receive().await, Received::Info(Info::NodeDown(b)));
            // One that is not there is nothing to close.
            ctx.disconnect(b);
            ctx.disconnect(ctx.node());
            Address::named("b", "ear").send(6u64);
            ctx.count("done");
            ctx.sleep(secs(60)).await;
        })
    };
    uneven(declare, |sim| {
        sim.run_for(secs(10));
        assert_eq!(sim.view(|view| view.counter("done")), 1);
        assert_eq!(
            heard(sim, "b"),
            ["up a", "1", "2", "3", "4", "5", "down a", "up a", "6"]
        );
    });
}

#[test]
fn what_begins_in_the_step_that_disconnects_belongs_to_the_next_connection() {
    let scenario = Scenario::new("anew").client("client", |ctx: Context<Pid>| async move {
        ctx.register("client").expect("a free name");
        ctx.trap_exit(true);
        let far = ctx.receive_message().await;
        ctx.disconnect(far.node());
        ctx.link(far);
        let monitor = ctx.monitor(far);
        let asked = Address::<ReplyTo<u64>>::of(far)
            .call(|to| to, secs(50))
            .await;
        assert_eq!(asked, Ok(1));
        Address::<ReplyTo<u64>>::of(far)
            .call(|to| to, secs(50))
            .await
            .expect_err("its end");
        let exit = Info::Exit {
            from: far,
            reason: ExitReason::error("x"),
        };
        let down = Info::Down {
            monitor,
            of: far.into(),
            reason: ExitReason::error("x"),
        };
        let mut came = [ctx.receive().await, ctx.receive().await];
        came.sort_by_key(|info| matches!(info, Received::Info(Info::Down { .. })));
        assert_eq!(came, [exit, down].map(Received::Info));
        ctx.count("done");
    });
    let scenario = scenario.node("a", |ctx: Context<ReplyTo<u64>>| async move {
        Address::named("client", "client").send(ctx.pid());
        ctx.receive_message().await.reply(1);
        let _question = ctx.receive_message().await;
        ExitReason::error("x")
    });
    check(scenario.script(|sim| {
        assert!(sim.run_until(secs(100), |view| view.counter("done") == 1));
    }));
}

#[test]
fn a_fault_that_breaks_no_connection_is_nothing() {
    uneven(
        |s| ear(ear(s, "a"), "b"),
        |sim| {
            sim.apply(Fault::break_connection("a", "b"))
                .expect("it makes sense");
            sim.run_for(secs(1));
            assert_eq!((heard(sim, "a").len(), heard(sim, "b").len()), (0, 0));
        },
    );
}

#[test]
fn a_tick_time_without_end_gives_no_silent_peer_up() {
    let network = Network::default().tick_time(Duration::MAX);
    check(
        pair(Scenario::new("patient").network(network)).script(|sim| {
            sim.run_for(secs(1));
            sim.power_cut("b");
            sim.run_for(secs(100_000));
            assert_eq!(heard(sim, "a"), ["up b"]);
        }),
    );
}
