//! Entries with windows: who comes first is drawn, and no window is missed.

use super::*;
use crate::choice::{Base, Tape};
use std::collections::BTreeSet;

struct Nothing;

impl TaskData for Nothing {
    type Output = ();

    fn pid(&self) -> Pid {
        Pid::NOBODY
    }
}

/// Windows in milliseconds, and the order in which they come: number and moment.
fn come(choice: Choice, windows: &[(u64, u64)]) -> Vec<(u32, u64)> {
    let mut kernel: Kernel<Nothing> = Kernel::new(choice, Trace::new(), Bounds::default());
    let at = |ms: u64| Time::from_nanos(ms * 1_000_000);
    for (number, &(earliest, latest)) in (0..).zip(windows) {
        let who = Lineage::node("a").child(number);
        let due = Due {
            who,
            nth: 1,
            what: What::host(number),
        };
        kernel
            .arm_within(at(earliest), at(latest), due)
            .expect("room");
    }
    let mut came = Vec::new();
    loop {
        match kernel.next(Time::MAX).expect("within bounds") {
            Next::Host(number) => came.push((number, kernel.now().as_nanos() / 1_000_000)),
            Next::Quiet(over) => {
                assert!(over);
                return came;
            }
            other => panic!("{other:?}"),
        }
    }
}

const OVERLAPPING: [(u64, u64); 4] = [(0, 10), (5, 20), (8, 9), (30, 30)];

#[test]
fn every_window_is_kept_and_time_never_goes_back() {
    for seed in 0..200 {
        let came = come(Choice::seeded(seed), &OVERLAPPING);
        assert_eq!(came.len(), OVERLAPPING.len());
        assert!(came.is_sorted_by_key(|(_, at)| *at), "{came:?}");
        for (number, at) in came {
            let (earliest, latest) = OVERLAPPING[number as usize];
            assert!(
                (earliest..=latest).contains(&at),
                "seed {seed}: {number} came at {at}"
            );
        }
    }
}

#[test]
fn every_order_that_the_windows_allow_is_drawn_and_no_other() {
    let order = |seed| -> Vec<u32> {
        let came = come(Choice::seeded(seed), &OVERLAPPING);
        came.into_iter().map(|(number, _)| number).collect()
    };
    let orders: BTreeSet<_> = (0..500).map(order).collect();
    // Before the least latest, 9 ms, the three that overlap come in any order; the fourth is last.
    assert_eq!(orders.len(), 6, "{orders:?}");
    assert!(orders.iter().all(|order| order[3] == 3), "{orders:?}");
}

#[test]
fn on_a_calm_tape_what_was_armed_first_comes_first() {
    let tape = Tape {
        scenario: "a".into(),
        seed: 3,
        base: Base::Calm,
        edits: Vec::new(),
    };
    let came = come(Choice::taped(&tape), &OVERLAPPING);
    assert_eq!(
        came.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
}
