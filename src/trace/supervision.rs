//! What supervisors do, as plain data: enough to tell from a trace alone whether they keep OTP's rules.

use super::ids::{Pid, TextId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which children a supervisor restarts when one has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Strategy {
    /// That one.
    OneForOne = 0,
    /// All of them.
    OneForAll = 1,
    /// That one and those that were started after it.
    RestForOne = 2,
    /// That one, of a dynamic supervisor: all have one specification, and stop together.
    SimpleOneForOne = 3,
}

/// When a child is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Restart {
    /// Always.
    Permanent = 0,
    /// Unless it ended as `normal`, `shutdown` or `shutdown(_)`.
    Transient = 1,
    /// Never.
    Temporary = 2,
}

/// One thing that a supervisor does. A child has a number of its supervisor's own, in the order of starts,
/// which stays through its restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "fields are named in OTP's words, and each variant's line uses them"
)]
pub enum Supervision {
    /// A process supervises from now on: at most `intensity` restarts within `period_ns`.
    Begins {
        strategy: Strategy,
        intensity: u32,
        period_ns: u64,
    },
    /// It starts this child; what it spawns next is the child's process. By hand: since it was asked to.
    Starts {
        child: u32,
        restart: Restart,
        by_hand: bool,
        id: TextId,
    },
    /// The child's `init` is through.
    Started { child: u32, pid: Pid },
    /// The child has no process: its `init` ignored the start, or failed.
    NotStarted { child: u32, ignored: bool },
    /// It stops a child: by hand, or since its group or all of them are stopped.
    Stops { child: u32, pid: Pid, by_hand: bool },
    /// It forgets a child that has no process, as it was asked to.
    Deletes { child: u32 },
    /// It has seen the end of a child that is not restarted.
    Ended { child: u32 },
    /// It counts a restart, of this child and of those that go with it.
    /// Its node's clock, by which it counts, says `clock_ns`.
    Restarts { child: u32, clock_ns: u64 },
    /// It waits for so long before it makes the restart that it has counted.
    Waits { child: u32, for_ns: u64 },
    /// There were too many restarts: it stops all its children, and ends.
    GivesUp { child: u32, clock_ns: u64 },
    /// Its significant children have ended: it stops all its children, and ends.
    ShutsDown,
}

impl Supervision {
    /// Its words for the digest: a code with its small parts, and two numbers. What a clock says follows
    /// from what was drawn for it, and is left out.
    pub(crate) fn words(self) -> [u64; 3] {
        let part = |code: u64, child: u32| code | u64::from(child) << 8;
        match self {
            Supervision::Begins {
                strategy,
                intensity,
                period_ns,
            } => [part(0, intensity), strategy as u64, period_ns],
            Supervision::Starts {
                child,
                restart,
                by_hand,
                ..
            } => [part(1, child), restart as u64, u64::from(by_hand)],
            Supervision::Started { child, pid } => [part(2, child), pid.as_u64(), 0],
            Supervision::NotStarted { child, ignored } => [part(3, child), u64::from(ignored), 0],
            Supervision::Stops {
                child,
                pid,
                by_hand,
            } => [part(4, child), pid.as_u64(), u64::from(by_hand)],
            Supervision::Ended { child } => [part(5, child), 0, 0],
            Supervision::Restarts { child, .. } => [part(6, child), 0, 0],
            Supervision::GivesUp { child, .. } => [part(7, child), 0, 0],
            Supervision::ShutsDown => [8, 0, 0],
            Supervision::Deletes { child } => [part(10, child), 0, 0],
            Supervision::Waits { child, for_ns } => [part(9, child), for_ns, 0],
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Strategy::OneForOne => "one_for_one",
            Strategy::OneForAll => "one_for_all",
            Strategy::RestForOne => "rest_for_one",
            Strategy::SimpleOneForOne => "simple_one_for_one",
        })
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Restart::Permanent => "permanent",
            Restart::Transient => "transient",
            Restart::Temporary => "temporary",
        })
    }
}
