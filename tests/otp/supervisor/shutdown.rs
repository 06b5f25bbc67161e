//! Rule 20: how a supervisor stops its children, and how it ends itself.

use super::{Do, abc, ask, end_of, one_node, start, started, states, stop, told, worker};
use crate::{idle, next_exit};
use netsplit::otp::process;
use netsplit::{Context, ExitReason, Shutdown, Supervisor, child, millis, secs};
use std::time::Duration;

/// How long a tree takes to stop whose one child takes `ends_after`, and what that tells.
async fn stopped(
    ctx: &Context<String>,
    ends_after: Duration,
    how: Option<Shutdown>,
) -> (Duration, String) {
    let spec = worker(ctx, "a").ends_after(ends_after).spec();
    let spec = match how {
        Some(how) => spec.shutdown(how),
        None => spec,
    };
    let tree = started(ctx, Supervisor::one_for_one().child(spec)).await;
    let began = ctx.now();
    assert_eq!(stop(ctx, tree).await, ExitReason::Shutdown);
    let took = ctx.now().since(began);
    assert_eq!(ctx.whereis("a"), None);
    (took, told(ctx).await)
}

#[test]
fn otp_20_brutal_kill_kills_at_once_and_nothing_is_terminated() {
    one_node(async |ctx: &Context<String>| {
        let stopped = stopped(ctx, secs(1), Some(Shutdown::BrutalKill)).await;
        assert_eq!(stopped, (secs(0), String::new()));
    });
}

#[test]
fn otp_20_within_a_time_it_asks_waits_and_then_kills() {
    one_node(async |ctx: &Context<String>| {
        let within = |time| Some(Shutdown::Within(time));
        let in_time = stopped(ctx, secs(2), within(secs(3))).await;
        assert_eq!(in_time, (secs(2), "a ends shutdown".to_owned()));
        let late = stopped(ctx, secs(4), within(secs(3))).await;
        assert_eq!(late, (secs(3), String::new()));
    });
}

#[test]
fn otp_20_it_waits_for_ever_where_it_is_told_so() {
    one_node(async |ctx: &Context<String>| {
        let stopped = stopped(ctx, secs(50), Some(Shutdown::Infinity)).await;
        assert_eq!(stopped, (secs(50), "a ends shutdown".to_owned()));
    });
}

#[test]
fn otp_20_a_worker_has_five_seconds_by_default() {
    one_node(async |ctx: &Context<String>| {
        let (took, told) = stopped(ctx, millis(4_999), None).await;
        assert_eq!((took, told.as_str()), (millis(4_999), "a ends shutdown"));
        let late = stopped(ctx, millis(5_001), None).await;
        assert_eq!(late, (secs(5), String::new()));
    });
}

#[test]
fn otp_20_a_supervisor_has_all_the_time_that_it_needs_by_default() {
    one_node(async |ctx: &Context<String>| {
        let slow = worker(ctx, "a").ends_after(secs(50)).spec();
        let inner = Supervisor::one_for_one().child(slow.shutdown(Shutdown::Infinity));
        let tree = Supervisor::one_for_one().child(child("inner", move || inner.clone()));
        let tree = started(ctx, tree).await;
        assert_eq!(stop(ctx, tree).await, ExitReason::Shutdown);
        assert_eq!(told(ctx).await, "a ends shutdown");
    });
}

#[test]
fn otp_20_a_nested_supervisor_that_is_killed_leaves_no_worker_of_its_own_to_hang() {
    one_node(async |ctx: &Context<String>| {
        // It may take a second; its child needs three, and is of no patience with a parent that is gone.
        let slow = worker(ctx, "a").ends_after(secs(3)).spec();
        let inner = Supervisor::one_for_one().child(slow);
        let inner = child("inner", move || inner.clone());
        let inner = inner.shutdown(Shutdown::Within(secs(1)));
        let tree = started(ctx, Supervisor::one_for_one().child(inner)).await;
        let began = ctx.now();
        assert_eq!(stop(ctx, tree).await, ExitReason::Shutdown);
        assert_eq!(ctx.now().since(began), secs(1));
        // As in OTP: it traps exits, so it ends its `terminate` in its own time.
        ctx.sleep(secs(2)).await;
        assert_eq!(told(ctx).await, "a ends shutdown");
        assert_eq!(ctx.whereis("a"), None);
    });
}

#[test]
fn otp_20_a_child_that_has_unlinked_itself_cannot_hang_its_supervisor() {
    one_node(async |ctx: &Context<String>| {
        for then_ends in [false, true] {
            let tree = started(
                ctx,
                Supervisor::one_for_one().child(worker(ctx, "a").spec()),
            )
            .await;
            ask("a", Do::Unlink(tree.pid().expect("it runs")));
            if then_ends {
                ask("a", Do::End(ExitReason::Normal));
            }
            told(ctx).await;
            assert_eq!(stop(ctx, tree).await, ExitReason::Shutdown);
            let expected = if then_ends { "" } else { "a ends shutdown" };
            assert_eq!(told(ctx).await, expected);
        }
    });
}

#[test]
fn otp_20_a_child_that_does_not_trap_exits_ends_at_once_when_it_is_asked() {
    one_node(async |ctx: &Context<String>| {
        let plain = || process(idle::<u64>);
        let tree = started(ctx, Supervisor::one_for_one().child(child("a", plain))).await;
        let began = ctx.now();
        stop(ctx, tree).await;
        assert_eq!(ctx.now(), began);
    });
}

#[test]
fn otp_20_a_child_that_will_not_stop_is_killed() {
    one_node(async |ctx: &Context<String>| {
        let stubborn = || {
            process(|ctx: Context<u64>| async move {
                ctx.trap_exit(true);
                idle(ctx).await;
            })
        };
        let tree = started(ctx, Supervisor::one_for_one().child(child("a", stubborn))).await;
        let child = tree.which_children().await.unwrap()[0]
            .pid
            .expect("it runs");
        let began = ctx.now();
        stop(ctx, tree).await;
        assert_eq!(ctx.now().since(began), secs(5));
        assert!(!ctx.is_alive(child));
    });
}

#[test]
fn otp_20_an_exit_of_its_parent_stops_all_in_reverse_and_is_its_own_reason() {
    one_node(async |ctx: &Context<String>| {
        ctx.trap_exit(true);
        for reason in [ExitReason::Shutdown, ExitReason::Normal, super::error("x")] {
            let tree = abc(ctx, Supervisor::one_for_one());
            let tree = tree.start_link(ctx).await.expect("it starts");
            let pid = tree.pid().expect("it runs");
            told(ctx).await;
            ctx.send_exit(pid, reason.clone());
            assert_eq!(next_exit(ctx).await, (pid, reason));
            let expected = "c ends shutdown, b ends shutdown, a ends shutdown";
            assert_eq!(told(ctx).await, expected);
        }
    });
}

#[test]
fn otp_20_a_supervisor_ends_with_the_parent_that_it_is_linked_to() {
    one_node(async |ctx: &Context<String>| {
        let tree = abc(ctx, Supervisor::one_for_one());
        ctx.spawn(move |parent: Context| async move {
            tree.start_link(&parent).await.expect("it starts");
            parent.sleep(millis(5)).await;
            super::error("the parent's")
        });
        ctx.sleep(millis(10)).await;
        let expected = "a up, b up, c up, c ends shutdown, b ends shutdown, a ends shutdown";
        assert_eq!(told(ctx).await, expected);
    });
}

#[test]
fn otp_20_the_exit_of_somebody_else_does_not_end_it() {
    one_node(async |ctx: &Context<String>| {
        let tree = started(ctx, abc(ctx, Supervisor::one_for_one())).await;
        let pid = tree.pid().expect("it runs");
        ctx.spawn(move |other: Context| async move {
            other.send_exit(pid, ExitReason::Shutdown);
        });
        assert_eq!(told(ctx).await, "");
        assert_eq!(states(tree).await, "a up, b up, c up");
    });
}

#[test]
fn otp_20_children_of_a_killed_supervisor_end_of_the_link_and_those_that_trap_run_terminate() {
    one_node(async |ctx: &Context<String>| {
        let plain = || process(idle::<u64>);
        let stubborn = || {
            process(|ctx: Context<u64>| async move {
                ctx.trap_exit(true);
                idle(ctx).await;
            })
        };
        let tree = Supervisor::one_for_one()
            .child(worker(ctx, "a").spec())
            .child(child("plain", plain))
            .child(child("stubborn", stubborn));
        let tree = started(ctx, tree).await;
        let pids = tree.which_children().await.unwrap();
        let pids: Vec<_> = pids.iter().filter_map(|child| child.pid).collect();
        let pid = tree.pid().expect("it runs");
        let end = end_of(ctx, tree, || ctx.send_exit(pid, ExitReason::Kill)).await;
        assert_eq!(end, ExitReason::Killed);
        assert_eq!(told(ctx).await, "a ends killed");
        // As in OTP: a plain process that traps exits, and does nothing about them, lives on.
        let alive: Vec<bool> = pids.iter().map(|pid| ctx.is_alive(*pid)).collect();
        assert_eq!(alive, [false, false, true]);
    });
}

#[test]
fn otp_20_a_killed_supervisors_nested_supervisors_stop_their_children_in_reverse() {
    one_node(async |ctx: &Context<String>| {
        let inner = abc(ctx, Supervisor::one_for_one());
        let tree = Supervisor::one_for_one().child(child("inner", move || inner.clone()));
        let tree = started(ctx, tree).await;
        let pid = tree.pid().expect("it runs");
        ctx.send_exit(pid, ExitReason::Kill);
        assert_eq!(
            told(ctx).await,
            "c ends shutdown, b ends shutdown, a ends shutdown"
        );
    });
}

#[test]
fn otp_20_a_tree_stops_from_its_last_leaf_to_its_first() {
    one_node(async |ctx: &Context<String>| {
        let leaf = |id| worker(ctx, id).ends_after(millis(7)).spec();
        let left = Supervisor::one_for_all().child(leaf("a")).child(leaf("b"));
        let right = Supervisor::rest_for_one().child(leaf("d")).child(leaf("e"));
        let tree = Supervisor::one_for_one()
            .child(child("left", move || left.clone()))
            .child(leaf("c"))
            .child(child("right", move || right.clone()));
        let tree = start(ctx, tree).await;
        assert_eq!(told(ctx).await, "a up, b up, c up, d up, e up");
        let began = ctx.now();
        stop(ctx, tree).await;
        assert_eq!(ctx.now().since(began), millis(35));
        let order = ["e", "d", "c", "b", "a"].map(|id| format!("{id} ends shutdown"));
        assert_eq!(told(ctx).await, order.join(", "));
    });
}

#[test]
fn otp_20_what_happens_while_it_stops_a_child_is_seen_to_afterwards() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::one_for_one()
            .child(worker(ctx, "a").spec())
            .child(worker(ctx, "b").ends_after(millis(20)).spec());
        let tree = started(ctx, tree).await;
        ctx.spawn(move |other: Context| async move {
            other.sleep(millis(5)).await;
            super::crash("a");
        });
        assert_eq!(tree.terminate_child("b").await, Ok(()));
        let expected = format!("a {}, b ends shutdown, a up", super::CRASH);
        assert_eq!(told(ctx).await, expected);
        assert_eq!(states(tree).await, "a up, b down");
    });
}
