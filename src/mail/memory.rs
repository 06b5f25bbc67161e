//! A store without a disk.

use super::store::{Batch, Store, StoreError, Table};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Bound, RangeInclusive};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// A [`Store`] in memory: as quick as can be, and gone with its process.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MemoryStore {
    tables: BTreeMap<Table, Entries>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }
}

impl Store for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let entries = self.tables.get(&table);
        Ok(entries.and_then(|entries| entries.get(key)).cloned())
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
        let range = (Bound::Included(from), Bound::Included(to));
        if let Some(entries) = self.tables.get(&table) {
            let mut found = entries.range::<[u8], _>(range);
            found.all(|(key, value)| each(key, value));
        }
        Ok(())
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        for change in batch.changes() {
            let entries = self.tables.entry(change.table).or_default();
            match &change.value {
                Some(value) => drop(entries.insert(change.key.clone(), value.clone())),
                None => drop(entries.remove(&change.key)),
            }
        }
        Ok(())
    }

    fn len(&self, table: Table) -> Result<u64, StoreError> {
        Ok(self
            .tables
            .get(&table)
            .map_or(0, |entries| entries.len() as u64))
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
