//! Mail that is never lost: letters that are kept until somebody has said that they are done.

mod inbox;
mod letter;
mod memory;
mod outbox;
pub mod queue;
mod store;

pub use inbox::{Inbox, Reader};
pub use letter::{
    Answer, Body, Delivery, Envelope, Key, Letter, Parcel, Receipt, Recipient, Verdict,
};
pub use memory::MemoryStore;
pub use outbox::{DeadMail, Draft, Outbox, OutboxRef, SendError, ToOutbox};
pub use store::{Batch, Change, Store, StoreError, Table};
