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

/// No row has this number.
const NO_ROW: u64 = u64::MAX;

/// Letters that share an entry.
#[derive(Debug)]
struct Row<L> {
    number: u64,
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
    rows: Vec<Row<L>>,
    /// Where each of them stands, and the one that was asked for last.
    places: FxHashMap<u64, usize>,
    last: usize,
    /// Places of rows that are no more.
    free: Vec<usize>,
    /// Rows of which all letters have had their effect: the first of them, and the one after the last.
    full: BTreeMap<u64, u64>,
    spare: Vec<Box<[L; ROW]>>,
}

impl<L> Default for Rows<L> {
    fn default() -> Rows<L> {
        Rows {
            rows: Vec::new(),
            places: FxHashMap::default(),
            last: 0,
            free: Vec::new(),
            full: BTreeMap::new(),
            spare: Vec::new(),
        }
    }
}

impl<L: Copy> Rows<L> {
    /// Where a row stands.
    fn place(&mut self, number: u64) -> Option<usize> {
        let is_last = |row: &Row<L>| row.number == number;
        if !self.rows.get(self.last).is_some_and(is_last) {
            self.last = *self.places.get(&number)?;
        }
        Some(self.last)
    }

    /// Where a row stands that is not full, from now on.
    fn place_or_new(&mut self, number: u64) -> usize {
        self.place(number).unwrap_or_else(|| {
            let row = Row {
                number,
                open: 0,
                letters: None,
                done: 0,
                effected: 0,
            };
            let place = self.free.pop().unwrap_or(self.rows.len());
            match self.rows.get_mut(place) {
                Some(free) => *free = row,
                None => self.rows.push(row),
            }
            self.places.insert(number, place);
            self.last = place;
            place
        })
    }

    /// What is known of this letter.
    pub(super) fn find(&mut self, number: u64) -> Found<'_, L> {
        let (row, index, bit) = split(number);
        let Some(place) = self.place(row) else {
            return match self.is_full(row) {
                true => Found::Done(true),
                false => Found::Nothing,
            };
        };
        let row = &mut self.rows[place];
        match &mut row.letters {
            Some(letters) if row.open & bit != 0 => Found::Open(&mut letters[index]),
            _ if row.done & bit != 0 => Found::Done(row.effected & bit != 0),
            _ => Found::Nothing,
        }
    }

    /// This letter is known from now on, and not done with.
    pub(super) fn insert(&mut self, number: u64, letter: L) {
        let (row, index, bit) = split(number);
        let place = self.place_or_new(row);
        let row = &mut self.rows[place];
        let letters = row.letters.get_or_insert_with(|| {
            let spare = self.spare.pop();
            spare.unwrap_or_else(|| Box::new([letter; ROW]))
        });
        letters[index] = letter;
        row.open |= bit;
    }

    /// This letter is done with, or has its effect after that.
    pub(super) fn done(&mut self, number: u64, effected: bool) {
        let (number, _, bit) = split(number);
        if self.place(number).is_none() && self.is_full(number) {
            return;
        }
        let place = self.place_or_new(number);
        let row = &mut self.rows[place];
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
            row.number = NO_ROW;
            self.places.remove(&number);
            self.free.push(place);
            self.fill(number);
        }
    }

    /// The letters that are not done with, in no order.
    pub(super) fn open(&self) -> impl Iterator<Item = (u64, &L)> {
        let rows = self.rows.iter().filter(|row| row.number != NO_ROW);
        rows.flat_map(|row| {
            let letters = row.letters.iter().flat_map(|letters| letters.iter());
            let numbered = (row.number * ROW as u64..).zip(letters);
            let is_open = |index: usize| row.open & 1 << index != 0;
            let open = numbered
                .enumerate()
                .filter(move |(index, _)| is_open(*index));
            open.map(|(_, letter)| letter)
        })
    }

    /// Whether all letters of a row have had their effect.
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
        self.open().count() + self.places.len() + self.full.len()
    }
}

/// The row of a letter, which of that it is, and its bit there.
const fn split(number: u64) -> (u64, usize, u64) {
    let index = number % ROW as u64;
    (number / ROW as u64, index as usize, 1 << index)
}
