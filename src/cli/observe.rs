//! `observe`: the cluster as it is at a moment of one run.

use super::arguments::Observe;
use super::code::Code;
use super::commands::CommandError;
use super::output::Output;
use super::replay::read_tape;
use super::select;
use crate::report::json;
use crate::sim::{Chance, Observation, Scenario};

pub(crate) fn observe(
    scenarios: &[Scenario],
    arguments: &Observe,
    output: &mut Output,
) -> Result<Code, CommandError> {
    let scenario = select::one(scenarios, &arguments.name)?;
    let tape = arguments.which.tape.as_deref();
    let tape = tape
        .map(|path| read_tape(path, scenario.name()))
        .transpose()?;
    let seed = arguments.which.seed;
    let chance = || {
        let tape = tape.clone().map(Chance::Tape);
        tape.unwrap_or_else(|| arguments.strategy.chance(seed.unwrap_or(0)))
    };
    let seen = scenario.observe(chance, arguments.at);
    let seen = seen.map_err(|error| CommandError::Scenario(scenario.name().to_owned(), error))?;
    let Some(seen) = seen else {
        eprintln!(
            "error: two runs of {} differ, so no moment of them can be shown: `run --check-determinism` \
             says where",
            scenario.name()
        );
        return Ok(Code::Differed);
    };
    if arguments.json {
        output.line(json::observation(scenario.name(), seed, &seen))?;
    } else {
        output.line(told(scenario, arguments, &seen))?;
    }
    Ok(Code::Fine)
}

fn told(scenario: &Scenario, arguments: &Observe, seen: &Observation) -> String {
    let which = match (&arguments.which.tape, arguments.which.seed) {
        (Some(path), _) => format!("tape {}", path.display()),
        (None, seed) => format!("seed {}", seed.unwrap_or(0)),
    };
    let late = match seen.ended {
        Some(_) => format!("   it ends before {}: this is its end", arguments.at),
        None => String::new(),
    };
    format!("  {}   {which}{late}\n{}", scenario.name(), seen.snapshot)
}
