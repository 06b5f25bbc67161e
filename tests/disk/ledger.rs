//! A ledger on a store in a file: it commits batch after batch, notes which are durable, and looks at each
//! opening whether the store is as it must be.
//!
//! The benches run it as well.

use netsplit::mail::{Batch, Store, StoreError, Table};
use netsplit::process::Files;
use netsplit::trace::DiskFault;
use netsplit::{Context, Faults, Scenario, View, millis, secs};
use std::collections::BTreeMap;

const ROWS: Table = Table("rows");
const COUNTS: Table = Table("counts");
pub(crate) const PATH: &str = "ledger/store.redb";

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

fn last(store: &dyn Store) -> Result<u64, StoreError> {
    let last = store.get(COUNTS, b"last")?;
    Ok(last.map_or(0, |bytes| {
        u64::from_be_bytes(bytes.try_into().expect("eight bytes"))
    }))
}

fn held(store: &dyn Store) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StoreError> {
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

/// How the ledger opens its store.
pub(crate) type Open = fn(Files, &str) -> Result<Box<dyn Store>, StoreError>;

/// Opens the store, and looks whether it is as it must be: all batches up to one that is not older than
/// the last that was committed, whole, and nothing else.
fn open(ctx: &Context, how: Open) -> Result<(Box<dyn Store>, u64), StoreError> {
    let store = how(ctx.files(), PATH)?;
    let (last, held) = (last(&*store)?, held(&*store)?);
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
    ctx.count("opened");
    Ok((store, last))
}

/// Commits batch after batch, each at once, and notes which are durable. Where the disk fails it opens the
/// store anew.
async fn ledger(ctx: Context, how: Open) {
    loop {
        let failed = match open(&ctx, how) {
            Ok((mut store, last)) => commit_all(&ctx, &mut *store, last).await,
            Err(failed) => failed,
        };
        match failed {
            StoreError::Disk { .. } | StoreError::Full(_) => ctx.count("failed"),
            other => note(&ctx, move |known| known.wrong = Some(other.to_string())),
        }
        ctx.sleep(millis(20)).await;
    }
}

/// Commits until that fails.
async fn commit_all(ctx: &Context, store: &mut dyn Store, last: u64) -> StoreError {
    for number in last + 1.. {
        note(ctx, move |known| known.begun = known.begun.max(number));
        if let Err(failed) = store.commit(&batch(number)) {
            return failed;
        }
        note(ctx, move |known| known.committed = number);
        ctx.sleep(millis(20)).await;
    }
    unreachable!("there are more numbers than time")
}

/// A ledger for four seconds, the last two of them quiet.
pub(crate) fn scenario(how: Open, faults: Faults) -> Scenario {
    Scenario::new("ledger")
        .node("house", move |ctx| ledger(ctx, how))
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
pub(crate) fn crashes() -> Faults {
    Faults::calm()
        .crash(secs(1), millis(5))
        .crash_calls(200)
        .power_cut(secs(1), millis(5))
}

/// The same on a disk that fails: reads, writes and syncs; it is full, slow, and hangs.
pub(crate) fn failing() -> Faults {
    crashes()
        .disk(DiskFault::ReadError, 0.002)
        .disk(DiskFault::WriteError, 0.002)
        .disk(DiskFault::SyncError, 0.02)
        .stall_disks(0.01, millis(20))
        .fill_disks(secs(1), millis(100))
        .slow_disks(secs(2), 10, millis(200))
        .hang_disks(secs(2), millis(100))
}
