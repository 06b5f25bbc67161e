//! Rules 14 to 21: supervisors. The workers here tell the client, in a line each, what befalls them.

mod back_off;
mod bad_input;
mod intensity;
mod nodes;
mod requests;
mod restarts;
mod shutdown;
mod significant;
mod start;
mod strategies;

use super::{error, idle, next_down, one_node, settle};
use netsplit::otp::ChildInfo;
use netsplit::{
    Address, ChildSpec, Context, ExitReason, Flow, GenServer, Info, Pid, Received, Refusal, Server,
    Supervisor, SupervisorRef, child,
};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// What a worker's `init` does.
#[derive(Clone, Copy)]
pub(crate) enum Birth {
    Fine,
    /// Is fine, after so long.
    Takes(Duration),
    Ignores,
    Fails,
    /// Fails, after so long.
    FailsAfter(Duration),
    Panics,
    Hangs,
    /// Is fine, and ends at once.
    Stillborn,
}

/// A worker that tells what befalls it: `a up`, `a fails`, `a ends shutdown`.
#[derive(Clone)]
pub(crate) struct Worker {
    id: &'static str,
    told: Address<String>,
    /// What its next starts do; those after them are fine.
    births: Rc<RefCell<VecDeque<Birth>>>,
    /// How long its `terminate` takes.
    ends_after: Duration,
    start_timeout: Option<Duration>,
}

/// What a worker can be asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Do {
    End(ExitReason),
    Panic,
    /// Unlinks itself from its supervisor.
    Unlink(Pid),
    /// Works for so many milliseconds, and takes nothing meanwhile.
    Work(u64),
}

/// A worker that tells this process; by default all goes well and at once.
pub(crate) fn worker(ctx: &Context<String>, id: &'static str) -> Worker {
    Worker {
        id,
        told: ctx.address(),
        births: Rc::default(),
        ends_after: Duration::ZERO,
        start_timeout: None,
    }
}

impl Worker {
    pub(crate) fn births(self, births: &[Birth]) -> Worker {
        let births = Rc::new(RefCell::new(births.iter().copied().collect()));
        Worker { births, ..self }
    }

    pub(crate) fn ends_after(self, ends_after: Duration) -> Worker {
        Worker { ends_after, ..self }
    }

    pub(crate) fn start_timeout(self, timeout: Duration) -> Worker {
        let start_timeout = Some(timeout);
        Worker {
            start_timeout,
            ..self
        }
    }

    /// As a permanent child; its name is its id.
    pub(crate) fn spec(self) -> ChildSpec {
        child(self.id, move || {
            let server = Server::<Worker>::with(self.clone()).name(self.id);
            match self.start_timeout {
                Some(timeout) => server.start_timeout(timeout),
                None => server,
            }
        })
    }

    fn tell(&self, what: impl std::fmt::Display) {
        self.told.send(format!("{} {what}", self.id));
    }
}

impl GenServer for Worker {
    type Args = Worker;
    type Message = Do;

    async fn init(worker: Worker, ctx: &mut Context<Do>) -> Result<Worker, Refusal> {
        ctx.trap_exit(true);
        let birth = worker.births.borrow_mut().pop_front();
        match birth.unwrap_or(Birth::Fine) {
            Birth::Fine => {}
            Birth::Takes(time) => ctx.sleep(time).await,
            Birth::Ignores => {
                worker.tell("ignores");
                return Err(Refusal::Ignore);
            }
            Birth::FailsAfter(time) => {
                ctx.sleep(time).await;
                worker.tell("fails");
                return Err(error("no luck").into());
            }
            Birth::Fails => {
                worker.tell("fails");
                return Err(error("no luck").into());
            }
            Birth::Panics => {
                worker.tell("panics");
                panic!("in init");
            }
            Birth::Hangs => {
                worker.tell("hangs");
                ctx.receive_info(|_| false).await;
            }
            Birth::Stillborn => ctx.address().send(Do::End(error("stillborn"))),
        }
        worker.tell("up");
        Ok(worker)
    }

    async fn handle(&mut self, what: Do, ctx: &mut Context<Do>) -> Flow {
        match what {
            Do::End(reason) => return Flow::Stop(reason),
            Do::Panic => panic!("on purpose"),
            Do::Unlink(supervisor) => ctx.unlink(supervisor),
            Do::Work(ms) => ctx.sleep(Duration::from_millis(ms)).await,
        }
        Flow::Next
    }

    async fn handle_info(&mut self, info: Info, _: &mut Context<Do>) -> Flow {
        if let Info::Exit { reason, .. } = info {
            self.tell(format_args!("hears {reason}"));
        }
        Flow::Next
    }

    async fn terminate(&mut self, reason: &ExitReason, ctx: &mut Context<Do>) {
        ctx.sleep(self.ends_after).await;
        self.tell(format_args!("ends {reason}"));
    }
}

/// Asks the worker of this id for something.
pub(crate) fn ask(id: &str, what: Do) {
    Address::<Do>::named("client", id).send(what);
}

/// Lets the worker of this id crash.
pub(crate) fn crash(id: &str) {
    ask(id, Do::End(error("crash")));
}

/// How a crashed worker ends.
pub(crate) const CRASH: &str = "ends error: crash";

/// What workers have told until nothing more happens at this moment, parted by commas.
pub(crate) async fn told(ctx: &Context<String>) -> String {
    settle(ctx).await;
    let mut lines = Vec::new();
    while let Some(received) = ctx.receive_within(Duration::ZERO).await {
        if let Received::Message(line) = received {
            lines.push(line);
        }
    }
    lines.join(", ")
}

/// Starts a tree that is as it should be, linked to the client, which lives on when it ends.
pub(crate) async fn start(ctx: &Context<String>, tree: Supervisor) -> SupervisorRef {
    ctx.trap_exit(true);
    tree.start_link(ctx).await.expect("a tree that starts")
}

/// Starts a tree, and drops what its workers tell of that.
pub(crate) async fn started(ctx: &Context<String>, tree: Supervisor) -> SupervisorRef {
    let tree = start(ctx, tree).await;
    told(ctx).await;
    tree
}

/// A supervisor of workers a, b and c, all permanent.
pub(crate) fn abc(ctx: &Context<String>, tree: Supervisor) -> Supervisor {
    ["a", "b", "c"]
        .into_iter()
        .fold(tree, |tree, id| tree.child(worker(ctx, id).spec()))
}

/// The children of a supervisor by their ids; each `up`, `down` or `restarting`.
pub(crate) async fn states(tree: SupervisorRef) -> String {
    let children = tree.which_children().await.expect("it runs");
    let state = |child: &ChildInfo| match child {
        ChildInfo { pid: Some(_), .. } => "up",
        ChildInfo {
            restarting: true, ..
        } => "restarting",
        _ => "down",
    };
    let states = children
        .iter()
        .map(|child| format!("{} {}", child.id, state(child)));
    states.collect::<Vec<_>>().join(", ")
}

/// How a tree ends that is watched by `monitor`ing it before `act`.
pub(crate) async fn end_of(
    ctx: &Context<String>,
    tree: SupervisorRef,
    act: impl FnOnce(),
) -> ExitReason {
    let _monitor = ctx.monitor(tree.pid().expect("a started tree has a pid"));
    act();
    next_down(ctx).await
}

/// Asks a tree to stop, as a parent would.
pub(crate) async fn stop(ctx: &Context<String>, tree: SupervisorRef) -> ExitReason {
    let pid = tree.pid().expect("a started tree has a pid");
    end_of(ctx, tree, || ctx.send_exit(pid, ExitReason::Shutdown)).await
}
