//! A random walk: uniform over what is open, timers by their weight.

use super::pool::{Pools, Weight};
use super::{Draws, Pace};
use crate::choice::{Candidate, Chooser};

#[derive(Debug)]
pub(super) struct Walk {
    draws: Draws,
    weight: Weight,
    pace: Pace,
    pools: Pools,
}

impl Walk {
    pub(super) fn new(mut draws: Draws) -> Walk {
        Walk {
            weight: Weight::draw(&mut draws),
            pace: Pace::draw(&mut draws),
            draws,
            pools: Pools::default(),
        }
    }
}

impl Chooser for Walk {
    fn open(&mut self, candidate: Candidate) {
        self.pools.insert(0, candidate);
    }

    fn close(&mut self, slot: u32) -> Candidate {
        self.pools.remove(slot).1
    }

    fn pick(&mut self) -> Option<Candidate> {
        let slot = self.pools.draw(0, self.weight, &mut self.draws)?;
        Some(self.pools.remove(slot).1)
    }

    fn wait(&mut self, most_ns: u64) -> u64 {
        self.pace.wait(&mut self.draws, most_ns)
    }

    fn came(&mut self, _: &Candidate) {}
}
