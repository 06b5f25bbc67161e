//! The dynamic supervisor: any number of children of one kind, each started with arguments of its own.
//!
//! It is OTP's `simple_one_for_one`, and Elixir's `DynamicSupervisor`.

use super::super::desk::{Desk, Kind};
use super::super::start::{
    Birth, Linked, Manner, Refusal, StartError, Startable, Starting, refused, start,
};
use super::child::{ChildCount, ChildInfo};
use super::children::{Life, State, counted};
use super::request::{Again, ChildError, SpecError};
use super::stop::{Shutdown, WORKER, stop, stop_all};
use super::window::Window;
use super::{BackOff, again_message, begun, process_of, told};
use crate::process::{
    Address, CallError, Context, ExitReason, Info, Message, Never, Received, ReplyTo,
};
use crate::trace::{Pid, Restart, Strategy, Supervision};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// How a child is started.
type Begin<A> = dyn Fn(&Context<Never>, A) -> Starting<Never>;

/// A supervisor whose children are started while it runs, all in one way, each with arguments `A`.
///
/// The arguments are data, so a child can be started from another node. Children are restarted one by one,
/// and stopped all together. Defaults, as in OTP: permanent children, at most one restart in 5 s.
///
/// ```
/// use netsplit::otp::process;
/// use netsplit::{Context, DynamicSupervisor, ExitReason, Scenario};
///
/// let scenario = Scenario::new("pool").client("owner", |ctx: Context| async move {
///     let pool = DynamicSupervisor::new(|job: u64| process(move |worker: Context| async move {
///         worker.count_by("work", job);
///     }));
///     let pool = pool.temporary().max_children(100).start_link(&ctx).await?;
///     for job in [1, 2, 3] {
///         pool.start_child(job).await?;
///     }
///     Ok::<(), ExitReason>(())
/// }).finally("the work is done", |view| view.counter("work") == 6);
/// assert!(scenario.run(7).unwrap().is_ok());
/// ```
#[derive(Clone)]
pub struct DynamicSupervisor<A> {
    start: Rc<Begin<A>>,
    restart: Restart,
    shutdown: Shutdown,
    supervises: bool,
    intensity: u32,
    period: Duration,
    most: Option<usize>,
    back_off: Option<BackOff>,
    manner: Manner,
}

impl<A> fmt::Debug for DynamicSupervisor<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DynamicSupervisor({})", self.restart)
    }
}

/// What a dynamic supervisor takes: made by the functions of a [`DynamicSupervisorRef`] alone.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "A: Serialize", deserialize = "A: Deserialize<'de>"))]
pub struct ToDynamic<A>(Request<A>);

/// The address of a dynamic supervisor.
pub type DynamicSupervisorRef<A> = Address<ToDynamic<A>>;

#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "A: Serialize", deserialize = "A: Deserialize<'de>"))]
enum Request<A> {
    Start(A, ReplyTo<Result<Option<Pid>, ChildError>>),
    Terminate(Pid, ReplyTo<Result<(), ChildError>>),
    Which(ReplyTo<Vec<ChildInfo>>),
    Count(ReplyTo<ChildCount>),
    Again(Again),
}

impl<A: Message + Clone> DynamicSupervisor<A> {
    /// A supervisor of what `make` makes of a child's arguments. What all children share, `make` may hold.
    #[must_use]
    pub fn new<S: Startable>(make: impl Fn(A) -> S + 'static) -> DynamicSupervisor<A> {
        DynamicSupervisor {
            start: Rc::new(move |ctx, args| make(args).begin(ctx).untyped()),
            restart: Restart::Permanent,
            shutdown: if S::SUPERVISES {
                Shutdown::Infinity
            } else {
                WORKER
            },
            supervises: S::SUPERVISES,
            intensity: 1,
            period: Duration::from_secs(5),
            most: None,
            back_off: None,
            manner: Manner::default(),
        }
    }

    /// When a child is restarted. Default: [`Restart::Permanent`].
    #[must_use]
    pub fn restart(self, restart: Restart) -> Self {
        Self { restart, ..self }
    }

    /// Children are restarted unless they end as `normal`, `shutdown` or `shutdown(_)`.
    #[must_use]
    pub fn transient(self) -> Self {
        self.restart(Restart::Transient)
    }

    /// Children are never restarted.
    #[must_use]
    pub fn temporary(self) -> Self {
        self.restart(Restart::Temporary)
    }

    /// How children are stopped. Default: 5 s for workers, for ever for supervisors.
    #[must_use]
    pub fn shutdown(self, shutdown: Shutdown) -> Self {
        Self { shutdown, ..self }
    }

    /// How many restarts it allows in which time, as [`Supervisor::intensity`](super::Supervisor::intensity).
    #[must_use]
    pub fn intensity(self, restarts: u32, period: Duration) -> Self {
        Self {
            intensity: restarts,
            period,
            ..self
        }
    }

    /// How many children it has at most, those that are restarting included. Default: no limit but that of
    /// processes.
    #[must_use]
    pub fn max_children(self, most: usize) -> Self {
        Self {
            most: Some(most),
            ..self
        }
    }

    /// Waits before each restart, beyond what OTP does. Default: restarts at once.
    #[must_use]
    pub fn back_off(self, back_off: BackOff) -> Self {
        Self {
            back_off: Some(back_off),
            ..self
        }
    }

    /// Gives it a local name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.manner.wishes().name = Some(name.to_owned());
        self
    }

    /// Whether it makes sense; starting it asks this first.
    ///
    /// # Errors
    /// [`SpecError::NoPeriod`].
    pub fn check(&self) -> Result<(), SpecError> {
        if self.period.is_zero() {
            return Err(SpecError::NoPeriod);
        }
        Ok(())
    }

    fn begin_as<M: Message>(self, starter: &Context<M>, linked: Linked) -> Starting<ToDynamic<A>> {
        if let Err(error) = self.check() {
            return refused(starter, error.into());
        }
        let manner = self.manner.clone();
        start(starter, linked, manner, |ctx, birth| {
            serve(self, ctx, birth)
        })
    }

    /// Starts it, without children.
    ///
    /// # Errors
    /// [`StartError`]: its name is taken, or it makes no sense.
    pub async fn start<M: Message>(
        self,
        starter: &Context<M>,
    ) -> Result<DynamicSupervisorRef<A>, StartError> {
        self.begin_as(starter, Linked::No).await
    }

    /// Starts it linked to the starter, without children.
    ///
    /// # Errors
    /// As [`DynamicSupervisor::start`].
    pub async fn start_link<M: Message>(
        self,
        starter: &Context<M>,
    ) -> Result<DynamicSupervisorRef<A>, StartError> {
        self.begin(starter).await
    }

    /// Makes the current process the supervisor; gives the reason of its end.
    pub async fn run(self, ctx: Context<ToDynamic<A>>) -> ExitReason {
        if let Err(error) = self.check() {
            return ExitReason::error(error);
        }
        let birth = Birth::alone(self.manner.clone());
        serve(self, ctx, birth).await
    }
}

impl<A: Message + Clone> Startable for DynamicSupervisor<A> {
    type Message = ToDynamic<A>;

    const SUPERVISES: bool = true;

    fn begin<M: Message>(self, starter: &Context<M>) -> Starting<ToDynamic<A>> {
        self.begin_as(starter, Linked::Yes)
    }
}

/// Each of these waits for as long as the supervisor takes, as in OTP.
impl<A: Message + Clone> DynamicSupervisorRef<A> {
    async fn ask<R: Message>(
        self,
        request: impl FnOnce(ReplyTo<R>) -> Request<A>,
    ) -> Result<R, CallError> {
        self.call_for_ever(|reply_to| ToDynamic(request(reply_to)))
            .await
    }

    /// Starts a child. Its pid; none where its `init` ignored the start, and then it is not kept.
    ///
    /// # Errors
    /// [`ChildError`]: it did not start, or there are as many as there may be.
    pub async fn start_child(self, args: A) -> Result<Option<Pid>, ChildError> {
        self.ask(|reply_to| Request::Start(args, reply_to)).await?
    }

    /// Stops a child, for good.
    ///
    /// # Errors
    /// [`ChildError`]: it has no such child.
    pub async fn terminate_child(self, pid: Pid) -> Result<(), ChildError> {
        self.ask(|reply_to| Request::Terminate(pid, reply_to))
            .await?
    }

    /// Its children, in the order in which they were started.
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

struct Child<A> {
    args: A,
    life: Life,
    /// Its process, or its last one.
    pid: Pid,
}

/// The children by number, in the order of their starts, and by process.
struct Children<A> {
    all: BTreeMap<u32, Child<A>>,
    pids: FxHashMap<Pid, u32>,
    next: u32,
}

/// A dynamic supervisor while it runs. Where a function fails, it is with the reason for which it ends.
struct Running<A> {
    spec: DynamicSupervisor<A>,
    window: Window,
    /// Seen from outside, too: never borrowed across an await.
    children: Rc<Desk<Children<A>>>,
}

async fn serve<A: Message + Clone>(
    spec: DynamicSupervisor<A>,
    mut ctx: Context<ToDynamic<A>>,
    mut birth: Birth,
) -> ExitReason {
    ctx.trap_exit(true);
    let parent = birth.parent;
    let begun = birth.state(&mut ctx, async |ctx| {
        Ok::<_, Refusal>(Running::begin(spec, ctx, parent))
    });
    let mut running = match begun.await {
        Ok(running) => running,
        Err(reason) => return reason,
    };
    birth.done();
    let reason = loop {
        let next = match running.children.receive(&ctx).await {
            Received::Message(ToDynamic(request)) => running.asked(&ctx, request).await,
            Received::Info(Info::Exit { from, reason }) if birth.is_parent(from) => Err(reason),
            Received::Info(Info::Exit { from, reason }) => {
                running.exited(&ctx, from, &reason).await
            }
            Received::Info(_) => Ok(()),
        };
        if let Err(reason) = next {
            break reason;
        }
    };
    running.stop_all(&ctx).await;
    reason
}

impl<A: Message + Clone> Running<A> {
    fn begin(
        spec: DynamicSupervisor<A>,
        ctx: &Context<ToDynamic<A>>,
        parent: Option<Pid>,
    ) -> Running<A> {
        ctx.tell(Supervision::Begins {
            strategy: Strategy::SimpleOneForOne,
            intensity: spec.intensity,
            period_ns: crate::kernel::nanos(spec.period),
        });
        let kind = Kind {
            name: "DynamicSupervisor",
            text: Children::text,
            #[cfg(feature = "sim")]
            children: Children::supervised,
        };
        let children = Children {
            all: BTreeMap::new(),
            pids: FxHashMap::default(),
            next: 0,
        };
        let children = Rc::new(Desk::new(ctx, kind, parent, children));
        ctx.expose(children.clone());
        Running {
            window: Window::new(spec.intensity, spec.period),
            spec,
            children,
        }
    }

    /// Starts the process of a child of this number.
    async fn start(
        &self,
        ctx: &Context<ToDynamic<A>>,
        number: u32,
        args: A,
        by_hand: bool,
    ) -> Result<Option<Pid>, StartError> {
        ctx.tell_start(number, self.spec.restart, by_hand, "");
        let starting = begun(ctx, |ctx| (self.spec.start)(ctx, args));
        let started = process_of(starting.await);
        ctx.tell(told(number, &started));
        started
    }

    async fn start_child(
        &self,
        ctx: &Context<ToDynamic<A>>,
        args: A,
    ) -> Result<Option<Pid>, ChildError> {
        let number = {
            let mut children = self.children.borrow_mut();
            if let Some(most) = self.spec.most
                && children.all.len() >= most
            {
                return Err(ChildError::MaxChildren(most));
            }
            let number = children.next;
            children.next += 1;
            number
        };
        let started = self.start(ctx, number, args.clone(), true).await;
        if let Ok(Some(pid)) = started {
            let mut life = Life::new();
            life.begin(pid, ctx.now());
            let mut children = self.children.borrow_mut();
            children.pids.insert(pid, number);
            children.all.insert(number, Child { args, life, pid });
        }
        started.map_err(ChildError::Start)
    }

    /// A process has ended that is linked to the supervisor: a child, or one that never was.
    async fn exited(
        &mut self,
        ctx: &Context<ToDynamic<A>>,
        pid: Pid,
        reason: &ExitReason,
    ) -> Result<(), ExitReason> {
        let Some(number) = self.children.borrow().running(pid) else {
            return Ok(());
        };
        let again = match self.spec.restart {
            Restart::Permanent => true,
            Restart::Transient => !reason.is_clean(),
            Restart::Temporary => false,
        };
        if again {
            if let Some(child) = self.children.borrow_mut().all.get_mut(&number) {
                child.life.ended(ctx.now(), self.spec.back_off);
            }
            return self.restart(ctx, number).await;
        }
        ctx.tell(Supervision::Ended { child: number });
        self.children.borrow_mut().remove(number);
        Ok(())
    }

    /// Counts a restart of a child, and makes it, now or after a wait.
    async fn restart(
        &mut self,
        ctx: &Context<ToDynamic<A>>,
        number: u32,
    ) -> Result<(), ExitReason> {
        let (now, child) = (ctx.now(), number);
        let clock_ns = now.as_nanos();
        if !self.window.count(now) {
            ctx.tell(Supervision::GivesUp { child, clock_ns });
            return Err(ExitReason::Shutdown);
        }
        ctx.tell(Supervision::Restarts { child, clock_ns });
        if let Some(child) = self.children.borrow_mut().all.get_mut(&number) {
            child.life.restarts += 1;
        }
        if self.spec.back_off.is_some() {
            self.later(ctx, number, false);
        } else {
            self.start_again(ctx, number).await;
        }
        Ok(())
    }

    /// Starts a child anew; where that fails it is tried again, where it ignores the start it is dropped.
    async fn start_again(&self, ctx: &Context<ToDynamic<A>>, number: u32) {
        let args = self
            .children
            .borrow()
            .all
            .get(&number)
            .map(|c| c.args.clone());
        let Some(args) = args else { return };
        match self.start(ctx, number, args, false).await {
            Ok(Some(pid)) => {
                let mut children = self.children.borrow_mut();
                let before = children.all.get_mut(&number).map(|child| {
                    child.life.begin(pid, ctx.now());
                    std::mem::replace(&mut child.pid, pid)
                });
                if let Some(before) = before {
                    children.pids.remove(&before);
                }
                children.pids.insert(pid, number);
            }
            Ok(None) => self.children.borrow_mut().remove(number),
            Err(_) => self.later(ctx, number, true),
        }
    }

    /// Tries a child again, through the supervisor's own mailbox: it answers others meanwhile.
    fn later(&self, ctx: &Context<ToDynamic<A>>, number: u32, counts: bool) {
        if let Some(child) = self.children.borrow_mut().all.get_mut(&number) {
            let again = |again| ToDynamic(Request::Again(again));
            again_message(
                ctx,
                &mut child.life,
                self.spec.back_off,
                (number, counts),
                again,
            );
        }
    }

    async fn asked(
        &mut self,
        ctx: &Context<ToDynamic<A>>,
        request: Request<A>,
    ) -> Result<(), ExitReason> {
        match request {
            Request::Start(args, reply_to) => reply_to.reply(self.start_child(ctx, args).await),
            Request::Terminate(pid, reply_to) => {
                reply_to.reply(self.terminate_child(ctx, pid).await);
            }
            Request::Which(reply_to) => reply_to.reply(self.infos()),
            Request::Count(reply_to) => reply_to.reply(self.count()),
            Request::Again(again) => {
                let life = |child: &Child<A>| (child.life.state, child.life.epoch);
                let now = self.children.borrow().all.get(&again.child).map(life);
                if now == Some((State::Restarting, again.epoch)) {
                    if again.counts {
                        return self.restart(ctx, again.child).await;
                    }
                    self.start_again(ctx, again.child).await;
                }
            }
        }
        Ok(())
    }

    async fn terminate_child(
        &self,
        ctx: &Context<ToDynamic<A>>,
        pid: Pid,
    ) -> Result<(), ChildError> {
        let found = {
            let children = self.children.borrow();
            let number = children.pids.get(&pid).copied();
            number.and_then(|number| Some((number, children.all.get(&number)?.life.pid())))
        };
        let (number, runs) = found.ok_or(ChildError::NotFound)?;
        if let Some(pid) = runs {
            ctx.tell(Supervision::Stops {
                child: number,
                pid,
                by_hand: true,
            });
            stop(ctx, pid, self.spec.shutdown).await;
        }
        self.children.borrow_mut().remove(number);
        Ok(())
    }

    /// Stops all children together.
    async fn stop_all(&self, ctx: &Context<ToDynamic<A>>) {
        let children = std::mem::take(&mut self.children.borrow_mut().all);
        let live = children
            .iter()
            .filter_map(|(number, child)| Some((*number, child.life.pid()?)));
        let live: Vec<(u32, Pid)> = live.collect();
        for &(child, pid) in &live {
            ctx.tell(Supervision::Stops {
                child,
                pid,
                by_hand: false,
            });
        }
        let pids: Vec<Pid> = live.into_iter().map(|(_, pid)| pid).collect();
        stop_all(ctx, &pids, self.spec.shutdown).await;
    }

    fn infos(&self) -> Vec<ChildInfo> {
        let children = self.children.borrow();
        let info = |(number, child): (&u32, &Child<A>)| {
            child
                .life
                .info(number.to_string(), self.spec.restart, self.spec.supervises)
        };
        children.all.iter().map(info).collect()
    }

    fn count(&self) -> ChildCount {
        let children = self.children.borrow();
        let all = children.all.len();
        let supervisors = if self.spec.supervises { all } else { 0 };
        ChildCount {
            specs: all,
            active: children.active(),
            supervisors,
            workers: all - supervisors,
        }
    }
}

impl<A> Children<A> {
    #[cfg(feature = "sim")]
    fn supervised(&self) -> Vec<crate::process::Supervised> {
        let info = |(number, child): (&u32, &Child<A>)| {
            let info = child
                .life
                .info(number.to_string(), Restart::Temporary, false);
            info.into()
        };
        self.all.iter().map(info).collect()
    }

    fn text(&self) -> String {
        counted(self.all.len(), self.active())
    }

    /// How many of them have a process.
    fn active(&self) -> usize {
        let running = |child: &&Child<A>| child.life.pid().is_some();
        self.all.values().filter(running).count()
    }

    /// The number of the child that runs as this process. A process that ended before, and whose child waits
    /// to be started again, is not it.
    fn running(&self, pid: Pid) -> Option<u32> {
        let number = *self.pids.get(&pid)?;
        let runs = self.all.get(&number)?.life.pid() == Some(pid);
        runs.then_some(number)
    }

    fn remove(&mut self, number: u32) {
        if let Some(child) = self.all.remove(&number) {
            self.pids.remove(&child.pid);
        }
    }
}
