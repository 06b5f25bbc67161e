//! An outbox and an inbox over a network that does what it likes, both crashing before and after commits.

mod world;

use super::core::{Core, Moment, Options};
use super::record::{self, Record};
use super::{Draft, SendError, Written};
use crate::kernel::Time;
use crate::mail::letter::{Answer, Body, Key, Receipts, Recipient};
use crate::mail::{Batch, MemoryStore, Store, StoreError, Table};
use crate::process::{Tag, Target};
use crate::trace::{LetterId, Mailed, Name, NodeId, WhyDead};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;
use world::{
    Action, Crash, Manner, OPTIONS, Packet, World, open_outbox, open_outbox_with, receipt,
    recipient, written,
};

fn crashes() -> impl Strategy<Value = Crash> {
    prop_oneof![
        10 => Just(Crash::Never),
        1 => Just(Crash::BeforeCommit),
        1 => Just(Crash::AfterCommit),
    ]
}

fn actions() -> impl Strategy<Value = Action> {
    let manners = prop_oneof![
        6 => Just(Manner::Acks),
        1 => Just(Manner::RequeuesTwice),
        1 => Just(Manner::Rejects),
    ];
    let post = (
        0..2_u8,
        0..3_u8,
        option::weighted(0.2, 0..2000_u16),
        manners,
        1..4_u8,
        crashes(),
    );
    prop_oneof![
        4 => post.prop_map(|(to, key, deadline_ms, manner, copies, crash)| Action::Post {
            to, key, deadline_ms, manner, copies, crash,
        }),
        12 => (any::<usize>(), any::<bool>(), crashes())
            .prop_map(|(nth, again, crash)| Action::Deliver { nth, again, crash }),
        2 => any::<usize>().prop_map(Action::Lose),
        3 => (0..1000_u16, crashes()).prop_map(|(ms, crash)| Action::Wait { ms, crash }),
        1 => Just(Action::CrashOutbox),
        1 => Just(Action::CrashInbox),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_network_and_crashes_do_each_letter_has_its_effect_once_and_in_order(
        actions in vec(actions(), 1..150)
    ) {
        let mut world = World::new();
        for action in actions {
            world.act(action);
            world.check();
        }
        world.heal();
        world.check_end();
    }
}

fn posts(world: &mut World, count: u64) {
    for _ in 0..count {
        world.post(0, 1, None, Manner::Acks, Crash::Never);
    }
}

#[test]
fn a_window_bounds_what_is_on_its_way_to_one_recipient_and_no_other() {
    let mut world = World::new();
    posts(&mut world, 10);
    assert_eq!(world.packets.len(), 4);
    world.post(1, 1, None, Manner::Acks, Crash::Never);
    assert_eq!(world.packets.len(), 5);
    let first = world.packets.remove(0);
    world.deliver(first, Crash::Never);
    let ack = world.packets.pop().unwrap();
    world.deliver(ack, Crash::Never);
    assert_eq!(world.packets.len(), 5, "the next one leaves");
}

#[test]
fn letters_that_leave_at_once_share_parcels_of_bounded_size_and_are_tried_again_each_for_itself() {
    let mut store = MemoryStore::new();
    let mut core = open_outbox_with(
        &mut store,
        Options {
            window: 1000,
            ..OPTIONS
        },
    );
    let mut rng = 0;
    let mut draw = |below: u64| {
        rng += 7_919_001;
        rng % below
    };
    let mut moment = Moment {
        now: Time::ZERO,
        wall_ns: 0,
        draw: &mut draw,
        route: &|_| None,
    };
    let (draft, body) = (Draft::to(recipient(0)).key(1), "x".repeat(70));
    for _ in 0..100 {
        let written = Written {
            draft,
            kind: Tag::of::<String>(),
            body: Body::of(&body, &mut Vec::new()),
        };
        core.accept(written, &mut moment, &mut Batch::new());
    }
    let sent = std::mem::take(core.effects()).parcels;
    let sizes: Vec<usize> = sent.iter().map(|(_, parcel)| parcel.sheets.len()).collect();
    assert_eq!(sizes, [13, 13, 13, 13, 13, 13, 13, 9]);
    for (_, parcel) in &sent {
        let bytes = crate::process::encode(parcel, Vec::new());
        assert!(bytes.len() <= 1472, "{} bytes", bytes.len());
    }
    // At the earliest a half of the first wait is over: then it is drawn who waits how much longer.
    let mut tried = BTreeSet::new();
    for ms in 50..=100 {
        moment.now = Time::ZERO + Duration::from_millis(ms);
        core.due(&mut moment, &mut Batch::new());
        tried.insert(
            core.effects()
                .parcels
                .drain(..)
                .map(|(_, parcel)| parcel.sheets.len())
                .sum(),
        );
    }
    assert!(
        tried.len() > 2 && tried.iter().all(|letters: &usize| *letters < 20),
        "{tried:?}"
    );
}

#[test]
fn the_numbers_go_on_after_a_crash_with_nothing_left_unacked() {
    let mut world = World::new();
    posts(&mut world, 3);
    world.heal();
    world.crash_outbox();
    posts(&mut world, 1);
    world.heal();
    assert_eq!(world.promised.len(), 4);
    assert_eq!(world.effects(), [0, 1, 2, 3]);
}

#[test]
fn an_ack_counts_once_and_one_of_what_was_never_sent_not_at_all() {
    let mut world = World::new();
    posts(&mut world, 1);
    let Some(Packet::Parcel(parcel)) = world.packets.pop() else {
        panic!("a parcel was sent");
    };
    let receipt = |attempt| receipt(&parcel, attempt, Answer::Done);
    let facts = |world: &mut World, receipts: Receipts| {
        world.outbox_step(Crash::Never, |core, moment, batch| {
            core.receipts(receipts, moment, batch);
            let facts = core.effects().facts.drain(..);
            facts.map(|fact| fact.what).collect::<Vec<_>>()
        })
    };
    let of_another = Receipts {
        origin: Name::new("another"),
        ..receipt(1)
    };
    assert_eq!(facts(&mut world, of_another), Some(vec![Mailed::StaleAck]));
    let too_high = facts(&mut world, receipt(2));
    assert_eq!(too_high, Some(vec![Mailed::StaleAck]));
    assert_eq!(world.outbox.held(), 1);
    assert_eq!(facts(&mut world, receipt(1)), Some(vec![Mailed::Acked]));
    assert_eq!(facts(&mut world, receipt(1)), Some(vec![Mailed::StaleAck]));
    assert_eq!(world.outbox.held(), 0);
}

#[test]
fn a_letter_that_is_too_large_too_late_or_one_too_many_is_refused() {
    let world = World::new();
    let draft = Draft::to(recipient(0));
    let large = Written {
        body: Body::of(&vec![7_u8; 200], &mut Vec::new()),
        ..written(draft, &1)
    };
    let too_large = SendError::TooLarge {
        bytes: 202,
        most: 100,
    };
    assert_eq!(world.outbox.admits(&[large], 0), Err(too_large));
    let late = written(draft.deadline(Duration::from_nanos(5)), &1);
    assert_eq!(
        world.outbox.admits(&[late], 5),
        Err(SendError::PastDeadline)
    );
    let many: Vec<_> = (0..1001).map(|number| written(draft, &number)).collect();
    let full = SendError::Full { most: 1000 };
    assert_eq!(world.outbox.admits(&many, 0), Err(full));
    assert_eq!(world.outbox.admits(&many[1..], 0), Ok(()));
}

#[test]
fn a_letter_for_which_nobody_stands_is_set_aside_at_its_deadline_and_those_after_it_go_on() {
    let mut world = World::new();
    let keyed = Draft::to(Recipient::keyed("nobody")).key(1);
    let first = written(keyed.deadline(Duration::from_secs(1)), &0);
    let second = written(keyed, &1);
    world.outbox_step(Crash::Never, |core, moment, batch| {
        core.accept(first, moment, batch);
        core.accept(second, moment, batch);
    });
    assert!(world.packets.is_empty());
    world.now = world.now + Duration::from_secs(8);
    let sent = world.outbox_step(Crash::Never, |core, moment, batch| {
        let mut routed = Moment {
            now: moment.now,
            wall_ns: moment.wall_ns,
            draw: &mut *moment.draw,
            route: &|_| Some(recipient(0)),
        };
        core.due(&mut routed, batch);
    });
    assert_eq!(sent, Some(()));
    let dead = record::dead(&world.outbox_store, 9).unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].why, WhyDead::Nobody);
    assert_eq!(dead[0].letter.number, 1);
    let Some(Packet::Parcel(parcel)) = world.packets.pop() else {
        panic!("the second was sent");
    };
    assert_eq!((parcel.sheets[0].place, parcel.sheets[0].after), (2, 0));
}

#[test]
fn a_store_of_a_newer_version_or_with_a_letter_that_does_not_decode_is_refused() {
    let from = Target::Name(NodeId::new(0), Name::new("outbox"));
    let open = |store: &MemoryStore| {
        let mut origin = || Name::new("outbox@a");
        let core = Core::open(store, OPTIONS, from, &mut origin, &mut Batch::new());
        core.map(|_| ())
    };
    let mut store = MemoryStore::new();
    open_outbox(&mut store);
    let mut batch = Batch::new();
    batch.put(Table("outbox.letters"), 1_u64.to_be_bytes(), b"\xFF");
    store.commit(&batch).unwrap();
    assert!(matches!(open(&store), Err(StoreError::Damaged { .. })));
    let mut batch = Batch::new();
    batch.put(Table("outbox.self"), b"version", [2]);
    store.commit(&batch).unwrap();
    let newer = StoreError::Newer {
        store: "outbox".to_owned(),
        found: 2,
        known: 1,
    };
    assert_eq!(open(&store), Err(newer));
}

#[test]
fn a_stored_letter_reads_back_as_it_was() {
    let record = Record {
        to: recipient(0),
        place: 300,
        key: Key::from("account 7"),
        kind: Tag::of::<u64>(),
        follows: Some(LetterId {
            origin: Name::new("another"),
            number: 9,
        }),
        deadline_ns: Some(5),
        body: Some(Body::of(&7_u64, &mut Vec::new())),
    };
    let (mut store, mut batch) = (MemoryStore::new(), Batch::new());
    record::put_letter(&mut batch, 12, &record);
    store.commit(&batch).unwrap();
    assert_eq!(record::letters(&store), Ok(vec![(12, record)]));
}

#[test]
fn a_letter_whose_predecessor_expired_before_it_left_follows_the_one_before_that() {
    let mut world = World::new();
    posts(&mut world, 4);
    world.post(0, 1, Some(50), Manner::Acks, Crash::Never);
    posts(&mut world, 1);
    world.now = world.now + Duration::from_millis(60);
    world.outbox_step(Crash::Never, |_, _, _| ());
    let dead = record::dead(&world.outbox_store, 9).unwrap();
    assert_eq!(dead.len(), 1);
    for _ in 0..2 {
        let parcel = world.packets.remove(0);
        world.deliver(parcel, Crash::Never);
        let ack = world.packets.pop().unwrap();
        world.deliver(ack, Crash::Never);
    }
    let Some(Packet::Parcel(parcel)) = world.packets.pop() else {
        panic!("the last was sent");
    };
    assert_eq!((parcel.sheets[0].place, parcel.sheets[0].after), (6, 4));
}

#[test]
fn a_recipient_that_is_up_again_is_sent_what_it_has_not_acked_soon_but_not_at_once() {
    let mut world = World::new();
    posts(&mut world, 1);
    world.packets.clear();
    for _ in 0..6 {
        world.now = world.now + Duration::from_secs(5);
        world.outbox_step(Crash::Never, |_, _, _| ());
    }
    world.packets.clear();
    world.outbox_step(Crash::Never, |core, moment, _| {
        core.again(recipient(0), moment)
    });
    assert_eq!(world.packets.len(), 0);
    world.now = world.now + Duration::from_millis(100);
    world.outbox_step(Crash::Never, |_, _, _| ());
    assert_eq!(world.packets.len(), 1);
}

#[test]
fn a_nack_of_an_earlier_attempt_says_nothing_of_the_one_on_its_way() {
    let mut world = World::new();
    posts(&mut world, 1);
    world.now = world.now + Duration::from_secs(1);
    world.outbox_step(Crash::Never, |_, _, _| ());
    let Some(Packet::Parcel(parcel)) = world.packets.pop() else {
        panic!("a second attempt was made");
    };
    assert_eq!(parcel.sheets[0].attempt, 2);
    for (attempt, what) in [(1, Mailed::StaleAck), (2, Mailed::Returned)] {
        let told = world.outbox_step(Crash::Never, |core, moment, batch| {
            let nack = receipt(&parcel, attempt, Answer::Requeue);
            core.receipts(nack, moment, batch);
            core.effects().facts.pop().map(|fact| fact.what)
        });
        assert_eq!(told, Some(Some(what)));
    }
}
