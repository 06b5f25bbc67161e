//! Rule 15: whom a supervisor restarts.

use super::{Birth, CRASH, Do, abc, ask, crash, one_node, start, started, states, told, worker};
use netsplit::{Context, ExitReason, Supervisor, child, millis, secs};

#[test]
fn otp_15_one_for_one_restarts_the_one_that_has_ended() {
    one_node(async |ctx: &Context<String>| {
        let tree = started(ctx, abc(ctx, Supervisor::one_for_one())).await;
        let before = tree.which_children().await.unwrap();
        crash("b");
        assert_eq!(told(ctx).await, format!("b {CRASH}, b up"));
        let after = tree.which_children().await.unwrap();
        assert_eq!((before[0].pid, before[2].pid), (after[0].pid, after[2].pid));
        assert_ne!(before[1].pid, after[1].pid);
        assert_eq!(after.iter().map(|child| child.restarts).sum::<u32>(), 1);
    });
}

#[test]
fn otp_15_one_for_all_terminates_in_reverse_and_starts_forward() {
    one_node(async |ctx: &Context<String>| {
        started(ctx, abc(ctx, Supervisor::one_for_all())).await;
        crash("b");
        let expected = format!("b {CRASH}, c ends shutdown, a ends shutdown, a up, b up, c up");
        assert_eq!(told(ctx).await, expected);
    });
}

#[test]
fn otp_15_rest_for_one_terminates_those_after_it_in_reverse_and_starts_forward() {
    one_node(async |ctx: &Context<String>| {
        let tree = abc(ctx, Supervisor::rest_for_one()).child(worker(ctx, "d").spec());
        started(ctx, tree).await;
        crash("b");
        let expected = format!("b {CRASH}, d ends shutdown, c ends shutdown, b up, c up, d up");
        assert_eq!(told(ctx).await, expected);
    });
}

#[test]
fn otp_15_rest_for_one_leaves_all_alone_where_the_last_has_ended() {
    one_node(async |ctx: &Context<String>| {
        started(ctx, abc(ctx, Supervisor::rest_for_one())).await;
        crash("c");
        assert_eq!(told(ctx).await, format!("c {CRASH}, c up"));
    });
}

#[test]
fn otp_15_all_have_ended_before_the_first_starts_again() {
    one_node(async |ctx: &Context<String>| {
        for tree in [Supervisor::one_for_all(), Supervisor::rest_for_one()] {
            let slow = |id| worker(ctx, id).ends_after(millis(20)).spec();
            let tree = tree.child(slow("a")).child(slow("b")).child(slow("c"));
            let tree = started(ctx, tree).await;
            crash("a");
            ctx.sleep(millis(100)).await;
            let expected = format!("a {CRASH}, c ends shutdown, b ends shutdown, a up, b up, c up");
            assert_eq!(told(ctx).await, expected);
            super::stop(ctx, tree).await;
            told(ctx).await;
        }
    });
}

#[test]
fn otp_15_one_event_counts_as_one_restart_however_many_children_it_restarts() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::one_for_all().intensity(2, secs(5));
        let tree = started(ctx, abc(ctx, tree)).await;
        for _ in 0..2 {
            crash("a");
            told(ctx).await;
        }
        assert_eq!(states(tree).await, "a up, b up, c up");
        let end = super::end_of(ctx, tree, || crash("a")).await;
        assert_eq!(end, ExitReason::Shutdown);
    });
}

#[test]
fn otp_15_a_group_restart_revives_transient_siblings_that_had_exited_normally() {
    one_node(async |ctx: &Context<String>| {
        for (tree, first) in [
            (Supervisor::one_for_all(), "b"),
            (Supervisor::rest_for_one(), "a"),
        ] {
            let tree = tree
                .child(worker(ctx, "a").spec().transient())
                .child(worker(ctx, "b").spec())
                .child(worker(ctx, "c").spec().transient());
            let tree = started(ctx, tree).await;
            ask("c", Do::End(ExitReason::Normal));
            assert_eq!(told(ctx).await, "c ends normal");
            assert_eq!(states(tree).await, "a up, b up, c down");
            crash(first);
            told(ctx).await;
            assert_eq!(states(tree).await, "a up, b up, c up");
            super::stop(ctx, tree).await;
            told(ctx).await;
        }
    });
}

#[test]
fn otp_15_a_group_restart_revives_what_was_terminated_by_hand() {
    one_node(async |ctx: &Context<String>| {
        let tree = started(ctx, abc(ctx, Supervisor::one_for_all())).await;
        assert_eq!(tree.terminate_child("c").await, Ok(()));
        assert_eq!(states(tree).await, "a up, b up, c down");
        crash("a");
        told(ctx).await;
        assert_eq!(states(tree).await, "a up, b up, c up");
    });
}

#[test]
fn otp_15_a_group_restart_drops_temporary_siblings() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::one_for_all()
            .child(worker(ctx, "a").spec())
            .child(worker(ctx, "b").spec().temporary())
            .child(worker(ctx, "c").spec());
        let tree = started(ctx, tree).await;
        crash("a");
        let expected = format!("a {CRASH}, c ends shutdown, b ends shutdown, a up, c up");
        assert_eq!(told(ctx).await, expected);
        assert_eq!(states(tree).await, "a up, c up");
    });
}

#[test]
fn otp_15_rest_for_one_leaves_a_temporary_sibling_before_it_alone() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::rest_for_one()
            .child(worker(ctx, "a").spec().temporary())
            .child(worker(ctx, "b").spec());
        let tree = started(ctx, tree).await;
        crash("b");
        assert_eq!(told(ctx).await, format!("b {CRASH}, b up"));
        assert_eq!(states(tree).await, "a up, b up");
    });
}

#[test]
fn otp_15_the_end_of_a_temporary_child_restarts_nobody() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::one_for_all()
            .child(worker(ctx, "a").spec().temporary())
            .child(worker(ctx, "b").spec());
        let tree = started(ctx, tree).await;
        crash("a");
        assert_eq!(told(ctx).await, format!("a {CRASH}"));
        assert_eq!(states(tree).await, "b up");
    });
}

#[test]
fn otp_15_siblings_that_crash_while_their_group_stops_are_no_second_restart() {
    one_node(async |ctx: &Context<String>| {
        // The default allows one. b's own crash comes while c takes its time to stop.
        let tree = Supervisor::one_for_all()
            .child(worker(ctx, "a").spec())
            .child(worker(ctx, "b").spec())
            .child(worker(ctx, "c").ends_after(millis(20)).spec());
        let tree = started(ctx, tree).await;
        crash("a");
        ctx.sleep(millis(10)).await;
        crash("b");
        ctx.sleep(millis(30)).await;
        let expected = format!("a {CRASH}, b {CRASH}, c ends shutdown, a up, b up, c up");
        assert_eq!(told(ctx).await, expected);
        assert_eq!(states(tree).await, "a up, b up, c up");
    });
}

#[test]
fn otp_15_siblings_that_crash_together_leave_one_live_incarnation_each() {
    one_node(async |ctx: &Context<String>| {
        for tree in [
            Supervisor::one_for_one(),
            Supervisor::one_for_all(),
            Supervisor::rest_for_one(),
        ] {
            let tree = abc(ctx, tree.intensity(10, secs(5)));
            let tree = start(ctx, tree).await;
            for id in ["b", "a", "c"] {
                crash(id);
            }
            told(ctx).await;
            assert_eq!(states(tree).await, "a up, b up, c up");
            super::stop(ctx, tree).await;
            assert_eq!(["a", "b", "c"].map(|id| ctx.whereis(id)), [None; 3]);
            told(ctx).await;
        }
    });
}

#[test]
fn otp_15_and_17_where_a_sibling_fails_its_whole_group_is_tried_again() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::one_for_all()
            .intensity(2, secs(5))
            .child(worker(ctx, "a").spec())
            .child(worker(ctx, "b").births(&[Birth::Fine, Birth::Fails]).spec())
            .child(worker(ctx, "c").spec());
        let tree = started(ctx, tree).await;
        crash("c");
        // As in OTP, what was started before the one that failed is stopped and started again.
        let expected = format!(
            "c {CRASH}, b ends shutdown, a ends shutdown, a up, b fails, \
             a ends shutdown, a up, b up, c up"
        );
        assert_eq!(told(ctx).await, expected);
        assert_eq!(states(tree).await, "a up, b up, c up");
    });
}

#[test]
fn otp_15_and_17_rest_for_one_tries_again_from_the_one_that_failed() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::rest_for_one()
            .intensity(2, secs(5))
            .child(worker(ctx, "a").spec())
            .child(worker(ctx, "b").births(&[Birth::Fine, Birth::Fails]).spec())
            .child(worker(ctx, "c").spec());
        started(ctx, tree).await;
        crash("a");
        let expected =
            format!("a {CRASH}, c ends shutdown, b ends shutdown, a up, b fails, b up, c up");
        assert_eq!(told(ctx).await, expected);
    });
}

#[test]
fn otp_15_a_nested_supervisor_is_restarted_with_all_its_children() {
    one_node(async |ctx: &Context<String>| {
        let inner = abc(ctx, Supervisor::one_for_one().intensity(0, secs(5)));
        let tree = Supervisor::one_for_one().child(child("inner", move || inner.clone()));
        let tree = started(ctx, tree).await;
        crash("b");
        let expected = format!("b {CRASH}, c ends shutdown, a ends shutdown, a up, b up, c up");
        assert_eq!(told(ctx).await, expected);
        assert_eq!(states(tree).await, "inner up");
    });
}
