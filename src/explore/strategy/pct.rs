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
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A step at which a chain falls lies among so many first messages of a run; 2 to the power of this. It is
/// as likely in each octave, since nobody knows how long a run will be.
const STEPS_BITS: f64 = 14.0;
/// The priorities of chains that have not fallen begin here.
const RANDOM: u64 = 1 << 63;

/// Priority, when it was opened, slot.
type Ranked = (u64, Reverse<u64>, u32);

/// So many entries of the heap may be of messages that are gone, on top of as many as are open.
const MOST_GONE: usize = 1024;

#[derive(Debug)]
pub(super) struct Pct {
    draws: Draws,
    weight: Weight,
    pace: Pace,
    timers: Pools,
    /// By priority and age. What was taken out unasked stays until it would be next, or there is too much
    /// of it.
    heap: BinaryHeap<Ranked>,
    /// The messages that are open, by their slots, with when each was opened.
    open: Vec<Option<(u64, Candidate)>>,
    /// How many are open.
    messages: usize,
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
            heap: BinaryHeap::new(),
            open: Vec::new(),
            messages: 0,
            opened: 0,
            falls,
            steps: 0,
            tail: None,
        }
    }

    fn insert(&mut self, candidate: Candidate) {
        self.opened += 1;
        let slot = candidate.slot as usize;
        if slot >= self.open.len() {
            self.open.resize(slot + 1, None);
        }
        self.open[slot] = Some((self.opened, candidate));
        self.messages += 1;
        let ranked = (candidate.mark, Reverse(self.opened), candidate.slot);
        self.heap.push(ranked);
        if self.heap.len() > 2 * self.messages + MOST_GONE {
            let open = &self.open;
            self.heap.retain(|ranked| is_open(open, ranked).is_some());
        }
    }

    /// Takes the message of the highest priority out.
    fn pop(&mut self) -> Option<Candidate> {
        while let Some(ranked) = self.heap.pop() {
            if let Some(candidate) = is_open(&self.open, &ranked) {
                self.open[candidate.slot as usize] = None;
                self.messages -= 1;
                return Some(candidate);
            }
        }
        None
    }

    /// Whether a timer comes in a message's stead.
    fn is_timers_turn(&mut self) -> bool {
        let timers = self.timers.len(0).1;
        if timers == 0 || self.messages == 0 {
            return timers > 0;
        }
        self.draws.below(self.weight.of(1, 1)) >= self.weight.of(1, 0)
    }
}

/// The message of an entry of the heap, where it still is open.
fn is_open(open: &[Option<(u64, Candidate)>], ranked: &Ranked) -> Option<Candidate> {
    let &(_, Reverse(opened), slot) = ranked;
    let (when, candidate) = open[slot as usize]?;
    (when == opened).then_some(candidate)
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
        match self.open.get_mut(slot as usize).and_then(Option::take) {
            Some((_, message)) => {
                self.messages -= 1;
                message
            }
            None => self.timers.remove(slot).1,
        }
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
            let first = self.pop()?;
            self.insert(Candidate { mark, ..first });
        }
        self.pop()
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
