//! Targets: all that may stand where a pid may.

use super::address::Address;
use super::message::Message;
use super::system::{current, try_with, with};
use crate::trace::{Name, NodeId, Pid};
use serde::{Deserialize, Serialize};

/// Where a message or a signal goes, whatever its type: all that may stand where a pid may.
///
/// A [`Pid`] and an [`Address`] turn into it, and so do names: `"ledger"` is whoever holds that name on
/// the node of the process that runs, `("b", "ledger")` and `(node, "ledger")` whoever holds it on another.
/// As [`Address::named`], these panic outside a process, and where the cluster has no such node.
///
/// ```
/// # use netsplit::{Context, ExitReason, Info, Scenario};
/// # let scenario = Scenario::new("ledger").client("a", |ctx: Context| async move {
/// let monitors = [ctx.monitor("ledger"), ctx.monitor((ctx.node(), "ledger"))];
/// for monitor in monitors {
///     // Nobody holds the name. Where it was held when the monitor was set, its holder is monitored.
///     let Info::Down { of, reason, .. } = ctx.receive_info(|_| true).await else {
///         unreachable!("nothing else comes")
///     };
///     assert_eq!((of, reason), (monitor.of(), ExitReason::NoProc));
/// }
/// # }).finally("ended", |_| true);
/// # assert!(scenario.run(7).unwrap().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    /// To this process.
    Pid(Pid),
    /// To whoever holds this name on that node when the message comes.
    Name(NodeId, Name),
    /// To a call of this process that waits for an answer.
    Alias(Pid, u32),
}

impl Target {
    /// The node that it lies on.
    #[must_use]
    pub const fn node(self) -> NodeId {
        match self {
            Target::Pid(pid) | Target::Alias(pid, _) => pid.node(),
            Target::Name(node, _) => node,
        }
    }

    /// The pid, where it is a process and no name.
    #[must_use]
    pub const fn pid(self) -> Option<Pid> {
        match self {
            Target::Pid(pid) => Some(pid),
            _ => None,
        }
    }

    /// Whoever holds `name` on `node`.
    pub(super) fn named(node: &str, name: &str) -> Target {
        let id = with(|system| system.node_named(node));
        let Some(id) = id else {
            panic!("the cluster has no node named `{node}`")
        };
        Target::at(id, name)
    }

    /// Whoever holds `name` on the node with this id.
    pub(super) fn at(node: NodeId, name: &str) -> Target {
        let hash = Name::new(name);
        try_with(|system| system.kernel.trace.name(hash, name));
        Target::Name(node, hash)
    }

    /// The pid in it; nobody's for a name.
    pub(super) const fn pid_or_nobody(self) -> Pid {
        match self {
            Target::Pid(pid) | Target::Alias(pid, _) => pid,
            Target::Name(..) => Pid::NOBODY,
        }
    }

    /// One number of it, for events.
    pub(crate) const fn as_u64(self) -> u64 {
        match self {
            Target::Pid(pid) | Target::Alias(pid, _) => pid.as_u64(),
            Target::Name(_, name) => name.as_u64(),
        }
    }
}

impl From<Pid> for Target {
    fn from(pid: Pid) -> Target {
        Target::Pid(pid)
    }
}

impl<M: Message> From<Address<M>> for Target {
    fn from(address: Address<M>) -> Target {
        address.target()
    }
}

impl From<&str> for Target {
    fn from(name: &str) -> Target {
        Target::at(current().pid.node(), name)
    }
}

impl From<(NodeId, &str)> for Target {
    fn from((node, name): (NodeId, &str)) -> Target {
        Target::at(node, name)
    }
}

impl From<(&str, &str)> for Target {
    fn from((node, name): (&str, &str)) -> Target {
        Target::named(node, name)
    }
}
