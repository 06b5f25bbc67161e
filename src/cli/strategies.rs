//! `strategies`: how soon each strategy finds what is broken, as a table to paste.

use super::arguments::Strategies;
use super::code::Code;
use super::commands::CommandError;
use super::output::Output;
use super::{run, select};
use crate::explore::{Detection, DetectionError, Strategy, Trials, detect};
use crate::report::grouped;
use crate::sim::{Form, Scenario};

/// One row for each scenario that is said to be broken.
pub(crate) fn strategies(
    scenarios: &[Scenario],
    arguments: &Strategies,
    output: &mut Output,
) -> Result<Code, CommandError> {
    let mut chosen = select::all(scenarios, &arguments.names)?;
    chosen.retain(|scenario| matches!(scenario.form(), Form::Broken { .. }));
    if chosen.is_empty() {
        return Err(CommandError::NothingToFind);
    }
    let trials = Trials {
        trials: arguments.trials,
        cap: arguments.cap,
        jobs: arguments.jobs.map_or(0, usize::from),
    };
    let names = Strategy::ALL.map(Strategy::name).join(" | ");
    output.line(format_args!("| scenario | {names} |"))?;
    output.line(format_args!("|---|{}", "---|".repeat(Strategy::ALL.len())))?;
    for scenario in chosen {
        let mut row = format!("| `{}` |", scenario.name());
        for strategy in Strategy::ALL {
            match detect(scenario, strategy, &trials) {
                Ok(detection) => row += &format!(" {} |", cell(&detection, trials.cap)),
                Err(DetectionError::Scenario(error)) => {
                    return Err(CommandError::Scenario(scenario.name().to_owned(), error));
                }
                Err(DetectionError::Trouble(trouble)) => {
                    let again = run::again(scenario.name(), strategy, trouble.seed());
                    eprintln!("error: {}\n{trouble}\n  again:  {again}", scenario.name());
                    return Ok(Code::of(&trouble));
                }
            }
        }
        output.line(row)?;
        if !output.is_open() {
            break;
        }
    }
    Ok(Code::Fine)
}

/// The median, and the middle half; where the median is over the cap, how many trials found it.
fn cell(detection: &Detection, cap: u64) -> String {
    let capped = || format!("> {}", grouped(cap));
    let [low, median, high] = [0.25, 0.5, 0.75].map(|share| detection.quantile(share));
    let Some(median) = median else {
        let (found, trials) = (detection.found(), detection.trials());
        return format!("{} ({found} of {trials})", capped());
    };
    let low = low.map_or_else(capped, grouped);
    let high = high.map_or_else(capped, grouped);
    format!("{} ({low} to {high})", grouped(median))
}
