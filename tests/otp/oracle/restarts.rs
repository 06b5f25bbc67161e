//! Rules 16 to 19: how often supervisors restart, and what. The same as `restarts.erl`.

use super::next;
use super::probe::{Ask, Init, Plan};
use super::tree::{in_turn, kill, pid, say_children, start, stop, subtree, tell, traps};
use crate::common::error;
use crate::settle;
use netsplit::otp::{Supervisor, child};
use netsplit::{Context, ExitReason, millis, secs};
use std::time::Duration;

cases! { "restarts":
    otp_16_one_restart_is_allowed_where_nothing_is_said,
    otp_16_the_intensity_belongs_to_the_supervisor_and_not_to_the_child,
    otp_16_an_intensity_of_nought_allows_no_restart,
    otp_16_only_restarts_of_the_last_period_count,
    otp_16_a_restart_a_whole_period_ago_may_count,
    otp_17_a_restart_that_fails_is_tried_again,
    otp_17_each_try_counts,
    otp_17_a_group_of_which_one_fails_to_restart_is_tried_again,
    otp_17_a_rest_of_which_one_fails_to_restart_is_tried_again_from_that_one,
    otp_17_a_restart_that_ignores_is_over,
    otp_18_one_that_gives_up_stops_the_rest_in_reverse_and_ends_with_shutdown,
    otp_18_a_transient_supervisor_that_gave_up_is_not_restarted,
    otp_18_a_permanent_supervisor_that_gave_up_is_restarted,
    otp_18_giving_up_goes_up_the_tree,
    otp_19_permanent_children_are_always_restarted,
    otp_19_transient_children_are_not_restarted_after_a_clean_end,
    otp_19_transient_children_are_restarted_after_any_other_end,
    otp_19_temporary_children_are_never_restarted_and_forgotten,
}

type Client = Context<String>;

/// OTP's default period.
const PERIOD: Duration = secs(5);

fn one_for_one() -> Supervisor {
    Supervisor::one_for_one()
}

fn fails() -> Plan {
    Plan::init(Init::Fails(error("boom")))
}

fn early() -> ExitReason {
    ExitReason::ShutdownWith("early".to_owned())
}

async fn otp_16_one_restart_is_allowed_where_nothing_is_said(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(ctx, one_for_one().child(traps("a")).child(traps("b"))).await;
    kill(ctx, tree, "a").await;
    say_children(ctx, tree).await;
    kill(ctx, tree, "a").await;
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_16_the_intensity_belongs_to_the_supervisor_and_not_to_the_child(ctx: &Client) {
    ctx.trap_exit(true);
    let children = one_for_one()
        .intensity(2, PERIOD)
        .child(traps("a"))
        .child(traps("b"));
    let tree = start(ctx, children).await;
    kill(ctx, tree, "a").await;
    kill(ctx, tree, "b").await;
    say_children(ctx, tree).await;
    kill(ctx, tree, "b").await;
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_16_an_intensity_of_nought_allows_no_restart(ctx: &Client) {
    ctx.trap_exit(true);
    let children = one_for_one()
        .intensity(0, PERIOD)
        .child(traps("a"))
        .child(traps("b"));
    let tree = start(ctx, children).await;
    kill(ctx, tree, "b").await;
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_16_only_restarts_of_the_last_period_count(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(ctx, one_for_one().intensity(1, secs(1)).child(traps("a"))).await;
    kill(ctx, tree, "a").await;
    ctx.sleep(millis(2100)).await;
    kill(ctx, tree, "a").await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_16_a_restart_a_whole_period_ago_may_count(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(ctx, one_for_one().intensity(1, secs(1)).child(traps("a"))).await;
    ctx.send_exit(pid(tree, "a").await, ExitReason::Kill);
    ctx.sleep(secs(1)).await;
    ctx.send_exit(pid(tree, "a").await, ExitReason::Kill);
    settle(ctx).await;
    ctx.send_exit(tree.pid().unwrap(), ExitReason::Shutdown);
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_17_a_restart_that_fails_is_tried_again(ctx: &Client) {
    ctx.trap_exit(true);
    let plans = vec![Plan::default(), fails(), fails(), Plan::trapping()];
    let children = one_for_one().intensity(3, PERIOD);
    let tree = start(ctx, children.child(in_turn("a", plans)).child(traps("b"))).await;
    kill(ctx, tree, "a").await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_17_each_try_counts(ctx: &Client) {
    ctx.trap_exit(true);
    let a = in_turn("a", vec![Plan::default(), fails()]);
    let tree = start(
        ctx,
        one_for_one()
            .intensity(2, PERIOD)
            .child(a)
            .child(traps("b")),
    )
    .await;
    kill(ctx, tree, "a").await;
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_17_a_group_of_which_one_fails_to_restart_is_tried_again(ctx: &Client) {
    ctx.trap_exit(true);
    let b = in_turn("b", vec![Plan::default(), fails(), Plan::trapping()]);
    let children = Supervisor::one_for_all().intensity(2, PERIOD);
    let tree = start(ctx, children.child(traps("a")).child(b).child(traps("c"))).await;
    kill(ctx, tree, "a").await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_17_a_rest_of_which_one_fails_to_restart_is_tried_again_from_that_one(ctx: &Client) {
    ctx.trap_exit(true);
    let c = in_turn("c", vec![Plan::default(), fails(), Plan::trapping()]);
    let children = Supervisor::rest_for_one()
        .intensity(2, PERIOD)
        .child(traps("a"));
    let tree = start(ctx, children.child(traps("b")).child(c).child(traps("d"))).await;
    kill(ctx, tree, "b").await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_17_a_restart_that_ignores_is_over(ctx: &Client) {
    ctx.trap_exit(true);
    let plans = vec![Plan::default(), Plan::init(Init::Ignores)];
    let tree = start(ctx, one_for_one().child(in_turn("a", plans))).await;
    kill(ctx, tree, "a").await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_18_one_that_gives_up_stops_the_rest_in_reverse_and_ends_with_shutdown(ctx: &Client) {
    ctx.trap_exit(true);
    let children = one_for_one()
        .intensity(0, PERIOD)
        .child(traps("a"))
        .child(traps("b"));
    let tree = start(ctx, children.child(traps("c")).child(traps("d"))).await;
    tell(ctx, tree, "b", Ask::End(error("boom"))).await;
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_18_a_transient_supervisor_that_gave_up_is_not_restarted(ctx: &Client) {
    ctx.trap_exit(true);
    let inner = child("inner", || {
        one_for_one().intensity(0, PERIOD).child(traps("b"))
    });
    let tree = start(
        ctx,
        one_for_one().child(traps("a")).child(inner.transient()),
    )
    .await;
    kill(ctx, subtree(tree, "inner").await, "b").await;
    settle(ctx).await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_18_a_permanent_supervisor_that_gave_up_is_restarted(ctx: &Client) {
    ctx.trap_exit(true);
    let inner = child("inner", || {
        one_for_one().intensity(0, PERIOD).child(traps("b"))
    });
    let tree = start(ctx, one_for_one().child(traps("a")).child(inner)).await;
    kill(ctx, subtree(tree, "inner").await, "b").await;
    settle(ctx).await;
    say_children(ctx, tree).await;
    kill(ctx, subtree(tree, "inner").await, "b").await;
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_18_giving_up_goes_up_the_tree(ctx: &Client) {
    ctx.trap_exit(true);
    let inner = || one_for_one().intensity(0, PERIOD).child(traps("c"));
    let middle = move || {
        let middle = one_for_one().intensity(0, PERIOD).child(traps("b"));
        middle.child(child("inner", inner))
    };
    let children = one_for_one().intensity(0, PERIOD).child(traps("a"));
    let tree = start(ctx, children.child(child("middle", middle))).await;
    let middle = subtree(tree, "middle").await;
    kill(ctx, subtree(middle, "inner").await, "c").await;
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_19_permanent_children_are_always_restarted(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(ctx, one_for_one().intensity(4, PERIOD).child(traps("a"))).await;
    for reason in [
        ExitReason::Normal,
        ExitReason::Shutdown,
        early(),
        error("boom"),
    ] {
        tell(ctx, tree, "a", Ask::End(reason)).await;
    }
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_19_transient_children_are_not_restarted_after_a_clean_end(ctx: &Client) {
    ctx.trap_exit(true);
    for reason in [ExitReason::Normal, ExitReason::Shutdown, early()] {
        let tree = start(ctx, one_for_one().child(traps("a").transient())).await;
        tell(ctx, tree, "a", Ask::End(reason)).await;
        say_children(ctx, tree).await;
        stop(ctx, tree).await;
    }
}

async fn otp_19_transient_children_are_restarted_after_any_other_end(ctx: &Client) {
    ctx.trap_exit(true);
    let children = one_for_one()
        .intensity(4, PERIOD)
        .child(traps("a").transient());
    let tree = start(ctx, children).await;
    tell(ctx, tree, "a", Ask::End(error("boom"))).await;
    tell(ctx, tree, "a", Ask::Panic("boom".to_owned())).await;
    kill(ctx, tree, "a").await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_19_temporary_children_are_never_restarted_and_forgotten(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(
        ctx,
        one_for_one()
            .child(traps("a").temporary())
            .child(traps("b")),
    )
    .await;
    tell(ctx, tree, "a", Ask::Panic("boom".to_owned())).await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}
