//! Rule 21: significant children, and supervisors that shut themselves down.

use super::{Do, ask, crash, end_of, one_node, started, states, told, worker};
use netsplit::{AutoShutdown, Context, ExitReason, Restart, Supervisor, SupervisorRef, secs};

/// A tree of two significant children, s and t, between two that are not.
async fn tree(ctx: &Context<String>, auto: AutoShutdown, restart: Restart) -> SupervisorRef {
    let significant = |id| worker(ctx, id).spec().restart(restart).significant();
    let tree = Supervisor::one_for_one()
        .auto_shutdown(auto)
        .intensity(5, secs(5))
        .child(worker(ctx, "a").spec().transient())
        .child(significant("s"))
        .child(significant("t"))
        .child(worker(ctx, "b").spec());
    started(ctx, tree).await
}

fn end(id: &str) {
    ask(id, Do::End(ExitReason::Normal));
}

const BOTH: [Restart; 2] = [Restart::Transient, Restart::Temporary];

#[test]
fn otp_21_any_significant_the_end_of_one_stops_the_rest_in_reverse_and_exits_shutdown() {
    one_node(async |ctx: &Context<String>| {
        for restart in BOTH {
            let tree = tree(ctx, AutoShutdown::AnySignificant, restart).await;
            let reason = end_of(ctx, tree, || end("s")).await;
            assert_eq!(reason, ExitReason::Shutdown);
            let rest = "t ends shutdown, a ends shutdown";
            assert_eq!(
                told(ctx).await,
                format!("s ends normal, b ends shutdown, {rest}")
            );
        }
    });
}

#[test]
fn otp_21_all_significant_the_end_of_the_last_one_counts() {
    one_node(async |ctx: &Context<String>| {
        for restart in BOTH {
            let tree = tree(ctx, AutoShutdown::AllSignificant, restart).await;
            end("s");
            assert_eq!(told(ctx).await, "s ends normal");
            let reason = end_of(ctx, tree, || end("t")).await;
            assert_eq!(reason, ExitReason::Shutdown);
            let rest = "b ends shutdown, a ends shutdown";
            assert_eq!(told(ctx).await, format!("t ends normal, {rest}"));
        }
    });
}

#[test]
fn otp_21_the_end_of_a_child_that_is_not_significant_shuts_nothing_down() {
    one_node(async |ctx: &Context<String>| {
        let tree = tree(ctx, AutoShutdown::AnySignificant, Restart::Transient).await;
        end("a");
        assert_eq!(told(ctx).await, "a ends normal");
        assert_eq!(states(tree).await, "a down, s up, t up, b up");
    });
}

#[test]
fn otp_21_a_transient_significant_child_that_crashes_is_restarted_and_shuts_nothing_down() {
    one_node(async |ctx: &Context<String>| {
        for auto in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
            let tree = tree(ctx, auto, Restart::Transient).await;
            crash("s");
            assert_eq!(told(ctx).await, "s ends error: crash, s up");
            assert_eq!(states(tree).await, "a up, s up, t up, b up");
            super::stop(ctx, tree).await;
            told(ctx).await;
        }
    });
}

#[test]
fn otp_21_a_temporary_significant_child_shuts_down_however_it_ends() {
    one_node(async |ctx: &Context<String>| {
        let tree = tree(ctx, AutoShutdown::AnySignificant, Restart::Temporary).await;
        let reason = end_of(ctx, tree, || crash("t")).await;
        assert_eq!(reason, ExitReason::Shutdown);
    });
}

#[test]
fn otp_21_stopping_a_child_by_hand_triggers_nothing() {
    one_node(async |ctx: &Context<String>| {
        for auto in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
            for restart in BOTH {
                let tree = tree(ctx, auto, restart).await;
                for id in ["s", "t"] {
                    assert_eq!(tree.terminate_child(id).await, Ok(()));
                }
                assert_eq!(told(ctx).await, "s ends shutdown, t ends shutdown");
                let expected = match restart {
                    Restart::Temporary => "a up, b up",
                    _ => "a up, s down, t down, b up",
                };
                assert_eq!(states(tree).await, expected);
                super::stop(ctx, tree).await;
                told(ctx).await;
            }
        }
    });
}

#[test]
fn otp_21_all_significant_those_stopped_by_hand_do_not_hold_it_up() {
    one_node(async |ctx: &Context<String>| {
        let tree = tree(ctx, AutoShutdown::AllSignificant, Restart::Transient).await;
        assert_eq!(tree.terminate_child("s").await, Ok(()));
        let reason = end_of(ctx, tree, || end("t")).await;
        assert_eq!(reason, ExitReason::Shutdown);
    });
}

#[test]
fn otp_21_a_significant_child_that_is_stopped_with_its_group_shuts_nothing_down() {
    one_node(async |ctx: &Context<String>| {
        for restart in BOTH {
            let tree = Supervisor::one_for_all()
                .auto_shutdown(AutoShutdown::AnySignificant)
                .child(worker(ctx, "a").spec())
                .child(worker(ctx, "s").spec().restart(restart).significant());
            let tree = started(ctx, tree).await;
            crash("a");
            told(ctx).await;
            let expected = match restart {
                Restart::Temporary => "a up",
                _ => "a up, s up",
            };
            assert_eq!(states(tree).await, expected);
            super::stop(ctx, tree).await;
            told(ctx).await;
        }
    });
}

#[test]
fn otp_21_a_significant_child_that_ignores_its_start_shuts_nothing_down() {
    one_node(async |ctx: &Context<String>| {
        let ignores = worker(ctx, "s").births(&[super::Birth::Ignores]).spec();
        let tree = Supervisor::one_for_one()
            .auto_shutdown(AutoShutdown::AllSignificant)
            .child(ignores.transient().significant())
            .child(worker(ctx, "b").spec());
        let tree = started(ctx, tree).await;
        assert_eq!(states(tree).await, "s down, b up");
    });
}

#[test]
fn otp_21_and_19_a_parent_restarts_a_permanent_supervisor_that_shut_itself_down() {
    one_node(async |ctx: &Context<String>| {
        let inner = Supervisor::one_for_one()
            .auto_shutdown(AutoShutdown::AnySignificant)
            .child(worker(ctx, "s").spec().transient().significant());
        let inner = netsplit::child("inner", move || inner.clone());
        for (restart, expected) in [
            (Restart::Permanent, "inner up"),
            (Restart::Transient, "inner down"),
            (Restart::Temporary, ""),
        ] {
            let tree = Supervisor::one_for_one().child(inner.clone().restart(restart));
            let tree = started(ctx, tree).await;
            end("s");
            told(ctx).await;
            assert_eq!(states(tree).await, expected);
            super::stop(ctx, tree).await;
            told(ctx).await;
        }
    });
}
