//! A store that outlives its process: tables by name, on the thread that makes the run.

use netsplit::Context;
use netsplit::mail::{Batch, MemoryStore, Store, StoreError, Table};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

thread_local! {
    static STORES: RefCell<BTreeMap<String, MemoryStore>> = RefCell::default();
}

/// Forgets all stores: before each run.
pub(crate) fn wipe() {
    STORES.with(|stores| stores.borrow_mut().clear());
}

/// Looks into a store from outside the run.
pub(crate) fn look<R>(name: &str, look: impl FnOnce(&MemoryStore) -> R) -> R {
    STORES.with(|stores| look(stores.borrow_mut().entry(name.to_owned()).or_default()))
}

/// A store by name, opened by a process.
pub(crate) struct Durable {
    name: String,
    ctx: Context,
    /// Every so manieth commit fails, drawn; 0: none does.
    fails_one_in: u64,
}

impl Durable {
    pub(crate) fn open(name: &str, ctx: Context) -> Durable {
        Durable {
            name: name.to_owned(),
            ctx,
            fails_one_in: 0,
        }
    }

    pub(crate) fn failing(mut self, one_in: u64) -> Durable {
        self.fails_one_in = one_in;
        self
    }
}

impl fmt::Debug for Durable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Durable({})", self.name)
    }
}

impl Store for Durable {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        look(&self.name, |store| store.get(table, key))
    }

    fn scan(
        &self,
        table: Table,
        keys: RangeInclusive<&[u8]>,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        look(&self.name, |store| store.scan(table, keys, each))
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mut fate = 0;
        if self.fails_one_in > 0 {
            fate = self.ctx.random_below(2 * self.fails_one_in);
        }
        // A call of the host, so a crash may fall here; what is crashed changes nothing.
        let mut lives = false;
        self.ctx.observe("commits", |commits: &mut u64| {
            *commits += 1;
            lives = true;
        });
        if !lives {
            return Ok(());
        }
        let disk = || StoreError::Disk {
            store: self.name.clone(),
            detail: "a fault of the test".to_owned(),
        };
        if self.fails_one_in > 0 && fate == 0 {
            return Err(StoreError::Full(self.name.clone()));
        }
        if self.fails_one_in > 0 && fate == 1 {
            return Err(disk());
        }
        STORES.with(|stores| {
            let mut stores = stores.borrow_mut();
            stores.entry(self.name.clone()).or_default().commit(batch)
        })
    }

    fn len(&self, table: Table) -> Result<u64, StoreError> {
        look(&self.name, |store| store.len(table))
    }
}
