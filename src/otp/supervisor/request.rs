//! What a supervisor is asked for, and what can be wrong with that.

use super::super::start::StartError;
use super::child::{ChildCount, ChildInfo, ChildSpec};
use crate::process::{Address, CallError, Message, ReplyTo};
use crate::trace::Pid;
use serde::{Deserialize, Serialize};

/// What a supervisor takes: made by the functions of a [`SupervisorRef`] alone.
#[derive(Debug, Serialize, Deserialize)]
pub struct ToSupervisor(pub(crate) Request);

/// The address of a supervisor. It can be sent to other nodes, and be made of a name:
/// `SupervisorRef::named("shop", "tree")`.
pub type SupervisorRef = Address<ToSupervisor>;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Start(ChildSpec, ReplyTo<Result<Option<Pid>, ChildError>>),
    Restart(String, ReplyTo<Result<Option<Pid>, ChildError>>),
    Terminate(String, ReplyTo<Result<(), ChildError>>),
    Delete(String, ReplyTo<Result<(), ChildError>>),
    Which(ReplyTo<Vec<ChildInfo>>),
    Count(ReplyTo<ChildCount>),
    /// Its own: a child is tried again, if nothing has come between.
    Again(Again),
}

/// Which child is to be tried again: void once it was started or stopped by something else.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Again {
    pub(crate) child: u32,
    pub(crate) epoch: u32,
    /// It is a restart of its own, since the one before has failed; otherwise one that has waited.
    pub(crate) counts: bool,
}

/// What is wrong with the specification of a supervisor, or of a child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SpecError {
    /// Two children have one id.
    #[error("two children have the id `{0}`: every child of a supervisor needs one of its own")]
    DuplicateId(String),
    /// A significant child is permanent, so it never ends for good.
    #[error("`{0}` is significant and permanent: make it transient or temporary")]
    PermanentSignificant(String),
    /// A significant child of a supervisor that never shuts itself down.
    #[error("`{0}` is significant, and its supervisor has no `auto_shutdown`")]
    NoAutoShutdown(String),
    /// An intensity without a period.
    #[error("an intensity needs a period longer than 0")]
    NoPeriod,
}

/// Why a supervisor has not done what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ChildError {
    /// It has no such child.
    #[error("it has no such child")]
    NotFound,
    /// The child runs.
    #[error("the child runs")]
    Running,
    /// The child is about to be started again.
    #[error("the child is restarting")]
    Restarting,
    /// There is a child of this id, without a process: it is restarting, or can be restarted or deleted.
    #[error(
        "there is a child of this id, without a process: restart or delete it, or wait for its restart"
    )]
    AlreadyPresent,
    /// There is a child of this id, and it runs.
    #[error("there is a child of this id: {0}")]
    AlreadyStarted(Pid),
    /// It has as many children as it may have.
    #[error("it has {0} children, as many as it may")]
    MaxChildren(usize),
    /// The child could not be started.
    #[error("the child did not start: {0}")]
    Start(StartError),
    /// The specification makes no sense.
    #[error("{0}")]
    Spec(SpecError),
    /// A child's specification is code, and the supervisor is on another node.
    #[error("a child's specification cannot be sent to another node")]
    OtherNode,
    /// The supervisor did not answer.
    #[error("the supervisor did not answer: {0}")]
    Call(CallError),
}

impl From<CallError> for ChildError {
    fn from(error: CallError) -> ChildError {
        ChildError::Call(error)
    }
}

impl From<ChildError> for crate::process::ExitReason {
    fn from(error: ChildError) -> Self {
        match error {
            ChildError::Start(error) => error.into(),
            ChildError::Call(error) => error.into(),
            other => Self::error(other),
        }
    }
}

/// Each of these waits for as long as the supervisor takes, as in OTP: it answers between starts and stops
/// of its children.
impl SupervisorRef {
    async fn ask<R: Message>(
        self,
        request: impl FnOnce(ReplyTo<R>) -> Request,
    ) -> Result<R, CallError> {
        self.call_for_ever(|reply_to| ToSupervisor(request(reply_to)))
            .await
    }

    /// Adds a child, and starts it. Its pid; none where its `init` ignored the start.
    ///
    /// # Errors
    /// [`ChildError`]: a child of this id is there, it did not start (then it is not kept), it makes no
    /// sense, or the supervisor is on another node.
    pub async fn start_child(self, spec: ChildSpec) -> Result<Option<Pid>, ChildError> {
        if self.is_abroad() {
            return Err(ChildError::OtherNode);
        }
        self.ask(|reply_to| Request::Start(spec, reply_to)).await?
    }

    /// Starts a child that has no process.
    ///
    /// # Errors
    /// [`ChildError`]: there is no such child, it runs, or it did not start (it is kept).
    pub async fn restart_child(self, id: &str) -> Result<Option<Pid>, ChildError> {
        let id = id.to_owned();
        self.ask(|reply_to| Request::Restart(id, reply_to)).await?
    }

    /// Stops a child, and keeps its specification, unless it is temporary. It triggers no shutdown.
    ///
    /// # Errors
    /// [`ChildError`]: there is no such child.
    pub async fn terminate_child(self, id: &str) -> Result<(), ChildError> {
        let id = id.to_owned();
        self.ask(|reply_to| Request::Terminate(id, reply_to))
            .await?
    }

    /// Forgets a child that has no process.
    ///
    /// # Errors
    /// [`ChildError`]: there is no such child, or it runs.
    pub async fn delete_child(self, id: &str) -> Result<(), ChildError> {
        let id = id.to_owned();
        self.ask(|reply_to| Request::Delete(id, reply_to)).await?
    }

    /// Its children, in the order in which they are started. (OTP lists them the other way round.)
    ///
    /// # Errors
    /// [`CallError`]: the supervisor has ended, or its node is not connected.
    pub async fn which_children(self) -> Result<Vec<ChildInfo>, CallError> {
        self.ask(Request::Which).await
    }

    /// How many children it has.
    ///
    /// # Errors
    /// [`CallError`]: the supervisor has ended, or its node is not connected.
    pub async fn count_children(self) -> Result<ChildCount, CallError> {
        self.ask(Request::Count).await
    }
}
