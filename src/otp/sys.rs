//! Looking into a behaviour while it runs, as OTP's `sys` does: state, status, statistics, suspend, resume,
//! replace the state, trace.
//!
//! What is asked here travels to the behaviour as a system message. It lies in the mailbox in its order,
//! is answered between two messages, while the behaviour is suspended, too, and times out as a call does.
//! Within a handler that waits nothing is answered; a plain process answers nothing at all, so the call
//! times out.
//!
//! ```
//! use netsplit::otp::sys;
//! use netsplit::{Context, Flow, GenServer, Refusal, Scenario, Server, secs};
//!
//! #[derive(Debug)]
//! struct Till {
//!     sold: u32,
//! }
//!
//! impl GenServer for Till {
//!     type Args = ();
//!     type Message = u32;
//!
//!     async fn init(_: (), _: &mut Context<u32>) -> Result<Till, Refusal> {
//!         Ok(Till { sold: 0 })
//!     }
//!
//!     async fn handle(&mut self, apples: u32, _: &mut Context<u32>) -> Flow {
//!         self.sold += apples;
//!         Flow::Next
//!     }
//!
//!     fn format_status(&self) -> String {
//!         format!("{self:?}")
//!     }
//! }
//!
//! let scenario = Scenario::new("shop")
//!     .client("keeper", |ctx: Context| async move {
//!         let till = Server::<Till>::with(()).start(&ctx).await.expect("it starts");
//!         till.send(3);
//!         // The message was sent before, so it is seen.
//!         let sold = sys::get_state(till, |till: &Till| till.sold, secs(5)).await;
//!         assert_eq!(sold, Ok(3));
//!         sys::suspend(till, secs(5)).await.expect("it answers");
//!         till.send(4);
//!         let status = sys::status(till, secs(5)).await.expect("it answers");
//!         assert_eq!((status.state.as_str(), status.mailbox), ("Till { sold: 3 }", 1));
//!         assert!(status.suspended);
//!         sys::resume(till, secs(5)).await.expect("it answers");
//!         let sold = sys::replace_state(till, |till: &mut Till| {
//!             till.sold += 10;
//!             till.sold
//!         }, secs(5));
//!         assert_eq!(sold.await, Ok(17));
//!     })
//!     .finally("it ended", |_| true);
//! assert_eq!(scenario.run(7).unwrap().violation, None);
//! ```

use super::desk::Desk;
use super::gen_statem::{GenStatem, Machine};
use crate::kernel::{Panicked, run_user};
use crate::process::{Address, CallError, Look, Message, Request, with};
use crate::trace::NodeId;
use std::any::Any;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

pub use crate::process::{Statistics, Status};

/// Why a state could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The behaviour has not answered.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It lives on this other node, where code cannot be sent: ask for its [`status`].
    #[error("it lives on node {0}, and its state stays there: ask for its status")]
    OtherNode(NodeId),
    /// Its state is of another type.
    #[error("its state is of another type")]
    OtherType,
    /// The code that looked has panicked with this message. The behaviour goes on, with the state as the
    /// panic left it.
    #[error("the code that looked panicked: {0}")]
    Panicked(String),
}

/// Reads the state of a behaviour of this node, in its turn among its messages: `S` is what implements
/// [`GenServer`](super::GenServer). Of a state machine, see [`get_machine`]. For properties there is
/// [`View::server`](crate::View::server), which needs no turn.
///
/// # Errors
/// [`StateError`].
///
/// # Panics
/// Outside a process.
pub async fn get_state<S: 'static, R: 'static, M: Message>(
    of: Address<M>,
    read: impl FnOnce(&S) -> R + 'static,
    timeout: Duration,
) -> Result<R, StateError> {
    look(of, |state: &mut S| read(state), timeout).await
}

/// Changes the state of a behaviour of this node, in its turn among its messages, and gives what `replace`
/// gives. It is there for tests and for repairs by hand: no handler knows of it.
///
/// # Errors
/// [`StateError`].
///
/// # Panics
/// Outside a process.
pub async fn replace_state<S: 'static, R: 'static, M: Message>(
    of: Address<M>,
    replace: impl FnOnce(&mut S) -> R + 'static,
    timeout: Duration,
) -> Result<R, StateError> {
    look(of, replace, timeout).await
}

/// Reads data and state of a state machine of this node, in its turn among its events.
///
/// # Errors
/// [`StateError`].
///
/// # Panics
/// Outside a process.
pub async fn get_machine<S: GenStatem, R: 'static, M: Message>(
    of: Address<M>,
    read: impl FnOnce(&S, &S::State) -> R + 'static,
    timeout: Duration,
) -> Result<R, StateError> {
    let read = |machine: &mut Machine<S>| read(&machine.data, &machine.state);
    look(of, read, timeout).await
}

async fn look<S: 'static, R: 'static, M: Message>(
    of: Address<M>,
    look: impl FnOnce(&mut S) -> R + 'static,
    timeout: Duration,
) -> Result<R, StateError> {
    let own = with(|system| system.current().pid.node());
    if of.target().node() != own {
        return Err(StateError::OtherNode(of.target().node()));
    }
    let seen: Rc<Cell<Option<Result<R, Panicked>>>> = Rc::default();
    let into = seen.clone();
    let look: Look = Box::new(move |behaviour: &dyn Any| {
        let Some(desk) = behaviour.downcast_ref::<Desk<S>>() else {
            return false;
        };
        into.set(Some(run_user(|| desk.change(look))));
        true
    });
    let ask = |reply_to| Request::Look(reply_to, Some(look));
    match (of.retyped().call(ask, timeout).await?, seen.take()) {
        (true, Some(Ok(seen))) => Ok(seen),
        (true, Some(Err(panicked))) => Err(StateError::Panicked(panicked.message)),
        _ => Err(StateError::OtherType),
    }
}

/// What a behaviour is, whether it is suspended, what waits in its mailbox, its state as text, what it has
/// done. Also of a behaviour on another node.
///
/// # Errors
/// [`CallError`], as of any call.
///
/// # Panics
/// Outside a process.
pub async fn status<M: Message>(of: Address<M>, timeout: Duration) -> Result<Status, CallError> {
    of.retyped().call(Request::Status, timeout).await
}

/// What a behaviour has done so far. They are always counted: OTP counts where it is asked to.
///
/// # Errors
/// [`CallError`], as of any call.
///
/// # Panics
/// Outside a process.
pub async fn statistics<M: Message>(
    of: Address<M>,
    timeout: Duration,
) -> Result<Statistics, CallError> {
    of.retyped().call(Request::Statistics, timeout).await
}

/// From now on a behaviour takes nothing but system messages, and an exit of its parent, where it traps
/// exits. What comes stays in its mailbox, in its order. A return-timeout that is over meanwhile comes when
/// it goes on, where nothing else has come.
///
/// # Errors
/// [`CallError`], as of any call.
///
/// # Panics
/// Outside a process.
pub async fn suspend<M: Message>(of: Address<M>, timeout: Duration) -> Result<(), CallError> {
    of.retyped().call(Request::Suspend, timeout).await
}

/// A behaviour that was suspended goes on.
///
/// # Errors
/// [`CallError`], as of any call.
///
/// # Panics
/// Outside a process.
pub async fn resume<M: Message>(of: Address<M>, timeout: Duration) -> Result<(), CallError> {
    of.retyped().call(Request::Resume, timeout).await
}

/// From now on, or no more, a behaviour notes in the log of the run what it takes and what follows from it:
/// `sys: takes Pay(5)`, `sys: then Next`. Default: it does not.
///
/// # Errors
/// [`CallError`], as of any call.
///
/// # Panics
/// Outside a process.
pub async fn trace<M: Message>(
    of: Address<M>,
    on: bool,
    timeout: Duration,
) -> Result<(), CallError> {
    let ask = |reply_to| Request::Trace(on, reply_to);
    of.retyped().call(ask, timeout).await
}
