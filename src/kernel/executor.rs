//! The executor: what happens next, in which order, and at which time.

use super::agenda::{Agenda, Key};
use super::bounds::{Bounds, Reached};
use super::ready::Ready;
use super::slab::Slab;
use super::time::Time;
use super::waker::Epoch;
use crate::choice::{Choice, Class, Kind, Lineage, NOWHERE, Shape, Site};
use crate::trace::{Event, Limit, Pid, Trace};
use rustc_hash::FxHashMap;
use std::cell::Cell;
use std::pin::Pin;

mod search;

use search::{Armed, Search};

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
    /// Whether a timer of its own went off since its last poll.
    pub rang: bool,
    /// How often it was woken: each time it is polled once.
    pub wakes: u64,
    /// The wake order of its entry in the ready queue; 0 when it has none.
    queued: u64,
    /// The floor above's own.
    pub data: D,
}

impl<D: TaskData> Task<D> {
    /// Whether it waits to be released.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.queued == SUSPENDED
    }
}

/// Stands in `queued` for a task that is suspended: no wake finds it unqueued, and no item has this order.
const SUSPENDED: u64 = u64::MAX;

/// A live task, and what it takes to wake it.
#[allow(missing_debug_implementations, reason = "a future has no Debug")]
pub struct Live<'a, D: TaskData> {
    /// The task.
    pub task: &'a mut Task<D>,
    slot: u32,
    order: &'a mut u64,
    ready: &'a mut Ready,
    choice: &'a mut Choice,
}

impl<D: TaskData> Live<'_, D> {
    /// Puts the task into the ready queue, once.
    #[inline(always)]
    pub fn wake(&mut self) {
        if self.task.queued != 0 {
            return;
        }
        // First the site, then the count: a site that is read as a whole waits for one just written.
        let nth = self.task.wakes.wrapping_add(1);
        let order = self.order.wrapping_add(1);
        let site = Site::new(Kind::Rank, self.task.lineage, nth);
        self.ready.push(self.choice, site, order, self.slot);
        self.task.wakes = nth;
        self.task.queued = order;
        *self.order = order;
    }
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
    /// Whether it only makes tasks ready.
    const fn is_quiet(self) -> bool {
        self.0 >> 30 < 2
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

/// A moment that chance decides.
#[derive(Clone, Copy, Debug)]
pub struct Drawn<'a> {
    /// The moment for the outcome 0. Where it is over, now is meant.
    pub from: Time,
    /// The address of the draw of how many nanoseconds later.
    pub site: Site,
    /// What it can be.
    pub shape: Shape<'a>,
    /// What sort of thing comes then.
    pub class: Class,
    /// A number for the place at which it comes.
    pub receiver: u32,
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
    /// The floor above wants to know that time is about to move, since it said so.
    Unsettled,
    /// Nothing before the moment asked for; `true` when there is nothing after it either.
    Quiet(bool),
}

#[derive(Debug, Default)]
struct Group {
    stalls: u32,
    parked: Vec<u128>,
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
    /// Whether the floor above has put something off until time moves.
    pub unsettled: bool,
    now: Time,
    steps: u64,
    /// The last step that the bounds allow at this instant.
    last_step: u64,
    order: u64,
    ready: Ready,
    /// What is due at this instant, where that is more than one entry, and still waits for its turn.
    due: Vec<Option<(Key, Due)>>,
    due_keys: FxHashMap<Key, u32>,
    groups: Vec<Group>,
    /// How many groups are stalled.
    stalled: usize,
    /// Whether steps of any group cost time.
    costs: bool,
    /// Absent: what comes next follows from the moments that were drawn.
    search: Option<Box<Search>>,
    woken: Vec<(u32, u16)>,
}

thread_local! {
    /// The memory of the last run's agenda: making it anew costs more than a short run's events.
    static SPARE: Cell<Option<Agenda<Due>>> = const { Cell::new(None) };
}

impl<D: TaskData> Kernel<D> {
    /// A kernel at time zero with nothing to do.
    #[must_use]
    pub fn new(mut choice: Choice, trace: Trace, bounds: Bounds) -> Kernel<D> {
        let search = choice.take_chooser();
        let mut kernel = Kernel {
            search: search.map(|chooser| Box::new(Search::new(chooser))),
            choice,
            trace,
            agenda: SPARE.take().unwrap_or_default(),
            bounds,
            tasks: Slab::default(),
            epoch: super::waker::enter(),
            unsettled: false,
            now: Time::ZERO,
            steps: 0,
            last_step: 0,
            order: 0,
            ready: Ready::default(),
            due: Vec::new(),
            due_keys: FxHashMap::default(),
            groups: Vec::new(),
            stalled: 0,
            costs: false,
            woken: Vec::new(),
        };
        kernel.allow_steps();
        kernel
    }

    /// At the end of a run: gives the draws back, and keeps the agenda's memory for this thread's next run.
    #[must_use]
    pub fn retire(mut self) -> Choice {
        self.agenda.clear();
        SPARE.set(Some(self.agenda));
        if let Some(search) = self.search.take() {
            search.retire();
        }
        self.choice
    }

    /// The virtual time.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Nothing more happens before `at`: it is that moment now.
    pub fn pass(&mut self, at: Time) {
        self.move_to(at);
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
        self.costs |= nanos > 0;
    }

    /// A new task; its body is filled in later. It is not ready before it is woken.
    pub fn insert(&mut self, lineage: Lineage, group: GroupId, data: D) -> (u32, u16) {
        let task = Task {
            body: None,
            lineage,
            group,
            waits: false,
            rang: false,
            wakes: 0,
            queued: 0,
            data,
        };
        self.tasks.insert(task)
    }

    /// From now on the task is not polled, whatever wakes it, until it is released.
    pub fn suspend(&mut self, slot: u32) {
        if let Some(task) = self.tasks.get_mut(slot) {
            task.queued = SUSPENDED;
        }
    }

    /// Ends a task's suspension: it is polled again.
    pub fn release(&mut self, slot: u32) {
        if let Some(task) = self.tasks.get_mut(slot)
            && task.queued == SUSPENDED
        {
            task.queued = 0;
            self.wake(slot);
        }
    }

    /// Puts a task into the ready queue, once; its rank is drawn.
    #[inline]
    pub fn wake(&mut self, slot: u32) {
        if let Some(mut live) = self.live(slot) {
            live.wake();
        }
    }

    /// A live task, and what it takes to wake it.
    #[inline(always)]
    pub fn live(&mut self, slot: u32) -> Option<Live<'_, D>> {
        let task = self.tasks.get_mut(slot)?;
        Some(Live {
            task,
            slot,
            order: &mut self.order,
            ready: &mut self.ready,
            choice: &mut self.choice,
        })
    }

    /// Wakes the tasks whose wakers were called since the last time.
    #[inline(always)]
    pub fn wake_woken(&mut self) {
        if self.epoch.any_woken() {
            self.wake_woken_but(u32::MAX);
        }
    }

    /// The same, but for the task in this slot: it is about to be polled.
    pub fn wake_woken_but(&mut self, polled: u32) {
        let mut woken = std::mem::take(&mut self.woken);
        self.epoch
            .woken(|slot, generation| woken.push((slot, generation)));
        for &(slot, generation) in &woken {
            if slot != polled && self.tasks.find(slot, generation).is_some() {
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
        let at = at.max(self.now);
        let key = self.push(at, due)?;
        if let Some(search) = &mut self.search {
            let armed = Armed {
                key,
                class: Class::Timer,
                receiver: NOWHERE,
                draw: None,
            };
            search.armed(armed, at, at);
        }
        Ok(key)
    }

    #[inline(always)]
    fn push(&mut self, at: Time, due: Due) -> Result<Key, Reached> {
        if self.agenda.len() >= self.bounds.agenda {
            return Err(self.reached(Limit::Agenda, self.bounds.agenda as u64));
        }
        Ok(self.agenda.push(at, due))
    }

    /// Adds an entry to the agenda, due at a moment that chance decides: at once, by a draw, or later, by
    /// whoever chooses what comes next. Either way it is one draw, with one outcome.
    ///
    /// # Errors
    /// [`Reached`] where the agenda is full.
    #[inline(always)]
    pub fn arm_drawn(&mut self, drawn: &Drawn<'_>, due: Due) -> Result<Key, Reached> {
        if self.search.is_some() {
            return self.arm_window(drawn, due);
        }
        let after_ns = match drawn.shape {
            Shape::UpTo(0) if self.choice.is_seeded() => 0,
            shape => self.choice.draw(drawn.site, shape),
        };
        self.push(drawn.from.plus_nanos(after_ns).max(self.now), due)
    }

    /// Takes an entry off the agenda: what it would have been, and when.
    #[inline(always)]
    pub fn disarm(&mut self, key: Key) -> Option<(Time, Due)> {
        let Some(entry) = self.agenda.cancel(key) else {
            return self.disarm_due(key);
        };
        if let Some(search) = &mut self.search {
            search.gone(key);
        }
        Some((entry.at, entry.event))
    }

    /// One that is due already, and was not handed out yet.
    #[cold]
    fn disarm_due(&mut self, key: Key) -> Option<(Time, Due)> {
        let index = self.due_keys.remove(&key)?;
        let (_, due) = self.due[index as usize].take()?;
        Some((self.now, due))
    }

    /// Whether an entry is still to come.
    #[inline]
    #[must_use]
    pub fn is_armed(&self, key: Key) -> bool {
        self.agenda.contains(key) || self.due_keys.contains_key(&key)
    }

    /// When the next timer of each task is due, by slot: for reports, since it touches the whole agenda.
    #[must_use]
    pub fn wake_times(&self) -> FxHashMap<u32, Time> {
        let mut times = FxHashMap::default();
        for entry in self.agenda.entries() {
            let what = entry.event.what;
            if what == What::wake(what.0) {
                let least = times.entry(what.0).or_insert(entry.at);
                *least = entry.at.min(*least);
            }
        }
        times
    }

    /// Whether a task stands in the ready queue.
    #[must_use]
    pub fn is_ready(&self, slot: u32) -> bool {
        let task = self.tasks.get(slot);
        task.is_some_and(|task| task.queued != 0 && !task.is_suspended())
    }

    /// Whether a task's group steps nothing now.
    #[must_use]
    pub fn is_stalled(&self, slot: u32) -> bool {
        let task = self.tasks.get(slot);
        task.is_some_and(|task| self.groups[task.group as usize].stalls > 0)
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
        self.stall(group);
        let state = &mut self.groups[group as usize];
        state.stalled += 1;
        let who = state.lineage.unwrap_or(Lineage::RUN);
        let (nth, what) = (state.stalled, What::resume(group));
        self.arm(until, Due { who, nth, what }).map(drop)
    }

    /// Stalls a group until it is resumed.
    pub fn stall(&mut self, group: GroupId) {
        let state = &mut self.groups[group as usize];
        self.stalled += usize::from(state.stalls == 0);
        state.stalls += 1;
    }

    /// Ends one stall of a group; with the last, its ready tasks may step again.
    pub fn resume(&mut self, group: GroupId) {
        let state = &mut self.groups[group as usize];
        if state.stalls == 0 {
            return;
        }
        state.stalls -= 1;
        if state.stalls == 0 {
            self.stalled -= 1;
            self.ready.draw_first(&mut self.choice);
            for item in state.parked.drain(..) {
                self.ready.push_drawn(item);
            }
        }
    }

    /// When something happens next: now, where a task is ready or something was put off; if ever.
    #[must_use]
    pub fn next_at(&self) -> Option<Time> {
        if self.ready.is_empty() && !self.unsettled {
            self.agenda.next_at()
        } else {
            Some(self.now)
        }
    }

    /// What happens next, not after `until`. Steps go before time moves.
    ///
    /// # Errors
    /// [`Reached`] where the run uses more steps than it may.
    #[inline(always)]
    pub fn next(&mut self, until: Time) -> Result<Next, Reached> {
        loop {
            if let Some(item) = self.ready.pop() {
                match self.item(item) {
                    Some(next) => return self.count(next),
                    None => continue,
                }
            }
            if self.unsettled {
                return Ok(Next::Unsettled);
            }
            if self.search.is_some() {
                match self.choose(until) {
                    Some(Next::Quiet(over)) => return Ok(Next::Quiet(over)),
                    Some(next) => return self.count(next),
                    None => continue,
                }
            }
            let Some((key, entry)) = self.agenda.pop_due(until) else {
                return Ok(Next::Quiet(self.agenda.is_empty()));
            };
            let at = entry.at.max(self.now);
            self.move_to(at);
            if self.agenda.may_be_due(at)
                && let Some((second_key, second)) = self.agenda.pop_due(at)
            {
                self.queue_due(key, entry.event);
                self.queue_due(second_key, second.event);
                while let Some((key, entry)) = self.agenda.pop_due(at) {
                    self.queue_due(key, entry.event);
                }
                continue;
            }
            match self.due_now(entry.event) {
                Some(next) => return self.count(next),
                None => continue,
            }
        }
    }

    #[inline]
    fn move_to(&mut self, at: Time) {
        if at > self.now {
            self.now = at;
            self.allow_steps();
            let (now_ns, steps) = (at.as_nanos(), self.steps);
            self.trace.at(now_ns, steps);
            self.trace.emit(Event::Clock { now_ns, steps });
        }
        if !self.due.is_empty() {
            self.due.clear();
            self.due_keys.clear();
        }
    }

    #[inline(always)]
    fn count(&mut self, next: Next) -> Result<Next, Reached> {
        self.steps = self.steps.wrapping_add(1);
        self.choice.step = self.steps;
        self.trace.at(self.now.as_nanos(), self.steps);
        if self.steps > self.last_step {
            return Err(self.too_many_steps());
        }
        Ok(next)
    }

    #[cold]
    fn too_many_steps(&mut self) -> Reached {
        if self.steps > self.bounds.steps {
            self.reached(Limit::Steps, self.bounds.steps)
        } else {
            self.reached(Limit::StepsAtOnce, self.bounds.steps_at_once)
        }
    }

    /// The last step that the bounds allow, at an instant that begins now.
    fn allow_steps(&mut self) {
        let at_once = self.steps.saturating_add(self.bounds.steps_at_once);
        self.last_step = at_once.min(self.bounds.steps);
    }

    /// An item of the ready queue, unless it is stale or its group is stalled.
    #[inline(always)]
    fn item(&mut self, item: u128) -> Option<Next> {
        let low = item as u32;
        if low & DUE != 0 {
            let (key, due) = self.due[(low & !DUE) as usize].take()?;
            self.due_keys.remove(&key);
            return self.due_now(due);
        }
        let order = (item >> 32) as u64;
        let task = self.tasks.get_mut(low)?;
        if task.queued != order {
            return None;
        }
        if self.stalled > 0 && self.groups[task.group as usize].stalls > 0 {
            let group = &mut self.groups[task.group as usize];
            let rank = if item >> 96 == 0 && self.choice.is_seeded() {
                // It may not be drawn yet; under a seed, drawing again gives the same.
                let site = Site::new(Kind::Rank, task.lineage, task.wakes);
                self.choice.draw(site, Shape::Rank)
            } else {
                0
            };
            group.parked.push(item | u128::from(rank) << 96);
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
                if let Some(task) = self.tasks.get_mut(number) {
                    task.rang = true;
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

    /// One of several entries that are due at once. What only makes tasks ready does so now, since their
    /// steps have ranks of their own; anything else waits for its turn among the steps.
    fn queue_due(&mut self, key: Key, due: Due) {
        if due.what.is_quiet() {
            self.due_now(due);
            return;
        }
        self.order += 1;
        let slot = DUE | self.due.len() as u32;
        self.ready
            .push(&mut self.choice, due.site(), self.order, slot);
        self.due_keys.insert(key, self.due.len() as u32);
        self.due.push(Some((key, due)));
    }

    /// The step cost of a task's group.
    #[inline(always)]
    #[must_use]
    pub fn step_cost_ns(&self, group: GroupId) -> u64 {
        if self.costs {
            self.groups[group as usize].step_cost_ns
        } else {
            0
        }
    }
}
