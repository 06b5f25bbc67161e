//! What befalls a disk as a whole: crashes, wipes, a return to what it was.

use super::content::Content;
use super::crash::{Draws, Lost};
use super::entries::{Entries, Place};
use super::model::{Disk, FileHandle, stored_in};
use crate::choice::{Choice, Lineage};
use crate::kernel::time::Time;
use std::collections::BTreeMap;

/// What was on a disk at some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    files: Vec<(Box<str>, Vec<u8>)>,
}

impl Disk {
    /// The node's programs have ended, and its system has not: all files are closed, nothing is lost.
    pub fn close_all(&mut self) {
        for slot in 0..self.opened.len() as u32 {
            self.close(FileHandle::new(slot, self.opened[slot as usize].generation));
        }
    }

    /// The node crashes, or loses its power: of what was not synced it keeps what is drawn under this
    /// lineage, that of its boot. A calm crash keeps all.
    pub fn crash(&mut self, choice: &mut Choice, now: Time, boot: Lineage) -> Lost {
        self.settle(now);
        self.syncing.clear();
        self.close_all();
        let nth = self.crashes << 32;
        self.crashes += 1;
        let mut lost = Lost::default();
        if self.entries.pending() > 0 {
            let who = boot;
            lost.entries = Draws { choice, who, nth }.crash_entries(&mut self.entries) as u32;
            self.names_are_durable();
        }
        for (path, place) in self.entries.all() {
            let content = &mut stored_in(&mut self.files, place).content;
            if !content.is_durable() {
                let who = choice.file(boot, path);
                let is_other = Draws { choice, who, nth }.crash(content, self.settings.sector);
                lost.files += u32::from(is_other);
            }
        }
        self.count_used();
        lost
    }

    /// After a crash: the files are those that have names.
    fn names_are_durable(&mut self) {
        for stored in self.files.iter_mut().flatten() {
            (stored.has_name, stored.told) = (false, 0);
        }
        for (path, place) in self.entries.all() {
            let stored = stored_in(&mut self.files, place);
            stored.has_name = true;
            if *stored.path != *path {
                stored.path = path.into();
            }
        }
        for place in 0..self.files.len() as Place {
            self.free(place);
        }
    }

    pub(super) fn count_used(&mut self) {
        let stored = self.files.iter().flatten();
        let taking = stored.filter(|stored| stored.takes_room());
        self.used = taking
            .map(|stored| stored.content.bytes().len() as u64)
            .sum();
    }

    /// Nothing is on it any more, but for what is spared, and no file is open. What it has lost.
    pub fn wipe(&mut self) -> Lost {
        self.roll_back(&Snapshot::default())
    }

    /// What reads see now, as it could be brought back: a copy of all files.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let copy = |(path, place): (&str, Place)| {
            let bytes = self.stored(place).content.bytes().to_vec();
            (path.into(), bytes)
        };
        Snapshot {
            files: self.entries.all().map(copy).collect(),
        }
    }

    /// It is as it was then, and durably so; no file is open. What is spared stays as it is now. What it has
    /// lost by that: files that are not as they were, and names that are gone or are back.
    pub fn roll_back(&mut self, snapshot: &Snapshot) -> Lost {
        let now = self.snapshot();
        let spared = now.files.iter().filter(|(path, _)| self.is_spared(path));
        let then = snapshot.files.iter();
        let back = then.filter(|(path, _)| !self.is_spared(path));
        let then: BTreeMap<Box<str>, Vec<u8>> = spared.chain(back).cloned().collect();
        let mut lost = Lost::default();
        let mut back = then.len() as u32;
        for (path, bytes) in &now.files {
            match then.get(path) {
                Some(then) => {
                    back -= 1;
                    lost.files += u32::from(then != bytes);
                }
                None => lost.entries += 1,
            }
        }
        lost.entries += back;
        self.restore(then);
        lost
    }

    fn restore(&mut self, files: BTreeMap<Box<str>, Vec<u8>>) {
        self.close_all();
        self.syncing.clear();
        self.entries = Entries::default();
        self.files.clear();
        self.free_files.clear();
        for (path, bytes) in files {
            let place = self.make(&path, Content::stored(bytes));
            self.entries.set(&path, Some(place));
        }
        self.entries.harden_all(u64::MAX);
        self.count_used();
    }
}
