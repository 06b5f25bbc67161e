//! What goes between a broker and those who publish and consume.

use super::fate::{
    ConsumeError, Death, DeclareError, PublishError, QueueCounts, QueueInfo, Settle, SettleError,
};
use super::settings::QueueSettings;
use crate::process::{Message, ReplyTo, Tag};
use crate::trace::{LetterId, Pid};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A letter for a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    pub(super) queue: String,
    pub(super) body: Vec<u8>,
    pub(super) priority: u8,
    pub(super) deadline: Option<Duration>,
}

/// A letter on its way to a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    pub(super) letter: LetterId,
    pub(super) attempt: u32,
    pub(super) redelivered: bool,
    pub(super) deaths: Vec<Death>,
    pub(super) body: Vec<u8>,
}

/// What a broker is asked: a [`Queue`](super::Queue) does it.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToBroker {
    /// Declares a queue.
    Declare(String, QueueSettings, ReplyTo<Result<(), DeclareError>>),
    /// Takes a letter, and confirms it once it is stored.
    Publish(Publication, ReplyTo<Result<LetterId, PublishError>>),
    /// Adds a consumer of a queue, with a prefetch, for itself or not.
    Consume(String, u32, bool, ReplyTo<Result<u64, ConsumeError>>),
    /// The letters that a consumer is given next: the answer comes when there are some.
    Next(u64, ReplyTo<Result<Vec<Carried>, ConsumeError>>),
    /// A consumer is no more.
    Cancel(u64),
    /// Whoever has asked in this call to be a consumer has not heard that it is one, and waits no longer.
    Disown(Pid, u32),
    /// The processing of a letter begins, at this attempt.
    Begin(LetterId, u32),
    /// An attempt at a letter is settled, and nobody waits to hear of it.
    Settle(LetterId, u32, Settle),
    /// The same, and somebody does.
    SettleNow(LetterId, u32, Settle, ReplyTo<Result<(), SettleError>>),
    /// How it stands with a queue; nothing where there is none.
    Info(String, ReplyTo<Option<QueueInfo>>),
    /// What has become of letters.
    Counts(ReplyTo<QueueCounts>),
}

/// The body of a letter: of which type it is, and the message.
pub(super) fn body_of<M: Message>(message: &M) -> Vec<u8> {
    match postcard::to_allocvec(&(Tag::of::<M>(), message)) {
        Ok(body) => body,
        Err(error) => panic!("a letter does not encode: {error}"),
    }
}

/// The message of a body, where it is of this type.
pub(super) fn message_of<M: Message>(body: &[u8]) -> Option<M> {
    let (tag, rest) = postcard::take_from_bytes::<Tag>(body).ok()?;
    if tag.of != Tag::of::<M>().of {
        return None;
    }
    match postcard::take_from_bytes::<M>(rest) {
        Ok((message, [])) => Some(message),
        _ => None,
    }
}
