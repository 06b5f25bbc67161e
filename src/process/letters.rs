//! Dead letters, and those who watch them: a send to nobody is data, not silence.

use super::context::Context;
use super::mailbox::Info;
use super::message::Message;
use super::node::NodeState;
use super::system::{Process, System, act, wants};
use super::target::Target;
use crate::kernel::Kernel;
use crate::trace::{DeadReason, MessageId, NodeId};
use serde::{Deserialize, Serialize};

/// How much may wait in the mailbox of a process that is still told of dead letters.
const UNREAD_MOST: u32 = 1_000;

/// A message that found no receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Which message: who sent it, and the how-manieth of that process it was.
    pub id: MessageId,
    /// Where it was sent to.
    pub to: Target,
    /// Why it found nobody.
    pub why: DeadReason,
    /// How many dead letters this watcher was not told of since the one before, because it had more than
    /// 1,000 things in its mailbox.
    pub missed: u64,
}

impl<M: Message> Context<M> {
    /// Hears of every dead letter of this node from now on, as [`Info::DeadLetter`]; or no more.
    ///
    /// A dead letter is of the node on which the message found nobody: mostly its receiver's; its sender's
    /// where no connection could be set up. What watchers themselves have sent is told to none of them:
    /// so whoever reports dead letters to somebody who is gone does not hear of that for ever.
    ///
    /// ```
    /// use netsplit::{Address, Context, Info, Pid, Scenario};
    ///
    /// let scenario = Scenario::new("undertaker")
    ///     .client("home", |ctx: Context| async move {
    ///         ctx.watch_dead_letters(true);
    ///         ctx.spawn(|_: Context| async { Address::<u64>::named("home", "nobody").send(7) });
    ///         let Info::DeadLetter(letter) = ctx.receive_info(|_| true).await else {
    ///             panic!("something else came");
    ///         };
    ///         assert_eq!(letter.why.to_string(), "nobody has that name");
    ///     })
    ///     .finally("one dead letter", |view| view.books().dead == 1);
    /// assert!(scenario.run(7).unwrap().is_ok());
    /// ```
    pub fn watch_dead_letters(&self, listen: bool) {
        let _ = act(|system, current| {
            let node = &mut system.nodes[current.pid.node().index()];
            let mut watchers = std::mem::take(&mut node.letter_watchers);
            watchers.retain(|(pid, _)| *pid != current.pid && node.find(*pid).is_ok());
            watchers.extend(listen.then_some((current.pid, 0)));
            node.letter_watchers = watchers;
        });
    }
}

impl System {
    /// A message that found no receiver, at `node`.
    #[cold]
    pub(crate) fn dead_letter(&mut self, node: NodeId, id: MessageId, to: Target, why: DeadReason) {
        bury_letter(&mut self.kernel, &mut self.nodes, node, (id, to, why));
    }
}

/// Notes a dead letter at `node`, enters it in the books, and tells who watches.
#[cold]
pub(crate) fn bury_letter(
    kernel: &mut Kernel<Process>,
    nodes: &mut [NodeState],
    node: NodeId,
    (id, to, why): (MessageId, Target, DeadReason),
) {
    kernel.trace.dead_letter(node, id, to.as_u64(), why);
    let state = &mut nodes[node.index()];
    let mut watchers = std::mem::take(&mut state.letter_watchers);
    if watchers.iter().all(|(watcher, _)| *watcher != id.from) {
        for (watcher, missed) in &mut watchers {
            let Ok(slot) = state.find(*watcher) else {
                continue;
            };
            let Some(mut live) = kernel.live(slot) else {
                continue;
            };
            let process = &mut live.task.data;
            if process.mail > UNREAD_MOST {
                *missed += 1;
                continue;
            }
            let missed = std::mem::take(missed);
            let letter = Info::DeadLetter(DeadLetter {
                id,
                to,
                why,
                missed,
            });
            process.put_in(|mailbox| mailbox.push_info(letter));
            if process.came(wants::MAIL) {
                live.wake();
            }
        }
    }
    state.letter_watchers = watchers;
}
