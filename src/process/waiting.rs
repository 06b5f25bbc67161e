//! What each process waits for: for reports of what makes no progress. Looking changes nothing, and costs
//! nothing but when it is done.

use super::system::{Process, System, wants};
use super::target::Target;
use crate::kernel::{Task, Time};
use crate::trace::{Name, NodeId, Pid};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A live process, and what it waits for.
///
/// It prints as `<a.3.0> "ledger"  waits for the answer of <b.0.0> "stock" (called at 1.204 s)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The process.
    pub pid: Pid,
    /// The name that it holds on its node.
    pub name: Option<String>,
    /// How many messages and infos wait in its mailbox.
    pub mailbox: usize,
    /// What it waits for, any of these; empty where that is nothing that netsplit knows.
    pub waits: Vec<Wait>,
}

/// One thing for which a process waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The answer of a call.
    Answer {
        /// Of whom.
        of: Called,
        /// When it was called.
        since: Time,
    },
    /// Its turn: it is ready to step.
    Turn {
        /// Whether its node steps nothing now, since it is paused or busy.
        stalled: bool,
    },
    /// The end of a process: of a task, mostly.
    End {
        /// Whose.
        of: Called,
    },
    /// A connection that takes more: it has sent as much as that holds.
    Writable,
    /// Room in the mailbox of another: it has sent more than that holds.
    Room {
        /// Of whom.
        of: Called,
    },
    /// Its disk, which is at work for it, or hangs.
    Disk,
    /// Something in its mailbox; or, of what is there already, something else.
    Mail,
    /// A timer of its own: a sleep, or the end of a timeout.
    Timer {
        /// When it is due, where it is still on the agenda.
        due: Option<Time>,
    },
}

/// Whom a call was addressed to, and who that is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Called {
    /// A live process, and the name that it holds.
    Process {
        /// The process.
        pid: Pid,
        /// Its name.
        name: Option<String>,
    },
    /// A process that has ended.
    Ended(Pid),
    /// A name that nobody holds now; the text is known where anybody ever held it.
    Nobody {
        /// On this node.
        node: NodeId,
        /// The name.
        name: Option<String>,
    },
    /// The process that it has started, and that has not said yet that it runs.
    Start,
}

impl System {
    /// What each live process waits for, in the order of nodes and pids.
    pub(crate) fn waiting(&mut self) -> Vec<Waiting> {
        let timers = self.kernel.wake_times();
        let mut ends = self.awaited_ends();
        let mut all = Vec::new();
        for slot in self.live_slots() {
            let stalled = self.kernel.is_stalled(slot);
            let ready = self.kernel.is_ready(slot);
            let task = self.kernel.tasks.get(slot);
            let suspended = task.is_some_and(Task::is_suspended);
            let Some(process) = self.process(slot) else {
                continue;
            };
            let (pid, wanted, mailbox) = (process.pid, process.wants, process.mail as usize);
            let (calls, unset) = (process.calls(), process.unset());
            let (rooms, line) = (process.rooms(), process.waits_for_line());
            let disk = process.waits_for_disk();
            let mut waits = Vec::new();
            if suspended {
                let room = |of| Wait::Room {
                    of: self.called(Some(Target::Pid(of))),
                };
                waits.extend(rooms.into_iter().map(room));
                waits.extend(line.then_some(Wait::Writable));
                waits.extend(disk.then_some(Wait::Disk));
            } else if ready {
                waits.push(Wait::Turn { stalled });
            } else {
                if wanted & wants::REPLY != 0 {
                    let answer = |(to, since)| Wait::Answer {
                        of: self.called(to),
                        since,
                    };
                    waits.extend(calls.into_iter().map(answer));
                    for of in ends.remove(&pid).into_iter().flatten() {
                        let of = self.called(Some(Target::Pid(of)));
                        waits.push(Wait::End { of });
                    }
                }
                if wanted & wants::MAIL != 0 {
                    waits.push(Wait::Mail);
                }
                if wanted & wants::DISK != 0 {
                    waits.push(Wait::Disk);
                }
                if wanted & wants::TIME != 0 {
                    let due = timers.get(&slot).copied().into_iter().chain(unset).min();
                    waits.push(Wait::Timer { due });
                }
            }
            all.push(Waiting {
                pid,
                name: self.name_held(slot),
                mailbox,
                waits,
            });
        }
        all
    }

    /// Processes that wait for each other's answers or ends, or for room in each other's mailboxes, in a
    /// ring, the least pid first.
    pub(crate) fn call_ring(&mut self) -> Option<Vec<Pid>> {
        let mut edges: BTreeMap<Pid, Vec<Pid>> = BTreeMap::new();
        let mut ends = self.awaited_ends();
        for slot in self.live_slots() {
            let Some(process) = self.process(slot) else {
                continue;
            };
            let (pid, calls, rooms) = (process.pid, process.calls(), process.rooms());
            let called = calls.into_iter().filter_map(|(to, _)| to);
            let targets = called.chain(rooms.into_iter().map(Target::Pid));
            let callees = targets.filter_map(|to| Some(self.resolve(to).ok()?.0));
            let mut callees: Vec<Pid> = callees.collect();
            if callees.is_empty() {
                callees = ends.remove(&pid).unwrap_or_default();
            }
            if !callees.is_empty() {
                edges.insert(pid, callees);
            }
        }
        ring(&edges)
    }

    /// The kernel's slots of all live processes, in the order of nodes and pids.
    fn live_slots(&mut self) -> Vec<u32> {
        let slots: Vec<u32> = self.nodes.iter().flat_map(|node| node.tasks()).collect();
        let alive = |slot: &u32| self.process(*slot).is_some_and(|process| !process.dying);
        slots.into_iter().filter(alive).collect()
    }

    /// A target as a reader knows it.
    #[cfg(feature = "sim")]
    pub(crate) fn told(&self, target: Target) -> String {
        match target {
            Target::Pid(pid) | Target::Alias(pid, _) => pid.to_string(),
            Target::Name(node, name) => match self.name_text(name) {
                Some(name) => format!("\"{name}\" on {node}"),
                None => format!("a name on {node}"),
            },
        }
    }

    pub(crate) fn name_held(&mut self, slot: u32) -> Option<String> {
        let name = self.process(slot)?.extra.as_ref()?.name?;
        self.name_text(name)
    }

    /// The text of a name that somebody has held in this run.
    pub(crate) fn name_text(&self, name: Name) -> Option<String> {
        self.names.get(&name).map(|text| text.to_string())
    }

    fn called(&mut self, to: Option<Target>) -> Called {
        let Some(to) = to else {
            return Called::Start;
        };
        match (self.resolve(to), to) {
            (Ok((pid, slot)), _) => Called::Process {
                pid,
                name: self.name_held(slot),
            },
            (Err(_), Target::Name(node, name)) => Called::Nobody {
                node,
                name: self.name_text(name),
            },
            (Err(_), Target::Pid(pid) | Target::Alias(pid, _)) => Called::Ended(pid),
        }
    }
}

impl Process {
    /// Its calls that have no answer yet: whom it called, and when.
    fn calls(&self) -> Vec<(Option<Target>, Time)> {
        let aliases = self.extra.iter().flat_map(|extra| &extra.aliases);
        aliases.filter_map(|alias| alias.unanswered()).collect()
    }

    /// Those in whose mailboxes it waits for room.
    fn rooms(&self) -> Vec<Pid> {
        let held = self
            .extra
            .as_ref()
            .and_then(|extra| extra.suspended.as_ref());
        held.map_or(Vec::new(), |held| held.rooms.clone())
    }

    /// Whether it waits for a connection, where it is suspended.
    fn waits_for_line(&self) -> bool {
        let held = self
            .extra
            .as_ref()
            .and_then(|extra| extra.suspended.as_ref());
        held.is_none_or(|held| held.line || (held.rooms.is_empty() && !held.disk))
    }

    /// Whether it waits for its disk, where it is suspended.
    fn waits_for_disk(&self) -> bool {
        let extra = self.extra.as_ref();
        let held = extra.and_then(|extra| extra.suspended.as_ref());
        held.is_some_and(|held| held.disk)
    }

    /// When the first of the timeouts of its calls is over for which no timer is set yet.
    fn unset(&self) -> Option<Time> {
        let aliases = self.extra.iter().flat_map(|extra| &extra.aliases);
        aliases.filter_map(|alias| alias.unset()).min()
    }
}

/// The first ring that is found from the least pid on, its least pid first.
fn ring(edges: &BTreeMap<Pid, Vec<Pid>>) -> Option<Vec<Pid>> {
    let mut done = BTreeSet::new();
    for &start in edges.keys() {
        let mut path = vec![(start, 0)];
        let mut places = BTreeMap::from([(start, 0)]);
        while let Some((pid, next)) = path.last_mut() {
            let to = edges.get(pid).and_then(|callees| callees.get(*next));
            *next += 1;
            match to {
                None => {
                    done.insert(*pid);
                    path.pop();
                }
                Some(to) if done.contains(to) => {}
                Some(to) => {
                    if let Some(&place) = places.get(to) {
                        let mut ring: Vec<Pid> =
                            path[place..].iter().map(|(pid, _)| *pid).collect();
                        let least = (0..ring.len()).min_by_key(|index| ring[*index])?;
                        ring.rotate_left(least);
                        return Some(ring);
                    }
                    places.insert(*to, path.len());
                    path.push((*to, 0));
                }
            }
        }
    }
    None
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_named(f, self.pid, self.name.as_deref())?;
        f.write_str("  ")?;
        match self.waits.split_first() {
            None => f.write_str("waits for something that is no mail, answer or timer")?,
            Some((first, rest)) => {
                if !matches!(first, Wait::Turn { .. }) {
                    f.write_str("waits for ")?;
                }
                first.fmt(f)?;
                for wait in rest {
                    write!(f, ", or {wait}")?;
                }
            }
        }
        match self.mailbox {
            0 => Ok(()),
            some => write!(f, "; {some} in its mailbox"),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wait::Answer { of, since } => write!(f, "the answer of {of} (called at {since})"),
            Wait::End { of } => write!(f, "the end of {of}"),
            Wait::Turn { stalled: false } => f.write_str("is ready to step"),
            Wait::Turn { stalled: true } => {
                f.write_str("is ready to step, and its node is paused or busy")
            }
            Wait::Writable => f.write_str("a connection that takes more"),
            Wait::Room { of } => write!(f, "room in the mailbox of {of}"),
            Wait::Disk => f.write_str("its disk"),
            Wait::Mail => f.write_str("mail"),
            Wait::Timer { due: Some(due) } => write!(f, "a timer due at {due}"),
            Wait::Timer { due: None } => f.write_str("a timer"),
        }
    }
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Called::Process { pid, name } => write_named(f, *pid, name.as_deref()),
            Called::Ended(pid) => write!(f, "{pid}, which has ended"),
            Called::Nobody { node, name } => match name {
                Some(name) => write!(f, "\"{name}\" on {node}, a name that nobody holds"),
                None => write!(f, "a name on {node} that nobody has held yet"),
            },
            Called::Start => f.write_str("a process that it starts"),
        }
    }
}

fn write_named(f: &mut fmt::Formatter<'_>, pid: Pid, name: Option<&str>) -> fmt::Result {
    write!(f, "{pid}")?;
    match name {
        Some(name) => write!(f, " \"{name}\""),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(slot: u32) -> Pid {
        Pid::new(NodeId::new(0), 0, slot, 0)
    }

    fn ring_of(edges: &[(u32, &[u32])]) -> Option<Vec<Pid>> {
        let callees = |callees: &[u32]| callees.iter().map(|slot| pid(*slot)).collect();
        let edges = edges.iter().map(|(from, to)| (pid(*from), callees(to)));
        ring(&edges.collect())
    }

    #[test]
    fn a_ring_is_found_without_those_who_only_lead_to_it() {
        assert_eq!(ring_of(&[]), None);
        assert_eq!(ring_of(&[(0, &[1]), (1, &[2]), (2, &[3])]), None);
        let led_to = ring_of(&[(0, &[5]), (5, &[3]), (3, &[5])]);
        assert_eq!(led_to, Some(vec![pid(3), pid(5)]));
        let two: [(u32, &[u32]); 4] = [(0, &[1, 2]), (1, &[9]), (2, &[4]), (4, &[0])];
        assert_eq!(ring_of(&two), Some(vec![pid(0), pid(2), pid(4)]));
    }

    #[test]
    fn a_chain_to_the_same_process_twice_is_no_ring() {
        assert_eq!(ring_of(&[(0, &[1, 2]), (1, &[3]), (2, &[3])]), None);
    }
}
