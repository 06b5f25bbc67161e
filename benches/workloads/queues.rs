//! Workloads of queues.

use crate::measure;
use crate::meter::Measured;
use crate::scenario;
use netsplit::mail::MemoryStore;
use netsplit::mail::queue::{Broker, Queue, QueueSettings};
use netsplit::{Context, ExitReason};

/// How many publish at a time, each waiting for its confirm.
const PUBLISHERS: u64 = 256;
/// How many letters the consumer may hold.
const PREFETCH: u32 = 512;

/// queue: `n` letters are published, confirmed, delivered and acked, through a broker with its store in memory.
pub(crate) fn letters(n: u64) -> Measured {
    let scenario = scenario("queue").client("a", move |ctx: Context| async move {
        let broker = Broker::new("broker", |_| Ok(MemoryStore::new()))
            .start(&ctx)
            .await?;
        let jobs = Queue::<u64>::new(broker, "jobs");
        jobs.declare(QueueSettings::new()).await?;
        for publisher in 0..PUBLISHERS {
            let jobs = jobs.clone();
            ctx.spawn(move |_: Context| async move {
                for number in (publisher..n).step_by(PUBLISHERS as usize) {
                    jobs.publish(&number).await?;
                }
                Ok::<(), ExitReason>(())
            });
        }
        let mut consumer = jobs.consume(PREFETCH).await?;
        for _ in 0..n {
            consumer.next().await?.ack();
        }
        Ok::<(), ExitReason>(())
    });
    measure(scenario, |_| n)
}
