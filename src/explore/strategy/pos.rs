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
    /// A tree from 1 on, whose later half are the groups: the first of all below each node.
    tree: Vec<First>,
    /// The group whose first was picked and has not come yet: it has none.
    picked: Option<usize>,
}

/// The first of a group: its priority as the bits of a number that is not negative, which sort as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct First {
    priority: u64,
    slot: u32,
    group: u32,
}

const NOBODY: First = First {
    priority: u64::MAX,
    slot: u32::MAX,
    group: 0,
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
        let Some(slot) = slot else {
            return self.set(group, NOBODY.priority, NOBODY.slot);
        };
        let (messages, timers) = self.pools.len(group);
        let priority = self.priority(messages, timers, NOBODY.priority);
        self.set(group, priority.unwrap_or(NOBODY.priority), slot);
    }

    fn set(&mut self, group: usize, priority: u64, slot: u32) {
        let mut node = self.groups() + group;
        let mut first = First {
            priority,
            slot,
            group: group as u32,
        };
        self.tree[node] = first;
        while node > 1 {
            let other = self.tree[node ^ 1];
            if other.priority < first.priority {
                first = other;
            }
            node /= 2;
            if self.tree[node] == first {
                break;
            }
            self.tree[node] = first;
        }
    }

    /// How many groups there is room for: none, or a power of two.
    fn groups(&self) -> usize {
        self.tree.len() / 2
    }

    fn first(&self, group: usize) -> First {
        self.tree[self.groups() + group]
    }

    fn grow(&mut self, group: usize) {
        let groups = (group + 1).next_power_of_two().max(2);
        let before = self.groups();
        let old = std::mem::replace(&mut self.tree, vec![NOBODY; 2 * groups]);
        for (group, first) in old.into_iter().skip(before).enumerate() {
            self.set(group, first.priority, first.slot);
        }
    }
}

impl Chooser for Pos {
    fn open(&mut self, candidate: Candidate) {
        let group = group(candidate.receiver);
        if group >= self.groups() {
            self.grow(group);
        }
        self.pools.insert(group, candidate);
        let (messages, timers) = match candidate.class {
            Class::Message => (1, 0),
            Class::Timer => (0, 1),
        };
        let before = self.first(group).priority;
        if let Some(priority) = self.priority(messages, timers, before) {
            self.set(group, priority, candidate.slot);
        }
    }

    fn close(&mut self, slot: u32) -> Candidate {
        let (group, candidate) = self.pools.remove(slot);
        if self.first(group).slot == slot {
            self.redraw(group);
        }
        candidate
    }

    fn pick(&mut self) -> Option<Candidate> {
        if let Some(group) = self.picked.take() {
            self.redraw(group);
        }
        let first = *self.tree.get(1)?;
        if first.slot == NOBODY.slot {
            return None;
        }
        self.picked = Some(first.group as usize);
        Some(self.pools.remove(first.slot).1)
    }

    fn wait(&mut self, most_ns: u64) -> u64 {
        self.pace.wait(&mut self.draws, most_ns)
    }

    fn came(&mut self, candidate: &Candidate) {
        self.picked = None;
        let group = group(candidate.receiver);
        if group < self.groups() {
            self.redraw(group);
        }
    }
}
