//! Small protocols out of the literature: each as its paper has it, and as people get it wrong.
//!
//! A module holds one protocol. Where the two forms differ, a function or a trait stands for the decision
//! that its designers had to take; everything else is common to both.

pub(crate) mod call;
pub(crate) mod commit;
mod disks;
pub(crate) mod paxos;
pub(crate) mod queue;
pub(crate) mod raft;

use netsplit::{Context, Message, Received, View};
use std::time::Duration;

/// The first message that is `wanted`, if it comes within `timeout`; others that come before it are dropped.
async fn receive_wanted<M: Message>(
    ctx: &Context<M>,
    timeout: Duration,
    wanted: impl Fn(&M) -> bool,
) -> Option<M> {
    let deadline = ctx.now() + timeout;
    while let Some(received) = ctx.receive_within(deadline.since(ctx.now())).await {
        match received {
            Received::Message(message) if wanted(&message) => return Some(message),
            _ => {}
        }
    }
    None
}

/// Notes on the board that `what` was broken, and how.
fn complain<M: Message>(ctx: &Context<M>, what: &str, how: String) {
    ctx.observe(what, |complaints: &mut Vec<String>| complaints.push(how));
}

/// Holds as long as nobody has complained of `what`.
fn no_complaint(view: &View, what: &str) -> Result<(), String> {
    match view.observed::<Vec<String>>(what) {
        Some(complaints) => Err(complaints.join("; ")),
        None => Ok(()),
    }
}
