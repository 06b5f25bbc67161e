//! A snapshot of the whole cluster: for each node the tree of its processes, and what each of them is, has
//! and waits for. Plain data, with a text; taking it changes nothing.

use crate::kernel::Time;
use crate::process::{Behaviour, Found, Supervised, Wait, Waiting, with};
use crate::trace::{Names, Pid, set_names};
use serde::ser::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// The cluster at one moment.
///
/// It prints as a tree, and serializes with texts for pids, what is waited for, and monitors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// When it was taken.
    pub at: Time,
    /// All nodes, in their order.
    pub nodes: Vec<ObservedNode>,
    /// Processes that wait for each other's answers, the least pid first; empty where none do.
    pub ring: Vec<Pid>,
    names: Names,
}

/// A node in a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ObservedNode {
    /// Its name.
    pub name: String,
    /// Whether it is up.
    pub up: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// How often it has booted.
    pub boots: u32,
    /// Its processes: the first, and those whose starter has ended. The others hang below these.
    pub processes: Vec<Observed>,
}

/// A process in a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Observed {
    /// The process.
    #[serde(serialize_with = "text")]
    pub pid: Pid,
    /// The name that it holds on its node.
    pub name: Option<String>,
    /// Its id among the children of its supervisor, where it has one.
    pub id: Option<String>,
    /// How often its supervisor has restarted it.
    pub restarts: u32,
    /// Of which behaviour it is; none of a plain process.
    pub behaviour: Option<String>,
    /// Its state, as its `format_status` says it; none where there is none, or a handler is at work.
    pub state: Option<String>,
    /// A handler of its behaviour is at work.
    pub busy: bool,
    /// It was suspended by `sys`.
    pub suspended: bool,
    /// How many messages and infos wait in its mailbox.
    pub mailbox: usize,
    /// To whom it is linked.
    #[serde(serialize_with = "texts")]
    pub links: Vec<Pid>,
    /// Whom it monitors: processes, and names on nodes.
    pub monitors: Vec<String>,
    /// When timers will send it a message; those that it waits for itself stand in `waits`.
    pub timers: Vec<Time>,
    /// What it waits for, any of these.
    #[serde(serialize_with = "texts")]
    pub waits: Vec<Wait>,
    /// The processes that it has started, in the order of its children where it is a supervisor.
    pub children: Vec<Observed>,
    /// Its children that have no process: their ids, and whether they will be started again.
    pub down: Vec<(String, bool)>,
}

/// What was seen of a run at a moment: see [`Scenario::observe`](super::Scenario::observe).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The cluster then.
    pub snapshot: Snapshot,
    /// Where the run had ended before that moment, when: the snapshot is of its end.
    pub ended: Option<Time>,
}

fn text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn texts<S: Serializer>(values: &[impl fmt::Display], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(ToString::to_string))
}

impl Snapshot {
    /// The cluster of the run on this thread, now.
    pub(crate) fn now() -> Snapshot {
        let (found, ring) = with(|system| (system.found(), system.call_ring()));
        // Code of users makes the texts of states: nothing is borrowed meanwhile.
        let mut trees = trees(found);
        with(|system| {
            let names: Vec<String> = system
                .nodes
                .iter()
                .map(|node| node.id.to_string())
                .collect();
            let nodes = system.nodes.iter().map(|node| ObservedNode {
                name: node.id.to_string(),
                up: node.up,
                paused: node.paused,
                boots: node.boots,
                processes: trees.remove(&node.id.index()).unwrap_or_default(),
            });
            Snapshot {
                at: system.kernel.now(),
                nodes: nodes.collect(),
                ring: ring.unwrap_or_default(),
                names: names.into(),
            }
        })
    }

    /// Does something while ids print with the names of this cluster.
    fn named<R>(&self, code: impl FnOnce() -> R) -> R {
        struct Before(Option<Names>);
        impl Drop for Before {
            fn drop(&mut self) {
                set_names(self.0.take());
            }
        }
        let _before = Before(set_names(Some(self.names.clone())));
        code()
    }
}

/// The processes of each node, each below the one that started it.
fn trees(found: Vec<Found>) -> BTreeMap<usize, Vec<Observed>> {
    let mut below: BTreeMap<Pid, Vec<(Observed, Vec<Supervised>)>> = BTreeMap::new();
    let mut tops = Vec::new();
    let alive: std::collections::BTreeSet<Pid> = found.iter().map(|f| f.waiting.pid).collect();
    for found in found {
        let parent = found.parent;
        let seen = observed(found);
        match alive.contains(&parent) {
            true => below.entry(parent).or_default().push(seen),
            false => tops.push(seen),
        }
    }
    let mut trees: BTreeMap<usize, Vec<Observed>> = BTreeMap::new();
    for top in tops {
        let node = top.0.pid.node().index();
        trees.entry(node).or_default().push(grown(top, &mut below));
    }
    trees
}

/// A process with all that hangs below it. Lineages are as deep as programs make them: no recursion.
fn grown(
    top: (Observed, Vec<Supervised>),
    below: &mut BTreeMap<Pid, Vec<(Observed, Vec<Supervised>)>>,
) -> Observed {
    // Each with the children that are still to be grown, the next one last.
    let mut path = vec![begun(top, below)];
    loop {
        let Some((_, rest)) = path.last_mut() else {
            unreachable!("the first is given back where nothing is left of it")
        };
        if let Some(next) = rest.pop() {
            path.push(begun(next, below));
            continue;
        }
        let Some((done, _)) = path.pop() else {
            unreachable!("the path has a last one: it was just looked at")
        };
        match path.last_mut() {
            Some((parent, _)) => parent.children.push(done),
            None => return done,
        }
    }
}

type Growing = (Observed, Vec<(Observed, Vec<Supervised>)>);

/// A process, and its children, the last first, with what their supervisor knows of them.
fn begun(
    (mut process, supervised): (Observed, Vec<Supervised>),
    below: &mut BTreeMap<Pid, Vec<(Observed, Vec<Supervised>)>>,
) -> Growing {
    let mut children = below.remove(&process.pid).unwrap_or_default();
    let mut places = BTreeMap::new();
    for (place, child) in supervised.into_iter().enumerate() {
        match child.pid {
            Some(pid) => drop(places.insert(pid, (place, child))),
            None => process.down.push((child.id, child.restarting)),
        }
    }
    for (child, _) in &mut children {
        if let Some((_, known)) = places.get(&child.pid) {
            child.id = Some(known.id.clone());
            child.restarts = known.restarts;
        }
    }
    let place = |child: &Observed| {
        places
            .get(&child.pid)
            .map_or(usize::MAX, |(place, _)| *place)
    };
    children.sort_by_key(|(child, _)| std::cmp::Reverse((place(child), child.pid)));
    (process, children)
}

/// A process, and the children that its behaviour knows.
fn observed(found: Found) -> (Observed, Vec<Supervised>) {
    let Found {
        waiting:
            Waiting {
                pid,
                name,
                mailbox,
                waits,
            },
        links,
        monitors,
        timers,
        behaviour,
        ..
    } = found;
    let behaviour: Option<Rc<dyn Behaviour>> = behaviour;
    let shown = behaviour.as_ref().map(|behaviour| behaviour.shown());
    let (state, busy) = match shown.as_ref().map(|shown| &shown.state) {
        None => (None, false),
        Some(None) => (None, true),
        Some(Some(text)) => ((!text.is_empty()).then(|| text.clone()), false),
    };
    let observed = Observed {
        pid,
        name,
        id: None,
        restarts: 0,
        behaviour: shown.as_ref().map(|shown| shown.name.to_owned()),
        state,
        busy,
        suspended: behaviour.as_ref().is_some_and(|b| b.is_suspended()),
        mailbox,
        links,
        monitors: monitors
            .iter()
            .map(|target| with(|system| system.told(*target)))
            .collect(),
        timers,
        waits,
        children: Vec::new(),
        down: Vec::new(),
    };
    (
        observed,
        shown.map_or_else(Vec::new, |shown| shown.children),
    )
}

impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Plain<'a> {
            at_ns: Time,
            nodes: &'a [ObservedNode],
            #[serde(serialize_with = "texts")]
            ring: &'a [Pid],
        }
        let plain = Plain {
            at_ns: self.at,
            nodes: &self.nodes,
            ring: &self.ring,
        };
        self.named(|| plain.serialize(serializer))
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.named(|| {
            write!(f, "at {}", self.at)?;
            for node in &self.nodes {
                write!(f, "\n{node}")?;
            }
            if !self.ring.is_empty() {
                write!(
                    f,
                    "\nwait for each other: {}",
                    super::print_ring(&self.ring)
                )?;
            }
            Ok(())
        })
    }
}

impl fmt::Display for ObservedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        match (self.up, self.paused, self.boots) {
            (false, ..) => f.write_str("  down")?,
            (true, true, _) => f.write_str("  paused")?,
            (true, false, _) => {}
        }
        if self.boots > 1 {
            write!(f, "  incarnation {}", self.boots - 1)?;
        }
        // The indentation of each, the next one last: no recursion.
        let mut rest: Vec<(String, bool, &Observed)> = Vec::new();
        push(&mut rest, "", &self.processes, true);
        while let Some((before, is_last, process)) = rest.pop() {
            let (branch, stem) = if is_last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            let (below, inner) = (
                format!("{before}{stem}"),
                if process.children.is_empty() && process.down.is_empty() {
                    "   "
                } else {
                    "│  "
                },
            );
            write!(f, "\n{before}{branch}{process}")?;
            for line in process.details() {
                write!(f, "\n{below}{inner}{line}")?;
            }
            for (index, (id, restarting)) in process.down.iter().enumerate() {
                let ends = process.children.is_empty() && index + 1 == process.down.len();
                let branch = if ends { "└─" } else { "├─" };
                let again = if *restarting { ", restarting" } else { "" };
                write!(
                    f,
                    "\n{below}{branch} child \"{id}\" without a process{again}"
                )?;
            }
            push(&mut rest, &below, &process.children, true);
        }
        Ok(())
    }
}

fn push<'a>(
    rest: &mut Vec<(String, bool, &'a Observed)>,
    before: &str,
    processes: &'a [Observed],
    ends: bool,
) {
    let last = processes.len().saturating_sub(1);
    let all = processes.iter().enumerate().rev();
    rest.extend(all.map(|(index, process)| (before.to_owned(), ends && index == last, process)));
}

impl Observed {
    /// What is told of it below its line: nothing of what it has not.
    fn details(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let waits: Vec<String> = self.waits.iter().map(Wait::to_string).collect();
        let mut waits = match waits.as_slice() {
            [] => "waits for something that is no mail, answer or timer".to_owned(),
            [turn] if matches!(self.waits[0], Wait::Turn { .. }) => turn.clone(),
            waits => format!("waits for {}", waits.join(", or ")),
        };
        if self.mailbox > 0 {
            waits += &format!("; {} in its mailbox", self.mailbox);
        }
        lines.push(waits);
        let list = |what: &str, things: Vec<String>| {
            (!things.is_empty()).then(|| format!("{what} {}", things.join(", ")))
        };
        let links = self.links.iter().map(Pid::to_string).collect();
        let timers = self.timers.iter().map(Time::to_string).collect();
        let ties = [
            list("linked to", links),
            list("monitors", self.monitors.clone()),
            list("timers at", timers),
        ];
        let ties: Vec<String> = ties.into_iter().flatten().collect();
        if !ties.is_empty() {
            lines.push(ties.join("; "));
        }
        lines
    }
}

impl fmt::Display for Observed {
    /// Its first line in the tree.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.pid)?;
        if let Some(name) = &self.name {
            write!(f, " \"{name}\"")?;
        }
        if let Some(id) = &self.id {
            write!(f, "  child \"{id}\"")?;
        }
        match self.restarts {
            0 => {}
            1 => f.write_str(", restarted once")?,
            times => write!(f, ", restarted {times} times")?,
        }
        if let Some(behaviour) = &self.behaviour {
            write!(f, "  {behaviour}")?;
        }
        if self.suspended {
            f.write_str(", suspended")?;
        }
        match &self.state {
            Some(state) => write!(f, ": {state}"),
            None if self.busy => f.write_str(": a handler is at work"),
            None => Ok(()),
        }
    }
}

/// Waits for a moment of a run. A step may lead beyond it, so in a first run it counts the steps up to there;
/// in a second it looks before the next one.
#[derive(Debug)]
pub(crate) struct Observer {
    at: Time,
    /// Steps of the run up to the moment.
    steps: u64,
    again: bool,
    seen: Option<Snapshot>,
}

impl Observer {
    pub(crate) fn new(at: Time) -> Observer {
        Observer {
            at,
            steps: 0,
            again: false,
            seen: None,
        }
    }

    /// The next run is the second.
    pub(crate) fn again(&mut self) {
        self.again = true;
    }

    /// The last moment before a step, or the end of the run: where it is not beyond the one waited for.
    pub(crate) fn look(&mut self) {
        let (now, steps) = with(|system| (system.kernel.now(), system.kernel.steps()));
        if now > self.at {
            return;
        }
        if !self.again {
            self.steps = steps;
        } else if steps == self.steps {
            self.seen = Some(Snapshot::now());
        }
    }

    pub(crate) fn seen(self) -> Option<Snapshot> {
        self.seen
    }
}
