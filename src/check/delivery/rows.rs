//! The letters of one origin by their numbers: what is known of those that are not done with; a bit for each
//! that is, and less where they stand in a row.

use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// So many letters share an entry.
const ROW: usize = u64::BITS as usize;
/// So many rows without a letter that is not done with are kept for others.
const SPARE: usize = 16;

/// What is known of a letter.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a, L> {
    Nothing,
    /// It is not done with.
    Open(&'a mut L),
    /// It is done with, and has had its effect or not.
    Done(bool),
}

/// Letters that share an entry.
#[derive(Debug)]
struct Row<L> {
    /// A bit for each that is not done with.
    open: u64,
    /// What is known of those, at their places.
    letters: Option<Box<[L; ROW]>>,
    done: u64,
    /// Those that are done with and have had their effect.
    effected: u64,
}

/// All letters.
#[derive(Debug)]
pub(super) struct Rows<L> {
    rows: FxHashMap<u64, Row<L>>,
    /// Rows of which all letters have had their effect: the first of them, and the one after the last.
    full: BTreeMap<u64, u64>,
    spare: Vec<Box<[L; ROW]>>,
}

impl<L> Default for Rows<L> {
    fn default() -> Rows<L> {
        Rows {
            rows: FxHashMap::default(),
            full: BTreeMap::new(),
            spare: Vec::new(),
        }
    }
}

impl<L> Default for Row<L> {
    fn default() -> Row<L> {
        Row {
            open: 0,
            letters: None,
            done: 0,
            effected: 0,
        }
    }
}

impl<L: Copy> Rows<L> {
    /// What is known of this letter.
    pub(super) fn find(&mut self, number: u64) -> Found<'_, L> {
        let (row, index, bit) = place(number);
        let Some(row) = self.rows.get_mut(&row) else {
            return match is_within(&self.full, row) {
                true => Found::Done(true),
                false => Found::Nothing,
            };
        };
        match &mut row.letters {
            Some(letters) if row.open & bit != 0 => Found::Open(&mut letters[index]),
            _ if row.done & bit != 0 => Found::Done(row.effected & bit != 0),
            _ => Found::Nothing,
        }
    }

    /// This letter is known from now on, and not done with.
    pub(super) fn insert(&mut self, number: u64, letter: L) {
        let (row, index, bit) = place(number);
        let row = self.rows.entry(row).or_default();
        let spare = &mut self.spare;
        let letters = row.letters.get_or_insert_with(|| {
            let spare = spare.pop();
            spare.unwrap_or_else(|| Box::new([letter; ROW]))
        });
        letters[index] = letter;
        row.open |= bit;
    }

    /// This letter is done with, or has its effect after that.
    pub(super) fn done(&mut self, number: u64, effected: bool) {
        let (place, _, bit) = place(number);
        if !self.rows.contains_key(&place) && is_within(&self.full, place) {
            return;
        }
        let row = self.rows.entry(place).or_default();
        row.open &= !bit;
        row.done |= bit;
        if effected {
            row.effected |= bit;
        }
        if row.open == 0
            && let Some(letters) = row.letters.take()
            && self.spare.len() < SPARE
        {
            self.spare.push(letters);
        }
        if row.effected == u64::MAX {
            self.rows.remove(&place);
            self.fill(place);
        }
    }

    /// The letters that are not done with, in no order.
    pub(super) fn open(&self) -> impl Iterator<Item = (u64, &L)> {
        self.rows.iter().flat_map(|(place, row)| {
            let letters = row.letters.iter().flat_map(|letters| letters.iter());
            let numbered = (place * ROW as u64..).zip(letters);
            let is_open = |index: usize| row.open & 1 << index != 0;
            let open = numbered
                .enumerate()
                .filter(move |(index, _)| is_open(*index));
            open.map(|(_, letter)| letter)
        })
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
        self.open().count() + self.rows.len() + self.full.len()
    }
}

/// Whether one of these ranges has this row.
fn is_within(ranges: &BTreeMap<u64, u64>, row: u64) -> bool {
    let before = ranges.range(..=row).next_back();
    before.is_some_and(|(_, end)| row < *end)
}

/// The row of a letter, which of that it is, and its bit there.
const fn place(number: u64) -> (u64, usize, u64) {
    let index = number % ROW as u64;
    (number / ROW as u64, index as usize, 1 << index)
}
