//! How a supervisor stops a child.

use crate::process::{Context, ExitReason, Message, MonitorRef};
use crate::trace::Pid;
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a supervisor stops a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shutdown {
    /// Kills it.
    BrutalKill,
    /// Asks it to stop, with `shutdown`, and kills it when it has not ended in time.
    Within(Duration),
    /// Asks it to stop, and waits for ever.
    Infinity,
}

/// OTP's default for workers.
pub(crate) const WORKER: Shutdown = Shutdown::Within(Duration::from_secs(5));

/// Stops a process, and waits until it has ended. It waits by monitor, so a child that has unlinked itself
/// cannot hang its supervisor.
pub(crate) async fn stop<M: Message>(ctx: &Context<M>, pid: Pid, how: Shutdown) {
    stop_all(ctx, &[pid], how).await;
}

/// Stops processes together, and waits until all have ended.
pub(crate) async fn stop_all<M: Message>(ctx: &Context<M>, pids: &[Pid], how: Shutdown) {
    let (mut left, grace) = ask(ctx, pids, how);
    wait(ctx, pids, &mut left, grace).await;
}

/// Asks processes to stop, or kills them; gives the monitors that tell of their ends, and how long to wait.
fn ask<M: Message>(
    ctx: &Context<M>,
    pids: &[Pid],
    how: Shutdown,
) -> (FxHashSet<MonitorRef>, Option<Duration>) {
    let (reason, grace) = match how {
        Shutdown::BrutalKill => (ExitReason::Kill, None),
        Shutdown::Within(grace) => (ExitReason::Shutdown, Some(grace)),
        Shutdown::Infinity => (ExitReason::Shutdown, None),
    };
    let mut left = FxHashSet::default();
    for &pid in pids {
        left.insert(ctx.monitor(pid));
        ctx.unlink(pid);
        ctx.send_exit(pid, reason.clone());
    }
    (left, grace)
}

/// Waits until all have ended; kills those that have not in time.
async fn wait<M: Message>(
    ctx: &Context<M>,
    pids: &[Pid],
    left: &mut FxHashSet<MonitorRef>,
    grace: Option<Duration>,
) {
    ctx.downs_of(left, grace).await;
    if left.is_empty() {
        return;
    }
    let late: FxHashSet<Pid> = left
        .iter()
        .filter_map(|monitor| monitor.of().pid())
        .collect();
    for &pid in pids.iter().filter(|pid| late.contains(pid)) {
        ctx.send_exit(pid, ExitReason::Kill);
    }
    ctx.downs_of(left, None).await;
}
