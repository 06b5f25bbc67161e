//! `Faults::chaos()`: runs differ in kind, their books balance, they repeat, and they heal.

use crate::removal::deviations;
use netsplit::choice::Kind;
use netsplit::trace::Event;
use netsplit::{
    Address, Chance, Context, Fault, Faults, Keep, Outcome, Received, ReplyTo, Scenario, Time,
    View, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

const NODES: [&str; 5] = ["n0", "n1", "n2", "n3", "n4"];
const SEEDS: u64 = 200;

#[derive(Debug, Serialize, Deserialize)]
enum Work {
    Ask(ReplyTo<()>),
    Tell,
}

async fn member(ctx: Context<Work>, own: usize) {
    ctx.register("member").expect("a free name");
    ctx.spawn_link(move |ctx| load(ctx, own));
    loop {
        if let Received::Message(Work::Ask(reply_to)) = ctx.receive().await {
            reply_to.reply(());
        }
    }
}

/// Once a second a call, a message and a datagram to another member.
async fn load(ctx: Context, own: usize) {
    for turn in 1.. {
        ctx.sleep(secs(1)).await;
        let other = NODES[(own + 1 + turn % 4) % 5];
        let to = Address::<Work>::named(other, "member");
        if to.call(Work::Ask, secs(1)).await.is_ok() {
            let answered = (own, ctx.now());
            ctx.observe("answered", |last: &mut BTreeMap<usize, Time>| {
                last.insert(answered.0, answered.1);
            });
        }
        to.send(Work::Tell);
        to.send_datagram(Work::Tell);
    }
}

/// Five nodes under chaos for half a minute, and then ten quiet seconds.
pub(crate) fn five() -> Scenario {
    let scenario = Scenario::new("chaos")
        .faults(Faults::chaos())
        .horizon(secs(40))
        .quiet(secs(10))
        .finally("every node is up", |view| {
            NODES.iter().all(|node| view.is_up(node))
        });
    let nodes = NODES.iter().enumerate();
    nodes.fold(scenario, |scenario, (own, name)| {
        scenario.node(name, move |ctx| member(ctx, own))
    })
}

/// A clean run with its draws, and with its log where that is asked for.
pub(crate) fn run(scenario: &Scenario, seed: u64, log: bool) -> Outcome {
    let keep = Keep {
        draws: true,
        log,
        ..Keep::default()
    };
    let outcome = scenario.run_with(Chance::Seed(seed), keep);
    let outcome = outcome.expect("a scenario that can be run");
    assert!(
        outcome.is_ok(),
        "seed {seed}: {:?} {:?}",
        outcome.violation,
        outcome.error
    );
    outcome
}

/// The draws of the swarm, in their order: what each decides, and which draws are calm where it is off.
const KINDS: [(&str, Kind); 14] = [
    ("loss", Kind::Loss),
    ("duplicates", Kind::Duplicate),
    ("reordering", Kind::Reorder),
    ("crashes", Kind::Crash),
    ("power cuts", Kind::PowerCut),
    ("stops", Kind::Stop),
    ("pauses", Kind::Pause),
    ("zombies", Kind::Zombie),
    ("cuts", Kind::Cut),
    ("broken connections", Kind::Break),
    ("steps of clocks", Kind::ClockStep),
    ("slow boots", Kind::StepCost),
    ("late timers", Kind::Lateness),
    ("drifts", Kind::Drift),
];

/// At which level each kind is in a run.
fn levels(outcome: &Outcome) -> Vec<u64> {
    let swarm = outcome
        .draws
        .iter()
        .filter(|draw| draw.site.kind == Kind::Swarm);
    swarm.map(|draw| draw.outcome).collect()
}

#[test]
fn runs_differ_in_which_kinds_of_faults_are_on_and_how_often_they_come() {
    let scenario = five();
    let mut all = BTreeSet::new();
    let mut on = [[0_u32; 4]; KINDS.len()];
    let mut seen = [0; KINDS.len()];
    let mut cuts = [0; 4];
    for seed in 0..SEEDS {
        let outcome = run(&scenario, seed, false);
        let levels = levels(&outcome);
        assert_eq!(levels.len(), KINDS.len());
        for (index, (name, kind)) in KINDS.iter().enumerate() {
            let mut draws = outcome.draws.iter().filter(|draw| draw.site.kind == *kind);
            let comes = draws.any(|draw| draw.outcome != 0);
            assert!(
                levels[index] > 0 || !comes,
                "seed {seed}: {name} are off, and come"
            );
            on[index][levels[index] as usize] += 1;
            seen[index] += u32::from(comes);
        }
        let planned = outcome.plan.faults().iter();
        let cut = planned.filter(|planned| matches!(planned.fault, Fault::Cut { .. }));
        cuts[levels[8] as usize] += cut.count();
        all.insert(levels);
    }
    assert!(
        all.len() as u64 > SEEDS * 9 / 10,
        "{} of {SEEDS}",
        all.len()
    );
    for ((name, _), (levels, seen)) in KINDS.iter().zip(on.iter().zip(seen)) {
        // Off in half of the runs, give or take four deviations; each level in a sixth.
        assert!((72..=128).contains(&levels[0]), "{name}: {levels:?}");
        assert!(
            levels[1..].iter().all(|runs| (13..=55).contains(runs)),
            "{name}: {levels:?}"
        );
        assert!(seen > 25, "{name} come in {seen} runs");
    }
    // A cut every 10 s in 30 s: 2.9 of them where they are fully on, else a half or a quarter.
    let mean = |level: usize| cuts[level] as f64 / f64::from(on[8][level]);
    assert!((0.3..1.1).contains(&mean(1)), "{cuts:?}");
    assert!((1.0..2.0).contains(&mean(2)), "{cuts:?}");
    assert!((2.2..3.6).contains(&mean(3)), "{cuts:?}");
}

#[test]
fn the_books_of_every_run_balance_and_the_same_seed_is_the_same_run() {
    let scenario = five();
    let mut fates = [0; 6];
    for seed in 0..SEEDS {
        let outcome = scenario.run(seed).expect("a scenario that can be run");
        // Books that do not balance are an error of the run.
        assert!(
            outcome.is_ok(),
            "seed {seed}: {:?} {:?}",
            outcome.violation,
            outcome.error
        );
        let books = outcome.books;
        let all = [
            books.received,
            books.unread,
            books.stale,
            books.lost,
            books.dead,
            books.in_flight,
        ];
        assert_eq!(all.iter().sum::<u64>(), books.sent, "seed {seed}");
        for (fate, count) in fates.iter_mut().zip(all) {
            *fate += count;
        }
        if seed % 3 == 0 {
            let again = run(&scenario, seed, seed % 2 == 0);
            assert_eq!(
                again.digest, outcome.digest,
                "seed {seed}, with or without a log"
            );
            assert_eq!(again.plan, outcome.plan, "seed {seed}");
        }
    }
    assert!(
        fates[0] > 0 && fates[2..5].iter().all(|count| *count > 0),
        "{fates:?}"
    );
}

#[test]
fn the_tape_of_a_run_replays_to_the_same_digest() {
    let scenario = five();
    for seed in 0..SEEDS / 4 {
        let first = run(&scenario, seed, false);
        let mut sites = BTreeSet::new();
        let twice = first.draws.iter().find(|draw| !sites.insert(draw.site));
        assert_eq!(twice, None, "seed {seed}: two draws of one site");
        let tape = deviations(&scenario, &first);
        let text = tape.to_string();
        let tape = text.parse().expect("a tape");
        let again = scenario.run_with(Chance::Tape(tape), Keep::default());
        let again = again.expect("a scenario that can be run");
        assert_eq!(again.drift, [], "seed {seed}");
        assert_eq!(again.digest, first.digest, "seed {seed}");
        assert_eq!(again.plan, first.plan, "seed {seed}");
    }
}

#[test]
fn every_fault_comes_at_its_planned_moment_and_is_over_when_faults_stop() {
    let scenario = five();
    for seed in 0..30 {
        let outcome = run(&scenario, seed, true);
        let log = outcome.log.as_ref().expect("a log");
        let (mut begun, mut open) = (BTreeMap::new(), BTreeSet::new());
        let mut is_quiet = false;
        for entry in log.entries() {
            match entry.event {
                Event::Fault { number, .. } => {
                    assert!(!is_quiet, "seed {seed}");
                    begun.insert(number, entry.at_ns);
                    open.insert(number);
                }
                Event::FaultOver { number, .. } => assert!(open.remove(&number), "seed {seed}"),
                Event::NoEffect { number, .. } => assert!(open.remove(&number), "seed {seed}"),
                Event::Quiet => is_quiet = true,
                Event::Crash { call, .. } if is_quiet => assert_eq!(call, 0, "seed {seed}"),
                _ => {}
            }
        }
        let planned = outcome
            .plan
            .faults()
            .iter()
            .map(|planned| planned.at.as_nanos());
        assert_eq!(
            begun.into_values().collect::<Vec<u64>>(),
            planned.collect::<Vec<u64>>()
        );
        assert!(is_quiet);
    }
}

#[test]
fn when_faults_have_stopped_every_node_answers_and_is_answered() {
    let recent = |view: &View| {
        let answered = view.observed::<BTreeMap<usize, Time>>("answered");
        let last = answered.into_iter().flatten();
        // Within the last four seconds, whatever clocks show that have drifted or not.
        last.filter(|(_, at)| **at > Time::ZERO + secs(36)).count() == NODES.len()
    };
    let scenario = five().finally("every node was answered of late", recent);
    for seed in 0..SEEDS / 4 {
        run(&scenario, seed, false);
    }
}
