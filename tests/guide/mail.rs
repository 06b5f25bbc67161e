//! The README's letters, which are not lost.

use netsplit::mail::{Batch, Inbox, Letter, Outbox, OutboxRef, Reader};
use netsplit::mail::{RedbStore, Store, StoreError, Table, Verdict};
use netsplit::{Context, Faults, Scenario, Supervisor, check, child, millis, secs};

const ORDERS: Table = Table("orders");

/// Takes orders, and writes each down.
struct Books;

impl Reader for Books {
    type Message = u64;

    fn open(_: &dyn Store, _: Context) -> Result<Books, StoreError> {
        Ok(Books)
    }

    async fn letter(&mut self, order: Letter<u64>, batch: &mut Batch) -> Verdict {
        // Committed together with the memory that this letter is done; acked after that.
        batch.put(ORDERS, order.message.to_be_bytes(), b"taken");
        order.ack()
    }
}

fn shop() -> Supervisor {
    let books = || Inbox::<Books>::new("books", |ctx| RedbStore::open(ctx.files(), "books"));
    Supervisor::one_for_one().child(child("books", books))
}

fn home() -> Supervisor {
    let outbox = || Outbox::new("outbox", |ctx| RedbStore::open(ctx.files(), "outbox"));
    Supervisor::one_for_one().child(child("outbox", outbox))
}

async fn customer(ctx: Context) {
    for order in 0_u64..20 {
        let outbox = OutboxRef::named(("home", "outbox"));
        // Answered when it is stored: from then on it is sent until it is acked.
        while outbox.send(("shop", "books"), "me", &order).await.is_err() {
            ctx.sleep(millis(100)).await;
        }
        ctx.sleep(millis(300)).await;
    }
    ctx.count("done");
}

#[test]
fn no_order_is_lost_though_both_machines_lose_their_power() {
    let storm = Faults::calm()
        .lose(0.3)
        .duplicate(0.5)
        .crash(secs(4), secs(1))
        .power_cut(secs(4), secs(1))
        .partition(secs(5), secs(1));
    check(
        Scenario::new("orders")
            .node("shop", |ctx| shop().run(ctx))
            .node("home", |ctx| home().run(ctx))
            .client("customer", customer)
            .faults(storm)
            .horizon(secs(60))
            .finally("all is ordered", |view| view.counter("done") == 1)
            .finally("no letter is lost", |view| view.mail_is_through(secs(10))),
    );
}
