//! One step of the run, and what comes in from the host: the only place where user code is run.

use super::address::Target;
use super::exit::ExitReason;
use super::host::Packet;
use super::system::{Current, Deliver, Remains, System, with};
use crate::kernel::{Body, Next, Panicked, Reached, Time, own_waker, run_user};
use crate::trace::{DeadReason, Event, Fate, NodeId, Pid};
use std::task::{Context as TaskContext, Poll, Waker};

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

/// Why a run cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StepError {
    /// A bound of the run.
    Reached(Reached),
    /// A process was woken from outside the run.
    OutsideWake(Pid),
}

enum Begin {
    Poll {
        slot: u32,
        body: Body<ExitReason>,
        waker: Waker,
    },
    Process(u32),
    Nothing,
    Other(Stepped),
}

/// What is to be done after a poll.
enum After {
    Nothing,
    Bury,
    Tell(Stepped),
}

/// Does the next thing that happens, not after `until`; with `many`, goes on for as long as that is to
/// poll processes.
pub(crate) fn step(until: Time, many: bool) -> Result<Stepped, StepError> {
    let mut begin = with(|system| system.begin(until))?;
    loop {
        let Begin::Poll {
            slot,
            mut body,
            waker,
        } = begin
        else {
            return step_other(begin);
        };
        let mut cx = TaskContext::from_waker(&waker);
        let polled = run_user(|| body.as_mut().poll(&mut cx));
        let after = with(|system| match system.end(slot, body, polled)? {
            After::Nothing if many => Ok(Ok(system.begin(until)?)),
            after => Ok(Err(after)),
        })?;
        match after {
            Ok(next) => begin = next,
            Err(After::Nothing) => return Ok(Stepped::Polled),
            Err(After::Bury) => {
                bury();
                return Ok(Stepped::Polled);
            }
            Err(After::Tell(stepped)) => {
                bury();
                return Ok(stepped);
            }
        }
    }
}

#[inline]
fn step_other(begin: Begin) -> Result<Stepped, StepError> {
    match begin {
        Begin::Other(stepped) => Ok(stepped),
        Begin::Process(index) => {
            if let Some((send, id, who)) = with(|system| system.take_delayed(index)) {
                let _ = run_user(|| send(id, who));
                bury();
            }
            Ok(Stepped::Polled)
        }
        Begin::Nothing | Begin::Poll { .. } => Ok(Stepped::Polled),
    }
}

impl System {
    #[inline(always)]
    fn begin(&mut self, until: Time) -> Result<Begin, StepError> {
        match self.kernel.next(until).map_err(StepError::Reached)? {
            Next::Step(slot) => {
                let epoch = self.kernel.epoch.number();
                let steps = self.kernel.steps();
                let Some((generation, task)) = self.kernel.tasks.entry(slot) else {
                    return Ok(Begin::Nothing);
                };
                let Some(body) = task.body.take() else {
                    return Ok(Begin::Nothing);
                };
                task.waits = false;
                task.data.wants = 0;
                if let Some(extra) = task.data.extra.as_mut() {
                    extra.foreign.clear();
                }
                let pid = task.data.pid;
                self.current = Current { slot, pid };
                self.budget = self.nodes[pid.node().index()].fuse;
                self.kernel.trace.log_only(Event::Step { pid });
                if let Some(beat) = self.beat.as_ref() {
                    beat.begin(pid, steps);
                }
                Ok(Begin::Poll {
                    slot,
                    body,
                    waker: own_waker(slot, generation, epoch),
                })
            }
            Next::Process(number) => Ok(Begin::Process(number)),
            Next::Host(number) => Ok(Begin::Other(Stepped::Host(number))),
            Next::Quiet(over) => Ok(Begin::Other(Stepped::Quiet(over))),
        }
    }

    /// After a poll.
    #[inline(always)]
    fn end(
        &mut self,
        slot: u32,
        body: Body<ExitReason>,
        polled: Result<Poll<ExitReason>, Panicked>,
    ) -> Result<After, StepError> {
        let Current { pid, .. } = std::mem::replace(&mut self.current, Current::NONE);
        let budget = std::mem::take(&mut self.budget);
        if let Some(beat) = self.beat.as_ref() {
            beat.end(self.kernel.steps());
        }
        let node = &mut self.nodes[pid.node().index()];
        if node.fuse != u64::MAX && budget != 0 {
            node.fuse = budget;
        }
        if self.tripped.is_none()
            && matches!(polled, Ok(Poll::Pending))
            && let Some(task) = self.kernel.tasks.get_mut(slot)
        {
            task.body = Some(body);
            let group = task.group;
            let cost = self.kernel.step_cost_ns(group);
            if cost > 0 {
                self.pay(slot, pid, cost);
            }
        } else {
            self.end_of_process(slot, pid, body, polled);
        }
        self.kernel.wake_woken();
        if !self.dying.is_empty() {
            self.settle();
        }
        if self.error.is_some() || self.kernel.epoch.has_foreign() {
            self.fail_step()?;
        }
        if self.tripped.is_some() || !self.ended_roots.is_empty() {
            let tripped = self.tripped.take();
            return Ok(After::Tell(
                tripped.map_or(Stepped::RootEnded, Stepped::Tripped),
            ));
        }
        let remains = !self.graveyard.is_empty() || !self.wake_later.is_empty();
        Ok(if remains { After::Bury } else { After::Nothing })
    }

    /// A poll was a process's last.
    fn end_of_process(
        &mut self,
        slot: u32,
        pid: Pid,
        body: Body<ExitReason>,
        polled: Result<Poll<ExitReason>, Panicked>,
    ) {
        self.graveyard.push(Remains::Body(body));
        match polled {
            // Its node crashes: the process ends with it.
            _ if self.tripped.is_some() => {}
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(reason)) => self.finish(slot, reason),
            Err(panicked) => {
                self.note_panic(pid, &panicked);
                self.finish(slot, panicked.into());
            }
        }
    }

    #[cold]
    fn fail_step(&mut self) -> Result<(), StepError> {
        if let Some(reached) = self.error.clone() {
            return Err(StepError::Reached(reached));
        }
        match self.kernel.epoch.foreign() {
            Some((slot, _)) => {
                let pid = self
                    .process(slot)
                    .map_or(Pid::NOBODY, |process| process.pid);
                Err(StepError::OutsideWake(pid))
            }
            None => Ok(()),
        }
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
            self.error.get_or_insert(reached);
        }
    }

    #[cold]
    pub(crate) fn note_panic(&mut self, pid: Pid, panicked: &Panicked) {
        let place = panicked.place.as_deref().unwrap_or("an unknown place");
        self.kernel
            .trace
            .note(pid, || format!("panicked at {place}: {}", panicked.message));
    }

    /// A process that waits for nothing that netsplit knows, when nothing more will happen.
    pub(crate) fn unknown_wait(&mut self) -> Option<Pid> {
        let mut tasks = self.kernel.tasks.iter();
        tasks
            .find(|(_, task)| !task.waits && task.body.is_some())
            .map(|(_, task)| task.data.pid)
    }

    /// Where a packet that came to its node goes: the process or call, and who decodes it.
    fn take_in(&mut self, packet: &Packet) -> Option<(Deliver, Pid, u32)> {
        let node = packet.to.node();
        self.kernel.trace.emit(Event::Arrive {
            id: packet.id,
            node,
        });
        if !self.nodes[node.index()].up {
            self.dead_letter(node, packet.id, packet.to.as_u64(), DeadReason::NodeDown);
            return None;
        }
        if let Target::Alias(pid, alias) = packet.to {
            let taker = self.answer_taker(pid, alias);
            if taker.is_none() {
                self.kernel.trace.emit(Event::Stale {
                    id: packet.id,
                    to: pid,
                });
                self.kernel.trace.books.ended(node, packet.id, Fate::Stale);
            }
            return taker.map(|deliver| (deliver, pid, alias));
        }
        match self.resolve(packet.to) {
            Ok((pid, slot)) => self
                .process(slot)
                .map(|process| (process.receiver.deliver, pid, slot)),
            Err(why) => {
                self.dead_letter(node, packet.id, packet.to.as_u64(), why);
                None
            }
        }
    }
}

/// A packet came to its node.
pub(crate) fn arrive(packet: Packet) {
    let taken = with(|system| system.take_in(&packet));
    if let Some((deliver, to, slot)) = taken {
        deliver(to, slot, &packet);
    }
    let more = with(|system| {
        let (_, mut core) = system.core();
        core.recycle(packet.bytes);
        !system.wake_later.is_empty()
    });
    if more {
        bury();
    }
}

/// Drops what was to be dropped, and calls what was to be called, outside any borrow. What such code
/// sends or draws is discarded: its process has ended.
#[cold]
pub(crate) fn bury() {
    loop {
        let (graveyard, wakers) = with(|system| {
            system.current = Current::ENDED;
            system.budget = 0;
            (
                std::mem::take(&mut system.graveyard),
                std::mem::take(&mut system.wake_later),
            )
        });
        let over = graveyard.is_empty() && wakers.is_empty();
        let mut panics = Vec::new();
        for remains in graveyard {
            panics.extend(run_user(|| drop(remains)).err());
        }
        for waker in wakers {
            panics.extend(run_user(|| waker.wake()).err());
        }
        with(|system| {
            system.current = Current::NONE;
            for panicked in &panics {
                system.note_panic(Pid::NOBODY, panicked);
            }
            system.kernel.wake_woken();
            if !system.dying.is_empty() {
                system.settle();
            }
        });
        if over {
            return;
        }
    }
}
