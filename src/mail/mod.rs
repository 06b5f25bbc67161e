//! Mail that is never lost: letters that are kept until somebody has said that they are done.

mod memory;
mod store;

pub use memory::MemoryStore;
pub use store::{Batch, Change, Store, StoreError, Table};
