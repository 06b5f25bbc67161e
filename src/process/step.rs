//! One step of the run, and what comes in from the host: the only place where user code is run.

use super::exit::ExitReason;
use super::host::{Carries, Packet};
use super::sys::Behaviour;
use super::system::{Current, Deliver, Process, Remains, System, with};
use super::target::Target;
use crate::kernel::{
    Body, Next, Panicked, Reached, Time, own_waker, run_user, slot_of, waker_word,
};
use crate::trace::{DeadReason, Event, Fate, NodeId, Pid};
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stepped {
    /// A process was polled, or a timer's message was sent.
    Polled,
    /// The host's entry of this number is due.
    Host(u32),
    /// The first process of a node ended by a panic or an error: it is in the system's list.
    RootEnded,
    /// The fuse of this node burnt down: it must crash now.
    Tripped(NodeId),
    /// Nothing to do before the moment asked for; `true` when there is nothing after it either.
    Quiet(bool),
}

/// Why a runtime cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// A bound was reached.
    #[error("the bound of {} {} was reached: raise it if so many are meant", .0.most, .0.limit)]
    Reached(Reached),
    /// A process was woken from outside the runtime.
    #[error(
        "process {0} was woken from outside its runtime: a process waits for messages, answers and timers \
         of its own; what else happens in the world reaches it as a message"
    )]
    OutsideWake(Pid),
}

impl From<Reached> for StepError {
    fn from(reached: Reached) -> StepError {
        StepError::Reached(reached)
    }
}

/// A process that is to be polled: its future, taken out, and its waker's word, which names its slot. In
/// whole words: what is written in parts and then read as a whole waits for its parts.
struct Turn {
    body: Body<ExitReason>,
    word: u64,
}

/// What else is to be done outside any borrow.
enum Begin {
    /// A process that waited with wakers of others, too: they are called before it is polled.
    Others(Turn),
    Deliver {
        packet: Box<Packet>,
        deliver: Deliver,
        to: Pid,
        slot: u32,
    },
    /// A timer sends its message.
    Process(u32),
    /// Something is to be dropped or called; then this is told.
    Bury(Stepped),
    Tell(Stepped),
    /// The run cannot go on; `System::take_failure` tells why.
    Fail,
}

/// Does the next thing that happens, not after `until`; with `many`, goes on for as long as that is to
/// poll processes or to take packets in.
pub(crate) fn step(until: Time, many: bool) -> Result<Stepped, StepError> {
    // What the host does can reach a bound too, and no poll need follow it.
    let (mut polled, mut served, mut goes_on) = (None, None, true);
    loop {
        let begun = with(|system| {
            if let Some((slot, body)) = polled.take() {
                system.end(slot, body);
            } else if let Some(packet) = served.take() {
                system.core().1.recycle(packet);
            }
            system.go_on(until, goes_on)
        });
        goes_on = many;
        match begun {
            Ok(turn) => polled = poll(turn),
            Err(Begin::Others(turn)) => {
                call_others(slot_of(turn.word));
                polled = poll(turn);
            }
            Err(Begin::Deliver {
                packet,
                deliver,
                to,
                slot,
            }) => {
                deliver(to, slot, &packet);
                served = Some(packet);
            }
            Err(Begin::Process(index)) => {
                if let Some((send, id, who)) = with(|system| system.take_delayed(index)) {
                    let _ = run_user(|| send(id, who));
                }
                bury();
                return Ok(Stepped::Polled);
            }
            Err(Begin::Bury(stepped)) => {
                bury();
                return Ok(stepped);
            }
            Err(Begin::Tell(stepped)) => return Ok(stepped),
            Err(Begin::Fail) => return Err(with(System::take_failure)),
        }
    }
}

/// Takes a packet in that the host brings between two steps.
pub(crate) fn take_in(packet: Box<Packet>) {
    if let Begin::Deliver {
        packet,
        deliver,
        to,
        slot,
    } = with(|system| system.take_in(packet))
    {
        deliver(to, slot, &packet);
        with(|system| system.core().1.recycle(packet));
    }
    bury();
}

/// Polls a process: its slot and its future, where it is to be polled again.
#[inline(always)]
fn poll(turn: Turn) -> Option<(u32, Body<ExitReason>)> {
    let Turn { mut body, word } = turn;
    let slot = slot_of(word);
    let waker = own_waker(word);
    let mut cx = TaskContext::from_waker(&waker);
    let mut reason = None;
    let pending = run_user(|| match body.as_mut().poll(&mut cx) {
        Poll::Pending => true,
        Poll::Ready(ready) => {
            reason = Some(ready);
            false
        }
    });
    if matches!(pending, Ok(true)) {
        return Some((slot, body));
    }
    drop_ended(body);
    let ended = match (pending, reason) {
        (Err(panicked), _) => Err(panicked),
        (Ok(_), reason) => Ok(reason.unwrap_or(ExitReason::Normal)),
    };
    with(|system| system.end_last(slot, ended));
    None
}

/// Drops the future of a process whose poll was its last, and its state, fenced off.
fn drop_ended(body: Body<ExitReason>) {
    let (pid, behaviour) = with(System::seal);
    if let Err(panicked) = run_user(|| drop((body, behaviour))) {
        with(|system| system.note_panic(pid, &panicked));
    }
}

/// Calls the wakers of combinators in which a process waited, before it is polled: something came for it,
/// so they poll what they hold again, and that registers its waits again.
#[cold]
fn call_others(slot: u32) {
    let wakers = with(|system| std::mem::take(&mut system.others));
    for waker in wakers {
        let _ = run_user(|| waker.wake());
    }
    with(|system| system.kernel.wake_woken_but(slot));
}

impl System {
    #[inline(always)]
    fn begin(&mut self, until: Time) -> Result<Turn, Begin> {
        loop {
            return match self.kernel.next(until) {
                Ok(Next::Step(slot)) => self.begin_poll(slot),
                Ok(Next::Unsettled) => {
                    self.settle_calls();
                    continue;
                }
                Ok(Next::Process(number)) if self.pauses && self.is_late(number) => {
                    Err(Begin::Tell(Stepped::Polled))
                }
                Ok(Next::Process(number)) => Err(Begin::Process(number)),
                Ok(Next::Host(number)) => {
                    let (host, core) = self.core();
                    match host.due(core, number) {
                        Some(packet) => Err(self.take_in(packet)),
                        None => Err(Begin::Tell(Stepped::Host(number))),
                    }
                }
                Ok(Next::Quiet(over)) => Err(Begin::Tell(Stepped::Quiet(over))),
                Err(reached) => {
                    self.error.get_or_insert(reached);
                    Err(Begin::Fail)
                }
            };
        }
    }

    #[inline(always)]
    fn begin_poll(&mut self, slot: u32) -> Result<Turn, Begin> {
        let (epoch, steps) = (self.kernel.epoch.number(), self.kernel.steps());
        let Some((generation, task)) = self.kernel.tasks.entry(slot) else {
            return Err(Begin::Tell(Stepped::Polled));
        };
        let Some(body) = task.body.take() else {
            return Err(Begin::Tell(Stepped::Polled));
        };
        task.waits = false;
        let rang = std::mem::take(&mut task.rang);
        let others = match task.data.extra.as_mut() {
            Some(extra) if !extra.foreign.is_empty() => {
                let came = rang || task.data.wants == 0;
                if came {
                    self.others.append(&mut extra.foreign);
                }
                // What else woke the process ends no wait within a combinator.
                task.waits = !came;
                came
            }
            _ => {
                task.data.wants = 0;
                false
            }
        };
        let Process { pid, sent, .. } = task.data;
        self.current = Current { slot, pid, sent };
        self.budget = if self.fuses {
            self.nodes[pid.node().index()].fuse
        } else {
            u64::MAX
        };
        self.kernel.trace.log_only(Event::Step { pid });
        if let Some(beat) = self.beat.as_ref() {
            beat.begin(pid, steps);
        }
        let word = waker_word(slot, generation, epoch);
        let turn = Turn { body, word };
        if others {
            Err(Begin::Others(turn))
        } else {
            Ok(turn)
        }
    }

    /// After a poll that was not the process's last: its future goes back.
    #[inline(always)]
    fn end(&mut self, slot: u32, body: Body<ExitReason>) {
        let pid = self.end_poll();
        let sent = self.current.sent;
        self.current = Current::NONE;
        match self.kernel.tasks.get_mut(slot) {
            Some(task) if self.tripped.is_none() => {
                task.body = Some(body);
                task.data.sent = sent;
                let group = task.group;
                let cost = self.kernel.step_cost_ns(group);
                if cost > 0 {
                    self.pay(slot, pid, cost);
                }
            }
            // Its node crashes, and the process with it.
            _ => self.graveyard.push(Remains::Body(body)),
        }
        if self.owed_ns > 0 {
            self.pay_disk(slot, pid);
        }
        self.settle_poll();
    }

    /// After a poll that was the process's last.
    fn end_last(&mut self, slot: u32, ended: Result<ExitReason, Panicked>) {
        let pid = self.end_poll();
        self.current = Current::NONE;
        self.owed_ns = 0;
        if self.tripped.is_none() {
            let reason = ended.unwrap_or_else(|panicked| {
                self.note_panic(pid, &panicked);
                panicked.into()
            });
            // An exit signal to itself came before its return.
            let reason = self.doom_of(pid).unwrap_or(reason);
            self.finish(slot, reason);
        }
        self.settle_poll();
    }

    /// Whose poll has returned; what it has not used up of its node's fuse stays.
    #[inline(always)]
    fn end_poll(&mut self) -> Pid {
        let (pid, budget) = (self.current.pid, self.budget);
        self.budget = 0;
        if let Some(beat) = self.beat.as_ref() {
            beat.end(self.kernel.steps());
        }
        self.burn_fuse(pid, budget);
        pid
    }

    /// What a poll has brought about beside its own process.
    #[inline(always)]
    fn settle_poll(&mut self) {
        self.kernel.wake_woken();
        if !self.dying.is_empty() {
            self.settle();
        }
    }

    #[inline(always)]
    fn go_on(&mut self, until: Time, many: bool) -> Result<Turn, Begin> {
        if self.error.is_some() || self.kernel.epoch.has_foreign() {
            return Err(Begin::Fail);
        }
        if self.tripped.is_some() || !self.ended_roots.is_empty() {
            let tripped = self.tripped.take();
            return Err(Begin::Bury(
                tripped.map_or(Stepped::RootEnded, Stepped::Tripped),
            ));
        }
        if !self.graveyard.is_empty() {
            return Err(Begin::Bury(Stepped::Polled));
        }
        if many {
            self.begin(until)
        } else {
            Err(Begin::Tell(Stepped::Polled))
        }
    }

    /// What a poll has used up of its node's fuse stays used up.
    #[inline(always)]
    fn burn_fuse(&mut self, pid: Pid, budget: u64) {
        if self.fuses && budget != 0 {
            let node = &mut self.nodes[pid.node().index()];
            if node.fuse != u64::MAX {
                node.fuse = budget;
            }
        }
    }

    /// Fences the current process off: its poll was its last. Gives its behaviour, to be dropped.
    fn seal(&mut self) -> (Pid, Option<Rc<dyn Behaviour>>) {
        let Current { pid, slot, .. } = self.current;
        self.burn_fuse(pid, self.budget);
        self.budget = 0;
        let extra = self
            .process(slot)
            .and_then(|process| process.extra.as_mut());
        (pid, extra.and_then(|extra| extra.behaviour.take()))
    }

    /// What is to be buried; from now on whatever runs has ended.
    fn dig(&mut self) -> Vec<Remains> {
        self.current = Current::ENDED;
        self.budget = 0;
        std::mem::take(&mut self.graveyard)
    }

    #[cold]
    fn take_failure(&mut self) -> StepError {
        if let Some(reached) = self.error.clone() {
            return StepError::Reached(reached);
        }
        let slot = self
            .kernel
            .epoch
            .foreign()
            .map_or(u32::MAX, |(slot, _)| slot);
        StepError::OutsideWake(
            self.process(slot)
                .map_or(Pid::NOBODY, |process| process.pid),
        )
    }

    /// A step of a slow node costs time, in which the node steps nothing.
    #[cold]
    fn pay(&mut self, slot: u32, pid: Pid, cost_ns: u64) {
        let until = self.kernel.now().plus_nanos(cost_ns);
        self.kernel.trace.emit(Event::Busy {
            node: pid.node(),
            until_ns: until.as_nanos(),
        });
        let Some(group) = self.kernel.tasks.get(slot).map(|task| task.group) else {
            return;
        };
        if let Err(reached) = self.kernel.stall_until(group, until) {
            self.stop(reached);
        }
    }

    #[cold]
    pub(crate) fn note_panic(&mut self, pid: Pid, panicked: &Panicked) {
        let place = panicked.place.as_deref().unwrap_or("an unknown place");
        self.kernel
            .trace
            .note(pid, || format!("panicked at {place}: {}", panicked.message));
    }

    /// A packet came to its node: finds the process or call that it is for, and who decodes it.
    #[inline]
    fn take_in(&mut self, packet: Box<Packet>) -> Begin {
        let node = packet.to.node();
        self.kernel.trace.emit(Event::Arrive {
            id: packet.id,
            node,
        });
        if packet.what == Carries::Signal {
            return self.signal_came(packet);
        }
        if let Target::Alias(to, alias) = packet.to {
            return match self.answer_taker(to, alias) {
                Some(deliver) => Begin::Deliver {
                    packet,
                    deliver,
                    to,
                    slot: alias,
                },
                None => self.turn_away(packet, None),
            };
        }
        match self.resolve(packet.to) {
            Ok((to, slot)) => match self.process(slot) {
                Some(process) => {
                    let deliver = process.receiver.deliver;
                    if let Carries::Question(alias) = packet.what {
                        self.question_came(packet.id.from, alias, Ok(slot));
                    }
                    Begin::Deliver {
                        packet,
                        deliver,
                        to,
                        slot,
                    }
                }
                None => self.turn_away(packet, Some(DeadReason::NoProc)),
            },
            Err(why) => self.turn_away(packet, Some(why)),
        }
    }

    #[cold]
    fn signal_came(&mut self, packet: Box<Packet>) -> Begin {
        if self.nodes[packet.to.node().index()].up {
            self.take_signal(&packet);
            self.core().1.recycle(packet);
            self.settle();
            return Begin::Bury(Stepped::Polled);
        }
        self.turn_away(packet, Some(DeadReason::NodeDown))
    }

    /// A packet that nobody takes: a dead letter or, without a reason, an answer that came too late.
    #[cold]
    fn turn_away(&mut self, packet: Box<Packet>, why: Option<DeadReason>) -> Begin {
        let (id, to) = (packet.id, packet.to);
        let node = to.node();
        if let Carries::Question(alias) = packet.what
            && self.nodes[node.index()].up
        {
            self.question_came(id.from, alias, Err(Pid::of_node(node, 0)));
        }
        match (why, to) {
            _ if !self.nodes[node.index()].up => {
                self.dead_letter(node, id, to, DeadReason::NodeDown);
            }
            (None, Target::Alias(to, _) | Target::Pid(to)) => {
                self.kernel.trace.emit(Event::Stale { id, to });
                self.kernel.trace.books.ended(node, id, Fate::Stale);
            }
            (why, _) => {
                self.dead_letter(node, id, to, why.unwrap_or(DeadReason::NoName));
            }
        }
        self.core().1.recycle(packet);
        Begin::Tell(Stepped::Polled)
    }
}

/// Drops what was to be dropped, outside any borrow. What such code sends or draws is discarded: its
/// process has ended.
#[cold]
pub(crate) fn bury() {
    let mut graveyard = with(System::dig);
    let mut panics = Vec::new();
    while !graveyard.is_empty() {
        for remains in graveyard.drain(..) {
            panics.extend(run_user(|| drop(remains)).err());
        }
        with(|system| {
            system.kernel.wake_woken();
            if !system.dying.is_empty() {
                system.settle();
            }
            std::mem::swap(&mut graveyard, &mut system.graveyard);
        });
    }
    with(|system| {
        system.graveyard = graveyard;
        system.current = Current::NONE;
        for panicked in &panics {
            system.note_panic(Pid::NOBODY, panicked);
        }
    });
}
