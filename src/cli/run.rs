//! `run`: sweeps over seeds, one scenario after another.

use super::again::{quoted, this_binary};
use super::arguments::Run;
use super::code::Code;
use super::commands::CommandError;
use super::output::Output;
use super::progress::Bar;
use super::select;
use crate::explore::{Found, Options, Report, Strategy, Trouble, confirm, sweep};
use crate::report::{Failure, LAST_EVENTS, coverage, grouped, json, unreached};
use crate::sim::{Keep, Scenario};
use std::ops::Range;

/// How many further violations are told, one a line.
const FURTHER_SHOWN: usize = 20;

pub(crate) fn run(
    scenarios: &[Scenario],
    arguments: &Run,
    output: &mut Output,
) -> Result<Code, CommandError> {
    let chosen = select::all(scenarios, &arguments.names)?;
    for scenario in &chosen {
        let valid = scenario.validate();
        valid.map_err(|error| CommandError::Scenario(scenario.name().to_owned(), error))?;
    }
    let one = |seed: u64| Range {
        start: seed,
        end: seed + 1,
    };
    let options = Options {
        seeds: arguments.seed.map_or(arguments.seeds.clone(), one),
        strategy: arguments.strategy,
        jobs: arguments.jobs.map_or(0, usize::from),
        keep_going: arguments.keep_going,
        check_determinism: arguments.check_determinism,
    };
    let mut code = Code::Fine;
    for scenario in chosen {
        let found = swept(scenario, &options, arguments.json, output)?;
        code = code.and(found);
        if !output.is_open() {
            break;
        }
    }
    Ok(code)
}

/// One scenario: swept, and told.
fn swept(
    scenario: &Scenario,
    options: &Options,
    as_json: bool,
    output: &mut Output,
) -> Result<Code, CommandError> {
    let of = options.seeds.end - options.seeds.start;
    let bar = Bar::new(scenario.name(), of);
    let report = sweep(scenario, options, &mut |progress| bar.show(progress));
    bar.clear();
    let mut report =
        report.map_err(|error| CommandError::Scenario(scenario.name().to_owned(), error))?;
    let mut told = Vec::new();
    if !as_json && let Some(found) = report.violations.first() {
        match failure(scenario, options.strategy, found.seed) {
            Ok(failure) => told.extend(failure.map(|failure| failure.to_string())),
            Err(divergence) => report.trouble = report.trouble.or(Some(divergence)),
        }
        told.extend(further(&report));
    }
    if as_json {
        output.line(json::report(&report))?;
    } else {
        let still = bar.still(report.seeds, of).map(|bar| bar + "  ");
        let still = still.unwrap_or_default();
        output.line(format_args!("  {}   {still}{report}", report.scenario))?;
        for text in &told {
            let text = output.accented(text);
            output.line(text)?;
        }
        if told.is_empty() && report.trouble.is_none() {
            output.line("  nothing violated")?;
        }
        for line in coverage(&report) {
            output.line(output.accented(&line))?;
        }
    }
    Ok(code(&report))
}

/// The exit code of a sweep; what ended it is told on standard error.
fn code(report: &Report) -> Code {
    let violated = match report.violations.is_empty() {
        true => Code::Fine,
        false => Code::Violated,
    };
    let missed = unreached(report);
    if let Some(missed) = &missed {
        eprintln!("error: {}: {missed}", report.scenario);
    }
    let violated = violated.and(missed.map_or(Code::Fine, |_| Code::Unreached));
    let Some(trouble) = &report.trouble else {
        return violated;
    };
    trouble_told(report, trouble);
    violated.and(Code::of(trouble))
}

/// Tells on standard error what ended a sweep.
pub(crate) fn trouble_told(report: &Report, trouble: &Trouble) {
    let again = again(&report.scenario, report.strategy, trouble.seed());
    eprintln!("error: {}\n{trouble}\n  again:  {again}", report.scenario);
}

/// The failure of a seed that was found to violate a property: run again, with a log.
fn failure(scenario: &Scenario, strategy: Strategy, seed: u64) -> Result<Option<Failure>, Trouble> {
    let chance = || strategy.chance(seed);
    let run = |keep| {
        scenario
            .run_with(chance(), keep)
            .expect("it has run already")
    };
    let keep = Keep {
        log: true,
        ..Keep::default()
    };
    let outcome = confirm(scenario, &chance, &run(Keep::default()), keep);
    let outcome = outcome.map_err(Trouble::Diverged)?;
    let again = again(scenario.name(), strategy, seed);
    Ok(Failure::new(scenario.name(), &outcome, LAST_EVENTS, again))
}

/// All violations but the first, one a line.
fn further(report: &Report) -> Vec<String> {
    let further = &report.violations[1..];
    if further.is_empty() {
        return Vec::new();
    }
    let line = |found: &Found| {
        format!(
            "  violated: \"{}\"   seed {}   at {}   step {}   digest {}",
            found.property,
            found.seed,
            found.at,
            grouped(found.step),
            found.digest
        )
    };
    let mut lines: Vec<String> = further.iter().take(FURTHER_SHOWN).map(line).collect();
    if further.len() > FURTHER_SHOWN {
        let more = grouped((further.len() - FURTHER_SHOWN) as u64);
        lines.push(format!("  … and {more} more seeds: `--json` has all"));
    }
    lines
}

/// The line that replays a seed.
pub(crate) fn again(scenario: &str, strategy: Strategy, seed: u64) -> String {
    let strategy = match strategy {
        Strategy::Time => String::new(),
        other => format!(" --strategy {other}"),
    };
    format!(
        "{} replay {} --seed {seed}{strategy}",
        this_binary(),
        quoted(scenario)
    )
}
