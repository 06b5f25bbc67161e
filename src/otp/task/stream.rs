//! Many tasks, so many at once: one for each item.

use super::{Task, TaskError};
use crate::process::{Alarm, Context, Ending, ExitReason, abandon, own_context};
use crate::trace::Pid;
use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::iter::Fuse;
use std::pin::{Pin, pin};
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

/// What happens when a task of a [`TaskStream`] is not done in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTimeout {
    /// The stream ends at once, with [`TaskError::Timeout`]; all its tasks are killed. (In Elixir the owner
    /// exits: with `?` it does here, too.)
    #[default]
    Exit,
    /// That task is killed, and [`TaskError::Timeout`] stands in its place; the others go on.
    KillTask,
}

/// How many tasks run at once by default: the same on every machine.
const MAX_CONCURRENCY: usize = 8;
/// Elixir's default.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The start of a task by a supervisor.
type Starts<T> = Pin<Box<dyn Future<Output = Result<Task<T>, TaskError>>>>;

/// How far a task has come.
pub(super) enum Stage<T> {
    Starts(Starts<T>),
    Runs(Task<T>),
}

struct Running<T> {
    place: u64,
    stage: Stage<T>,
    alarm: Option<Alarm>,
}

/// Tasks for the items of an iterator, so many at once: made by [`Task::async_stream`] and its like, Elixir's
/// `Task.async_stream`.
///
/// Tasks are started while somebody waits for the next result, and no earlier. Results come in the order of
/// their items; what is done before its turn is kept until then. Dropped, it kills the tasks that run.
///
/// Defaults: 8 at once (Elixir's is the number of schedulers, which would differ between machines), in order,
/// 5 s for each, [`OnTimeout::Exit`].
#[must_use = "no task starts before somebody waits for a result"]
pub struct TaskStream<I: Iterator, T> {
    items: Fuse<I>,
    start: Box<dyn FnMut(I::Item) -> Stage<T>>,
    most: usize,
    ordered: bool,
    timeout: Option<Duration>,
    on_timeout: OnTimeout,
    running: Vec<Running<T>>,
    /// Results that nobody has taken, by the place of their items or, where these don't count, in the
    /// order in which they came.
    done: BTreeMap<u64, Result<T, TaskError>>,
    started: u64,
    given: u64,
    came: u64,
    /// It has ended before its items have.
    over: bool,
}

impl<I: Iterator, T> fmt::Debug for TaskStream<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "TaskStream({} running, {} given)",
            self.running.len(),
            self.given
        )
    }
}

impl<T: 'static> Task<T> {
    /// A task for each item, so many at once, linked to the process that waits for their results.
    ///
    /// ```
    /// use netsplit::otp::OnTimeout;
    /// use netsplit::{Context, Scenario, Task, TaskError, millis, secs};
    ///
    /// let scenario = Scenario::new("stream").client("a", |_: Context| async move {
    ///     let wait = |ctx: Context, n: u64| async move {
    ///         ctx.sleep(secs(n)).await;
    ///         n
    ///     };
    ///     let mut stream = Task::async_stream([1, 9, 2], wait)
    ///         .max_concurrency(2)
    ///         .timeout(secs(5))
    ///         .on_timeout(OnTimeout::KillTask);
    ///     assert_eq!(stream.next().await, Some(Ok(1)));
    ///     assert_eq!(stream.next().await, Some(Err(TaskError::Timeout)));
    ///     assert_eq!(stream.next().await, Some(Ok(2)));
    ///     assert_eq!(stream.next().await, None);
    /// }).finally("it ended", |_| true);
    /// assert!(scenario.run(7).unwrap().is_ok());
    /// ```
    pub fn async_stream<I, F>(
        items: I,
        mut task: impl FnMut(Context, I::Item) -> F + 'static,
    ) -> TaskStream<I::IntoIter, T>
    where
        I: IntoIterator,
        F: Future<Output = T> + 'static,
    {
        TaskStream::new(items.into_iter(), move |item| {
            Stage::Runs(Task::async_(|ctx| task(ctx, item)))
        })
    }

    /// The same, not linked: the end of one otherwise than by returning is an error in its place. They
    /// end with the process that waits for their results, all the same.
    pub fn async_stream_nolink<I, F>(
        items: I,
        mut task: impl FnMut(Context, I::Item) -> F + 'static,
    ) -> TaskStream<I::IntoIter, T>
    where
        I: IntoIterator,
        F: Future<Output = T> + 'static,
    {
        TaskStream::new(items.into_iter(), move |item| {
            let owner = own_context().pid();
            Stage::Runs(Task::async_nolink(|ctx| beside(owner, task(ctx, item))))
        })
    }
}

/// Runs a task of a stream for as long as its owner lives.
pub(super) async fn beside<F: Future>(owner: Pid, task: F) -> F::Output {
    let ending = Ending::of(owner);
    let mut task = pin!(task);
    poll_fn(|cx| {
        if ending.poll_reason(cx).is_ready() {
            let ctx = own_context();
            ctx.send_exit(ctx.pid(), ExitReason::Kill);
            return Poll::Pending;
        }
        task.as_mut().poll(cx)
    })
    .await
}

impl<I: Iterator, T: 'static> TaskStream<I, T> {
    pub(super) fn new(
        items: I,
        start: impl FnMut(I::Item) -> Stage<T> + 'static,
    ) -> TaskStream<I, T> {
        TaskStream {
            items: items.fuse(),
            start: Box::new(start),
            most: MAX_CONCURRENCY,
            ordered: true,
            timeout: Some(TIMEOUT),
            on_timeout: OnTimeout::default(),
            running: Vec::new(),
            done: BTreeMap::new(),
            started: 0,
            given: 0,
            came: 0,
            over: false,
        }
    }

    /// How many run at once. Default: 8.
    ///
    /// # Panics
    /// Where it is 0.
    pub fn max_concurrency(mut self, most: usize) -> Self {
        assert!(
            most > 0,
            "a stream of tasks of which none may run gives nothing"
        );
        self.most = most;
        self
    }

    /// Whether results come in the order of their items, or as they are done. Default: in order.
    pub fn ordered(mut self, ordered: bool) -> Self {
        self.ordered = ordered;
        self
    }

    /// How long a task may take, from its start. Default: 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// A task may take as long as it needs.
    pub fn no_timeout(mut self) -> Self {
        self.timeout = None;
        self
    }

    /// What happens when one takes longer. Default: [`OnTimeout::Exit`].
    pub fn on_timeout(mut self, on_timeout: OnTimeout) -> Self {
        self.on_timeout = on_timeout;
        self
    }

    /// Waits for the next result; nothing where there are no more. Dropped, it has lost nothing.
    pub async fn next(&mut self) -> Option<Result<T, TaskError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Waits for all results.
    pub async fn collect(mut self) -> Vec<Result<T, TaskError>> {
        let mut all = Vec::new();
        while let Some(result) = self.next().await {
            all.push(result);
        }
        all
    }

    /// The same as [`TaskStream::next`], for combinators.
    pub fn poll_next(&mut self, cx: &mut TaskContext<'_>) -> Poll<Option<Result<T, TaskError>>> {
        loop {
            self.fill();
            let before = self.came;
            self.poll_running(cx);
            if self.came == before {
                break;
            }
        }
        if let Some(result) = self.take_next() {
            return Poll::Ready(Some(result));
        }
        if self.running.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    /// Starts as many tasks as may run.
    fn fill(&mut self) {
        while !self.over && self.running.len() < self.most {
            let Some(item) = self.items.next() else {
                return;
            };
            self.running.push(Running {
                place: self.started,
                stage: (self.start)(item),
                alarm: self.timeout.map(Alarm::new),
            });
            self.started += 1;
        }
    }

    /// Takes in what the running tasks have come to.
    fn poll_running(&mut self, cx: &mut TaskContext<'_>) {
        let mut index = 0;
        while let Some(running) = self.running.get_mut(index) {
            let result = match running.poll(cx) {
                Poll::Ready(result) => result,
                Poll::Pending if running.is_late(cx) => Err(TaskError::Timeout),
                Poll::Pending => {
                    index += 1;
                    continue;
                }
            };
            let running = self.running.remove(index);
            let place = if self.ordered {
                running.place
            } else {
                self.came
            };
            self.came += 1;
            if result.as_ref().err() == Some(&TaskError::Timeout) {
                running.stage.give_up();
                if self.on_timeout == OnTimeout::Exit {
                    return self.exit();
                }
            }
            self.done.insert(place, result);
        }
    }

    /// Ends at once, with a timeout.
    fn exit(&mut self) {
        self.give_up();
        self.over = true;
        self.done.clear();
        self.done.insert(self.given, Err(TaskError::Timeout));
    }

    fn take_next(&mut self) -> Option<Result<T, TaskError>> {
        let result = self.done.remove(&self.given)?;
        self.given += 1;
        Some(result)
    }
}

impl<I: Iterator, T> TaskStream<I, T> {
    fn give_up(&mut self) {
        for running in self.running.drain(..) {
            running.stage.give_up();
        }
    }
}

impl<I: Iterator, T> Drop for TaskStream<I, T> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<T> Stage<T> {
    /// Kills the task. One that is being started will not be, since nobody waits for it any more.
    fn give_up(self) {
        if let Stage::Runs(task) = self {
            abandon(task.pid);
        }
    }
}

impl<T: 'static> Running<T> {
    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<T, TaskError>> {
        loop {
            match &mut self.stage {
                Stage::Runs(task) => return task.poll_value(cx),
                Stage::Starts(starts) => match ready!(starts.as_mut().poll(cx)) {
                    Ok(task) => self.stage = Stage::Runs(task),
                    Err(error) => return Poll::Ready(Err(error)),
                },
            }
        }
    }

    fn is_late(&mut self, cx: &mut TaskContext<'_>) -> bool {
        self.alarm.as_mut().is_some_and(|alarm| alarm.poll_over(cx))
    }
}
