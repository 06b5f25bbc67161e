//! What becomes of letters, as plain data: enough to tell from a trace alone whether mail keeps its promises.

use super::ids::Name;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A letter: which outbox or queue has made it, over all its reboots, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LetterId {
    /// Which outbox or queue.
    pub origin: Name,
    /// Its number there.
    pub number: u64,
}

impl fmt::Display for LetterId {
    /// The origin stands there as the number of its name: a name's text is known to a log only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LetterId { origin, number } = self;
        write!(f, "letter {number} of {:016x}", origin.as_u64())
    }
}

/// The key of a letter: letters of one origin and one key keep their order. 0: there is none to keep.
///
/// Two halves, so that an event that holds one is no larger than the others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderKey {
    high: u32,
    low: u32,
}

impl OrderKey {
    /// Of a letter that has no order to keep.
    pub const NONE: OrderKey = OrderKey { high: 0, low: 0 };

    /// All of it in one number.
    #[inline]
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        (self.high as u64) << 32 | self.low as u64
    }
}

impl From<u64> for OrderKey {
    #[inline]
    fn from(key: u64) -> OrderKey {
        OrderKey {
            high: (key >> 32) as u32,
            low: key as u32,
        }
    }
}

impl fmt::Display for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.as_u64())
    }
}

impl fmt::Debug for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One thing that becomes of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mailed {
    /// It is stored, and that is a promise: it is not lost from now on. Told again of what is found in a
    /// store after a reboot: the crash may have come between the two. That changes nothing for who knows it.
    Accepted {
        /// Letters of one origin and one key keep their order.
        key: OrderKey,
    },
    /// It was sent to its receiver.
    Sent,
    /// It was handed to the receiver's code.
    Delivered,
    /// Its effect and the memory of its id are committed: that happens once.
    Effected,
    /// A consumer's code has said that it is done with it, and nobody knows what that did. Unlike an effect
    /// this may come again: a queue hands out again what it has not heard of.
    Consumed,
    /// It came again after its effect, and was recognised. Told before the ack is sent that answers it: a
    /// crash may have come between the effect and its telling.
    Repeated,
    /// Its sender has taken the ack, and forgets it.
    Acked,
    /// An ack of it came a second time, too late, or though it was never sent: without harm.
    StaleAck,
    /// Its receiver has given it back, to be delivered again.
    Returned,
    /// It was set aside, for this reason. Nobody may call it lost. Told again of what is found set aside in a
    /// store after a reboot.
    Dead(WhyDead),
}

/// Why a letter was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum WhyDead {
    /// Its receiver does not want it.
    Rejected = 0,
    /// It was delivered as often as is allowed.
    TooOften = 1,
    /// Its deadline is past, or its time to live.
    Expired = 2,
    /// The queue was full.
    Overflow = 3,
    /// There is no such receiver.
    Nobody = 4,
    /// It is larger than is allowed.
    TooLarge = 5,
    /// Its receiver cannot read it.
    Unreadable = 6,
}

impl Mailed {
    /// [`Mailed::Accepted`] with this key; 0: without one.
    #[inline]
    #[must_use]
    pub fn accepted(key: u64) -> Mailed {
        Mailed::Accepted { key: key.into() }
    }

    /// Its part of the first word for the digest, below 65,536, and the key, where it has one.
    pub(crate) const fn words(self) -> [u64; 2] {
        match self {
            Mailed::Accepted { key } => [0, key.as_u64()],
            Mailed::Sent => [1, 0],
            Mailed::Delivered => [2, 0],
            Mailed::Effected => [3, 0],
            Mailed::Consumed => [4, 0],
            Mailed::Repeated => [5, 0],
            Mailed::Acked => [6, 0],
            Mailed::StaleAck => [7, 0],
            Mailed::Returned => [8, 0],
            Mailed::Dead(why) => [9 | (why as u64) << 8, 0],
        }
    }
}

impl fmt::Display for Mailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mailed::Accepted { .. } => "accepted",
            Mailed::Sent => "sent",
            Mailed::Delivered => "delivered",
            Mailed::Effected => "effected",
            Mailed::Consumed => "consumed",
            Mailed::Repeated => "repeated",
            Mailed::Acked => "acked",
            Mailed::StaleAck => "acked in vain",
            Mailed::Returned => "returned",
            Mailed::Dead(_) => "set aside",
        })
    }
}

impl fmt::Display for WhyDead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WhyDead::Rejected => "its receiver rejects it",
            WhyDead::TooOften => "it was delivered too often",
            WhyDead::Expired => "it has expired",
            WhyDead::Overflow => "the queue is full",
            WhyDead::Nobody => "there is no such receiver",
            WhyDead::TooLarge => "it is too large",
            WhyDead::Unreadable => "its receiver cannot read it",
        })
    }
}
