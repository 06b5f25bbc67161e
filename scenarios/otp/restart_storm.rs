//! A supervisor that restarts at once, and a dependency that is down for longer.
//!
//! A shop keeps its orders in a database on another node. The server that takes orders connects to it in its
//! `init`, and when the database is lost it crashes: let it crash, its supervisor starts it anew. That heals
//! whatever a restart can heal.
//!
//! But a restart does not bring the database back. Each new server finds nobody to connect to and fails
//! within milliseconds, and each failed start counts. So an outage of a second uses up any intensity, and
//! the supervisor gives up, as it should: what it was told to guarantee, a server with a connection, cannot
//! be had. Nobody starts the shop again when the database is back.
//!
//! The cure is no greater intensity and no slower restart: it is to promise less. An `init` guarantees what
//! the server can see to by itself. A connection is not among that, so the server is up without one, says so
//! to whoever asks, and tries again after a while.

use netsplit::{
    Address, CallError, Context, ExitReason, Faults, Flow, GenServer, Info, MonitorRef, Pid,
    Refusal, ReplyTo, Scenario, Server, Supervisor, View, child, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

type Order = u32;

const ORDERS: Order = 40;
const TAKEN: &str = "every order is taken in the end";

// ---- the database

#[derive(Debug, Serialize, Deserialize)]
enum ToDb {
    Hello(ReplyTo<Pid>),
    Insert(Order, ReplyTo<()>),
}

async fn db(ctx: Context<ToDb>) -> Result<(), ExitReason> {
    ctx.register("db").map_err(ExitReason::error)?;
    loop {
        match ctx.receive_message().await {
            ToDb::Hello(reply_to) => reply_to.reply(ctx.pid()),
            ToDb::Insert(order, reply_to) => {
                // What is committed outlives the process.
                ctx.observe("rows", |rows: &mut BTreeSet<Order>| {
                    rows.insert(order);
                });
                reply_to.reply(());
            }
        }
    }
}

// ---- the shop

/// When the server connects.
#[derive(Clone, Copy)]
enum Manner {
    /// In its `init`: without the database there is no server.
    Init,
    /// After it, and again after each loss.
    Later,
}

#[derive(Debug, Serialize, Deserialize)]
enum ToOrders {
    /// An order of a customer; answered with whether it was taken.
    Take(Order, ReplyTo<bool>),
    /// It is time to look for the database again.
    Retry,
}

struct Orders {
    manner: Manner,
    db: Option<MonitorRef>,
}

async fn connect(ctx: &Context<ToOrders>) -> Result<MonitorRef, CallError> {
    let db = Address::named("db", "db");
    Ok(ctx.monitor(db.call(ToDb::Hello, millis(500)).await?))
}

impl Orders {
    /// Connects, or will try again. By a timer of its own: a `NextWithin` would be cancelled by each order,
    /// and customers who are told no come back soon.
    async fn connect(&mut self, ctx: &Context<ToOrders>) {
        self.db = connect(ctx).await.ok();
        if self.db.is_none() {
            ctx.send_after(ctx.address(), ToOrders::Retry, millis(200));
        }
    }
}

impl GenServer for Orders {
    type Args = Manner;
    type Message = ToOrders;

    async fn init(manner: Manner, ctx: &mut Context<ToOrders>) -> Result<Orders, Refusal> {
        let db = match manner {
            Manner::Init => Some(connect(ctx).await?),
            Manner::Later => None,
        };
        Ok(Orders { manner, db })
    }

    fn first(&self) -> Flow {
        Flow::Continue
    }

    async fn handle_continue(&mut self, ctx: &mut Context<ToOrders>) -> Flow {
        if self.db.is_none() {
            self.connect(ctx).await;
        }
        Flow::Next
    }

    async fn handle(&mut self, message: ToOrders, ctx: &mut Context<ToOrders>) -> Flow {
        match message {
            ToOrders::Take(order, answer) => {
                let db = Address::named("db", "db");
                let insert = |reply_to| ToDb::Insert(order, reply_to);
                let taken = self.db.is_some() && db.call(insert, millis(500)).await.is_ok();
                answer.reply(taken);
            }
            ToOrders::Retry => self.connect(ctx).await,
        }
        Flow::Next
    }

    async fn handle_info(&mut self, info: Info, ctx: &mut Context<ToOrders>) -> Flow {
        let Info::Down { monitor, .. } = info else {
            return Flow::Next;
        };
        if self.db == Some(monitor) {
            match self.manner {
                Manner::Init => return Flow::Stop(ExitReason::error("the database is lost")),
                Manner::Later => self.connect(ctx).await,
            }
        }
        Flow::Next
    }
}

fn shop(manner: Manner) -> Supervisor {
    Supervisor::one_for_one()
        .intensity(3, secs(5))
        .child(child("orders", move || {
            Server::<Orders>::with(manner).name("orders")
        }))
}

// ---- the customer

/// Places its orders one after the other, each until it is taken.
async fn customer(ctx: Context) {
    let shop = Address::named("shop", "orders");
    for order in 1..=ORDERS {
        let take = |answer| ToOrders::Take(order, answer);
        while shop.call(take, secs(1)).await != Ok(true) {
            ctx.sleep(millis(100)).await;
        }
        ctx.sleep(millis(100)).await;
    }
}

fn scenario(name: &str, manner: Manner) -> Scenario {
    Scenario::new(name)
        .node("db", db)
        .node("shop", move |ctx| shop(manner).run(ctx))
        .client("customer", customer)
        .finally(TAKEN, all_are_taken)
}

fn all_are_taken(view: &View) -> Result<(), String> {
    let none = BTreeSet::new();
    let rows = view.observed::<BTreeSet<Order>>("rows").unwrap_or(&none);
    match (1..=ORDERS).find(|order| !rows.contains(order)) {
        Some(order) => Err(format!("order {order} of {ORDERS} is not in the database")),
        None => Ok(()),
    }
}

/// The broken form: the database crashes now and then, and that is all.
pub(crate) fn as_built() -> Scenario {
    scenario("otp/restart_storm", Manner::Init)
        .summary(
            "a server that connects in its init: an outage of its database uses up the intensity",
        )
        .faults(Faults::calm().crash(secs(10), secs(1)).spare("shop"))
        .broken(TAKEN)
}

/// The sound form, under every fault.
pub(crate) fn promises_less() -> Scenario {
    scenario("otp/promises_less", Manner::Later)
        .summary("the same server is up without its database, and tries again after a while")
        .faults(crate::notify::storm())
}
