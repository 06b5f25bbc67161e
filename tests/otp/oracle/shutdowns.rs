//! Rules 20 and 21, and what supervisors are asked for: how children are stopped, and by whom. The same as
//! `shutdowns.erl`.

use super::probe::{Ask, Init, Plan, failure};
use super::tree::{
    in_turn, kill, pid, planned, refused, say_children, say_count, start, stop, subtree, tell,
    traps,
};
use super::{await_end, next};
use crate::common::error;
use crate::settle;
use netsplit::otp::{
    AutoShutdown, ChildError, ChildSpec, Shutdown, Supervisor, SupervisorRef, child,
};
use netsplit::{Address, Context, ExitReason, millis, secs};

cases! { "shutdowns":
    otp_20_a_brutal_kill_leaves_no_time_to_terminate,
    otp_20_a_child_that_takes_longer_than_it_may_is_killed,
    otp_20_a_child_may_take_its_time,
    otp_20_a_child_that_does_not_trap_ends_without_terminate,
    otp_20_a_child_that_has_unlinked_itself_is_stopped_all_the_same,
    otp_20_the_end_of_a_child_that_has_unlinked_itself_goes_unnoticed,
    otp_20_a_supervisor_that_is_killed_leaves_no_child_behind,
    otp_21_any_significant_child_ends_its_supervisor,
    otp_21_all_significant_children_end_their_supervisor,
    otp_21_a_significant_child_that_is_restarted_ends_nothing,
    otp_21_a_temporary_significant_child_ends_its_supervisor_whatever_its_reason,
    otp_21_a_child_that_is_not_significant_ends_nothing,
    otp_21_stopping_a_significant_child_by_hand_ends_nothing,
    otp_21_a_significant_child_that_ends_a_subtree_leaves_the_tree_alone,
    otp_21_a_significant_child_that_was_stopped_by_hand_is_none_of_all,
    otp_21_a_significant_child_that_ignores_its_start_ends_nothing,
    otp_21_a_significant_child_that_is_stopped_with_its_group_ends_nothing,
    otp_21_a_permanent_supervisor_that_has_shut_itself_down_is_restarted,
    otp_14_a_child_added_later_is_the_last,
    otp_14_a_child_that_cannot_be_added_is_not_kept,
    otp_14_one_id_one_child,
    otp_14_a_child_stopped_by_hand_stays_until_it_is_restarted_or_deleted,
    otp_14_a_temporary_child_stopped_by_hand_is_forgotten,
    otp_14_a_child_that_fails_to_be_restarted_by_hand_stays_without_a_process,
    otp_14_what_a_supervisor_refuses,
    otp_14_children_are_counted,
    otp_14_specifications_that_make_no_sense_start_nothing,
}

type Client = Context<String>;

fn one_for_one() -> Supervisor {
    Supervisor::one_for_one()
}

fn any_significant() -> Supervisor {
    one_for_one().auto_shutdown(AutoShutdown::AnySignificant)
}

fn all_significant() -> Supervisor {
    one_for_one().auto_shutdown(AutoShutdown::AllSignificant)
}

/// A probe that traps exits, is transient, and significant.
fn significant(id: &'static str) -> ChildSpec {
    traps(id).transient().significant()
}

fn fails() -> Plan {
    Plan::init(Init::Fails(error("boom")))
}

fn ignores() -> Plan {
    Plan::init(Init::Ignores)
}

/// Why a child was not started.
fn why<T>(started: Result<T, ChildError>) -> String {
    match started {
        Err(ChildError::Start(error)) => failure::<()>(Err(error)),
        _ => "no failure".to_owned(),
    }
}

async fn otp_20_a_brutal_kill_leaves_no_time_to_terminate(ctx: &Client) {
    ctx.trap_exit(true);
    let killed = traps("b").shutdown(Shutdown::BrutalKill);
    let children = one_for_one()
        .child(traps("a"))
        .child(killed)
        .child(traps("c"));
    let tree = start(ctx, children).await;
    stop(ctx, tree).await;
}

async fn otp_20_a_child_that_takes_longer_than_it_may_is_killed(ctx: &Client) {
    ctx.trap_exit(true);
    let slow = planned("b", Plan::trapping().slow(1000));
    let slow = slow.shutdown(Shutdown::Within(millis(50)));
    let children = one_for_one()
        .child(traps("a"))
        .child(slow)
        .child(traps("c"));
    let tree = start(ctx, children).await;
    stop(ctx, tree).await;
}

async fn otp_20_a_child_may_take_its_time(ctx: &Client) {
    ctx.trap_exit(true);
    let slow = |id| planned(id, Plan::trapping().slow(50));
    let within = slow("b").shutdown(Shutdown::Within(secs(2)));
    let infinity = slow("c").shutdown(Shutdown::Infinity);
    let children = one_for_one()
        .child(traps("a"))
        .child(within)
        .child(infinity);
    let tree = start(ctx, children).await;
    stop(ctx, tree).await;
}

async fn otp_20_a_child_that_does_not_trap_ends_without_terminate(ctx: &Client) {
    ctx.trap_exit(true);
    let children = one_for_one()
        .child(traps("a"))
        .child(planned("b", Plan::default()));
    let tree = start(ctx, children).await;
    stop(ctx, tree).await;
}

/// Tells a child to unlink itself from its supervisor.
async fn unlink(tree: SupervisorRef, id: &str) {
    Address::of(pid(tree, id).await).send(Ask::Unlink(tree.pid().unwrap()));
}

async fn otp_20_a_child_that_has_unlinked_itself_is_stopped_all_the_same(ctx: &Client) {
    ctx.trap_exit(true);
    let slow = planned("b", Plan::trapping().slow(1000));
    let slow = slow.shutdown(Shutdown::Within(millis(50)));
    let tree = start(ctx, one_for_one().child(traps("a")).child(slow)).await;
    unlink(tree, "a").await;
    unlink(tree, "b").await;
    settle(ctx).await;
    stop(ctx, tree).await;
}

async fn otp_20_the_end_of_a_child_that_has_unlinked_itself_goes_unnoticed(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(ctx, one_for_one().child(traps("a"))).await;
    unlink(tree, "a").await;
    tell(ctx, tree, "a", Ask::End(error("boom"))).await;
    say_children(ctx, tree).await;
    say_count(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_20_a_supervisor_that_is_killed_leaves_no_child_behind(ctx: &Client) {
    ctx.trap_exit(true);
    let children = one_for_one()
        .child(traps("a"))
        .child(planned("b", Plan::default()));
    let tree = start(ctx, children).await;
    let children = [pid(tree, "a").await, pid(tree, "b").await];
    ctx.send_exit(tree.pid().unwrap(), ExitReason::Kill);
    for child in children {
        await_end(ctx, child).await;
    }
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_21_any_significant_child_ends_its_supervisor(ctx: &Client) {
    ctx.trap_exit(true);
    let children = any_significant().child(traps("a")).child(significant("b"));
    let tree = start(ctx, children.child(significant("c"))).await;
    tell(ctx, tree, "b", Ask::End(ExitReason::Normal)).await;
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_21_all_significant_children_end_their_supervisor(ctx: &Client) {
    ctx.trap_exit(true);
    let children = all_significant().child(traps("a"));
    let tree = start(
        ctx,
        children.child(significant("b")).child(significant("c")),
    )
    .await;
    tell(ctx, tree, "b", Ask::End(ExitReason::Normal)).await;
    say_children(ctx, tree).await;
    tell(ctx, tree, "c", Ask::End(ExitReason::Shutdown)).await;
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_21_a_significant_child_that_is_restarted_ends_nothing(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(
        ctx,
        any_significant().child(traps("a")).child(significant("b")),
    )
    .await;
    tell(ctx, tree, "b", Ask::End(error("boom"))).await;
    say_children(ctx, tree).await;
    tell(ctx, tree, "b", Ask::End(ExitReason::Normal)).await;
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_21_a_temporary_significant_child_ends_its_supervisor_whatever_its_reason(
    ctx: &Client,
) {
    ctx.trap_exit(true);
    let children = any_significant()
        .child(traps("a"))
        .child(significant("b").temporary());
    let tree = start(ctx, children).await;
    tell(ctx, tree, "b", Ask::End(error("boom"))).await;
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_21_a_child_that_is_not_significant_ends_nothing(ctx: &Client) {
    ctx.trap_exit(true);
    let children = any_significant()
        .child(traps("a").transient())
        .child(significant("b"));
    let tree = start(ctx, children).await;
    tell(ctx, tree, "a", Ask::End(ExitReason::Normal)).await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_21_stopping_a_significant_child_by_hand_ends_nothing(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(
        ctx,
        any_significant().child(traps("a")).child(significant("b")),
    )
    .await;
    tree.terminate_child("b").await.expect("it stops");
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_21_a_significant_child_that_ends_a_subtree_leaves_the_tree_alone(ctx: &Client) {
    ctx.trap_exit(true);
    let inner = child("inner", || {
        any_significant().child(traps("b")).child(significant("c"))
    });
    let tree = start(
        ctx,
        one_for_one().child(traps("a")).child(inner.transient()),
    )
    .await;
    tell(
        ctx,
        subtree(tree, "inner").await,
        "c",
        Ask::End(ExitReason::Normal),
    )
    .await;
    settle(ctx).await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_21_a_significant_child_that_was_stopped_by_hand_is_none_of_all(ctx: &Client) {
    ctx.trap_exit(true);
    let children = all_significant().child(traps("a")).child(significant("b"));
    let tree = start(ctx, children.child(significant("c"))).await;
    tree.terminate_child("b").await.expect("it stops");
    say_children(ctx, tree).await;
    tell(ctx, tree, "c", Ask::End(ExitReason::Normal)).await;
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_21_a_significant_child_that_ignores_its_start_ends_nothing(ctx: &Client) {
    ctx.trap_exit(true);
    let ignores = planned("b", ignores()).transient().significant();
    let children = all_significant().child(traps("a")).child(ignores);
    let tree = start(ctx, children.child(significant("c"))).await;
    say_children(ctx, tree).await;
    tell(ctx, tree, "c", Ask::End(ExitReason::Normal)).await;
    say!(ctx, "{}", next(ctx).await);
}

async fn otp_21_a_significant_child_that_is_stopped_with_its_group_ends_nothing(ctx: &Client) {
    ctx.trap_exit(true);
    let any = Supervisor::one_for_all().auto_shutdown(AutoShutdown::AnySignificant);
    let children = any.child(traps("a")).child(significant("b"));
    let tree = start(ctx, children.child(significant("c").temporary())).await;
    kill(ctx, tree, "a").await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_21_a_permanent_supervisor_that_has_shut_itself_down_is_restarted(ctx: &Client) {
    ctx.trap_exit(true);
    let inner = child("inner", || any_significant().child(significant("b")));
    let tree = start(ctx, one_for_one().child(traps("a")).child(inner)).await;
    tell(
        ctx,
        subtree(tree, "inner").await,
        "b",
        Ask::End(ExitReason::Normal),
    )
    .await;
    settle(ctx).await;
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_14_a_child_added_later_is_the_last(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(ctx, one_for_one().child(traps("a"))).await;
    tree.start_child(traps("b")).await.expect("it starts");
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_14_a_child_that_cannot_be_added_is_not_kept(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(ctx, one_for_one().child(traps("a"))).await;
    say!(
        ctx,
        "failed: {}",
        why(tree.start_child(planned("b", fails())).await)
    );
    assert_eq!(tree.start_child(planned("c", ignores())).await, Ok(None));
    assert_eq!(
        tree.start_child(planned("d", ignores()).temporary()).await,
        Ok(None)
    );
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_14_one_id_one_child(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(ctx, one_for_one().child(traps("a"))).await;
    let there = Err(ChildError::AlreadyStarted(pid(tree, "a").await));
    say!(
        ctx,
        "it is the child: {}",
        tree.start_child(traps("a")).await == there
    );
    tree.terminate_child("a").await.expect("it stops");
    say!(
        ctx,
        "refused: {}",
        refused(tree.start_child(traps("a")).await)
    );
    stop(ctx, tree).await;
}

async fn otp_14_a_child_stopped_by_hand_stays_until_it_is_restarted_or_deleted(ctx: &Client) {
    ctx.trap_exit(true);
    let children = one_for_one()
        .intensity(0, secs(5))
        .child(traps("a"))
        .child(traps("b"));
    let tree = start(ctx, children).await;
    tree.terminate_child("a").await.expect("it stops");
    tree.terminate_child("a").await.expect("it has stopped");
    say_children(ctx, tree).await;
    tree.restart_child("a").await.expect("it starts");
    say_children(ctx, tree).await;
    tree.terminate_child("a").await.expect("it stops");
    tree.delete_child("a").await.expect("it has stopped");
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_14_a_temporary_child_stopped_by_hand_is_forgotten(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(
        ctx,
        one_for_one()
            .child(traps("a").temporary())
            .child(traps("b")),
    )
    .await;
    tree.terminate_child("a").await.expect("it stops");
    say_children(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_14_a_child_that_fails_to_be_restarted_by_hand_stays_without_a_process(ctx: &Client) {
    ctx.trap_exit(true);
    let plans = vec![Plan::trapping(), fails(), Plan::trapping()];
    let tree = start(ctx, one_for_one().child(in_turn("a", plans))).await;
    tree.terminate_child("a").await.expect("it stops");
    say!(ctx, "failed: {}", why(tree.restart_child("a").await));
    say_children(ctx, tree).await;
    tree.restart_child("a").await.expect("it starts");
    stop(ctx, tree).await;
}

async fn otp_14_what_a_supervisor_refuses(ctx: &Client) {
    ctx.trap_exit(true);
    let tree = start(ctx, one_for_one().child(traps("a"))).await;
    say!(ctx, "refused: {}", refused(tree.restart_child("a").await));
    say!(ctx, "refused: {}", refused(tree.delete_child("a").await));
    say!(ctx, "refused: {}", refused(tree.terminate_child("b").await));
    say!(ctx, "refused: {}", refused(tree.restart_child("b").await));
    say!(ctx, "refused: {}", refused(tree.delete_child("b").await));
    stop(ctx, tree).await;
}

async fn otp_14_children_are_counted(ctx: &Client) {
    ctx.trap_exit(true);
    let children = one_for_one()
        .child(traps("a"))
        .child(planned("b", ignores()));
    let tree = start(ctx, children.child(child("c", one_for_one))).await;
    say_count(ctx, tree).await;
    stop(ctx, tree).await;
}

async fn otp_14_specifications_that_make_no_sense_start_nothing(ctx: &Client) {
    ctx.trap_exit(true);
    let permanent = any_significant().child(traps("a").significant());
    for nonsense in [
        one_for_one().child(traps("a")).child(traps("a")),
        permanent,
        one_for_one().child(significant("a")),
        one_for_one().intensity(1, secs(0)).child(traps("a")),
    ] {
        assert!(nonsense.start_link(ctx).await.is_err());
        say!(ctx, "no sense");
    }
}
