//! Candidates of both classes: put in, taken out by slot, and drawn, each in a step.

use super::Draws;
use crate::choice::{Candidate, Class};

/// The weight of a message, in which a timer's is counted: fine enough for a hundredth.
const MESSAGE_WEIGHT: u64 = 1 << 20;

/// A timer's weight, against [`MESSAGE_WEIGHT`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight(u64);

impl Weight {
    /// Drawn for a run.
    pub(super) fn draw(draws: &mut Draws) -> Weight {
        Weight((draws.timer_weight() * MESSAGE_WEIGHT as f64) as u64)
    }

    /// So many timers against so many messages, as shares of one message's weight.
    pub(super) fn of(self, messages: usize, timers: usize) -> u64 {
        messages as u64 * MESSAGE_WEIGHT + timers as u64 * self.0
    }

    /// The same, in messages.
    pub(super) fn in_messages(self, messages: usize, timers: usize) -> f64 {
        self.of(messages, timers) as f64 / MESSAGE_WEIGHT as f64
    }
}

/// Where each slot's candidate stands in its list.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<Place>);

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    list: u32,
    index: u32,
}

impl Places {
    fn set(&mut self, slot: u32, place: Place) {
        let slot = slot as usize;
        if slot >= self.0.len() {
            self.0.resize(slot + 1, Place::default());
        }
        self.0[slot] = place;
    }
}

/// Candidates in lists, two for each group: its messages and its timers.
#[derive(Debug, Default)]
pub(super) struct Pools {
    lists: Vec<Vec<Candidate>>,
    places: Places,
}

impl Pools {
    fn list(group: usize, class: Class) -> usize {
        2 * group + usize::from(class == Class::Timer)
    }

    /// Adds a candidate to a group.
    pub(super) fn insert(&mut self, group: usize, candidate: Candidate) {
        let list = Pools::list(group, candidate.class);
        if list >= self.lists.len() {
            self.lists.resize_with(2 * group + 2, Vec::new);
        }
        let place = Place {
            list: list as u32,
            index: self.lists[list].len() as u32,
        };
        self.places.set(candidate.slot, place);
        self.lists[list].push(candidate);
    }

    /// Takes a candidate out, and says of which group it was.
    pub(super) fn remove(&mut self, slot: u32) -> (usize, Candidate) {
        let place = self.places.0[slot as usize];
        let list = &mut self.lists[place.list as usize];
        let candidate = list.swap_remove(place.index as usize);
        debug_assert_eq!(candidate.slot, slot, "a candidate stands where it was put");
        if let Some(moved) = list.get(place.index as usize) {
            self.places.set(moved.slot, place);
        }
        (place.list as usize / 2, candidate)
    }

    /// How many messages and timers a group has.
    pub(super) fn len(&self, group: usize) -> (usize, usize) {
        let len = |class| {
            self.lists
                .get(Pools::list(group, class))
                .map_or(0, Vec::len)
        };
        (len(Class::Message), len(Class::Timer))
    }

    /// One of a group, each message as likely, and each timer by its weight; none where it is empty.
    pub(super) fn draw(&self, group: usize, weight: Weight, draws: &mut Draws) -> Option<u32> {
        let (messages, timers) = self.len(group);
        if messages + timers == 0 {
            return None;
        }
        let drawn = draws.below(weight.of(messages, timers));
        let (class, index) = match drawn.checked_sub(weight.of(messages, 0)) {
            None => (Class::Message, drawn / MESSAGE_WEIGHT),
            Some(rest) => (Class::Timer, rest / weight.0),
        };
        let list = &self.lists[Pools::list(group, class)];
        Some(list[index as usize].slot)
    }
}
