//! How faults befall processes: those that are there, and those that pass where one waits for them.

use super::fault::Fault;
use super::faults::Rates;
use super::mail_rates::MailRates;
use super::process_fault::{AckFault, ProcessFault, Who};
use super::process_rates::ProcessRates;
use crate::choice::{Choice, Kind, Lineage, Rate, Shape, Site};
use crate::process::{Blow, ExitReason, Info, Moment, Passing, System};
use crate::trace::{Limit, Name, NodeId, Pid};
use std::time::Duration;

/// The faults that wait for a process that passes, and those that are drawn there.
#[derive(Default)]
pub(crate) struct Blows {
    /// In the order in which they came.
    armed: Vec<(NodeId, ProcessFault)>,
    /// The nodes that drawn ones spare.
    spared: Vec<NodeId>,
}

impl Blows {
    /// Whether drawn ones spare a node, from now on.
    pub(crate) fn spare(&mut self, node: NodeId) {
        if !self.spared.contains(&node) {
            self.spared.push(node);
        }
    }

    /// What waits on a node waits from now on where that node is booted anew.
    pub(crate) fn moved(&mut self, old: NodeId, newer: NodeId) {
        let of_old = self.armed.iter_mut().filter(|(on, _)| *on == old);
        of_old.for_each(|(on, _)| *on = newer);
    }

    /// Nothing waits any more.
    pub(crate) fn disarm(&mut self) {
        self.armed.clear();
    }

    /// What befalls a process that passes.
    pub(crate) fn befalls(
        &mut self,
        choice: &mut Choice,
        rates: &Rates,
        passing: &Passing<'_>,
    ) -> Option<Blow> {
        let armed = self.by_hand(passing);
        if armed.is_some() || self.spared.contains(&passing.pid.node()) {
            return armed;
        }
        match passing.moment {
            Moment::Ack(nth) => at_ack(choice, &rates.mail, passing.who, nth),
            _ if passing.is_alone => None,
            _ => drawn(choice, &rates.processes, passing),
        }
    }

    fn by_hand(&mut self, passing: &Passing<'_>) -> Option<Blow> {
        let node = passing.pid.node();
        let mut hit = None;
        for (index, (on, fault)) in self.armed.iter_mut().enumerate() {
            let blow = match (fault, passing.moment) {
                _ if *on != node => None,
                (ProcessFault::CrashAtStep { step, nth }, Moment::Step(name, _))
                    if step == name =>
                {
                    *nth -= 1;
                    (*nth == 0).then_some(Blow::Crash)
                }
                (ProcessFault::AtAck { nth, what }, Moment::Ack(_)) => {
                    *nth -= 1;
                    (*nth == 0).then_some(match what {
                        AckFault::Lost => Blow::Lose,
                        AckFault::Twice => Blow::Repeat,
                        AckFault::Late(by) => Blow::Delay(*by),
                    })
                }
                (ProcessFault::FailInit { name }, Moment::Init(Some(own))) if name == own => {
                    Some(Blow::Crash)
                }
                (ProcessFault::HangInit { name, lasts }, Moment::Init(Some(own)))
                | (ProcessFault::SlowTerminate { name, lasts }, Moment::Terminate(Some(own)))
                    if name == own =>
                {
                    Some(Blow::Delay(*lasts))
                }
                _ => None,
            };
            // Another that waits for a later pass of the same step counts this one, too.
            hit = hit.or(blow.map(|blow| (index, blow)));
        }
        let (index, blow) = hit?;
        self.armed.remove(index);
        // One that waited for this very pass has hit with it.
        self.armed.retain(|(_, fault)| !fault.is_nothing());
        Some(blow)
    }
}

/// What the seed, or a tape, lets befall a process that passes. Nobody but the seed is asked where a rate is
/// zero.
fn drawn(choice: &mut Choice, rates: &ProcessRates, passing: &Passing<'_>) -> Option<Blow> {
    let who = passing.who;
    let is_asked = !choice.is_seeded();
    let mut crashes = |kind, nth: u32, rate: Rate| {
        let site = Site::new(kind, who, u64::from(nth));
        (is_asked || !rate.is_never()) && choice.draw(site, Shape::Chance(rate)) > 0
    };
    match passing.moment {
        Moment::Step(_, nth) => {
            crashes(Kind::CrashAtStep, nth, rates.at_step).then_some(Blow::Crash)
        }
        Moment::Init(_) if crashes(Kind::InitFails, 0, rates.init_fails) => Some(Blow::Crash),
        Moment::Init(_) => hangs(
            choice,
            Site::new(Kind::InitHangs, who, 0),
            (rates.init_hangs, rates.init_hangs_ns),
        ),
        Moment::Ack(_) => None,
        Moment::Terminate(_) => hangs(
            choice,
            Site::new(Kind::SlowTerminate, who, 0),
            (rates.terminate_hangs, rates.terminate_hangs_ns),
        ),
    }
}

/// What the seed, or a tape, lets befall an ack.
fn at_ack(choice: &mut Choice, rates: &MailRates, who: Lineage, nth: u32) -> Option<Blow> {
    let is_asked = !choice.is_seeded();
    let site = |kind| Site::new(kind, who, u64::from(nth));
    for (kind, rate, blow) in [
        (Kind::LostAck, rates.lost, Blow::Lose),
        (Kind::RepeatedAck, rates.repeated, Blow::Repeat),
    ] {
        let is_drawn = is_asked || !rate.is_never();
        if is_drawn && choice.draw(site(kind), Shape::Chance(rate)) > 0 {
            return Some(blow);
        }
    }
    hangs(choice, site(Kind::LateAck), (rates.late, rates.late_ns))
}

fn hangs(choice: &mut Choice, site: Site, (rate, most_ns): (Rate, u64)) -> Option<Blow> {
    if rate.is_never() && choice.is_seeded() {
        return None;
    }
    match choice.draw(site, Shape::Sometimes(rate, most_ns)) {
        0 => None,
        for_ns => Some(Blow::Delay(Duration::from_nanos(for_ns))),
    }
}

impl System {
    /// A fault in words. Where a draw says which process it befalls, they name that process.
    pub(super) fn fault_in_words(&mut self, fault: &Fault) -> String {
        let mut fault = fault.clone();
        if let Fault::Process { node, what } = &mut fault
            && let Some(who @ (Who::Drawn(_) | Who::Keeper(_))) = what.victim_mut()
            && let Some(pid) = self.victim(*node, who)
        {
            let slot = self.find(pid).ok();
            let name = slot.and_then(|slot| self.name_held(slot));
            let name = name.map(|name| format!(" {name}"));
            *who = Who::Named(format!("{pid}{}", name.unwrap_or_default()));
        }
        fault.to_string()
    }

    /// Whom a fault befalls that is to be there: none where there is nobody.
    pub(super) fn victim(&self, node: NodeId, who: &Who) -> Option<Pid> {
        let state = &self.nodes[node.index()];
        if !state.up {
            return None;
        }
        match who {
            Who::Named(name) => state.whereis(Name::new(name)),
            // What its first process starts in its own init nobody would start again.
            Who::Drawn(_) | Who::Keeper(_) if state.starting => None,
            Who::Drawn(pick) | Who::Keeper(pick) => {
                let tasks = state.tasks().into_iter();
                let tasks = tasks.filter_map(|slot| Some(&self.kernel.tasks.get(slot)?.data));
                let of_mail = matches!(who, Who::Keeper(_));
                let tasks = tasks.filter(|process| !of_mail || process.keeps_mail());
                let pids = tasks.map(|task| task.pid);
                let pids: Vec<Pid> = pids.filter(|pid| *pid != state.root).collect();
                let index = pick.checked_rem(pids.len() as u64)?;
                pids.get(index as usize).copied()
            }
        }
    }

    /// Something befalls a process of this node: now, or when one passes.
    pub(super) fn strike(&mut self, node: NodeId, what: &ProcessFault) {
        let Some(who) = what.victim() else {
            self.strikes = true;
            self.world().0.blows.armed.push((node, what.clone()));
            return;
        };
        let Some(pid) = self.victim(node, who) else {
            return;
        };
        let Ok(slot) = self.find(pid) else { return };
        match *what {
            ProcessFault::CrashAtMessage { nth, .. } => {
                self.strikes = true;
                if let Some(process) = self.process(slot) {
                    process.extra().strike = nth;
                }
            }
            ProcessFault::Flood { messages, .. } => self.flood(slot, messages),
            ProcessFault::Redeliver { .. } => self.inform(slot, Info::Redeliver),
            ProcessFault::Outage { lasts, .. } => self.take_down(node, slot, lasts),
            _ => self.ask_to_exit(Pid::NOBODY, pid, ExitReason::Kill),
        }
    }

    /// Kills a process, and lets the next init under its name hang.
    fn take_down(&mut self, node: NodeId, slot: u32, lasts: Duration) {
        let Some(process) = self.process(slot) else {
            return;
        };
        let pid = process.pid;
        if let Some(name) = self.name_held(slot) {
            self.strikes = true;
            let hangs = ProcessFault::HangInit { name, lasts };
            self.world().0.blows.armed.push((node, hangs));
        }
        self.ask_to_exit(Pid::NOBODY, pid, ExitReason::Kill);
    }

    fn flood(&mut self, slot: u32, messages: u32) {
        let most = self.kernel.bounds.mailbox;
        for _ in 0..messages {
            self.inform(slot, Info::Noise);
            let mail = self.process(slot).map_or(0, |process| process.mail);
            if mail as usize > most {
                return self.fail(Limit::Mailbox, most as u64);
            }
        }
    }
}
