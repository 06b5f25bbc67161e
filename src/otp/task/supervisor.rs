//! Tasks under a supervisor.

use super::super::start::{StartError, Startable, Starting};
use super::super::supervisor::{
    ChildError, DynamicSupervisor, DynamicSupervisorRef, Shutdown, ToDynamic,
};
use super::stream::{Stage, TaskStream, beside};
use super::{Place, Task, TaskError, into_place};
use crate::process::{
    Address, CallError, Context, EndKey, Ending, ExitReason, IntoExit, Message, Never, is_awaited,
    own_context, tie,
};
use crate::trace::Pid;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;

/// A supervisor of tasks: a [`DynamicSupervisor`] whose children are given to it as code. It stands in
/// a tree, and its tasks are stopped with it, together. Elixir's `Task.Supervisor`.
///
/// Its tasks are temporary: a value can be worked out once. Defaults: as many tasks as processes, 5 s
/// to stop.
///
/// ```
/// use netsplit::otp::process;
/// use netsplit::{Context, Scenario, Supervisor, TaskSupervisor, TaskSupervisorRef, child, secs};
///
/// async fn worker(_: Context) {
///     let tasks = TaskSupervisorRef::named("tasks");
///     let task = tasks.async_nolink(|ctx| async move {
///         ctx.sleep(secs(1)).await;
///         42
///     });
///     let answer = task.await.expect("it runs").await_within(secs(5)).await;
///     assert_eq!(answer, Ok(42));
/// }
///
/// let scenario = Scenario::new("tasks").node("a", |ctx| {
///     Supervisor::one_for_one()
///         .child(child("tasks", || TaskSupervisor::new().name("tasks")))
///         .child(child("worker", || process(worker)).transient())
///         .run(ctx)
/// }).finally("its end was meant", |_| true);
/// assert!(scenario.run(7).unwrap().is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct TaskSupervisor(DynamicSupervisor<TaskJob>);

impl Default for TaskSupervisor {
    fn default() -> Self {
        TaskSupervisor::new()
    }
}

impl TaskSupervisor {
    /// One without tasks.
    #[must_use]
    pub fn new() -> TaskSupervisor {
        TaskSupervisor(DynamicSupervisor::new(|job: TaskJob| job).temporary())
    }

    /// Gives it a local name.
    #[must_use]
    pub fn name(self, name: &str) -> TaskSupervisor {
        TaskSupervisor(self.0.name(name))
    }

    /// How many tasks it has at most. Default: no limit but that of processes.
    #[must_use]
    pub fn max_children(self, most: usize) -> TaskSupervisor {
        TaskSupervisor(self.0.max_children(most))
    }

    /// How tasks are stopped. Default: they have 5 s.
    #[must_use]
    pub fn shutdown(self, shutdown: Shutdown) -> TaskSupervisor {
        TaskSupervisor(self.0.shutdown(shutdown))
    }

    /// Starts it, linked to the starter.
    ///
    /// # Errors
    /// [`StartError::AlreadyStarted`], where its name is taken.
    pub async fn start_link<M: Message>(
        self,
        starter: &Context<M>,
    ) -> Result<TaskSupervisorRef, StartError> {
        Ok(TaskSupervisorRef(self.0.start_link(starter).await?))
    }
}

impl Startable for TaskSupervisor {
    type Message = ToDynamic<TaskJob>;

    const SUPERVISES: bool = true;

    fn begin<M: Message>(self, starter: &Context<M>) -> Starting<ToDynamic<TaskJob>> {
        self.0.begin(starter)
    }
}

/// The address of a task supervisor. Tasks are started on its own node: code does not travel.
///
/// Each of its functions waits for as long as the supervisor takes, as in OTP.
///
/// # Panics
/// All its functions panic outside a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSupervisorRef(DynamicSupervisorRef<TaskJob>);

impl TaskSupervisorRef {
    /// Whoever holds this name on the node of the process that calls.
    #[must_use]
    pub fn named(name: &str) -> TaskSupervisorRef {
        TaskSupervisorRef(Address::at(own_context().node(), name))
    }

    /// Starts a task that is linked to the process that calls, and to its supervisor.
    ///
    /// # Errors
    /// [`ChildError`]: there are as many as there may be, or the supervisor does not run, or is on another
    /// node.
    pub async fn async_<T: 'static, F>(
        self,
        task: impl FnOnce(Context) -> F + 'static,
    ) -> Result<Task<T>, ChildError>
    where
        F: Future<Output = T> + 'static,
    {
        self.start_task(true, task).await
    }

    /// Starts a task that is linked to its supervisor alone.
    ///
    /// # Errors
    /// As [`TaskSupervisorRef::async_`].
    pub async fn async_nolink<T: 'static, F>(
        self,
        task: impl FnOnce(Context) -> F + 'static,
    ) -> Result<Task<T>, ChildError>
    where
        F: Future<Output = T> + 'static,
    {
        self.start_task(false, task).await
    }

    async fn start_task<T: 'static, F>(
        self,
        linked: bool,
        task: impl FnOnce(Context) -> F + 'static,
    ) -> Result<Task<T>, ChildError>
    where
        F: Future<Output = T> + 'static,
    {
        let (ending, value) = (Ending::open(), Place::default());
        let place = value.clone();
        let run = |own: Context| into_place(task(own), place);
        let pid = self
            .begin(TaskJob::new(Some((ending.key(), linked)), run))
            .await?;
        Ok(Task::of(pid, linked, ending, value))
    }

    /// Starts a process that gives nothing back; its pid.
    ///
    /// # Errors
    /// As [`TaskSupervisorRef::async_`].
    pub async fn start_child<F>(
        self,
        task: impl FnOnce(Context) -> F + 'static,
    ) -> Result<Pid, ChildError>
    where
        F: Future<Output: IntoExit> + 'static,
    {
        self.begin(TaskJob::new(None, task)).await
    }

    async fn begin(self, job: TaskJob) -> Result<Pid, ChildError> {
        if self.0.is_abroad() {
            return Err(ChildError::OtherNode);
        }
        let started = self.0.start_child(job).await?;
        started.ok_or(ChildError::Start(StartError::Ignored))
    }

    /// A task for each item, so many at once, linked to the process that waits for their results: as
    /// [`Task::async_stream`].
    pub fn async_stream<I, T: 'static, F>(
        self,
        items: I,
        task: impl Fn(Context, I::Item) -> F + 'static,
    ) -> TaskStream<I::IntoIter, T>
    where
        I: IntoIterator<Item: 'static>,
        F: Future<Output = T> + 'static,
    {
        self.stream(true, items, task)
    }

    /// The same, not linked: as [`Task::async_stream_nolink`].
    pub fn async_stream_nolink<I, T: 'static, F>(
        self,
        items: I,
        task: impl Fn(Context, I::Item) -> F + 'static,
    ) -> TaskStream<I::IntoIter, T>
    where
        I: IntoIterator<Item: 'static>,
        F: Future<Output = T> + 'static,
    {
        self.stream(false, items, task)
    }

    fn stream<I, T: 'static, F>(
        self,
        linked: bool,
        items: I,
        task: impl Fn(Context, I::Item) -> F + 'static,
    ) -> TaskStream<I::IntoIter, T>
    where
        I: IntoIterator<Item: 'static>,
        F: Future<Output = T> + 'static,
    {
        let task = Rc::new(task);
        TaskStream::new(items.into_iter(), move |item| {
            let (task, owner) = (task.clone(), own_context().pid());
            let run = move |ctx| beside(owner, task(ctx, item));
            let started = self.start_task(linked, run);
            Stage::Starts(Box::pin(async move {
                started.await.map_err(TaskError::NotStarted)
            }))
        })
    }

    /// The processes of its tasks, in the order in which they were started.
    ///
    /// # Errors
    /// [`CallError`]: the supervisor does not run.
    pub async fn children(self) -> Result<Vec<Pid>, CallError> {
        let children = self.0.which_children().await?;
        Ok(children.into_iter().filter_map(|child| child.pid).collect())
    }

    /// Stops a task.
    ///
    /// # Errors
    /// [`ChildError`]: it has no such task.
    pub async fn terminate_child(self, pid: Pid) -> Result<(), ChildError> {
        self.0.terminate_child(pid).await
    }
}

type Run = Box<dyn FnOnce(Context) -> Pin<Box<dyn Future<Output = ExitReason>>>>;

struct Work {
    /// Who waits for its end, and whether it is to be linked to that one.
    owner: Option<(EndKey, bool)>,
    run: Run,
}

/// A task on its way to its supervisor: made by a [`TaskSupervisorRef`] alone.
#[derive(Clone)]
pub struct TaskJob(Rc<Cell<Option<Work>>>);

impl TaskJob {
    fn new<F>(owner: Option<(EndKey, bool)>, task: impl FnOnce(Context) -> F + 'static) -> TaskJob
    where
        F: Future<Output: IntoExit> + 'static,
    {
        // Not before it runs by itself: the supervisor is to run no code of a task.
        let run: Run = Box::new(|own| Box::pin(async move { task(own).await.into_exit() }));
        TaskJob(Rc::new(Cell::new(Some(Work { owner, run }))))
    }

    /// Starts it under the supervisor that runs. What its owner no longer waits for is not started.
    fn start(self, supervisor: &Context) -> Result<Address<Never>, StartError> {
        let Work { owner, run } = self.0.take().ok_or(StartError::Ignored)?;
        if owner.is_some_and(|(key, _)| !is_awaited(key)) {
            return Err(StartError::Ignored);
        }
        let started = supervisor.spawn_link::<Never, _>(run);
        if let (Some((key, linked)), Some(pid)) = (owner, started.pid()) {
            tie(key, pid, linked);
        }
        Ok(started)
    }
}

impl Startable for TaskJob {
    type Message = Never;

    fn begin<M: Message>(self, starter: &Context<M>) -> Starting<Never> {
        Starting::by(starter, |ctx| async move { self.start(&ctx) })
    }
}

impl fmt::Debug for TaskJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a task")
    }
}

/// Within a node only: a task is code.
impl Serialize for TaskJob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for TaskJob {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<TaskJob, D::Error> {
        Err(D::Error::custom("a task stays on its node"))
    }
}
