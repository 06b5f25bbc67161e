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

/// By program and case, the different outcomes that Erlang has printed.
type Printed = BTreeMap<String, BTreeMap<String, Vec<Vec<String>>>>;

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
    let mut printed = Printed::new();
    let blocks = text
        .split("\ncase ")
        .map(|block| block.trim_start_matches("case "));
    for block in blocks {
        let (head, lines) = block.split_once('\n').unwrap_or((block, ""));
        let (program, case) = head.split_once(' ').expect("a program and a case");
        let lines = lines.lines().filter_map(|line| line.strip_prefix("    "));
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        let cases = printed.entry(program.to_owned()).or_default();
        let outcomes = cases.entry(case.to_owned()).or_default();
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
    for (program, cases) in printed {
        if write {
            Recording::renew(&program, &cases);
        }
        let recording = Recording::of(&program).unwrap_or_else(|error| panic!("{error}"));
        for (case, outcomes) in cases {
            let recorded = recording.outcomes(&case);
            for lines in outcomes {
                assert!(
                    recorded.iter().any(|outcome| outcome.lines == lines),
                    "{program}: {case}: Erlang printed {lines:#?}, and this is recorded: {recorded:#?}"
                );
            }
        }
    }
}
