//! What came of a run.

use super::plan::Plan;
use super::waits::Waits;
use crate::choice::{Drift, Edit, Lineages, Recorded, Sort};
use crate::kernel::{Reached, Time};
use crate::process::with;
use crate::trace::{BooksError, Checkpoint, DigestValue, Log, Names, Pid, Totals};
use std::collections::BTreeMap;

/// A property that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub property: String,
    /// What it said; may be empty.
    pub detail: String,
    /// When, in virtual time.
    pub at: Time,
    /// After how many steps.
    pub step: u64,
    /// Where it is an `eventually` or a `finally`: what the processes waited for then.
    pub waits: Waits,
}

impl Violation {
    /// One that shows at this moment of the run.
    pub(crate) fn now(property: &str, detail: String) -> Violation {
        let (at, step) = with(|system| (system.kernel.now(), system.kernel.steps()));
        Violation {
            property: property.to_owned(),
            detail,
            at,
            step,
            waits: Waits::default(),
        }
    }
}

/// Why a run could not be made to its end: not a finding about the system under test.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// A bound of the run.
    #[error(
        "the run reached its bound of {} {}: raise it with `bounds(…)` if so many are meant",
        .0.most, .0.limit
    )]
    Bound(Reached),
    /// A process was woken from outside the run: a leak in determinism.
    #[error(
        "process {pid} was woken from outside the run: by another thread, or by another run on this \
         one. Its wake comes at a real moment, which no seed repeats; use processes, timers and \
         messages of this run instead"
    )]
    OutsideWake {
        /// The process, as it prints within the run.
        pid: String,
    },
    /// A process waits for nothing that the run knows of: a leak in determinism.
    #[error(
        "process {pid} waits for something outside the run: nothing more can happen, and it is neither \
         in receive, call nor sleep. Real timers, sockets and other threads do not exist here; a \
         channel whose other end is gone, or kept by a process that waits for ever, looks the same"
    )]
    UnknownWait {
        /// The process, as it prints within the run.
        pid: String,
    },
    /// The books do not balance: a bug of netsplit.
    #[error("this is a bug of netsplit, please report it with the scenario and the seed: {0}")]
    Books(#[from] BooksError),
}

/// All that is kept of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// The digest of its events.
    pub digest: DigestValue,
    /// The digest of its local payloads, where that was asked for.
    pub payloads: Option<DigestValue>,
    /// How many steps it took.
    pub steps: u64,
    /// How many events it had.
    pub events: u64,
    /// The virtual time at its end.
    pub at: Time,
    /// The first property that did not hold.
    pub violation: Option<Violation>,
    /// The `sometimes` properties that it reached, as they were declared.
    pub reached: Vec<String>,
    /// What its processes have counted.
    pub counters: BTreeMap<String, u64>,
    /// What stopped it, where it could not go on.
    pub error: Option<RunError>,
    /// The totals of its books.
    pub books: Totals,
    /// Checkpoints of the digest.
    pub checkpoints: Vec<Checkpoint>,
    /// The faults of nodes that were drawn for it.
    pub plan: Plan,
    /// The names of its nodes.
    pub names: Names,
    /// Its log, where one was asked for.
    pub log: Option<Log>,
    /// Its draws, where they were recorded.
    pub draws: Vec<Recorded>,
    /// The names behind the lineages of recorded draws.
    pub lineages: Lineages,
    /// Edits of its tape that did not fit.
    pub drift: Vec<Drift>,
}

impl Outcome {
    /// Whether nothing was violated and nothing stopped it.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.violation.is_none() && self.error.is_none()
    }

    /// What made this run other than a calm one: the draws of the adversary that are not 0, as the edits of
    /// a tape over calm. Needs a run that kept its draws ([`Keep`](super::Keep)).
    #[must_use]
    pub fn deviations(&self) -> Vec<Edit> {
        let deviates =
            |draw: &&Recorded| draw.site.kind.sort() == Sort::Adversary && draw.outcome != 0;
        let draws = self.draws.iter().filter(deviates);
        draws.map(|draw| draw.edit(&self.lineages)).collect()
    }
}

pub(crate) fn print_pid(pid: Pid) -> String {
    pid.to_string()
}
