//! What is asked wrongly: a typed error, counted, and nothing is lost.

use super::common::{Shelf, broker, declared, publish, scene, scene_with, take};
use netsplit::mail::queue::{
    ConsumeError, DeadLetters, DeclareError, PublishError, Queue, QueueSettings, Settle,
    SettleError, Terms, WhenFull,
};
use netsplit::trace::LetterId;
use netsplit::{CallError, millis, secs};
use std::time::Duration;

#[test]
fn queue_declared_again_is_the_same_and_with_other_settings_an_error() {
    scene(|_, broker| async move {
        let settings = QueueSettings::new().priorities(3);
        let queue = declared(broker, "jobs", settings.clone()).await?;
        publish(&queue, [1]).await?;
        assert_eq!(queue.declare(settings.clone()).await, Ok(()));
        let other = queue.declare(QueueSettings::new()).await;
        let expected = DeclareError::OtherSettings {
            name: "jobs".to_owned(),
            has: Box::new(settings),
        };
        assert_eq!(other, Err(expected));
        assert_eq!(take(&mut queue.consume(1).await?, 1).await?, [1]);
        Ok(())
    });
}

#[test]
fn queue_settings_that_make_no_sense_are_refused() {
    scene(|_, broker| async move {
        let queue = Queue::<u32>::new(broker, "jobs");
        let none = QueueSettings::new().max_length(0, WhenFull::Refuse);
        assert!(matches!(
            queue.declare(none).await,
            Err(DeclareError::Flaw(_))
        ));
        let never = QueueSettings::new().delivery_limit(0);
        assert!(matches!(
            queue.declare(never).await,
            Err(DeclareError::Flaw(_))
        ));
        let to = |name: &str| QueueSettings::new().dead_letters(DeadLetters::To(name.to_owned()));
        let nowhere = queue.declare(to("morgue")).await;
        assert_eq!(
            nowhere,
            Err(DeclareError::NoDeadLetters("morgue".to_owned()))
        );
        // So no queue can get its own dead letters back.
        let itself = queue.declare(to("jobs")).await;
        assert_eq!(itself, Err(DeclareError::NoDeadLetters("jobs".to_owned())));
        assert_eq!(queue.info().await, Ok(None));
        Ok(())
    });
}

#[test]
fn queue_prefetch_of_0_is_an_error() {
    scene(|_, broker| async move {
        let queue = declared(broker, "jobs", QueueSettings::new()).await?;
        assert_eq!(
            queue.consume(0).await.err(),
            Some(ConsumeError::PrefetchZero)
        );
        Ok(())
    });
}

#[test]
fn queue_that_nobody_declared_takes_nothing_and_gives_nothing() {
    scene(|_, broker| async move {
        let nobody = || "nobody".to_owned();
        let queue = Queue::<u32>::new(broker, "nobody");
        assert_eq!(
            queue.publish(&1).await,
            Err(PublishError::NoSuchQueue(nobody()))
        );
        assert_eq!(
            queue.consume(1).await.err(),
            Some(ConsumeError::NoSuchQueue(nobody()))
        );
        assert_eq!(queue.counts().await?.refused, 1);
        Ok(())
    });
}

#[test]
fn queue_letter_that_is_too_large_is_refused_and_says_by_how_much() {
    scene_with(
        || broker().letter_bytes(100),
        |_, broker| async move {
            let queue = Queue::<String>::new(broker, "texts");
            queue.declare(QueueSettings::new()).await?;
            let error = queue.publish(&"x".repeat(200)).await.unwrap_err();
            assert!(matches!(error, PublishError::TooLarge { bytes, most: 100 } if bytes > 200));
            queue.publish(&"x".repeat(50)).await?;
            let counts = queue.counts().await?;
            assert_eq!((counts.published, counts.refused), (1, 1));
            Ok(())
        },
    );
}

#[test]
fn queue_letter_past_its_deadline_is_refused() {
    scene(|ctx, broker| async move {
        let queue = declared(broker, "jobs", QueueSettings::new()).await?;
        ctx.sleep(secs(1)).await;
        let now = ctx.wall_clock();
        let late = queue
            .publish_with(Terms::new().deadline(now - Duration::from_nanos(1)), &1)
            .await;
        assert_eq!(late, Err(PublishError::PastDeadline));
        queue
            .publish_with(Terms::new().deadline(now + millis(1)), &2)
            .await?;
        assert_eq!(take(&mut queue.consume(1).await?, 1).await?, [2]);
        Ok(())
    });
}

#[test]
fn queue_ack_of_what_was_never_sent_is_an_error_and_harms_nothing() {
    scene(|_, broker| async move {
        let queue = declared(broker, "jobs", QueueSettings::new()).await?;
        let letter = queue.publish(&1).await?;
        // It waits, and was not sent; there is no such letter; it is another broker's.
        let unknown = LetterId {
            number: letter.number + 100,
            ..letter
        };
        let foreign = LetterId {
            origin: netsplit::trace::Name::new("elsewhere"),
            ..letter
        };
        for (letter, attempt) in [(letter, 0), (unknown, 1), (foreign, 1)] {
            let settled = queue.settle(letter, attempt, Settle::Ack).await;
            assert_eq!(settled, Err(SettleError::NeverSent));
        }
        assert_eq!(queue.counts().await?.never_sent, 3);
        assert_eq!(take(&mut queue.consume(1).await?, 1).await?, [1]);
        Ok(())
    });
}

#[test]
fn queue_second_ack_and_late_ack_of_an_earlier_attempt_are_counted_and_harm_nothing() {
    scene(|_, broker| async move {
        let queue = declared(broker, "jobs", QueueSettings::new()).await?;
        publish(&queue, [1, 2]).await?;
        let mut consumer = queue.consume(2).await?;
        let first = consumer.next().await?;
        let (letter, attempt) = (first.letter(), first.attempt());
        first.nack(true);
        let again = consumer.next().await?;
        let again = if *again.message() == 1 {
            again
        } else {
            consumer.next().await?
        };
        assert_eq!((again.letter(), again.attempt()), (letter, attempt + 1));
        // The ack of the first attempt comes late: the letter stays.
        let late = queue.settle(letter, attempt, Settle::Ack).await;
        assert_eq!(late, Err(SettleError::Stale));
        let attempt = again.attempt();
        again.ack();
        for how in [Settle::Ack, Settle::Requeue, Settle::Reject] {
            let second = queue.settle(letter, attempt, how).await;
            assert_eq!(second, Err(SettleError::Stale));
        }
        let counts = queue.counts().await?;
        assert_eq!((counts.acked, counts.stale, counts.dead), (1, 4, 0));
        Ok(())
    });
}

#[test]
fn queue_on_a_full_disk_refuses_the_letter_and_has_it_after_there_is_room() {
    scene(|ctx, address| async move {
        let queue = declared(address, "jobs", QueueSettings::new()).await?;
        publish(&queue, [1]).await?;
        Shelf::fill(true);
        assert_eq!(queue.publish(&2).await, Err(PublishError::DiskFull));
        // The broker has ended, for whoever supervises it to start it again.
        let gone = queue.publish(&3).await;
        assert_eq!(gone, Err(PublishError::Unknown(CallError::NoProc)));
        Shelf::fill(false);
        let again = Queue::<u32>::new(broker().start(&*ctx).await?, "jobs");
        publish(&again, [4]).await?;
        assert_eq!(take(&mut again.consume(9).await?, 2).await?, [1, 4]);
        Ok(())
    });
}
