//! Which scenarios are meant: by name, or by a glob of names.

use crate::sim::Scenario;
use globset::Glob;
use std::collections::BTreeSet;

/// How many near names are shown for an unknown one.
const NEAREST: usize = 3;
/// How alike a name must be to be shown, from 0 to 1.
const ALIKE: f64 = 0.6;

/// Why no scenario can be chosen.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectError {
    #[error("there is no scenario `{name}`{}", .nearest.as_deref().unwrap_or(": `list` shows them all"))]
    Unknown {
        name: String,
        nearest: Option<String>,
    },
    #[error("no scenario matches `{0}`: `list` shows them all")]
    NoMatch(String),
    #[error("`{0}` is no glob: {1}")]
    Glob(String, String),
    #[error(
        "two scenarios are named `{0}`: a seed of this name would mean two runs; rename one of them"
    )]
    Twice(String),
    #[error("a scenario has no name: give it one with `Scenario::new(…)`")]
    NoName,
}

/// Refuses a list in which a name is missing or stands twice.
pub(crate) fn distinct(scenarios: &[Scenario]) -> Result<(), SelectError> {
    let mut names = BTreeSet::new();
    for scenario in scenarios {
        if scenario.name().trim().is_empty() {
            return Err(SelectError::NoName);
        }
        if !names.insert(scenario.name()) {
            return Err(SelectError::Twice(scenario.name().to_owned()));
        }
    }
    Ok(())
}

/// The scenario of this name.
pub(crate) fn one<'a>(scenarios: &'a [Scenario], name: &str) -> Result<&'a Scenario, SelectError> {
    let found = scenarios.iter().find(|scenario| scenario.name() == name);
    found.ok_or_else(|| SelectError::Unknown {
        name: name.to_owned(),
        nearest: nearest(scenarios, name),
    })
}

/// The scenarios of these names and globs, each once, in the order of the names.
pub(crate) fn all<'a>(
    scenarios: &'a [Scenario],
    names: &[String],
) -> Result<Vec<&'a Scenario>, SelectError> {
    let mut chosen: Vec<&Scenario> = Vec::new();
    for name in names {
        let found = match one(scenarios, name) {
            Ok(scenario) => vec![scenario],
            Err(_) if name.contains(['*', '?', '[', '{']) => matching(scenarios, name)?,
            Err(error) => return Err(error),
        };
        for scenario in found {
            if chosen.iter().all(|other| other.name() != scenario.name()) {
                chosen.push(scenario);
            }
        }
    }
    Ok(chosen)
}

fn matching<'a>(scenarios: &'a [Scenario], glob: &str) -> Result<Vec<&'a Scenario>, SelectError> {
    let matcher = Glob::new(glob)
        .map_err(|error| SelectError::Glob(glob.to_owned(), error.kind().to_string()))?
        .compile_matcher();
    let found = scenarios.iter().filter(|s| matcher.is_match(s.name()));
    let found: Vec<&Scenario> = found.collect();
    if found.is_empty() {
        return Err(SelectError::NoMatch(glob.to_owned()));
    }
    Ok(found)
}

/// The names most like this one, as an advice.
fn nearest(scenarios: &[Scenario], name: &str) -> Option<String> {
    let likeness = |known: &str| {
        let last = known.rsplit('/').next().unwrap_or(known);
        strsim::jaro_winkler(known, name).max(strsim::jaro_winkler(last, name))
    };
    let names = scenarios.iter().map(Scenario::name);
    let mut near: Vec<(f64, &str)> = names.map(|known| (likeness(known), known)).collect();
    near.retain(|(likeness, _)| *likeness >= ALIKE);
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near = near
        .iter()
        .take(NEAREST)
        .map(|(_, name)| format!("`{name}`"));
    let near: Vec<String> = near.collect();
    (!near.is_empty()).then(|| format!("; the nearest: {}", near.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenarios() -> Vec<Scenario> {
        let names = ["supe/duplicate_ack", "supe/acked_by_id", "bank/transfer"];
        names.map(Scenario::new).to_vec()
    }

    fn chosen(names: &[&str]) -> Result<Vec<String>, SelectError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let scenarios = scenarios();
        let chosen = all(&scenarios, &names)?;
        Ok(chosen.iter().map(|s| s.name().to_owned()).collect())
    }

    #[test]
    fn a_glob_chooses_each_scenario_once_in_the_order_of_the_list() {
        let supe = ["supe/duplicate_ack", "supe/acked_by_id"];
        assert_eq!(chosen(&["supe/*"]).unwrap(), supe);
        assert_eq!(chosen(&["supe/*", "supe/acked_by_id", "s*"]).unwrap(), supe);
        assert_eq!(chosen(&["*"]).unwrap().len(), 3);
        assert_eq!(chosen(&["{bank,x}/*"]).unwrap(), ["bank/transfer"]);
    }

    #[test]
    fn an_unknown_name_gets_the_nearest() {
        let error = chosen(&["supe/duplicate_akc"]).unwrap_err().to_string();
        assert!(error.contains("`supe/duplicate_akc`"), "{error}");
        assert!(
            error.contains("the nearest: `supe/duplicate_ack`"),
            "{error}"
        );
        let error = chosen(&["transfr"]).unwrap_err().to_string();
        assert!(error.contains("`bank/transfer`"), "{error}");
        let error = chosen(&["0000"]).unwrap_err().to_string();
        assert!(error.contains("`list` shows them all"), "{error}");
    }

    #[test]
    fn a_glob_that_matches_nothing_or_is_none_is_refused() {
        let error = chosen(&["nothing/*"]).unwrap_err();
        assert_eq!(error, SelectError::NoMatch("nothing/*".to_owned()));
        assert!(matches!(chosen(&["supe/[a"]), Err(SelectError::Glob(..))));
    }

    #[test]
    fn two_scenarios_of_one_name_are_refused() {
        let mut scenarios = scenarios();
        assert_eq!(distinct(&scenarios), Ok(()));
        scenarios.push(Scenario::new("bank/transfer"));
        let twice = SelectError::Twice("bank/transfer".to_owned());
        assert_eq!(distinct(&scenarios), Err(twice));
        assert_eq!(distinct(&[Scenario::new("")]), Err(SelectError::NoName));
    }
}
