//! The command line, as a script sees it: standard output, standard error, exit codes.

mod bad_input;

use netsplit::{Bounds, Context, Scenario, millis, secs};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// The binary of the gallery.
const NETSPLIT: &str = env!("CARGO_BIN_EXE_netsplit");
/// With this variable set, this file's tests are started as a command line of [`odd_scenarios`].
const CHILD: &str = "NETSPLIT_TEST_ARGUMENTS";

/// What came of a command.
#[derive(Debug)]
struct Done {
    code: i32,
    out: String,
    err: String,
}

impl Done {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn keys(&self) -> Vec<String> {
        keys(&self.json())
    }
}

fn keys(object: &Value) -> Vec<String> {
    let object = object.as_object().expect("an object");
    object.keys().cloned().collect()
}

fn sorted(keys: &str) -> Vec<String> {
    let keys: BTreeSet<&str> = keys.split_whitespace().collect();
    keys.into_iter().map(str::to_owned).collect()
}

/// The gallery's binary, called outside of cargo.
fn netsplit(arguments: &[&str]) -> Done {
    let mut command = Command::new(NETSPLIT);
    done(command.args(arguments).env_remove("CARGO"))
}

fn done(command: &mut Command) -> Done {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Done {
        code: output.status.code().expect("it was not killed"),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// A command line of scenarios that behave oddly.
fn odd(arguments: &[&str]) -> Done {
    let mut command = Command::new(std::env::current_exe().expect("this file"));
    let command = command
        .args(["a_child_is_a_command_line", "--exact", "--nocapture"])
        .env("RUST_BACKTRACE", "0")
        .env(CHILD, arguments.join("\n"));
    let done = done(command);
    let (_, out) = done.out.split_once("<<<\n").expect("the child began");
    let (out, code) = out.split_once(">>>").expect("the child ended");
    let code = code.lines().next().and_then(|code| code.parse().ok());
    Done {
        code: code.expect("an exit code"),
        out: out.to_owned(),
        err: done.err,
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how the parent says what to run")]
fn a_child_is_a_command_line() {
    let Ok(arguments) = std::env::var(CHILD) else {
        return;
    };
    println!("<<<");
    let arguments = ["odd"].into_iter().chain(arguments.lines());
    let code = netsplit::cli::main_with(odd_scenarios(), arguments);
    let code = (0..=u8::MAX).find(|number| ExitCode::from(*number) == code);
    println!(">>>{}", code.expect("an exit code"));
}

/// A scenario of one process.
fn odd_one<F: Future<Output = ()> + 'static>(
    name: &str,
    process: impl Fn(Context<u64>) -> F + Send + Sync + 'static,
) -> Scenario {
    Scenario::new(name)
        .node("a", process)
        .finally("it ended", |_| true)
        .horizon(secs(1))
}

fn odd_scenarios() -> Vec<Scenario> {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let held = odd_one("held", |ctx| async move { ctx.sleep(millis(5)).await });
    let leaks = |ctx: Context<u64>| async move {
        for _ in 0..3 {
            ctx.sleep(millis(5)).await;
        }
        ctx.note("this run is not the only one");
        ctx.address().send(RUNS.fetch_add(1, Ordering::Relaxed));
        ctx.sleep(millis(1 + RUNS.load(Ordering::Relaxed))).await;
    };
    let endless = |ctx: Context<u64>| async move {
        loop {
            ctx.sleep(millis(1)).await;
        }
    };
    vec![
        odd_one("violated", |ctx| async move { ctx.sleep(millis(5)).await })
            .finally("it never ends", |_| Err("it ended")),
        odd_one("property panics", |_| async {})
            .always("it looks", |_| -> bool { panic!("blind") }),
        odd_one("client panics", |_| async {})
            .client("client", |_: Context| async move { panic!("no letter") }),
        odd_one("process panics", |_| async { panic!("let it crash") }),
        odd_one("bounds", endless).bounds(Bounds {
            steps: 100,
            ..Bounds::default()
        }),
        odd_one("waits", |_| std::future::pending()),
        odd_one("leaks", leaks),
        odd_one("sometimes", |ctx| async move {
            let seed = ctx.random_below(u64::MAX);
            ctx.observe("drawn", |drawn: &mut u64| *drawn = seed);
            ctx.count_by("naps", 2);
            ctx.sleep(millis(5)).await;
        })
        .sometimes("an even number is drawn", |view| {
            view.observed("drawn")
                .is_some_and(|drawn: &u64| drawn.is_multiple_of(2))
        })
        .sometimes("no letter is lost", |_| false),
        odd_one("violated sometimes", |_| async {})
            .sometimes("it is reached", |_| false)
            .finally("it never ends", |_| false),
        odd_one("stuck", |ctx| async move {
            ctx.register("clerk").expect("a free name");
            ctx.receive_message().await;
        })
        .eventually("it ends", millis(500), |_| false),
        odd_one("leaks and fails", leaks).finally("it holds", |_| false),
        Scenario::new("empty").finally("it holds", |_| true),
        odd_one("no time", |_| async {}).horizon(secs(0)),
        held,
    ]
}

const RUN_KEYS: &str = "scenario form strategy seeds violations sometimes unreached counters \
     events sim_s wall_s events_per_s seeds_per_s";
const VIOLATION_KEYS: &str = "seed property at_ns step digest";
const REPLAY_KEYS: &str =
    "scenario seed digest steps events at_ns violation waits reached counters";
const BROKEN: &str = "supe/duplicate_ack";
const SOUND: &str = "supe/acked_by_id";

#[test]
fn list_shows_name_form_and_summary() {
    let done = netsplit(&["list"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    insta::assert_snapshot!("list", done.out);
}

#[test]
fn list_as_json_is_one_object_a_line() {
    let done = netsplit(&["list", "--json"]);
    let lines: Vec<&str> = done.out.lines().collect();
    assert_eq!(lines.len(), netsplit(&["list"]).out.lines().count());
    for line in lines {
        let object: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(keys(&object), sorted("name form property summary"));
        let sound = object["form"] == "sound";
        assert_eq!(object["property"].is_null(), sound, "{object}");
    }
}

#[test]
fn run_as_json_has_the_keys_that_scripts_know() {
    let done = netsplit(&["run", BROKEN, "--json"]);
    assert_eq!((done.code, done.keys()), (1, sorted(RUN_KEYS)));
    let report = done.json();
    assert_eq!(
        (&report["scenario"], &report["form"]),
        (&BROKEN.into(), &"broken".into())
    );
    let violations = report["violations"].as_array().expect("an array");
    assert_eq!(violations.len(), 1);
    assert_eq!(keys(&violations[0]), sorted(VIOLATION_KEYS));
    let seed = violations[0]["seed"].as_u64().expect("a number");
    assert_eq!(report["seeds"], seed + 1);
}

#[test]
fn what_a_strategy_found_is_replayed_with_that_strategy() {
    let run = &["run", BROKEN, "--strategy", "walk"];
    let report = netsplit(&[&run[..], &["--json"]].concat()).json();
    assert_eq!(report["strategy"], "walk");
    let found = report["violations"][0].clone();
    let seed = found["seed"].to_string();
    let told = netsplit(run);
    let again = format!("replay {BROKEN} --seed {seed} --strategy walk");
    assert!(told.code == 1 && told.out.contains(&again), "{told:?}");
    let replay = ["replay", BROKEN, "--seed", &seed, "--json", "--strategy"];
    let done = netsplit(&[&replay[..], &["walk"]].concat());
    assert_eq!(done.json()["violation"], found);
    let other = netsplit(&[&replay[..], &["time"]].concat());
    assert_ne!(other.json()["digest"], found["digest"]);
}

#[test]
fn a_moment_is_observed_of_the_run_of_a_seed_a_strategy_or_a_tape() {
    let run = &["run", BROKEN, "--strategy", "walk", "--json"];
    let found = netsplit(run).json()["violations"][0].clone();
    let seed = found["seed"].to_string();
    let observe = |more: &[&str]| {
        let done = netsplit(&[&["observe", BROKEN, "--seed", &seed], more].concat());
        assert_eq!(done.code, 0, "{done:?}");
        done
    };
    // The run of that strategy ends where it violates the property; that of the seed alone does not.
    let walked = observe(&["--strategy", "walk", "--at", "1h", "--json"]).json();
    assert_eq!(walked["ended_at_ns"], found["at_ns"]);
    assert_eq!(walked["at_ns"], found["at_ns"]);
    assert_ne!(
        observe(&["--at", "1h", "--json"]).json()["ended_at_ns"],
        found["at_ns"]
    );
    let early = observe(&["--strategy", "walk", "--at", "1ms", "--json"]);
    assert_eq!(early.json()["ended_at_ns"], Value::Null);
    let keys = "at_ns ended_at_ns nodes ring scenario seed";
    assert_eq!(early.keys(), sorted(keys));
    let told = observe(&["--strategy", "walk", "--at", "1h"]).out;
    let head =
        format!("  {BROKEN}   seed {seed}   it ends before 3600.000 s: this is its end\nat ");
    assert!(told.starts_with(&head), "{told}");
    assert!(
        told.contains("\n└─ <parent.0.0> \"parent\"  GenServer\n"),
        "{told}"
    );
}

#[test]
fn the_tape_of_what_a_strategy_found_needs_no_strategy() {
    let report = netsplit(&["run", BROKEN, "--strategy", "pos", "--json"]).json();
    let seed = report["violations"][0]["seed"].to_string();
    let path = file("found_by_pos", None);
    let tape = path.to_str().expect("UTF-8");
    let shrink = [
        "shrink",
        BROKEN,
        "--seed",
        &seed,
        "--strategy",
        "pos",
        "--out",
        tape,
    ];
    assert_eq!(netsplit(&shrink).code, 0);
    assert_eq!(netsplit(&["replay", BROKEN, "--tape", tape]).code, 1);
}

#[test]
fn strategies_prints_a_row_for_each_broken_scenario() {
    let small = ["--trials", "3", "--cap", "40", "--jobs"];
    let table = |jobs| netsplit(&[&["strategies", "supe/*ack*"][..], &small, &[jobs]].concat());
    let done = table("1");
    let lines: Vec<&str> = done.out.lines().collect();
    assert_eq!((done.code, lines.len()), (0, 3), "{done:?}");
    assert_eq!(lines[0], "| scenario | time | walk | pos | pct | swarm |");
    let begins = format!("| `{BROKEN}` | ");
    assert!(lines[2].starts_with(&begins), "{done:?}");
    assert_eq!(lines[2].matches('|').count(), 7, "{done:?}");
    assert_eq!(table("4").out, done.out);
}

#[test]
fn run_of_a_sound_scenario_has_no_violations_and_ends_with_zero() {
    let done = netsplit(&["run", SOUND, "--seeds", "10..14", "--json"]);
    assert_eq!((done.code, done.keys()), (0, sorted(RUN_KEYS)));
    assert_eq!(done.json()["seeds"], 4);
    assert_eq!(done.json()["violations"], Value::Array(Vec::new()));
}

#[test]
fn jobs_change_nothing_but_the_time() {
    let run = |jobs: &str, more: &[&str]| {
        let arguments = [
            &["run", BROKEN, "--json", "--seeds", "60", "--jobs", jobs],
            more,
        ];
        let mut report = netsplit(&arguments.concat()).json();
        let fields = report.as_object_mut().expect("an object");
        fields.retain(|key, _| !key.ends_with("_per_s") && key != "wall_s");
        report
    };
    for more in [&[] as &[&str], &["--keep-going"], &["--check-determinism"]] {
        let one = run("1", more);
        assert_eq!(one, run("4", more));
        assert_eq!(one, run("3", more));
    }
}

#[test]
fn keep_going_reports_every_violation_and_the_same_first_one() {
    let first = netsplit(&["run", BROKEN, "--json"]).json();
    let all = netsplit(&["run", BROKEN, "--seeds", "100", "--keep-going", "--json"]).json();
    assert_eq!(all["seeds"], 100);
    let violations = all["violations"].as_array().expect("an array");
    assert!(violations.len() > 1);
    assert_eq!(first["violations"][0], violations[0]);
    let seeds: Vec<u64> = violations
        .iter()
        .filter_map(|v| v["seed"].as_u64())
        .collect();
    assert!(seeds.is_sorted());
}

#[test]
fn replay_gives_the_run_that_was_found() {
    let found = netsplit(&["run", BROKEN, "--json"]).json()["violations"][0].clone();
    let seed = found["seed"].to_string();
    let done = netsplit(&["replay", BROKEN, "--seed", &seed, "--json"]);
    assert_eq!((done.code, done.keys()), (1, sorted(REPLAY_KEYS)));
    assert_eq!(done.json()["violation"], found);
    assert_eq!(done.json()["digest"], found["digest"]);
    let digest = found["digest"].as_str().expect("a text");
    assert!(digest.len() == 32 && digest.bytes().all(|b| b.is_ascii_hexdigit()));
    let held = netsplit(&["replay", SOUND, "--seed", "1", "--json"]);
    assert_eq!(
        (held.code, held.json()["violation"].clone()),
        (0, Value::Null)
    );
}

#[test]
fn what_a_failure_says_to_paste_replays_it() {
    let done = netsplit(&["run", BROKEN]);
    assert_eq!((done.code, done.err.as_str()), (1, ""));
    let again = done
        .out
        .lines()
        .find_map(|line| line.strip_prefix("  again:  "));
    let words: Vec<&str> = again.expect("a line to paste").split_whitespace().collect();
    assert_eq!(words[0], NETSPLIT);
    let replayed = netsplit(&words[1..]);
    assert_eq!(replayed.code, 1);
    let violated = |out: &str| {
        let line = out.lines().find(|line| line.starts_with("  violated: "));
        line.expect("a violation").to_owned()
    };
    assert_eq!(violated(&done.out), violated(&replayed.out));
}

#[test]
fn under_cargo_the_line_to_paste_calls_cargo() {
    let again = |package: &str| {
        let mut command = Command::new(NETSPLIT);
        command.env("CARGO", "cargo").env("CARGO_PKG_NAME", package);
        let done = done(command.args(["run", BROKEN]));
        done.out.lines().last().expect("a line").to_owned()
    };
    let line = again("netsplit");
    let replay = format!("cargo run --release -- replay {BROKEN} --seed ");
    assert!(line.contains(&replay), "{line}");
    let line = again("mine");
    assert!(
        line.contains("cargo run --release --bin netsplit -- replay "),
        "{line}"
    );
}

#[test]
fn replay_prints_events_up_to_the_moment_asked_for() {
    let all = netsplit(&["replay", SOUND, "--seed", "1"]);
    let some = netsplit(&["replay", SOUND, "--seed", "1", "--until", "500ms"]);
    let (all, some): (Vec<&str>, Vec<&str>) =
        (all.out.lines().collect(), some.out.lines().collect());
    assert!(some.len() > 10 && some.len() < all.len());
    // The events come first; what is said after them does not depend on how many are shown.
    let end = all
        .iter()
        .position(|line| line.contains("digest"))
        .expect("a digest");
    assert_eq!(all[end..], some[some.len() - (all.len() - end)..]);
    let moment = |line: &str| {
        line.split_whitespace()
            .next()
            .and_then(|s| s.parse::<f64>().ok())
    };
    let last = some[..some.len() - (all.len() - end)]
        .last()
        .and_then(|line| moment(line));
    assert!(last.is_some_and(|seconds| seconds <= 0.5), "{last:?}");
}

#[test]
fn replay_writes_its_events_to_a_file() {
    let path = file("events", None);
    let name = path.to_str().expect("UTF-8");
    let done = netsplit(&["replay", SOUND, "--seed", "1", "--trace", name]);
    let printed = netsplit(&["replay", SOUND, "--seed", "1", "--trace", "-"]);
    let written = fs::read_to_string(&path).expect("the file");
    assert_eq!(written + &done.out, printed.out);
    assert_eq!((done.code, done.out.lines().count()), (0, 3));
}

/// A file of this test run, with this text.
fn file(name: &str, text: Option<&str>) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("cli_{name}"));
    if let Some(text) = text {
        fs::write(&path, text).expect("a file");
    }
    path
}

#[test]
fn replay_plays_a_tape() {
    let text = format!("netsplit tape 1\nscenario {SOUND}\nseed 7\nbase seed\nedits 0\nend\n");
    let path = file("tape", Some(&text));
    let tape = netsplit(&[
        "replay",
        SOUND,
        "--tape",
        path.to_str().expect("UTF-8"),
        "--json",
    ]);
    let seed = netsplit(&["replay", SOUND, "--seed", "7", "--json"]);
    assert_eq!((tape.code, tape.json()), (0, seed.json()));
}

/// What a sweep of it says, without its speed.
fn told(arguments: &[&str]) -> String {
    let out = odd(arguments).out;
    let (first, rest) = out.split_once('\n').expect("a line");
    let (seeds, _) = first.rsplit_once("  ").expect("a speed");
    format!("{seeds}\n{rest}")
}

#[test]
fn a_sweep_tells_in_how_many_seeds_each_sometimes_was_reached_and_what_was_counted() {
    let one = told(&["run", "sometimes", "--seeds", "20", "--jobs", "1"]);
    insta::assert_snapshot!("sometimes", one);
    let arguments = ["run", "sometimes", "--seeds", "20", "--json", "--jobs"];
    for jobs in ["1", "3", "7"] {
        assert_eq!(
            one,
            told(&["run", "sometimes", "--seeds", "20", "--jobs", jobs])
        );
        let json = odd(&[&arguments[..], &[jobs]].concat()).json();
        let reached = &json["sometimes"][0];
        assert_eq!(reached["property"], "an even number is drawn");
        let line = format!("in {} of 20 seeds", reached["reached_in"]);
        assert!(one.contains(&line), "{line}: {one}");
        assert_eq!(json["unreached"], serde_json::json!(["no letter is lost"]));
        assert_eq!(json["counters"], serde_json::json!({ "naps": 40 }));
    }
}

#[test]
fn a_sweep_that_a_violation_ends_judges_no_sometimes() {
    let done = odd(&["run", "violated sometimes", "--json"]);
    assert_eq!(done.err, "");
    assert_eq!(done.json()["unreached"], serde_json::json!([]));
}

#[test]
fn a_failure_to_make_progress_tells_what_is_waited_for() {
    let replay = odd(&["replay", "stuck", "--seed", "0", "--json"]).json();
    let digest = replay["digest"].as_str().expect("a text");
    let told = told(&["run", "stuck"]).replace(digest, "[digest]");
    let (told, again) = told.split_once("  again:  ").expect("a line to paste");
    assert!(again.ends_with(" replay stuck --seed 0\n"), "{again}");
    insta::assert_snapshot!("stuck", told);
    let waits = serde_json::json!({
        "processes": ["<a.0.0> \"clerk\"  waits for mail"],
        "more": 0,
        "ring": null,
    });
    assert_eq!(replay["waits"], waits);
    let done = odd(&["replay", "violated", "--seed", "0", "--json"]);
    assert_eq!(done.json()["waits"], Value::Null);
}

#[test]
fn a_leak_is_shown_at_its_first_differing_event() {
    let done = odd(&["run", "leaks", "--check-determinism"]);
    let marked: Vec<&str> = done
        .err
        .lines()
        .filter(|line| line.starts_with("   * "))
        .collect();
    assert_eq!(marked.len(), 2, "{}", done.err);
    assert_ne!(marked[0], marked[1]);
    assert!(
        done.err.contains("the first event that differs is number"),
        "{}",
        done.err
    );
    assert!(done.err.contains("replay leaks --seed 0"), "{}", done.err);
}

#[test]
fn shrink_writes_a_tape_that_replays_to_the_same_violation() {
    let found = netsplit(&["run", BROKEN, "--json"]).json()["violations"][0].clone();
    let path = file("shrunk", None);
    let (seed, tape) = (found["seed"].to_string(), path.to_str().expect("UTF-8"));
    let shrunk = netsplit(&["shrink", BROKEN, "--seed", &seed, "--out", tape]);
    assert_eq!((shrunk.code, shrunk.err.as_str()), (0, ""));
    assert!(shrunk.out.contains("edits cut down to "), "{}", shrunk.out);
    let again = format!("again:  {NETSPLIT} replay {BROKEN} --tape {tape}");
    assert!(shrunk.out.contains(&again), "{}", shrunk.out);
    let replayed = netsplit(&["replay", BROKEN, "--tape", tape, "--json"]);
    assert_eq!((replayed.code, replayed.err.as_str()), (1, ""));
    let violation = &replayed.json()["violation"];
    assert_eq!(violation["property"], found["property"]);
}

#[test]
fn no_bar_is_drawn_where_there_is_no_terminal() {
    for arguments in [&["run", SOUND, "--seeds", "5"] as &[&str], &["run", BROKEN]] {
        let done = netsplit(arguments);
        assert_eq!(done.err, "");
        let drawn = done.out.contains("[=") || done.out.contains(['\r', '\u{1b}']);
        assert!(!drawn, "{}", done.out);
        assert!(done.out.contains(" seeds/s"), "{}", done.out);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    for (arguments, code) in [
        (&["list"] as &[&str], 0),
        (&["replay", SOUND, "--seed", "1"], 0),
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Command::new(NETSPLIT);
        let command = command
            .args(arguments)
            .stdout(writer)
            .stderr(Stdio::piped());
        let output = command.output().expect("it starts");
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}
