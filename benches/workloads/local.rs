//! Workloads on one node: messages, calls, spawns, memory, sleepers.

use crate::meter::{Clock, Measured, Spent, rss_kb};
use crate::{Rng, ended, measure, scenario};
use netsplit::{
    Context, ExitReason, Flow, GenServer, Info, Received, Refusal, ReplyTo, Server, micros, secs,
};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const RING: u64 = 1_000;
const BATCH: u64 = 1_000;

/// W1: `n` round trips between two processes.
pub(crate) fn messages(n: u64) -> Measured {
    let scenario = scenario("W1").client("a", move |ctx: Context<u64>| async move {
        let ping = ctx.address();
        let pong = ctx.spawn(move |ctx: Context<u64>| async move {
            loop {
                if let Received::Message(number) = ctx.receive().await {
                    ping.send(number);
                }
            }
        });
        for number in 0..n {
            pong.send(number);
            ctx.receive().await;
        }
    });
    measure(scenario, |outcome| {
        assert_eq!(outcome.books.received, 2 * n);
        2 * n
    })
}

#[derive(Debug, Serialize, Deserialize)]
struct Echo(u64, ReplyTo<u64>);

struct EchoServer;

impl GenServer for EchoServer {
    type Args = ();
    type Message = Echo;

    async fn init((): (), _: &mut Context<Echo>) -> Result<Self, Refusal> {
        Ok(EchoServer)
    }

    async fn handle(&mut self, Echo(number, reply_to): Echo, _: &mut Context<Echo>) -> Flow {
        reply_to.reply(number);
        Flow::Next
    }
}

/// W1call: `n` calls of a server on the same node, each two messages, a timeout and a monitor.
pub(crate) fn calls(n: u64) -> Measured {
    let scenario = scenario("W1call").client("a", move |ctx: Context| async move {
        let server = Server::<EchoServer>::with(()).start(&ctx).await?;
        for number in 0..n {
            let answer = server.call(|reply_to| Echo(number, reply_to), secs(5));
            assert_eq!(answer.await, Ok(number));
        }
        Ok::<(), ExitReason>(())
    });
    measure(scenario, |_| 2 * n)
}

/// W2: a token goes `n` times round a ring of 1,000 processes.
pub(crate) fn ring(n: u64) -> Measured {
    let scenario = scenario("W2").client("a", move |ctx: Context<u64>| async move {
        let mut next = ctx.address();
        for _ in 1..RING {
            let to = next;
            next = ctx.spawn(move |ctx: Context<u64>| async move {
                loop {
                    if let Received::Message(token) = ctx.receive().await {
                        to.send(token);
                    }
                }
            });
        }
        for lap in 0..n {
            next.send(lap);
            ctx.receive().await;
        }
    });
    measure(scenario, |outcome| {
        assert_eq!(outcome.books.received, RING * n);
        RING * n
    })
}

/// W3: `n` processes are spawned, and end, in batches of 1,000.
///
/// The parent monitors each child from its spawn, and goes on once it has taken every `Down` of the
/// batch: what `spawn_monitor` and `receive` are in OTP, and what keeping and awaiting a join handle is
/// in the peers. So it counts, for each process: a spawn, a monitor, one step, an end, a message of the
/// system, and its receipt.
pub(crate) fn spawns(n: u64) -> Measured {
    let scenario = scenario("W3").client("a", move |ctx: Context| async move {
        let mut left = n;
        while left > 0 {
            let batch = left.min(BATCH);
            for _ in 0..batch {
                let _ = ctx.spawn_monitor(|_: Context| async {});
            }
            for _ in 0..batch {
                let down = ctx.receive().await;
                assert!(matches!(down, Received::Info(Info::Down { .. })));
            }
            left -= batch;
        }
    });
    measure(scenario, |_| n)
}

/// W3plain: the same without monitors. The parent sleeps for a nanosecond after each batch; virtual
/// time moves only when no process is ready, so all children have ended when it wakes, but it has no
/// message that says so, and no reasons. The bare cost of a process: spawn, one step, end.
pub(crate) fn plain_spawns(n: u64) -> Measured {
    let scenario = scenario("W3plain").client("a", move |ctx: Context| async move {
        let mut left = n;
        while left > 0 {
            let batch = left.min(BATCH);
            for _ in 0..batch {
                let _ = ctx.spawn(|_: Context| async {});
            }
            ctx.sleep(Duration::from_nanos(1)).await;
            left -= batch;
        }
    });
    measure(scenario, |outcome| {
        assert!(outcome.steps >= n);
        n
    })
}

/// W3mem: `n` processes with a mailbox of numbers, all alive and waiting in receive.
pub(crate) fn idle(n: u64) -> Measured {
    grown_by("W3mem", n, async move |ctx: &Context| {
        for _ in 0..n {
            let _ = ctx.spawn(|ctx: Context<u64>| async move {
                ctx.receive().await;
            });
        }
    })
}

/// How much memory it takes to start `n` of something, each.
pub(crate) fn grown_by(
    name: &str,
    n: u64,
    start: impl AsyncFn(&Context) + Copy + Send + Sync + 'static,
) -> Measured {
    let seen: Arc<Mutex<Option<(Spent, u64)>>> = Arc::default();
    let note = seen.clone();
    let clock = Clock::start();
    let scenario = scenario(name).client("a", move |ctx: Context| {
        let note = note.clone();
        async move {
            let before = rss_kb();
            start(&ctx).await;
            // Time moves when all of them have run to their receive.
            ctx.sleep(Duration::from_nanos(1)).await;
            let grown = rss_kb().saturating_sub(before);
            *note.lock().expect("one thread") = Some((clock.spent(), grown));
        }
    });
    let outcome = scenario.run(1).expect("a scenario that can run");
    ended(&outcome);
    assert!(outcome.steps > n);
    let (spent, grown_kb) = seen.lock().expect("one thread").expect("the client ended");
    Measured {
        spent,
        units: n,
        extra: vec![("bytes_per", grown_kb as f64 * 1024.0 / n as f64)],
    }
}

/// W6: `n` processes sleep for a random time of up to 1,000 s.
pub(crate) fn sleepers(n: u64) -> Measured {
    let scenario = scenario("W6").client("a", move |ctx: Context| async move {
        let mut rng = Rng(1);
        for _ in 0..n {
            let nap = micros(rng.below(1_000_000_000));
            let _ = ctx.spawn(move |ctx: Context| async move { ctx.sleep(nap).await });
        }
    });
    measure(scenario, |outcome| {
        assert!(outcome.steps > 2 * n);
        n
    })
}
