//! All of it, right, on letters and supervisors.
//!
//! A writer hands letters to its outbox, which keeps them on the disk of its machine until they are read:
//! no supervisor holds mail, and an ack names its letter. The house reads them with an inbox: what a letter
//! does and the memory that it is done are one commit. The reader is permanent: it comes back however it
//! went.
//!
//! One letter crashes whoever reads it. The reader writes down what it begins, and after twenty tries
//! rejects the letter: its outbox sets it aside, where the writer finds it. Before that its supervisor has
//! given up, since there were more than five crashes in five seconds. A watch hears of that, and sends a
//! notice: a letter like any other, which comes once. A human reads it, and writes back that they shall go
//! on. All the time the mail waits where it is, with the writer.

use crate::mail::{machine, storm};
use netsplit::mail::{
    Batch, Inbox, Key, Letter, Outbox, OutboxRef, Reader, RedbStore, Store, StoreError, Table,
    Verdict,
};
use netsplit::otp::process;
use netsplit::{
    BackOff, ChildError, ChildSpec, Context, ExitReason, Info, Restart, Scenario, Supervisor,
    SupervisorRef, View, child, millis, secs,
};
use std::collections::BTreeSet;

type Number = u32;

const LETTERS: Number = 30;
const POISON: Number = 9;
const TRIES: Number = 20;
const CRASHES: &str = "it crashes its readers";

/// The store of this name of a process, on the disk of its machine.
fn kept(name: &'static str) -> impl Fn(Context) -> Result<RedbStore, StoreError> {
    move |ctx| RedbStore::open(ctx.files(), name)
}

fn tree() -> Supervisor {
    Supervisor::one_for_one().intensity(100, secs(10))
}

fn outbox() -> ChildSpec {
    child("outbox", || {
        let retry = BackOff::new(millis(100), millis(500));
        Outbox::new("outbox", kept("outbox")).retry(retry)
    })
}

/// Hands a letter to the outbox of this machine, until it has it.
async fn send<M: netsplit::Message>(ctx: &Context, to: (&str, &str), key: Key, message: &M) {
    while OutboxRef::named("outbox")
        .send(to, key, message)
        .await
        .is_err()
    {
        ctx.sleep(millis(200)).await;
    }
}

fn number(bytes: Vec<u8>) -> Number {
    u32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

// ---- the writer

const LAST: Table = Table("last");

/// Writes letters, and looks what was set aside.
async fn writer(ctx: Context) -> Result<(), ExitReason> {
    let mut store = RedbStore::open(ctx.files(), "writer")?;
    let last = store.get(LAST, b"last")?.map_or(0, number);
    for letter in last + 1..=LETTERS {
        // A crash before the commit, and it is written twice.
        send(&ctx, ("house", "reader"), "letters".into(), &letter).await;
        let mut batch = Batch::new();
        batch.put(LAST, b"last", letter.to_be_bytes());
        store.commit(&batch)?;
        ctx.sleep(millis(200)).await;
    }
    loop {
        for dead in OutboxRef::named("outbox")
            .dead(10)
            .await
            .unwrap_or_default()
        {
            ctx.observe("set aside", |all: &mut BTreeSet<String>| {
                all.insert(dead.said);
            });
        }
        ctx.sleep(secs(1)).await;
    }
}

// ---- the house

const READ: Table = Table("read");
const TRIED: Table = Table("tried");

struct House {
    /// What was read, in the order in which it was written.
    read: Vec<Number>,
    tried: RedbStore,
    ctx: Context,
}

impl House {
    /// The how-manieth try at a letter this is, durably.
    fn tries(&mut self, letter: Number) -> Result<Number, StoreError> {
        let key = letter.to_be_bytes();
        let tries = self.tried.get(TRIED, &key)?.map_or(0, number) + 1;
        let mut batch = Batch::new();
        batch.put(TRIED, key, tries.to_be_bytes());
        self.tried.commit(&batch)?;
        Ok(tries)
    }
}

impl Reader for House {
    type Message = Number;

    fn open(store: &dyn Store, ctx: Context) -> Result<House, StoreError> {
        let tried = RedbStore::open(ctx.files(), "tried")?;
        let mut read = Vec::new();
        let all: &[u8] = &[u8::MAX; 8];
        store.scan(READ, &[]..=all, &mut |_, value| {
            read.push(number(value.to_vec()));
            true
        })?;
        Ok(House { read, tried, ctx })
    }

    async fn letter(&mut self, letter: Letter<Number>, batch: &mut Batch) -> Verdict {
        let number = letter.message;
        if self.read.contains(&number) {
            return letter.ack(); // It was written twice.
        }
        let tries = self.tries(number).expect("a disk that works");
        if tries > TRIES {
            return letter.reject(CRASHES);
        }
        self.ctx.sleep(millis(20)).await;
        assert!(number != POISON, "a letter that nobody survives");
        self.read.push(number);
        batch.put(
            READ,
            letter.envelope.id.number.to_be_bytes(),
            number.to_be_bytes(),
        );
        self.ctx.observe("read", |all| *all = self.read.clone());
        letter.ack()
    }
}

fn readers() -> Supervisor {
    let reader = || Inbox::<House>::new("reader", kept("reader"));
    let readers = Supervisor::one_for_one()
        .name("readers")
        .intensity(5, secs(5));
    readers.child(child("reader", reader))
}

/// Tells a human when the readers' supervisor has given up.
async fn watch(ctx: Context) {
    loop {
        let watched = ctx.monitor("readers");
        let is_it = |info: &Info| matches!(info, Info::Down { monitor, .. } if *monitor == watched);
        ctx.receive_info(is_it).await;
        let notice = "the readers have given up".to_owned();
        send(&ctx, ("human", "inbox"), Key::NONE, &notice).await;
        ctx.count("notices sent");
        while ctx.whereis("readers").is_none() {
            ctx.sleep(millis(100)).await;
        }
    }
}

/// What a human writes back.
struct Warden(Context);

impl Reader for Warden {
    type Message = String;

    fn open(_: &dyn Store, ctx: Context) -> Result<Warden, StoreError> {
        Ok(Warden(ctx))
    }

    async fn letter(&mut self, letter: Letter<String>, _: &mut Batch) -> Verdict {
        let house = SupervisorRef::at(self.0.node(), "house");
        match house.restart_child("readers").await {
            Ok(_) | Err(ChildError::Running | ChildError::Restarting) => letter.ack(),
            // Not yet: the letter comes again.
            Err(_) => letter.requeue(),
        }
    }
}

fn house() -> Supervisor {
    let warden = || Inbox::<Warden>::new("warden", kept("warden"));
    let house = tree().name("house").child(outbox());
    let house = house.child(child("readers", readers).restart(Restart::Transient));
    let house = house.child(child("watch", || process(watch)));
    house.child(child("warden", warden))
}

// ---- the human

struct Human(Context);

impl Reader for Human {
    type Message = String;

    fn open(_: &dyn Store, ctx: Context) -> Result<Human, StoreError> {
        Ok(Human(ctx))
    }

    async fn letter(&mut self, letter: Letter<String>, _: &mut Batch) -> Verdict {
        self.0.count("noticed");
        self.0.sleep(secs(1)).await;
        send(&self.0, ("house", "warden"), Key::NONE, &"go on".to_owned()).await;
        letter.ack()
    }
}

// ---- the scenario

fn letters_read(view: &View) -> &[Number] {
    view.observed::<Vec<Number>>("read")
        .map_or(&[], Vec::as_slice)
}

fn all_are_read(view: &View) -> Result<(), String> {
    let mut others = (1..=LETTERS).filter(|letter| *letter != POISON);
    match others.find(|letter| !letters_read(view).contains(letter)) {
        Some(letter) => Err(format!("letter {letter} is not read")),
        None => Ok(()),
    }
}

/// The scenario, under everything.
pub(crate) fn scenario() -> Scenario {
    Scenario::new("supe/sound")
        .summary("all of it on outboxes, inboxes and supervisors: no letter is lost or stuck")
        .node("writer", |ctx| {
            machine(ctx, || {
                let writer = child("writer", || process(writer));
                tree().child(outbox()).child(writer)
            })
        })
        .node("house", |ctx| machine(ctx, house))
        .node("human", |ctx| {
            let inbox = || Inbox::<Human>::new("inbox", kept("inbox"));
            machine(ctx, move || {
                tree().child(outbox()).child(child("inbox", inbox))
            })
        })
        .faults(storm())
        .horizon(secs(90))
        .quiet(secs(60))
        .always("letters are read once, in order", |view| {
            letters_read(view).is_sorted_by(|one, next| one < next)
        })
        .finally("every other letter is read in the end", all_are_read)
        .finally("a human hears of it when they give up", |view| {
            view.counter("notices sent") == 0 || view.counter("noticed") > 0
        })
        .sometimes("a human reads a notice", |view| view.counter("noticed") > 0)
        .finally("the writer finds what was set aside", |view| {
            let said = view.observed::<BTreeSet<String>>("set aside");
            said.is_some_and(|said| said.contains(CRASHES))
        })
        .finally("no letter is lost or stuck", |view| {
            view.mail_is_through(secs(15))
        })
}
