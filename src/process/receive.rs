//! How a process takes things out of its mailbox.

use super::context::Context;
use super::exit::ExitReason;
use super::mailbox::{AnyMailbox, Content, Info, Mailbox, Received, down};
use super::message::Message;
use super::system::{Current, Remains, System, wants, with};
use super::timer::{Alarm, wait};
use crate::trace::{Event, MessageId, Pid, emit};
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

impl<M: Message> Context<M> {
    /// Takes the oldest thing out of the mailbox; waits where it is empty. Dropped, it has lost nothing.
    pub fn receive(&self) -> impl Future<Output = Received<M>> {
        Receive(self)
    }

    /// The same, at most for `timeout`; nothing when that is over.
    pub async fn receive_within(&self, timeout: Duration) -> Option<Received<M>> {
        let mut alarm = Alarm::new(timeout);
        poll_fn(|cx| match self.poll_receive(cx) {
            Poll::Ready(received) => Poll::Ready(Some(received)),
            Poll::Pending if alarm.poll_over(cx) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Takes the oldest message; what the system tells stays in the mailbox.
    pub async fn receive_message(&self) -> M {
        let mut is_message = |content: &Content<M>| matches!(content, Content::Message(..));
        loop {
            let selected = poll_fn(|cx| {
                // Mostly it is the oldest thing of all, which needs no search.
                match with(|system| system.take_first_message(self.pid())) {
                    Some(content) => Poll::Ready(content),
                    None => self.poll_select(cx, &mut is_message),
                }
            });
            if let Content::Message(_, message) = selected.await {
                return message;
            }
        }
    }

    /// Takes the oldest thing in the mailbox where that is a message; does not wait.
    pub(crate) fn take_message(&self) -> Option<M> {
        match with(|system| system.take_first_message(self.pid()))? {
            Content::Message(_, message) => Some(message),
            _ => None,
        }
    }

    /// Takes the oldest message for which `wanted` holds; everything else stays, in its order.
    pub async fn receive_where(&self, mut wanted: impl FnMut(&M) -> bool) -> M {
        let mut wants_it = |content: &Content<M>| match content {
            Content::Message(_, message) => wanted(message),
            _ => false,
        };
        loop {
            let selected = poll_fn(|cx| self.poll_select(cx, &mut wants_it)).await;
            if let Content::Message(_, message) = selected {
                return message;
            }
        }
    }

    /// Takes the oldest [`Info`] for which `wanted` holds; everything else stays, in its order.
    pub async fn receive_info(&self, mut wanted: impl FnMut(&Info) -> bool) -> Info {
        let mut wants_it = |content: &Content<M>| match content {
            Content::Message(..) | Content::Timer(_) | Content::System(_) => false,
            Content::Down(monitor, code) => wanted(&down(*monitor, ExitReason::plain(*code))),
            Content::Exit(from, code) => wanted(&Info::Exit {
                from: *from,
                reason: ExitReason::plain(*code),
            }),
            Content::Info(info) => wanted(info),
        };
        loop {
            let selected = poll_fn(|cx| self.poll_select(cx, &mut wants_it)).await;
            if let Received::Info(info) = selected.into() {
                return info;
            }
        }
    }

    /// The same, at most for `timeout`; nothing when that is over.
    pub async fn receive_info_within(
        &self,
        timeout: Duration,
        wanted: impl FnMut(&Info) -> bool,
    ) -> Option<Info> {
        let mut alarm = Alarm::new(timeout);
        let mut info = pin!(self.receive_info(wanted));
        poll_fn(|cx| match info.as_mut().poll(cx) {
            Poll::Ready(info) => Poll::Ready(Some(info)),
            Poll::Pending if alarm.poll_over(cx) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// How many messages and infos wait in the mailbox.
    #[must_use]
    pub fn mailbox_len(&self) -> usize {
        with(|system| {
            system
                .own_mailbox(self.pid())
                .map_or(0, |mailbox| mailbox.len())
        })
    }

    #[inline]
    pub(super) fn poll_receive(&self, cx: &TaskContext<'_>) -> Poll<Received<M>> {
        match self.take(cx) {
            Some(Content::Message(_, message)) => Poll::Ready(Received::Message(message)),
            Some(Content::System(system)) => self.drop_system(cx, system),
            Some(content) => Poll::Ready(content.into()),
            None => Poll::Pending,
        }
    }

    /// Takes the oldest thing out of the mailbox, as it lies there; where it is empty, waits for mail.
    #[inline(always)]
    pub(super) fn take(&self, cx: &TaskContext<'_>) -> Option<Content<M>> {
        let own = crate::kernel::is_own(cx.waker());
        let taken = with(|system| system.take_oldest::<M>(self.pid(), own));
        if taken.is_none() && !own {
            wait(wants::MAIL, cx);
        }
        taken
    }

    /// Takes out the oldest thing for which `wanted` holds, where there is one.
    pub(super) fn select(&self, wanted: &mut dyn FnMut(&Content<M>) -> bool) -> Option<Content<M>> {
        // The mailbox is taken out while the user's code looks at it: nothing is borrowed meanwhile.
        let mailbox = with(|system| system.lift_mailbox(self.pid()))?;
        let mut lifted = Lifted::<M>(self.pid(), Some(mailbox), PhantomData);
        let queue = &mut lifted.1.as_mut()?.of::<M>()?.0;
        let index = queue.iter().position(wanted)?;
        queue.remove(index)
    }

    pub(super) fn poll_select(
        &self,
        cx: &TaskContext<'_>,
        wanted: &mut dyn FnMut(&Content<M>) -> bool,
    ) -> Poll<Content<M>> {
        let selected = if with(|system| system.has_mail(self.pid())) {
            self.select(wanted)
        } else {
            None
        };
        match selected {
            Some(content) => {
                match &content {
                    Content::Message(id, _) => with(|system| system.took(self.pid(), *id)),
                    Content::System(of) => with(|system| system.received(self.pid(), of.0)),
                    _ => {}
                }
                if let Content::Message(..) = &content
                    && with(|system| system.strikes && system.is_struck())
                {
                    return Poll::Pending;
                }
                Poll::Ready(content)
            }
            None => {
                wait(wants::MAIL, cx);
                Poll::Pending
            }
        }
    }
}

/// The wait for the next thing in a mailbox.
struct Receive<'a, M>(&'a Context<M>);

impl<M: Message> Future for Receive<'_, M> {
    type Output = Received<M>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Received<M>> {
        self.0.poll_receive(cx)
    }
}

/// A mailbox while the user's code looks at it: goes back even if that panics.
struct Lifted<M: Message>(Pid, Option<Box<dyn AnyMailbox>>, PhantomData<M>);

impl<M: Message> Drop for Lifted<M> {
    fn drop(&mut self) {
        if let Some(mailbox) = self.1.take() {
            with(|system| system.lower_mailbox::<M>(self.0, mailbox));
        }
    }
}

impl System {
    #[inline]
    pub(super) fn own_slot(&mut self, pid: Pid) -> u32 {
        assert!(
            self.current.pid == pid,
            "a Context is used by its own process only, while that process runs"
        );
        self.current.slot
    }

    #[inline]
    fn has_mail(&mut self, pid: Pid) -> bool {
        let slot = self.own_slot(pid);
        self.process(slot).is_some_and(|process| process.mail > 0)
    }

    fn own_mailbox(&mut self, pid: Pid) -> Option<&mut Box<dyn AnyMailbox>> {
        let slot = self.own_slot(pid);
        self.process(slot)?.mailbox.as_mut()
    }

    /// Takes the oldest thing out of the current process's mailbox; where that is empty, or the process is
    /// suspended by what it has just sent, and `wait` is set, it waits for mail.
    #[inline(always)]
    fn take_oldest<M: Message>(&mut self, pid: Pid, wait: bool) -> Option<Content<M>> {
        let slot = self.own_slot(pid);
        let task = self.kernel.tasks.get_mut(slot)?;
        if task.data.mail == 0 || task.is_suspended() {
            task.waits |= wait;
            task.data.wants |= if wait { wants::MAIL } else { 0 };
            return None;
        }
        task.data.mail -= 1;
        let bounded = task.data.bounded;
        let content = task.data.mailbox.as_mut()?.of::<M>()?.0.pop_front()?;
        match &content {
            Content::Message(id, _) => {
                let id = *id;
                self.received(pid, id);
                if bounded {
                    self.made_room(slot, pid, id);
                }
                if self.strikes && self.is_struck() {
                    self.graveyard.push(Remains::Value(Box::new(content)));
                    return None;
                }
            }
            Content::System(system) => self.received(pid, system.0),
            _ => {}
        }
        Some(content)
    }

    /// Takes the oldest thing out of the current process's mailbox where that is a message.
    #[inline(always)]
    fn take_first_message<M: Message>(&mut self, pid: Pid) -> Option<Content<M>> {
        let mailbox = self.own_mailbox(pid)?.of::<M>()?;
        match mailbox.0.front()? {
            Content::Message(..) => self.take_oldest(pid, false),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn received(&mut self, pid: Pid, id: MessageId) {
        emit!(&mut self.kernel.trace, Event::Receive { id, by: pid });
        self.kernel.trace.books.received(pid.node(), id);
    }

    /// The current process has taken a message out of the middle of its mailbox.
    fn took(&mut self, pid: Pid, id: MessageId) {
        self.received(pid, id);
        let slot = self.current.slot;
        if self.process(slot).is_some_and(|process| process.bounded) {
            self.made_room(slot, pid, id);
        }
    }

    fn lift_mailbox(&mut self, pid: Pid) -> Option<Box<dyn AnyMailbox>> {
        let slot = self.own_slot(pid);
        let task = self.kernel.tasks.get_mut(slot)?;
        if task.is_suspended() {
            return None;
        }
        task.data.mailbox.take()
    }

    /// Puts a lifted mailbox back, before whatever came meanwhile.
    fn lower_mailbox<M: Message>(&mut self, pid: Pid, mut lifted: Box<dyn AnyMailbox>) {
        let slot = self.own_slot(pid);
        let Some(process) = self.process(slot) else {
            return;
        };
        if let Some(mut newer) = process.mailbox.take()
            && let (Some(old), Some(new)) = (lifted.of::<M>(), newer.of::<M>())
        {
            let Mailbox(new) = new;
            old.0.append(new);
        }
        process.mail = lifted.len() as u32;
        process.mailbox = Some(lifted);
    }

    /// What a process that has doomed itself still does in this poll does not happen.
    pub(super) fn fence_the_doomed(&mut self, current: Current) {
        if let Some(process) = self.process(current.slot)
            && process.dying
        {
            let mailbox = process.mailbox.take();
            self.leave_unread(current.pid, mailbox);
            let node = &mut self.nodes[current.pid.node().index()];
            if node.fuse != u64::MAX {
                node.fuse = self.budget;
            }
            self.budget = 0;
        }
    }
}
