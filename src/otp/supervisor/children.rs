//! The list of a supervisor's children: by number, by id and by process.

use super::child::{ChildCount, ChildInfo, ChildSpec};
use crate::kernel::Time;
use crate::trace::Pid;
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

    pub(crate) fn pid(&self) -> Option<Pid> {
        match self.state {
            State::Up(pid) => Some(pid),
            State::Down | State::Restarting => None,
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
        ChildInfo {
            id: self.spec.id.to_string(),
            pid: self.life.pid(),
            restarting: self.life.state == State::Restarting,
            supervises: self.spec.supervises,
            restart: self.spec.restart,
            restarts: self.life.restarts,
        }
    }
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

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Child> {
        self.all.get_mut(&number)
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<(u32, &Child)> {
        let number = *self.ids.get(id)?;
        Some((number, self.all.get(&number)?))
    }

    /// The number of the child that this process is.
    pub(crate) fn by_pid(&self, pid: Pid) -> Option<u32> {
        self.pids.get(&pid).copied()
    }

    /// Changes a child's state, and what is found by its process.
    pub(crate) fn set(&mut self, number: u32, state: State) {
        let Some(child) = self.all.get_mut(&number) else {
            return;
        };
        if let Some(pid) = child.life.pid() {
            self.pids.remove(&pid);
        }
        child.life.set(state);
        if let State::Up(pid) = state {
            self.pids.insert(pid, number);
        }
    }

    /// The numbers from this one on.
    pub(crate) fn numbers_from(&self, number: u32) -> Vec<u32> {
        self.all
            .range(number..)
            .map(|(number, _)| *number)
            .collect()
    }

    /// Whether a significant child still runs, or will.
    pub(crate) fn any_significant(&self) -> bool {
        let mut children = self.all.values();
        children.any(|child| child.spec.significant && child.life.state != State::Down)
    }

    pub(crate) fn infos(&self) -> Vec<ChildInfo> {
        self.all.values().map(Child::info).collect()
    }

    pub(crate) fn count(&self) -> ChildCount {
        let supervisors = self.all.values().filter(|c| c.spec.supervises).count();
        ChildCount {
            specs: self.all.len(),
            active: self.pids.len(),
            supervisors,
            workers: self.all.len() - supervisors,
        }
    }
}
