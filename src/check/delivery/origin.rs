//! The letters of one outbox or queue.

use super::done::Done;
use super::mishap::{Mishap, Moment};
use crate::kernel::time::Time;
use crate::trace::{Mailed, OrderKey};
use rustc_hash::FxHashMap;

/// How far a letter has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Accepted,
    Sent,
    Delivered,
    /// It has had its effect, or a consumer said so.
    Effected,
}

/// A letter that is not done with.
#[derive(Clone, Copy, Debug)]
struct Letter {
    key: OrderKey,
    /// None for one that was sent, and of which nobody has told that it was accepted: a crash came between,
    /// and nothing is promised.
    accepted: Option<Moment>,
    /// The how-manieth that its origin has accepted.
    place: u64,
    stage: Stage,
    /// When it came to its stage.
    since: Moment,
    /// When something was told of it last.
    told: Moment,
}

/// The letters of one key of which some have had no effect and were not set aside.
#[derive(Clone, Copy, Debug, Default)]
struct InOrder {
    /// How many.
    open: usize,
    /// Place and number of the one that was accepted last of those that had an effect, and when it had it.
    last: Option<(u64, u64, Moment)>,
}

/// What is wrong with a letter, and what is known of that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wrong {
    pub(super) key: OrderKey,
    pub(super) accepted: Option<Moment>,
    pub(super) mishap: Mishap,
    pub(super) when: Moment,
}

impl Wrong {
    fn of(letter: &Letter, mishap: Mishap, when: Moment) -> Wrong {
        Wrong {
            key: letter.key,
            accepted: letter.accepted,
            mishap,
            when,
        }
    }
}

/// The letters of one outbox or queue.
#[derive(Debug, Default)]
pub(super) struct Origin {
    pub(super) text: Option<String>,
    letters: FxHashMap<u64, Letter>,
    done: Done,
    keys: FxHashMap<OrderKey, InOrder>,
    /// How many it has accepted.
    accepted: u64,
    /// How many of them have had no effect and were not set aside.
    waiting: usize,
}

impl Origin {
    /// How many letters were accepted, have had no effect and were not set aside.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn tell(&mut self, when: Moment, number: u64, what: Mailed) -> Result<(), Wrong> {
        let Some(letter) = self.letters.get_mut(&number) else {
            return self.tell_of_other(when, number, what);
        };
        letter.told = when;
        let reaches = match what {
            Mailed::Accepted { key } if letter.accepted.is_none() => {
                self.accepts(when, number, key);
                return Ok(());
            }
            // Told again, after a reboot.
            Mailed::Accepted { .. } | Mailed::StaleAck | Mailed::Returned => return Ok(()),
            Mailed::Sent => Stage::Sent,
            Mailed::Delivered => Stage::Delivered,
            Mailed::Effected | Mailed::Consumed | Mailed::Repeated => Stage::Effected,
            Mailed::Acked | Mailed::Dead(_) => return self.is_done(when, number, what),
        };
        let before = *letter;
        if letter.stage < reaches {
            letter.stage = reaches;
            letter.since = when;
        }
        match (what, before.stage) {
            (Mailed::Effected, Stage::Effected) => {
                let mishap = Mishap::DuplicatedEffect(Some(before.since));
                Err(Wrong::of(&before, mishap, when))
            }
            (Mailed::Effected, _) => self.has_effect(when, number, before),
            (Mailed::Repeated | Mailed::Consumed, stage) if stage < Stage::Effected => {
                self.settles(before);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Something was told of a letter that is not known, or is done with.
    fn tell_of_other(&mut self, when: Moment, number: u64, what: Mailed) -> Result<(), Wrong> {
        let effected = self.done.effected(number);
        let mishap = match (what, effected) {
            (Mailed::Accepted { key }, None) => {
                self.accepts(when, number, key);
                return Ok(());
            }
            (Mailed::Sent, None) => {
                self.sends(when, number);
                return Ok(());
            }
            // Nothing was promised.
            (Mailed::StaleAck | Mailed::Returned | Mailed::Dead(_), None) => {
                return Ok(());
            }
            (_, None) => Mishap::FromNowhere,
            (Mailed::Effected, Some(true)) => Mishap::DuplicatedEffect(None),
            // It was set aside, and that was too late.
            (Mailed::Effected | Mailed::Consumed | Mailed::Repeated, Some(false)) => {
                self.done.insert(number, true);
                return Ok(());
            }
            (_, Some(_)) => return Ok(()),
        };
        Err(Wrong {
            key: OrderKey::NONE,
            accepted: None,
            mishap,
            when,
        })
    }

    fn accepts(&mut self, when: Moment, number: u64, key: OrderKey) {
        self.sends(when, number);
        let Some(letter) = self.letters.get_mut(&number) else {
            return;
        };
        letter.accepted = Some(when);
        if letter.stage == Stage::Effected {
            return;
        }
        (letter.key, letter.place) = (key, self.accepted);
        self.accepted += 1;
        self.waiting += 1;
        if key != OrderKey::NONE {
            self.keys.entry(key).or_default().open += 1;
        }
    }

    /// A letter is known, where it was not before.
    fn sends(&mut self, when: Moment, number: u64) {
        self.letters.entry(number).or_insert(Letter {
            key: OrderKey::NONE,
            accepted: None,
            place: 0,
            stage: Stage::Accepted,
            since: when,
            told: when,
        });
    }

    /// A letter has its effect: those of its key that were accepted after it may not have had theirs.
    fn has_effect(&mut self, when: Moment, number: u64, letter: Letter) -> Result<(), Wrong> {
        if let Some(order) = self.keys.get_mut(&letter.key) {
            match order.last {
                Some((place, later, then)) if place > letter.place => {
                    return Err(Wrong::of(&letter, Mishap::Reordered(later, then), when));
                }
                _ => order.last = Some((letter.place, number, when)),
            }
        }
        self.settles(letter);
        Ok(())
    }

    /// A letter has had its effect, or was set aside: one less of its key may still have an effect.
    fn settles(&mut self, letter: Letter) {
        self.waiting -= usize::from(letter.accepted.is_some());
        if let Some(order) = self.keys.get_mut(&letter.key) {
            order.open -= 1;
            if order.open == 0 {
                self.keys.remove(&letter.key);
            }
        }
    }

    /// The sender takes an ack of a letter, or the letter is set aside.
    fn is_done(&mut self, when: Moment, number: u64, what: Mailed) -> Result<(), Wrong> {
        let Some(letter) = self.letters.remove(&number) else {
            return Ok(());
        };
        let effected = letter.stage == Stage::Effected;
        if what == Mailed::Acked && !effected {
            return Err(Wrong::of(&letter, Mishap::AckedWithoutEffect, when));
        }
        if !effected {
            self.settles(letter);
        }
        self.done.insert(number, effected);
        Ok(())
    }

    /// The letter that has waited longest, where it came to its stage at this moment or before. Of one that
    /// has had its effect and is not worked on, the sender may know that: a crash came before it told.
    pub(super) fn unfinished(&self, due: Time) -> Option<(u64, Wrong)> {
        let is_late = |letter: &Letter| {
            let goes_on = letter.stage < Stage::Effected || letter.told.at > due;
            letter.accepted.is_some() && letter.since.at <= due && goes_on
        };
        let late = self.letters.iter().filter(|(_, letter)| is_late(letter));
        let (number, letter) = late.min_by_key(|(number, letter)| (letter.since, **number))?;
        let mishap = match letter.told.at <= due {
            true => Mishap::Lost(letter.told),
            false => Mishap::Stuck(letter.told),
        };
        Some((*number, Wrong::of(letter, mishap, letter.since)))
    }

    /// How many entries its memory has.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.letters.len() + self.keys() + self.done.entries()
    }

    /// Of how many keys it knows an order.
    #[cfg(test)]
    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }
}
