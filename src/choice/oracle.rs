//! The seam between a draw and who answers it: the seed, a tape, a strategy; and the recorder.

use super::chooser::Chooser;
use super::distribution::{Distribution, Rate, spread};
use super::site::{Kind, Lineage, Lineages, Site, Sort};
use super::source::{Stream, key, keyed};
use super::tape::{Drift, Edit, Tape, TapeOracle};
use rustc_hash::FxHashSet;
use std::fmt;

/// What outcomes a draw can have, and how a seed's bits choose among them.
#[derive(Clone, Copy, Debug)]
pub enum Shape<'a> {
    /// Any of 32 bits: the least goes first.
    Rank,
    /// 1 with this rate, else 0.
    Chance(Rate),
    /// 0 to this, both included, each as likely.
    UpTo(u64),
    /// How often in a row something of this rate happens, at most so often.
    InARow(Rate, u64),
    /// Nanoseconds above the least of a distribution.
    Above(&'a Distribution),
    /// 0, or with this rate 1 to this number, each as likely.
    Sometimes(Rate, u64),
    /// These bits themselves: a program's own draw, from its stream.
    Bits(u64),
}

impl Shape<'_> {
    /// The outcome that these bits choose.
    #[inline(always)]
    #[must_use]
    pub fn outcome(self, bits: u64) -> u64 {
        match self {
            Shape::Rank => bits >> 32,
            Shape::Chance(rate) => u64::from(rate.hit(bits)),
            Shape::UpTo(most) => spread(bits, most),
            Shape::InARow(rate, most) => in_a_row(bits, rate, most),
            Shape::Above(distribution) => distribution.above_least_ns(bits),
            Shape::Sometimes(rate, most) => {
                if rate.hit(bits) {
                    1 + spread(bits.wrapping_mul(0x9E37_79B9_7F4A_7C15), most - 1)
                } else {
                    0
                }
            }
            Shape::Bits(bits) => bits,
        }
    }

    /// The greatest outcome it can have.
    #[must_use]
    pub fn most(self) -> u64 {
        match self {
            Shape::Rank => u64::from(u32::MAX),
            Shape::Chance(_) => 1,
            Shape::UpTo(most) | Shape::Sometimes(_, most) | Shape::InARow(_, most) => most,
            Shape::Above(distribution) => distribution.span_ns(),
            Shape::Bits(_) => u64::MAX,
        }
    }
}

#[cold]
fn in_a_row(mut bits: u64, rate: Rate, most: u64) -> u64 {
    let mut times = 0;
    while times < most && rate.hit(bits) {
        times += 1;
        bits = keyed(bits, Site::new(Kind::Loss, Lineage::RUN, times));
    }
    times
}

/// One draw, put to an oracle.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Its address.
    pub site: Site,
    /// What the seed would answer.
    pub seeded: u64,
    /// The greatest outcome that makes sense.
    pub most: u64,
}

/// Who answers draws. The seed is one; a [`Tape`] is another; strategies of search are more.
pub trait Oracle: fmt::Debug {
    /// The outcome of this draw, at most `question.most`.
    fn answer(&mut self, question: &Question) -> u64;

    /// What did not fit, after the run: edits never asked for, outcomes out of bounds.
    fn drift(&self) -> Vec<Drift> {
        Vec::new()
    }
}

/// A draw that was made, as the recorder keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its address.
    pub site: Site,
    /// What was answered.
    pub outcome: u64,
    /// What the seed would have answered.
    pub seeded: u64,
    /// The step of the run in which it was asked.
    pub step: u64,
}

impl Recorded {
    /// The edit that makes this draw so again; `names` are those of its run.
    #[must_use]
    pub fn edit(&self, names: &Lineages) -> Edit {
        Edit {
            kind: self.site.kind,
            who: names.text(self.site.who),
            nth: self.site.nth,
            outcome: self.outcome,
            note: String::new(),
        }
    }
}

/// A draw that is decided later.
#[derive(Clone, Copy, Debug)]
pub struct PutOff {
    /// The greatest outcome that it can have.
    pub most: u64,
    place: Option<usize>,
}

#[derive(Debug, Default)]
struct Asked {
    oracle: Option<Box<dyn Oracle>>,
    record: Option<Vec<Recorded>>,
    names: Lineages,
}

/// The one door: whoever needs chance draws from here.
#[derive(Debug)]
pub struct Choice {
    seed: u64,
    key: u64,
    /// Absent: the seed answers, nothing is kept, and a draw is one keyed hash.
    asked: Option<Box<Asked>>,
    /// Absent: what comes next follows from what was drawn before.
    chooser: Option<Box<dyn Chooser>>,
    /// The step of the run, as the kernel counts: recorded with each draw.
    pub step: u64,
}

impl Choice {
    /// The seed answers every draw.
    #[must_use]
    pub fn seeded(seed: u64) -> Choice {
        Choice {
            seed,
            key: key(seed),
            asked: None,
            chooser: None,
            step: 0,
        }
    }

    /// `oracle` answers; where it asks what the seed would say, `seed` is meant.
    #[must_use]
    pub fn answered_by(seed: u64, oracle: Box<dyn Oracle>) -> Choice {
        let asked = Asked {
            oracle: Some(oracle),
            ..Asked::default()
        };
        Choice {
            asked: Some(Box::new(asked)),
            ..Choice::seeded(seed)
        }
    }

    /// The seed answers, but `chooser` chooses what comes next.
    #[must_use]
    pub fn chosen_by(seed: u64, chooser: Box<dyn Chooser>) -> Choice {
        Choice {
            chooser: Some(chooser),
            ..Choice::seeded(seed)
        }
    }

    /// Who chooses what comes next, for whoever drives the run; none where that follows from the draws.
    pub fn take_chooser(&mut self) -> Option<Box<dyn Chooser>> {
        self.chooser.take()
    }

    /// A tape answers.
    #[must_use]
    pub fn taped(tape: &Tape) -> Choice {
        Choice::answered_by(tape.seed, Box::new(TapeOracle::new(tape)))
    }

    /// Keeps the names of lineages from now on and, with `draws`, every draw.
    #[must_use]
    pub fn recorded(mut self, draws: bool) -> Choice {
        self.asked.get_or_insert_default().record = draws.then(Vec::new);
        self
    }

    /// Whether the seed alone answers: then a draw that could only be calm need not be asked.
    #[inline]
    #[must_use]
    pub const fn is_seeded(&self) -> bool {
        self.asked.is_none()
    }

    /// The seed of the run.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Draws: the outcome at this site.
    #[inline(always)]
    pub fn draw(&mut self, site: Site, shape: Shape<'_>) -> u64 {
        let seeded = match shape {
            Shape::Bits(bits) => bits,
            _ => shape.outcome(keyed(self.key, site)),
        };
        if self.asked.is_none() {
            seeded
        } else {
            self.ask(site, shape, seeded)
        }
    }

    /// Draws whether something of this rate happens. At a rate of 0 only a tape can make it happen.
    #[inline(always)]
    pub fn chance(&mut self, site: Site, rate: Rate) -> bool {
        if rate.is_never() && self.asked.is_none() {
            return false;
        }
        self.draw(site, Shape::Chance(rate)) != 0
    }

    #[cold]
    fn ask(&mut self, site: Site, shape: Shape<'_>, seeded: u64) -> u64 {
        let step = self.step;
        let Some(asked) = self.asked.as_mut() else {
            return seeded;
        };
        let question = Question {
            site,
            seeded,
            most: shape.most(),
        };
        let outcome = match asked.oracle.as_mut() {
            Some(oracle) => oracle.answer(&question).min(question.most),
            None => seeded,
        };
        if let Some(record) = asked.record.as_mut() {
            record.push(Recorded {
                site,
                outcome,
                seeded,
                step,
            });
        }
        outcome
    }

    /// Puts a draw off: a chooser's run decides it later. It is recorded here and now, as its greatest
    /// outcome, which is true of whatever never comes to be decided.
    pub fn put_off(&mut self, site: Site, shape: Shape<'_>) -> PutOff {
        let most = shape.most();
        let (key, step) = (self.key, self.step);
        let record = self.asked.as_mut().and_then(|asked| asked.record.as_mut());
        let place = record.map(|record| {
            record.push(Recorded {
                site,
                outcome: most,
                seeded: shape.outcome(keyed(key, site)),
                step,
            });
            record.len() - 1
        });
        PutOff { most, place }
    }

    /// The outcome of a draw that was put off.
    pub fn settle(&mut self, draw: PutOff, outcome: u64) {
        debug_assert!(outcome <= draw.most, "{outcome} of at most {}", draw.most);
        let record = self.asked.as_mut().and_then(|asked| asked.record.as_mut());
        if let (Some(record), Some(place)) = (record, draw.place) {
            record[place].outcome = outcome;
        }
    }

    /// A stream for the program's own draws by `who`.
    #[must_use]
    pub fn stream(&self, who: Lineage) -> Stream {
        Stream::new(self.seed, who)
    }

    /// The lineage of a node.
    pub fn node(&mut self, name: &str) -> Lineage {
        if let Some(asked) = self.asked.as_mut() {
            asked.names.node(name);
        }
        Lineage::node(name)
    }

    /// The lineage of a node's `n`-th boot.
    pub fn boot(&mut self, node: Lineage, n: u32) -> Lineage {
        if let Some(asked) = self.asked.as_mut() {
            asked.names.boot(node, n);
        }
        node.boot(n)
    }

    /// The lineage of what a node sends to another to keep their connection.
    pub fn way(&mut self, from: Lineage, to: Lineage) -> Lineage {
        if let Some(asked) = self.asked.as_mut() {
            asked.names.way(from, to);
        }
        from.way(to)
    }

    /// The lineage of a file of a node, or of a boot.
    pub fn file(&mut self, owner: Lineage, path: &str) -> Lineage {
        if let Some(asked) = self.asked.as_mut() {
            asked.names.file(owner, path);
        }
        owner.file(path)
    }

    /// The lineage of a process's `n`-th child.
    #[inline]
    pub fn child(&mut self, parent: Lineage, n: u32) -> Lineage {
        if let Some(asked) = self.asked.as_mut() {
            asked.names.child(parent, n);
        }
        parent.child(n)
    }

    /// What was recorded, the names that go with it, and what did not fit. What stands in one place for
    /// whatever comes again (the rank of a packet that was parked meanwhile) is asked again, answered as
    /// before, and recorded once.
    #[must_use]
    pub fn finish(self) -> (Vec<Recorded>, Lineages, Vec<Drift>) {
        match self.asked {
            None => Default::default(),
            Some(asked) => {
                let drift = asked
                    .oracle
                    .map(|oracle| oracle.drift())
                    .unwrap_or_default();
                let mut record = asked.record.unwrap_or_default();
                let mut sites = FxHashSet::default();
                record.retain(|draw| sites.insert((draw.site, draw.outcome)));
                (record, asked.names, drift)
            }
        }
    }
}

impl Question {
    /// The outcome that is calm for the adversary, and the seed's for the program.
    #[must_use]
    pub fn calm(&self) -> u64 {
        match self.site.kind.sort() {
            Sort::Adversary => 0,
            Sort::Program => self.seeded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tape::Base;
    use super::*;
    use std::time::Duration;

    const LATENCY: Distribution =
        Distribution::uniform(Duration::from_millis(1), Duration::from_millis(9));

    /// A hundred draws of each shape.
    fn draws(choice: &mut Choice) -> Vec<u64> {
        let half = Rate::new(0.5).expect("a rate");
        let shapes = [
            (Kind::Rank, Shape::Rank),
            (Kind::Loss, Shape::Chance(half)),
            (Kind::Lateness, Shape::UpTo(9)),
            (Kind::Latency, Shape::Above(&LATENCY)),
            (Kind::Reorder, Shape::Sometimes(half, 9)),
            (Kind::Program, Shape::Bits(77)),
        ];
        let who = choice.node("a");
        let numbers = (0..100).flat_map(|nth| shapes.map(|(kind, shape)| (kind, nth, shape)));
        numbers
            .map(|(kind, nth, shape)| choice.draw(Site::new(kind, who, nth), shape))
            .collect()
    }

    fn tape(base: Base) -> Tape {
        Tape {
            scenario: "x".to_owned(),
            seed: 5,
            base,
            edits: Vec::new(),
        }
    }

    #[test]
    fn recording_changes_no_outcome_and_keeps_each() {
        let plain = draws(&mut Choice::seeded(5));
        let mut recorded = Choice::seeded(5).recorded(true);
        assert_eq!(draws(&mut recorded), plain);
        let (kept, names, drift) = recorded.finish();
        let outcomes: Vec<u64> = kept.iter().map(|draw| draw.outcome).collect();
        assert_eq!(outcomes, plain);
        assert!(kept.iter().all(|draw| draw.seeded == draw.outcome));
        assert_eq!(names.text(kept[0].site.who), "a");
        assert_eq!(drift, []);
    }

    #[test]
    fn a_tape_over_the_seed_answers_as_the_seed_and_over_calm_only_the_programs_draws_do() {
        let plain = draws(&mut Choice::seeded(5));
        assert_eq!(draws(&mut Choice::taped(&tape(Base::Seed))), plain);
        let calm = draws(&mut Choice::taped(&tape(Base::Calm)));
        assert!(calm.iter().all(|outcome| [0, 77].contains(outcome)));
        assert_eq!(calm.iter().filter(|outcome| **outcome == 77).count(), 100);
    }

    #[test]
    fn an_oracle_that_answers_too_much_is_cut_to_the_most() {
        #[derive(Debug)]
        struct Most;
        impl Oracle for Most {
            fn answer(&mut self, _: &Question) -> u64 {
                u64::MAX
            }
        }
        let cut = draws(&mut Choice::answered_by(5, Box::new(Most)));
        let most = [u64::from(u32::MAX), 1, 9, 8_000_000, 9, u64::MAX];
        assert_eq!(cut[..6], most);
    }

    #[test]
    fn at_a_rate_of_never_only_an_oracle_makes_it_happen() {
        let mut taped = tape(Base::Calm);
        taped.edits = vec!["lose a 3 = 1".parse().expect("an edit")];
        let lost = |choice: &mut Choice| -> Vec<u64> {
            let site = |nth| Site::new(Kind::Loss, Lineage::node("a"), nth);
            let lost = (0..9).filter(|nth| choice.chance(site(*nth), Rate::NEVER));
            lost.collect()
        };
        assert_eq!(lost(&mut Choice::seeded(5)), [0; 0]);
        assert_eq!(lost(&mut Choice::taped(&taped)), [3]);
    }
}
