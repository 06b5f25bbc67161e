//! Asking the servers of one name on many nodes at once, and sending to them all.

use crate::process::{Address, CallError, Message, ReplyTo};
use crate::trace::NodeId;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// What a [`multi_call`] has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers<R> {
    /// Who has answered, and what, in the order in which that was heard.
    pub replies: Vec<(NodeId, R)>,
    /// Who has not, and why, in the order in which that was heard: nobody of this name, no connection, the
    /// server's end, no answer in time, or that it is the process itself.
    pub failed: Vec<(NodeId, CallError)>,
}

/// Asks whoever holds `name` on each of these nodes, all at once, and waits until each has answered or
/// failed, at most for `timeout`. A node that is given twice is asked twice. Dropped before that, it ends the
/// aliases of all.
///
/// ```
/// use netsplit::{CallError, Context, ReplyTo, Scenario, multi_call, secs};
///
/// async fn stock(ctx: Context<ReplyTo<u32>>, apples: u32) {
///     ctx.register("stock").expect("a free name");
///     loop {
///         ctx.receive_message().await.reply(apples);
///     }
/// }
///
/// let scenario = Scenario::new("shops")
///     .node("bern", |ctx| stock(ctx, 3))
///     .node("rome", |ctx| stock(ctx, 4))
///     .node("oslo", |_: Context| async {})
///     .client("buyer", |ctx: Context| async move {
///         let shops = ["bern", "rome", "oslo"].map(|shop| ctx.node_named(shop).expect("a node"));
///         let answers = multi_call(shops, "stock", |reply_to: ReplyTo<u32>| reply_to, secs(5)).await;
///         let apples: u32 = answers.replies.iter().map(|(_, apples)| apples).sum();
///         assert_eq!(apples, 7);
///         assert_eq!(answers.failed, [(shops[2], CallError::NoProc)]);
///     })
///     .finally("it ended", |_| true);
/// assert!(scenario.run(7).unwrap().is_ok());
/// ```
///
/// # Panics
/// Outside a process.
pub async fn multi_call<M: Message, R: Message>(
    nodes: impl IntoIterator<Item = NodeId>,
    name: &str,
    ask: impl Fn(ReplyTo<R>) -> M,
    timeout: Duration,
) -> Answers<R> {
    let ask = &ask;
    let begin = |node| {
        (
            node,
            Box::pin(Address::<M>::at(node, name).call(ask, timeout)),
        )
    };
    let mut calls: Vec<_> = nodes.into_iter().map(begin).collect();
    let mut answers = Answers {
        replies: Vec::new(),
        failed: Vec::new(),
    };
    poll_fn(|cx| {
        calls.retain_mut(|(node, call)| match Pin::new(call).poll(cx) {
            Poll::Ready(Ok(reply)) => {
                answers.replies.push((*node, reply));
                false
            }
            Poll::Ready(Err(error)) => {
                answers.failed.push((*node, error));
                false
            }
            Poll::Pending => true,
        });
        if calls.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    answers
}

/// Sends a message to whoever holds `name` on each of these nodes, as [`Address::send`] does. It is made once
/// for each: a message type with a place for an answer in it cannot be cloned.
///
/// # Panics
/// Outside a process, or where a message does not encode.
pub fn abcast<M: Message>(
    nodes: impl IntoIterator<Item = NodeId>,
    name: &str,
    message: impl Fn() -> M,
) {
    for node in nodes {
        Address::at(node, name).send(message());
    }
}
