//! The OTP contract, rule by rule: a test is named by its rule and says as a sentence what it proves.
//!
//! Every test runs under many drawn orders. What several orders allow is accepted as exactly that.
//! Asserts stand in the process under test, the client: a panic of it fails the run, where a panic of a
//! process that it started would be an exit reason.

mod exits;
mod gen_server;
mod gen_server_calls;
mod links;
mod monitors;
mod names;
mod nodes;
mod panics;
mod rust_rules;
mod signals;
mod timers;

use netsplit::trace::{DeadReason, Event};
use netsplit::{
    Chance, Context, ExitReason, Info, Keep, Message, Outcome, Pid, Received, Scenario, millis,
    secs,
};
use std::sync::Arc;

/// How many seeds each test runs: each draws another order of steps.
const SEEDS: u64 = 50;

/// Runs `process` as the only client of a cluster, once a seed; it must come to its end each time.
fn one_node<M: Message>(
    process: impl AsyncFn(&Context<M>) + Send + Sync + 'static,
) -> Vec<Outcome> {
    with_client(Scenario::new("one node"), process)
}

/// Runs `scenario` with `process` as its client, once a seed; it must come to its end each time.
fn with_client<M: Message>(
    scenario: Scenario,
    process: impl AsyncFn(&Context<M>) + Send + Sync + 'static,
) -> Vec<Outcome> {
    let process = Arc::new(process);
    let scenario = scenario
        .client("client", move |ctx: Context<M>| {
            let process = process.clone();
            async move {
                process(&ctx).await;
                ctx.observe("ended", |ended: &mut bool| *ended = true);
            }
        })
        .finally("the client comes to its end", |view| {
            view.observed("ended") == Some(&true)
        });
    all_seeds(&scenario)
}

/// Runs `scenario` once a seed; every run must be clean.
fn all_seeds(scenario: &Scenario) -> Vec<Outcome> {
    let keep = Keep {
        log: true,
        ..Keep::default()
    };
    let run = |seed| {
        let outcome = scenario
            .run_with(Chance::Seed(seed), keep)
            .unwrap_or_else(|error| panic!("the scenario cannot be run: {error}"));
        if let Some(violation) = &outcome.violation {
            let (property, detail) = (&violation.property, &violation.detail);
            panic!("seed {seed}: violated \"{property}\": {detail}");
        }
        if let Some(error) = &outcome.error {
            panic!("seed {seed}: {error}");
        }
        outcome
    };
    (0..SEEDS).map(run).collect()
}

/// The events of a run, as its log has them.
fn events(outcome: &Outcome) -> impl Iterator<Item = Event> {
    let log = outcome.log.as_ref().expect("every run here keeps its log");
    log.entries().iter().map(|entry| entry.event)
}

/// Why the dead letters of a run found nobody, in their order.
fn dead_letters(outcome: &Outcome) -> Vec<DeadReason> {
    let why = |event| match event {
        Event::DeadLetter { why, .. } => Some(why),
        _ => None,
    };
    events(outcome).filter_map(why).collect()
}

/// A process that takes everything and does nothing.
async fn idle<M: Message>(ctx: Context<M>) {
    loop {
        ctx.receive().await;
    }
}

/// A process that ends for the reason that it is sent.
async fn ends_as_told(ctx: Context<ExitReason>) -> ExitReason {
    ctx.receive_message().await
}

/// A process that is gone.
async fn dead_pid<M: Message>(ctx: &Context<M>) -> Pid {
    let (gone, monitor) = ctx.spawn_monitor(|_: Context| async {});
    let pid = gone.pid().expect("a spawned process has a pid");
    ctx.receive_info(|info| matches!(info, Info::Down { monitor: m, .. } if *m == monitor))
        .await;
    pid
}

/// The reason of the next `Down`, whatever else waits in the mailbox.
async fn next_down<M: Message>(ctx: &Context<M>) -> ExitReason {
    match ctx
        .receive_info(|info| matches!(info, Info::Down { .. }))
        .await
    {
        Info::Down { reason, .. } => reason,
        other => unreachable!("{other:?} was not asked for"),
    }
}

/// Sender and reason of the next trapped exit, whatever else waits in the mailbox.
async fn next_exit<M: Message>(ctx: &Context<M>) -> (Pid, ExitReason) {
    match ctx
        .receive_info(|info| matches!(info, Info::Exit { .. }))
        .await
    {
        Info::Exit { from, reason } => (from, reason),
        other => unreachable!("{other:?} was not asked for"),
    }
}

/// Nothing comes within a second.
async fn nothing_comes<M: Message>(ctx: &Context<M>) {
    let came = ctx.receive_within(secs(1)).await;
    assert!(came.is_none(), "{came:?} came");
}

/// Lets everything else that is ready step.
async fn settle<M: Message>(ctx: &Context<M>) {
    ctx.sleep(millis(1)).await;
}

fn error(text: &str) -> ExitReason {
    ExitReason::error(text)
}

/// A line about something received.
fn line<M: Message>(received: &Received<M>) -> String {
    match received {
        Received::Message(message) => format!("{message:?}"),
        Received::Info(Info::Exit { reason, .. }) => format!("exit {reason}"),
        Received::Info(Info::Down { reason, .. }) => format!("down {reason}"),
        Received::Info(other) => format!("{other:?}"),
    }
}
