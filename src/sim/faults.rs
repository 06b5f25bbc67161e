//! Which faults a run may have, and how often: a profile, not yet drawn.

use crate::choice::{Rate, RateError};
use crate::kernel::nanos;
use crate::net::PacketFaults;
use crate::trace::PacketKind;
use std::fmt;
use std::time::Duration;

/// A profile of faults: rates for each kind. [`Faults::calm`] has none.
///
/// ```
/// use netsplit::{Faults, PacketKind, millis, secs};
/// let faults = Faults::calm()
///     .lose(0.01)
///     .duplicate_kind(PacketKind::Ack, 0.05)
///     .reorder(0.02, millis(50))
///     .crash(secs(10), secs(1));
/// assert!(faults.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    loss: [f64; PacketKind::COUNT],
    duplicate: [f64; PacketKind::COUNT],
    reorder: f64,
    hold: Duration,
    crash_every: Option<Duration>,
    down_for: Duration,
    crash_calls: u64,
    slow: f64,
    slow_step: Duration,
    timers_late: Duration,
    spared: Vec<String>,
}

/// A profile that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum FaultError {
    /// A rate outside 0 to 1.
    #[error("the rate of `{0}`: {1}")]
    Rate(&'static str, #[source] RateError),
    /// A duration that must not be zero.
    #[error("the duration of `{0}` must be longer than 0")]
    Zero(&'static str),
}

impl Faults {
    /// No faults at all.
    #[must_use]
    pub fn calm() -> Faults {
        Faults {
            loss: [0.0; PacketKind::COUNT],
            duplicate: [0.0; PacketKind::COUNT],
            reorder: 0.0,
            hold: Duration::from_millis(100),
            crash_every: None,
            down_for: Duration::from_secs(1),
            crash_calls: 8,
            slow: 0.0,
            slow_step: Duration::from_millis(10),
            timers_late: Duration::ZERO,
            spared: Vec::new(),
        }
    }

    /// Loses this share of all packets.
    #[must_use]
    pub fn lose(mut self, rate: f64) -> Faults {
        self.loss = [rate; PacketKind::COUNT];
        self
    }

    /// Loses this share of the packets of one kind.
    #[must_use]
    pub fn lose_kind(mut self, kind: PacketKind, rate: f64) -> Faults {
        self.loss[kind as usize] = rate;
        self
    }

    /// Duplicates this share of all packets.
    #[must_use]
    pub fn duplicate(mut self, rate: f64) -> Faults {
        self.duplicate = [rate; PacketKind::COUNT];
        self
    }

    /// Duplicates this share of the packets of one kind.
    #[must_use]
    pub fn duplicate_kind(mut self, kind: PacketKind, rate: f64) -> Faults {
        self.duplicate[kind as usize] = rate;
        self
    }

    /// Holds this share of all packets back, for as long as `most` beyond their latency, so that later
    /// ones overtake them.
    #[must_use]
    pub fn reorder(mut self, rate: f64, most: Duration) -> Faults {
        self.reorder = rate;
        self.hold = most;
        self
    }

    /// Crashes each node, on average once in `every`; it reboots after `down_for` on average. Nodes of
    /// clients are spared, and a node crashes at most once in each second of virtual time. Eight of nine
    /// crashes fall inside a poll: see [`Faults::crash_calls`].
    #[must_use]
    pub fn crash(mut self, every: Duration, down_for: Duration) -> Faults {
        self.crash_every = Some(every);
        self.down_for = down_for;
        self
    }

    /// A crash falls at the node's next 1st to `most`-th call of the host (drawn), inside a poll, or, as
    /// one more case as likely as each of these, between two steps. Default 8; 0: always between steps.
    #[must_use]
    pub fn crash_calls(mut self, most: u64) -> Faults {
        self.crash_calls = most;
        self
    }

    /// Makes this share of all boots slow: each of their steps costs up to `step`, drawn once a boot.
    #[must_use]
    pub fn slow(mut self, rate: f64, step: Duration) -> Faults {
        self.slow = rate;
        self.slow_step = step;
        self
    }

    /// Timers fire up to `most` later than they were set for.
    #[must_use]
    pub fn late_timers(mut self, most: Duration) -> Faults {
        self.timers_late = most;
        self
    }

    /// Spares a node: it does not crash and is not slow.
    #[must_use]
    pub fn spare(mut self, node: &str) -> Faults {
        self.spared.push(node.to_owned());
        self
    }

    /// The nodes that are spared.
    pub(crate) fn spared(&self) -> &[String] {
        &self.spared
    }

    /// Whether every rate and duration makes sense.
    ///
    /// # Errors
    /// [`FaultError`], which names the first that does not.
    pub fn check(&self) -> Result<(), FaultError> {
        self.rates().map(drop)
    }

    pub(crate) fn rates(&self) -> Result<Rates, FaultError> {
        let rate = |what, p| Rate::new(p).map_err(|error| FaultError::Rate(what, error));
        let rates = |what, all: [f64; PacketKind::COUNT]| {
            let mut rates = [Rate::NEVER; PacketKind::COUNT];
            for (to, p) in rates.iter_mut().zip(all) {
                *to = rate(what, p)?;
            }
            Ok(rates)
        };
        let long = |what, duration: Duration| {
            if duration.is_zero() {
                Err(FaultError::Zero(what))
            } else {
                Ok(nanos(duration))
            }
        };
        let crash = match self.crash_every {
            None => Rate::NEVER,
            Some(every) => {
                let mean = long("crash", every)? as f64 / WINDOW_NS as f64;
                rate("crash", 1.0 - libm::exp(-1.0 / mean))?
            }
        };
        Ok(Rates {
            packets: PacketFaults {
                loss: rates("lose", self.loss)?,
                duplicate: rates("duplicate", self.duplicate)?,
                reorder: rate("reorder", self.reorder)?,
                hold_ns: long("reorder", self.hold)?,
            },
            crash,
            down_for: self.down_for,
            crash_calls: self.crash_calls,
            slow: rate("slow", self.slow)?,
            slow_step_ns: long("slow", self.slow_step)?,
            timers_late_ns: nanos(self.timers_late),
        })
    }
}

impl Default for Faults {
    fn default() -> Faults {
        Faults::calm()
    }
}

/// A node crashes at most once in each window of this length.
pub(crate) const WINDOW_NS: u64 = 1_000_000_000;

/// A profile as draws use it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rates {
    pub(crate) packets: PacketFaults,
    /// Of a crash in each window.
    pub(crate) crash: Rate,
    pub(crate) down_for: Duration,
    pub(crate) crash_calls: u64,
    pub(crate) slow: Rate,
    pub(crate) slow_step_ns: u64,
    pub(crate) timers_late_ns: u64,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (word, rates) in [("lose", self.loss), ("duplicate", self.duplicate)] {
            if rates[0] > 0.0 && rates.iter().all(|rate| *rate == rates[0]) {
                parts.push(format!("{word} {} %", rates[0] * 100.0));
                continue;
            }
            for (kind, rate) in PacketKind::ALL
                .iter()
                .zip(rates)
                .filter(|(_, rate)| *rate > 0.0)
            {
                parts.push(format!("{word} {} % of kind {kind}", rate * 100.0));
            }
        }
        if self.reorder > 0.0 {
            parts.push(format!(
                "hold back {} % up to {:?}",
                self.reorder * 100.0,
                self.hold
            ));
        }
        if let Some(every) = self.crash_every {
            parts.push(format!("crash every {every:?} for {:?}", self.down_for));
        }
        if self.slow > 0.0 {
            let (share, step) = (self.slow * 100.0, self.slow_step);
            parts.push(format!("{share} % of boots slow, up to {step:?} a step"));
        }
        if !self.timers_late.is_zero() {
            parts.push(format!("timers up to {:?} late", self.timers_late));
        }
        if !self.spared.is_empty() {
            parts.push(format!("sparing {}", self.spared.join(", ")));
        }
        f.write_str(if parts.is_empty() { "calm" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_over_one_is_refused_with_the_name_of_its_fault() {
        let error = Faults::calm()
            .duplicate_kind(PacketKind::Ack, 1.5)
            .check()
            .unwrap_err();
        let said = format!("{error}");
        assert!(said.contains("duplicate") && said.contains("1.5"), "{said}");
        assert!(
            Faults::calm()
                .crash(Duration::ZERO, Duration::ZERO)
                .check()
                .is_err()
        );
    }

    #[test]
    fn a_profile_reads_as_what_it_does() {
        let faults = Faults::calm()
            .lose(0.01)
            .duplicate_kind(PacketKind::Ack, 0.05)
            .crash(Duration::from_secs(10), Duration::from_secs(1));
        let text = "lose 1 %, duplicate 5 % of kind ack, crash every 10s for 1s";
        assert_eq!(faults.to_string(), text);
        assert_eq!(Faults::calm().to_string(), "calm");
    }
}
