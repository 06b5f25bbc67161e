//! The processes that a check of supervisors knows: supervisors, and their children.

use crate::trace::{NodeId, Pid};
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;

/// A child, as it is found by its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChildOf {
    pub(super) supervisor: Pid,
    /// The index of its supervisor, for as long as that is there.
    pub(super) of: u32,
    pub(super) number: u32,
}

/// A process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    pub(super) supervisor: Option<u32>,
    pub(super) child: Option<ChildOf>,
    /// It has a name.
    pub(super) named: bool,
    has_ended: bool,
    /// Nobody asks for it once it has ended.
    pub(super) is_stopped: bool,
}

#[derive(Debug, Default)]
pub(super) struct Processes {
    all: FxHashMap<Pid, Process>,
    /// How many supervisors start a child at this moment.
    starts: u32,
}

impl Processes {
    pub(super) fn supervisor(&self, pid: Pid) -> Option<u32> {
        self.all.get(&pid)?.supervisor
    }

    pub(super) fn child(&self, pid: Pid) -> Option<ChildOf> {
        self.all.get(&pid)?.child
    }

    pub(super) fn supervises(&mut self, pid: Pid, index: u32) {
        self.all.entry(pid).or_default().supervisor = Some(index);
    }

    pub(super) fn is_child(&mut self, pid: Pid, child: ChildOf) {
        self.all.entry(pid).or_default().child = Some(child);
    }

    pub(super) fn named(&mut self, pid: Pid, named: bool) {
        if let Some(process) = self.all.get_mut(&pid) {
            process.named = named;
        }
    }

    /// A process has ended: what was known of it, where anything was.
    pub(super) fn ended(&mut self, pid: Pid) -> Option<Process> {
        let process = self.all.get_mut(&pid)?;
        process.has_ended = true;
        let known = *process;
        process.supervisor = None;
        if known.is_stopped || known.child.is_none() {
            self.all.remove(&pid);
        }
        Some(known)
    }

    pub(super) fn runs(&self, pid: Pid) -> bool {
        self.all.get(&pid).is_some_and(|process| !process.has_ended)
    }

    /// Whether the exit of this process is still of interest to its supervisor.
    pub(super) fn is_awaited(&self, pid: Pid) -> bool {
        self.all
            .get(&pid)
            .is_some_and(|process| !process.is_stopped)
    }

    /// A supervisor asks no more for a process; whether that still runs.
    pub(super) fn is_done_with(&mut self, pid: Pid) -> bool {
        let Entry::Occupied(mut entry) = self.all.entry(pid) else {
            return false;
        };
        if entry.get().has_ended {
            entry.remove();
            return false;
        }
        entry.get_mut().is_stopped = true;
        true
    }

    /// Its supervisor is no more; it may be one itself.
    pub(super) fn is_orphan(&mut self, pid: Pid) {
        if let Some(process) = self.all.get_mut(&pid) {
            process.child = None;
            if process.supervisor.is_none() || process.has_ended {
                self.all.remove(&pid);
            }
        }
    }

    pub(super) fn node_ends(&mut self, node: NodeId) {
        self.all.retain(|pid, _| pid.node() != node);
    }

    pub(super) fn any_starts(&self) -> bool {
        self.starts > 0
    }

    pub(super) fn start_begins(&mut self) {
        self.starts += 1;
    }

    pub(super) fn start_is_over(&mut self) {
        self.starts -= 1;
    }
}
