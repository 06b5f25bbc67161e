//! Supervisors of probes: the same as `tree.erl`.

use super::await_end;
use super::probe::{Ask, Plan, probe};
use crate::settle;
use netsplit::otp::{ChildError, ChildInfo, ChildSpec, Supervisor, SupervisorRef, child};
use netsplit::{Address, Context, ExitReason, Info, Message, Pid};
use std::cell::Cell;

/// A probe that traps exits, so that it says how it is stopped.
pub(super) fn traps(id: &'static str) -> ChildSpec {
    planned(id, Plan::trapping())
}

/// A probe with this plan.
pub(super) fn planned(id: &'static str, plan: Plan) -> ChildSpec {
    child(id, move || probe(id, plan.clone()))
}

/// A probe with a plan for its first start, one for its second, …; the last of them is for all further ones.
pub(super) fn in_turn(id: &'static str, plans: Vec<Plan>) -> ChildSpec {
    let next = turns(plans);
    child(id, move || probe(id, next()))
}

/// The first of these plans, then the second, …, and then always the last.
pub(super) fn turns(plans: Vec<Plan>) -> impl Fn() -> Plan {
    let turns = Cell::new(0);
    move || {
        let turn = turns.replace(turns.get() + 1);
        plans[turn.min(plans.len() - 1)].clone()
    }
}

/// Starts a supervisor that is linked to who starts it.
pub(super) async fn start(ctx: &Context<String>, supervisor: Supervisor) -> SupervisorRef {
    supervisor
        .start_link(ctx)
        .await
        .expect("all its children start")
}

async fn children(tree: SupervisorRef) -> Vec<ChildInfo> {
    tree.which_children().await.unwrap_or_default()
}

/// The process of a child.
pub(super) async fn pid(tree: SupervisorRef, id: &str) -> Pid {
    let children = children(tree).await;
    let child = children.into_iter().find(|child| child.id == id);
    child
        .and_then(|child| child.pid)
        .expect("a child with a process")
}

/// The subtree that a child is.
pub(super) async fn subtree(tree: SupervisorRef, id: &str) -> SupervisorRef {
    Address::of(pid(tree, id).await)
}

/// Tells a child something of which it ends, and waits until its supervisor has done what it does then.
pub(super) async fn tell(ctx: &Context<String>, tree: SupervisorRef, id: &str, what: Ask) {
    let pid = pid(tree, id).await;
    Address::of(pid).send(what);
    await_end(ctx, pid).await;
    settle_with(ctx, tree).await;
}

/// The same, by a kill.
pub(super) async fn kill(ctx: &Context<String>, tree: SupervisorRef, id: &str) {
    let pid = pid(tree, id).await;
    ctx.send_exit(pid, ExitReason::Kill);
    await_end(ctx, pid).await;
    settle_with(ctx, tree).await;
}

/// Waits until a supervisor has nothing more to restart, or has ended.
async fn settle_with(ctx: &Context<String>, tree: SupervisorRef) {
    settle(ctx).await;
    while children(tree).await.iter().any(|child| child.restarting) {
        settle(ctx).await;
    }
}

/// Says which children there are, in the order of their starts.
pub(super) async fn say_children(ctx: &Context<String>, tree: SupervisorRef) {
    let word = |child: ChildInfo| match (child.pid, child.restarting) {
        (Some(_), _) => format!(" {}:up", child.id),
        (None, true) => format!(" {}:restarting", child.id),
        (None, false) => format!(" {}:down", child.id),
    };
    let words: String = children(tree).await.into_iter().map(word).collect();
    say!(ctx, "children:{words}");
}

/// Says how many children there are.
pub(super) async fn say_count(ctx: &Context<String>, tree: SupervisorRef) {
    let count = tree.count_children().await.expect("it counts");
    let (specs, active) = (count.specs, count.active);
    let (supervisors, workers) = (count.supervisors, count.workers);
    say!(
        ctx,
        "{specs} specs, {active} active, {supervisors} supervisors, {workers} workers"
    );
}

/// Stops a supervisor as its parent does, and says for which reason it ends.
pub(super) async fn stop<M: Message>(ctx: &Context<String>, tree: Address<M>) {
    ctx.send_exit(tree.pid().unwrap(), ExitReason::Shutdown);
    let is_it = |info: &Info| matches!(info, Info::Exit { from, .. } if Some(*from) == tree.pid());
    if let Info::Exit { reason, .. } = ctx.receive_info(is_it).await {
        say!(ctx, "the tree: {reason}");
    }
}

/// Why a supervisor has not done what it was asked for, in Erlang's words.
pub(super) fn refused<T>(answer: Result<T, ChildError>) -> &'static str {
    match answer {
        Err(ChildError::NotFound) => "not_found",
        Err(ChildError::Running) => "running",
        Err(ChildError::AlreadyPresent) => "already_present",
        Err(_) => "something else",
        Ok(_) => "nothing",
    }
}
