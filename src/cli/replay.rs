//! `replay`: one run again, its events readable.

use super::again::{quoted, this_binary};
use super::arguments::Replay;
use super::code::Code;
use super::commands::CommandError;
use super::output::Output;
use super::{run, select};
use crate::choice::Tape;
use crate::explore::{Trouble, confirm};
use crate::kernel::Time;
use crate::report::trace::lines;
use crate::report::{Failure, grouped, json};
use crate::sim::{Chance, Keep, Outcome, Scenario};
use std::fs;
use std::path::Path;

pub(crate) fn replay(
    scenarios: &[Scenario],
    arguments: &Replay,
    output: &mut Output,
) -> Result<Code, CommandError> {
    let to_output = |path: &Path| path == Path::new("-");
    let trace = arguments.trace.as_deref();
    if arguments.json && trace.is_some_and(to_output) {
        return Err(CommandError::TwoOutputs);
    }
    let scenario = select::one(scenarios, &arguments.name)?;
    let tape = arguments.which.tape.as_deref();
    let tape = tape
        .map(|path| read_tape(path, scenario.name()))
        .transpose()?;
    let seed = arguments.which.seed.unwrap_or(0);
    let strategy = arguments.strategy;
    let chance = || {
        let tape = tape.clone().map(Chance::Tape);
        tape.unwrap_or_else(|| strategy.chance(seed))
    };
    let keep = Keep {
        log: !arguments.json || trace.is_some(),
        ..Keep::default()
    };
    let first = scenario.run_with(chance(), Keep::default());
    let first = first.map_err(|error| CommandError::Scenario(scenario.name().to_owned(), error))?;
    let (outcome, differed) = match confirm(scenario, &chance, &first, keep) {
        Ok(second) => (second, None),
        Err(divergence) => (first, Some(Trouble::Diverged(divergence))),
    };
    for drift in &outcome.drift {
        eprintln!("warning: an edit of the tape does not fit any more: {drift}");
    }
    write_trace(&outcome, arguments, output)?;
    if arguments.json {
        output.line(json::replay(scenario.name(), &outcome))?;
    } else {
        let text = told(scenario, &outcome, &again(scenario, arguments, seed));
        let text = output.accented(&text);
        output.line(text)?;
    }
    Ok(code(outcome, differed))
}

pub(super) fn read_tape(path: &Path, scenario: &str) -> Result<Tape, CommandError> {
    let text = fs::read_to_string(path);
    let text = text.map_err(|error| CommandError::ReadTape(path.to_owned(), error))?;
    let tape = text.parse::<Tape>().and_then(|tape| {
        tape.of(scenario)?;
        Ok(tape)
    });
    tape.map_err(|error| CommandError::Tape(path.to_owned(), error))
}

/// The line that replays this run.
fn again(scenario: &Scenario, arguments: &Replay, seed: u64) -> String {
    match &arguments.which.tape {
        None => run::again(scenario.name(), arguments.strategy, seed),
        Some(path) => of_tape(scenario.name(), path),
    }
}

/// The line that replays a tape.
pub(crate) fn of_tape(scenario: &str, path: &Path) -> String {
    let (name, path) = (quoted(scenario), quoted(&path.display().to_string()));
    format!("{} replay {name} --tape {path}", this_binary())
}

/// Writes the events up to the moment asked for to where they should go.
fn write_trace(
    outcome: &Outcome,
    arguments: &Replay,
    output: &mut Output,
) -> Result<(), CommandError> {
    let Some(mut log) = outcome.log.clone() else {
        return Ok(());
    };
    log.keep_until(arguments.until.unwrap_or(Time::MAX).as_nanos());
    let lines = lines(&log, &outcome.names);
    match &arguments.trace {
        Some(path) if path != Path::new("-") => {
            let text = lines.join("\n") + "\n";
            let written = fs::write(path, text);
            written.map_err(|error| CommandError::WriteTrace(path.clone(), error))?;
        }
        _ if lines.is_empty() => {}
        _ => output.line(lines.join("\n"))?,
    }
    Ok(())
}

/// What is said after the events.
fn told(scenario: &Scenario, outcome: &Outcome, again: &str) -> String {
    let head = format!(
        "  {}   seed {}   {}   {} steps   {} events   digest {}",
        scenario.name(),
        outcome.seed,
        outcome.at,
        grouped(outcome.steps),
        grouped(outcome.events),
        outcome.digest
    );
    match Failure::new(scenario.name(), outcome, 0, again.to_owned()) {
        Some(failure) => format!("{head}\n{failure}"),
        None if outcome.error.is_some() => head,
        None => format!("{head}\n  messages: {}\n  nothing violated", outcome.books),
    }
}

/// The exit code of a run; what went wrong with it is told on standard error.
fn code(outcome: Outcome, differed: Option<Trouble>) -> Code {
    let violated = match outcome.violation {
        Some(_) => Code::Violated,
        None => Code::Fine,
    };
    let seed = outcome.seed;
    let stopped = outcome.error.map(|error| Trouble::Run { seed, error });
    let troubles = differed.into_iter().chain(stopped);
    troubles.fold(violated, |code, trouble| {
        eprintln!("error:\n{trouble}");
        code.and(Code::of(&trouble))
    })
}
