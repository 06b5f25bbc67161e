//! Single-decree Paxos: proposers with values of their own, acceptors, and at most one value chosen.
//!
//! Lamport, "Paxos made simple" (2001), section 2, whose words are used here. In phase 1 a proposer asks
//! the acceptors to promise not to accept proposals numbered less than its own, and hears of the proposals
//! that they have accepted; in phase 2 it asks them to accept its proposal.
//!
//! A proposer that has its promises is easily thought to have the floor, and to propose what it wants to.
//! But a proposal with another value may have been accepted by a majority: condition P2c says that the
//! value must be that of the highest-numbered proposal among the answers.

use super::disks::{DISKS, Disk, disks, network};
use super::{complain, no_complaint, receive_wanted};
use netsplit::{Address, Context, ExitReason, Faults, NodeId, PacketKind, Scenario, millis, secs};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Of a proposal: the how-manieth of its proposer, and the proposer.
type Number = (u32, NodeId);
type Value = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Proposal {
    number: Number,
    value: Value,
}

#[derive(Debug, Serialize, Deserialize)]
enum Request {
    Prepare(Number, Address<Response>),
    Accept(Proposal, Address<Response>),
}

#[derive(Debug, Serialize, Deserialize)]
enum Response {
    /// No proposal numbered less is accepted any more; the one with the highest number that was.
    Promise(Number, NodeId, Option<Proposal>),
    Accepted(Number, NodeId),
}

/// What a proposer proposes: it has a value of its own, and was told of this accepted proposal.
type Choice = fn(Value, Option<Proposal>) -> Value;

/// P2c.
fn accepted_before_own(own: Value, accepted: Option<Proposal>) -> Value {
    accepted.map_or(own, |proposal| proposal.value)
}

/// It has the floor.
fn own_value(own: Value, _: Option<Proposal>) -> Value {
    own
}

/// What an acceptor must remember even if it fails.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Memory {
    promised: Option<Number>,
    accepted: Option<Proposal>,
}

const ACCEPTORS: [&str; 3] = ["ada", "bob", "cyd"];
const ACCEPTOR: &str = "acceptor";
const MAJORITY: usize = ACCEPTORS.len() / 2 + 1;
const PROPOSERS: [&str; 2] = ["pia", "quin"];
const ONE_VALUE: &str = "only a single value is chosen";

/// The acceptors that accepted each proposal.
type Accepted = BTreeMap<Proposal, BTreeSet<NodeId>>;

fn note_accepted(ctx: &Context<Request>, proposal: Proposal) {
    let mut chosen = BTreeSet::new();
    ctx.observe("accepted", |accepted: &mut Accepted| {
        accepted.entry(proposal).or_default().insert(ctx.node());
        let by_majority = accepted.iter().filter(|(_, by)| by.len() >= MAJORITY);
        chosen.extend(by_majority.map(|(proposal, _)| proposal.value));
    });
    if chosen.len() > 1 {
        complain(ctx, ONE_VALUE, format!("the values {chosen:?} are chosen"));
    }
}

async fn acceptor(ctx: Context<Request>) -> Result<(), ExitReason> {
    ctx.register(ACCEPTOR).map_err(ExitReason::error)?;
    let (mut disk, mut memory) = Disk::<Memory>::open().await;
    loop {
        match ctx.receive_message().await {
            Request::Prepare(number, proposer) if Some(number) > memory.promised => {
                memory.promised = Some(number);
                disk.write(&memory).await;
                let promise = Response::Promise(number, ctx.node(), memory.accepted);
                proposer.send_datagram_as(PacketKind::Control, promise);
            }
            Request::Accept(proposal, proposer) if Some(proposal.number) >= memory.promised => {
                memory = Memory {
                    promised: Some(proposal.number),
                    accepted: Some(proposal),
                };
                disk.write(&memory).await;
                note_accepted(&ctx, proposal);
                proposer.send_datagram_as(
                    PacketKind::Control,
                    Response::Accepted(proposal.number, ctx.node()),
                );
            }
            // Section 2.2: it may ignore any request.
            Request::Prepare(..) | Request::Accept(..) => {}
        }
    }
}

/// Proposes under higher and higher numbers until a proposal was accepted by a majority.
async fn proposer(ctx: Context<Response>, choose: Choice) {
    let acceptors = ACCEPTORS.map(|name| Address::named(name, ACCEPTOR));
    let own = ctx.random_below(1000) as Value;
    for nth in 1.. {
        ctx.sleep(millis(ctx.random_below(200))).await;
        let number = (nth, ctx.node());
        for acceptor in acceptors {
            acceptor.send_datagram_as(PacketKind::Control, Request::Prepare(number, ctx.address()));
        }
        let Some(accepted) = promises(&ctx, number).await else {
            continue;
        };
        let value = choose(own, accepted);
        let proposal = Proposal { number, value };
        for acceptor in acceptors {
            acceptor.send_datagram_as(
                PacketKind::Control,
                Request::Accept(proposal, ctx.address()),
            );
        }
        if is_accepted(&ctx, number).await {
            ctx.observe("learned", |learned: &mut Vec<Value>| learned.push(value));
            return;
        }
    }
}

/// Waits for promises of a majority: the highest-numbered proposal that one of them has accepted.
async fn promises(ctx: &Context<Response>, number: Number) -> Option<Option<Proposal>> {
    let (mut by, mut highest) = (BTreeSet::new(), None);
    while by.len() < MAJORITY {
        let answers =
            |response: &Response| matches!(response, Response::Promise(of, ..) if *of == number);
        match receive_wanted(ctx, millis(50), answers).await? {
            Response::Promise(_, acceptor, accepted) => {
                by.insert(acceptor);
                highest = highest.max(accepted);
            }
            Response::Accepted(..) => {}
        }
    }
    Some(highest)
}

/// Waits until a majority has accepted.
async fn is_accepted(ctx: &Context<Response>, number: Number) -> bool {
    let mut by = BTreeSet::new();
    while by.len() < MAJORITY {
        let answers =
            |response: &Response| matches!(response, Response::Accepted(of, _) if *of == number);
        match receive_wanted(ctx, millis(50), answers).await {
            Some(Response::Accepted(_, acceptor)) => by.insert(acceptor),
            _ => return false,
        };
    }
    true
}

fn scenario(name: &str, choose: Choice) -> Scenario {
    let scenario = ACCEPTORS
        .iter()
        .fold(Scenario::new(name), |scenario, name| {
            scenario.node(name, acceptor)
        });
    let scenario = PROPOSERS.iter().fold(scenario, |scenario, name| {
        scenario.client(name, move |ctx| proposer(ctx, choose))
    });
    scenario
        .client(DISKS, disks::<Memory>)
        .network(network(&ACCEPTORS))
        .faults(
            Faults::calm()
                .lose_kind(PacketKind::Control, 0.05)
                .duplicate(0.02)
                .reorder(0.05, millis(100))
                .crash(secs(1), millis(100)),
        )
        .always(ONE_VALUE, |view| no_complaint(view, ONE_VALUE))
        .finally(
            "each proposer learns that a value has been chosen",
            |view| {
                let learned = view.observed::<Vec<Value>>("learned");
                learned.is_some_and(|learned| learned.len() == PROPOSERS.len())
            },
        )
        .horizon(secs(5))
        .quiet(secs(3))
}

/// The broken form.
pub(crate) fn own_value_first() -> Scenario {
    scenario("protocols/paxos_own_value", own_value)
        .summary("a Paxos proposer that ignores the value already accepted, and proposes its own")
        .broken(ONE_VALUE)
}

/// The sound form.
pub(crate) fn sound() -> Scenario {
    scenario("protocols/paxos_sound", accepted_before_own)
        .summary("single-decree Paxos, made simple: one value is chosen")
}
