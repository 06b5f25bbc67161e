//! Tasks across nodes: code does not travel.

use super::{LONG, across, start};
use netsplit::{ChildError, Context, ReplyTo, TaskSupervisor, TaskSupervisorRef};

#[test]
fn a_task_is_started_on_the_node_of_its_supervisor_alone_and_seen_from_any() {
    let role = |own: Context<ReplyTo<TaskSupervisorRef>>| async move {
        let tasks = TaskSupervisor::new().start_link(&own).await;
        let tasks = tasks.expect("it starts");
        let wait = |own: Context| async move { own.sleep(LONG).await };
        tasks.start_child(wait).await.expect("it runs");
        own.receive_message().await.reply(tasks);
        own.sleep(LONG).await;
    };
    across(role, async |_: &Context| {
        let far = start::<ReplyTo<TaskSupervisorRef>>().await;
        let tasks = far.call(|to| to, LONG).await.expect("it answers");
        let started = tasks.async_nolink(|_| async { 1 }).await;
        assert_eq!(started.err(), Some(ChildError::OtherNode));
        let started = tasks.start_child(|_: Context| async {}).await;
        assert_eq!(started, Err(ChildError::OtherNode));
        let children = tasks.children().await.expect("it answers");
        assert_eq!(children.len(), 1);
        assert_eq!(tasks.terminate_child(children[0]).await, Ok(()));
        assert_eq!(tasks.children().await, Ok(vec![]));
    });
}
