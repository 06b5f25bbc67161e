//! The commands, and what is said where one cannot be done.

use super::again::arguments;
use super::arguments::{Arguments, Command};
use super::code::Code;
use super::gallery::gallery;
use super::observe::observe;
use super::output::{Output, OutputError};
use super::replay::replay;
use super::run::run;
use super::select::{SelectError, distinct};
use super::shrink::shrink;
use super::strategies::strategies;
use crate::choice::TapeError;
use crate::report::json;
use crate::sim::{Form, Scenario, ScenarioError};
use clap::Parser;
use clap::error::ErrorKind;
use std::ffi::OsString;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

/// What the user has to put right.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Select(#[from] SelectError),
    #[error("scenario `{0}` cannot be run: {1}")]
    Scenario(String, ScenarioError),
    #[error("there are no scenarios, so a gallery of them says nothing")]
    EmptyGallery,
    #[error("the tape {0} cannot be read: {1}")]
    ReadTape(PathBuf, io::Error),
    #[error("the tape {0}: {1}")]
    Tape(PathBuf, TapeError),
    #[error("the tape {0} cannot be written: {1}")]
    WriteTape(PathBuf, io::Error),
    #[error("the trace {0} cannot be written: {1}")]
    WriteTrace(PathBuf, io::Error),
    #[error("`--json` and `--trace -` would both write to standard output: give `--trace` a file")]
    TwoOutputs,
    #[error("none of these scenarios is said to be broken: there is nothing to find")]
    NothingToFind,
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// A command line of these scenarios: `list`, `run`, `gallery`, `replay`, `observe`, `shrink` and
/// `strategies`, as a `main` returns it.
///
/// ```no_run
/// use netsplit::{Context, Scenario};
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     netsplit::cli::main([Scenario::new("nap")
///         .node("sleeper", |ctx: Context| async move { ctx.sleep(netsplit::millis(5)).await })
///         .finally("it is morning", |_| true)])
/// }
/// ```
///
/// Exit codes: 0 nothing violated; 1 a property violated, or a panic of the scenario; 2 wrong arguments or
/// input, a scenario that cannot be run, or only over its bounds; 4 two runs of one seed differed; 5 no run
/// of a sweep reached a `sometimes` property; 70 a fault of netsplit itself. The lowest that is not 0 wins.
/// `gallery` ends with 1 where any scenario is not as its form states, and with 0 elsewhere; `shrink` ends
/// with 0 where it has written its tape.
pub fn main(scenarios: impl IntoIterator<Item = Scenario>) -> ExitCode {
    main_with(scenarios, arguments())
}

/// As [`main`], with these arguments instead of the program's; the first is the program's name.
///
/// ```
/// use std::process::ExitCode;
/// let code = netsplit::cli::main_with([], ["scenarios", "run", "nap"]);
/// assert_eq!(code, ExitCode::from(2));
/// ```
pub fn main_with<A: Into<OsString> + Clone>(
    scenarios: impl IntoIterator<Item = Scenario>,
    arguments: impl IntoIterator<Item = A>,
) -> ExitCode {
    let scenarios: Vec<Scenario> = scenarios.into_iter().collect();
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return refused(&error),
    };
    let done = catch_unwind(AssertUnwindSafe(|| command(&scenarios, arguments.command)));
    let code = match done {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            eprintln!("error: {error}");
            Code::Input
        }
        // The panic's hook has said what it was.
        Err(_) => {
            eprintln!("error: netsplit itself panicked, which is a bug of it: please report it");
            Code::Fault
        }
    };
    code.into()
}

fn command(scenarios: &[Scenario], command: Command) -> Result<Code, CommandError> {
    distinct(scenarios)?;
    let mut output = Output::new();
    match command {
        Command::List { json } => list(scenarios, json, &mut output),
        Command::Run(arguments) => run(scenarios, &arguments, &mut output),
        Command::Gallery(arguments) => gallery(scenarios, &arguments, &mut output),
        Command::Replay(arguments) => replay(scenarios, &arguments, &mut output),
        Command::Observe(arguments) => observe(scenarios, &arguments, &mut output),
        Command::Shrink(arguments) => shrink(scenarios, &arguments, &mut output),
        Command::Strategies(arguments) => strategies(scenarios, &arguments, &mut output),
    }
}

/// What the arguments lack, or the help that they ask for.
fn refused(error: &clap::Error) -> ExitCode {
    // A reader that has gone away needs no help.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Code::Fine.into(),
        _ => Code::Input.into(),
    }
}

fn list(scenarios: &[Scenario], as_json: bool, output: &mut Output) -> Result<Code, CommandError> {
    let form = |scenario: &Scenario| match scenario.form() {
        Form::Sound => "sound".to_owned(),
        Form::Broken { property } => format!("broken: \"{property}\""),
    };
    let width = |cell: &dyn Fn(&Scenario) -> usize| scenarios.iter().map(cell).max().unwrap_or(0);
    let name_width = width(&|scenario| scenario.name().chars().count());
    let form_width = width(&|scenario| form(scenario).chars().count());
    for scenario in scenarios {
        if as_json {
            output.line(json::scenario(scenario))?;
            continue;
        }
        let (name, form, about) = (scenario.name(), form(scenario), scenario.about());
        let line = format!("{name:<name_width$}   {form:<form_width$}   {about}");
        output.line(line.trim_end())?;
    }
    Ok(Code::Fine)
}
