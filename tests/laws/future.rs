//! The causal future of one draw, found from the logs of two runs that differ in it.
//!
//! A process is touched from the first moment at which, in either run, something that was touched
//! reached it. Moments can be compared between the runs, and order within a moment is left aside: all that
//! a process does in the moment in which it is touched counts as touched. So the future is rather too
//! large than too small. Where the log does not say whom something reached, the whole node is touched, and
//! with it whatever else has its name. A packet that was touched delays those behind it on its connection,
//! so all that comes that way later counts as touched.

use netsplit::choice::{Kind, Lineage, Recorded, Site};
use netsplit::trace::{DeadReason, Event, MessageId, NodeId, Pid};
use netsplit::{Fault, Outcome};
use rustc_hash::{FxHashMap, FxHashSet};

/// A run, and who is who in it.
pub(crate) struct Run<'a> {
    pub(crate) outcome: &'a Outcome,
    lineages: FxHashMap<Pid, Lineage>,
    /// The node of each lineage, as [`Run::group`] counts them.
    nodes: FxHashMap<Lineage, usize>,
    /// The way of each packet.
    ways: FxHashMap<(Lineage, u32), (usize, usize)>,
    /// Who took each packet out of a mailbox, or ended with it unread; `None` where nobody ever could.
    takers: FxHashMap<MessageId, Option<Pid>>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(outcome: &'a Outcome) -> Run<'a> {
        let mut run = Run {
            outcome,
            lineages: FxHashMap::default(),
            nodes: FxHashMap::default(),
            ways: FxHashMap::default(),
            takers: FxHashMap::default(),
        };
        for (index, name) in outcome.names.iter().enumerate() {
            run.nodes.entry(Lineage::node(name)).or_insert(index);
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
                    run.nodes.insert(lineage, run.group(pid.node()));
                    run.lineages.insert(pid, lineage);
                }
                Event::Packet { id, to, .. } => {
                    let way = (run.group(id.from.node()), run.group(to));
                    run.ways.insert((run.lineages[&id.from], id.nth()), way);
                }
                Event::Receive { id, by } | Event::Unread { id, by } => {
                    run.takers.insert(id, Some(by));
                }
                // Its coming had an effect: it stood in the mailbox for a while, or another in its stead.
                Event::DeadLetter {
                    id,
                    to,
                    why: DeadReason::MailboxFull,
                } => {
                    run.takers.insert(id, run.process(to));
                }
                Event::Stale { id, .. } | Event::DeadLetter { id, .. } => {
                    run.takers.insert(id, None);
                }
                _ => {}
            }
        }
        run
    }

    /// The process of this number.
    fn process(&self, number: u64) -> Option<Pid> {
        let mut pids = self.lineages.keys();
        pids.find(|pid| pid.as_u64() == number).copied()
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

    /// The nodes between which a machine draws for what it sends and waits for by itself.
    fn ends(&self, who: Lineage) -> Option<(usize, usize)> {
        let (from, to) = self.outcome.lineages.ends(who)?;
        Some((*self.nodes.get(&from)?, *self.nodes.get(&to)?))
    }

    /// The first node of this one's name: runs may number those that were written off otherwise.
    fn group(&self, node: NodeId) -> usize {
        let names = &self.outcome.names;
        let same = names.iter().position(|name| *name == names[node.index()]);
        same.expect("a node of this name")
    }

    /// The faults that were planned in a window and may be what a draw decides.
    fn planned(&self, site: Site) -> impl Iterator<Item = (u64, &'a Fault)> {
        let group = self.nodes.get(&site.who).copied();
        let window = site.nth & ((1 << 40) - 1);
        let faults = self.outcome.plan.faults().iter();
        let decided = faults.filter(move |planned| {
            let node = planned.fault.node().map(|node| node.index());
            let at_ns = planned.at.as_nanos();
            let alike = match site.kind {
                Kind::Crash | Kind::CrashCall | Kind::Downtime => {
                    matches!(planned.fault, Fault::Crash { .. })
                }
                Kind::Drift => matches!(planned.fault, Fault::Drift { .. }),
                _ => true,
            };
            let in_window = at_ns / 1_000_000_000 == window;
            let of_who = match (&planned.fault, node) {
                (Fault::Break { a, .. }, _) => Some(a.index()) == group,
                (Fault::Cut { .. }, _) => group.is_none() || site.kind == Kind::CutSide,
                (_, node) => node == group,
            };
            alike && in_window && of_who
        });
        decided.map(|planned| (planned.at.as_nanos(), &planned.fault))
    }
}

/// What one draw can have touched, and since when.
#[derive(Default)]
pub(crate) struct Future {
    processes: FxHashMap<Lineage, u64>,
    nodes: FxHashMap<usize, u64>,
    /// Ways from one node to another.
    ways: FxHashMap<(usize, usize), u64>,
    /// Packets that were touched, by sender and count: both runs number them alike.
    packets: FxHashSet<(Lineage, u32)>,
    /// The draw itself, and those that are asked or not by its outcome.
    own: Vec<Site>,
    /// The draw, where it decided on a fault of the plan: it decides then which others are made for it.
    planned: Option<Site>,
}

/// What is drawn for a fault of the plan once it is to come.
const OF_THE_PLAN: [Kind; 10] = [
    Kind::CrashCall,
    Kind::Downtime,
    Kind::Lasts,
    Kind::CutForm,
    Kind::CutSide,
    Kind::Flap,
    Kind::Peer,
    Kind::StepBy,
    Kind::Victim,
    Kind::HowMany,
];

impl Future {
    /// The future of a draw that the runs answer otherwise.
    pub(crate) fn of(draw: &Recorded, runs: [&Run<'_>; 2]) -> Future {
        let mut future = Future::default();
        let Site { kind, who, nth } = draw.site;
        let node = runs[0].nodes.get(&who);
        let at = runs[0].not_before(draw);
        let own: &[Kind] = match kind {
            Kind::Rank | Kind::Lateness => {
                future.processes.insert(who, at);
                &[]
            }
            // Where an init fails it is not asked whether it hangs.
            Kind::CrashAtStep | Kind::InitFails | Kind::InitHangs | Kind::SlowTerminate => {
                future.processes.insert(who, at);
                &[Kind::InitHangs]
            }
            Kind::StepCost => {
                future.nodes.extend(node.map(|node| (*node, at)));
                &[]
            }
            Kind::Loss | Kind::Latency if runs[0].ends(who).is_some() => {
                let way = runs[0].ends(who).expect("the ends of a connection");
                future.touch_way(way, at);
                &[Kind::Latency]
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
            Kind::DueRank | Kind::Program | Kind::Tick | Kind::Swarm => {
                unreachable!("not taken out: {draw:?}")
            }
            _ => {
                for run in runs {
                    for (at, fault) in run.planned(draw.site) {
                        future.befalls(fault, run, at);
                    }
                }
                future.planned = Some(draw.site);
                &[]
            }
        };
        future.own = own.iter().map(|kind| Site::new(*kind, who, nth)).collect();
        future.own.push(draw.site);
        // Every run must spread in each round, so nothing here may stop early.
        while runs.iter().filter(|run| future.spread(run)).count() > 0 {}
        future
    }

    /// Whom a fault of the plan befalls.
    fn befalls(&mut self, fault: &Fault, run: &Run<'_>, at: u64) {
        match fault {
            Fault::Cut { cut, .. } => {
                let nodes = || (0..run.outcome.names.len()).map(NodeId::new);
                for (a, b) in nodes().flat_map(|a| nodes().map(move |b| (a, b))) {
                    if cut.blocks(a, b) {
                        self.touch_ways((run.group(a), run.group(b)), at);
                    }
                }
            }
            Fault::Break { a, b } => {
                self.touch_ways((run.group(*a), run.group(*b)), at);
            }
            fault => {
                let node = fault.node().expect("a fault of a node");
                self.touch_group(run.group(node), at);
            }
        }
    }

    /// Whether this draw of a run lies in it.
    pub(crate) fn holds(&self, draw: &Recorded, run: &Run<'_>) -> bool {
        let at = run.not_after(draw);
        let Site { kind, who, nth } = draw.site;
        let touched = |since: Option<&u64>| since.is_some_and(|since| *since <= at);
        let group = run.nodes.get(&who);
        let way = run.ways.get(&(who, nth as u32));
        let of_plan = self.planned.is_some_and(|planned| {
            let window = (nth ^ planned.nth) & ((1 << 40) - 1) == 0;
            let of_who = who == planned.who || kind == Kind::CutSide;
            OF_THE_PLAN.contains(&kind) && window && of_who
        });
        self.own.contains(&draw.site)
            || kind == Kind::Latency && way.is_some_and(|way| self.is_queue_touched(*way, at))
            || of_plan
            || run.ends(who).is_some() && self.anything_is_touched(at)
            || touched(self.processes.get(&who))
            || group.is_some_and(|group| touched(self.nodes.get(group)))
    }

    fn anything_is_touched(&self, at: u64) -> bool {
        let since = self.processes.values().chain(self.nodes.values());
        since.chain(self.ways.values()).any(|since| *since <= at)
    }

    fn is_touched(&self, pid: Pid, run: &Run<'_>, at: u64) -> bool {
        let Some(lineage) = run.lineages.get(&pid) else {
            return false;
        };
        let since = [
            self.processes.get(lineage),
            self.nodes.get(&run.group(pid.node())),
        ];
        since.into_iter().flatten().any(|since| *since <= at)
    }

    fn touch(&mut self, pid: Pid, run: &Run<'_>, at: u64) -> bool {
        let Some(lineage) = run.lineages.get(&pid) else {
            return false;
        };
        earlier(self.processes.entry(*lineage).or_insert(u64::MAX), at)
    }

    fn touch_node(&mut self, node: NodeId, run: &Run<'_>, at: u64) -> bool {
        self.touch_group(run.group(node), at)
    }

    fn touch_group(&mut self, group: usize, at: u64) -> bool {
        earlier(self.nodes.entry(group).or_insert(u64::MAX), at)
    }

    fn touch_way(&mut self, way: (usize, usize), at: u64) -> bool {
        earlier(self.ways.entry(way).or_insert(u64::MAX), at)
    }

    fn touch_ways(&mut self, (a, b): (usize, usize), at: u64) {
        self.touch_way((a, b), at);
        self.touch_way((b, a), at);
    }

    /// Whether anything was touched on which a connection of a node to a peer depends.
    fn is_way_touched(&self, node: NodeId, peer: NodeId, run: &Run<'_>, at: u64) -> bool {
        self.is_queue_touched((run.group(node), run.group(peer)), at)
    }

    /// The same. A packet draws its latency when those before it have come, if ever.
    fn is_queue_touched(&self, (a, b): (usize, usize), at: u64) -> bool {
        let since = [
            self.ways.get(&(a, b)),
            self.ways.get(&(b, a)),
            self.nodes.get(&a),
            self.nodes.get(&b),
        ];
        since.into_iter().flatten().any(|since| *since <= at)
    }

    fn comes_touched(&self, id: MessageId, node: NodeId, run: &Run<'_>, at: u64) -> bool {
        let way = (run.group(id.from.node()), run.group(node));
        // With a node's end, what it had under way is lost.
        let mut since = self
            .ways
            .get(&way)
            .into_iter()
            .chain(self.nodes.get(&way.0));
        self.packets.contains(&(run.lineages[&id.from], id.nth()))
            || since.any(|since| *since <= at)
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
                Event::Packet { id, to, .. } => {
                    let packet = (run.lineages[&id.from], id.nth());
                    let way = (run.group(id.from.node()), run.group(to));
                    if self.is_touched(id.from, run, at) {
                        more |= self.packets.insert(packet);
                    }
                    if self.packets.contains(&packet) {
                        more |= self.touch_way(way, at);
                    }
                }
                Event::Arrive { id, node } if self.comes_touched(id, node, run, at) => {
                    more |= match run.takers.get(&id) {
                        Some(Some(taker)) => self.touch(*taker, run, at),
                        Some(None) => false,
                        None => self.touch_node(node, run, at),
                    };
                }
                Event::NodeUp { node, peer } | Event::NodeDown { node, peer, .. }
                    if self.is_way_touched(node, peer, run, at) =>
                {
                    more |= self.touch_node(node, run, at);
                }
                Event::ExitSignal { from, to, .. } if self.is_touched(from, run, at) => {
                    more |= self.touch(to, run, at);
                }
                Event::Down { to, of, .. } if self.is_touched(of, run, at) => {
                    more |= self.touch(to, run, at);
                }
                Event::Admitted { pid, of } if self.is_touched(of, run, at) => {
                    more |= self.touch(pid, run, at);
                }
                // A call fails whose question was dropped.
                Event::DeadLetter {
                    id,
                    to,
                    why: DeadReason::MailboxFull,
                } if run
                    .process(to)
                    .is_some_and(|to| self.is_touched(to, run, at)) =>
                {
                    more |= self.touch(id.from, run, at);
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
                    more |= self.touch_node(pid.node(), run, at);
                }
                Event::Busy { node, .. } if self.is_touched(stepping, run, at) => {
                    more |= self.touch_node(node, run, at);
                }
                // Inside a step: who called the host, and how often, decides when.
                Event::Crash { node, call, .. } if call > 0 => {
                    let mut there = run.lineages.keys().filter(|pid| pid.node() == node);
                    if there.any(|pid| self.is_touched(*pid, run, at)) {
                        more |= self.touch_node(node, run, at);
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
