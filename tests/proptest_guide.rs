//! A scenario inside `proptest!`: the code of `docs/guide/proptest.md`, and what it does to a defect.

use netsplit::sim::{Chance, Keep};
use netsplit::{Address, Context, Faults, ReplyTo, Scenario, millis, report, secs};
use proptest::prelude::*;
use proptest::test_runner::{
    FileFailurePersistence, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner,
};
use std::collections::BTreeSet;

// What follows up to the next line of this sort stands in the guide.
// --- guide: the scenario
/// A deposit: its number, the amount, and a place for the answer.
type Deposit = (u64, u64, ReplyTo<()>);

/// A bank that takes every deposit once, and a customer who repeats each until it is answered.
fn bank(deposits: &[u64], lose_percent: u32, remembers: bool) -> Scenario {
    let (deposits, sum) = (deposits.to_vec(), deposits.iter().sum::<u64>());
    Scenario::new("bank")
        .node("bank", move |ctx: Context<Deposit>| async move {
            ctx.register("account").expect("a free name");
            let mut known = BTreeSet::new();
            loop {
                let (number, amount, reply_to) = ctx.receive_message().await;
                if known.insert(number) || !remembers {
                    ctx.observe("balance", |balance: &mut u64| *balance += amount);
                }
                reply_to.reply(());
            }
        })
        .client("customer", move |_: Context| {
            let deposits = deposits.clone();
            async move {
                let account = Address::<Deposit>::named("bank", "account");
                for (number, amount) in (0..).zip(deposits) {
                    let deposit = |reply_to| (number, amount, reply_to);
                    while account.call(deposit, millis(50)).await.is_err() {}
                }
            }
        })
        .faults(Faults::calm().lose(f64::from(lose_percent) / 100.0))
        .finally("every deposit counts once", move |view| {
            view.observed("balance").copied().unwrap_or(0) == sum
        })
        .horizon(secs(600))
}

/// Runs ten seeds from `seed` on: a run costs little, and a case of proptest much.
fn counts_once(scenario: &Scenario, seed: u64) -> Result<(), TestCaseError> {
    for seed in (0..10).map(|nth| seed.wrapping_add(nth)) {
        let outcome = scenario.run(seed).expect("a scenario that can be run");
        prop_assert!(outcome.is_ok(), "seed {}: {:?}", seed, outcome.violation);
    }
    Ok(())
}
// --- guide: the test
fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: 64,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn every_deposit_counts_once(
        deposits in prop::collection::vec(1u64..100, 0..8),
        lose_percent in 0u32..20,
        seed in any::<u64>().no_shrink(),
    ) {
        counts_once(&bank(&deposits, lose_percent, true), seed)?;
    }
}
// --- guide: the story
/// What happened in a run, a line an event.
fn story(scenario: &Scenario, seed: u64) -> Vec<String> {
    let keep = Keep {
        log: true,
        ..Keep::default()
    };
    let outcome = scenario
        .run_with(Chance::Seed(seed), keep)
        .expect("a good scenario");
    report::trace::lines(&outcome.log.unwrap_or_default(), &outcome.names)
}
// --- guide: the end

const THIS: &str = include_str!("proptest_guide.rs");
const GUIDE: &str = include_str!("../docs/guide/proptest.md");

/// The text between the marks with these titles.
fn between<'a>(from: &str, to: &str) -> &'a str {
    let mark = |title: &str| format!("// --- guide: {title}\n");
    let (_, after) = THIS.split_once(&mark(from)).expect("where it begins");
    after.split_once(&mark(to)).expect("where it ends").0
}

#[test]
fn the_guide_shows_the_code_that_is_tested() {
    for (from, to) in [
        ("the scenario", "the test"),
        ("the test", "the story"),
        ("the story", "the end"),
    ] {
        let block = format!("```rust\n{}```\n", between(from, to));
        assert!(
            GUIDE.contains(&block),
            "docs/guide/proptest.md should hold:\n{block}"
        );
    }
}

/// What proptest drew, or shrank to.
type Input = (Vec<u64>, u32, u64);

/// Holds the forgetful bank against so many new cases, and those in `file`.
fn find_the_defect(cases: u32, file: &'static str) -> Result<(), TestError<Input>> {
    let config = ProptestConfig {
        cases,
        max_shrink_iters: 1_024,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(file))),
        ..ProptestConfig::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let deposits = prop::collection::vec(1u64..100, 0..8);
    let input = (deposits, 0u32..20, any::<u64>().no_shrink());
    TestRunner::new_with_rng(config, rng).run(&input, |(deposits, lose_percent, seed)| {
        counts_once(&bank(&deposits, lose_percent, false), seed)
    })
}

#[test]
fn a_planted_defect_is_found_shrunk_and_persisted() {
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/forgetful_bank.regressions");
    let _ = std::fs::remove_file(file);
    let Err(TestError::Fail(why, minimal)) = find_the_defect(64, file) else {
        panic!("a bank that forgets was not found");
    };
    assert!(why.message().contains("every deposit counts once"), "{why}");
    let (deposits, lose_percent, seed) = &minimal;
    assert_eq!(deposits, &[1], "one deposit of the least amount is enough");
    assert!(
        (1..20).contains(lose_percent),
        "it takes a late answer: {lose_percent}"
    );

    let twice = (0..10).any(|nth| {
        let bank = bank(deposits, *lose_percent, false);
        let story = story(&bank, seed.wrapping_add(nth));
        let takes = |line: &&String| line.contains("<bank.0.0> account  takes ");
        story.iter().filter(takes).count() == 2
    });
    assert!(twice, "the story shows the deposit taken twice");

    let kept = std::fs::read_to_string(file).expect("a file of regressions");
    assert!(kept.lines().any(|line| line.starts_with("cc ")), "{kept}");
    // No new case: only the one that was kept, which fails in the same way.
    let Err(TestError::Fail(_, again)) = find_the_defect(0, file) else {
        panic!("the case that was kept did not fail");
    };
    assert_eq!(again, minimal);
}
