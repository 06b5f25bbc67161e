//! The watchdog: a thread that names a process whose poll does not return. It changes no run.

use crate::trace::{Names, Pid};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::time::Duration;

/// What a run tells the watchdog: two relaxed stores a step.
#[derive(Debug)]
pub struct Beat {
    /// Steps begun, times two, plus one while a poll runs.
    steps: AtomicU64,
    pid: AtomicU64,
    seed: AtomicU64,
    scenario: String,
    names: Names,
    limit: Duration,
}

static ALL: Mutex<Vec<Weak<Beat>>> = Mutex::new(Vec::new());
static START: Once = Once::new();
const LOOK: Duration = Duration::from_millis(100);

impl Beat {
    /// A beat for one thread's runs of a scenario, on nodes of these names.
    #[must_use]
    pub fn new(scenario: &str, names: Names, limit: Duration) -> Arc<Beat> {
        let zero = || AtomicU64::new(0);
        let (steps, pid, seed, scenario) = (zero(), zero(), zero(), scenario.to_owned());
        let beat = Arc::new(Beat {
            steps,
            pid,
            seed,
            scenario,
            names,
            limit,
        });
        ALL.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::downgrade(&beat));
        START.call_once(start);
        beat
    }

    /// Whether it is for runs of this scenario.
    #[must_use]
    pub fn is_of(&self, scenario: &str) -> bool {
        self.scenario == scenario
    }

    /// The run of this seed begins.
    pub fn seed(&self, seed: u64) {
        self.seed.store(seed, Ordering::Relaxed);
    }

    /// A poll of this process begins.
    #[inline]
    pub fn begin(&self, pid: Pid, step: u64) {
        self.pid.store(pid.as_u64(), Ordering::Relaxed);
        self.steps.store(step << 1 | 1, Ordering::Relaxed);
    }

    /// The poll returned.
    #[inline]
    pub fn end(&self, step: u64) {
        self.steps.store(step << 1, Ordering::Relaxed);
    }

    fn complain(&self) {
        let pid = self.pid.load(Ordering::Relaxed);
        let node = self
            .names
            .get((pid >> 50) as usize)
            .map_or("?", String::as_str);
        eprintln!(
            "netsplit: {}, seed {}: the process in slot {} of node `{node}` has not returned from its \
             poll for {:?} (step {}). It blocks or loops without an `.await`: nothing preempts it.",
            self.scenario,
            self.seed.load(Ordering::Relaxed),
            pid >> 16 & u64::from(Pid::SLOTS - 1),
            self.limit,
            self.steps.load(Ordering::Relaxed) >> 1,
        );
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "it watches runs from outside and changes none"
)]
fn start() {
    let watch = || {
        let mut seen: Vec<(Weak<Beat>, u64, Duration)> = Vec::new();
        loop {
            std::thread::sleep(LOOK);
            let fresh: Vec<_> = ALL
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .drain(..)
                .collect();
            seen.extend(fresh.into_iter().map(|beat| (beat, 0, Duration::ZERO)));
            seen.retain_mut(|(beat, last, stuck)| {
                let Some(beat) = beat.upgrade() else {
                    return false;
                };
                let steps = beat.steps.load(Ordering::Relaxed);
                let before = *stuck;
                let same = steps == *last && steps & 1 == 1;
                *stuck = if same { *stuck + LOOK } else { Duration::ZERO };
                *last = steps;
                if before < beat.limit && *stuck >= beat.limit {
                    beat.complain();
                }
                true
            });
        }
    };
    let thread = std::thread::Builder::new().name("netsplit-watchdog".to_owned());
    drop(thread.spawn(watch));
}
