//! Rules 14 and 15: how supervisors start their children, and which of them they restart. The same as
//! `trees.erl`.

use super::probe::{Ask, Init, Plan, failure};
use super::tree::{kill, pid, planned, say_children, start, stop, tell, traps};
use super::{await_end, end_of, next};
use crate::common::error;
use crate::settle;
use netsplit::otp::{ChildSpec, Supervisor, child};
use netsplit::{Context, ExitReason};

cases! { "trees":
    otp_14_children_start_in_order_and_stop_in_reverse,
    otp_14_where_one_fails_those_before_it_stop_in_reverse_and_later_ones_are_not_tried,
    otp_14_a_child_whose_init_panics_fails,
    otp_14_a_supervisor_that_cannot_start_ends_with_its_reason,
    otp_14_where_a_subtree_fails_the_reason_tells_the_way,
    otp_14_a_tree_stops_depth_first_in_reverse,
    otp_14_a_child_that_ignores_its_start_is_kept_without_a_process_and_a_temporary_one_is_not,
    otp_14_a_supervisor_ends_with_the_reason_of_its_parent,
    otp_14_an_exit_of_anyone_else_is_nothing_to_a_supervisor,
    otp_15_one_for_one_restarts_the_one_that_ended,
    otp_15_one_for_all_stops_in_reverse_and_starts_forward,
    otp_15_rest_for_one_stops_and_starts_those_after_it,
    otp_15_one_event_counts_as_one_restart,
    otp_15_children_that_end_together_are_one_event_of_one_for_all,
    otp_15_a_group_restart_revives_transient_siblings_that_had_ended,
    otp_15_a_group_restart_revives_siblings_that_were_stopped_by_hand,
    otp_15_a_group_restart_drops_temporary_siblings,
    otp_15_rest_for_one_revives_only_those_after_it,
    otp_15_an_end_that_brings_no_restart_leaves_the_group_alone,
}

type Client = Context<String>;

fn one_for_one() -> Supervisor {
    Supervisor::one_for_one()
}

fn one_for_all() -> Supervisor {
    Supervisor::one_for_all()
}

fn fails(id: &'static str) -> ChildSpec {
    planned(id, Plan::init(Init::Fails(error("boom"))))
}

fn ignores(id: &'static str) -> ChildSpec {
    planned(id, Plan::init(Init::Ignores))
}

fn quiet(id: &'static str) -> ChildSpec {
    planned(id, Plan::default())
}

async fn otp_14_children_start_in_order_and_stop_in_reverse(ctx: &Client) {
    ctx.trap_exit(true);
    let children = one_for_one()
        .child(traps("a"))
        .child(traps("b"))
        .child(traps("c"));
    let tree = start(ctx, children).await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_14_where_one_fails_those_before_it_stop_in_reverse_and_later_ones_are_not_tried(
    ctx: &Client,
) {
    ctx.trap_exit(true);
    let children = one_for_one().child(traps("a")).child(traps("b"));
    let children = children.child(fails("c")).child(traps("d"));
    say!(ctx, "failed: {}", failure(children.start_link(ctx).await));
}

async fn otp_14_a_child_whose_init_panics_fails(ctx: &Client) {
    ctx.trap_exit(true);
    let panics = planned("b", Plan::init(Init::Panics("boom")));
    let children = one_for_one().child(traps("a")).child(panics);
    say!(ctx, "failed: {}", failure(children.start_link(ctx).await));
}

async fn otp_14_a_supervisor_that_cannot_start_ends_with_its_reason(ctx: &Client) {
    let (_, monitor) = ctx.spawn_monitor(|starter: Context| async move {
        let _ = one_for_one().child(fails("a")).start_link(&starter).await;
        settle(&starter).await;
    });
    say!(ctx, "starter: {}", end_of(ctx, monitor).await);
}

async fn otp_14_where_a_subtree_fails_the_reason_tells_the_way(ctx: &Client) {
    ctx.trap_exit(true);
    let inner = child("inner", || {
        one_for_one().child(traps("b")).child(fails("c"))
    });
    let children = one_for_one()
        .child(traps("a"))
        .child(inner)
        .child(traps("d"));
    say!(ctx, "failed: {}", failure(children.start_link(ctx).await));
}

async fn otp_14_a_tree_stops_depth_first_in_reverse(ctx: &Client) {
    ctx.trap_exit(true);
    let inner = child("inner", || {
        one_for_one().child(traps("b")).child(traps("c"))
    });
    let children = one_for_one()
        .child(traps("a"))
        .child(inner)
        .child(traps("d"));
    let tree = start(ctx, children).await;
    stop(ctx, tree).await;
}

async fn otp_14_a_child_that_ignores_its_start_is_kept_without_a_process_and_a_temporary_one_is_not(
    ctx: &Client,
) {
    ctx.trap_exit(true);
    let children = one_for_one()
        .child(ignores("a"))
        .child(ignores("b").temporary());
    let tree = start(ctx, children.child(traps("c"))).await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_14_a_supervisor_ends_with_the_reason_of_its_parent(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(ctx, one_for_one().child(traps("a"))).await;
    ctx.send_exit(tree.pid().unwrap(), ExitReason::Normal);
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_14_an_exit_of_anyone_else_is_nothing_to_a_supervisor(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(ctx, one_for_one().child(traps("a"))).await;
    let other = ctx.spawn(move |other: Context| async move {
        other.send_exit(tree.pid().unwrap(), error("boom"));
    });
    await_end(ctx, other.pid().unwrap()).await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_15_one_for_one_restarts_the_one_that_ended(ctx: &Client) {
    ctx.trap_exit(true);
    let children = one_for_one()
        .child(traps("a"))
        .child(traps("b"))
        .child(traps("c"));
    let tree = start(ctx, children).await;
    kill(ctx, tree, "b").await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_15_one_for_all_stops_in_reverse_and_starts_forward(ctx: &Client) {
    ctx.trap_exit(true);
    let children = one_for_all()
        .child(traps("a"))
        .child(traps("b"))
        .child(traps("c"));
    let tree = start(ctx, children).await;
    kill(ctx, tree, "b").await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_15_rest_for_one_stops_and_starts_those_after_it(ctx: &Client) {
    ctx.trap_exit(true);
    let children = Supervisor::rest_for_one()
        .child(traps("a"))
        .child(traps("b"));
    let tree = start(ctx, children.child(traps("c")).child(traps("d"))).await;
    kill(ctx, tree, "b").await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_15_one_event_counts_as_one_restart(ctx: &Client) {
    ctx.trap_exit(true);
    let children = one_for_all()
        .child(quiet("a"))
        .child(quiet("b"))
        .child(quiet("c"));
    let tree = start(ctx, children).await;
    kill(ctx, tree, "b").await;
    say_children(ctx, tree).await;
    kill(ctx, tree, "b").await;
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_15_children_that_end_together_are_one_event_of_one_for_all(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(ctx, one_for_all().child(quiet("a")).child(quiet("b"))).await;
    for child in [pid(tree, "a").await, pid(tree, "b").await] {
        ctx.send_exit(child, ExitReason::Kill);
    }
    settle(ctx).await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_15_a_group_restart_revives_transient_siblings_that_had_ended(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(
        ctx,
        one_for_all()
            .child(traps("a"))
            .child(traps("b").transient()),
    )
    .await;
    tell(ctx, tree, "b", Ask::End(ExitReason::Normal)).await;
    say_children(ctx, tree).await;
    kill(ctx, tree, "a").await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_15_a_group_restart_revives_siblings_that_were_stopped_by_hand(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(ctx, one_for_all().child(traps("a")).child(traps("b"))).await;
    tree.terminate_child("b").await.expect("it stops");
    kill(ctx, tree, "a").await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_15_a_group_restart_drops_temporary_siblings(ctx: &Client) {
    ctx.trap_exit(true);
    let children = one_for_all()
        .child(traps("a"))
        .child(traps("b").temporary());
    let tree = start(ctx, children.child(traps("c"))).await;
    kill(ctx, tree, "a").await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_15_rest_for_one_revives_only_those_after_it(ctx: &Client) {
    ctx.trap_exit(true);
    let children = Supervisor::rest_for_one()
        .child(traps("a").transient())
        .child(traps("b"));
    let tree = start(ctx, children.child(traps("c").transient())).await;
    tell(ctx, tree, "a", Ask::End(ExitReason::Normal)).await;
    tell(ctx, tree, "c", Ask::End(ExitReason::Normal)).await;
    kill(ctx, tree, "b").await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_15_an_end_that_brings_no_restart_leaves_the_group_alone(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(
        ctx,
        one_for_all()
            .child(traps("a").temporary())
            .child(traps("b")),
    )
    .await;
    kill(ctx, tree, "a").await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}
