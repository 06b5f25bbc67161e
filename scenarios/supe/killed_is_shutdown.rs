//! Killed, and taken for one that has stopped by itself.
//!
//! A parent looks at how its child has ended. An exit code other than 0 is a crash, and the child is started
//! again. No crash is an end that was meant. But a child that was killed by a signal has no exit code at all:
//! it was not 0, it was nothing, and nothing is not a crash. So whatever the kernel kills, for its memory or
//! by an operator's hand, stays down, and nobody is told.
//!
//! Which ends were meant is not for the end to say. It is a property of the child: one that should always be
//! there is permanent, and comes back however it went.

use netsplit::otp::process;
use netsplit::{
    Address, Context, ExitReason, Faults, Flow, GenServer, Info, Refusal, ReplyTo, Scenario,
    Server, Supervisor, View, child, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

type Job = u32;

const JOBS: Job = 50;
const DONE: &str = "every job is done in the end";

#[derive(Debug, Serialize, Deserialize)]
struct Do(Job, ReplyTo<()>);

async fn worker(ctx: Context<Do>) -> Result<(), ExitReason> {
    ctx.register("worker").map_err(ExitReason::error)?;
    loop {
        let Do(job, done) = ctx.receive_message().await;
        ctx.sleep(millis(50)).await;
        ctx.observe("done", |jobs: &mut BTreeSet<Job>| {
            jobs.insert(job);
        });
        done.reply(());
    }
}

/// A parent that tells a crash from an end that was meant.
struct Parent;

impl GenServer for Parent {
    type Args = ();
    type Message = ();

    async fn init((): (), ctx: &mut Context<()>) -> Result<Parent, Refusal> {
        let _ = ctx.spawn_monitor(worker);
        Ok(Parent)
    }

    async fn handle(&mut self, (): (), _: &mut Context<()>) -> Flow {
        Flow::Next
    }

    async fn handle_info(&mut self, info: Info, ctx: &mut Context<()>) -> Flow {
        if let Info::Down { reason, .. } = info
            && exit_code(&reason).is_some_and(|code| code != 0)
        {
            let _ = ctx.spawn_monitor(worker);
        }
        Flow::Next
    }
}

/// The exit code of a child: who was killed has none.
fn exit_code(reason: &ExitReason) -> Option<u8> {
    match reason {
        ExitReason::Kill | ExitReason::Killed => None,
        ExitReason::Normal | ExitReason::Shutdown | ExitReason::ShutdownWith(_) => Some(0),
        _ => Some(1),
    }
}

fn tree() -> Supervisor {
    Supervisor::one_for_one()
        .intensity(20, secs(5))
        .child(child("worker", || process(worker)))
}

async fn customer(ctx: Context) {
    let worker = Address::named("house", "worker");
    for job in 1..=JOBS {
        while worker.call(|done| Do(job, done), secs(1)).await.is_err() {
            ctx.sleep(millis(100)).await;
        }
        ctx.sleep(millis(300)).await;
    }
}

fn scenario(name: &str) -> Scenario {
    Scenario::new(name)
        .client("customer", customer)
        .finally(DONE, all_are_done)
}

fn all_are_done(view: &View) -> Result<(), String> {
    let none = BTreeSet::new();
    let done = view.observed::<BTreeSet<Job>>("done").unwrap_or(&none);
    match (1..=JOBS).find(|job| !done.contains(job)) {
        Some(job) => Err(format!("job {job} of {JOBS} is not done")),
        None => Ok(()),
    }
}

/// The broken form: now and then something is killed.
pub(crate) fn as_built() -> Scenario {
    scenario("supe/killed_is_shutdown")
        .summary("a parent that restarts what has crashed: who is killed has no exit code, and stays down")
        .node("house", |ctx| Server::<Parent>::with(()).run(ctx))
        .faults(Faults::calm().kill_processes(secs(20)))
        .broken(DONE)
}

/// The sound form, under every fault, of processes too.
pub(crate) fn permanent() -> Scenario {
    scenario("supe/killed_is_restarted")
        .summary("the same child is permanent: it comes back however it went")
        .node("house", |ctx| tree().run(ctx))
        .faults(crate::notify::storm().kill_processes(secs(5)))
}
