//! Law 3: draws are addressed, not sequenced. When one fault is taken out of a run, every draw outside
//! that fault's causal future keeps its address and its outcome.
//!
//! The runs are many, the faults of every kind; the causal future is found from the logs of both runs
//! (`future.rs`), not from the draws. Planted violations show that the comparison can fail.

mod future;
mod shapes;

use future::{Future, Run};
use netsplit::choice::{Base, Edit, Kind, Lineage, Oracle, Question, Recorded, Site, Tape};
use netsplit::{Chance, Keep, Outcome, Scenario};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// The kinds of draws that are taken out, one at a time.
const TAKEN_OUT: [Kind; 11] = [
    Kind::Rank,
    Kind::Lateness,
    Kind::Loss,
    Kind::Duplicate,
    Kind::Latency,
    Kind::CopyLatency,
    Kind::Reorder,
    Kind::Crash,
    Kind::CrashCall,
    Kind::Downtime,
    Kind::StepCost,
];

/// Those of plans: only over [`shapes::partners`].
const OF_PLANS: [Kind; 16] = [
    Kind::Crash,
    Kind::CrashCall,
    Kind::Downtime,
    Kind::Pause,
    Kind::PowerCut,
    Kind::Stop,
    Kind::Zombie,
    Kind::Cut,
    Kind::CutForm,
    Kind::CutSide,
    Kind::Lasts,
    Kind::Break,
    Kind::Peer,
    Kind::Drift,
    Kind::ClockStep,
    Kind::StepBy,
];

/// Those of processes: only over [`shapes::keepers`].
const OF_PROCESSES: [Kind; 9] = [
    Kind::Kill,
    Kind::CrashAtMessage,
    Kind::Flood,
    Kind::Victim,
    Kind::HowMany,
    Kind::CrashAtStep,
    Kind::InitFails,
    Kind::InitHangs,
    Kind::SlowTerminate,
];

/// Those which befall more than one node.
const OF_THE_NETWORK: [Kind; 3] = [Kind::Cut, Kind::CutForm, Kind::CutSide];

/// Seeds for each shape. Many more were tried while this was written; these keep the file to seconds.
const SEEDS: u64 = 3;

const KEEP: Keep = Keep {
    log: true,
    draws: true,
    payloads: false,
};

/// What came of comparing two runs.
#[derive(Debug, Default)]
struct Compared {
    /// Draws of both runs.
    draws: usize,
    /// Those outside the future, which were found alike in the other run.
    alike: usize,
    /// Those outside the future which were not.
    unlike: Vec<String>,
}

impl Compared {
    fn add(&mut self, other: Compared) {
        self.draws += other.draws;
        self.alike += other.alike;
        self.unlike.extend(other.unlike);
    }
}

/// Compares a run with one from which this draw was taken out.
fn compare(first: &Outcome, draw: &Recorded, second: &Outcome) -> Compared {
    let runs = [Run::new(first), Run::new(second)];
    let future = Future::of(draw, [&runs[0], &runs[1]]);
    let mut compared = Compared::default();
    for (run, other) in [(&runs[0], &runs[1]), (&runs[1], &runs[0])] {
        let answers = outcomes(other.outcome);
        for made in &run.outcome.draws {
            compared.draws += 1;
            if future.holds(made, run) {
                continue;
            }
            match answers.get(&made.site) {
                Some(outcome) if *outcome == made.outcome => compared.alike += 1,
                // A rank among things due at once is asked only where there are several.
                None if made.site.kind == Kind::DueRank => {}
                answer => {
                    let who = run.outcome.lineages.text(made.site.who);
                    let Site { kind, nth, .. } = made.site;
                    let answered = made.outcome;
                    let say =
                        format!("{kind} {who} {nth} = {answered}, in the other run {answer:?}");
                    compared.unlike.push(say);
                }
            }
        }
    }
    compared
}

fn outcomes(outcome: &Outcome) -> FxHashMap<Site, u64> {
    let draws = outcome.draws.iter();
    draws.map(|draw| (draw.site, draw.outcome)).collect()
}

/// A draw of this kind that was not calm; which of them is drawn from the seed.
fn one_of(outcome: &Outcome, kind: Kind) -> Option<Recorded> {
    let deviations = outcome.draws.iter();
    let deviations = deviations.filter(|draw| draw.site.kind == kind && draw.outcome != 0);
    let deviations: Vec<_> = deviations.collect();
    let at = (outcome.seed + kind as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let at = (at as usize).checked_rem(deviations.len())?;
    Some(*deviations[at])
}

fn without(scenario: &Scenario, outcome: &Outcome, draw: &Recorded) -> Outcome {
    let tape = Tape {
        scenario: scenario.name().to_owned(),
        seed: outcome.seed,
        base: Base::Seed,
        edits: vec![Edit {
            outcome: 0,
            ..draw.edit(&outcome.lineages)
        }],
    };
    let second = scenario.run_with(Chance::Tape(tape), KEEP).unwrap();
    assert_eq!(
        second.drift,
        [],
        "{:?} of seed {}",
        draw.site.kind,
        outcome.seed
    );
    second
}

fn seeded(scenario: &Scenario, seed: u64) -> Outcome {
    let outcome = scenario.run_with(Chance::Seed(seed), KEEP).unwrap();
    assert_eq!(outcome.error, None, "{} seed {seed}", scenario.name());
    outcome
}

/// The law over a few seeds of a shape: gives how much was compared, by the kind that was taken out.
fn law_holds(
    scenario: &Scenario,
    seeds: std::ops::Range<u64>,
    taken_out: &[Kind],
) -> BTreeMap<Kind, Compared> {
    let mut by_kind: BTreeMap<Kind, Compared> = BTreeMap::new();
    for seed in seeds {
        let first = seeded(scenario, seed);
        for kind in taken_out {
            let Some(draw) = one_of(&first, *kind) else {
                continue;
            };
            let second = without(scenario, &first, &draw);
            let compared = compare(&first, &draw, &second);
            assert_eq!(
                compared.unlike,
                [""; 0],
                "{} seed {seed} without {draw:?} of {}",
                scenario.name(),
                first.lineages.text(draw.site.who)
            );
            by_kind.entry(*kind).or_default().add(compared);
        }
    }
    by_kind
}

/// The law over this shape: every kind of fault is taken out, and enough is left to compare.
fn law_holds_without_being_empty(
    scenario: &Scenario,
    seeds: u64,
    expected: &[Kind],
    least_share: f64,
) {
    let by_kind = law_holds(scenario, 0..seeds, expected);
    let kinds: Vec<Kind> = by_kind.keys().copied().collect();
    assert_eq!(kinds, expected, "every kind was taken out of some run");
    let draws: usize = by_kind.values().map(|compared| compared.draws).sum();
    let alike: usize = by_kind.values().map(|compared| compared.alike).sum();
    let share = alike as f64 / draws as f64;
    assert!(
        share >= least_share,
        "only {alike} of {draws} draws were compared"
    );
}

#[test]
fn in_a_ring_a_fault_taken_out_changes_no_draw_outside_its_causal_future() {
    law_holds_without_being_empty(&shapes::ring(), SEEDS, &TAKEN_OUT, 0.3);
}

#[test]
fn in_a_star_a_fault_taken_out_changes_no_draw_outside_its_causal_future() {
    // Calls go over connections, which duplicate nothing, and in which nothing is overtaken.
    let of_datagrams = [Kind::Duplicate, Kind::CopyLatency, Kind::Reorder];
    let of_calls = TAKEN_OUT
        .into_iter()
        .filter(|kind| !of_datagrams.contains(kind));
    let of_calls: Vec<Kind> = of_calls.collect();
    law_holds_without_being_empty(&shapes::star(), SEEDS, &of_calls, 0.3);
}

#[test]
fn among_pairs_a_fault_taken_out_changes_no_draw_outside_its_causal_future() {
    law_holds_without_being_empty(&shapes::pairs(), SEEDS, &TAKEN_OUT, 0.7);
}

#[test]
fn among_families_a_fault_taken_out_changes_no_draw_outside_its_causal_future() {
    law_holds_without_being_empty(&shapes::family(), SEEDS, &TAKEN_OUT, 0.5);
}

#[test]
fn in_lockstep_a_fault_taken_out_changes_no_draw_outside_its_causal_future() {
    let crash = [Kind::Crash, Kind::CrashCall, Kind::Downtime];
    let expected = [&[Kind::Rank, Kind::Loss, Kind::Duplicate][..], &crash].concat();
    law_holds_without_being_empty(&shapes::lockstep(), SEEDS, &expected, 0.2);
}

#[test]
fn in_a_crowd_a_fault_taken_out_changes_no_draw_outside_its_causal_future() {
    let of_datagrams = [Kind::Duplicate, Kind::CopyLatency, Kind::Reorder];
    let expected = TAKEN_OUT
        .into_iter()
        .filter(|kind| !of_datagrams.contains(kind));
    let expected: Vec<Kind> = expected.collect();
    law_holds_without_being_empty(&shapes::crowd(), SEEDS, &expected, 0.2);
}

#[test]
fn over_connections_a_fault_taken_out_changes_no_draw_outside_its_causal_future() {
    let mut expected = [
        &[Kind::Rank, Kind::Lateness, Kind::Loss, Kind::Latency][..],
        &OF_PLANS,
    ]
    .concat();
    expected.sort_unstable();
    law_holds_without_being_empty(&shapes::partners(), 24, &expected, 0.3);
}

#[test]
fn among_supervised_servers_a_fault_taken_out_changes_no_draw_outside_its_causal_future() {
    law_holds_without_being_empty(&shapes::keepers(), 8, &OF_PROCESSES, 0.5);
}

#[test]
fn a_fault_of_one_pair_changes_no_draw_of_another_pair() {
    nothing_of_others_changes(&shapes::pairs(), SEEDS, &TAKEN_OUT);
    let of_nodes: Vec<Kind> = OF_PLANS
        .into_iter()
        .filter(|kind| !OF_THE_NETWORK.contains(kind))
        .collect();
    nothing_of_others_changes(&shapes::partners(), 12, &of_nodes);
    nothing_of_others_changes(&shapes::keepers(), 6, &OF_PROCESSES);
}

fn nothing_of_others_changes(scenario: &Scenario, seeds: u64, taken_out: &[Kind]) {
    let mut compared = 0;
    for seed in 0..seeds {
        let first = seeded(scenario, seed);
        for kind in taken_out {
            let Some(draw) = one_of(&first, *kind) else {
                continue;
            };
            if draw.site.who == Lineage::RUN {
                // A cut: it may befall them all.
                continue;
            }
            let pair = |who| first.lineages.text(who).chars().next();
            let second = without(scenario, &first, &draw);
            let of_others = |outcome: &Outcome| -> BTreeMap<Site, u64> {
                let draws = outcome.draws.iter();
                let others = draws.filter(|other| {
                    // Ranks among things due at once are asked only where there are several.
                    other.site.kind != Kind::DueRank
                        && ![pair(draw.site.who), Some('r')]
                            .contains(&outcome.lineages.text(other.site.who).chars().next())
                });
                others.map(|other| (other.site, other.outcome)).collect()
            };
            let (these, those) = (of_others(&first), of_others(&second));
            compared += these.len();
            assert_eq!(these, those, "seed {seed} without {draw:?}");
        }
    }
    assert!(compared > 10_000, "{compared}");
}

#[test]
fn no_site_is_asked_twice_in_a_run() {
    for scenario in shapes::all() {
        for seed in 0..SEEDS {
            let outcome = seeded(&scenario, seed);
            let sites = outcomes(&outcome).len();
            assert!(sites > 500, "{} seed {seed}: {sites}", scenario.name());
            assert_eq!(
                sites,
                outcome.draws.len(),
                "{} seed {seed}",
                scenario.name()
            );
        }
    }
}

// --- Planted violations: what breaks the law is seen -------------------------------------------

/// Answers from one stream in the order of the questions, as a simulator with one generator does; one
/// site may be calmed.
#[derive(Debug)]
struct Sequenced {
    state: u64,
    calm: Option<Site>,
}

impl Oracle for Sequenced {
    fn answer(&mut self, question: &Question) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        scaled(question, self.state, self.calm)
    }
}

/// Numbers the draws of each kind over the whole run, whoever asks: an address, and the wrong one.
#[derive(Debug)]
struct NumberedByKind {
    seed: u64,
    asked: BTreeMap<Kind, u64>,
    calm: Option<Site>,
}

impl Oracle for NumberedByKind {
    fn answer(&mut self, question: &Question) -> u64 {
        let kind = question.site.kind;
        let nth = self.asked.entry(kind).or_default();
        *nth += 1;
        let state = self.seed ^ (kind as u64) << 56 ^ nth.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        scaled(question, state, self.calm)
    }
}

/// The calm outcome at the site that is calmed; else an outcome about as calm as the seed's.
fn scaled(question: &Question, state: u64, calm: Option<Site>) -> u64 {
    let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    let rare = [
        Kind::Loss,
        Kind::Duplicate,
        Kind::Reorder,
        Kind::Crash,
        Kind::StepCost,
    ];
    // The profile has no other faults of the plan.
    let kind = question.site.kind;
    let of_plans = OF_PLANS.contains(&kind) || OF_PROCESSES.contains(&kind);
    let absent = !TAKEN_OUT.contains(&kind) && of_plans;
    if absent
        || calm == Some(question.site)
        || rare.contains(&question.site.kind) && !mixed.is_multiple_of(16)
    {
        return 0;
    }
    ((u128::from(mixed) * (u128::from(question.most) + 1)) >> 64) as u64
}

/// In how many of the runs an oracle like this is seen to break the law, and how many there were.
fn seen<O: Oracle + 'static>(oracle: impl Fn(u64, Option<Site>) -> O) -> (usize, usize) {
    let scenario = shapes::pairs();
    let (mut seen, mut runs) = (0, 0);
    for seed in 0..SEEDS {
        let run = |calm| {
            let chance = Chance::Oracle(seed, Box::new(oracle(seed, calm)));
            scenario.run_with(chance, KEEP).unwrap()
        };
        let first = run(None);
        for kind in TAKEN_OUT {
            let Some(draw) = one_of(&first, kind) else {
                continue;
            };
            let second = run(Some(draw.site));
            runs += 1;
            seen += usize::from(!compare(&first, &draw, &second).unlike.is_empty());
        }
    }
    (seen, runs)
}

#[test]
fn draws_in_sequence_from_one_generator_are_seen_to_break_the_law() {
    let (seen, runs) = seen(|seed, calm| Sequenced { state: seed, calm });
    assert!(runs > 20 && 2 * seen > runs, "{seen} of {runs}");
}

#[test]
fn draws_numbered_over_the_whole_run_are_seen_to_break_the_law() {
    let (seen, runs) = seen(|seed, calm| NumberedByKind {
        seed,
        asked: BTreeMap::new(),
        calm,
    });
    assert!(runs > 20 && 2 * seen > runs, "{seen} of {runs}");
}

#[test]
fn the_run_of_another_seed_is_seen_to_be_another_run() {
    let scenario = shapes::pairs();
    let (first, other) = (seeded(&scenario, 1), seeded(&scenario, 2));
    let draw = one_of(&first, Kind::Latency).expect("a latency above the least");
    assert!(compare(&first, &draw, &other).unlike.len() > 100);
}
