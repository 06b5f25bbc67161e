//! The agenda against a model of it that is a plain list, and single sentences about it.

use proptest::prelude::*;

use super::{Agenda, Entry, Key, MOST_PUSHES, Time};

const fn ns(nanos: u64) -> Time {
    Time::from_nanos(nanos)
}

/// Pops all that is due; gives the events.
fn drain(agenda: &mut Agenda<u32>, until: Time) -> Vec<u32> {
    std::iter::from_fn(|| agenda.pop_due(until))
        .map(|(_, entry)| entry.event)
        .collect()
}

#[test]
fn entries_come_by_their_moments_and_equals_in_the_order_of_their_pushes() {
    let mut agenda = Agenda::new();
    for (event, at) in [9_000_000, 3, 70_000, 3, u64::MAX, 0, 1 << 50, 70_000]
        .iter()
        .enumerate()
    {
        agenda.push(ns(*at), event as u32);
    }
    assert_eq!(agenda.len(), 8);
    assert_eq!(drain(&mut agenda, Time::MAX), [5, 1, 3, 2, 7, 0, 6, 4]);
    assert!(agenda.is_empty());
}

#[test]
fn what_is_not_due_stays() {
    for at in [1_000_000, 3 << 12, 3 << 24, 3 << 34, 3 << 44] {
        let mut agenda = Agenda::new();
        (0..5).for_each(|event| _ = agenda.push(ns(at), event));
        assert_eq!(agenda.pop_due(ns(at - 1)), None);
        assert_eq!(agenda.len(), 5);
        assert_eq!(drain(&mut agenda, ns(at)), [0, 1, 2, 3, 4], "at {at} ns");
    }
}

#[test]
fn what_is_pushed_for_the_near_future_stands_in_the_wheel() {
    let mut agenda = Agenda::new();
    let far = agenda.push(ns(5_000_000_000), 0);
    assert_eq!(agenda.pop_due(ns(1_000)), None);
    agenda.push(ns(2_000_000), 1);
    agenda.cancel(far);
    assert_eq!(
        (
            drain(&mut agenda, Time::MAX),
            agenda.first().map(|first| first.0)
        ),
        (vec![1], None)
    );
    agenda.push(ns(3_000_000), 2);
    agenda.push(ns(4_000_000_000), 3);
    assert_eq!(agenda.ordered.first(), None);

    agenda.clear();
    assert_eq!(agenda.first().map(|first| first.0), None);
    agenda.push(ns(1_000_000), 4);
    assert_eq!(agenda.ordered.first(), None);

    let ten_hours = 36_000_000_000_000;
    agenda.push(ns(ten_hours), 5);
    assert_eq!(drain(&mut agenda, Time::MAX), [4, 5]);
    (6..12).for_each(|event| _ = agenda.push(ns(ten_hours + 9_000_000), event));
    assert_eq!(agenda.ordered.first(), None);

    agenda.push(ns(ten_hours + 1_000_000), 12);
    assert_eq!(
        agenda.pop_due(Time::MAX).map(|(_, entry)| entry.event),
        Some(12)
    );
    agenda.push(ns(ten_hours + 2_000_000), 13);
    assert_eq!(agenda.ordered.first(), None);
}

#[test]
fn a_push_before_the_last_popped_entry_comes_next() {
    let mut agenda = Agenda::new();
    agenda.push(ns(50_000_000), 1);
    agenda.push(ns(60_000_000), 2);
    assert_eq!(drain(&mut agenda, ns(50_000_000)), [1]);
    agenda.push(ns(40_000_000), 3);
    agenda.push(ns(10), 4);
    agenda.push(ns(49_999_999), 5);
    assert_eq!(drain(&mut agenda, Time::MAX), [4, 3, 5, 2]);
}

#[test]
fn a_slot_of_the_wheel_belongs_to_one_rotation_only() {
    for span in [1 << 12, 1 << 24, 1 << 34, 1 << 44, 1 << 63] {
        let mut agenda = Agenda::new();
        let begin = 12_345_678_901;
        agenda.push(ns(begin), 0);
        assert_eq!(drain(&mut agenda, Time::MAX), [0]);
        let moments = [span + 1, 1, span, 0, span - 1, 2 * (span / 2), span / 2];
        for (event, after) in moments.iter().enumerate() {
            agenda.push(ns(begin + after), event as u32);
        }
        assert_eq!(
            drain(&mut agenda, Time::MAX),
            [3, 1, 6, 4, 2, 5, 0],
            "a span of {span} ns"
        );
    }
}

#[test]
fn many_entries_of_one_moment_come_in_the_order_of_their_pushes() {
    let mut agenda = Agenda::new();
    let keys: Vec<Key> = (0..100)
        .map(|event| agenda.push(ns(5_000_000), event))
        .collect();
    assert_eq!(agenda.first().map(|first| first.0), Some(ns(5_000_000)));
    for key in keys.iter().skip(1).step_by(2) {
        assert!(agenda.cancel(*key).is_some());
    }
    for event in 100..150 {
        agenda.push(ns(5_000_000), event);
    }
    let expected: Vec<u32> = (0..100).step_by(2).chain(100..150).collect();
    assert_eq!(drain(&mut agenda, Time::MAX), expected);
}

#[test]
fn a_cancelled_entry_is_gone_and_its_key_dead_for_ever() {
    for at in [0, 5_000_000, 5_000_000_000, 1 << 40, u64::MAX] {
        let mut agenda = Agenda::new();
        let key = agenda.push(ns(at), 7);
        assert_eq!(agenda.get(key).map(|entry| entry.at), Some(ns(at)));
        assert_eq!(agenda.cancel(key).map(|entry| entry.event), Some(7));
        assert_eq!(
            (agenda.len(), agenda.first().map(|first| first.0)),
            (0, None)
        );
        let second = agenda.push(ns(at), 8);
        assert_ne!(key, second);
        assert_eq!((agenda.cancel(key), agenda.get(key)), (None, None));
        assert!(agenda.contains(second) && !agenda.contains(key));
    }
}

#[test]
fn a_slot_that_has_had_all_its_keys_is_not_used_again() {
    let mut agenda = Agenda::new();
    let key = agenda.push(ns(1), 0);
    let last = agenda.slab.wear_out(key);
    assert!(agenda.contains(last));
    agenda.cancel(last);
    let next = agenda.push(ns(1), 1);
    assert_ne!(next.index(), last.index());
    let other_last = agenda.slab.wear_out(next);
    agenda.clear();
    let after_clear = agenda.push(ns(1), 2);
    assert!(after_clear.index() != last.index() && after_clear.index() != next.index());
    assert!(!agenda.contains(last) && !agenda.contains(other_last));
}

#[test]
fn clear_makes_all_keys_dead_and_begins_the_order_again() {
    let mut agenda = Agenda::new();
    let keys: Vec<Key> = (0..61).map(|n| agenda.push(ns(1 << n), n)).collect();
    agenda.pop_due(ns(100));
    agenda.clear();
    assert_eq!(
        (agenda.len(), agenda.first().map(|first| first.0)),
        (0, None)
    );
    let again: Vec<Key> = (0..61).map(|n| agenda.push(ns(5), n)).collect();
    assert!(
        keys.iter()
            .all(|key| !agenda.contains(*key) && !again.contains(key))
    );
    assert_eq!(agenda.get(again[0]).map(|entry| entry.order), Some(0));
    assert_eq!(drain(&mut agenda, Time::MAX).len(), 61);
}

#[test]
#[should_panic(expected = "an agenda was given")]
fn the_push_after_the_most_pushes_panics() {
    let mut agenda = Agenda::new();
    agenda.pushes = MOST_PUSHES - 1;
    agenda.push(ns(1), 0);
    agenda.push(ns(1), 1);
}

/// A moment, as a step of the property names it.
#[derive(Clone, Copy, Debug)]
enum When {
    /// So long after the last popped entry.
    After(u64),
    At(u64),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Push(When),
    Cancel(usize),
    CancelDead(usize),
    PopDue(When),
    Pop,
    First,
    Clear,
}

/// Mostly short; sometimes about as long as a bucket or a level of the wheel, or as time itself.
fn span(shape: u8, number: u64) -> u64 {
    match shape % 16 {
        0..6 => number % 4,
        6..9 => number % 20_000,
        9..12 => number % 40_000_000,
        12..14 => number % 60_000_000_000,
        14 => (1 << [12, 24, 34, 44, 63][(number % 5) as usize]) - 3 + number / 5 % 6,
        _ => number,
    }
}

/// Mostly relative to now; sometimes one of a few crowded moments, or near the end of time.
fn when(shape: u8, number: u64) -> When {
    match shape / 16 {
        0..9 => When::After(span(shape, number)),
        9..13 => When::At(((number % 4) << 25) + number / 4 % 3),
        13..15 => When::At(span(shape, number)),
        _ => When::At(u64::MAX - number % 3),
    }
}

/// One draw per number and no choice between strategies, which would take most of the test's time.
fn a_step() -> impl Strategy<Value = Step> {
    (0..100u8, any::<u8>(), any::<u64>(), any::<usize>()).prop_map(|(kind, shape, number, pick)| {
        match kind {
            0..54 => Step::Push(when(shape, number)),
            54..66 => Step::Cancel(pick),
            66..68 => Step::CancelDead(pick),
            68..80 => Step::PopDue(when(shape, number)),
            80..96 => Step::Pop,
            96..99 => Step::First,
            _ => Step::Clear,
        }
    })
}

/// The agenda beside a list of the same entries.
struct Pair {
    agenda: Agenda<u32>,
    list: Vec<(Key, Entry<u32>)>,
    dead: Vec<Key>,
    pushes: u64,
    now: Time,
}

impl Pair {
    fn moment(&self, when: When) -> Time {
        match when {
            When::After(span) => self.now.plus_nanos(span),
            When::At(at) => ns(at),
        }
    }

    fn pushed(&mut self, key: Key, at: Time) {
        let entry = Entry {
            at,
            order: self.pushes,
            event: self.pushes as u32,
        };
        assert_eq!(self.agenda.get(key), Some(entry));
        assert!(!self.dead.contains(&key));
        self.list.push((key, entry));
        self.pushes += 1;
    }

    fn first(&self) -> Option<(Time, Key)> {
        let first = self
            .list
            .iter()
            .min_by_key(|(_, entry)| (entry.at, entry.order));
        first.map(|(key, entry)| (entry.at, *key))
    }

    fn pop(&mut self, until: Time) -> bool {
        let least = (0..self.list.len()).min_by_key(|at| {
            let entry = self.list[*at].1;
            (entry.at, entry.order)
        });
        let due = least.filter(|at| self.list[*at].1.at <= until);
        let expected = due.map(|at| self.list.remove(at));
        assert_eq!(self.agenda.pop_due(until), expected);
        if let Some((key, entry)) = expected {
            self.dead.push(key);
            self.now = entry.at;
        }
        expected.is_some()
    }

    fn cancel(&mut self, pick: usize) {
        if !self.list.is_empty() {
            let (key, entry) = self.list.remove(pick % self.list.len());
            assert_eq!(self.agenda.cancel(key), Some(entry));
            self.dead.push(key);
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Push(when) => {
                let at = self.moment(when);
                let key = self.agenda.push(at, self.pushes as u32);
                self.pushed(key, at);
            }
            Step::Cancel(pick) => self.cancel(pick),
            Step::CancelDead(pick) => {
                let key = self.dead.get(pick % self.dead.len().max(1));
                assert_eq!(key.and_then(|key| self.agenda.cancel(*key)), None);
            }
            Step::PopDue(when) => {
                self.pop(self.moment(when));
            }
            Step::Pop => {
                self.pop(Time::MAX);
            }
            Step::First => assert_eq!(self.agenda.first(), self.first()),
            Step::Clear => {
                self.agenda.clear();
                self.dead.extend(self.list.drain(..).map(|(key, _)| key));
                (self.pushes, self.now) = (0, Time::ZERO);
            }
        }
        assert_eq!(self.agenda.len(), self.list.len());
        let first = self.first().map(|(at, _)| at);
        assert_eq!(self.agenda.next_at(), first);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_agenda_does_what_a_plain_list_does(steps in prop::collection::vec(a_step(), 1..150)) {
        let (agenda, list, dead) = (Agenda::new(), Vec::new(), Vec::new());
        let mut pair = Pair { agenda, list, dead, pushes: 0, now: Time::ZERO };
        for step in steps {
            pair.take(step);
        }
        while pair.pop(Time::MAX) {}
        prop_assert!(pair.agenda.is_empty() && pair.list.is_empty());
        prop_assert!(pair.dead.iter().all(|key| !pair.agenda.contains(*key)));
    }
}

#[test]
fn its_entries_are_those_that_were_neither_taken_nor_cancelled_nor_cleared_away() {
    let mut agenda = Agenda::<u32>::new();
    let all = |agenda: &Agenda<u32>| {
        let mut events: Vec<u32> = agenda.entries().map(|entry| entry.event).collect();
        events.sort_unstable();
        events
    };
    let keys: Vec<Key> = (0..6)
        .map(|event| agenda.push(ns(1_000 * u64::from(event)), event))
        .collect();
    agenda.push(ns(1 << 50), 6);
    agenda.cancel(keys[3]);
    agenda.cancel(keys[5]);
    assert_eq!(drain(&mut agenda, ns(1_500)), [0, 1]);
    assert_eq!(all(&agenda), [2, 4, 6]);
    agenda.push(ns(9_000), 7);
    assert_eq!(all(&agenda), [2, 4, 6, 7]);
    agenda.clear();
    assert!(all(&agenda).is_empty());
    agenda.push(ns(1), 8);
    assert_eq!(all(&agenda), [8]);
}
