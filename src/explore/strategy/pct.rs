//! Probabilistic concurrency testing for messages, with chains for its threads (Ozkan and others: "Randomized
//! testing of distributed systems with probabilistic guarantees", 2018).
//!
//! The first message that a message causes goes on with its chain; any other begins one. A chain has a
//! random priority, which its one message on the way bears; the highest comes next. At d - 1 steps of a
//! run, with d drawn from 2 to 5, the chain that would be next falls to the bottom instead. Timers are no
//! chains: one that is always open would starve messages, or be starved. By its weight, one of them comes
//! in a message's stead.

use super::pool::{Pools, Weight};
use super::{Draws, Pace};
use crate::choice::{Candidate, Chooser, Class};
use std::collections::BTreeMap;

/// A step at which a chain falls lies among so many first messages of a run; 2 to the power of this. It is
/// as likely in each octave, since nobody knows how long a run will be.
const STEPS_BITS: f64 = 14.0;
/// The priorities of chains that have not fallen begin here.
const RANDOM: u64 = 1 << 63;

#[derive(Debug)]
pub(super) struct Pct {
    draws: Draws,
    weight: Weight,
    pace: Pace,
    timers: Pools,
    /// By priority and age, the next one last.
    messages: BTreeMap<(u64, u64), Candidate>,
    /// The key of each slot's last message.
    keys: Vec<(u64, u64)>,
    opened: u64,
    /// Steps at which a chain falls, the next one last.
    falls: Vec<u64>,
    steps: u64,
    /// The priority of the chain that goes on with the next message.
    tail: Option<u64>,
}

impl Pct {
    pub(super) fn new(mut draws: Draws) -> Pct {
        let weight = Weight::draw(&mut draws);
        let pace = Pace::draw(&mut draws);
        let changes = 1 + draws.below(4);
        let step = |draws: &mut Draws| libm::exp2(draws.unit() * STEPS_BITS) as u64;
        let mut falls: Vec<u64> = (0..changes).map(|_| step(&mut draws)).collect();
        falls.sort_unstable_by(|a, b| b.cmp(a));
        Pct {
            draws,
            weight,
            pace,
            timers: Pools::default(),
            messages: BTreeMap::new(),
            keys: Vec::new(),
            opened: 0,
            falls,
            steps: 0,
            tail: None,
        }
    }

    fn insert(&mut self, candidate: Candidate) {
        self.opened += 1;
        let slot = candidate.slot as usize;
        if slot >= self.keys.len() {
            self.keys.resize(slot + 1, (0, 0));
        }
        let key = (candidate.mark, u64::MAX - self.opened);
        self.keys[slot] = key;
        self.messages.insert(key, candidate);
    }

    /// Whether a timer comes in a message's stead.
    fn is_timers_turn(&mut self) -> bool {
        let timers = self.timers.len(0).1;
        if timers == 0 || self.messages.is_empty() {
            return timers > 0;
        }
        self.draws.below(self.weight.of(1, 1)) >= self.weight.of(1, 0)
    }
}

impl Chooser for Pct {
    fn armed(&mut self, class: Class) -> u64 {
        match class {
            Class::Timer => 0,
            Class::Message => {
                let tail = self.tail.take();
                tail.unwrap_or_else(|| self.draws.bits() | RANDOM)
            }
        }
    }

    fn open(&mut self, candidate: Candidate) {
        match candidate.class {
            Class::Message => self.insert(candidate),
            Class::Timer => self.timers.insert(0, candidate),
        }
    }

    fn close(&mut self, slot: u32) -> Candidate {
        let key = self.keys.get(slot as usize);
        let message = key.and_then(|key| self.messages.remove(key));
        message.unwrap_or_else(|| self.timers.remove(slot).1)
    }

    fn pick(&mut self) -> Option<Candidate> {
        if self.is_timers_turn() {
            let slot = self.timers.draw(0, self.weight, &mut self.draws)?;
            return Some(self.timers.remove(slot).1);
        }
        while self.falls.last().is_some_and(|fall| *fall <= self.steps) {
            self.falls.pop();
            // The later it falls, the lower it lies.
            let mark = self.falls.len() as u64;
            let (_, first) = self.messages.pop_last()?;
            self.insert(Candidate { mark, ..first });
        }
        self.messages.pop_last().map(|(_, candidate)| candidate)
    }

    fn wait(&mut self, most_ns: u64) -> u64 {
        self.pace.wait(&mut self.draws, most_ns)
    }

    fn came(&mut self, candidate: &Candidate) {
        let is_message = candidate.class == Class::Message;
        self.steps += u64::from(is_message);
        self.tail = is_message.then_some(candidate.mark);
    }
}
