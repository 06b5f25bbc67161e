//! The letters of an outbox to one recipient: their places, what is on its way, and parcels.

use super::record::Record;
use crate::kernel::Time;
use crate::mail::letter::{Head, Key, Parcel, Recipient, Sheet};
use crate::process::Target;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// How many bytes of letters go in one parcel, unless it is a single one: what Ethernet carries in a packet.
const PARCEL_BYTES: usize = 1400;

/// What a letter takes in a parcel beside its message, in bytes.
const SHEET_BYTES: usize = 30;

/// A letter that is not acked.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) number: u64,
    pub(super) record: Record,
    /// The last attempt that was made.
    pub(super) attempt: u32,
    /// How often it was tried in a row, for its back-off.
    pub(super) tries: u32,
    /// When it is tried again.
    pub(super) due: Time,
    /// Whether its due is the least wait only, of which the rest is yet to be drawn.
    pub(super) is_least: bool,
    /// Whether it may have left, at this boot or at an earlier one.
    pub(super) left: bool,
    /// The place of the letter before it that has its key, at the time when it was accepted.
    pub(super) after: u64,
}

/// The letters to one recipient, by place.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) to: Recipient,
    /// The place of the first slot: nothing below is ever sent again.
    pub(super) lowest: u64,
    pub(super) slots: VecDeque<Option<Slot>>,
    /// The first place that was not tried as yet.
    pub(super) untried: u64,
    /// The last place of each key that is not acked.
    pub(super) last: FxHashMap<Key, u64>,
    /// Whether the place of the next letter is to be stored.
    pub(super) changed: bool,
    /// The last parcel to it: which of those that are to be sent, and how many bytes it has.
    parcel: (usize, usize),
}

/// Places of a stream that may be tried again at one time: those whose slots say this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    pub(super) at: Time,
    pub(super) stream: usize,
    pub(super) first: u64,
    /// The one after the last.
    pub(super) end: u64,
}

impl Due {
    /// Whether a slot says this time.
    pub(super) fn is_valid(&self, streams: &[Stream]) -> bool {
        let stream = &streams[self.stream];
        let mut places = self.first.max(stream.lowest)..self.end;
        places.any(|place| stream.says(place) == Some(self.at))
    }
}

impl Stream {
    pub(super) fn new(to: Recipient, lowest: u64) -> Stream {
        Stream {
            to,
            lowest,
            slots: VecDeque::new(),
            untried: lowest,
            last: FxHashMap::default(),
            changed: false,
            parcel: (0, 0),
        }
    }

    pub(super) fn next(&self) -> u64 {
        self.lowest + self.slots.len() as u64
    }

    fn index(&self, place: u64) -> Option<usize> {
        usize::try_from(place.checked_sub(self.lowest)?).ok()
    }

    pub(super) fn has(&self, place: u64) -> bool {
        self.says(place).is_some()
    }

    /// When a place is tried again, where it has a letter.
    pub(super) fn says(&self, place: u64) -> Option<Time> {
        let slot = self.slots.get(self.index(place)?)?.as_ref()?;
        Some(slot.due)
    }

    pub(super) fn slot(&mut self, place: u64) -> Option<&mut Slot> {
        let index = self.index(place)?;
        self.slots.get_mut(index)?.as_mut()
    }

    pub(super) fn push(&mut self, slot: Slot) {
        let key = slot.record.key;
        if key != Key::NONE {
            self.last.insert(key, self.next());
        }
        self.slots.push_back(Some(slot));
    }

    /// The last place of a key that is not acked; 0 for none.
    pub(super) fn last_of(&self, key: Key) -> u64 {
        self.last.get(&key).copied().unwrap_or(0)
    }

    /// Puts a letter into the last parcel to its recipient, or into a new one.
    pub(super) fn enclose(
        &mut self,
        parcels: &mut Vec<(Target, Parcel)>,
        target: Target,
        head: Head,
        sheet: Sheet,
    ) {
        let (last, before) = self.parcel;
        let bytes = SHEET_BYTES + sheet.body.as_ref().map_or(0, |body| body.bytes().len());
        let parcel = parcels.get_mut(last).filter(|(to, parcel)| {
            let has_room = before + bytes <= PARCEL_BYTES;
            let is_same = parcel.head.to == head.to && parcel.head.kind == head.kind;
            has_room && *to == target && is_same
        });
        if let Some((_, parcel)) = parcel {
            parcel.sheets.push(sheet);
            self.parcel.1 += bytes;
        } else {
            self.parcel = (parcels.len(), bytes);
            let sheets = vec![sheet];
            parcels.push((target, Parcel { head, sheets }));
        }
    }

    /// Forgets a letter: its number, where there is one at this place.
    pub(super) fn remove(&mut self, place: u64) -> Option<u64> {
        let index = self.index(place)?;
        let entry = self.slots.get_mut(index)?;
        let (number, key) = entry.as_ref().map(|slot| (slot.number, slot.record.key))?;
        *entry = None;
        if key != Key::NONE && self.last_of(key) == place {
            self.last.remove(&key);
        }
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.lowest += 1;
        }
        self.untried = self.untried.max(self.lowest);
        Some(number)
    }
}
