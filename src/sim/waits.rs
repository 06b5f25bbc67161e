//! What a cluster waited for when it had made no progress: lines of a report.

use crate::process::{Wait, Waiting, with};
use crate::trace::Pid;
use std::fmt;

/// How many processes are told of, one a line.
const SHOWN: usize = 20;

/// What the live processes waited for at one moment, those first who waited for an answer.
///
/// It prints as several lines without a newline at the end; as nothing where no process lived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// One line for each of the first 20 processes, as [`Waiting`] prints.
    pub processes: Vec<String>,
    /// How many more there were.
    pub more: usize,
    /// Processes that waited for each other's answers, as [`print_ring`] tells it.
    pub ring: Option<String>,
}

impl Waits {
    /// What they wait for now.
    pub(crate) fn now() -> Waits {
        let (mut all, ring) = with(|system| (system.waiting(), system.call_ring()));
        let least = |waiting: &Waiting| waiting.waits.iter().map(weight).min();
        // What is known to no wait of ours says more than anything: none comes before some.
        all.sort_by_key(least);
        Waits {
            processes: all.iter().take(SHOWN).map(Waiting::to_string).collect(),
            more: all.len().saturating_sub(SHOWN),
            ring: ring.map(|ring| print_ring(&ring)),
        }
    }
}

/// How much a wait says about a cluster that makes no progress: the most comes first.
fn weight(wait: &Wait) -> u8 {
    match wait {
        Wait::Answer { .. } | Wait::End { .. } => 0,
        Wait::Writable | Wait::Room { .. } | Wait::Disk => 1,
        Wait::Turn { .. } => 2,
        Wait::Timer { .. } => 3,
        Wait::Mail => 4,
    }
}

/// Processes that wait for each other, the first once more at the end:
/// `<a.0.0> -> <b.0.0> -> <a.0.0>`.
///
/// ```
/// assert_eq!(netsplit::sim::print_ring(&[]), "");
/// ```
#[must_use]
pub fn print_ring(ring: &[Pid]) -> String {
    let round = ring.iter().chain(ring.first());
    let names: Vec<String> = round.map(Pid::to_string).collect();
    names.join(" -> ")
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ring = self
            .ring
            .iter()
            .map(|ring| format!("wait for each other: {ring}"));
        let more = (self.more > 0).then(|| format!("… and {} more", self.more));
        let lines: Vec<String> = ring
            .chain(self.processes.iter().cloned())
            .chain(more)
            .collect();
        f.write_str(&lines.join("\n"))
    }
}
