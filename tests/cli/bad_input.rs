//! Exit codes, and what is said to arguments and files that make no sense.

use super::{file, odd};

#[test]
fn exit_codes_say_what_happened() {
    let cases: &[(i32, &[&str], &str)] = &[
        (0, &["run", "held"], ""),
        (0, &["run", "process panics"], ""),
        (0, &["--help"], ""),
        (0, &["--version"], ""),
        (1, &["run", "violated"], ""),
        (1, &["run", "property panics"], ""),
        (1, &["run", "client panics"], ""),
        (1, &["run", "violated", "held"], ""),
        (1, &["run", "stuck"], ""),
        (1, &["run", "violated sometimes", "--seeds", "3"], ""),
        (
            1,
            &["run", "violated sometimes", "--keep-going", "--seeds", "3"],
            "no run of 3 seeds has reached \"it is reached\"",
        ),
        (
            5,
            &["run", "sometimes", "--seeds", "20"],
            "error: sometimes: no run of 20 seeds has reached \"no letter is lost\": run more seeds",
        ),
        (5, &["run", "sometimes", "--json"], "no run of 1,000 seeds"),
        (1, &["run", "sometimes", "violated"], "no run of"),
        (0, &["replay", "sometimes", "--seed", "3"], ""),
        (2, &["run", "bounds"], "its bound of 100 steps in one run"),
        (
            2,
            &["replay", "bounds", "--seed", "1"],
            "its bound of 100 steps",
        ),
        (
            2,
            &["run", "empty"],
            "scenario `empty` cannot be run: it has no nodes",
        ),
        (2, &["run", "no time"], "its horizon is zero"),
        (2, &["run", "held", "empty"], "it has no nodes"),
        (4, &["run", "waits"], "waits for something outside the run"),
        (
            4,
            &["run", "leaks", "--check-determinism"],
            "two runs of seed 0 of leaks differ",
        ),
        (
            4,
            &["run", "leaks and fails"],
            "two runs of seed 0 of leaks and fails differ",
        ),
        (4, &["replay", "leaks", "--seed", "5"], "two runs of seed 5"),
        (
            1,
            &["run", "waits", "violated"],
            "waits for something outside",
        ),
        (2, &["run", "waits", "bounds"], "its bound of 100 steps"),
    ];
    for (code, arguments, said) in cases {
        let done = odd(arguments);
        assert_eq!(done.code, *code, "{arguments:?}: {done:?}");
        assert!(done.err.contains(said), "{arguments:?}: {done:?}");
    }
}

#[test]
fn bad_arguments_are_refused_with_what_to_do() {
    let cases: &[(&[&str], &str)] = &[
        (&[], "Usage"),
        (&["run"], "<NAME>"),
        (&["rum", "held"], "unrecognized subcommand"),
        (
            &["run", "hold"],
            "there is no scenario `hold`; the nearest: `held`",
        ),
        (&["replay", "leeks", "--seed", "1"], "the nearest: `leaks`"),
        (
            &["run", "x/*"],
            "no scenario matches `x/*`: `list` shows them all",
        ),
        (&["run", "x/[a"], "`x/[a` is no glob"),
        (
            &["run", "held", "--strategy", "wlk"],
            "[possible values: time, walk, pos, pct, swarm]\n\n  tip: a similar value exists: 'walk'",
        ),
        (
            &["replay", "held", "--seed", "1", "--strategy", "pcd"],
            "a similar value exists: 'pct'",
        ),
        (
            &["replay", "held", "--tape", "a", "--strategy", "pct"],
            "cannot be used with",
        ),
        (
            &["strategies", "held"],
            "none of these scenarios is said to be broken",
        ),
        (&["strategies", "x/*"], "no scenario matches `x/*`"),
        (
            &["strategies", "held", "--trials", "0"],
            "0 is not in 1..=1000000",
        ),
        (
            &["run", "held", "--seeds", "many"],
            "`many` says no seeds: write how many",
        ),
        (&["run", "held", "--seeds", "0"], "`0` is an empty range"),
        (
            &["run", "held", "--seeds", "5..5"],
            "`5..5` is an empty range",
        ),
        (
            &["run", "held", "--seeds", "9..3"],
            "`9..3` is an empty range",
        ),
        (
            &["run", "held", "--seed", "x"],
            "`x` is no seed: a seed is a whole number",
        ),
        (
            &["run", "held", "--seed", "1", "--seeds", "2"],
            "cannot be used with",
        ),
        (&["run", "held", "--jobs", "0"], "--jobs"),
        (&["replay", "held"], "--seed"),
        (&["observe", "held", "--seed", "1"], "--at"),
        (&["observe", "held", "--at", "1s"], "--seed"),
        (
            &["observe", "hold", "--seed", "1", "--at", "1s"],
            "the nearest: `held`",
        ),
        (
            &["observe", "held", "--seed", "1", "--at", "12.5"],
            "`12.5` is no time: write a number",
        ),
        (
            &["observe", "held", "--tape", "none", "--at", "1s"],
            "the tape none cannot be read",
        ),
        (
            &[
                "observe",
                "held",
                "--tape",
                "x",
                "--at",
                "1s",
                "--strategy",
                "walk",
            ],
            "cannot be used with",
        ),
        (&["replay", "held", "--seed", "-1"], "-1"),
        (
            &["replay", "held", "--seed", "1", "--until", "4.2"],
            "`4.2` is no time: write a number",
        ),
        (
            &["replay", "held", "--seed", "1", "--until", "soon"],
            "`soon` is no time",
        ),
        (
            &["replay", "held", "--seed", "1", "--tape", "x"],
            "cannot be used with",
        ),
        (
            &["replay", "held", "--tape", "no/such/file"],
            "no/such/file cannot be read",
        ),
        (
            &["replay", "held", "--seed", "1", "--trace", "no/such/file"],
            "cannot be written",
        ),
        (
            &["replay", "held", "--seed", "1", "--json", "--trace", "-"],
            "give `--trace` a file",
        ),
    ];
    for (arguments, said) in cases {
        let done = odd(arguments);
        assert_eq!(done.code, 2, "{arguments:?}: {done:?}");
        assert!(done.err.contains(said), "{arguments:?}: {done:?}");
        assert_eq!(done.out, "", "{arguments:?}");
    }
}

#[test]
fn bad_tapes_are_refused_with_their_line() {
    let head = "netsplit tape 1\nscenario held\nseed 7\nbase calm\nedits 1\n";
    let cases = [
        (
            "cut",
            head.to_owned(),
            "line 6: the tape is cut off: one more edit should stand here",
        ),
        ("none", "a letter\n".to_owned(), "line 1: this is no tape"),
        (
            "garbled",
            format!("{head}duplicate !!\nend\n"),
            "line 6: `duplicate !!` is not an edit",
        ),
        (
            "other",
            head.replace("held", "leaks").replace("edits 1", "edits 0") + "end\n",
            "this tape is of scenario `leaks`, not of `held`",
        ),
    ];
    for (name, text, said) in cases {
        let path = file(name, Some(&text));
        let done = odd(&["replay", "held", "--tape", path.to_str().expect("UTF-8")]);
        assert_eq!(done.code, 2, "{name}: {done:?}");
        assert!(done.err.contains(said), "{name}: {done:?}");
    }
}

#[test]
fn what_cannot_be_shrunk_is_told() {
    let path = file("not_shrunk", None);
    let tape = path.to_str().expect("UTF-8");
    let cases = [
        (2, "held", tape, "violates no property"),
        (2, "hold", tape, "the nearest: `held`"),
        (2, "empty", tape, "it has no nodes"),
        (2, "bounds", tape, "its bound of 100 steps"),
        (
            2,
            "violated",
            "no/such/file",
            "no/such/file cannot be written",
        ),
        (4, "waits", tape, "waits for something outside"),
        (4, "leaks and fails", tape, "the same draws then gave"),
    ];
    for (code, name, tape, said) in cases {
        let done = odd(&["shrink", name, "--seed", "1", "--out", tape]);
        assert_eq!(done.code, code, "{name}: {done:?}");
        assert!(done.err.contains(said), "{name}: {done:?}");
    }
}

#[test]
fn an_edit_that_no_longer_fits_is_told() {
    let text =
        "netsplit tape 1\nscenario held\nseed 7\nbase seed\nedits 1\nduplicate a 99 = 1\nend\n";
    let path = file("drifted", Some(text));
    let done = odd(&["replay", "held", "--tape", path.to_str().expect("UTF-8")]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        done.err.contains("the run never came to this draw"),
        "{done:?}"
    );
}
