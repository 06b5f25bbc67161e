//! Raft: a leader for each term, a log that the leader replicates, entries that are committed.
//!
//! Ongaro and Ousterhout, "In search of an understandable consensus algorithm (extended version)" (2014),
//! figure 2, without answers to clients, snapshots and changes of membership.
//!
//! [`Rules`] holds three of its rules that look as if they could be left out. Each broken form leaves one
//! of them out, and loses what figure 3 promises.

mod properties;
mod server;

use super::disks::{DISKS, disks, network};
use super::no_complaint;
use netsplit::{Address, Context, Faults, PacketKind, Scenario, View, millis, secs};
use properties::{ELECTION_SAFETY, LEADER_COMPLETENESS, STATE_MACHINE_SAFETY, last_committed};
use server::{Message, Persistent, Place, SERVERS, Term, server, servers};
use std::time::Duration;

/// Rules of the paper that look as if they could be left out.
trait Rules: 'static {
    /// Figure 2: what is on stable storage before a server answers.
    fn stable(state: &Persistent) -> Persistent {
        state.clone()
    }

    /// Section 5.4.1: a voter's log must not be more up-to-date than the candidate's.
    fn may_lead(candidate: Place, voter: Place) -> bool {
        candidate >= voter
    }

    /// Section 5.4.2: only entries of the leader's own term are committed by counting replicas.
    fn commits_by_counting(entry: Term, current: Term) -> bool {
        entry == current
    }
}

/// The paper's.
struct Paper;
impl Rules for Paper {}

/// A vote is kept in memory: it is cast in an instant, and a term is soon over.
struct VoteInMemory;
impl Rules for VoteInMemory {
    fn stable(state: &Persistent) -> Persistent {
        Persistent {
            voted_for: None,
            ..state.clone()
        }
    }
}

/// Whoever asks first gets the vote: an election is for having one leader, and any will do.
struct FirstComeFirstServed;
impl Rules for FirstComeFirstServed {
    fn may_lead(_: Place, _: Place) -> bool {
        true
    }
}

/// What a majority has stored is committed, of whatever term it is.
struct MajorityCommits;
impl Rules for MajorityCommits {
    fn commits_by_counting(_: Term, _: Term) -> bool {
        true
    }
}

const COMMANDS_EVERY: Duration = millis(250);
const HORIZON: Duration = secs(8);
const QUIET: Duration = millis(1500);

/// Sends one command after the other to all servers, once: the leader of the moment takes it.
async fn client(ctx: Context) {
    let servers: Vec<Address<Message>> = servers();
    for command in 1.. {
        ctx.sleep(COMMANDS_EVERY).await;
        for server in &servers {
            server.send_datagram_as(PacketKind::Control, Message::Command(command));
        }
    }
}

/// Much is lost and late, so that leaders come and go while hardly an entry gets through: figure 8 takes
/// three of them in a row.
fn scenario<R: Rules>(name: &str) -> Scenario {
    let servers = SERVERS.iter().enumerate();
    let scenario = servers.fold(Scenario::new(name), |scenario, (me, name)| {
        scenario.node(name, move |ctx| server::<R>(ctx, me))
    });
    scenario
        .client(DISKS, disks::<Persistent>)
        .client("client", client)
        .network(network(&SERVERS))
        .faults(
            Faults::calm()
                .lose_kind(PacketKind::Control, 0.4)
                .duplicate(0.02)
                .reorder(0.05, secs(1))
                .crash(millis(500), millis(70)),
        )
        .always(ELECTION_SAFETY, |view| no_complaint(view, ELECTION_SAFETY))
        .always(STATE_MACHINE_SAFETY, |view| {
            no_complaint(view, STATE_MACHINE_SAFETY)
        })
        .finally("a command of the quiet end is committed", |view| {
            let before = (HORIZON - QUIET).as_nanos() / COMMANDS_EVERY.as_nanos();
            last_committed(view).is_some_and(|entry| u128::from(entry.command) > before)
        })
        .horizon(HORIZON)
        .quiet(QUIET)
}

fn leaders_are_complete(view: &View) -> Result<(), String> {
    no_complaint(view, LEADER_COMPLETENESS)
}

/// The form that forgets its vote over a reboot.
pub(crate) fn forgotten_vote() -> Scenario {
    scenario::<VoteInMemory>("protocols/raft_forgotten_vote")
        .summary("Raft that does not store its vote: after a reboot it votes twice in a term")
        .broken(ELECTION_SAFETY)
}

/// The form that votes for anybody.
pub(crate) fn unchecked_log() -> Scenario {
    scenario::<FirstComeFirstServed>("protocols/raft_unchecked_log")
        .summary(
            "Raft without the check of the log in RequestVote: a leader lacks committed entries",
        )
        .always(LEADER_COMPLETENESS, leaders_are_complete)
        .broken(LEADER_COMPLETENESS)
}

/// The form of figure 8.
pub(crate) fn figure_8() -> Scenario {
    scenario::<MajorityCommits>("protocols/raft_figure_8")
        .summary(
            "Raft whose leader commits an entry of an earlier term by counting replicas: figure 8",
        )
        .broken(STATE_MACHINE_SAFETY)
}

/// The sound form.
pub(crate) fn sound() -> Scenario {
    scenario::<Paper>("protocols/raft_sound")
        .summary("Raft by its paper: what is committed stays")
        .always(LEADER_COMPLETENESS, leaders_are_complete)
}
