//! The letters of one queue that wait, in their order: the head of it in memory, the rest in the store.

use super::stored::{Place, Record, letters_behind};
use crate::mail::store::{Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// The letters that wait in one queue.
///
/// Every one of them up to `edge` is in memory; those behind it lie in the store alone, and are counted.
#[derive(Debug)]
pub(super) struct Line {
    ready: BTreeMap<Place, Record>,
    /// Of those in memory, whose time ends when.
    expiring: BTreeSet<(u64, Place)>,
    beyond: u64,
    /// Means something only where some lie beyond it.
    edge: Place,
    window: usize,
}

impl Line {
    /// A line of so many letters, all of which lie in the store as yet.
    pub(super) fn new(window: usize, beyond: u64) -> Line {
        Line {
            ready: BTreeMap::new(),
            expiring: BTreeSet::new(),
            beyond,
            edge: Place::LEAST,
            window,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.ready.len() as u64 + self.beyond
    }

    pub(super) fn indexed(&self) -> u64 {
        self.ready.len() as u64
    }

    /// Adds a letter at its place.
    pub(super) fn put(&mut self, place: Place, record: Record) {
        if self.beyond > 0 && place > self.edge {
            self.beyond += 1;
            return;
        }
        self.index(place, record);
        if self.ready.len() > self.window
            && let Some((place, record)) = self.ready.pop_last()
        {
            self.expiring.remove(&(record.deadline, place));
            self.beyond += 1;
            self.edge = self
                .ready
                .last_key_value()
                .map_or(Place::LEAST, |(place, _)| *place);
        }
    }

    fn index(&mut self, place: Place, record: Record) {
        let before = self.ready.insert(place, record);
        assert!(before.is_none(), "two letters have the place {place:?}");
        if record.deadline != u64::MAX {
            self.expiring.insert((record.deadline, place));
        }
    }

    /// The letter that is delivered next; none where none waits, or none is in memory.
    pub(super) fn first(&self) -> Option<(Place, Record)> {
        let (place, record) = self.ready.first_key_value()?;
        Some((*place, *record))
    }

    /// Takes the letter that is delivered next.
    pub(super) fn take_first(&mut self) -> Option<(Place, Record)> {
        let (place, record) = self.ready.pop_first()?;
        self.expiring.remove(&(record.deadline, place));
        Some((place, record))
    }

    /// Takes a letter whose time is over.
    pub(super) fn take_over(&mut self, now: u64) -> Option<(Place, Record)> {
        let (deadline, place) = *self.expiring.first()?;
        if deadline >= now {
            return None;
        }
        self.expiring.pop_first();
        let record = self.ready.remove(&place)?;
        Some((place, record))
    }

    /// When the next time is over, of those in memory.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.expiring.first().map(|(deadline, _)| *deadline)
    }

    /// Whether letters should be fetched from the store.
    pub(super) fn wants(&self) -> bool {
        self.beyond > 0 && self.ready.len() <= self.window / 2
    }

    /// Fetches letters from the store, which must hold all that was said so far; `is_out` says which are
    /// with a consumer.
    pub(super) fn fetch(
        &mut self,
        queue: u32,
        store: &impl Store,
        is_out: impl Fn(u64) -> bool,
    ) -> Result<(), StoreError> {
        let (mut fetched, mut is_over) = (0, true);
        letters_behind(store, queue, self.edge, |place, record| {
            if is_out(record.number) {
                return true;
            }
            if self.ready.len() >= self.window {
                is_over = false;
                return false;
            }
            self.index(place, record);
            self.edge = place;
            fetched += 1;
            true
        })?;
        assert!(
            fetched <= self.beyond && (!is_over || fetched == self.beyond),
            "queue {queue}: {} letters lay beyond, and {fetched} were found",
            self.beyond
        );
        self.beyond -= fetched;
        Ok(())
    }
}
