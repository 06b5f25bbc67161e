//! Mailboxes: typed queues of messages and of what the system tells a process.

use super::exit::ExitReason;
use super::message::Message;
use crate::trace::{MessageId, NodeId, Pid};
use std::any::Any;
use std::collections::VecDeque;

/// Which monitor fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MonitorRef {
    pub(crate) of: Pid,
    pub(crate) number: u32,
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
    /// The time that a server gave for the next message is over.
    Timeout,
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
    Info(Box<Info>),
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
        self.0.push_back(Content::Info(Box::new(info)));
    }

    fn ids(&self, each: &mut dyn FnMut(MessageId)) {
        for content in &self.0 {
            if let Content::Message(id, _) = content {
                each(*id);
            }
        }
    }

    fn flush_down(&mut self, monitor: MonitorRef) -> Option<Info> {
        let is_it = |content: &Content<M>| {
            matches!(content, Content::Info(info)
                if matches!(**info, Info::Down { monitor: m, .. } if m == monitor))
        };
        let index = self.0.iter().position(is_it)?;
        match self.0.remove(index)? {
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
