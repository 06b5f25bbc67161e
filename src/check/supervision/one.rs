//! One supervisor, as far as its events tell of it.

use super::Wrong;
use super::breach::Breach;
use super::processes::{ChildOf, Processes};
use crate::trace::{Pid, Reason, Restart, Strategy, Supervision};
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug)]
struct Child {
    restart: Restart,
    /// Its process, or its last one.
    pid: Option<Pid>,
    /// The supervisor takes it for running.
    is_up: bool,
    /// Its restart was counted, and is made later.
    is_due: bool,
    /// Its restart has failed, and will be tried again.
    has_failed: bool,
}

impl Child {
    const fn new() -> Child {
        Child {
            restart: Restart::Permanent,
            pid: None,
            is_up: false,
            is_due: false,
            has_failed: false,
        }
    }

    const fn starts(&mut self, restart: Restart) {
        (self.restart, self.is_due, self.has_failed) = (restart, false, false);
    }
}

/// Why a child is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It is one of those with which the supervisor begins.
    First,
    /// Somebody has asked for it, and it is new.
    New,
    /// Somebody has asked for it, and it was there before.
    ByHand,
    Restart,
}

/// A start that is under way.
#[derive(Debug)]
struct Start {
    child: u32,
    why: Why,
    /// What it has spawned for it last: mostly its process.
    made: Option<Pid>,
    /// And what else.
    more: Vec<Pid>,
}

/// A restart that is under way: stops from the last to this child, then starts from this child on.
#[derive(Clone, Copy, Debug)]
struct Pass {
    from: u32,
    /// It restarts this child alone.
    alone: bool,
    stops: bool,
    /// The next child to start is this one, or one after it.
    next: u32,
}

/// Why a supervisor does nothing more than to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    GaveUp,
    ShutDown,
    /// A child did not start.
    Failed,
    /// Its parent has asked.
    Asked,
}

#[derive(Debug)]
pub(super) struct One {
    pub(super) pid: Pid,
    index: u32,
    /// How many processes of children run.
    pub(super) lives: u32,
    strategy: Strategy,
    intensity: u32,
    period_ns: u64,
    children: BTreeMap<u32, Child>,
    /// Numbers from this one on are new.
    new_from: u32,
    /// Restarts of the last period, the oldest first.
    window: VecDeque<u64>,
    /// Exits of children that it has not seen to, in their order.
    ends: VecDeque<(Pid, Reason)>,
    starts: Option<Start>,
    /// The process that it waits for, after it has stopped it.
    stops: Option<(u32, Pid)>,
    pass: Option<Pass>,
    /// Passes of groups that wait before they start.
    waiting: Vec<Pass>,
    /// It has not yet done anything but its first starts.
    begins: bool,
    over: Option<Over>,
    /// All children from this number on are stopped, once it is over.
    stopped_from: u32,
    /// The last thing that it did was to let a child go.
    let_go: bool,
    /// A fault has befallen it, which may have crashed it.
    pub(super) is_struck: bool,
}

impl One {
    pub(super) fn new(pid: Pid, index: u32, how: (Strategy, u32, u64)) -> One {
        let (strategy, intensity, period_ns) = how;
        One {
            pid,
            index,
            lives: 0,
            strategy,
            intensity,
            period_ns,
            children: BTreeMap::new(),
            new_from: 0,
            window: VecDeque::new(),
            ends: VecDeque::new(),
            starts: None,
            stops: None,
            pass: None,
            waiting: Vec::new(),
            begins: true,
            over: None,
            stopped_from: u32::MAX,
            let_go: false,
            is_struck: false,
        }
    }

    fn is_group(&self) -> bool {
        matches!(self.strategy, Strategy::OneForAll | Strategy::RestForOne)
    }

    fn is_dynamic(&self) -> bool {
        self.strategy == Strategy::SimpleOneForOne
    }

    pub(super) fn starts(&self) -> bool {
        self.starts.is_some()
    }

    pub(super) fn did(
        &mut self,
        processes: &mut Processes,
        what: Supervision,
    ) -> Result<(), Wrong> {
        let had_let_go = std::mem::take(&mut self.let_go);
        match what {
            Supervision::Begins { .. } => Ok(()),
            Supervision::Starts {
                child,
                restart,
                by_hand,
                ..
            } => self.starts_child(processes, child, restart, by_hand),
            Supervision::Started { child, pid } => self.started(processes, child, pid),
            Supervision::NotStarted { child, ignored } => {
                self.not_started(processes, child, ignored)
            }
            Supervision::Stops {
                child,
                pid,
                by_hand,
            } => self.stops_child(processes, child, pid, by_hand),
            Supervision::Deletes { child } => self.deletes(processes, child),
            Supervision::Ended { child } => self.lets_go(processes, child),
            Supervision::Restarts { child, clock_ns } => self.restarts(processes, child, clock_ns),
            Supervision::Waits { child, .. } => self.waits(child),
            Supervision::GivesUp { child, clock_ns } => self.gives_up(processes, child, clock_ns),
            Supervision::ShutsDown => self.shuts_down(processes, had_let_go),
        }
    }

    // ---- starts

    fn starts_child(
        &mut self,
        processes: &mut Processes,
        child: u32,
        restart: Restart,
        by_hand: bool,
    ) -> Result<(), Wrong> {
        self.may_act(processes)?;
        let wrong = |breach| Err((Some(child), breach));
        let is_new = child >= self.new_from;
        let why = match (by_hand, is_new) {
            (true, true) => Why::New,
            (true, false) => Why::ByHand,
            (false, true) if self.begins => Why::First,
            (false, true) => return wrong(Breach::NotDue),
            (false, false) => Why::Restart,
        };
        let known = self.children.get(&child);
        if known.is_none() && !is_new {
            return wrong(Breach::NotDue);
        }
        let before = known.and_then(|known| known.pid);
        if before.is_some_and(|pid| processes.runs(pid)) {
            return wrong(Breach::Overlaps);
        }
        let is_due = known.is_some_and(|known| known.is_due);
        match &self.pass {
            _ if why != Why::Restart => self.is_through()?,
            Some(pass) => self.goes_with(pass, child)?,
            None if is_due => {}
            None => self.waited_for(child)?,
        }
        if let Some(pass) = &mut self.pass {
            pass.stops = false;
        }
        self.new_from = self.new_from.max(child + 1);
        let entry = self.children.entry(child);
        entry.or_insert(Child::new()).starts(restart);
        self.begins &= why == Why::First;
        self.starts = Some(Start {
            child,
            why,
            made: None,
            more: Vec::new(),
        });
        processes.start_begins();
        Ok(())
    }

    /// Whether this child is the next of those that are restarted together.
    fn goes_with(&self, pass: &Pass, child: u32) -> Result<(), Wrong> {
        let wrong = |breach| Err((Some(child), breach));
        if pass.alone && pass.from == child {
            return Ok(());
        }
        if pass.stops && self.last_up(pass.from, u32::MAX).is_some() {
            return wrong(Breach::StartsTooSoon);
        }
        match self.first_down(pass) {
            Some(next) if next == child => Ok(()),
            _ => wrong(Breach::StartOrder),
        }
    }

    /// Whether this child is the first of a group that has waited, and goes on now.
    fn waited_for(&mut self, child: u32) -> Result<(), Wrong> {
        let mut waiting = self.waiting.iter();
        let Some(index) = waiting.position(|pass| self.first_down(pass) == Some(child)) else {
            return Err((Some(child), Breach::NotDue));
        };
        self.pass = Some(self.waiting.remove(index));
        Ok(())
    }

    /// The child whose process begins, where this one starts a child.
    pub(super) fn spawned(&mut self, pid: Pid) -> Option<ChildOf> {
        let start = self.starts.as_mut()?;
        if let Some(before) = start.made.replace(pid) {
            start.more.push(before);
        }
        let child = start.child;
        self.lives += 1;
        Some(self.child_of(child))
    }

    const fn child_of(&self, number: u32) -> ChildOf {
        ChildOf {
            supervisor: self.pid,
            of: self.index,
            number,
        }
    }

    /// What is told of a start must be of the one that was begun.
    fn start_is_over(&mut self, processes: &mut Processes, child: u32) -> Result<Start, Wrong> {
        match self.starts.take() {
            Some(start) if start.child == child => {
                processes.start_is_over();
                Ok(start)
            }
            other => {
                self.starts = other;
                Err((Some(child), Breach::NotStarting))
            }
        }
    }

    fn started(&mut self, processes: &mut Processes, child: u32, pid: Pid) -> Result<(), Wrong> {
        let start = self.start_is_over(processes, child)?;
        if start.made != Some(pid) || !start.more.is_empty() {
            self.sort_out(processes, start, pid);
        }
        if let Some(started) = self.children.get_mut(&child) {
            (started.is_up, started.pid) = (true, Some(pid));
        }
        self.goes_on_after(child);
        Ok(())
    }

    /// Of all that was spawned for a child, this is its process, and the rest is nobody's child.
    #[cold]
    fn sort_out(&mut self, processes: &mut Processes, start: Start, pid: Pid) {
        let made: Vec<Pid> = start.made.into_iter().chain(start.more).collect();
        if !made.contains(&pid) {
            processes.is_child(pid, self.child_of(start.child));
            self.lives += 1;
        }
        for other in made.into_iter().filter(|made| *made != pid) {
            self.lives -= u32::from(processes.runs(other));
            processes.is_orphan(other);
        }
    }

    fn not_started(
        &mut self,
        processes: &mut Processes,
        child: u32,
        ignored: bool,
    ) -> Result<(), Wrong> {
        let start = self.start_is_over(processes, child)?;
        for pid in start.made.into_iter().chain(start.more) {
            if processes.is_done_with(pid) {
                return Err((Some(child), Breach::LeavesBehind));
            }
        }
        let Some(known) = self.children.get_mut(&child) else {
            return Ok(());
        };
        if ignored {
            if known.restart == Restart::Temporary || self.is_dynamic() {
                self.children.remove(&child);
            }
            self.goes_on_after(child);
            return Ok(());
        }
        match start.why {
            Why::First => self.over = Some(Over::Failed),
            Why::New => {
                self.children.remove(&child);
            }
            Why::ByHand => {}
            Why::Restart => {
                known.has_failed = true;
                self.pass = None;
            }
        }
        Ok(())
    }

    /// A pass goes on with the child after this one, and is over where there is none.
    fn goes_on_after(&mut self, child: u32) {
        if let Some(mut pass) = self.pass {
            pass.next = child + 1;
            self.pass = (!pass.alone && self.first_down(&pass).is_some()).then_some(pass);
        }
    }

    // ---- stops

    fn stops_child(
        &mut self,
        processes: &mut Processes,
        child: u32,
        pid: Pid,
        by_hand: bool,
    ) -> Result<(), Wrong> {
        let together = self.is_dynamic() && !by_hand;
        if !together {
            self.has_stopped(processes)?;
        }
        self.has_started()?;
        let wrong = |breach| Err((Some(child), breach));
        match self.children.get(&child) {
            Some(known) if known.is_up && known.pid == Some(pid) => {}
            _ => return wrong(Breach::NotItsOwn),
        }
        if by_hand {
            self.may_act(processes)?;
            self.is_through()?;
        } else {
            self.stops_in_order(child)?;
        }
        self.begins = false;
        if processes.is_done_with(pid) && !together {
            self.stops = Some((child, pid));
        }
        let Some(known) = self.children.get_mut(&child) else {
            return Ok(());
        };
        known.is_up = false;
        if known.restart == Restart::Temporary || self.is_dynamic() {
            self.children.remove(&child);
        }
        Ok(())
    }

    /// Children that are stopped together with others are stopped from the last to the first.
    fn stops_in_order(&mut self, child: u32) -> Result<(), Wrong> {
        let last = match (self.over, self.pass) {
            (None, Some(pass)) if pass.stops => self.last_up(pass.from, u32::MAX),
            (None, Some(_)) => return self.is_through(),
            (over, _) => {
                self.over = over.or(Some(Over::Asked));
                self.waiting.clear();
                let last = self.last_up(0, self.stopped_from);
                self.stopped_from = child;
                last
            }
        };
        if last == Some(child) || self.is_dynamic() {
            return Ok(());
        }
        Err((Some(child), Breach::StopOrder))
    }

    // ---- ends

    /// The exit of a child's process is in its mailbox.
    pub(super) fn told_of_end(&mut self, pid: Pid, reason: Reason) {
        self.ends.push_back((pid, reason));
    }

    /// It sees to the end of a child, which is the first that it was told of, or once more to one whose
    /// restart has failed; whether it is to be restarted.
    fn sees_end(&mut self, processes: &mut Processes, child: u32) -> Result<bool, Wrong> {
        let known = match self.children.get_mut(&child) {
            Some(known) if known.is_up => known,
            Some(known) if known.has_failed => {
                known.has_failed = false;
                return Ok(true);
            }
            _ => return Err((Some(child), Breach::HasNotEnded)),
        };
        let mut earlier = false;
        while let Some((pid, reason)) = self.ends.pop_front() {
            if known.pid == Some(pid) {
                if earlier {
                    return Err((Some(child), Breach::EndOrder));
                }
                known.is_up = false;
                // One that only says that it has ended is still there when the next is started.
                known.pid = processes.is_done_with(pid).then_some(pid);
                return Ok(match known.restart {
                    Restart::Permanent => true,
                    Restart::Transient => {
                        let clean = [Reason::Normal, Reason::Shutdown, Reason::ShutdownWith];
                        !clean.contains(&reason)
                    }
                    Restart::Temporary => false,
                });
            }
            // What it has stopped, or what never started, is nothing to it.
            earlier |= processes.is_awaited(pid);
        }
        Err((Some(child), Breach::HasNotEnded))
    }

    fn lets_go(&mut self, processes: &mut Processes, child: u32) -> Result<(), Wrong> {
        self.is_free(processes)?;
        if self.sees_end(processes, child)? {
            return Err((Some(child), Breach::Restartable));
        }
        let restart = self.children.get(&child).map(|known| known.restart);
        if restart == Some(Restart::Temporary) || self.is_dynamic() {
            self.children.remove(&child);
        }
        self.let_go = true;
        Ok(())
    }

    fn deletes(&mut self, processes: &Processes, child: u32) -> Result<(), Wrong> {
        self.is_free(processes)?;
        match self.children.remove(&child) {
            Some(known) if !known.is_up => Ok(()),
            _ => Err((Some(child), Breach::NotItsOwn)),
        }
    }

    /// A restart of this child is counted, or one too many: for its end, or since its restart had failed.
    fn is_restartable(&mut self, processes: &mut Processes, child: u32) -> Result<(), Wrong> {
        match self.sees_end(processes, child)? {
            true => Ok(()),
            false => Err((Some(child), Breach::NotRestartable)),
        }
    }

    /// Whether one more restart is one too many.
    fn is_full(&mut self, clock_ns: u64) -> bool {
        while let Some(oldest) = self.window.front()
            && oldest.saturating_add(self.period_ns) < clock_ns
        {
            self.window.pop_front();
        }
        self.window.len() >= self.intensity as usize
    }

    fn restarts(
        &mut self,
        processes: &mut Processes,
        child: u32,
        clock_ns: u64,
    ) -> Result<(), Wrong> {
        self.is_free(processes)?;
        self.is_restartable(processes, child)?;
        if self.is_full(clock_ns) {
            return Err((Some(child), Breach::TooMany));
        }
        self.window.push_back(clock_ns);
        let from = match self.strategy {
            Strategy::OneForAll => 0,
            _ => child,
        };
        self.waiting.retain(|pass| pass.from < from);
        self.pass = Some(Pass {
            from,
            alone: !self.is_group(),
            stops: self.is_group() && self.last_up(from, u32::MAX).is_some(),
            next: from,
        });
        Ok(())
    }

    /// A restart is made later: until then it does other things.
    fn waits(&mut self, child: u32) -> Result<(), Wrong> {
        let Some(pass) = self.pass.take() else {
            return Err((Some(child), Breach::NotDue));
        };
        if self.last_up(pass.from, u32::MAX).is_some() && !pass.alone {
            return Err((Some(child), Breach::StartsTooSoon));
        }
        if !pass.alone {
            self.waiting.push(Pass {
                stops: false,
                ..pass
            });
        } else if let Some(known) = self.children.get_mut(&child) {
            known.is_due = true;
        }
        Ok(())
    }

    fn gives_up(
        &mut self,
        processes: &mut Processes,
        child: u32,
        clock_ns: u64,
    ) -> Result<(), Wrong> {
        self.is_free(processes)?;
        self.is_restartable(processes, child)?;
        if !self.is_full(clock_ns) {
            return Err((Some(child), Breach::TooFew));
        }
        self.over = Some(Over::GaveUp);
        Ok(())
    }

    fn shuts_down(&mut self, processes: &Processes, had_let_go: bool) -> Result<(), Wrong> {
        self.is_free(processes)?;
        self.over = Some(Over::ShutDown);
        match had_let_go {
            true => Ok(()),
            false => Err((None, Breach::NobodyEnded)),
        }
    }

    /// The supervisor's process ends for this reason.
    pub(super) fn ends(&self, processes: &Processes, reason: Reason) -> Result<(), Wrong> {
        // Nothing of it runs where it is killed or crashes, and nothing right where its own code panics.
        let crashes = self.is_struck && reason == Reason::Error;
        if crashes || matches!(reason, Reason::Killed | Reason::Panic) {
            return Ok(());
        }
        if self.lives > 0 {
            let runs = |child: &Child| child.pid.is_some_and(|pid| processes.runs(pid));
            let mut children = self.children.iter();
            let left = children.find(|(_, child)| runs(child));
            let left = left.map(|(number, _)| *number);
            return Err((
                left.or(self.stops.map(|(child, _)| child)),
                Breach::LeavesRunning,
            ));
        }
        let expected = match self.over {
            Some(Over::GaveUp | Over::ShutDown) => Reason::Shutdown,
            Some(Over::Failed) => Reason::ShutdownWith,
            Some(Over::Asked) | None => return Ok(()),
        };
        match reason == expected {
            true => Ok(()),
            false => Err((None, Breach::OtherReason)),
        }
    }

    /// It is no more: its children are nobody's.
    pub(super) fn forget(&self, processes: &mut Processes) {
        if self.starts() {
            processes.start_is_over();
        }
        let pids = self.children.values().filter_map(|child| child.pid);
        for pid in pids.chain(self.stops.map(|(_, pid)| pid)) {
            processes.is_orphan(pid);
        }
    }

    // ---- what must be so before it does something

    /// It may do something new: no start is under way, what it has stopped has ended, and it is not over.
    fn may_act(&mut self, processes: &Processes) -> Result<(), Wrong> {
        self.has_started()?;
        self.has_stopped(processes)?;
        match self.over {
            Some(_) => Err((None, Breach::IsOver)),
            None => Ok(()),
        }
    }

    /// The same, and no restart is under way either.
    fn is_free(&mut self, processes: &Processes) -> Result<(), Wrong> {
        self.may_act(processes)?;
        self.begins = false;
        self.is_through()
    }

    fn has_started(&self) -> Result<(), Wrong> {
        match &self.starts {
            Some(start) => Err((Some(start.child), Breach::StartsStill)),
            None => Ok(()),
        }
    }

    fn has_stopped(&mut self, processes: &Processes) -> Result<(), Wrong> {
        match self.stops.take() {
            Some((child, pid)) if processes.runs(pid) => Err((Some(child), Breach::StopsStill)),
            _ => Ok(()),
        }
    }

    fn is_through(&self) -> Result<(), Wrong> {
        match self.pass {
            Some(pass) => Err((self.first_down(&pass), Breach::Unfinished)),
            None => Ok(()),
        }
    }

    /// The last child between these numbers that is taken for running.
    fn last_up(&self, from: u32, below: u32) -> Option<u32> {
        let mut children = self.children.range(from..below).rev();
        children
            .find(|(_, child)| child.is_up)
            .map(|(number, _)| *number)
    }

    /// The next child that a pass has to start.
    fn first_down(&self, pass: &Pass) -> Option<u32> {
        let to = if pass.alone { pass.from } else { u32::MAX };
        let mut children = self.children.range(pass.next..=to);
        children
            .find(|(_, child)| !child.is_up)
            .map(|(number, _)| *number)
    }
}
