//! What the loops of all behaviours share: a state between two messages, and how system messages are
//! answered.

use crate::kernel::{Time, run_user};
use crate::process::{
    Behaviour, Content, Context, ExitReason, Message, Received, Request, Statistics, Status,
    Vitals, own_vitals,
};
#[cfg(feature = "sim")]
use crate::process::{Shown, Supervised};
use crate::trace::Pid;
use std::cell::{Cell, Ref, RefCell, RefMut};
use std::fmt;
use std::future::poll_fn;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

/// How a behaviour is told from others.
#[derive(Clone, Copy)]
pub(crate) struct Kind<S> {
    /// What it is called: `GenServer`, say.
    pub(crate) name: &'static str,
    /// The text of a state.
    pub(crate) text: fn(&S) -> String,
    /// Its children, where it supervises.
    #[cfg(feature = "sim")]
    pub(crate) children: fn(&S) -> Vec<Supervised>,
}

/// A behaviour at work: its state, and what system messages ask about it. A system message is answered
/// between two messages, so the state is never borrowed then.
pub(crate) struct Desk<S> {
    state: RefCell<S>,
    kind: Kind<S>,
    parent: Option<Pid>,
    began: Time,
    taken: Cell<u64>,
    suspended: Cell<bool>,
    traced: Cell<bool>,
}

impl<S: 'static> Desk<S> {
    /// The desk of the process that runs.
    pub(crate) fn new<M: Message>(
        ctx: &Context<M>,
        kind: Kind<S>,
        parent: Option<Pid>,
        state: S,
    ) -> Desk<S> {
        Desk {
            state: RefCell::new(state),
            kind,
            parent,
            began: ctx.now(),
            taken: Cell::new(0),
            suspended: Cell::new(false),
            traced: Cell::new(false),
        }
    }

    /// The state, to be read.
    pub(crate) fn borrow(&self) -> Ref<'_, S> {
        self.state.borrow()
    }

    /// The state, to be changed: by a handler that may wait meanwhile, so whoever reads must try.
    pub(crate) fn borrow_mut(&self) -> RefMut<'_, S> {
        self.state.borrow_mut()
    }

    /// Reads the state; nothing while a handler is at work on it.
    #[cfg(feature = "sim")]
    pub(crate) fn try_read<R>(&self, read: impl FnOnce(&S) -> R) -> Option<R> {
        Some(read(&*self.state.try_borrow().ok()?))
    }

    /// Lets somebody who knows its type change the state.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut S) -> R) -> R {
        change(&mut *self.state.borrow_mut())
    }

    /// Takes the oldest thing out of the mailbox, as the behaviour's loop does.
    #[inline(always)]
    pub(crate) fn poll_next<M: Message>(
        &self,
        ctx: &Context<M>,
        cx: &TaskContext<'_>,
    ) -> Poll<Content<M>> {
        let next = ctx.poll_served(cx, self);
        if next.is_ready() {
            self.taken.set(self.taken.get() + 1);
        }
        next
    }

    /// Takes the oldest thing out of the mailbox, as it lies there; waits where it is empty.
    pub(crate) async fn receive_content<M: Message>(&self, ctx: &Context<M>) -> Content<M> {
        poll_fn(|cx| self.poll_next(ctx, cx)).await
    }

    /// Takes the oldest thing out of the mailbox; waits where it is empty.
    pub(crate) async fn receive<M: Message>(&self, ctx: &Context<M>) -> Received<M> {
        poll_fn(|cx| self.poll_received(ctx, cx)).await
    }

    /// The same, at most for `timeout`; nothing when that is over, and it is not suspended.
    pub(crate) async fn receive_within<M: Message>(
        &self,
        ctx: &Context<M>,
        timeout: Duration,
    ) -> Option<Received<M>> {
        let mut alarm = ctx.alarm(timeout);
        poll_fn(|cx| match self.poll_received(ctx, cx) {
            Poll::Ready(received) => Poll::Ready(Some(received)),
            Poll::Pending if alarm.poll_over(cx) && !self.suspended.get() => {
                self.taken.set(self.taken.get() + 1);
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    #[inline(always)]
    fn poll_received<M: Message>(
        &self,
        ctx: &Context<M>,
        cx: &TaskContext<'_>,
    ) -> Poll<Received<M>> {
        self.poll_next(ctx, cx).map(Received::from)
    }

    /// Tells in the log what it takes, or what follows from it, where that is asked for.
    #[inline(always)]
    pub(crate) fn traces<M: Message>(&self, ctx: &Context<M>, what: fmt::Arguments<'_>) {
        if self.traced.get() {
            ctx.note(format_args!("sys: {what}"));
        }
    }

    fn statistics(&self, vitals: &Vitals) -> Statistics {
        Statistics {
            began: self.began,
            now: vitals.now,
            messages_in: self.taken.get(),
            messages_out: vitals.sent,
            steps: vitals.steps,
        }
    }

    fn status(&self, vitals: Vitals) -> Status {
        Status {
            pid: vitals.pid,
            behaviour: self.kind.name.to_owned(),
            parent: self.parent,
            suspended: self.suspended.get(),
            mailbox: vitals.mailbox,
            state: self.text(),
            statistics: self.statistics(&vitals),
            name: vitals.name,
        }
    }

    /// The state as text.
    fn text(&self) -> String {
        let made = run_user(|| (self.kind.text)(&*self.state.borrow()));
        made.unwrap_or_else(|panicked| format!("its text panicked: {}", panicked.message))
    }
}

impl<S: 'static> Behaviour for Desk<S> {
    fn is_parent(&self, from: Pid) -> bool {
        self.parent == Some(from)
    }

    #[inline(always)]
    fn is_suspended(&self) -> bool {
        self.suspended.get()
    }

    fn answer(&self, request: Request) -> Option<ExitReason> {
        // Where nothing is known of the process, it is no more, and nobody waits for its answer.
        let vitals = own_vitals()?;
        match request {
            Request::Status(reply_to) => reply_to.reply(self.status(vitals)),
            Request::Statistics(reply_to) => reply_to.reply(self.statistics(&vitals)),
            Request::Suspend(reply_to) => {
                self.suspended.set(true);
                reply_to.reply(());
            }
            Request::Resume(reply_to) => {
                self.suspended.set(false);
                reply_to.reply(());
            }
            Request::Trace(on, reply_to) => {
                self.traced.set(on);
                reply_to.reply(());
            }
            Request::Look(reply_to, look) => {
                let is_its_type = look.is_some_and(|look| look(self));
                reply_to.reply(is_its_type);
            }
            Request::Terminate(reason, _) => return Some(reason),
        }
        None
    }

    #[cfg(feature = "sim")]
    fn shown(&self) -> Shown {
        let text = |state: &S| run_user(|| (self.kind.text)(state));
        let text = self.try_read(text).map(|made| {
            made.unwrap_or_else(|panicked| format!("its text panicked: {}", panicked.message))
        });
        Shown {
            name: self.kind.name,
            state: text,
            children: self.try_read(self.kind.children).unwrap_or_default(),
        }
    }
}
