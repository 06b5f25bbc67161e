//! What the tests of queues share: a shelf that outlives processes and nodes, and the scene of one test.

use netsplit::mail::queue::{Broker, Consumer, Queue, QueueSettings, ToBroker};
use netsplit::mail::{Batch, MemoryStore, Store, StoreError, Table};
use netsplit::{Address, Context, ExitReason, Scenario};
use std::cell::{Cell, RefCell};
use std::ops::RangeInclusive;
use std::rc::Rc;

thread_local! {
    // A run lives on one thread from its beginning to its end.
    static SHELF: RefCell<MemoryStore> = RefCell::default();
    static COMMITS: Cell<u64> = const { Cell::new(0) };
    static IS_FULL: Cell<bool> = const { Cell::new(false) };
}

/// A store that stays where it is when its process or its node is gone.
#[derive(Debug)]
pub(crate) struct Shelf;

impl Shelf {
    /// As at the beginning of a run.
    pub(crate) fn clear() {
        SHELF.with(|shelf| *shelf.borrow_mut() = MemoryStore::new());
        COMMITS.set(0);
        IS_FULL.set(false);
    }

    pub(crate) fn commits() -> u64 {
        COMMITS.get()
    }

    pub(crate) fn fill(is_full: bool) {
        IS_FULL.set(is_full);
    }

    /// How many letters lie there.
    pub(crate) fn letters() -> u64 {
        Shelf
            .len(Table("queue.bodies"))
            .expect("a shelf does not fail")
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
        if IS_FULL.get() {
            return Err(StoreError::Full("shelf".to_owned()));
        }
        COMMITS.set(COMMITS.get() + 1);
        SHELF.with(|shelf| shelf.borrow_mut().commit(batch))
    }

    fn len(&self, table: Table) -> Result<u64, StoreError> {
        SHELF.with(|shelf| shelf.borrow().len(table))
    }
}

pub(crate) type OnShelf = Broker<Shelf, fn(&mut Context<ToBroker>) -> Result<Shelf, StoreError>>;

/// A broker on the shelf.
pub(crate) fn broker() -> OnShelf {
    Broker::new("broker", |_| Ok(Shelf))
}

/// Runs a test beside a broker, under a few seeds.
pub(crate) fn scene<F>(
    test: impl Fn(Rc<Context>, Address<ToBroker>) -> F + Copy + Send + Sync + 'static,
) where
    F: Future<Output = Result<(), ExitReason>> + 'static,
{
    scene_with(broker, test);
}

/// The same, beside this broker.
pub(crate) fn scene_with<F>(
    broker: impl Fn() -> OnShelf + Copy + Send + Sync + 'static,
    test: impl Fn(Rc<Context>, Address<ToBroker>) -> F + Copy + Send + Sync + 'static,
) where
    F: Future<Output = Result<(), ExitReason>> + 'static,
{
    let scenario = Scenario::new("queue")
        .client("test", move |ctx: Context| async move {
            Shelf::clear();
            let address = broker().start(&ctx).await?;
            let ctx = Rc::new(ctx);
            let result = test(ctx.clone(), address).await;
            assert_eq!(result, Ok(()));
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

/// A queue of numbers with these settings.
pub(crate) async fn declared(
    broker: Address<ToBroker>,
    name: &str,
    settings: QueueSettings,
) -> Result<Queue<u32>, ExitReason> {
    let queue = Queue::new(broker, name);
    queue.declare(settings).await?;
    Ok(queue)
}

/// Publishes all these.
pub(crate) async fn publish(
    queue: &Queue<u32>,
    numbers: impl IntoIterator<Item = u32>,
) -> Result<(), ExitReason> {
    for number in numbers {
        queue.publish(&number).await?;
    }
    Ok(())
}

/// Takes and acks so many.
pub(crate) async fn take(
    consumer: &mut Consumer<u32>,
    how_many: usize,
) -> Result<Vec<u32>, ExitReason> {
    let mut taken = Vec::new();
    for _ in 0..how_many {
        let delivery = consumer.next().await?;
        taken.push(*delivery.message());
        delivery.ack();
    }
    Ok(taken)
}
