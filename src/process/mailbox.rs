//! Mailboxes: typed queues of messages and of what the system tells a process.

use super::exit::ExitReason;
use super::letters::DeadLetter;
use super::message::Message;
use super::sys::Request;
use super::target::Target;
use crate::trace::{MessageId, Name, NodeId, Pid, Reason};
use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::ops::RangeInclusive;

/// Which monitor it is: the how-manieth of its process, and of whom.
///
/// Two words, so that sets of them are quick.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MonitorRef {
    /// Its number in the upper half, so that it is found in an ordered set by that alone; in the lower half
    /// the node of a name and one, or 0 for a pid.
    tag: u64,
    /// The pid, or the name.
    what: u64,
}

impl MonitorRef {
    #[inline]
    pub(crate) const fn new(number: u32, of: Target) -> MonitorRef {
        let node = match of {
            Target::Name(node, _) => node.index() as u64 + 1,
            Target::Pid(_) | Target::Alias(..) => 0,
        };
        MonitorRef {
            tag: (number as u64) << 32 | node,
            what: of.as_u64(),
        }
    }

    /// The how-manieth of its process it is.
    pub(crate) const fn number(self) -> u32 {
        (self.tag >> 32) as u32
    }

    /// What is monitored: a process, or whoever held a name when the monitor came to its node.
    #[must_use]
    pub const fn of(self) -> Target {
        match self.tag as u32 {
            0 => Target::Pid(Pid::from_u64(self.what)),
            node => Target::Name(NodeId((node - 1) as u16), Name::of(self.what)),
        }
    }

    /// All that a monitor of this number can be.
    pub(crate) fn numbered(number: u32) -> RangeInclusive<MonitorRef> {
        let least = u64::from(number) << 32;
        let end = |tag, what| MonitorRef { tag, what };
        end(least, 0)..=end(least | u64::from(u32::MAX), u64::MAX)
    }
}

impl fmt::Debug for MonitorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MonitorRef({} of {:?})", self.number(), self.of())
    }
}

/// What the system tells a process, in its mailbox, in order with its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Info {
    /// An exit signal came, and exits are trapped.
    Exit {
        /// Whose.
        from: Pid,
        /// Its reason.
        reason: ExitReason,
    },
    /// A monitored process has ended.
    Down {
        /// Which monitor.
        monitor: MonitorRef,
        /// What was monitored: a pid, or a name on a node.
        of: Target,
        /// Its reason.
        reason: ExitReason,
    },
    /// A connection to this node came up.
    NodeUp(NodeId),
    /// The connection to this node was lost.
    NodeDown(NodeId),
    /// A mailbox of this node has reached its high watermark.
    Overloaded {
        /// Whose.
        pid: Pid,
        /// How many messages are in it.
        len: usize,
    },
    /// A mailbox that was overloaded is down to its low watermark.
    Relieved {
        /// Whose.
        pid: Pid,
        /// How many messages are in it.
        len: usize,
    },
    /// A message found no receiver.
    DeadLetter(DeadLetter),
    /// The time that a server gave for the next message is over.
    Timeout,
    /// Something that no protocol knows: a fault has flooded the mailbox with it.
    Noise,
    /// To one that [keeps mail](crate::Context::keeps_mail): send again what is not acked. A fault asks for
    /// it.
    Redeliver,
}

/// What a process takes out of its mailbox.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<M> {
    /// A message.
    Message(M),
    /// Something that the system tells.
    Info(Info),
}

impl<M> Received<M> {
    /// The message, where it is one.
    #[must_use]
    pub fn message(self) -> Option<M> {
        match self {
            Received::Message(message) => Some(message),
            Received::Info(_) => None,
        }
    }
}

pub(crate) enum Content<M> {
    Message(MessageId, M),
    /// An [`Info::Down`] whose reason is no more than its code: most are, and need no memory of their own.
    Down(MonitorRef, Reason),
    /// An [`Info::Exit`] whose reason is no more than its code, likewise.
    Exit(Pid, Reason),
    Info(Box<Info>),
    /// A timer of a state machine has fired: its number there.
    Timer(u32),
    /// A system message: of every type of mailbox.
    System(Box<(MessageId, Request)>),
}

impl<M> Content<M> {
    /// Of a message, its id.
    #[inline(always)]
    pub(crate) fn id(&self) -> Option<MessageId> {
        match self {
            Content::Message(id, _) => Some(*id),
            Content::System(system) => Some(system.0),
            Content::Down(..) | Content::Exit(..) | Content::Info(_) | Content::Timer(_) => None,
        }
    }

    /// Of what says that a monitor has fired, which.
    pub(crate) fn fired(&self) -> Option<MonitorRef> {
        match self {
            Content::Down(monitor, _) => Some(*monitor),
            Content::Info(info) => match **info {
                Info::Down { monitor, .. } => Some(monitor),
                _ => None,
            },
            _ => None,
        }
    }

    /// Of an exit signal that was trapped, whose.
    pub(crate) fn exit_of(&self) -> Option<Pid> {
        match self {
            Content::Exit(from, _) => Some(*from),
            Content::Info(info) => match **info {
                Info::Exit { from, .. } => Some(from),
                _ => None,
            },
            _ => None,
        }
    }
}

/// What the system tells, as it lies in a mailbox.
impl<M> From<Info> for Content<M> {
    fn from(info: Info) -> Content<M> {
        match &info {
            Info::Down {
                monitor, reason, ..
            } if reason.is_plain() => Content::Down(*monitor, reason.code()),
            Info::Exit { from, reason } if reason.is_plain() => Content::Exit(*from, reason.code()),
            _ => Content::Info(Box::new(info)),
        }
    }
}

impl<M> From<Content<M>> for Received<M> {
    #[inline(always)]
    fn from(content: Content<M>) -> Received<M> {
        match content {
            Content::Message(_, message) => Received::Message(message),
            Content::Down(monitor, code) => Received::Info(down(monitor, ExitReason::plain(code))),
            Content::Exit(from, code) => Received::Info(Info::Exit {
                from,
                reason: ExitReason::plain(code),
            }),
            Content::Info(info) => Received::Info(*info),
            // A handler receives by itself what was meant for its machine.
            Content::Timer(_) => Received::Info(Info::Timeout),
            Content::System(_) => unreachable!("who receives takes system messages out before"),
        }
    }
}

/// What a process is told of the end of one that it monitors.
pub(crate) fn down(monitor: MonitorRef, reason: ExitReason) -> Info {
    Info::Down {
        monitor,
        of: monitor.of(),
        reason,
    }
}

pub(crate) struct Mailbox<M>(pub(crate) VecDeque<Content<M>>);

impl<M> Mailbox<M> {
    pub(crate) fn new() -> Mailbox<M> {
        Mailbox(VecDeque::new())
    }
}

/// A mailbox of any message type.
pub(crate) trait AnyMailbox: Any {
    fn len(&self) -> usize;
    /// How much it holds without more memory.
    fn capacity(&self) -> usize;
    fn push_info(&mut self, info: Info);
    fn push_timer(&mut self, number: u32);
    fn push_system(&mut self, system: Box<(MessageId, Request)>);
    /// Calls `each` with the id of every message.
    fn ids(&self, each: &mut dyn FnMut(MessageId));
    /// Removes what says that this monitor fired.
    fn flush_down(&mut self, monitor: MonitorRef) -> Option<Info>;
}

impl<M: Message> AnyMailbox for Mailbox<M> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }

    fn push_info(&mut self, info: Info) {
        self.0.push_back(info.into());
    }

    fn push_timer(&mut self, number: u32) {
        self.0.push_back(Content::Timer(number));
    }

    fn push_system(&mut self, system: Box<(MessageId, Request)>) {
        self.0.push_back(Content::System(system));
    }

    fn ids(&self, each: &mut dyn FnMut(MessageId)) {
        self.0.iter().filter_map(Content::id).for_each(each);
    }

    fn flush_down(&mut self, monitor: MonitorRef) -> Option<Info> {
        let is_it = |content: &Content<M>| content.fired() == Some(monitor);
        let index = self.0.iter().position(is_it)?;
        match self.0.remove(index)?.into() {
            Received::Info(info) => Some(info),
            Received::Message(_) => None,
        }
    }
}

impl dyn AnyMailbox {
    #[inline]
    pub(crate) fn of<M: Message>(&mut self) -> Option<&mut Mailbox<M>> {
        (self as &mut dyn Any).downcast_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitor_tells_what_it_is_of_and_lies_among_those_of_its_number() {
        let names = [0, 7, u16::MAX].map(|node| Target::Name(NodeId(node), Name::new("till")));
        let pids = [Pid::NOBODY, Pid::new(NodeId(3), 1, 2, 4)].map(Target::Pid);
        for of in names.into_iter().chain(pids) {
            let monitor = MonitorRef::new(7, of);
            assert_eq!((monitor.number(), monitor.of()), (7, of));
            assert!(MonitorRef::numbered(7).contains(&monitor));
            assert!(!MonitorRef::numbered(6).contains(&monitor));
            assert!(!MonitorRef::numbered(8).contains(&monitor));
        }
    }
}
