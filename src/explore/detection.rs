//! How soon a strategy finds a failure: seeds to the first detection, over trials with seeds of their own.

use super::strategy::Strategy;
use super::sweep::{Options, Report, Trouble, sweep};
use crate::sim::{Form, Scenario, ScenarioError};

/// How often, and for how long, a failure is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trials {
    /// So many times. Default: 25.
    pub trials: u64,
    /// With at most so many seeds each time. Default: 10,000.
    pub cap: u64,
    /// Threads; 0 stands for one a core. It changes the time and nothing else. Default: 0.
    pub jobs: usize,
}

impl Default for Trials {
    fn default() -> Trials {
        Trials {
            trials: 25,
            cap: 10_000,
            jobs: 0,
        }
    }
}

/// What came of the trials of one strategy with one scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection {
    /// Of each trial, how many seeds it took; the least first, and last those that reached the cap.
    seeds: Vec<Option<u64>>,
}

/// Why a detection could not be measured.
#[derive(Debug)]
pub enum DetectionError {
    /// The scenario cannot be run.
    Scenario(ScenarioError),
    /// A sweep was ended by what is no finding.
    Trouble(Trouble),
}

impl Detection {
    /// From how many seeds each trial took; none where it reached the cap.
    #[must_use]
    pub fn new(mut seeds: Vec<Option<u64>>) -> Detection {
        seeds.sort_by_key(|seeds| seeds.unwrap_or(u64::MAX));
        Detection { seeds }
    }

    /// The seeds within which this share of the trials (from 0 to 1) had found it: 0.5 is the median. None
    /// where that is over the cap, or there were no trials.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let last = self.seeds.len().checked_sub(1)?;
        self.seeds[(last as f64 * share).round() as usize]
    }

    /// How many trials found it.
    #[must_use]
    pub fn found(&self) -> usize {
        self.seeds.iter().flatten().count()
    }

    /// How many trials there were.
    #[must_use]
    pub fn trials(&self) -> usize {
        self.seeds.len()
    }
}

/// Measures how many seeds a strategy takes to the first violation of the property that the scenario is
/// said to violate, or of any where none is named. Trial `t` has the seeds from `t * cap` on.
///
/// # Errors
/// Where the scenario cannot be run, or a sweep does not come to its end.
///
/// ```
/// use netsplit::explore::{Strategy, Trials, detect};
/// use netsplit::{Context, Scenario};
/// let scenario = Scenario::new("never")
///     .node("idle", |_: Context| async {})
///     .finally("it holds", |_| false);
/// let detection = detect(&scenario, Strategy::Time, &Trials::default()).unwrap();
/// assert_eq!((detection.quantile(0.5), detection.found()), (Some(1), 25));
/// ```
pub fn detect(
    scenario: &Scenario,
    strategy: Strategy,
    trials: &Trials,
) -> Result<Detection, DetectionError> {
    let mut seeds = Vec::new();
    for trial in 0..trials.trials {
        let first = trial * trials.cap;
        let found = search(scenario, strategy, first..first + trials.cap, trials.jobs)?;
        seeds.push(found.map(|seed| seed - first + 1));
    }
    Ok(Detection::new(seeds))
}

/// The first seed of these that violates the property looked for.
fn search(
    scenario: &Scenario,
    strategy: Strategy,
    mut seeds: std::ops::Range<u64>,
    jobs: usize,
) -> Result<Option<u64>, DetectionError> {
    let wanted = match scenario.form() {
        Form::Broken { property } => Some(property.as_str()),
        Form::Sound => None,
    };
    while !seeds.is_empty() {
        let options = Options {
            seeds: seeds.clone(),
            strategy,
            jobs,
            ..Options::default()
        };
        let report = sweep(scenario, &options, &mut |_| {}).map_err(DetectionError::Scenario)?;
        let Report {
            violations,
            trouble,
            ..
        } = report;
        if let Some(trouble) = trouble {
            return Err(DetectionError::Trouble(trouble));
        }
        let Some(found) = violations.first() else {
            return Ok(None);
        };
        if wanted.is_none_or(|wanted| wanted == found.property) {
            return Ok(Some(found.seed));
        }
        seeds.start = found.seed + 1;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_that_reach_the_cap_come_last() {
        let detection = Detection::new(vec![None, Some(7), None, Some(3), Some(40)]);
        let quantiles = [0.0, 0.25, 0.5, 0.75].map(|share| detection.quantile(share));
        assert_eq!(quantiles, [Some(3), Some(7), Some(40), None]);
        assert_eq!((detection.found(), detection.trials()), (3, 5));
        assert_eq!(Detection::new(Vec::new()).quantile(0.5), None);
    }
}
