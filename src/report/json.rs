//! Results as JSON: one object for each, with a fixed set of keys.

use super::numbers::per_second;
use crate::explore::{Found, Report};
use crate::sim::{Form, Outcome, Scenario};
use serde_json::{Value, json};

/// A scenario of a list: `name`, `form`, `property` (null for a sound one), `summary`.
#[must_use]
pub fn scenario(scenario: &Scenario) -> Value {
    let property = match scenario.form() {
        Form::Sound => None,
        Form::Broken { property } => Some(property),
    };
    json!({
        "name": scenario.name(),
        "form": form(scenario.form()),
        "property": property,
        "summary": scenario.about(),
    })
}

/// A sweep: `scenario`, `form`, `strategy`, `seeds`, `violations` (each with `seed`, `property`, `at_ns`,
/// `step`, `digest`), `events`, `sim_s`, `wall_s`, `events_per_s`, `seeds_per_s`.
#[must_use]
pub fn report(report: &Report) -> Value {
    json!({
        "scenario": report.scenario,
        "form": form(&report.form),
        "strategy": report.strategy.name(),
        "seeds": report.seeds,
        "violations": report.violations.iter().map(found).collect::<Vec<_>>(),
        "events": report.events,
        "sim_s": report.sim_ns as f64 / 1e9,
        "wall_s": report.wall.as_secs_f64(),
        "events_per_s": per_second(report.events, report.wall),
        "seeds_per_s": per_second(report.seeds, report.wall),
    })
}

/// A replay: `scenario`, `seed`, `digest` (32 hex digits), `steps`, `events`, `at_ns`, and `violation`
/// (as in [`report`], or null).
#[must_use]
pub fn replay(scenario: &str, outcome: &Outcome) -> Value {
    let violation = outcome.violation.clone();
    let violation = violation.map(|v| found(&Found::new(outcome.seed, outcome.digest, v)));
    json!({
        "scenario": scenario,
        "seed": outcome.seed,
        "digest": outcome.digest.to_string(),
        "steps": outcome.steps,
        "events": outcome.events,
        "at_ns": outcome.at.as_nanos(),
        "violation": violation,
    })
}

fn form(form: &Form) -> &'static str {
    match form {
        Form::Sound => "sound",
        Form::Broken { .. } => "broken",
    }
}

fn found(found: &Found) -> Value {
    json!({
        "seed": found.seed,
        "property": found.property,
        "at_ns": found.at.as_nanos(),
        "step": found.step,
        "digest": found.digest.to_string(),
    })
}
