//! The slow and always right part of the agenda: ordered trees, for the entries that the wheel does
//! not take. It must not know about the wheel, nor what is stored in the slab.

use std::collections::BTreeMap;

/// A moment in nanoseconds and the order of an entry.
type Rank = (u64, u64);

/// Entries by latest, and those with a window also by earliest.
pub(super) struct Ordered {
    by_latest: BTreeMap<Rank, Place>,
    windows: BTreeMap<Rank, u32>,
    /// The least latest of all, kept beside the tree since every pop asks; the end of time when
    /// there are none.
    least_ns: u64,
}

#[derive(Clone, Copy)]
struct Place {
    index: u32,
    has_window: bool,
}

impl Ordered {
    pub(super) fn new() -> Self {
        Ordered {
            by_latest: BTreeMap::new(),
            windows: BTreeMap::new(),
            least_ns: u64::MAX,
        }
    }

    /// Whether any entry has a window.
    #[inline]
    pub(super) fn has_windows(&self) -> bool {
        !self.windows.is_empty()
    }

    /// The least latest; the end of time when there are no entries.
    #[inline]
    pub(super) fn least_ns(&self) -> u64 {
        self.least_ns
    }

    /// Whether all entries come after that one.
    #[inline]
    pub(super) fn is_after(&self, at_ns: u64, order: u64) -> bool {
        at_ns < self.least_ns || self.first().is_none_or(|first| (at_ns, order) < first)
    }

    /// The rank of the least entry by (latest, order).
    pub(super) fn first(&self) -> Option<Rank> {
        self.by_latest.first_key_value().map(|(rank, _)| *rank)
    }

    /// Latest and index of the least entry by (latest, order).
    pub(super) fn first_index(&self) -> Option<(u64, u32)> {
        self.by_latest
            .first_key_value()
            .map(|((latest_ns, _), place)| (*latest_ns, place.index))
    }

    pub(super) fn insert(&mut self, earliest_ns: u64, latest_ns: u64, order: u64, index: u32) {
        let has_window = earliest_ns != latest_ns;
        self.by_latest
            .insert((latest_ns, order), Place { index, has_window });
        if has_window {
            self.windows.insert((earliest_ns, order), index);
        }
        self.least_ns = self.least_ns.min(latest_ns);
    }

    pub(super) fn remove(&mut self, earliest_ns: u64, latest_ns: u64, order: u64) {
        let removed = self.by_latest.remove(&(latest_ns, order));
        debug_assert!(removed.is_some(), "an entry whose home is here is here");
        if earliest_ns != latest_ns {
            let removed = self.windows.remove(&(earliest_ns, order));
            debug_assert!(removed.is_some(), "a window stands in both trees");
        }
        if latest_ns == self.least_ns {
            self.least_ns = self.first().map_or(u64::MAX, |(latest_ns, _)| latest_ns);
        }
    }

    /// Every entry with this earliest or one before it, where no entry has a latest before it.
    pub(super) fn may_happen_by(&self, at_ns: u64) -> impl Iterator<Item = u32> + '_ {
        debug_assert!(at_ns <= self.least_ns, "it is the least latest of all");
        let exact = self.by_latest.range((at_ns, 0)..=(at_ns, u64::MAX));
        let exact = exact
            .filter(|(_, place)| !place.has_window)
            .map(|(_, place)| place.index);
        exact.chain(
            self.windows
                .range(..=(at_ns, u64::MAX))
                .map(|(_, index)| *index),
        )
    }

    pub(super) fn clear(&mut self) {
        self.by_latest.clear();
        self.windows.clear();
        self.least_ns = u64::MAX;
    }
}
