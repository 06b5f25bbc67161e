//! `gallery`, as a script sees it: which scenarios are as they state, and what is told of those that are not.

use netsplit::{Bounds, Context, Scenario, View, millis, secs};
use serde_json::Value;
use std::process::{Command, ExitCode, Stdio};

/// With this variable set, this file's tests are started as a command line; it names the scenarios.
const SCENARIOS: &str = "NETSPLIT_TEST_SCENARIOS";
/// And this one has the arguments.
const ARGUMENTS: &str = "NETSPLIT_TEST_ARGUMENTS";

/// A scenario of one process, which draws a number below 1,000.
fn one(name: &str) -> Scenario {
    Scenario::new(name)
        .client("a", |ctx: Context| async move {
            let number = ctx.random_below(1_000);
            ctx.observe("drawn", |drawn: &mut u64| *drawn = number);
            ctx.sleep(millis(5)).await;
        })
        .finally("it ends", |_| true)
        .horizon(secs(1))
}

/// Whether a number was drawn that one run in ten draws.
fn is_rare(view: &View) -> bool {
    view.observed("drawn")
        .is_some_and(|drawn: &u64| drawn.is_multiple_of(10))
}

fn scenarios(names: &str) -> Vec<Scenario> {
    let all = vec![
        one("found")
            .broken("never rare")
            .never("never rare", is_rare),
        one("holds").sometimes("rare", is_rare),
        one("not found").broken("it ends"),
        one("found another")
            .broken("it ends")
            .never("never rare", is_rare),
        one("violated").never("never rare", is_rare),
        one("unreached").sometimes("it freezes", |_| false),
        one("stopped").bounds(Bounds {
            steps: 1,
            ..Bounds::default()
        }),
        Scenario::new("no nodes").finally("it ends", |_| true),
    ];
    let wanted = |scenario: &Scenario| names.split(',').any(|name| name == scenario.name());
    all.into_iter().filter(wanted).collect()
}

const FINE: &str = "found,holds";
const ALL: &str = "found,holds,not found,found another,violated,unreached,stopped";

#[test]
#[allow(clippy::disallowed_methods, reason = "how the parent says what to run")]
fn a_child_is_a_command_line() {
    let (Ok(names), Ok(arguments)) = (std::env::var(SCENARIOS), std::env::var(ARGUMENTS)) else {
        return;
    };
    println!("<<<");
    let arguments = ["mine", "gallery"]
        .into_iter()
        .chain(arguments.split_whitespace());
    let code = netsplit::cli::main_with(scenarios(&names), arguments);
    let code = (0..=u8::MAX).find(|number| ExitCode::from(*number) == code);
    println!(">>>{}", code.expect("an exit code"));
}

/// Exit code, standard output, standard error.
fn gallery(names: &str, arguments: &str) -> (i32, String, String) {
    let mut command = Command::new(std::env::current_exe().expect("this file"));
    let output = command
        .args(["a_child_is_a_command_line", "--exact", "--nocapture"])
        .env("RUST_BACKTRACE", "0")
        .env("CARGO", "cargo")
        .env("CARGO_PKG_NAME", "mine")
        .env(SCENARIOS, names)
        .env(ARGUMENTS, arguments)
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let (out, err) = (text(output.stdout), text(output.stderr));
    let (_, out) = out.split_once("<<<\n").expect("the child began");
    let (out, code) = out.split_once(">>>").expect("the child ended");
    let code = code.lines().next().and_then(|code| code.parse().ok());
    (code.expect("an exit code"), out.to_owned(), err)
}

/// What it says on standard output, without times and speeds, and without this file's name.
fn told(names: &str, arguments: &str) -> String {
    let (_, out, _) = gallery(names, arguments);
    let head = out.lines().next().expect("a head");
    let timeless = head.rfind(" seeds ").expect("a column of seeds") + " seeds".len();
    let line = |line: &str| match line.split_once("-- ") {
        Some((_, again)) => format!("  again:  … {again}"),
        None => line.chars().take(timeless).collect(),
    };
    let lines: Vec<String> = out.lines().map(line).collect();
    lines.join("\n")
}

fn objects(names: &str, arguments: &str) -> Vec<Value> {
    let (_, out, _) = gallery(names, arguments);
    let object = |line: &str| {
        let mut object: Value = serde_json::from_str(line).expect("JSON");
        let fields = object.as_object_mut().expect("an object");
        assert!(fields.remove("wall_s").is_some_and(|wall| wall.is_f64()));
        assert!(
            fields
                .remove("seeds_per_s")
                .is_some_and(|speed| speed.is_f64())
        );
        object
    };
    out.lines().map(object).collect()
}

#[test]
fn a_gallery_in_which_all_is_as_stated_ends_with_zero() {
    let (code, out, err) = gallery(FINE, "");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.ends_with("  2 of 2 as stated\n"), "{out}");
    assert!(out.contains(" seeds/s\n"), "{out}");
}

#[test]
fn each_way_of_not_being_as_stated_ends_with_one() {
    for name in ALL.split(',').skip(2) {
        let (code, out, _) = gallery(&format!("{name},{FINE}"), "--seeds 200");
        assert_eq!(code, 1, "{name}");
        assert!(out.contains("  2 of 3 as stated\n"), "{out}");
    }
}

#[test]
fn a_gallery_is_a_table_the_same_whatever_the_jobs() {
    let one = told(ALL, "--seeds 200 --jobs 1");
    insta::assert_snapshot!("table", one);
    for jobs in ["2", "5"] {
        assert_eq!(one, told(ALL, &format!("--seeds 200 --jobs {jobs}")));
    }
}

#[test]
fn a_gallery_as_json_is_one_object_a_line_the_same_whatever_the_jobs() {
    let one = objects(ALL, "--json --seeds 200 --jobs 1");
    let digests = |mut objects: Vec<Value>| {
        for object in &mut objects {
            if let Some(digest) = object.pointer_mut("/violation/digest") {
                *digest = "[digest]".into();
            }
        }
        let lines: Vec<String> = objects.iter().map(Value::to_string).collect();
        lines.join("\n")
    };
    for jobs in ["2", "5"] {
        assert_eq!(
            one,
            objects(ALL, &format!("--json --seeds 200 --jobs {jobs}"))
        );
    }
    insta::assert_snapshot!("json", digests(one));
}

#[test]
fn what_stopped_a_scenario_and_what_none_has_reached_is_told_on_standard_error() {
    let (_, _, err) = gallery(ALL, "--seeds 200");
    let said = "error: unreached: no run of 200 seeds has reached \"it freezes\"";
    assert!(err.contains(said), "{err}");
    assert!(err.contains("error: stopped\n"), "{err}");
    assert!(err.contains("its bound of 1 steps in one run"), "{err}");
    assert_eq!(err.matches("error: ").count(), 2, "{err}");
}

#[test]
fn a_sound_scenario_runs_a_thousand_seeds_and_a_broken_one_up_to_ten_thousand() {
    let objects = objects("holds,not found", "--json");
    assert_eq!(
        (&objects[0]["seeds"], &objects[1]["seeds"]),
        (&1_000.into(), &10_000.into())
    );
    assert_eq!(objects[1]["result"], "NOT FOUND");
}

#[test]
fn bad_input_is_refused_with_what_to_do() {
    let cases = [
        (FINE, "--seeds 0", "--seeds"),
        (FINE, "--seeds many", "--seeds"),
        (FINE, "--seeds 5..9", "--seeds"),
        (FINE, "--jobs 0", "--jobs"),
        (FINE, "found", "unexpected argument"),
        (
            "found,no nodes",
            "",
            "scenario `no nodes` cannot be run: it has no nodes",
        ),
        ("", "", "there are no scenarios"),
    ];
    for (names, arguments, said) in cases {
        let (code, out, err) = gallery(names, arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments}: {err}");
        assert!(err.contains(said), "{arguments}: {err}");
    }
}
