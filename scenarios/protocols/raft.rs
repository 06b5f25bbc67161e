//! Raft: a leader for each term, a log that the leader replicates, entries that are committed.
//!
//! Ongaro and Ousterhout, "In search of an understandable consensus algorithm (extended version)" (2014):
//! figure 2, without clients' answers, snapshots and changes of membership. An AppendEntries carries one
//! entry at most.
//!
//! [`Rules`] holds three of its rules that look as if they could be left out. Each broken form leaves out
//! one of them; figure 3 of the paper says what is lost.

use super::disks::{DISKS, Disk, disks, network};
use super::{complain, no_complaint};
use netsplit::{
    Address, Context, ExitReason, Faults, Received, Scenario, Time, View, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::time::Duration;

type Term = u32;
/// Of an entry in the log; the first has 1.
type Index = usize;
/// Of a server in [`SERVERS`].
type Server = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    term: Term,
    command: u32,
}

/// Where an entry stands and of which term it is: the later term is more up-to-date, then the longer log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Place {
    term: Term,
    index: Index,
}

/// Figure 2, "persistent state on all servers".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Persistent {
    current_term: Term,
    voted_for: Option<Server>,
    log: Vec<Entry>,
}

impl Persistent {
    fn term_at(&self, index: Index) -> Option<Term> {
        match index {
            0 => Some(0),
            _ => self.log.get(index - 1).map(|entry| entry.term),
        }
    }

    fn last(&self) -> Place {
        Place {
            term: self.log.last().map_or(0, |entry| entry.term),
            index: self.log.len(),
        }
    }
}

/// Rules of the paper that look as if they could be left out.
trait Rules: 'static {
    /// Figure 2: what is on stable storage before a server answers.
    fn stable(state: &Persistent) -> Persistent {
        state.clone()
    }

    /// Section 5.4.1: who gets a vote has a log at least as up-to-date as the voter's.
    fn may_lead(candidate: Place, voter: Place) -> bool {
        candidate >= voter
    }

    /// Section 5.4.2: only entries of the leader's own term are committed by counting replicas.
    fn is_committed_by_counting(entry: Term, current: Term) -> bool {
        entry == current
    }
}

/// The paper's.
struct Paper;
impl Rules for Paper {}

/// The vote is kept in memory: it is cast in an instant, and a term is soon over.
struct VoteInMemory;
impl Rules for VoteInMemory {
    fn stable(state: &Persistent) -> Persistent {
        Persistent {
            voted_for: None,
            ..state.clone()
        }
    }
}

/// Whoever asks first gets the vote: one leader a term is all that an election is for.
struct FirstComeFirstServed;
impl Rules for FirstComeFirstServed {
    fn may_lead(_: Place, _: Place) -> bool {
        true
    }
}

/// What a majority has stored is committed, whoever wrote it.
struct MajorityCommits;
impl Rules for MajorityCommits {
    fn is_committed_by_counting(_: Term, _: Term) -> bool {
        true
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Rpc {
    RequestVote {
        last: Place,
    },
    Vote {
        granted: bool,
    },
    AppendEntries {
        prev: Place,
        entry: Option<Entry>,
        leader_commit: Index,
    },
    /// The log agrees with the leader's up to here.
    Appended {
        matches: Index,
    },
    /// The log has not what the leader has here.
    Refused {
        prev: Index,
    },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Message {
    Rpc {
        term: Term,
        from: Server,
        rpc: Rpc,
    },
    /// A client's; who is no leader drops it.
    Command(u32),
}

enum Role {
    Follower,
    Candidate {
        votes: BTreeSet<Server>,
    },
    Leader {
        next_index: Vec<Index>,
        match_index: Vec<Index>,
    },
}

const SERVERS: [&str; 3] = ["s1", "s2", "s3"];
const MAJORITY: usize = SERVERS.len() / 2 + 1;
const RAFT: &str = "raft";
const HEARTBEAT: Duration = millis(50);
/// The least; it is drawn from here to the double.
const ELECTION_TIMEOUT: Duration = millis(150);
const COMMANDS_EVERY: Duration = millis(60);
const HORIZON: Duration = secs(8);
const QUIET: Duration = secs(2);

const ELECTION_SAFETY: &str = "election safety: at most one leader can be elected in a given term";
const LEADER_COMPLETENESS: &str =
    "leader completeness: leaders have all entries committed in earlier terms";
const STATE_MACHINE_SAFETY: &str =
    "state machine safety: no two servers apply different entries at an index";

struct Raft<R> {
    ctx: Context<Message>,
    me: Server,
    state: Persistent,
    role: Role,
    commit_index: Index,
    /// When the election timeout of a follower or candidate is over, or a leader's next heartbeat is due.
    alarm: Time,
    /// What is sent when the state is on stable storage.
    outbox: Vec<(Server, Rpc)>,
    rules: PhantomData<R>,
}

impl<R: Rules> Raft<R> {
    fn others(&self) -> impl Iterator<Item = Server> + use<R> {
        let me = self.me;
        (0..SERVERS.len()).filter(move |server| *server != me)
    }

    fn await_leader(&mut self) {
        let timeout = ELECTION_TIMEOUT.as_nanos() as u64;
        self.alarm = self
            .ctx
            .now()
            .plus_nanos(timeout + self.ctx.random_below(timeout));
    }

    fn alarm(&mut self) {
        match &self.role {
            Role::Leader { .. } => self.replicate(),
            Role::Follower | Role::Candidate { .. } => self.stand_for_election(),
        }
    }

    // ---- section 5.2: elections

    fn stand_for_election(&mut self) {
        self.state.current_term += 1;
        self.state.voted_for = Some(self.me);
        let votes = BTreeSet::from([self.me]);
        self.role = Role::Candidate { votes };
        self.await_leader();
        let last = self.state.last();
        self.outbox.extend(
            self.others()
                .map(|server| (server, Rpc::RequestVote { last })),
        );
    }

    fn request_vote(&mut self, candidate: Server, last: Place) {
        let free = self
            .state
            .voted_for
            .is_none_or(|server| server == candidate);
        let granted = free && R::may_lead(last, self.state.last());
        if granted {
            self.state.voted_for = Some(candidate);
            self.await_leader();
        }
        self.outbox.push((candidate, Rpc::Vote { granted }));
    }

    fn vote(&mut self, voter: Server) {
        let Role::Candidate { votes } = &mut self.role else {
            return;
        };
        votes.insert(voter);
        if votes.len() >= MAJORITY {
            note_leader(&self.ctx, self.me, &self.state);
            self.role = Role::Leader {
                next_index: vec![self.state.log.len() + 1; SERVERS.len()],
                match_index: vec![0; SERVERS.len()],
            };
            self.replicate();
        }
    }

    // ---- section 5.3: log replication

    fn command(&mut self, command: u32) {
        if let Role::Leader { .. } = self.role {
            let term = self.state.current_term;
            self.state.log.push(Entry { term, command });
            self.replicate();
        }
    }

    fn replicate(&mut self) {
        self.alarm = self.ctx.now() + HEARTBEAT;
        for server in self.others() {
            self.replicate_to(server);
        }
    }

    fn replicate_to(&mut self, server: Server) {
        let Role::Leader { next_index, .. } = &self.role else {
            return;
        };
        let index = next_index[server] - 1;
        let prev = Place {
            term: self.state.term_at(index).unwrap_or(0),
            index,
        };
        let append = Rpc::AppendEntries {
            prev,
            entry: self.state.log.get(index).copied(),
            leader_commit: self.commit_index,
        };
        self.outbox.push((server, append));
    }

    fn append(&mut self, leader: Server, prev: Place, entry: Option<Entry>, leader_commit: Index) {
        self.role = Role::Follower;
        self.await_leader();
        if self.state.term_at(prev.index) != Some(prev.term) {
            self.outbox
                .push((leader, Rpc::Refused { prev: prev.index }));
            return;
        }
        if let Some(entry) = entry
            && self.state.log.get(prev.index) != Some(&entry)
        {
            self.state.log.truncate(prev.index);
            self.state.log.push(entry);
        }
        let matches = prev.index + usize::from(entry.is_some());
        self.outbox.push((leader, Rpc::Appended { matches }));
        self.commit(leader_commit.min(matches));
    }

    fn appended(&mut self, follower: Server, matches: Index) {
        let Role::Leader {
            next_index,
            match_index,
        } = &mut self.role
        else {
            return;
        };
        if matches > match_index[follower] {
            match_index[follower] = matches;
            next_index[follower] = matches + 1;
            let mut stored = match_index.clone();
            stored[self.me] = self.state.log.len();
            stored.sort_unstable_by(|a, b| b.cmp(a));
            // A majority has stored everything up to here.
            let index = stored[MAJORITY - 1];
            let term = self.state.term_at(index).unwrap_or(0);
            if R::is_committed_by_counting(term, self.state.current_term) {
                self.commit(index);
            }
            if matches < self.state.log.len() {
                self.replicate_to(follower);
            }
        }
    }

    fn refused(&mut self, follower: Server, prev: Index) {
        let Role::Leader {
            next_index,
            match_index,
        } = &mut self.role
        else {
            return;
        };
        if prev + 1 == next_index[follower] && prev > match_index[follower] {
            next_index[follower] = prev;
            self.replicate_to(follower);
        }
    }

    fn commit(&mut self, index: Index) {
        while self.commit_index < index {
            self.commit_index += 1;
            note_committed(&self.ctx, &self.state, self.commit_index);
        }
    }

    // ---- figure 2: rules for servers

    fn receive(&mut self, message: Message) {
        let (term, from, rpc) = match message {
            Message::Command(command) => return self.command(command),
            Message::Rpc { term, from, rpc } => (term, from, rpc),
        };
        if term > self.state.current_term {
            self.state.current_term = term;
            self.state.voted_for = None;
            if let Role::Leader { .. } = self.role {
                self.await_leader();
            }
            self.role = Role::Follower;
        }
        // What is of an earlier term is refused, and told the current one.
        let current = term == self.state.current_term;
        match rpc {
            Rpc::RequestVote { last } if current => self.request_vote(from, last),
            Rpc::RequestVote { .. } => self.outbox.push((from, Rpc::Vote { granted: false })),
            Rpc::AppendEntries {
                prev,
                entry,
                leader_commit,
            } if current => {
                self.append(from, prev, entry, leader_commit);
            }
            Rpc::AppendEntries { prev, .. } => {
                self.outbox.push((from, Rpc::Refused { prev: prev.index }));
            }
            Rpc::Vote { granted: true } if current => self.vote(from),
            Rpc::Appended { matches } if current => self.appended(from, matches),
            Rpc::Refused { prev } if current => self.refused(from, prev),
            Rpc::Vote { .. } | Rpc::Appended { .. } | Rpc::Refused { .. } => {}
        }
    }
}

async fn server<R: Rules>(ctx: Context<Message>, me: Server) -> Result<(), ExitReason> {
    ctx.register(RAFT).map_err(ExitReason::error)?;
    let servers = SERVERS.map(|name| Address::named(name, RAFT));
    let (mut disk, state) = Disk::<Persistent>::open().await;
    let mut stored = state.clone();
    let mut raft = Raft::<R> {
        ctx,
        me,
        state,
        role: Role::Follower,
        commit_index: 0,
        alarm: Time::ZERO,
        outbox: Vec::new(),
        rules: PhantomData,
    };
    raft.await_leader();
    loop {
        let left = raft.alarm.since(raft.ctx.now());
        match raft.ctx.receive_within(left).await {
            Some(Received::Message(message)) => raft.receive(message),
            Some(Received::Info(_)) => {}
            None => raft.alarm(),
        }
        let stable = R::stable(&raft.state);
        if stored != stable {
            disk.write(&stable).await;
            stored = stable;
        }
        let (term, from) = (raft.state.current_term, me);
        for (to, rpc) in raft.outbox.drain(..) {
            servers[to].send_datagram(Message::Rpc { term, from, rpc });
        }
    }
}

/// Sends each command to all servers, once.
async fn client(ctx: Context) {
    let servers = SERVERS.map(|name| Address::named(name, RAFT));
    for command in 1.. {
        ctx.sleep(COMMANDS_EVERY).await;
        for server in servers {
            server.send_datagram(Message::Command(command));
        }
    }
}

/// What observers have seen: the leader of each term; the entry that was committed first at each index,
/// and in which term.
#[derive(Default)]
struct Seen {
    leaders: BTreeMap<Term, Server>,
    committed: Vec<(Entry, Term)>,
}

fn note_leader(ctx: &Context<Message>, leader: Server, state: &Persistent) {
    let (term, mut other, mut lacks) = (state.current_term, None, None);
    ctx.observe("raft", |seen: &mut Seen| {
        other = seen.leaders.insert(term, leader);
        let earlier = |(_, (_, of)): &(usize, &(Entry, Term))| *of < term;
        let mut committed = seen.committed.iter().enumerate().filter(earlier);
        lacks = committed
            .find(|(at, (entry, _))| state.log.get(*at) != Some(entry))
            .map(|(at, _)| at + 1);
    });
    let name = SERVERS[leader];
    if let Some(other) = other {
        let other = SERVERS[other];
        complain(
            ctx,
            ELECTION_SAFETY,
            format!("{other} and {name} lead term {term}"),
        );
    }
    if let Some(index) = lacks {
        let how = format!("{name} leads term {term} without the committed entry {index}");
        complain(ctx, LEADER_COMPLETENESS, how);
    }
}

fn note_committed(ctx: &Context<Message>, state: &Persistent, index: Index) {
    let Some(entry) = state.log.get(index - 1) else {
        return;
    };
    let mut first = *entry;
    ctx.observe("raft", |seen: &mut Seen| {
        match seen.committed.get(index - 1) {
            Some((committed, _)) => first = *committed,
            None => seen.committed.push((*entry, state.current_term)),
        }
    });
    if first != *entry {
        let how = format!("at index {index} {entry:?} is applied, where {first:?} was before");
        complain(ctx, STATE_MACHINE_SAFETY, how);
    }
}

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
                .lose(0.1)
                .duplicate(0.02)
                .reorder(0.05, millis(100))
                .crash(secs(1), millis(100)),
        )
        .always(ELECTION_SAFETY, |view| no_complaint(view, ELECTION_SAFETY))
        .always(STATE_MACHINE_SAFETY, |view| {
            no_complaint(view, STATE_MACHINE_SAFETY)
        })
        .finally("a command of the quiet end is committed", |view| {
            let quiet = (HORIZON - QUIET).as_nanos() / COMMANDS_EVERY.as_nanos();
            let seen = view.observed::<Seen>("raft");
            let last = seen.and_then(|seen| seen.committed.last());
            last.is_some_and(|(entry, _)| u128::from(entry.command) > quiet)
        })
        .horizon(HORIZON)
        .quiet(QUIET)
}

fn leads_complete(view: &View) -> Result<(), String> {
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
            "Raft without the check of the log in RequestVote: a leader may lack committed entries",
        )
        .always(LEADER_COMPLETENESS, leads_complete)
        .broken(LEADER_COMPLETENESS)
}

/// The form of figure 8.
pub(crate) fn figure_8() -> Scenario {
    scenario::<MajorityCommits>("protocols/raft_figure_8")
        .summary(
            "Raft whose leader commits entries of earlier terms by counting replicas: figure 8",
        )
        .broken(STATE_MACHINE_SAFETY)
}

/// The sound form.
pub(crate) fn sound() -> Scenario {
    scenario::<Paper>("protocols/raft_sound")
        .summary("Raft by its paper, under crashes, loss and reordering")
        .always(LEADER_COMPLETENESS, leads_complete)
}
