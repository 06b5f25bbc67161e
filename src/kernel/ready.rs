//! The ready queue: what may step now, in the order that `choice` draws.

use crate::choice::{Choice, Kind, Lineage, Shape, Site};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Rank, order and slot in one number, which sorts as they do.
#[inline(always)]
fn ready_item(rank: u64, order: u64, slot: u32) -> u128 {
    u128::from(rank) << 96 | u128::from(order) << 32 | u128::from(slot)
}

/// What may step now, least (rank, order) first.
///
/// The first stands before the heap, since there is often only one; and then its rank decides nothing.
/// A draw under a seed has no state, so it is made when a second one comes, with the same outcome.
#[derive(Debug)]
pub(super) struct Ready {
    first: u128,
    /// Whether the first's rank is not drawn yet; then these are its site. A site as a whole would be written
    /// in parts and copied as a whole, which waits for its parts.
    undrawn: bool,
    kind: Kind,
    who: Lineage,
    nth: u64,
    rest: BinaryHeap<Reverse<u128>>,
    /// What a heap that had grown large held, greatest first: to sort it once costs less than to sift a
    /// large heap at each pop.
    sorted: Vec<u128>,
}

const NONE: u128 = u128::MAX;
/// A heap larger than this is sorted when it is popped from.
const LARGE: usize = 2048;

impl Default for Ready {
    fn default() -> Ready {
        Ready {
            first: NONE,
            undrawn: false,
            kind: Kind::Rank,
            who: Lineage::RUN,
            nth: 0,
            rest: BinaryHeap::new(),
            sorted: Vec::new(),
        }
    }
}

impl Ready {
    #[inline(always)]
    pub(super) fn push(&mut self, choice: &mut Choice, site: Site, order: u64, slot: u32) {
        if self.first == NONE && choice.is_seeded() {
            self.first = ready_item(0, order, slot);
            (self.undrawn, self.kind, self.who, self.nth) = (true, site.kind, site.who, site.nth);
        } else {
            let rank = choice.draw(site, Shape::Rank);
            self.draw_first(choice);
            self.push_drawn(ready_item(rank, order, slot));
        }
    }

    /// Draws the rank of the first, where that is still to do.
    pub(super) fn draw_first(&mut self, choice: &mut Choice) {
        if std::mem::take(&mut self.undrawn) {
            let site = Site::new(self.kind, self.who, self.nth);
            self.first |= u128::from(choice.draw(site, Shape::Rank)) << 96;
        }
    }

    /// An item whose rank is drawn; the first's must be too.
    pub(super) fn push_drawn(&mut self, item: u128) {
        if self.first == NONE {
            self.first = item;
            return;
        }
        let (first, other) = if item < self.first {
            (item, self.first)
        } else {
            (self.first, item)
        };
        self.first = first;
        self.rest.push(Reverse(other));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first == NONE
    }

    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<u128> {
        if self.first == NONE {
            return None;
        }
        let item = self.first;
        self.undrawn = false;
        self.first = if self.rest.is_empty() && self.sorted.is_empty() {
            NONE
        } else {
            self.pop_rest()
        };
        Some(item)
    }

    fn pop_rest(&mut self) -> u128 {
        if self.sorted.is_empty() && self.rest.len() > LARGE {
            let rest = std::mem::take(&mut self.rest).into_vec();
            self.sorted = rest.into_iter().map(|Reverse(item)| item).collect();
            self.sorted.sort_unstable_by(|a, b| b.cmp(a));
        }
        let least = self.sorted.last().copied().unwrap_or(NONE);
        match self.rest.peek() {
            Some(Reverse(item)) if *item < least => self.rest.pop().map_or(NONE, |Reverse(i)| i),
            _ => self.sorted.pop().unwrap_or(NONE),
        }
    }
}
