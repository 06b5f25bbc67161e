//! Strategies: what they choose is a tape like any other; they come to every order, and repeat.

#[path = "../laws/shapes.rs"]
mod shapes;

use netsplit::choice::{Base, Tape};
use netsplit::explore::{Options, SHRINK_TRIES, Strategy, shrink, sweep};
use netsplit::{Address, Chance, Context, Keep, Outcome, Scenario, millis, secs};
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
    Tape {
        scenario: scenario.name().to_owned(),
        seed: outcome.seed,
        base: Base::Calm,
        edits: outcome.deviations(),
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
fn in_a_crowd_the_tape_of_every_strategys_run_replays_to_the_same_digest() {
    the_tapes_replay(&shapes::crowd(), 10);
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

/// A message from each of three nodes to a fourth, over paths of 1 to 10 ms, and who was heard in which
/// order; `0` stands for the ear's own timer.
fn three_senders(nap: Option<u64>) -> Scenario {
    let mut scenario = Scenario::new("three").node("ear", move |ctx: Context<u32>| async move {
        ctx.register("ear").expect("a free name");
        if let Some(nap_ms) = nap {
            ctx.send_after(ctx.address(), 0, millis(nap_ms));
        }
        loop {
            let from = ctx.receive_message().await;
            ctx.observe("heard", |heard: &mut Vec<u32>| heard.push(from));
        }
    });
    for (number, name) in [(1u32, "one"), (2, "two"), (3, "three")] {
        scenario = scenario.node(name, move |_: Context| async move {
            Address::named("ear", "ear").send_datagram(number);
        });
    }
    scenario.horizon(secs(1))
}

/// In which orders three are heard, and how often.
fn orders(nap: Option<u64>, strategy: Strategy, seeds: u64) -> BTreeMap<Vec<u32>, u64> {
    use std::sync::{Arc, Mutex};
    let heard = Arc::new(Mutex::new(Vec::new()));
    let scenario = {
        let heard = heard.clone();
        three_senders(nap).finally("it is noted", move |view| {
            let order = view.observed::<Vec<u32>>("heard").cloned();
            *heard.lock().expect("one thread") = order.unwrap_or_default();
            true
        })
    };
    let mut orders = BTreeMap::new();
    for seed in 0..seeds {
        run(&scenario, strategy, seed);
        let order = std::mem::take(&mut *heard.lock().expect("one thread"));
        *orders.entry(order).or_default() += 1;
    }
    orders
}

#[test]
fn every_strategy_comes_to_every_order_of_three_messages() {
    for strategy in Strategy::ALL {
        let orders = orders(None, strategy, 100);
        assert_eq!(orders.len(), 6, "{strategy}: {orders:?}");
    }
}

#[test]
fn every_chooser_comes_to_every_order_of_three_messages_and_a_timer_that_fall_together() {
    for strategy in CHOOSERS {
        let orders = orders(Some(5), strategy, 1000);
        assert_eq!(orders.len(), 24, "{strategy}: {orders:?}");
    }
}

#[test]
fn a_timer_before_any_message_can_come_is_first_and_one_after_all_have_is_last() {
    for strategy in Strategy::ALL {
        let first = |(order, _): (&Vec<u32>, _)| order[0] == 0;
        let last = |(order, _): (&Vec<u32>, _)| order[3] == 0;
        assert!(orders(Some(1), strategy, 50).iter().all(first));
        assert!(orders(Some(11), strategy, 50).iter().all(last));
    }
}

#[test]
fn messages_that_are_alike_come_in_any_order_alike() {
    for strategy in CHOOSERS {
        let orders = orders(None, strategy, 3000);
        let as_likely = |count: &u64| (420..580).contains(count);
        assert!(orders.values().all(as_likely), "{strategy}: {orders:?}");
    }
}

#[test]
fn a_timer_comes_before_a_message_as_often_as_its_weight_says() {
    // One of each is open: the timer is first with w / (1 + w), and the mean of that over the weights of
    // runs, w = 10^U(-2, 0.3), is ln((1 + 2) / (1 + 0.01)) / (2.3 ln 10) = 0.206.
    let scenario = |name: &str| {
        Scenario::new(name)
            .node("ear", |ctx: Context<u32>| async move {
                ctx.register("ear").expect("a free name");
                ctx.send_after(ctx.address(), 0, millis(5));
                let first = ctx.receive_message().await;
                ctx.observe("first", |noted: &mut u32| *noted = first);
            })
            .node("mouth", |_: Context| async move {
                Address::named("ear", "ear").send_datagram(1u32);
            })
            .finally("the message is first", |view| {
                view.observed("first") == Some(&1u32)
            })
            .horizon(secs(1))
    };
    for strategy in CHOOSERS {
        let options = Options {
            seeds: 0..4000,
            strategy,
            keep_going: true,
            ..Options::default()
        };
        let report = sweep(&scenario("race"), &options, &mut |_| {}).unwrap();
        let timer_first = report.violations.len();
        assert!(
            (720..930).contains(&timer_first),
            "{strategy}: {timer_first}"
        );
    }
}

#[test]
fn a_seed_and_a_strategy_give_one_run_and_another_of_either_gives_another() {
    let star = shapes::star();
    let mut digests = BTreeSet::new();
    for strategy in [Strategy::Time, Strategy::Walk, Strategy::Pos, Strategy::Pct] {
        for seed in 0..10 {
            let digest = run(&star, strategy, seed).digest;
            assert_eq!(run(&star, strategy, seed).digest, digest);
            assert!(
                digests.insert(digest.to_string()),
                "{strategy}, seed {seed}"
            );
        }
    }
}

#[test]
fn a_swarm_is_made_of_all_the_others() {
    let star = shapes::star();
    let mut came = BTreeMap::new();
    for seed in 0..100 {
        let digest = |strategy| run(&star, strategy, seed).digest;
        let swarm = digest(Strategy::Swarm);
        // The coin is drawn of the stream of which what follows is drawn too: only time has no such draws.
        let kind = if swarm == digest(Strategy::Time) {
            "time"
        } else {
            "chosen"
        };
        *came.entry(kind).or_insert(0) += 1;
    }
    assert!((12..40).contains(&came["time"]), "{came:?}");
}

#[test]
fn whatever_is_kept_of_a_strategys_run_changes_nothing() {
    for strategy in CHOOSERS {
        for seed in 0..5 {
            let family = shapes::family();
            let keep = |log, draws| Keep {
                log,
                draws,
                payloads: false,
            };
            let digest = |keep| family.run_with(strategy.chance(seed), keep).unwrap().digest;
            let plain = digest(keep(false, false));
            assert_eq!(digest(keep(true, false)), plain, "{strategy}, seed {seed}");
            assert_eq!(digest(keep(true, true)), plain, "{strategy}, seed {seed}");
        }
    }
}

#[test]
fn how_many_threads_sweep_changes_no_result_of_a_strategy() {
    let in_order = |scenario: Scenario| {
        scenario.finally("one, two, three", |view| {
            view.observed::<Vec<u32>>("heard") == Some(&vec![1, 2, 3])
        })
    };
    for strategy in Strategy::ALL {
        let found = |jobs| {
            let options = Options {
                seeds: 0..200,
                strategy,
                jobs,
                keep_going: true,
                check_determinism: true,
            };
            let report = sweep(&in_order(three_senders(None)), &options, &mut |_| {}).unwrap();
            assert!(report.trouble.is_none(), "{:?}", report.trouble);
            report.violations
        };
        assert_eq!(found(1), found(4), "{strategy}");
    }
}

#[test]
fn what_a_strategy_found_shrinks_to_the_draws_that_it_needs() {
    let scenario = three_senders(None).finally("three is not first", |view| {
        view.observed::<Vec<u32>>("heard")
            .is_none_or(|heard| heard[0] != 3)
    });
    for strategy in CHOOSERS {
        let fails = |seed: &u64| run(&scenario, strategy, *seed).violation.is_some();
        let seed = (0..100).find(fails).expect("a seed that fails");
        let shrunk = shrink(&scenario, seed, strategy, SHRINK_TRIES).unwrap();
        // The other two messages are late, or they wait together with it and its rank is the least.
        assert!(shrunk.tape.edits.len() <= 2, "{}", shrunk.tape);
        let again = scenario.run_with(Chance::Tape(shrunk.tape), DRAWS).unwrap();
        assert_eq!(again.violation.unwrap().property, "three is not first");
    }
}
