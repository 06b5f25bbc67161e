//! Mail that is never lost: letters that are kept until somebody has said that they are done.

mod inbox;
pub mod lease;
mod letter;
mod memory;
mod outbox;
pub mod queue;
#[cfg(feature = "redb")]
mod redb;
mod store;

pub use inbox::{Inbox, Reader};
pub use letter::{Body, Delivery, Envelope, Key, Letter, Parcel, Recipient, Verdict};
pub use memory::MemoryStore;
pub use outbox::{DeadMail, Draft, Outbox, OutboxRef, SendError, ToOutbox};
#[cfg(feature = "redb")]
pub use redb::RedbStore;
pub use store::{Batch, Change, Store, StoreError, Table};
