//! The entries of a registry, and who has which: integers but for the keys themselves, so that an entry is
//! taken out without a look at any other key.

use super::Keys;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::trace::Pid;

/// An entry: its key's number, and the how-manieth registration it was.
type Place = (u64, u64);

/// The entries of a registry. It knows nothing of who lives.
pub(super) struct Table<K, V> {
    pub(super) keys: Keys,
    numbers: BTreeMap<Rc<K>, u64>,
    names: BTreeMap<u64, Rc<K>>,
    entries: BTreeMap<Place, (Pid, V)>,
    by_pid: BTreeSet<(Pid, u64, u64)>,
    /// Numbers given so far, to keys and to entries.
    given: u64,
}

impl<K: Ord, V> Table<K, V> {
    pub(super) fn new(keys: Keys) -> Table<K, V> {
        Table {
            keys,
            numbers: BTreeMap::new(),
            names: BTreeMap::new(),
            entries: BTreeMap::new(),
            by_pid: BTreeSet::new(),
            given: 0,
        }
    }

    fn next(&mut self) -> u64 {
        self.given += 1;
        self.given
    }

    /// Adds an entry under a key.
    pub(super) fn add(&mut self, key: K, pid: Pid, value: V) {
        let number = match self.numbers.get(&key) {
            Some(number) => *number,
            None => {
                let (number, key) = (self.next(), Rc::new(key));
                self.names.insert(number, key.clone());
                self.numbers.insert(key, number);
                number
            }
        };
        let nth = self.next();
        self.entries.insert((number, nth), (pid, value));
        self.by_pid.insert((pid, number, nth));
    }

    /// The entries under a key, the oldest first.
    pub(super) fn of_key(&self, key: &K) -> impl Iterator<Item = (Pid, &V)> {
        let number = self.numbers.get(key).copied();
        let entries = number.map(|number| self.entries.range((number, 0)..=(number, u64::MAX)));
        entries
            .into_iter()
            .flatten()
            .map(|(_, (pid, value))| (*pid, value))
    }

    /// The keys of a process, one for each of its entries, in their order.
    pub(super) fn of_pid(&self, pid: Pid) -> Vec<Rc<K>> {
        let mut keys: Vec<Rc<K>> = self
            .places(pid)
            .filter_map(|(key, _)| self.names.get(&key).cloned())
            .collect();
        keys.sort();
        keys
    }

    pub(super) fn has(&self, pid: Pid) -> bool {
        self.places(pid).next().is_some()
    }

    /// All entries, in the order of their keys, and for each key the oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = (&K, Pid, &V)> {
        self.numbers.iter().flat_map(|(key, number)| {
            let entries = self.entries.range((*number, 0)..=(*number, u64::MAX));
            entries.map(|(_, (pid, value))| (&**key, *pid, value))
        })
    }

    /// Gives the entries that a process has under a key other values.
    pub(super) fn update(
        &mut self,
        key: &K,
        pid: Pid,
        mut values: impl Iterator<Item = V>,
    ) -> Vec<V> {
        let places = self.places_under(key, pid);
        let entries = places
            .iter()
            .filter_map(|place| Some((*place, values.next()?)));
        let mut old = Vec::new();
        for (place, value) in entries.collect::<Vec<_>>() {
            if let Some(entry) = self.entries.get_mut(&place) {
                old.push(std::mem::replace(&mut entry.1, value));
            }
        }
        old
    }

    /// Takes out what a process has under a key.
    pub(super) fn remove(&mut self, key: &K, pid: Pid) -> Vec<(Rc<K>, V)> {
        let places = self.places_under(key, pid);
        places
            .into_iter()
            .filter_map(|place| self.take(place))
            .collect()
    }

    /// Takes out all that a process has.
    pub(super) fn remove_all(&mut self, pid: Pid) -> Vec<(Rc<K>, V)> {
        let places: Vec<Place> = self.places(pid).collect();
        places
            .into_iter()
            .filter_map(|place| self.take(place))
            .collect()
    }

    fn places(&self, pid: Pid) -> impl Iterator<Item = Place> {
        let of_pid = self.by_pid.range((pid, 0, 0)..=(pid, u64::MAX, u64::MAX));
        of_pid.map(|(_, key, nth)| (*key, *nth))
    }

    fn places_under(&self, key: &K, pid: Pid) -> Vec<Place> {
        let Some(number) = self.numbers.get(key).copied() else {
            return Vec::new();
        };
        let of_both = self
            .by_pid
            .range((pid, number, 0)..=(pid, number, u64::MAX));
        of_both.map(|(_, key, nth)| (*key, *nth)).collect()
    }

    fn take(&mut self, place: Place) -> Option<(Rc<K>, V)> {
        let (number, nth) = place;
        let (pid, value) = self.entries.remove(&place)?;
        self.by_pid.remove(&(pid, number, nth));
        let key = self.names.get(&number)?.clone();
        if self
            .entries
            .range((number, 0)..=(number, u64::MAX))
            .next()
            .is_none()
        {
            self.names.remove(&number);
            self.numbers.remove(&key);
        }
        Some((key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_of_a_key_that_nobody_is_under() {
        let mut table = Table::new(Keys::Duplicate);
        for key in 0..3 {
            table.add(key, Pid::NOBODY, ());
            table.add(key, Pid::NOBODY, ());
        }
        assert_eq!(table.remove(&1, Pid::NOBODY).len(), 2);
        assert_eq!((table.numbers.len(), table.names.len()), (2, 2));
        assert_eq!(table.remove_all(Pid::NOBODY).len(), 4);
        assert!(table.numbers.is_empty() && table.names.is_empty());
        assert!(table.entries.is_empty() && table.by_pid.is_empty());
    }
}
