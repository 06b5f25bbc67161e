//! Results as JSON: one object for each, with a fixed set of keys.

use super::gallery::Standing;
use super::numbers::per_second;
use crate::explore::{Found, Report, Sometimes};
use crate::sim::{Form, Observation, Outcome, Scenario, Waits};
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
/// `step`, `digest`), `sometimes` (each with `property` and `reached_in`, a number of seeds), `unreached`
/// (the names of those for which the sweep fails), `counters`, `events`, `sim_s`, `wall_s`,
/// `events_per_s`, `seeds_per_s`.
#[must_use]
pub fn report(report: &Report) -> Value {
    json!({
        "scenario": report.scenario,
        "form": form(&report.form),
        "strategy": report.strategy.name(),
        "seeds": report.seeds,
        "violations": report.violations.iter().map(found).collect::<Vec<_>>(),
        "sometimes": report.sometimes.iter().map(sometimes).collect::<Vec<_>>(),
        "unreached": report.unreached().collect::<Vec<_>>(),
        "counters": report.counters,
        "events": report.events,
        "sim_s": report.sim_ns as f64 / 1e9,
        "wall_s": report.wall.as_secs_f64(),
        "events_per_s": per_second(report.events, report.wall),
        "seeds_per_s": per_second(report.seeds, report.wall),
    })
}

/// A scenario of a gallery: `scenario`, `form`, `property` (that it states; null for a sound one),
/// `as_stated`, `result` (in the words of [`Standing::word`]), `violation` (the first, as in [`report`], or
/// null), `unreached`, `trouble` (what else ended the sweep: a text, or null), `seeds`, `wall_s`,
/// `seeds_per_s`.
#[must_use]
pub fn gallery(report: &Report) -> Value {
    let property = match &report.form {
        Form::Sound => None,
        Form::Broken { property } => Some(property),
    };
    let standing = Standing::of(report);
    json!({
        "scenario": report.scenario,
        "form": form(&report.form),
        "property": property,
        "as_stated": standing.is_as_stated(),
        "result": standing.word(),
        "violation": report.violations.first().map(found),
        "unreached": report.unreached().collect::<Vec<_>>(),
        "trouble": report.trouble.as_ref().map(|trouble| trouble.to_string().trim().to_owned()),
        "seeds": report.seeds,
        "wall_s": report.wall.as_secs_f64(),
        "seeds_per_s": per_second(report.seeds, report.wall),
    })
}

/// A replay: `scenario`, `seed`, `digest` (32 hex digits), `steps`, `events`, `at_ns`, `violation` (as
/// in [`report`], or null), `waits` (where progress was due and did not come, or null), `reached` (the names
/// of `sometimes` properties) and `counters`. `waits` has `processes` (one text for each of the first),
/// `more` (how many there were besides) and `ring` (a text, or null).
#[must_use]
pub fn replay(scenario: &str, outcome: &Outcome) -> Value {
    let violation = outcome.violation.clone();
    let waits = violation.as_ref().map(|violation| waits(&violation.waits));
    let violation = violation.map(|v| found(&Found::new(outcome.seed, outcome.digest, v)));
    json!({
        "scenario": scenario,
        "seed": outcome.seed,
        "digest": outcome.digest.to_string(),
        "steps": outcome.steps,
        "events": outcome.events,
        "at_ns": outcome.at.as_nanos(),
        "violation": violation,
        "waits": waits.flatten(),
        "reached": outcome.reached,
        "counters": outcome.counters,
    })
}

/// An observation: `scenario`, `seed` (null for a tape), `at_ns`, `ended_at_ns` (where the run had ended
/// before the moment asked for, or null), `nodes` and `ring` (texts of pids). A node has `name`, `up`,
/// `paused`, `boots` and `processes`; each of these has the fields of an
/// [`Observed`](crate::sim::Observed).
#[must_use]
pub fn observation(scenario: &str, seed: Option<u64>, seen: &Observation) -> Value {
    let mut value = json!({
        "scenario": scenario,
        "seed": seed,
        "ended_at_ns": seen.ended,
    });
    if let (Some(object), Value::Object(snapshot)) = (value.as_object_mut(), json!(seen.snapshot)) {
        object.extend(snapshot);
    }
    value
}

fn waits(waits: &Waits) -> Option<Value> {
    let object = json!({
        "processes": waits.processes,
        "more": waits.more,
        "ring": waits.ring,
    });
    (!waits.processes.is_empty()).then_some(object)
}

fn form(form: &Form) -> &'static str {
    match form {
        Form::Sound => "sound",
        Form::Broken { .. } => "broken",
    }
}

fn sometimes(sometimes: &Sometimes) -> Value {
    json!({
        "property": sometimes.property,
        "reached_in": sometimes.seeds,
    })
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
