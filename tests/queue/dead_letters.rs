//! Letters that die: why, where they are kept, and who is blamed.

use super::common::{declared, publish, scene, take};
use netsplit::mail::queue::{DeadLetters, Queue, QueueSettings, Terms, WhenFull};
use netsplit::trace::WhyDead;
use netsplit::{Context, ExitReason, Info, millis, secs};

#[test]
fn queue_rejected_letter_is_kept_with_its_reason_and_history() {
    scene(|ctx, broker| async move {
        let last = declared(broker, "last", QueueSettings::new()).await?;
        let to_last = QueueSettings::new().dead_letters(DeadLetters::To("last".to_owned()));
        let second = declared(broker, "second", to_last).await?;
        let to_second = QueueSettings::new().dead_letters(DeadLetters::To("second".to_owned()));
        let first = declared(broker, "first", to_second).await?;
        let id = first.publish(&7).await?;
        first.consume(1).await?.next().await?.reject();
        ctx.sleep(secs(1)).await;
        second.consume(1).await?.next().await?.reject();
        let letter = last.consume(1).await?.next().await?;
        assert_eq!((letter.letter(), *letter.message()), (id, 7));
        assert!(
            !letter.is_redelivered(),
            "this queue has not delivered it before"
        );
        let history: Vec<(&str, WhyDead, u32)> = letter
            .deaths()
            .iter()
            .map(|death| (death.queue.as_str(), death.why, death.attempts))
            .collect();
        assert_eq!(
            history,
            [
                ("first", WhyDead::Rejected, 1),
                ("second", WhyDead::Rejected, 2)
            ]
        );
        assert!(letter.deaths()[1].at >= letter.deaths()[0].at + secs(1));
        letter.ack();
        Ok(())
    });
}

#[test]
fn queue_nacked_letter_comes_back_until_the_delivery_limit_and_then_the_others_go_on() {
    scene(|_, broker| async move {
        let queue = declared(broker, "jobs", QueueSettings::new().delivery_limit(3)).await?;
        publish(&queue, 0..3).await?;
        let mut consumer = queue.consume(1).await?;
        for attempt in 1..=3 {
            let delivery = consumer.next().await?;
            assert_eq!((*delivery.message(), delivery.attempt()), (0, attempt));
            delivery.nack(true);
        }
        assert_eq!(take(&mut consumer, 2).await?, [1, 2]);
        let dead = Queue::<u32>::new(broker, "jobs.dead")
            .consume(1)
            .await?
            .next()
            .await?;
        assert_eq!(
            (*dead.message(), dead.deaths()[0].why),
            (0, WhyDead::TooOften)
        );
        dead.ack();
        Ok(())
    });
}

/// A worker that dies of the number 13.
async fn worker(queue: Queue<u32>, prefetch: u32) -> Result<(), ExitReason> {
    let mut consumer = queue.consume(prefetch).await?;
    loop {
        let job = consumer.next().await?;
        if *job.message() == 13 {
            return Err(ExitReason::error("thirteen"));
        }
        job.ack();
    }
}

#[test]
fn queue_poison_letter_alone_is_blamed_though_others_were_prefetched_with_it() {
    scene(|ctx, broker| async move {
        let queue = declared(broker, "jobs", QueueSettings::new().delivery_limit(3)).await?;
        // The poison comes first, so that nine letters are with each worker that it kills.
        publish(&queue, [13]).await?;
        publish(&queue, 0..9).await?;
        for _ in 0..3 {
            let queue = queue.clone();
            let (_, monitor) = ctx.spawn_monitor(move |_: Context| worker(queue, 10));
            let is_it =
                |info: &Info| matches!(info, Info::Down { monitor: of, .. } if *of == monitor);
            ctx.receive_info(is_it).await;
        }
        let mut consumer = queue.consume(10).await?;
        for number in 0..9 {
            let delivery = consumer.next().await?;
            assert_eq!(
                (*delivery.message(), delivery.attempt()),
                (number, 4),
                "given four times"
            );
            delivery.ack();
        }
        let counts = queue.counts().await?;
        assert_eq!((counts.dead, counts.acked), (1, 9));
        let dead = Queue::<u32>::new(broker, "jobs.dead")
            .consume(1)
            .await?
            .next()
            .await?;
        assert_eq!(*dead.message(), 13);
        dead.ack();
        Ok(())
    });
}

#[test]
fn queue_letter_dies_when_its_time_is_over_by_its_own_deadline_or_the_queues() {
    scene(|ctx, broker| async move {
        let queue = declared(broker, "jobs", QueueSettings::new().time_to_live(secs(2))).await?;
        let soon = Terms::new().deadline(ctx.wall_clock() + secs(1));
        publish(&queue, [1]).await?;
        queue.publish_with(soon, &2).await?;
        let dead = Queue::<u32>::new(broker, "jobs.dead");
        ctx.sleep(millis(900)).await;
        assert_eq!(queue.info().await?.expect("a queue").waiting, 2);
        ctx.sleep(millis(200)).await;
        assert_eq!(queue.info().await?.expect("a queue").waiting, 1);
        ctx.sleep(secs(1)).await;
        // Nobody has asked the queue for anything: it has looked at the clock by itself.
        assert_eq!(dead.info().await?.expect("a queue").waiting, 2);
        let mut consumer = dead.consume(1).await?;
        for number in [2, 1] {
            let letter = consumer.next().await?;
            assert_eq!(
                (*letter.message(), letter.deaths()[0].why),
                (number, WhyDead::Expired)
            );
            letter.ack();
        }
        Ok(())
    });
}

#[test]
fn queue_time_to_live_does_not_touch_what_is_with_a_consumer() {
    scene(|ctx, broker| async move {
        let queue = declared(broker, "jobs", QueueSettings::new().time_to_live(secs(1))).await?;
        publish(&queue, [1]).await?;
        let mut consumer = queue.consume(1).await?;
        let delivery = consumer.next().await?;
        ctx.sleep(secs(5)).await;
        let info = queue.info().await?.expect("a queue");
        assert_eq!((info.unacked, queue.counts().await?.dead), (1, 0));
        delivery.nack(true);
        ctx.sleep(millis(1)).await;
        assert_eq!(
            queue.counts().await?.dead,
            1,
            "back in the queue, its time is over"
        );
        Ok(())
    });
}

#[test]
fn queue_that_is_full_can_drop_its_head_to_the_dead_letters() {
    scene(|_, broker| async move {
        let settings = QueueSettings::new().max_length(2, WhenFull::DropHead);
        let queue = declared(broker, "jobs", settings).await?;
        publish(&queue, 0..4).await?;
        assert_eq!(take(&mut queue.consume(1).await?, 2).await?, [2, 3]);
        let mut dead = Queue::<u32>::new(broker, "jobs.dead").consume(1).await?;
        for number in 0..2 {
            let letter = dead.next().await?;
            assert_eq!(
                (*letter.message(), letter.deaths()[0].why),
                (number, WhyDead::Overflow)
            );
            letter.ack();
        }
        Ok(())
    });
}

#[test]
fn queue_that_keeps_no_dead_letters_counts_them() {
    scene(|_, broker| async move {
        let settings = QueueSettings::new().dead_letters(DeadLetters::Discarded);
        let queue = declared(broker, "jobs", settings).await?;
        publish(&queue, 0..2).await?;
        let mut consumer = queue.consume(1).await?;
        consumer.next().await?.reject();
        assert_eq!(take(&mut consumer, 1).await?, [1]);
        let counts = queue.counts().await?;
        assert_eq!((counts.dead, counts.discarded), (1, 1));
        assert_eq!(Queue::<u32>::new(broker, "jobs.dead").info().await?, None);
        Ok(())
    });
}
