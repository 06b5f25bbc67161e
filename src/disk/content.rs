//! The bytes of one file: what reads see, and what it takes to get back to what is durable.
//!
//! There is one buffer, and a journal of the changes since the last sync, each with the bytes that it has
//! replaced. So a write costs the copy of what was there on top of its own, a sync forgets the journal, and
//! only a crash works out what a disk could hold.
//!
//! What a disk could hold: of each sector any version since the last sync, as a page that is written back
//! holds all changes up to then; the length after any change since; what a truncation has cut off never
//! comes back once that is durable, and what was written there later never shows where it is not.

use rustc_hash::FxHashSet;

/// A change of a file that is not durable.
#[derive(Clone, Copy, Debug)]
struct Change {
    /// From where on.
    at: usize,
    /// How many bytes were written; 0 where the length alone changed.
    written: usize,
    /// How long the file was before.
    before: usize,
    /// And after it.
    after: usize,
    /// Where the bytes begin that it has replaced, or cut off.
    replaced: usize,
}

impl Change {
    fn is_cut(&self) -> bool {
        self.after < self.before
    }

    /// The sectors into which it wrote.
    fn sectors(&self, sector: usize) -> std::ops::Range<usize> {
        let first = self.at / sector;
        match self.written {
            0 => first..first,
            written => first..(self.at + written).div_ceil(sector),
        }
    }
}

/// Which of the changes a crash keeps.
pub(super) struct Kept<'a> {
    /// How many changes of the length: those of the first so many changes.
    pub(super) lengths: usize,
    /// By how many sectors the file is shorter than after these: as if a write had grown it in parts.
    pub(super) short: usize,
    /// Whether what the n-th change wrote to the m-th of its sectors was not written back.
    pub(super) is_lost: &'a dyn Fn(usize, usize) -> bool,
}

/// The bytes of one file.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    bytes: Vec<u8>,
    changes: Vec<Change>,
    replaced: Vec<u8>,
    /// How many changes became durable: a change's number is its place and this.
    durable: u64,
    /// What the disk holds, where a failed sync has made that another thing than the journal tells.
    medium: Option<Vec<u8>>,
}

impl Content {
    /// These bytes, all of them durable.
    pub(super) fn stored(bytes: Vec<u8>) -> Content {
        Content {
            bytes,
            ..Content::default()
        }
    }

    /// What reads see.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many changes there were: a sync that begins now is about these.
    pub(super) fn changed(&self) -> u64 {
        self.durable + self.changes.len() as u64
    }

    /// How many changes are not durable.
    pub(super) fn pending(&self) -> usize {
        self.changes.len()
    }

    /// How many bytes these changes have replaced.
    pub(super) fn journal_bytes(&self) -> usize {
        self.replaced.len()
    }

    /// Whether a sync has failed since the last crash: the disk may hold what no read sees.
    pub(super) fn has_failed(&self) -> bool {
        self.medium.is_some()
    }

    /// Whether a crash could change anything.
    pub(super) fn is_durable(&self) -> bool {
        self.changes.is_empty() && !self.has_failed()
    }

    /// Writes `new` from `at` on; a gap behind the end is filled with zeros.
    #[inline]
    pub(super) fn write(&mut self, at: usize, new: &[u8]) {
        if new.is_empty() {
            return;
        }
        let before = self.bytes.len();
        let end = at + new.len();
        let replaced = self.replaced.len();
        if end <= before {
            let place = &mut self.bytes[at..end];
            self.replaced.extend_from_slice(place);
            place.copy_from_slice(new);
        } else if at <= before {
            self.replaced.extend_from_slice(&self.bytes[at..]);
            self.bytes.truncate(at);
            self.bytes.extend_from_slice(new);
        } else {
            self.bytes.resize(at, 0);
            self.bytes.extend_from_slice(new);
        }
        self.changes.push(Change {
            at,
            written: new.len(),
            before,
            after: before.max(end),
            replaced,
        });
    }

    /// Makes it this long.
    pub(super) fn truncate(&mut self, len: usize) {
        let before = self.bytes.len();
        if len == before {
            return;
        }
        let replaced = self.replaced.len();
        if len < before {
            self.replaced.extend_from_slice(&self.bytes[len..]);
        }
        self.bytes.resize(len, 0);
        self.changes.push(Change {
            at: len.min(before),
            written: 0,
            before,
            after: len,
            replaced,
        });
    }

    /// A bit of what is stored is another.
    pub(super) fn rot(&mut self, byte: usize, bit: u8) {
        let mask = 1 << bit;
        self.bytes[byte] ^= mask;
        if let Some(byte) = self.medium.as_mut().and_then(|held| held.get_mut(byte)) {
            *byte ^= mask;
        }
    }

    /// What was changed before this number is durable.
    pub(super) fn harden(&mut self, number: u64, sector: usize) {
        let count = self.pending_before(number);
        let is_plain = count == self.changes.len() && !self.changes.iter().any(Change::is_cut);
        if is_plain {
            self.write_to_medium(sector);
        } else if self.medium.is_some() {
            let mut then = self.clone();
            then.rewind(count);
            let kept = Kept {
                lengths: count,
                short: 0,
                is_lost: &|_, _| false,
            };
            self.medium = Some(then.left(sector, &kept));
        }
        self.forget(count);
    }

    /// All changes, of which none cuts, come to the disk where that holds another thing than the journal
    /// tells: each sector as it is now.
    fn write_to_medium(&mut self, sector: usize) {
        let (Some(medium), false) = (&mut self.medium, self.changes.is_empty()) else {
            return;
        };
        let length = self.bytes.len();
        medium.resize(length, 0);
        for sectors in self.changes.iter().map(|change| change.sectors(sector)) {
            let (from, end) = (sectors.start * sector, sectors.end * sector);
            let written = from.min(length)..end.min(length);
            medium[written.clone()].copy_from_slice(&self.bytes[written]);
        }
    }

    /// The older half of the changes is durable: systems write back what waits for long.
    #[cold]
    pub(super) fn write_back(&mut self, sector: usize) {
        let half = self.durable + self.changes.len().div_ceil(2) as u64;
        self.harden(half, sector);
    }

    /// A sync of what was changed before this number has failed: these changes never come to the disk,
    /// though reads see them, until a later one of the same sector brings them there.
    pub(super) fn fail(&mut self, number: u64) {
        let count = self.pending_before(number);
        if self.medium.is_none() {
            let mut then = self.clone();
            then.rewind(0);
            self.medium = Some(then.bytes);
        }
        self.forget(count);
    }

    /// What is not on the disk is gone.
    pub(super) fn drop_pending(&mut self) {
        self.durable = self.changed();
        self.rewind(0);
        if let Some(medium) = self.medium.take() {
            self.bytes = medium;
        }
    }

    /// How many sectors the change before this one could have grown the file by, less one: as often it
    /// could be cut short.
    pub(super) fn growth(&self, lengths: usize, sector: usize) -> usize {
        let last = lengths.checked_sub(1).map(|last| self.changes[last]);
        last.filter(|change| change.written > 0)
            .map_or(0, |change| {
                change
                    .after
                    .div_ceil(sector)
                    .saturating_sub(change.before / sector + 1)
            })
    }

    /// Into how many sectors a change wrote.
    pub(super) fn sectors(&self, change: usize, sector: usize) -> usize {
        self.changes[change].sectors(sector).len()
    }

    /// A crash keeps this; it is durable then. Numbers begin anew: no sync is under way.
    pub(super) fn crash(&mut self, sector: usize, kept: &Kept<'_>) {
        let then = std::mem::take(self);
        self.bytes = then.left(sector, kept);
    }

    /// What the disk holds where these changes have come to it. All is worked out on the way back through
    /// the journal: the version of a sector that counts is the last that was written back.
    fn left(mut self, sector: usize, kept: &Kept<'_>) -> Vec<u8> {
        let length = self.length_after(sector, kept);
        let lost_cuts = self.lost_cuts(kept.lengths);
        let mut cut = usize::MAX;
        let mut found = FxHashSet::default();
        let mut versions: Vec<(usize, Vec<u8>)> = Vec::new();
        for number in (0..self.changes.len()).rev() {
            let change = self.changes[number];
            for (nth, place) in change.sectors(sector).enumerate() {
                let from = place * sector;
                let is_seen = from < lost_cuts[number];
                if is_seen && !(kept.is_lost)(number, nth) && found.insert(place) {
                    let end = (from + sector).min(self.bytes.len()).min(cut);
                    let mut version = self.bytes[from.min(end)..end].to_vec();
                    version.resize(sector, 0);
                    versions.push((from, version));
                }
            }
            if number < kept.lengths && change.is_cut() {
                cut = cut.min(change.after);
            }
            self.rewind(number);
        }
        let mut bytes = self.medium.unwrap_or(self.bytes);
        bytes.truncate(cut);
        bytes.resize(length, 0);
        for (from, version) in versions {
            let end = (from + sector).min(length);
            if from < end {
                bytes[from..end].copy_from_slice(&version[..end - from]);
            }
        }
        bytes
    }

    /// How long the file is.
    fn length_after(&self, sector: usize, kept: &Kept<'_>) -> usize {
        let durable = || match (&self.medium, self.changes.first()) {
            (Some(medium), _) => medium.len(),
            (None, Some(first)) => first.before,
            (None, None) => self.bytes.len(),
        };
        let last = kept.lengths.checked_sub(1);
        let length = last.map_or_else(durable, |last| self.changes[last].after);
        if kept.short == 0 {
            return length;
        }
        (length.div_ceil(sector) - kept.short) * sector
    }

    /// For each change, where the least of the truncations has cut that came before it and are lost.
    fn lost_cuts(&self, lengths: usize) -> Vec<usize> {
        let mut least = usize::MAX;
        let cut = |(number, change): (usize, &Change)| {
            if number >= lengths && change.is_cut() {
                least = least.min(change.after);
            }
            least
        };
        self.changes.iter().enumerate().map(cut).collect()
    }

    /// Takes the last changes back, until so many are left.
    fn rewind(&mut self, count: usize) {
        while self.changes.len() > count
            && let Some(change) = self.changes.pop()
        {
            let replaced = &self.replaced[change.replaced..];
            if change.is_cut() {
                self.bytes.extend_from_slice(replaced);
            } else {
                self.bytes[change.at..change.at + replaced.len()].copy_from_slice(replaced);
                self.bytes.truncate(change.before);
            }
            self.replaced.truncate(change.replaced);
        }
    }

    fn pending_before(&self, number: u64) -> usize {
        let count = number.saturating_sub(self.durable) as usize;
        count.min(self.changes.len())
    }

    /// Forgets how to take the first changes back.
    fn forget(&mut self, count: usize) {
        self.durable += count as u64;
        if count == self.changes.len() {
            self.changes.clear();
            self.replaced.clear();
            return;
        }
        let begin = self.changes[count].replaced;
        self.changes.drain(..count);
        self.replaced.drain(..begin);
        for change in &mut self.changes {
            change.replaced -= begin;
        }
    }
}
