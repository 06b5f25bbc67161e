//! Faults of clocks, as processes see them: `now`, the wall clock, and when timers fire.

use crate::world::{Ticked, Via, both_ways, holds, members, see};
use netsplit::{Context, Fault, Faults, NodeId, Scenario, Time, millis, secs};
use std::time::Duration;

fn two() -> Scenario {
    members(&["a", "b"], secs(14))
}

/// How far a wall clock is ahead of the clock that never goes back.
fn ahead_ms(ticked: &Ticked) -> i128 {
    const START: Duration = Duration::from_secs(1_704_067_200);
    let wall = ticked.wall.as_nanos() as i128 - START.as_nanos() as i128;
    (wall - i128::from(ticked.at.as_nanos())) / 1_000_000
}

fn of(ticked: &[Ticked], node: NodeId) -> Vec<&Ticked> {
    ticked
        .iter()
        .filter(|ticked| ticked.by.node() == node)
        .collect()
}

#[test]
fn a_wall_clock_steps_forward_and_back_and_now_does_not() {
    let cases = [
        (Fault::clock_forward("b", secs(3_600)), 3_600_000),
        (Fault::clock_back("b", secs(30)), -30_000),
    ];
    for (fault, by_ms) in cases {
        both_ways(two, millis(3_050), &fault, |seen| {
            for ticked in of(&seen.ticked, seen.node("b")) {
                let stepped = ticked.at >= Time::ZERO + millis(3_050);
                assert_eq!(ahead_ms(ticked), if stepped { by_ms } else { 0 });
            }
            let a = of(&seen.ticked, seen.node("a"));
            assert!(a.iter().all(|ticked| ahead_ms(ticked) == 0));
            let ticks = seen.ticks(seen.node("b"), 0..14_000);
            assert_eq!(ticks, (0..140).map(|nth| nth * 100).collect::<Vec<u64>>());
        });
    }
}

#[test]
fn a_wall_clock_does_not_step_back_behind_1970() {
    holds(two().script(|sim| {
        sim.clock_back("b", secs(100 * 365 * 86_400));
        sim.run_for(secs(1));
        let ticked: Vec<Ticked> = sim.observed("ticked").expect("ticks");
        let of_b = of(&ticked, NodeId::new(1));
        assert_eq!(of_b.last().expect("a tick").wall, Duration::ZERO);
    }));
}

#[test]
fn a_clock_that_is_fast_shows_more_and_its_timers_fire_sooner() {
    // A tenth too fast, or too slow, from 3.05 s on.
    for (ppm, beats) in [(100_000, 110), (-100_000, 90)] {
        both_ways(two, millis(3_050), &Fault::drift("b", ppm), |seen| {
            let [a, b] = ["a", "b"].map(|name| seen.node(name));
            // By its own clock a beat comes every 100 ms, as ever: it does not know.
            let own = of(&seen.ticked, b);
            let gaps = own.windows(2).map(|pair| pair[1].at.since(pair[0].at));
            let uneven = gaps.filter(|gap| !(millis(100)..millis(101)).contains(gap));
            // But for the timer that was set before: it fires when it would have.
            let expected = if ppm > 0 { millis(105) } else { millis(95) };
            assert_eq!(uneven.collect::<Vec<_>>(), [expected]);
            assert!(own.iter().all(|ticked| ahead_ms(ticked).abs() <= 1));
            // By the clock of another they come more or less often.
            let heard = seen.numbers(a, b, Via::Connection, 3_500..13_500).len() as i32;
            assert!((heard - beats).abs() <= 1, "{heard}");
            let heard = seen.numbers(b, a, Via::Connection, 0..100_000).len();
            assert!(heard >= 139, "a is as fast as before");
        });
    }
}

#[test]
fn the_clock_of_a_node_that_drifts_is_right_again_when_the_faults_stop() {
    let faults = Faults::calm().at(secs(1), Fault::drift("b", 500_000));
    let scenario = Scenario::new("drift")
        .node("b", |ctx: Context| async move {
            for _ in 0..2 {
                ctx.sleep(secs(6)).await;
                let now = ctx.now();
                ctx.observe("own", |own: &mut Vec<Time>| own.push(now));
            }
        })
        .always("six seconds of its own", |view| {
            let own = view.observed::<Vec<Time>>("own").map_or(0, Vec::len);
            // 1 s, then 5 s one and a half times as fast; later 6 s, of which 2 s are fast.
            let real = [
                secs(0),
                Duration::from_nanos(4_333_333_334),
                Duration::from_nanos(9_333_333_334),
            ];
            view.now() >= Time::ZERO + real[own]
        })
        .finally("both", |view| {
            view.observed::<Vec<Time>>("own").map_or(0, Vec::len) == 2
        })
        .faults(faults)
        .quiet(secs(14))
        .horizon(secs(20));
    let outcome = scenario.run(1).expect("a scenario that can be run");
    assert_eq!(outcome.violation, None);
}

#[test]
fn a_clock_keeps_its_drift_and_its_step_over_a_reboot() {
    let faults = Faults::calm()
        .at(millis(1_050), Fault::drift("b", 100_000))
        .at(millis(1_050), Fault::clock_forward("b", secs(7)))
        .at(millis(2_050), Fault::crash("b", secs(1)));
    let seen = see(two().faults(faults), 1);
    let own = of(&seen.ticked, seen.node("b"));
    let (before, after) = own.split_at(
        own.iter()
            .position(|t| t.by.incarnation() == 1)
            .expect("a reboot"),
    );
    assert!(after.iter().all(|ticked| ahead_ms(ticked) / 10 == 700));
    // Down at 2.05 s of the run, which are 2.15 s of its own; back at 3.05 s, which are 3.25 s.
    assert!(before.last().expect("a tick").at < Time::ZERO + millis(2_150));
    assert_eq!(after[0].at.as_nanos() / 1_000_000, 3_250);
}

#[test]
fn the_verbs_of_a_script_move_the_clocks() {
    holds(two().script(|sim| {
        let last = |sim: &netsplit::Sim<'_, '_>| {
            let ticked: Vec<Ticked> = sim.observed("ticked").expect("ticks");
            let b = sim.view(|view| view.node("b"));
            (*of(&ticked, b).last().expect("a tick")).clone()
        };
        sim.run_for(millis(1_050));
        sim.clock_forward("b", secs(5));
        sim.run_for(secs(1));
        assert_eq!(ahead_ms(&last(sim)), 5_000);
        sim.clock_back("b", secs(10));
        sim.run_for(secs(1));
        assert_eq!(ahead_ms(&last(sim)), -5_000);
        sim.drift("b", 1_000 * 500);
        sim.run_for(secs(2));
        assert_eq!(last(sim).at.as_nanos() / 1_000_000_000, 6);
        assert_eq!(sim.now().as_nanos(), 5_050_000_000);
    }));
}
