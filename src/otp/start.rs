//! How a behaviour is started: the part of it that its starter runs, and the part that it runs itself.
//!
//! Whoever starts a behaviour waits until its `init` is through, and learns how that went.

use super::caught::{Caught, noted};
use super::supervisor::SpecError;
use crate::process::{
    Address, CallError, Context, ExitReason, IntoExit, Message, Moment, NameError, ReplyTo,
    started_by,
};
use crate::trace::Pid;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// Why an `init` has made no state. With `?` whatever may become an exit reason becomes one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is nothing to do: the process ends as `normal`, and its starter learns that it was ignored. A
    /// supervisor keeps the child's specification without a process.
    Ignore,
    /// It cannot start, for this reason, with which the process ends.
    Stop(ExitReason),
}

impl<E: Into<ExitReason>> From<E> for Refusal {
    fn from(reason: E) -> Refusal {
        Refusal::Stop(reason.into())
    }
}

/// Why something was not started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum StartError {
    /// Its name is taken, by this process.
    #[error("already_started: its name is taken by {0}")]
    AlreadyStarted(Pid),
    /// Its `init` said [`Refusal::Ignore`].
    #[error("its init ignored the start")]
    Ignored,
    /// Its `init` failed, or it ended before that was through.
    #[error("{0}")]
    Failed(ExitReason),
    /// Its `init` took longer than its starter gives it, and it was killed.
    #[error("its init took longer than it may")]
    Timeout,
    /// It is a supervisor whose specification makes no sense.
    #[error("{0}")]
    Spec(#[from] SpecError),
}

impl From<StartError> for ExitReason {
    fn from(error: StartError) -> ExitReason {
        match error {
            StartError::Failed(reason) => reason,
            other => ExitReason::error(other),
        }
    }
}

/// What can be started, linked to its starter: a server, a supervisor, a plain process. A [`Supervisor`]
/// starts its children through it.
///
/// [`Supervisor`]: super::Supervisor
#[allow(
    async_fn_in_trait,
    reason = "no `Send` is asked of actor code: a host runs a node on one thread"
)]
pub trait Startable: 'static {
    /// The messages that the process takes.
    type Message: Message;

    /// Whether it is a supervisor: then it is given all the time that it needs to stop its children.
    const SUPERVISES: bool = false;

    /// Starts it, linked to the starter, and waits until it runs.
    ///
    /// # Errors
    /// [`StartError`].
    async fn start_link<M: Message>(
        self,
        starter: &Context<M>,
    ) -> Result<Address<Self::Message>, StartError>;
}

/// A plain process: it counts as started at once.
pub struct Plain<M, P>(P, PhantomData<fn(M)>);

impl<M, P> fmt::Debug for Plain<M, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plain")
    }
}

/// A process that is an async function over its context, as something that can be started.
pub fn process<M, P, F>(process: P) -> Plain<M, P>
where
    M: Message,
    P: FnOnce(Context<M>) -> F + 'static,
    F: Future<Output: IntoExit> + 'static,
{
    Plain(process, PhantomData)
}

impl<M, P, F> Startable for Plain<M, P>
where
    M: Message,
    P: FnOnce(Context<M>) -> F + 'static,
    F: Future<Output: IntoExit> + 'static,
{
    type Message = M;

    async fn start_link<N: Message>(self, starter: &Context<N>) -> Result<Address<M>, StartError> {
        Ok(starter.spawn_link(self.0))
    }
}

/// Where the starter hears how the `init` went.
pub(crate) type Ack = ReplyTo<Result<(), StartError>>;

/// How a behaviour is started: under which name, and how long its starter waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manner {
    pub(crate) name: Option<String>,
    /// For ever where it is none, as in OTP.
    pub(crate) timeout: Option<Duration>,
}

/// The half of a start that the new process runs.
#[derive(Debug)]
pub(crate) struct Birth {
    name: Option<String>,
    ack: Option<Ack>,
    /// Whose exit is an order to stop: its starter's, where it is linked to that; of a node's first process,
    /// its node's.
    parent: Option<Pid>,
}

impl Birth {
    /// The birth of a process that nobody waits for: the first of its node, or one that becomes a server.
    pub(crate) fn alone(manner: Manner) -> Birth {
        Birth {
            name: manner.name,
            ack: None,
            parent: Some(Pid::NOBODY),
        }
    }

    /// Whether an exit of this process is an order to stop.
    pub(crate) fn is_parent(&self, from: Pid) -> bool {
        self.parent == Some(from)
    }

    /// Under which name it was started.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What comes before a `terminate`: a fault can hold it up, or end the process without it.
    ///
    /// # Errors
    /// The reason with which the process is to end then.
    pub(crate) async fn ends<M: Message>(&self, ctx: &Context<M>) -> Result<(), ExitReason> {
        if ctx.may_be_struck() {
            return ctx.pass(Moment::Terminate(self.name())).await;
        }
        Ok(())
    }

    /// Takes the name, and waits for `init`; tells the starter how it went.
    ///
    /// # Errors
    /// The reason with which the process is to end.
    pub(crate) async fn state<M: Message, S>(
        &mut self,
        ctx: &mut Context<M>,
        init: impl AsyncFnOnce(&mut Context<M>) -> Result<S, Refusal>,
    ) -> Result<S, ExitReason> {
        if let Some(name) = &self.name
            && let Err(error) = ctx.register(name)
        {
            return Err(self.is_taken(&error));
        }
        if ctx.may_be_struck()
            && let Err(reason) = ctx.pass(Moment::Init(self.name())).await
        {
            return Err(self.fails(reason));
        }
        let is_alone = self.ack.is_none();
        if is_alone {
            ctx.in_init(true);
        }
        let made = Caught(init(ctx)).await;
        if is_alone {
            ctx.in_init(false);
        }
        match made {
            Ok(Ok(state)) => Ok(state),
            Ok(Err(Refusal::Ignore)) => {
                self.tell(Err(StartError::Ignored));
                Err(ExitReason::Normal)
            }
            Ok(Err(Refusal::Stop(reason))) => Err(self.fails(reason)),
            Err(panicked) => Err(self.fails(noted(ctx, panicked))),
        }
    }

    fn is_taken(&mut self, error: &NameError) -> ExitReason {
        match error {
            // As in OTP, this is no failure of the process: a linked starter lives on.
            NameError::Taken { holder, .. } if self.ack.is_some() => {
                self.tell(Err(StartError::AlreadyStarted(*holder)));
                ExitReason::Normal
            }
            error => self.fails(ExitReason::error(error)),
        }
    }

    fn fails(&mut self, reason: ExitReason) -> ExitReason {
        self.tell(Err(StartError::Failed(reason.clone())));
        reason
    }

    /// Tells the starter that it runs.
    pub(crate) fn done(&mut self) {
        self.tell(Ok(()));
    }

    fn tell(&mut self, result: Result<(), StartError>) {
        if let Some(ack) = self.ack.take() {
            ack.reply(result);
        }
    }
}

/// Whether a process is linked to its starter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linked {
    No,
    Yes,
}

/// Starts a behaviour, `process` being what it runs, and waits for its `init`.
pub(crate) async fn start<N: Message, M: Message, F>(
    starter: &Context<N>,
    linked: Linked,
    manner: Manner,
    process: impl FnOnce(Context<M>, Birth) -> F,
) -> Result<Address<M>, StartError>
where
    F: Future<Output = ExitReason> + 'static,
{
    let Manner { name, timeout } = manner;
    // A name that is taken already needs no process to find out.
    if let Some(holder) = name.as_ref().and_then(|name| starter.whereis(name)) {
        return Err(StartError::AlreadyStarted(holder));
    }
    let mut address = None;
    let parent = (linked == Linked::Yes).then(|| starter.pid());
    let begin = |ack| {
        let ack = Some(ack);
        let process = |ctx| process(ctx, Birth { name, ack, parent });
        let started = match linked {
            Linked::No => starter.spawn(process),
            Linked::Yes => starter.spawn_link(process),
        };
        address = Some(started);
        started.pid()
    };
    let result = started_by(begin, timeout).await;
    match (result, address) {
        (Ok(Ok(())), Some(address)) => Ok(address),
        (Ok(Err(error)), _) => Err(error),
        (Err(CallError::Timeout), Some(address)) => {
            give_up(starter, address.pid()).await;
            Err(StartError::Timeout)
        }
        (Err(CallError::Exit(reason)), _) => Err(StartError::Failed(reason)),
        _ => Err(StartError::Failed(ExitReason::NoProc)),
    }
}

/// Kills what does not start, and waits until it is gone, so that a second try never meets it.
async fn give_up<N: Message>(starter: &Context<N>, pid: Option<Pid>) {
    if let Some(pid) = pid {
        let monitor = starter.monitor(pid);
        starter.unlink(pid);
        starter.send_exit(pid, ExitReason::Kill);
        starter.down_of(monitor).await;
    }
}
