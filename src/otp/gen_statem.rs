//! The state machine: what an event does depends on the state, an event that comes too early can be put off,
//! and a state can have a time limit.

mod queue;
mod serve;
mod transition;

use self::serve::run;
use super::start::{Birth, Linked, Manner, Refusal, StartError, Startable, Starting, start};
use crate::process::{Address, Context, ExitReason, Info, MailboxBound, Message};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

pub use self::transition::{Entered, Initial, Transition};

/// What a state machine takes.
pub enum Event<S: GenStatem> {
    /// A message.
    External(S::Message),
    /// One that a callback has inserted.
    Internal(S::Internal),
    /// What the system tells.
    Info(Info),
    /// No event has come for as long as [`Transition::event_timeout`] said.
    EventTimeout,
    /// The state has not changed for as long as [`Transition::state_timeout`] said.
    StateTimeout,
    /// The timeout of this name is over.
    Timeout(S::Name),
}

impl<S: GenStatem> fmt::Debug for Event<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::External(message) => f.debug_tuple("External").field(message).finish(),
            Event::Internal(event) => f.debug_tuple("Internal").field(event).finish(),
            Event::Info(info) => f.debug_tuple("Info").field(info).finish(),
            Event::EventTimeout => f.write_str("EventTimeout"),
            Event::StateTimeout => f.write_str("StateTimeout"),
            Event::Timeout(name) => f.debug_tuple("Timeout").field(name).finish(),
        }
    }
}

/// A state machine: states, data, and a handler that takes one event at a time.
///
/// The implementing type is the machine's data; the state is a value of its own, mostly an enum, and may
/// carry data too. A change of state is a new state that is not equal to the old one. Then comes, in this
/// order: what the handler itself did, answers included; the enter call; events that were inserted; postponed
/// events, the oldest first; timeouts of zero; the mailbox.
///
/// A handler may wait (`.await`); the machine takes no other event meanwhile.
///
/// ```
/// use netsplit::{
///     Context, Entered, Event, ExitReason, GenStatem, Initial, Never, Refusal, ReplyTo, Scenario,
///     StateMachine, Transition, millis, secs,
/// };
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Serialize, Deserialize)]
/// enum Ask {
///     Code(u32),
///     Enter(ReplyTo<u32>),
/// }
///
/// #[derive(Clone, Debug, PartialEq)]
/// enum State {
///     Locked,
///     Open,
/// }
///
/// /// Opens for a second where the code is right; who wants to enter waits until then.
/// struct Door {
///     code: u32,
///     entered: u32,
/// }
///
/// impl GenStatem for Door {
///     type Args = u32;
///     type Message = Ask;
///     type Internal = Never;
///     type State = State;
///     type Name = Never;
///
///     async fn init(code: u32, _: &mut Context<Ask>) -> Result<(Door, Initial<Door>), Refusal> {
///         Ok((Door { code, entered: 0 }, Initial::state(State::Locked)))
///     }
///
///     async fn handle(
///         &mut self,
///         event: Event<Door>,
///         state: &State,
///         _: &mut Context<Ask>,
///     ) -> Transition<Door> {
///         match (state, event) {
///             (State::Locked, Event::External(Ask::Code(code))) if code == self.code => {
///                 Transition::next(State::Open)
///             }
///             (State::Locked, early @ Event::External(Ask::Enter(_))) => {
///                 Transition::keep().postpone(early)
///             }
///             (State::Open, Event::External(Ask::Enter(reply_to))) => {
///                 self.entered += 1;
///                 reply_to.reply(self.entered);
///                 Transition::keep()
///             }
///             (State::Open, Event::StateTimeout) => Transition::next(State::Locked),
///             _ => Transition::keep(),
///         }
///     }
///
///     async fn enter(&mut self, _: &State, state: &State, _: &mut Context<Ask>) -> Entered<Door> {
///         match state {
///             State::Open => Entered::done().state_timeout(secs(1)),
///             State::Locked => Entered::done(),
///         }
///     }
/// }
///
/// let scenario = Scenario::new("door")
///     .client("visitor", |ctx: Context| async move {
///         let door = StateMachine::<Door>::with(1234).start(&ctx).await?;
///         ctx.send_after(door, Ask::Code(1234), millis(50));
///         // Put off until the door opens.
///         assert_eq!(door.call(Ask::Enter, secs(5)).await?, 1);
///         assert_eq!(ctx.now().as_nanos(), 50_000_000);
///         ctx.sleep(secs(2)).await;
///         assert!(door.call(Ask::Enter, millis(10)).await.is_err(), "it is locked again");
///         Ok::<(), ExitReason>(())
///     })
///     .finally("it ended", |_| true);
/// assert!(scenario.run(7).unwrap().is_ok());
/// ```
#[allow(
    async_fn_in_trait,
    reason = "no `Send` is asked of actor code: a host runs a node on one thread"
)]
pub trait GenStatem: Sized + 'static {
    /// What it is started with.
    type Args: 'static;
    /// The messages that it takes.
    type Message: Message;
    /// The events that callbacks insert; [`Never`](crate::process::Never) where there are none.
    type Internal: fmt::Debug + 'static;
    /// Its states.
    type State: PartialEq + Clone + fmt::Debug + 'static;
    /// The names of timeouts that no change of state cancels; [`Never`](crate::process::Never) where there
    /// are none.
    type Name: Ord + Clone + fmt::Debug + 'static;

    /// Makes the data and the first state. Whoever starts the machine waits for it; the enter call of the
    /// first state comes after that.
    ///
    /// # Errors
    /// [`Refusal`]: there is nothing to do, or it cannot start.
    async fn init(
        args: Self::Args,
        ctx: &mut Context<Self::Message>,
    ) -> Result<(Self, Initial<Self>), Refusal>;

    /// Takes an event.
    async fn handle(
        &mut self,
        event: Event<Self>,
        state: &Self::State,
        ctx: &mut Context<Self::Message>,
    ) -> Transition<Self>;

    /// Runs when the state has changed, before any event; and for the first state and a repeated one, which
    /// is then the old one too. Default: nothing.
    async fn enter(
        &mut self,
        old: &Self::State,
        state: &Self::State,
        ctx: &mut Context<Self::Message>,
    ) -> Entered<Self> {
        let _ = (old, state, ctx);
        Entered::done()
    }

    /// Runs before the machine ends: on a stop, on a panic of a callback (data and state are then as the
    /// panic left them) and, where exits are trapped, on an exit of the starter that it is linked to. Never
    /// on a kill, nor where a callback ends its process by [`Context::exit`]: it returns
    /// [`Transition::stop`] instead. Default: nothing.
    async fn terminate(
        &mut self,
        reason: &ExitReason,
        state: &Self::State,
        ctx: &mut Context<Self::Message>,
    ) {
        let _ = (reason, state, ctx);
    }

    /// The state, and what of the data is worth showing, as text: for [`sys::status`](super::sys::status) and
    /// for observers. It travels between nodes, so it should be the same in every build. Default: the state.
    fn format_status(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }
}

/// How to start a state machine.
#[derive(Debug)]
pub struct StateMachine<S: GenStatem> {
    args: S::Args,
    manner: Manner,
    machine: PhantomData<S>,
}

impl<S: GenStatem> StateMachine<S> {
    /// A machine that will be started with these arguments.
    #[must_use]
    pub fn with(args: S::Args) -> StateMachine<S> {
        StateMachine {
            args,
            manner: Manner::default(),
            machine: PhantomData,
        }
    }

    /// Gives it a local name.
    #[must_use]
    pub fn name(mut self, name: &str) -> StateMachine<S> {
        self.manner.wishes().name = Some(name.to_owned());
        self
    }

    /// How long its starter waits for its `init`; then it is killed. Default: for ever, as in OTP.
    #[must_use]
    pub fn start_timeout(mut self, timeout: Duration) -> StateMachine<S> {
        self.manner.wishes().timeout = Some(timeout);
        self
    }

    /// Bounds its mailbox, from before its `init` on; events that it postpones take no room in it. Default:
    /// no bound but that of the run.
    #[must_use]
    pub fn mailbox(mut self, bound: MailboxBound) -> StateMachine<S> {
        self.manner.wishes().mailbox = Some(bound);
        self
    }

    /// Starts it and waits for its `init`.
    ///
    /// # Errors
    /// [`StartError`]: its name is taken, or its `init` made no state. After a failed start no name, no link
    /// and no timer is left behind.
    pub async fn start<M: Message>(
        self,
        starter: &Context<M>,
    ) -> Result<Address<S::Message>, StartError> {
        let StateMachine { args, manner, .. } = self;
        start(starter, Linked::No, manner, |ctx, birth| {
            run::<S>(args, ctx, birth)
        })
        .await
    }

    /// Starts it linked to the starter, and waits for its `init`. Where that fails, a starter that does not
    /// trap exits dies of it.
    ///
    /// # Errors
    /// As [`StateMachine::start`].
    pub async fn start_link<M: Message>(
        self,
        starter: &Context<M>,
    ) -> Result<Address<S::Message>, StartError> {
        self.begin(starter).await
    }

    /// Makes the current process the machine; gives the reason of its end. The first process of a node has
    /// its node for a parent: asked to stop, it runs `terminate` where it traps exits.
    pub async fn run(self, ctx: Context<S::Message>) -> ExitReason {
        run::<S>(self.args, ctx, Birth::alone(self.manner)).await
    }
}

impl<S: GenStatem> Startable for StateMachine<S> {
    type Message = S::Message;

    fn begin<M: Message>(self, starter: &Context<M>) -> Starting<S::Message> {
        let StateMachine { args, manner, .. } = self;
        start(starter, Linked::Yes, manner, |ctx, birth| {
            run::<S>(args, ctx, birth)
        })
    }
}

/// A machine: between its events properties read it.
pub(crate) struct Machine<S: GenStatem> {
    pub(crate) data: S,
    pub(crate) state: S::State,
}
