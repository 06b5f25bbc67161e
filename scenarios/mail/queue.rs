//! Orders go from a shop through a queue to workers, who have them booked by a bank. All of them crash.
//!
//! - The shop publishes an order until that is confirmed, and writes down then how far it has come. An
//!   answer that it did not get may mean that the queue has the order, so it publishes it once more.
//! - The workers take an order, have it booked, and ack it then. Where the bank does not answer they wait:
//!   that is not the letter's fault, and a nack or a crash would blame it.
//! - The bank writes the order's number together with what the order does, in one transaction. What it
//!   knows by that number it does not do again, be it that the letter came again, or that the order was
//!   published twice (of which the id of the letter would say nothing).
//! - One order kills whoever reads it. After 20 tries the queue sets it aside, and a clerk takes it from
//!   there.
//!
//! The mutant leaves that limit out. The letter goes back to its place, which is the head, for ever: it
//! kills each worker as soon as it is started, until the supervisors give up, and the orders behind it stay
//! where they are.

use super::{machine, store, storm};
use netsplit::mail::queue::{Broker, Queue, QueueSettings};
use netsplit::mail::{Batch, RedbStore, Store, Table};
use netsplit::otp::process;
use netsplit::{
    Address, Context, ExitReason, Flow, GenServer, Refusal, ReplyTo, Scenario, Server, Supervisor,
    View, child, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

type Order = u32;

const ORDERS: Order = 40;
const POISON: Order = 13;
const OTHERS: &str = "every other order is booked in the end";

/// The queue of orders, from wherever: its broker may restart, and keeps its name.
fn orders() -> Queue<Order> {
    Queue::new(Address::named("post", "broker"), "orders")
}

// ---- the shop

const CONFIRMED: Table = Table("confirmed");

async fn shop(ctx: Context) -> Result<(), ExitReason> {
    let mut store = store(&ctx)?;
    let confirmed = store.get(CONFIRMED, b"last")?.map_or(0, number);
    for order in confirmed + 1..=ORDERS {
        while orders().publish(&order).await.is_err() {
            ctx.sleep(millis(200)).await;
        }
        // A crash here, and it is published once more.
        let mut batch = Batch::new();
        batch.put(CONFIRMED, b"last", order.to_be_bytes());
        store.commit(&batch)?;
        ctx.sleep(millis(300)).await;
    }
    Ok(())
}

fn number(bytes: Vec<u8>) -> u32 {
    u32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

// ---- the workers

async fn worker(ctx: Context) -> Result<(), ExitReason> {
    let bank = Address::named("bank", "bank");
    loop {
        let Ok(mut consumer) = orders().consume(8).await else {
            ctx.sleep(millis(200)).await;
            continue;
        };
        while let Ok(letter) = consumer.next().await {
            let order = *letter.message();
            assert!(order != POISON, "an order that nobody survives");
            while bank.call(|done| Book(order, done), secs(1)).await.is_err() {
                ctx.sleep(millis(200)).await;
            }
            letter.ack();
        }
    }
}

// ---- the bank

/// Books an order; answered when that is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Book(Order, ReplyTo<()>);

const BOOKED: Table = Table("booked");
const TOTAL: Table = Table("total");

struct Bank {
    store: RedbStore,
    booked: BTreeSet<Order>,
    /// The sum of what was booked.
    total: u32,
}

impl GenServer for Bank {
    type Args = ();
    type Message = Book;

    async fn init((): (), ctx: &mut Context<Book>) -> Result<Bank, Refusal> {
        let store = store(ctx)?;
        let mut booked = BTreeSet::new();
        let all: &[u8] = &[u8::MAX; 4];
        store.scan(BOOKED, &[]..=all, &mut |order, _| {
            booked.insert(number(order.to_vec()))
        })?;
        let total = store.get(TOTAL, b"all")?.map_or(0, number);
        Ok(Bank {
            store,
            booked,
            total,
        })
    }

    async fn handle(&mut self, Book(order, done): Book, ctx: &mut Context<Book>) -> Flow {
        if !self.booked.contains(&order) {
            let total = self.total + order;
            let mut batch = Batch::new();
            batch.put(BOOKED, order.to_be_bytes(), b"");
            batch.put(TOTAL, b"all", total.to_be_bytes());
            if let Err(error) = self.store.commit(&batch) {
                return Flow::Stop(error.into());
            }
            self.booked.insert(order);
            self.total = total;
        } else {
            ctx.count("came again");
        }
        done.reply(());
        Flow::Next
    }
}

// ---- who sees what died

async fn clerk(ctx: Context) -> Result<(), ExitReason> {
    let dead = Queue::<Order>::new(Address::named("post", "broker"), "orders.dead");
    loop {
        let Ok(mut consumer) = dead.consume(1).await else {
            ctx.sleep(millis(200)).await;
            continue;
        };
        while let Ok(letter) = consumer.next().await {
            let order = *letter.message();
            ctx.observe("dead", |dead: &mut BTreeSet<Order>| {
                dead.insert(order);
            });
            letter.ack();
        }
    }
}

// ---- the scenarios

fn tree() -> Supervisor {
    // More than all copies of the poison take: who gets no answer publishes again.
    Supervisor::one_for_one().intensity(200, secs(10))
}

fn post(settings: QueueSettings) -> Supervisor {
    tree().child(child("broker", move || {
        let broker = Broker::new("broker", |ctx| store(ctx));
        // An ack may be lost: who has had a letter for so long is asked no longer.
        broker
            .ack_timeout(secs(10))
            .queue("orders", settings.clone())
    }))
}

/// What the bank knows; nothing while it is down.
fn bank<R>(view: &View, look: impl FnOnce(&Bank) -> R) -> Option<R> {
    view.server("bank", "bank", look).ok()
}

fn others_are_booked(view: &View) -> Result<(), String> {
    let mut others = (1..=ORDERS).filter(|order| *order != POISON);
    let missing = bank(view, |bank| {
        others.find(|order| !bank.booked.contains(order))
    });
    match missing {
        Some(None) => Ok(()),
        Some(Some(order)) => Err(format!("order {order} is not booked")),
        None => Err("the bank is closed".to_owned()),
    }
}

fn scenario(name: &str, settings: fn() -> QueueSettings) -> Scenario {
    let worker = |ctx| machine(ctx, || tree().child(child("worker", || process(worker))));
    Scenario::new(name)
        .node("shop", |ctx| {
            machine(ctx, || {
                tree().child(child("shop", || process(shop)).transient())
            })
        })
        .node("post", move |ctx| machine(ctx, move || post(settings())))
        .node("worker_1", worker)
        .node("worker_2", worker)
        .node("bank", |ctx| {
            let bank = || Server::<Bank>::with(()).name("bank");
            machine(ctx, move || tree().child(child("bank", bank)))
        })
        .node("clerk", |ctx| {
            machine(ctx, || tree().child(child("clerk", || process(clerk))))
        })
        .faults(storm())
        .horizon(secs(60))
        .quiet(secs(30))
        .always("no order is booked twice", |view| {
            bank(view, |bank| bank.total == bank.booked.iter().sum::<Order>()).unwrap_or(true)
        })
        .finally(OTHERS, others_are_booked)
}

/// The sound form.
pub(crate) fn sound() -> Scenario {
    scenario("mail/queue", QueueSettings::new)
        .summary("a queue whose every end crashes: what its shop published is booked once, poison set aside")
        .finally("the clerk has the poison, and nothing else", |view| {
            let dead = view.observed::<BTreeSet<Order>>("dead");
            dead.is_some_and(|dead| dead.iter().eq([&POISON]))
        })
        .finally("no letter is lost or stuck", |view| {
            view.mail_is_through(secs(10))
        })
        .sometimes("an order comes again", |view| {
            view.counter("came again") > 0
        })
}

/// The mutant: letters are tried for ever.
pub(crate) fn requeue_to_head() -> Scenario {
    let settings = || QueueSettings::new().without_delivery_limit();
    scenario("mail/mutant_requeue_to_head", settings)
        .summary("the same queue without a delivery limit: poison returns to the head, and kills all workers")
        .broken(OTHERS)
}
