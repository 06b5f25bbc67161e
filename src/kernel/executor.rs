//! The executor: what happens next, in which order, and at which time.

use super::agenda::{Agenda, Key};
use super::bounds::{Bounds, Reached};
use super::slab::Slab;
use super::time::Time;
use super::waker::Epoch;
use crate::choice::{Choice, Kind, Lineage, Shape, Site};
use crate::trace::{Event, Limit, Pid, Trace};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::pin::Pin;

/// What a task is for the floor above.
pub trait TaskData {
    /// What its future gives when it ends.
    type Output;

    /// The id under which events name it.
    fn pid(&self) -> Pid;
}

/// A task's future.
pub type Body<O> = Pin<Box<dyn Future<Output = O>>>;

/// A group of tasks that are stalled and resumed together.
pub type GroupId = u32;

/// A future and what goes with it.
#[allow(missing_debug_implementations, reason = "a future has no Debug")]
pub struct Task<D: TaskData> {
    /// Absent while it is polled, and before it was filled in.
    pub body: Option<Body<D::Output>>,
    /// Who it is, for draws.
    pub lineage: Lineage,
    /// Its group.
    pub group: GroupId,
    /// Whether its last poll registered a wait that netsplit knows.
    pub waits: bool,
    wakes: u64,
    /// The wake order of its entry in the ready queue; 0 when it has none.
    queued: u64,
    /// The floor above's own.
    pub data: D,
}

/// What is due when an entry of the agenda comes: 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Who caused it, for the draw of its rank.
    pub who: Lineage,
    /// The how-manieth that it caused.
    pub nth: u32,
    /// What it is.
    pub what: What,
}

impl Due {
    /// Where its rank is drawn. A process counts its timers and its packets each from 1, and a node's
    /// stalls are counted too: the sort of thing that is due keeps their sites apart.
    fn site(self) -> Site {
        let nth = u64::from(self.what.0 >> 30) << 32 | u64::from(self.nth);
        Site::new(Kind::DueRank, self.who, nth)
    }
}

/// What an entry of the agenda does: two bits of sort and thirty of number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct What(u32);

const NUMBER: u32 = (1 << 30) - 1;

impl What {
    /// Wakes the task in this slot.
    #[must_use]
    pub const fn wake(slot: u32) -> What {
        What(slot & NUMBER)
    }
    /// Resumes this group.
    #[must_use]
    pub const fn resume(group: GroupId) -> What {
        What(1 << 30 | group & NUMBER)
    }
    /// Something of the floor above, by a number of its own.
    #[must_use]
    pub const fn process(number: u32) -> What {
        What(2 << 30 | number & NUMBER)
    }
    /// Something of the host, by a number of its own.
    #[must_use]
    pub const fn host(number: u32) -> What {
        What(3 << 30 | number & NUMBER)
    }
}

/// What the kernel found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Poll the task in this slot.
    Step(u32),
    /// The floor above's entry of this number is due.
    Process(u32),
    /// The host's entry of this number is due.
    Host(u32),
    /// Nothing before the moment asked for; `true` when there is nothing after it either.
    Quiet(bool),
}

#[derive(Debug, Default)]
struct Group {
    stalls: u32,
    parked: Vec<Reverse<u128>>,
    step_cost_ns: u64,
    lineage: Option<Lineage>,
    stalled: u32,
}

const DUE: u32 = 1 << 31;

/// The state of a run below processes.
#[allow(missing_debug_implementations, reason = "a future has no Debug")]
pub struct Kernel<D: TaskData> {
    /// The one door for chance.
    pub choice: Choice,
    /// What happened so far.
    pub trace: Trace,
    /// What will happen.
    agenda: Agenda<Due>,
    /// The bounds of the run.
    pub bounds: Bounds,
    /// Live tasks.
    pub tasks: Slab<Task<D>>,
    /// The wakers' epoch.
    pub epoch: Epoch,
    now: Time,
    steps: u64,
    steps_at_once: u64,
    order: u64,
    ready: BinaryHeap<Reverse<u128>>,
    due: Vec<(Key, Option<Due>)>,
    groups: Vec<Group>,
    scratch: Vec<(Key, super::agenda::Entry<Due>)>,
    woken: Vec<(u32, u16)>,
}

impl<D: TaskData> Kernel<D> {
    /// A kernel at time zero with nothing to do.
    #[must_use]
    pub fn new(choice: Choice, trace: Trace, bounds: Bounds) -> Kernel<D> {
        Kernel {
            choice,
            trace,
            agenda: Agenda::new(),
            bounds,
            tasks: Slab::default(),
            epoch: super::waker::enter(),
            now: Time::ZERO,
            steps: 0,
            steps_at_once: 0,
            order: 0,
            ready: BinaryHeap::new(),
            due: Vec::new(),
            groups: Vec::new(),
            scratch: Vec::new(),
            woken: Vec::new(),
        }
    }

    /// The virtual time.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Steps so far: polls, and entries of the agenda that came due.
    #[inline]
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// A new group, whose own draws are addressed by `lineage`.
    pub fn group(&mut self, lineage: Lineage) -> GroupId {
        self.groups.push(Group {
            lineage: Some(lineage),
            ..Group::default()
        });
        self.groups.len() as GroupId - 1
    }

    /// From now on each step of the group costs so many nanoseconds, in which it steps nothing else.
    pub fn set_step_cost(&mut self, group: GroupId, nanos: u64) {
        self.groups[group as usize].step_cost_ns = nanos;
    }

    /// A new task; its body is filled in later. It is not ready before it is woken.
    pub fn insert(&mut self, lineage: Lineage, group: GroupId, data: D) -> (u32, u16) {
        let task = Task {
            body: None,
            lineage,
            group,
            waits: false,
            wakes: 0,
            queued: 0,
            data,
        };
        self.tasks.insert(task)
    }

    /// Puts a task into the ready queue, once; its rank is drawn.
    #[inline]
    pub fn wake(&mut self, slot: u32) {
        let Some(task) = self.tasks.get_mut(slot) else {
            return;
        };
        if task.queued != 0 {
            return;
        }
        task.wakes += 1;
        self.order += 1;
        task.queued = self.order;
        let site = Site::new(Kind::Rank, task.lineage, task.wakes);
        let rank = self.choice.draw(site, Shape::Rank);
        self.ready.push(ready_item(rank, self.order, slot));
    }

    /// Wakes the tasks whose wakers were called since the last time.
    #[inline]
    pub fn wake_woken(&mut self) {
        let mut woken = std::mem::take(&mut self.woken);
        self.epoch
            .woken(|slot, generation| woken.push((slot, generation)));
        for &(slot, generation) in &woken {
            if self.tasks.find(slot, generation).is_some() {
                self.wake(slot);
            }
        }
        woken.clear();
        self.woken = woken;
    }

    /// Adds an entry to the agenda, due at `at` exactly.
    ///
    /// # Errors
    /// [`Reached`] where the agenda is full.
    #[inline]
    pub fn arm(&mut self, at: Time, due: Due) -> Result<Key, Reached> {
        if self.agenda.len() >= self.bounds.agenda {
            return Err(self.reached(Limit::Agenda, self.bounds.agenda as u64));
        }
        Ok(self.agenda.push(at.max(self.now), due))
    }

    /// Adds an entry to the agenda, due anywhere from `earliest` to `latest`: who comes first is drawn.
    ///
    /// # Errors
    /// [`Reached`] where the agenda is full.
    pub fn arm_within(&mut self, earliest: Time, latest: Time, due: Due) -> Result<Key, Reached> {
        if self.agenda.len() >= self.bounds.agenda {
            return Err(self.reached(Limit::Agenda, self.bounds.agenda as u64));
        }
        Ok(self
            .agenda
            .push_window(earliest.max(self.now), latest.max(self.now), due))
    }

    /// Takes an entry off the agenda: what it would have been, and when.
    pub fn disarm(&mut self, key: Key) -> Option<(Time, Due)> {
        if let Some(entry) = self.agenda.cancel(key) {
            return Some((entry.latest, entry.event));
        }
        let due = self.due.iter_mut().find(|(k, _)| *k == key)?.1.take()?;
        Some((self.now, due))
    }

    /// Whether an entry is still to come.
    #[inline]
    #[must_use]
    pub fn is_armed(&self, key: Key) -> bool {
        self.agenda.contains(key) || self.due.iter().any(|(k, due)| *k == key && due.is_some())
    }

    /// How long until an entry comes.
    #[must_use]
    pub fn time_left(&self, key: Key) -> Option<std::time::Duration> {
        Some(self.agenda.get(key)?.latest.since(self.now))
    }

    /// Whether anything is still to come.
    #[must_use]
    pub fn has_agenda(&self) -> bool {
        !self.agenda.is_empty()
    }

    /// Notes a bound as reached.
    #[cold]
    pub fn reached(&mut self, limit: Limit, most: u64) -> Reached {
        self.trace.emit(Event::Bound { limit, most });
        Reached { limit, most }
    }

    /// Stalls a group until `until`: its tasks do not step before.
    ///
    /// # Errors
    /// [`Reached`] where the agenda is full.
    pub fn stall_until(&mut self, group: GroupId, until: Time) -> Result<(), Reached> {
        let state = &mut self.groups[group as usize];
        state.stalls += 1;
        state.stalled += 1;
        let who = state.lineage.unwrap_or(Lineage::RUN);
        let due = Due {
            who,
            nth: state.stalled,
            what: What::resume(group),
        };
        self.arm(until, due).map(drop)
    }

    /// Stalls a group until it is resumed.
    pub fn stall(&mut self, group: GroupId) {
        self.groups[group as usize].stalls += 1;
    }

    /// Ends one stall of a group; with the last, its ready tasks may step again.
    pub fn resume(&mut self, group: GroupId) {
        let state = &mut self.groups[group as usize];
        state.stalls = state.stalls.saturating_sub(1);
        if state.stalls == 0 {
            self.ready.extend(state.parked.drain(..));
        }
    }

    /// What happens next, not after `until`. Steps go before time moves.
    ///
    /// # Errors
    /// [`Reached`] where the run uses more steps than it may.
    #[inline]
    pub fn next(&mut self, until: Time) -> Result<Next, Reached> {
        loop {
            if !self.agenda.has_windows() {
                if let Some(Reverse(item)) = self.ready.pop() {
                    match self.item(item) {
                        Some(next) => return self.count(next),
                        None => continue,
                    }
                }
                let Some((key, entry)) = self.agenda.pop_due(until) else {
                    return Ok(Next::Quiet(self.agenda.is_empty()));
                };
                let at = entry.latest.max(self.now);
                self.move_to(at);
                let Some((second_key, second)) = self.agenda.pop_due(at) else {
                    match self.due_now(entry.event) {
                        Some(next) => return self.count(next),
                        None => continue,
                    }
                };
                self.queue_due(key, entry.event);
                self.queue_due(second_key, second.event);
                while let Some((key, entry)) = self.agenda.pop_due(at) {
                    self.queue_due(key, entry.event);
                }
            } else if let Some(next) = self.choose(until) {
                return self.count(next);
            }
        }
    }

    #[inline]
    fn move_to(&mut self, at: Time) {
        if at > self.now {
            self.now = at;
            self.steps_at_once = 0;
            self.trace.at(at.as_nanos(), self.steps);
            self.trace.emit(Event::Clock {
                now_ns: at.as_nanos(),
            });
        }
        self.due.clear();
    }

    #[inline]
    fn count(&mut self, next: Next) -> Result<Next, Reached> {
        if let Next::Quiet(_) = next {
            return Ok(next);
        }
        self.steps += 1;
        self.steps_at_once += 1;
        self.choice.step = self.steps;
        self.trace.at(self.now.as_nanos(), self.steps);
        if self.steps > self.bounds.steps {
            return Err(self.reached(Limit::Steps, self.bounds.steps));
        }
        if self.steps_at_once > self.bounds.steps_at_once {
            return Err(self.reached(Limit::StepsAtOnce, self.bounds.steps_at_once));
        }
        Ok(next)
    }

    /// An item of the ready queue, unless it is stale or its group is stalled.
    #[inline]
    fn item(&mut self, item: u128) -> Option<Next> {
        let low = item as u32;
        if low & DUE != 0 {
            let due = self.due[(low & !DUE) as usize].1.take()?;
            return self.due_now(due);
        }
        let order = (item >> 32) as u64;
        let task = self.tasks.get_mut(low)?;
        if task.queued != order {
            return None;
        }
        let group = &mut self.groups[task.group as usize];
        if group.stalls > 0 {
            group.parked.push(Reverse(item));
            return None;
        }
        task.queued = 0;
        Some(Next::Step(low))
    }

    #[inline]
    fn due_now(&mut self, due: Due) -> Option<Next> {
        let number = due.what.0 & NUMBER;
        match due.what.0 >> 30 {
            0 => {
                if let Some(task) = self.tasks.get(number) {
                    self.trace.emit(Event::TimerFired {
                        pid: task.data.pid(),
                    });
                }
                self.wake(number);
                None
            }
            1 => {
                self.resume(number);
                None
            }
            2 => Some(Next::Process(number)),
            _ => Some(Next::Host(number)),
        }
    }

    fn queue_due(&mut self, key: Key, due: Due) {
        let rank = self.choice.draw(due.site(), Shape::Rank);
        self.order += 1;
        self.ready
            .push(ready_item(rank, self.order, DUE | self.due.len() as u32));
        self.due.push((key, Some(due)));
    }

    /// With real windows on the agenda: draws which candidate comes first, a ready step or an entry.
    #[cold]
    fn choose(&mut self, until: Time) -> Option<Next> {
        let mut candidates = std::mem::take(&mut self.scratch);
        candidates.clear();
        self.agenda.candidates(&mut candidates);
        let steps_wait = !self.ready.is_empty();
        let mut best: Option<(u64, u64, Key, Due, Time)> = None;
        for (key, entry) in &candidates {
            if entry.earliest > until || (steps_wait && entry.earliest > self.now) {
                continue;
            }
            let due = entry.event;
            let rank = self.choice.draw(due.site(), Shape::Rank);
            if best.is_none_or(|(r, o, ..)| (rank, entry.order) < (r, o)) {
                best = Some((rank, entry.order, *key, due, entry.earliest));
            }
        }
        self.scratch = candidates;
        let ready_first = match (self.ready.peek(), best) {
            (Some(Reverse(item)), Some((rank, ..))) => (item >> 96) as u64 <= rank,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return Some(Next::Quiet(false)),
        };
        if ready_first {
            let Reverse(item) = self.ready.pop()?;
            return self.item(item);
        }
        let (_, _, key, due, earliest) = best?;
        self.agenda.cancel(key);
        self.move_to(earliest.max(self.now));
        self.due_now(due)
    }

    /// Every live entry of the agenda that is the host's, by its number.
    pub fn host_entries(&mut self) -> Vec<u32> {
        let mut numbers = Vec::new();
        while let Some((_, entry)) = self.agenda.pop_due(Time::MAX) {
            if entry.event.what.0 >> 30 == 3 {
                numbers.push(entry.event.what.0 & NUMBER);
            }
        }
        let due = self.due.iter().filter_map(|(_, due)| *due);
        numbers.extend(
            due.filter(|d| d.what.0 >> 30 == 3)
                .map(|d| d.what.0 & NUMBER),
        );
        numbers
    }

    /// The step cost of a task's group.
    #[inline]
    #[must_use]
    pub fn step_cost_ns(&self, group: GroupId) -> u64 {
        self.groups[group as usize].step_cost_ns
    }
}

#[inline]
fn ready_item(rank: u64, order: u64, slot: u32) -> Reverse<u128> {
    Reverse(u128::from(rank) << 96 | u128::from(order) << 32 | u128::from(slot))
}
