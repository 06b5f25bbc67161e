//! A server, in the words and the order of figure 2. Handlers change the state and fill an outbox; the
//! state is put on stable storage before anything of it is sent.

use super::super::disks::Disk;
use super::Rules;
use super::properties::{note_applied, note_leader};
use netsplit::{Address, Context, ExitReason, PacketKind, Received, Time, millis};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

pub(super) type Term = u32;
/// Of an entry in the log; the first has 1.
pub(super) type Index = usize;
/// Of a server in [`SERVERS`].
pub(super) type Server = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) term: Term,
    pub(super) command: u32,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command {} of term {}", self.command, self.term)
    }
}

/// Where an entry stands, and of which term it is. Greater is more up-to-date: the later term, and in one
/// term the longer log (section 5.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place {
    term: Term,
    index: Index,
}

/// "Persistent state on all servers".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Persistent {
    pub(super) current_term: Term,
    pub(super) voted_for: Option<Server>,
    pub(super) log: Vec<Entry>,
}

impl Persistent {
    pub(super) fn entry(&self, index: Index) -> Option<&Entry> {
        self.log.get(index.checked_sub(1)?)
    }

    /// The place of the entry at `index`, where there is one; before the first is the place 0 of term 0.
    fn place(&self, index: Index) -> Option<Place> {
        let term = self.entry(index).map(|entry| entry.term);
        let term = if index == 0 { Some(0) } else { term };
        term.map(|term| Place { term, index })
    }

    fn last(&self) -> Place {
        self.place(self.log.len()).unwrap_or_default()
    }
}

/// Requests and answers; the envelope has the sender's term.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Rpc {
    /// From a candidate, whose log ends here.
    RequestVote(Place),
    VoteGranted,
    /// What precedes the entry; an entry, or none in a heartbeat; how far the leader has committed.
    AppendEntries(Place, Option<Entry>, Index),
    /// The log is the leader's up to here.
    Appended(Index),
    /// The log has no such entry here.
    NotAppended(Index),
    /// The request was of an earlier term.
    Outdated,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Message {
    Rpc(Term, Server, Rpc),
    /// A client's. Who is no leader drops it.
    Command(u32),
}

enum Role {
    Follower,
    /// The votes that it has.
    Candidate(BTreeSet<Server>),
    Leader(Progress),
}

/// "Volatile state on leaders".
struct Progress {
    next_index: Vec<Index>,
    match_index: Vec<Index>,
}

pub(super) const SERVERS: [&str; 3] = ["s1", "s2", "s3"];
const MAJORITY: usize = SERVERS.len() / 2 + 1;
const HEARTBEAT: Duration = millis(100);
/// At least; at most it is the double (section 9.3: 150 to 300 ms).
const ELECTION_TIMEOUT: Duration = millis(150);

struct Raft<R> {
    ctx: Context<Message>,
    me: Server,
    state: Persistent,
    role: Role,
    commit_index: Index,
    /// When a leader's next heartbeat is due, or the election timeout of the others is over.
    alarm: Time,
    outbox: Vec<(Server, Rpc)>,
    rules: PhantomData<R>,
}

impl<R: Rules> Raft<R> {
    fn receive(&mut self, message: Message) {
        let (term, from, rpc) = match message {
            Message::Command(command) => return self.command(command),
            Message::Rpc(term, from, rpc) => (term, from, rpc),
        };
        if term > self.state.current_term {
            self.state.current_term = term;
            self.state.voted_for = None;
            self.follow();
        }
        match rpc {
            Rpc::RequestVote(_) | Rpc::AppendEntries(..) if term < self.state.current_term => {
                self.outbox.push((from, Rpc::Outdated));
            }
            _ if term < self.state.current_term => {}
            Rpc::RequestVote(last) => self.request_vote(from, last),
            Rpc::VoteGranted => self.vote_granted(from),
            Rpc::AppendEntries(prev, entry, commit) => {
                self.append_entries(from, prev, entry, commit);
            }
            Rpc::Appended(index) => self.appended(from, index),
            Rpc::NotAppended(index) => self.not_appended(from, index),
            Rpc::Outdated => {}
        }
    }

    fn alarm(&mut self) {
        match self.role {
            Role::Leader(_) => self.replicate(),
            Role::Follower | Role::Candidate(_) => self.stand_for_election(),
        }
    }

    fn others(&self) -> impl Iterator<Item = Server> + use<R> {
        let me = self.me;
        (0..SERVERS.len()).filter(move |server| *server != me)
    }

    // ---- section 5.2: leader election

    fn follow(&mut self) {
        if let Role::Leader(_) = self.role {
            self.reset_election_timeout();
        }
        self.role = Role::Follower;
    }

    fn reset_election_timeout(&mut self) {
        let least = ELECTION_TIMEOUT.as_nanos() as u64;
        let timeout = least + self.ctx.random_below(least);
        self.alarm = self.ctx.now().plus_nanos(timeout);
    }

    fn stand_for_election(&mut self) {
        self.state.current_term += 1;
        self.state.voted_for = Some(self.me);
        self.role = Role::Candidate(BTreeSet::from([self.me]));
        self.reset_election_timeout();
        let request = Rpc::RequestVote(self.state.last());
        self.outbox
            .extend(self.others().map(|server| (server, request)));
    }

    fn request_vote(&mut self, candidate: Server, last: Place) {
        let vote = self.state.voted_for;
        if vote.is_none_or(|server| server == candidate) && R::may_lead(last, self.state.last()) {
            self.state.voted_for = Some(candidate);
            self.reset_election_timeout();
            self.outbox.push((candidate, Rpc::VoteGranted));
        }
    }

    fn vote_granted(&mut self, voter: Server) {
        let Role::Candidate(votes) = &mut self.role else {
            return;
        };
        votes.insert(voter);
        if votes.len() >= MAJORITY {
            note_leader(&self.ctx, self.me, &self.state);
            self.role = Role::Leader(Progress {
                next_index: vec![self.state.log.len() + 1; SERVERS.len()],
                match_index: vec![0; SERVERS.len()],
            });
            self.replicate();
        }
    }

    // ---- section 5.3: log replication

    fn command(&mut self, command: u32) {
        if let Role::Leader(_) = self.role {
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
        let Role::Leader(Progress { next_index, .. }) = &self.role else {
            return;
        };
        let next = next_index[server];
        let prev = self.state.place(next - 1).unwrap_or_default();
        let entry = self.state.entry(next).copied();
        let append = Rpc::AppendEntries(prev, entry, self.commit_index);
        self.outbox.push((server, append));
    }

    fn append_entries(
        &mut self,
        leader: Server,
        prev: Place,
        entry: Option<Entry>,
        leader_commit: Index,
    ) {
        self.follow();
        self.reset_election_timeout();
        if self.state.place(prev.index) != Some(prev) {
            let answer = Rpc::NotAppended(prev.index);
            return self.outbox.push((leader, answer));
        }
        let mut last_new = prev.index;
        if let Some(entry) = entry {
            last_new += 1;
            if self.state.entry(last_new) != Some(&entry) {
                self.state.log.truncate(prev.index);
                self.state.log.push(entry);
            }
        }
        self.outbox.push((leader, Rpc::Appended(last_new)));
        self.commit(leader_commit.min(last_new));
    }

    fn appended(&mut self, follower: Server, index: Index) {
        let Role::Leader(progress) = &mut self.role else {
            return;
        };
        if index <= progress.match_index[follower] {
            return;
        }
        progress.match_index[follower] = index;
        progress.next_index[follower] = index + 1;
        self.count_replicas();
        if index < self.state.log.len() {
            self.replicate_to(follower);
        }
    }

    fn not_appended(&mut self, follower: Server, index: Index) {
        let Role::Leader(progress) = &mut self.role else {
            return;
        };
        // Answers may come twice and late: only one to the newest request counts.
        if progress.match_index[follower] < index && index + 1 == progress.next_index[follower] {
            progress.next_index[follower] = index;
            self.replicate_to(follower);
        }
    }

    // ---- sections 5.3 and 5.4.2: commitment

    fn count_replicas(&mut self) {
        let Role::Leader(progress) = &self.role else {
            return;
        };
        let mut stored = progress.match_index.clone();
        stored[self.me] = self.state.log.len();
        stored.sort_unstable();
        // So many servers have stored everything up to here: a majority.
        let index = stored[SERVERS.len() - MAJORITY];
        let place = self.state.place(index).unwrap_or_default();
        if R::commits_by_counting(place.term, self.state.current_term) {
            self.commit(index);
        }
    }

    fn commit(&mut self, index: Index) {
        while self.commit_index < index {
            self.commit_index += 1;
            note_applied(&self.ctx, &self.state, self.commit_index);
        }
    }
}

/// The process of a server.
pub(super) async fn server<R: Rules>(ctx: Context<Message>, me: Server) -> Result<(), ExitReason> {
    ctx.register("raft").map_err(ExitReason::error)?;
    let servers = servers();
    let (mut disk, mut stored) = Disk::<Persistent>::open().await;
    let mut raft = Raft::<R> {
        ctx,
        me,
        state: stored.clone(),
        role: Role::Follower,
        commit_index: 0,
        alarm: Time::ZERO,
        outbox: Vec::new(),
        rules: PhantomData,
    };
    raft.reset_election_timeout();
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
        for (to, rpc) in raft.outbox.drain(..) {
            servers[to].send_datagram_as(
                PacketKind::Control,
                Message::Rpc(raft.state.current_term, me, rpc),
            );
        }
    }
}

/// Where the servers are.
pub(super) fn servers() -> Vec<Address<Message>> {
    let address = |name: &&str| Address::named(name, "raft");
    SERVERS.iter().map(address).collect()
}
