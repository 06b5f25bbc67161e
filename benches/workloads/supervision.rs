//! Workloads of supervision: restarts, trees, servers that wait.

use crate::local::grown_by;
use crate::meter::Measured;
use crate::{measure, scenario};
use netsplit::{
    Address, Context, ExitReason, Flow, GenServer, Never, Refusal, Restart, Server, Supervisor,
    child, secs,
};
use serde::{Deserialize, Serialize};

/// How a child is told to end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Crash {
    Error,
    Panic,
}

/// A server that says when it is up, and ends as it is told.
struct Crasher;

impl GenServer for Crasher {
    type Args = Address<Address<Crash>>;
    type Message = Crash;

    async fn init(up: Self::Args, ctx: &mut Context<Crash>) -> Result<Crasher, Refusal> {
        up.send(ctx.address());
        Ok(Crasher)
    }

    async fn handle(&mut self, crash: Crash, _: &mut Context<Crash>) -> Flow {
        match crash {
            Crash::Error => Flow::Stop(ExitReason::Error(String::new())),
            Crash::Panic => panic!("as it was told"),
        }
    }
}

/// W9: a supervised server ends with an error, and is restarted, `n` times: told to, its exit seen by its
/// supervisor, started anew, its `init` acknowledged.
pub(crate) fn restarts(n: u64) -> Measured {
    crashes("W9", n, Crash::Error)
}

/// W9panic: the same by a panic.
pub(crate) fn panics(n: u64) -> Measured {
    crashes("W9panic", n, Crash::Panic)
}

fn crashes(name: &str, n: u64, crash: Crash) -> Measured {
    let scenario = scenario(name).client("a", move |ctx: Context<Address<Crash>>| async move {
        let up = ctx.address();
        let tree = Supervisor::one_for_one()
            .intensity(u32::MAX, secs(1))
            .child(child("c", move || Server::<Crasher>::with(up)));
        tree.start(&ctx).await?;
        for _ in 0..n {
            ctx.receive_message().await.send(crash);
        }
        ctx.receive_message().await;
        Ok::<(), ExitReason>(())
    });
    measure(scenario, |_| n)
}

/// A server that waits.
struct Idle;

impl GenServer for Idle {
    type Args = ();
    type Message = Never;

    async fn init((): (), _: &mut Context<Never>) -> Result<Idle, Refusal> {
        Ok(Idle)
    }

    async fn handle(&mut self, message: Never, _: &mut Context<Never>) -> Flow {
        match message {}
    }
}

/// W3memgs: `n` servers, all alive and waiting.
pub(crate) fn idle(n: u64) -> Measured {
    grown_by("W3memgs", n, async move |ctx: &Context| {
        for _ in 0..n {
            Server::<Idle>::with(()).start(ctx).await.expect("a start");
        }
    })
}

/// tree: a supervisor of `n` servers boots, and stops.
pub(crate) fn tree(n: u64) -> Measured {
    let scenario = scenario("tree").client("a", move |ctx: Context| async move {
        let mut tree = Supervisor::one_for_one();
        for number in 0..n {
            let worker = child(&number.to_string(), || Server::<Idle>::with(()));
            tree = tree.child(worker.restart(Restart::Transient));
        }
        ctx.trap_exit(true);
        let tree = tree.start_link(&ctx).await?;
        let pid = tree.pid().expect("an address by pid");
        let monitor = ctx.monitor(pid);
        ctx.send_exit(pid, ExitReason::Shutdown);
        ctx.receive_info(
            |info| matches!(info, netsplit::Info::Down { monitor: m, .. } if *m == monitor),
        )
        .await;
        Ok::<(), ExitReason>(())
    });
    measure(scenario, |outcome| {
        assert!(outcome.steps >= 3 * n);
        n
    })
}
