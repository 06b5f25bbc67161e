//! The disk: what it is made of, how it is set, and the table of its files.

use super::content::Content;
use super::entries::{Entries, Place};
use super::settings::{Aimed, Condition, DiskFaults, Settings, SettingsError};
use super::sync::Syncing;
use crate::kernel::time::Time;
use crate::trace::FileReason;

/// An open file. It means nothing any more after it was closed, or after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileHandle(pub(super) u64);

impl FileHandle {
    /// The number that stands for it.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The handle for which this number stands; where none does, it is not open.
    #[must_use]
    pub const fn from_u64(number: u64) -> FileHandle {
        FileHandle(number)
    }

    pub(super) const fn new(slot: u32, generation: u32) -> FileHandle {
        FileHandle((generation as u64) << 32 | slot as u64)
    }
}

/// A file: as long as it has a name, is open, or may come back in a crash.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) content: Content,
    /// Its name, or the last that it had.
    pub(super) path: Box<str>,
    /// The how-manieth file of this disk it is: a place is used again.
    pub(super) serial: u64,
    pub(super) has_name: bool,
    /// How often it is open.
    pub(super) opened: u32,
    /// How many changes of names that are not durable tell of it.
    pub(super) told: u32,
}

impl Stored {
    pub(super) fn takes_room(&self) -> bool {
        self.has_name || self.opened > 0
    }
}

/// What an operation is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum On<'a> {
    File(Place),
    Path(&'a str),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Opened {
    pub(super) generation: u32,
    pub(super) place: Option<Place>,
}

/// How many changes of names may wait for a sync, before the older half is written back.
const UNSYNCED_ENTRIES: usize = 1 << 16;

/// The disk of one node.
///
/// Paths have parts with `/` between them (letters, digits, `_`, `-`, `.`), and directories are not made:
/// one is there as soon as something lies in it. An operation is done at the moment in which it is asked
/// for, and known to be after as long as it takes; a sync alone takes effect when that time is over, if no
/// crash comes before. `docs/SEMANTICS.md` says what is durable when.
///
/// ```
/// use netsplit::Time;
/// use netsplit::choice::{Choice, Lineage};
/// use netsplit::disk::{Asker, Disk, Settings};
///
/// let mut choice = Choice::seeded(7);
/// let mut disk = Disk::new(Settings::default())?;
/// let mut asker = Asker { now: Time::ZERO, who: Lineage::node("a"), nth: 0, is_blocking: true };
/// let mut next = || { asker.nth += 1; asker };
///
/// let file = disk.open(&mut choice, &next(), "mail/outbox", true).result?;
/// disk.append(&mut choice, &next(), file, b"kept").result?;
/// disk.sync(&mut choice, &next(), file).result?;
/// disk.sync_directory(&mut choice, &next(), "mail").result?;
/// disk.append(&mut choice, &next(), file, b", perhaps").result?;
/// disk.crash(&mut choice, Time::ZERO, Lineage::node("a").boot(0));
/// assert!(disk.contents("mail/outbox").is_some_and(|kept| kept.starts_with(b"kept")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Disk {
    pub(super) settings: Settings,
    pub(super) faults: DiskFaults,
    pub(super) aims: Vec<Aimed>,
    pub(super) condition: Condition,
    /// Of which files, or directories, nothing is hurt.
    pub(super) spared: Vec<String>,
    pub(super) entries: Entries,
    pub(super) files: Vec<Option<Stored>>,
    pub(super) free_files: Vec<Place>,
    pub(super) opened: Vec<Opened>,
    pub(super) free_handles: Vec<u32>,
    pub(super) syncing: Vec<Syncing>,
    /// How many bytes the files take that have a name or are open.
    pub(super) used: u64,
    pub(super) crashes: u64,
    pub(super) made: u64,
}

impl Disk {
    /// An empty disk.
    ///
    /// # Errors
    /// Settings that make no sense.
    pub fn new(settings: Settings) -> Result<Disk, SettingsError> {
        settings.validate()?;
        Ok(Disk {
            settings,
            faults: DiskFaults::default(),
            aims: Vec::new(),
            condition: Condition::default(),
            spared: Vec::new(),
            entries: Entries::default(),
            files: Vec::new(),
            free_files: Vec::new(),
            opened: Vec::new(),
            free_handles: Vec::new(),
            syncing: Vec::new(),
            used: 0,
            crashes: 0,
            made: 0,
        })
    }

    /// From now on under these faults.
    pub fn set_faults(&mut self, faults: DiskFaults) {
        self.faults = faults;
    }

    /// This befalls one operation that is to come.
    pub fn aim(&mut self, aimed: Aimed) {
        self.aims.push(aimed);
    }

    /// How it is.
    #[must_use]
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// From now on it is so. Where it no longer hangs, what hung is done now.
    pub fn set_condition(&mut self, now: Time, condition: Condition) {
        self.condition = condition;
        if !condition.hangs {
            for syncing in &mut self.syncing {
                syncing.due.get_or_insert(now);
            }
        }
        self.settle(now);
    }

    /// No fault befalls it from now on, be it drawn or aimed, and it is as it should be: what hung is done
    /// now.
    pub fn heal(&mut self, now: Time) {
        self.faults = DiskFaults::default();
        self.aims.clear();
        self.set_condition(now, Condition::default());
    }

    /// No fault hurts what is stored of this file, or of any in this directory: no rot, no misdirected
    /// write, no earlier snapshot, no wipe. See [`Budget`](super::Budget).
    pub fn spare(&mut self, path: &str) {
        self.spared.push(path.to_owned());
    }

    pub(super) fn is_spared(&self, path: &str) -> bool {
        let below = |spared: &String| {
            let rest = path.strip_prefix(spared.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.spared.iter().any(below)
    }

    /// What a read would see of a file; none where there is no such file.
    #[must_use]
    pub fn contents(&self, path: &str) -> Option<&[u8]> {
        let stored = self.stored(self.entries.find(path)?);
        Some(stored.content.bytes())
    }

    /// The paths of all files, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.entries.all().map(|(path, _)| path)
    }

    /// How many bytes the files take that have a name or are open.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }

    // --- The table of files -----------------------------------------------------------------------

    /// A file that has this name.
    pub(super) fn make(&mut self, path: &str, content: Content) -> Place {
        let stored = Stored {
            content,
            path: path.into(),
            serial: self.made,
            has_name: true,
            opened: 0,
            told: 0,
        };
        self.made += 1;
        if let Some(place) = self.free_files.pop() {
            self.files[place as usize] = Some(stored);
            return place;
        }
        self.files.push(Some(stored));
        (self.files.len() - 1) as Place
    }

    pub(super) fn hand_out(&mut self, place: Place) -> FileHandle {
        self.stored_mut(place).opened += 1;
        let slot = self.free_handles.pop().unwrap_or_else(|| {
            self.opened.push(Opened::default());
            (self.opened.len() - 1) as u32
        });
        let opened = &mut self.opened[slot as usize];
        opened.place = Some(place);
        FileHandle::new(slot, opened.generation)
    }

    pub(super) fn take_back(&mut self, slot: u32) {
        let opened = &mut self.opened[slot as usize];
        opened.place = None;
        opened.generation = opened.generation.wrapping_add(1);
        self.free_handles.push(slot);
    }

    #[inline]
    pub(super) fn place(&self, file: FileHandle) -> Result<Place, FileReason> {
        let opened = self.opened.get(file.0 as u32 as usize);
        let opened = opened.filter(|opened| opened.generation == (file.0 >> 32) as u32);
        opened
            .and_then(|opened| opened.place)
            .ok_or(FileReason::NotOpen)
    }

    #[inline]
    pub(super) fn stored(&self, place: Place) -> &Stored {
        self.files[place as usize]
            .as_ref()
            .expect("a file that is open, or has a name, is there")
    }

    #[inline]
    pub(super) fn stored_mut(&mut self, place: Place) -> &mut Stored {
        stored_in(&mut self.files, place)
    }

    /// A change of names that is not durable tells of these files.
    pub(super) fn tell(&mut self, places: impl IntoIterator<Item = Place>) {
        for place in places {
            self.stored_mut(place).told += 1;
        }
        if self.entries.pending() > UNSYNCED_ENTRIES {
            let half = self.entries.changed() - (UNSYNCED_ENTRIES / 2) as u64;
            let told = self.entries.harden_all(half);
            self.forget(told);
        }
    }

    /// Changes that told of these files are durable.
    pub(super) fn forget(&mut self, told: Vec<Place>) {
        for place in told {
            self.stored_mut(place).told -= 1;
            self.free(place);
        }
    }

    /// A file has lost a name, or was closed.
    pub(super) fn gone(&mut self, place: Place) {
        let Some(stored) = &self.files[place as usize] else {
            return;
        };
        if !stored.takes_room() {
            self.used -= stored.content.bytes().len() as u64;
        }
        self.free(place);
    }

    /// Forgets a file that nobody can see any more.
    pub(super) fn free(&mut self, place: Place) {
        let file = &mut self.files[place as usize];
        let is_over = |stored: &Stored| !stored.takes_room() && stored.told == 0;
        if file.as_ref().is_some_and(is_over) {
            *file = None;
            self.free_files.push(place);
        }
    }
}

#[inline]
pub(super) fn stored_in(files: &mut [Option<Stored>], place: Place) -> &mut Stored {
    files[place as usize]
        .as_mut()
        .expect("a file that is open, or has a name, is there")
}
