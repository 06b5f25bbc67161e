//! What can be said of letters in a queue: how they are settled, why they die, what is refused.

use super::settings::QueueSettings;
use crate::process::{CallError, ExitReason};
use crate::trace::WhyDead;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a consumer is done with a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settle {
    /// It is done: the letter is forgotten.
    Ack,
    /// It goes back to its place, unless it has been tried as often as it may be.
    Requeue,
    /// It goes to the dead letters.
    Reject,
    /// It goes to the dead letters, since it is not of the type that its consumer takes.
    Unreadable,
}

/// One death of a letter: a letter can die again in the queue of dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// In which queue.
    pub queue: String,
    /// Why.
    pub why: WhyDead,
    /// When, by the wall clock of the broker's node.
    pub at: Duration,
    /// How often it had been delivered by then.
    pub attempts: u32,
}

/// Why a queue was not declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum DeclareError {
    /// It is there with other settings.
    #[error("the queue {name} is there with other settings: {has:?}")]
    OtherSettings {
        /// Which queue.
        name: String,
        /// The settings that it has.
        has: Box<QueueSettings>,
    },
    /// The queue for its dead letters is not there: declare that first.
    #[error("there is no queue {0} for its dead letters: declare that first")]
    NoDeadLetters(String),
    /// The settings make no sense.
    #[error("{0}")]
    Flaw(String),
    /// The broker did not answer.
    #[error("the broker did not answer: {0}")]
    Broker(CallError),
}

/// Why a letter was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum PublishError {
    /// There is no such queue: it is to nobody.
    #[error("there is no queue {0}: declare it first")]
    NoSuchQueue(String),
    /// It is larger than the broker takes.
    #[error("the letter has {bytes} bytes, and the broker takes {most} at most")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// What the broker takes.
        most: u64,
    },
    /// Its deadline was over before it came.
    #[error("the letter's deadline is over")]
    PastDeadline,
    /// The queue has as many letters as it may have, and refuses more.
    #[error("the queue is full: it has {length} letters")]
    Full {
        /// How many it has.
        length: u64,
    },
    /// The disk under the broker is full: the letter was not stored.
    #[error("the disk under the broker is full")]
    DiskFull,
    /// The broker did not answer: whether the letter is stored is not known.
    #[error("the broker did not answer, and may have the letter: {0}")]
    Unknown(CallError),
}

/// Why there is no consumer, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ConsumeError {
    /// There is no such queue.
    #[error("there is no queue {0}: declare it first")]
    NoSuchQueue(String),
    /// A consumer that may hold no letter would get none.
    #[error("a prefetch of 0 lets nothing be delivered: it must be 1 at least")]
    PrefetchZero,
    /// Another consumer has the queue for itself.
    #[error("another consumer has the queue {0} for itself")]
    Exclusive(String),
    /// It was to have the queue for itself, and others consume it.
    #[error("the queue {0} has other consumers")]
    InUse(String),
    /// The broker knows it no longer: its letters went back.
    #[error("the consumer was cancelled: its letters went back")]
    Cancelled,
    /// The broker did not answer.
    #[error("the broker did not answer: {0}")]
    Broker(CallError),
}

/// Why an ack, a nack or a reject did nothing. It is counted, and harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SettleError {
    /// The broker has never had such a letter, or has never sent it.
    #[error("no such letter was ever sent")]
    NeverSent,
    /// The letter is settled already, or has gone back and waits, or is with a consumer for the next time.
    #[error("it is of an earlier attempt, or the letter is settled already")]
    Stale,
    /// The broker did not answer.
    #[error("the broker did not answer: {0}")]
    Broker(CallError),
}

/// An error that ends the process which does not expect it.
macro_rules! ends_a_process {
    ($($error:ty)*) => {$(
        impl From<$error> for ExitReason {
            fn from(error: $error) -> ExitReason {
                ExitReason::error(error)
            }
        }
    )*};
}

ends_a_process!(DeclareError PublishError ConsumeError SettleError);

/// What has become of letters and of what was said of them, since the broker started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueCounts {
    /// Letters that were stored, and so confirmed.
    pub published: u64,
    /// Letters that were refused, for whatever reason.
    pub refused: u64,
    /// Letters given to a consumer, each time.
    pub delivered: u64,
    /// Letters that are done.
    pub acked: u64,
    /// Letters that went back, by a nack or since their consumer was gone.
    pub returned: u64,
    /// Deaths.
    pub dead: u64,
    /// Dead letters of a queue that keeps none.
    pub discarded: u64,
    /// Acks, nacks and rejects of an earlier attempt, or of what was settled already.
    pub stale: u64,
    /// Those of what was never sent.
    pub never_sent: u64,
}

/// How it stands with one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueInfo {
    /// Letters that wait.
    pub waiting: u64,
    /// Of them, those whose place is held in memory.
    pub indexed: u64,
    /// Letters that are with consumers.
    pub unacked: u64,
    /// Consumers.
    pub consumers: u64,
}
