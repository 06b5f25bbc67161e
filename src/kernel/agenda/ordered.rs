//! The slow and always right part of the agenda: an ordered tree, for the entries that the wheel does
//! not take. It must not know about the wheel, nor what is stored in the slab.

use std::collections::BTreeMap;

/// A moment in nanoseconds and the order of an entry.
type Rank = (u64, u64);

/// Entries by their moments.
pub(super) struct Ordered {
    by_moment: BTreeMap<Rank, u32>,
    /// The least moment of all, kept beside the tree since every pop asks; the end of time when
    /// there are none.
    least_ns: u64,
}

impl Ordered {
    pub(super) fn new() -> Self {
        Ordered {
            by_moment: BTreeMap::new(),
            least_ns: u64::MAX,
        }
    }

    /// The least moment; the end of time when there are no entries.
    #[inline]
    pub(super) fn least_ns(&self) -> u64 {
        self.least_ns
    }

    /// Whether all entries come after that one.
    #[inline]
    pub(super) fn is_after(&self, at_ns: u64, order: u64) -> bool {
        at_ns < self.least_ns || self.first().is_none_or(|first| (at_ns, order) < first)
    }

    /// The rank of the first entry.
    pub(super) fn first(&self) -> Option<Rank> {
        self.by_moment.first_key_value().map(|(rank, _)| *rank)
    }

    /// Moment and index of the first entry.
    pub(super) fn first_index(&self) -> Option<(u64, u32)> {
        let first = self.by_moment.first_key_value();
        first.map(|((at_ns, _), index)| (*at_ns, *index))
    }

    pub(super) fn insert(&mut self, at_ns: u64, order: u64, index: u32) {
        self.by_moment.insert((at_ns, order), index);
        self.least_ns = self.least_ns.min(at_ns);
    }

    pub(super) fn remove(&mut self, at_ns: u64, order: u64) {
        let removed = self.by_moment.remove(&(at_ns, order));
        debug_assert!(removed.is_some(), "an entry whose home is here is here");
        if at_ns == self.least_ns {
            self.least_ns = self.first().map_or(u64::MAX, |(at_ns, _)| at_ns);
        }
    }

    pub(super) fn clear(&mut self) {
        self.by_moment.clear();
        self.least_ns = u64::MAX;
    }
}
