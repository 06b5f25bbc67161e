//! `gallery`: whether every scenario behaves as its form states.

use super::arguments::Gallery;
use super::code::Code;
use super::commands::CommandError;
use super::output::Output;
use super::progress::Bar;
use super::run::{again, trouble_told};
use crate::explore::{Options, Report, sweep};
use crate::report::gallery::{Standing, seed, table};
use crate::report::{json, unreached};
use crate::sim::{Form, Scenario};

/// How many seeds a sound scenario must survive where nothing else is said: what `run` asks for.
const SEEDS_SOUND: u64 = 1_000;
/// Within how many seeds a broken one must be found where nothing else is said.
const SEEDS_BROKEN: u64 = 10_000;

/// 0 where each is as it states, 1 elsewhere.
pub(crate) fn gallery(
    scenarios: &[Scenario],
    arguments: &Gallery,
    output: &mut Output,
) -> Result<Code, CommandError> {
    if scenarios.is_empty() {
        return Err(CommandError::EmptyGallery);
    }
    let unrunnable =
        |scenario: &Scenario, error| CommandError::Scenario(scenario.name().to_owned(), error);
    for scenario in scenarios {
        scenario
            .validate()
            .map_err(|error| unrunnable(scenario, error))?;
    }
    let mut reports = Vec::new();
    for scenario in scenarios {
        let options = options(scenario, arguments);
        let bar = Bar::new(scenario.name(), options.seeds.end);
        let report = sweep(scenario, &options, &mut |progress| bar.show(progress));
        bar.clear();
        let report = report.map_err(|error| unrunnable(scenario, error))?;
        if arguments.json {
            output.line(json::gallery(&report))?;
        }
        reports.push(report);
        if !output.is_open() {
            break;
        }
    }
    if !arguments.json {
        for line in table(&reports) {
            output.line(line)?;
        }
        for line in told(&reports) {
            output.line(output.accented(&line))?;
        }
    }
    Ok(code(&reports))
}

fn options(scenario: &Scenario, arguments: &Gallery) -> Options {
    let default = match scenario.form() {
        Form::Sound => SEEDS_SOUND,
        Form::Broken { .. } => SEEDS_BROKEN,
    };
    Options {
        seeds: 0..arguments.seeds.unwrap_or(default),
        jobs: arguments.jobs.map_or(0, usize::from),
        ..Options::default()
    }
}

/// How many are as they state, and how to see again what is not.
fn told(reports: &[Report]) -> Vec<String> {
    let wrong = reports
        .iter()
        .filter(|report| !Standing::of(report).is_as_stated());
    let wrong: Vec<&Report> = wrong.collect();
    let (all, fine) = (reports.len(), reports.len() - wrong.len());
    let mut lines = vec![format!("  {fine} of {all} as stated")];
    let seeds = wrong
        .into_iter()
        .filter_map(|report| Some((report, seed(report)?)));
    lines.extend(seeds.map(|(report, seed)| {
        format!(
            "  again:  {}",
            again(&report.scenario, report.strategy, seed)
        )
    }));
    lines
}

/// What ended a sweep, and what none has reached, is told on standard error.
fn code(reports: &[Report]) -> Code {
    let mut code = Code::Fine;
    for report in reports {
        let standing = Standing::of(report);
        if let Some(trouble) = &report.trouble {
            trouble_told(report, trouble);
        }
        if standing == Standing::Unreached
            && let Some(missed) = unreached(report)
        {
            eprintln!("error: {}: {missed}", report.scenario);
        }
        if !standing.is_as_stated() {
            code = Code::Violated;
        }
    }
    code
}
