//! The rules of an inbox, without a process: what is done with a parcel that comes, and what is remembered.

use crate::mail::letter::{Answer, Envelope, Parcel, Receipt, Recipient};
use crate::mail::outbox::read;
use crate::mail::store::{Batch, Store, StoreError, Table};
use crate::process::{Target, encode};
use crate::trace::Name;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// What is remembered of the letters of each outbox to each recipient.
const MEMORY: Table = Table("inbox.memory");

/// What is known of a place at or above the floor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Mark {
    /// Its letter was not done.
    Open,
    /// It is done, or was given up by its outbox.
    Done,
    /// It was rejected: an answer that is given again.
    Refused(Answer),
}

/// What is remembered of the letters of one outbox to one recipient, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    /// Whom to tell.
    from: Target,
    /// No letter of a place below this one is taken any more: it was done, or its outbox has forgotten it.
    floor: u64,
    /// The places from the floor on.
    marks: VecDeque<Mark>,
}

impl Memory {
    fn mark(&self, place: u64) -> &Mark {
        let index = place.checked_sub(self.floor).map(usize::try_from);
        match index {
            None => &Mark::Done,
            Some(Ok(index)) => self.marks.get(index).unwrap_or(&Mark::Open),
            Some(Err(_)) => &Mark::Open,
        }
    }

    /// Marks a place at or above the floor, within the window.
    fn set(&mut self, place: u64, mark: Mark) {
        let Some(above) = place.checked_sub(self.floor) else {
            return;
        };
        while self.marks.len() as u64 <= above {
            self.marks.push_back(Mark::Open);
        }
        let index = self.marks.len() - 1;
        let index = usize::try_from(above).unwrap_or(index).min(index);
        self.marks[index] = mark;
        // What was done needs no mark: its ack is all that is ever said of it.
        while let Some(Mark::Done) = self.marks.front() {
            self.marks.pop_front();
            self.floor += 1;
        }
    }

    /// The outbox has forgotten all places below this one.
    fn forget_below(&mut self, lowest: u64) {
        while self.floor < lowest && !self.marks.is_empty() {
            self.marks.pop_front();
            self.floor += 1;
        }
        self.floor = self.floor.max(lowest);
        while let Some(Mark::Done) = self.marks.front() {
            self.marks.pop_front();
            self.floor += 1;
        }
    }
}

/// The letters of one outbox to one recipient.
#[derive(Debug)]
struct Stream {
    to: Recipient,
    origin: Name,
    memory: Memory,
    /// Letters that came before the one that they follow.
    held: BTreeMap<u64, Parcel>,
    /// Whether the memory is to be stored.
    changed: bool,
}

/// What is to be done with a parcel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is handed to the reader, whose answer is [decided](Core::decided) before anything else comes. One
    /// without a body was given up by its sender: it is done without a reader, in its turn, as a later letter
    /// of its key may follow it, and it may follow one that is not done.
    Hand(Parcel),
    /// It waits for the letter before it.
    Held,
    /// It was done, or refused, before: its sender is told so again.
    Repeated(Envelope, Receipt),
    /// It lies beyond the window, and comes again.
    Beyond,
}

/// An inbox.
#[derive(Debug)]
pub(crate) struct Core {
    window: u64,
    streams: Vec<Stream>,
    by_sender: FxHashMap<(Name, Recipient), usize>,
    /// The streams whose memories are to be stored.
    changed: Vec<usize>,
}

impl Core {
    /// Reads what is remembered.
    pub(crate) fn open(store: &dyn Store, window: u64) -> Result<Core, StoreError> {
        let mut core = Core {
            window,
            streams: Vec::new(),
            by_sender: FxHashMap::default(),
            changed: Vec::new(),
        };
        let (from, to): (&[u8], &[u8]) = (&[], &[u8::MAX; 64]);
        let mut good = true;
        store.scan(MEMORY, from..=to, &mut |key, value| {
            let entry = (read::<(Name, Recipient)>(key), read::<Memory>(value));
            if let (Some((origin, to)), Some(memory)) = entry {
                core.add(origin, to, memory);
            } else {
                good = false;
            }
            good
        })?;
        if good {
            return Ok(core);
        }
        Err(StoreError::Damaged {
            store: "inbox".to_owned(),
            detail: "an entry does not decode".to_owned(),
        })
    }

    fn add(&mut self, origin: Name, to: Recipient, memory: Memory) -> usize {
        let at = self.streams.len();
        self.streams.push(Stream {
            to,
            origin,
            memory,
            held: BTreeMap::new(),
            changed: false,
        });
        self.by_sender.insert((origin, to), at);
        at
    }

    /// Who has ever sent it a letter, and to whom: all that is asked, at boot, for what was missed.
    pub(crate) fn senders(&self) -> impl Iterator<Item = (Target, Recipient)> {
        let streams = self.streams.iter();
        streams.map(|stream| (stream.memory.from, stream.to))
    }

    fn stream(&mut self, parcel: &Parcel) -> usize {
        let Envelope { id, from, to, .. } = parcel.envelope;
        if let Some(&at) = self.by_sender.get(&(id.origin, to)) {
            return at;
        }
        let memory = Memory {
            from,
            floor: parcel.lowest,
            marks: VecDeque::new(),
        };
        self.add(id.origin, to, memory)
    }

    /// A parcel has come.
    pub(crate) fn arrives(&mut self, parcel: Parcel) -> Arrival {
        let at = self.stream(&parcel);
        let stream = &mut self.streams[at];
        let (place, envelope) = (parcel.place, parcel.envelope);
        if stream.memory.floor < parcel.lowest {
            stream.memory.forget_below(parcel.lowest);
            stream.held = stream.held.split_off(&stream.memory.floor);
        }
        let receipt = |answer| Receipt {
            letter: envelope.id,
            attempt: envelope.attempt,
            to: envelope.to,
            place,
            answer,
        };
        match stream.memory.mark(place) {
            _ if place.saturating_sub(stream.memory.floor) >= self.window => Arrival::Beyond,
            Mark::Done => Arrival::Repeated(envelope, receipt(Answer::Done)),
            Mark::Refused(answer) => {
                let answer = answer.clone();
                Arrival::Repeated(envelope, receipt(answer))
            }
            Mark::Open if *stream.memory.mark(parcel.after) == Mark::Open => {
                let held = stream.held.get(&place);
                if held.is_none_or(|held| held.envelope.attempt < envelope.attempt) {
                    stream.held.insert(place, parcel);
                }
                Arrival::Held
            }
            Mark::Open => match stream.held.remove(&place) {
                Some(held) if held.body.is_none() => Arrival::Hand(held),
                _ => Arrival::Hand(parcel),
            },
        }
    }

    fn change(&mut self, at: usize) {
        if !std::mem::replace(&mut self.streams[at].changed, true) {
            self.changed.push(at);
        }
    }

    /// The reader has answered. The receipt is sent once the batch is committed that [`Core::seal`] ends.
    pub(crate) fn decided(&mut self, envelope: &Envelope, place: u64, answer: Answer) -> Receipt {
        let mark = match &answer {
            Answer::Requeue => None,
            Answer::Done => Some(Mark::Done),
            Answer::Rejected(_) | Answer::Unreadable => Some(Mark::Refused(answer.clone())),
        };
        let at = self.by_sender.get(&(envelope.id.origin, envelope.to));
        if let (Some(mark), Some(&at)) = (mark, at) {
            self.streams[at].memory.set(place, mark);
            self.change(at);
        }
        Receipt {
            letter: envelope.id,
            attempt: envelope.attempt,
            to: envelope.to,
            place,
            answer,
        }
    }

    /// A letter that was held, of the stream of this one, and waits for no other any more.
    pub(crate) fn released(&mut self, by: &Envelope) -> Option<Parcel> {
        let at = *self.by_sender.get(&(by.id.origin, by.to))?;
        let Stream { memory, held, .. } = &mut self.streams[at];
        let mut held_now = held.iter();
        let place = held_now
            .find(|(_, parcel)| *memory.mark(parcel.after) != Mark::Open)
            .map(|(place, _)| *place)?;
        held.remove(&place)
    }

    /// Ends a group: puts what is remembered into the batch that holds the effects, too.
    pub(crate) fn seal(&mut self, batch: &mut Batch) {
        for at in self.changed.drain(..) {
            let stream = &mut self.streams[at];
            stream.changed = false;
            let key = encode(&(stream.origin, stream.to), Vec::new());
            batch.put(MEMORY, key, encode(&stream.memory, Vec::new()));
        }
    }

    /// How many letters wait for one before them.
    pub(crate) fn held(&self) -> usize {
        self.streams.iter().map(|stream| stream.held.len()).sum()
    }
}
