//! How two runs of one seed that differ are told: the first differing event on both sides, with what
//! came before it and what it follows from.

use super::failure::with_names;
use super::numbers::grouped;
use super::trace::{line, tail};
use crate::explore::{Difference, Divergence, Facts, Side};
use crate::sim::Violation;
use crate::trace::{Event, Names};
use std::fmt;

/// How many events before the differing one are shown.
const BEFORE: usize = 5;

impl fmt::Display for Divergence {
    /// Several lines; no newline at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  two runs of seed {} of {} differ: something in it is not drawn from the seed",
            self.seed, self.scenario
        )?;
        for (word, facts) in ["one", "other"].into_iter().zip(&self.runs) {
            writeln!(f, "     {word:<5}  {}", Run(facts))?;
        }
        match self.checkpoint {
            Some(events) => writeln!(
                f,
                "     they part before event {}, where a checkpoint of the digest first differs",
                grouped(events)
            )?,
            None => writeln!(f, "     no checkpoint of the digest differs before the end")?,
        }
        match &self.difference {
            Some(difference) => with_names(&self.names, || difference.write(&self.names, f))?,
            None => writeln!(
                f,
                "  runs made again with a log agreed in every event, so which event parts them is not \
                 known: what leaks may show in the first run of a thread only"
            )?,
        }
        write!(
            f,
            "  look for: the clock or randomness of the system, a `HashMap` that is iterated, an address \
             used as a number, a thread, a `static` that one run leaves to the next"
        )
    }
}

struct Run<'a>(&'a Facts);

impl fmt::Display for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = self.0;
        write!(f, "digest {}", facts.digest)?;
        if let Some(payloads) = facts.payloads {
            write!(f, "   payloads {payloads}")?;
        }
        let (events, steps) = (grouped(facts.events), grouped(facts.steps));
        write!(f, "   {events} events   {steps} steps   {}", facts.at)?;
        match (&facts.violation, &facts.error) {
            (_, Some(error)) => write!(f, "   {error}"),
            (Some(Violation { property, .. }), None) => write!(f, "   violated \"{property}\""),
            (None, None) => f.write_str("   nothing violated"),
        }
    }
}

impl Difference {
    fn write(&self, names: &Names, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  the first event that differs is number {}, in two more runs with a log",
            grouped(self.event)
        )?;
        for ((word, side), digest) in ["one", "other"].iter().zip(&self.sides).zip(self.digests) {
            writeln!(f, "  {word} (digest {digest}):")?;
            side.write(names, f)?;
        }
        Ok(())
    }
}

impl Side {
    fn write(&self, names: &Names, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(at) = self.at else {
            for line in tail(&self.log, names, BEFORE) {
                writeln!(f, "     {line}")?;
            }
            return writeln!(f, "   * the run had ended");
        };
        let mut shown: Vec<usize> = (0..at)
            .rev()
            .filter(|&n| self.says(n))
            .take(BEFORE)
            .collect();
        shown.reverse();
        for &cause in self.causes.iter().filter(|cause| !shown.contains(cause)) {
            writeln!(f, "   ^ {}", self.line(names, cause))?;
        }
        for index in shown {
            let mark = if self.causes.contains(&index) {
                '^'
            } else {
                ' '
            };
            writeln!(f, "   {mark} {}", self.line(names, index))?;
        }
        writeln!(f, "   * {}", self.line(names, at))
    }

    /// Whether this entry says something to a reader.
    fn says(&self, index: usize) -> bool {
        let event = self.log.entries()[index].event;
        !matches!(event, Event::Clock { .. } | Event::Step { .. })
    }

    fn line(&self, names: &Names, index: usize) -> String {
        line(&self.log, names, index).unwrap_or_default()
    }
}
