//! What an observer sees of a process besides what it waits for: who started it, its links, monitors and
//! timers, and what its behaviour shows.

use super::sys::Behaviour;
use super::system::System;
use super::target::Target;
use super::waiting::Waiting;
use crate::kernel::Time;
use crate::trace::Pid;
use std::rc::Rc;

/// A live process, as it is found.
pub(crate) struct Found {
    pub(crate) waiting: Waiting,
    pub(crate) parent: Pid,
    pub(crate) links: Vec<Pid>,
    pub(crate) monitors: Vec<Target>,
    /// When timers send it a message.
    pub(crate) timers: Vec<Time>,
    /// What code of a user can look at: asked outside of any borrow.
    pub(crate) behaviour: Option<Rc<dyn Behaviour>>,
}

impl System {
    /// All live processes, in the order of nodes and pids.
    pub(crate) fn found(&mut self) -> Vec<Found> {
        let waiting = self.waiting();
        let found = waiting.into_iter().filter_map(|waiting| {
            let slot = self.find(waiting.pid).ok()?;
            let process = self.process(slot)?;
            let parent = process.parent;
            let mut found = Found {
                waiting,
                parent,
                links: Vec::new(),
                monitors: Vec::new(),
                timers: Vec::new(),
                behaviour: None,
            };
            let Some(extra) = process.extra.as_ref() else {
                return Some(found);
            };
            found.links = extra.links.iter().collect();
            found.links.sort_unstable();
            found.monitors = extra.monitors.iter().map(|monitor| monitor.of()).collect();
            found.behaviour = extra.behaviour.clone();
            let delayed = extra.delayed.clone();
            found.timers = self.due_of(&delayed);
            Some(found)
        });
        found.collect()
    }
}
