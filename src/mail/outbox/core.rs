//! The rules of an outbox, without a process: a command and now go in; changes go into a batch; what is to be
//! done once that is committed comes out.

use super::record::{self, DeadMail, Known, Record};
use super::{SendError, Written};
use crate::kernel::Time;
use crate::mail::letter::{Answer, Envelope, Key, Parcel, Receipt, Recipient};
use crate::mail::store::{Batch, Store, StoreError};
use crate::otp::BackOff;
use crate::process::Target;
use crate::trace::{LetterId, Mailed, Name, WhyDead};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

/// By how much the number that no attempt exceeds is raised at once: so few commits are for that alone.
const ATTEMPTS_STEP: u32 = 16;

/// Whatever its back-off, it sends nothing twice at one moment.
const LEAST_WAIT: Duration = Duration::from_micros(1);

/// How an outbox works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// How long it waits for an ack.
    pub(crate) retry: BackOff,
    /// How far beyond the lowest place that is not acked it sends to a recipient.
    pub(crate) window: u64,
    /// How many letters it holds.
    pub(crate) backlog: usize,
    /// How many bytes the message of a letter has at most.
    pub(crate) largest: usize,
}

/// When something happens, and what the world says then.
pub(crate) struct Moment<'a> {
    pub(crate) now: Time,
    pub(crate) wall_ns: u64,
    /// A number below its argument, drawn.
    pub(crate) draw: &'a mut dyn FnMut(u64) -> u64,
    /// Who stands for a key.
    pub(crate) route: &'a dyn Fn(Key) -> Option<Recipient>,
}

/// What happened to a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) letter: LetterId,
    pub(crate) attempt: u32,
    pub(crate) what: Mailed,
}

/// What is to be done once the batch is committed: first all facts are told, then all parcels are sent.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) facts: Vec<Fact>,
    pub(crate) parcels: Vec<(Target, Parcel)>,
}

/// A letter that is not acked.
#[derive(Debug)]
struct Slot {
    number: u64,
    record: Record,
    /// The last attempt that was made.
    attempt: u32,
    /// How often it was tried in a row, for its back-off.
    tries: u32,
    /// When it is tried again.
    due: Time,
    /// Whether it may have left, at this boot or at an earlier one.
    left: bool,
    /// The place of the letter before it that has its key, at the time when it was accepted.
    after: u64,
}

/// The letters to one recipient, by place.
#[derive(Debug)]
struct Stream {
    to: Recipient,
    /// The place of the first slot: nothing below is ever sent again.
    lowest: u64,
    slots: VecDeque<Option<Slot>>,
    /// The first place that was not tried as yet.
    untried: u64,
    /// The last place of each key that is not acked.
    last: FxHashMap<Key, u64>,
    /// Whether the place of the next letter is to be stored.
    changed: bool,
}

impl Stream {
    fn new(to: Recipient, lowest: u64) -> Stream {
        Stream {
            to,
            lowest,
            slots: VecDeque::new(),
            untried: lowest,
            last: FxHashMap::default(),
            changed: false,
        }
    }

    fn next(&self) -> u64 {
        self.lowest + self.slots.len() as u64
    }

    fn index(&self, place: u64) -> Option<usize> {
        usize::try_from(place.checked_sub(self.lowest)?).ok()
    }

    fn slot(&mut self, place: u64) -> Option<&mut Slot> {
        let index = self.index(place)?;
        self.slots.get_mut(index)?.as_mut()
    }

    fn push(&mut self, slot: Slot) {
        let key = slot.record.key;
        if key != Key::NONE {
            self.last.insert(key, self.next());
        }
        self.slots.push_back(Some(slot));
    }

    /// The last place of a key that is not acked; 0 for none.
    fn last_of(&self, key: Key) -> u64 {
        self.last.get(&key).copied().unwrap_or(0)
    }

    fn remove(&mut self, place: u64) -> Option<Slot> {
        let index = self.index(place)?;
        let slot = self.slots.get_mut(index)?.take()?;
        let key = slot.record.key;
        if key != Key::NONE && self.last_of(key) == place {
            self.last.remove(&key);
        }
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.lowest += 1;
        }
        self.untried = self.untried.max(self.lowest);
        Some(slot)
    }
}

/// An outbox.
#[derive(Debug)]
pub(crate) struct Core {
    options: Options,
    from: Target,
    known: Known,
    streams: Vec<Stream>,
    by_recipient: FxHashMap<Recipient, usize>,
    /// When which slot is tried again: time, stream, place. One whose slot says another time is void.
    due: BinaryHeap<Reverse<(Time, usize, u64)>>,
    /// When which slot is given up, by the wall clock.
    deadlines: BinaryHeap<Reverse<(u64, usize, u64)>>,
    held: usize,
    /// The streams whose next places are to be stored.
    changed: Vec<usize>,
    effects: Effects,
}

impl Core {
    /// Reads what is stored. `origin` names a store that is new.
    pub(crate) fn open(
        store: &dyn Store,
        options: Options,
        from: Target,
        origin: &mut dyn FnMut() -> Name,
        batch: &mut Batch,
    ) -> Result<Core, StoreError> {
        let known = match record::known(store)? {
            Some(known) => known,
            None => record::begin(origin(), batch),
        };
        let mut core = Core {
            options,
            from,
            known,
            streams: Vec::new(),
            by_recipient: FxHashMap::default(),
            due: BinaryHeap::new(),
            deadlines: BinaryHeap::new(),
            held: 0,
            changed: Vec::new(),
            effects: Effects::default(),
        };
        let mut next = FxHashMap::default();
        for (to, place) in record::recipients(store)? {
            next.insert(to, place);
        }
        for (number, record) in record::letters(store)? {
            core.restore(number, record);
        }
        for (to, place) in next {
            let stream = core.stream(to, place);
            let stream = &mut core.streams[stream];
            while stream.next() < place {
                stream.slots.push_back(None);
            }
        }
        Ok(core)
    }

    /// Takes up a letter of an earlier boot.
    fn restore(&mut self, number: u64, record: Record) {
        let place = record.place;
        let at = self.stream(record.to, place);
        let stream = &mut self.streams[at];
        while stream.next() < place {
            stream.slots.push_back(None);
        }
        if let (Some(deadline), Some(_)) = (record.deadline_ns, &record.body) {
            self.deadlines.push(Reverse((deadline, at, place)));
        }
        let after = stream.last_of(record.key);
        stream.push(Slot {
            number,
            record,
            attempt: self.known.attempts,
            tries: 0,
            due: Time::ZERO,
            left: true,
            after,
        });
        self.held += 1;
    }

    /// The stream to a recipient; a new one begins with this place.
    fn stream(&mut self, to: Recipient, place: u64) -> usize {
        if let Some(&at) = self.by_recipient.get(&to) {
            return at;
        }
        let at = self.streams.len();
        self.streams.push(Stream::new(to, place));
        self.by_recipient.insert(to, at);
        at
    }

    /// Sends what an earlier boot has left.
    pub(crate) fn boot(&mut self, moment: &mut Moment<'_>, batch: &mut Batch) {
        for at in 0..self.streams.len() {
            self.advance(at, moment, batch);
        }
    }

    /// Whether these letters can be taken, all together.
    ///
    /// # Errors
    /// Why they cannot.
    pub(crate) fn admits(&self, letters: &[Written], wall_ns: u64) -> Result<(), SendError> {
        let most = self.options.largest;
        for letter in letters {
            let bytes = letter.body.bytes().len();
            if bytes > most {
                return Err(SendError::TooLarge {
                    bytes: bytes as u64,
                    most: most as u64,
                });
            }
            if letter.draft.deadline_ns.is_some_and(|at| at <= wall_ns) {
                return Err(SendError::PastDeadline);
            }
        }
        let most = self.options.backlog;
        if self.held + letters.len() > most {
            return Err(SendError::Full { most: most as u64 });
        }
        Ok(())
    }

    /// Takes a letter that it [admits](Core::admits).
    pub(crate) fn accept(
        &mut self,
        written: Written,
        moment: &mut Moment<'_>,
        batch: &mut Batch,
    ) -> LetterId {
        let Written { draft, kind, body } = written;
        let number = self.known.next;
        self.known.next += 1;
        self.held += 1;
        let at = self.stream(draft.to, 1);
        let stream = &mut self.streams[at];
        let place = stream.next();
        if !std::mem::replace(&mut stream.changed, true) {
            self.changed.push(at);
        }
        if let Some(deadline) = draft.deadline_ns {
            self.deadlines.push(Reverse((deadline, at, place)));
        }
        let record = Record {
            to: draft.to,
            place,
            key: draft.key,
            kind,
            follows: draft.follows,
            deadline_ns: draft.deadline_ns,
            body: Some(body),
        };
        record::put_letter(batch, number, &record);
        let after = stream.last_of(draft.key);
        stream.push(Slot {
            number,
            record,
            attempt: 0,
            tries: 0,
            due: Time::ZERO,
            left: false,
            after,
        });
        let letter = self.known.letter(number);
        self.tell(letter, 0, Mailed::accepted(order(draft.to, draft.key)));
        self.advance(at, moment, batch);
        letter
    }

    fn tell(&mut self, letter: LetterId, attempt: u32, what: Mailed) {
        self.effects.facts.push(Fact {
            letter,
            attempt,
            what,
        });
    }

    /// Tries what the window admits and was not tried as yet.
    fn advance(&mut self, at: usize, moment: &mut Moment<'_>, batch: &mut Batch) {
        loop {
            let stream = &mut self.streams[at];
            let end = stream
                .next()
                .min(stream.lowest.saturating_add(self.options.window));
            let place = stream.untried;
            if place >= end {
                return;
            }
            stream.untried += 1;
            self.attempt(at, place, moment, batch);
        }
    }

    /// Sends a letter, and sets the time of its next attempt.
    fn attempt(&mut self, at: usize, place: u64, moment: &mut Moment<'_>, batch: &mut Batch) {
        let stream = &mut self.streams[at];
        let (to, lowest) = (stream.to, stream.lowest);
        let Some(slot) = stream.slot(place) else {
            return;
        };
        let wait = wait(&self.options, slot.tries, moment);
        slot.tries = slot.tries.saturating_add(1);
        slot.due = moment.now + wait;
        self.due.push(Reverse((slot.due, at, place)));
        let target = match to {
            Recipient::Named(..) => to.target(),
            Recipient::Keyed(key) => (moment.route)(key).and_then(Recipient::target),
        };
        let Some(target) = target else { return };
        slot.attempt += 1;
        slot.left = true;
        let (after, number) = (slot.after, slot.number);
        let envelope = Envelope {
            id: self.known.letter(number),
            attempt: slot.attempt,
            from: self.from,
            to,
            kind: slot.record.kind,
            key: slot.record.key,
            follows: slot.record.follows,
            deadline_ns: slot.record.deadline_ns,
        };
        let body = slot.record.body.clone();
        if envelope.attempt > self.known.attempts {
            self.known.attempts = envelope.attempt.saturating_add(ATTEMPTS_STEP);
            record::put_attempts(batch, self.known.attempts);
        }
        let after = match stream.slot(after) {
            Some(_) => after,
            None => 0,
        };
        let parcel = Parcel {
            envelope,
            place,
            after,
            lowest,
            body,
        };
        self.effects.parcels.push((target, parcel));
    }

    /// Takes an ack or a nack.
    pub(crate) fn receipt(&mut self, receipt: Receipt, moment: &mut Moment<'_>, batch: &mut Batch) {
        let Receipt {
            letter,
            attempt,
            to,
            place,
            answer,
        } = receipt;
        let is_own = letter.origin == self.known.origin;
        let at = self.by_recipient.get(&to).copied().filter(|_| is_own);
        let slot = at.and_then(|at| self.streams[at].slot(place));
        let slot = slot.filter(|slot| slot.number == letter.number && attempt <= slot.attempt);
        let (Some(at), Some(slot)) = (at, slot) else {
            return self.tell(letter, attempt, Mailed::StaleAck);
        };
        let gave_up = slot.record.body.is_none();
        match answer {
            Answer::Requeue if gave_up || attempt < slot.attempt => {
                self.tell(letter, attempt, Mailed::StaleAck);
            }
            Answer::Requeue => {
                let wait = wait(&self.options, slot.tries, moment);
                slot.due = moment.now + wait;
                self.due.push(Reverse((slot.due, at, place)));
                self.tell(letter, attempt, Mailed::Returned);
            }
            Answer::Done => {
                if !gave_up {
                    self.tell(letter, attempt, Mailed::Acked);
                }
                self.remove(at, place, moment, batch);
            }
            Answer::Rejected(said) => {
                self.set_aside(at, place, WhyDead::Rejected, said, batch);
                self.remove(at, place, moment, batch);
            }
            Answer::Unreadable => {
                self.set_aside(at, place, WhyDead::Unreadable, String::new(), batch);
                self.remove(at, place, moment, batch);
            }
        }
    }

    /// Keeps a letter among the dead ones, where it is not there yet.
    fn set_aside(&mut self, at: usize, place: u64, why: WhyDead, said: String, batch: &mut Batch) {
        let known = self.known;
        let Some(slot) = self.streams[at].slot(place) else {
            return;
        };
        let Some(body) = slot.record.body.take() else {
            return;
        };
        let (letter, attempt) = (known.letter(slot.number), slot.attempt);
        let mail = DeadMail {
            letter,
            to: slot.record.to,
            key: slot.record.key,
            kind: slot.record.kind,
            why,
            said,
            body,
        };
        record::put_dead(batch, &mail);
        self.tell(letter, attempt, Mailed::Dead(why));
    }

    /// Forgets a letter, and sends what the window admits for that.
    fn remove(&mut self, at: usize, place: u64, moment: &mut Moment<'_>, batch: &mut Batch) {
        if let Some(slot) = self.streams[at].remove(place) {
            self.held -= 1;
            record::remove_letter(batch, slot.number);
            self.advance(at, moment, batch);
        }
    }

    /// A recipient is up again: it is sent what it has not acked after the shortest wait, not at once, as it
    /// may have crashed of what it was sent.
    pub(crate) fn again(&mut self, to: Recipient, moment: &mut Moment<'_>) {
        let Some(&at) = self.by_recipient.get(&to) else {
            return;
        };
        let stream = &mut self.streams[at];
        for place in stream.lowest..stream.untried {
            let Some(slot) = stream.slot(place) else {
                continue;
            };
            slot.tries = 0;
            let due = moment.now + wait(&self.options, 0, moment);
            if due < slot.due {
                slot.due = due;
                self.due.push(Reverse((due, at, place)));
            }
        }
    }

    /// All that has left and is not acked is due now.
    pub(crate) fn redeliver(&mut self, moment: &Moment<'_>) {
        for (at, stream) in self.streams.iter_mut().enumerate() {
            for place in stream.lowest..stream.untried {
                if let Some(slot) = stream.slot(place) {
                    slot.due = moment.now;
                    self.due.push(Reverse((moment.now, at, place)));
                }
            }
        }
    }

    /// Time has passed: gives up what is past its deadline, and tries again what is due.
    pub(crate) fn due(&mut self, moment: &mut Moment<'_>, batch: &mut Batch) {
        while let Some(&Reverse((deadline, at, place))) = self.deadlines.peek() {
            if deadline > moment.wall_ns {
                break;
            }
            self.deadlines.pop();
            self.give_up(at, place, moment, batch);
        }
        while let Some(&Reverse((due, at, place))) = self.due.peek() {
            if due > moment.now {
                break;
            }
            self.due.pop();
            let slot = self.streams[at].slot(place);
            if slot.is_some_and(|slot| slot.due == due) {
                self.attempt(at, place, moment, batch);
            }
        }
    }

    /// A letter is past its deadline. Where it may have left, it keeps its place, and its recipient is told
    /// to take it no more: else it might come after a later letter of its key.
    fn give_up(&mut self, at: usize, place: u64, moment: &mut Moment<'_>, batch: &mut Batch) {
        let Some(slot) = self.streams[at].slot(place) else {
            return;
        };
        if slot.record.body.is_none() {
            return;
        }
        let left = slot.left;
        let why = if !left && slot.tries > 0 {
            WhyDead::Nobody
        } else {
            WhyDead::Expired
        };
        self.set_aside(at, place, why, String::new(), batch);
        if !left {
            self.unlink(at, place);
            return self.remove(at, place, moment, batch);
        }
        if let Some(slot) = self.streams[at].slot(place) {
            slot.tries = 0;
            record::put_letter(batch, slot.number, &slot.record);
            if place < self.streams[at].untried {
                self.attempt(at, place, moment, batch);
            }
        }
    }

    /// The next letter of the key of this one follows the one before it.
    fn unlink(&mut self, at: usize, place: u64) {
        let stream = &mut self.streams[at];
        let Some((key, after)) = stream.slot(place).map(|slot| (slot.record.key, slot.after))
        else {
            return;
        };
        let before = match stream.slot(after) {
            Some(_) => after,
            None => 0,
        };
        if key == Key::NONE {
            return;
        }
        for later in stream.slots.iter_mut().flatten() {
            if later.after == place {
                later.after = before;
            }
        }
        if stream.last_of(key) == place && before != 0 {
            stream.last.insert(key, before);
        }
    }

    /// Ends a group: what is stored once for all of it.
    pub(crate) fn seal(&mut self, batch: &mut Batch) {
        self.tidy();
        if self.changed.is_empty() {
            return;
        }
        record::put_next(batch, self.known.next);
        for at in self.changed.drain(..) {
            let stream = &mut self.streams[at];
            stream.changed = false;
            record::put_recipient(batch, stream.to, stream.next());
        }
    }

    /// What is to be done now that the batch is committed.
    pub(crate) fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// How long to wait before [`Core::due`] has something to do; for ever where it is nothing.
    pub(crate) fn wait(&mut self, now: Time, wall_ns: u64) -> Option<Duration> {
        while let Some(&Reverse((due, at, place))) = self.due.peek() {
            let slot = self.streams[at].slot(place);
            if slot.is_some_and(|slot| slot.due == due) {
                break;
            }
            self.due.pop();
        }
        let due = self.due.peek();
        let due = due.map(|&Reverse((due, ..))| due.since(now));
        let deadline = self.deadlines.peek();
        let deadline =
            deadline.map(|&Reverse((at, ..))| Duration::from_nanos(at.saturating_sub(wall_ns)));
        match (due, deadline) {
            (Some(due), Some(deadline)) => Some(due.min(deadline)),
            (due, deadline) => due.or(deadline),
        }
    }

    /// Drops what would wake it for nothing, where that has become much: so its memory is bounded by what it
    /// holds.
    fn tidy(&mut self) {
        let most = 4 * self.held + 1024;
        let streams = &mut self.streams;
        if self.due.len() > most {
            self.due.retain(|&Reverse((due, at, place))| {
                streams[at].slot(place).is_some_and(|slot| slot.due == due)
            });
        }
        if self.deadlines.len() > most {
            self.deadlines
                .retain(|&Reverse((_, at, place))| streams[at].slot(place).is_some());
        }
    }

    /// How many letters it holds that are not acked.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }
}

/// How long to wait for the ack of a letter that was tried so often before.
fn wait(options: &Options, tries: u32, moment: &mut Moment<'_>) -> Duration {
    let drawn = options.retry.drawn(tries, &mut *moment.draw);
    drawn.max(LEAST_WAIT)
}

/// What orders a letter, in one number: its key, for its recipient.
fn order(to: Recipient, key: Key) -> u64 {
    if key == Key::NONE {
        return 0;
    }
    let to = match to {
        Recipient::Named(node, name) => name.as_u64().rotate_left(node.index() as u32),
        Recipient::Keyed(key) => key.as_u64(),
    };
    // The odd number of Fibonacci hashing.
    (key.as_u64() ^ to.wrapping_mul(0x9E37_79B9_7F4A_7C15)).max(1)
}
