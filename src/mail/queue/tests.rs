//! What queues keep in a store, and what they hold in memory.

use super::rules::{Bounds, Effect, Incoming, State, Turn};
use super::settings::QueueSettings;
use super::stored::{LETTERS, Place, Record};
use crate::mail::{Batch, MemoryStore, Store, StoreError, Table};
use crate::trace::Name;

const BOUNDS: Bounds = Bounds {
    letter_bytes: 100,
    window: 10,
    ack_timeout_ns: u64::MAX,
};

fn open(store: &mut MemoryStore) -> Result<State, StoreError> {
    let mut turn = Turn::default();
    let state = State::open(store, BOUNDS, || Name::new("queues"), &mut turn)?;
    store.commit(&turn.batch)?;
    Ok(state)
}

/// A store with a queue, and so many letters in it.
fn with_letters(letters: u64) -> MemoryStore {
    let mut store = MemoryStore::new();
    let mut state = open(&mut store).unwrap();
    let mut turn = Turn::default();
    state
        .declare("jobs", QueueSettings::new(), &mut turn)
        .unwrap();
    for _ in 0..letters {
        let incoming = Incoming {
            body: vec![1, 2, 3],
            priority: 0,
            deadline: None,
        };
        state.publish("jobs", &incoming, &mut turn).unwrap();
    }
    state.seal(&mut turn);
    store.commit(&turn.batch).unwrap();
    store
}

#[test]
fn queue_place_in_memory_takes_48_bytes_and_there_are_no_more_than_the_window() {
    assert_eq!(size_of::<(Place, Record)>(), 48);
    let state = open(&mut with_letters(1_000)).unwrap();
    let info = state.info("jobs").unwrap();
    assert_eq!((info.waiting, info.indexed), (1_000, 10));
}

#[test]
fn queue_numbers_of_letters_are_never_given_twice_over_reboots() {
    let mut store = with_letters(3);
    let mut state = open(&mut store).unwrap();
    let mut turn = Turn::default();
    let tag = state.consume("jobs", 10, false, &mut turn).unwrap();
    for number in 1..=3 {
        state
            .settle(number, 1, super::Settle::Ack, &mut turn)
            .unwrap();
    }
    state.seal(&mut turn);
    store.commit(&turn.batch).unwrap();
    assert_eq!(store.len(LETTERS), Ok(0));
    let mut state = open(&mut store).unwrap();
    let mut turn = Turn::default();
    let incoming = Incoming {
        body: Vec::new(),
        priority: 0,
        deadline: None,
    };
    assert_eq!(state.publish("jobs", &incoming, &mut turn), Ok(4));
    // Nor are those of consumers: what one of an earlier boot says is not about this one.
    let again = state.consume("jobs", 10, false, &mut turn).unwrap();
    assert_ne!(again, tag);
    let delivers = |effect: &Effect| matches!(effect, Effect::Deliver { to, .. } if *to == again);
    assert!(turn.effects.iter().any(delivers));
}

#[test]
fn queue_store_of_a_newer_version_is_not_opened() {
    let mut store = with_letters(1);
    let mut batch = Batch::new();
    batch.put(Table("queue.counters"), [], [2, 0, 0]);
    store.commit(&batch).unwrap();
    let newer = open(&mut store).unwrap_err();
    assert!(matches!(
        newer,
        StoreError::Newer {
            found: 2,
            known: 1,
            ..
        }
    ));
}

#[test]
fn queue_store_that_is_damaged_is_not_opened() {
    let tables = ["queue.counters", "queue.queues", "queue.letters"];
    for table in tables.map(Table) {
        let mut store = with_letters(1);
        let mut keys = Vec::new();
        let (from, to): (&[u8], &[u8]) = (&[], &[255; 20]);
        store
            .scan(table, from..=to, &mut |key, _| {
                keys.push(key.to_vec());
                true
            })
            .unwrap();
        let mut batch = Batch::new();
        keys.iter()
            .for_each(|key| batch.put(table, key.clone(), [255]));
        store.commit(&batch).unwrap();
        assert!(!keys.is_empty() && matches!(open(&mut store), Err(StoreError::Damaged { .. })));
    }
}
