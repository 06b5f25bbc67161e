//! Children of a supervisor: their specifications, and what is known of each.

use super::super::start::{Startable, Starting};
use super::stop::{Shutdown, WORKER};
use crate::process::{Context, Never};
use crate::trace::{Pid, Restart};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::{Serialize, Serializer};
use std::fmt;
use std::rc::Rc;

/// How a child is started.
type Begin = dyn Fn(&Context<Never>) -> Starting<Never>;

/// A child as a supervisor starts it, keeps it and stops it.
///
/// Defaults, as in OTP: permanent, not significant, a worker has 5 s to stop, a supervisor as long as it
/// takes.
#[derive(Clone)]
pub struct ChildSpec {
    pub(crate) id: Rc<str>,
    pub(crate) start: Rc<Begin>,
    pub(crate) restart: Restart,
    pub(crate) shutdown: Shutdown,
    pub(crate) significant: bool,
    pub(crate) supervises: bool,
}

/// A child of this id, started from what `make` makes, each time anew: a [`Server`], a [`StateMachine`], a
/// [`Supervisor`], a plain [`process`].
///
/// ```
/// use netsplit::otp::process;
/// use netsplit::{Context, Scenario, Supervisor, child, secs};
///
/// async fn clock(ctx: Context) {
///     loop {
///         ctx.sleep(secs(1)).await;
///         ctx.count("ticks");
///     }
/// }
///
/// let scenario = Scenario::new("clock")
///     .node("tower", |ctx| {
///         Supervisor::one_for_one().child(child("clock", || process(clock))).run(ctx)
///     })
///     .horizon(secs(3))
///     .finally("it ticks", |view| view.counter("ticks") >= 2);
/// assert!(scenario.run(7).unwrap().is_ok());
/// ```
///
/// [`Server`]: crate::otp::Server
/// [`StateMachine`]: crate::otp
/// [`Supervisor`]: super::Supervisor
/// [`process`]: crate::otp::process
pub fn child<S: Startable>(id: &str, make: impl Fn() -> S + 'static) -> ChildSpec {
    ChildSpec {
        id: id.into(),
        start: Rc::new(move |ctx| make().begin(ctx).untyped()),
        restart: Restart::Permanent,
        shutdown: if S::SUPERVISES {
            Shutdown::Infinity
        } else {
            WORKER
        },
        significant: false,
        supervises: S::SUPERVISES,
    }
}

impl ChildSpec {
    /// Its id: one child an id in a supervisor.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When it is restarted. Default: [`Restart::Permanent`].
    #[must_use]
    pub fn restart(self, restart: Restart) -> ChildSpec {
        ChildSpec { restart, ..self }
    }

    /// It is restarted unless it ends as `normal`, `shutdown` or `shutdown(_)`.
    #[must_use]
    pub fn transient(self) -> ChildSpec {
        self.restart(Restart::Transient)
    }

    /// It is never restarted.
    #[must_use]
    pub fn temporary(self) -> ChildSpec {
        self.restart(Restart::Temporary)
    }

    /// How it is stopped. Default: 5 s for a worker, for ever for a supervisor.
    #[must_use]
    pub fn shutdown(self, shutdown: Shutdown) -> ChildSpec {
        ChildSpec { shutdown, ..self }
    }

    /// Its end can shut its supervisor down: see [`AutoShutdown`](super::AutoShutdown).
    #[must_use]
    pub fn significant(self) -> ChildSpec {
        ChildSpec {
            significant: true,
            ..self
        }
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChildSpec({}, {})", self.id, self.restart)
    }
}

/// Within a node only: what starts a child is code. Its id stands for it in a digest of payloads.
impl Serialize for ChildSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.id.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ChildSpec {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<ChildSpec, D::Error> {
        Err(D::Error::custom(
            "a child's specification stays on its node",
        ))
    }
}

/// A child that a supervisor has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct ChildInfo {
    /// Its id; of a dynamic supervisor's child, its number.
    pub id: String,
    /// Its process, where it has one.
    pub pid: Option<Pid>,
    /// Its last start failed, or waits, and it will be tried again.
    pub restarting: bool,
    /// Whether it is a supervisor.
    pub supervises: bool,
    /// When it is restarted.
    pub restart: Restart,
    /// How often it has been restarted.
    pub restarts: u32,
}

/// How many children a supervisor has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct ChildCount {
    /// Specifications, with a process or without.
    pub specs: usize,
    /// Children with a live process.
    pub active: usize,
    /// Those that are supervisors, alive or not.
    pub supervisors: usize,
    /// Those that are workers, alive or not.
    pub workers: usize,
}

#[cfg(feature = "sim")]
impl From<ChildInfo> for crate::process::Supervised {
    fn from(info: ChildInfo) -> crate::process::Supervised {
        crate::process::Supervised {
            id: info.id,
            pid: info.pid,
            restarts: info.restarts,
            restarting: info.restarting,
        }
    }
}
