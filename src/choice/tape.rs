//! A tape: a base and a list of edits by site. A text file that a person can read and diff.
//!
//! ```text
//! netsplit tape 1
//! scenario supe/duplicate_ack
//! seed 311
//! base calm
//! edits 2
//! duplicate worker#0 4 = 1    -- the ack of letter 3
//! crash parent 2 = 204000000
//! end
//! ```

use super::oracle::{Oracle, Question};
use super::site::{Kind, Lineage, Site};
use rustc_hash::{FxHashMap, FxHashSet};
use std::fmt;
use std::str::FromStr;

/// What answers the draws that a tape does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The seed.
    Seed,
    /// Calm for the adversary's draws; the seed still answers the program's.
    Calm,
}

/// One draw whose outcome is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is decided.
    pub kind: Kind,
    /// Who asks, as text: see [`Lineage`].
    pub who: String,
    /// The how-manieth.
    pub nth: u64,
    /// What it is answered.
    pub outcome: u64,
    /// What a reader should know of it; no meaning for the run.
    pub note: String,
}

/// A base and its edits: together with a scenario, one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tape {
    /// The scenario it belongs to.
    pub scenario: String,
    /// The seed that answers the program's draws, and all others where the base is the seed.
    pub seed: u64,
    /// What answers the draws that are not named.
    pub base: Base,
    /// The outcomes that are set.
    pub edits: Vec<Edit>,
}

/// Why a text is no tape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TapeError {
    /// It does not begin as a tape of this version does.
    #[error("line 1: this is no tape: it should begin with `{HEAD}`, and begins with `{0}`")]
    Head(String),
    /// It ends too early.
    #[error("line {line}: the tape is cut off: {expected} should stand here")]
    CutOff {
        /// The line where something is missing.
        line: usize,
        /// What should have been there.
        expected: &'static str,
    },
    /// A line that does not parse.
    #[error("line {line}: `{text}` is not {expected}")]
    Garbled {
        /// Its number, from 1.
        line: usize,
        /// What stands there.
        text: String,
        /// What should.
        expected: &'static str,
    },
    /// One draw is set twice.
    #[error("line {line}: `{text}` sets a draw that an earlier line sets already")]
    Twice {
        /// Its number, from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// The tape of another scenario.
    #[error("this tape is of scenario `{found}`, not of `{wanted}`: replay it with that name")]
    OtherScenario {
        /// The tape's.
        found: String,
        /// The one asked for.
        wanted: String,
    },
}

const HEAD: &str = "netsplit tape 1";
const EDIT: &str = "an edit: `KIND WHO NTH = OUTCOME`, such as `duplicate worker#0 4 = 1`";

impl Edit {
    /// The site that it sets.
    #[must_use]
    pub fn site(&self) -> Option<Site> {
        Some(Site::new(self.kind, Lineage::parse(&self.who)?, self.nth))
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} = {}",
            self.kind, self.who, self.nth, self.outcome
        )?;
        if self.note.is_empty() {
            Ok(())
        } else {
            write!(f, "    -- {}", self.note)
        }
    }
}

impl FromStr for Edit {
    type Err = ();
    fn from_str(line: &str) -> Result<Edit, ()> {
        let (line, note) = line.split_once(" -- ").unwrap_or((line, ""));
        let mut words = line.split_whitespace();
        let mut word = || words.next().ok_or(());
        let kind = Kind::from_word(word()?).ok_or(())?;
        let who = word()?.to_owned();
        Lineage::parse(&who).ok_or(())?;
        let nth = word()?.parse().map_err(drop)?;
        if word()? != "=" {
            return Err(());
        }
        let outcome = word()?.parse().map_err(drop)?;
        if words.next().is_some() {
            return Err(());
        }
        Ok(Edit {
            kind,
            who,
            nth,
            outcome,
            note: note.trim().to_owned(),
        })
    }
}

impl fmt::Display for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = match self.base {
            Base::Seed => "seed",
            Base::Calm => "calm",
        };
        writeln!(
            f,
            "{HEAD}\nscenario {}\nseed {}\nbase {base}",
            self.scenario, self.seed
        )?;
        writeln!(f, "edits {}", self.edits.len())?;
        for edit in &self.edits {
            writeln!(f, "{edit}")?;
        }
        writeln!(f, "end")
    }
}

struct Lines<'a> {
    lines: std::str::Lines<'a>,
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self, expected: &'static str) -> Result<&'a str, TapeError> {
        self.number += 1;
        let line = self.number;
        self.lines
            .next()
            .ok_or(TapeError::CutOff { line, expected })
    }

    fn garbled(&self, text: &str, expected: &'static str) -> TapeError {
        TapeError::Garbled {
            line: self.number,
            text: text.to_owned(),
            expected,
        }
    }

    fn field<T>(
        &mut self,
        word: &str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, TapeError> {
        let text = self.next(expected)?;
        let value = text
            .strip_prefix(word)
            .and_then(|rest| rest.strip_prefix(' '));
        value
            .and_then(parse)
            .ok_or_else(|| self.garbled(text, expected))
    }
}

impl FromStr for Tape {
    type Err = TapeError;

    fn from_str(text: &str) -> Result<Tape, TapeError> {
        let mut lines = Lines {
            lines: text.lines(),
            number: 0,
        };
        let head = lines.next("`netsplit tape 1`")?;
        if head != HEAD {
            return Err(TapeError::Head(head.chars().take(60).collect()));
        }
        let name = |s: &str| (!s.trim().is_empty()).then(|| s.to_owned());
        let scenario = lines.field("scenario", "`scenario NAME`", name)?;
        let seed = lines.field("seed", "`seed NUMBER`", |s| s.parse().ok())?;
        let base = lines.field("base", "`base calm` or `base seed`", |s| match s {
            "calm" => Some(Base::Calm),
            "seed" => Some(Base::Seed),
            _ => None,
        })?;
        let count: usize = lines.field("edits", "`edits COUNT`", |s| s.parse().ok())?;
        let mut edits: Vec<Edit> = Vec::new();
        let mut seen = FxHashSet::default();
        for _ in 0..count {
            let text = lines.next("one more edit")?;
            let edit: Edit = text.parse().map_err(|()| lines.garbled(text, EDIT))?;
            if !seen.insert(edit.site()) {
                return Err(TapeError::Twice {
                    line: lines.number,
                    text: text.to_owned(),
                });
            }
            edits.push(edit);
        }
        let end = lines.next("`end`")?;
        if end != "end" {
            return Err(lines.garbled(end, "`end`, after as many edits as were counted"));
        }
        if let Ok(more) = lines.next("") {
            return Err(lines.garbled(more, "part of a tape: `end` was the last line"));
        }
        Ok(Tape {
            scenario,
            seed,
            base,
            edits,
        })
    }
}

impl Tape {
    /// Refuses the tape of another scenario.
    ///
    /// # Errors
    /// [`TapeError::OtherScenario`] where the names differ.
    pub fn of(&self, scenario: &str) -> Result<(), TapeError> {
        if self.scenario == scenario {
            return Ok(());
        }
        Err(TapeError::OtherScenario {
            found: self.scenario.clone(),
            wanted: scenario.to_owned(),
        })
    }
}

/// How an edit no longer fits the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftKind {
    /// The run never asked for this draw.
    NeverAsked,
    /// It was asked, and its outcomes now end at this number.
    OutOfBounds(u64),
}

/// An edit that did not fit: the code has changed since the tape was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The edit.
    pub edit: Edit,
    /// How it did not fit.
    pub kind: DriftKind,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            DriftKind::NeverAsked => write!(f, "`{}`: the run never came to this draw", self.edit),
            DriftKind::OutOfBounds(most) => {
                write!(
                    f,
                    "`{}`: outcomes of this draw now end at {most}",
                    self.edit
                )
            }
        }
    }
}

/// Answers from a tape.
#[derive(Clone, Debug)]
pub struct TapeOracle {
    base: Base,
    edits: Vec<(Edit, Option<DriftKind>)>,
    by_site: FxHashMap<Site, usize>,
}

impl TapeOracle {
    /// An oracle that has asked for nothing yet.
    #[must_use]
    pub fn new(tape: &Tape) -> TapeOracle {
        let edits: Vec<_> = tape
            .edits
            .iter()
            .map(|edit| (edit.clone(), Some(DriftKind::NeverAsked)))
            .collect();
        let by_site = edits
            .iter()
            .enumerate()
            .filter_map(|(i, (e, _))| Some((e.site()?, i)));
        TapeOracle {
            base: tape.base,
            by_site: by_site.collect(),
            edits,
        }
    }
}

impl Oracle for TapeOracle {
    fn answer(&mut self, question: &Question) -> u64 {
        if let Some(&index) = self.by_site.get(&question.site) {
            let (edit, drift) = &mut self.edits[index];
            *drift =
                (edit.outcome > question.most).then_some(DriftKind::OutOfBounds(question.most));
            return edit.outcome.min(question.most);
        }
        match self.base {
            Base::Seed => question.seeded,
            Base::Calm => question.calm(),
        }
    }

    fn drift(&self) -> Vec<Drift> {
        let drifted = self.edits.iter().filter_map(|(edit, drift)| {
            drift.map(|kind| Drift {
                edit: edit.clone(),
                kind,
            })
        });
        drifted.collect()
    }
}
