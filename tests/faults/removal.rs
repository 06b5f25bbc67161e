//! Every drawn fault can be taken away, and nothing else goes with it: so failures under chaos shrink.

use crate::chaos;
use netsplit::choice::{Base, Edit, Kind, Recorded, Tape};
use netsplit::explore::{SHRINK_TRIES, Strategy, shrink};
use netsplit::sim::Planned;
use netsplit::{
    Address, Chance, Context, Cut, Fault, Faults, Keep, Outcome, Pid, Scenario, Time, View, millis,
    secs,
};
use std::time::Duration;

/// The tape of a run: over calm, all draws of the adversary that were not.
pub(crate) fn deviations(scenario: &Scenario, outcome: &Outcome) -> Tape {
    Tape {
        scenario: scenario.name().to_owned(),
        seed: outcome.seed,
        base: Base::Calm,
        edits: outcome.deviations(),
    }
}

/// The draws that say that a fault comes, one each.
const COMES: [Kind; 9] = [
    Kind::Crash,
    Kind::PowerCut,
    Kind::Stop,
    Kind::Pause,
    Kind::Zombie,
    Kind::Cut,
    Kind::Break,
    Kind::ClockStep,
    Kind::Drift,
];

#[test]
fn taking_one_drawn_fault_away_leaves_all_others_as_they_were() {
    let scenario = chaos::five();
    let mut gone = Vec::new();
    for seed in 0..4 {
        let first = chaos::run(&scenario, seed, false);
        let tape = deviations(&scenario, &first);
        let comes = |edit: &&Edit| COMES.contains(&edit.kind);
        assert_eq!(
            tape.edits.iter().filter(comes).count(),
            first.plan.faults().len()
        );
        for index in 0..tape.edits.len() {
            let mut less = tape.clone();
            let edit = less.edits.remove(index);
            if !comes(&&edit) {
                continue;
            }
            let outcome = scenario.run_with(Chance::Tape(less), Keep::default());
            let outcome = outcome.expect("a scenario that can be run");
            let (all, left) = (first.plan.faults(), outcome.plan.faults());
            let missing: Vec<&Planned> = all
                .iter()
                .filter(|planned| !left.contains(planned))
                .collect();
            assert_eq!(
                (missing.len(), left.len()),
                (1, all.len() - 1),
                "without {edit}"
            );
            assert_ne!(outcome.digest, first.digest, "without {edit}");
            gone.push(edit.kind);
        }
    }
    let all = COMES.iter().filter(|kind| gone.contains(kind)).count();
    assert_eq!(all, COMES.len(), "each kind was taken away once");
}

#[test]
fn taking_a_kind_out_of_the_swarm_leaves_the_faults_that_the_tape_has() {
    let scenario = chaos::five();
    for seed in 0..4 {
        let first = chaos::run(&scenario, seed, false);
        let tape = deviations(&scenario, &first);
        for index in 0..tape.edits.len() {
            if tape.edits[index].kind != Kind::Swarm {
                continue;
            }
            let mut less = tape.clone();
            let edit = less.edits.remove(index);
            let outcome = scenario.run_with(Chance::Tape(less), Keep::default());
            let outcome = outcome.expect("a scenario that can be run");
            // How much a clock drifts is a share of what the swarm allows.
            let dated = |outcome: &Outcome| -> Vec<Planned> {
                let faults = outcome.plan.faults().iter().cloned();
                let is_drift = |planned: &Planned| matches!(planned.fault, Fault::Drift { .. });
                faults.filter(|planned| !is_drift(planned)).collect()
            };
            assert_eq!(dated(&outcome), dated(&first), "without {edit}");
        }
    }
}

/// A beat, ten times a second each way, with the moment as its sender's clock has it.
type Beat = (u64, Pid);

async fn beating(ctx: Context<Beat>, own: &'static str, other: &'static str) {
    ctx.register("beats").expect("a free name");
    ctx.spawn_link(move |ctx: Context| async move {
        let mut asked = Duration::ZERO;
        for number in 0.. {
            let (now, wall) = (ctx.now().since(Time::ZERO), ctx.wall_clock());
            if own == "b" {
                ctx.observe("late", |late: &mut Duration| {
                    *late = (*late).max(now.saturating_sub(asked))
                });
                ctx.observe("wall", |ahead: &mut bool| {
                    *ahead |= wall - now != secs(1_704_067_200)
                });
            }
            Address::<Beat>::named(other, "beats").send_datagram((number, ctx.pid()));
            asked = ctx.now().since(Time::ZERO) + millis(100);
            ctx.sleep(millis(100)).await;
        }
    });
    let mut came: Vec<Beat> = Vec::new();
    loop {
        let beat = ctx.receive_message().await;
        ctx.observe("twice", |twice: &mut bool| *twice |= came.contains(&beat));
        let newest = came.iter().rev().find(|other| other.1 == beat.1);
        let overtaken = newest.is_some_and(|newest| newest.0 > beat.0);
        ctx.observe("overtaken", |over: &mut bool| *over |= overtaken);
        came.push(beat);
    }
}

fn two() -> Scenario {
    Scenario::new("two")
        .node("a", |ctx| beating(ctx, "a", "b"))
        .node("b", |ctx| beating(ctx, "b", "a"))
        .faults(Faults::chaos())
        .horizon(secs(20))
}

fn flag(view: &View, key: &str) -> bool {
    view.observed::<bool>(key) == Some(&true)
}

#[test]
fn a_failure_under_chaos_shrinks_to_the_one_fault_that_makes_it() {
    type Look = fn(&View) -> bool;
    let cases: [(&str, Look, &[&str]); 5] = [
        (
            "b never reboots",
            |view| view.boots("b") < 2,
            &["crash", "power-cut", "stop", "zombie"],
        ),
        (
            "the wall clock is right",
            |view| !flag(view, "wall"),
            &["clock-step"],
        ),
        (
            "nothing comes twice",
            |view| !flag(view, "twice"),
            &["duplicate"],
        ),
        (
            "nothing is overtaken",
            |view| !flag(view, "overtaken"),
            &["reorder", "pause"],
        ),
        (
            "b wakes in time",
            |view| {
                view.observed::<Duration>("late")
                    .is_none_or(|late| *late < secs(1))
            },
            &["pause"],
        ),
    ];
    for (name, look, causes) in cases {
        let scenario = two().always(name, look);
        let fails = |seed: &u64| scenario.run(*seed).expect("it runs").violation.is_some();
        let seed = (0..200).find(fails).expect("a seed that fails");
        let shrunk = shrink(&scenario, seed, Strategy::Time, SHRINK_TRIES).expect("less");
        let edits = &shrunk.tape.edits;
        let kinds: Vec<String> = edits.iter().map(|edit| edit.kind.to_string()).collect();
        // The fault; and that its kind is in the swarm of this run, where it is planned.
        assert!(kinds.len() <= 3, "{name}: {}", shrunk.tape);
        for edit in edits.iter().filter(|edit| edit.kind == Kind::Swarm) {
            assert!(
                edit.note.starts_with("the swarm of this run has "),
                "{edit}"
            );
        }
        assert!(
            kinds.iter().any(|kind| causes.contains(&kind.as_str())),
            "{name}: {}",
            shrunk.tape
        );
    }
}

/// The sites at which the order of what is due at one moment was drawn.
fn due_ranks(scenario: &Scenario) -> Vec<(String, u64)> {
    let keep = Keep {
        draws: true,
        ..Keep::default()
    };
    let outcome = scenario.run_with(Chance::Seed(1), keep);
    let outcome = outcome.expect("a scenario that can be run");
    let draws = outcome.draws.iter();
    let ranks = draws.filter(|draw| draw.site.kind == Kind::DueRank);
    let site = |draw: &Recorded| (outcome.lineages.text(draw.site.who), draw.site.nth);
    let mut sites: Vec<(String, u64)> = ranks.map(site).collect();
    sites.sort_unstable();
    sites
}

/// Connects to another node after a while.
async fn connecting(ctx: Context, after: Duration, to: &'static str) {
    ctx.sleep(after).await;
    ctx.connect(ctx.node_named(to).expect("a node"));
    ctx.sleep(secs(1)).await;
}

#[test]
fn what_is_over_at_one_moment_draws_its_order_where_nothing_earlier_moves_it() {
    // Two set-ups fail at one moment, and two pauses are over at another.
    let cluster = |faults| {
        Scenario::new("over")
            .node("a", |ctx| connecting(ctx, secs(1), "b"))
            .node("b", |_: Context| async {})
            .node("c", |ctx| connecting(ctx, secs(1), "d"))
            .node("d", |_: Context| async {})
            .faults(faults)
            .finally("it ends", |_| true)
            .horizon(secs(20))
            .quiet(secs(0))
    };
    let cut = Cut::one_way(["a", "c"], ["b", "d"]);
    let faults = Faults::calm()
        .at(millis(900), Fault::cut(cut, secs(30)))
        .at(secs(10), Fault::pause("a", secs(1)))
        .at(secs(10), Fault::pause("b", secs(1)));
    let ranks = due_ranks(&cluster(faults.clone()));
    // Both pauses begin, both are over, both set-ups are.
    assert_eq!(ranks.len(), 6, "{ranks:?}");
    let earlier = faults.at(millis(100), Fault::pause("d", millis(100)));
    let another = cluster(earlier).node("e", |ctx| connecting(ctx, millis(10), "d"));
    assert_eq!(due_ranks(&another), ranks);
}
