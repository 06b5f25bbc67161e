//! The server: one message type, one handler that is never entered twice, a state of its own.

use super::caught::{Caught, noted};
use super::desk::{Desk, Kind};
use super::start::{Birth, Linked, Manner, Refusal, StartError, Startable, Starting, start};
use crate::process::{Address, Context, ExitReason, Info, MailboxBound, Message, Received};
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

/// What a server does after a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Waits for the next message.
    Next,
    /// Waits for the next message, at most for so long: then [`Info::Timeout`] comes to `handle_info`.
    /// Any message cancels it.
    NextWithin(Duration),
    /// Runs `handle_continue` before anything in the mailbox.
    Continue,
    /// Runs `terminate`, and ends with this reason.
    Stop(ExitReason),
}

/// A server: a state, and handlers that take one message at a time.
///
/// A handler may wait (`.await`); the server takes no other message meanwhile.
///
/// ```
/// use netsplit::{
///     Context, ExitReason, Flow, GenServer, Refusal, ReplyTo, Scenario, Server, secs,
/// };
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Serialize, Deserialize)]
/// enum Account {
///     Deposit(u64),
///     Balance(ReplyTo<u64>),
/// }
///
/// struct AccountServer {
///     balance: u64,
/// }
///
/// impl GenServer for AccountServer {
///     type Args = u64;
///     type Message = Account;
///
///     async fn init(opening: u64, _: &mut Context<Account>) -> Result<Self, Refusal> {
///         Ok(AccountServer { balance: opening })
///     }
///
///     async fn handle(&mut self, message: Account, _: &mut Context<Account>) -> Flow {
///         match message {
///             Account::Deposit(amount) => self.balance += amount,
///             Account::Balance(reply_to) => reply_to.reply(self.balance),
///         }
///         Flow::Next
///     }
/// }
///
/// let scenario = Scenario::new("account")
///     .client("customer", |ctx: Context| async move {
///         let account = Server::<AccountServer>::with(100).start(&ctx).await?;
///         account.send(Account::Deposit(5));
///         assert_eq!(account.call(Account::Balance, secs(5)).await?, 105);
///         Ok::<(), ExitReason>(())
///     })
///     .finally("it ended", |_| true);
/// assert!(scenario.run(7).unwrap().is_ok());
/// ```
#[allow(
    async_fn_in_trait,
    reason = "no `Send` is asked of actor code: a host runs a node on one thread"
)]
pub trait GenServer: Sized + 'static {
    /// What it is started with.
    type Args: 'static;
    /// The messages that it takes.
    type Message: Message;

    /// Makes the state. Whoever starts the server waits for it.
    ///
    /// # Errors
    /// [`Refusal`]: there is nothing to do, or it cannot start.
    async fn init(args: Self::Args, ctx: &mut Context<Self::Message>) -> Result<Self, Refusal>;

    /// What the server does right after `init`. Default: waits for a message.
    fn first(&self) -> Flow {
        Flow::Next
    }

    /// Takes a message.
    async fn handle(&mut self, message: Self::Message, ctx: &mut Context<Self::Message>) -> Flow;

    /// Runs after a [`Flow::Continue`], before anything in the mailbox. Default: does nothing.
    async fn handle_continue(&mut self, ctx: &mut Context<Self::Message>) -> Flow {
        let _ = ctx;
        Flow::Next
    }

    /// Takes what the system tells: downs, trapped exits, the timeout. Default: drops it, with a note in
    /// the log.
    async fn handle_info(&mut self, info: Info, ctx: &mut Context<Self::Message>) -> Flow {
        ctx.note(format_args!("dropped {info:?}: there is no handle_info"));
        Flow::Next
    }

    /// Runs before the server ends: on a stop, on a panic of a handler (the state is then as the panic
    /// left it) and, where exits are trapped, on an exit of the parent. Never on a kill, nor where a handler
    /// ends its process by [`Context::exit`]: it returns [`Flow::Stop`] instead. Default: nothing.
    async fn terminate(&mut self, reason: &ExitReason, ctx: &mut Context<Self::Message>) {
        let _ = (reason, ctx);
    }

    /// The state as text, for [`sys::status`](super::sys::status) and for observers: mostly
    /// `format!("{self:?}")`. It travels between nodes, so it should be the same in every build. Default:
    /// nothing.
    fn format_status(&self) -> String {
        String::new()
    }
}

/// How to start a server.
#[derive(Debug)]
pub struct Server<S: GenServer> {
    args: S::Args,
    manner: Manner,
    server: PhantomData<S>,
}

impl<S: GenServer> Server<S> {
    /// A server that will be started with these arguments.
    #[must_use]
    pub fn with(args: S::Args) -> Server<S> {
        Server {
            args,
            manner: Manner::default(),
            server: PhantomData,
        }
    }

    /// Gives it a local name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Server<S> {
        self.manner.wishes().name = Some(name.to_owned());
        self
    }

    /// How long its starter waits for its `init`; then it is killed. Default: for ever, as in OTP.
    #[must_use]
    pub fn start_timeout(mut self, timeout: Duration) -> Server<S> {
        self.manner.wishes().timeout = Some(timeout);
        self
    }

    /// Bounds its mailbox, from before its `init` on. Default: no bound but that of the run.
    #[must_use]
    pub fn mailbox(mut self, bound: MailboxBound) -> Server<S> {
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
        let Server { args, manner, .. } = self;
        start(starter, Linked::No, manner, |ctx, birth| {
            serve::<S>(args, ctx, birth)
        })
        .await
    }

    /// Starts it linked to the starter, and waits for its `init`. Where that fails, a starter that does not
    /// trap exits dies of it.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_link<M: Message>(
        self,
        starter: &Context<M>,
    ) -> Result<Address<S::Message>, StartError> {
        self.begin(starter).await
    }

    /// Makes the current process the server; gives the reason of its end. The first process of a node has
    /// its node for a parent: asked to stop, it runs `terminate` where it traps exits.
    pub async fn run(self, ctx: Context<S::Message>) -> ExitReason {
        serve::<S>(self.args, ctx, Birth::alone(self.manner)).await
    }
}

impl<S: GenServer> Startable for Server<S> {
    type Message = S::Message;

    fn begin<M: Message>(self, starter: &Context<M>) -> Starting<S::Message> {
        let Server { args, manner, .. } = self;
        start(starter, Linked::Yes, manner, |ctx, birth| {
            serve::<S>(args, ctx, birth)
        })
    }
}

// Not an `async fn`: that would hold its arguments twice, which each idle server would pay for.
#[allow(clippy::manual_async_fn, reason = "see above")]
fn serve<S: GenServer>(
    args: S::Args,
    mut ctx: Context<S::Message>,
    mut birth: Birth,
) -> impl Future<Output = ExitReason> {
    async move {
        let made = birth.state(&mut ctx, async |ctx| S::init(args, ctx).await);
        let state = match made.await {
            Ok(state) => state,
            Err(reason) => return reason,
        };
        let first = state.first();
        let kind = Kind {
            name: "GenServer",
            text: S::format_status,
            #[cfg(feature = "sim")]
            children: |_| Vec::new(),
        };
        let desk = Rc::new(Desk::new(&ctx, kind, birth.parent, state));
        ctx.expose(desk.clone());
        birth.done();
        let reason = serve_loop(&mut ctx, &desk, first, &birth).await;
        terminate(&mut ctx, &desk, &birth, reason).await
    }
}

/// What the server takes up next.
enum Next<M> {
    Continue,
    Received(Received<M>),
}

/// Takes message after message; gives the reason to end.
#[allow(clippy::manual_async_fn, reason = "as `serve`")]
#[allow(
    clippy::await_holding_refcell_ref,
    reason = "a state is busy while its handler waits: reads say so"
)]
fn serve_loop<S: GenServer>(
    ctx: &mut Context<S::Message>,
    desk: &Desk<S>,
    mut flow: Flow,
    birth: &Birth,
) -> impl Future<Output = ExitReason> {
    async move {
        loop {
            let next = match flow {
                Flow::Next => Next::Received(desk.receive(ctx).await),
                Flow::NextWithin(timeout) => {
                    let received = desk.receive_within(ctx, timeout).await;
                    Next::Received(received.unwrap_or(Received::Info(Info::Timeout)))
                }
                Flow::Continue => Next::Continue,
                Flow::Stop(reason) => return reason,
            };
            if let Next::Received(Received::Info(Info::Exit { from, reason })) = &next
                && birth.is_parent(*from)
            {
                return reason.clone();
            }
            match &next {
                Next::Received(Received::Message(message)) => {
                    desk.traces(ctx, format_args!("takes {message:?}"));
                }
                Next::Received(Received::Info(info)) => {
                    desk.traces(ctx, format_args!("takes {info:?}"))
                }
                Next::Continue => desk.traces(ctx, format_args!("continues")),
            }
            let mut server = desk.borrow_mut();
            let handled = match next {
                Next::Received(Received::Message(message)) => {
                    Caught(server.handle(message, ctx)).await
                }
                Next::Received(Received::Info(info)) => Caught(server.handle_info(info, ctx)).await,
                Next::Continue => Caught(server.handle_continue(ctx)).await,
            };
            drop(server);
            flow = match handled {
                Ok(flow) => flow,
                Err(panicked) => Flow::Stop(noted(ctx, panicked)),
            };
            desk.traces(ctx, format_args!("then {flow:?}"));
        }
    }
}

#[allow(clippy::manual_async_fn, reason = "as `serve`")]
#[allow(
    clippy::await_holding_refcell_ref,
    reason = "a state is busy while its handler waits: reads say so"
)]
fn terminate<S: GenServer>(
    ctx: &mut Context<S::Message>,
    desk: &Desk<S>,
    birth: &Birth,
    reason: ExitReason,
) -> impl Future<Output = ExitReason> {
    async move {
        if let Err(struck) = birth.ends(ctx).await {
            return struck;
        }
        let mut server = desk.borrow_mut();
        match Caught(server.terminate(&reason, ctx)).await {
            Ok(()) => reason,
            Err(panicked) => noted(ctx, panicked),
        }
    }
}
