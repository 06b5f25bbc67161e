//! What a state machine needs of its process beside its mailbox: messages that it puts off, and timers that
//! come into the mailbox, in order with what else comes there.

use super::context::Context;
use super::message::Message;
use super::system::{System, with};
use super::target::Target;
use super::timer::{TimerRef, set};
use crate::trace::{Event, Limit, MessageId, Pid};
use std::time::Duration;

impl<M: Message> Context<M> {
    /// Puts a message off that this process has taken: it counts as unread until it is taken again.
    pub(crate) fn postpone(&self, id: MessageId) {
        with(|system| system.postpone(self.pid(), id));
    }

    /// Takes a message again that was put off.
    pub(crate) fn take_postponed(&self, id: MessageId) {
        with(|system| system.take_postponed(self.pid(), id));
    }

    /// Starts a timer that brings its number into the mailbox after a while.
    pub(crate) fn start_timer(&self, number: u32, after: Duration) -> TimerRef {
        let pid = self.pid();
        let fire = move |_, _| with(|system| system.timer_came(pid, number));
        set(Target::Pid(pid), after, Box::new(fire))
    }
}

impl System {
    fn postpone(&mut self, pid: Pid, id: MessageId) {
        // What happens after its end, or a crash, has not happened.
        if self.budget == 0 {
            return;
        }
        let (slot, most) = (self.current.slot, self.kernel.bounds.mailbox);
        let Some(process) = self.process(slot) else {
            return;
        };
        let postponed = &mut process.extra().postponed;
        postponed.push_back(id);
        let full = postponed.len() > most;
        self.kernel.trace.emit(Event::Postponed { id, by: pid });
        self.kernel.trace.books.postponed(pid.node(), id);
        if full {
            self.fail(Limit::Mailbox, most as u64);
        }
    }

    fn take_postponed(&mut self, pid: Pid, id: MessageId) {
        let extra = self
            .process(self.current.slot)
            .and_then(|process| process.extra.as_mut());
        let Some(postponed) = extra.map(|extra| &mut extra.postponed) else {
            return;
        };
        // Mostly the oldest.
        if let Some(index) = postponed.iter().position(|other| *other == id) {
            postponed.remove(index);
            self.received(pid, id);
        }
    }

    /// A timer of a state machine fires.
    fn timer_came(&mut self, pid: Pid, number: u32) {
        let Ok(slot) = self.find(pid) else { return };
        self.put_in(slot, |mailbox| mailbox.push_timer(number));
    }
}
