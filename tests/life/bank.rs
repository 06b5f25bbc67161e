//! A bank and a town that banks there: actors that know nothing of the world in which they run.
//!
//! What the town experiences it says, line by line: the same in a simulation and on real nodes.

use netsplit::otp::process;
use netsplit::{
    Address, CallError, Context, ExitReason, Flow, GenServer, Info, Pid, Received, Refusal,
    ReplyTo, Server, Supervisor, child, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::time::Duration;

/// How long an answer may take that comes: nothing here fails for being slow.
const LONG: Duration = secs(60);

/// What the vault takes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Vault {
    Open(Address<Town>),
    Deposit(u64),
    Balance(ReplyTo<u64>),
    /// Answered by a clerk, and not by the vault.
    Audit(ReplyTo<u64>),
    /// Never answered.
    Complain(ReplyTo<()>),
    /// A statement to be sent after so many milliseconds.
    StatementIn(u64),
    Hire(ReplyTo<Address<ExitReason>>),
    Rob,
}

/// What the town takes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Town {
    Statement(u64),
    Closing(String),
}

/// The first process of the bank's node: a tree.
pub(crate) fn tree() -> Supervisor {
    Supervisor::one_for_one()
        .intensity(1, secs(5))
        .child(child("vault", || {
            Server::<VaultServer>::with(()).name("vault")
        }))
        .child(child("desk", || process(desk)))
}

/// Closes before the vault does, since it was opened after it.
async fn desk(ctx: Context<Address<Town>>) {
    ctx.register("desk").expect("a free name");
    ctx.trap_exit(true);
    let mut town = None;
    loop {
        match ctx.receive().await {
            Received::Message(customer) => town = Some(customer),
            Received::Info(Info::Exit { .. }) => break,
            Received::Info(_) => {}
        }
    }
    if let Some(town) = town {
        town.send(Town::Closing("the desk".to_owned()));
    }
}

struct VaultServer {
    balance: u64,
    town: Option<Address<Town>>,
}

impl GenServer for VaultServer {
    type Args = ();
    type Message = Vault;

    async fn init((): (), ctx: &mut Context<Vault>) -> Result<Self, Refusal> {
        ctx.trap_exit(true);
        let (balance, town) = (0, None);
        Ok(VaultServer { balance, town })
    }

    async fn handle(&mut self, message: Vault, ctx: &mut Context<Vault>) -> Flow {
        match message {
            Vault::Open(town) => self.town = Some(town),
            Vault::Deposit(amount) => self.balance += amount,
            Vault::Balance(reply_to) => reply_to.reply(self.balance),
            Vault::Audit(reply_to) => {
                let balance = self.balance;
                ctx.spawn(move |clerk: Context| async move {
                    clerk.sleep(millis(1)).await;
                    reply_to.reply(balance);
                });
            }
            Vault::Complain(_) => {}
            Vault::StatementIn(wait) => {
                let town = self.town.expect("it has opened");
                ctx.send_after(town, Town::Statement(self.balance), millis(wait));
            }
            Vault::Hire(reply_to) => {
                let clerk =
                    ctx.spawn(
                        |clerk: Context<ExitReason>| async move { clerk.receive_message().await },
                    );
                reply_to.reply(clerk);
            }
            Vault::Rob => panic!("hands up"),
        }
        Flow::Next
    }

    async fn terminate(&mut self, _: &ExitReason, _: &mut Context<Vault>) {
        if let Some(town) = self.town {
            town.send(Town::Closing("the vault".to_owned()));
        }
    }
}

/// Says what has happened, as the node on which it did.
pub(crate) fn say<M: netsplit::Message>(ctx: &Context<M>, line: impl Display) {
    let key = ctx.node().to_string();
    ctx.observe(&key, |story: &mut Vec<String>| story.push(line.to_string()));
}

fn vault() -> Address<Vault> {
    Address::named("bank", "vault")
}

/// Waits until the bank is open: it may boot later than the town.
async fn open(ctx: &Context<Town>) {
    while let Err(CallError::NoProc | CallError::NodeDown(_)) =
        vault().call(Vault::Balance, LONG).await
    {
        ctx.sleep(millis(1)).await;
    }
    vault().send(Vault::Open(ctx.address()));
    Address::<Address<Town>>::named("bank", "desk").send(ctx.address());
}

async fn hire() -> Pid {
    let clerk = vault().call(Vault::Hire, LONG).await.expect("an open bank");
    clerk.pid().expect("an address by pid")
}

/// What comes into a mailbox, as it is said.
async fn next(ctx: &Context<Town>) -> String {
    match ctx.receive().await {
        Received::Message(Town::Statement(balance)) => format!("statement: {balance}"),
        Received::Message(Town::Closing(what)) => format!("{what} closes"),
        Received::Info(Info::Down { reason, .. }) => format!("down: {reason}"),
        Received::Info(Info::Exit { reason, .. }) => format!("exit: {reason}"),
        Received::Info(Info::NodeDown(node)) => format!("{node} is down"),
        Received::Info(Info::NodeUp(node)) => format!("{node} is up"),
        Received::Info(other) => format!("{other:?}"),
    }
}

/// Calls by name, their answers and their ends, and timers on both sides.
pub(crate) async fn business(ctx: Context<Town>) {
    open(&ctx).await;
    (1..=100).for_each(|amount| vault().send(Vault::Deposit(amount)));
    let balance = vault().call(Vault::Balance, LONG).await;
    say(&ctx, format_args!("balance: {balance:?}"));
    let audit = vault().call(Vault::Audit, LONG).await;
    say(&ctx, format_args!("audit: {audit:?}"));
    let complaint = vault().call(Vault::Complain, millis(3)).await;
    say(&ctx, format_args!("complaint: {complaint:?}"));
    let nobody = Address::<Vault>::named("bank", "nobody");
    let nobody = nobody.call(Vault::Balance, LONG).await;
    say(&ctx, format_args!("nobody: {nobody:?}"));

    let before = ctx.now();
    vault().send(Vault::StatementIn(5));
    let never = ctx.send_after(ctx.address(), Town::Statement(0), LONG);
    say(&ctx, next(&ctx).await);
    say(
        &ctx,
        format_args!("after 5 ms: {}", ctx.now() - before >= millis(5)),
    );
    say(
        &ctx,
        format_args!("cancelled: {}", ctx.cancel_timer(never).is_some()),
    );
    let quiet = ctx.receive_within(millis(2)).await;
    say(&ctx, format_args!("then: {quiet:?}"));
}

/// Links, monitors and exits across nodes; a server that is restarted.
pub(crate) async fn people(ctx: Context<Town>) {
    open(&ctx).await;
    ctx.trap_exit(true);
    let (first, second, third) = (hire().await, hire().await, hire().await);
    let _ = ctx.monitor(first);
    Address::<ExitReason>::of(first).send(ExitReason::error("retired"));
    say(&ctx, next(&ctx).await);
    let _ = ctx.monitor(first);
    say(&ctx, next(&ctx).await);
    ctx.link(second);
    ctx.send_exit(second, ExitReason::Kill);
    say(&ctx, next(&ctx).await);
    ctx.link(third);
    ctx.unlink(third);
    let ended = ctx.monitor(third);
    ctx.demonitor(ended, true);
    ctx.send_exit(third, ExitReason::Kill);

    vault().send(Vault::Deposit(7));
    let _ = ctx.monitor(vault());
    let robbed = vault().call(|_: ReplyTo<()>| Vault::Rob, LONG).await;
    say(&ctx, format_args!("robbed: {robbed:?}"));
    say(&ctx, next(&ctx).await);
    say(&ctx, next(&ctx).await);
    open(&ctx).await;
    let balance = vault().call(Vault::Balance, LONG).await;
    say(&ctx, format_args!("restarted: {balance:?}"));
}

/// The bank's node crashes, and boots again.
pub(crate) async fn crash(ctx: Context<Town>) {
    open(&ctx).await;
    ctx.trap_exit(true);
    let (first, second) = (hire().await, hire().await);
    let _ = ctx.monitor(first);
    ctx.link(second);
    // Its answer says that what was sent before has come.
    let balance = vault().call(Vault::Balance, LONG).await;
    say(&ctx, format_args!("balance: {balance:?}"));
    let called = vault().call(Vault::Complain, LONG).await;
    say(&ctx, format_args!("called: {called:?}"));
    let mut ends = [next(&ctx).await, next(&ctx).await];
    ends.sort();
    ends.into_iter().for_each(|end| say(&ctx, end));
    let _ = ctx.monitor(second);
    say(&ctx, next(&ctx).await);
    let called = vault().call(Vault::Balance, LONG).await;
    say(&ctx, format_args!("called: {called:?}"));

    say(&ctx, "waits");
    open(&ctx).await;
    let balance = vault().call(Vault::Balance, LONG).await;
    say(&ctx, format_args!("balance: {balance:?} again"));
    let _ = ctx.monitor(first);
    say(&ctx, next(&ctx).await);
    let is_new = hire().await.incarnation() > first.incarnation();
    say(&ctx, format_args!("a new incarnation: {is_new}"));
}

/// The town closes its connection, and calls again.
pub(crate) async fn parting(ctx: Context<Town>) {
    open(&ctx).await;
    vault().send(Vault::Deposit(7));
    let clerk = hire().await;
    let _ = ctx.monitor(clerk);
    ctx.monitor_nodes(true);
    ctx.disconnect(clerk.node());
    say(&ctx, next(&ctx).await);
    say(&ctx, next(&ctx).await);
    say(&ctx, format_args!("peers: {:?}", ctx.nodes()));
    let balance = vault().call(Vault::Balance, LONG).await;
    say(&ctx, next(&ctx).await);
    say(&ctx, format_args!("balance: {balance:?}"));
    say(&ctx, format_args!("peers: {:?}", ctx.nodes()));
}

/// The bank's node is asked to stop: its tree closes from the last child to the first.
pub(crate) async fn stop(ctx: Context<Town>) {
    open(&ctx).await;
    let _ = vault().call(Vault::Balance, LONG).await;
    ctx.monitor_nodes(true);
    say(&ctx, "waits");
    for _ in 0..3 {
        say(&ctx, next(&ctx).await);
    }
    say(&ctx, format_args!("peers: {:?}", ctx.nodes()));
}

/// The other of the two nodes, once it is there: what is sent to one that is down is lost.
async fn neighbour_of<M: netsplit::Message>(ctx: &Context<M>) -> Address<M> {
    ctx.register("neighbour").expect("a free name");
    let is_bank = ctx.node_named("bank") == Some(ctx.node());
    let other = if is_bank { "town" } else { "bank" };
    let other = ctx.node_named(other).expect("a node of the cluster");
    while ctx.nodes().is_empty() {
        ctx.connect(other);
        ctx.sleep(millis(2)).await;
    }
    Address::at(other, "neighbour")
}

/// Both nodes begin at once to send to each other.
pub(crate) async fn neighbour(ctx: Context<u64>) {
    let neighbour = neighbour_of(&ctx).await;
    ctx.sleep(millis(2)).await;
    (1..=100).for_each(|count| neighbour.send(count));
    for expected in 1..=100 {
        assert_eq!(ctx.receive_message().await, expected);
    }
    say(&ctx, "all in order");
}

/// The bank sends more than a connection holds.
pub(crate) async fn flood(ctx: Context<(u64, Vec<u8>)>) {
    const MANY: u64 = 30;
    let neighbour = neighbour_of(&ctx).await;
    if ctx.node_named("bank") == Some(ctx.node()) {
        for count in 0..MANY {
            neighbour.send((count, vec![0; 10_000]));
            ctx.yield_now().await;
        }
    } else {
        for expected in 0..MANY {
            let (count, _) = ctx.receive_message().await;
            assert_eq!(count, expected);
        }
        say(&ctx, "all in order");
    }
}
