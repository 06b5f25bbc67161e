//! Tasks: processes that work out one value for the process that has started them.

mod stream;
mod supervisor;

pub use stream::{OnTimeout, TaskStream};
pub use supervisor::{TaskJob, TaskSupervisor, TaskSupervisorRef};

use super::supervisor::{ChildError, Shutdown};
use crate::process::{Alarm, Context, Ending, ExitReason, Never, abandon, own_context};
use crate::trace::Pid;
use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

/// Why a task has given no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// It was not done in time.
    #[error("the task was not done within the timeout")]
    Timeout,
    /// It ended otherwise than by returning, for this reason.
    #[error("the task ended: {0}")]
    Exit(ExitReason),
    /// Another process has started it, and only that may wait for it.
    #[error("the task is of {owner}, and only its owner may wait for it")]
    NotOwner {
        /// Who has started it.
        owner: Pid,
    },
    /// Its value was taken before.
    #[error("the value of the task was taken before")]
    Taken,
    /// Its supervisor has not started it.
    #[error("the task did not start: {0}")]
    NotStarted(ChildError),
}

impl From<TaskError> for ExitReason {
    fn from(error: TaskError) -> ExitReason {
        match error {
            TaskError::Exit(reason) => reason,
            TaskError::NotStarted(error) => error.into(),
            other => ExitReason::error(other),
        }
    }
}

/// A process that works out a value of type `T` for its owner: the process that has started it.
///
/// It is Elixir's `Task`. The value stays on the node and is moved, not encoded, so it may be of any type;
/// nothing about it comes into the owner's mailbox, but for the exit of a linked one where exits are trapped.
/// The owner waits by [`await_within`](Task::await_within), once, or by
/// [`yield_within`](Task::yield_within), any number of times.
///
/// Dropped, the handle is no more and the task goes on, linked as it was: nobody gets its value. What only
/// has to run, and gives nothing back, is a [`Context::spawn`] (Elixir's `Task.start`) or a
/// [`Context::spawn_link`] (`Task.start_link`).
///
/// # Panics
/// All its functions panic outside a process.
///
/// ```
/// use netsplit::{Context, ExitReason, Scenario, Task, TaskError, millis, secs};
///
/// async fn square(ctx: Context, number: u64) -> u64 {
///     ctx.sleep(millis(number)).await;
///     number * number
/// }
///
/// let scenario = Scenario::new("squares").client("a", |_: Context| async move {
///     let (a, b) = (Task::async_(|ctx| square(ctx, 3)), Task::async_(|ctx| square(ctx, 4)));
///     // An error ends this process, where `?` is used.
///     let sum = a.await_within(secs(5)).await? + b.await_within(secs(5)).await?;
///     assert_eq!(sum, 25);
///
///     let mut slow = Task::async_nolink(|ctx| square(ctx, 10_000));
///     assert_eq!(slow.yield_within(secs(5)).await, None);
///     assert_eq!(slow.await_within(secs(4)).await, Err(TaskError::Timeout));
///
///     let squares = Task::async_stream(1..=5, square).collect().await;
///     let squares: Result<Vec<u64>, TaskError> = squares.into_iter().collect();
///     assert_eq!(squares?, [1, 4, 9, 16, 25]);
///     Ok::<(), ExitReason>(())
/// }).finally("it ended", |_| true);
/// assert!(scenario.run(7).unwrap().is_ok());
/// ```
#[must_use = "a task whose handle is dropped runs on, and nobody gets its value"]
pub struct Task<T> {
    pid: Pid,
    owner: Pid,
    linked: bool,
    ending: Ending,
    value: Place<T>,
    taken: bool,
}

/// Where a task puts its value, for its owner.
type Place<T> = Rc<Cell<Option<T>>>;

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task({} of {})", self.pid, self.owner)
    }
}

impl<T: 'static> Task<T> {
    /// Starts a task that is linked to the process that calls: where one ends otherwise than as `normal`, the
    /// other ends with it, unless it traps exits. Elixir's `Task.async`.
    pub fn async_<F>(task: impl FnOnce(Context) -> F) -> Task<T>
    where
        F: Future<Output = T> + 'static,
    {
        Task::start(true, task)
    }

    /// Starts a task that is not linked: its end otherwise than by returning is a [`TaskError::Exit`], and no
    /// more.
    pub fn async_nolink<F>(task: impl FnOnce(Context) -> F) -> Task<T>
    where
        F: Future<Output = T> + 'static,
    {
        Task::start(false, task)
    }

    fn start<F>(linked: bool, task: impl FnOnce(Context) -> F) -> Task<T>
    where
        F: Future<Output = T> + 'static,
    {
        let (ctx, value) = (own_context(), Place::default());
        let place = value.clone();
        let process = |own: Context| into_place(task(own), place);
        let address = match linked {
            true => ctx.spawn_link::<Never, _>(process),
            false => ctx.spawn::<Never, _>(process),
        };
        let pid = address.pid().unwrap_or(Pid::NOBODY);
        Task::of(pid, linked, Ending::of(pid), value)
    }

    fn of(pid: Pid, linked: bool, ending: Ending, value: Place<T>) -> Task<T> {
        Task {
            pid,
            owner: own_context().pid(),
            linked,
            ending,
            value,
            taken: false,
        }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for the value, at most for `timeout`.
    ///
    /// When that is over, a linked task is killed: with Elixir's `await` the owner exits, and the task with
    /// it, and here the owner lives. One that is not linked goes on, and its value is dropped.
    ///
    /// # Errors
    /// [`TaskError`].
    pub async fn await_within(mut self, timeout: Duration) -> Result<T, TaskError> {
        match self.yield_within(timeout).await {
            Some(result) => result,
            None => {
                if self.linked {
                    abandon(self.pid);
                }
                Err(TaskError::Timeout)
            }
        }
    }

    /// Waits for the value, at most for `timeout`; nothing when that is over, and the task goes on: ask
    /// again, or [`Task::shutdown`] it.
    pub async fn yield_within(&mut self, timeout: Duration) -> Option<Result<T, TaskError>> {
        let mut alarm = Alarm::new(timeout);
        poll_fn(|cx| match self.poll_value(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if alarm.poll_over(cx) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Stops it, and waits until it has ended; it is no longer linked then. Its value, where it was done
    /// before.
    ///
    /// # Errors
    /// [`TaskError::Exit`] with the reason of its end: `shutdown`, or `killed` where it took too long.
    pub async fn shutdown(mut self, how: Shutdown) -> Result<T, TaskError> {
        if let Some(error) = self.not_owner() {
            return Err(error);
        }
        let ctx = own_context();
        ctx.unlink(self.pid);
        let (reason, grace) = match how {
            Shutdown::BrutalKill => (ExitReason::Kill, None),
            Shutdown::Within(grace) => (ExitReason::Shutdown, Some(grace)),
            Shutdown::Infinity => (ExitReason::Shutdown, None),
        };
        ctx.send_exit(self.pid, reason);
        if let Some(grace) = grace {
            if let Some(result) = self.yield_within(grace).await {
                return result;
            }
            ctx.send_exit(self.pid, ExitReason::Kill);
        }
        poll_fn(|cx| self.poll_value(cx)).await
    }

    /// Waits no longer, and is no longer linked to it: it goes on by itself. Its value or its error, where it
    /// has ended before.
    pub fn ignore(mut self) -> Option<Result<T, TaskError>> {
        if let Some(error) = self.not_owner() {
            return Some(Err(error));
        }
        own_context().unlink(self.pid);
        let reason = self.ending.reason()?;
        Some(self.value_of(reason))
    }

    fn not_owner(&self) -> Option<TaskError> {
        let owner = self.owner;
        (own_context().pid() != owner).then_some(TaskError::NotOwner { owner })
    }

    fn poll_value(&mut self, cx: &TaskContext<'_>) -> Poll<Result<T, TaskError>> {
        if let Some(error) = self.not_owner() {
            return Poll::Ready(Err(error));
        }
        self.ending
            .poll_reason(cx)
            .map(|reason| self.value_of(reason))
    }

    /// What it gives, its process having ended for this reason.
    fn value_of(&mut self, reason: ExitReason) -> Result<T, TaskError> {
        if std::mem::replace(&mut self.taken, true) {
            return Err(TaskError::Taken);
        }
        self.value.take().ok_or(TaskError::Exit(reason))
    }
}

/// The process of a task: its value is there when it has ended.
async fn into_place<T>(task: impl Future<Output = T>, place: Place<T>) {
    place.set(Some(task.await));
}
