//! A database on the simulated disk, through crashes.

#[path = "../../tests/disk/ledger.rs"]
mod ledger;

use crate::meter::{Clock, Measured};
use crate::{ended, run};
use netsplit::mail::{RedbStore, Store};

/// `redb_crash`: `n` seeds of the crash test of redb (`tests/disk`): four simulated seconds, the first two with
/// crashes inside of commits and between them, losses of power, torn and lost writes, and a disk that fails. The
/// unit is a seed that holds.
pub(crate) fn crashes(n: u64) -> Measured {
    let open: ledger::Open = |files, path| {
        let store = RedbStore::open(files, path)?;
        Ok(Box::new(store) as Box<dyn Store>)
    };
    let scenario = ledger::scenario(open, ledger::failing());
    scenario.validate().expect("a scenario that can run");
    let (mut opened, mut failed, mut events) = (0, 0, 0);
    let clock = Clock::start();
    for seed in 0..n {
        let outcome = run(&scenario, seed);
        ended(&outcome);
        opened += outcome.counters.get("opened").unwrap_or(&0);
        failed += outcome.counters.get("failed").unwrap_or(&0);
        events += outcome.events;
    }
    let spent = clock.spent();
    let a_seed = |count: u64| count as f64 / n as f64;
    Measured {
        spent,
        units: n,
        extra: vec![
            ("per_minute", n as f64 * 60.0 / spent.wall_s),
            ("opened_a_seed", a_seed(opened)),
            ("failed_a_seed", a_seed(failed)),
            ("events_a_seed", a_seed(events)),
        ],
    }
}
