//! Mailboxes: typed queues of messages and of what the system tells a process.

use super::exit::ExitReason;
use super::letters::DeadLetter;
use super::message::Message;
use crate::trace::{MessageId, NodeId, Pid, Reason};
use std::any::Any;
use std::collections::VecDeque;

/// Which monitor fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MonitorRef {
    pub(crate) number: u32,
    pub(crate) of: Pid,
}

impl MonitorRef {
    /// The process that is monitored.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.of
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
        /// Whose end it is.
        pid: Pid,
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
}

impl Info {
    /// The reason that it tells, of an exit or a down; `normal` for what tells none.
    pub(crate) fn into_reason(self) -> ExitReason {
        match self {
            Info::Exit { reason, .. } | Info::Down { reason, .. } => reason,
            Info::NodeUp(_)
            | Info::NodeDown(_)
            | Info::Overloaded { .. }
            | Info::Relieved { .. }
            | Info::DeadLetter(_)
            | Info::Timeout => ExitReason::Normal,
        }
    }
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
    Info(Box<Info>),
}

/// What a process is told of the end of one that it monitors.
pub(crate) fn down(monitor: MonitorRef, reason: ExitReason) -> Info {
    Info::Down {
        monitor,
        pid: monitor.of,
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
    fn push_info(&mut self, info: Info);
    /// Calls `each` with the id of every message.
    fn ids(&self, each: &mut dyn FnMut(MessageId));
    /// Removes what says that this monitor fired.
    fn flush_down(&mut self, monitor: MonitorRef) -> Option<Info>;
}

impl<M: Message> AnyMailbox for Mailbox<M> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn push_info(&mut self, info: Info) {
        let plain = match &info {
            Info::Down {
                monitor, reason, ..
            } if reason.detail().is_none() => Some(Content::Down(*monitor, reason.code())),
            _ => None,
        };
        self.0
            .push_back(plain.unwrap_or_else(|| Content::Info(Box::new(info))));
    }

    fn ids(&self, each: &mut dyn FnMut(MessageId)) {
        for content in &self.0 {
            if let Content::Message(id, _) = content {
                each(*id);
            }
        }
    }

    fn flush_down(&mut self, monitor: MonitorRef) -> Option<Info> {
        let is_it = |content: &Content<M>| match content {
            Content::Down(fired, _) => *fired == monitor,
            Content::Info(info) => {
                matches!(**info, Info::Down { monitor: fired, .. } if fired == monitor)
            }
            Content::Message(..) => false,
        };
        let index = self.0.iter().position(is_it)?;
        match self.0.remove(index)? {
            Content::Down(monitor, code) => Some(down(monitor, ExitReason::plain(code))),
            Content::Info(info) => Some(*info),
            Content::Message(..) => None,
        }
    }
}

impl dyn AnyMailbox {
    #[inline]
    pub(crate) fn of<M: Message>(&mut self) -> Option<&mut Mailbox<M>> {
        (self as &mut dyn Any).downcast_mut()
    }
}
