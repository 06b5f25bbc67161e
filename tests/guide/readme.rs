//! The README's code is that of the tests, and its tape is what its shop shrinks to.

use super::pages::README;
use netsplit::explore::{SHRINK_TRIES, Strategy, shrink};

const SCRIPT: &str = include_str!("script.rs");
const SCENARIO: &str = include_str!("scenario.rs");
const FORGETFUL: &str = include_str!("forgetful.rs");

#[test]
fn the_code_of_the_readme_is_run() {
    let (tape, tree) = (include_str!("tape.rs"), include_str!("tree.rs"));
    let mail = include_str!("mail.rs");
    README.is_held_by(&[SCRIPT, SCENARIO, tape, MAIN, tree, mail]);
}

/// A reader's own binary; that it is a command line is held by the transcripts.
const MAIN: &str = r#"
#[path = "../../tests/shop.rs"]
mod shop;

fn main() -> std::process::ExitCode {
    netsplit::cli::main([shop::scenario()])
}
"#;

#[test]
fn the_first_test_has_at_most_thirty_lines() {
    let (_, code) = SCRIPT.split_once("\n\n").expect("a head");
    assert!((20..=30).contains(&code.lines().count()));
}

#[test]
fn the_forgetful_shop_has_one_line_at_another_place() {
    let line = "    let mut known = BTreeSet::new();\n";
    let forgetful = SCENARIO.replacen(line, "", 1);
    let forgetful = forgetful.replacen("    loop {\n", &format!("    loop {{\n    {line}"), 1);
    let body = |text: &str| {
        let from = text.find("use netsplit").expect("its beginning");
        let to = text.find("#[test]").expect("its end");
        text[from..to].to_owned()
    };
    assert_eq!(body(&forgetful), body(FORGETFUL));
}

#[test]
fn the_tape_of_the_readme_is_what_its_failure_shrinks_to() {
    let shrunk = shrink(
        &super::forgetful::scenario(),
        1,
        Strategy::Time,
        SHRINK_TRIES,
    );
    let shrunk = shrunk.expect("a failure that is cut down");
    assert_eq!(shrunk.tape.to_string(), include_str!("twice.tape"));
}
