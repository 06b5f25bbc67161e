//! Consumers: prefetch, settling, who else may consume.

use super::common::{declared, publish, scene, take};
use netsplit::mail::queue::{ConsumeError, Queue, QueueSettings, WhenFull};
use netsplit::{Context, ExitReason, millis};

#[test]
fn queue_prefetch_bounds_what_a_consumer_holds() {
    scene(|ctx, broker| async move {
        let queue = declared(broker, "jobs", QueueSettings::new()).await?;
        publish(&queue, 0..10).await?;
        let mut consumer = queue.consume(3).await?;
        let one = consumer.next().await?;
        let info = queue.info().await?.expect("a queue");
        assert_eq!((info.unacked, info.waiting), (3, 7));
        one.ack();
        ctx.sleep(millis(1)).await;
        let info = queue.info().await?.expect("a queue");
        assert_eq!((info.unacked, info.waiting), (3, 6));
        assert_eq!(take(&mut consumer, 9).await?, (1..10).collect::<Vec<_>>());
        Ok(())
    });
}

#[test]
fn queue_gives_letters_to_its_consumers_in_turn() {
    scene(|_, broker| async move {
        let queue = declared(broker, "jobs", QueueSettings::new()).await?;
        let (mut one, mut two) = (queue.consume(2).await?, queue.consume(2).await?);
        publish(&queue, 0..4).await?;
        assert_eq!(take(&mut one, 2).await?, [0, 2]);
        assert_eq!(take(&mut two, 2).await?, [1, 3]);
        Ok(())
    });
}

#[test]
fn queue_nack_with_requeue_puts_a_letter_back_at_its_place() {
    scene(|ctx, broker| async move {
        let queue = declared(broker, "jobs", QueueSettings::new()).await?;
        publish(&queue, 0..5).await?;
        let mut consumer = queue.consume(3).await?;
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(consumer.next().await?);
        }
        let middle = held.remove(1);
        middle.nack(true);
        ctx.sleep(millis(1)).await;
        // The place of 1 is before 3 and 4, which wait, and behind nothing.
        let again = consumer.next().await?;
        assert_eq!(
            (*again.message(), again.attempt(), again.is_redelivered()),
            (1, 2, true)
        );
        again.ack();
        held.into_iter()
            .for_each(netsplit::mail::queue::Delivery::ack);
        assert_eq!(take(&mut consumer, 2).await?, [3, 4]);
        Ok(())
    });
}

#[test]
fn queue_without_delivery_limit_puts_a_nacked_letter_behind_the_others() {
    scene(|_, broker| async move {
        let queue = declared(
            broker,
            "jobs",
            QueueSettings::new().without_delivery_limit(),
        )
        .await?;
        publish(&queue, 0..3).await?;
        let mut consumer = queue.consume(1).await?;
        let mut seen = Vec::new();
        for _ in 0..8 {
            let delivery = consumer.next().await?;
            let number = *delivery.message();
            seen.push(number);
            if number == 0 {
                delivery.nack(true)
            } else {
                delivery.ack()
            }
        }
        assert_eq!(seen, [0, 1, 2, 0, 0, 0, 0, 0]);
        Ok(())
    });
}

#[test]
fn queue_redelivered_is_said_of_what_was_delivered_before() {
    scene(|_, broker| async move {
        let queue = declared(broker, "jobs", QueueSettings::new()).await?;
        publish(&queue, [7]).await?;
        let mut consumer = queue.consume(1).await?;
        let first = consumer.next().await?;
        assert_eq!((first.attempt(), first.is_redelivered()), (1, false));
        drop(first);
        drop(consumer);
        let again = queue.consume(1).await?.next().await?;
        assert_eq!((again.attempt(), again.is_redelivered()), (2, true));
        again.ack();
        Ok(())
    });
}

#[test]
fn queue_exclusive_consumer_is_alone_until_it_is_gone() {
    scene(|ctx, broker| async move {
        let queue = declared(broker, "jobs", QueueSettings::new()).await?;
        let other = queue.consume(1).await?;
        let in_use = queue.consume_exclusively(1).await.err();
        assert_eq!(in_use, Some(ConsumeError::InUse("jobs".to_owned())));
        drop(other);
        let alone = queue.consume_exclusively(1).await?;
        for second in [queue.consume(1).await, queue.consume_exclusively(1).await] {
            assert_eq!(
                second.err(),
                Some(ConsumeError::Exclusive("jobs".to_owned()))
            );
        }
        drop(alone);
        ctx.sleep(millis(1)).await;
        assert!(queue.consume(1).await.is_ok());
        Ok(())
    });
}

#[test]
fn queue_gives_letters_of_a_greater_priority_first_and_each_priority_in_order() {
    scene(|_, broker| async move {
        let queue = declared(broker, "jobs", QueueSettings::new().priorities(5)).await?;
        for (number, priority) in [(0, 0), (1, 5), (2, 3), (3, 200), (4, 3), (5, 0)] {
            let terms = netsplit::mail::queue::Terms::new().priority(priority);
            queue.publish_with(terms, &number).await?;
        }
        // 200 counts as 5, the greatest.
        assert_eq!(
            take(&mut queue.consume(1).await?, 6).await?,
            [1, 3, 2, 4, 0, 5]
        );
        Ok(())
    });
}

#[test]
fn queue_that_is_full_refuses_its_publisher_and_takes_letters_again_when_there_is_room() {
    scene(|_, broker| async move {
        let settings = QueueSettings::new().max_length(2, WhenFull::Refuse);
        let queue = declared(broker, "jobs", settings).await?;
        publish(&queue, [1, 2]).await?;
        let full = netsplit::mail::queue::PublishError::Full { length: 2 };
        assert_eq!(queue.publish(&3).await, Err(full));
        let mut consumer = queue.consume(1).await?;
        assert_eq!(take(&mut consumer, 1).await?, [1]);
        publish(&queue, [4]).await?;
        assert_eq!(take(&mut consumer, 2).await?, [2, 4]);
        Ok(())
    });
}

#[test]
fn queue_takes_back_what_a_consumer_had_when_it_dies_in_order() {
    scene(|ctx, broker| async move {
        let queue = declared(broker, "jobs", QueueSettings::new()).await?;
        publish(&queue, 0..6).await?;
        let of_child = queue.clone();
        let (_, monitor) = ctx.spawn_monitor(move |_: Context| async move {
            let mut consumer = of_child.consume(4).await?;
            let one = consumer.next().await?;
            let two = consumer.next().await?;
            two.ack();
            drop(one);
            Err::<(), _>(ExitReason::error("it dies"))
        });
        ctx.receive_info(
            |info| matches!(info, netsplit::Info::Down { monitor: of, .. } if *of == monitor),
        )
        .await;
        assert_eq!(
            take(&mut queue.consume(9).await?, 5).await?,
            [0, 2, 3, 4, 5]
        );
        Ok(())
    });
}

#[test]
fn queue_letter_of_another_type_goes_to_the_dead_letters() {
    scene(|_, broker| async move {
        let queue = declared(broker, "jobs", QueueSettings::new()).await?;
        Queue::<String>::new(broker, "jobs")
            .publish(&"no number".to_owned())
            .await?;
        publish(&queue, [1]).await?;
        assert_eq!(take(&mut queue.consume(5).await?, 1).await?, [1]);
        let mut dead = Queue::<String>::new(broker, "jobs.dead").consume(1).await?;
        let letter = dead.next().await?;
        assert_eq!(letter.message(), "no number");
        assert_eq!(letter.deaths()[0].why, netsplit::trace::WhyDead::Unreadable);
        letter.ack();
        Ok(())
    });
}
