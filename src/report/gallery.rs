//! A gallery: whether each scenario behaves as its form states, as a table.

use super::numbers::{grouped, per_second};
use crate::explore::{Report, Trouble};
use crate::sim::Form;

/// What a sweep has shown of what its scenario's form states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A broken one has violated the property that it states.
    Found,
    /// A sound one has violated nothing, and reached all that it must reach.
    Holds,
    /// A broken one has violated nothing.
    NotFound,
    /// A broken one has violated another property than it states.
    FoundAnother,
    /// A sound one has violated a property.
    Violated,
    /// A sound one has violated nothing, and not reached what it must reach.
    Unreached,
    /// Something that is no finding about the system under test has ended the sweep.
    Stopped,
}

impl Standing {
    /// What this sweep has shown. Where it kept going, its first violation counts.
    #[must_use]
    pub fn of(report: &Report) -> Standing {
        if report.trouble.is_some() {
            return Standing::Stopped;
        }
        match (&report.form, report.violations.first()) {
            (Form::Broken { property }, Some(found)) if found.property == *property => {
                Standing::Found
            }
            (Form::Broken { .. }, Some(_)) => Standing::FoundAnother,
            (Form::Broken { .. }, None) => Standing::NotFound,
            (Form::Sound, Some(_)) => Standing::Violated,
            (Form::Sound, None) if report.unreached().next().is_some() => Standing::Unreached,
            (Form::Sound, None) => Standing::Holds,
        }
    }

    /// Whether it is as the form states.
    #[must_use]
    pub fn is_as_stated(self) -> bool {
        matches!(self, Standing::Found | Standing::Holds)
    }

    /// One or two words for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Standing::Found => "found",
            Standing::Holds => "holds",
            Standing::NotFound => "NOT FOUND",
            Standing::FoundAnother => "FOUND ANOTHER",
            Standing::Violated => "VIOLATED",
            Standing::Unreached => "NEVER REACHED",
            Standing::Stopped => "STOPPED",
        }
    }
}

/// The seed of what ended a sweep.
#[must_use]
pub fn seed(report: &Report) -> Option<u64> {
    let found = report.violations.first().map(|found| found.seed);
    report.trouble.as_ref().map(Trouble::seed).or(found)
}

/// A head, one line for each sweep, in aligned columns: name, form, result, seed, seeds run, time, speed.
/// What differs from run to run stands in the last two.
#[must_use]
pub fn table(reports: &[Report]) -> Vec<String> {
    let head = [
        "scenario", "form", "result", "seed", "seeds", "time", "seeds/s",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(reports.iter().map(row));
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, &width))| match column {
            0..3 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        format!("  {}", cells.collect::<Vec<_>>().join("   "))
    };
    rows.iter().map(line).collect()
}

fn row(report: &Report) -> [String; 7] {
    let form = match report.form {
        Form::Sound => "sound",
        Form::Broken { .. } => "broken",
    };
    [
        report.scenario.clone(),
        form.to_owned(),
        result(report),
        seed(report).map_or_else(|| "-".to_owned(), |seed| seed.to_string()),
        grouped(report.seeds),
        format!("{:.2} s", report.wall.as_secs_f64()),
        grouped(per_second(report.seeds, report.wall) as u64),
    ]
}

/// What came of a sweep, and of which property.
fn result(report: &Report) -> String {
    let standing = Standing::of(report);
    let first = report
        .violations
        .first()
        .map(|found| found.property.as_str());
    let property = match (standing, &report.form) {
        (Standing::NotFound, Form::Broken { property }) => Some(property.as_str()),
        (Standing::Unreached, _) => report.unreached().next(),
        (Standing::Stopped, _) => None,
        _ => first,
    };
    let word = standing.word();
    property.map_or_else(
        || word.to_owned(),
        |property| format!("{word}: \"{property}\""),
    )
}
