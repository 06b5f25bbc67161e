//! What is said of a queue once, when it is declared.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What becomes of a letter for a queue that has as many as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhenFull {
    /// The publisher is refused: [`PublishError::Full`](super::PublishError::Full).
    Refuse,
    /// It goes in, and the letter that would be delivered next goes to the dead letters.
    DropHead,
}

/// Where the dead letters of a queue go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeadLetters {
    /// To the queue `NAME.dead`, which is declared together with it: without a limit of any kind, and what
    /// is rejected there is gone.
    Kept,
    /// To this queue, which must have been declared before. So no letter goes round in a ring.
    To(String),
    /// Nowhere: a dead letter is counted, and gone.
    Discarded,
}

/// The settings of a queue: they are given once, and a later declaration must repeat them.
///
/// ```
/// use netsplit::mail::queue::{QueueSettings, WhenFull};
/// use netsplit::secs;
///
/// let settings = QueueSettings::new()
///     .max_length(10_000, WhenFull::Refuse)
///     .time_to_live(secs(3_600))
///     .priorities(9);
/// assert_eq!(settings, settings.clone());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueSettings {
    pub(crate) delivery_limit: Option<u32>,
    pub(crate) max_length: Option<(u64, WhenFull)>,
    pub(crate) time_to_live_ns: Option<u64>,
    pub(crate) priorities: u8,
    pub(crate) dead_letters: DeadLetters,
}

impl Default for QueueSettings {
    fn default() -> QueueSettings {
        QueueSettings::new()
    }
}

impl QueueSettings {
    /// How often the processing of a letter may begin, where nothing else is said: RabbitMQ's default.
    pub const DELIVERY_LIMIT: u32 = 20;

    /// A delivery limit of 20, dead letters kept, no bound on its length, no time to live, one priority.
    #[must_use]
    pub fn new() -> QueueSettings {
        QueueSettings {
            delivery_limit: Some(QueueSettings::DELIVERY_LIMIT),
            max_length: None,
            time_to_live_ns: None,
            priorities: 0,
            dead_letters: DeadLetters::Kept,
        }
    }

    /// Those of the queue that keeps another one's dead letters.
    pub(crate) fn of_the_dead() -> QueueSettings {
        QueueSettings {
            delivery_limit: None,
            dead_letters: DeadLetters::Discarded,
            priorities: u8::MAX,
            ..QueueSettings::new()
        }
    }

    /// How often the processing of a letter may begin before it is a dead letter. Default: 20.
    #[must_use]
    pub fn delivery_limit(mut self, most: u32) -> QueueSettings {
        self.delivery_limit = Some(most);
        self
    }

    /// Letters may be tried for ever. One that is given back with a nack goes behind all others of its
    /// priority then, and not to its place, which might be the head.
    #[must_use]
    pub fn without_delivery_limit(mut self) -> QueueSettings {
        self.delivery_limit = None;
        self
    }

    /// How many letters may wait, and what becomes of one more. Those that are with a consumer, and those
    /// that it gives back, do not count. Default: no bound.
    #[must_use]
    pub fn max_length(mut self, most: u64, when_full: WhenFull) -> QueueSettings {
        self.max_length = Some((most, when_full));
        self
    }

    /// How long a letter may wait before it is a dead letter, by the wall clock. One that is with a consumer
    /// is not touched. Default: for ever.
    #[must_use]
    pub fn time_to_live(mut self, most: Duration) -> QueueSettings {
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        self.time_to_live_ns = Some(most);
        self
    }

    /// The greatest priority that a letter can have here; a greater one counts as this. Letters of a greater
    /// priority are delivered first. Default: 0, one priority.
    #[must_use]
    pub fn priorities(mut self, greatest: u8) -> QueueSettings {
        self.priorities = greatest;
        self
    }

    /// Where its dead letters go. Default: they are kept, in the queue `NAME.dead`.
    #[must_use]
    pub fn dead_letters(mut self, to: DeadLetters) -> QueueSettings {
        self.dead_letters = to;
        self
    }

    /// What is wrong with them by themselves.
    pub(crate) fn flaw(&self) -> Option<&'static str> {
        if self.delivery_limit == Some(0) {
            Some("a delivery limit of 0 lets nothing be delivered")
        } else if self.max_length.is_some_and(|(most, _)| most == 0) {
            Some("a greatest length of 0 lets nothing in")
        } else {
            None
        }
    }
}
