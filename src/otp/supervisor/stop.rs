//! How a supervisor stops a child.

use crate::process::{Context, ExitReason, Message};
use crate::trace::Pid;
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
    let monitor = ctx.monitor(pid);
    ctx.unlink(pid);
    ctx.flush_exit(pid);
    let within = match how {
        Shutdown::BrutalKill => {
            ctx.send_exit(pid, ExitReason::Kill);
            None
        }
        Shutdown::Within(grace) => {
            ctx.send_exit(pid, ExitReason::Shutdown);
            Some(grace)
        }
        Shutdown::Infinity => {
            ctx.send_exit(pid, ExitReason::Shutdown);
            None
        }
    };
    if let Some(grace) = within {
        let down = ctx.receive_info_within(grace, |info| info.is_down_of(monitor));
        if down.await.is_some() {
            return;
        }
        ctx.send_exit(pid, ExitReason::Kill);
    }
    ctx.down_of(monitor).await;
}
