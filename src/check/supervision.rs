//! Whether supervisors keep OTP's rules, from the trace alone: whom they restart, in which order, how often,
//! and that no child is ever there twice.

mod breach;
mod one;
mod processes;
#[cfg(test)]
mod tests;

pub use breach::{Breach, Complaint};

use crate::kernel::time::Time;
use crate::trace::{Event, Log, NodeId, Pid, Reason, Supervision, Watcher};
use one::One;
use processes::{ChildOf, Processes};
use std::cell::RefCell;
use std::rc::Rc;

/// Whether all supervisors of a run kept OTP's rules: whom they restart, in which order, how often, and that
/// no child is ever there twice. Every run is checked so while it goes on, without a log; this is for a log
/// that was kept, or made by hand. A complaint is a bug of netsplit, or of a supervisor written by hand.
///
/// ```
/// use netsplit::check;
/// use netsplit::otp::process;
/// use netsplit::{Chance, Context, Keep, Scenario, Supervisor, child, secs};
///
/// async fn crashes(ctx: Context) {
///     ctx.sleep(secs(2)).await;
///     panic!("a bug");
/// }
///
/// let scenario = Scenario::new("crashes")
///     .node("n", |ctx| {
///         Supervisor::one_for_one().child(child("a", || process(crashes))).run(ctx)
///     })
///     .horizon(secs(10))
///     .finally("ends", |_| true);
/// let keep = Keep { log: true, ..Keep::default() };
/// let outcome = scenario.run_with(Chance::Seed(7), keep).unwrap();
/// assert_eq!(check::supervision(&outcome.log.unwrap()), Ok(()));
/// ```
///
/// # Errors
/// The first [`Complaint`].
pub fn supervision(log: &Log) -> Result<(), Complaint> {
    let mut supervisors = Supervisors::default();
    for entry in log.entries() {
        supervisors.see(entry.at_ns, entry.step, &entry.event);
    }
    supervisors.complaint.map_or(Ok(()), Err)
}

/// The supervisors of a run, as its events tell of them. It takes what it is shown, and remembers the first
/// thing that is wrong.
#[derive(Debug, Default)]
pub struct Supervisors {
    ones: Vec<Option<One>>,
    free: Vec<u32>,
    processes: Processes,
    /// The process that has ended last, where it was a child: mostly its supervisor is told of it next.
    ended: Option<(Pid, ChildOf)>,
    /// The supervisor that was looked for last, and its index: mostly it is that one again.
    last: Option<(Pid, u32)>,
    complaint: Option<Complaint>,
}

/// What is wrong, of which child.
type Wrong = (Option<u32>, Breach);

impl Supervisors {
    /// What was wrong first, where anything was.
    #[must_use]
    pub fn complaint(&self) -> Option<&Complaint> {
        self.complaint.as_ref()
    }

    /// The index of the supervisor that this process is.
    fn index_of(&mut self, pid: Pid) -> Option<u32> {
        match self.last {
            Some((last, index)) if last == pid => Some(index),
            _ => {
                let index = self.processes.supervisor(pid)?;
                self.last = Some((pid, index));
                Some(index)
            }
        }
    }

    /// The supervisor of this index, if it is still this process.
    fn one(&mut self, index: u32, pid: Pid) -> Option<&mut One> {
        let one = self.ones.get_mut(index as usize)?.as_mut();
        one.filter(|one| one.pid == pid)
    }

    fn judge(&mut self, event: &Event) -> Result<(), (Pid, Wrong)> {
        match *event {
            Event::Supervision { by, what } => self.did(by, what).map_err(|wrong| (by, wrong)),
            Event::Spawn { pid, parent } => {
                self.spawned(pid, parent);
                Ok(())
            }
            Event::Exit { pid, reason, .. } => self.ended(pid, reason),
            Event::ExitSignal { from, to, reason } => {
                let child = match self.ended {
                    Some((ended, child)) if ended == from => Some(child),
                    _ => self.processes.child(from),
                };
                if let Some(child) = child.filter(|child| child.supervisor == to)
                    && let Some(one) = self.one(child.of, to)
                {
                    one.told_of_end(from, reason);
                }
                Ok(())
            }
            Event::Named { pid, .. } => {
                self.processes.named(pid, true);
                Ok(())
            }
            Event::Unnamed { pid, .. } => {
                self.processes.named(pid, false);
                Ok(())
            }
            Event::Struck { pid, for_ns: 0, .. } => {
                if let Some(index) = self.index_of(pid)
                    && let Some(one) = self.one(index, pid)
                {
                    one.is_struck = true;
                }
                Ok(())
            }
            Event::Crash { node, .. } | Event::Halt { node, .. } => {
                self.node_ends(node);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn did(&mut self, by: Pid, what: Supervision) -> Result<(), Wrong> {
        if let Supervision::Begins {
            strategy,
            intensity,
            period_ns,
        } = what
        {
            let index = self.free.pop().unwrap_or(self.ones.len() as u32);
            let one = One::new(by, index, (strategy, intensity, period_ns));
            match self.ones.get_mut(index as usize) {
                Some(place) => *place = Some(one),
                None => self.ones.push(Some(one)),
            }
            self.processes.supervises(by, index);
            return Ok(());
        }
        let Some(index) = self.index_of(by) else {
            return Ok(());
        };
        match self.ones.get_mut(index as usize) {
            Some(Some(one)) => one.did(&mut self.processes, what),
            _ => Ok(()),
        }
    }

    /// A process began: that of a child, where its parent is a supervisor that starts one.
    fn spawned(&mut self, pid: Pid, parent: Pid) {
        if !self.processes.any_starts() {
            return;
        }
        if let Some(index) = self.index_of(parent)
            && let Some(one) = self.one(index, parent)
            && let Some(child) = one.spawned(pid)
        {
            self.processes.is_child(pid, child);
        }
    }

    fn ended(&mut self, pid: Pid, reason: Reason) -> Result<(), (Pid, Wrong)> {
        let Some(process) = self.processes.ended(pid) else {
            return Ok(());
        };
        if let Some(child) = process.child
            && let Some(one) = self.one(child.of, child.supervisor)
        {
            one.lives -= 1;
            let supervisor = one.pid;
            self.ended = (!process.is_stopped).then_some((pid, child));
            if process.named {
                return Err((supervisor, (Some(child.number), Breach::KeepsName)));
            }
        }
        let Some(one) = process.supervisor.and_then(|index| self.take(index)) else {
            return Ok(());
        };
        let ends = one.ends(&self.processes, reason);
        one.forget(&mut self.processes);
        ends.map_err(|wrong| (pid, wrong))
    }

    fn take(&mut self, index: u32) -> Option<One> {
        self.last = None;
        self.free.push(index);
        self.ones.get_mut(index as usize)?.take()
    }

    /// A node is gone with all that ran on it; nothing is told of its processes.
    fn node_ends(&mut self, node: NodeId) {
        self.processes.node_ends(node);
        for index in 0..self.ones.len() {
            let place = &self.ones[index];
            if place.as_ref().is_some_and(|one| one.pid.node() == node)
                && let Some(one) = self.take(index as u32)
            {
                one.forget(&mut self.processes);
            }
        }
    }
}

impl Watcher for Supervisors {
    fn see(&mut self, now_ns: u64, step: u64, event: &Event) {
        if self.complaint.is_some() {
            return;
        }
        if let Err((supervisor, (child, breach))) = self.judge(event) {
            self.complaint = Some(Complaint {
                at: Time::ZERO.plus_nanos(now_ns),
                step,
                supervisor,
                child,
                breach,
            });
        }
    }
}

/// As a run holds it: what watches, and who asks.
impl Watcher for Rc<RefCell<Supervisors>> {
    fn see(&mut self, now_ns: u64, step: u64, event: &Event) {
        self.borrow_mut().see(now_ns, step, event);
    }
}
