//! What a supervisor can do wrong.

use crate::kernel::time::Time;
use crate::trace::Pid;
use std::fmt;

/// A supervisor did something that OTP's rules do not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// When, in virtual time.
    pub at: Time,
    /// In which step of the run.
    pub step: u64,
    /// Who.
    pub supervisor: Pid,
    /// With which child: its number, in the order of first starts.
    pub child: Option<u32>,
    /// What.
    pub breach: Breach,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "supervisor {}", self.supervisor)?;
        if let Some(child) = self.child {
            write!(f, ", child {child}")?;
        }
        let (what, rule) = (self.breach, self.breach.rule());
        write!(
            f,
            ", at {}: {what} (rule {rule} of OTP's contract)",
            self.at
        )
    }
}

/// What was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Breach {
    /// It starts a child whose process before still runs.
    Overlaps,
    /// It starts a child, and no restart of it was counted.
    NotDue,
    /// It starts children out of their order.
    StartOrder,
    /// It starts a child before all that go with it have been stopped.
    StartsTooSoon,
    /// It begins something new before it is through with a start.
    StartsStill,
    /// It tells how a start went that it has not begun.
    NotStarting,
    /// A start has failed, or was ignored, and left its process behind.
    LeavesBehind,
    /// It stops a child that is not the last one that runs.
    StopOrder,
    /// It stops a process that is not this child's, or forgets a child that runs.
    NotItsOwn,
    /// It goes on before a process has ended that it stops.
    StopsStill,
    /// It turns to something else, and this child was to be restarted first.
    Unfinished,
    /// It does not restart a child that its restart type would have restarted.
    Restartable,
    /// It restarts a child that its restart type would not have restarted.
    NotRestartable,
    /// It sees the end of a child that has not ended.
    HasNotEnded,
    /// It sees the end of a child before the end of one that ended earlier.
    EndOrder,
    /// It makes more restarts than its intensity allows.
    TooMany,
    /// It gives up with fewer restarts than its intensity allows.
    TooFew,
    /// It does more than to stop its children, after it has given up or was told to stop.
    IsOver,
    /// It ends, and leaves children running.
    LeavesRunning,
    /// It has given up, or a start has failed, and it ends for another reason.
    OtherReason,
    /// It shuts itself down, and no child of it has just ended for good.
    NobodyEnded,
    /// A child's process ended before its name was given back.
    KeepsName,
}

impl Breach {
    /// The rule of `docs/SEMANTICS.md`.
    #[must_use]
    pub const fn rule(self) -> u32 {
        match self {
            Breach::LeavesBehind => 11,
            Breach::StartsStill | Breach::NotStarting => 14,
            Breach::StartOrder
            | Breach::StartsTooSoon
            | Breach::StopOrder
            | Breach::Unfinished
            | Breach::HasNotEnded
            | Breach::EndOrder => 15,
            Breach::TooMany | Breach::TooFew => 16,
            Breach::IsOver | Breach::LeavesRunning | Breach::OtherReason => 18,
            Breach::Overlaps | Breach::NotDue | Breach::Restartable | Breach::NotRestartable => 19,
            Breach::NotItsOwn | Breach::StopsStill => 20,
            Breach::NobodyEnded => 21,
            Breach::KeepsName => 23,
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Breach::Overlaps => "it is started while its process before still runs",
            Breach::NotDue => "it is started, and no restart of it was counted",
            Breach::StartOrder => "it is started out of order",
            Breach::StartsTooSoon => "it is started before all that go with it have been stopped",
            Breach::StartsStill => "something new begins before its start is through",
            Breach::NotStarting => "a start is told to be through that had not begun",
            Breach::LeavesBehind => "its start has failed and left a process behind",
            Breach::StopOrder => "it is stopped, and is not the last that runs",
            Breach::NotItsOwn => {
                "a process is stopped that is not its own, or it is forgotten while it runs"
            }
            Breach::StopsStill => {
                "it was to be stopped, and had not ended when something new began"
            }
            Breach::Unfinished => "it was to be restarted, and something else was done first",
            Breach::Restartable => "it is not restarted, and should be",
            Breach::NotRestartable => "it is restarted, and should not be",
            Breach::HasNotEnded => "its end is seen to, and it has not ended",
            Breach::EndOrder => "its end is seen to before that of another, which came earlier",
            Breach::TooMany => "it is restarted once more than the intensity allows",
            Breach::TooFew => "the supervisor gives up, and its intensity would allow this restart",
            Breach::IsOver => "the supervisor had given up or was told to stop, and goes on",
            Breach::LeavesRunning => "the supervisor ends, and leaves it running",
            Breach::OtherReason => "the supervisor ends for another reason than it should",
            Breach::NobodyEnded => "the supervisor shuts itself down, and no child has just ended",
            Breach::KeepsName => "its process ended before it gave its name back",
        })
    }
}
