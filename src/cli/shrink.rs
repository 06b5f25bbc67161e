//! `shrink`: a failure cut down to the few draws that it needs, as a tape in a file.

use super::arguments::Shrink;
use super::code::Code;
use super::commands::CommandError;
use super::output::Output;
use super::{replay, select};
use crate::explore::{ShrinkError, Shrunk, shrink as search};
use crate::report::{Failure, LAST_EVENTS, grouped};
use crate::sim::Scenario;
use std::fs;

/// Writes the tape of a seed's failure. That there is one is what was asked for: the code is 0 then.
pub(crate) fn shrink(
    scenarios: &[Scenario],
    arguments: &Shrink,
    output: &mut Output,
) -> Result<Code, CommandError> {
    let scenario = select::one(scenarios, &arguments.name)?;
    let path = &arguments.out;
    let shrunk = match search(
        scenario,
        arguments.seed,
        arguments.strategy,
        arguments.tries,
    ) {
        Ok(shrunk) => shrunk,
        Err(error) => {
            eprintln!("error: {error}");
            return Ok(code(&error));
        }
    };
    let written = fs::write(path, shrunk.tape.to_string());
    written.map_err(|error| CommandError::WriteTape(path.clone(), error))?;
    let text = told(scenario, &shrunk, &replay::of_tape(scenario.name(), path));
    let text = output.accented(&text);
    output.line(text)?;
    Ok(Code::Fine)
}

/// The exit code of a failure that cannot be shrunk.
fn code(error: &ShrinkError) -> Code {
    match error {
        ShrinkError::Scenario(_) | ShrinkError::Holds { .. } => Code::Input,
        ShrinkError::Stopped { error, .. } => Code::of_run(error),
        ShrinkError::NotRepeated { .. } => Code::Differed,
    }
}

/// What was cut away, what is left, and the run of it.
fn told(scenario: &Scenario, shrunk: &Shrunk, again: &str) -> String {
    let (name, edits) = (scenario.name(), &shrunk.tape.edits);
    let (before, after) = (shrunk.edits_before as u64, edits.len() as u64);
    let mut lines = vec![format!(
        "  {name}   seed {}   {} edits cut down to {}   {} runs",
        shrunk.tape.seed,
        grouped(before),
        grouped(after),
        grouped(shrunk.tries)
    )];
    lines.extend(edits.iter().map(|edit| format!("     {edit}")));
    if shrunk.exhausted {
        lines
            .push("  no runs were left: `--tries` allows more, which might cut further".to_owned());
    }
    let failure = Failure::new(name, &shrunk.outcome, LAST_EVENTS, again.to_owned());
    lines.extend(failure.map(|failure| failure.to_string()));
    lines.join("\n")
}
