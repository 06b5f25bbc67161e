//! What a broker costs: commits, and memory.

use super::common::{Shelf, broker, declared, publish, scene, scene_with, take};
use netsplit::mail::queue::QueueSettings;
use netsplit::{Context, millis};

#[test]
fn queue_commits_what_came_together_at_once_and_confirms_only_then() {
    scene(|ctx, broker| async move {
        let queue = declared(broker, "jobs", QueueSettings::new()).await?;
        let before = Shelf::commits();
        for number in 0..200 {
            let queue = queue.clone();
            ctx.spawn(move |ctx: Context| async move {
                queue.publish(&number).await.expect("a confirm");
                assert!(Shelf::letters() > 0, "confirmed, so it is stored");
                ctx.count("confirmed");
            });
        }
        ctx.sleep(millis(10)).await;
        assert_eq!(Shelf::letters(), 200);
        let commits = Shelf::commits() - before;
        assert!(commits < 150, "200 letters in {commits} commits");
        Ok(())
    });
}

#[test]
fn queue_holds_no_more_places_in_memory_than_its_window_and_keeps_the_order() {
    scene_with(
        || broker().window(16),
        |_, broker| async move {
            let queue = declared(broker, "jobs", QueueSettings::new()).await?;
            publish(&queue, 0..1_000).await?;
            let info = queue.info().await?.expect("a queue");
            assert_eq!((info.waiting, info.indexed), (1_000, 16));
            let mut consumer = queue.consume(40).await?;
            assert_eq!(
                take(&mut consumer, 1_000).await?,
                (0..1_000).collect::<Vec<_>>()
            );
            Ok(())
        },
    );
}
