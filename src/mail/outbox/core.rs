//! The rules of an outbox, without a process: a command and now go in; changes go into a batch; what is to be
//! done once that is committed comes out.

use super::record::{self, DeadMail, Known, Record};
use super::stream::{Due, Slot, Stream};
use super::{SendError, Written};
use crate::kernel::Time;
use crate::mail::letter::{Answer, Head, Key, Parcel, Receipt, Receipts, Recipient, Sheet};
use crate::mail::store::{Batch, Store, StoreError};
use crate::otp::BackOff;
use crate::process::Target;
use crate::trace::{LetterId, Mailed, Name, WhyDead};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
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

/// An outbox.
#[derive(Debug)]
pub(crate) struct Core {
    options: Options,
    from: Target,
    known: Known,
    streams: Vec<Stream>,
    by_recipient: FxHashMap<Recipient, usize>,
    /// What may be tried again when.
    due: BinaryHeap<Reverse<Due>>,
    /// What goes there next, as soon as nothing can join it.
    next_due: Option<Due>,
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
            next_due: None,
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
        // They may have been stored by a commit of which nobody heard that it was made.
        for (letter, why) in record::fates(store)? {
            core.tell(letter, 0, Mailed::Dead(why));
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
            is_least: false,
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
            is_least: false,
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
        // Mostly it is acked by then, and nothing need be drawn.
        let due = moment.now + least_wait(&self.options, slot.tries);
        (slot.due, slot.is_least) = (due, true);
        slot.tries = slot.tries.saturating_add(1);
        self.try_at(due, at, place);
        let target = match to {
            Recipient::Named(..) => to.target(),
            Recipient::Keyed(key) => (moment.route)(key).and_then(Recipient::target),
        };
        let Some(target) = target else { return };
        let stream = &mut self.streams[at];
        let Some(slot) = stream.slot(place) else {
            return;
        };
        slot.attempt += 1;
        slot.left = true;
        let kind = slot.record.kind;
        let mut sheet = Sheet {
            number: slot.number,
            attempt: slot.attempt,
            key: slot.record.key,
            follows: slot.record.follows,
            deadline_ns: slot.record.deadline_ns,
            place,
            after: slot.after,
            body: slot.record.body.clone(),
        };
        if stream.slot(sheet.after).is_none() {
            sheet.after = 0;
        }
        if sheet.attempt > self.known.attempts {
            self.known.attempts = sheet.attempt.saturating_add(ATTEMPTS_STEP);
            record::put_attempts(batch, self.known.attempts);
        }
        let head = Head {
            origin: self.known.origin,
            from: self.from,
            to,
            kind,
            lowest,
        };
        stream.enclose(&mut self.effects.parcels, target, head, sheet);
    }

    /// A place is to be tried again then.
    fn try_at(&mut self, due: Time, stream: usize, place: u64) {
        if let Some(next) = &mut self.next_due
            && (next.at, next.stream, next.end) == (due, stream, place)
        {
            next.end += 1;
            return;
        }
        let next = Due {
            at: due,
            stream,
            first: place,
            end: place + 1,
        };
        self.due.extend(self.next_due.replace(next).map(Reverse));
    }

    /// Takes acks and nacks.
    pub(crate) fn receipts(
        &mut self,
        receipts: Receipts,
        moment: &mut Moment<'_>,
        batch: &mut Batch,
    ) {
        let Receipts {
            origin,
            to,
            receipts,
        } = receipts;
        let is_own = origin == self.known.origin;
        match self.by_recipient.get(&to).copied().filter(|_| is_own) {
            Some(at) => {
                for receipt in receipts {
                    self.receipt(at, receipt, moment, batch);
                }
                self.advance(at, moment, batch);
            }
            None => {
                for Receipt {
                    number, attempt, ..
                } in receipts
                {
                    let letter = LetterId { origin, number };
                    self.tell(letter, attempt, Mailed::StaleAck);
                }
            }
        }
    }

    /// Takes an ack or a nack of a letter of this stream.
    fn receipt(&mut self, at: usize, receipt: Receipt, moment: &mut Moment<'_>, batch: &mut Batch) {
        let Receipt {
            number,
            attempt,
            place,
            answer,
        } = receipt;
        let letter = self.known.letter(number);
        let slot = self.streams[at].slot(place);
        let slot = slot.filter(|slot| slot.number == number && attempt <= slot.attempt);
        let Some(slot) = slot else {
            return self.tell(letter, attempt, Mailed::StaleAck);
        };
        let gave_up = slot.record.body.is_none();
        match answer {
            Answer::Requeue if gave_up || attempt < slot.attempt => {
                self.tell(letter, attempt, Mailed::StaleAck);
            }
            Answer::Requeue => {
                let due = moment.now + wait(&self.options, slot.tries, moment);
                (slot.due, slot.is_least) = (due, false);
                self.try_at(due, at, place);
                self.tell(letter, attempt, Mailed::Returned);
            }
            Answer::Done => {
                if !gave_up {
                    self.tell(letter, attempt, Mailed::Acked);
                }
                self.remove(at, place, batch);
            }
            Answer::Rejected(said) => {
                self.set_aside(at, place, WhyDead::Rejected, said, batch);
                self.remove(at, place, batch);
            }
            Answer::Unreadable => {
                self.set_aside(at, place, WhyDead::Unreadable, String::new(), batch);
                self.remove(at, place, batch);
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

    /// Forgets a letter; whether the window admits another for that is to be [seen](Core::advance) then.
    fn remove(&mut self, at: usize, place: u64, batch: &mut Batch) {
        if let Some(number) = self.streams[at].remove(place) {
            self.held -= 1;
            record::remove_letter(batch, number);
        }
    }

    /// A recipient is up again: it is sent what it has not acked after the shortest wait, not at once, as it
    /// may have crashed of what it was sent.
    pub(crate) fn again(&mut self, to: Recipient, moment: &mut Moment<'_>) {
        let Some(&at) = self.by_recipient.get(&to) else {
            return;
        };
        let (lowest, untried) = (self.streams[at].lowest, self.streams[at].untried);
        for place in lowest..untried {
            let Some(slot) = self.streams[at].slot(place) else {
                continue;
            };
            slot.tries = 0;
            let due = moment.now + wait(&self.options, 0, moment);
            if slot.is_least || due < slot.due {
                (slot.due, slot.is_least) = (due, false);
                self.try_at(due, at, place);
            }
        }
    }

    /// All that has left and is not acked is due now.
    pub(crate) fn redeliver(&mut self, moment: &Moment<'_>) {
        for at in 0..self.streams.len() {
            for place in self.streams[at].lowest..self.streams[at].untried {
                if let Some(slot) = self.streams[at].slot(place) {
                    (slot.due, slot.is_least) = (moment.now, false);
                    self.try_at(moment.now, at, place);
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
        self.due.extend(self.next_due.take().map(Reverse));
        while let Some(&Reverse(due)) = self.due.peek() {
            if due.at > moment.now {
                break;
            }
            self.due.pop();
            let first = due.first.max(self.streams[due.stream].lowest);
            for place in first..due.end {
                self.try_again(due, place, moment, batch);
            }
        }
    }

    /// This place is due, where its slot says so. Where it has waited for the least time only, it is drawn
    /// how much longer it waits.
    fn try_again(&mut self, due: Due, place: u64, moment: &mut Moment<'_>, batch: &mut Batch) {
        let slot = self.streams[due.stream].slot(place);
        let Some(slot) = slot.filter(|slot| slot.due == due.at) else {
            return;
        };
        if std::mem::take(&mut slot.is_least) {
            let least = self.options.retry.least(slot.tries.saturating_sub(1));
            slot.due = due.at + BackOff::rest(least, &mut *moment.draw);
            if slot.due > moment.now {
                let at = slot.due;
                return self.try_at(at, due.stream, place);
            }
        }
        self.attempt(due.stream, place, moment, batch);
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
            self.remove(at, place, batch);
            return self.advance(at, moment, batch);
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

    /// What is to be done now that the batch is committed: to be taken out of it.
    pub(crate) fn effects(&mut self) -> &mut Effects {
        &mut self.effects
    }

    /// How long to wait before [`Core::due`] has something to do; for ever where it is nothing.
    pub(crate) fn wait(&mut self, now: Time, wall_ns: u64) -> Option<Duration> {
        self.due.extend(self.next_due.take().map(Reverse));
        while let Some(Reverse(due)) = self.due.peek()
            && !due.is_valid(&self.streams)
        {
            self.due.pop();
        }
        let due = self.due.peek();
        let due = due.map(|Reverse(due)| due.at.since(now));
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
        let streams = &self.streams;
        if self.due.len() > most {
            self.due.retain(|Reverse(due)| due.is_valid(streams));
        }
        if self.deadlines.len() > most {
            self.deadlines
                .retain(|&Reverse((_, at, place))| streams[at].has(place));
        }
    }

    /// How many letters it holds that are not acked.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }
}

/// The shortest wait for the ack of a letter that was tried so often before.
fn least_wait(options: &Options, tries: u32) -> Duration {
    options.retry.least(tries).max(LEAST_WAIT)
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
