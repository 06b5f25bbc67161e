//! A sweep: the runs of many seeds of a scenario on many threads, and what came of them.
//!
//! The result depends on the seeds alone: workers take chunks of seeds in order, whoever finds what ends
//! the sweep tells the others, chunks below it complete, and all above it is forgotten.

use super::strategy::Strategy;
use super::twice::{Divergence, confirm};
use crate::kernel::Time;
use crate::sim::{Form, Keep, Outcome, RunError, Scenario, ScenarioError, Violation};
use crate::trace::DigestValue;
use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};
use std::time::Duration;

/// How long a worker should be busy with one chunk: long against a lock, short against a person's eye.
const CHUNK: Duration = Duration::from_millis(2);
/// How often the caller hears of the progress.
const WATCH: Duration = Duration::from_millis(50);
/// The stack of a worker: the main thread's usual one, so that a run that works in a replay works here.
const STACK_BYTES: usize = 8 << 20;

/// Which seeds are run, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The seeds, half open. Default: 0..1000.
    pub seeds: Range<u64>,
    /// How the run of a seed is made. Default: random in time.
    pub strategy: Strategy,
    /// Threads; 0 stands for one a core. It changes the time and nothing else. Default: 0.
    pub jobs: usize,
    /// Goes on after a violation. Default: no.
    pub keep_going: bool,
    /// Runs each seed twice, and compares digests, payloads of local messages included. Default: no.
    pub check_determinism: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seeds: 0..1000,
            strategy: Strategy::Time,
            jobs: 0,
            keep_going: false,
            check_determinism: false,
        }
    }
}

/// How far a sweep is. For a person's eye: it counts seeds that a result may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Seeds run so far.
    pub seeds: u64,
    /// Seeds asked for.
    pub of: u64,
    /// Violations found so far.
    pub violations: u64,
}

/// A seed that violates a property. It was run twice, and failed alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The seed.
    pub seed: u64,
    /// Which property.
    pub property: String,
    /// What the property said; may be empty.
    pub detail: String,
    /// When, in virtual time.
    pub at: Time,
    /// After how many steps.
    pub step: u64,
    /// The digest of the run.
    pub digest: DigestValue,
}

/// A `sometimes` property, and how often a sweep has reached it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sometimes {
    /// Its name.
    pub property: String,
    /// In how many seeds it was reached.
    pub seeds: u64,
}

/// What ended a sweep, and is no finding about the system under test.
#[derive(Debug)]
pub enum Trouble {
    /// A run could not be made to its end.
    Run {
        /// Its seed.
        seed: u64,
        /// Why.
        error: RunError,
    },
    /// Two runs of one seed differed.
    Diverged(Box<Divergence>),
    /// netsplit itself panicked.
    Fault {
        /// The seed of the run.
        seed: u64,
        /// What the panic said.
        message: String,
    },
}

/// What came of a sweep. All counts cover the seeds up to the one that ended it, and that one.
#[derive(Debug)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// Whether it is meant to hold.
    pub form: Form,
    /// How its runs were made.
    pub strategy: Strategy,
    /// How many seeds are covered.
    pub seeds: u64,
    /// The violations, by seed: at most one, unless the sweep was told to keep going.
    pub violations: Vec<Found>,
    /// What else ended it.
    pub trouble: Option<Trouble>,
    /// Whether all seeds that were asked for are covered.
    pub complete: bool,
    /// The scenario's `sometimes` properties, as they were declared.
    pub sometimes: Vec<Sometimes>,
    /// What the processes of all runs have counted. Each counter stays at the greatest `u64`.
    pub counters: BTreeMap<String, u64>,
    /// Events of all runs.
    pub events: u64,
    /// Steps of all runs.
    pub steps: u64,
    /// Virtual time of all runs, in nanoseconds.
    pub sim_ns: u128,
    /// Wall time, with threads that still finished what no longer counts.
    pub wall: Duration,
}

/// Runs seeds of a scenario until one violates a property, or all are run. `watch` hears of the progress
/// some 20 times a second, on the calling thread.
///
/// What ends the sweep is always at the least seed that could: a violation (unless it keeps going), an
/// error of a run, or two runs that differ. No seeds are no error here: then nothing was covered.
///
/// # Errors
/// Where the scenario cannot be run.
///
/// ```
/// use netsplit::explore::{Options, sweep};
/// use netsplit::{Context, Scenario, millis, secs};
///
/// let scenario = Scenario::new("nap")
///     .node("sleeper", |ctx: Context| async move { ctx.sleep(millis(5)).await })
///     .finally("it is morning", |_| true)
///     .horizon(secs(1));
/// let report = sweep(&scenario, &Options::default(), &mut |_| {}).unwrap();
/// assert_eq!((report.seeds, report.violations.len()), (1000, 0));
/// ```
pub fn sweep(
    scenario: &Scenario,
    options: &Options,
    watch: &mut dyn FnMut(Progress),
) -> Result<Report, ScenarioError> {
    scenario.validate()?;
    let clock = Clock::start();
    let (first, end) = (options.seeds.start, options.seeds.end);
    let jobs = jobs(options);
    let work = Work {
        scenario,
        options,
        jobs,
        next: AtomicU64::new(first),
        stop: AtomicU64::new(u64::MAX),
        done: AtomicU64::new(0),
        found: AtomicU64::new(0),
        parts: Mutex::new(Parts::default()),
        working: Mutex::new(jobs),
        over: Condvar::new(),
    };
    #[allow(
        clippy::disallowed_methods,
        reason = "the pool of sweeps: each run stays on one thread"
    )]
    thread::scope(|scope| {
        for _ in 0..jobs {
            start(&work, scope);
        }
        work.wait(|| {
            watch(Progress {
                seeds: work.done.load(Relaxed),
                of: end.saturating_sub(first),
                violations: work.found.load(Relaxed),
            });
        });
    });
    let parts = work.parts.into_inner();
    let part = parts.unwrap_or_else(PoisonError::into_inner).at(first);
    let sometimes = scenario.sometimes_names().map(|name| Sometimes {
        property: name.to_owned(),
        seeds: part.reached.get(name).copied().unwrap_or(0),
    });
    Ok(Report {
        complete: !part.ended,
        sometimes: sometimes.collect(),
        scenario: scenario.name().to_owned(),
        form: scenario.form().clone(),
        strategy: options.strategy,
        seeds: part.seeds,
        violations: part.violations,
        trouble: part.trouble,
        counters: part.counters,
        events: part.events,
        steps: part.steps,
        sim_ns: part.sim_ns,
        wall: clock.elapsed(),
    })
}

/// How many threads are worth starting.
fn jobs(options: &Options) -> usize {
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let asked = if options.jobs == 0 {
        cores()
    } else {
        options.jobs
    };
    let seeds = options.seeds.end.saturating_sub(options.seeds.start);
    asked.min(usize::try_from(seeds).unwrap_or(usize::MAX))
}

#[allow(
    clippy::disallowed_methods,
    reason = "the pool of sweeps: each run stays on one thread"
)]
fn start<'scope>(work: &'scope Work<'_>, scope: &'scope Scope<'scope, '_>) {
    let thread = thread::Builder::new()
        .name("netsplit-sweep".to_owned())
        .stack_size(STACK_BYTES);
    if thread.spawn_scoped(scope, || work.run()).is_err() {
        // The system gives no more threads: this one does the work.
        work.run();
    }
}

/// What the workers share.
struct Work<'a> {
    scenario: &'a Scenario,
    options: &'a Options,
    jobs: usize,
    /// The first seed that nobody has taken.
    next: AtomicU64,
    /// The least seed known to end the sweep.
    stop: AtomicU64,
    done: AtomicU64,
    found: AtomicU64,
    parts: Mutex<Parts>,
    working: Mutex<usize>,
    over: Condvar,
}

impl Work<'_> {
    /// A worker's life.
    fn run(&self) {
        let mut size = 1;
        while let Some(seeds) = self.take(size) {
            let (clock, count) = (Clock::start(), seeds.end - seeds.start);
            let Some(part) = self.chunk(seeds.clone()) else {
                break;
            };
            let took = clock.elapsed();
            self.done.fetch_add(part.seeds, Relaxed);
            locked(&self.parts).add(seeds, part);
            size = match took {
                short if short < CHUNK / 2 => count * 2,
                long if long > CHUNK => count / 2,
                _ => count,
            };
        }
        *locked(&self.working) -= 1;
        self.over.notify_all();
    }

    /// The next seeds: at most so many, and fewer near the end, so that all workers end together.
    fn take(&self, size: u64) -> Option<Range<u64>> {
        let end = self.options.seeds.end;
        let mut start = self.next.load(Relaxed);
        loop {
            if start >= end || start > self.stop.load(Relaxed) {
                return None;
            }
            let share = (end - start) / (4 * self.jobs as u64);
            let chunk_end = start + size.min(share).max(1);
            let taken = self
                .next
                .compare_exchange(start, chunk_end, Relaxed, Relaxed);
            match taken {
                Ok(_) => return Some(start..chunk_end),
                Err(other) => start = other,
            }
        }
    }

    /// Runs these seeds; none where what ends the sweep was found below them meanwhile.
    fn chunk(&self, seeds: Range<u64>) -> Option<Part> {
        let mut part = Part::default();
        for seed in seeds {
            if seed > self.stop.load(Relaxed) {
                return None;
            }
            let run = catch_unwind(AssertUnwindSafe(|| self.one(seed, &mut part)));
            if let Err(panic) = run {
                let message = message(&*panic);
                part.trouble = Some(Trouble::Fault { seed, message });
            }
            let violated = part.violations.last().is_some_and(|v| v.seed == seed);
            if violated {
                self.found.fetch_add(1, Relaxed);
            }
            if part.trouble.is_some() || (violated && !self.options.keep_going) {
                self.stop.fetch_min(seed, Relaxed);
                part.ended = true;
                break;
            }
        }
        Some(part)
    }

    /// Runs one seed, twice where that is asked for or it violates a property.
    fn one(&self, seed: u64, part: &mut Part) {
        let keep = Keep {
            payloads: self.options.check_determinism,
            ..Keep::default()
        };
        part.seeds += 1;
        let chance = || self.options.strategy.chance(seed);
        let run = self.scenario.run_with(chance(), keep);
        let outcome = run.expect("the scenario was validated");
        part.events += outcome.events;
        part.steps += outcome.steps;
        part.sim_ns += u128::from(outcome.at.as_nanos());
        add(
            &mut part.reached,
            outcome.reached.iter().map(|name| (name.as_str(), 1)),
        );
        add(&mut part.counters, pairs(&outcome.counters));
        if outcome.is_ok() && !self.options.check_determinism {
            return;
        }
        if let Err(divergence) = confirm(self.scenario, &chance, &outcome, keep) {
            part.trouble = Some(Trouble::Diverged(divergence));
            return;
        }
        let digest = outcome.digest;
        let Outcome {
            violation, error, ..
        } = outcome;
        if let Some(error) = error {
            part.trouble = Some(Trouble::Run { seed, error });
        } else if let Some(violation) = violation {
            part.violations.push(Found::new(seed, digest, violation));
        }
    }

    /// Waits for the workers, and calls `watch` now and then.
    fn wait(&self, mut watch: impl FnMut()) {
        let mut working = locked(&self.working);
        while *working > 0 {
            let waited = self.over.wait_timeout(working, WATCH);
            working = waited.unwrap_or_else(PoisonError::into_inner).0;
            drop(working);
            watch();
            working = locked(&self.working);
        }
    }
}

impl Report {
    /// The `sometimes` properties that no run has reached, where the sweep covers all the seeds that it was
    /// asked for: it fails for them. Where something ended it before, nothing is said of them.
    pub fn unreached(&self) -> impl Iterator<Item = &str> {
        let judged = self.complete && self.seeds > 0;
        let never = self
            .sometimes
            .iter()
            .filter(move |s| judged && s.seeds == 0);
        never.map(|sometimes| sometimes.property.as_str())
    }
}

impl Trouble {
    /// The seed at which it came.
    #[must_use]
    pub fn seed(&self) -> u64 {
        match self {
            Trouble::Run { seed, .. } | Trouble::Fault { seed, .. } => *seed,
            Trouble::Diverged(divergence) => divergence.seed,
        }
    }
}

impl Found {
    /// What is kept of a violation.
    #[must_use]
    pub fn new(seed: u64, digest: DigestValue, violation: Violation) -> Found {
        let Violation {
            property,
            detail,
            at,
            step,
            waits: _,
        } = violation;
        Found {
            seed,
            property,
            detail,
            at,
            step,
            digest,
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic whose payload is no text".to_owned())
}

/// Adds counts to those of the same keys.
fn add<'a>(to: &mut BTreeMap<String, u64>, counts: impl Iterator<Item = (&'a str, u64)>) {
    for (key, by) in counts {
        match to.get_mut(key) {
            Some(count) => *count = count.saturating_add(by),
            None => drop(to.insert(key.to_owned(), by)),
        }
    }
}

fn pairs(counts: &BTreeMap<String, u64>) -> impl Iterator<Item = (&str, u64)> {
    counts.iter().map(|(key, by)| (key.as_str(), *by))
}

/// What came of some seeds in a row.
#[derive(Debug, Default)]
struct Part {
    seeds: u64,
    events: u64,
    steps: u64,
    sim_ns: u128,
    violations: Vec<Found>,
    reached: BTreeMap<String, u64>,
    counters: BTreeMap<String, u64>,
    trouble: Option<Trouble>,
    /// Whether its last seed ends the sweep.
    ended: bool,
}

impl Part {
    fn join(&mut self, next: Part) {
        if self.ended {
            return;
        }
        self.seeds += next.seeds;
        self.events += next.events;
        self.steps += next.steps;
        self.sim_ns += next.sim_ns;
        self.violations.extend(next.violations);
        add(&mut self.reached, pairs(&next.reached));
        add(&mut self.counters, pairs(&next.counters));
        self.trouble = next.trouble;
        self.ended = next.ended;
    }
}

/// Parts by their first seed, with the seed after their last. Neighbours are joined, so there are never
/// more than there are workers.
#[derive(Debug, Default)]
struct Parts(BTreeMap<u64, (u64, Part)>);

impl Parts {
    fn add(&mut self, seeds: Range<u64>, mut part: Part) {
        let Range { start, mut end } = seeds;
        if let Some((after, next)) = self.0.remove(&end) {
            end = after;
            part.join(next);
        }
        match self.0.range_mut(..start).next_back() {
            Some((_, (before, previous))) if *before == start => {
                previous.join(part);
                *before = end;
            }
            _ => {
                self.0.insert(start, (end, part));
            }
        }
    }

    fn at(mut self, first: u64) -> Part {
        self.0
            .remove(&first)
            .map_or_else(Part::default, |(_, part)| part)
    }
}

/// The wall clock of a sweep: it is shown, and decides nothing but the size of chunks.
#[allow(
    clippy::disallowed_types,
    reason = "wall time of a sweep, outside of every run"
)]
struct Clock(std::time::Instant);

#[allow(
    clippy::disallowed_types,
    reason = "wall time of a sweep, outside of every run"
)]
impl Clock {
    fn start() -> Clock {
        Clock(std::time::Instant::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(seeds: u64, ended: bool) -> Part {
        Part {
            seeds,
            ended,
            ..Part::default()
        }
    }

    #[test]
    fn parts_join_in_the_order_of_seeds_whatever_order_they_come_in() {
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
            let mut parts = Parts::default();
            for index in order {
                let start = 10 + index * 10;
                parts.add(start..start + 10, part(10, false));
            }
            assert_eq!(parts.0.len(), 1, "{order:?}");
            assert_eq!(parts.at(10).seeds, 40, "{order:?}");
        }
    }

    #[test]
    fn nothing_counts_above_the_seed_that_ends_a_sweep() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
            let mut parts = Parts::default();
            for index in order {
                let start = index * 10;
                let ends = index == 1;
                parts.add(start..start + 10, part(if ends { 3 } else { 10 }, ends));
            }
            assert_eq!(parts.at(0).seeds, 13, "{order:?}");
        }
    }
}
