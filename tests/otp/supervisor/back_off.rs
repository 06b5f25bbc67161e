//! Waits before restarts: beyond OTP, and off by default.

use super::{Birth, CRASH, Do, abc, ask, crash, end_of, one_node, started, states, told, worker};
use netsplit::{
    AutoShutdown, BackOff, ChildError, Context, ExitReason, Scenario, Supervisor, Time, child,
    millis, secs,
};
use std::time::Duration;

/// The waits before five restarts of a child that crashes at once, under this seed.
fn waits(seed: u64) -> Vec<Duration> {
    let scenario = Scenario::new("waits")
        .node("n", |ctx| {
            let stillborn = || {
                netsplit::otp::process(|ctx: Context| async move {
                    let now = ctx.now();
                    ctx.observe("births", |births: &mut Vec<Time>| births.push(now));
                    super::error("at once")
                })
            };
            Supervisor::one_for_one()
                .intensity(5, secs(60))
                .back_off(BackOff::new(millis(100), millis(1_000)))
                .child(child("a", stillborn))
                .run(ctx)
        })
        .horizon(secs(60))
        .finally("five restarts", move |view| {
            let births: &Vec<Time> = view.observed("births").expect("one at least");
            let waits = births.windows(2).map(|two| two[1].since(two[0]));
            Err::<(), _>(
                waits
                    .map(|wait| wait.as_nanos().to_string())
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        });
    let outcome = scenario.run(seed).expect("it can be run");
    let detail = outcome.violation.expect("it tells the waits").detail;
    let nanos = |text: &str| Duration::from_nanos(text.parse().expect("a number"));
    detail.split(' ').map(nanos).collect()
}

#[test]
fn otp_back_off_waits_twice_as_long_each_time_up_to_a_most_and_half_of_it_is_drawn() {
    let mut first = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let waits = waits(seed);
        assert_eq!(waits.len(), 5);
        for (wait, full) in waits.iter().zip([100, 200, 400, 800, 1_000]) {
            assert!(
                (millis(full / 2)..=millis(full)).contains(wait),
                "{wait:?} of {full} ms"
            );
        }
        first.insert(waits[0]);
    }
    assert!(first.len() > 40, "they are drawn: {first:?}");
}

#[test]
fn otp_back_off_the_same_seed_waits_the_same_time() {
    for seed in 0..10 {
        assert_eq!(waits(seed), waits(seed));
    }
}

#[test]
fn otp_back_off_requests_are_answered_while_it_waits() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::one_for_one().back_off(BackOff::new(secs(1), secs(1)));
        let tree = started(ctx, abc(ctx, tree)).await;
        crash("b");
        assert_eq!(told(ctx).await, format!("b {CRASH}"));
        assert_eq!(states(tree).await, "a up, b restarting, c up");
        assert_eq!(tree.restart_child("b").await, Err(ChildError::Restarting));
        let again = tree.start_child(worker(ctx, "b").spec()).await;
        assert_eq!(again, Err(ChildError::AlreadyPresent));
        assert!(tree.start_child(worker(ctx, "d").spec()).await.is_ok());
        ctx.sleep(secs(1)).await;
        assert_eq!(told(ctx).await, "d up, b up");
        assert_eq!(states(tree).await, "a up, b up, c up, d up");
    });
}

#[test]
fn otp_back_off_a_group_is_stopped_at_once_and_started_after_the_wait() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::one_for_all().back_off(BackOff::new(secs(1), secs(1)));
        let tree = started(ctx, abc(ctx, tree)).await;
        crash("b");
        let stopped = format!("b {CRASH}, c ends shutdown, a ends shutdown");
        assert_eq!(told(ctx).await, stopped);
        assert_eq!(states(tree).await, "a down, b restarting, c down");
        ctx.sleep(secs(1)).await;
        assert_eq!(told(ctx).await, "a up, b up, c up");
    });
}

#[test]
fn otp_back_off_a_child_that_was_terminated_while_it_waited_is_not_started() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::one_for_one().back_off(BackOff::new(secs(1), secs(1)));
        let tree = started(ctx, abc(ctx, tree)).await;
        crash("b");
        told(ctx).await;
        assert_eq!(tree.terminate_child("b").await, Ok(()));
        ctx.sleep(secs(2)).await;
        assert_eq!(told(ctx).await, "");
        assert_eq!(states(tree).await, "a up, b down, c up");
        // By hand it starts, and the wait of before is void.
        assert!(tree.restart_child("b").await.is_ok());
        assert_eq!(told(ctx).await, "b up");
    });
}

#[test]
fn otp_back_off_every_try_counts_and_the_intensity_still_ends_it() {
    one_node(async |ctx: &Context<String>| {
        let births = [Birth::Fine, Birth::Fails, Birth::Fails];
        let tree = Supervisor::one_for_one()
            .intensity(2, secs(60))
            .back_off(BackOff::new(millis(100), secs(10)))
            .child(worker(ctx, "a").births(&births).spec());
        let tree = started(ctx, tree).await;
        let end = end_of(ctx, tree, || crash("a")).await;
        assert_eq!(end, ExitReason::Shutdown);
        assert_eq!(told(ctx).await, format!("a {CRASH}, a fails, a fails"));
    });
}

#[test]
fn otp_back_off_a_child_that_has_lived_for_the_longest_wait_begins_anew() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::one_for_one()
            .intensity(9, secs(60))
            .back_off(BackOff::new(millis(100), secs(1)));
        let tree = tree.child(worker(ctx, "a").spec());
        started(ctx, tree).await;
        for (lives, most) in [
            (secs(0), 100),
            (secs(0), 200),
            (secs(0), 400),
            (secs(2), 100),
        ] {
            ctx.sleep(lives).await;
            let began = ctx.now();
            crash("a");
            while told(ctx).await != "a up" {}
            let waited = ctx.now().since(began);
            let bounds = millis(most / 2)..=millis(most + 3);
            assert!(bounds.contains(&waited), "{waited:?} of {most} ms");
        }
    });
}

#[test]
fn otp_back_off_a_stop_while_it_waits_stops_at_once() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::one_for_one().back_off(BackOff::new(secs(9), secs(9)));
        let tree = started(ctx, abc(ctx, tree)).await;
        crash("b");
        told(ctx).await;
        let began = ctx.now();
        assert_eq!(super::stop(ctx, tree).await, ExitReason::Shutdown);
        assert_eq!(ctx.now(), began);
        assert_eq!(told(ctx).await, "c ends shutdown, a ends shutdown");
    });
}

#[test]
fn otp_back_off_and_21_a_significant_child_that_waits_with_its_group_holds_a_shutdown_up() {
    one_node(async |ctx: &Context<String>| {
        let tree = || {
            Supervisor::rest_for_one()
                .auto_shutdown(AutoShutdown::AllSignificant)
                .back_off(BackOff::new(secs(1), secs(1)))
                .child(worker(ctx, "s").spec().transient().significant())
                .child(worker(ctx, "a").spec())
        };
        let last = worker(ctx, "t").spec().transient().significant();
        let with_last = started(ctx, tree().child(last)).await;
        crash("a");
        told(ctx).await;
        ask("s", Do::End(ExitReason::Normal));
        assert_eq!(told(ctx).await, "s ends normal");
        ctx.sleep(secs(1)).await;
        assert_eq!(told(ctx).await, "a up, t up");
        let reason = end_of(ctx, with_last, || ask("t", Do::End(ExitReason::Normal))).await;
        assert_eq!(reason, ExitReason::Shutdown);
        told(ctx).await;
        // Nobody significant waits with this one.
        let without = started(ctx, tree()).await;
        crash("a");
        told(ctx).await;
        let reason = end_of(ctx, without, || ask("s", Do::End(ExitReason::Normal))).await;
        assert_eq!(reason, ExitReason::Shutdown);
    });
}

#[test]
fn otp_back_off_a_wait_of_before_a_start_by_hand_starts_nothing_that_waits_anew() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::one_for_one()
            .intensity(2, secs(60))
            .back_off(BackOff::new(secs(1), secs(1)));
        let tree = started(ctx, abc(ctx, tree)).await;
        crash("b");
        told(ctx).await;
        assert_eq!(tree.terminate_child("b").await, Ok(()));
        assert!(tree.restart_child("b").await.is_ok());
        ctx.sleep(millis(450)).await;
        crash("b");
        // The wait of before is over after 500 ms at least, this one no sooner than 500 ms from now.
        ctx.sleep(millis(490)).await;
        assert_eq!(states(tree).await, "a up, b restarting, c up");
        ctx.sleep(millis(520)).await;
        assert_eq!(states(tree).await, "a up, b up, c up");
    });
}

#[test]
fn otp_back_off_one_of_a_waiting_group_that_was_started_by_hand_runs_on() {
    one_node(async |ctx: &Context<String>| {
        let tree = Supervisor::rest_for_one().back_off(BackOff::new(secs(1), secs(1)));
        let tree = started(ctx, abc(ctx, tree)).await;
        crash("a");
        told(ctx).await;
        let c = tree.restart_child("c").await.expect("it is down");
        assert_eq!(told(ctx).await, "c up");
        ctx.sleep(secs(1)).await;
        assert_eq!(told(ctx).await, "a up, b up");
        assert_eq!(ctx.whereis("c"), c);
    });
}
