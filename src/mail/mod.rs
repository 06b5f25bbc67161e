//! Mail that is never lost: letters that are kept until somebody has said that they are done.

mod memory;
mod queue;
mod store;

pub use memory::MemoryStore;
pub use queue::{
    Broker, Carried, ConsumeError, Consumer, DeadLetters, Death, DeclareError, Delivery,
    Publication, PublishError, Queue, QueueCounts, QueueInfo, QueueSettings, Settle, SettleError,
    Terms, ToBroker, WhenFull,
};
pub use store::{Batch, Change, Store, StoreError, Table};
