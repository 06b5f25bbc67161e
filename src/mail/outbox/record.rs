//! What an outbox keeps in its store, and how.

use crate::mail::letter::{Body, Key, Recipient};
use crate::mail::store::{Batch, Store, StoreError, Table};
use crate::process::{Tag, encode};
use crate::trace::{LetterId, Name, WhyDead};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The letters that are not acked, by number.
const LETTERS: Table = Table("outbox.letters");
/// For each recipient, the place of the next letter to it.
const RECIPIENTS: Table = Table("outbox.recipients");
/// What the outbox knows of itself.
const SELF: Table = Table("outbox.self");
/// The letters that were set aside, by number.
const DEAD: Table = Table("outbox.dead");

const VERSION: &[u8] = b"version";
const ORIGIN: &[u8] = b"origin";
const NEXT: &[u8] = b"next";
const ATTEMPTS: &[u8] = b"attempts";

/// The version of all this: an outbox reads no newer one.
const KNOWN_VERSION: u32 = 1;

/// A letter as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) to: Recipient,
    pub(super) place: u64,
    pub(super) key: Key,
    pub(super) kind: Tag,
    pub(super) follows: Option<LetterId>,
    pub(super) deadline_ns: Option<u64>,
    /// Nothing where the letter was given up, and its recipient is yet to hear of it.
    pub(super) body: Option<Body>,
}

/// A letter that was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadMail {
    /// Which letter.
    pub letter: LetterId,
    /// Whom it was for.
    pub to: Recipient,
    /// What ordered it.
    pub key: Key,
    /// Of which type its message is.
    pub kind: Tag,
    /// Why it was set aside. Where it has expired and its ack was lost, its effect may have been made all the
    /// same.
    pub why: WhyDead,
    /// What its reader said, where that rejected it.
    pub said: String,
    /// Its message, encoded.
    pub body: Body,
}

/// What an outbox knows of itself, over its reboots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Of which all its letters are.
    pub(super) origin: Name,
    /// The number of its next letter.
    pub(super) next: u64,
    /// No attempt has a greater number.
    pub(super) attempts: u32,
}

impl Known {
    /// Its letter with this number.
    pub(super) const fn letter(self, number: u64) -> LetterId {
        LetterId {
            origin: self.origin,
            number,
        }
    }
}

fn damaged(detail: &str) -> StoreError {
    StoreError::Damaged {
        store: "outbox".to_owned(),
        detail: detail.to_owned(),
    }
}

pub(in crate::mail) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}

fn entry<T: DeserializeOwned>(store: &dyn Store, key: &[u8]) -> Result<Option<T>, StoreError> {
    let Some(bytes) = store.get(SELF, key)? else {
        return Ok(None);
    };
    let value = read(&bytes).ok_or_else(|| damaged("an entry of its own does not decode"))?;
    Ok(Some(value))
}

/// What an outbox knows of itself; nothing where the store is new.
pub(super) fn known(store: &dyn Store) -> Result<Option<Known>, StoreError> {
    let Some(version) = entry::<u32>(store, VERSION)? else {
        return Ok(None);
    };
    if version > KNOWN_VERSION {
        return Err(StoreError::Newer {
            store: "outbox".to_owned(),
            found: version,
            known: KNOWN_VERSION,
        });
    }
    let missing = || damaged("an entry of its own is missing");
    Ok(Some(Known {
        origin: entry(store, ORIGIN)?.ok_or_else(missing)?,
        next: entry(store, NEXT)?.unwrap_or(1),
        attempts: entry(store, ATTEMPTS)?.unwrap_or(0),
    }))
}

/// Begins a store.
pub(super) fn begin(origin: Name, batch: &mut Batch) -> Known {
    batch.put_encoded(SELF, VERSION, &KNOWN_VERSION);
    batch.put_encoded(SELF, ORIGIN, &origin);
    Known {
        origin,
        next: 1,
        attempts: 0,
    }
}

/// All recipients, each with the place of the next letter to it.
pub(super) fn recipients(store: &dyn Store) -> Result<Vec<(Recipient, u64)>, StoreError> {
    let mut found = Vec::new();
    each(store, RECIPIENTS, u64::MAX, &mut |key, value| {
        let entry = (read(key), read(value));
        let (Some(to), Some(next)) = entry else {
            return false;
        };
        found.push((to, next));
        true
    })?;
    Ok(found)
}

/// All letters that are not acked, in the order of their numbers.
pub(super) fn letters(store: &dyn Store) -> Result<Vec<(u64, Record)>, StoreError> {
    let mut found = Vec::new();
    each(store, LETTERS, u64::MAX, &mut |key, value| {
        let (Some(number), Some(record)) = (number_of(key), read(value)) else {
            return false;
        };
        found.push((number, record));
        true
    })?;
    Ok(found)
}

/// The oldest letters that were set aside, at most so many.
pub(super) fn dead(store: &dyn Store, most: u64) -> Result<Vec<DeadMail>, StoreError> {
    let mut found = Vec::new();
    each(store, DEAD, most, &mut |_, value| {
        let Some(mail) = read(value) else {
            return false;
        };
        found.push(mail);
        true
    })?;
    Ok(found)
}

/// All letters that were set aside, and why.
pub(super) fn fates(store: &dyn Store) -> Result<Vec<(LetterId, WhyDead)>, StoreError> {
    let mut found = Vec::new();
    each(store, DEAD, u64::MAX, &mut |_, value| {
        let mail = read::<DeadMail>(value);
        found.extend(mail.as_ref().map(|mail| (mail.letter, mail.why)));
        mail.is_some()
    })?;
    Ok(found)
}

/// Shows the first entries of a table, at most so many; one that `show` cannot read is damage.
fn each(
    store: &dyn Store,
    table: Table,
    most: u64,
    show: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), StoreError> {
    let (from, to): (&[u8], &[u8]) = (&[], &[u8::MAX; 64]);
    let (mut good, mut seen) = (true, 0);
    store.scan(table, from..=to, &mut |key, value| {
        if seen == most {
            return false;
        }
        seen += 1;
        good = show(key, value);
        good
    })?;
    if good {
        Ok(())
    } else {
        Err(damaged("an entry does not decode"))
    }
}

fn number_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.try_into().ok()?))
}

pub(super) fn put_letter(batch: &mut Batch, number: u64, record: &Record) {
    batch.put_encoded(LETTERS, number.to_be_bytes(), record);
}

pub(super) fn remove_letter(batch: &mut Batch, number: u64) {
    batch.remove(LETTERS, number.to_be_bytes());
}

pub(super) fn put_dead(batch: &mut Batch, mail: &DeadMail) {
    let number = mail.letter.number.to_be_bytes();
    batch.put_encoded(DEAD, number, mail);
}

pub(super) fn remove_dead(batch: &mut Batch, number: u64) {
    batch.remove(DEAD, number.to_be_bytes());
}

pub(super) fn put_next(batch: &mut Batch, next: u64) {
    batch.put_encoded(SELF, NEXT, &next);
}

pub(super) fn put_attempts(batch: &mut Batch, attempts: u32) {
    batch.put_encoded(SELF, ATTEMPTS, &attempts);
}

pub(super) fn put_recipient(batch: &mut Batch, to: Recipient, next: u64) {
    let key = encode(&to, Vec::new());
    batch.put_encoded(RECIPIENTS, key, &next);
}
