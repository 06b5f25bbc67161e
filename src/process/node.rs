//! The table of one node: its processes by slot, and its local names.

use crate::choice::Lineage;
use crate::kernel::GroupId;
use crate::trace::{DeadReason, Name, NodeId, Pid};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug)]
struct PidSlot {
    /// Of the pid that has the slot, or will have it next.
    key: u32,
    /// The task's slot in the kernel, plus one; 0 where the slot is free.
    task: u32,
}

/// One node of the cluster, through all its incarnations.
#[derive(Debug)]
pub(crate) struct NodeState {
    pub(crate) id: NodeId,
    pub(crate) lineage: Lineage,
    pub(crate) up: bool,
    /// It takes nothing in, and steps nothing.
    pub(crate) paused: bool,
    /// It was asked to stop: it goes down when its first process ends.
    pub(crate) stopping: bool,
    /// The node that has taken its place, while this one runs on.
    pub(crate) moved: Option<NodeId>,
    /// What it has sent itself, where none of its processes could.
    pub(crate) sent: u32,
    /// Who listens to its connections: to all of them, or to one that is lost.
    pub(crate) listeners: Vec<(Pid, Option<NodeId>)>,
    /// Who hears of mailboxes that cross their watermarks.
    pub(crate) load_watchers: Vec<Pid>,
    /// Who hears of dead letters, and how many it was not told of.
    pub(crate) letter_watchers: Vec<(Pid, u64)>,
    /// Timers that were due while it was paused.
    pub(crate) late: Vec<u32>,
    /// Its first process.
    pub(crate) root: Pid,
    /// Its first process is a behaviour, and in its `init`.
    pub(crate) starting: bool,
    pub(crate) boots: u32,
    pub(crate) group: GroupId,
    /// Calls of the host until the node crashes inside a poll; `u64::MAX` for never.
    pub(crate) fuse: u64,
    slots: Vec<PidSlot>,
    free: Vec<u32>,
    names: FxHashMap<Name, Pid>,
    /// Monitors by name, of processes of this node: who and the how-manieth, and whom it found.
    pub(crate) monitored: BTreeMap<(Pid, u32), Pid>,
}

impl NodeState {
    pub(crate) fn new(id: NodeId, lineage: Lineage) -> NodeState {
        NodeState {
            id,
            lineage,
            up: false,
            paused: false,
            stopping: false,
            moved: None,
            sent: 0,
            listeners: Vec::new(),
            load_watchers: Vec::new(),
            letter_watchers: Vec::new(),
            late: Vec::new(),
            root: Pid::NOBODY,
            starting: false,
            boots: 0,
            group: 0,
            fuse: u64::MAX,
            slots: Vec::new(),
            free: Vec::new(),
            names: FxHashMap::default(),
            monitored: BTreeMap::new(),
        }
    }

    /// The incarnation that is up, or was last.
    pub(crate) fn incarnation(&self) -> u32 {
        self.boots.saturating_sub(1)
    }

    /// Begins a new incarnation with no process and no name.
    pub(crate) fn boot(&mut self, group: GroupId) {
        self.boots += 1;
        self.up = true;
        self.group = group;
        self.fuse = u64::MAX;
        (self.paused, self.stopping, self.sent) = (false, false, 0);
        self.starting = false;
        self.listeners.clear();
        self.load_watchers.clear();
        self.letter_watchers.clear();
        self.late.clear();
        self.slots.clear();
        self.free.clear();
        self.names.clear();
        self.monitored.clear();
    }

    /// Whether this is the node's first process, and the node is up.
    /// A process hears of connections to all other nodes, or to one. Those that have ended go when room is
    /// needed: nobody else tells the list of their end.
    pub(crate) fn listen(&mut self, pid: Pid, to: Option<NodeId>) {
        if self.listeners.len() == self.listeners.capacity() {
            let mut listeners = std::mem::take(&mut self.listeners);
            listeners.retain(|(pid, _)| self.find(*pid).is_ok());
            self.listeners = listeners;
        }
        self.listeners.push((pid, to));
    }

    pub(crate) fn is_root(&self, pid: Pid) -> bool {
        self.up && self.root == pid
    }

    pub(crate) fn processes(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// A pid for the task in this slot of the kernel.
    pub(crate) fn give_pid(&mut self, task: u32) -> Pid {
        let incarnation = self.boots - 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(PidSlot {
                key: incarnation << 16,
                task: 0,
            });
            self.slots.len() as u32 - 1
        });
        let entry = &mut self.slots[slot as usize];
        entry.task = task + 1;
        Pid::new(self.id, incarnation, slot, entry.key as u16)
    }

    /// Frees a pid; it will never be found again. A slot whose generation would wrap is retired.
    pub(crate) fn free_pid(&mut self, pid: Pid) {
        let entry = &mut self.slots[pid.slot() as usize];
        entry.task = 0;
        if pid.generation() < u16::MAX {
            entry.key += 1;
            self.free.push(pid.slot());
        }
    }

    /// The kernel's slot of the task with this pid.
    #[inline(always)]
    pub(crate) fn find(&self, pid: Pid) -> Result<u32, DeadReason> {
        match self.slots.get(pid.slot() as usize) {
            Some(entry) if entry.key == pid.key() && entry.task != 0 => Ok(entry.task - 1),
            _ => Err(self.why_dead(pid)),
        }
    }

    #[cold]
    fn why_dead(&self, pid: Pid) -> DeadReason {
        if !self.up {
            DeadReason::NodeDown
        } else if self.boots != pid.incarnation() + 1 {
            DeadReason::OldIncarnation
        } else {
            DeadReason::NoProc
        }
    }

    /// The kernel's slots of all its tasks, in the order of their pids.
    pub(crate) fn tasks(&self) -> Vec<u32> {
        self.slots
            .iter()
            .filter(|s| s.task != 0)
            .map(|s| s.task - 1)
            .collect()
    }

    pub(crate) fn whereis(&self, name: Name) -> Option<Pid> {
        self.names.get(&name).copied()
    }

    pub(crate) fn set_name(&mut self, name: Name, pid: Pid) {
        self.names.insert(name, pid);
    }

    pub(crate) fn free_name(&mut self, name: Name) {
        self.names.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::Lineage;

    #[test]
    fn who_has_listened_and_ended_is_forgotten_however_many_those_are() {
        let mut node = NodeState::new(NodeId::new(0), Lineage::RUN);
        node.boot(0);
        let stays = node.give_pid(0);
        node.listen(stays, None);
        for _ in 0..1_000 {
            let pid = node.give_pid(1);
            node.listen(pid, Some(NodeId::new(1)));
            node.free_pid(pid);
        }
        assert!(node.listeners.len() < 10);
        assert_eq!(node.listeners[0], (stays, None));
    }
}
