//! The rules of an inbox against a naive one, which remembers all.

use super::core::{Arrival, Core};
use crate::mail::letter::{Answer, Body, Head, Key, Recipient, Sheet};
use crate::mail::{Batch, MemoryStore, Store};
use crate::process::{Tag, Target};
use crate::trace::{Name, NodeId};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const WINDOW: u64 = 6;

#[derive(Clone, Debug)]
enum Action {
    Arrives {
        place: u64,
        back: u64,
        lowest: u64,
        given_up: bool,
        answer: Answer,
    },
    Reboots,
}

/// Remembers all that was done or refused, and where its outbox is.
#[derive(Clone, Debug, Default)]
struct Naive {
    lowest: u64,
    done: BTreeSet<u64>,
    refused: BTreeMap<u64, Answer>,
    held: BTreeMap<u64, u64>,
}

impl Naive {
    /// All below it is done, or never comes again.
    fn floor(&self) -> u64 {
        let mut places = self.lowest..;
        places
            .find(|place| !self.done.contains(place))
            .expect("there is no end of places")
    }

    fn is_open(&self, place: u64) -> bool {
        let known = self.done.contains(&place) || self.refused.contains_key(&place);
        place >= self.floor() && !known
    }

    fn decide(&mut self, place: u64, answer: &Answer) {
        match answer {
            Answer::Done => drop(self.done.insert(place)),
            Answer::Requeue => {}
            refused => drop(self.refused.insert(place, refused.clone())),
        }
    }

    /// The next place that waits for no other any more.
    fn released(&mut self) -> Option<u64> {
        let held = self.held.iter();
        let mut free = held.filter(|(_, after)| !self.is_open(**after));
        let place = *free.next()?.0;
        self.held.remove(&place);
        Some(place)
    }
}

fn head(lowest: u64) -> Head {
    Head {
        origin: Name::new("outbox@a"),
        from: Target::Name(NodeId::new(0), Name::new("outbox")),
        to: Recipient::Named(NodeId::new(1), Name::new("inbox")),
        kind: Tag::of::<u64>(),
        lowest,
    }
}

fn sheet(place: u64, after: u64, attempt: u32, given_up: bool) -> Sheet {
    Sheet {
        number: place,
        attempt,
        key: Key::from(7),
        follows: None,
        deadline_ns: None,
        place,
        after,
        body: (!given_up).then(|| Body::of(&place, &mut Vec::new())),
    }
}

/// The inbox and the naive one, side by side.
struct Pair {
    core: Core,
    store: MemoryStore,
    naive: Option<Naive>,
    stored: Option<Naive>,
    attempt: u32,
}

impl Pair {
    fn new() -> Pair {
        let store = MemoryStore::new();
        Pair {
            core: Core::open(&store, WINDOW).unwrap(),
            store,
            naive: None,
            stored: None,
            attempt: 0,
        }
    }

    fn reboots(&mut self) {
        self.core = Core::open(&self.store, WINDOW).unwrap();
        self.naive = self.stored.clone();
        if let Some(naive) = &mut self.naive {
            naive.held.clear();
        }
    }

    fn arrives(&mut self, lowest: u64, sheet: Sheet, answer: &Answer) {
        let naive = self.naive.get_or_insert_with(|| Naive {
            lowest,
            ..Naive::default()
        });
        naive.lowest = naive.lowest.max(lowest);
        let floor = naive.floor();
        naive.held.retain(|place, _| *place >= floor);
        let (place, after) = (sheet.place, sheet.after);
        let at = self.core.opens(&head(lowest));
        let arrival = self.core.arrives(at, Tag::of::<u64>(), &sheet);
        let mut handed = None;
        if place >= floor + WINDOW {
            assert_eq!(arrival, Arrival::Beyond);
        } else if let Some(refused) = naive.refused.get(&place).filter(|_| place >= floor) {
            let Arrival::Repeated(receipt) = arrival else {
                panic!("{place} was refused, and is {arrival:?}");
            };
            assert_eq!(receipt.answer, *refused);
        } else if !naive.is_open(place) {
            let Arrival::Repeated(receipt) = arrival else {
                panic!("{place} was done, and is {arrival:?}");
            };
            assert_eq!(receipt.answer, Answer::Done);
        } else if naive.is_open(after) {
            assert_eq!(arrival, Arrival::Held);
            naive.held.insert(place, after);
        } else {
            handed = Some(match arrival {
                Arrival::Hand => sheet,
                Arrival::HandHeld(held) => held,
                _ => panic!("{place} is free to be read, and is {arrival:?}"),
            });
            naive.held.remove(&place);
        }
        let mut free = handed.or_else(|| self.released(at));
        while let Some(sheet) = free {
            let naive = self.naive.as_mut().expect("it was made");
            naive.decide(sheet.place, answer);
            let receipt = self.core.decided(at, &sheet, answer.clone());
            assert_eq!((receipt.place, &receipt.answer), (sheet.place, answer));
            let mut batch = Batch::new();
            self.core.seal(&mut batch);
            self.store.commit(&batch).unwrap();
            if !batch.is_empty() {
                self.stored.clone_from(&self.naive);
            }
            free = self.released(at);
        }
        let held = self.naive.as_ref().map_or(0, |naive| naive.held.len());
        assert_eq!(self.core.held(), held);
    }

    fn released(&mut self, at: usize) -> Option<Sheet> {
        let released = self.core.released(at).map(|(_, sheet)| sheet);
        let expected = self.naive.as_mut().and_then(Naive::released);
        assert_eq!(released.as_ref().map(|sheet| sheet.place), expected);
        released
    }
}

fn actions() -> impl Strategy<Value = Action> {
    let answers = prop_oneof![
        6 => Just(Answer::Done),
        1 => Just(Answer::Requeue),
        1 => Just(Answer::Rejected("unwanted".to_owned())),
        1 => Just(Answer::Unreadable),
    ];
    let arrives = (
        1..16_u64,
        0..4_u64,
        1..8_u64,
        prop::bool::weighted(0.1),
        answers,
    );
    prop_oneof![
        12 => arrives.prop_map(|(place, back, lowest, given_up, answer)| Action::Arrives {
            place, back, lowest, given_up, answer,
        }),
        1 => Just(Action::Reboots),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_inbox_decides_as_one_that_remembers_all(actions in vec(actions(), 1..80)) {
        let mut pair = Pair::new();
        for action in actions {
            match action {
                Action::Arrives { place, back, lowest, given_up, answer } => {
                    pair.attempt += 1;
                    let after = if back == 0 { 0 } else { place.saturating_sub(back) };
                    let sheet = sheet(place, after, pair.attempt, given_up);
                    pair.arrives(lowest, sheet, &answer);
                }
                Action::Reboots => pair.reboots(),
            }
        }
    }
}

#[test]
fn what_is_remembered_of_letters_that_are_done_in_their_order_is_one_number() {
    let mut pair = Pair::new();
    let size = |pair: &Pair| {
        let (mut size, keys): (usize, (&[u8], &[u8])) = (0, (&[], &[u8::MAX; 64]));
        let table = crate::mail::Table("inbox.memory");
        let mut each = |_: &[u8], value: &[u8]| {
            size = value.len();
            true
        };
        pair.store.scan(table, keys.0..=keys.1, &mut each).unwrap();
        size
    };
    pair.arrives(1, sheet(1, 0, 1, false), &Answer::Done);
    let first = size(&pair);
    for place in 2..100 {
        pair.arrives(1, sheet(place, place - 1, 1, false), &Answer::Done);
    }
    assert!(first > 0);
    assert_eq!(size(&pair), first);
}
