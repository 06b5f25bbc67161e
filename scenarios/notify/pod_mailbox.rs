//! Each pod is its own queue.
//!
//! Who signs up shall have a voucher; a pod sees to it. The account service picks a pod, POSTs the message
//! to it, and then writes a receipt that names the pod: receipts are for looking things up, so "POST
//! first". The pod answers at once, processes the message, and writes `ack` on the receipt. What a pod has
//! missed while it was down it finds in the table: when it boots it asks for all its messages. It looks as
//! if the table knew everything.
//!
//! But all its messages are those with an `ack`, too: a pod that boots processes them once more. A filter on
//! the status is added, and helps a little: still a pod can crash between processing and `ack`, and then
//! it has processed a message of which the table does not know. And a message is lost where a pod crashes
//! with it, boots, and asks for its messages while the receipt of this one is still on its way.

use netsplit::{
    Address, CallError, Context, ExitReason, Faults, Flow, GenServer, Message, NodeId, Refusal,
    ReplyTo, Scenario, Server, Time, View, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

type User = u32;

/// A message, POSTed to a pod: this user shall have a voucher. Answered when the pod has it.
type Post = (User, ReplyTo<()>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Status {
    Sent,
    Failed,
    Ack,
}

/// A statement, which the database executes by itself and then answers.
#[derive(Debug, Serialize, Deserialize)]
enum Statement {
    /// What came of the POST of a message to a pod.
    InsertReceipt(User, NodeId, Status, ReplyTo<()>),
    UpdateReceipt(User, Status, ReplyTo<()>),
    /// The messages of all receipts that name this pod.
    SelectAll(NodeId, ReplyTo<Vec<User>>),
    /// Of those the ones without an ack.
    SelectUnacked(NodeId, ReplyTo<Vec<User>>),
    InsertVoucher(User, ReplyTo<()>),
}

/// What a pod asks for when it boots.
type Missed = fn(NodeId, ReplyTo<Vec<User>>) -> Statement;

struct Receipt {
    pod: NodeId,
    status: Status,
    written: Time,
}

#[derive(Default)]
struct Db {
    receipts: BTreeMap<User, Receipt>,
    /// When each pod has asked for its messages last.
    asked: BTreeMap<NodeId, Time>,
    /// How many vouchers each user has.
    vouchers: BTreeMap<User, u32>,
}

impl Db {
    fn receipts_of(&self, pod: NodeId, wanted: fn(Status) -> bool) -> Vec<User> {
        let receipts = self.receipts.iter();
        let its = receipts.filter(|(_, receipt)| receipt.pod == pod && wanted(receipt.status));
        its.map(|(user, _)| *user).collect()
    }

    /// What it knows of a message, for a person.
    fn tell(&self, user: User) -> String {
        let Some(Receipt {
            pod,
            status,
            written,
        }) = self.receipts.get(&user)
        else {
            return "it has no receipt".to_owned();
        };
        let asked = self.asked.get(pod).map_or(Time::ZERO, |at| *at);
        format!(
            "its receipt for {pod} says {status:?}, and was written at {written}; {pod} asked for its \
             messages at {asked}"
        )
    }
}

impl GenServer for Db {
    type Args = ();
    type Message = Statement;

    async fn init((): (), _: &mut Context<Statement>) -> Result<Db, Refusal> {
        Ok(Db::default())
    }

    async fn handle(&mut self, statement: Statement, ctx: &mut Context<Statement>) -> Flow {
        if let Statement::SelectAll(pod, _) | Statement::SelectUnacked(pod, _) = &statement {
            self.asked.insert(*pod, ctx.now());
        }
        match statement {
            Statement::InsertReceipt(user, pod, status, done) => {
                let written = ctx.now();
                self.receipts.insert(
                    user,
                    Receipt {
                        pod,
                        status,
                        written,
                    },
                );
                done.reply(());
            }
            Statement::UpdateReceipt(user, status, done) => {
                if let Some(receipt) = self.receipts.get_mut(&user) {
                    receipt.status = status;
                }
                done.reply(());
            }
            Statement::SelectAll(pod, rows) => rows.reply(self.receipts_of(pod, |_| true)),
            Statement::SelectUnacked(pod, rows) => {
                rows.reply(self.receipts_of(pod, |status| status != Status::Ack));
            }
            Statement::InsertVoucher(user, done) => {
                *self.vouchers.entry(user).or_default() += 1;
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
const ONCE: &str = "no message is processed twice";
const PROCESSED: &str = "every message is processed";

async fn execute<R: Message>(
    statement: impl FnOnce(ReplyTo<R>) -> Statement,
) -> Result<R, CallError> {
    Address::named(DB, DB).call(statement, TIMEOUT).await
}

async fn accounts(ctx: Context) -> Result<(), ExitReason> {
    for user in 1..=USERS {
        let pod = Address::<Post>::named(PODS[user as usize % PODS.len()], POD);
        let posted = pod.call(|received| (user, received), TIMEOUT).await;
        let status = posted.map_or(Status::Failed, |()| Status::Sent);
        let pod = pod.target().node();
        execute(|done| Statement::InsertReceipt(user, pod, status, done)).await?;
        ctx.sleep(millis(50)).await;
    }
    Ok(())
}

async fn pod(ctx: Context<Post>, missed: Missed) -> Result<(), ExitReason> {
    ctx.register(POD).map_err(ExitReason::error)?;
    for user in execute(|rows| missed(ctx.node(), rows)).await? {
        process(user).await?;
    }
    loop {
        let (user, received) = ctx.receive_message().await;
        received.reply(());
        process(user).await?;
    }
}

async fn process(user: User) -> Result<(), CallError> {
    execute(|done| Statement::InsertVoucher(user, done)).await?;
    execute(|done| Statement::UpdateReceipt(user, Status::Ack, done)).await
}

fn no_message_is_processed_twice(view: &View) -> Result<(), String> {
    let twice = |db: &Db| {
        let (user, vouchers) = db.vouchers.iter().find(|(_, vouchers)| **vouchers > 1)?;
        let receipt = db.tell(*user);
        Some(format!(
            "message {user} has made {vouchers} vouchers; {receipt}"
        ))
    };
    let found = view.server(DB, DB, twice);
    found.ok().flatten().map_or(Ok(()), Err)
}

fn every_message_is_processed(view: &View) -> Result<(), String> {
    let lost = |db: &Db| {
        let user = (1..=USERS).find(|user| !db.vouchers.contains_key(user))?;
        let receipt = db.tell(user);
        Some(format!("message {user} was never processed; {receipt}"))
    };
    let found = view
        .server(DB, DB, lost)
        .map_err(|unreadable| unreadable.to_string())?;
    found.map_or(Ok(()), Err)
}

fn scenario(name: &str, missed: Missed) -> Scenario {
    let scenario = Scenario::new(name)
        .node(DB, |ctx| Server::<Db>::with(()).name(DB).run(ctx))
        .client("accounts", accounts)
        .faults(Faults::calm().crash(secs(1), millis(20)).spare(DB))
        .horizon(secs(4));
    PODS.iter().fold(scenario, |scenario, name| {
        scenario.node(name, move |ctx| pod(ctx, missed))
    })
}

/// As it was built.
pub(crate) fn all() -> Scenario {
    scenario("notify/pod_mailbox", Statement::SelectAll)
        .summary(
            "POST first, then a receipt; a pod that boots asks for all its messages, acked or not",
        )
        .broken(ONCE)
        .always(ONCE, no_message_is_processed_twice)
}

/// With the filter; some messages are still processed twice, and some not at all.
pub(crate) fn unacked() -> Scenario {
    scenario("notify/pod_mailbox_filtered", Statement::SelectUnacked)
        .summary(
            "a pod that boots asks for what has no ack: a receipt that comes later is never seen",
        )
        .broken(PROCESSED)
        .finally(PROCESSED, every_message_is_processed)
        .sometimes("a message is processed twice", |view| {
            no_message_is_processed_twice(view).is_err()
        })
}
