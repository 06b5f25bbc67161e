//! The list of a supervisor's children: by number, by id and by process.

use super::back_off::BackOff;
use super::child::{ChildCount, ChildInfo, ChildSpec};
use crate::kernel::Time;
use crate::trace::{Pid, Restart};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What is known of a child besides its specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It has no process.
    Down,
    /// It will be tried again.
    Restarting,
    /// It runs.
    Up(Pid),
}

/// What every child of any supervisor has.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) state: State,
    /// Counts its changes, so that what was to be done later can tell whether it is still meant.
    pub(crate) epoch: u32,
    /// Starts in a row that have not lasted.
    pub(crate) tries: u32,
    pub(crate) restarts: u32,
    pub(crate) since: Time,
}

impl Life {
    pub(crate) fn new() -> Life {
        Life {
            state: State::Down,
            epoch: 0,
            tries: 0,
            restarts: 0,
            since: Time::ZERO,
        }
    }

    pub(crate) fn set(&mut self, state: State) {
        self.state = state;
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// It runs from now on.
    pub(crate) fn begin(&mut self, pid: Pid, now: Time) {
        self.set(State::Up(pid));
        self.since = now;
    }

    /// Its process has ended. One that had lived for long enough begins anew with waiting.
    pub(crate) fn ended(&mut self, now: Time, back_off: Option<BackOff>) {
        self.set(State::Down);
        if back_off.is_some_and(|b| now.since(self.since) >= b.forgives_after()) {
            self.tries = 0;
        }
    }

    pub(crate) fn pid(&self) -> Option<Pid> {
        match self.state {
            State::Up(pid) => Some(pid),
            State::Down | State::Restarting => None,
        }
    }

    pub(crate) fn info(&self, id: String, restart: Restart, supervises: bool) -> ChildInfo {
        ChildInfo {
            id,
            pid: self.pid(),
            restarting: self.state == State::Restarting,
            supervises,
            restart,
            restarts: self.restarts,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) spec: ChildSpec,
    pub(crate) life: Life,
}

impl Child {
    fn info(&self) -> ChildInfo {
        let ChildSpec {
            id,
            restart,
            supervises,
            ..
        } = &self.spec;
        self.life.info(id.to_string(), *restart, *supervises)
    }
}

/// So many children, of which so many have a process.
pub(crate) fn counted(all: usize, active: usize) -> String {
    let children = if all == 1 { "child" } else { "children" };
    format!("{all} {children}, {active} active")
}

/// The children in the order of their starts: their numbers grow and are never used again.
#[derive(Debug, Default)]
pub(crate) struct Children {
    all: BTreeMap<u32, Child>,
    ids: FxHashMap<Rc<str>, u32>,
    pids: FxHashMap<Pid, u32>,
    next: u32,
}

impl Children {
    /// Adds a child without a process; gives its number.
    pub(crate) fn add(&mut self, spec: ChildSpec) -> u32 {
        let number = self.next;
        self.next += 1;
        self.ids.insert(spec.id.clone(), number);
        let life = Life::new();
        self.all.insert(number, Child { spec, life });
        number
    }

    pub(crate) fn remove(&mut self, number: u32) {
        if let Some(child) = self.all.remove(&number) {
            self.ids.remove(&child.spec.id);
            if let Some(pid) = child.life.pid() {
                self.pids.remove(&pid);
            }
        }
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Child> {
        self.all.get(&number)
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<(u32, &Child)> {
        let number = *self.ids.get(id)?;
        Some((number, self.all.get(&number)?))
    }

    /// The number of the child that this process is.
    pub(crate) fn by_pid(&self, pid: Pid) -> Option<u32> {
        self.pids.get(&pid).copied()
    }

    /// Changes what is known of a child's life, and what is found by its process.
    pub(crate) fn change<R>(
        &mut self,
        number: u32,
        change: impl FnOnce(&mut Child) -> R,
    ) -> Option<R> {
        let child = self.all.get_mut(&number)?;
        let before = child.life.pid();
        let changed = change(child);
        let after = child.life.pid();
        if before != after {
            before.map(|pid| self.pids.remove(&pid));
            after.map(|pid| self.pids.insert(pid, number));
        }
        Some(changed)
    }

    /// The numbers from this one on.
    pub(crate) fn numbers_from(&self, number: u32) -> Vec<u32> {
        self.all
            .range(number..)
            .map(|(number, _)| *number)
            .collect()
    }

    /// The first that will be tried again.
    pub(crate) fn first_restarting(&self) -> Option<u32> {
        let mut children = self.all.iter();
        let (number, _) = children.find(|(_, child)| child.life.state == State::Restarting)?;
        Some(*number)
    }

    /// Whether a significant child still runs, or will: those from `waiting` on will, though they are down.
    pub(crate) fn any_significant(&self, waiting: u32) -> bool {
        let mut children = self.all.iter();
        children.any(|(number, child)| {
            child.spec.significant && (*number >= waiting || child.life.state != State::Down)
        })
    }

    pub(crate) fn infos(&self) -> Vec<ChildInfo> {
        self.all.values().map(Child::info).collect()
    }

    /// As `sys` tells it: `4 children, 3 active`.
    pub(crate) fn text(&self) -> String {
        counted(self.all.len(), self.pids.len())
    }

    /// As in OTP, a process that has ended is not counted, though its exit is still unread.
    pub(crate) fn count(&self, is_alive: impl Fn(Pid) -> bool) -> ChildCount {
        let supervisors = self.all.values().filter(|c| c.spec.supervises).count();
        ChildCount {
            specs: self.all.len(),
            active: self.pids.keys().filter(|pid| is_alive(**pid)).count(),
            supervisors,
            workers: self.all.len() - supervisors,
        }
    }
}
