//! A scenario in a `#[test]`: which seeds it runs stands in the environment.

use super::again;
use super::parse::{SeedsError, seed, seeds};
use crate::explore::{Options, Strategy, Trouble, UnknownStrategy, confirm, sweep};
use crate::report::trace::lines;
use crate::report::{Failure, LAST_EVENTS, coverage, unreached};
use crate::sim::{Keep, Scenario, ScenarioError};
use std::ops::Range;

/// The variable with the one seed to run.
const SEED: &str = "NETSPLIT_SEED";
/// The variable with the seeds to run.
const SEEDS: &str = "NETSPLIT_SEEDS";
/// The variable with the strategy.
const STRATEGY: &str = "NETSPLIT_STRATEGY";
/// The seeds that are run where nothing else is said.
const DEFAULT: Range<u64> = 0..1000;

/// Runs seeds of a scenario on all cores, from a `#[test]`, and panics where one violates a property,
/// whatever the scenario's [form](crate::sim::Form).
///
/// It runs seeds 0 to 999, unless the environment says otherwise:
/// - `NETSPLIT_SEED=311` runs this one seed, and prints its events;
/// - `NETSPLIT_SEEDS=10000` runs the first so many, `NETSPLIT_SEEDS=500..600` those from 500 to 599.
///
/// Where both are set, `NETSPLIT_SEED` counts. `NETSPLIT_STRATEGY=walk` makes the runs with that
/// [strategy](crate::explore::Strategy). How many cores there are changes nothing but the time.
///
/// # Panics
/// - Where a seed violates a property. The message names scenario, property, seed (the least that fails),
///   virtual time, step and digest, shows the last events, and ends with one line to paste that runs this
///   seed again in this test.
/// - Where the seeds reach a [`sometimes`](Scenario::sometimes) property in no run: with its name. One seed
///   of `NETSPLIT_SEED` is not asked for that.
/// - Where two runs of one seed differ: with the first event that differs.
/// - Where the scenario cannot be run, a run reaches a bound, or a variable says no seeds: with what to do.
///
/// ```
/// use netsplit::{Context, Scenario, millis, secs};
///
/// # fn nap() -> Scenario {
/// #     Scenario::new("nap")
/// #         .node("sleeper", |ctx: Context| async move { ctx.sleep(millis(5)).await })
/// #         .finally("it is morning", |_| true)
/// #         .horizon(secs(1))
/// # }
/// // #[test]
/// fn everybody_wakes_up() {
///     netsplit::check(nap());
/// }
/// # everybody_wakes_up();
/// ```
#[track_caller]
#[allow(
    clippy::needless_pass_by_value,
    reason = "a test has no other use for it"
)]
pub fn check(scenario: Scenario) {
    let checked = strategy().and_then(|strategy| match again::variable(SEED) {
        Some(text) => check_seed(&scenario, strategy, &text),
        None => check_seeds(&scenario, strategy, again::variable(SEEDS)),
    });
    if let Err(failed) = checked {
        panic!("{failed}");
    }
}

/// Why a check failed.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error("the environment variable {0}: {1}")]
    Variable(&'static str, SeedsError),
    #[error("the environment variable {STRATEGY}: {0}")]
    Strategy(#[from] UnknownStrategy),
    #[error("scenario {0} cannot be run: {1}")]
    Scenario(String, ScenarioError),
    #[error("scenario {scenario} failed after {seeds}\n{failure}")]
    Violated {
        scenario: String,
        seeds: String,
        failure: Box<Failure>,
    },
    #[error("scenario {0} failed: {1}")]
    Unreached(String, String),
    #[error("scenario {scenario}\n{trouble}\n  again:  {again}")]
    Trouble {
        scenario: String,
        trouble: Trouble,
        again: String,
    },
}

fn strategy() -> Result<Strategy, CheckError> {
    let named = again::variable(STRATEGY);
    Ok(named.map_or(Ok(Strategy::Time), |name| name.parse())?)
}

fn check_seeds(
    scenario: &Scenario,
    strategy: Strategy,
    asked: Option<String>,
) -> Result<(), CheckError> {
    let asked = asked.as_deref().map_or(Ok(DEFAULT), seeds);
    let options = Options {
        seeds: asked.map_err(|error| CheckError::Variable(SEEDS, error))?,
        strategy,
        ..Options::default()
    };
    let report = sweep(scenario, &options, &mut |_| {});
    let report = report.map_err(|error| unrunnable(scenario, error))?;
    let summary = report.to_string();
    let missed = unreached(&report);
    let coverage = coverage(&report);
    if let Some(trouble) = report.trouble {
        return Err(CheckError::Trouble {
            scenario: report.scenario,
            again: again::in_test(strategy, trouble.seed()),
            trouble,
        });
    }
    if let Some(found) = report.violations.first() {
        return violated(scenario, strategy, found.seed, summary, false);
    }
    println!("netsplit: {}: {summary}, nothing violated", report.scenario);
    coverage.iter().for_each(|line| println!("{line}"));
    missed.map_or(Ok(()), |missed| {
        Err(CheckError::Unreached(report.scenario, missed))
    })
}

fn check_seed(scenario: &Scenario, strategy: Strategy, text: &str) -> Result<(), CheckError> {
    let seed = seed(text).map_err(|error| CheckError::Variable(SEED, error))?;
    violated(scenario, strategy, seed, "1 seed".to_owned(), true)
}

/// Runs a seed with a log, and once more; fails where the runs differ or a property is violated.
fn violated(
    scenario: &Scenario,
    strategy: Strategy,
    seed: u64,
    seeds: String,
    print: bool,
) -> Result<(), CheckError> {
    let chance = || strategy.chance(seed);
    let first = scenario.run_with(chance(), Keep::default());
    let first = first.map_err(|error| unrunnable(scenario, error))?;
    let keep = Keep {
        log: true,
        ..Keep::default()
    };
    let trouble = |trouble: Trouble| CheckError::Trouble {
        scenario: scenario.name().to_owned(),
        again: again::in_test(strategy, seed),
        trouble,
    };
    let outcome = confirm(scenario, &chance, &first, keep);
    let mut outcome = outcome.map_err(|divergence| trouble(Trouble::Diverged(divergence)))?;
    if print && let Some(log) = &outcome.log {
        println!("{}", lines(log, &outcome.names).join("\n"));
        println!(
            "netsplit: {}, seed {seed}: digest {}",
            scenario.name(),
            outcome.digest
        );
    }
    if let Some(error) = outcome.error.take() {
        return Err(trouble(Trouble::Run { seed, error }));
    }
    let again = again::in_test(strategy, seed);
    let failure = Failure::new(scenario.name(), &outcome, LAST_EVENTS, again);
    failure.map_or(Ok(()), |failure| {
        Err(CheckError::Violated {
            scenario: scenario.name().to_owned(),
            seeds,
            failure: Box::new(failure),
        })
    })
}

fn unrunnable(scenario: &Scenario, error: ScenarioError) -> CheckError {
    CheckError::Scenario(scenario.name().to_owned(), error)
}
