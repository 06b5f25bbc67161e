//! The causal future of one draw, found from the logs of two runs that differ in it.
//!
//! A process is touched from the first moment at which, in either run, something that was touched
//! reached it. Moments can be compared between the runs, and order within a moment is left aside: all that
//! a process does in the moment in which it is touched counts as touched. So the future is rather too
//! large than too small. Where the log does not say whom something reached, the whole node is touched.

use netsplit::Outcome;
use netsplit::choice::{Kind, Lineage, Recorded, Site};
use netsplit::trace::{Event, MessageId, NodeId, Pid};
use rustc_hash::{FxHashMap, FxHashSet};

/// A run, and who is who in it.
pub(crate) struct Run<'a> {
    pub(crate) outcome: &'a Outcome,
    lineages: FxHashMap<Pid, Lineage>,
    nodes: FxHashMap<Lineage, usize>,
    /// Who took each packet out of a mailbox, or ended with it unread; `None` where nobody ever could.
    takers: FxHashMap<MessageId, Option<Pid>>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(outcome: &'a Outcome) -> Run<'a> {
        let mut run = Run {
            outcome,
            lineages: FxHashMap::default(),
            nodes: FxHashMap::default(),
            takers: FxHashMap::default(),
        };
        for (index, name) in outcome.names.iter().enumerate() {
            run.nodes.insert(Lineage::node(name), index);
        }
        let mut children: FxHashMap<Pid, u32> = FxHashMap::default();
        for (_, event) in run.events() {
            match event {
                Event::Spawn { pid, parent } => {
                    let lineage = match run.lineages.get(&parent) {
                        Some(lineage) => {
                            let nth = children.entry(parent).or_default();
                            *nth += 1;
                            lineage.child(*nth)
                        }
                        None => Lineage::node(&outcome.names[pid.node().index()])
                            .boot(pid.incarnation()),
                    };
                    run.nodes.insert(lineage, pid.node().index());
                    run.lineages.insert(pid, lineage);
                }
                Event::Receive { id, by } | Event::Unread { id, by } => {
                    run.takers.insert(id, Some(by));
                }
                Event::Stale { id, .. } | Event::DeadLetter { id, .. } => {
                    run.takers.insert(id, None);
                }
                _ => {}
            }
        }
        run
    }

    fn events(&self) -> impl Iterator<Item = (u64, Event)> + use<'a> {
        let log = self.outcome.log.as_ref().expect("the log was kept");
        log.entries().iter().map(|entry| (entry.at_ns, entry.event))
    }

    /// Not before this moment was the draw made. Time moves before the step is counted, so the last line
    /// of the step before tells.
    fn not_before(&self, draw: &Recorded) -> u64 {
        let entries = self
            .outcome
            .log
            .as_ref()
            .expect("the log was kept")
            .entries();
        let lines = entries.partition_point(|entry| entry.step < draw.step);
        lines.checked_sub(1).map_or(0, |line| entries[line].at_ns)
    }

    /// Not after this moment was the draw made.
    fn not_after(&self, draw: &Recorded) -> u64 {
        let entries = self
            .outcome
            .log
            .as_ref()
            .expect("the log was kept")
            .entries();
        let lines = entries.partition_point(|entry| entry.step <= draw.step);
        lines.checked_sub(1).map_or(0, |line| entries[line].at_ns)
    }

    fn planned_at(&self, node: usize, window: u64) -> Option<u64> {
        let faults = self.outcome.plan.faults().iter();
        let mut at = faults.filter(|planned| planned.node.index() == node);
        at.find_map(|planned| {
            let at_ns = planned.at.as_nanos();
            (at_ns / 1_000_000_000 == window).then_some(at_ns)
        })
    }
}

/// What one draw can have touched, and since when.
#[derive(Default)]
pub(crate) struct Future {
    processes: FxHashMap<Lineage, u64>,
    nodes: FxHashMap<usize, u64>,
    /// Packets that were touched, by sender and count: both runs number them alike.
    packets: FxHashSet<(Lineage, u32)>,
    /// The draw itself, and those that are asked or not by its outcome.
    own: Vec<Site>,
}

impl Future {
    /// The future of a draw that the runs answer otherwise.
    pub(crate) fn of(draw: &Recorded, runs: [&Run<'_>; 2]) -> Future {
        let mut future = Future::default();
        let Site { kind, who, nth } = draw.site;
        let node = runs[0].nodes[&who];
        let at = runs[0].not_before(draw);
        let own: &[Kind] = match kind {
            Kind::Rank | Kind::Lateness => {
                future.processes.insert(who, at);
                &[]
            }
            Kind::StepCost => {
                future.nodes.insert(node, at);
                &[]
            }
            Kind::Crash | Kind::CrashCall | Kind::Downtime => {
                let planned = runs.iter().filter_map(|run| run.planned_at(node, nth));
                future.nodes.extend(planned.min().map(|at| (node, at)));
                &[Kind::CrashCall, Kind::Downtime]
            }
            Kind::Loss | Kind::Duplicate | Kind::Latency | Kind::CopyLatency | Kind::Reorder => {
                future.packets.insert((who, nth as u32));
                &[
                    Kind::Latency,
                    Kind::Duplicate,
                    Kind::CopyLatency,
                    Kind::Reorder,
                ]
            }
            Kind::DueRank | Kind::Program => unreachable!("not taken out: {draw:?}"),
        };
        future.own = own.iter().map(|kind| Site::new(*kind, who, nth)).collect();
        future.own.push(draw.site);
        // Every run must spread in each round, so nothing here may stop early.
        while runs.iter().filter(|run| future.spread(run)).count() > 0 {}
        future
    }

    /// Whether this draw of a run lies in it.
    pub(crate) fn holds(&self, draw: &Recorded, run: &Run<'_>) -> bool {
        let at = run.not_after(draw);
        let touched = |since: Option<&u64>| since.is_some_and(|since| *since <= at);
        let node = run.nodes.get(&draw.site.who);
        self.own.contains(&draw.site)
            || touched(self.processes.get(&draw.site.who))
            || node.is_some_and(|node| touched(self.nodes.get(node)))
    }

    fn is_touched(&self, pid: Pid, run: &Run<'_>, at: u64) -> bool {
        let Some(lineage) = run.lineages.get(&pid) else {
            return false;
        };
        let since = [
            self.processes.get(lineage),
            self.nodes.get(&pid.node().index()),
        ];
        since.into_iter().flatten().any(|since| *since <= at)
    }

    fn touch(&mut self, pid: Pid, run: &Run<'_>, at: u64) -> bool {
        let Some(lineage) = run.lineages.get(&pid) else {
            return false;
        };
        earlier(self.processes.entry(*lineage).or_insert(u64::MAX), at)
    }

    fn touch_node(&mut self, node: NodeId, at: u64) -> bool {
        earlier(self.nodes.entry(node.index()).or_insert(u64::MAX), at)
    }

    /// Follows what was touched through one run; gives whether anything was new.
    fn spread(&mut self, run: &Run<'_>) -> bool {
        let mut more = false;
        let mut stepping = Pid::NOBODY;
        let mut contacts: FxHashMap<Pid, FxHashSet<Pid>> = FxHashMap::default();
        for (at, event) in run.events() {
            match event {
                Event::Step { pid } => stepping = pid,
                Event::Spawn { pid, parent } if self.is_touched(parent, run, at) => {
                    more |= self.touch(pid, run, at);
                }
                Event::Send { id, to, .. } | Event::Reply { id, to, .. } => {
                    contacts.entry(to).or_default().insert(id.from);
                    if self.is_touched(id.from, run, at) {
                        more |= self.touch(to, run, at);
                    }
                }
                Event::Packet { id, .. } if self.is_touched(id.from, run, at) => {
                    more |= self.packets.insert((run.lineages[&id.from], id.nth()));
                }
                Event::Arrive { id, node }
                    if self.packets.contains(&(run.lineages[&id.from], id.nth())) =>
                {
                    more |= match run.takers.get(&id) {
                        Some(Some(taker)) => self.touch(*taker, run, at),
                        Some(None) => false,
                        None => self.touch_node(node, at),
                    };
                }
                Event::ExitSignal { from, to, .. } if self.is_touched(from, run, at) => {
                    more |= self.touch(to, run, at);
                }
                Event::Down { to, of, .. } if self.is_touched(of, run, at) => {
                    more |= self.touch(to, run, at);
                }
                // A call fails with its server's end, and the log does not say whose call.
                Event::Exit { pid, .. } if self.is_touched(pid, run, at) => {
                    for caller in contacts.get(&pid).into_iter().flatten() {
                        more |= self.touch(*caller, run, at);
                    }
                }
                Event::Named { pid, .. } | Event::Unnamed { pid, .. }
                    if self.is_touched(pid, run, at) =>
                {
                    more |= self.touch_node(pid.node(), at);
                }
                Event::Busy { node, .. } if self.is_touched(stepping, run, at) => {
                    more |= self.touch_node(node, at);
                }
                // Inside a step: who called the host, and how often, decides when.
                Event::Crash { node, call, .. } if call > 0 => {
                    let mut there = run.lineages.keys().filter(|pid| pid.node() == node);
                    if there.any(|pid| self.is_touched(*pid, run, at)) {
                        more |= self.touch_node(node, at);
                    }
                }
                _ => {}
            }
        }
        more
    }
}

fn earlier(since: &mut u64, at: u64) -> bool {
    let earlier = at < *since;
    *since = at.min(*since);
    earlier
}
