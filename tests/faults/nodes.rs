//! Faults of nodes: crashes, power cuts, stops, pauses, slowness, nodes that are written off.

use crate::world::{LATENCY_MS, Ticked, Via, at_end, both_ways, holds, members};
use netsplit::{
    Address, Context, ExitReason, Fault, Faults, Info, Received, Scenario, Sim, millis, secs,
};

const ABC: [&str; 3] = ["a", "b", "c"];

fn abc() -> Scenario {
    members(&ABC, secs(20))
}

#[test]
fn a_crashed_node_is_silent_until_it_reboots_and_its_peers_are_told_at_once() {
    let crash = Fault::crash("b", secs(2));
    both_ways(abc, millis(3_050), &crash, |seen| {
        let [a, b, c] = ABC.map(|name| seen.node(name));
        for peer in [a, c] {
            assert!(seen.hears(peer, b, 2_900..3_050));
            assert!(!seen.hears(peer, b, 3_050 + LATENCY_MS..5_050));
            assert!(!seen.hears(b, peer, 3_050..5_050));
            assert!(seen.hears(peer, b, 5_050..5_300) && seen.hears(b, peer, 5_050..5_300));
            let told = seen.told(peer);
            let lost = told.iter().find(|(_, info)| **info == Info::NodeDown(b));
            let (at_ms, _) = lost.expect("to be told");
            assert!((3_050..=3_050 + LATENCY_MS).contains(at_ms), "{told:?}");
        }
        // What reboots begins anew: other processes, which count from the beginning.
        let numbers = seen.numbers(a, b, Via::Connection, 5_050..6_000);
        assert_eq!(numbers[..3], [0, 1, 2]);
        let incarnations = seen.ticked.iter().map(|ticked| ticked.by);
        let mut of_b: Vec<u32> = incarnations
            .filter(|by| by.node() == b)
            .map(|by| by.incarnation())
            .collect();
        of_b.dedup();
        assert_eq!(of_b, [0, 1]);
    });
}

#[test]
fn a_node_that_crashes_for_good_stays_down() {
    let crash = Fault::Crash {
        node: "b".to_owned(),
        call: 0,
        down_for: None,
    };
    both_ways(abc, millis(3_050), &crash, |seen| {
        assert_eq!(seen.ticks(seen.node("b"), 3_050..14_000), [0; 0]);
    });
}

/// Sends three messages in one poll, once a second.
async fn three_at_once(ctx: Context) {
    loop {
        ctx.sleep(secs(1)).await;
        let to = Address::<u64>::named("a", "a");
        for number in 1..=3 {
            to.send_datagram(number);
        }
    }
}

async fn keeper(ctx: Context<u64>) {
    ctx.register("a").expect("a free name");
    loop {
        let number = ctx.receive_message().await;
        ctx.observe("came", |came: &mut Vec<u64>| came.push(number));
    }
}

#[test]
fn a_crash_at_a_call_of_the_host_falls_between_two_effects_of_one_poll() {
    let cluster = || {
        Scenario::new("calls")
            .node("a", keeper)
            .node("b", three_at_once)
    };
    // The fault comes while b sleeps: its next calls are these three sends.
    for (call, arrive) in [(1, 0), (2, 1), (3, 2)] {
        let fault = Fault::crash_at_call("b", call, secs(60));
        let planned = cluster().faults(Faults::calm().at(millis(500), fault.clone()));
        let planned = planned.horizon(millis(2_500)).quiet(secs(0));
        let (mut came, _) = at_end::<Vec<u64>>(planned, "came", 1);
        came.sort_unstable();
        assert_eq!(came, [1, 2, 3][..arrive], "call {call}");
        let script = cluster().script(move |sim| {
            sim.run_for(millis(500));
            sim.apply(fault.clone()).expect("a fault that makes sense");
            sim.run_for(secs(2));
            assert!(!sim.is_up("b"));
        });
        let (mut came, _) = at_end::<Vec<u64>>(script, "came", 1);
        came.sort_unstable();
        assert_eq!(came, [1, 2, 3][..arrive], "call {call}");
    }
}

#[test]
fn a_machine_without_power_is_silent_and_nobody_is_told_before_it_is_back() {
    let power_cut = Fault::power_cut("b", secs(5));
    both_ways(abc, millis(3_050), &power_cut, |seen| {
        let [a, b, c] = ABC.map(|name| seen.node(name));
        for peer in [a, c] {
            assert!(!seen.hears(peer, b, 3_050 + LATENCY_MS..8_050));
            let told = seen.told(peer);
            let lost = told.iter().find(|(_, info)| **info == Info::NodeDown(b));
            let (at_ms, _) = lost.expect("to be told");
            assert!((8_050..=8_050 + LATENCY_MS).contains(at_ms), "{told:?}");
            assert!(seen.hears(peer, b, 8_050..8_300));
        }
    });
}

#[test]
fn a_silent_peer_is_given_up_after_the_tick_time() {
    let network = netsplit::Network::default().tick_time(secs(4));
    let cluster = || abc().network(network.clone());
    let power_cut = Fault::power_cut("b", secs(8));
    both_ways(cluster, millis(3_050), &power_cut, |seen| {
        let [a, b, _] = ABC.map(|name| seen.node(name));
        let told = seen.told(a);
        let lost = told.iter().find(|(_, info)| **info == Info::NodeDown(b));
        let (at_ms, _) = lost.expect("to be told");
        // Three to five quarters of it.
        assert!((6_050..=8_050).contains(at_ms), "{told:?}");
    });
}

/// Traps exits; asked to stop, works for so long, says so, and ends.
async fn stops_within(ctx: Context, takes: std::time::Duration) {
    ctx.trap_exit(true);
    ctx.connect(ctx.node_named("a").expect("a node"));
    let Received::Info(Info::Exit { reason, .. }) = ctx.receive().await else {
        panic!("nobody sends anything");
    };
    ctx.observe("reasons", |all: &mut Vec<ExitReason>| all.push(reason));
    ctx.sleep(takes).await;
    Address::<u64>::named("a", "a").send(ctx.now().as_nanos() / 1_000_000);
}

fn stopping(takes_ms: u64) -> Scenario {
    Scenario::new("stops")
        .node("a", keeper)
        .node("b", move |ctx| stops_within(ctx, millis(takes_ms)))
        .horizon(secs(8))
        .quiet(secs(0))
}

#[test]
fn a_stopped_node_has_its_grace_and_its_last_words_arrive() {
    let stop = Fault::stop("b", secs(2), secs(1));
    for (takes_ms, last_words) in [(500, vec![1_500, 4_500]), (2_500, vec![])] {
        // Asked again when it has rebooted: at 4 s, where it was up again in both cases.
        let faults = Faults::calm()
            .at(secs(1), stop.clone())
            .at(secs(4), stop.clone());
        let cluster = || stopping(takes_ms).faults(faults.clone());
        let (came, _) = at_end::<Vec<u64>>(cluster(), "came", 3);
        let expected = if takes_ms == 500 {
            last_words.clone()
        } else {
            Vec::new()
        };
        assert_eq!(came, expected, "{takes_ms} ms");
        let (reasons, outcome) = at_end::<Vec<ExitReason>>(cluster(), "reasons", 3);
        assert_eq!(reasons, [ExitReason::Shutdown, ExitReason::Shutdown]);
        assert_eq!(crate::world::without_effect(&outcome), [""; 0]);
    }
    // In a script: at 1 s it is asked, at 1.5 s it is down, or at 3 s where it takes too long.
    for (takes_ms, down_ms) in [(500, 1_500), (2_500, 3_000)] {
        let stop = stop.clone();
        holds(
            stopping(takes_ms)
                .faults(Faults::calm())
                .script(move |sim| {
                    sim.run_for(secs(1));
                    sim.apply(stop.clone()).expect("a fault that makes sense");
                    sim.run_for(millis(down_ms - 1_001));
                    assert!(sim.is_up("b"), "{takes_ms}");
                    sim.run_for(millis(2));
                    assert!(!sim.is_up("b"), "{takes_ms}");
                    assert_eq!(sim.observed("reasons"), Some(vec![ExitReason::Shutdown]));
                    sim.run_for(secs(1));
                    assert!(sim.is_up("b") && sim.view(|view| view.boots("b")) == 2);
                }),
        );
    }
}

#[test]
fn the_peers_of_a_node_that_stops_are_told_when_it_is_down() {
    // A member does not trap exits: it ends at once.
    both_ways(
        abc,
        millis(3_050),
        &Fault::stop("b", secs(5), secs(2)),
        |seen| {
            let [a, b, _] = ABC.map(|name| seen.node(name));
            assert!(!seen.hears(a, b, 3_050 + LATENCY_MS..5_050));
            assert!(seen.hears(a, b, 5_050..5_300));
            let told = seen.told(a);
            let lost = told.iter().find(|(_, info)| **info == Info::NodeDown(b));
            let (at_ms, _) = lost.expect("to be told");
            assert!((3_050..=3_050 + LATENCY_MS).contains(at_ms), "{told:?}");
        },
    );
}

#[test]
fn a_paused_node_does_nothing_and_then_goes_on_with_all_that_came() {
    both_ways(abc, millis(3_050), &Fault::pause("b", secs(2)), |seen| {
        let [a, b, c] = ABC.map(|name| seen.node(name));
        assert_eq!(seen.ticks(b, 3_050..5_050), [0; 0]);
        assert!(!seen.hears(b, a, 3_050..5_050));
        assert!(!seen.hears(a, b, 3_050 + LATENCY_MS..5_050));
        // Its sleep is over at once, and both kinds of beats come: none is missing, none comes twice.
        assert_eq!(seen.ticks(b, 5_050..5_060).len(), 1);
        for (peer, via) in [(a, Via::Connection), (c, Via::Datagram)] {
            let mut numbers = seen.numbers(b, peer, via, 0..10_000);
            numbers.sort_unstable();
            assert_eq!(numbers, (0..100).collect::<Vec<u64>>());
            assert!(seen.numbers(b, peer, via, 5_050..5_070).len() >= 20);
        }
        let lost = Info::NodeDown(b);
        assert!(
            !seen.told.iter().any(|told| told.info == lost),
            "{:?}",
            seen.told
        );
        let pids = seen.ticked.iter().filter(|ticked| ticked.by.node() == b);
        assert!(pids.clone().all(|ticked| ticked.by.incarnation() == 0));
    });
}

#[test]
fn each_step_of_a_slow_node_costs_its_time() {
    let cluster = || {
        Scenario::new("slow").node("b", |ctx: Context| async move {
            loop {
                let now_ms = ctx.now().as_nanos() / 1_000_000;
                ctx.observe("steps", |all: &mut Vec<u64>| all.push(now_ms));
                ctx.sleep(millis(10)).await;
            }
        })
    };
    let expected = |steps: &[u64]| {
        let within = |from: u64, to: u64| {
            let steps = steps.iter().filter(|at_ms| (from..to).contains(*at_ms));
            steps.count()
        };
        assert_eq!(within(0, 1_000), 100);
        // The step at 1 s is the first to cost 40 ms; a sleep of 10 ms is over when the node is free again.
        assert_eq!(within(1_000, 2_000), 25);
        assert!((99..=100).contains(&within(2_040, 3_040)));
    };
    let slow = Fault::slow("b", millis(40), secs(1));
    let planned = cluster().faults(Faults::calm().at(millis(995), slow.clone()));
    let (steps, _) = at_end::<Vec<u64>>(planned.horizon(secs(4)), "steps", 1);
    expected(&steps);
    let script = cluster().script(move |sim| {
        sim.run_for(millis(995));
        sim.apply(slow.clone()).expect("a fault that makes sense");
        sim.run_for(secs(3));
    });
    let (steps, _) = at_end::<Vec<u64>>(script, "steps", 1);
    expected(&steps);
    let script = cluster().script(|sim| {
        sim.run_for(millis(995));
        sim.slow("b", millis(40));
        sim.run_for(secs(1));
        sim.slow("b", millis(0));
        sim.run_for(secs(2));
    });
    let (steps, _) = at_end::<Vec<u64>>(script, "steps", 1);
    expected(&steps);
}

#[test]
fn a_zombie_runs_on_unheard_beside_its_successor_and_is_heard_again_when_the_cut_heals() {
    both_ways(abc, millis(3_050), &Fault::zombie("b", secs(4)), |seen| {
        let [a, c] = ["a", "c"].map(|name| seen.node(name));
        let (old, new) = (seen.first_node("b"), seen.node("b"));
        assert_ne!(old, new);
        // Two incarnations of one name step at the same time.
        assert_eq!(seen.ticks(old, 3_100..14_000).len(), 109);
        assert!(seen.ticks(new, 3_050..14_000).len() >= 109);
        let incarnations = |node| {
            let ticked = seen
                .ticked
                .iter()
                .filter(move |ticked| ticked.by.node() == node);
            let mut all: Vec<u32> = ticked.map(|ticked| ticked.by.incarnation()).collect();
            all.dedup();
            all
        };
        assert_eq!((incarnations(old), incarnations(new)), (vec![0], vec![1]));
        for peer in [a, c] {
            assert!(!seen.hears(peer, old, 3_050 + LATENCY_MS..7_050));
            assert!(seen.hears(peer, new, 3_050..3_200));
            // What is sent to the name goes to the new one.
            assert!(!seen.hears(old, peer, 3_050 + LATENCY_MS..14_000));
            assert!(seen.hears(new, peer, 3_050..3_200));
            // The old one speaks up again: its datagrams arrive, beside those of the new one.
            let again = seen.numbers(peer, old, Via::Datagram, 7_050..8_050);
            assert!(again.len() >= 9, "{again:?}");
            assert!(seen.numbers(peer, new, Via::Datagram, 7_050..8_050).len() >= 9);
        }
    });
}

#[test]
fn a_zombie_ends_when_the_faults_stop_and_its_successor_stays() {
    let faults = Faults::calm().at(secs(3), Fault::zombie("b", secs(2)));
    let seen = crate::world::see(abc().faults(faults).quiet(secs(10)), 5);
    let (old, new) = (seen.first_node("b"), seen.node("b"));
    assert!(!seen.ticks(old, 9_800..10_000).is_empty());
    assert_eq!(seen.ticks(old, 10_001..20_000), [0; 0]);
    assert!(seen.ticks(new, 10_000..20_000).len() >= 99);
    holds(abc().script(|sim| {
        sim.run_for(secs(3));
        sim.zombie("b");
        sim.run_for(secs(3));
        sim.heal();
        sim.run_for(secs(1));
        sim.quiet();
        sim.run_for(secs(1));
        let processes = sim.view(|view| view.waiting().len());
        assert_eq!(processes, 6, "a, b and c, two processes each");
        // Now that the old one has ended, another can be written off.
        sim.zombie("b");
        assert_eq!(sim.view(|view| view.boots("b")), 3);
    }));
}

#[test]
fn the_verbs_of_a_script_are_the_faults_of_a_plan_until_they_are_ended() {
    holds(abc().script(|sim| {
        sim.run_for(secs(1));
        for verb in [
            netsplit::Sim::crash,
            netsplit::Sim::power_cut,
            netsplit::Sim::stop,
        ] {
            verb(sim, "b");
            sim.run_for(secs(6));
            assert!(!sim.is_up("b"), "it stays down until it is booted");
            sim.boot("b");
            assert!(sim.is_up("b"));
            sim.run_for(secs(1));
        }
        assert_eq!(sim.view(|view| view.boots("b")), 4);
        let steps = |sim: &netsplit::Sim<'_, '_>| {
            let ticked = sim
                .observed::<Vec<crate::world::Ticked>>("ticked")
                .expect("ticks");
            let b = sim.view(|view| view.node("b"));
            ticked.iter().filter(|ticked| ticked.by.node() == b).count()
        };
        let before = steps(sim);
        sim.pause("b");
        sim.run_for(secs(30));
        assert_eq!(steps(sim), before);
        sim.resume("b");
        sim.run_for(secs(1));
        assert!(steps(sim) >= before + 10);
    }));
}

#[test]
fn a_pause_that_a_crash_has_ended_does_not_end_the_next_one() {
    let faults = Faults::calm()
        .at(millis(1_050), Fault::pause("b", secs(4)))
        .at(millis(2_050), Fault::crash("b", millis(500)))
        .at(millis(3_050), Fault::pause("b", secs(5)));
    let seen = crate::world::see(abc().faults(faults).quiet(secs(0)), 1);
    let b = seen.node("b");
    assert!(!seen.ticks(b, 2_550..3_050).is_empty());
    assert_eq!(seen.ticks(b, 3_060..8_050), [0; 0]);
    assert!(seen.ticks(b, 8_050..9_050).len() >= 9);
}

#[test]
fn a_node_stays_as_slow_as_the_fault_that_is_not_over_makes_it() {
    let faults = Faults::calm()
        .at(millis(1_050), Fault::slow("b", millis(700), secs(2)))
        .at(millis(2_050), Fault::slow("b", millis(400), secs(5)));
    let seen = crate::world::see(abc().faults(faults).quiet(secs(0)), 1);
    let ticks = |window| seen.ticks(seen.node("b"), window).len();
    assert!(ticks(3_050..7_050) <= 10);
    assert!(ticks(12_050..13_050) >= 9);
    let faults = Faults::calm()
        .at(millis(1_050), Fault::slow("b", millis(700), secs(12)))
        .at(millis(2_050), Fault::crash("b", millis(500)));
    let seen = crate::world::see(abc().faults(faults).quiet(secs(0)), 1);
    let ticks = seen.ticks(seen.node("b"), 3_050..4_050).len();
    assert!(ticks >= 9, "it is as fast as before when it has rebooted");
}

#[test]
fn a_machine_that_was_slow_when_it_was_written_off_is_fast_again() {
    let faults = Faults::calm()
        .at(millis(1_050), Fault::slow("b", millis(400), secs(4)))
        .at(millis(3_050), Fault::zombie("b", secs(9)));
    let seen = crate::world::see(abc().faults(faults).quiet(secs(0)), 1);
    let old = seen.first_node("b");
    assert!(seen.ticks(old, 3_050..5_050).len() <= 5);
    assert!(seen.ticks(old, 6_050..7_050).len() >= 9);
}

#[test]
fn a_timer_that_is_due_while_its_node_is_paused_sends_when_it_goes_on() {
    let cluster = || {
        Scenario::new("timers").node("b", |ctx: Context<u64>| async move {
            for after in [300, 1_000, 5_000] {
                ctx.send_after(ctx.address(), after, millis(after));
            }
            loop {
                let after = ctx.receive_message().await;
                let came = (after, ctx.now().as_nanos() / 1_000_000);
                ctx.observe("came", |all: &mut Vec<(u64, u64)>| all.push(came));
            }
        })
    };
    let pause = Fault::pause("b", secs(3));
    let planned = cluster().faults(Faults::calm().at(millis(500), pause.clone()));
    let (came, _) = at_end::<Vec<(u64, u64)>>(planned, "came", 1);
    assert_eq!(came, [(300, 300), (1_000, 3_500), (5_000, 5_000)]);
    let script = cluster().script(move |sim| {
        sim.run_for(millis(500));
        sim.pause("b");
        sim.run_for(secs(3));
        sim.resume("b");
        sim.run_for(secs(3));
    });
    let (came, _) = at_end::<Vec<(u64, u64)>>(script, "came", 1);
    assert_eq!(came, [(300, 300), (1_000, 3_500), (5_000, 5_000)]);
}

#[test]
fn the_grace_of_a_stop_does_not_end_the_next_one() {
    let stop = |at_ms| (millis(at_ms), Fault::stop("b", secs(4), millis(500)));
    let stops = [stop(1_000), stop(4_500)].into_iter();
    let faults = stops.fold(Faults::calm(), |faults, (at, stop)| faults.at(at, stop));
    // It stops within 2.5 s; the grace of the first would be over at 5 s.
    let (came, _) = at_end::<Vec<u64>>(stopping(2_500).faults(faults), "came", 1);
    assert_eq!(came, [3_500, 7_000]);
}

#[test]
fn what_came_for_a_paused_node_is_gone_with_it_when_it_goes_down() {
    let scenario = Scenario::new("gone")
        .node("a", keeper)
        .node("b", keeper)
        .client("c", |ctx: Context| async move {
            ctx.sleep(secs(1)).await;
            for to in ["a", "b"] {
                Address::<u64>::named(to, "a").send_datagram(1);
            }
        });
    holds(scenario.script(|sim| {
        sim.pause("a");
        sim.pause("b");
        sim.run_for(secs(2));
        sim.crash("a");
        assert_eq!(sim.view(|view| view.books().dead), 1);
        sim.boot("a");
        sim.run_for(secs(1));
        assert_eq!(sim.observed::<Vec<u64>>("came"), None);
        sim.resume("b");
        sim.run_for(secs(1));
        assert_eq!(sim.observed("came"), Some(vec![1u64]));
    }));
}

#[test]
fn a_script_ends_a_planned_pause_of_a_node_that_was_written_off_before() {
    let scenario = abc().faults(Faults::calm().at(secs(2), Fault::pause("b", secs(10))));
    holds(scenario.script(|sim| {
        sim.run_for(secs(1));
        sim.zombie("b");
        sim.run_for(secs(2));
        let ticked = |sim: &Sim<'_, '_>| {
            let ticked = sim.observed::<Vec<Ticked>>("ticked").unwrap_or_default();
            ticked.iter().filter(|t| t.by.incarnation() == 1).count()
        };
        let before = ticked(sim);
        sim.resume("b");
        sim.run_for(secs(2));
        assert!(ticked(sim) > before + 15, "{before} {}", ticked(sim));
    }));
}

#[test]
fn a_node_that_is_spared_stays_so_where_another_boots_in_its_place() {
    let slow = Faults::calm().slow(1.0, secs(1)).spare("b");
    let scenario = abc().faults(slow);
    holds(scenario.script(|sim| {
        sim.zombie("b");
        sim.run_for(secs(5));
        let ticked = sim.observed::<Vec<Ticked>>("ticked").unwrap_or_default();
        let of_new = ticked.iter().filter(|t| t.by.incarnation() == 1);
        assert_eq!(of_new.count(), 51, "ten ticks a second, and the first");
    }));
}
