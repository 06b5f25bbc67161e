//! A real database on the simulated disk: what redb has committed is there after every reboot.

mod bad_input;
mod ledger;
mod mutants;

use ledger::{Open, PATH, crashes, failing, scenario};
use netsplit::mail::{RedbStore, Store};
use netsplit::{
    Address, Context, Flow, GenServer, Refusal, Scenario, Server, Supervisor, Violation, child,
    millis, secs,
};

const REDB: Open = |files, path| {
    let store = RedbStore::open(files, path)?;
    Ok(Box::new(store) as Box<dyn Store>)
};

/// What came of some runs that all hold: how often the store was opened, and how often the disk failed it.
fn hold(scenario: &Scenario, seeds: u64) -> [u64; 2] {
    let mut counted = [0; 2];
    for seed in 0..seeds {
        let outcome = scenario.run(seed).expect("a scenario that can run");
        let violation = outcome.violation.as_ref();
        assert!(
            outcome.is_ok(),
            "seed {seed}: {violation:?} {:?}",
            outcome.error
        );
        for (count, name) in counted.iter_mut().zip(["opened", "failed"]) {
            *count += outcome.counters.get(name).copied().unwrap_or(0);
        }
    }
    counted
}

/// The first violation in so many seeds.
fn found(scenario: &Scenario, seeds: u64) -> Option<(u64, Violation)> {
    (0..seeds).find_map(|seed| {
        let outcome = scenario.run(seed).expect("a scenario that can run");
        Some((seed, outcome.violation?))
    })
}

#[test]
fn redb_has_what_it_committed_after_every_crash_and_loss_of_power() {
    let [opened, failed] = hold(&scenario(REDB, crashes()), 100);
    assert!(opened > 300 && failed == 0, "opened {opened} times");
}

#[test]
fn redb_has_what_it_committed_on_a_disk_that_fails_and_crashes() {
    let [opened, failed] = hold(&scenario(REDB, failing()), 100);
    assert!(opened > 600 && failed > 300, "{opened} {failed}");
}

#[test]
fn one_seed_gives_one_digest_with_a_database_too() {
    let scenario = scenario(REDB, failing());
    for seed in 0..5 {
        let digests = [(); 2].map(|()| scenario.run(seed).expect("it can run").digest);
        assert_eq!(digests[0], digests[1]);
    }
}

/// A server that has a store open, and panics when it is told.
struct Shelf {
    _store: RedbStore,
}

impl GenServer for Shelf {
    type Args = ();
    type Message = ();

    async fn init((): (), ctx: &mut Context<()>) -> Result<Shelf, Refusal> {
        let _store = RedbStore::open(ctx.files(), PATH)?;
        Ok(Shelf { _store })
    }

    async fn handle(&mut self, (): (), _: &mut Context<()>) -> Flow {
        panic!("as it was told")
    }
}

#[test]
fn a_store_can_be_opened_again_when_its_process_has_panicked_or_was_killed() {
    let scenario = Scenario::new("shelf").script(|sim| {
        sim.node("house", |ctx| {
            let shelf = || Server::<Shelf>::with(()).name("shelf");
            let tree = Supervisor::one_for_one().intensity(2, secs(60));
            tree.child(child("shelf", shelf)).run(ctx)
        });
        sim.client("tester", |ctx: Context| async move {
            ctx.sleep(secs(1)).await;
            Address::named("house", "shelf").send(());
        });
        let mut before = None;
        for boot in 0..3 {
            sim.run_for(millis(700));
            let now = sim.view(|view| view.whereis("house", "shelf"));
            assert!(now.is_some() && now != before, "boot {boot}");
            before = now;
            if boot == 1 {
                sim.kill("house", "shelf");
            }
        }
    });
    let outcome = scenario.run(1).expect("it can run");
    assert!(
        outcome.is_ok(),
        "{:?} {:?}",
        outcome.violation,
        outcome.error
    );
}
