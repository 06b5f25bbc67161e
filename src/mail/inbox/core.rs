//! The rules of an inbox, without a process: what is done with a parcel that comes, and what is remembered.

use crate::mail::letter::{Answer, Head, Receipt, Recipient, Sheet};
use crate::mail::outbox::read;
use crate::mail::store::{Batch, Store, StoreError, Table};
use crate::process::{Tag, Target, encode};
use crate::trace::Name;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, VecDeque};

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

    fn is_open(&self, place: u64) -> bool {
        *self.mark(place) == Mark::Open
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
    held: FxHashMap<u64, (Tag, Sheet)>,
    /// By a place, those of the letters that wait for it.
    waiting: FxHashMap<u64, SmallVec<[u64; 2]>>,
    /// The places of those that are held and wait for no other any more.
    free: BTreeSet<u64>,
    /// Whether the memory is to be stored.
    changed: bool,
}

impl Stream {
    /// Takes a letter out of those that are held.
    fn take_held(&mut self, place: u64) -> Option<Sheet> {
        if self.held.is_empty() {
            return None;
        }
        let (_, sheet) = self.held.remove(&place)?;
        if !self.free.remove(&place)
            && let Entry::Occupied(mut waiting) = self.waiting.entry(sheet.after)
        {
            waiting.get_mut().retain(|waits| *waits != place);
            if waiting.get().is_empty() {
                waiting.remove();
            }
        }
        Some(sheet)
    }

    /// A letter waits for the one that it follows.
    fn hold(&mut self, kind: Tag, sheet: Sheet) {
        let (after, place) = (sheet.after, sheet.place);
        self.take_held(place);
        self.waiting.entry(after).or_default().push(place);
        self.held.insert(place, (kind, sheet));
    }

    /// Nothing waits for this place any more.
    fn set_free(&mut self, after: u64) {
        if !self.waiting.is_empty()
            && let Some(places) = self.waiting.remove(&after)
        {
            self.free.extend(places);
        }
    }

    /// The outbox has forgotten all places below this one.
    fn forget_below(&mut self, lowest: u64) {
        self.memory.forget_below(lowest);
        let floor = self.memory.floor;
        let gone: Vec<u64> = self
            .held
            .keys()
            .filter(|place| **place < floor)
            .copied()
            .collect();
        for place in gone {
            self.take_held(place);
        }
        let gone: Vec<u64> = self
            .waiting
            .keys()
            .filter(|after| **after < floor)
            .copied()
            .collect();
        for after in gone {
            self.set_free(after);
        }
    }
}

/// What is to be done with a letter that comes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is handed to the reader, whose answer is [decided](Core::decided) before anything else comes. One
    /// without a body was given up by its sender: it is done without a reader, in its turn, as a later letter
    /// of its key may follow it, and it may follow one that is not done.
    Hand,
    /// The same with another attempt at it, which was held, and says that it was given up.
    HandHeld(Sheet),
    /// It waits for the letter before it.
    Held,
    /// It was done, or refused, before: its sender is told so again.
    Repeated(Receipt),
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
            held: FxHashMap::default(),
            waiting: FxHashMap::default(),
            free: BTreeSet::new(),
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

    /// A parcel has come: of which stream its letters are.
    pub(crate) fn opens(&mut self, head: &Head) -> usize {
        let Head {
            origin,
            from,
            to,
            lowest,
            ..
        } = *head;
        let Some(&at) = self.by_sender.get(&(origin, to)) else {
            let memory = Memory {
                from,
                floor: lowest,
                marks: VecDeque::new(),
            };
            return self.add(origin, to, memory);
        };
        let stream = &mut self.streams[at];
        if stream.memory.floor < lowest {
            stream.forget_below(lowest);
        }
        at
    }

    /// A letter of a stream has come, whose message is of this type.
    pub(crate) fn arrives(&mut self, at: usize, kind: Tag, sheet: &Sheet) -> Arrival {
        let stream = &mut self.streams[at];
        let place = sheet.place;
        match stream.memory.mark(place) {
            _ if place.saturating_sub(stream.memory.floor) >= self.window => Arrival::Beyond,
            Mark::Done => Arrival::Repeated(receipt(sheet, Answer::Done)),
            Mark::Refused(answer) => Arrival::Repeated(receipt(sheet, answer.clone())),
            Mark::Open if stream.memory.is_open(sheet.after) => {
                let held = stream.held.get(&place);
                if held.is_none_or(|(_, held)| held.attempt < sheet.attempt) {
                    stream.hold(kind, sheet.clone());
                }
                Arrival::Held
            }
            Mark::Open => match stream.take_held(place) {
                Some(held) if held.body.is_none() => Arrival::HandHeld(held),
                _ => Arrival::Hand,
            },
        }
    }

    /// The reader has answered. The receipt is sent once the batch is committed that [`Core::seal`] ends.
    pub(crate) fn decided(&mut self, at: usize, sheet: &Sheet, answer: Answer) -> Receipt {
        let mark = match &answer {
            Answer::Requeue => None,
            Answer::Done => Some(Mark::Done),
            Answer::Rejected(_) | Answer::Unreadable => Some(Mark::Refused(answer.clone())),
        };
        if let Some(mark) = mark {
            let stream = &mut self.streams[at];
            stream.memory.set(sheet.place, mark);
            stream.set_free(sheet.place);
            if !std::mem::replace(&mut stream.changed, true) {
                self.changed.push(at);
            }
        }
        receipt(sheet, answer)
    }

    /// A letter of this stream that was held, and waits for no other any more; of which type its message is.
    pub(crate) fn released(&mut self, at: usize) -> Option<(Tag, Sheet)> {
        let stream = &mut self.streams[at];
        let place = stream.free.pop_first()?;
        stream.held.remove(&place)
    }

    /// Ends a group: puts what is remembered into the batch that holds the effects, too.
    pub(crate) fn seal(&mut self, batch: &mut Batch) {
        for at in self.changed.drain(..) {
            let stream = &mut self.streams[at];
            stream.changed = false;
            let key = encode(&(stream.origin, stream.to), Vec::new());
            batch.put_encoded(MEMORY, key, &stream.memory);
        }
    }

    /// How many letters wait for one before them.
    pub(crate) fn held(&self) -> usize {
        self.streams.iter().map(|stream| stream.held.len()).sum()
    }
}

fn receipt(sheet: &Sheet, answer: Answer) -> Receipt {
    Receipt {
        number: sheet.number,
        attempt: sheet.attempt,
        place: sheet.place,
        answer,
    }
}
