//! A store in a file, by redb.

use super::store::{Batch, Store, StoreError, Table};
use crate::process::{BlockingFile, FileError, Files};
use crate::trace::FileReason;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTableMetadata, StorageBackend,
    StorageError, TableDefinition, TableError,
};
use std::fmt;
use std::io;
use std::ops::RangeInclusive;

/// How much a store keeps of its file in memory, in bytes.
const CACHE: usize = 4 << 20;
/// The version of what this program writes, and where it stands.
const VERSION: u32 = 1;
const ABOUT: TableDefinition<'_, &str, u32> = TableDefinition::new("netsplit");

/// A [`Store`] in one file, which redb keeps: what was committed is there after every crash.
///
/// It runs on the disk of its process's node, be that simulated or real. One process of a node has it
/// open at a time. After an error it must be opened anew.
pub struct RedbStore {
    database: Database,
    path: String,
}

impl RedbStore {
    /// Opens the store in this file, and makes it where there is none.
    ///
    /// # Errors
    /// [`StoreError`]: what is there is no store, is damaged, newer than this program, or open elsewhere; or
    /// the disk failed.
    pub fn open(files: Files, path: &str) -> Result<RedbStore, StoreError> {
        let file = files.open_blocking(path, true);
        let file = file.map_err(|error| of_file(path, &error))?;
        let backend = Backend { file };
        let database = Builder::new()
            .set_cache_size(CACHE)
            .create_with_backend(backend);
        let store = RedbStore {
            database: database.map_err(|error| of_database(path, error))?,
            path: path.to_owned(),
        };
        store.check_version()?;
        // A new file has no name for good before its directory is synced; an old one may be new.
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let synced = files.sync_directory_blocking(directory);
        synced.map_err(|error| of_file(path, &error))?;
        Ok(store)
    }

    /// Notes the version in a new store; refuses one that is newer.
    fn check_version(&self) -> Result<(), StoreError> {
        let found = self.read(ABOUT, None, |about| {
            Ok(about.get("version")?.map(|version| version.value()))
        })?;
        match found {
            Some(found) if found > VERSION => Err(StoreError::Newer {
                store: self.path.clone(),
                found,
                known: VERSION,
            }),
            Some(_) => Ok(()),
            None => self.write(|transaction| {
                transaction.open_table(ABOUT)?.insert("version", VERSION)?;
                Ok(())
            }),
        }
    }
}

impl RedbStore {
    /// Reads in a table; `none` where there is no such table yet.
    fn read<K, V, R>(
        &self,
        table: TableDefinition<'_, K, V>,
        none: R,
        read: impl FnOnce(&redb::ReadOnlyTable<K, V>) -> Result<R, redb::Error>,
    ) -> Result<R, StoreError>
    where
        K: redb::Key + 'static,
        V: redb::Value + 'static,
    {
        let found = || -> Result<R, redb::Error> {
            let transaction = self.database.begin_read()?;
            match transaction.open_table(table) {
                Ok(table) => read(&table),
                Err(TableError::TableDoesNotExist(_)) => Ok(none),
                Err(error) => Err(error.into()),
            }
        };
        found().map_err(|error| of_redb(&self.path, error))
    }

    /// Makes changes in one transaction, durable when this returns.
    fn write(
        &self,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let made = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            change(&transaction)?;
            transaction.commit()?;
            Ok(())
        };
        made().map_err(|error| of_redb(&self.path, error))
    }
}

type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;

const fn definition(table: Table) -> Bytes {
    TableDefinition::new(table.0)
}

impl Store for RedbStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(definition(table), None, |table| {
            Ok(table.get(key)?.map(|value| value.value().to_vec()))
        })
    }

    fn scan(
        &self,
        table: Table,
        keys: RangeInclusive<&[u8]>,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        if keys.start() > keys.end() {
            return Ok(());
        }
        self.read(definition(table), (), |table| {
            for entry in table.range::<&[u8]>(keys)? {
                let (key, value) = entry?;
                if !each(key.value(), value.value()) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.write(|transaction| {
            // A table is open for as long as changes are its own: mostly those of a batch come in runs.
            let mut changes = batch.changes().peekable();
            while let Some(first) = changes.peek().map(|change| change.table) {
                let mut table = transaction.open_table(definition(first))?;
                while let Some(change) = changes.next_if(|change| change.table == first) {
                    match change.value {
                        Some(value) => drop(table.insert(change.key, value)?),
                        None => drop(table.remove(change.key)?),
                    }
                }
            }
            Ok(())
        })
    }

    fn len(&self, table: Table) -> Result<u64, StoreError> {
        self.read(definition(table), 0, |table| Ok(table.len()?))
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedbStore({})", self.path)
    }
}

/// A file of the node, as redb wants it.
#[derive(Debug)]
struct Backend {
    file: BlockingFile,
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
        self.file.sync().map_err(io::Error::other)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, data).map_err(io::Error::other)
    }
}

fn of_file(path: &str, error: &FileError) -> StoreError {
    match error.reason {
        FileReason::Full => StoreError::Full(path.to_owned()),
        FileReason::Locked => StoreError::Locked(path.to_owned()),
        _ => StoreError::Disk {
            store: path.to_owned(),
            detail: error.to_string(),
        },
    }
}

fn of_database(path: &str, error: DatabaseError) -> StoreError {
    let (store, detail) = (path.to_owned(), error.to_string());
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Locked(store),
        DatabaseError::Storage(StorageError::Io(error)) => of_io(path, &error),
        DatabaseError::Storage(_) => StoreError::Damaged { store, detail },
        _ => StoreError::Damaged { store, detail },
    }
}

fn of_redb(path: &str, error: redb::Error) -> StoreError {
    let (store, detail) = (path.to_owned(), error.to_string());
    match error {
        redb::Error::Io(error) => of_io(path, &error),
        redb::Error::PreviousIo => StoreError::Disk { store, detail },
        redb::Error::DatabaseAlreadyOpen => StoreError::Locked(store),
        _ => StoreError::Damaged { store, detail },
    }
}

/// An error of the disk under redb: that of the file, where it came from there; else what redb itself has
/// found in the file.
fn of_io(path: &str, error: &io::Error) -> StoreError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(error) => of_file(path, error),
        None => StoreError::Damaged {
            store: path.to_owned(),
            detail: error.to_string(),
        },
    }
}
