//! `cargo bench --bench workloads -- NAME…`: how fast runs are, one JSON object a line.
//!
//! `NAME=n` sets a workload's size, `--n N` that of all that are named without one; without a name all
//! run; `--strategy NAME` makes the runs with that strategy. Each workload runs in a process of its own, and times itself there, its start excluded. Digest
//! and books are on and ranks are drawn, as in every run. Sizes and units are those of the systems that
//! these numbers are compared with in `docs/PERFORMANCE.md`.

mod chaos;
mod cluster;
mod local;
mod mail;
mod meter;
mod queues;
mod redb;
mod supervision;

use meter::{Clock, Measured};
use netsplit::explore::Strategy;
use netsplit::{Bounds, Keep, Outcome, Scenario, secs};
use std::process::{Command, ExitCode};
use std::sync::OnceLock;

/// A workload: its name, its default size, what it does.
type Workload = (&'static str, u64, fn(u64) -> Measured);

const WORKLOADS: &[Workload] = &[
    ("W1", 1_000_000, local::messages),
    ("W1call", 1_000_000, local::calls),
    ("W2", 1_000, local::ring),
    ("W3", 1_000_000, local::spawns),
    ("W3plain", 1_000_000, local::plain_spawns),
    ("W3mem", 100_000, local::idle),
    ("W4udp", 100_000, cluster::datagrams),
    ("W4tcp", 100_000, cluster::connected),
    ("W4call", 100_000, cluster::calls),
    ("W5", 10_000, cluster::lossy),
    ("W6", 1_000_000, local::sleepers),
    ("W7", 100_000, cluster::seeds),
    ("W8", 3_600, cluster::heartbeats),
    ("W9", 1_000_000, supervision::restarts),
    ("W9panic", 100_000, supervision::panics),
    ("W3memgs", 100_000, supervision::idle),
    ("tree", 100_000, supervision::tree),
    ("mail_memory", 1_000_000, mail::memory),
    ("mail_disk", 200_000, mail::disk),
    ("queue", 100_000, queues::letters),
    ("chaos", 1_000, chaos::seeds),
    ("redb_crash", 2_000, redb::crashes),
    ("nodes10", 6_000, cluster::nodes10),
    ("nodes1000", 60, cluster::nodes1000),
];

/// Says that this process is the one that measures.
const HERE: &str = "--here";
/// How runs are made; set once, at the start.
static STRATEGY: OnceLock<Strategy> = OnceLock::new();
/// A test run of the harness does this part of each workload.
const SMOKE_PART: u64 = 1_000;

#[allow(
    clippy::disallowed_methods,
    reason = "a program of its own takes its own arguments"
)]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = match Asked::parse(&arguments) {
        Ok(asked) => asked,
        Err(wrong) => {
            eprintln!("{wrong}");
            return ExitCode::from(2);
        }
    };
    if asked.here {
        STRATEGY.get_or_init(|| asked.strategy);
        for ((name, _, run), n) in asked.workloads {
            println!("{}", run(n).line(name, n));
        }
        return ExitCode::SUCCESS;
    }
    for ((name, ..), n) in asked.workloads {
        let program = std::env::current_exe().expect("the path of this program");
        let run = Command::new(program)
            .args([HERE, &format!("{name}={n}")])
            .args(["--strategy", asked.strategy.name()])
            .status();
        if !run.is_ok_and(|status| status.success()) {
            eprintln!("workload {name} failed");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// What the arguments ask for.
struct Asked {
    here: bool,
    strategy: Strategy,
    workloads: Vec<(Workload, u64)>,
}

impl Asked {
    fn parse(arguments: &[String]) -> Result<Asked, String> {
        let (mut here, mut bench, mut size, mut named) = (false, false, None, Vec::new());
        let mut strategy = Strategy::Time;
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                HERE => here = true,
                // What cargo gives to every benchmark, and not to a test of one.
                "--bench" => bench = true,
                "--n" => size = Some(number(arguments.next().map_or("", String::as_str))?),
                "--strategy" => {
                    let name = arguments.next().map_or("", String::as_str);
                    strategy = name.parse().map_err(|error| format!("{error}"))?;
                }
                name => named.push(workload(name)?),
            }
        }
        if named.is_empty() {
            named.extend(WORKLOADS.iter().map(|workload| (*workload, None)));
        }
        let part = if here || bench { 1 } else { SMOKE_PART };
        let sized = |(workload, own): (Workload, Option<u64>)| {
            let n = own.or(size).unwrap_or((workload.1 / part).max(1));
            (workload, n)
        };
        Ok(Asked {
            here,
            strategy,
            workloads: named.into_iter().map(sized).collect(),
        })
    }
}

/// A workload by `NAME` or `NAME=n`.
fn workload(text: &str) -> Result<(Workload, Option<u64>), String> {
    let (name, n) = match text.split_once('=') {
        Some((name, n)) => (name, Some(number(n)?)),
        None => (text, None),
    };
    match WORKLOADS.iter().find(|workload| workload.0 == name) {
        Some(workload) => Ok((*workload, n)),
        None => {
            let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.0).collect();
            Err(format!(
                "no workload is named `{name}`; there are: {}",
                names.join(" ")
            ))
        }
    }
}

fn number(text: &str) -> Result<u64, String> {
    match text.replace('_', "").parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(format!(
            "`{text}` is no size: give a whole number above 0, as in `W1=1000` or `--n 1000`"
        )),
    }
}

/// An empty scenario whose bounds are out of the way of any size.
fn scenario(name: &str) -> Scenario {
    let bounds = Bounds {
        steps: u64::MAX,
        steps_at_once: u64::MAX,
        mailbox: usize::MAX,
        processes: 4_000_000,
        agenda: 1 << 29,
        poll: secs(3_600),
    };
    Scenario::new(name)
        .bounds(bounds)
        .horizon(secs(1_000_000_000))
        .finally("it ends", |_| true)
}

/// Measures the run of one seed; `units` tells how much it did.
fn measure(scenario: Scenario, units: impl FnOnce(&Outcome) -> u64) -> Measured {
    scenario.validate().expect("a scenario that can run");
    let clock = Clock::start();
    let outcome = run(&scenario, 1);
    let spent = clock.spent();
    ended(&outcome);
    Measured {
        spent,
        units: units(&outcome),
        extra: vec![
            ("sim_s", outcome.at.as_nanos() as f64 / 1e9),
            ("steps", outcome.steps as f64),
            ("events", outcome.events as f64),
        ],
    }
}

/// The run of a seed, under the strategy that is measured.
fn run(scenario: &Scenario, seed: u64) -> Outcome {
    let strategy = STRATEGY.get().copied().unwrap_or_default();
    let run = scenario.run_with(strategy.chance(seed), Keep::default());
    run.expect("a scenario that can run")
}

/// A run that was cut short measures nothing.
fn ended(outcome: &Outcome) {
    assert!(
        outcome.is_ok(),
        "{:?} {:?}",
        outcome.violation,
        outcome.error
    );
}

/// The generator that every peer's harness has, so that all draw the same numbers.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }
}
