//! Strategies: what they choose is a tape like any other; they come to every order, and repeat.

#[path = "../laws/shapes.rs"]
mod shapes;

use netsplit::choice::{Base, Edit, Sort, Tape};
use netsplit::explore::{Options, Strategy, sweep};
use netsplit::{
    Address, Chance, Context, Distribution, Faults, Keep, Network, Outcome, Path, Scenario, millis,
    secs,
};
use std::collections::{BTreeMap, BTreeSet};

const DRAWS: Keep = Keep {
    log: false,
    draws: true,
    payloads: true,
};

/// The strategies that choose themselves.
const CHOOSERS: [Strategy; 3] = [Strategy::Walk, Strategy::Pos, Strategy::Pct];

fn run(scenario: &Scenario, strategy: Strategy, seed: u64) -> Outcome {
    let outcome = scenario.run_with(strategy.chance(seed), DRAWS).unwrap();
    assert_eq!(outcome.error, None, "{strategy}, seed {seed}");
    outcome
}

/// The tape of a run: over calm, all draws of the adversary that were not.
fn tape(scenario: &Scenario, outcome: &Outcome) -> Tape {
    let draws = outcome.draws.iter();
    let deviations =
        draws.filter(|draw| draw.site.kind.sort() == Sort::Adversary && draw.outcome != 0);
    let edit = |draw: &netsplit::choice::Recorded| Edit {
        kind: draw.site.kind,
        who: outcome.lineages.text(draw.site.who),
        nth: draw.site.nth,
        outcome: draw.outcome,
        note: String::new(),
    };
    Tape {
        scenario: scenario.name().to_owned(),
        seed: outcome.seed,
        base: Base::Calm,
        edits: deviations.map(edit).collect(),
    }
}

/// The law of strategies: the tape of a run replays to the same digest, and asks for the same draws.
fn the_tape_replays(scenario: &Scenario, strategy: Strategy, seed: u64) {
    let first = run(scenario, strategy, seed);
    let tape = tape(scenario, &first);
    let second = scenario.run_with(Chance::Tape(tape), DRAWS).unwrap();
    let which = format!("{}, {strategy}, seed {seed}", scenario.name());
    assert_eq!(second.drift, [], "{which}");
    assert_eq!(second.digest, first.digest, "{which}");
    assert_eq!(second.payloads, first.payloads, "{which}");
    assert_eq!(
        (second.at, second.steps),
        (first.at, first.steps),
        "{which}"
    );
    let draws = |outcome: &Outcome| -> BTreeMap<_, _> {
        let draws = outcome.draws.iter();
        draws.map(|draw| (draw.site, draw.outcome)).collect()
    };
    assert_eq!(draws(&second), draws(&first), "{which}");
}

fn the_tapes_replay(scenario: &Scenario, seeds: u64) {
    for strategy in CHOOSERS {
        for seed in 0..seeds {
            the_tape_replays(scenario, strategy, seed);
        }
    }
}

#[test]
fn in_a_ring_the_tape_of_every_strategys_run_replays_to_the_same_digest() {
    the_tapes_replay(&shapes::ring(), 10);
}

#[test]
fn in_a_star_the_tape_of_every_strategys_run_replays_to_the_same_digest() {
    the_tapes_replay(&shapes::star(), 10);
}

#[test]
fn among_pairs_the_tape_of_every_strategys_run_replays_to_the_same_digest() {
    the_tapes_replay(&shapes::pairs(), 10);
}

#[test]
fn in_families_the_tape_of_every_strategys_run_replays_to_the_same_digest() {
    the_tapes_replay(&shapes::family(), 10);
}

#[test]
fn in_lockstep_the_tape_of_every_strategys_run_replays_to_the_same_digest() {
    the_tapes_replay(&shapes::lockstep(), 10);
}

/// A log of who was heard, in the order of hearing.
fn three_senders(path: Path) -> Scenario {
    let mut scenario = Scenario::new("three").node("ear", |ctx: Context<u32>| async move {
        ctx.register("ear").expect("a free name");
        loop {
            let from = ctx.receive_message().await;
            ctx.observe("heard", |heard: &mut Vec<u32>| heard.push(from));
        }
    });
    for (number, name) in [(1, "one"), (2, "two"), (3, "three")] {
        scenario = scenario.node(name, move |_: Context| async move {
            Address::named("ear", "ear").send_datagram(number);
            std::future::pending::<()>().await;
        });
    }
    let horizon = scenario.network(Network::new(path)).horizon(secs(1));
    horizon.finally("all were heard", |view| {
        view.observed::<Vec<u32>>("heard").map(Vec::len) == Some(3)
    })
}
