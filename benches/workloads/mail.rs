//! Letters from an outbox to an inbox.

use crate::meter::Measured;
use crate::{measure, scenario};
use netsplit::mail::{
    Batch, Draft, Inbox, Letter, MemoryStore, Outbox, Reader, RedbStore, SendError, Store,
    StoreError, Table, Verdict,
};
use netsplit::{Context, millis, secs};

const TOTALS: Table = Table("totals");
/// How many letters are handed in at once.
const GROUP: u64 = 100;
/// How many letters the outbox holds, and how many may be on their way.
const BACKLOG: usize = 4_096;
const WINDOW: u64 = 2_048;

/// Adds up what it reads.
struct Adder {
    total: u64,
    ctx: Context,
}

impl Reader for Adder {
    type Message = u64;

    fn open(_: &dyn Store, ctx: Context) -> Result<Adder, StoreError> {
        Ok(Adder { total: 0, ctx })
    }

    async fn letter(&mut self, letter: Letter<u64>, batch: &mut Batch) -> Verdict {
        self.total += letter.message;
        batch.put(TOTALS, b"all", self.total.to_le_bytes());
        self.ctx.count("read");
        letter.ack()
    }
}

/// `mail_memory`: `n` letters of ten keys, handed in a hundred at a time, stored in memory at both ends, over
/// datagrams; the unit is a letter that is read, committed and acked.
pub(crate) fn memory(n: u64) -> Measured {
    letters("mail_memory", n, |_| Ok(MemoryStore::new()))
}

/// `mail_disk`: the same with redb at both ends, on the simulated disks of the two nodes.
pub(crate) fn disk(n: u64) -> Measured {
    letters("mail_disk", n, |ctx| {
        RedbStore::open(ctx.files(), "mail.redb")
    })
}

fn letters<S: Store>(
    name: &str,
    n: u64,
    open: impl Fn(Context) -> Result<S, StoreError> + Copy + Send + Sync + 'static,
) -> Measured {
    let scenario = scenario(name)
        .node("b", move |ctx: Context| async move {
            let inbox = Inbox::<Adder>::new("adder", open);
            inbox.start(&ctx).await.expect("an inbox");
            ctx.receive().await;
        })
        .client("a", move |ctx: Context| async move {
            let outbox = Outbox::new("outbox", open);
            let outbox = outbox.backlog(BACKLOG).window(WINDOW).start(&ctx).await;
            let outbox = outbox.expect("an outbox");
            let (mut handed_in, mut letters) = (0, Vec::new());
            let draft = Draft::to(("b", "adder"));
            while handed_in < n {
                letters.clear();
                letters.extend(handed_in..n.min(handed_in + GROUP));
                let drafts = letters
                    .iter()
                    .map(|number| (draft.key(1 + number % 10), number));
                match outbox.post_all(drafts).await {
                    Ok(taken) => handed_in += taken.len() as u64,
                    Err(SendError::Full { .. }) => ctx.sleep(millis(5)).await,
                    Err(error) => panic!("{error}"),
                }
            }
            ctx.sleep(secs(60)).await;
            assert!(outbox.dead(1).await.expect("a store").is_empty());
        });
    let all_read = move |outcome: &netsplit::Outcome| {
        let read = *outcome.counters.get("read").unwrap_or(&0);
        assert_eq!(read, n, "each letter is read once");
        read
    };
    measure(scenario, all_read)
}
