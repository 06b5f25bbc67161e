//! Two-phase commit: a coordinator asks all participants for their votes, decides Commit where all vote
//! Yes and else Abort, and tells them.
//!
//! Gray, "Notes on data base operating systems" (1978); Bernstein, Hadzilacos and Goodman, "Concurrency
//! control and recovery in database systems" (1987), chapter 7, whose words are used here.
//!
//! A participant that has voted Yes is uncertain until it hears the decision: it may not decide alone, and
//! where the decision does not come it must ask for it (section 7.4). That blocks it while the coordinator
//! is down, so people let it abort when it has waited for long enough. But the decision may have been
//! Commit, and others may have heard it.

use super::disks::{DISKS, Disk, disks, network};
use super::{complain, no_complaint, receive_wanted};
use netsplit::{
    Address, Context, ExitReason, Faults, NodeId, PacketKind, Scenario, Time, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

type Transaction = u32;

/// What a log says of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Record {
    /// A participant has voted Yes, and is uncertain.
    Yes,
    Commit,
    Abort,
}

/// A log, on stable storage: the newest record of each transaction.
type Log = BTreeMap<Transaction, Record>;

#[derive(Debug, Serialize, Deserialize)]
enum Message {
    VoteRequest(Transaction),
    /// Whether this participant votes Yes.
    Vote(Transaction, NodeId, bool),
    Decision(Transaction, Record),
    /// A participant is uncertain, and asks for the decision.
    DecisionRequest(Transaction, Address<Message>),
    /// A participant's own timer: the decision has not come for a while.
    Overdue(Transaction),
}

/// What a participant does about a decision that is overdue: it may decide.
type TimeoutAction = fn(&Context<Message>, Transaction) -> Option<Record>;

/// It asks the coordinator, and stays uncertain.
fn ask(ctx: &Context<Message>, transaction: Transaction) -> Option<Record> {
    let request = Message::DecisionRequest(transaction, ctx.address());
    Address::named(COORDINATOR, COORDINATOR).send_datagram_as(PacketKind::Control, request);
    None
}

/// It decides by itself.
fn abort(_: &Context<Message>, _: Transaction) -> Option<Record> {
    Some(Record::Abort)
}

const COORDINATOR: &str = "coordinator";
const PARTICIPANTS: [&str; 3] = ["ada", "bob", "cyd"];
const PARTICIPANT: &str = "participant";
const TRANSACTIONS: Transaction = 20;
/// How long the coordinator waits for votes, and a participant for the decision.
const PATIENCE: Duration = millis(80);
/// Atomicity, in the words of section 7.3.
const AC1: &str = "AC1: all processes that reach a decision reach the same one";
const AC5: &str = "AC5: all processes reach a decision";

/// What each process has recorded of each transaction.
type Records = BTreeMap<Transaction, BTreeMap<NodeId, Record>>;

fn note(ctx: &Context<Message>, transaction: Transaction, record: Record) {
    let mut alike = true;
    ctx.observe("records", |records: &mut Records| {
        let records = records.entry(transaction).or_default();
        records.insert(ctx.node(), record);
        let mut decisions = records.values().filter(|record| **record != Record::Yes);
        alike = record == Record::Yes || decisions.all(|other| *other == record);
    });
    if !alike {
        let (who, of) = (ctx.node(), transaction);
        let how = format!("{who} decides {record:?} on transaction {of}, and others do not");
        complain(ctx, AC1, how);
    }
}

async fn coordinator(ctx: Context<Message>) -> Result<(), ExitReason> {
    ctx.register(COORDINATOR).map_err(ExitReason::error)?;
    let participants = PARTICIPANTS.map(|name| Address::named(name, PARTICIPANT));
    let (mut disk, mut log) = Disk::<Log>::open().await;
    for (transaction, decision) in &log {
        note(&ctx, *transaction, *decision);
    }
    let mut crashed = ctx.pid().incarnation() > 0;
    for transaction in log.len() as Transaction + 1..=TRANSACTIONS {
        // The first that is undecided after a crash may have been cut short by it: it is aborted.
        let decision = if !crashed && all_vote_yes(&ctx, &participants, transaction).await {
            Record::Commit
        } else {
            Record::Abort
        };
        crashed = false;
        log.insert(transaction, decision);
        disk.write(&log).await;
        note(&ctx, transaction, decision);
        for participant in &participants {
            participant.send_datagram_as(
                PacketKind::Control,
                Message::Decision(transaction, decision),
            );
        }
        answer_requests(&ctx, &log, ctx.now() + millis(50)).await;
    }
    answer_requests(&ctx, &log, Time::MAX).await;
    Ok(())
}

async fn all_vote_yes(
    ctx: &Context<Message>,
    participants: &[Address<Message>],
    transaction: Transaction,
) -> bool {
    for participant in participants {
        participant.send_datagram_as(PacketKind::Control, Message::VoteRequest(transaction));
    }
    let mut yes = BTreeSet::new();
    while yes.len() < participants.len() {
        let vote = |m: &Message| matches!(m, Message::Vote(of, ..) if *of == transaction);
        match receive_wanted(ctx, PATIENCE, vote).await {
            Some(Message::Vote(_, voter, true)) => yes.insert(voter),
            _ => return false,
        };
    }
    true
}

/// Those who are uncertain ask again and again: until they are answered here, they wait.
async fn answer_requests(ctx: &Context<Message>, log: &Log, until: Time) {
    let request = |m: &Message| matches!(m, Message::DecisionRequest(..));
    while let Some(Message::DecisionRequest(transaction, participant)) =
        receive_wanted(ctx, until.since(ctx.now()), request).await
    {
        if let Some(decision) = log.get(&transaction) {
            participant.send_datagram_as(
                PacketKind::Control,
                Message::Decision(transaction, *decision),
            );
        }
    }
}

struct Participant {
    ctx: Context<Message>,
    disk: Disk<Log>,
    log: Log,
    timeout_action: TimeoutAction,
}

impl Participant {
    /// Votes as it likes; on a transaction of which it knows already, not at all.
    async fn vote(&mut self, transaction: Transaction) {
        if self.log.contains_key(&transaction) {
            return;
        }
        let yes = self.ctx.random_below(20) > 0;
        let record = if yes { Record::Yes } else { Record::Abort };
        self.record(transaction, record).await;
        let vote = Message::Vote(transaction, self.ctx.node(), yes);
        Address::named(COORDINATOR, COORDINATOR).send_datagram_as(PacketKind::Control, vote);
    }

    /// Takes a decision over; one that it has already reached stays.
    async fn decide(&mut self, transaction: Transaction, decision: Record) {
        if matches!(self.log.get(&transaction), None | Some(Record::Yes)) {
            self.record(transaction, decision).await;
        }
    }

    async fn record(&mut self, transaction: Transaction, record: Record) {
        self.log.insert(transaction, record);
        self.disk.write(&self.log).await;
        self.resume(transaction, record);
    }

    /// Goes on from a record in its log: one that it has just written, or found there after a crash.
    fn resume(&self, transaction: Transaction, record: Record) {
        note(&self.ctx, transaction, record);
        if record == Record::Yes {
            let overdue = Message::Overdue(transaction);
            self.ctx.send_after(self.ctx.address(), overdue, PATIENCE);
        }
    }

    async fn overdue(&mut self, transaction: Transaction) {
        if self.log.get(&transaction) == Some(&Record::Yes) {
            match (self.timeout_action)(&self.ctx, transaction) {
                Some(decision) => self.decide(transaction, decision).await,
                None => self.resume(transaction, Record::Yes),
            }
        }
    }
}

async fn participant(
    ctx: Context<Message>,
    timeout_action: TimeoutAction,
) -> Result<(), ExitReason> {
    ctx.register(PARTICIPANT).map_err(ExitReason::error)?;
    let (disk, log) = Disk::open().await;
    let mut participant = Participant {
        ctx,
        disk,
        log,
        timeout_action,
    };
    for (transaction, record) in &participant.log {
        participant.resume(*transaction, *record);
    }
    loop {
        match participant.ctx.receive_message().await {
            Message::VoteRequest(transaction) => participant.vote(transaction).await,
            Message::Decision(transaction, decision) => {
                participant.decide(transaction, decision).await;
            }
            Message::Overdue(transaction) => participant.overdue(transaction).await,
            Message::Vote(..) | Message::DecisionRequest(..) => {}
        }
    }
}

fn scenario(name: &str, timeout_action: TimeoutAction) -> Scenario {
    let scenario = Scenario::new(name).node(COORDINATOR, coordinator);
    let scenario = PARTICIPANTS.iter().fold(scenario, |scenario, name| {
        scenario.node(name, move |ctx| participant(ctx, timeout_action))
    });
    scenario
        .client(DISKS, disks::<Log>)
        .network(network(&[&[COORDINATOR], &PARTICIPANTS[..]].concat()))
        .faults(
            Faults::calm()
                .lose_kind(PacketKind::Control, 0.02)
                .duplicate(0.02)
                .reorder(0.02, millis(200))
                .crash(secs(2), millis(100)),
        )
        .always(AC1, |view| no_complaint(view, AC1))
        .finally(AC5, |view| {
            let records = view.observed::<Records>("records");
            let all = || records.into_iter().flat_map(BTreeMap::values);
            all().count() == TRANSACTIONS as usize
                && all().all(|records| records.values().all(|record| *record != Record::Yes))
                && all().any(|records| records.values().all(|record| *record == Record::Commit))
        })
        .horizon(secs(6))
        .quiet(secs(3))
}

/// The broken form.
pub(crate) fn impatient() -> Scenario {
    scenario("protocols/commit_impatient", abort)
        .summary(
            "two-phase commit in which a participant that voted Yes aborts when it waited for long",
        )
        .broken(AC1)
}

/// The sound form.
pub(crate) fn sound() -> Scenario {
    scenario("protocols/commit_sound", ask)
        .summary("two-phase commit in which a participant that voted Yes stays in doubt, and asks")
}
