//! The world of these tests: an outbox, an inbox, packets between them, and what was promised.

use super::super::core::{Core, Effects, Moment, Options};
use super::super::{Draft, Written, record};
use crate::kernel::Time;
use crate::mail::inbox::{self, Arrival};
use crate::mail::letter::{Answer, Body, Key, Parcel, Receipt, Receipts, Recipient, Sheet};
use crate::mail::{Batch, MemoryStore, Store, Table};
use crate::otp::BackOff;
use crate::process::{Tag, Target};
use crate::trace::{LetterId, Mailed, Name, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(super) const EFFECTS: Table = Table("effects");

/// Where a crash falls in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    Never,
    BeforeCommit,
    AfterCommit,
}

/// What the reader does with a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Acks,
    RequeuesTwice,
    Rejects,
}

#[derive(Clone, Debug)]
pub(super) enum Action {
    Post {
        to: u8,
        key: u8,
        deadline_ms: Option<u16>,
        manner: Manner,
        copies: u8,
        crash: Crash,
    },
    Deliver {
        nth: usize,
        again: bool,
        crash: Crash,
    },
    Lose(usize),
    Wait {
        ms: u16,
        crash: Crash,
    },
    CrashOutbox,
    CrashInbox,
}

#[derive(Clone, Debug)]
pub(super) enum Packet {
    Parcel(Parcel),
    Receipts(Receipts),
    Again(Recipient),
}

pub(super) const OPTIONS: Options = Options {
    retry: BackOff::new(Duration::from_millis(100), Duration::from_secs(5)),
    window: 4,
    backlog: 1000,
    largest: 100,
};

pub(super) struct World {
    pub(super) now: Time,
    pub(super) draws: u64,
    pub(super) outbox_store: MemoryStore,
    pub(super) inbox_store: MemoryStore,
    pub(super) outbox: Core,
    pub(super) inbox: inbox::Core,
    pub(super) packets: Vec<Packet>,
    /// Each letter that was ever handed in, by the number that is its message.
    pub(super) posted: Vec<(u8, u8, Manner)>,
    /// Which of them were promised to be kept.
    pub(super) promised: BTreeMap<LetterId, u64>,
    pub(super) dead: BTreeSet<LetterId>,
    pub(super) requeued: BTreeMap<u64, u32>,
    /// The greatest attempt of each letter that has left.
    pub(super) attempts: BTreeMap<LetterId, u32>,
}

pub(super) fn recipient(number: u8) -> Recipient {
    Recipient::Named(NodeId::new(1), Name::new(&format!("inbox {number}")))
}

pub(super) fn open_outbox(store: &mut MemoryStore) -> Core {
    open_outbox_with(store, OPTIONS)
}

pub(super) fn open_outbox_with(store: &mut MemoryStore, options: Options) -> Core {
    let mut batch = Batch::new();
    let from = Target::Name(NodeId::new(0), Name::new("outbox"));
    let mut origin = || Name::new("outbox@a");
    let core = Core::open(store, options, from, &mut origin, &mut batch).unwrap();
    store.commit(&batch).unwrap();
    core
}

impl World {
    pub(super) fn new() -> World {
        let mut outbox_store = MemoryStore::new();
        let inbox_store = MemoryStore::new();
        World {
            now: Time::ZERO,
            draws: 0,
            outbox: open_outbox(&mut outbox_store),
            inbox: inbox::Core::open(&inbox_store, 4).unwrap(),
            outbox_store,
            inbox_store,
            packets: Vec::new(),
            posted: Vec::new(),
            promised: BTreeMap::new(),
            dead: BTreeSet::new(),
            requeued: BTreeMap::new(),
            attempts: BTreeMap::new(),
        }
    }

    /// One step of the outbox: `code`, a commit, its effects; and a crash somewhere in it. Whether it lived.
    pub(super) fn outbox_step<R>(
        &mut self,
        crash: Crash,
        code: impl FnOnce(&mut Core, &mut Moment<'_>, &mut Batch) -> R,
    ) -> Option<R> {
        let mut batch = Batch::new();
        let draws = &mut self.draws;
        let mut draw = |below: u64| {
            *draws = draws
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (*draws >> 33) % below
        };
        let mut moment = Moment {
            now: self.now,
            wall_ns: self.now.as_nanos(),
            draw: &mut draw,
            route: &|_| None,
        };
        let result = code(&mut self.outbox, &mut moment, &mut batch);
        self.outbox.due(&mut moment, &mut batch);
        self.outbox.seal(&mut batch);
        if crash != Crash::BeforeCommit {
            self.outbox_store.commit(&batch).unwrap();
        }
        let Effects { facts, parcels } = std::mem::take(self.outbox.effects());
        if crash != Crash::Never {
            self.crash_outbox();
            return None;
        }
        for fact in facts {
            if let Mailed::Dead(_) = fact.what {
                // As no attempt it is told again of what a store has.
                let is_new = self.dead.insert(fact.letter);
                assert!(is_new || fact.attempt == 0, "set aside twice");
            }
        }
        for (_, parcel) in parcels {
            for sheet in &parcel.sheets {
                let letter = parcel.head.letter(sheet.number);
                let last = self.attempts.insert(letter, sheet.attempt);
                assert!(last < Some(sheet.attempt), "an attempt has one number");
            }
            self.packets.push(Packet::Parcel(parcel));
        }
        Some(result)
    }

    pub(super) fn crash_outbox(&mut self) {
        self.outbox = open_outbox(&mut self.outbox_store);
        self.outbox_step(Crash::Never, |core, moment, batch| core.boot(moment, batch));
    }

    pub(super) fn crash_inbox(&mut self) {
        self.inbox = inbox::Core::open(&self.inbox_store, 4).unwrap();
        let senders: Vec<_> = self.inbox.senders().collect();
        let agains = senders.into_iter().map(|(_, to)| Packet::Again(to));
        self.packets.extend(agains);
    }

    pub(super) fn post(
        &mut self,
        to: u8,
        key: u8,
        deadline_ms: Option<u16>,
        manner: Manner,
        crash: Crash,
    ) {
        self.post_all(1, (to, key, manner), deadline_ms, crash);
    }

    /// Hands so many letters in at once.
    pub(super) fn post_all(
        &mut self,
        copies: u8,
        posted: (u8, u8, Manner),
        deadline_ms: Option<u16>,
        crash: Crash,
    ) {
        let (to, key, _) = posted;
        let key = match key {
            0 => Key::NONE,
            key => u64::from(key).into(),
        };
        let mut draft = Draft::to(recipient(to)).key(key);
        if let Some(ms) = deadline_ms {
            let after = Duration::from_millis(1 + u64::from(ms));
            draft = draft.deadline(Duration::from_nanos(self.now.as_nanos()) + after);
        }
        let first = self.posted.len() as u64;
        let numbers = first..first + u64::from(copies);
        self.posted.extend(numbers.clone().map(|_| posted));
        let letters = self.outbox_step(crash, |core, moment, batch| {
            let accept = |number| core.accept(written(draft, &number), moment, batch);
            numbers.clone().map(accept).collect::<Vec<_>>()
        });
        for (letter, number) in letters.into_iter().flatten().zip(numbers) {
            let other = self.promised.insert(letter, number);
            assert_eq!(other, None, "a number was used twice");
        }
    }

    pub(super) fn deliver(&mut self, packet: Packet, crash: Crash) {
        match packet {
            Packet::Receipts(receipts) => {
                self.outbox_step(crash, |core, moment, batch| {
                    core.receipts(receipts, moment, batch);
                });
            }
            Packet::Again(to) => {
                self.outbox_step(crash, |core, moment, _| core.again(to, moment));
            }
            Packet::Parcel(parcel) => self.deliver_parcel(parcel, crash),
        }
    }

    pub(super) fn deliver_parcel(&mut self, parcel: Parcel, crash: Crash) {
        let (mut batch, mut receipts) = (Batch::new(), Vec::new());
        let mut effects = self.inbox_store.len(EFFECTS).unwrap();
        let Parcel { head, sheets } = parcel;
        let at = self.inbox.opens(&head);
        for sheet in sheets {
            let mut next = match self.inbox.arrives(at, head.kind, &sheet) {
                Arrival::Hand => Some(sheet),
                Arrival::HandHeld(held) => Some(held),
                Arrival::Repeated(receipt) => {
                    receipts.push(receipt);
                    None
                }
                Arrival::Held | Arrival::Beyond => None,
            };
            next = next.or_else(|| self.released(at));
            while let Some(sheet) = next {
                let answer = match &sheet.body {
                    Some(body) => self.read(body),
                    None => Answer::Done,
                };
                if let (Some(body), Answer::Done) = (&sheet.body, &answer) {
                    batch.put(
                        EFFECTS,
                        effects.to_be_bytes(),
                        number_of(body).to_be_bytes(),
                    );
                    effects += 1;
                }
                receipts.push(self.inbox.decided(at, &sheet, answer));
                next = self.released(at);
            }
        }
        self.inbox.seal(&mut batch);
        if crash != Crash::BeforeCommit {
            self.inbox_store.commit(&batch).unwrap();
        }
        if crash != Crash::Never {
            return self.crash_inbox();
        }
        self.packets.push(Packet::Receipts(Receipts {
            origin: head.origin,
            to: head.to,
            receipts,
        }));
    }

    fn released(&mut self, at: usize) -> Option<Sheet> {
        Some(self.inbox.released(at)?.1)
    }

    /// What the reader answers.
    pub(super) fn read(&mut self, body: &Body) -> Answer {
        let number = number_of(body);
        let times = self.requeued.entry(number).or_default();
        *times += 1;
        match self.posted[number as usize].2 {
            Manner::RequeuesTwice if *times <= 2 => Answer::Requeue,
            Manner::Rejects => Answer::Rejected("unwanted".to_owned()),
            Manner::Acks | Manner::RequeuesTwice => Answer::Done,
        }
    }

    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Post {
                to,
                key,
                deadline_ms,
                manner,
                copies,
                crash,
            } => self.post_all(copies, (to, key, manner), deadline_ms, crash),
            Action::Deliver { nth, again, crash } if !self.packets.is_empty() => {
                let nth = nth % self.packets.len();
                let packet = if again {
                    self.packets[nth].clone()
                } else {
                    self.packets.remove(nth)
                };
                self.deliver(packet, crash);
            }
            Action::Lose(nth) if !self.packets.is_empty() => {
                let nth = nth % self.packets.len();
                self.packets.remove(nth);
            }
            Action::Deliver { .. } | Action::Lose(_) => {}
            Action::Wait { ms, crash } => {
                self.now = self.now + Duration::from_millis(u64::from(ms));
                self.outbox_step(crash, |_, _, _| ());
            }
            Action::CrashOutbox => self.crash_outbox(),
            Action::CrashInbox => self.crash_inbox(),
        }
    }

    /// The network is well again: all comes in its order, until nothing waits.
    pub(super) fn heal(&mut self) {
        for _ in 0..1000 {
            for packet in std::mem::take(&mut self.packets) {
                self.deliver(packet, Crash::Never);
            }
            if self.packets.is_empty() && self.outbox.held() == 0 {
                return;
            }
            self.now = self.now + Duration::from_secs(5);
            self.outbox_step(Crash::Never, |_, _, _| ());
        }
        panic!("{} letters are stuck", self.outbox.held());
    }

    pub(super) fn effects(&self) -> Vec<u64> {
        let mut found = Vec::new();
        let (from, to): (&[u8], &[u8]) = (&[], &[u8::MAX; 9]);
        let mut each = |_: &[u8], value: &[u8]| {
            found.push(u64::from_be_bytes(value.try_into().unwrap()));
            true
        };
        self.inbox_store
            .scan(EFFECTS, from..=to, &mut each)
            .unwrap();
        found
    }

    /// No effect twice, and in order per recipient and key.
    pub(super) fn check(&self) {
        let mut last = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for number in self.effects() {
            assert!(seen.insert(number), "{number} had its effect twice");
            let (to, key, _) = self.posted[number as usize];
            if key != 0 {
                let before = last.insert((to, key), number);
                assert!(before < Some(number), "{number} came after {before:?}");
            }
        }
    }

    /// Nothing that was promised is lost, and nothing is kept for ever.
    pub(super) fn check_end(&self) {
        self.check();
        let effects: BTreeSet<u64> = self.effects().into_iter().collect();
        for (letter, number) in &self.promised {
            assert!(
                effects.contains(number) || self.dead.contains(letter),
                "{letter} is lost: {:?}",
                self.posted[*number as usize]
            );
        }
        assert_eq!(self.inbox.held(), 0);
        assert_eq!(record::letters(&self.outbox_store), Ok(Vec::new()));
    }
}

pub(super) fn written(draft: Draft, message: &u64) -> Written {
    Written {
        draft,
        kind: Tag::of::<u64>(),
        body: Body::of(message, &mut Vec::new()),
    }
}

pub(super) fn number_of(body: &Body) -> u64 {
    record::read(body.bytes()).unwrap()
}

/// The receipt of the first letter of a parcel.
pub(super) fn receipt(parcel: &Parcel, attempt: u32, answer: Answer) -> Receipts {
    let sheet = &parcel.sheets[0];
    let receipt = Receipt {
        number: sheet.number,
        attempt,
        place: sheet.place,
        answer,
    };
    Receipts {
        origin: parcel.head.origin,
        to: parcel.head.to,
        receipts: vec![receipt],
    }
}
