//! Faults of the network: partitions of every form, and connections that break.

use crate::world::{Beat, Heard, LATENCY_MS, Seen, Via, both_ways, holds, members, see};
use netsplit::{Cut, Fault, Faults, Info, NodeId, Scenario, Sim, millis, secs};
use std::ops::Range;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn five() -> Scenario {
    members(&NAMES, secs(14))
}

/// All ordered pairs of nodes: sender, receiver, and whether nothing passes by this list of `from>to`.
fn pairs<'a>(seen: &'a Seen, closed: &'a str) -> impl Iterator<Item = (NodeId, NodeId, bool)> + 'a {
    let pairs = NAMES
        .iter()
        .flat_map(|from| NAMES.iter().map(move |to| (from, to)));
    pairs
        .filter(|(from, to)| from != to)
        .map(move |(from, to)| {
            let is_closed = closed.split(' ').any(|way| way == format!("{from}>{to}"));
            (seen.node(from), seen.node(to), is_closed)
        })
}

/// Both directions of these ways.
fn both_directions(ways: &str) -> String {
    let ways = ways.split(' ').map(|way| {
        let (from, to) = way.split_once('>').expect("a way");
        format!("{from}>{to} {to}>{from}")
    });
    ways.collect::<Vec<String>>().join(" ")
}

fn is_whole(numbers: &[u64]) -> bool {
    numbers.iter().zip(0..).all(|(number, nth)| *number == nth)
}

/// For three seconds from 3.05 s on, nothing passes on these ways, and on all others everything does.
fn closes(cut: Cut<&str>, closed: &str) {
    both_ways(five, millis(3_050), &Fault::cut(cut, secs(3)), |seen| {
        for (from, to, is_closed) in pairs(seen, closed) {
            let way = format!("{from}>{to}");
            let meanwhile = 3_050 + LATENCY_MS..6_050;
            for via in [Via::Connection, Via::Datagram] {
                let numbers = seen.numbers(to, from, via, meanwhile.clone());
                assert_eq!(numbers.len(), if is_closed { 0 } else { 30 }, "{way}");
            }
            // When it heals, what was sent over the connection comes, all of it, in order.
            let sent = seen.numbers(to, from, Via::Connection, 0..14_000);
            assert!(is_whole(&sent) && sent.len() >= 138, "{way}: {sent:?}");
            let healed = 6_050..6_050 + 2 * LATENCY_MS;
            let at_once = seen.numbers(to, from, Via::Connection, healed);
            assert_eq!(at_once.len(), if is_closed { 30 } else { 0 }, "{way}");
            // Datagrams are lost, those of that time and no others.
            let mut came = seen.numbers(to, from, Via::Datagram, 0..14_000);
            came.sort_unstable();
            let lost: Vec<u64> = (0..138).filter(|nth| !came.contains(nth)).collect();
            let expected = if is_closed {
                (31..61).collect()
            } else {
                Vec::new()
            };
            assert_eq!(lost, expected, "{way}");
        }
        assert!(
            !seen
                .told
                .iter()
                .any(|told| matches!(told.info, Info::NodeDown(_)))
        );
    });
}

#[test]
fn a_partition_of_two_sets_closes_both_directions_between_them() {
    let closed = both_directions("a>c a>d b>c b>d");
    closes(Cut::between(["a", "b"], ["c", "d"]), &closed);
}

#[test]
fn a_one_way_partition_leaves_the_way_back_open() {
    closes(Cut::one_way(["a", "b"], ["c"]), "a>c b>c");
}

#[test]
fn one_node_off_reaches_nobody() {
    let closed = both_directions("c>a c>b c>d c>e");
    closes(Cut::between(["c"], ["a", "b", "d", "e"]), &closed);
}

#[test]
fn one_node_that_is_not_heard_hears_all_others() {
    closes(Cut::one_way(["c"], ["a", "b", "d", "e"]), "c>a c>b c>d c>e");
}

#[test]
fn halves_keep_the_majority_together() {
    let closed = both_directions("a>c a>d a>e b>c b>d b>e");
    closes(Cut::between(["a", "b"], ["c", "d", "e"]), &closed);
}

#[test]
fn a_bridge_reaches_both_halves() {
    // c is on neither side.
    let closed = both_directions("a>d a>e b>d b>e");
    closes(Cut::between(["a", "b"], ["d", "e"]), &closed);
}

#[test]
fn a_node_on_both_sides_reaches_neither() {
    let closed = both_directions("a>b b>c a>c");
    closes(Cut::between(["a", "b"], ["b", "c"]), &closed);
}

#[test]
fn a_flapping_cut_heals_and_comes_again_until_it_is_over() {
    let cut = Cut::between(["a"], ["b"]);
    let flap = Fault::flap(cut, millis(500), secs(4));
    both_ways(five, millis(3_050), &flap, |seen| {
        let [a, b] = ["a", "b"].map(|name| seen.node(name));
        for (nth, from_ms) in (3_050..7_050).step_by(500).enumerate() {
            let phase = from_ms + LATENCY_MS..from_ms + 500;
            let came = seen.numbers(b, a, Via::Datagram, phase);
            assert_eq!(came.len(), if nth % 2 == 0 { 0 } else { 5 }, "phase {nth}");
        }
        assert_eq!(seen.numbers(b, a, Via::Datagram, 7_050..9_050).len(), 20);
        assert!(is_whole(&seen.numbers(b, a, Via::Connection, 0..14_000)));
    });
}

#[test]
fn a_broken_connection_loses_what_is_under_way_and_is_set_up_again() {
    let mut lost = 0;
    both_ways(
        five,
        millis(3_002),
        &Fault::break_connection("a", "b"),
        |seen| {
            let [a, b, c] = ["a", "b", "c"].map(|name| seen.node(name));
            for (one, other) in [(a, b), (b, a)] {
                let told = seen.told(one);
                let of_other = told.iter().filter(|(at_ms, info)| {
                    *at_ms > 1_000
                        && matches!(info, Info::NodeDown(n) | Info::NodeUp(n) if *n == other)
                });
                let of_other: Vec<_> = of_other.collect();
                let [(down_ms, Info::NodeDown(_)), (up_ms, Info::NodeUp(_))] = of_other[..] else {
                    panic!("{told:?}")
                };
                assert!((3_002..=3_002 + LATENCY_MS).contains(down_ms));
                // The next beat sets it up: a question, an answer, and the beat itself.
                assert!((3_100..=3_100 + 2 * LATENCY_MS).contains(up_ms));
                let mut numbers = seen.numbers(one, other, Via::Connection, 0..14_000);
                if !numbers.contains(&30) {
                    numbers.insert(30, 30);
                }
                assert!(is_whole(&numbers), "{numbers:?}");
            }
            assert!(seen.told(c).iter().all(|(at_ms, _)| *at_ms < 1_000));
            assert!(is_whole(&seen.numbers(c, a, Via::Connection, 0..14_000)));
        },
    );
    for seed in 0..8 {
        let fault = Fault::break_connection("a", "b");
        let seen = see(five().faults(Faults::calm().at(millis(3_002), fault)), seed);
        let numbers = seen.numbers(seen.node("b"), seen.node("a"), Via::Connection, 0..14_000);
        lost += u32::from(!numbers.contains(&30));
    }
    assert!(
        lost > 0,
        "some seed has the beat under way when the connection breaks"
    );
}

#[test]
fn a_cut_holds_for_every_machine_of_a_name() {
    // Written off before, during, and between two phases of a cut.
    let cut = || Cut::between(["a"], ["b"]);
    let cases: [(u64, Fault<String>, u64, Range<u64>); 3] = [
        (5_050, Fault::cut(cut(), secs(6)), 3_050, 5_060..11_050),
        (3_050, Fault::cut(cut(), secs(8)), 5_050, 5_060..11_050),
        (
            1_050,
            Fault::flap(cut(), secs(4), secs(10)),
            7_050,
            9_060..11_050,
        ),
    ];
    for (at_ms, fault, written_off_ms, closed) in cases {
        let faults = Faults::calm()
            .at(millis(at_ms), fault.clone())
            .at(millis(written_off_ms), Fault::zombie("b", millis(500)));
        let seen = see(five().faults(faults).quiet(secs(0)), 1);
        let (a, c, old, new) = (
            seen.node("a"),
            seen.node("c"),
            seen.first_node("b"),
            seen.node("b"),
        );
        for b in [old, new] {
            assert!(!seen.hears(a, b, closed.clone()), "{fault}");
            assert!(!seen.hears(b, a, closed.clone()), "{fault}");
            let datagrams = seen.numbers(c, b, Via::Datagram, closed.clone());
            assert!(datagrams.len() > 10, "{fault}: c is on neither side");
            assert!(seen.hears(a, b, 11_060..14_000), "{fault}");
        }
    }
}

/// Who was heard by whom since a script last asked.
fn ways(sim: &Sim<'_, '_>, since_ms: u64) -> String {
    let heard: Vec<Heard> = sim.observed("heard").unwrap_or_default();
    let name = |node: NodeId| NAMES[node.index()];
    let mut ways: Vec<String> = heard
        .iter()
        .filter(|heard| heard.at.as_nanos() / 1_000_000 >= since_ms)
        .map(
            |Heard {
                 by,
                 beat: Beat { from, .. },
                 ..
             }| { format!("{}>{}", name(from.node()), name(by.node())) },
        )
        .collect();
    ways.sort_unstable();
    ways.dedup();
    ways.join(" ")
}

#[test]
fn a_script_partitions_isolates_and_heals() {
    let three = || members(&["a", "b", "c"], secs(14));
    let all = "a>b a>c b>a b>c c>a c>b";
    holds(three().script(move |sim| {
        let after_a_second = |sim: &mut Sim<'_, '_>| {
            // What is under way arrives.
            sim.run_for(millis(10));
            let since_ms = sim.now().as_nanos() / 1_000_000 + 1;
            sim.run_for(secs(1));
            ways(sim, since_ms)
        };
        sim.run_for(millis(1_050));
        assert_eq!(after_a_second(sim), all);
        sim.partition(["a"], ["b"]);
        assert_eq!(after_a_second(sim), "a>c b>c c>a c>b");
        sim.partition_one_way(["c"], ["a"]);
        assert_eq!(after_a_second(sim), "a>c b>c c>b");
        sim.heal();
        assert_eq!(after_a_second(sim), all);
        sim.isolate("b");
        assert_eq!(after_a_second(sim), "a>c c>a");
        sim.heal();
        assert_eq!(after_a_second(sim), all);
        sim.break_connection("a", "b");
        assert_eq!(after_a_second(sim), all);
    }));
}
