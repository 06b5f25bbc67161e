//! What the tests of leases share: a shelf that outlives processes, and the scene of one test.

use netsplit::mail::lease::{LeaseSettings, Leases, Resource, ToLeases};
use netsplit::mail::{Batch, MemoryStore, Store, StoreError, Table};
use netsplit::{Address, Context, ExitReason, Scenario, secs};
use std::cell::{Cell, RefCell};
use std::ops::RangeInclusive;
use std::rc::Rc;

thread_local! {
    // A run lives on one thread from its beginning to its end.
    static SHELF: RefCell<MemoryStore> = RefCell::default();
    static FAILS: Cell<Option<fn() -> StoreError>> = const { Cell::new(None) };
}

/// A store that stays where it is when its process is gone.
#[derive(Debug)]
pub(crate) struct Shelf;

impl Shelf {
    /// As at the beginning of a run.
    pub(crate) fn clear() {
        SHELF.with(|shelf| *shelf.borrow_mut() = MemoryStore::new());
        FAILS.set(None);
    }

    /// From now on each commit fails like this; or no more.
    pub(crate) fn fails(how: Option<fn() -> StoreError>) {
        FAILS.set(how);
    }
}

impl Store for Shelf {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        SHELF.with(|shelf| shelf.borrow().get(table, key))
    }

    fn scan(
        &self,
        table: Table,
        keys: RangeInclusive<&[u8]>,
        each: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        SHELF.with(|shelf| shelf.borrow().scan(table, keys, each))
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        match FAILS.get() {
            Some(how) => Err(how()),
            None => SHELF.with(|shelf| shelf.borrow_mut().commit(batch)),
        }
    }

    fn len(&self, table: Table) -> Result<u64, StoreError> {
        SHELF.with(|shelf| shelf.borrow().len(table))
    }
}

/// How long a lease is.
pub(crate) const TTL: std::time::Duration = secs(2);

/// Leases on the shelf: of a report that one may write, and of three lines.
pub(crate) fn leases() -> Leases {
    Leases::new("leases", |_| Ok(Shelf))
        .resource("report", LeaseSettings::new(TTL))
        .resource("lines", LeaseSettings::new(TTL).places(3))
}

/// What one test has: its process, and the leases beside it.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) ctx: Rc<Context>,
    pub(crate) leases: Address<ToLeases>,
}

impl Scene {
    pub(crate) fn report(&self) -> Resource {
        Resource::new(self.leases, "report")
    }

    pub(crate) fn lines(&self) -> Resource {
        Resource::new(self.leases, "lines")
    }
}

/// Runs a test beside leases, under a few seeds.
pub(crate) fn scene<F>(test: impl Fn(Scene) -> F + Copy + Send + Sync + 'static)
where
    F: Future<Output = Result<(), ExitReason>> + 'static,
{
    let scenario = Scenario::new("leases")
        .client("test", move |ctx: Context| async move {
            Shelf::clear();
            let leases = leases().start(&ctx).await?;
            let ctx = Rc::new(ctx);
            let scene = Scene {
                ctx: ctx.clone(),
                leases,
            };
            assert_eq!(test(scene).await, Ok(()));
            ctx.count("done");
            Ok::<(), ExitReason>(())
        })
        .finally("the test ran to its end", |view| view.counter("done") == 1);
    run(&scenario, 8);
}

/// Each of the first so many seeds must be clean.
pub(crate) fn run(scenario: &Scenario, seeds: u64) {
    for seed in 0..seeds {
        let outcome = scenario.run(seed).expect("a scenario that can be run");
        assert_eq!(outcome.violation, None, "seed {seed}");
        assert_eq!(outcome.error, None, "seed {seed}");
    }
}
