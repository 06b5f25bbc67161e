//! The plan of a run's node faults: data, drawn before the run begins.

use super::faults::{Rates, WINDOW_NS};
use crate::choice::{Choice, Distribution, Kind, Lineage, Shape, Site};
use crate::kernel::Time;
use crate::trace::NodeId;
use std::fmt;
use std::time::Duration;

/// A fault of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The node crashes, and reboots after a while.
    Crash {
        /// At its how-manieth call of the host from then on; 0: at once, between two steps.
        call: u64,
        /// How long it stays down.
        down_for: Duration,
    },
}

/// A fault with its time and place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When.
    pub at: Time,
    /// Where.
    pub node: NodeId,
    /// What.
    pub fault: Fault,
}

/// The faults of one run, in the order of their times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan(Vec<Planned>);

impl Plan {
    /// Its faults.
    #[must_use]
    pub fn faults(&self) -> &[Planned] {
        &self.0
    }

    /// Draws the faults of these nodes up to `end`. Each window of a second has draws of its own, so that
    /// a crash taken away shifts no other.
    pub(crate) fn draw(
        choice: &mut Choice,
        rates: &Rates,
        nodes: &[(NodeId, Lineage)],
        end: Time,
    ) -> Plan {
        if rates.crash.is_never() && choice.is_seeded() {
            return Plan::default();
        }
        let downtime = Distribution::Exponential {
            min: Duration::ZERO,
            mean: rates.down_for,
        };
        let mut faults = Vec::new();
        for window in 0..end.as_nanos().div_ceil(WINDOW_NS) {
            for &(node, who) in nodes {
                let site = |kind| Site::new(kind, who, window);
                let shape = Shape::Sometimes(rates.crash, WINDOW_NS);
                let offset = choice.draw(site(Kind::Crash), shape);
                let at = Time::from_nanos(window * WINDOW_NS + offset.saturating_sub(1));
                if offset == 0 || at >= end {
                    continue;
                }
                let call = choice.draw(site(Kind::CrashCall), Shape::UpTo(rates.crash_calls));
                let down = choice.draw(site(Kind::Downtime), Shape::Above(&downtime));
                let fault = Fault::Crash {
                    call,
                    down_for: Duration::from_nanos(down),
                };
                faults.push(Planned { at, node, fault });
            }
        }
        faults.sort_by_key(|planned| planned.at);
        Plan(faults)
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault::Crash { call, down_for } = self.fault;
        write!(f, "{}: {} crashes", self.at, self.node)?;
        if call > 0 {
            write!(f, " at its next call number {call}")?;
        }
        write!(f, ", down for {down_for:?}")
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no node faults");
        }
        for (index, planned) in self.0.iter().enumerate() {
            write!(f, "{}{planned}", if index > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}
