//! What a supervisor is asked for while it runs: its children, and more or fewer of them.

use super::{
    Birth, Worker, abc, crash, error, one_node, start, started, states, stop, told, worker,
};
use netsplit::otp::ChildCount;
use netsplit::{
    CallError, ChildError, Context, ExitReason, Restart, Scenario, Server, StartError, Supervisor,
    SupervisorRef, child, millis, secs,
};

#[test]
fn otp_supervisor_which_children_tells_of_each_in_the_order_of_their_starts() {
    one_node(async |ctx: &Context<String>| {
        let inner = || Supervisor::one_for_one();
        let tree = Supervisor::one_for_one()
            .child(worker(ctx, "a").spec())
            .child(child("inner", inner).transient())
            .child(worker(ctx, "b").births(&[Birth::Ignores]).spec());
        let tree = started(ctx, tree).await;
        let children = tree.which_children().await.unwrap();
        let facts = |at: usize| {
            let child = &children[at];
            (
                child.id.as_str(),
                child.pid.is_some(),
                child.supervises,
                child.restart,
            )
        };
        assert_eq!(facts(0), ("a", true, false, Restart::Permanent));
        assert_eq!(facts(1), ("inner", true, true, Restart::Transient));
        assert_eq!(facts(2), ("b", false, false, Restart::Permanent));
        assert_eq!(children[0].pid, ctx.whereis("a"));
        assert_eq!(children.len(), 3);
    });
}

#[test]
fn otp_supervisor_count_children_counts_specifications_processes_supervisors_and_workers() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::one_for_one()
            .child(worker(ctx, "a").spec())
            .child(worker(ctx, "b").births(&[Birth::Ignores]).spec())
            .child(child("inner", Supervisor::one_for_one))
            .child(worker(ctx, "c").spec().temporary());
        let tree = started(ctx, tree).await;
        let count = |specs, active, supervisors, workers| ChildCount {
            specs,
            active,
            supervisors,
            workers,
        };
        assert_eq!(tree.count_children().await, Ok(count(4, 3, 1, 3)));
        crash("c");
        told(ctx).await;
        assert_eq!(tree.count_children().await, Ok(count(3, 2, 1, 2)));
        assert_eq!(tree.terminate_child("inner").await, Ok(()));
        assert_eq!(tree.count_children().await, Ok(count(3, 1, 1, 2)));
    });
}

#[test]
fn otp_supervisor_count_children_counts_no_process_that_has_ended() {
    one_node(async |ctx: &Context<String>| {
        let slow = worker(ctx, "b").births(&[Birth::Takes(millis(10))]).spec();
        let tree = started(
            ctx,
            Supervisor::one_for_one().child(worker(ctx, "a").spec()),
        )
        .await;
        ctx.spawn(move |_: Context| async move { tree.start_child(slow).await.map(|_| ()) });
        ctx.sleep(millis(1)).await;
        // It is asked before a ends, and answers after that.
        ctx.spawn(|_: Context| async move {
            crash("a");
        });
        let count = tree.count_children().await.unwrap();
        assert_eq!((count.specs, count.active), (2, 1));
    });
}

#[test]
fn otp_supervisor_start_child_gives_the_pid_or_says_why_not() {
    one_node(async |ctx: &Context<String>| {
        let tree = started(ctx, abc(ctx, Supervisor::one_for_one())).await;
        let d = tree.start_child(worker(ctx, "d").spec()).await.unwrap();
        assert_eq!(d, ctx.whereis("d"));
        let twice = tree.start_child(worker(ctx, "d").spec()).await;
        assert_eq!(twice, Err(ChildError::AlreadyStarted(d.unwrap())));
        assert_eq!(tree.terminate_child("d").await, Ok(()));
        let present = tree.start_child(worker(ctx, "d").spec()).await;
        assert_eq!(present, Err(ChildError::AlreadyPresent));
        let fails = worker(ctx, "e").births(&[Birth::Fails]).spec();
        let no_luck = ChildError::Start(StartError::Failed(error("no luck")));
        assert_eq!(tree.start_child(fails).await, Err(no_luck));
        let ignores = worker(ctx, "f").births(&[Birth::Ignores]).spec();
        assert_eq!(tree.start_child(ignores).await, Ok(None));
        let hangs = worker(ctx, "g").births(&[Birth::Hangs]);
        let hangs = tree.start_child(hangs.start_timeout(secs(1)).spec()).await;
        assert_eq!(hangs, Err(ChildError::Start(StartError::Timeout)));
        assert_eq!(states(tree).await, "a up, b up, c up, d down, f down");
    });
}

#[test]
fn otp_supervisor_start_child_refuses_a_name_that_another_child_has() {
    one_node(async |ctx: &Context<String>| {
        let tree = started(ctx, abc(ctx, Supervisor::one_for_one())).await;
        let template = worker(ctx, "a");
        let other = child("other", move || {
            Server::<Worker>::with(template.clone()).name("a")
        });
        let holder = ctx.whereis("a").expect("it runs");
        let taken = ChildError::Start(StartError::AlreadyStarted(holder));
        assert_eq!(tree.start_child(other).await, Err(taken));
        assert_eq!(states(tree).await, "a up, b up, c up");
    });
}

#[test]
fn otp_supervisor_a_child_started_later_is_restarted_as_any_other() {
    one_node(async |ctx: &Context<String>| {
        let tree = started(ctx, Supervisor::one_for_one()).await;
        tree.start_child(worker(ctx, "a").spec())
            .await
            .expect("it starts");
        crash("a");
        assert_eq!(told(ctx).await, "a up, a ends error: crash, a up");
        assert_eq!(states(tree).await, "a up");
    });
}

#[test]
fn otp_supervisor_terminate_child_stops_it_and_keeps_its_specification_unless_it_is_temporary() {
    one_node(async |ctx: &Context<String>| {
        for (restart, expected) in [
            (Restart::Permanent, "a down"),
            (Restart::Transient, "a down"),
            (Restart::Temporary, ""),
        ] {
            let spec = worker(ctx, "a").spec().restart(restart);
            let tree = started(ctx, Supervisor::one_for_one().child(spec)).await;
            assert_eq!(tree.terminate_child("a").await, Ok(()));
            // It has ended when the answer is there.
            assert_eq!(ctx.whereis("a"), None);
            assert_eq!(told(ctx).await, "a ends shutdown");
            assert_eq!(states(tree).await, expected);
            let again = tree.terminate_child("a").await;
            let not_found = restart == Restart::Temporary;
            assert_eq!(
                again,
                if not_found {
                    Err(ChildError::NotFound)
                } else {
                    Ok(())
                }
            );
            stop(ctx, tree).await;
        }
    });
}

#[test]
fn otp_supervisor_restart_child_starts_what_has_no_process() {
    one_node(async |ctx: &Context<String>| {
        let births = [Birth::Fine, Birth::Fails, Birth::Ignores];
        let a = worker(ctx, "a").births(&births).spec();
        let tree = started(
            ctx,
            Supervisor::one_for_one().intensity(0, secs(1)).child(a),
        )
        .await;
        assert_eq!(tree.restart_child("a").await, Err(ChildError::Running));
        assert_eq!(tree.restart_child("b").await, Err(ChildError::NotFound));
        assert_eq!(tree.terminate_child("a").await, Ok(()));
        let no_luck = ChildError::Start(StartError::Failed(error("no luck")));
        assert_eq!(tree.restart_child("a").await, Err(no_luck));
        assert_eq!(states(tree).await, "a down");
        assert_eq!(tree.restart_child("a").await, Ok(None));
        let pid = tree.restart_child("a").await.unwrap();
        assert_eq!(pid, ctx.whereis("a"));
        assert_eq!(states(tree).await, "a up");
    });
}

#[test]
fn otp_supervisor_delete_child_forgets_what_has_no_process() {
    one_node(async |ctx: &Context<String>| {
        let tree = started(ctx, abc(ctx, Supervisor::one_for_one())).await;
        assert_eq!(tree.delete_child("b").await, Err(ChildError::Running));
        assert_eq!(tree.delete_child("x").await, Err(ChildError::NotFound));
        assert_eq!(tree.terminate_child("b").await, Ok(()));
        assert_eq!(tree.delete_child("b").await, Ok(()));
        assert_eq!(states(tree).await, "a up, c up");
        assert_eq!(tree.restart_child("b").await, Err(ChildError::NotFound));
        // Its id is free for another, which comes last.
        assert!(tree.start_child(worker(ctx, "b").spec()).await.is_ok());
        assert_eq!(states(tree).await, "a up, c up, b up");
    });
}

#[test]
fn otp_supervisor_requests_come_one_after_the_other() {
    one_node(async |ctx: &Context<String>| {
        let tree = start(ctx, Supervisor::one_for_one()).await;
        let me = ctx.address();
        for id in ["a", "b"] {
            let slow = worker(ctx, id).births(&[Birth::Takes(millis(10))]).spec();
            ctx.spawn(move |other: Context| async move {
                tree.start_child(slow).await.expect("it starts");
                me.send(format!(
                    "{id} after {} ms",
                    other.now().as_nanos() / 1_000_000
                ));
            });
        }
        ctx.sleep(millis(15)).await;
        let count = tree.count_children().await.unwrap();
        assert_eq!(count.active, 2);
        let told = told(ctx).await;
        let orders = [
            "a up, a after 10 ms, b up, b after 20 ms",
            "b up, b after 10 ms, a up, a after 20 ms",
        ];
        assert!(orders.contains(&told.as_str()), "{told}");
    });
}

#[test]
fn otp_supervisor_a_request_to_one_that_has_ended_is_an_error() {
    one_node(async |ctx: &Context<String>| {
        let tree = started(ctx, Supervisor::one_for_one()).await;
        stop(ctx, tree).await;
        assert_eq!(tree.which_children().await, Err(CallError::NoProc));
        let spec = worker(ctx, "a").spec();
        let gone = ChildError::Call(CallError::NoProc);
        assert_eq!(tree.start_child(spec).await, Err(gone));
    });
}

#[test]
fn otp_supervisor_a_request_that_is_unread_when_it_ends_gets_its_reason() {
    one_node(async |ctx: &Context<String>| {
        let slow = worker(ctx, "a").ends_after(secs(1)).spec();
        let tree = started(ctx, Supervisor::one_for_one().child(slow)).await;
        ctx.send_exit(tree.pid().expect("it runs"), ExitReason::Shutdown);
        let answer = tree.count_children().await;
        assert_eq!(answer, Err(CallError::Exit(ExitReason::Shutdown)));
    });
}

#[test]
fn otp_supervisor_it_can_be_asked_by_name_and_from_another_node_but_for_a_new_child() {
    let scenario = Scenario::new("abroad").node("shop", |ctx| {
        let plain = || netsplit::otp::process(super::idle::<u64>);
        Supervisor::one_for_one()
            .name("tree")
            .child(child("a", plain))
            .run(ctx)
    });
    crate::with_client(scenario, async |ctx: &Context<String>| {
        ctx.sleep(millis(1)).await;
        let tree = SupervisorRef::named("shop", "tree");
        assert_eq!(states(tree).await, "a up");
        assert_eq!(tree.terminate_child("a").await, Ok(()));
        assert_eq!(tree.count_children().await.unwrap().active, 0);
        let pid = tree.restart_child("a").await.unwrap().expect("it runs");
        assert_eq!(pid.node(), ctx.node_named("shop").unwrap());
        let abroad = tree.start_child(worker(ctx, "b").spec()).await;
        assert_eq!(abroad, Err(ChildError::OtherNode));
    });
}
