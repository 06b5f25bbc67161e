//! A real database on the simulated disk: what redb has committed is there after every reboot.

use netsplit::mail::{Batch, RedbStore, Store, StoreError, Table};
use netsplit::{
    Address, Context, ExitReason, Faults, Flow, GenServer, Refusal, Scenario, Server, Supervisor,
    View, child, millis, secs,
};
use std::collections::BTreeMap;

const ROWS: Table = Table("rows");
const COUNTS: Table = Table("counts");
const PATH: &str = "ledger/store.redb";

/// What is known of the store outside of the world.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The last batch of which `commit` has said that it is durable.
    committed: u64,
    /// The last that was begun.
    begun: u64,
    /// How often it was opened, and found to be as it should.
    opened: u64,
    /// What was wrong.
    wrong: Option<String>,
}

/// The rows of a batch, by its number: of lengths that cross pages and sectors.
fn rows(batch: u64) -> impl Iterator<Item = ([u8; 16], Vec<u8>)> {
    (0..1 + batch % 5).map(move |row| {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&batch.to_be_bytes());
        key[8..].copy_from_slice(&row.to_be_bytes());
        let len = (batch * 37 + row * 411) % 1500;
        (key, vec![(batch ^ row) as u8; len as usize])
    })
}

fn batch(number: u64) -> Batch {
    let mut batch = Batch::new();
    for (key, value) in rows(number) {
        batch.put(ROWS, key, value);
    }
    // Some rows of earlier batches go.
    if let Some(old) = number.checked_sub(7) {
        for (key, _) in rows(old) {
            batch.remove(ROWS, key);
        }
    }
    batch.put(COUNTS, *b"last", number.to_be_bytes());
    batch
}

/// What the store holds after so many batches.
fn expected(batches: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let first = batches.saturating_sub(6).max(1);
    let all = (first..=batches).flat_map(rows);
    all.map(|(key, value)| (key.to_vec(), value)).collect()
}

fn last(store: &RedbStore) -> Result<u64, StoreError> {
    let last = store.get(COUNTS, b"last")?;
    Ok(last.map_or(0, |bytes| {
        u64::from_be_bytes(bytes.try_into().expect("eight bytes"))
    }))
}

fn held(store: &RedbStore) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StoreError> {
    let mut held = BTreeMap::new();
    let (least, greatest): (&[u8], &[u8]) = (&[], &[0xFF; 16]);
    store.scan(ROWS, least..=greatest, &mut |key, value| {
        held.insert(key.to_vec(), value.to_vec());
        true
    })?;
    Ok(held)
}

fn note(ctx: &Context, change: impl FnOnce(&mut Known) + 'static) {
    ctx.observe("known", change);
}

/// Opens the store, and looks whether it is as it must be: all batches up to one that is not older than
/// the last that was committed, whole, and nothing else.
fn open(ctx: &Context) -> Result<(RedbStore, u64), StoreError> {
    let store = RedbStore::open(ctx.files(), PATH)?;
    let (last, held) = (last(&store)?, held(&store)?);
    note(ctx, move |known| {
        known.opened += 1;
        let Known {
            committed, begun, ..
        } = *known;
        if last < committed {
            known.wrong = Some(format!(
                "{committed} batches were committed, {last} are there"
            ));
        } else if last > begun {
            known.wrong = Some(format!("{begun} batches were begun, {last} are there"));
        } else if held != expected(last) {
            known.wrong = Some(format!("after {last} batches the rows are others"));
        }
    });
    Ok((store, last))
}

/// Commits batch after batch, each at once, and notes which are durable.
async fn ledger(ctx: Context) -> Result<(), ExitReason> {
    let (mut store, last) = open(&ctx).map_err(|error| {
        let what = error.to_string();
        note(&ctx, |known| known.wrong = Some(what));
        ExitReason::error(error)
    })?;
    ctx.count("opened");
    for number in last + 1.. {
        note(&ctx, move |known| known.begun = number);
        store.commit(&batch(number)).map_err(ExitReason::error)?;
        note(&ctx, move |known| known.committed = number);
        ctx.sleep(millis(20)).await;
    }
    Ok(())
}

fn scenario(faults: Faults) -> Scenario {
    Scenario::new("ledger")
        .node("house", ledger)
        .faults(faults)
        .always("what was committed is there", |view: &View| {
            let known = view.observed::<Known>("known");
            known
                .and_then(|known| known.wrong.clone())
                .map_or(Ok(()), Err)
        })
        .finally("it has committed and opened", |view: &View| {
            let known = view.observed::<Known>("known");
            known.is_some_and(|known| known.committed > 3 && known.opened > 0)
        })
        .horizon(secs(4))
        .quiet(secs(2))
}

/// Crashes inside of commits and between them, and losses of power.
fn crashes() -> Faults {
    Faults::calm()
        .crash(secs(1), millis(5))
        .crash_calls(200)
        .power_cut(secs(1), millis(5))
}

fn seeds(scenario: &Scenario, seeds: std::ops::Range<u64>) -> u64 {
    let mut opened = 0;
    for seed in seeds {
        let outcome = scenario.run(seed).expect("a scenario that can run");
        let violation = outcome.violation.as_ref();
        assert!(
            outcome.is_ok(),
            "seed {seed}: {violation:?} {:?}",
            outcome.error
        );
        opened += outcome.counters.get("opened").copied().unwrap_or(0);
    }
    opened
}

#[test]
fn redb_has_what_it_committed_after_every_crash_and_loss_of_power() {
    let opened = seeds(&scenario(crashes()), 0..100);
    assert!(opened > 300, "opened {opened} times");
}

#[test]
fn one_seed_gives_one_digest_with_a_database_too() {
    let scenario = scenario(crashes());
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
