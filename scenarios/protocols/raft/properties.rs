//! Figure 3: what Raft guarantees, judged from what servers note on the board.

use super::super::complain;
use super::server::{Entry, Index, Message, Persistent, SERVERS, Server, Term};
use netsplit::{Context, View};
use std::collections::BTreeMap;

pub(super) const ELECTION_SAFETY: &str = "election safety: a term has one leader at most";
pub(super) const LEADER_COMPLETENESS: &str =
    "leader completeness: a leader has all entries that were committed in earlier terms";
pub(super) const STATE_MACHINE_SAFETY: &str =
    "state machine safety: no two servers apply different entries at one index";

/// The leader of each term, with its log when it was elected; the entry that was first committed at each
/// index, and in which term.
#[derive(Default)]
struct Seen {
    leaders: BTreeMap<Term, (Server, Vec<Entry>)>,
    committed: Vec<(Entry, Term)>,
}

const SEEN: &str = "raft";

/// The last entry that is known to be committed.
pub(super) fn last_committed(view: &View) -> Option<Entry> {
    let seen = view.observed::<Seen>(SEEN)?;
    seen.committed.last().map(|(entry, _)| *entry)
}

/// A server is the leader of its current term now.
pub(super) fn note_leader(ctx: &Context<Message>, leader: Server, state: &Persistent) {
    let (term, mut other, mut lacking) = (state.current_term, None, None);
    ctx.observe(SEEN, |seen: &mut Seen| {
        other = seen.leaders.insert(term, (leader, state.log.clone()));
        let earlier = seen.committed.iter().zip(1..);
        let mut earlier = earlier.filter(|((_, committed), _)| *committed < term);
        let lacks = earlier.find(|((entry, _), index)| state.entry(*index) != Some(entry));
        lacking = lacks.map(|(_, index)| index);
    });
    if let Some((other, _)) = other {
        let (other, one) = (SERVERS[other], SERVERS[leader]);
        complain(
            ctx,
            ELECTION_SAFETY,
            format!("{other} and {one} lead term {term}"),
        );
    }
    if let Some(index) = lacking {
        complain_of_leader(ctx, leader, term, index);
    }
}

/// A server applies this entry of its log now.
pub(super) fn note_applied(ctx: &Context<Message>, state: &Persistent, index: Index) {
    let Some(entry) = state.entry(index) else {
        return;
    };
    let (mut first, mut lacking) = (*entry, None);
    ctx.observe(SEEN, |seen: &mut Seen| {
        if let Some((committed, _)) = seen.committed.get(index - 1) {
            first = *committed;
            return;
        }
        seen.committed.push((*entry, state.current_term));
        let mut later = seen.leaders.range(state.current_term + 1..);
        let lacks = later.find(|(_, (_, log))| log.get(index - 1) != Some(entry));
        lacking = lacks.map(|(term, (leader, _))| (*leader, *term));
    });
    if first != *entry {
        let who = ctx.node();
        let how = format!("at {index} {who} applies {entry}, where {first} was applied before");
        complain(ctx, STATE_MACHINE_SAFETY, how);
    }
    if let Some((leader, term)) = lacking {
        complain_of_leader(ctx, leader, term, index);
    }
}

fn complain_of_leader(ctx: &Context<Message>, leader: Server, term: Term, index: Index) {
    let leader = SERVERS[leader];
    let how = format!("{leader} leads term {term} without the committed entry {index}");
    complain(ctx, LEADER_COMPLETENESS, how);
}
