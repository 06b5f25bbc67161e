//! Rule 14: how a supervisor starts its children.

use super::{Birth, abc, error, one_node, start, started, states, stop, told, worker};
use crate::next_exit;
use netsplit::otp::{Starting, process};
use netsplit::{
    ChildError, Context, ExitReason, Message, Refusal, StartError, Startable, Supervisor, child,
    millis, secs,
};

/// The reason of a supervisor whose child `id` did not start.
fn failed(id: &str, why: &str) -> ExitReason {
    ExitReason::ShutdownWith(format!("failed_to_start_child({id}, {why})"))
}

#[test]
fn otp_14_children_start_in_order_each_when_the_one_before_is_through() {
    one_node(async |ctx: &Context<String>| {
        let slow = |id| worker(ctx, id).births(&[Birth::Takes(millis(20))]);
        let tree = Supervisor::one_for_one()
            .child(slow("a").spec())
            .child(worker(ctx, "b").spec())
            .child(slow("c").spec());
        let tree = start(ctx, tree).await;
        assert_eq!(told(ctx).await, "a up, b up, c up");
        assert_eq!(states(tree).await, "a up, b up, c up");
    });
}

#[test]
fn otp_14_a_supervisor_is_started_when_all_its_children_run() {
    one_node(async |ctx: &Context<String>| {
        start(ctx, abc(ctx, Supervisor::one_for_one())).await;
        let all_up = ["a", "b", "c"].map(|id| ctx.whereis(id).is_some());
        assert_eq!(all_up, [true; 3]);
    });
}

#[test]
fn otp_14_one_that_ignores_is_kept_without_a_process() {
    one_node(async |ctx: &Context<String>| {
        for transient in [false, true] {
            let ignores = worker(ctx, "a").births(&[Birth::Ignores]).spec();
            let ignores = if transient {
                ignores.transient()
            } else {
                ignores
            };
            let tree = Supervisor::one_for_one()
                .child(ignores)
                .child(worker(ctx, "b").spec());
            let tree = start(ctx, tree).await;
            assert_eq!(told(ctx).await, "a ignores, b up");
            assert_eq!(states(tree).await, "a down, b up");
            // It can be started later by hand.
            assert!(matches!(tree.restart_child("a").await, Ok(Some(_))));
            assert_eq!(states(tree).await, "a up, b up");
            stop(ctx, tree).await;
            told(ctx).await;
        }
    });
}

#[test]
fn otp_14_a_temporary_one_that_ignores_is_dropped() {
    one_node(async |ctx: &Context<String>| {
        let ignores = || {
            worker(ctx, "a")
                .births(&[Birth::Ignores])
                .spec()
                .temporary()
        };
        let tree = Supervisor::one_for_one()
            .child(ignores())
            .child(worker(ctx, "b").spec());
        let tree = start(ctx, tree).await;
        assert_eq!(states(tree).await, "b up");
        assert_eq!(tree.start_child(ignores()).await, Ok(None));
        assert_eq!(states(tree).await, "b up");
        assert_eq!(tree.restart_child("a").await, Err(ChildError::NotFound));
    });
}

#[test]
fn otp_14_one_that_ignores_a_restart_is_kept_without_a_process() {
    one_node(async |ctx: &Context<String>| {
        let a = worker(ctx, "a").births(&[Birth::Fine, Birth::Ignores]);
        let tree = started(ctx, Supervisor::one_for_one().child(a.spec())).await;
        super::crash("a");
        assert_eq!(told(ctx).await, "a ends error: crash, a ignores");
        assert_eq!(states(tree).await, "a down");
    });
}

#[test]
fn otp_14_where_one_fails_those_already_started_stop_in_reverse_and_later_ones_are_never_tried() {
    one_node(async |ctx: &Context<String>| {
        for (birth, tells, why) in [
            (Birth::Fails, "fails", "error: no luck"),
            (Birth::Panics, "panics", "panic: in init"),
        ] {
            let tree = Supervisor::one_for_one()
                .child(worker(ctx, "a").ends_after(millis(5)).spec())
                .child(worker(ctx, "b").spec())
                .child(worker(ctx, "c").births(&[birth]).spec())
                .child(worker(ctx, "d").spec());
            let reason = failed("c", why);
            assert_eq!(tree.start(ctx).await, Err(StartError::Failed(reason)));
            let expected = format!("a up, b up, c {tells}, b ends shutdown, a ends shutdown");
            assert_eq!(told(ctx).await, expected);
            let names = ["a", "b", "c", "d"].map(|id| ctx.whereis(id));
            assert_eq!(names, [None; 4]);
        }
    });
}

#[test]
fn otp_14_a_failed_start_is_the_reason_of_the_supervisors_exit() {
    one_node(async |ctx: &Context<String>| {
        ctx.trap_exit(true);
        let tree = Supervisor::one_for_one().child(worker(ctx, "a").births(&[Birth::Fails]).spec());
        let reason = failed("a", "error: no luck");
        let started = tree.start_link(ctx).await;
        assert_eq!(started, Err(StartError::Failed(reason.clone())));
        assert_eq!(next_exit(ctx).await.1, reason);
    });
}

#[test]
fn otp_14_a_nested_supervisor_that_fails_takes_the_tree_with_it() {
    one_node(async |ctx: &Context<String>| {
        let inner = Supervisor::one_for_one()
            .child(worker(ctx, "b").spec())
            .child(worker(ctx, "c").births(&[Birth::Fails]).spec());
        let tree = Supervisor::one_for_one()
            .child(worker(ctx, "a").spec())
            .child(child("inner", move || inner.clone()));
        let inner = failed("c", "error: no luck");
        let reason = failed("inner", &inner.to_string());
        assert_eq!(tree.start(ctx).await, Err(StartError::Failed(reason)));
        let expected = "a up, b up, c fails, b ends shutdown, a ends shutdown";
        assert_eq!(told(ctx).await, expected);
    });
}

#[test]
fn otp_14_a_child_that_never_starts_is_killed_when_its_time_is_over_and_counts_as_failed() {
    one_node(async |ctx: &Context<String>| {
        let hangs = worker(ctx, "b").births(&[Birth::Hangs]);
        let tree = Supervisor::one_for_one()
            .child(worker(ctx, "a").spec())
            .child(hangs.start_timeout(secs(3)).spec());
        let began = ctx.now();
        let reason = failed("b", &StartError::Timeout.to_string());
        assert_eq!(tree.start(ctx).await, Err(StartError::Failed(reason)));
        assert_eq!(ctx.now().since(began), secs(3));
        assert_eq!(told(ctx).await, "a up, b hangs, a ends shutdown");
        assert_eq!(ctx.whereis("b"), None);
    });
}

#[test]
fn otp_14_a_child_that_never_starts_holds_its_supervisor_up_for_ever_by_default() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::one_for_one().child(worker(ctx, "a").births(&[Birth::Hangs]).spec());
        ctx.spawn(|other: Context| async move { tree.start(&other).await.map(|_| ()) });
        assert_eq!(told(ctx).await, "a hangs");
        ctx.sleep(secs(30)).await;
        assert!(ctx.whereis("a").is_some());
        assert_eq!(told(ctx).await, "");
    });
}

#[test]
fn otp_14_a_child_whose_name_is_taken_does_not_start() {
    one_node(async |ctx: &Context<String>| {
        ctx.register("a").expect("a free name");
        let tree = Supervisor::one_for_one().child(worker(ctx, "a").spec());
        let taken = StartError::AlreadyStarted(ctx.pid());
        let reason = failed("a", &taken.to_string());
        assert_eq!(tree.start(ctx).await, Err(StartError::Failed(reason)));
        assert_eq!(ctx.whereis("a"), Some(ctx.pid()));
    });
}

#[test]
fn otp_14_two_children_of_one_name_do_not_start() {
    one_node(async |ctx: &Context<String>| {
        let b = worker(ctx, "a");
        let tree = Supervisor::one_for_one()
            .child(worker(ctx, "a").spec())
            .child(child("b", move || {
                netsplit::Server::<super::Worker>::with(b.clone()).name("a")
            }));
        let Err(StartError::Failed(reason)) = tree.start(ctx).await else {
            panic!("a's name is taken");
        };
        let reason = reason.to_string();
        assert!(
            reason.contains("failed_to_start_child(b, already_started"),
            "{reason}"
        );
        assert_eq!(told(ctx).await, "a up, a ends shutdown");
    });
}

#[test]
fn otp_14_a_supervisor_whose_name_is_taken_starts_no_child() {
    one_node(async |ctx: &Context<String>| {
        let tree = || Supervisor::one_for_one().name("tree");
        let first = start(ctx, tree()).await;
        let second = tree().child(worker(ctx, "a").spec()).start(ctx).await;
        let holder = first.pid().expect("it runs");
        assert_eq!(second, Err(StartError::AlreadyStarted(holder)));
        assert_eq!(told(ctx).await, "");
    });
}

#[test]
fn otp_14_a_child_whose_maker_panics_has_failed_to_start() {
    one_node(async |ctx: &Context<String>| {
        let broken = child("b", || -> Supervisor { panic!("no spec") });
        let tree = Supervisor::one_for_one()
            .child(worker(ctx, "a").spec())
            .child(broken);
        let reason = failed("b", "panic: no spec");
        assert_eq!(tree.start(ctx).await, Err(StartError::Failed(reason)));
        assert_eq!(told(ctx).await, "a up, a ends shutdown");
    });
}

/// Something whose start panics in a step of its own.
struct PanicsInAStep;

impl Startable for PanicsInAStep {
    type Message = u64;

    fn begin<M: Message>(self, starter: &Context<M>) -> Starting<u64> {
        Starting::by(starter, |starter: Context| async move {
            starter.yield_now().await;
            panic!("no step")
        })
    }
}

#[test]
fn otp_14_a_child_whose_steps_of_a_start_panic_has_failed_to_start() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::one_for_one()
            .child(worker(ctx, "a").spec())
            .child(child("b", || PanicsInAStep));
        let reason = failed("b", "panic: no step");
        assert_eq!(tree.start(ctx).await, Err(StartError::Failed(reason)));
        assert_eq!(told(ctx).await, "a up, a ends shutdown");
    });
}

#[test]
fn otp_14_a_child_started_later_comes_after_the_others() {
    one_node(async |ctx: &Context<String>| {
        let tree = started(ctx, abc(ctx, Supervisor::rest_for_one())).await;
        assert!(tree.start_child(worker(ctx, "d").spec()).await.is_ok());
        assert_eq!(told(ctx).await, "d up");
        stop(ctx, tree).await;
        let expected = "d ends shutdown, c ends shutdown, b ends shutdown, a ends shutdown";
        assert_eq!(told(ctx).await, expected);
    });
}

#[test]
fn otp_14_a_process_is_started_at_once_and_one_that_ends_at_once_is_restarted_until_it_gives_up() {
    one_node(async |ctx: &Context<String>| {
        let told_to = ctx.address();
        let plain = move || {
            process(move |_: Context| async move {
                told_to.send("ran".to_owned());
            })
        };
        let tree = Supervisor::one_for_one()
            .intensity(2, secs(5))
            .child(child("a", plain));
        let started = tree.start(ctx).await;
        let tree = started.expect("a process that ends has started");
        assert_eq!(told(ctx).await, "ran, ran, ran");
        assert!(!ctx.is_alive(tree.pid().expect("it had a pid")));
    });
}

#[test]
fn otp_14_an_empty_supervisor_runs_and_stops() {
    one_node(async |ctx: &Context<String>| {
        let tree = start(ctx, Supervisor::one_for_all()).await;
        assert_eq!(states(tree).await, "");
        assert_eq!(stop(ctx, tree).await, ExitReason::Shutdown);
    });
}

#[test]
fn otp_11_and_14_a_refusal_is_made_of_any_reason() {
    let refusal: Refusal = error("x").into();
    assert_eq!(refusal, Refusal::Stop(error("x")));
}
