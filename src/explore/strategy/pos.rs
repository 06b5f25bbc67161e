//! Partial order sampling (Yuan, Yang, Gu: "Partial order aware concurrency sampling", 2018), for deliveries.
//!
//! Two deliveries race where they come at one node. All that is open has a random priority; when the highest
//! has come, what is open at its node draws anew. To draw for each would cost a step for each. But of a
//! node only the highest counts until then, and that can be drawn at once: as priorities are exponential
//! here, the least first and a timer's rate its weight, the least of a node's is exponential with the sum
//! of the rates, and each is it as likely as its rate.

use super::pool::{Pools, Weight};
use super::{Draws, Pace};
use crate::choice::{Candidate, Chooser, Class, NOWHERE};

#[derive(Debug)]
pub(super) struct Pos {
    draws: Draws,
    weight: Weight,
    pace: Pace,
    pools: Pools,
    /// The first of each group, a power of two of them.
    firsts: Vec<First>,
    /// A tree over the groups, from 1 on: the group of the least priority below each node.
    tree: Vec<u32>,
    /// The group whose first was picked and has not come yet: it has none.
    picked: Option<usize>,
}

/// The first of a group: its priority as the bits of a number that is not negative, which sort as it does.
#[derive(Clone, Copy, Debug)]
struct First {
    priority: u64,
    slot: u32,
}

const NOBODY: First = First {
    priority: u64::MAX,
    slot: u32::MAX,
};

/// What comes at no node is a group of its own.
fn group(receiver: u32) -> usize {
    match receiver {
        NOWHERE => 0,
        node => node as usize + 1,
    }
}

impl Pos {
    pub(super) fn new(mut draws: Draws) -> Pos {
        Pos {
            weight: Weight::draw(&mut draws),
            pace: Pace::draw(&mut draws),
            draws,
            pools: Pools::default(),
            firsts: Vec::new(),
            tree: Vec::new(),
            picked: None,
        }
    }

    /// The first priority of so many; none where it is not before that one.
    fn priority(&mut self, messages: usize, timers: usize, before: u64) -> Option<u64> {
        let rate = self.weight.in_messages(messages, timers);
        let unit = self.draws.unit();
        // Minus zero has other bits than zero.
        let bits = |priority: f64| priority.to_bits() & !(1 << 63);
        // The logarithm gives no less than this, which mostly is enough to tell.
        if bits((1.0 - unit) / rate) >= before {
            return None;
        }
        let priority = bits(-libm::log(unit) / rate);
        (priority < before).then_some(priority)
    }

    /// All priorities of a group anew.
    fn redraw(&mut self, group: usize) {
        let slot = self.pools.draw(group, self.weight, &mut self.draws);
        let first = match slot {
            None => NOBODY,
            Some(slot) => {
                let (messages, timers) = self.pools.len(group);
                let priority = self.priority(messages, timers, u64::MAX);
                priority.map_or(NOBODY, |priority| First { priority, slot })
            }
        };
        self.set(group, first);
    }

    fn set(&mut self, group: usize, first: First) {
        self.firsts[group] = first;
        let leaves = self.firsts.len();
        let mut node = (leaves + group) / 2;
        while node > 0 {
            let child = |at: usize| match at.checked_sub(leaves) {
                Some(leaf) => leaf as u32,
                None => self.tree[at],
            };
            let (left, right) = (child(2 * node), child(2 * node + 1));
            let priority = |group: u32| self.firsts[group as usize].priority;
            self.tree[node] = if priority(right) < priority(left) {
                right
            } else {
                left
            };
            node /= 2;
        }
    }

    fn grow(&mut self, group: usize) {
        let leaves = (group + 1).next_power_of_two().max(2);
        let old = std::mem::take(&mut self.firsts);
        self.firsts = vec![NOBODY; leaves];
        self.tree = vec![0; leaves];
        for (group, first) in old.into_iter().enumerate() {
            self.set(group, first);
        }
    }
}

impl Chooser for Pos {
    fn open(&mut self, candidate: Candidate) {
        let group = group(candidate.receiver);
        if group >= self.firsts.len() {
            self.grow(group);
        }
        self.pools.insert(group, candidate);
        let (messages, timers) = match candidate.class {
            Class::Message => (1, 0),
            Class::Timer => (0, 1),
        };
        let before = self.firsts[group].priority;
        if let Some(priority) = self.priority(messages, timers, before) {
            let slot = candidate.slot;
            self.set(group, First { priority, slot });
        }
    }

    fn close(&mut self, slot: u32) -> Candidate {
        let (group, candidate) = self.pools.remove(slot);
        if self.firsts[group].slot == slot {
            self.redraw(group);
        }
        candidate
    }

    fn pick(&mut self) -> Option<Candidate> {
        if let Some(group) = self.picked.take() {
            self.redraw(group);
        }
        let group = *self.tree.get(1)? as usize;
        let First { slot, .. } = self.firsts[group];
        if slot == NOBODY.slot {
            return None;
        }
        self.picked = Some(group);
        Some(self.pools.remove(slot).1)
    }

    fn wait(&mut self, most_ns: u64) -> u64 {
        self.pace.wait(&mut self.draws, most_ns)
    }

    fn came(&mut self, candidate: &Candidate) {
        self.picked = None;
        let group = group(candidate.receiver);
        if group < self.firsts.len() {
            self.redraw(group);
        }
    }
}
