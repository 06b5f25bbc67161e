//! A failure: all that is said of a run that violated a property, as plain data.

use super::numbers::grouped;
use super::trace::{last_of, tail};
use crate::kernel::Time;
use crate::sim::{Outcome, Planned, Waits};
use crate::trace::{DigestValue, Event, Log, Names, Supervision, Totals, set_names};
use std::collections::BTreeMap;
use std::fmt;

/// How many of its last events a failure shows by default.
pub const LAST_EVENTS: usize = 25;
/// How many faults of nodes it shows: the last before the failure.
const FAULTS_SHOWN: usize = 10;
/// How many supervisors that have given up it shows: the last before the failure.
const GIVEN_UP_SHOWN: usize = 10;

/// A run that violated a property: what it was, what led to it, and how to see it again.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The scenario's name.
    pub scenario: String,
    /// The property that did not hold.
    pub property: String,
    /// What the property said; may be empty.
    pub detail: String,
    /// The seed of the run, or of its tape.
    pub seed: u64,
    /// When, in virtual time.
    pub at: Time,
    /// After how many steps.
    pub step: u64,
    /// The digest of the run.
    pub digest: DigestValue,
    /// Where progress was due, in an `eventually` or a `finally`: what the processes waited for.
    pub waits: Waits,
    /// The faults of nodes, and of their processes, that were planned up to then, one a line, oldest first.
    /// Where the run kept a log, they say which process they befell, and which of them had no effect.
    pub faults: Vec<String>,
    /// What befell packets.
    pub packets: PacketFaults,
    /// The supervisors that have given up, one a line as in a trace: the last 10; none where the run kept no
    /// log.
    pub gave_up: Vec<String>,
    /// The last events, one a line, oldest first; none where the run kept no log.
    pub last: Vec<String>,
    /// How many events that a reader is shown came before these.
    pub earlier: usize,
    /// The totals of the books.
    pub books: Totals,
    /// What to paste to see it again.
    pub again: String,
}

/// How many packets met a fault on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketFaults {
    /// They never arrived.
    pub lost: u64,
    /// They arrived twice.
    pub duplicated: u64,
    /// They were held back.
    pub delayed: u64,
}

impl Failure {
    /// What is said of this run; none where it violated nothing. `last` is how many events are shown, at
    /// most ([`LAST_EVENTS`] by default), and `again` the line to paste.
    #[must_use]
    pub fn new(scenario: &str, outcome: &Outcome, last: usize, again: String) -> Option<Failure> {
        let violation = outcome.violation.as_ref()?;
        let log = outcome.log.as_ref();
        let lines = log.map_or_else(Vec::new, |log| tail(log, &outcome.names, last));
        let shown = log.map_or(0, |log| log.entries().iter().filter(shows).count());
        Some(Failure {
            scenario: scenario.to_owned(),
            property: violation.property.clone(),
            detail: violation.detail.clone(),
            seed: outcome.seed,
            at: violation.at,
            step: violation.step,
            digest: outcome.digest,
            waits: violation.waits.clone(),
            faults: with_names(&outcome.names, || faults(outcome, violation.at)),
            packets: log.map_or_else(PacketFaults::default, PacketFaults::of),
            gave_up: log.map_or_else(Vec::new, |log| {
                last_of(log, &outcome.names, GIVEN_UP_SHOWN, gives_up)
            }),
            earlier: shown.saturating_sub(lines.len()),
            last: lines,
            books: outcome.books,
            again,
        })
    }
}

impl PacketFaults {
    fn of(log: &Log) -> PacketFaults {
        let mut faults = PacketFaults::default();
        for entry in log.entries() {
            match entry.event {
                Event::Lost { .. } => faults.lost += 1,
                Event::Duplicated { .. } => faults.duplicated += 1,
                Event::Delayed { .. } => faults.delayed += 1,
                _ => {}
            }
        }
        faults
    }
}

impl fmt::Display for PacketFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (self.lost, "lost"),
            (self.duplicated, "duplicated"),
            (self.delayed, "held back"),
        ];
        let mut some = false;
        for (count, word) in all.into_iter().filter(|(count, _)| *count > 0) {
            f.write_str(if some { ", " } else { "packets: " })?;
            write!(f, "{} {word}", grouped(count))?;
            some = true;
        }
        f.write_str(if some { "" } else { "packets: no faults" })
    }
}

/// The faults that were planned up to a moment, as the log tells of them, or else the plan.
fn faults(outcome: &Outcome, until: Time) -> Vec<String> {
    let entries = outcome.log.as_ref().map_or(&[][..], Log::entries);
    let mut begun = BTreeMap::new();
    for entry in entries {
        match entry.event {
            Event::Fault { number, text } => begun.insert(number, (text, "")),
            Event::NoEffect { number, text, .. } => {
                begun.insert(number, (text, ", without effect"))
            }
            _ => None,
        };
    }
    let line = |(planned, number): (&Planned, u32)| {
        let log = outcome.log.as_ref();
        let told = begun
            .get(&number)
            .and_then(|(text, effect)| Some((log?.text(*text)?, effect)));
        match told {
            Some((text, effect)) => format!("{}: {text}{effect}", planned.at),
            None => planned.to_string(),
        }
    };
    let planned = outcome.plan.faults().iter().zip(0..);
    planned
        .filter(|(planned, _)| planned.at <= until)
        .map(line)
        .collect()
}

fn gives_up(event: &Event) -> bool {
    let Event::Supervision { what, .. } = event else {
        return false;
    };
    matches!(what, Supervision::GivesUp { .. })
}

fn shows(entry: &&crate::trace::Entry) -> bool {
    !matches!(entry.event, Event::Clock { .. } | Event::Step { .. })
}

/// Runs `show` while ids print with these names.
pub(super) fn with_names<R>(names: &Names, show: impl FnOnce() -> R) -> R {
    let before = set_names(Some(names.clone()));
    let shown = show();
    set_names(before);
    shown
}

impl fmt::Display for Failure {
    /// Several lines, the first from `violated:` on, the last the one to paste; no newline at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  violated: \"{}\"   seed {}   at {}   step {}   digest {}",
            self.property,
            self.seed,
            self.at,
            grouped(self.step),
            self.digest
        )?;
        for line in self.detail.lines() {
            writeln!(f, "     {line}")?;
        }
        self.write_waits(f)?;
        self.write_faults(f)?;
        if !self.gave_up.is_empty() {
            writeln!(f, "  supervisors that gave up:")?;
        }
        for line in &self.gave_up {
            writeln!(f, "     {line}")?;
        }
        if !self.last.is_empty() {
            writeln!(f, "  last events of {}:", self.scenario)?;
            if self.earlier > 0 {
                writeln!(f, "     … {} before these", grouped(self.earlier as u64))?;
            }
        }
        for line in &self.last {
            writeln!(f, "     {line}")?;
        }
        writeln!(f, "  messages: {}", self.books)?;
        write!(f, "  again:  {}", self.again)
    }
}

impl Failure {
    fn write_waits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits = self.waits.to_string();
        if !waits.is_empty() {
            writeln!(f, "  what each process waits for:")?;
        }
        waits
            .lines()
            .try_for_each(|line| writeln!(f, "     {line}"))
    }

    fn write_faults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  faults until then:  {}", self.packets)?;
        let earlier = self.faults.len().saturating_sub(FAULTS_SHOWN);
        if earlier > 0 {
            writeln!(f, "     … {earlier} of nodes before these")?;
        }
        for fault in &self.faults[earlier..] {
            writeln!(f, "     {fault}")?;
        }
        Ok(())
    }
}
