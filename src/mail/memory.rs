//! A store without a disk.

use super::store::{Batch, Store, StoreError, Table};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

/// How many bytes of a key are compared as numbers; mostly it has no more.
const HEAD: usize = 16;

/// A key, in the order of its bytes: numbers for the first ones, zeros where there are fewer; how many of
/// those there are; and the rest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    first: u64,
    second: u64,
    head_length: u8,
    tail: Box<[u8]>,
}

impl Key {
    fn new(bytes: &[u8]) -> Key {
        let (head, tail) = bytes.split_at(bytes.len().min(HEAD));
        let mut padded = [0; HEAD];
        padded[..head.len()].copy_from_slice(head);
        let number = u128::from_be_bytes(padded);
        Key {
            first: (number >> 64) as u64,
            second: number as u64,
            head_length: head.len() as u8,
            tail: tail.into(),
        }
    }

    /// Shows its bytes.
    fn show<R>(&self, to: impl FnOnce(&[u8]) -> R) -> R {
        let number = u128::from(self.first) << 64 | u128::from(self.second);
        let head = &number.to_be_bytes()[..usize::from(self.head_length)];
        if self.tail.is_empty() {
            to(head)
        } else {
            to(&[head, &self.tail].concat())
        }
    }
}

type Entries = BTreeMap<Key, Box<[u8]>>;

/// A [`Store`] in memory: as quick as can be, and gone with its process.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MemoryStore {
    /// In the order of their names; they are few.
    tables: Vec<(Table, Entries)>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// Where a table is, or would be.
    fn place(&self, table: Table) -> Result<usize, usize> {
        // Mostly it is the very same constant.
        let is_same = |(known, _): &(Table, Entries)| std::ptr::eq(known.0, table.0);
        match self.tables.iter().position(is_same) {
            Some(place) => Ok(place),
            None => self
                .tables
                .binary_search_by_key(&table, |(known, _)| *known),
        }
    }

    fn entries(&self, table: Table) -> Option<&Entries> {
        let place = self.place(table).ok()?;
        Some(&self.tables[place].1)
    }

    fn entries_mut(&mut self, table: Table) -> &mut Entries {
        let place = self.place(table).unwrap_or_else(|place| {
            self.tables.insert(place, (table, Entries::new()));
            place
        });
        &mut self.tables[place].1
    }
}

impl Store for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let entries = self.entries(table);
        let value = entries.and_then(|entries| entries.get(&Key::new(key)));
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        table: Table,
        keys: RangeInclusive<&[u8]>,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let (from, to) = keys.into_inner();
        if from > to {
            return Ok(());
        }
        if let Some(entries) = self.entries(table) {
            let mut found = entries.range(Key::new(from)..=Key::new(to));
            found.all(|(key, value)| key.show(|key| each(key, value)));
        }
        Ok(())
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        for change in batch.changes() {
            let (entries, key) = (self.entries_mut(change.table), Key::new(change.key));
            match change.value {
                Some(value) => drop(entries.insert(key, value.into())),
                None => drop(entries.remove(&key)),
            }
        }
        Ok(())
    }

    fn len(&self, table: Table) -> Result<u64, StoreError> {
        let entries = self.entries(table);
        Ok(entries.map_or(0, |entries| entries.len() as u64))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = self
            .tables
            .iter()
            .map(|(table, entries)| (table.0, entries.len()));
        f.debug_map().entries(sizes).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTERS: Table = Table("letters");

    #[test]
    fn a_scan_goes_in_the_order_of_keys_both_ends_included_until_it_is_told_to_stop() {
        let mut store = MemoryStore::new();
        let mut batch = Batch::new();
        for key in [5_u8, 1, 3, 9, 7] {
            batch.put(LETTERS, [key], [key * 10]);
        }
        store.commit(&batch).unwrap();
        let mut seen = Vec::new();
        let (from, to): (&[u8], &[u8]) = (&[3], &[9]);
        let mut each = |key: &[u8], value: &[u8]| {
            seen.push((key[0], value[0]));
            key[0] < 7
        };
        store.scan(LETTERS, from..=to, &mut each).unwrap();
        assert_eq!(seen, [(3, 30), (5, 50), (7, 70)]);
    }

    #[test]
    fn keys_are_in_the_order_of_their_bytes_whatever_their_lengths() {
        let of = |length: usize, last: u8| {
            let mut key = vec![0; length];
            key.extend([last]);
            key
        };
        let mut keys: Vec<Vec<u8>> = (0..40)
            .flat_map(|length| [0, 1, u8::MAX].map(|last| of(length, last)))
            .collect();
        keys.push(Vec::new());
        let mut store = MemoryStore::new();
        let mut batch = Batch::new();
        for key in keys.iter().rev() {
            batch.put(LETTERS, key, b"");
        }
        store.commit(&batch).unwrap();
        let mut seen = Vec::new();
        let mut each = |key: &[u8], _: &[u8]| {
            seen.push(key.to_vec());
            true
        };
        store
            .scan(LETTERS, &[]..=&[u8::MAX; 64], &mut each)
            .unwrap();
        keys.sort();
        assert_eq!(seen, keys);
        assert!(
            keys.iter()
                .all(|key| store.get(LETTERS, key) == Ok(Some(Vec::new())))
        );
    }

    #[test]
    fn later_changes_of_a_batch_win_and_a_removal_leaves_nothing() {
        let mut store = MemoryStore::new();
        let mut batch = Batch::new();
        batch.put(LETTERS, b"a", b"1");
        batch.put(LETTERS, b"a", b"2");
        batch.put(LETTERS, b"b", b"3");
        batch.remove(LETTERS, b"b");
        store.commit(&batch).unwrap();
        assert_eq!(store.get(LETTERS, b"a"), Ok(Some(b"2".to_vec())));
        assert_eq!(store.get(LETTERS, b"b"), Ok(None));
        assert_eq!(store.len(LETTERS), Ok(1));
    }
}
