//! The letters of one origin that are done with: a bit for each, and less where they stand in a row.

use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// So many letters share an entry.
const ROW: u64 = u64::BITS as u64;

/// Bits of the letters of one row.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    done: u64,
    /// Those that have had their effect.
    effected: u64,
}

/// The letters that are done with.
#[derive(Debug, Default)]
pub(super) struct Done {
    rows: FxHashMap<u64, Row>,
    /// Rows of which all letters have had their effect: the first of them, and the one after the last.
    full: BTreeMap<u64, u64>,
}

impl Done {
    /// Whether this letter has had its effect, where it is done with.
    pub(super) fn effected(&self, number: u64) -> Option<bool> {
        let (row, bit) = place(number);
        match self.rows.get(&row) {
            Some(bits) if bits.done & bit == 0 => None,
            Some(bits) => Some(bits.effected & bit != 0),
            None => self.is_full(row).then_some(true),
        }
    }

    /// This letter is done with, or has its effect after that.
    pub(super) fn insert(&mut self, number: u64, effected: bool) {
        let (row, bit) = place(number);
        if self.is_full(row) {
            return;
        }
        let bits = self.rows.entry(row).or_default();
        bits.done |= bit;
        if effected {
            bits.effected |= bit;
        }
        if bits.effected == u64::MAX {
            self.rows.remove(&row);
            self.fill(row);
        }
    }

    fn is_full(&self, row: u64) -> bool {
        let before = self.full.range(..=row).next_back();
        before.is_some_and(|(_, end)| row < *end)
    }

    /// Joins a row that is full with those beside it.
    fn fill(&mut self, row: u64) {
        let before = self.full.range(..row).next_back();
        let start = match before {
            Some((start, end)) if *end == row => *start,
            _ => row,
        };
        let end = self.full.remove(&(row + 1)).unwrap_or(row + 1);
        self.full.insert(start, end);
    }

    /// How many entries it takes.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.rows.len() + self.full.len()
    }
}

/// The row of a letter, and its bit there.
const fn place(number: u64) -> (u64, u64) {
    (number / ROW, 1 << (number % ROW))
}
