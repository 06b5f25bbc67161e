//! The OTP contract, rule by rule: a test is named by its rule and says as a sentence what it proves.
//!
//! Every test runs under many drawn orders. What several orders allow is accepted as exactly that.
//! Asserts stand in the process under test, the client: a panic of it fails the run, where a panic of a
//! process that it started would be an exit reason.

mod common;
mod dynamic;
mod exits;
mod gen_server;
mod gen_server_calls;
mod gen_statem;
mod gen_statem_life;
mod gen_statem_states;
mod links;
mod mailboxes;
mod monitors;
mod names;
mod nodes;
mod oracle;
mod overload;
mod panics;
mod registry;
mod rust_rules;
mod signals;
mod stop;
mod supervisor;
mod sys;
mod task_streams;
mod task_supervisors;
mod tasks;
mod timers;

use common::{
    clean_runs, dead_letters, ends_as_told, error, events, idle, line, next_down, next_exit,
};
use netsplit::{Context, Info, Keep, Message, Outcome, Pid, Scenario, millis, secs};
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

/// Runs `scenario` once a seed, and keeps the log; every run must be clean.
fn all_seeds(scenario: &Scenario) -> Vec<Outcome> {
    let keep = Keep {
        log: true,
        ..Keep::default()
    };
    clean_runs(scenario, SEEDS, keep)
}

/// A process that is gone.
async fn dead_pid<M: Message>(ctx: &Context<M>) -> Pid {
    let (gone, monitor) = ctx.spawn_monitor(|_: Context| async {});
    let pid = gone.pid().expect("a spawned process has a pid");
    ctx.receive_info(|info| matches!(info, Info::Down { monitor: m, .. } if *m == monitor))
        .await;
    pid
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
