//! Time, processor time and memory of this process, and the line that reports them.
//!
//! The form of the line is the peers': one JSON object with the keys that every peer prints, then
//! those of the workload.

#![allow(
    clippy::disallowed_types,
    reason = "a benchmark measures real time, around runs that never see it"
)]

use rustix::time::{ClockId, clock_gettime};
use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

/// Where real time and processor time stood.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    wall: Instant,
    cpu_s: f64,
}

/// What was spent since then.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) wall_s: f64,
    cpu_s: f64,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock {
            cpu_s: cpu_s(),
            wall: Instant::now(),
        }
    }

    pub(crate) fn spent(self) -> Spent {
        let wall_s = self.wall.elapsed().as_secs_f64();
        Spent {
            wall_s,
            cpu_s: cpu_s() - self.cpu_s,
        }
    }
}

/// What a workload did.
pub(crate) struct Measured {
    pub(crate) spent: Spent,
    /// How many of its units: messages, spawns, seeds.
    pub(crate) units: u64,
    pub(crate) extra: Vec<(&'static str, f64)>,
}

impl Measured {
    /// The line that reports it.
    pub(crate) fn line(&self, workload: &str, n: u64) -> String {
        let Spent { wall_s, cpu_s } = self.spent;
        let (units, peak) = (self.units, peak_rss_kb());
        let per_s = units as f64 / wall_s;
        let mut line = format!(
            "{{\"peer\":\"netsplit\",\"workload\":\"{workload}\",\"n\":{n},\"wall_s\":{wall_s:.6},\
             \"per_s\":{per_s:.1},\"peak_rss_kb\":{peak},\"cpu_s\":{cpu_s:.4},\"units\":{units}"
        );
        for (key, value) in &self.extra {
            let _ = write!(line, ",\"{key}\":{value}");
        }
        line.push('}');
        line
    }
}

/// Resident memory of this process, in kB.
pub(crate) fn rss_kb() -> u64 {
    status_kb("VmRSS:")
}

fn peak_rss_kb() -> u64 {
    status_kb("VmHWM:")
}

/// A line of Linux's table of a process; 0 elsewhere.
fn status_kb(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|kb| kb.parse().ok()).unwrap_or(0)
}

fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
