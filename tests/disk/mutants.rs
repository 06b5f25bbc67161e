//! Stores that drop one safeguard each: the same test finds them.

use crate::ledger::{Open, crashes, failing, scenario};
use crate::{found, hold};
use netsplit::mail::{Batch, Store, StoreError, Table};
use netsplit::process::{BlockingFile, Files};
use redb::{
    Builder, Database, ReadableDatabase, ReadableTableMetadata, StorageBackend, TableDefinition,
    TableError,
};
use std::fmt;
use std::io;
use std::ops::RangeInclusive;

/// What becomes of a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syncs {
    AsItShould,
    Never,
    ButSaysNothingWhereItFails,
}

/// A file as redb wants it.
#[derive(Debug)]
pub(crate) struct Backend {
    file: BlockingFile,
    syncs: Syncs,
}

impl Backend {
    /// One without a defect.
    pub(crate) fn honest(file: BlockingFile) -> Backend {
        let syncs = Syncs::AsItShould;
        Backend { file, syncs }
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.len().map_err(io::Error::other)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, out).map_err(io::Error::other)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len).map_err(io::Error::other)
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.syncs {
            Syncs::AsItShould => self.file.sync().map_err(io::Error::other),
            Syncs::Never => Ok(()),
            Syncs::ButSaysNothingWhereItFails => {
                let _ = self.file.sync();
                Ok(())
            }
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, data).map_err(io::Error::other)
    }
}

/// A store on redb without anything around it.
struct Plain(Database);

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plain")
    }
}

fn disk(error: impl fmt::Display) -> StoreError {
    let (store, detail) = ("plain".to_owned(), error.to_string());
    match detail.contains("corrupt") {
        true => StoreError::Damaged { store, detail },
        false => StoreError::Disk { store, detail },
    }
}

type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;

const fn definition(table: Table) -> Bytes {
    TableDefinition::new(table.0)
}

impl Plain {
    fn open(files: Files, path: &str, syncs: Syncs) -> Result<Box<dyn Store>, StoreError> {
        let file = files.open_blocking(path, true).map_err(disk)?;
        let backend = Backend { file, syncs };
        let database = Builder::new().create_with_backend(backend).map_err(disk)?;
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        files.sync_directory_blocking(directory).map_err(disk)?;
        Ok(Box::new(Plain(database)))
    }
}

impl Store for Plain {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let transaction = self.0.begin_read().map_err(disk)?;
        match transaction.open_table(definition(table)) {
            Ok(table) => {
                let value = table.get(key).map_err(disk)?;
                Ok(value.map(|value| value.value().to_vec()))
            }
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(disk(error)),
        }
    }

    fn scan(
        &self,
        table: Table,
        keys: RangeInclusive<&[u8]>,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let transaction = self.0.begin_read().map_err(disk)?;
        let table = match transaction.open_table(definition(table)) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            table => table.map_err(disk)?,
        };
        for entry in table.range::<&[u8]>(keys).map_err(disk)? {
            let (key, value) = entry.map_err(disk)?;
            if !each(key.value(), value.value()) {
                break;
            }
        }
        Ok(())
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let transaction = self.0.begin_write().map_err(disk)?;
        for change in batch.changes() {
            let mut table = transaction
                .open_table(definition(change.table))
                .map_err(disk)?;
            match change.value {
                Some(value) => drop(table.insert(change.key, value).map_err(disk)?),
                None => drop(table.remove(change.key).map_err(disk)?),
            }
        }
        transaction.commit().map_err(disk)
    }

    fn len(&self, table: Table) -> Result<u64, StoreError> {
        let transaction = self.0.begin_read().map_err(disk)?;
        let table = transaction.open_table(definition(table)).map_err(disk)?;
        table.len().map_err(disk)
    }
}

const PLAIN: Open = |files, path| Plain::open(files, path, Syncs::AsItShould);
const NEVER_SYNCED: Open = |files, path| Plain::open(files, path, Syncs::Never);
const DEAF: Open = |files, path| Plain::open(files, path, Syncs::ButSaysNothingWhereItFails);

/// Within how many seeds a mutant must be found.
const WITHIN: u64 = 300;

#[test]
fn a_store_that_does_not_sync_is_found_by_a_crash() {
    let (seed, violation) = found(&scenario(NEVER_SYNCED, crashes()), WITHIN).expect("lost");
    assert!(seed < 5, "{seed}: {violation:?}");
    hold(&scenario(PLAIN, crashes()), 50);
}

#[test]
fn a_store_that_does_not_hear_that_a_sync_has_failed_is_found() {
    hold(&scenario(DEAF, crashes()), 10);
    found(&scenario(DEAF, failing()), WITHIN).expect("lost");
}

/// The bytes of a sync that failed can be read until the next crash, and no later sync writes them: whoever
/// goes on with what is there builds on what is not.
#[test]
fn a_store_that_is_opened_again_after_a_failed_sync_as_if_nothing_had_been_is_found() {
    found(&scenario(PLAIN, failing()), WITHIN).expect("lost");
}
