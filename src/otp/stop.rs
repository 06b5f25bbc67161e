//! Stopping a behaviour from outside.

use crate::process::{Address, CallError, ExitReason, Message, Request};
use std::time::Duration;

/// Orders a behaviour to run its `terminate` and to end with this reason, and waits until it has, at most for
/// `timeout`. It is asked in its turn among its messages, whether it traps exits or not, while it is
/// suspended too; a supervisor stops its children first. OTP's `gen_server:stop`.
///
/// ```
/// use netsplit::{CallError, Context, ExitReason, Flow, GenServer, Refusal, Scenario, Server, secs, stop};
///
/// struct Till;
///
/// impl GenServer for Till {
///     type Args = ();
///     type Message = u32;
///
///     async fn init(_: (), _: &mut Context<u32>) -> Result<Till, Refusal> {
///         Ok(Till)
///     }
///
///     async fn handle(&mut self, _: u32, _: &mut Context<u32>) -> Flow {
///         Flow::Next
///     }
/// }
///
/// let scenario = Scenario::new("closing time")
///     .client("keeper", |ctx: Context| async move {
///         let till = Server::<Till>::with(()).start(&ctx).await.expect("it starts");
///         assert_eq!(stop(till, ExitReason::Normal, secs(5)).await, Ok(()));
///         assert_eq!(stop(till, ExitReason::Normal, secs(5)).await, Err(CallError::NoProc));
///     })
///     .finally("it ended", |_| true);
/// assert!(scenario.run(7).unwrap().is_ok());
/// ```
///
/// # Errors
/// [`CallError`], as of any call: [`CallError::Exit`] where it has ended with another reason. A plain
/// process takes no order: the call times out.
///
/// # Panics
/// Outside a process.
pub async fn stop<M: Message>(
    of: Address<M>,
    reason: ExitReason,
    timeout: Duration,
) -> Result<(), CallError> {
    let order = |reply_to| Request::Terminate(reason.clone(), reply_to);
    match of.retyped().call(order, timeout).await {
        Err(CallError::Exit(ended)) if ended == reason => Ok(()),
        Err(error) => Err(error),
        Ok(never) => match never {},
    }
}
