//! Who holds, who waits, in which order, and with which tokens.

use super::common::{TTL, scene};
use netsplit::mail::lease::{AcquireError, LeaseError};
use netsplit::{Context, ExitReason, millis, secs};
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

#[test]
fn lease_of_one_place_is_held_by_one_and_each_token_is_greater_than_the_last() {
    scene(|scene| async move {
        let report = scene.report();
        for token in 1..=5 {
            let lease = report.acquire().await?;
            assert!(lease.is_held());
            assert_eq!(
                lease.fencing().to_string(),
                format!("token {token} of place 0 of report")
            );
            let taken = AcquireError::Taken("report".to_owned());
            assert_eq!(report.try_acquire().await.err(), Some(taken));
            lease.release().await?;
        }
        assert_eq!(report.try_acquire().await?.fencing().token(), 6);
        Ok(())
    });
}

#[test]
fn lease_of_three_places_is_held_by_three_each_with_a_place_of_its_own() {
    scene(|scene| async move {
        let lines = scene.lines();
        let (a, b, c) = (
            lines.acquire().await?,
            lines.acquire().await?,
            lines.acquire().await?,
        );
        let places = [&a, &b, &c].map(|lease| (lease.fencing().place(), lease.fencing().token()));
        assert_eq!(places, [(0, 1), (1, 2), (2, 3)]);
        assert!(matches!(
            lines.try_acquire().await,
            Err(AcquireError::Taken(_))
        ));
        b.release().await?;
        let d = lines.try_acquire().await?;
        assert_eq!((d.fencing().place(), d.fencing().token()), (1, 4));
        assert!(a.is_held() && c.is_held() && d.is_held());
        Ok(())
    });
}

#[test]
fn lease_goes_to_those_who_wait_in_the_order_in_which_they_asked() {
    scene(|scene| async move {
        let held = scene.report().acquire().await?;
        let order = Rc::new(RefCell::new(Vec::new()));
        for nth in 0..5 {
            let (report, order) = (scene.report(), order.clone());
            scene.ctx.spawn(move |ctx: Context| async move {
                let lease = report.acquire().await?;
                order.borrow_mut().push((nth, lease.fencing().token()));
                ctx.sleep(millis(10)).await;
                lease.release().await?;
                Ok::<(), ExitReason>(())
            });
            scene.ctx.sleep(millis(10)).await;
        }
        let info = scene.report().info().await?.expect("a resource");
        assert_eq!((info.held, info.waiting, info.last_token), (1, 5, 1));
        held.release().await?;
        scene.ctx.sleep(millis(100)).await;
        assert_eq!(*order.borrow(), [(0, 2), (1, 3), (2, 4), (3, 5), (4, 6)]);
        Ok(())
    });
}

#[test]
fn lease_that_was_waited_for_long_can_be_counted_on_as_long_as_another() {
    scene(|scene| async move {
        let held = scene.report().acquire().await?;
        let report = scene.report();
        scene.ctx.spawn(move |ctx: Context| async move {
            let work = async { ctx.sleep(secs(60)).await };
            held.renew().await?;
            held.during(work).await?;
            held.release().await?;
            Ok::<(), ExitReason>(())
        });
        let lease = report.acquire().await?;
        assert!(scene.ctx.now().as_nanos() >= 60_000_000_000);
        assert!(
            lease.left() > TTL / 2 && lease.left() <= TTL,
            "{:?}",
            lease.left()
        );
        Ok(())
    });
}

#[test]
fn lease_is_counted_from_before_it_was_asked_for_and_a_little_short() {
    scene(|scene| async move {
        let asked = scene.ctx.now();
        let lease = scene.report().acquire().await?;
        assert_eq!(lease.left(), millis(1_998)); // Two seconds, less 500 parts in a million, twice.
        scene.ctx.sleep(millis(500)).await;
        assert_eq!(lease.left(), millis(1_498));
        lease.renew().await?;
        assert_eq!(lease.left(), millis(1_998));
        scene.ctx.sleep(millis(1_998)).await;
        assert!(!lease.is_held());
        assert_eq!(scene.ctx.now().since(asked), millis(2_498));
        Ok(())
    });
}

#[test]
fn lease_that_is_waited_for_in_vain_leaves_nobody_waiting() {
    scene(|scene| async move {
        let held = scene.report().acquire().await?;
        let late = scene.report().acquire_within(millis(300)).await;
        assert_eq!(
            late.err(),
            Some(AcquireError::TimedOut("report".to_owned()))
        );
        let info = scene.report().info().await?.expect("a resource");
        assert_eq!((info.held, info.waiting), (1, 0));
        assert_eq!(scene.report().counts().await?.left, 1);
        held.release().await?;
        assert_eq!(scene.report().try_acquire().await?.fencing().token(), 2);
        Ok(())
    });
}

#[test]
fn lease_whose_answer_nobody_takes_is_given_back() {
    scene(|scene| async move {
        let report = scene.report();
        let held = report.acquire().await?;
        {
            let mut wish = pin!(report.acquire());
            poll_fn(|cx| {
                assert!(wish.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            held.release().await?; // So it is granted to that wish, whose future is dropped now.
            assert_eq!(report.info().await?.map(|info| info.held), Some(1));
        }
        assert_eq!(report.info().await?.map(|info| info.held), Some(0));
        assert_eq!(report.try_acquire().await?.fencing().token(), 3);
        Ok(())
    });
}

#[test]
fn lease_dropped_is_given_back() {
    scene(|scene| async move {
        drop(scene.report().acquire().await?);
        assert!(scene.report().try_acquire().await.is_ok());
        assert_eq!(scene.report().counts().await?.released, 2);
        Ok(())
    });
}

#[test]
fn lease_is_renewed_while_work_goes_on_and_held_after() {
    scene(|scene| async move {
        let lease = scene.report().acquire().await?;
        let worked = lease.during(async {
            scene.ctx.sleep(10 * TTL).await;
            "done"
        });
        assert_eq!(worked.await, Ok("done"));
        assert!(lease.is_held());
        // Each time when a third has passed.
        let renewed = scene.report().counts().await?.renewed;
        assert!((28..=32).contains(&renewed), "{renewed}");
        lease.release().await?;
        Ok(())
    });
}

#[test]
fn lease_moved_to_another_process_is_held_by_that_once_it_has_renewed_it() {
    scene(|scene| async move {
        let report = scene.report();
        let giver = scene.report();
        scene.ctx.spawn(move |ctx: Context| async move {
            let lease = giver.acquire().await?;
            ctx.spawn(move |ctx: Context| async move {
                assert!(!lease.is_held(), "the leases watch another process");
                lease.renew().await?;
                assert!(lease.is_held());
                ctx.sleep(millis(1_000)).await;
                lease.release().await?;
                Ok::<(), ExitReason>(())
            });
            ctx.sleep(millis(500)).await;
            Ok::<(), ExitReason>(())
        });
        scene.ctx.sleep(millis(800)).await;
        // The giver has ended, and the other holds it.
        assert!(matches!(
            report.try_acquire().await,
            Err(AcquireError::Taken(_))
        ));
        scene.ctx.sleep(millis(300)).await;
        assert_eq!(report.try_acquire().await?.fencing().token(), 2);
        Ok(())
    });
}

#[test]
fn lease_work_is_dropped_where_it_waits_once_the_lease_is_over() {
    scene(|scene| async move {
        let lease = scene.report().acquire().await?;
        netsplit::stop(scene.leases, ExitReason::Shutdown, secs(1)).await?;
        let from = scene.ctx.now();
        let worked = Rc::new(RefCell::new(0));
        let steps = lease.during(async {
            loop {
                scene.ctx.sleep(millis(100)).await;
                *worked.borrow_mut() += 1;
            }
        });
        let ended: Result<(), LeaseError> = steps.await;
        assert_eq!(ended, Err(LeaseError::NotHeld));
        assert_eq!(
            (*worked.borrow(), scene.ctx.now().since(from)),
            (19, millis(1_998))
        );
        Ok(())
    });
}
