//! The oracle: small Erlang programs, what they print, and the same programs in Rust.
//!
//! For each program there are three files here. `NAME.erl` has one function for each case, named by its
//! rule and as a sentence. `NAME.rs` has the same function, line for line as far as the languages allow.
//! `NAME.txt` is the recording: what Erlang has printed, and where several outcomes are legal, all of them
//! (see [`recording`]). A new case is a function in each of the first two and a line in [`cases!`]; then
//! `NETSPLIT_ORACLE=write cargo test --test otp oracle::erlang` records it.
//!
//! Ours run under many drawn orders, and print one of the outcomes that are recorded: where these are
//! several, more than one of them. Where `erl` is on the machine, Erlang runs too and is compared
//! ([`erlang`]).

mod erlang;
mod recording;

use crate::common::line;
use netsplit::explore::Strategy;
use netsplit::{
    Context, ExitReason, Faults, Info, Keep, Message, MonitorRef, Pid, Received, Scenario, millis,
    secs,
};
use recording::Recording;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many orders are drawn for each case.
const RUNS: u64 = 200;
/// How they are drawn.
const STRATEGIES: [Strategy; 3] = [Strategy::Time, Strategy::Walk, Strategy::Pos];

/// How late timers may be: less than the least time that an order in a case rests on.
const LATENESS: Duration = millis(5);

/// Where the programs and their recordings lie.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/otp/oracle")
}

/// Lists the cases of a program, and makes a test of each.
macro_rules! cases {
    ($program:literal: $($case:ident,)*) => {
        pub(super) const CASES: (&str, &[&str]) = ($program, &[$(stringify!($case)),*]);

        mod ours {
            $(#[test]
            fn $case() {
                $crate::oracle::compare($program, stringify!($case), super::$case);
            })*
        }
    };
}

/// Prints a line.
macro_rules! say {
    ($ctx:expr, $($line:tt)*) => {
        $crate::oracle::print($ctx, format!($($line)*))
    };
}

mod machine;
mod names;
mod pools;
mod probe;
mod restarts;
mod servers;
mod shutdowns;
mod signals;
mod statems;
mod timers;
mod tree;
mod trees;

/// All that have a side in Rust: program and cases.
const OURS: &[(&str, &[&str])] = &[
    names::CASES,
    pools::CASES,
    restarts::CASES,
    servers::CASES,
    shutdowns::CASES,
    signals::CASES,
    statems::CASES,
    timers::CASES,
    trees::CASES,
];

/// Runs a case under drawn orders; each run prints an outcome that is recorded.
fn compare<M: Message>(
    program: &str,
    case: &str,
    process: impl AsyncFn(&Context<M>) + Send + Sync + 'static,
) {
    let recording = Recording::of(program).unwrap_or_else(|error| panic!("{error}"));
    let legal = recording.outcomes(case).to_vec();
    let several = legal.len() > 1;
    let printed = Arc::new(Mutex::new(BTreeSet::new()));
    let scenario = scenario(case, process).finally("it prints what Erlang can print", {
        let printed = printed.clone();
        move |view| {
            let lines = view.observed::<Vec<String>>("printed");
            let lines = lines.ok_or("the case did not come to its end")?;
            printed.lock().unwrap().insert(lines.clone());
            let is_legal = legal.iter().any(|outcome| outcome.lines == *lines);
            let complaint = || format!("it printed {lines:#?}, and Erlang one of {legal:#?}");
            is_legal.then_some(()).ok_or_else(complaint)
        }
    });
    for seed in 0..RUNS {
        let strategy = STRATEGIES[seed as usize % STRATEGIES.len()];
        let outcome = scenario.run_with(strategy.chance(seed), Keep::default());
        let outcome = outcome.unwrap_or_else(|error| panic!("the case cannot be run: {error}"));
        if let Some(error) = &outcome.error {
            panic!("seed {seed}, strategy {strategy}: {error}");
        }
        if let Some(violation) = &outcome.violation {
            panic!("seed {seed}, strategy {strategy}: {}", violation.detail);
        }
    }
    let printed = printed.lock().unwrap();
    assert!(
        !several || printed.len() > 1,
        "several outcomes are legal, and all of {RUNS} runs printed {printed:#?}"
    );
}

/// A node on which a case runs, to its end.
fn scenario<M: Message>(
    case: &str,
    process: impl AsyncFn(&Context<M>) + Send + Sync + 'static,
) -> Scenario {
    let process = Arc::new(process);
    let client = move |ctx: Context<M>| {
        let process = process.clone();
        async move {
            process(&ctx).await;
            // What others still print after its end is not part of it.
            let mut lines = Vec::new();
            ctx.observe("lines", |all: &mut Vec<String>| lines.clone_from(all));
            ctx.observe("printed", |printed| *printed = lines);
        }
    };
    let late = Faults::calm().late_timers(LATENESS);
    Scenario::new(case).client("client", client).faults(late)
}

/// Prints a line of a case.
fn print<M: Message>(ctx: &Context<M>, line: String) {
    ctx.observe("lines", |lines: &mut Vec<String>| lines.push(line));
}

// ---- What cases use, as in `oracle.erl`.

/// Why a monitored process ends.
async fn end_of<M: Message>(ctx: &Context<M>, of: MonitorRef) -> ExitReason {
    let is_it = |info: &Info| matches!(info, Info::Down { monitor, .. } if *monitor == of);
    match ctx.receive_info(is_it).await {
        Info::Down { reason, .. } => reason,
        other => unreachable!("{other:?} was not asked for"),
    }
}

/// Waits for the end of a process.
async fn await_end<M: Message>(ctx: &Context<M>, pid: Pid) {
    end_of(ctx, ctx.monitor(pid)).await;
}

/// What comes next, in a line.
async fn next(ctx: &Context<String>) -> String {
    match ctx.receive_within(secs(2)).await {
        Some(Received::Message(word)) => word,
        Some(received) => line(&received),
        None => "nothing".to_owned(),
    }
}

/// Waits until another process says that it is ready.
async fn ready(ctx: &Context<String>) {
    ctx.receive_where(|word| word == "ready").await;
}

/// Says whether anything is left in the mailbox, or still comes.
async fn nothing<M: Message>(ctx: &Context<M>) {
    match ctx.receive_within(millis(50)).await {
        Some(Received::Message(message)) => {
            say!(ctx, "and {}", format!("{message:?}").trim_matches('"'))
        }
        Some(left) => say!(ctx, "and {}", line(&left)),
        None => say!(ctx, "nothing more"),
    }
}

// ---- The programs, their sides in Rust, and their recordings belong together.

/// The functions of an Erlang program that are cases.
fn cases_of(program: &str) -> BTreeSet<String> {
    let path = folder().join(program).with_extension("erl");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let heads = text.lines().filter_map(|line| line.strip_suffix("() ->"));
    heads
        .filter(|name| name.starts_with("otp_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_program_has_the_same_cases_in_erlang_in_rust_and_in_its_recording() {
    let programs: BTreeSet<String> = programs().into_iter().collect();
    let ours: BTreeSet<String> = OURS
        .iter()
        .map(|(program, _)| (*program).to_owned())
        .collect();
    assert_eq!(programs, ours, "programs in Erlang, and in Rust");
    let mut total = 0;
    for (program, ours) in OURS {
        let ours: BTreeSet<String> = ours.iter().map(|case| (*case).to_owned()).collect();
        assert_eq!(
            cases_of(program),
            ours,
            "cases of {program}.erl and of {program}.rs"
        );
        let recording = Recording::of(program).unwrap_or_else(|error| panic!("{error}"));
        let recorded: BTreeSet<String> = recording.cases.keys().cloned().collect();
        assert_eq!(ours, recorded, "cases of {program}.rs and of {program}.txt");
        total += ours.len();
    }
    assert!(total >= 40, "only {total} cases");
}

/// The names of the Erlang programs that have cases.
fn programs() -> Vec<String> {
    let files = fs::read_dir(folder()).expect("a folder of programs");
    let names = files.map(|file| {
        file.expect("a file")
            .file_name()
            .into_string()
            .expect("a name")
    });
    let programs = names.filter_map(|name| Some(name.strip_suffix(".erl")?.to_owned()));
    programs
        .filter(|program| !cases_of(program).is_empty())
        .collect()
}
