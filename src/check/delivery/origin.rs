//! The letters of one outbox or queue.

use super::mishap::{Mishap, Moment};
use super::rows::{Found, Rows};
use crate::kernel::time::Time;
use crate::trace::{Mailed, OrderKey};
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;

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
    letters: Rows<Letter>,
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
        let letter = match self.letters.find(number) {
            Found::Open(letter) => letter,
            Found::Nothing => return self.tell_of_unknown(when, number, what),
            Found::Done(effected) => return self.tell_of_done(when, number, effected, what),
        };
        letter.told = when;
        let reaches = match what {
            Mailed::Accepted { key } if letter.accepted.is_none() => {
                let mut accepted = *letter;
                self.accept(&mut accepted, when, key);
                self.letters.insert(number, accepted);
                return Ok(());
            }
            // Told again, after a reboot.
            Mailed::Accepted { .. } | Mailed::StaleAck | Mailed::Returned => return Ok(()),
            Mailed::Sent => Stage::Sent,
            Mailed::Delivered => Stage::Delivered,
            Mailed::Effected | Mailed::Consumed | Mailed::Repeated => Stage::Effected,
            Mailed::Acked | Mailed::Dead(_) => {
                let letter = *letter;
                return self.is_done(when, number, letter, what);
            }
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
            (Mailed::Effected, _) => self.settle(before, Some((number, when))),
            (Mailed::Repeated | Mailed::Consumed, stage) if stage < Stage::Effected => {
                self.settle(before, None)
            }
            _ => Ok(()),
        }
    }

    /// Something was told of a letter of which nothing was told before.
    fn tell_of_unknown(&mut self, when: Moment, number: u64, what: Mailed) -> Result<(), Wrong> {
        let mut letter = Letter {
            key: OrderKey::NONE,
            accepted: None,
            place: 0,
            stage: Stage::Accepted,
            since: when,
            told: when,
        };
        match what {
            Mailed::Accepted { key } => self.accept(&mut letter, when, key),
            Mailed::Sent => {}
            // Nothing was promised.
            Mailed::StaleAck | Mailed::Returned | Mailed::Dead(_) => return Ok(()),
            _ => return Err(Wrong::of(&letter, Mishap::FromNowhere, when)),
        }
        self.letters.insert(number, letter);
        Ok(())
    }

    /// Something was told of a letter that is done with, and has had its effect or not.
    fn tell_of_done(
        &mut self,
        when: Moment,
        number: u64,
        effected: bool,
        what: Mailed,
    ) -> Result<(), Wrong> {
        match (what, effected) {
            (Mailed::Effected, true) => Err(Wrong {
                key: OrderKey::NONE,
                accepted: None,
                mishap: Mishap::DuplicatedEffect(None),
                when,
            }),
            // It was set aside, and that was too late.
            (Mailed::Effected | Mailed::Consumed | Mailed::Repeated, false) => {
                self.letters.done(number, true);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn accept(&mut self, letter: &mut Letter, when: Moment, key: OrderKey) {
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

    /// A letter was set aside, or has its effect, then: one less of its key may still have one. Those of its
    /// key that were accepted after it may not have had theirs.
    fn settle(&mut self, letter: Letter, effect: Option<(u64, Moment)>) -> Result<(), Wrong> {
        if letter.key != OrderKey::NONE
            && let Entry::Occupied(mut entry) = self.keys.entry(letter.key)
        {
            let order = entry.get_mut();
            if let Some((number, when)) = effect {
                if let Some((place, later, then)) = order.last
                    && place > letter.place
                {
                    return Err(Wrong::of(&letter, Mishap::Reordered(later, then), when));
                }
                order.last = Some((letter.place, number, when));
            }
            order.open -= 1;
            if order.open == 0 {
                entry.remove();
            }
        }
        self.waiting -= usize::from(letter.accepted.is_some());
        Ok(())
    }

    /// The sender takes an ack of a letter, or the letter is set aside.
    fn is_done(
        &mut self,
        when: Moment,
        number: u64,
        letter: Letter,
        what: Mailed,
    ) -> Result<(), Wrong> {
        let effected = letter.stage == Stage::Effected;
        self.letters.done(number, effected);
        if what == Mailed::Acked && !effected {
            return Err(Wrong::of(&letter, Mishap::AckedWithoutEffect, when));
        }
        if effected {
            return Ok(());
        }
        self.settle(letter, None)
    }

    /// The letter that has waited longest, where it came to its stage at this moment or before. Of one that
    /// has had its effect and is not worked on, the sender may know that: a crash came before it told.
    pub(super) fn unfinished(&self, due: Time) -> Option<(u64, Wrong)> {
        let is_late = |letter: &Letter| {
            let goes_on = letter.stage < Stage::Effected || letter.told.at > due;
            letter.accepted.is_some() && letter.since.at <= due && goes_on
        };
        let late = self.letters.open().filter(|(_, letter)| is_late(letter));
        let (number, letter) = late.min_by_key(|(number, letter)| (letter.since, *number))?;
        let mishap = match letter.told.at <= due {
            true => Mishap::Lost(letter.told),
            false => Mishap::Stuck(letter.told),
        };
        Some((number, Wrong::of(letter, mishap, letter.since)))
    }

    /// How many entries its memory has.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.letters.entries() + self.keys()
    }

    /// Of how many keys it knows an order.
    #[cfg(test)]
    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }
}
