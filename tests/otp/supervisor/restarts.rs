//! Rule 19, and what a restart leaves as it was: names, addresses, mail.

use super::{CRASH, Do, Worker, ask, crash, error, one_node, started, states, told, worker};
use netsplit::trace::Event;
use netsplit::{
    Address, CallError, Context, ExitReason, ReplyTo, Restart, Supervisor, child, millis, secs,
};

const ALWAYS: &[Restart] = &[Restart::Permanent];
const ABNORMAL: &[Restart] = &[Restart::Permanent, Restart::Transient];

/// For which restart types a child that ends for this reason is restarted.
fn who_is_restarted(end: Do) -> &'static [Restart] {
    match end {
        Do::End(reason) if reason.is_clean() => ALWAYS,
        _ => ABNORMAL,
    }
}

#[test]
fn otp_19_permanent_always_transient_after_abnormal_ends_temporary_never() {
    one_node(async |ctx: &Context<String>| {
        let ends: [fn() -> Do; 8] = [
            || Do::End(ExitReason::Normal),
            || Do::End(ExitReason::Shutdown),
            || Do::End(ExitReason::ShutdownWith("later".to_owned())),
            || Do::End(ExitReason::Kill),
            || Do::End(ExitReason::NoProc),
            || Do::End(ExitReason::NoConnection),
            || Do::End(error("crash")),
            || Do::Panic,
        ];
        for end in ends {
            for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
                let spec = worker(ctx, "a").spec().restart(restart);
                let tree = started(ctx, Supervisor::one_for_one().child(spec)).await;
                ask("a", end());
                told(ctx).await;
                let expected = match restart {
                    _ if who_is_restarted(end()).contains(&restart) => "a up",
                    Restart::Temporary => "",
                    _ => "a down",
                };
                assert_eq!(states(tree).await, expected, "{restart} after {:?}", end());
                super::stop(ctx, tree).await;
                told(ctx).await;
            }
        }
    });
}

#[test]
fn otp_19_a_child_that_was_killed_is_restarted_unless_it_is_temporary() {
    one_node(async |ctx: &Context<String>| {
        for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
            let spec = worker(ctx, "a").spec().restart(restart);
            let tree = started(ctx, Supervisor::one_for_one().child(spec)).await;
            ctx.send_exit(ctx.whereis("a").expect("it runs"), ExitReason::Kill);
            told(ctx).await;
            let expected = if restart == Restart::Temporary {
                ""
            } else {
                "a up"
            };
            assert_eq!(states(tree).await, expected);
            super::stop(ctx, tree).await;
            told(ctx).await;
        }
    });
}

#[test]
fn otp_19_a_new_incarnation_never_overlaps_the_old_ones_terminate() {
    one_node(async |ctx: &Context<String>| {
        let a = worker(ctx, "a").ends_after(secs(40));
        started(ctx, Supervisor::one_for_one().child(a.spec())).await;
        crash("a");
        assert_eq!(told(ctx).await, "");
        ctx.sleep(secs(39)).await;
        assert_eq!(told(ctx).await, "");
        ctx.sleep(secs(1)).await;
        assert_eq!(told(ctx).await, format!("a {CRASH}, a up"));
    });
}

#[test]
fn otp_19_a_name_is_free_when_the_next_incarnation_begins_and_an_address_by_name_stays_good() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::one_for_one().intensity(9, secs(5));
        let tree = started(ctx, tree.child(worker(ctx, "a").spec())).await;
        let by_name = Address::<Do>::named("client", "a");
        for _ in 0..9 {
            let before = ctx.whereis("a").expect("it runs");
            by_name.send(Do::Panic);
            assert_eq!(told(ctx).await, "a ends panic: on purpose, a up");
            let after = ctx.whereis("a").expect("it runs again");
            assert_ne!(before, after);
            assert_eq!(tree.which_children().await.unwrap()[0].pid, Some(after));
            // A pid is not: it is the old incarnation's for ever.
            Address::<Do>::of(before).send(Do::Panic);
            assert_eq!(told(ctx).await, "");
        }
    });
}

/// A clerk that answers nothing, and ends where its mail has grown to three.
async fn clerk(ctx: Context<ReplyTo<u64>>) -> ExitReason {
    ctx.register("clerk")
        .expect("the name of the one before is free");
    ctx.sleep(millis(5)).await;
    if ctx.mailbox_len() < 3 {
        ctx.receive_info(|_| false).await;
    }
    error("too much")
}

#[test]
fn otp_19_what_a_crashed_child_has_not_read_has_its_fate_and_callers_get_the_reason() {
    let outcomes = one_node(async |ctx: &Context<String>| {
        let plain = || netsplit::otp::process(clerk);
        started(ctx, Supervisor::one_for_one().child(child("clerk", plain))).await;
        let me = ctx.address();
        for _ in 0..3 {
            ctx.spawn(move |caller: Context| async move {
                let clerk = Address::<ReplyTo<u64>>::named("client", "clerk");
                let answer = clerk.call(|reply_to| reply_to, secs(60)).await;
                assert_eq!(answer, Err(CallError::Exit(error("too much"))));
                me.send(format!("{}", caller.now().as_nanos() < 1_000_000_000));
            });
        }
        ctx.sleep(millis(500)).await;
        assert_eq!(told(ctx).await, "true, true, true");
        // The next one begins with an empty mailbox.
        let clerk = ctx.whereis("clerk").expect("it was started again");
        assert!(ctx.is_alive(clerk));
    });
    for outcome in outcomes {
        let unread = super::super::events(&outcome);
        let unread = unread.filter(|event| matches!(event, Event::Unread { .. }));
        assert_eq!(unread.count(), 3);
        assert_eq!(
            outcome.books.sent,
            outcome.books.received + outcome.books.unread
        );
    }
}

#[test]
fn otp_19_each_start_is_made_anew() {
    one_node(async |ctx: &Context<String>| {
        let made = std::rc::Rc::new(std::cell::Cell::new(0));
        let (count, template) = (made.clone(), worker(ctx, "a"));
        let spec = child("a", move || {
            count.set(count.get() + 1);
            netsplit::Server::<Worker>::with(template.clone()).name("a")
        });
        let tree = Supervisor::one_for_one().intensity(3, secs(5)).child(spec);
        started(ctx, tree).await;
        for expected in 1..=3 {
            assert_eq!(made.get(), expected);
            crash("a");
            told(ctx).await;
        }
    });
}

#[test]
fn otp_19_the_exit_of_a_process_that_is_no_child_is_nothing_to_a_supervisor() {
    one_node(async |ctx: &Context<String>| {
        let tree = started(
            ctx,
            Supervisor::one_for_one().child(worker(ctx, "a").spec()),
        )
        .await;
        let supervisor = tree.pid().expect("it runs");
        ctx.spawn(move |stranger: Context| async move {
            stranger.link(supervisor);
            error("a stranger's")
        });
        assert_eq!(told(ctx).await, "");
        assert_eq!(states(tree).await, "a up");
    });
}
