//! The supervisor: starts its children in order, restarts them by its strategy, stops them in reverse.
//!
//! It follows OTP's `supervisor`, rules 14 to 21 of `docs/SEMANTICS.md`. What it does is told in the trace as
//! [`Supervision`], from which [`mod@crate::check`] sees whether it keeps these rules.

mod back_off;
mod child;
mod children;
mod dynamic;
mod request;
mod running;
mod stop;
mod window;

pub use back_off::BackOff;
pub use child::{ChildCount, ChildInfo, ChildSpec, child};
pub use dynamic::{DynamicSupervisor, DynamicSupervisorRef, ToDynamic};
pub use request::{ChildError, SpecError, SupervisorRef, ToSupervisor};
pub use stop::Shutdown;

use super::caught::noted;
use super::start::{Birth, Linked, Manner, StartError, Startable, Starting, refused, start};
use crate::kernel::run_user;
use crate::process::{Address, Context, ExitReason, Message, Never};
use crate::trace::{Pid, Restart, Strategy, Supervision};
use children::{Life, State};
use request::Again;
use std::collections::BTreeSet;
use std::time::Duration;

/// Whether a supervisor ends when children that are significant have ended by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AutoShutdown {
    /// It does not.
    #[default]
    Never,
    /// When any of them has.
    AnySignificant,
    /// When the last of them has.
    AllSignificant,
}

/// A supervisor with its children: a tree that reads in code as the tree that it is.
///
/// Defaults, as in OTP: at most one restart in 5 s, no automatic shutdown.
///
/// ```
/// use netsplit::otp::process;
/// use netsplit::{Context, Scenario, Supervisor, child, secs};
///
/// async fn worker(ctx: Context) {
///     ctx.count("starts");
///     ctx.sleep(secs(2)).await;
///     panic!("a bug");
/// }
///
/// async fn cache(ctx: Context) {
///     ctx.receive().await;
/// }
///
/// fn tree() -> Supervisor {
///     Supervisor::one_for_one()
///         .intensity(3, secs(5))
///         .child(child("cache", || process(cache)))
///         .child(child("pool", || {
///             Supervisor::one_for_all()
///                 .child(child("a", || process(worker)))
///                 .child(child("b", || process(worker)).transient())
///         }))
/// }
///
/// let scenario = Scenario::new("tree")
///     .node("shop", |ctx| tree().run(ctx))
///     .horizon(secs(3))
///     .finally("both were started twice", |view| view.counter("starts") == 4);
/// assert!(scenario.run(7).unwrap().is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct Supervisor {
    strategy: Strategy,
    intensity: u32,
    period: Duration,
    auto_shutdown: AutoShutdown,
    back_off: Option<BackOff>,
    manner: Manner,
    children: Vec<ChildSpec>,
}

impl Supervisor {
    fn new(strategy: Strategy) -> Supervisor {
        Supervisor {
            strategy,
            intensity: 1,
            period: Duration::from_secs(5),
            auto_shutdown: AutoShutdown::Never,
            back_off: None,
            manner: Manner::default(),
            children: Vec::new(),
        }
    }

    /// A supervisor that restarts the child that has ended.
    #[must_use]
    pub fn one_for_one() -> Supervisor {
        Supervisor::new(Strategy::OneForOne)
    }

    /// A supervisor that stops and restarts all children when one has ended.
    #[must_use]
    pub fn one_for_all() -> Supervisor {
        Supervisor::new(Strategy::OneForAll)
    }

    /// A supervisor that stops and restarts the child that has ended, and those after it.
    #[must_use]
    pub fn rest_for_one() -> Supervisor {
        Supervisor::new(Strategy::RestForOne)
    }

    /// How many restarts it allows in which time; with one more it gives up. One event counts as one restart,
    /// however many children it restarts; a restart that fails counts as well. Default: 1 in 5 s.
    #[must_use]
    pub fn intensity(self, restarts: u32, period: Duration) -> Supervisor {
        Supervisor {
            intensity: restarts,
            period,
            ..self
        }
    }

    /// Whether it ends when significant children have. Default: never.
    #[must_use]
    pub fn auto_shutdown(self, auto_shutdown: AutoShutdown) -> Supervisor {
        Supervisor {
            auto_shutdown,
            ..self
        }
    }

    /// Waits before each restart, beyond what OTP does. Default: restarts at once.
    #[must_use]
    pub fn back_off(self, back_off: BackOff) -> Supervisor {
        Supervisor {
            back_off: Some(back_off),
            ..self
        }
    }

    /// Gives it a local name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Supervisor {
        self.manner.wishes().name = Some(name.to_owned());
        self
    }

    /// Adds a child, after those that it has.
    #[must_use]
    pub fn child(mut self, spec: ChildSpec) -> Supervisor {
        self.children.push(spec);
        self
    }

    /// Whether it makes sense; starting it asks this first.
    ///
    /// # Errors
    /// [`SpecError`], the first that is found.
    pub fn check(&self) -> Result<(), SpecError> {
        if self.period.is_zero() {
            return Err(SpecError::NoPeriod);
        }
        let mut ids = BTreeSet::new();
        for spec in &self.children {
            check_child(spec, self.auto_shutdown)?;
            if !ids.insert(spec.id()) {
                return Err(SpecError::DuplicateId(spec.id().to_owned()));
            }
        }
        Ok(())
    }

    fn begin_as<M: Message>(self, starter: &Context<M>, linked: Linked) -> Starting<ToSupervisor> {
        if let Err(error) = self.check() {
            return refused(starter, error.into());
        }
        let manner = self.manner.clone();
        start(starter, linked, manner, |ctx, birth| {
            running::serve(self, ctx, birth)
        })
    }

    /// Starts it, and waits until all its children run.
    ///
    /// # Errors
    /// [`StartError`]: where a child did not start, `Failed` with
    /// `shutdown(failed_to_start_child(id, reason))`.
    pub async fn start<M: Message>(
        self,
        starter: &Context<M>,
    ) -> Result<SupervisorRef, StartError> {
        self.begin_as(starter, Linked::No).await
    }

    /// Starts it linked to the starter, and waits until all its children run.
    ///
    /// # Errors
    /// As [`Supervisor::start`].
    pub async fn start_link<M: Message>(
        self,
        starter: &Context<M>,
    ) -> Result<SupervisorRef, StartError> {
        self.begin(starter).await
    }

    /// Makes the current process the supervisor: as the first of a node, the node's boot is this tree. Gives
    /// the reason of its end.
    pub async fn run(self, ctx: Context<ToSupervisor>) -> ExitReason {
        if let Err(error) = self.check() {
            return ExitReason::error(error);
        }
        let birth = Birth::alone(self.manner.clone());
        running::serve(self, ctx, birth).await
    }
}

/// Whether a child makes sense under a supervisor that shuts down so.
fn check_child(spec: &ChildSpec, auto_shutdown: AutoShutdown) -> Result<(), SpecError> {
    let id = || spec.id().to_owned();
    match spec.significant {
        true if spec.restart == Restart::Permanent => Err(SpecError::PermanentSignificant(id())),
        true if auto_shutdown == AutoShutdown::Never => Err(SpecError::NoAutoShutdown(id())),
        _ => Ok(()),
    }
}

impl Startable for Supervisor {
    type Message = ToSupervisor;

    const SUPERVISES: bool = true;

    fn begin<M: Message>(self, starter: &Context<M>) -> Starting<ToSupervisor> {
        self.begin_as(starter, Linked::Yes)
    }
}

/// Begins the start of a child. A panic of what makes it is a failure of the start.
fn begun<M: Message>(
    ctx: &Context<M>,
    begin: impl FnOnce(&Context<Never>) -> Starting<Never>,
) -> Starting<Never> {
    let untyped = ctx.untyped();
    run_user(|| begin(&untyped)).unwrap_or_else(|panicked| {
        let reason = noted(ctx, panicked);
        refused(&untyped, StartError::Failed(reason))
    })
}

/// The process of a child that was started; none where it ignores the start.
fn process_of(started: Result<Address<Never>, StartError>) -> Result<Option<Pid>, StartError> {
    match started {
        Ok(address) => Ok(address.pid()),
        Err(StartError::Ignored) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How a start went, as the trace tells it.
fn told(child: u32, started: &Result<Option<Pid>, StartError>) -> Supervision {
    match *started {
        Ok(Some(pid)) => Supervision::Started { child, pid },
        Ok(None) => Supervision::NotStarted {
            child,
            ignored: true,
        },
        Err(_) => Supervision::NotStarted {
            child,
            ignored: false,
        },
    }
}

/// A child is to be tried again: tells that to the supervisor itself, now, or after a wait where it waits
/// between the count of a restart and its start.
fn again_message<M: Message>(
    ctx: &Context<M>,
    life: &mut Life,
    back_off: Option<BackOff>,
    (child, counts): (u32, bool),
    message: impl FnOnce(Again) -> M,
) {
    life.set(State::Restarting);
    let epoch = life.epoch;
    let message = message(Again {
        child,
        epoch,
        counts,
    });
    match back_off {
        Some(back_off) if !counts => {
            let wait = back_off.wait(ctx, life.tries);
            life.tries += 1;
            let for_ns = crate::kernel::nanos(wait);
            ctx.tell(Supervision::Waits { child, for_ns });
            ctx.send_after(ctx.address(), message, wait);
        }
        _ => ctx.address().send(message),
    }
}
