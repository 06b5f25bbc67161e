//! Messages that come from a chat network are published to a broker, for the engine that answers them.
//!
//! Each publish is a task. The publisher writes a message into its store, starts a task for it, watches
//! that, and takes the message out of the store when the task has done its work. A task that crashes is
//! started again, and after a crash of the machine there is a cold start: a task for each message that is
//! in the store. Connections are dear, so there is a pool of channels: a task borrows one and sends its
//! message there.
//!
//! What can be wrong with that?
//!
//! - A broker closes a channel on the first error, and the pool does not look. It hands a dead channel out,
//!   the task sends its message there, has done its work, and the message is gone.
//! - So the task waits until the broker has confirmed its message, and the pool replaces what is dead. But
//!   between the broker's writing the message down and the task's hearing of that there is a time. A
//!   channel that dies in it, or the machine, leaves a message that is in the broker and in the store: it
//!   is published again.
//!
//! Task, watcher, store, cold start: that is an outbox. What it lacks is a reader at the other end that
//! knows what it has done, and writes that down together with doing it. The sound form has both.

use crate::mail::{machine, store, storm};
use netsplit::mail::queue::{Broker, Queue, QueueSettings};
use netsplit::mail::{
    Batch, Inbox, Letter, Outbox, OutboxRef, Reader, RedbStore, Store, StoreError, Table, Verdict,
};
use netsplit::otp::process;
use netsplit::{
    Address, Context, ExitReason, Faults, Flow, GenServer, Info, MonitorRef, Refusal, ReplyTo,
    Scenario, Server, Supervisor, View, child, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

type Number = u32;

const MESSAGES: Number = 50;
const CHANNELS: usize = 4;
const NOT_LOST: &str = "no message is lost";
const NOT_TWICE: &str = "no message is answered twice";

// ---- the chat network

/// A message of the chat network; answered when it is the publisher's.
#[derive(Debug, Serialize, Deserialize)]
struct Accept(Number, ReplyTo<()>);

async fn chat(ctx: Context) {
    let publisher = Address::named("publisher", "publisher");
    for number in 1..=MESSAGES {
        while publisher
            .call(|done| Accept(number, done), secs(1))
            .await
            .is_err()
        {
            ctx.sleep(millis(100)).await;
        }
        ctx.sleep(millis(200)).await;
    }
}

fn tree() -> Supervisor {
    Supervisor::one_for_one().intensity(1_000, secs(10))
}

// ---- the pool

fn messages() -> Queue<Number> {
    Queue::new(Address::named("rabbit", "broker"), "messages").timeout(secs(1))
}

/// A message to publish; answered when it is confirmed.
#[derive(Debug, Serialize, Deserialize)]
struct Publish(Number, Option<ReplyTo<()>>);

/// The first error closes it.
async fn channel(ctx: Context<Publish>) -> Result<(), ExitReason> {
    loop {
        let Publish(number, confirm) = ctx.receive_message().await;
        messages().publish(&number).await?;
        if let Some(confirm) = confirm {
            confirm.reply(());
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Borrow(ReplyTo<Address<Publish>>);

struct Pool {
    channels: Vec<Address<Publish>>,
    next: usize,
    replaces_the_dead: bool,
}

impl GenServer for Pool {
    type Args = bool;
    type Message = Borrow;

    async fn init(replaces_the_dead: bool, ctx: &mut Context<Borrow>) -> Result<Pool, Refusal> {
        let channels = (0..CHANNELS).map(|_| ctx.spawn(channel)).collect();
        Ok(Pool {
            channels,
            next: 0,
            replaces_the_dead,
        })
    }

    async fn handle(&mut self, Borrow(to): Borrow, ctx: &mut Context<Borrow>) -> Flow {
        let next = &mut self.channels[self.next];
        let pid = next.pid().expect("a channel has no name");
        if self.replaces_the_dead && !ctx.is_alive(pid) {
            *next = ctx.spawn(channel);
        }
        to.reply(*next);
        self.next = (self.next + 1) % CHANNELS;
        Flow::Next
    }
}

// ---- as built: task, watcher, store

/// Publishes one message.
async fn publish(ctx: Context, number: Number, waits: bool) -> Result<(), ExitReason> {
    let pool = Address::at(ctx.node(), "pool");
    let channel = pool.call(Borrow, secs(5)).await?;
    if waits {
        let confirmed = |confirm| Publish(number, Some(confirm));
        channel.call(confirmed, secs(5)).await?;
    } else {
        channel.send(Publish(number, None));
    }
    Ok(())
}

const STORED: Table = Table("messages");
const LAST: Table = Table("last");

struct Publisher {
    store: RedbStore,
    last: Number,
    /// Whether a task waits until its message is confirmed.
    waits: bool,
    tasks: BTreeMap<MonitorRef, Number>,
}

impl Publisher {
    fn start_task(&mut self, number: Number, ctx: &Context<Accept>) {
        let waits = self.waits;
        let (_, monitor) = ctx.spawn_monitor(move |ctx| publish(ctx, number, waits));
        self.tasks.insert(monitor, number);
    }
}

impl GenServer for Publisher {
    type Args = bool;
    type Message = Accept;

    async fn init(waits: bool, ctx: &mut Context<Accept>) -> Result<Publisher, Refusal> {
        let store = store(ctx)?;
        let last = store.get(LAST, b"last")?.map_or(0, number);
        let mut stored = Vec::new();
        let all: &[u8] = &[u8::MAX; 4];
        store.scan(STORED, &[]..=all, &mut |key, _| {
            stored.push(number(key.to_vec()));
            true
        })?;
        let mut publisher = Publisher {
            store,
            last,
            waits,
            tasks: BTreeMap::new(),
        };
        // The cold start.
        stored
            .into_iter()
            .for_each(|number| publisher.start_task(number, ctx));
        Ok(publisher)
    }

    async fn handle(&mut self, Accept(number, done): Accept, ctx: &mut Context<Accept>) -> Flow {
        if number > self.last {
            let mut batch = Batch::new();
            batch.put(STORED, number.to_be_bytes(), b"");
            batch.put(LAST, b"last", number.to_be_bytes());
            if let Err(error) = self.store.commit(&batch) {
                return Flow::Stop(error.into());
            }
            self.last = number;
            self.start_task(number, ctx);
        }
        done.reply(());
        Flow::Next
    }

    async fn handle_info(&mut self, info: Info, ctx: &mut Context<Accept>) -> Flow {
        if let Info::Down {
            monitor, reason, ..
        } = info
            && let Some(number) = self.tasks.remove(&monitor)
        {
            if reason != ExitReason::Normal {
                self.start_task(number, ctx);
                return Flow::Next;
            }
            let mut batch = Batch::new();
            batch.remove(STORED, number.to_be_bytes());
            if let Err(error) = self.store.commit(&batch) {
                return Flow::Stop(error.into());
            }
        }
        Flow::Next
    }
}

fn number(bytes: Vec<u8>) -> Number {
    u32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

/// The engine. A letter that comes again it knows by its id; what was published twice are two letters.
async fn engine(ctx: Context) {
    let mut known = BTreeSet::new();
    loop {
        let Ok(mut consumer) = messages().consume(10).await else {
            ctx.sleep(millis(200)).await;
            continue;
        };
        while let Ok(letter) = consumer.next().await {
            if known.insert(letter.letter()) {
                answered(&ctx, *letter.message());
            }
            letter.ack();
        }
    }
}

fn answered(ctx: &Context, number: Number) {
    ctx.observe("answered", |all: &mut Vec<Number>| all.push(number));
}

// ---- built right: an outbox, and an inbox

/// Hands messages on to the outbox. One that the chat network repeats may go twice; it has its number.
async fn adapter(ctx: Context<Accept>) -> Result<(), ExitReason> {
    ctx.register("publisher").map_err(ExitReason::error)?;
    loop {
        let Accept(number, done) = ctx.receive_message().await;
        let outbox = OutboxRef::named("outbox");
        outbox
            .send(("engine", "engine"), "conversation", &number)
            .await?;
        done.reply(());
    }
}

/// The engine, right: what it has answered, by the letter that it answered.
struct Engine {
    answered: Vec<Number>,
    ctx: Context,
}

const ANSWERED: Table = Table("answered");

impl Reader for Engine {
    type Message = Number;

    fn open(store: &dyn Store, ctx: Context) -> Result<Engine, StoreError> {
        let mut answered = Vec::new();
        let all: &[u8] = &[u8::MAX; 8];
        store.scan(ANSWERED, &[]..=all, &mut |_, value| {
            answered.push(number(value.to_vec()));
            true
        })?;
        Ok(Engine { answered, ctx })
    }

    async fn letter(&mut self, letter: Letter<Number>, batch: &mut Batch) -> Verdict {
        // They come in order: what does not come next was answered before.
        let number = letter.message;
        if number == self.answered.len() as Number + 1 {
            self.answered.push(number);
            let letter = letter.envelope.id.number;
            batch.put(ANSWERED, letter.to_be_bytes(), number.to_be_bytes());
            self.ctx
                .observe("answered", |all| *all = self.answered.clone());
        }
        letter.ack()
    }
}

// ---- the scenarios

fn answers(view: &View) -> &[Number] {
    view.observed::<Vec<Number>>("answered")
        .map_or(&[], Vec::as_slice)
}

fn none_is_lost(view: &View) -> Result<(), String> {
    match (1..=MESSAGES).find(|number| !answers(view).contains(number)) {
        Some(number) => Err(format!("message {number} was accepted, and never answered")),
        None => Ok(()),
    }
}

fn none_comes_twice(view: &View) -> Result<(), String> {
    let mut known = BTreeSet::new();
    match answers(view).iter().find(|number| !known.insert(**number)) {
        Some(number) => Err(format!("message {number} was answered twice")),
        None => Ok(()),
    }
}

fn scenario(name: &str) -> Scenario {
    Scenario::new(name)
        .client("chat", chat)
        .finally(NOT_LOST, none_is_lost)
        .finally(NOT_TWICE, none_comes_twice)
        .quiet(secs(30))
}

/// Task, watcher, store and pool; whether tasks wait for their confirms, and the pool replaces the dead.
fn as_built(name: &str, waits: bool) -> Scenario {
    scenario(name)
        .node("publisher", move |ctx| {
            let pool = move || Server::<Pool>::with(waits).name("pool");
            let publisher = move || Server::<Publisher>::with(waits).name("publisher");
            let tree = tree().child(child("pool", pool));
            tree.child(child("publisher", publisher)).run(ctx)
        })
        .node("rabbit", |ctx| {
            let broker =
                || Broker::new("broker", |ctx| store(ctx)).queue("messages", QueueSettings::new());
            tree().child(child("broker", broker)).run(ctx)
        })
        .client("engine", engine)
}

/// The broken form: connections break.
pub(crate) fn dead_channels() -> Scenario {
    as_built("fred/publisher", false)
        .summary(
            "a task for each publish, and a pool that hands out dead channels: messages are lost",
        )
        .faults(Faults::calm().break_connections(secs(10)))
        .broken(NOT_LOST)
}

/// The broken form of the next year: the machine crashes now and then.
pub(crate) fn confirms() -> Scenario {
    as_built("fred/publisher_confirms", true)
        .summary(
            "the same tasks wait for their confirms: a crash in between, and it is published again",
        )
        .faults(Faults::calm().crash(secs(10), millis(500)))
        .broken(NOT_TWICE)
}

/// The sound form, under everything.
pub(crate) fn sound() -> Scenario {
    scenario("fred/publisher_outbox")
        .summary("an outbox instead, and an engine that writes down what it answers together with the answer")
        .node("publisher", |ctx| {
            let outbox = || Outbox::new("outbox", |ctx| store(&ctx));
            machine(ctx, move || {
                let tree = tree().child(child("outbox", outbox));
                tree.child(child("publisher", || process(adapter)))
            })
        })
        .node("engine", |ctx| {
            let inbox = || Inbox::<Engine>::new("engine", |ctx| store(&ctx));
            machine(ctx, move || tree().child(child("inbox", inbox)))
        })
        .faults(storm())
        .finally("no letter is lost or stuck", |view| {
            view.mail_is_through(secs(10))
        })
        .always("they are answered in order", |view| answers(view).is_sorted())
}
