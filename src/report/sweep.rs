//! How a sweep is told in a line, and what ended it.

use super::numbers::{grouped, per_second};
use crate::explore::{Report, Sometimes, Trouble};
use crate::sim::RunError;
use std::fmt;

/// How many counters are told, one a line.
const COUNTERS_SHOWN: usize = 20;

/// What a sweep covered, one line for each `sometimes` property and each counter:
/// `reached: "a letter is lost" in 3 of 1,000 seeds`, or `never reached: "a letter is lost" in 1,000 seeds`
/// where the sweep fails for it.
#[must_use]
pub fn coverage(report: &Report) -> Vec<String> {
    let unreached: Vec<&str> = report.unreached().collect();
    let (seeds, word) = (grouped(report.seeds), seeds_word(report.seeds));
    let reached = |Sometimes {
                       property,
                       seeds: in_seeds,
                   }: &Sometimes| {
        if unreached.contains(&property.as_str()) {
            return format!("  never reached: \"{property}\" in {seeds} {word}");
        }
        format!(
            "  reached: \"{property}\" in {} of {seeds} {word}",
            grouped(*in_seeds)
        )
    };
    let mut lines: Vec<String> = report.sometimes.iter().map(reached).collect();
    let counters = report.counters.iter().take(COUNTERS_SHOWN);
    lines.extend(counters.map(|(key, count)| format!("  counted: {key} {}", grouped(*count))));
    if report.counters.len() > COUNTERS_SHOWN {
        let more = report.counters.len() - COUNTERS_SHOWN;
        lines.push(format!("  … and {more} more counters: `--json` has all"));
    }
    lines
}

/// Why a sweep fails in which no run violated a property: which `sometimes` no run has reached; none where
/// each was reached.
#[must_use]
pub fn unreached(report: &Report) -> Option<String> {
    let names: Vec<String> = report
        .unreached()
        .map(|name| format!("\"{name}\""))
        .collect();
    let (seeds, word) = (grouped(report.seeds), seeds_word(report.seeds));
    let none = format!("no run of {seeds} {word} has reached {}", names.join(", "));
    let advice = "run more seeds, raise the rate of what leads there, or take the property back";
    (!names.is_empty()).then(|| format!("{none}: {advice}"))
}

fn seeds_word(seeds: u64) -> &'static str {
    if seeds == 1 { "seed" } else { "seeds" }
}

impl fmt::Display for Report {
    /// How many seeds, and how fast: `312 seeds  41,000 seeds/s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = seeds_word(self.seeds);
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
