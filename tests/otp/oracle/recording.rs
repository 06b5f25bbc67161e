//! What Erlang has printed, as it is committed: one text for each program.
//!
//! ```text
//! otp_05_monitors_stack
//!     down error: boom
//!     down error: boom
//!
//! otp_01_two_senders_come_in_any_order
//!   seen: the one that was started first sends first
//!     one
//!     two
//!   legal: nothing orders two senders
//!     two
//!     one
//! ```
//!
//! A case with one outcome has its lines alone. Where Erlang may print several, each is told with the reason
//! why: it was seen when the recording was made, or it is legal and was not.

use super::folder;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

/// What comes before the cases of a recording.
const TOP: &str = "# What Erlang/OTP prints: see recording.rs. Written by \
    `NETSPLIT_ORACLE=write cargo test --test otp oracle::erlang`, but for the reasons.\n";

/// The recording of one program.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Recording {
    /// By name, the outcomes that a case may have.
    pub(super) cases: BTreeMap<String, Vec<Outcome>>,
}

/// Lines that a case may print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Whether Erlang has printed it when the recording was made.
    pub(super) seen: bool,
    /// Why it is legal, where it is one of several.
    pub(super) why: String,
    /// What is printed.
    pub(super) lines: Vec<String>,
}

impl Recording {
    /// The committed recording of a program.
    pub(super) fn of(program: &str) -> Result<Recording, String> {
        let path = folder().join(program).with_extension("txt");
        let text = fs::read_to_string(&path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        Recording::read(&text).map_err(|error| format!("{program}.txt: {error}"))
    }

    /// The outcomes of a case.
    ///
    /// # Panics
    /// Where it is not recorded.
    pub(super) fn outcomes(&self, case: &str) -> &[Outcome] {
        let outcomes = self.cases.get(case);
        outcomes.unwrap_or_else(|| panic!("{case} is not recorded: see the top of oracle/mod.rs"))
    }

    /// Reads a recording; an error says in which line, or of which case.
    pub(super) fn read(text: &str) -> Result<Recording, String> {
        let mut cases: Vec<(String, Vec<Outcome>)> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let complain = |what: &str| Err(format!("line {number}: {what}"));
            let known = cases.iter().any(|(case, _)| case == line);
            let outcomes = cases.last_mut().map(|(_, outcomes)| outcomes);
            let indent = line.len() - line.trim_start().len();
            match (indent, outcomes) {
                _ if line.is_empty() || line.starts_with('#') => {}
                (0, _) if !line.starts_with("otp_") => return complain("no name of a case"),
                (0, _) if known => return complain("this case again"),
                (0, _) => cases.push((line.to_owned(), Vec::new())),
                (2, Some(outcomes)) => match line.trim_start().split_once(": ") {
                    Some((seen @ ("seen" | "legal"), why)) if !why.trim().is_empty() => {
                        outcomes.push(Outcome::new(seen == "seen", why));
                    }
                    _ => return complain("not `seen: REASON` and not `legal: REASON`"),
                },
                (4.., Some(outcomes)) => {
                    if outcomes.is_empty() {
                        outcomes.push(Outcome::new(true, ""));
                    }
                    let last = outcomes
                        .last_mut()
                        .expect("one was pushed where there was none");
                    last.lines.push(line[4..].to_owned());
                }
                (_, None) => return complain("a line before the first case"),
                _ => return complain("lines are indented by 4, and what is said of them by 2"),
            }
        }
        let recording = Recording {
            cases: cases.into_iter().collect(),
        };
        recording.check()?;
        Ok(recording)
    }

    fn check(&self) -> Result<(), String> {
        if self.cases.is_empty() {
            return Err("it has no case".to_owned());
        }
        for (case, outcomes) in &self.cases {
            let complain = |what: &str| Err(format!("{case}: {what}"));
            let mut lines: Vec<_> = outcomes.iter().map(|outcome| &outcome.lines).collect();
            lines.sort();
            lines.dedup();
            if outcomes.is_empty() || lines.iter().any(|lines| lines.is_empty()) {
                return complain("an outcome without lines");
            }
            if lines.len() < outcomes.len() {
                return complain("the same outcome twice");
            }
            if outcomes.iter().any(|outcome| outcome.why.is_empty()) != (outcomes.len() == 1) {
                return complain(
                    "each of several outcomes has a reason, and a single one has none",
                );
            }
            if !outcomes.iter().any(|outcome| outcome.seen) {
                return complain("no outcome was seen");
            }
        }
        Ok(())
    }

    /// Takes up what Erlang prints now into the recording of a program, or begins one.
    pub(super) fn renew(program: &str, printed: &BTreeMap<String, Vec<Vec<String>>>) {
        let path = folder().join(program).with_extension("txt");
        let recorded = path.exists().then(|| Recording::of(program));
        let recorded = recorded
            .transpose()
            .unwrap_or_else(|error| panic!("{error}"));
        let mut recording = recorded.unwrap_or_default();
        recording.update(printed);
        fs::write(&path, recording.text()).expect("a file to write");
    }

    /// Takes up what Erlang prints now. A new outcome of several gets an empty reason, which is to be
    /// written by hand.
    fn update(&mut self, printed: &BTreeMap<String, Vec<Vec<String>>>) {
        self.cases.retain(|case, _| printed.contains_key(case));
        for (case, fresh) in printed {
            let outcomes = self.cases.entry(case.clone()).or_default();
            outcomes.retain(|outcome| !outcome.why.is_empty() || fresh.contains(&outcome.lines));
            for lines in fresh {
                match outcomes.iter_mut().find(|outcome| outcome.lines == *lines) {
                    Some(known) => known.seen = true,
                    None => outcomes.push(Outcome {
                        lines: lines.clone(),
                        ..Outcome::new(true, "")
                    }),
                }
            }
        }
    }

    fn text(&self) -> String {
        let mut text = TOP.to_owned();
        for (case, outcomes) in &self.cases {
            let _ = writeln!(text, "\n{case}");
            for outcome in outcomes {
                if outcomes.len() > 1 {
                    let seen = if outcome.seen { "seen" } else { "legal" };
                    let _ = writeln!(text, "  {seen}: {}", outcome.why);
                }
                for line in &outcome.lines {
                    let _ = writeln!(text, "    {line}");
                }
            }
        }
        text
    }
}

impl Outcome {
    fn new(seen: bool, why: &str) -> Outcome {
        Outcome {
            seen,
            why: why.to_owned(),
            lines: Vec::new(),
        }
    }
}

#[test]
fn a_recording_reads_as_it_is_written() {
    let text = format!(
        "{TOP}\notp_01_a\n    one\n      two\n\notp_02_b\n  seen: first\n    one\n  legal: or else\n    two\n"
    );
    let recording = Recording::read(&text).expect("a good recording");
    assert_eq!(recording.text(), text);
}

#[test]
fn a_bad_recording_is_refused() {
    let bad = [
        ("", "it has no case"),
        ("# nothing\n", "it has no case"),
        ("    one\n", "line 1: a line before the first case"),
        ("monitors\n", "line 1: no name of a case"),
        ("otp_a\n", "otp_a: an outcome without lines"),
        ("otp_a\n    x\notp_a\n    x\n", "line 3: this case again"),
        (
            "otp_a\n   x\n",
            "line 2: lines are indented by 4, and what is said of them by 2",
        ),
        (
            "otp_a\n  seen: \n    x\n",
            "line 2: not `seen: REASON` and not `legal: REASON`",
        ),
        (
            "otp_a\n  maybe: so\n    x\n",
            "line 2: not `seen: REASON` and not `legal: REASON`",
        ),
        (
            "otp_a\n  seen: y\n  legal: z\n    x\n",
            "otp_a: an outcome without lines",
        ),
        (
            "otp_a\n  seen: y\n    x\n  legal: z\n    x\n",
            "otp_a: the same outcome twice",
        ),
        (
            "otp_a\n  legal: y\n    x\n  legal: z\n    y\n",
            "otp_a: no outcome was seen",
        ),
        (
            "otp_a\n  seen: y\n    x\n",
            "otp_a: each of several outcomes has a reason, and a single one has none",
        ),
        (
            "otp_a\n    x\n  seen: y\n    z\n",
            "otp_a: each of several outcomes has a reason, and a single one has none",
        ),
    ];
    for (text, complaint) in bad {
        assert_eq!(Recording::read(text), Err(complaint.to_owned()), "{text:?}");
    }
}

#[test]
fn what_is_printed_anew_replaces_a_single_outcome_and_joins_several() {
    let before = "otp_a\n    old\notp_b\n  seen: y\n    1\n  legal: z\n    2\notp_gone\n    x\n";
    let mut recording = Recording::read(before).expect("a good recording");
    let printed = [("otp_a", vec!["new"]), ("otp_b", vec!["2", "3"])];
    let printed = printed.map(|(case, outcomes)| {
        let lines = outcomes.iter().map(|line| vec![(*line).to_owned()]);
        (case.to_owned(), lines.collect())
    });
    recording.update(&BTreeMap::from(printed));
    let after = "\notp_a\n    new\n\notp_b\n  seen: y\n    1\n  seen: z\n    2\n  seen: \n    3\n";
    assert_eq!(recording.text(), format!("{TOP}{after}"));
    assert!(
        Recording::read(&recording.text()).is_err(),
        "a reason is missing"
    );
}
