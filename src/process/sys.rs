//! System messages: what a behaviour is asked between two of its messages, whatever it serves.
//!
//! They lie in the mailbox in the order in which they came. The loop of a behaviour takes them out by
//! [`Context::poll_served`], and its [`Behaviour`] answers them. A plain process answers none.

use super::address::Left;
use super::context::{Context, Never};
use super::exit::ExitReason;
use super::mailbox::{Content, Info, Received};
use super::message::Message;
use super::reply::ReplyTo;
use super::system::{System, with};
use crate::kernel::Time;
use crate::trace::{MessageId, Pid};
use serde::{Deserialize, Serialize};
use std::any::{Any, TypeId};
use std::fmt;
use std::task::{Context as TaskContext, Poll};

/// What a behaviour is, beside its state: [`sys::status`](crate::otp::sys::status) answers it.
///
/// It travels between nodes, so the text of its state should be the same in every build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The process.
    pub pid: Pid,
    /// The name that it holds on its node.
    pub name: Option<String>,
    /// Of which behaviour it is: `GenServer`, say.
    pub behaviour: String,
    /// Whose exit is an order to stop: who started it, where it is linked to that one; of a node's first
    /// process, [`Pid::NOBODY`].
    pub parent: Option<Pid>,
    /// Whether it is suspended.
    pub suspended: bool,
    /// How many messages and infos wait in its mailbox.
    pub mailbox: u64,
    /// Its state as text, as its `format_status` makes it: empty where it has none.
    pub state: String,
    /// What it has done so far.
    pub statistics: Statistics,
}

/// What a behaviour has done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// When it began, by the clock of its node.
    pub began: Time,
    /// When it told this, by the same clock.
    pub now: Time,
    /// Messages and infos that its handlers were given, those of timeouts included.
    pub messages_in: u64,
    /// Messages, answers and signals that its process has sent.
    pub messages_out: u64,
    /// How often its process was polled: what reductions are to Erlang.
    pub steps: u64,
}

/// Code that looks at a behaviour of this node: whether it is of the type that it asks for.
pub(crate) type Look = Box<dyn FnOnce(&dyn Any) -> bool>;

/// A system message.
#[derive(Serialize, Deserialize)]
#[serde(rename = "netsplit::sys::Request")]
pub(crate) enum Request {
    Status(ReplyTo<Status>),
    Statistics(ReplyTo<Statistics>),
    Suspend(ReplyTo<()>),
    Resume(ReplyTo<()>),
    Trace(bool, ReplyTo<()>),
    /// Nothing is left of the code where it has come from another node: nobody sends it there.
    Look(ReplyTo<bool>, #[serde(skip)] Option<Look>),
    /// The answer is its end.
    Terminate(ExitReason, ReplyTo<Never>),
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Request::Status(_) => "sys: status",
            Request::Statistics(_) => "sys: statistics",
            Request::Suspend(_) => "sys: suspend",
            Request::Resume(_) => "sys: resume",
            Request::Trace(true, _) => "sys: trace",
            Request::Trace(false, _) => "sys: no trace",
            Request::Look(..) => "sys: look at the state",
            Request::Terminate(..) => "sys: terminate",
        })
    }
}

/// Whether messages of this type are system messages: known when it is compiled, so that other messages pay
/// nothing for the question.
#[inline(always)]
pub(crate) fn is_system<M: Message>() -> bool {
    TypeId::of::<M>() == TypeId::of::<Request>()
}

/// What a behaviour shows to observers.
#[cfg(feature = "sim")]
pub(crate) struct Shown {
    pub(crate) name: &'static str,
    /// The text of its state; nothing while a handler is at work on it.
    pub(crate) state: Option<String>,
    /// Its children, in their order, where it is a supervisor.
    pub(crate) children: Vec<Supervised>,
}

/// A child, as its supervisor knows it.
#[cfg(feature = "sim")]
pub(crate) struct Supervised {
    pub(crate) id: String,
    pub(crate) pid: Option<Pid>,
    pub(crate) restarts: u32,
    pub(crate) restarting: bool,
}

/// A behaviour, as its process has it beside its future.
pub(crate) trait Behaviour: Any {
    /// Whether an exit from this one is an order to stop: it takes that while it is suspended, too.
    fn is_parent(&self, from: Pid) -> bool;
    /// Whether it takes nothing but system messages.
    fn is_suspended(&self) -> bool;
    /// Does what a system message asks for; or gives the reason with which it is told to stop. Its process
    /// runs.
    fn answer(&self, request: Request) -> Option<ExitReason>;
    /// What it shows to an observer. Code of a user's may run.
    #[cfg(feature = "sim")]
    fn shown(&self) -> Shown;
}

/// What a process is, besides what its behaviour knows.
pub(crate) struct Vitals {
    pub(crate) pid: Pid,
    pub(crate) name: Option<String>,
    pub(crate) mailbox: u64,
    pub(crate) sent: u64,
    pub(crate) steps: u64,
    pub(crate) now: Time,
}

impl<M: Message> Context<M> {
    /// Takes the oldest thing out of the mailbox, for a behaviour: system messages are answered on the way,
    /// and while it is suspended everything else but its parent's exit stays.
    #[inline]
    pub(crate) fn poll_served(
        &self,
        cx: &TaskContext<'_>,
        behaviour: &impl Behaviour,
    ) -> Poll<Content<M>> {
        let taken = if behaviour.is_suspended() {
            self.take_suspended(cx, behaviour)
        } else {
            self.take(cx)
        };
        match taken {
            Some(Content::System(system)) => self.answer(cx, behaviour, system),
            Some(content) => Poll::Ready(content),
            None => Poll::Pending,
        }
    }

    /// A system message is answered, and then what is behind it is taken; an order to stop is handed on.
    #[cold]
    #[inline(never)]
    #[allow(
        clippy::boxed_local,
        reason = "unboxed here, out of the way of every message"
    )]
    fn answer(
        &self,
        cx: &TaskContext<'_>,
        behaviour: &impl Behaviour,
        system: Box<(MessageId, Request)>,
    ) -> Poll<Content<M>> {
        match behaviour.answer(system.1) {
            // For its loop, an exit of its parent.
            Some(reason) => {
                let from = Pid::NOBODY;
                Poll::Ready(Info::Exit { from, reason }.into())
            }
            None => self.poll_served(cx, behaviour),
        }
    }

    #[cold]
    fn take_suspended(
        &self,
        cx: &TaskContext<'_>,
        behaviour: &impl Behaviour,
    ) -> Option<Content<M>> {
        let mut wanted = |content: &Content<M>| match content {
            Content::System(_) => true,
            content => content
                .exit_of()
                .is_some_and(|from| behaviour.is_parent(from)),
        };
        match self.poll_select(cx, &mut wanted) {
            Poll::Ready(content) => Some(content),
            Poll::Pending => None,
        }
    }

    /// A process that is no behaviour, or a handler that receives by itself, has no use for it; then what is
    /// behind it is taken.
    #[cold]
    #[inline(never)]
    pub(super) fn drop_system(
        &self,
        cx: &TaskContext<'_>,
        system: Box<(MessageId, Request)>,
    ) -> Poll<Received<M>> {
        let request = &system.1;
        self.note(format_args!(
            "dropped {request:?}: no behaviour takes it here"
        ));
        drop(system);
        self.poll_receive(cx)
    }
}

impl System {
    /// Puts a system message into a mailbox, of whatever type that is.
    #[cold]
    pub(crate) fn put_system<M: Message>(
        &mut self,
        slot: u32,
        id: MessageId,
        message: M,
    ) -> Left<M> {
        let mut message = Some(message);
        let request = (&mut message as &mut dyn Any).downcast_mut::<Option<Request>>();
        if let Some(request) = request.and_then(Option::take) {
            let content = Box::new((id, request));
            self.put_in(slot, |mailbox| mailbox.push_system(content));
        }
        message.map_or(Left::Nothing, Left::Dropped)
    }

    /// What a process is, besides what its behaviour knows.
    pub(crate) fn vitals(&mut self, slot: u32) -> Option<Vitals> {
        let is_current = self.current.slot == slot;
        let name = self.name_held(slot);
        let node = self.process(slot)?.pid.node();
        let now = self.now_on(node);
        let task = self.kernel.tasks.get(slot)?;
        let sent = if is_current {
            self.current.sent
        } else {
            task.data.sent
        };
        Some(Vitals {
            pid: task.data.pid,
            name,
            mailbox: u64::from(task.data.mail),
            sent: u64::from(sent),
            steps: task.wakes,
            now,
        })
    }
}

/// The vitals of the process that runs.
pub(crate) fn own_vitals() -> Option<Vitals> {
    with(|system| {
        let slot = system.current().slot;
        system.vitals(slot)
    })
}
