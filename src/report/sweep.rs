//! How a sweep is told in a line, and what ended it.

use super::numbers::{grouped, per_second};
use crate::explore::{Report, Trouble};
use crate::sim::RunError;
use std::fmt;

impl fmt::Display for Report {
    /// How many seeds, and how fast: `312 seeds  41,000 seeds/s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.seeds == 1 { "seed" } else { "seeds" };
        let speed = per_second(self.seeds, self.wall) as u64;
        write!(
            f,
            "{} {word}  {} seeds/s",
            grouped(self.seeds),
            grouped(speed)
        )
    }
}

impl fmt::Display for Trouble {
    /// A line or several; no newline at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Run { seed, error } => {
                let word = match error {
                    RunError::Books(_) => "a fault of netsplit",
                    _ => "stopped",
                };
                write!(f, "  {word}: seed {seed}: {error}")
            }
            Trouble::Diverged(divergence) => divergence.fmt(f),
            Trouble::Fault { seed, message } => write!(
                f,
                "  a fault of netsplit: seed {seed}: this is a bug of netsplit, please report it with \
                 the scenario and the seed: it panicked: {message}"
            ),
        }
    }
}
