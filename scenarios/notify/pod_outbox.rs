//! The pods of `pod_mailbox`, right: messages lie in one outbox, and any pod may take any of them.
//!
//! The account service writes the message together with the user, in one statement, before anybody hears
//! of it; the POST only tells a pod that there is something to do. Pods ask for what has no `ack`, when they
//! boot, when they are told, and once in a while. Processing and `ack` are one statement too, which does
//! nothing where the `ack` is there already.
//!
//! So a POST may fail, a pod may crash anywhere, stay away for ever, or come back under another name, and
//! two pods may work on one message: whoever is first processes it, and the other does nothing.

use super::storm;
use netsplit::{
    Address, CallError, Context, ExitReason, Flow, GenServer, Message, Refusal, ReplyTo, Scenario,
    Server, View, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

type User = u32;

/// A POST to a pod: there are messages.
type Post = ();

/// A statement, which the database executes by itself and then answers.
#[derive(Debug, Serialize, Deserialize)]
enum Statement {
    /// A user, and the message that the user shall have a voucher; nothing where the user is there already.
    InsertUser(User, ReplyTo<()>),
    /// The messages without an ack.
    SelectOutbox(ReplyTo<Vec<User>>),
    /// A voucher, and the ack of its message; nothing where the message is acked already.
    InsertVoucher(User, ReplyTo<()>),
}

#[derive(Default)]
struct Db {
    users: BTreeSet<User>,
    outbox: BTreeSet<User>,
    /// How many vouchers each user has.
    vouchers: BTreeMap<User, u32>,
}

impl GenServer for Db {
    type Args = ();
    type Message = Statement;

    async fn init((): (), _: &mut Context<Statement>) -> Result<Db, Refusal> {
        Ok(Db::default())
    }

    async fn handle(&mut self, statement: Statement, ctx: &mut Context<Statement>) -> Flow {
        match statement {
            Statement::InsertUser(user, done) => {
                if self.users.insert(user) {
                    self.outbox.insert(user);
                }
                done.reply(());
            }
            Statement::SelectOutbox(rows) => rows.reply(self.outbox.iter().copied().collect()),
            Statement::InsertVoucher(user, done) => {
                if self.outbox.remove(&user) {
                    *self.vouchers.entry(user).or_default() += 1;
                } else {
                    ctx.count("taken twice");
                }
                done.reply(());
            }
        }
        Flow::Next
    }
}

const DB: &str = "db";
const PODS: [&str; 2] = ["pod_1", "pod_2"];
const POD: &str = "pod";
const USERS: User = 20;
const TIMEOUT: Duration = secs(1);

async fn execute<R: Message>(
    statement: impl FnOnce(ReplyTo<R>) -> Statement,
) -> Result<R, CallError> {
    Address::named(DB, DB).call(statement, TIMEOUT).await
}

async fn accounts(ctx: Context) {
    for user in 1..=USERS {
        let insert = |done| Statement::InsertUser(user, done);
        while execute(insert).await.is_err() {}
        Address::<Post>::named(PODS[user as usize % PODS.len()], POD).send(());
        ctx.sleep(millis(50)).await;
    }
}

async fn pod(ctx: Context<Post>) -> Result<(), ExitReason> {
    ctx.register(POD).map_err(ExitReason::error)?;
    loop {
        // Whatever fails here is in the outbox still.
        if let Ok(users) = execute(Statement::SelectOutbox).await {
            for user in users {
                let _ = execute(|done| Statement::InsertVoucher(user, done)).await;
            }
        }
        let _ = ctx.receive_within(secs(1)).await;
    }
}

fn every_message_is_processed(view: &View) -> Result<(), String> {
    let lost = |db: &Db| (1..=USERS).find(|user| !db.vouchers.contains_key(user));
    match view.server(DB, DB, lost) {
        Ok(None) => Ok(()),
        Ok(Some(user)) => Err(format!("message {user} was never processed")),
        Err(unreadable) => Err(format!("the database: {unreadable}")),
    }
}

/// The scenario, under every fault.
pub(crate) fn scenario() -> Scenario {
    let scenario = Scenario::new("notify/pod_outbox")
        .summary(
            "the message first, in one outbox for all pods; processed and acked in one statement",
        )
        .node(DB, |ctx| Server::<Db>::with(()).name(DB).run(ctx))
        .client("accounts", accounts)
        .faults(storm().spare(DB))
        .horizon(secs(20))
        .always("no message is processed twice", |view| {
            let once = |db: &Db| db.vouchers.values().all(|vouchers| *vouchers == 1);
            view.server(DB, DB, once).unwrap_or(true)
        })
        .finally("every message is processed", every_message_is_processed)
        .sometimes("two pods take one message", |view| {
            view.counter("taken twice") > 0
        });
    let pods = PODS.iter();
    pods.fold(scenario, |scenario, name| scenario.node(name, pod))
}
