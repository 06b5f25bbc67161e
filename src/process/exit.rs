//! Why a process ended, and why a call failed.

use crate::kernel::Panicked;
use crate::trace::{NodeId, Reason};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a process ended: seen by links, monitors and supervisors.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExitReason {
    /// It returned.
    Normal,
    /// It was asked to stop.
    Shutdown,
    /// It was asked to stop, for this reason.
    ShutdownWith(String),
    /// As a signal sent to a process: ends it whatever it traps. Along a link: a reason like any other.
    Kill,
    /// It was killed.
    Killed,
    /// There is no such process.
    NoProc,
    /// The connection to its node was lost, or there is none.
    NoConnection,
    /// It panicked with this message.
    Panic(String),
    /// It ended with an error, or for a reason of its own.
    Error(String),
}

impl ExitReason {
    /// The reason as a code: what the digest of a run holds of it.
    #[must_use]
    pub const fn code(&self) -> Reason {
        match self {
            ExitReason::Normal => Reason::Normal,
            ExitReason::Shutdown => Reason::Shutdown,
            ExitReason::ShutdownWith(_) => Reason::ShutdownWith,
            ExitReason::Kill => Reason::Kill,
            ExitReason::Killed => Reason::Killed,
            ExitReason::NoProc => Reason::NoProc,
            ExitReason::NoConnection => Reason::NoConnection,
            ExitReason::Panic(_) => Reason::Panic,
            ExitReason::Error(_) => Reason::Error,
        }
    }

    /// A reason of one's own.
    #[must_use]
    pub fn error(error: impl fmt::Display) -> ExitReason {
        ExitReason::Error(error.to_string())
    }

    /// Whether it is `normal`, `shutdown` or `shutdown(_)`: an end that was meant.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        matches!(
            self,
            ExitReason::Normal | ExitReason::Shutdown | ExitReason::ShutdownWith(_)
        )
    }

    /// The reason that is no more than this code; with an empty text where the code needs one.
    pub(crate) fn plain(code: Reason) -> ExitReason {
        match code {
            Reason::Normal => ExitReason::Normal,
            Reason::Shutdown => ExitReason::Shutdown,
            Reason::ShutdownWith => ExitReason::ShutdownWith(String::new()),
            Reason::Kill => ExitReason::Kill,
            Reason::Killed => ExitReason::Killed,
            Reason::NoProc => ExitReason::NoProc,
            Reason::NoConnection => ExitReason::NoConnection,
            Reason::Panic => ExitReason::Panic(String::new()),
            Reason::Error => ExitReason::Error(String::new()),
        }
    }

    /// Whether it is no more than its code.
    pub(crate) fn is_plain(&self) -> bool {
        self.detail().is_none_or(str::is_empty)
    }

    pub(crate) fn detail(&self) -> Option<&str> {
        match self {
            ExitReason::ShutdownWith(text) | ExitReason::Panic(text) | ExitReason::Error(text) => {
                Some(text)
            }
            _ => None,
        }
    }
}

impl From<Panicked> for ExitReason {
    fn from(panicked: Panicked) -> ExitReason {
        ExitReason::Panic(panicked.message)
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitReason::ShutdownWith(text) => write!(f, "shutdown({text})"),
            ExitReason::Panic(text) => write!(f, "panic: {text}"),
            ExitReason::Error(text) => write!(f, "error: {text}"),
            other => other.code().fmt(f),
        }
    }
}

/// What a process's function may return: nothing, a reason, or a result whose error becomes one.
pub trait IntoExit {
    /// The exit reason that it stands for.
    fn into_exit(self) -> ExitReason;
}

impl IntoExit for () {
    fn into_exit(self) -> ExitReason {
        ExitReason::Normal
    }
}

impl IntoExit for ExitReason {
    fn into_exit(self) -> ExitReason {
        self
    }
}

/// Names the type of what never returns, so that a process may be a loop without an end.
mod never {
    pub trait Returns {
        type Output;
    }

    impl<T> Returns for fn() -> T {
        type Output = T;
    }
}

impl IntoExit for <fn() -> ! as never::Returns>::Output {
    fn into_exit(self) -> ExitReason {
        self
    }
}

impl<T: IntoExit, E: Into<ExitReason>> IntoExit for Result<T, E> {
    fn into_exit(self) -> ExitReason {
        self.map_or_else(Into::into, IntoExit::into_exit)
    }
}

/// Why a call got no answer. The caller decides whether to die of it: `?` turns it into an exit reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CallError {
    /// No answer came in time. One that comes later is dropped, and counted as stale.
    #[error("no answer within the timeout")]
    Timeout,
    /// There is no such process, or nobody has that name.
    #[error("no such process")]
    NoProc,
    /// The connection to this node was lost.
    #[error("node {0} is not connected")]
    NodeDown(NodeId),
    /// The server ended before it answered, for this reason.
    #[error("the server ended: {0}")]
    Exit(ExitReason),
    /// The server's mailbox was full, and the question was not kept.
    #[error("the server's mailbox is full")]
    MailboxFull,
    /// The process called itself, and would have waited for ever.
    #[error("a process called itself")]
    CallingSelf,
}

impl From<CallError> for ExitReason {
    fn from(error: CallError) -> ExitReason {
        match error {
            CallError::NoProc => ExitReason::NoProc,
            CallError::NodeDown(_) => ExitReason::NoConnection,
            CallError::Exit(reason) => reason,
            CallError::Timeout | CallError::MailboxFull | CallError::CallingSelf => {
                ExitReason::error(error)
            }
        }
    }
}
