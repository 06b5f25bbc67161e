//! Queues with RabbitMQ's meaning: durable, with acks, prefetch, redelivery, dead letters.
//!
//! A [`Broker`] is a process that keeps queues in a store. A [`Queue`] is where letters are published and
//! consumed; a [`Consumer`] takes a [`Delivery`] after the other, and settles each. The rules themselves are
//! a state that knows no process (`rules`), held to a naive model by its tests.

mod broker;
mod fate;
mod handle;
mod line;
mod rules;
mod settings;
mod stored;
mod wire;

#[cfg(test)]
mod tests;

pub use broker::Broker;
pub use fate::{
    ConsumeError, Death, DeclareError, PublishError, QueueCounts, QueueInfo, Settle, SettleError,
};
pub use handle::{Consumer, Delivery, Queue, Terms};
pub use settings::{DeadLetters, QueueSettings, WhenFull};
pub use wire::{Carried, Publication, ToBroker};
