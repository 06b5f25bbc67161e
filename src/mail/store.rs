//! Where mail is kept: tables of bytes, changed in transactions.

use crate::process::{ExitReason, Message, encode_after};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;

/// A table of a [`Store`]: keys and values are bytes, and keys are in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table(pub &'static str);

/// One change of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// Of which table.
    pub table: Table,
    /// Of what.
    pub key: &'a [u8],
    /// Its new value; none removes it.
    pub value: Option<&'a [u8]>,
}

/// Changes that are made together or not at all, in their order.
///
/// ```
/// use netsplit::mail::{Batch, MemoryStore, Store, Table};
///
/// const BALANCES: Table = Table("balances");
/// let mut store = MemoryStore::new();
/// let mut batch = Batch::new();
/// batch.put(BALANCES, b"ada", b"40");
/// batch.put(BALANCES, b"bob", b"60");
/// store.commit(&batch)?;
/// assert_eq!(store.get(BALANCES, b"bob")?, Some(b"60".to_vec()));
/// # Ok::<(), netsplit::mail::StoreError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Keys and values, one after the other: a batch that is used again allocates nothing.
    bytes: Vec<u8>,
    changes: Vec<Extent>,
}

/// How long key and value of a change are, whose bytes follow those of the change before.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Extent {
    table: Table,
    key: usize,
    value: Option<usize>,
}

impl Batch {
    /// No change.
    #[must_use]
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Sets a value.
    pub fn put(&mut self, table: Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        let length = Some(value.len());
        self.change(table, key.as_ref(), length);
        self.bytes.extend_from_slice(value);
    }

    /// Sets a value to this, encoded.
    pub(super) fn put_encoded<T: Message>(
        &mut self,
        table: Table,
        key: impl AsRef<[u8]>,
        value: &T,
    ) {
        self.change(table, key.as_ref(), None);
        let before = self.bytes.len();
        self.bytes = encode_after(value, std::mem::take(&mut self.bytes));
        if let Some(change) = self.changes.last_mut() {
            change.value = Some(self.bytes.len() - before);
        }
    }

    /// Removes a value; nothing where there is none.
    pub fn remove(&mut self, table: Table, key: impl AsRef<[u8]>) {
        self.change(table, key.as_ref(), None);
    }

    fn change(&mut self, table: Table, key: &[u8], value: Option<usize>) {
        self.bytes.extend_from_slice(key);
        let key = key.len();
        self.changes.push(Extent { table, key, value });
    }

    /// Moves the changes of another batch after its own, for a group that is committed at once.
    pub fn append(&mut self, other: &mut Batch) {
        self.bytes.append(&mut other.bytes);
        self.changes.append(&mut other.changes);
    }

    /// Forgets all changes, and keeps its memory for the next.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.changes.clear();
    }

    /// The changes, in their order.
    pub fn changes(&self) -> impl Iterator<Item = Change<'_>> {
        let mut rest = &self.bytes[..];
        self.changes.iter().map(move |extent| {
            let (key, after) = rest.split_at(extent.key);
            let (value, after) = after.split_at(extent.value.unwrap_or(0));
            rest = after;
            Change {
                table: extent.table,
                key,
                value: extent.value.map(|_| value),
            }
        })
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.changes()).finish()
    }
}

/// Tables that outlive their process: what was committed is there after every reboot.
///
/// It is synchronous, since databases are. On a simulated disk the time that an operation takes is paid by
/// the process that asked for it, at its next wait.
pub trait Store: fmt::Debug + 'static {
    /// A value, where there is one.
    ///
    /// # Errors
    /// [`StoreError`]: the disk did not do what it should.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Shows each entry whose key lies within a range, in the order of keys, for as long as `each` says so.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn scan(
        &self,
        table: Table,
        keys: RangeInclusive<&[u8]>,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError>;

    /// Makes all changes of a batch, or none. When it returns they are durable.
    ///
    /// # Errors
    /// As [`Store::get`]. Whether the changes were made is not known then: the process should end, and open
    /// the store anew.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// How many entries a table has.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn len(&self, table: Table) -> Result<u64, StoreError>;
}

/// What a store could not do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum StoreError {
    /// What lies on the disk is no store, or is damaged. Restore it from a copy, or move it away and begin
    /// without it.
    #[error(
        "the store {store} is damaged: {detail}; restore it from a copy, or move it away to begin without it"
    )]
    Damaged {
        /// Which store: the path of its file.
        store: String,
        /// What is wrong with it.
        detail: String,
    },
    /// It was written by a newer version than this one.
    #[error(
        "the store {store} has version {found}, and this program knows up to {known}: use a newer one"
    )]
    Newer {
        /// Which store: the path of its file.
        store: String,
        /// Its version.
        found: u32,
        /// The newest version that is known.
        known: u32,
    },
    /// Another process of this node has it open.
    #[error("the store {0} is open elsewhere on this node: close it there first")]
    Locked(String),
    /// The disk is full: nothing was changed.
    #[error("the disk is full: the store {0} takes no more; make room, and open it anew")]
    Full(String),
    /// The disk failed.
    #[error("the disk under the store {store} failed: {detail}; open the store anew")]
    Disk {
        /// Which store: the path of its file.
        store: String,
        /// What the disk said.
        detail: String,
    },
}

impl From<StoreError> for ExitReason {
    fn from(error: StoreError) -> ExitReason {
        ExitReason::error(error)
    }
}
