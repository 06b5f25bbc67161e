//! The sides of those who hold: handles.

use super::fate::{AcquireError, DeclareError, LeaseCounts, LeaseError, ResourceInfo};
use super::fence::Fencing;
use super::settings::LeaseSettings;
use super::wire::{Grant, ToLeases, Wish};
use crate::kernel::Time;
use crate::process::{Address, CallError, may_act, own_context};
use crate::trace::Pid;
use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// How long the leases' process is waited for, where nothing else is said: that of OTP's calls.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A resource of which leases are granted: one at a time, or as many as it has places.
///
/// It is no more than an address with a name: any number may be made, on any node.
#[derive(Clone)]
pub struct Resource {
    leases: Address<ToLeases>,
    name: String,
    timeout: Duration,
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resource({} at {:?})", self.name, self.leases)
    }
}

impl Resource {
    /// The resource of this name. By the name of the leases' process it stays good when that restarts:
    /// `Resource::new(Address::named("node", "leases"), "report")`.
    #[must_use]
    pub fn new(leases: Address<ToLeases>, name: &str) -> Resource {
        Resource {
            leases,
            name: name.to_owned(),
            timeout: TIMEOUT,
        }
    }

    /// How long the leases' process is waited for; for a place to be free it is waited beyond that. Default:
    /// 5 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Resource {
        self.timeout = timeout;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Declares it, durably. To declare it again with the same settings changes nothing.
    ///
    /// # Errors
    /// [`DeclareError`]: it is there with other settings, they make no sense, or there are no leases.
    pub async fn declare(&self, settings: LeaseSettings) -> Result<(), DeclareError> {
        let ask = |reply_to| ToLeases::Declare(self.name.clone(), settings, reply_to);
        let answer = self.leases.call(ask, self.timeout).await;
        answer.unwrap_or_else(|error| Err(DeclareError::Server(error)))
    }

    /// Waits for its turn, for as long as that takes. Dropped, it waits no more, and has no place.
    ///
    /// # Errors
    /// [`AcquireError`].
    pub async fn acquire(&self) -> Result<Lease, AcquireError> {
        self.acquire_by(None).await
    }

    /// The same, for so long at most.
    ///
    /// # Errors
    /// [`AcquireError`]; among them [`AcquireError::TimedOut`].
    pub async fn acquire_within(&self, timeout: Duration) -> Result<Lease, AcquireError> {
        self.acquire_by(Some(own_context().now() + timeout)).await
    }

    /// Takes a place where one is free.
    ///
    /// # Errors
    /// [`AcquireError`]; among them [`AcquireError::Taken`].
    pub async fn try_acquire(&self) -> Result<Lease, AcquireError> {
        let answer = self.ask(false, Some(self.timeout)).await;
        answer.unwrap_or_else(|error| Err(AcquireError::Server(error)))
    }

    /// Waits until there is a lease that is held.
    async fn acquire_by(&self, end: Option<Time>) -> Result<Lease, AcquireError> {
        loop {
            let left = || end.map(|end| end.since(own_context().now()));
            let lease = match self.ask(true, left()).await {
                Ok(granted) => granted?,
                Err(CallError::Timeout) => return Err(AcquireError::TimedOut(self.name.clone())),
                Err(error) => return Err(AcquireError::Server(error)),
            };
            // Whoever has waited long asked long ago, and may count on little: so it asks again.
            if lease.left() >= lease.trusted / 2 {
                return Ok(lease);
            }
            let timeout = left().unwrap_or(self.timeout).min(self.timeout);
            match lease.renew_within(timeout).await {
                Ok(()) => return Ok(lease),
                Err(LeaseError::NotHeld) => {}
                Err(LeaseError::Server(error)) => return Err(AcquireError::Server(error)),
            }
        }
    }

    /// Asks for a place, once; for ever where no timeout is given.
    async fn ask(
        &self,
        waits: bool,
        timeout: Option<Duration>,
    ) -> Result<Result<Lease, AcquireError>, CallError> {
        let (by, asked) = (own_context().pid(), own_context().now());
        let number = own_context().random();
        let wish = Wished {
            leases: self.leases,
            wish: Wish { by, number },
            is_open: Cell::new(true),
        };
        let ask = |reply_to| ToLeases::Acquire {
            resource: self.name.clone(),
            wish: wish.wish,
            waits,
            reply_to,
        };
        let answer = match timeout {
            Some(timeout) => self.leases.call(ask, timeout).await,
            None => self.leases.call_for_ever(ask).await,
        };
        // Of a process that is there no more nobody else has heard of it.
        let is_over = matches!(answer, Ok(_) | Err(CallError::NoProc | CallError::Exit(_)));
        wish.is_open.set(!is_over);
        Ok(answer?.map(
            |Grant {
                 fencing,
                 trusted_ns,
             }| {
                let trusted = Duration::from_nanos(trusted_ns);
                Lease {
                    leases: self.leases,
                    timeout: self.timeout,
                    fencing,
                    trusted,
                    holder: Cell::new(by),
                    until: Cell::new(asked + trusted),
                    is_back: Cell::new(false),
                }
            },
        ))
    }

    /// How it stands with it; nothing where it was not declared.
    ///
    /// # Errors
    /// [`CallError`]: the leases' process did not answer.
    pub async fn info(&self) -> Result<Option<ResourceInfo>, CallError> {
        let ask = |reply_to| ToLeases::Info(self.name.clone(), reply_to);
        self.leases.call(ask, self.timeout).await
    }

    /// What has become of all leases of this process, since it was started.
    ///
    /// # Errors
    /// [`CallError`]: the leases' process did not answer.
    pub async fn counts(&self) -> Result<LeaseCounts, CallError> {
        self.leases.call(ToLeases::Counts, self.timeout).await
    }
}

/// A wish for which no answer has come: dropped so, it is taken back.
struct Wished {
    leases: Address<ToLeases>,
    wish: Wish,
    is_open: Cell<bool>,
}

impl Drop for Wished {
    fn drop(&mut self) {
        // Of a process that has ended the leases hear in another way.
        if self.is_open.get() && may_act() {
            self.leases.send(ToLeases::Leave(self.wish));
        }
    }
}

/// A lease: its holder may count on one place of a resource until it is over, and no longer.
///
/// It is counted from before it was granted, on the monotonic clock of the holder's node, and a little short
/// (see [`LeaseSettings::drift`]): so a holder knows that its lease is over before anybody else is granted
/// its place. But between a look at [`Lease::is_held`] and what is done then, a process may be paused, and
/// what it has sent may be on its way for long. So what it does elsewhere names its [`Fencing`], and
/// [`Fences`](super::Fences) stand there.
///
/// It belongs to the process that acquired it, and its place is free when that ends. Another process to which
/// it is moved holds it once it has renewed it. Dropped, it is given back.
pub struct Lease {
    leases: Address<ToLeases>,
    timeout: Duration,
    fencing: Fencing,
    /// For how long it may be counted on, from when it was asked for.
    trusted: Duration,
    /// The process that acquired or renewed it last.
    holder: Cell<Pid>,
    until: Cell<Time>,
    is_back: Cell<bool>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({})", self.fencing)
    }
}

impl Lease {
    /// Whether it is held now.
    ///
    /// # Panics
    /// Outside a process.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.left().is_zero()
    }

    /// How long it may still be counted on, by the clock of this node; zero where it is over.
    ///
    /// # Panics
    /// Outside a process.
    #[must_use]
    pub fn left(&self) -> Duration {
        let own = own_context();
        if self.holder.get() != own.pid() {
            return Duration::ZERO;
        }
        self.until.get().since(own.now())
    }

    /// What is shown with each effect elsewhere: the resource, the place, and the token.
    #[must_use]
    pub fn fencing(&self) -> &Fencing {
        &self.fencing
    }

    /// Renews it: it is as long as a new one from now on.
    ///
    /// # Errors
    /// [`LeaseError`]: it is over; or there was no answer, and what is left of it is left.
    pub async fn renew(&self) -> Result<(), LeaseError> {
        self.renew_within(self.timeout).await
    }

    async fn renew_within(&self, timeout: Duration) -> Result<(), LeaseError> {
        let (own, asked) = (own_context().pid(), own_context().now());
        if self.holder.replace(own) != own {
            // From now on the leases hear of this process's end, and no more of the other's.
            self.until.set(Time::ZERO);
        }
        let ask = |reply_to| ToLeases::Renew(self.fencing.clone(), reply_to);
        let answer = self.leases.call(ask, timeout).await;
        let renewed = answer.unwrap_or_else(|error| Err(LeaseError::Server(error)));
        match renewed {
            Ok(()) => self.until.set(self.until.get().max(asked + self.trusted)),
            Err(LeaseError::NotHeld) => self.until.set(Time::ZERO),
            Err(LeaseError::Server(_)) => {}
        }
        renewed
    }

    /// Does some work, and renews the lease meanwhile, each time when a third of it has passed. When it is
    /// over all the same the work is dropped where it waits.
    ///
    /// Work that hangs holds the lease for ever: give it a timeout, or renew by hand as it goes forward.
    ///
    /// # Errors
    /// [`LeaseError::NotHeld`]: it is over.
    ///
    /// ```
    /// # use netsplit::mail::MemoryStore;
    /// # use netsplit::mail::lease::{LeaseSettings, Leases, Resource};
    /// # use netsplit::{Context, ExitReason, Scenario, secs};
    /// # let scenario = Scenario::new("report").client("office", |ctx: Context| async move {
    /// # let leases = Leases::new("leases", |_| Ok(MemoryStore::new()));
    /// # let leases = leases.resource("report", LeaseSettings::new(secs(10)));
    /// # let report = Resource::new(leases.start_link(&ctx).await?, "report");
    /// let lease = report.acquire().await?;
    /// let pages = lease.during(async {
    ///     ctx.sleep(secs(60)).await;
    ///     12
    /// });
    /// assert_eq!(pages.await, Ok(12));
    /// assert!(lease.is_held());
    /// # Ok::<(), ExitReason>(())
    /// # }).finally("it ended", |_| true);
    /// # assert!(scenario.run(7).unwrap().is_ok());
    /// ```
    pub async fn during<R>(&self, work: impl Future<Output = R>) -> Result<R, LeaseError> {
        let (mut work, mut kept) = (pin!(work), pin!(self.keep()));
        poll_fn(|cx| {
            if kept.as_mut().poll(cx).is_ready() || !self.is_held() {
                return Poll::Ready(Err(LeaseError::NotHeld));
            }
            work.as_mut().poll(cx).map(Ok)
        })
        .await
    }

    /// Renews it again and again, until it is over.
    async fn keep(&self) {
        while self.is_held() {
            let left = self.left();
            let wait = left.saturating_sub(self.trusted * 2 / 3);
            if !wait.is_zero() {
                own_context().sleep(wait).await;
            } else if self.renew_within(self.timeout.min(left)).await.is_err() {
                // One that fails at once is not tried again at once.
                let pause = (self.trusted / 20).max(Duration::from_nanos(1));
                own_context().sleep(pause.min(self.left())).await;
            }
        }
    }

    /// Gives it back, and waits until that is stored.
    ///
    /// # Errors
    /// [`LeaseError::NotHeld`]: it was over before, and somebody else may have held the place since;
    /// [`LeaseError::Server`]: whether it is free now is not known, and it is at the latest when it is over.
    pub async fn release(self) -> Result<(), LeaseError> {
        let ask = |reply_to| ToLeases::ReleaseNow(self.fencing.clone(), reply_to);
        let answer = self.leases.call(ask, self.timeout).await;
        self.is_back.set(answer.is_ok());
        answer.unwrap_or_else(|error| Err(LeaseError::Server(error)))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Of a process that has ended the leases hear in another way.
        if !self.is_back.get() && may_act() {
            self.leases.send(ToLeases::Release(self.fencing.clone()));
        }
    }
}
