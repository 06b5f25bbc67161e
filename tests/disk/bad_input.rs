//! Stores that cannot be opened, or not be written: damaged, of another program, newer, locked, on a full
//! disk.

use crate::mutants::Backend;
use netsplit::mail::{Batch, RedbStore, Store, StoreError, Table};
use netsplit::trace::DiskFault;
use netsplit::{Context, Fault, Faults, Scenario, Sim, millis, secs};
use redb::{Builder, TableDefinition};
use std::cell::RefCell;
use std::collections::BTreeMap;

const ROWS: Table = Table("rows");
/// How often a store is damaged anew.
const TURNS: u32 = 500;
const PATH: &str = "mail/box.redb";

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn rows(store: &dyn Store) -> Result<Rows, StoreError> {
    let mut rows = Rows::new();
    let (least, greatest): (&[u8], &[u8]) = (&[], &[0xFF; 16]);
    store.scan(ROWS, least..=greatest, &mut |key, value| {
        rows.insert(key.to_vec(), value.to_vec());
        true
    })?;
    Ok(rows)
}

fn put(store: &mut dyn Store, number: u64) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    for row in 0..10 {
        let value = vec![number as u8; 40 * (row as usize + 1)];
        batch.put(ROWS, (number * 10 + row).to_be_bytes(), value);
    }
    store.commit(&batch)
}

/// A client that does this; a panic of it fails the test.
fn alone<F: Future<Output = ()> + 'static>(
    seed: u64,
    work: impl Fn(Context) -> F + Send + Sync + 'static,
) {
    let scenario = Scenario::new("bad input")
        .client("desk", work)
        .finally("it ends", |view| view.counter("done") == 1)
        .horizon(secs(3_600));
    let outcome = scenario.run(seed).expect("it can be run");
    assert!(
        outcome.is_ok(),
        "{:?} {:?}",
        outcome.violation,
        outcome.error
    );
}

/// The bytes of a store with some rows; in order closed, or as a crash leaves it.
async fn made(ctx: &Context, is_closed: bool) -> (Vec<u8>, Rows) {
    let mut store = RedbStore::open(ctx.files(), PATH).expect("a new store");
    for number in 0..20 {
        put(&mut store, number).expect("room");
    }
    let held = rows(&store).expect("rows");
    if is_closed {
        drop(store);
    }
    let file = ctx.files().open(PATH).await.expect("it is there");
    let bytes = file.read_at(0, file.len().await.expect("a length") as usize);
    (bytes.await.expect("bytes"), held)
}

/// A file of these bytes.
async fn lay(ctx: &Context, path: &str, bytes: &[u8]) {
    let file = ctx.files().create(path).await.expect("room");
    file.truncate(0).await.expect("room");
    file.write_at(0, bytes).await.expect("room");
    file.sync().await.expect("a sync");
}

/// What came of opening a damaged store, reading all of it and writing to it.
fn tried(ctx: &Context, path: &str) -> Result<Rows, StoreError> {
    let mut store = RedbStore::open(ctx.files(), path)?;
    let held = rows(&store)?;
    put(&mut store, 99)?;
    Ok(held)
}

/// One of the ways in which a file of these bytes can be damaged, drawn.
fn damaged(ctx: &Context, bytes: &[u8]) -> Vec<u8> {
    let below = |n: usize| ctx.random_below(n as u64) as usize;
    let mut damaged = bytes.to_vec();
    let used = |damaged: &[u8]| loop {
        let at = below(bytes.len());
        if damaged[at] != 0 {
            return at;
        }
    };
    let (from, to) = (used(bytes) / 512 * 512, used(bytes) / 512 * 512);
    match below(8) {
        0 => damaged[below(512)] ^= 1 << below(8),
        1 => damaged[below(bytes.len())] ^= 1 << below(8),
        2 | 3 => {
            for _ in 0..1 + below(3) {
                let at = used(&damaged);
                damaged[at] ^= 1 << below(8);
            }
        }
        // A write that went astray.
        4 => damaged.copy_within(from..from + 512, to),
        5 => damaged[from..from + 512].fill(0),
        6 => damaged.truncate(below(bytes.len())),
        _ => {
            let run = &mut damaged[from..from + 1 + below(512)];
            run.iter_mut().for_each(|byte| *byte = below(256) as u8);
        }
    }
    damaged
}

#[test]
fn a_damaged_store_is_refused_or_has_all_that_was_committed() {
    for (seed, is_closed) in [(1, true), (2, false)] {
        alone(seed, move |ctx: Context| async move {
            let (bytes, held) = made(&ctx, is_closed).await;
            let before: Rows = held.clone().into_iter().take(190).collect();
            let (mut refused, mut good, mut older) = (0, 0, 0);
            for _ in 0..TURNS {
                lay(&ctx, "damaged", &damaged(&ctx, &bytes)).await;
                match tried(&ctx, "damaged") {
                    Ok(found) if found == held => good += 1,
                    // After a crash nobody can tell the last commit, damaged, from one that was torn.
                    Ok(found) => {
                        assert!(!is_closed && found == before);
                        older += 1;
                    }
                    Err(StoreError::Damaged { store, detail }) => {
                        assert!(store == "damaged" && !detail.is_empty());
                        refused += 1;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            assert!(refused > TURNS / 4 && good > TURNS / 4, "{refused} {good}");
            assert!(is_closed || older > 0);
            ctx.count("done");
        });
    }
}

/// What a client ended with: whether all its rows were there, or what its store said.
fn ended(
    faults: Faults,
    seed: u64,
    work: impl AsyncFn(&Context) -> Result<bool, StoreError> + Copy + Send + Sync + 'static,
) -> Result<bool, StoreError> {
    let scenario = Scenario::new("bad input")
        .client("desk", move |ctx: Context| async move {
            let result = work(&ctx).await;
            ctx.observe("ended", |ended: &mut Option<_>| *ended = Some(result));
        })
        .faults(faults)
        .finally("it ends", |view| {
            let ended = view.observed::<Option<Result<bool, StoreError>>>("ended");
            LAST.set(ended.cloned().flatten());
            true
        });
    let outcome = scenario.run(seed).expect("it can be run");
    assert!(
        outcome.is_ok(),
        "{:?} {:?}",
        outcome.violation,
        outcome.error
    );
    LAST.take().expect("it has ended")
}

thread_local! {
    static LAST: RefCell<Option<Result<bool, StoreError>>> = RefCell::default();
}

/// Opens a store anew again and again after half a second, and looks whether its rows are there.
async fn reopens(ctx: &Context) -> Result<bool, StoreError> {
    let (_, held) = made(ctx, true).await;
    ctx.sleep(millis(500)).await;
    ctx.sleep(millis(10)).await;
    for _ in 0..3 {
        let found = tried(ctx, PATH)?;
        let is_there = |(key, value): (&Vec<u8>, &Vec<u8>)| found.get(key) == Some(value);
        if !held.iter().all(is_there) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[test]
fn a_bit_that_rots_under_a_running_store_is_damage_or_changes_nothing() {
    for fault in [DiskFault::Rot, DiskFault::Misdirect] {
        let (mut refused, mut good) = (0, 0);
        for nth in 1..60 {
            let strikes = Faults::calm().at(millis(500), Fault::file("desk", PATH, fault, nth));
            match ended(strikes, nth.into(), reopens) {
                Ok(is_whole) => {
                    assert!(is_whole, "{fault}, number {nth}");
                    good += 1;
                }
                Err(StoreError::Damaged { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(refused > 5 && good > 5, "{fault}: {refused} {good}");
    }
}

#[test]
fn what_is_no_store_is_refused_and_left_as_it_is() {
    alone(3, |ctx: Context| async move {
        let garbage = |ctx: &Context, len: usize| -> Vec<u8> {
            (0..len).map(|_| ctx.random_below(256) as u8).collect()
        };
        for len in [1, 8, 9, 511, 512, 4096, 70_000] {
            let bytes = garbage(&ctx, len);
            lay(&ctx, "notes.txt", &bytes).await;
            let error = RedbStore::open(ctx.files(), "notes.txt").expect_err("it is no store");
            assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
            let said = error.to_string();
            assert!(
                said.contains("notes.txt") && said.contains("restore it"),
                "{said}"
            );
            let file = ctx.files().open("notes.txt").await.expect("it is there");
            assert_eq!(file.read_at(0, len).await.expect("bytes"), bytes);
        }
        // An empty file is what somebody has begun to make.
        lay(&ctx, "empty", b"").await;
        let mut store = RedbStore::open(ctx.files(), "empty").expect("a new store");
        put(&mut store, 1).expect("room");
        drop(store);
        let store = RedbStore::open(ctx.files(), "empty").expect("a store");
        assert_eq!(rows(&store).expect("rows").len(), 10);
        ctx.count("done");
    });
}

/// A database with this in it, made by redb alone.
fn database(ctx: &Context, path: &str, version: Option<u32>) {
    const ABOUT: TableDefinition<'_, &str, u32> = TableDefinition::new("netsplit");
    let file = ctx.files().open_blocking(path, true).expect("room");
    let database = Builder::new().create_with_backend(Backend::honest(file));
    let database = database.expect("a new database");
    let transaction = database.begin_write().expect("it can be written");
    if let Some(version) = version {
        let mut about = transaction.open_table(ABOUT).expect("a table");
        about.insert("version", version).expect("room");
    }
    transaction.commit().expect("it is there");
}

#[test]
fn a_store_of_a_newer_version_or_of_another_program_is_refused_as_that() {
    alone(4, |ctx: Context| async move {
        database(&ctx, "newer", Some(7));
        let error = RedbStore::open(ctx.files(), "newer").expect_err("it is newer");
        let (found, known) = (7, 1);
        let store = "newer".to_owned();
        assert_eq!(
            error,
            StoreError::Newer {
                store,
                found,
                known
            }
        );
        assert!(error.to_string().contains("version 7"), "{error}");
        database(&ctx, "other", None);
        let error = RedbStore::open(ctx.files(), "other").expect_err("it is another's");
        assert!(error.to_string().contains("another program"), "{error}");
        ctx.count("done");
    });
}

#[test]
fn a_store_that_is_open_is_locked_until_it_is_closed() {
    alone(5, |ctx: Context| async move {
        let store = RedbStore::open(ctx.files(), PATH).expect("a new store");
        let error = RedbStore::open(ctx.files(), PATH).expect_err("it is open");
        assert_eq!(error, StoreError::Locked(PATH.to_owned()));
        assert!(
            error.to_string().contains("close it there first"),
            "{error}"
        );
        drop(store);
        RedbStore::open(ctx.files(), PATH).expect("it is closed");
        ctx.count("done");
    });
}

/// What a script does with the disk of a process that waits to be told.
fn on_a_disk(
    befalls: impl Fn(&mut Sim<'_, '_>) + Send + Sync + 'static,
    ends: impl Fn(&mut Sim<'_, '_>) + Send + Sync + 'static,
    expects: fn(&StoreError) -> bool,
) {
    let scenario = Scenario::new("on a disk").script(move |sim| {
        sim.client("desk", move |ctx: Context| async move {
            let mut store = RedbStore::open(ctx.files(), PATH).expect("a new store");
            put(&mut store, 1).expect("room");
            ctx.sleep(secs(2)).await;
            // Two that are not there yet, and one that is.
            for path in ["another", "one-more", PATH] {
                match RedbStore::open(ctx.files(), path) {
                    Err(StoreError::Locked(_)) if path == PATH => {}
                    Err(error) => assert!(expects(&error), "{path}: {error}"),
                    Ok(_) => panic!("{path}: it opens"),
                }
            }
            let error = (2..1_000).find_map(|number| put(&mut store, number).err());
            let error = error.expect("it ends somewhere");
            assert!(expects(&error), "{error}");
            drop(store);
            ctx.sleep(secs(2)).await;
            let mut store = RedbStore::open(ctx.files(), PATH).expect("as before");
            let held = rows(&store).expect("rows");
            assert!(
                held.len() >= 10 && held.len().is_multiple_of(10),
                "{}",
                held.len()
            );
            put(&mut store, 1_000).expect("room");
            RedbStore::open(ctx.files(), "another").expect("a new store");
            ctx.count("done");
        });
        sim.run_for(secs(1));
        befalls(sim);
        sim.run_for(secs(2));
        ends(sim);
        sim.run_for(secs(5));
        assert_eq!(sim.view(|view| view.counter("done")), 1);
    });
    for seed in 0..5 {
        let outcome = scenario.run(seed).expect("it can be run");
        assert!(
            outcome.is_ok(),
            "{:?} {:?}",
            outcome.violation,
            outcome.error
        );
    }
}

#[test]
fn on_a_full_disk_a_store_says_so_at_opening_and_at_commit_and_has_what_it_had() {
    let is_full = |error: &StoreError| {
        let said = error.to_string();
        matches!(error, StoreError::Full(_)) && said.contains("make room")
    };
    on_a_disk(
        |sim| sim.fill_disk("desk"),
        |sim| sim.mend_disk("desk"),
        is_full,
    );
}

#[test]
fn a_store_on_a_disk_that_hangs_answers_when_that_goes_on() {
    let scenario = Scenario::new("hangs").script(|sim| {
        sim.client("desk", |ctx: Context| async move {
            let mut store = RedbStore::open(ctx.files(), PATH).expect("a new store");
            ctx.sleep(secs(2)).await;
            put(&mut store, 1).expect("it is only late");
            ctx.sleep(millis(1)).await;
            assert!(ctx.now() >= netsplit::Time::ZERO + secs(3));
            ctx.count("done");
        });
        sim.run_for(secs(1));
        sim.hang_disk("desk");
        sim.run_for(secs(2));
        assert_eq!(sim.view(|view| view.counter("done")), 0);
        sim.mend_disk("desk");
        sim.run_for(secs(1));
        assert_eq!(sim.view(|view| view.counter("done")), 1);
    });
    let outcome = scenario.run(1).expect("it can be run");
    assert!(
        outcome.is_ok(),
        "{:?} {:?}",
        outcome.violation,
        outcome.error
    );
}

#[test]
fn a_store_that_cannot_be_written_says_that_the_disk_failed_and_has_what_it_had() {
    async fn works(ctx: &Context) -> Result<bool, StoreError> {
        let (_, held) = made(ctx, true).await;
        ctx.sleep(millis(500)).await;
        ctx.sleep(millis(10)).await;
        let failed = tried(ctx, PATH);
        let Err(StoreError::Disk { store, detail }) = &failed else {
            return failed.map(|_| false);
        };
        assert!(
            store == PATH && detail.contains("the disk failed"),
            "{detail}"
        );
        let found = tried(ctx, PATH)?;
        Ok(held
            .iter()
            .all(|(key, value)| found.get(key) == Some(value)))
    }
    for (fault, most) in [
        (DiskFault::WriteError, 6),
        (DiskFault::SyncError, 4),
        (DiskFault::ReadError, 10),
    ] {
        for nth in 1..=most {
            let strikes = Faults::calm().at(millis(500), Fault::file("desk", PATH, fault, nth));
            let ended = ended(strikes, 1, works);
            assert_eq!(ended, Ok(true), "{fault}, number {nth}");
        }
    }
}
