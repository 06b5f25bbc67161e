//! The server: one message type, one handler that is never entered twice, a state of its own.

use crate::kernel::{Panicked, run_user};
use crate::process::{
    Address, CallError, Context, ExitReason, Info, Message, NameError, Received, ReplyTo,
    started_by,
};
use crate::trace::Pid;
use pin_project::pin_project;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};
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
/// use netsplit::{Context, ExitReason, Flow, GenServer, ReplyTo, Scenario, Server, secs};
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
///     async fn init(opening: u64, _: &mut Context<Account>) -> Result<Self, ExitReason> {
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
    async fn init(args: Self::Args, ctx: &mut Context<Self::Message>) -> Result<Self, ExitReason>;

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
    /// left it) and, where exits are trapped, on an exit of the parent. Never on a kill. Default: nothing.
    async fn terminate(&mut self, reason: &ExitReason, ctx: &mut Context<Self::Message>) {
        let _ = (reason, ctx);
    }
}

/// How to start a server.
#[derive(Debug)]
pub struct Server<S: GenServer> {
    args: S::Args,
    name: Option<String>,
    server: PhantomData<S>,
}

type Ack = ReplyTo<Result<(), ExitReason>>;

impl<S: GenServer> Server<S> {
    /// A server that will be started with these arguments.
    #[must_use]
    pub fn with(args: S::Args) -> Server<S> {
        Server {
            args,
            name: None,
            server: PhantomData,
        }
    }

    /// Gives it a local name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Server<S> {
        self.name = Some(name.to_owned());
        self
    }

    /// Starts it and waits for its `init`.
    ///
    /// # Errors
    /// The reason with which `init` failed, or `already_started` where the name is taken. After a failed
    /// start no name, no link and no timer is left behind.
    pub async fn start<M: Message>(
        self,
        starter: &Context<M>,
    ) -> Result<Address<S::Message>, ExitReason> {
        self.check_name(starter)?;
        let parent = starter.pid();
        started(|ack| starter.spawn(|ctx| self.serve(ctx, Some(ack), Some(parent)))).await
    }

    /// Starts it linked to the starter, and waits for its `init`. Where that fails, a starter that does not
    /// trap exits dies of it.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_link<M: Message>(
        self,
        starter: &Context<M>,
    ) -> Result<Address<S::Message>, ExitReason> {
        self.check_name(starter)?;
        let parent = starter.pid();
        started(|ack| starter.spawn_link(|ctx| self.serve(ctx, Some(ack), Some(parent)))).await
    }

    /// A name that is taken already needs no process to find out.
    fn check_name<M: Message>(&self, starter: &Context<M>) -> Result<(), ExitReason> {
        let Some(name) = self.name.clone() else {
            return Ok(());
        };
        match starter.whereis(&name) {
            Some(holder) => Err(already_started(&NameError::Taken { name, holder })),
            None => Ok(()),
        }
    }

    /// Makes the current process the server; gives the reason of its end.
    pub async fn run(self, ctx: Context<S::Message>) -> ExitReason {
        self.serve(ctx, None, None).await
    }

    async fn serve(
        self,
        mut ctx: Context<S::Message>,
        mut ack: Option<Ack>,
        parent: Option<Pid>,
    ) -> ExitReason {
        let mut tell = |result: Result<(), ExitReason>| {
            if let Some(ack) = ack.take() {
                ack.reply(result);
            }
        };
        if let Some(name) = &self.name
            && let Err(error) = ctx.register(name)
        {
            let reason = already_started(&error);
            if parent.is_none() {
                return reason;
            }
            // As in OTP, this is no failure of the server: a linked starter lives on.
            tell(Err(reason));
            return ExitReason::Normal;
        }
        let state = match Caught(S::init(self.args, &mut ctx)).await {
            Ok(Ok(state)) => state,
            Ok(Err(reason)) => {
                tell(Err(reason.clone()));
                return reason;
            }
            Err(panicked) => {
                let reason = noted(&ctx, panicked);
                tell(Err(reason.clone()));
                return reason;
            }
        };
        let first = state.first();
        let cell = Rc::new(RefCell::new(Some(state)));
        ctx.expose(cell.clone());
        tell(Ok(()));
        serve_loop(&mut ctx, &cell, first, parent).await
    }
}

fn already_started(error: &NameError) -> ExitReason {
    ExitReason::Error(format!("already_started: {error}"))
}

/// Waits for the `init` of a server that `spawn` starts.
async fn started<M: Message>(
    spawn: impl FnOnce(Ack) -> Address<M>,
) -> Result<Address<M>, ExitReason> {
    let mut address = None;
    let start = |ack| {
        let started = spawn(ack);
        address = Some(started);
        started.pid()
    };
    let result = started_by(start).await;
    match (result, address) {
        (Ok(Ok(())), Some(address)) => Ok(address),
        (Ok(Err(reason)), _) | (Err(CallError::Exit(reason)), _) => Err(reason),
        _ => Err(ExitReason::NoProc),
    }
}

/// What the server takes up next.
enum Next<M> {
    Continue,
    Received(Received<M>),
}

#[allow(
    clippy::await_holding_refcell_ref,
    reason = "a state is busy while its handler waits: reads say so"
)]
async fn serve_loop<S: GenServer>(
    ctx: &mut Context<S::Message>,
    cell: &RefCell<Option<S>>,
    mut flow: Flow,
    parent: Option<Pid>,
) -> ExitReason {
    loop {
        let next = match flow {
            Flow::Next => Next::Received(ctx.receive().await),
            Flow::NextWithin(timeout) => {
                let received = ctx.receive_within(timeout).await;
                Next::Received(received.unwrap_or(Received::Info(Info::Timeout)))
            }
            Flow::Continue => Next::Continue,
            Flow::Stop(reason) => return terminate(ctx, cell, reason).await,
        };
        if let Next::Received(Received::Info(Info::Exit { from, reason })) = &next
            && Some(*from) == parent
        {
            return terminate(ctx, cell, reason.clone()).await;
        }
        let mut state = cell.borrow_mut();
        let Some(server) = state.as_mut() else {
            return ExitReason::Normal;
        };
        let handled = match next {
            Next::Received(Received::Message(message)) => Caught(server.handle(message, ctx)).await,
            Next::Received(Received::Info(info)) => Caught(server.handle_info(info, ctx)).await,
            Next::Continue => Caught(server.handle_continue(ctx)).await,
        };
        drop(state);
        flow = match handled {
            Ok(flow) => flow,
            Err(panicked) => Flow::Stop(noted(ctx, panicked)),
        };
    }
}

#[allow(
    clippy::await_holding_refcell_ref,
    reason = "a state is busy while its handler waits: reads say so"
)]
async fn terminate<S: GenServer>(
    ctx: &mut Context<S::Message>,
    cell: &RefCell<Option<S>>,
    reason: ExitReason,
) -> ExitReason {
    let mut state = cell.borrow_mut();
    let Some(server) = state.as_mut() else {
        return reason;
    };
    match Caught(server.terminate(&reason, ctx)).await {
        Ok(()) => reason,
        Err(panicked) => noted(ctx, panicked),
    }
}

fn noted<M: Message>(ctx: &Context<M>, panicked: Panicked) -> ExitReason {
    let place = panicked.place.as_deref().unwrap_or("an unknown place");
    ctx.note(format_args!("panicked at {place}: {}", panicked.message));
    panicked.into()
}

/// A future whose panic is a value, so that what it borrowed survives it.
#[pin_project]
struct Caught<F>(#[pin] F);

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panicked>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let inner = self.project().0;
        match run_user(|| inner.poll(cx)) {
            Ok(polled) => polled.map(Ok),
            Err(panicked) => Poll::Ready(Err(panicked)),
        }
    }
}
