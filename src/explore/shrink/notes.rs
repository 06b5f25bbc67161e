//! What each edit of a tape means, in words for a person, from the log of the tape's run.

use crate::choice::{Edit, Kind, Lineage, Recorded, Site};
use crate::kernel::Time;
use crate::sim::{Fault, Outcome, swarm_kind};
use crate::trace::{Entry, Event, Log, NodeId, Pid, TextId, set_names};
use rustc_hash::FxHashMap;
use std::time::Duration;

/// Characters of a message's text that a note shows at most.
const TEXT_MOST: usize = 60;

/// Orders the edits as the run asks for them, and gives each its note.
pub(super) fn annotate(edits: &mut [Edit], outcome: &Outcome) {
    let Some(log) = outcome.log.as_ref() else {
        return;
    };
    let asked: FxHashMap<Site, usize> = outcome
        .draws
        .iter()
        .enumerate()
        .map(|(order, draw)| (draw.site, order))
        .collect();
    let order = |edit: &Edit| edit.site().and_then(|site| asked.get(&site).copied());
    edits.sort_by_key(|edit| order(edit).unwrap_or(usize::MAX));
    let story = Story {
        outcome,
        log,
        pids: pids(outcome, log),
    };
    let names = set_names(Some(outcome.names.clone()));
    for edit in edits {
        let draw = order(edit).map(|order| outcome.draws[order]);
        edit.note = draw.and_then(|draw| story.tell(&draw)).unwrap_or_default();
    }
    set_names(names);
}

/// The pid of each lineage: a process is its parent's n-th child, a root its node's n-th boot.
fn pids(outcome: &Outcome, log: &Log) -> FxHashMap<Lineage, Pid> {
    let mut lineages: FxHashMap<Pid, (Lineage, u32)> = FxHashMap::default();
    let mut pids = FxHashMap::default();
    for entry in log.entries() {
        let Event::Spawn { pid, parent } = entry.event else {
            continue;
        };
        let lineage = match lineages.get_mut(&parent) {
            Some((parent, children)) => {
                *children += 1;
                parent.child(*children)
            }
            None => Lineage::node(&outcome.names[pid.node().index()]).boot(pid.incarnation()),
        };
        lineages.insert(pid, (lineage, 0));
        pids.insert(lineage, pid);
    }
    pids
}

struct Story<'a> {
    outcome: &'a Outcome,
    log: &'a Log,
    pids: FxHashMap<Lineage, Pid>,
}

impl Story<'_> {
    fn tell(&self, draw: &Recorded) -> Option<String> {
        let Site { kind, who, nth } = draw.site;
        let time = Duration::from_nanos(draw.outcome);
        match kind {
            Kind::Loss => {
                let (packet, times) = (self.packet(who, nth)?, draw.outcome);
                Some(match (self.is_lost_for_good(who, nth), times) {
                    (true, _) => format!("{packet} is lost"),
                    (false, 1) => format!("{packet} is lost, and sent again"),
                    (false, _) => format!("{packet} is lost {times} times, and sent again"),
                })
            }
            Kind::Duplicate => Some(format!("{} comes twice", self.packet(who, nth)?)),
            Kind::Latency => Some(format!(
                "{} takes {time:?} more than the least",
                self.packet(who, nth)?
            )),
            Kind::CopyLatency => Some(format!(
                "the duplicate of {} takes {time:?} more than the least",
                self.packet(who, nth)?
            )),
            Kind::Reorder => Some(format!(
                "{} is held back for {time:?}",
                self.packet(who, nth)?
            )),
            Kind::Crash => {
                let planned = self.outcome.plan.decided_by(draw.site)?;
                let Fault::Crash { node, call, .. } = planned.fault else {
                    return None;
                };
                let at = planned.at;
                let crash = self
                    .find(|e| e.at_ns >= at.as_nanos() && crashes(&e.event, node))
                    .map(|entry| Time::from_nanos(entry.at_ns));
                Some(match crash {
                    Some(then) if call > 0 => format!("{node} crashes at {then}, inside a step"),
                    Some(then) => format!("{node} crashes at {then}"),
                    None => format!("{node} would crash at {at}, and does not come to it"),
                })
            }
            Kind::CrashCall => {
                let planned = self.outcome.plan.decided_by(draw.site)?;
                let (node, call) = (planned.fault.node()?, draw.outcome);
                Some(format!(
                    "that crash of {node}: at call number {call} of its processes after {}",
                    planned.at
                ))
            }
            Kind::Downtime => {
                let node = self.outcome.plan.decided_by(draw.site)?.fault.node()?;
                Some(format!("{node} then stays down for {time:?}"))
            }
            Kind::PowerCut
            | Kind::Stop
            | Kind::Pause
            | Kind::Zombie
            | Kind::Cut
            | Kind::Break
            | Kind::ClockStep
            | Kind::Kill
            | Kind::CrashAtMessage
            | Kind::Flood
            | Kind::DiskFull
            | Kind::DiskSlow
            | Kind::DiskHang
            | Kind::RollBack
            | Kind::Wipe
            | Kind::Storm
            | Kind::Outage => Some(self.outcome.plan.decided_by(draw.site)?.to_string()),
            Kind::CutForm
            | Kind::CutSide
            | Kind::Flap
            | Kind::Lasts
            | Kind::Peer
            | Kind::StepBy
            | Kind::Victim
            | Kind::HowMany => {
                let planned = self.outcome.plan.decided_by(draw.site)?;
                Some(format!("part of this: {planned}"))
            }
            Kind::Drift => {
                let who = self.outcome.lineages.text(who);
                Some(format!("the clock of {who} drifts"))
            }
            Kind::Swarm => {
                let kind = swarm_kind(nth)?;
                Some(format!("the swarm of this run has {kind}"))
            }
            Kind::Tick => {
                let (node, peer) = self.ends(who)?;
                Some(format!(
                    "{node} notices the silence of {peer} {time:?} later than it might"
                ))
            }
            Kind::CrashAtStep => {
                let pid = self.pids.get(&who)?;
                Some(format!(
                    "{pid} crashes at step {nth} of those that it names"
                ))
            }
            Kind::LostAck => Some(format!("ack {nth} of {} is lost", self.pids.get(&who)?)),
            Kind::RepeatedAck => {
                let pid = self.pids.get(&who)?;
                Some(format!("ack {nth} of {pid} is sent twice"))
            }
            Kind::LateAck => {
                let pid = self.pids.get(&who)?;
                Some(format!("ack {nth} of {pid} is {time:?} late"))
            }
            Kind::InitFails => Some(format!("the init of {} fails", self.pids.get(&who)?)),
            Kind::InitHangs => {
                let pid = self.pids.get(&who)?;
                Some(format!("the init of {pid} hangs for {time:?}"))
            }
            Kind::SlowTerminate => {
                let pid = self.pids.get(&who)?;
                Some(format!("the terminate of {pid} hangs for {time:?}"))
            }
            Kind::StepCost => {
                let pid = self.pids.get(&who)?;
                let (node, boot) = (pid.node(), pid.incarnation());
                Some(format!("each step of {node} costs {time:?} in boot {boot}"))
            }
            Kind::Rank => {
                let pid = *self.pids.get(&who)?;
                let mut steps = self.log.entries().iter();
                let step = usize::try_from(nth.checked_sub(1)?).ok()?;
                let step = steps
                    .by_ref()
                    .filter(|e| e.event == Event::Step { pid })
                    .nth(step)?;
                let at = Time::from_nanos(step.at_ns);
                Some(format!("{pid} steps later among those ready at {at}"))
            }
            Kind::Lateness => {
                let pid = *self.pids.get(&who)?;
                let of =
                    |e: &Entry| matches!(e.event, Event::TimerSet { pid: by, .. } if by == pid);
                let set = self.find(|entry| entry.step == draw.step && of(entry))?;
                let at = Time::from_nanos(set.at_ns);
                Some(format!(
                    "a timer that {pid} set at {at} fires {time:?} late"
                ))
            }
            Kind::DueRank => {
                let cause = self.pids.get(&who).map_or_else(
                    || self.outcome.lineages.text(who),
                    std::string::ToString::to_string,
                );
                let due = self.find(|entry| entry.step > draw.step)?;
                let at = Time::from_nanos(due.at_ns);
                Some(format!(
                    "of what is due at {at}, that of {cause} comes later"
                ))
            }
            Kind::DiskLatency
            | Kind::DiskError
            | Kind::Rot
            | Kind::Misdirect
            | Kind::DiskStall
            | Kind::CrashKeeps
            | Kind::CrashLoses
            | Kind::CrashTears
            | Kind::CrashShortens
            | Kind::CopyRank => self.disk(draw),
            Kind::Program => None,
        }
    }

    /// What a draw about a disk does: to an operation of a process, or to a file in a crash.
    fn disk(&self, draw: &Recorded) -> Option<String> {
        let Site { kind, who, nth } = draw.site;
        let (outcome, time) = (draw.outcome, Duration::from_nanos(draw.outcome));
        let who = match self.pids.get(&who) {
            Some(pid) => pid.to_string(),
            None => self.outcome.lineages.text(who),
        };
        let operation = format!("operation {nth} of {who} on its disk");
        let change = nth & 0xFFFF_FFFF;
        if outcome == 0 {
            return None;
        }
        Some(match (kind, outcome) {
            (Kind::DiskLatency, _) => format!("{operation} takes {time:?} more than the least"),
            (Kind::DiskStall, _) => format!("{operation} stalls for {time:?}"),
            (Kind::DiskError, _) => format!("{operation} fails"),
            (Kind::Rot, _) => format!("bit {} of what {operation} reads rots", outcome - 1),
            (Kind::Misdirect, _) => format!("{operation} writes to sector {}", outcome - 1),
            (Kind::CrashKeeps, 1) => format!("the crash keeps nothing unsynced of {who}"),
            (Kind::CrashKeeps, _) => format!("the crash keeps a part of what is unsynced of {who}"),
            (Kind::CrashLoses, _) => format!("{outcome} of the last changes of {who} are lost"),
            (Kind::CrashTears, _) => format!("change {change} of {who} is lost, or torn"),
            (Kind::CrashShortens, _) => format!("{who} is {outcome} sectors shorter"),
            _ => format!("{who} is less likely to be hurt"),
        })
    }

    fn find(&self, wanted: impl Fn(&Entry) -> bool) -> Option<&Entry> {
        self.log.entries().iter().find(|entry| wanted(entry))
    }

    /// A packet by its sender and the sender's count: kind, ends, text, and when it left.
    fn packet(&self, who: Lineage, nth: u64) -> Option<String> {
        if let Some((node, peer)) = self.ends(who) {
            return Some(format!(
                "packet {nth} of {node} for its connection to {peer}"
            ));
        }
        let from = *self.pids.get(&who)?;
        let is_it = |entry: &Entry| match entry.event {
            Event::Packet { id, .. } => id.from == from && u64::from(id.nth()) == nth,
            _ => false,
        };
        let entry = self.find(is_it)?;
        let Event::Packet { to, kind, text, .. } = entry.event else {
            return None;
        };
        let at = Time::from_nanos(entry.at_ns);
        let text = self.shown(text);
        Some(format!("{kind} {nth} from {from} to {to}{text} at {at}"))
    }

    /// The ends of a connection.
    fn ends(&self, way: Lineage) -> Option<(String, String)> {
        let names = &self.outcome.lineages;
        let (from, to) = names.ends(way)?;
        Some((names.text(from), names.text(to)))
    }

    /// Whether a packet never arrives: on a connection a lost one is sent again.
    fn is_lost_for_good(&self, who: Lineage, nth: u64) -> bool {
        let is_it = |entry: &Entry| match entry.event {
            Event::Lost { id, .. } => {
                self.pids.get(&who) == Some(&id.from) && u64::from(id.nth()) == nth
            }
            _ => false,
        };
        self.find(is_it).is_some()
    }

    fn shown(&self, text: TextId) -> String {
        let Some(text) = self.log.text(text) else {
            return String::new();
        };
        // A tape's edit is one line.
        let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(TEXT_MOST) {
            Some((end, _)) => format!(" ({}…)", &line[..end]),
            None => format!(" ({line})"),
        }
    }
}

fn crashes(event: &Event, of: NodeId) -> bool {
    matches!(event, Event::Crash { node, .. } if *node == of)
}
