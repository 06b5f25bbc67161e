//! Rules 1 to 11 of the OTP contract, across nodes: a test is named by its rule.
//!
//! Every test runs under many seeds in calm weather, so under many drawn orders and latencies, and under as
//! many in rough weather: packets lost (and sent again), delayed and duplicated, nodes slow, timers late,
//! clocks adrift. A connection makes of all that a delay, so a rule holds there word for word. What a rule
//! promises where connections break and nodes crash is said by tests of their own, under
//! [`Faults::chaos`] and faults by hand.

mod chaos;
#[path = "../otp/common.rs"]
mod common;
mod exits;
mod gen_server;
mod gen_server_calls;
mod gen_statem;
mod links;
mod mailboxes;
mod monitors;
mod multi_call;
mod names;
mod nodes;
mod signals;
mod tasks;

use common::{
    clean_runs, dead_letters, ends_as_told, error, events, idle, line, next_down, next_exit,
};
use netsplit::trace::Event;
use netsplit::{
    Address, Context, ExitReason, Faults, Info, IntoExit, Keep, Message, NodeId, Outcome,
    PacketFault, PacketKind, Pid, ReplyTo, Scenario, millis, secs,
};
use std::sync::Arc;
use std::time::Duration;

/// How many seeds each test runs in calm weather, and as many in rough.
const SEEDS: u64 = 200;

/// How long an answer may take: nothing here fails for being slow.
const LONG: Duration = secs(600);

/// What only delays, on a connection.
fn rough() -> Faults {
    Faults::calm()
        .lose(0.2)
        .duplicate(0.5)
        .reorder(0.2, secs(1))
        .packets(PacketFault::delay(0.2, secs(1)))
        .slow(0.5, millis(3))
        .late_timers(millis(5))
        .drift(200)
}

/// Runs `process` as a client beside the node `far`, on which [`start`] starts processes that run `role`.
fn across<M: Message, N: Message, F>(
    role: impl Fn(Context<N>) -> F + Clone + Send + Sync + 'static,
    process: impl AsyncFn(&Context<M>) + Send + Sync + 'static,
) -> Vec<Outcome>
where
    F: Future<Output: IntoExit> + 'static,
{
    with_client(host(Scenario::new("across"), "far", role), process)
}

/// A node on which [`start`] starts processes that run `role`.
fn host<N: Message, F>(
    scenario: Scenario,
    node: &str,
    role: impl Fn(Context<N>) -> F + Clone + Send + Sync + 'static,
) -> Scenario
where
    F: Future<Output: IntoExit> + 'static,
{
    scenario.node(node, move |ctx: Context<ReplyTo<Pid>>| {
        let role = role.clone();
        async move {
            ctx.register("host").expect("a free name");
            loop {
                let asked = ctx.receive_message().await;
                let started = ctx.spawn(role.clone());
                asked.reply(started.pid().expect("a spawned process has a pid"));
            }
        }
    })
}

/// Starts a process on a node of [`host`].
async fn start_on<N: Message>(node: &str) -> Address<N> {
    let host = Address::<ReplyTo<Pid>>::named(node, "host");
    Address::of(host.call(|to| to, LONG).await.expect("its host lives"))
}

/// Starts a process on the node `far`.
async fn start<N: Message>() -> Address<N> {
    start_on("far").await
}

fn pid<N>(address: Address<N>) -> Pid
where
    N: Message,
{
    address.pid().expect("a process has a pid")
}

/// Runs `scenario` with `process` as its client, named `client`, under all seeds of both weathers; it must
/// come to its end each time.
fn with_client<M: Message>(
    scenario: Scenario,
    process: impl AsyncFn(&Context<M>) + Send + Sync + 'static,
) -> Vec<Outcome> {
    let scenario = ends_with(scenario, process);
    let mut outcomes = all_seeds(&scenario, Keep::default());
    outcomes.extend(all_seeds(&scenario.faults(rough()), Keep::default()));
    outcomes
}

/// [`across`] in calm weather, with logs.
fn logged<M: Message, N: Message, F>(
    role: impl Fn(Context<N>) -> F + Clone + Send + Sync + 'static,
    process: impl AsyncFn(&Context<M>) + Send + Sync + 'static,
) -> Vec<Outcome>
where
    F: Future<Output: IntoExit> + 'static,
{
    let scenario = ends_with(host(Scenario::new("logged"), "far", role), process);
    let keep = Keep {
        log: true,
        ..Keep::default()
    };
    all_seeds(&scenario.horizon(secs(1000)), keep)
}

/// Runs `scenario` once a seed; every run must be clean.
fn all_seeds(scenario: &Scenario, keep: Keep) -> Vec<Outcome> {
    clean_runs(scenario, SEEDS, keep)
}

/// The scenario with `process` as its client, which must come to its end.
fn ends_with<M: Message>(
    scenario: Scenario,
    process: impl AsyncFn(&Context<M>) + Send + Sync + 'static,
) -> Scenario {
    let process = Arc::new(process);
    scenario
        .client("client", move |ctx: Context<M>| {
            let process = process.clone();
            async move {
                ctx.register("client").expect("a free name");
                process(&ctx).await;
                ctx.observe("ended", |ended: &mut bool| *ended = true);
            }
        })
        .finally("the client comes to its end", |view| {
            view.observed("ended") == Some(&true)
        })
        .horizon(secs(7200))
        .quiet(Duration::ZERO)
}

/// The address of the client, for messages of the type that it takes.
fn client<M: Message>() -> Address<M> {
    Address::named("client", "client")
}

/// The same, for exits too.
async fn trapper(ctx: Context<u64>) {
    ctx.trap_exit(true);
    idle(ctx).await;
}

/// A process of `far` that is gone.
async fn dead_pid<M: Message>(ctx: &Context<M>) -> Pid {
    let gone = pid(start::<u64>().await);
    let monitor = ctx.monitor(gone);
    ctx.send_exit(gone, ExitReason::Kill);
    ctx.receive_info(|info| matches!(info, Info::Down { monitor: m, .. } if *m == monitor))
        .await;
    gone
}

/// Nothing comes, however late packets are.
async fn nothing_comes<M: Message>(ctx: &Context<M>) {
    let came = ctx.receive_within(secs(200)).await;
    assert!(came.is_none(), "{came:?} came");
}

/// Lets everything that is under way arrive.
async fn settle<M: Message>(ctx: &Context<M>) {
    ctx.sleep(secs(200)).await;
}

/// Whether a process of another node is alive: a monitor of a dead one tells so.
async fn lives<M: Message>(ctx: &Context<M>, far: Pid) -> bool {
    let monitor = ctx.monitor(far);
    settle(ctx).await;
    let before = ctx.mailbox_len();
    ctx.demonitor(monitor, true);
    ctx.mailbox_len() == before
}

/// How many signals went out from the node `far`, whose log is kept.
fn signals_of_far(outcome: &Outcome) -> usize {
    let is_its = |event: &Event| match event {
        Event::Packet { id, kind, .. } => {
            id.from.node() == NodeId::new(0) && *kind == PacketKind::Signal
        }
        _ => false,
    };
    events(outcome).filter(is_its).count()
}
