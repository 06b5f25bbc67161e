//! What queues keep in a [`Store`], and how it is written there.
//!
//! A letter has two entries: its body, under its number, which is written once; and its record, under its
//! queue and place, which is small and changes. So a letter moves to another queue without its body being
//! read.

use super::fate::Death;
use super::settings::QueueSettings;
use crate::mail::store::{Batch, Store, StoreError, Table};
use crate::trace::{Name, WhyDead};

/// Name and settings of each queue, under its number.
pub(super) const QUEUES: Table = Table("queue.queues");
/// The record of each letter, under queue, rank and place.
pub(super) const LETTERS: Table = Table("queue.letters");
/// The body of each letter, under its number.
pub(super) const BODIES: Table = Table("queue.bodies");
/// The deaths of each letter, under its number and the how-manieth death it is.
pub(super) const DEATHS: Table = Table("queue.deaths");
/// What is counted over all boots, and the version of all this.
const COUNTERS: Table = Table("queue.counters");

/// The version of what is written here.
const VERSION: u64 = 1;

/// A place in a queue: those of a greater priority come first, then those that came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// 255 less the priority.
    pub(crate) rank: u8,
    pub(crate) at: u64,
}

impl Place {
    /// Before all others: places are counted from 1.
    pub(super) const LEAST: Place = Place { rank: 0, at: 0 };
}

/// What a queue knows of a letter beside its place and its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Which letter: counted by the broker, over all its boots, from 1.
    pub(crate) number: u64,
    /// By the wall clock, in nanoseconds; the greatest number where it has none.
    pub(crate) deadline: u64,
    /// How often it was delivered, over all queues.
    pub(crate) attempts: u32,
    /// How often its processing has begun in this queue.
    pub(crate) tries: u32,
    /// Its attempts when it came into this queue.
    pub(crate) before: u32,
    /// How often it has died.
    pub(crate) deaths: u8,
}

const RECORD_BYTES: usize = 29;
const KEY_BYTES: usize = 13;

impl Record {
    fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..8].copy_from_slice(&self.number.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.deadline.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.attempts.to_be_bytes());
        bytes[20..24].copy_from_slice(&self.tries.to_be_bytes());
        bytes[24..28].copy_from_slice(&self.before.to_be_bytes());
        bytes[28] = self.deaths;
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Record> {
        let bytes: &[u8; RECORD_BYTES] = bytes.try_into().ok()?;
        let word = |at: usize| u64::from_be_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let half = |at: usize| u32::from_be_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        Some(Record {
            number: word(0),
            deadline: word(8),
            attempts: half(16),
            tries: half(20),
            before: half(24),
            deaths: bytes[28],
        })
    }

    /// Whether it was delivered before, from this queue, when it is delivered now.
    pub(crate) fn is_redelivered(self) -> bool {
        self.attempts > self.before + 1
    }
}

/// Records that change together: of each, what it came to be is written.
#[derive(Debug, Default)]
pub(crate) struct Records(Vec<(u32, Place, Option<Record>)>);

impl Records {
    /// The record of this place, from now on; none where it has no letter any more.
    pub(super) fn set(&mut self, queue: u32, place: Place, record: Option<Record>) {
        self.0.push((queue, place, record));
    }

    /// Puts all changes into a batch, in the order of the places.
    pub(super) fn write(&mut self, batch: &mut Batch) {
        // Stable: of those of one place the last is the last.
        self.0.sort_by_key(|(queue, place, _)| (*queue, *place));
        let mut changes = self.0.drain(..).peekable();
        while let Some((queue, place, record)) = changes.next() {
            if changes
                .peek()
                .is_some_and(|next| (next.0, next.1) == (queue, place))
            {
                continue;
            }
            match record {
                Some(record) => batch.put(LETTERS, key(queue, place), record.to_bytes()),
                None => batch.remove(LETTERS, key(queue, place)),
            }
        }
    }
}

/// The key of a letter's record.
fn key(queue: u32, place: Place) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[..4].copy_from_slice(&queue.to_be_bytes());
    key[4] = place.rank;
    key[5..].copy_from_slice(&place.at.to_be_bytes());
    key
}

fn place_of(key: &[u8]) -> Option<Place> {
    let key: &[u8; KEY_BYTES] = key.try_into().ok()?;
    Some(Place {
        rank: key[4],
        at: u64::from_be_bytes(std::array::from_fn(|byte| key[5 + byte])),
    })
}

pub(super) fn death_key(number: u64, nth: u8) -> [u8; 9] {
    let mut key = [nth; 9];
    key[..8].copy_from_slice(&number.to_be_bytes());
    key
}

/// Bytes that cannot be what was written.
fn damaged(what: &str) -> StoreError {
    StoreError::Damaged {
        store: "of queues".to_owned(),
        detail: format!("{what} is not what was written"),
    }
}

/// Shows each letter of a queue that lies behind a place, in their order, for as long as `each` says so.
pub(super) fn letters_behind(
    store: &impl Store,
    queue: u32,
    place: Place,
    mut each: impl FnMut(Place, Record) -> bool,
) -> Result<(), StoreError> {
    let (mut from, to) = (
        key(queue, place).to_vec(),
        key(
            queue,
            Place {
                rank: u8::MAX,
                at: u64::MAX,
            },
        ),
    );
    // The least key that is greater.
    from.push(0);
    let mut found = Ok(());
    store.scan(
        LETTERS,
        from.as_slice()..=to.as_slice(),
        &mut |key, value| match place_of(key).zip(Record::from_bytes(value)) {
            Some((place, record)) => each(place, record),
            None => {
                found = Err(damaged("the record of a letter"));
                false
            }
        },
    )?;
    found
}

/// The body of a letter.
pub(super) fn body(store: &impl Store, number: u64) -> Result<Vec<u8>, StoreError> {
    let body = store.get(BODIES, &number.to_be_bytes())?;
    body.ok_or_else(|| damaged("the body of a letter"))
}

/// The deaths of a letter, the first one first.
pub(super) fn deaths(
    store: &impl Store,
    number: u64,
    how_many: u8,
) -> Result<Vec<Death>, StoreError> {
    let death = |nth| {
        let bytes = store.get(DEATHS, &death_key(number, nth))?;
        let death = bytes.and_then(|bytes| postcard::from_bytes(&bytes).ok());
        death.ok_or_else(|| damaged("the death of a letter"))
    };
    (0..how_many).map(death).collect()
}

/// Of which letters it is stored that they have died, and why they first did.
pub(super) fn first_deaths(
    store: &impl Store,
    mut each: impl FnMut(u64, WhyDead),
) -> Result<(), StoreError> {
    let (first, last) = (death_key(0, 0), death_key(u64::MAX, u8::MAX));
    let mut good = true;
    store.scan(DEATHS, &first[..]..=&last[..], &mut |key, value| {
        if let [number @ .., 0] = key {
            let number = number.try_into().map(u64::from_be_bytes);
            let death = postcard::from_bytes::<Death>(value);
            good = number.is_ok() && death.is_ok();
            if let (Ok(number), Ok(death)) = (number, death) {
                each(number, death.why);
            }
        }
        good
    })?;
    if good {
        return Ok(());
    }
    Err(damaged("the death of a letter"))
}

/// Writes a death.
pub(super) fn put_death(batch: &mut Batch, number: u64, nth: u8, death: &Death) {
    let bytes = postcard::to_allocvec(death).expect("a death is plain data, which encodes");
    batch.put(DEATHS, death_key(number, nth), bytes);
}

/// Writes name and settings of a queue.
pub(super) fn put_queue(batch: &mut Batch, queue: u32, name: &str, settings: &QueueSettings) {
    let bytes =
        postcard::to_allocvec(&(name, settings)).expect("settings are plain data, which encode");
    batch.put(QUEUES, queue.to_be_bytes(), bytes);
}

/// Name and settings of each queue, in the order in which they were declared.
pub(super) fn queues(store: &impl Store) -> Result<Vec<(String, QueueSettings)>, StoreError> {
    let mut queues = Vec::new();
    let mut found = Ok(());
    let (from, to) = ([0; 4], [u8::MAX; 4]);
    store.scan(QUEUES, &from[..]..=&to[..], &mut |_, value| {
        match postcard::from_bytes(value) {
            Ok(queue) => queues.push(queue),
            Err(_) => found = Err(damaged("a queue")),
        }
        found.is_ok()
    })?;
    found.map(|()| queues)
}

/// What is counted over all boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counters {
    /// How often a broker was started on this store.
    pub(super) boots: u64,
    /// The number of the next letter, and the next place.
    pub(super) next: u64,
    /// What names its letters.
    pub(super) origin: Name,
}

impl Counters {
    /// Reads them; `origin` names a store that is new.
    pub(super) fn read(
        store: &impl Store,
        origin: impl FnOnce() -> Name,
    ) -> Result<Counters, StoreError> {
        let Some(bytes) = store.get(COUNTERS, &[])? else {
            return Ok(Counters {
                boots: 0,
                next: 1,
                origin: origin(),
            });
        };
        let read = postcard::take_from_bytes::<u64>(&bytes);
        let (version, rest) = read.map_err(|_| damaged("the version"))?;
        if version > VERSION {
            return Err(StoreError::Newer {
                store: "of queues".to_owned(),
                found: u32::try_from(version).unwrap_or(u32::MAX),
                known: VERSION as u32,
            });
        }
        let counters = postcard::from_bytes(rest).map_err(|_| damaged("the counters"));
        counters.map(|(boots, next, origin)| Counters {
            boots,
            next,
            origin,
        })
    }

    pub(super) fn put(self, batch: &mut Batch) {
        let counters = (VERSION, self.boots, self.next, self.origin);
        let bytes = postcard::to_allocvec(&counters).expect("numbers encode");
        batch.put(COUNTERS, [], bytes);
    }
}
