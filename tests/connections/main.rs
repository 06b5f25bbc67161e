//! Connections between nodes: set-up, order, busy senders, breaks loud and silent, half-open ends.
//!
//! Rule 6 of the OTP contract, a test for each of its sentences. Every test is a script that runs under
//! all seeds of [`check`], so under as many drawn orders, latencies and moments of notice.

mod breaks;
mod half_open;
mod set_up;
mod traffic;
mod zombies;

use netsplit::{
    Context, Distribution, ExitReason, Info, Network, Path, Received, ReplyTo, Scenario, Sim, Time,
    check, millis,
};
use std::time::Duration;

/// Runs a script over nodes that `declare` adds, on a network whose every packet takes 5 ms.
fn steady(
    declare: impl FnOnce(Scenario) -> Scenario,
    script: impl Fn(&mut Sim<'_, '_>) + Send + Sync + 'static,
) {
    let network = Network::new(Path::new(Distribution::Constant(millis(5))));
    check(declare(Scenario::new("steady").network(network)).script(script));
}

/// Runs a script over nodes that `declare` adds, on a network whose packets take 1 to 10 ms.
fn uneven(
    declare: impl FnOnce(Scenario) -> Scenario,
    script: impl Fn(&mut Sim<'_, '_>) + Send + Sync + 'static,
) {
    check(declare(Scenario::new("uneven")).script(script));
}

/// What a process heard, and when.
type Heard = Vec<(Time, String)>;

/// Notes what comes, under `key`: messages, exits and downs, and what becomes of connections.
async fn listen(ctx: &Context<u64>, key: &'static str) {
    ctx.monitor_nodes(true);
    ctx.trap_exit(true);
    loop {
        let line = match ctx.receive().await {
            Received::Message(n) => n.to_string(),
            Received::Info(Info::NodeUp(node)) => format!("up {node}"),
            Received::Info(Info::NodeDown(node)) => format!("down {node}"),
            Received::Info(Info::Exit { reason, .. }) => format!("exit {reason}"),
            Received::Info(Info::Down { reason, .. }) => format!("monitor {reason}"),
            Received::Info(other) => format!("{other:?}"),
        };
        let now = ctx.now();
        ctx.observe(key, |heard: &mut Heard| heard.push((now, line)));
    }
}

/// A node whose process is named `ear` and notes what it hears under the node's own name.
fn ear(scenario: Scenario, node: &'static str) -> Scenario {
    scenario.node(node, move |ctx: Context<u64>| async move {
        ctx.register("ear").expect("a free name");
        listen(&ctx, node).await;
    })
}

/// A node whose process is named `echo` and answers every question with 7.
fn echo(scenario: Scenario, node: &'static str) -> Scenario {
    scenario.node(node, |ctx: Context<ReplyTo<u64>>| async move {
        ctx.register("echo").expect("a free name");
        loop {
            ctx.receive_message().await.reply(7);
        }
    })
}

/// What was heard on a node, without its times.
fn heard(sim: &Sim<'_, '_>, node: &str) -> Vec<String> {
    let heard = sim.observed::<Heard>(node).unwrap_or_default();
    heard.into_iter().map(|(_, line)| line).collect()
}

/// When a line was first heard on a node.
fn moment(sim: &Sim<'_, '_>, node: &str, line: &str) -> Option<Time> {
    let heard = sim.observed::<Heard>(node).unwrap_or_default();
    let found = heard.into_iter().find(|(_, heard)| heard == line);
    found.map(|(at, _)| at)
}

/// A moment, counted from the beginning.
fn at(from_beginning: Duration) -> Option<Time> {
    Some(Time::ZERO + from_beginning)
}

/// How long a silence that began at `since` lasted until `line` was heard on a node.
fn silence(sim: &Sim<'_, '_>, node: &str, line: &str, since: Time) -> Duration {
    let noticed = moment(sim, node, line);
    noticed
        .unwrap_or_else(|| panic!("`{line}` was not heard on {node}"))
        .since(since)
}

/// The reason with which links and monitors end where a connection does.
fn gone() -> ExitReason {
    ExitReason::NoConnection
}
