//! Letters: what goes from an outbox to an inbox, and what comes back for it.
//!
//! A letter is known by its [`LetterId`], which no other letter ever has, whatever crashes; each try to
//! deliver it is an attempt, and what is said of a letter names both.

use crate::process::{Message, Tag, Target, encode, first_of};
use crate::trace::{LetterId, Name, NodeId};
use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::rc::Rc;

/// What orders letters: those of one key, from one outbox to one recipient, are taken in the order in which
/// they were accepted. Made of a number, 0 as well as any other, or of a text; [`Key::NONE`] is no key.
///
/// ```
/// use netsplit::mail::Key;
/// assert!([0, 1, u64::MAX].iter().all(|number| Key::from(*number) != Key::NONE));
/// assert_ne!(Key::from(0), Key::from(1));
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Key(u64);

impl Key {
    /// No order: such a letter waits for no other.
    pub const NONE: Key = Key(0);

    /// The number that stands for it: not the one of which it was made.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl From<u64> for Key {
    fn from(number: u64) -> Key {
        Key(number.wrapping_add(1).max(1))
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Key {
        Key(Name::new(text).as_u64().max(1))
    }
}

/// Whom a letter is for: never a pid, which dies with its process.
///
/// `"ledger"` is whoever holds that name on the node of the process that runs, `("b", "ledger")` and
/// `(node, "ledger")` whoever holds it on another. As [`Address::named`], these panic outside a process, and
/// where the cluster has no such node.
///
/// [`Address::named`]: crate::process::Address::named
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Recipient {
    /// Whoever holds this name on that node when the letter comes.
    Named(NodeId, Name),
    /// Whoever stands for this key when the letter is sent: the outbox is told how to find out, by
    /// [`Outbox::route`](super::Outbox::route).
    Keyed(Key),
}

impl Recipient {
    /// Whoever stands for this key.
    #[must_use]
    pub fn keyed(key: impl Into<Key>) -> Recipient {
        Recipient::Keyed(key.into())
    }

    /// Where messages to it go, where it is a name.
    pub(super) const fn target(self) -> Option<Target> {
        match self {
            Recipient::Named(node, name) => Some(Target::Name(node, name)),
            Recipient::Keyed(_) => None,
        }
    }

    fn named(target: Target) -> Recipient {
        match target {
            // It is the same recipient though another machine has taken the place of its first.
            Target::Name(node, name) => Recipient::Named(first_of(node), name),
            Target::Pid(_) | Target::Alias(..) => unreachable!("a text makes a name"),
        }
    }
}

impl From<&str> for Recipient {
    fn from(name: &str) -> Recipient {
        Recipient::named(name.into())
    }
}

impl From<(&str, &str)> for Recipient {
    fn from(names: (&str, &str)) -> Recipient {
        Recipient::named(names.into())
    }
}

impl From<(NodeId, &str)> for Recipient {
    fn from(names: (NodeId, &str)) -> Recipient {
        Recipient::named(names.into())
    }
}

/// All that is known of a letter beside its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Which letter: the outbox, over all its reboots, and its number there.
    pub id: LetterId,
    /// The how-manieth attempt to deliver it, from 1. Two attempts never have one number, though the outbox
    /// crashes between them; numbers may be left out then.
    pub attempt: u32,
    /// The outbox, by its name on a node.
    pub from: Target,
    /// Whom it is for.
    pub to: Recipient,
    /// Of which type its message is, and of which version.
    pub kind: Tag,
    /// What orders it.
    pub key: Key,
    /// The letter that made its sender write this one.
    pub follows: Option<LetterId>,
    /// From when on it is of no use, in nanoseconds of its sender's wall clock since 1970.
    pub deadline_ns: Option<u64>,
}

/// A letter, as its reader gets it.
#[derive(Debug)]
pub struct Letter<M> {
    /// Who wrote it, to whom, and the rest that is known of it.
    pub envelope: Envelope,
    /// What it says.
    pub message: M,
    /// To be given back, as a [`Verdict`].
    pub delivery: Delivery,
}

impl<M> Letter<M> {
    /// It is done: see [`Delivery::ack`].
    pub fn ack(self) -> Verdict {
        self.delivery.ack()
    }

    /// Not now: see [`Delivery::requeue`].
    pub fn requeue(self) -> Verdict {
        self.delivery.requeue()
    }

    /// Never: see [`Delivery::reject`].
    pub fn reject(self, why: impl Into<String>) -> Verdict {
        self.delivery.reject(why)
    }
}

/// One delivery of one letter: a token that is consumed by saying what became of it.
///
/// Whoever has acked holds it no more, so a second ack does not compile:
///
/// ```compile_fail,E0382
/// # use netsplit::mail::{Delivery, Verdict};
/// fn twice(delivery: Delivery) -> (Verdict, Verdict) {
///     (delivery.ack(), delivery.ack())
/// }
/// ```
///
/// Once is well:
///
/// ```
/// # use netsplit::mail::{Delivery, Verdict};
/// fn once(delivery: Delivery) -> Verdict {
///     delivery.ack()
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a delivery is given back, as a verdict"]
pub struct Delivery {
    letter: LetterId,
    attempt: u32,
}

impl Delivery {
    pub(super) const fn new(letter: LetterId, attempt: u32) -> Delivery {
        Delivery { letter, attempt }
    }

    /// The letter is done. Its effect, and the memory that it was done, are committed at once; then its
    /// sender hears of it and forgets it.
    pub fn ack(self) -> Verdict {
        self.with(Answer::Done)
    }

    /// Not now: what was put into the batch for it is dropped, and its sender sends it again after its
    /// back-off. Later letters of its key wait.
    pub fn requeue(self) -> Verdict {
        self.with(Answer::Requeue)
    }

    /// Never: what was put into the batch for it is dropped, and its sender sets it aside, with this reason.
    pub fn reject(self, why: impl Into<String>) -> Verdict {
        self.with(Answer::Rejected(why.into()))
    }

    fn with(self, answer: Answer) -> Verdict {
        Verdict {
            delivery: self,
            answer,
        }
    }
}

/// What a reader says of a delivery. It is made of its [`Delivery`] and of nothing else.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the inbox waits for it"]
pub struct Verdict {
    delivery: Delivery,
    answer: Answer,
}

impl Verdict {
    /// What was said.
    ///
    /// # Panics
    /// Where it is not of the letter that its reader was given last: a bug of the reader.
    pub(super) fn of(self, delivery: &Delivery) -> Answer {
        assert!(
            self.delivery == *delivery,
            "a reader was given {delivery:?} and answered {:?}",
            self.delivery
        );
        self.answer
    }
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    /// An ack: its effect is committed, now or at an earlier attempt.
    Done,
    /// A nack: it is to come again.
    Requeue,
    /// A nack: it is to come no more, for this reason.
    Rejected(String),
    /// A nack: it is no message of the type that its recipient takes.
    Unreadable,
}

/// Acks and nacks of letters of one outbox to one recipient, on their way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Receipts {
    /// The outbox, over all its reboots.
    pub(super) origin: Name,
    /// Whom they were for.
    pub(super) to: Recipient,
    pub(super) receipts: Vec<Receipt>,
}

/// An ack or a nack: it names letter and attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Receipt {
    /// The number of the letter.
    pub(super) number: u64,
    /// Which attempt to deliver it.
    pub(super) attempt: u32,
    /// Its place among all letters to that recipient.
    pub(super) place: u64,
    /// What became of it.
    pub(super) answer: Answer,
}

/// Letters on their way from an outbox to a recipient: what an inbox takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    pub(super) head: Head,
    pub(super) sheets: Vec<Sheet>,
}

/// What the letters of a parcel have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The outbox, over all its reboots.
    pub(super) origin: Name,
    /// The outbox, by its name on a node.
    pub(super) from: Target,
    pub(super) to: Recipient,
    /// Of which type their messages are.
    pub(super) kind: Tag,
    /// The outbox sends this recipient nothing below this place any more.
    pub(super) lowest: u64,
}

/// A letter in a parcel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sheet {
    /// Its number at its outbox.
    pub(super) number: u64,
    pub(super) attempt: u32,
    pub(super) key: Key,
    pub(super) follows: Option<LetterId>,
    pub(super) deadline_ns: Option<u64>,
    /// Its place among all letters from this outbox to this recipient, from 1.
    pub(super) place: u64,
    /// The place of the letter before it that has its key, where that is not known to be done; 0 for none.
    pub(super) after: u64,
    /// The message; nothing where the letter was given up, and keeps its place only.
    pub(super) body: Option<Body>,
}

impl Head {
    /// The letter with this number.
    pub(super) const fn letter(&self, number: u64) -> LetterId {
        LetterId {
            origin: self.origin,
            number,
        }
    }

    /// All that is known of a letter of this parcel.
    pub(super) const fn envelope(&self, sheet: &Sheet) -> Envelope {
        Envelope {
            id: self.letter(sheet.number),
            attempt: sheet.attempt,
            from: self.from,
            to: self.to,
            kind: self.kind,
            key: sheet.key,
            follows: sheet.follows,
            deadline_ns: sheet.deadline_ns,
        }
    }
}

/// A message, encoded once, shared by the attempts to send it.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(Rc<[u8]>);

impl Body {
    /// The message, encoded; `room` is where that is done.
    pub(super) fn of<M: Message>(message: &M, room: &mut Vec<u8>) -> Body {
        *room = encode(message, std::mem::take(room));
        Body(room[..].into())
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Body, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Body;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Body, E> {
                Ok(Body(bytes.into()))
            }
        }
        deserializer
            .deserialize_bytes(Bytes)
            .map_err(D::Error::custom)
    }
}
