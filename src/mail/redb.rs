//! A store in a file, by redb.

use super::store::{Batch, Store, StoreError, Table};
use crate::kernel::{Panicked, run_user};
use crate::process::{BlockingFile, FileError, Files};
use crate::trace::FileReason;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTableMetadata, StorageBackend,
    StorageError, TableDefinition, TableError,
};
use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use xxhash_rust::xxh3::xxh3_64;

/// How much a store keeps of its file in memory, in bytes.
const CACHE: usize = 4 << 20;
/// The version of what this program writes, and where it stands.
const VERSION: u32 = 1;
const ABOUT: TableDefinition<'_, &str, u32> = TableDefinition::new("netsplit");

/// A [`Store`] in one file, which redb keeps: what was committed is there after every crash.
///
/// It runs on the disk of its process's node, be that simulated or real. One process of a node has it
/// open at a time. After an error it must be opened anew.
///
/// A sync that fails leaves a file of which nobody can tell what is on the disk: what was not synced can be
/// read and is not there, and no later sync brings it there. Such a store is set aside under another name
/// (`….unsynced`) until it is opened again, which writes all of it anew.
///
/// A file that is not as it was written is [`StoreError::Damaged`]: all of it is checked when it is opened,
/// and what is read later is held against what was there before. One thing cannot be told: the last commit
/// before a crash, damaged, looks as one that the crash tore, and is taken back.
pub struct RedbStore {
    /// There until it is dropped.
    database: Option<Database>,
    path: String,
}

impl RedbStore {
    /// Opens the store in this file, and makes it where there is none.
    ///
    /// # Errors
    /// [`StoreError`]: what is there is no store, is damaged, newer than this program, or open elsewhere; or
    /// the disk failed.
    pub fn open(files: Files, path: &str) -> Result<RedbStore, StoreError> {
        let found = open_whole(files, path).map_err(|error| of_file(path, &error))?;
        let file = match found {
            Some(file) => file,
            None => RedbStore::make(files, path)?,
        };
        let backend = Backend::new(file, Some((files, path.to_owned())));
        let store = RedbStore::of(backend, path)?;
        store.check_version()?;
        // A new file has no name for good before its directory is synced; an old one may be new.
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let synced = files.sync_directory_blocking(directory);
        synced.map_err(|error| of_file(path, &error))?;
        Ok(store)
    }

    fn of(backend: Backend, path: &str) -> Result<RedbStore, StoreError> {
        let opened = run_user(|| {
            Builder::new()
                .set_cache_size(CACHE)
                .set_check_integrity_on_open(true)
                .create_with_backend(backend)
        });
        let database = opened.map_err(|panicked| given_up(path, &panicked))?;
        Ok(RedbStore {
            database: Some(database.map_err(|error| of_database(path, error))?),
            path: path.to_owned(),
        })
    }

    /// Makes an empty store. It gets its name when all of it is on the disk: redb does not know what it has
    /// begun to make before a crash from what is damaged.
    fn make(files: Files, path: &str) -> Result<BlockingFile, StoreError> {
        let failed = |error: FileError| of_file(path, &error);
        let new = format!("{path}.new");
        let file = files.open_blocking(&new, true).map_err(failed)?;
        file.truncate(0).map_err(failed)?;
        let set_aside = None;
        let mut store = RedbStore::of(Backend::new(file, set_aside), path)?;
        store.write(|transaction| {
            transaction.open_table(ABOUT)?.insert("version", VERSION)?;
            Ok(())
        })?;
        let closed = store.database.take().map_or(Ok(()), Database::close);
        closed.map_err(|error| of_database(path, error))?;
        files.rename_blocking(&new, path).map_err(failed)?;
        files.open_blocking(path, false).map_err(failed)
    }

    /// Refuses a store that is newer than this program, or none of ours.
    fn check_version(&self) -> Result<(), StoreError> {
        let store = self.path.clone();
        let found = self.read(ABOUT, None, |about| {
            Ok(about.get("version")?.map(|version| version.value()))
        })?;
        match found {
            Some(found) if found > VERSION => Err(StoreError::Newer {
                store,
                found,
                known: VERSION,
            }),
            Some(_) => Ok(()),
            None => Err(StoreError::Damaged {
                store,
                detail: "it is a database of another program: it names no version".to_owned(),
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
        self.guarded(|database| {
            let transaction = database.begin_read()?;
            match transaction.open_table(table) {
                Ok(table) => read(&table),
                Err(TableError::TableDoesNotExist(_)) => Ok(none),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Makes changes in one transaction, durable when this returns.
    fn write(
        &self,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        self.guarded(|database| {
            let transaction = database.begin_write()?;
            change(&transaction)?;
            transaction.commit()?;
            Ok(())
        })
    }

    /// Does it with the database. Where redb comes upon what cannot be in a store that is whole, it panics.
    fn guarded<R>(
        &self,
        what: impl FnOnce(&Database) -> Result<R, redb::Error>,
    ) -> Result<R, StoreError> {
        let Some(database) = &self.database else {
            return Err(of_redb(&self.path, redb::Error::DatabaseClosed));
        };
        match run_user(|| what(database)) {
            Ok(done) => done.map_err(|error| of_redb(&self.path, error)),
            Err(panicked) => Err(given_up(&self.path, &panicked)),
        }
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        let database = self.database.take();
        // It writes a last time, and one that is damaged may panic at that, too.
        let _ = run_user(|| drop(database));
    }
}

#[cold]
fn given_up(path: &str, panicked: &Panicked) -> StoreError {
    StoreError::Damaged {
        store: path.to_owned(),
        detail: format!("redb has given it up: {}", panicked.message),
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

/// How much of a file is written anew at a time, in bytes.
const PIECE: usize = 1 << 20;

/// The name of a store of which a sync has failed.
fn aside(path: &str) -> String {
    format!("{path}.unsynced")
}

/// Opens the file of a store, where there is one. Where a sync of it has failed, all of it is written anew
/// first.
fn open_whole(files: Files, path: &str) -> Result<Option<BlockingFile>, FileError> {
    match opened(files, path)? {
        Some(file) if !file.is_empty()? => return Ok(Some(file)),
        _ => {}
    }
    let aside = aside(path);
    let Some(file) = opened(files, &aside)? else {
        return Ok(None);
    };
    let mut piece = Vec::new();
    let (len, mut at) = (file.len()?, 0);
    while at < len {
        piece.resize(PIECE.min((len - at) as usize), 0);
        file.read_at(at, &mut piece)?;
        file.write_at(at, &piece)?;
        at += piece.len() as u64;
    }
    file.sync()?;
    files.rename_blocking(&aside, path)?;
    drop(file);
    opened(files, path)
}

fn opened(files: Files, path: &str) -> Result<Option<BlockingFile>, FileError> {
    match files.open_blocking(path, false) {
        Err(error) if error.reason == FileReason::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// A file of the node, as redb wants it.
#[derive(Debug)]
struct Backend {
    file: BlockingFile,
    /// What is set aside where a sync fails, under this name.
    set_aside: Option<(Files, String)>,
    /// Of each page the hash of what was last written to it or read from it; 0 where that is not known.
    seen: Mutex<Vec<u64>>,
}

/// How large the pages are whose hashes are kept, in bytes: redb's.
const PAGE: usize = 4096;

impl Backend {
    fn new(file: BlockingFile, set_aside: Option<(Files, String)>) -> Backend {
        Backend {
            file,
            set_aside,
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Vec<u64>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pages of which these bytes are a part, each with its hash where all of it is there.
fn pages(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (usize, Option<u64>)> {
    let offset = offset as usize;
    let (first, end) = (offset / PAGE, (offset + bytes.len()).div_ceil(PAGE));
    (first..end).map(move |page| {
        let from = (page * PAGE).checked_sub(offset);
        let whole = from.and_then(|from| bytes.get(from..from + PAGE));
        // 0 says that it is not known.
        (page, whole.map(|whole| xxh3_64(whole).max(1)))
    })
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.len().map_err(io::Error::other)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, out).map_err(io::Error::other)?;
        let mut seen = self.seen();
        for (page, hash) in pages(offset, out) {
            let Some(hash) = hash else { continue };
            if seen.len() <= page {
                seen.resize(page + 1, 0);
            }
            if seen[page] != 0 && seen[page] != hash {
                let what = format!("page {page} is not what was written there");
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            seen[page] = hash;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.seen().truncate(len as usize / PAGE);
        self.file.truncate(len).map_err(io::Error::other)
    }

    fn sync_data(&self) -> io::Result<()> {
        let synced = self.file.sync();
        // Not where its process has ended: nothing has failed then, and nothing is renamed.
        if let (Err(_), Some((files, path))) = (&synced, &self.set_aside) {
            let _ = files.rename_blocking(path, &aside(path));
        }
        synced.map_err(io::Error::other)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut seen = self.seen();
        for (page, hash) in pages(offset, data) {
            if seen.len() <= page {
                seen.resize(page + 1, 0);
            }
            seen[page] = hash.unwrap_or(0);
        }
        drop(seen);
        self.file.write_at(offset, data).map_err(io::Error::other)
    }
}

fn of_file(path: &str, error: &FileError) -> StoreError {
    match error.reason {
        FileReason::Full => StoreError::Full(path.to_owned()),
        FileReason::Locked => StoreError::Locked(path.to_owned()),
        // It is shorter than what stands in it says.
        FileReason::OutOfRange => StoreError::Damaged {
            store: path.to_owned(),
            detail: error.to_string(),
        },
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
