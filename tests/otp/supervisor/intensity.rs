//! Rules 16 to 18: how many restarts a supervisor makes, what a failed one is, and how it gives up.

use super::{
    Birth, CRASH, abc, crash, end_of, next_down, one_node, start, started, states, told, worker,
};
use netsplit::{
    ChildError, Context, ExitReason, StartError, Supervisor, SupervisorRef, child, millis, secs,
};
use std::time::Duration;

/// Lets a child crash so many times, so far apart; whether the tree lives then.
async fn survives(
    ctx: &Context<String>,
    tree: SupervisorRef,
    crashes: u32,
    apart: Duration,
) -> bool {
    for number in 0..crashes {
        if number > 0 {
            ctx.sleep(apart).await;
        }
        crash("a");
    }
    told(ctx).await;
    ctx.is_alive(tree.pid().expect("a started tree has a pid"))
}

#[test]
fn otp_16_with_more_than_its_intensity_it_gives_up() {
    one_node(async |ctx: &Context<String>| {
        for intensity in [0, 1, 3] {
            for crashes in 1..=intensity + 1 {
                let tree = Supervisor::one_for_one().intensity(intensity, secs(5));
                let tree = started(ctx, tree.child(worker(ctx, "a").spec())).await;
                let lives = survives(ctx, tree, crashes, millis(10)).await;
                assert_eq!(lives, crashes <= intensity);
                if lives {
                    super::stop(ctx, tree).await;
                }
                told(ctx).await;
            }
        }
    });
}

#[test]
fn otp_16_the_intensity_belongs_to_the_supervisor_and_not_to_the_child() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::one_for_one().intensity(2, secs(5));
        let tree = started(ctx, abc(ctx, tree)).await;
        for id in ["a", "b"] {
            crash(id);
            told(ctx).await;
        }
        let end = end_of(ctx, tree, || crash("c")).await;
        assert_eq!(end, ExitReason::Shutdown);
    });
}

#[test]
fn otp_16_it_allows_one_restart_in_five_seconds_by_default() {
    one_node(async |ctx: &Context<String>| {
        let tree = || Supervisor::one_for_one().child(worker(ctx, "a").spec());
        let apart = |apart| async move {
            let tree = start(ctx, tree()).await;
            survives(ctx, tree, 2, apart).await
        };
        assert!(!apart(millis(4_999)).await);
        assert!(apart(millis(5_001)).await);
    });
}

#[test]
fn otp_16_both_ends_of_the_period_belong_to_it_to_the_nanosecond() {
    one_node(async |ctx: &Context<String>| {
        let nanos = Duration::from_nanos;
        for (apart, lives) in [(1_000, false), (1_001, true)] {
            // A plain child that crashes at a moment of its own: no message takes any time.
            let plain = move || {
                netsplit::otp::process(move |ctx: Context| async move {
                    ctx.sleep(nanos(apart)).await;
                    super::error("crash")
                })
            };
            let tree = Supervisor::one_for_one().intensity(1, nanos(1_000));
            let tree = start(ctx, tree.child(child("a", plain))).await;
            ctx.sleep(nanos(apart) * 10).await;
            let pid = tree.pid().expect("a started tree has a pid");
            assert_eq!(ctx.is_alive(pid), lives, "{apart} ns apart");
            if lives {
                super::stop(ctx, tree).await;
            }
        }
    });
}

#[test]
fn otp_16_the_window_slides() {
    one_node(async |ctx: &Context<String>| {
        // Three in any five seconds, for ever; then a fourth.
        let tree = Supervisor::one_for_one().intensity(3, secs(5));
        let tree = started(ctx, tree.child(worker(ctx, "a").spec())).await;
        assert!(survives(ctx, tree, 30, millis(1_700)).await);
        assert!(!survives(ctx, tree, 3, millis(10)).await);
    });
}

#[test]
fn otp_17_a_restart_that_fails_is_tried_again_and_each_try_counts() {
    one_node(async |ctx: &Context<String>| {
        let births = [Birth::Fine, Birth::Fails, Birth::Panics];
        for (intensity, lives) in [(2, false), (3, true)] {
            let tree = Supervisor::one_for_one().intensity(intensity, secs(5));
            let tree = tree.child(worker(ctx, "a").births(&births).spec());
            let tree = started(ctx, tree).await;
            crash("a");
            let told = told(ctx).await;
            let until_then = format!("a {CRASH}, a fails, a panics");
            if lives {
                assert_eq!(told, format!("{until_then}, a up"));
                assert_eq!(tree.which_children().await.unwrap()[0].restarts, 3);
                super::stop(ctx, tree).await;
            } else {
                assert_eq!(told, until_then);
                assert!(!ctx.is_alive(tree.pid().expect("it had a pid")));
            }
            super::told(ctx).await;
        }
    });
}

#[test]
fn otp_17_between_tries_it_answers_and_the_child_is_restarting() {
    one_node(async |ctx: &Context<String>| {
        let fails = Birth::FailsAfter(millis(10));
        let tree = Supervisor::one_for_one().intensity(9, secs(5)).child(
            worker(ctx, "a")
                .births(&[Birth::Fine, fails, fails, fails])
                .spec(),
        );
        let tree = started(ctx, tree).await;
        crash("a");
        ctx.sleep(millis(5)).await;
        assert_eq!(states(tree).await, "a restarting");
        assert_eq!(tree.count_children().await.unwrap().active, 0);
        assert_eq!(tree.restart_child("a").await, Err(ChildError::Restarting));
        ctx.sleep(millis(50)).await;
        assert_eq!(states(tree).await, "a up");
    });
}

#[test]
fn otp_17_what_is_restarting_can_be_terminated_and_is_then_not_tried_again() {
    one_node(async |ctx: &Context<String>| {
        let fails = Birth::FailsAfter(millis(10));
        let tree = Supervisor::one_for_one()
            .intensity(9, secs(5))
            .child(worker(ctx, "a").births(&[Birth::Fine, fails]).spec());
        let tree = started(ctx, tree).await;
        crash("a");
        ctx.sleep(millis(5)).await;
        assert_eq!(tree.delete_child("a").await, Err(ChildError::Restarting));
        // The try after the one that was under way is under way.
        ctx.sleep(millis(1)).await;
        assert_eq!(states(tree).await, "a up");
        let births = [Birth::Fine, fails, fails];
        let b = worker(ctx, "b").births(&births).spec();
        tree.start_child(b).await.expect("it starts");
        crash("b");
        ctx.sleep(millis(5)).await;
        assert_eq!(tree.terminate_child("b").await, Ok(()));
        ctx.sleep(millis(50)).await;
        assert_eq!(states(tree).await, "a up, b down");
        assert_eq!(tree.delete_child("b").await, Ok(()));
    });
}

#[test]
fn otp_17_a_child_that_never_starts_again_is_tried_again_and_counts() {
    one_node(async |ctx: &Context<String>| {
        let births = [Birth::Fine, Birth::Hangs, Birth::Hangs];
        let a = worker(ctx, "a").births(&births).start_timeout(secs(1));
        let tree = Supervisor::one_for_one().intensity(3, secs(60));
        let tree = started(ctx, tree.child(a.spec())).await;
        crash("a");
        ctx.sleep(secs(3)).await;
        assert_eq!(
            told(ctx).await,
            format!("a {CRASH}, a hangs, a hangs, a up")
        );
        assert_eq!(states(tree).await, "a up");
    });
}

#[test]
fn otp_17_a_name_that_is_taken_at_the_restart_makes_it_fail() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::one_for_one().intensity(2, secs(5));
        let tree = started(
            ctx,
            tree.child(worker(ctx, "a").ends_after(millis(5)).spec()),
        )
        .await;
        // Somebody who takes the name as soon as it is free.
        ctx.spawn(|other: Context| async move {
            let a = other.whereis("a").expect("a has it");
            let monitor = other.monitor(a);
            other
                .receive_info(|info| matches!(info, netsplit::Info::Down { .. }))
                .await;
            let took = other.register("a").is_ok();
            other.observe("took", |all: &mut bool| *all = took);
            let _ = monitor;
            super::idle(other).await;
        });
        told(ctx).await;
        let _monitor = ctx.monitor(tree.pid().unwrap());
        crash("a");
        ctx.sleep(millis(20)).await;
        // Who comes first is drawn: either it lives, or all tries find the name taken.
        match ctx.is_alive(tree.pid().unwrap()) {
            true => assert_eq!(told(ctx).await, format!("a {CRASH}, a up")),
            false => {
                assert_eq!(next_down(ctx).await, ExitReason::Shutdown);
                assert_eq!(told(ctx).await, format!("a {CRASH}"));
            }
        }
    });
}

#[test]
fn otp_17_a_child_that_is_up_and_ends_at_once_is_no_failed_start_and_counts_as_well() {
    one_node(async |ctx: &Context<String>| {
        let births = [Birth::Fine, Birth::Stillborn, Birth::Stillborn];
        let tree = Supervisor::one_for_one().intensity(2, secs(5));
        let tree = tree.child(worker(ctx, "a").births(&births).spec());
        let tree = started(ctx, tree).await;
        let end = end_of(ctx, tree, || crash("a")).await;
        assert_eq!(end, ExitReason::Shutdown);
        let stillborn = "a up, a ends error: stillborn";
        assert_eq!(
            told(ctx).await,
            format!("a {CRASH}, {stillborn}, {stillborn}")
        );
    });
}

#[test]
fn otp_18_on_giving_up_it_stops_the_rest_in_reverse_and_exits_shutdown() {
    one_node(async |ctx: &Context<String>| {
        for tree in [
            Supervisor::one_for_one(),
            Supervisor::one_for_all(),
            Supervisor::rest_for_one(),
        ] {
            let tree = tree
                .intensity(0, secs(5))
                .child(worker(ctx, "a").spec())
                .child(worker(ctx, "b").spec())
                .child(worker(ctx, "c").ends_after(millis(10)).spec())
                .child(worker(ctx, "d").spec());
            let tree = started(ctx, tree).await;
            let end = end_of(ctx, tree, || crash("b")).await;
            assert_eq!(end, ExitReason::Shutdown);
            let expected = format!("b {CRASH}, d ends shutdown, c ends shutdown, a ends shutdown");
            assert_eq!(told(ctx).await, expected);
        }
    });
}

#[test]
fn otp_18_and_19_a_transient_supervisor_that_gives_up_is_not_restarted_and_a_permanent_one_is() {
    one_node(async |ctx: &Context<String>| {
        for (transient, lives) in [(true, "inner down"), (false, "inner up")] {
            let inner = Supervisor::one_for_one().intensity(0, secs(5));
            let inner = inner.child(worker(ctx, "a").spec());
            let spec = child("inner", move || inner.clone());
            let spec = if transient { spec.transient() } else { spec };
            let tree = started(ctx, Supervisor::one_for_one().child(spec)).await;
            crash("a");
            told(ctx).await;
            assert_eq!(states(tree).await, lives);
            super::stop(ctx, tree).await;
            told(ctx).await;
        }
    });
}

#[test]
fn otp_18_a_storm_escalates_to_the_top() {
    one_node(async |ctx: &Context<String>| {
        // Each of two floors allows one restart: 2 * 2 crashes, and all is over.
        let inner = Supervisor::one_for_one().child(worker(ctx, "a").spec());
        let tree = Supervisor::one_for_one()
            .child(worker(ctx, "b").spec())
            .child(child("inner", move || inner.clone()));
        let tree = started(ctx, tree).await;
        for _ in 0..4 {
            assert!(ctx.is_alive(tree.pid().unwrap()));
            crash("a");
            told(ctx).await;
        }
        assert!(!ctx.is_alive(tree.pid().unwrap()));
        assert_eq!(["a", "b"].map(|id| ctx.whereis(id)), [None; 2]);
    });
}

#[test]
fn otp_16_and_17_a_start_by_hand_that_fails_is_not_tried_again_and_does_not_count() {
    one_node(async |ctx: &Context<String>| {
        let tree = started(ctx, Supervisor::one_for_one().intensity(0, secs(5))).await;
        let spec = || worker(ctx, "a").births(&[Birth::Fails]).spec();
        let no_luck = ChildError::Start(StartError::Failed(super::error("no luck")));
        for _ in 0..3 {
            assert_eq!(tree.start_child(spec()).await, Err(no_luck.clone()));
        }
        assert_eq!(told(ctx).await, "a fails, a fails, a fails");
        assert_eq!(states(tree).await, "");
    });
}
