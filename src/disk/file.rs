//! Operations on files: open, read, write, truncate, close.

use super::content::Content;
use super::entries::Place;
use super::model::{Disk, FileHandle, On, stored_in};
use super::serve::{Asker, Served, Speed};
use crate::choice::{Choice, valid_path};
use crate::kernel::time::Time;
use crate::trace::{DiskFault, FileReason};

impl Disk {
    /// Opens a file; with `create`, makes it where there is none.
    pub fn open(
        &mut self,
        choice: &mut Choice,
        asker: &Asker,
        path: &str,
        create: bool,
    ) -> Served<FileHandle> {
        self.settle(asker.now);
        let result = self.find_or_make(path, create);
        let handle = result.map(|place| self.hand_out(place));
        self.served(choice, asker, (Speed::Entry, On::Path(path)), handle, None)
    }

    fn find_or_make(&mut self, path: &str, create: bool) -> Result<Place, FileReason> {
        if !valid_path(path) {
            return Err(FileReason::BadPath);
        }
        if let Some(place) = self.entries.find(path) {
            return Ok(place);
        }
        if self.entries.is_directory(path) || self.entries.leads_through_file(path) {
            return Err(FileReason::BadPath);
        }
        if !create {
            return Err(FileReason::NotFound);
        }
        if self.condition.is_full {
            return Err(FileReason::Full);
        }
        let place = self.make(path, Content::default());
        self.entries.set(path, Some(place));
        self.tell([place]);
        Ok(place)
    }

    /// Gives an open file back; whether it was open.
    pub fn close(&mut self, file: FileHandle) -> bool {
        let Ok(place) = self.place(file) else {
            return false;
        };
        self.take_back(file.0 as u32);
        self.stored_mut(place).opened -= 1;
        self.gone(place);
        true
    }

    /// How long a file is, in bytes.
    ///
    /// # Errors
    /// It is not open.
    pub fn len(&mut self, now: Time, file: FileHandle) -> Result<u64, FileReason> {
        // A sync that failed may have taken what was appended.
        self.settle(now);
        let place = self.place(file)?;
        Ok(self.stored(place).content.bytes().len() as u64)
    }

    /// Fills `into` with what stands from `at` on, all of it.
    #[inline]
    pub fn read_at(
        &mut self,
        choice: &mut Choice,
        asker: &Asker,
        file: FileHandle,
        at: u64,
        into: &mut [u8],
    ) -> Served<()> {
        self.settle(asker.now);
        let (on, befell, result) = match self.place(file) {
            Err(reason) => (On::Path(""), None, Err(reason)),
            Ok(place) => {
                let (befell, result) = self.read(choice, asker, place, at, into);
                (On::File(place), befell, result)
            }
        };
        self.served(choice, asker, (Speed::Read, on), result, befell)
    }

    #[inline]
    fn read(
        &mut self,
        choice: &mut Choice,
        asker: &Asker,
        place: Place,
        at: u64,
        into: &mut [u8],
    ) -> (Option<DiskFault>, Result<(), FileReason>) {
        let length = self.stored(place).content.bytes().len() as u64;
        if at
            .checked_add(into.len() as u64)
            .is_none_or(|end| end > length)
        {
            return (None, Err(FileReason::OutOfRange));
        }
        let (on, at) = (On::File(place), at as usize);
        if self.strike(choice, asker, (DiskFault::ReadError, 1), on) != 0 {
            return (Some(DiskFault::ReadError), Err(FileReason::Io));
        }
        let mut befell = None;
        let bits = into.len() as u64 * 8;
        let rots = self.strike(choice, asker, (DiskFault::Rot, bits), on);
        if rots != 0 && !self.is_spared(&self.stored(place).path) {
            let (byte, bit) = ((rots - 1) / 8, (rots - 1) % 8);
            let content = &mut self.stored_mut(place).content;
            content.rot(at + byte as usize, bit as u8);
            befell = Some(DiskFault::Rot);
        }
        let bytes = self.stored(place).content.bytes();
        into.copy_from_slice(&bytes[at..at + into.len()]);
        (befell, Ok(()))
    }

    /// Writes over what stands from `at` on; the file grows where it must, with zeros in a gap. Where there
    /// is no room for all of it, nothing is written.
    #[inline]
    pub fn write_at(
        &mut self,
        choice: &mut Choice,
        asker: &Asker,
        file: FileHandle,
        at: u64,
        bytes: &[u8],
    ) -> Served<()> {
        self.settle(asker.now);
        let (on, befell, result) = match self.place(file) {
            Err(reason) => (On::Path(""), None, Err(reason)),
            Ok(place) => {
                let (befell, result) = self.write(choice, asker, place, at, bytes);
                (On::File(place), befell, result)
            }
        };
        self.served(choice, asker, (Speed::Write, on), result, befell)
    }

    /// Writes after the end, and tells where that was.
    #[inline]
    pub fn append(
        &mut self,
        choice: &mut Choice,
        asker: &Asker,
        file: FileHandle,
        bytes: &[u8],
    ) -> Served<u64> {
        let at = self.len(asker.now, file).unwrap_or(0);
        let served = self.write_at(choice, asker, file, at, bytes);
        Served {
            result: served.result.map(|()| at),
            takes_ns: served.takes_ns,
            befell: served.befell,
        }
    }

    #[inline]
    fn write(
        &mut self,
        choice: &mut Choice,
        asker: &Asker,
        place: Place,
        at: u64,
        bytes: &[u8],
    ) -> (Option<DiskFault>, Result<(), FileReason>) {
        let (on, size) = (On::File(place), bytes.len() as u64);
        let end = at.saturating_add(size);
        let length = self.stored(place).content.bytes().len() as u64;
        if size > 0 && !self.has_room(end.saturating_sub(length)) {
            return (None, Err(FileReason::Full));
        }
        let sector = self.settings.sector as u64;
        match self.strike(choice, asker, (DiskFault::WriteError, 2), on) {
            0 => {}
            how => {
                let half = (at + size / 2) / sector * sector;
                let done = if how == 2 { half.saturating_sub(at) } else { 0 };
                self.put(place, at, &bytes[..done as usize]);
                return (Some(DiskFault::WriteError), Err(FileReason::Io));
            }
        }
        let places = (end.max(length) - size) / sector + 1;
        let ways = if size == 0 { 0 } else { places };
        match self.strike(choice, asker, (DiskFault::Misdirect, ways), on) {
            0 => {}
            to if (to - 1) * sector == at || self.is_spared(&self.stored(place).path) => {}
            to => {
                if end > length {
                    self.set_length(place, end);
                }
                self.put(place, (to - 1) * sector, bytes);
                return (Some(DiskFault::Misdirect), Ok(()));
            }
        }
        self.put(place, at, bytes);
        (None, Ok(()))
    }

    #[inline]
    fn put(&mut self, place: Place, at: u64, bytes: &[u8]) {
        let content = &mut stored_in(&mut self.files, place).content;
        let before = content.bytes().len();
        content.write(at as usize, bytes);
        self.used += (content.bytes().len() - before) as u64;
        let is_full = content.pending() > self.settings.unsynced_changes;
        if is_full || content.journal_bytes() > self.settings.unsynced_bytes {
            content.write_back(self.settings.sector);
        }
    }

    fn set_length(&mut self, place: Place, len: u64) {
        let content = &mut stored_in(&mut self.files, place).content;
        let before = content.bytes().len() as u64;
        content.truncate(len as usize);
        self.used = self.used + len - before;
        if content.pending() > self.settings.unsynced_changes {
            content.write_back(self.settings.sector);
        }
    }

    fn has_room(&self, grows: u64) -> bool {
        let used = self.used.saturating_add(grows);
        grows == 0 || (!self.condition.is_full && used <= self.settings.capacity)
    }

    /// Makes a file this long: cut off, or with zeros at its end.
    pub fn truncate(
        &mut self,
        choice: &mut Choice,
        asker: &Asker,
        file: FileHandle,
        len: u64,
    ) -> Served<()> {
        self.settle(asker.now);
        let place = match self.place(file) {
            Ok(place) => place,
            Err(reason) => {
                let on = On::Path("");
                return self.served(choice, asker, (Speed::Write, on), Err(reason), None);
            }
        };
        let on = On::File(place);
        let length = self.stored(place).content.bytes().len() as u64;
        let (befell, result) = if !self.has_room(len.saturating_sub(length)) {
            (None, Err(FileReason::Full))
        } else if self.strike(choice, asker, (DiskFault::WriteError, 2), on) != 0 {
            (Some(DiskFault::WriteError), Err(FileReason::Io))
        } else {
            self.set_length(place, len);
            (None, Ok(()))
        };
        self.served(choice, asker, (Speed::Write, on), result, befell)
    }
}
