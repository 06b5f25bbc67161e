//! The rules of queues, as a state that takes commands: no process, no future, no clock.
//!
//! A command changes the state, puts what must be stored into the [`Turn`]'s batch, and adds effects: they,
//! and the answer that the command gives, count only once the batch is committed. So many commands can share
//! one commit.

use super::fate::{
    ConsumeError, Death, DeclareError, PublishError, QueueCounts, QueueInfo, Settle, SettleError,
};
use super::line::Line;
use super::settings::{DeadLetters, QueueSettings, WhenFull};
use super::stored::{self, BODIES, Counters, DEATHS, Place, Record, Records};
use crate::mail::store::{Batch, Store, StoreError};
use crate::trace::{LetterId, Name, WhyDead};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// A consumer: counted by the broker, over all its boots.
pub(crate) type Tag = u64;

/// Commands that share a commit, and what follows from them.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// The wall clock, in nanoseconds.
    pub(crate) now: u64,
    /// The clock that only goes forward, in nanoseconds.
    pub(crate) uptime: u64,
    /// What must be stored before any effect.
    pub(crate) batch: Batch,
    /// What goes there when the turn is [sealed](State::seal).
    pub(super) records: Records,
    pub(crate) effects: Vec<Effect>,
}

/// What follows from a command, once it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// This letter goes to that consumer.
    Deliver { to: Tag, record: Record },
    /// This has become of a letter, which has not died before.
    Told {
        number: u64,
        attempt: u32,
        what: Fate,
    },
}

/// What becomes of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Accepted,
    Acked,
    Stale,
    Returned,
    Dead(WhyDead),
}

/// The bounds of a broker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How large a letter may be.
    pub(crate) letter_bytes: u64,
    /// For how many letters of a queue its place is held in memory.
    pub(crate) window: usize,
    /// How long a consumer may have a letter before it settles it.
    pub(crate) ack_timeout_ns: u64,
}

/// A letter that comes.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) body: Vec<u8>,
    pub(crate) priority: u8,
    pub(crate) deadline: Option<u64>,
}

/// One queue.
#[derive(Debug)]
struct Known {
    name: String,
    settings: QueueSettings,
    /// Where its dead letters go.
    dead: Option<u32>,
    line: Line,
    consumers: BTreeSet<Tag>,
    is_exclusive: bool,
    /// Consumers that may be given a letter, those first that have waited longest.
    free: VecDeque<Tag>,
    unacked: u64,
}

#[derive(Debug)]
struct Consumer {
    queue: u32,
    prefetch: u32,
    /// The letters that it has.
    held: FxHashSet<u64>,
}

/// A letter that is with a consumer.
#[derive(Clone, Copy, Debug)]
struct Held {
    by: Tag,
    queue: u32,
    place: Place,
    record: Record,
    has_begun: bool,
    /// When it was given to it, by the clock that only goes forward.
    since: u64,
}

/// All queues of a broker.
#[derive(Debug)]
pub(crate) struct State {
    bounds: Bounds,
    counters: Counters,
    /// What of the counters is stored.
    stored: Counters,
    queues: Vec<Known>,
    by_name: BTreeMap<String, u32>,
    consumers: BTreeMap<Tag, Consumer>,
    consumers_before: u64,
    unacked: FxHashMap<u64, Held>,
    /// When it is looked next for consumers that settle nothing.
    next_look: u64,
    /// Queues of which letters may have to go somewhere.
    stirred: BTreeSet<u32>,
    pub(crate) counts: QueueCounts,
}

impl State {
    /// The state as a store has it; `origin` names one that is new. What it puts into the turn must be
    /// committed before anything else.
    pub(crate) fn open(
        store: &impl Store,
        bounds: Bounds,
        origin: impl FnOnce() -> Name,
        turn: &mut Turn,
    ) -> Result<State, StoreError> {
        let mut counters = Counters::read(store, origin)?;
        counters.boots += 1;
        counters.put(&mut turn.batch);
        let mut state = State {
            bounds,
            counters,
            stored: counters,
            queues: Vec::new(),
            by_name: BTreeMap::new(),
            consumers: BTreeMap::new(),
            consumers_before: 0,
            unacked: FxHashMap::default(),
            next_look: 0,
            stirred: BTreeSet::new(),
            counts: QueueCounts::default(),
        };
        for (name, settings) in stored::queues(store)? {
            let queue = state.queues.len() as u32;
            let mut length = 0;
            stored::letters_behind(store, queue, Place::LEAST, |_, _| {
                length += 1;
                true
            })?;
            state.add(name, settings, length);
        }
        state.fetch(store)?;
        // They may have been stored by a commit of which nobody heard that it was made.
        stored::first_deaths(store, |number, why| {
            let (attempt, what) = (0, Fate::Dead(why));
            turn.effects.push(Effect::Told {
                number,
                attempt,
                what,
            });
        })?;
        Ok(state)
    }

    fn add(&mut self, name: String, settings: QueueSettings, length: u64) -> u32 {
        let queue = self.queues.len() as u32;
        let dead = match &settings.dead_letters {
            DeadLetters::Kept => self.by_name.get(&dead_name(&name)).copied(),
            DeadLetters::To(to) => self.by_name.get(to).copied(),
            DeadLetters::Discarded => None,
        };
        self.by_name.insert(name.clone(), queue);
        self.queues.push(Known {
            name,
            settings,
            dead,
            line: Line::new(self.bounds.window, length),
            consumers: BTreeSet::new(),
            is_exclusive: false,
            free: VecDeque::new(),
            unacked: 0,
        });
        self.stirred.insert(queue);
        queue
    }

    /// Declares a queue, and the one for its dead letters; the same declaration again changes nothing.
    pub(crate) fn declare(
        &mut self,
        name: &str,
        settings: QueueSettings,
        turn: &mut Turn,
    ) -> Result<(), DeclareError> {
        if let Some(queue) = self.by_name.get(name) {
            let has = &self.queues[*queue as usize].settings;
            if *has == settings {
                return Ok(());
            }
            return Err(DeclareError::OtherSettings {
                name: name.to_owned(),
                has: Box::new(has.clone()),
            });
        }
        if let Some(flaw) = settings.flaw() {
            return Err(DeclareError::Flaw(flaw.to_owned()));
        }
        match &settings.dead_letters {
            DeadLetters::To(to) if !self.by_name.contains_key(to) => {
                return Err(DeclareError::NoDeadLetters(to.clone()));
            }
            DeadLetters::Kept if !self.by_name.contains_key(&dead_name(name)) => {
                self.add_new(&dead_name(name), QueueSettings::of_the_dead(), turn);
            }
            _ => {}
        }
        self.add_new(name, settings, turn);
        Ok(())
    }

    fn add_new(&mut self, name: &str, settings: QueueSettings, turn: &mut Turn) {
        let queue = self.queues.len() as u32;
        stored::put_queue(&mut turn.batch, queue, name, &settings);
        self.add(name.to_owned(), settings, 0);
    }

    /// Takes a letter: the number that it has from now on.
    pub(crate) fn publish(
        &mut self,
        name: &str,
        incoming: &Incoming,
        turn: &mut Turn,
    ) -> Result<u64, PublishError> {
        let placed = self.may_enter(name, incoming, turn);
        let (queue, deadline) = match placed {
            Ok(placed) => placed,
            Err(error) => {
                self.counts.refused += 1;
                return Err(error);
            }
        };
        let number = self.count();
        let rank = self.rank(queue, incoming.priority);
        let record = Record {
            number,
            deadline,
            attempts: 0,
            tries: 0,
            before: 0,
            deaths: 0,
        };
        turn.batch.put(BODIES, number.to_be_bytes(), &incoming.body);
        self.enter(queue, Place { rank, at: number }, record, turn);
        self.counts.published += 1;
        tell(record, Fate::Accepted, turn);
        self.settle_down(turn);
        Ok(number)
    }

    /// Whether a letter may come in: into which queue, and until when it may wait there.
    fn may_enter(
        &mut self,
        name: &str,
        incoming: &Incoming,
        turn: &mut Turn,
    ) -> Result<(u32, u64), PublishError> {
        let Some(queue) = self.by_name.get(name).copied() else {
            return Err(PublishError::NoSuchQueue(name.to_owned()));
        };
        let (bytes, most) = (incoming.body.len() as u64, self.bounds.letter_bytes);
        if bytes > most {
            return Err(PublishError::TooLarge { bytes, most });
        }
        let own = incoming.deadline.unwrap_or(u64::MAX);
        if own < turn.now {
            return Err(PublishError::PastDeadline);
        }
        self.stirred.insert(queue);
        self.settle_down(turn);
        let known = &self.queues[queue as usize];
        let length = known.line.len();
        if known
            .settings
            .max_length
            .is_some_and(|(most, when_full)| when_full == WhenFull::Refuse && length >= most)
        {
            return Err(PublishError::Full { length });
        }
        Ok((queue, own.min(known.ends(turn.now))))
    }

    /// Adds a consumer.
    pub(crate) fn consume(
        &mut self,
        name: &str,
        prefetch: u32,
        exclusively: bool,
        turn: &mut Turn,
    ) -> Result<Tag, ConsumeError> {
        let Some(queue) = self.by_name.get(name).copied() else {
            return Err(ConsumeError::NoSuchQueue(name.to_owned()));
        };
        let known = &mut self.queues[queue as usize];
        if prefetch == 0 {
            return Err(ConsumeError::PrefetchZero);
        } else if known.is_exclusive {
            return Err(ConsumeError::Exclusive(name.to_owned()));
        } else if exclusively && !known.consumers.is_empty() {
            return Err(ConsumeError::InUse(name.to_owned()));
        }
        self.consumers_before += 1;
        let tag = self.counters.boots << 32 | self.consumers_before;
        known.consumers.insert(tag);
        known.is_exclusive = exclusively;
        known.free.push_back(tag);
        let held = FxHashSet::default();
        self.consumers.insert(
            tag,
            Consumer {
                queue,
                prefetch,
                held,
            },
        );
        self.stirred.insert(queue);
        self.settle_down(turn);
        Ok(tag)
    }

    /// The id of a letter.
    pub(crate) fn letter(&self, number: u64) -> LetterId {
        LetterId {
            origin: self.counters.origin,
            number,
        }
    }

    /// Whether a letter is with this consumer, at this attempt.
    pub(crate) fn holds(&self, tag: Tag, number: u64, attempt: u32) -> bool {
        let held = self.unacked.get(&number);
        held.is_some_and(|held| held.by == tag && held.record.attempts == attempt)
    }

    /// A consumer is no more: its letters go back to their places.
    pub(crate) fn cancel(&mut self, tag: Tag, turn: &mut Turn) {
        let Some(consumer) = self.consumers.remove(&tag) else {
            return;
        };
        let known = &mut self.queues[consumer.queue as usize];
        known.consumers.remove(&tag);
        known.is_exclusive = false;
        known.free.retain(|other| *other != tag);
        let mut held: Vec<Held> = consumer
            .held
            .iter()
            .filter_map(|number| self.unacked.remove(number))
            .collect();
        held.sort_unstable_by_key(|held| held.place);
        for held in held {
            self.queues[held.queue as usize].unacked -= 1;
            self.give_back(held, false, turn);
        }
        self.settle_down(turn);
    }

    /// A consumer begins to process a letter: if it ends before it has settled it, that letter is blamed.
    pub(crate) fn begin(&mut self, number: u64, attempt: u32, turn: &mut Turn) {
        if let Some(held) = self.unacked.get_mut(&number)
            && held.record.attempts == attempt
            && !held.has_begun
        {
            held.has_begun = true;
            held.record.tries += 1;
            if self.queues[held.queue as usize]
                .settings
                .delivery_limit
                .is_some()
            {
                turn.records.set(held.queue, held.place, Some(held.record));
            }
        }
    }

    /// A consumer is done with one attempt at a letter. Of any other attempt it does nothing.
    pub(crate) fn settle(
        &mut self,
        number: u64,
        attempt: u32,
        how: Settle,
        turn: &mut Turn,
    ) -> Result<(), SettleError> {
        if number == 0 || number >= self.counters.next || attempt == 0 {
            self.counts.never_sent += 1;
            turn.effects.push(stale(number, attempt));
            return Err(SettleError::NeverSent);
        }
        match self.unacked.get(&number) {
            Some(held) if held.record.attempts == attempt => {}
            _ => {
                self.counts.stale += 1;
                turn.effects.push(stale(number, attempt));
                return Err(SettleError::Stale);
            }
        }
        if how == Settle::Requeue {
            // Who gives it back has looked at it.
            self.begin(number, attempt, turn);
        }
        let Some(held) = self.unacked.remove(&number) else {
            return Err(SettleError::Stale);
        };
        self.free_a_place(&held);
        match how {
            Settle::Ack => {
                turn.records.set(held.queue, held.place, None);
                self.forget(held.record, turn);
                self.counts.acked += 1;
                tell(held.record, Fate::Acked, turn);
            }
            Settle::Requeue => self.give_back(held, true, turn),
            Settle::Reject => {
                self.die(held.queue, held.place, held.record, WhyDead::Rejected, turn)
            }
            Settle::Unreadable => {
                self.die(
                    held.queue,
                    held.place,
                    held.record,
                    WhyDead::Unreadable,
                    turn,
                );
            }
        }
        self.settle_down(turn);
        Ok(())
    }

    /// Time has passed: what is over by now dies.
    pub(crate) fn tick(&mut self, turn: &mut Turn) {
        self.stirred.extend(0..self.queues.len() as u32);
        self.settle_down(turn);
    }

    /// When the next letter's time is over, as far as is known.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let lines = self.queues.iter().map(|known| &known.line);
        lines.filter_map(Line::next_deadline).min()
    }

    /// Ends a turn: records and what is counted are stored with it.
    pub(crate) fn seal(&mut self, turn: &mut Turn) {
        turn.records.write(&mut turn.batch);
        if self.counters != self.stored {
            self.counters.put(&mut turn.batch);
            self.stored = self.counters;
        }
    }

    /// Whether a queue has fewer letters in memory than it should.
    pub(crate) fn wants_letters(&self) -> bool {
        self.queues.iter().any(|known| known.line.wants())
    }

    /// Fetches letters whose place was only in the store, which must hold all turns so far.
    pub(crate) fn fetch(&mut self, store: &impl Store) -> Result<(), StoreError> {
        for (queue, known) in (0..).zip(&mut self.queues) {
            if known.line.wants() {
                let unacked = &self.unacked;
                let is_out = |number| unacked.contains_key(&number);
                known.line.fetch(queue, store, is_out)?;
                self.stirred.insert(queue);
            }
        }
        Ok(())
    }

    /// How it stands with a queue.
    pub(crate) fn info(&self, name: &str) -> Option<QueueInfo> {
        let known = &self.queues[*self.by_name.get(name)? as usize];
        Some(QueueInfo {
            waiting: known.line.len(),
            indexed: known.line.indexed(),
            unacked: known.unacked,
            consumers: known.consumers.len() as u64,
        })
    }

    /// Lets every letter go where it can, of all queues in which something has changed.
    pub(crate) fn settle_down(&mut self, turn: &mut Turn) {
        // It ends: dead letters go to queues that were declared before, so never in a ring.
        while let Some(queue) = self.stirred.pop_last() {
            while let Some((place, record)) = self.queues[queue as usize].line.take_over(turn.now) {
                self.die(queue, place, record, WhyDead::Expired, turn);
            }
            self.deliver(queue, turn);
            while self.queues[queue as usize].is_too_long()
                && let Some((place, record)) = self.queues[queue as usize].line.take_first()
            {
                self.die(queue, place, record, WhyDead::Overflow, turn);
            }
        }
    }

    /// Gives letters to consumers, in turn, for as long as there are both.
    fn deliver(&mut self, queue: u32, turn: &mut Turn) {
        loop {
            let known = &mut self.queues[queue as usize];
            let Some((place, mut record)) = known.line.first() else {
                return;
            };
            if known.is_poison(record) {
                known.line.take_first();
                self.die(queue, place, record, WhyDead::TooOften, turn);
                continue;
            }
            let Some(tag) = known.free.pop_front() else {
                return;
            };
            let Some(consumer) = self.consumers.get_mut(&tag) else {
                continue;
            };
            known.line.take_first();
            record.attempts += 1;
            turn.records.set(queue, place, Some(record));
            consumer.held.insert(record.number);
            if (consumer.held.len() as u32) < consumer.prefetch {
                known.free.push_back(tag);
            }
            known.unacked += 1;
            let held = Held {
                by: tag,
                queue,
                place,
                record,
                has_begun: false,
                since: turn.uptime,
            };
            self.unacked.insert(record.number, held);
            self.counts.delivered += 1;
            turn.effects.push(Effect::Deliver { to: tag, record });
        }
    }

    /// A consumer has a letter less.
    fn free_a_place(&mut self, held: &Held) {
        let known = &mut self.queues[held.queue as usize];
        known.unacked -= 1;
        if let Some(consumer) = self.consumers.get_mut(&held.by) {
            if consumer.held.len() as u32 == consumer.prefetch {
                known.free.push_back(held.by);
            }
            consumer.held.remove(&held.record.number);
        }
        self.stirred.insert(held.queue);
    }

    /// A letter goes back to its place; where nothing else ends it and it was given back, behind all others.
    fn give_back(&mut self, held: Held, by_nack: bool, turn: &mut Turn) {
        let Held {
            queue,
            mut place,
            record,
            ..
        } = held;
        let known = &self.queues[queue as usize];
        self.counts.returned += 1;
        tell(record, Fate::Returned, turn);
        if known.is_poison(record) {
            return self.die(queue, place, record, WhyDead::TooOften, turn);
        }
        if by_nack && known.settings.delivery_limit.is_none() {
            turn.records.set(queue, place, None);
            place.at = self.count();
            turn.records.set(queue, place, Some(record));
        }
        self.queues[queue as usize].line.put(place, record);
        self.stirred.insert(queue);
    }

    /// A letter dies in a queue: it goes to that of the dead letters, or nowhere.
    fn die(&mut self, queue: u32, place: Place, record: Record, why: WhyDead, turn: &mut Turn) {
        turn.records.set(queue, place, None);
        self.counts.dead += 1;
        tell(record, Fate::Dead(why), turn);
        let known = &self.queues[queue as usize];
        let Some(dead) = known.dead else {
            self.counts.discarded += 1;
            return self.forget(record, turn);
        };
        let death = Death {
            queue: known.name.clone(),
            why,
            at: Duration::from_nanos(turn.now),
            attempts: record.attempts,
        };
        stored::put_death(&mut turn.batch, record.number, record.deaths, &death);
        let record = Record {
            deadline: self.queues[dead as usize].ends(turn.now),
            tries: 0,
            before: record.attempts,
            deaths: record.deaths.saturating_add(1),
            ..record
        };
        let (rank, at) = (self.rank(dead, u8::MAX - place.rank), self.count());
        self.enter(dead, Place { rank, at }, record, turn);
    }

    fn enter(&mut self, queue: u32, place: Place, record: Record, turn: &mut Turn) {
        turn.records.set(queue, place, Some(record));
        self.queues[queue as usize].line.put(place, record);
        self.stirred.insert(queue);
    }

    /// Nothing of a letter is kept.
    fn forget(&self, record: Record, turn: &mut Turn) {
        turn.batch.remove(BODIES, record.number.to_be_bytes());
        for nth in 0..record.deaths {
            turn.batch
                .remove(DEATHS, stored::death_key(record.number, nth));
        }
    }

    fn rank(&self, queue: u32, priority: u8) -> u8 {
        u8::MAX - priority.min(self.queues[queue as usize].settings.priorities)
    }

    /// The next number.
    fn count(&mut self) -> u64 {
        let number = self.counters.next;
        self.counters.next += 1;
        number
    }
}

impl Known {
    /// Until when a letter may wait that comes now.
    fn ends(&self, now: u64) -> u64 {
        let most = self.settings.time_to_live_ns;
        most.map_or(u64::MAX, |most| now.saturating_add(most))
    }

    fn is_poison(&self, record: Record) -> bool {
        self.settings
            .delivery_limit
            .is_some_and(|most| record.tries >= most)
    }

    fn is_too_long(&self) -> bool {
        self.settings.max_length.is_some_and(|(most, when_full)| {
            when_full == WhenFull::DropHead && self.line.len() > most
        })
    }
}

/// The queue that keeps the dead letters of another.
fn dead_name(name: &str) -> String {
    format!("{name}.dead")
}

/// Tells what becomes of a letter, which is done with once it has died.
fn tell(record: Record, what: Fate, turn: &mut Turn) {
    if record.deaths == 0 {
        turn.effects.push(Effect::Told {
            number: record.number,
            attempt: record.attempts,
            what,
        });
    }
}

fn stale(number: u64, attempt: u32) -> Effect {
    Effect::Told {
        number,
        attempt,
        what: Fate::Stale,
    }
}

mod returns;
#[cfg(test)]
mod tests;
