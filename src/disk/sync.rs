//! Syncs: they take effect when their time is over.

use super::entries::Place;
use super::model::{Disk, FileHandle, On};
use super::serve::{Asker, Served, Speed};
use crate::choice::{Choice, valid_path};
use crate::kernel::time::Time;
use crate::trace::{DiskFault, FileReason};
use std::mem;

/// A sync that is under way.
#[derive(Clone, Debug)]
pub(super) struct Syncing {
    /// When it is done; none: when the disk is released.
    pub(super) due: Option<Time>,
    of: Synced,
    /// What was changed before this number.
    before: u64,
    /// Whether it fails, and how.
    failure: u64,
}

#[derive(Clone, Debug)]
enum Synced {
    File { place: Place, serial: u64 },
    Directory(Box<str>),
}

/// How a sync fails: what was not synced is lost at the next crash, or at once.
const GONE_AT_ONCE: u64 = 2;

impl Disk {
    /// What was written to a file is durable when this is done; or it fails, and is never.
    pub fn sync(&mut self, choice: &mut Choice, asker: &Asker, file: FileHandle) -> Served<()> {
        self.settle(asker.now);
        match self.place(file) {
            Err(reason) => {
                let on = On::Path("");
                self.served(choice, asker, (Speed::Sync, on), Err(reason), None)
            }
            Ok(place) => {
                let stored = self.stored(place);
                let (serial, before) = (stored.serial, stored.content.changed());
                let of = Synced::File { place, serial };
                self.begin_sync(choice, asker, On::File(place), of, before)
            }
        }
    }

    /// What was made, renamed and removed in a directory is durable when this is done; what was renamed to
    /// another directory, too. The root is the empty path. Where it fails, all is as if it had not been
    /// asked for.
    pub fn sync_directory(
        &mut self,
        choice: &mut Choice,
        asker: &Asker,
        directory: &str,
    ) -> Served<()> {
        self.settle(asker.now);
        let on = On::Path(directory);
        if !directory.is_empty() && !valid_path(directory) {
            let result = Err(FileReason::BadPath);
            return self.served(choice, asker, (Speed::Sync, on), result, None);
        }
        let before = self.entries.changed();
        self.begin_sync(
            choice,
            asker,
            on,
            Synced::Directory(directory.into()),
            before,
        )
    }

    fn begin_sync(
        &mut self,
        choice: &mut Choice,
        asker: &Asker,
        on: On<'_>,
        of: Synced,
        before: u64,
    ) -> Served<()> {
        let failure = self.strike(choice, asker, (DiskFault::SyncError, GONE_AT_ONCE), on);
        let (befell, result) = match failure {
            0 => (None, Ok(())),
            _ => (Some(DiskFault::SyncError), Err(FileReason::Io)),
        };
        let served = self.served(choice, asker, (Speed::Sync, on), result, befell);
        let due = served
            .takes_ns
            .map(|takes_ns| asker.now.plus_nanos(takes_ns));
        let syncing = Syncing {
            due,
            of,
            before,
            failure,
        };
        match asker.is_blocking {
            true => self.end_sync(syncing),
            false => self.syncing.push(syncing),
        }
        served
    }

    /// Syncs whose time is over by now have taken effect.
    #[inline]
    pub(super) fn settle(&mut self, now: Time) {
        if !self.syncing.is_empty() {
            self.end_syncs(now);
        }
    }

    #[cold]
    fn end_syncs(&mut self, now: Time) {
        let is_over = |syncing: &Syncing| syncing.due.is_some_and(|due| due <= now);
        let (mut over, under_way): (Vec<Syncing>, Vec<Syncing>) =
            mem::take(&mut self.syncing).into_iter().partition(is_over);
        self.syncing = under_way;
        over.sort_by_key(|syncing| syncing.due);
        for syncing in over {
            self.end_sync(syncing);
        }
    }

    fn end_sync(&mut self, syncing: Syncing) {
        let Syncing {
            of,
            before,
            failure,
            ..
        } = syncing;
        match of {
            Synced::Directory(_) if failure != 0 => {}
            Synced::Directory(directory) => {
                let told = self.entries.harden(&directory, before);
                self.forget(told);
            }
            Synced::File { place, serial } => {
                let stored = self.files[place as usize].as_mut();
                let Some(stored) = stored.filter(|stored| stored.serial == serial) else {
                    return;
                };
                let content = &mut stored.content;
                match failure {
                    0 => content.harden(before, self.settings.sector),
                    GONE_AT_ONCE => {
                        content.drop_pending();
                        self.count_used();
                    }
                    _ => content.fail(before),
                }
            }
        }
    }
}
