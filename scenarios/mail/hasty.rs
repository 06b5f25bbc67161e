//! A store as it is quickly written: each commit is appended to a file, and read again at the next start.
//! That the file is synced before a commit counts was not thought of.

use netsplit::mail::{Batch, MemoryStore, Store, StoreError, Table};
use netsplit::process::{BlockingFile, FileError, Files};
use std::ops::RangeInclusive;

/// A change: of the how-manieth table, which key, and what it is from now on.
type Change = (usize, Vec<u8>, Option<Vec<u8>>);

#[derive(Debug)]
pub(crate) struct HastyStore {
    file: BlockingFile,
    end: u64,
    tables: Vec<Table>,
    read: MemoryStore,
}

impl HastyStore {
    /// Reads what is there, of these tables, as far as it can be read.
    pub(crate) fn open(
        files: Files,
        path: &str,
        tables: &[Table],
    ) -> Result<HastyStore, StoreError> {
        let file = files.open_blocking(path, true).map_err(failed)?;
        let len = file.len().map_err(failed)?;
        let mut bytes = vec![0; len as usize];
        file.read_at(0, &mut bytes).map_err(failed)?;
        let mut store = HastyStore {
            file,
            end: 0,
            tables: tables.to_vec(),
            read: MemoryStore::new(),
        };
        let mut rest = &bytes[..];
        while let Ok((changes, after)) = postcard::take_from_bytes::<Vec<Change>>(rest) {
            let mut batch = Batch::new();
            for (table, key, value) in changes {
                match value {
                    Some(value) => batch.put(tables[table], key, value),
                    None => batch.remove(tables[table], key),
                }
            }
            store.read.commit(&batch)?;
            rest = after;
        }
        store.end = len - rest.len() as u64;
        Ok(store)
    }
}

fn failed(error: FileError) -> StoreError {
    StoreError::Disk {
        store: "store".to_owned(),
        detail: error.to_string(),
    }
}

impl Store for HastyStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        keys: RangeInclusive<&[u8]>,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.read.scan(table, keys, each)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let nth = |table| self.tables.iter().position(|one| *one == table);
        let changes = batch.changes().map(|change| {
            let table = nth(change.table).expect("a table that it was opened with");
            (table, change.key.to_vec(), change.value.map(<[u8]>::to_vec))
        });
        let bytes = postcard::to_allocvec(&changes.collect::<Vec<Change>>()).expect("bytes");
        self.file.write_at(self.end, &bytes).map_err(failed)?;
        self.end += bytes.len() as u64;
        self.read.commit(batch)
    }

    fn len(&self, table: Table) -> Result<u64, StoreError> {
        self.read.len(table)
    }
}
