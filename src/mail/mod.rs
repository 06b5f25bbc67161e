//! Mail that is never lost: letters that are kept until somebody has said that they are done.

mod memory;
#[cfg(feature = "redb")]
mod redb;
mod store;

pub use memory::MemoryStore;
#[cfg(feature = "redb")]
pub use redb::RedbStore;
pub use store::{Batch, Change, Store, StoreError, Table};
