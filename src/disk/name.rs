//! Operations on names: rename, remove, list, look for.

use super::model::{Disk, On};
use super::serve::{Asker, Served, Speed};
use crate::choice::{Choice, valid_path};
use crate::trace::FileReason;

impl Disk {
    /// Gives a file another path, and replaces what was there: after a crash the one or the other is there.
    pub fn rename(
        &mut self,
        choice: &mut Choice,
        asker: &Asker,
        from: &str,
        to: &str,
    ) -> Served<()> {
        self.settle(asker.now);
        let result = self.give_path(from, to);
        self.served(choice, asker, (Speed::Entry, On::Path(from)), result, None)
    }

    fn give_path(&mut self, from: &str, to: &str) -> Result<(), FileReason> {
        if !valid_path(from) || !valid_path(to) {
            return Err(FileReason::BadPath);
        }
        let place = self.entries.find(from).ok_or(FileReason::NotFound)?;
        if from == to {
            return Ok(());
        }
        if self.entries.is_directory(to) || self.entries.leads_through_file(to) {
            return Err(FileReason::BadPath);
        }
        let replaced = self.entries.find(to);
        self.entries.rename(from, to);
        self.stored_mut(place).path = to.into();
        self.tell([place, place]);
        if let Some(replaced) = replaced {
            self.tell([replaced]);
            self.stored_mut(replaced).has_name = false;
            self.gone(replaced);
        }
        Ok(())
    }

    /// Removes a file. Whoever has it open keeps it.
    pub fn remove(&mut self, choice: &mut Choice, asker: &Asker, path: &str) -> Served<()> {
        self.settle(asker.now);
        let result = match self.entries.find(path) {
            None if !valid_path(path) => Err(FileReason::BadPath),
            None => Err(FileReason::NotFound),
            Some(place) => {
                self.entries.set(path, None);
                self.tell([place]);
                self.stored_mut(place).has_name = false;
                self.gone(place);
                Ok(())
            }
        };
        self.served(choice, asker, (Speed::Entry, On::Path(path)), result, None)
    }

    /// What lies in a directory, in order: files by their names, and directories with a `/` behind them.
    /// Nothing where there is no such directory. The root is the empty path.
    pub fn list(
        &mut self,
        choice: &mut Choice,
        asker: &Asker,
        directory: &str,
    ) -> Served<Vec<String>> {
        self.settle(asker.now);
        let result = match directory.is_empty() || valid_path(directory) {
            true => Ok(self.entries.list(directory)),
            false => Err(FileReason::BadPath),
        };
        let on = On::Path(directory);
        self.served(choice, asker, (Speed::Entry, on), result, None)
    }

    /// Whether there is a file of this path.
    pub fn exists(&mut self, choice: &mut Choice, asker: &Asker, path: &str) -> Served<bool> {
        self.settle(asker.now);
        let result = match valid_path(path) {
            true => Ok(self.entries.find(path).is_some()),
            false => Err(FileReason::BadPath),
        };
        self.served(choice, asker, (Speed::Entry, On::Path(path)), result, None)
    }
}
