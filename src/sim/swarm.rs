//! Swarms: which kinds of faults a run has, and how much of each.

use super::class::Class;
use super::faults::{Often, Rates};
use crate::choice::{Choice, Kind, Lineage, Rate, Shape, Site};
use crate::trace::{DiskFault, PacketKind};
use std::cell::Cell;

/// Levels at which a kind of fault can be on in a run of a swarm.
const LEVELS: u64 = 3;

impl Rates {
    /// The rates of one run: of a swarm, each kind is on or off, at a level that is drawn.
    pub(crate) fn draw(&mut self, choice: &mut Choice) {
        if !self.swarm {
            return;
        }
        let even = Rate::new(0.5).unwrap_or(Rate::ALWAYS);
        let decided = Cell::new(0);
        let mut level = || {
            decided.set(decided.get() + 1);
            let site = Site::new(Kind::Swarm, Lineage::RUN, decided.get());
            match choice.draw(site, Shape::Sometimes(even, LEVELS)) {
                0 => 0.0,
                level => 0.5_f64.powi((LEVELS - level) as i32),
            }
        };
        let scaled = |rate: Rate, by: f64| Rate::new(rate.probability() * by).unwrap_or(rate);
        let (lost, doubled, held) = (level(), level(), level());
        for kind in 0..PacketKind::COUNT {
            let packets = &mut self.packets;
            packets.loss[kind] = scaled(packets.loss[kind], lost);
            packets.duplicate[kind] = scaled(packets.duplicate[kind], doubled);
        }
        self.packets.reorder = scaled(self.packets.reorder, held);
        let (others, of_mail) = self.often.split_at_mut(Class::OF_MAIL);
        let (others, of_disks) = others.split_at_mut(Class::OF_DISKS);
        let (of_nodes, of_processes) = others.split_at_mut(Class::OF_PROCESSES);
        let scale = |often: &mut Option<Often>, by| {
            *often = often.map(|often| Often {
                rate: scaled(often.rate, by),
                ..often
            });
        };
        of_nodes.iter_mut().for_each(|often| scale(often, level()));
        self.slow = scaled(self.slow, level());
        self.timers_late_ns = (self.timers_late_ns as f64 * level()) as u64;
        self.drift_ppb = (self.drift_ppb as f64 * level()) as u64;
        // A profile without them draws nothing for them: its runs have no less on their tapes to shrink.
        if self.processes.strike() || of_processes.iter().any(Option::is_some) {
            of_processes
                .iter_mut()
                .for_each(|often| scale(often, level()));
            self.processes.scale([level(), level(), level(), level()]);
        }
        decided.set(BEFORE_DISKS);
        if self.disks.strike() || of_disks.iter().any(Option::is_some) {
            of_disks.iter_mut().for_each(|often| scale(often, level()));
            self.disks.scale([(); DiskFault::COUNT].map(|()| level()));
        }
        decided.set(BEFORE_MAIL);
        if self.mail.strike() || of_mail.iter().any(Option::is_some) {
            of_mail.iter_mut().for_each(|often| scale(often, level()));
            self.mail.scale([level(), level(), level()]);
        }
    }
}

/// How many draws there are at most before those about disks.
const BEFORE_DISKS: u64 = 21;
/// The same, about mail.
const BEFORE_MAIL: u64 = 32;

/// What the draws of a swarm decide about, counted from 1.
const SWARM: [&str; 13 + Class::COUNT + DiskFault::COUNT] = [
    "lost packets",
    "duplicates",
    "packets held back",
    "crashes",
    "power cuts",
    "stops",
    "pauses",
    "nodes written off",
    "cuts of the network",
    "broken connections",
    "steps of clocks",
    "slow boots",
    "late timers",
    "drifting clocks",
    "killed processes",
    "crashes at messages",
    "floods",
    "crashes at steps",
    "failing inits",
    "hanging inits",
    "slow terminates",
    "full disks",
    "slow disks",
    "hanging disks",
    "disks rolled back",
    "wiped disks",
    "read errors",
    "write errors",
    "sync errors",
    "bit rot",
    "misdirected writes",
    "stalls of disks",
    "redelivery storms",
    "outages of mail",
    "lost acks",
    "acks sent twice",
    "late acks",
];

/// What the `nth` draw of a swarm is about.
pub(crate) fn swarm_kind(nth: u64) -> Option<&'static str> {
    SWARM.get((nth as usize).checked_sub(1)?).copied()
}
