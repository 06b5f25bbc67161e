//! Mailboxes with a bound: what becomes of a message that finds one full, who waits for room in it, and
//! who hears how full it is.
//!
//! Only messages count; what the system tells is never dropped. A mailbox without a bound knows nothing of
//! all this.

use super::address::{Address, Left};
use super::context::Context;
use super::distribution::Signal;
use super::exit::ExitReason;
use super::mailbox::{Content, Info};
use super::message::Message;
use super::system::{Current, Process, System, Watch, act, wants, with};
use super::target::Target;
use crate::trace::{DeadReason, Event, Limit, MessageId, Pid};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::fmt;

/// What becomes of a message that finds the mailbox full.
///
/// Whatever it is, a call whose question is not kept fails at once with
/// [`CallError::MailboxFull`](crate::process::CallError::MailboxFull), and a message that is not kept is a
/// dead letter, [`DeadReason::MailboxFull`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It is taken in all the same, and its sender is not polled before there is room, first come, first
    /// served. So the mailbox may hold more than its capacity: what each sender sends in one step.
    ///
    /// Nobody waits who could not, or need not: the process itself, a timer, another node, a caller (who
    /// waits for the answer, and no longer than its timeout).
    #[default]
    Wait,
    /// It is turned away, and [`Address::try_send`] gives it back.
    Refuse,
    /// It is dropped.
    DropNewest,
    /// The oldest message in the mailbox is dropped for it.
    DropOldest,
}

/// How many messages a mailbox holds, what happens then, and when it counts as overloaded.
///
/// ```
/// use netsplit::{Context, MailboxBound, Overflow, Scenario};
///
/// let scenario = Scenario::new("the latest three")
///     .client("sensor", |ctx: Context<u32>| async move {
///         ctx.bound_mailbox(MailboxBound::new(3).policy(Overflow::DropOldest));
///         for reading in 1..=5 {
///             ctx.address().send(reading);
///         }
///         assert_eq!(ctx.receive_message().await, 3);
///     })
///     .finally("two were dropped", |view| view.books().dead == 2);
/// assert!(scenario.run(7).unwrap().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxBound {
    capacity: usize,
    policy: Overflow,
    low: usize,
    high: usize,
}

impl MailboxBound {
    /// At most so many messages; the policy is [`Overflow::Wait`]. The mailbox is overloaded when it is
    /// full, and relieved when half of it is free.
    ///
    /// # Panics
    /// Where `capacity` is 0.
    #[must_use]
    pub fn new(capacity: usize) -> MailboxBound {
        assert!(
            capacity > 0,
            "a mailbox must hold a message: its capacity is 0"
        );
        MailboxBound {
            capacity,
            policy: Overflow::Wait,
            low: capacity / 2,
            high: capacity,
        }
    }

    /// As many messages as the bounds of the run allow; overloaded from `high` messages on, and relieved at
    /// `low`.
    ///
    /// # Panics
    /// Where `low` is not below `high`.
    #[must_use]
    pub fn unbounded(low: usize, high: usize) -> MailboxBound {
        MailboxBound::new(usize::MAX).watermarks(low, high)
    }

    /// What becomes of a message that finds it full.
    #[must_use]
    pub fn policy(mut self, policy: Overflow) -> MailboxBound {
        self.policy = policy;
        self
    }

    /// It counts as overloaded from `high` messages on, and as relieved from `low` messages down.
    ///
    /// # Panics
    /// Where `low` is not below `high`, or `high` is beyond the capacity.
    #[must_use]
    pub fn watermarks(mut self, low: usize, high: usize) -> MailboxBound {
        assert!(
            low < high,
            "the low watermark, {low}, must be below the high one, {high}"
        );
        let capacity = self.capacity;
        assert!(
            high <= capacity,
            "the high watermark, {high}, is beyond the capacity, {capacity}"
        );
        (self.low, self.high) = (low, high);
        self
    }
}

/// A message that was not sent, and why.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TrySendError<M> {
    /// The message, untouched.
    pub message: M,
    /// Why: [`DeadReason::MailboxFull`], or what would have made a dead letter of it.
    pub why: DeadReason,
}

impl<M> fmt::Debug for TrySendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrySendError({:?})", self.why)
    }
}

impl<M> fmt::Display for TrySendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the message was not sent: {}", self.why)
    }
}

impl<M> std::error::Error for TrySendError<M> {}

impl<M> From<TrySendError<M>> for ExitReason {
    fn from(error: TrySendError<M>) -> ExitReason {
        ExitReason::error(error)
    }
}

/// What a bounded mailbox keeps beside its queue.
pub(crate) struct Bounded {
    bound: MailboxBound,
    /// Messages in the queue.
    messages: usize,
    /// Messages that were put into it so far.
    put: u64,
    overloaded: bool,
    /// Who waits for room, in their order, and `put` after the last message of each.
    waiting: VecDeque<(Pid, u64)>,
    /// The calls whose questions are in the queue, where one may be dropped.
    questions: FxHashMap<MessageId, u32>,
}

impl Bounded {
    /// The first who waits and whose message has a place by now.
    fn next_with_room(&mut self) -> Option<Pid> {
        let &(sender, put) = self.waiting.front()?;
        let after = usize::try_from(self.put - put).unwrap_or(usize::MAX);
        if self.messages.saturating_sub(after) > self.bound.capacity {
            return None;
        }
        self.waiting.pop_front();
        Some(sender)
    }

    /// How many messages there are, where a watermark was just crossed; whether it was the high one.
    fn crossed(&mut self) -> Option<(bool, usize)> {
        let is = if self.overloaded {
            self.messages > self.bound.low
        } else {
            self.messages >= self.bound.high
        };
        let crossed = is != self.overloaded;
        self.overloaded = is;
        crossed.then_some((is, self.messages))
    }
}

/// What a process waits for that is not polled.
#[derive(Default)]
pub(crate) struct Suspended {
    /// For a connection that takes more.
    pub(crate) line: bool,
    /// For room in the mailboxes of these.
    pub(crate) rooms: Vec<Pid>,
    /// For its disk.
    pub(crate) disk: bool,
}

impl Suspended {
    fn is_free(&self) -> bool {
        !self.line && !self.disk && self.rooms.is_empty()
    }
}

/// What becomes of a message at a bounded mailbox.
enum Entry {
    /// It goes in.
    In { waits: bool },
    /// The oldest is dropped for it.
    For,
    /// It is dropped.
    Out,
}

impl<M: Message> Context<M> {
    /// Bounds the mailbox of this process from now on, in place of any bound before. What is in it stays;
    /// of a question among that, which is dropped later, its caller does not hear before its timeout. So a
    /// process bounds its mailbox before anything else, as a server does that is
    /// [given a bound](crate::otp::Server::mailbox).
    ///
    /// Default: no bound but [`Bounds::mailbox`](crate::kernel::Bounds::mailbox), which ends the run.
    pub fn bound_mailbox(&self, bound: MailboxBound) {
        let _ = act(|system, current| system.bound_mailbox::<M>(current, bound));
    }

    /// Hears of the mailboxes of this node that cross their watermarks from now on, as
    /// [`Info::Overloaded`] and [`Info::Relieved`]; or no more.
    ///
    /// As `erlang:system_monitor` with `long_message_queue`, for the mailboxes that have watermarks.
    pub fn watch_overload(&self, listen: bool) {
        let _ = act(|system, current| {
            let node = &mut system.nodes[current.pid.node().index()];
            let mut watchers = std::mem::take(&mut node.load_watchers);
            watchers.retain(|pid| *pid != current.pid && node.find(*pid).is_ok());
            watchers.extend(listen.then_some(current.pid));
            node.load_watchers = watchers;
        });
    }
}

impl<M: Message> Address<M> {
    /// Sends a message, unless it is known here and now that it will not be kept, or that its sender would
    /// have to wait: the process is not there, or its mailbox is full and the policy is [`Overflow::Wait`]
    /// or [`Overflow::Refuse`]. Then nothing was sent.
    ///
    /// What goes to another node is sent, and may be a dead letter there.
    ///
    /// # Errors
    /// [`TrySendError`] gives the message back.
    ///
    /// # Panics
    /// Outside a process, or where the message does not encode.
    pub fn try_send(self, message: M) -> Result<(), TrySendError<M>> {
        match with(|system| system.obstacle::<M>(self.target())) {
            None => {
                self.send(message);
                Ok(())
            }
            Some((to, why)) => {
                if let (Some(to), DeadReason::MailboxFull) = (to, why) {
                    let _ = act(|system, Current { pid: from, .. }| {
                        system.kernel.trace.emit(Event::Refused { from, to });
                    });
                }
                Err(TrySendError { message, why })
            }
        }
    }
}

impl System {
    fn bound_mailbox<M: Message>(&mut self, current: Current, bound: MailboxBound) {
        let is_message = |content: &&Content<M>| matches!(content, Content::Message(..));
        let queue = self.mailbox_of::<M>(current.slot);
        let messages = queue.map_or(0, |(queue, _)| queue.iter().filter(is_message).count());
        let Some(process) = self.process(current.slot) else {
            return;
        };
        process.bounded = true;
        let bounded = process.extra().bounded.get_or_insert_with(|| {
            Box::new(Bounded {
                bound,
                messages,
                put: 0,
                overloaded: false,
                waiting: VecDeque::new(),
                questions: FxHashMap::default(),
            })
        });
        bounded.bound = bound;
        self.load_changed(current.slot, current.pid);
    }

    /// Why a message from the current process would not be kept, or make it wait; and whose mailbox is full.
    fn obstacle<M: Message>(&mut self, target: Target) -> Option<(Option<Pid>, DeadReason)> {
        let here = self.current().pid.node();
        let target = self.homed(here, target);
        if target.node() != here {
            return None;
        }
        let (to, slot) = match self.resolve(target) {
            Ok(found) => found,
            Err(why) => return Some((None, why)),
        };
        if self.mailbox_of::<M>(slot).is_none() {
            return Some((None, DeadReason::OtherType));
        }
        let bounded = self.bounded(slot)?;
        let tells = matches!(bounded.bound.policy, Overflow::Wait | Overflow::Refuse);
        let full = tells && bounded.messages >= bounded.bound.capacity;
        full.then_some((Some(to), DeadReason::MailboxFull))
    }

    /// Puts a message into a mailbox with a bound, as [`System::put`] does into any other.
    #[cold]
    #[inline(never)]
    pub(crate) fn put_bounded<M: Message>(
        &mut self,
        slot: u32,
        to: Pid,
        id: MessageId,
        message: M,
    ) -> Left<M> {
        if self.mailbox_of::<M>(slot).is_none() {
            self.dead_letter(to.node(), id, Target::Pid(to), DeadReason::OtherType);
            return Left::Dropped(message);
        }
        let entry = self.entry(slot, to, id);
        let Some((queue, mail)) = self.mailbox_of::<M>(slot) else {
            return Left::Dropped(message);
        };
        let oldest = match entry {
            Entry::For => queue
                .iter()
                .position(|content| matches!(content, Content::Message(..))),
            Entry::In { .. } | Entry::Out => None,
        };
        let (dropped, left) = match (&entry, oldest.and_then(|index| queue.remove(index))) {
            (Entry::In { .. }, _) => {
                queue.push_back(Content::Message(id, message));
                *mail += 1;
                (None, Left::Nothing)
            }
            (Entry::For, Some(Content::Message(old, oldest))) => {
                queue.push_back(Content::Message(id, message));
                (Some(old), Left::Dropped(oldest))
            }
            _ => (Some(id), Left::Dropped(message)),
        };
        self.entered(slot, to, id, dropped);
        if let Entry::In { waits: true } = entry {
            self.hold(id.from, slot, to);
        }
        left
    }

    /// What is to become of a message that comes to a bounded mailbox.
    fn entry(&mut self, slot: u32, to: Pid, id: MessageId) -> Entry {
        let (sender, question) = (self.current.pid, self.asking);
        let Some(bounded) = self.bounded(slot) else {
            return Entry::In { waits: false };
        };
        if question != 0 {
            bounded.questions.insert(id, question);
        }
        if bounded.messages < bounded.bound.capacity {
            return Entry::In { waits: false };
        }
        match bounded.bound.policy {
            Overflow::Wait => Entry::In {
                waits: id.from == sender && sender != to && question == 0,
            },
            Overflow::Refuse | Overflow::DropNewest => Entry::Out,
            Overflow::DropOldest => Entry::For,
        }
    }

    /// A message has come to a bounded mailbox, and one was dropped for that, itself or another.
    fn entered(&mut self, slot: u32, to: Pid, id: MessageId, dropped: Option<MessageId>) {
        let most = self.kernel.bounds.mailbox;
        let Some(bounded) = self.bounded(slot) else {
            return;
        };
        bounded.put += u64::from(dropped != Some(id));
        bounded.messages += usize::from(dropped.is_none());
        let full = bounded.messages > most;
        if let Some(dropped) = dropped {
            let question = bounded.questions.remove(&dropped);
            self.dead_letter(to.node(), dropped, Target::Pid(to), DeadReason::MailboxFull);
            if let Some(alias) = question {
                self.turn_away_call(slot, to, dropped.from, alias);
            }
        }
        if dropped != Some(id) {
            self.came(slot, wants::MAIL);
        }
        self.load_changed(slot, to);
        if full {
            self.fail(Limit::Mailbox, most as u64);
        }
    }

    /// A message was taken out of a bounded mailbox.
    #[cold]
    #[inline(never)]
    pub(crate) fn made_room(&mut self, slot: u32, pid: Pid, id: MessageId) {
        if let Some(bounded) = self.bounded(slot) {
            bounded.messages = bounded.messages.saturating_sub(1);
            bounded.questions.remove(&id);
        }
        self.load_changed(slot, pid);
    }

    /// Lets those go on whose messages have a place by now, and tells where a watermark was crossed.
    fn load_changed(&mut self, slot: u32, pid: Pid) {
        while let Some(sender) = self.bounded(slot).and_then(Bounded::next_with_room) {
            self.let_go(sender, pid);
        }
        let Some((overloaded, len)) = self.bounded(slot).and_then(Bounded::crossed) else {
            return;
        };
        let count = len as u32;
        let (event, info) = if overloaded {
            (
                Event::Overloaded { pid, len: count },
                Info::Overloaded { pid, len },
            )
        } else {
            (
                Event::Relieved { pid, len: count },
                Info::Relieved { pid, len },
            )
        };
        self.kernel.trace.emit(event);
        for watcher in self.nodes[pid.node().index()].load_watchers.clone() {
            if let Ok(slot) = self.find(watcher) {
                self.inform(slot, info.clone());
            }
        }
    }

    /// A call whose question was dropped fails, wherever its caller is.
    fn turn_away_call(&mut self, slot: u32, to: Pid, caller: Pid, alias: u32) {
        if let Some(process) = self.process(slot) {
            process.watchers.remove((caller, Watch::Call(alias)));
        }
        if caller.node() != to.node() {
            let refused = Signal::CallRefused { to: caller, alias };
            self.signal(to, Target::Pid(caller), &refused);
        } else if let Ok(slot) = self.find(caller) {
            self.refuse_alias(slot, alias);
        }
    }

    /// The current process has filled a mailbox: it is not polled before there is room.
    fn hold(&mut self, pid: Pid, receiver: u32, of: Pid) {
        let slot = self.current.slot;
        let Some(bounded) = self.bounded(receiver) else {
            return;
        };
        let put = bounded.put;
        match bounded.waiting.back_mut() {
            Some((last, since)) if *last == pid => {
                *since = put;
                return;
            }
            _ => bounded.waiting.push_back((pid, put)),
        }
        let Some(task) = self.kernel.tasks.get_mut(slot) else {
            return;
        };
        let line = task.is_suspended();
        let held = task.data.extra().suspended.get_or_insert_default();
        held.line |= line && held.is_free();
        held.rooms.push(of);
        self.kernel.suspend(slot);
        self.kernel.trace.emit(Event::Held { pid, of });
    }

    /// There is room for what a process has sent to another, or that has ended.
    fn let_go(&mut self, pid: Pid, of: Pid) {
        let Ok(slot) = self.find(pid) else { return };
        let Some(extra) = self
            .process(slot)
            .and_then(|process| process.extra.as_mut())
        else {
            return;
        };
        let Some(held) = extra.suspended.as_mut() else {
            return;
        };
        held.rooms.retain(|room| *room != of);
        self.kernel.trace.emit(Event::Admitted { pid, of });
        self.free(slot);
    }

    /// A suspended process is polled again, where it waits for nothing more.
    pub(crate) fn free(&mut self, slot: u32) {
        if let Some(process) = self.process(slot)
            && let Some(extra) = process.extra.as_mut()
            && extra.suspended.take_if(|held| held.is_free()).is_some()
        {
            process.wants = 0;
            self.kernel.release(slot);
        }
    }

    /// A process with a bounded mailbox has ended: nobody waits for room in it any more.
    pub(crate) fn let_all_go(&mut self, bounded: Bounded, of: Pid) {
        for (sender, _) in bounded.waiting {
            self.let_go(sender, of);
        }
    }

    /// The queue of a process that takes messages of this type, and how much is in it.
    fn mailbox_of<M: Message>(
        &mut self,
        slot: u32,
    ) -> Option<(&mut VecDeque<Content<M>>, &mut u32)> {
        let process = self.process(slot)?;
        let make = process.receiver.mailbox;
        let mailbox = process.mailbox.get_or_insert_with(make).of::<M>()?;
        Some((&mut mailbox.0, &mut process.mail))
    }

    fn bounded(&mut self, slot: u32) -> Option<&mut Bounded> {
        self.process(slot)?.extra.as_mut()?.bounded.as_deref_mut()
    }
}

impl Process {
    /// The connection that it waits for takes more; whether it waits for nothing else.
    pub(crate) fn line_is_free(&mut self) -> bool {
        let Some(held) = self
            .extra
            .as_mut()
            .and_then(|extra| extra.suspended.as_mut())
        else {
            return true;
        };
        held.line = false;
        held.is_free()
    }
}
