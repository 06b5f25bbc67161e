//! Erlang runs the programs, where it is on the machine: one `erl` for all of them.

use super::folder;
use super::recording::Recording;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Set to `write`, it makes the recordings anew.
const WRITE: &str = "NETSPLIT_ORACLE";
/// How often each case runs when recordings are made.
const TIMES: u64 = 10;

/// What Erlang has printed: by program and case.
type Printed = BTreeMap<String, BTreeMap<String, Outcomes>>;

/// The different outcomes of a case.
#[derive(Default)]
struct Outcomes {
    outcomes: Vec<Vec<String>>,
    /// Those of runs during which the machine was busy elsewhere: where they differ, that says nothing.
    late: Vec<Vec<String>>,
}

/// Runs all cases so many times; nothing where there is no `erl`.
fn run(times: u64) -> Option<Printed> {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracle");
    fs::create_dir_all(&scratch).expect("a folder for what is compiled");
    let (from, to) = (folder(), scratch);
    let (from, to) = (from.display(), to.display());
    let start = format!(
        "{{ok, oracle}} = compile:file(\"{from}/oracle.erl\", [report, {{outdir, \"{to}\"}}]), \
         code:add_path(\"{to}\"), oracle:main(\"{from}\", \"{to}\", {times})."
    );
    let erl = Command::new("erl")
        .args(["-noshell", "-noinput", "-eval", &start])
        // Where it fails, what it prints is enough: no dump of its memory into this repository.
        .env("ERL_CRASH_DUMP_SECONDS", "0")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let (text, errors) = (
        String::from_utf8_lossy(&erl.stdout),
        String::from_utf8_lossy(&erl.stderr),
    );
    assert!(
        erl.status.success() && text.ends_with("end\n"),
        "erl ended with {}:\n{text}\n{errors}",
        erl.status,
    );
    Some(read(&text))
}

/// Reads what `oracle.erl` prints.
fn read(text: &str) -> Printed {
    let mut runs: Vec<(&str, Vec<String>)> = Vec::new();
    for line in text.lines().filter(|line| *line != "end") {
        match line.strip_prefix("    ") {
            None => runs.push((line, Vec::new())),
            Some(line) => {
                let (_, lines) = runs.last_mut().expect("a line of a case");
                lines.push(line.to_owned());
            }
        }
    }
    let mut printed = Printed::new();
    for (head, lines) in runs {
        let words: Vec<&str> = head.split(' ').collect();
        let [how, program, case] = words[..] else {
            panic!("not a case: {head}")
        };
        let cases = printed.entry(program.to_owned()).or_default();
        let all = cases.entry(case.to_owned()).or_default();
        let outcomes = if how == "late" {
            &mut all.late
        } else {
            &mut all.outcomes
        };
        if !outcomes.contains(&lines) {
            outcomes.push(lines);
        }
    }
    printed
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "recordings are written where somebody asks for it"
)]
fn erlang_prints_what_is_recorded() {
    let write = std::env::var(WRITE).is_ok_and(|value| value == "write");
    let Some(printed) = run(if write { TIMES } else { 1 }) else {
        assert!(!write, "there is no `erl` to record");
        eprintln!(
            "SKIPPED: there is no `erl` on this machine: the recordings are taken as they are"
        );
        return;
    };
    if write {
        renew(&printed);
    }
    let (mut compared, mut starved) = (0, Vec::new());
    for (program, cases) in printed {
        let recording = Recording::of(&program).unwrap_or_else(|error| panic!("{error}"));
        for (case, Outcomes { outcomes, late }) in cases {
            let recorded = recording.outcomes(&case);
            let is_recorded =
                |lines: &Vec<String>| recorded.iter().any(|outcome| outcome.lines == *lines);
            for lines in &outcomes {
                assert!(
                    is_recorded(lines),
                    "{program}: {case}: Erlang printed {lines:#?}, and this is recorded: {recorded:#?}"
                );
            }
            if outcomes.is_empty() && !late.iter().any(is_recorded) {
                starved.push(case);
            } else {
                compared += 1;
            }
        }
    }
    for case in &starved {
        eprintln!("NOT COMPARED: {case}: the machine was busy elsewhere, however often it ran");
    }
    assert!(
        compared > starved.len(),
        "the machine is too busy to listen to Erlang"
    );
}

/// Makes the recordings of what was printed.
fn renew(printed: &Printed) {
    for (program, cases) in printed {
        let starved = cases.iter().find(|(_, all)| all.outcomes.is_empty());
        assert!(
            starved.is_none(),
            "the machine is too busy to record Erlang"
        );
        let outcomes = cases
            .iter()
            .map(|(case, all)| (case.clone(), all.outcomes.clone()));
        Recording::renew(program, &outcomes.collect());
    }
}
