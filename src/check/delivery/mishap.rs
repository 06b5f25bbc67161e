//! What can go wrong with a letter.

use crate::kernel::time::Time;
use crate::trace::{LetterId, OrderKey};
use std::fmt;

/// When something became of a letter: virtual time, and step of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// When, in virtual time.
    pub at: Time,
    /// In which step of the run.
    pub step: u64,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (step {})", self.at, self.step)
    }
}

/// Mail did not keep a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misdelivery {
    /// Of which letter.
    pub letter: LetterId,
    /// The name of its outbox or queue, where its text is known.
    pub origin: Option<String>,
    /// Its key; [`OrderKey::NONE`] where it has none, or is forgotten.
    pub key: OrderKey,
    /// When it was accepted, where it was and that is not forgotten.
    pub accepted: Option<Moment>,
    /// What.
    pub mishap: Mishap,
    /// When that was. Of a letter that is lost or stuck: when it last went on.
    pub when: Moment,
}

/// What went wrong with a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It has a second effect; the first was then, where that is not forgotten.
    DuplicatedEffect(Option<Moment>),
    /// It has its effect after a letter of its key that was accepted later: this one, then.
    Reordered(u64, Moment),
    /// It comes to a receiver, or is acknowledged, and was never accepted nor sent.
    FromNowhere,
    /// Its sender forgets it, and it has had no effect and was not set aside.
    AckedWithoutEffect,
    /// It has had no effect and was not set aside, and since then nobody does anything about it.
    Lost(Moment),
    /// It is worked on, last then, and gets no further: it has no effect, or its sender does not learn that
    /// it has one.
    Stuck(Moment),
}

impl fmt::Display for Misdelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (letter, when) = (self.letter, self.when);
        match &self.origin {
            Some(origin) => write!(f, "letter {} of \"{origin}\"", letter.number)?,
            None => write!(f, "{letter}")?,
        }
        if self.key != OrderKey::NONE {
            write!(f, ", key {}", self.key)?;
        }
        if let Some(accepted) = self.accepted {
            write!(f, ", accepted at {accepted}")?;
        }
        match self.mishap {
            Mishap::DuplicatedEffect(first) => {
                write!(f, ": it has a second effect at {when}")?;
                match first {
                    Some(first) => write!(f, "; it had the first at {first}"),
                    None => f.write_str("; it had the first before it was acknowledged"),
                }
            }
            Mishap::Reordered(later, then) => write!(
                f,
                ": it has its effect at {when}, after letter {later}, which was accepted after it and had \
                 its effect at {then}"
            ),
            Mishap::FromNowhere => {
                write!(
                    f,
                    ": somebody has it at {when}, and it was neither accepted nor sent"
                )
            }
            Mishap::AckedWithoutEffect => write!(
                f,
                ": its sender takes an ack and forgets it at {when}, and it has had no effect"
            ),
            Mishap::Lost(last) => write!(
                f,
                ": it is lost: no effect, not set aside, and nobody has done anything about it since {last}"
            ),
            Mishap::Stuck(last) => write!(
                f,
                ": it is stuck: it went on at {when} for the last time, and what was told of it last, at \
                 {last}, got it no further"
            ),
        }
    }
}
