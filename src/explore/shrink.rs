//! Shrinking: from a seed that fails to the few draws that make it fail.
//!
//! It edits tapes, never scenarios. The run of the seed is a tape over the calm base in which every draw
//! of the adversary that was not calm is an edit; edits are taken away, greedily, as long as the same
//! property is violated, and what stays is lowered. The program's own draws are the seed's throughout.
//!
//! Greedy means: no single edit of the result can be taken away. A smaller tape may exist all the same.

mod moves;
mod notes;

use super::strategy::Strategy;
use crate::choice::{Base, DriftKind, Edit, Kind, Tape};
use crate::sim::{Chance, Keep, Outcome, RunError, Scenario, ScenarioError};
use crate::trace::DigestValue;
use rustc_hash::FxHashSet;
use xxhash_rust::xxh3::xxh3_128;

/// How many runs a shrink makes at most, where nobody says otherwise: SEARCH's floor for what a
/// simulator can afford.
pub const SHRINK_TRIES: u64 = 10_000;

/// A failure, cut down.
#[derive(Debug)]
pub struct Shrunk {
    /// The tape that fails: calm, and the edits that are needed, in the order in which the run asks.
    pub tape: Tape,
    /// The run of that tape, with its log and its draws.
    pub outcome: Outcome,
    /// How many edits the run of the seed needed: the draws of the adversary that were not calm.
    pub edits_before: usize,
    /// How many runs were made on the way.
    pub tries: u64,
    /// Whether these were all that were allowed, so that more of them might have cut further.
    pub exhausted: bool,
}

/// Why there is nothing to shrink.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ShrinkError {
    /// The scenario cannot be run.
    #[error("the scenario cannot be run: {0}")]
    Scenario(#[from] ScenarioError),
    /// The seed violates nothing.
    #[error(
        "seed {seed} of `{scenario}` violates no property: shrink a seed that `run` reports as failing, \
         under the strategy that found it"
    )]
    Holds {
        /// The scenario's name.
        scenario: String,
        /// The seed.
        seed: u64,
    },
    /// The run of the seed could not be made to its end.
    #[error("seed {seed} of `{scenario}` did not come to its end: {error}")]
    Stopped {
        /// The scenario's name.
        scenario: String,
        /// The seed.
        seed: u64,
        /// What stopped it.
        error: RunError,
    },
    /// The same draws gave another run.
    #[error(
        "seed {seed} of `{scenario}` failed with digest {first}, and the same draws then gave {second}: \
         something outside the run decides, so nothing can be shrunk. Look for a clock, a thread or a \
         map with a random order, with `--check-determinism`"
    )]
    NotRepeated {
        /// The scenario's name.
        scenario: String,
        /// The seed.
        seed: u64,
        /// The digest of the seed's run.
        first: DigestValue,
        /// The digest of the run of its tape.
        second: DigestValue,
    },
}

/// Shrinks the failure of `seed` under the strategy that found it, in at most `max_tries` runs (see
/// [`SHRINK_TRIES`]).
///
/// ```
/// use netsplit::explore::{SHRINK_TRIES, Strategy, shrink};
/// use netsplit::{Address, Context, Faults, Scenario, secs};
///
/// let scenario = Scenario::new("once")
///     .node("listener", |ctx: Context<u32>| async move {
///         ctx.register("listener").expect("a free name");
///         loop {
///             let number = ctx.receive_message().await;
///             ctx.observe("sum", |sum: &mut u32| *sum += number);
///         }
///     })
///     .client("talker", |_: Context| async move {
///         for _ in 0..100 {
///             Address::named("listener", "listener").send_datagram(1u32);
///         }
///     })
///     .finally("nothing is lost", |view| view.observed("sum") == Some(&100u32))
///     .faults(Faults::calm().lose(0.1))
///     .horizon(secs(1));
///
/// let shrunk = shrink(&scenario, 1, Strategy::Time, SHRINK_TRIES).unwrap();
/// assert!(shrunk.edits_before > 100, "a latency for each packet, and those that were lost");
/// assert_eq!(shrunk.tape.edits.len(), 1);
/// assert!(shrunk.tape.to_string().contains("lose talker#0"));
/// ```
///
/// # Errors
/// [`ShrinkError`]: the scenario cannot be run, the seed violates no property, or its run does not repeat.
pub fn shrink(
    scenario: &Scenario,
    seed: u64,
    strategy: Strategy,
    max_tries: u64,
) -> Result<Shrunk, ShrinkError> {
    let keep = Keep {
        draws: true,
        ..Keep::default()
    };
    let first = scenario.run_with(strategy.chance(seed), keep)?;
    let mut search = Search {
        scenario,
        seed,
        property: property(scenario, &first)?,
        max_tries,
        tries: 1,
        survived: FxHashSet::default(),
    };
    let edits = first.deviations();
    let edits_before = edits.len();
    let again = scenario.run_with(Chance::Tape(search.tape(edits.clone())), Keep::default())?;
    search.tries += 1;
    search.same(first.digest, &again)?;
    let edits = search.without_kinds(edits)?;
    let edits = search.without_blocks(edits, Search::attempt)?;
    let edits = search.with_one_delay(edits)?;
    let edits = search.without_crashes(edits)?;
    let edits = search.with_one_delay(edits)?;
    let edits = search.without_blocks(edits, Search::attempt_with_crashes_moved)?;
    let edits = search.lowered(edits)?;
    let edits = search.without_blocks(edits, Search::attempt)?;
    search.finish(edits, edits_before)
}

/// The property that the run of the seed violates.
fn property(scenario: &Scenario, outcome: &Outcome) -> Result<String, ShrinkError> {
    let (scenario, seed) = (scenario.name().to_owned(), outcome.seed);
    match (&outcome.error, &outcome.violation) {
        (Some(error), _) => Err(ShrinkError::Stopped {
            scenario,
            seed,
            error: error.clone(),
        }),
        (None, None) => Err(ShrinkError::Holds { scenario, seed }),
        (None, Some(violation)) => Ok(violation.property.clone()),
    }
}

/// The edits that were needed, where the same property is violated.
type Attempt = Result<Option<Vec<Edit>>, ShrinkError>;

struct Search<'a> {
    scenario: &'a Scenario,
    seed: u64,
    property: String,
    max_tries: u64,
    tries: u64,
    /// Hashes of the edits that did not violate the property.
    survived: FxHashSet<u128>,
}

impl Search<'_> {
    fn tape(&self, edits: Vec<Edit>) -> Tape {
        Tape {
            scenario: self.scenario.name().to_owned(),
            seed: self.seed,
            base: Base::Calm,
            edits,
        }
    }

    fn same(&self, first: DigestValue, again: &Outcome) -> Result<(), ShrinkError> {
        if again.digest == first {
            return Ok(());
        }
        Err(ShrinkError::NotRepeated {
            scenario: self.scenario.name().to_owned(),
            seed: self.seed,
            first,
            second: again.digest,
        })
    }

    fn exhausted(&self) -> bool {
        self.tries >= self.max_tries
    }

    fn fails(&self, outcome: &Outcome) -> bool {
        let violation = outcome.violation.as_ref();
        outcome.error.is_none() && violation.is_some_and(|v| v.property == self.property)
    }

    /// Runs these edits: where the same property is violated, those of them that the run came to.
    fn attempt(&mut self, edits: Vec<Edit>) -> Attempt {
        let hash = fingerprint(&edits);
        if self.exhausted() || self.survived.contains(&hash) {
            return Ok(None);
        }
        self.tries += 1;
        let tape = self.tape(edits);
        let outcome = self
            .scenario
            .run_with(Chance::Tape(tape.clone()), Keep::default())?;
        if !self.fails(&outcome) {
            self.survived.insert(hash);
            return Ok(None);
        }
        let mut edits = tape.edits;
        for drift in &outcome.drift {
            let at = edits.iter().position(|edit| *edit == drift.edit);
            match (at, drift.kind) {
                (Some(at), DriftKind::NeverAsked) => drop(edits.remove(at)),
                (Some(at), DriftKind::OutOfBounds(most)) => edits[at].outcome = most,
                (None, _) => {}
            }
        }
        Ok(Some(edits))
    }

    /// Calms everything; else whole kinds of draws.
    fn without_kinds(&mut self, mut edits: Vec<Edit>) -> Result<Vec<Edit>, ShrinkError> {
        if let Some(kept) = self.attempt(Vec::new())? {
            return Ok(kept);
        }
        for kind in Kind::ALL {
            let others = edits.iter().filter(|edit| edit.kind != *kind).cloned();
            let others: Vec<_> = others.collect();
            if others.len() < edits.len()
                && let Some(kept) = self.attempt(others)?
            {
                edits = kept;
            }
        }
        Ok(edits)
    }

    /// Takes blocks away: halves, quarters, …, single edits, until no single one can go (ddmin, Zeller
    /// and Hildebrandt 2002). From the end on: what comes late was often only caused by what came early.
    fn without_blocks(
        &mut self,
        mut edits: Vec<Edit>,
        attempt: fn(&mut Self, Vec<Edit>) -> Attempt,
    ) -> Result<Vec<Edit>, ShrinkError> {
        let mut block = edits.len().div_ceil(2);
        while block > 0 && !edits.is_empty() && !self.exhausted() {
            let (before, mut end) = (edits.len(), edits.len());
            while end > 0 {
                let start = end.saturating_sub(block);
                let mut others = edits.clone();
                others.drain(start..end);
                if let Some(kept) = attempt(self, others)? {
                    edits = kept;
                }
                end = start.min(edits.len());
            }
            block = match block {
                1 if edits.len() == before => 0,
                _ => block.div_ceil(2),
            };
        }
        Ok(edits)
    }

    /// Lowers outcomes: 1, else halves as often as it goes, then as few digits as it goes.
    fn lowered(&mut self, mut edits: Vec<Edit>) -> Result<Vec<Edit>, ShrinkError> {
        let mut index = 0;
        while index < edits.len() {
            let count = edits.len();
            if edits[index].outcome > 1 && !self.set(&mut edits, index, 1)? {
                while edits.len() == count && edits[index].outcome > 3 {
                    let half = edits[index].outcome / 2;
                    if !self.set(&mut edits, index, half)? {
                        break;
                    }
                }
                self.round(&mut edits, index)?;
            }
            index += 1;
        }
        Ok(edits)
    }

    /// Sets one outcome, where the run fails with it too.
    fn set(
        &mut self,
        edits: &mut Vec<Edit>,
        index: usize,
        outcome: u64,
    ) -> Result<bool, ShrinkError> {
        let mut changed = edits.clone();
        changed[index].outcome = outcome;
        let kept = self.attempt(changed)?;
        let works = kept.is_some();
        if let Some(kept) = kept {
            *edits = kept;
        }
        Ok(works)
    }

    /// Tries an outcome with one, two or three digits that are not 0, below or above.
    fn round(&mut self, edits: &mut Vec<Edit>, index: usize) -> Result<(), ShrinkError> {
        let Some(edit) = edits.get(index) else {
            return Ok(());
        };
        // A crash's outcome is 1 and its moment.
        let least = u64::from(edit.kind == Kind::Crash);
        let exact = edit.outcome - least;
        for digits in 1..=3 {
            let Some(unit) = exact.max(1).ilog10().checked_sub(digits - 1) else {
                break;
            };
            let unit = 10_u64.pow(unit);
            let below = exact / unit * unit;
            for rounded in [below, below.saturating_add(unit)] {
                if rounded == exact || self.set(edits, index, rounded + least)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Runs the result once more with its log, and says of each edit what it means.
    fn finish(self, edits: Vec<Edit>, edits_before: usize) -> Result<Shrunk, ShrinkError> {
        let mut tape = self.tape(edits);
        let keep = Keep {
            log: true,
            draws: true,
            ..Keep::default()
        };
        let plain = self
            .scenario
            .run_with(Chance::Tape(tape.clone()), Keep::default())?;
        let outcome = self.scenario.run_with(Chance::Tape(tape.clone()), keep)?;
        self.same(plain.digest, &outcome)?;
        notes::annotate(&mut tape.edits, &outcome);
        Ok(Shrunk {
            tape,
            edits_before,
            tries: self.tries + 2,
            exhausted: self.exhausted(),
            outcome,
        })
    }
}

fn fingerprint(edits: &[Edit]) -> u128 {
    let mut bytes = Vec::with_capacity(edits.len() * 48);
    for edit in edits {
        bytes.push(edit.kind as u8);
        bytes.extend_from_slice(edit.who.as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(&edit.nth.to_le_bytes());
        bytes.extend_from_slice(&edit.outcome.to_le_bytes());
    }
    xxh3_128(&bytes)
}
