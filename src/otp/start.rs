//! How a behaviour is started: the part of it that its starter runs, and the part that it runs itself.
//!
//! Whoever starts a behaviour waits until its `init` is through, and learns how that went.

use super::caught::{Caught, noted};
use super::supervisor::SpecError;
use crate::process::{
    Address, Call, CallError, Context, ExitReason, IntoExit, MailboxBound, Message, Moment,
    MonitorRef, NameError, Never, ReplyTo, started_by,
};
use crate::trace::Pid;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};
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
pub trait Startable: 'static {
    /// The messages that the process takes.
    type Message: Message;

    /// Whether it is a supervisor: then it is given all the time that it needs to stop its children.
    const SUPERVISES: bool = false;

    /// Starts it, linked to the starter, who then waits until it runs.
    fn begin<M: Message>(self, starter: &Context<M>) -> Starting<Self::Message>;
}

/// The start of a process, which has begun: its starter waits until it runs.
///
/// Its outcome is the address of the process, or a [`StartError`]. Dropped, the process goes on.
#[must_use = "the process is up when this says so"]
pub struct Starting<M> {
    starter: Context<Never>,
    pid: Option<Pid>,
    stage: Stage,
    message: PhantomData<fn(M)>,
}

/// A start that takes steps of its own, for the starter to make.
type Steps = Pin<Box<dyn Future<Output = Result<Option<Pid>, StartError>>>>;

enum Stage {
    Over(Option<StartError>),
    Runs(Steps),
    /// For its first answer.
    Waits(Call<Result<(), StartError>>),
    /// For its end: it took too long.
    Leaves(MonitorRef),
}

impl<M> fmt::Debug for Starting<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Starting({:?})", self.pid)
    }
}

impl<M: Message> Starting<M> {
    /// A start that takes steps of its own: they are made by the starter, whose context they get, while it
    /// waits. A panic of theirs is a failure of the start.
    pub fn by<N: Message, F>(starter: &Context<N>, steps: impl FnOnce(Context) -> F) -> Starting<M>
    where
        F: Future<Output = Result<Address<M>, StartError>> + 'static,
    {
        let (steps, ctx) = (steps(starter.untyped()), starter.untyped());
        let steps = Box::pin(async move {
            let made = Caught(steps).await;
            let made = made.unwrap_or_else(|panicked| {
                let reason = noted(&ctx, panicked);
                Err(StartError::Failed(reason))
            });
            Ok(made?.pid())
        });
        Starting::new(starter.untyped(), None, Stage::Runs(steps))
    }
}

impl<M> Starting<M> {
    fn new(starter: Context<Never>, pid: Option<Pid>, stage: Stage) -> Starting<M> {
        Starting {
            starter,
            pid,
            stage,
            message: PhantomData,
        }
    }

    /// The same start, of a process whose messages are nobody's business.
    pub(crate) fn untyped(self) -> Starting<Never> {
        Starting::new(self.starter, self.pid, self.stage)
    }
}

impl<M: Message> Future for Starting<M> {
    type Output = Result<Address<M>, StartError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let error = match &mut self.stage {
            Stage::Over(error) => error.take(),
            Stage::Runs(steps) => match ready!(steps.as_mut().poll(cx)) {
                Ok(pid) => {
                    self.pid = pid;
                    None
                }
                Err(error) => Some(error),
            },
            Stage::Waits(call) => match ready!(Pin::new(call).poll(cx)) {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error),
                Err(CallError::Timeout) => {
                    let Some(pid) = self.pid else {
                        return Poll::Ready(Err(StartError::Timeout));
                    };
                    // A second try must never meet it.
                    self.stage = Stage::Leaves(self.starter.give_up(pid));
                    return self.poll(cx);
                }
                Err(CallError::Exit(reason)) => Some(StartError::Failed(reason)),
                Err(_) => Some(StartError::Failed(ExitReason::NoProc)),
            },
            Stage::Leaves(monitor) => {
                let monitor = *monitor;
                ready!(self.starter.poll_down(monitor, cx));
                Some(StartError::Timeout)
            }
        };
        let nowhere = StartError::Failed(ExitReason::NoProc);
        Poll::Ready(match error {
            Some(error) => Err(error),
            None => self.pid.map(Address::of).ok_or(nowhere),
        })
    }
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

    fn begin<N: Message>(self, starter: &Context<N>) -> Starting<M> {
        let pid = starter.spawn_link(self.0).pid();
        Starting::new(starter.untyped(), pid, Stage::Over(None))
    }
}

/// Where the starter hears how the `init` went.
pub(crate) type Ack = ReplyTo<Result<(), StartError>>;

/// How a behaviour is started. One word: most are started without a wish.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manner(Option<Box<Wishes>>);

/// Under which name a behaviour is started, and how long its starter waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) name: Option<String>,
    /// For ever where it is none, as in OTP.
    pub(crate) timeout: Option<Duration>,
    /// None but that of the run, where it is none.
    pub(crate) mailbox: Option<MailboxBound>,
}

impl Manner {
    /// To wish something.
    pub(crate) fn wishes(&mut self) -> &mut Wishes {
        self.0.get_or_insert_default()
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.0.as_ref()?.name.as_deref()
    }

    fn timeout(&self) -> Option<Duration> {
        self.0.as_ref()?.timeout
    }

    fn mailbox(&self) -> Option<MailboxBound> {
        self.0.as_ref()?.mailbox
    }
}

/// The half of a start that the new process runs.
#[derive(Debug)]
pub(crate) struct Birth {
    manner: Manner,
    ack: Option<Ack>,
    /// Whose exit is an order to stop: its starter's, where it is linked to that; of a node's first process,
    /// its node's.
    pub(crate) parent: Option<Pid>,
}

impl Birth {
    /// The birth of a process that nobody waits for: the first of its node, or one that becomes a server.
    pub(crate) fn alone(manner: Manner) -> Birth {
        Birth {
            manner,
            ack: None,
            parent: Some(Pid::NOBODY),
        }
    }

    /// Whether an exit of this process is an order to stop; that of nobody is a system message, which says
    /// so to whoever it comes to.
    pub(crate) fn is_parent(&self, from: Pid) -> bool {
        self.parent == Some(from) || from == Pid::NOBODY
    }

    /// What comes before a `terminate`: a fault can hold it up, or end the process without it.
    ///
    /// # Errors
    /// The reason with which the process is to end then.
    pub(crate) async fn ends<M: Message>(&self, ctx: &Context<M>) -> Result<(), ExitReason> {
        if ctx.may_be_struck() {
            // In a box, as it is rare, and each behaviour would hold room for it.
            return Box::pin(ctx.pass(Moment::Terminate(self.manner.name()))).await;
        }
        Ok(())
    }

    /// Bounds the mailbox, takes the name, and waits for `init`; tells the starter how it went.
    ///
    /// # Errors
    /// The reason with which the process is to end.
    pub(crate) async fn state<M: Message, S>(
        &mut self,
        ctx: &mut Context<M>,
        init: impl AsyncFnOnce(&mut Context<M>) -> Result<S, Refusal>,
    ) -> Result<S, ExitReason> {
        if let Some(bound) = self.manner.mailbox() {
            ctx.bound_mailbox(bound);
        }
        if let Some(name) = self.manner.name()
            && let Err(error) = ctx.register(name)
        {
            return Err(self.is_taken(&error));
        }
        if ctx.may_be_struck()
            && let Err(reason) = Box::pin(ctx.pass(Moment::Init(self.manner.name()))).await
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

/// Starts a behaviour, `process` being what it runs.
pub(crate) fn start<N: Message, M: Message, F>(
    starter: &Context<N>,
    linked: Linked,
    manner: Manner,
    process: impl FnOnce(Context<M>, Birth) -> F,
) -> Starting<M>
where
    F: Future<Output = ExitReason> + 'static,
{
    // A name that is taken already needs no process to find out.
    if let Some(holder) = manner.name().and_then(|name| starter.whereis(name)) {
        return refused(starter, StartError::AlreadyStarted(holder));
    }
    let mut pid = None;
    let timeout = manner.timeout();
    let parent = (linked == Linked::Yes).then(|| starter.pid());
    let begin = |ack| {
        let ack = Some(ack);
        let birth = Birth {
            manner,
            ack,
            parent,
        };
        let process = |ctx| process(ctx, birth);
        let started = match linked {
            Linked::No => starter.spawn(process),
            Linked::Yes => starter.spawn_link(process),
        };
        pid = started.pid();
        pid
    };
    let stage = match started_by(begin, timeout) {
        Ok(call) => Stage::Waits(call),
        Err(_) => Stage::Over(Some(StartError::Failed(ExitReason::NoProc))),
    };
    Starting::new(starter.untyped(), pid, stage)
}

/// A start that never began.
pub(crate) fn refused<N: Message, M>(starter: &Context<N>, error: StartError) -> Starting<M> {
    Starting::new(starter.untyped(), None, Stage::Over(Some(error)))
}
