//! Faults that are drawn: how often they come, to whom, and that they do what the same by hand does.

use crate::world::{LATENCY_MS, Seen, Via, members, see};
use netsplit::sim::Planned;
use netsplit::trace::Event;
use netsplit::{Context, Fault, Faults, Info, NodeId, PacketKind, Scenario, millis, secs};
use std::collections::BTreeSet;
use std::time::Duration;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Five nodes that do nothing, under faults for 150 s: their plans.
fn plans(faults: &Faults, seeds: u64) -> Vec<Vec<Planned>> {
    let scenario = NAMES.iter().fold(Scenario::new("idle"), |scenario, name| {
        scenario.node(
            name,
            |ctx: Context| async move { ctx.sleep(secs(500)).await },
        )
    });
    let scenario = scenario
        .client("client", |_: Context| async {})
        .finally("it ends", |_| true)
        .faults(faults.clone())
        .horizon(secs(200));
    let run = |seed| scenario.run(seed).expect("a scenario that can be run");
    (0..seeds)
        .map(|seed| run(seed).plan.faults().to_vec())
        .collect()
}

/// How long a fault of a class lasts that ends by itself, or how far it goes.
type Length = fn(&Fault) -> Option<Duration>;

/// Each class of faults at a rate of once in ten seconds, and 2 s long.
fn classes() -> Vec<(&'static str, Faults, Length)> {
    let (every, lasts) = (secs(10), secs(2));
    let calm = Faults::calm;
    vec![
        ("crash", calm().crash(every, lasts), |fault| match fault {
            Fault::Crash { down_for, .. } => *down_for,
            _ => None,
        }),
        (
            "power cut",
            calm().power_cut(every, lasts),
            |fault| match fault {
                Fault::PowerCut { down_for, .. } => *down_for,
                _ => None,
            },
        ),
        ("stop", calm().stop(every, lasts), |fault| match fault {
            Fault::Stop {
                grace, down_for, ..
            } if *grace == secs(5) => *down_for,
            _ => None,
        }),
        ("pause", calm().pause(every, lasts), |fault| match fault {
            Fault::Pause { lasts, .. } => Some(*lasts),
            _ => None,
        }),
        ("zombie", calm().zombie(every, lasts), |fault| match fault {
            Fault::Zombie { lasts, .. } => Some(*lasts),
            _ => None,
        }),
        ("cut", calm().partition(every, lasts), |fault| match fault {
            Fault::Cut { lasts, .. } => Some(*lasts),
            _ => None,
        }),
        (
            "break",
            calm().break_connections(every),
            |fault| match fault {
                Fault::Break { a, b } if a != b => Some(secs(2)),
                _ => None,
            },
        ),
        (
            "clock step",
            calm().step_clocks(every, 2 * lasts),
            |fault| match fault {
                Fault::ClockStep { by_ns, .. } => Some(Duration::from_nanos(by_ns.unsigned_abs())),
                _ => None,
            },
        ),
    ]
}

#[test]
fn each_class_comes_as_often_and_lasts_as_long_as_its_rate_says() {
    for (name, faults, length) in classes() {
        let plans = plans(&faults, 20);
        let all: Vec<&Planned> = plans.iter().flatten().collect();
        // In each of 150 windows of a second, to each of five nodes, or once where it is a cut.
        let victims = if name == "cut" { 1.0 } else { 5.0 };
        let expected = 20.0 * 150.0 * victims * (1.0 - (-0.1_f64).exp());
        let came = all.len() as f64;
        assert!(
            (came - expected).abs() < 4.0 * expected.sqrt(),
            "{name}: {came} of {expected}"
        );
        let lengths = all
            .iter()
            .map(|planned| length(&planned.fault).expect(name).as_secs_f64());
        let mean = lengths.sum::<f64>() / came;
        assert!((1.7..2.3).contains(&mean), "{name}: {mean} s");
        for plan in &plans {
            assert!(plan.is_sorted_by_key(|planned| planned.at), "{name}");
            assert!(
                plan.iter()
                    .all(|planned| planned.at.as_nanos() < 150_000_000_000),
                "{name}"
            );
            let windows = plan
                .iter()
                .map(|p| (p.fault.node(), p.at.as_nanos() / 1_000_000_000));
            assert_eq!(
                windows.collect::<BTreeSet<_>>().len(),
                plan.len(),
                "{name}: once a second"
            );
            // The client is the sixth.
            assert!(
                plan.iter()
                    .all(|planned| planned.fault.node() != Some(NodeId::new(5))),
                "{name}"
            );
        }
    }
}

#[test]
fn a_crash_falls_at_one_of_the_next_calls_or_between_two_steps() {
    let calls = |most| {
        let faults = Faults::calm().crash(secs(2), secs(1)).crash_calls(most);
        let plans = plans(&faults, 5);
        let all = plans.iter().flatten().map(|planned| match planned.fault {
            Fault::Crash { call, .. } => call,
            ref other => panic!("{other}"),
        });
        all.collect::<BTreeSet<u64>>()
    };
    assert_eq!(calls(8), (0..=8).collect());
    assert_eq!(calls(0), BTreeSet::from([0]));
}

#[test]
fn what_is_spared_is_spared_everything_that_is_drawn_and_nothing_else_is() {
    for (name, faults, _) in classes() {
        let plans = plans(&faults.clone().spare("b"), 10);
        let nodes: BTreeSet<NodeId> = plans
            .iter()
            .flatten()
            .flat_map(|planned| match &planned.fault {
                Fault::Cut { cut, .. } => cut.nodes().copied().collect(),
                Fault::Break { a, b } => vec![*a, *b],
                other => other.node().into_iter().collect(),
            })
            .collect();
        assert_eq!(nodes, [0, 2, 3, 4].map(NodeId::new).into(), "{name}");
    }
    let by_hand = Faults::calm()
        .spare("b")
        .at(secs(1), Fault::pause("b", secs(1)));
    assert_eq!(plans(&by_hand, 1)[0].len(), 1);
}

#[test]
fn drawn_cuts_have_every_form_and_some_flap() {
    let mut forms = [0; 6];
    let (mut flap, mut all) = (0, 0);
    for planned in plans(&Faults::calm().partition(secs(2), secs(2)), 20)
        .iter()
        .flatten()
    {
        let Fault::Cut {
            cut, flap: flaps, ..
        } = &planned.fault
        else {
            panic!("{}", planned.fault)
        };
        let nodes: Vec<NodeId> = (0..5).map(NodeId::new).collect();
        let pairs = nodes
            .iter()
            .flat_map(|a| nodes.iter().map(move |b| (*a, *b)));
        let (there, back): (Vec<_>, Vec<_>) = pairs
            .filter(|(a, b)| cut.blocks(*a, *b))
            .partition(|(a, b)| a < b);
        let (named, blocked) = (cut.nodes().count(), there.len() + back.len());
        let form = match (named, blocked, there.len() == back.len()) {
            (5, 8, true) => 0,
            (5, 12, true) => 1,
            (5, 4, _) => 2,
            (4, 8, true) => 3,
            other => panic!("{cut}: {other:?}"),
        };
        forms[form] += 1;
        (flap, all) = (flap + i32::from(flaps.is_some()), all + 1);
    }
    // One node off (a third of five is one, too), halves, one node unheard or deaf, halves with a bridge.
    let share = |n: i32| f64::from(n) / f64::from(all);
    assert!((0.26..0.41).contains(&share(forms[0])), "{forms:?}");
    assert!((0.10..0.23).contains(&share(forms[1])), "{forms:?}");
    assert!((0.26..0.41).contains(&share(forms[2])), "{forms:?}");
    assert!((0.10..0.23).contains(&share(forms[3])), "{forms:?}");
    assert!((0.13..0.27).contains(&share(flap)), "{flap} of {all}");
}

#[test]
fn with_fewer_than_two_nodes_there_is_nothing_to_cut_or_to_break() {
    let alone = |faults: Faults| {
        let scenario = Scenario::new("alone")
            .node("a", |ctx: Context| async move { ctx.sleep(secs(60)).await })
            .client("b", |_: Context| async {})
            .finally("it ends", |_| true)
            .faults(faults);
        scenario.run(1).expect("a scenario that can be run").plan
    };
    let faults = Faults::calm()
        .partition(secs(1), secs(1))
        .break_connections(secs(1));
    assert_eq!(alone(faults).faults(), []);
    assert!(
        !alone(Faults::calm().crash(secs(1), secs(1)))
            .faults()
            .is_empty()
    );
}

/// The runs of three members under a profile, and the faults of each that had an effect.
fn three(faults: &Faults) -> impl Iterator<Item = (Seen, Vec<Planned>)> {
    (0..4).map(|seed| {
        let seen = see(
            members(&["a", "b", "c"], secs(16)).faults(faults.clone()),
            seed,
        );
        let log = seen.outcome.log.as_ref().expect("a log");
        let idle: BTreeSet<u32> = log
            .entries()
            .iter()
            .filter_map(|entry| match entry.event {
                Event::NoEffect { number, .. } => Some(number),
                _ => None,
            })
            .collect();
        let numbered = seen.outcome.plan.faults().iter().zip(0..);
        let effective = numbered.filter(|(_, number)| !idle.contains(number));
        let effective: Vec<Planned> = effective.map(|(planned, _)| planned.clone()).collect();
        assert!(!effective.is_empty(), "seed {seed}");
        (seen, effective)
    })
}

/// The milliseconds from the first whole one of a fault, to the last, but not beyond the quiet end.
fn window(planned: &Planned, lasts: Duration) -> std::ops::Range<u64> {
    let from_ms = planned.at.as_nanos() / 1_000_000 + 1;
    let end_ms = (planned.at + lasts).as_nanos() / 1_000_000;
    from_ms..end_ms.min(12_000)
}

#[test]
fn a_node_that_is_drawn_to_be_down_or_paused_does_nothing_meanwhile() {
    let (every, lasts) = (secs(4), millis(800));
    let profiles = [
        Faults::calm().crash(every, lasts).crash_calls(0),
        Faults::calm().power_cut(every, lasts),
        Faults::calm().stop(every, lasts),
        Faults::calm().pause(every, lasts),
    ];
    for faults in profiles {
        for (seen, effective) in three(&faults) {
            for planned in effective {
                let (Fault::Crash {
                    node,
                    down_for: Some(lasts),
                    ..
                }
                | Fault::PowerCut {
                    node,
                    down_for: Some(lasts),
                }
                | Fault::Stop {
                    node,
                    down_for: Some(lasts),
                    ..
                }
                | Fault::Pause { node, lasts }) = planned.fault
                else {
                    panic!("{faults}: {}", planned.fault)
                };
                let meanwhile = window(&planned, lasts);
                assert_eq!(
                    seen.ticks(node, meanwhile.clone()),
                    [0; 0],
                    "{faults}: {}",
                    planned.fault
                );
                let after = meanwhile.end..meanwhile.end + 300;
                let more = seen.ticks(node, after);
                let again = planned.at + lasts + millis(300);
                let others = seen.outcome.plan.faults().iter();
                let next = others
                    .filter(|o| o.at > planned.at && o.at < again && o.fault.node() == Some(node));
                assert!(
                    !more.is_empty() || next.count() > 0,
                    "{faults}: {}",
                    planned.fault
                );
            }
        }
    }
}

#[test]
fn a_node_that_is_drawn_to_be_written_off_is_not_heard_and_runs_on() {
    for (seen, effective) in three(&Faults::calm().zombie(secs(10), secs(2))) {
        let old = effective.iter().map(|planned| match planned.fault {
            Fault::Zombie { node, lasts } => (node, window(planned, lasts)),
            ref other => panic!("{other}"),
        });
        for (node, meanwhile) in old {
            let silent = meanwhile.start + LATENCY_MS..meanwhile.end;
            let peers = (0..3).map(NodeId::new).filter(|peer| *peer != node);
            for peer in peers {
                assert!(!seen.hears(peer, node, silent.clone()));
            }
            let ticks = seen.ticks(node, meanwhile.clone()).len() as u64;
            assert!(ticks >= (meanwhile.end - meanwhile.start) / 100);
        }
        assert!(seen.outcome.names.len() > 3, "a machine more");
    }
}

#[test]
fn nothing_passes_through_a_drawn_cut() {
    let faults = Faults::calm().partition(secs(3), secs(1));
    for (seen, effective) in three(&faults) {
        let mut closed = 0;
        for planned in &effective {
            let Fault::Cut { cut, lasts, flap } = &planned.fault else {
                panic!("{}", planned.fault)
            };
            let phase = flap.map_or(*lasts, |flap| flap.min(*lasts));
            let meanwhile = window(planned, phase);
            for from in (0..3).map(NodeId::new) {
                for to in (0..3).map(NodeId::new).filter(|to| *to != from) {
                    let silent = meanwhile.start + LATENCY_MS..meanwhile.end;
                    if cut.blocks(from, to) && silent.start < silent.end {
                        assert!(!seen.hears(to, from, silent), "{cut}");
                        closed += 1;
                    }
                }
            }
        }
        assert!(closed > 0);
    }
}

#[test]
fn both_ends_hear_of_a_connection_that_is_drawn_to_break() {
    for (seen, effective) in three(&Faults::calm().break_connections(secs(5))) {
        for planned in effective {
            let Fault::Break { a, b } = planned.fault else {
                panic!("{}", planned.fault)
            };
            let at_ms = planned.at.as_nanos() / 1_000_000;
            for (one, other) in [(a, b), (b, a)] {
                let told = seen.told(one);
                let lost = |(ms, info): &(u64, &Info)| {
                    **info == Info::NodeDown(other) && (at_ms..=at_ms + LATENCY_MS).contains(ms)
                };
                assert!(told.iter().any(lost), "{}: {told:?}", planned.fault);
            }
        }
    }
}

#[test]
fn drawn_steps_of_clocks_add_up_on_the_wall() {
    for (seen, effective) in three(&Faults::calm().step_clocks(secs(3), secs(60))) {
        for node in (0..3).map(NodeId::new) {
            let steps = effective.iter().filter_map(|planned| match planned.fault {
                Fault::ClockStep { node: other, by_ns } if other == node => Some(by_ns),
                _ => None,
            });
            let mut own = seen.ticked.iter().filter(|ticked| ticked.by.node() == node);
            let last = own.next_back().expect("a tick");
            let start_ns = secs(1_704_067_200).as_nanos() as i128;
            let wall_ns = last.wall.as_nanos() as i128 - start_ns;
            let ahead_ns = wall_ns - i128::from(last.at.as_nanos());
            assert_eq!(ahead_ns, i128::from(steps.sum::<i64>()));
        }
    }
}

#[test]
fn drawn_drifts_make_beats_come_more_or_less_often() {
    let faults = Faults::calm().drift(200_000).spare("a");
    let mut signs = BTreeSet::new();
    for (seen, effective) in three(&faults) {
        for planned in effective {
            let Fault::Drift { node, ppb } = planned.fault else {
                panic!("{}", planned.fault)
            };
            assert!(ppb.abs() <= 200_000_000);
            signs.insert(ppb.signum());
            let heard = seen
                .numbers(NodeId::new(0), node, Via::Connection, 0..12_000)
                .len() as f64;
            let expected = 120.0 * (1.0 + ppb as f64 / 1e9);
            assert!(
                (heard - expected).abs() < 3.0,
                "{ppb}: {heard} of {expected}"
            );
        }
    }
    assert_eq!(signs.len(), 2, "some too fast, some too slow");
}

fn two(faults: Faults) -> Seen {
    see(members(&["a", "b"], secs(16)).faults(faults), 1)
}

#[test]
fn slow_boots_cost_time_a_step_and_others_do_not() {
    let (fast, slow) = (
        two(Faults::calm().slow(0.0, secs(2))),
        two(Faults::calm().slow(1.0, secs(2))),
    );
    let ticks = |seen: &Seen| seen.ticks(NodeId::new(0), 0..12_000).len();
    assert_eq!(ticks(&fast), 120);
    assert!(ticks(&slow) < 100, "{}", ticks(&slow));
    let quiet = slow.ticks(NodeId::new(0), 13_000..16_000).len();
    assert!(quiet >= 29, "fast again when the faults stop: {quiet}");
}

#[test]
fn late_timers_fire_up_to_so_much_later_until_the_faults_stop() {
    let seen = two(Faults::calm().late_timers(millis(50)));
    let ticks = seen.ticks(NodeId::new(0), 0..16_000);
    let (mut least, mut most) = (u64::MAX, 0);
    for pair in ticks.windows(2) {
        let gap = pair[1] - pair[0];
        if pair[1] < 12_000 {
            (least, most) = (least.min(gap), most.max(gap));
        } else if pair[0] > 12_050 {
            assert_eq!(gap, 100);
        }
    }
    assert!(
        (100..105).contains(&least) && (145..=151).contains(&most),
        "{least} to {most} ms"
    );
}

/// How often each of the first hundred datagrams from b to a came, and how long each was under way.
fn datagrams(seen: &Seen) -> (Vec<usize>, Vec<u64>) {
    let (a, b) = (seen.node("a"), seen.node("b"));
    let datagrams = seen.heard.iter().filter(|heard| {
        let is_one = heard.by.node() == a && heard.beat.from.node() == b;
        is_one && heard.beat.via == Via::Datagram
    });
    let mut copies = vec![0; 100];
    let mut took_ms = Vec::new();
    for heard in datagrams.filter(|heard| heard.beat.number < 100) {
        copies[heard.beat.number as usize] += 1;
        took_ms.push(heard.at.as_nanos() / 1_000_000 - heard.beat.number * 100);
    }
    (copies, took_ms)
}

#[test]
fn rates_of_packets_are_shares_of_the_datagrams_and_connections_lose_nothing() {
    let calm = Faults::calm;
    let share = |copies: &[usize], n| copies.iter().filter(|copies| **copies == n).count();
    let whole = |seen: &Seen| {
        let numbers = seen.numbers(seen.node("a"), seen.node("b"), Via::Connection, 0..16_000);
        assert!(
            numbers.into_iter().eq(0..160),
            "in order, none missing, none twice"
        );
    };
    for of_data in [calm().lose(0.3), calm().lose_kind(PacketKind::Data, 0.3)] {
        let seen = two(of_data);
        let (copies, _) = datagrams(&seen);
        assert!((15..=45).contains(&share(&copies, 0)) && share(&copies, 2) == 0);
        whole(&seen);
    }
    for of_data in [
        calm().duplicate(0.3),
        calm().duplicate_kind(PacketKind::Data, 0.3),
    ] {
        let seen = two(of_data);
        let (copies, _) = datagrams(&seen);
        assert!((15..=45).contains(&share(&copies, 2)) && share(&copies, 0) == 0);
        whole(&seen);
    }
    let seen = two(calm().reorder(0.3, millis(500)));
    let (copies, took_ms) = datagrams(&seen);
    assert_eq!(share(&copies, 1), 100);
    let held = took_ms.iter().filter(|ms| **ms > LATENCY_MS).count();
    assert!((15..=45).contains(&held) && took_ms.iter().all(|ms| *ms <= 500 + LATENCY_MS));
    whole(&seen);
    // Of another kind than these are: nothing happens to them.
    let other = calm()
        .lose_kind(PacketKind::Ack, 1.0)
        .duplicate_kind(PacketKind::Signal, 1.0);
    let (copies, _) = datagrams(&two(other));
    assert_eq!(share(&copies, 1), 100);
}
