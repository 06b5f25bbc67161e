//! The bounds of a run: no queue and no loop is without one.

use crate::trace::Limit;
use std::time::Duration;

/// How much a run may use before it ends with an error that names the number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Steps in one run. Default 100 million: minutes of wall time, so a run beyond it is no seed.
    pub steps: u64,
    /// Steps within one instant of virtual time. Default 10 million: a loop that never waits.
    pub steps_at_once: u64,
    /// Messages in one mailbox. Default one million.
    pub mailbox: usize,
    /// Live processes on one node. Default two million; at most 4,194,304.
    pub processes: usize,
    /// Timers and packets waiting at once. Default 16 million.
    pub agenda: usize,
    /// Wall time after which the watchdog names the process whose poll has not returned. Default 10 s.
    pub poll: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            steps: 100_000_000,
            steps_at_once: 10_000_000,
            mailbox: 1_000_000,
            processes: 2_000_000,
            agenda: 16_000_000,
            poll: Duration::from_secs(10),
        }
    }
}

/// A bound that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Which.
    pub limit: Limit,
    /// Its number.
    pub most: u64,
}
