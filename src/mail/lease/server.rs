//! The process that grants leases, on a store.

use super::fate::{AcquireError, DeclareError, LeaseError};
use super::rules::{Effect, State, Ticket, Turn};
use super::settings::LeaseSettings;
use super::wire::{Grant, ToLeases, Wish};
use crate::mail::store::{Store, StoreError};
use crate::otp::{Flow, GenServer, Refusal, Server, StartError, Startable, Starting};
use crate::process::{Address, Context, ExitReason, Info, Message, MonitorRef, ReplyTo, Target};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How many messages share one commit, at most.
const GROUP_MOST: usize = 1_024;

/// Opens a store.
type Opener = Box<dyn FnOnce(Context) -> Result<Box<dyn Store>, StoreError>>;

/// Leases, as they are started: a process that grants the places of resources, and is found by its name.
///
/// What waits in its mailbox is taken together: one commit for all of it, and only then the answers. Where
/// its store fails it ends, and whoever supervises it starts it again. What was held then is held: renewals
/// and releases find it; and what nobody renews is free when a whole lease has passed.
///
/// ```
/// use netsplit::mail::MemoryStore;
/// use netsplit::mail::lease::{LeaseSettings, Leases, Resource};
/// use netsplit::{Context, ExitReason, Scenario, secs};
///
/// let scenario = Scenario::new("report")
///     .client("office", |ctx: Context| async move {
///         let leases = Leases::new("leases", |_| Ok(MemoryStore::new())).start_link(&ctx).await?;
///         let report = Resource::new(leases, "report");
///         report.declare(LeaseSettings::new(secs(10))).await?;
///
///         let lease = report.acquire().await?; // Waits for its turn.
///         assert!(lease.is_held());
///         assert!(report.try_acquire().await.is_err());
///         assert_eq!(lease.fencing().token(), 1); // What it does elsewhere says so.
///         lease.release().await?;
///         assert_eq!(report.acquire().await?.fencing().token(), 2);
///         Ok::<(), ExitReason>(())
///     })
///     .finally("it ended", |_| true);
/// assert!(scenario.run(7).unwrap().is_ok());
/// ```
pub struct Leases {
    name: String,
    open: Opener,
    resources: Vec<(String, LeaseSettings)>,
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leases({}, {:?})", self.name, self.resources)
    }
}

impl Leases {
    /// Leases of this local name, whose process opens its store with `open` when it starts. The store is
    /// theirs alone.
    pub fn new<S: Store>(
        name: &str,
        open: impl FnOnce(Context) -> Result<S, StoreError> + 'static,
    ) -> Leases {
        Leases {
            name: name.to_owned(),
            open: Box::new(|ctx| Ok(Box::new(open(ctx)?))),
            resources: Vec::new(),
        }
    }

    /// Declares a resource when it starts, and ends where that cannot be.
    #[must_use]
    pub fn resource(mut self, name: &str, settings: LeaseSettings) -> Leases {
        self.resources.push((name.to_owned(), settings));
        self
    }

    fn server(self) -> Server<Serving> {
        let name = self.name.clone();
        Server::with(self).name(&name)
    }

    /// Starts it, and waits until its store is open.
    ///
    /// # Errors
    /// [`StartError`]: its name is taken, or its store cannot be opened.
    pub async fn start<M: Message>(
        self,
        starter: &Context<M>,
    ) -> Result<Address<ToLeases>, StartError> {
        self.server().start(starter).await
    }

    /// Starts it linked to the starter, and waits until its store is open.
    ///
    /// # Errors
    /// As [`Leases::start`].
    pub async fn start_link<M: Message>(
        self,
        starter: &Context<M>,
    ) -> Result<Address<ToLeases>, StartError> {
        self.server().start_link(starter).await
    }

    /// Makes the current process the leases'; gives the reason of its end.
    pub async fn run(self, ctx: Context<ToLeases>) -> ExitReason {
        self.server().run(ctx).await
    }
}

impl Startable for Leases {
    type Message = ToLeases;

    fn begin<M: Message>(self, starter: &Context<M>) -> Starting<ToLeases> {
        self.server().begin(starter)
    }
}

/// Who waits or holds, as the process knows it.
#[derive(Debug)]
struct Seeker {
    wish: Wish,
    /// Nothing where the way to it was lost.
    monitor: Option<MonitorRef>,
    /// Where it waits.
    reply_to: Option<ReplyTo<Result<Grant, AcquireError>>>,
}

/// What is said once the turn is committed.
#[derive(Debug)]
enum Answer {
    Declared(ReplyTo<Result<(), DeclareError>>, Result<(), DeclareError>),
    Refused(ReplyTo<Result<Grant, AcquireError>>, AcquireError),
    Done(ReplyTo<Result<(), LeaseError>>, Result<(), LeaseError>),
}

/// Leases at work.
struct Serving {
    store: Box<dyn Store>,
    state: State,
    turn: Turn,
    answers: Vec<Answer>,
    seekers: BTreeMap<Ticket, Seeker>,
    by_wish: BTreeMap<Wish, Ticket>,
    by_monitor: BTreeMap<MonitorRef, Ticket>,
}

impl GenServer for Serving {
    type Args = Leases;
    type Message = ToLeases;

    async fn init(args: Leases, ctx: &mut Context<ToLeases>) -> Result<Self, Refusal> {
        let mut store = (args.open)(ctx.untyped()).map_err(ExitReason::error)?;
        let mut turn = Turn {
            now: ctx.now().as_nanos(),
            ..Turn::default()
        };
        let mut state = State::open(&*store, &mut turn).map_err(ExitReason::error)?;
        for (name, settings) in args.resources {
            state.declare(&name, settings, &mut turn)?;
        }
        if !turn.batch.is_empty() {
            store.commit(&turn.batch).map_err(ExitReason::error)?;
            turn.batch.clear();
        }
        Ok(Serving {
            store,
            state,
            turn,
            answers: Vec::new(),
            seekers: BTreeMap::new(),
            by_wish: BTreeMap::new(),
            by_monitor: BTreeMap::new(),
        })
    }

    fn first(&self) -> Flow {
        self.until_an_end()
    }

    async fn handle(&mut self, message: ToLeases, ctx: &mut Context<ToLeases>) -> Flow {
        self.turn.now = ctx.now().as_nanos();
        self.take(message, ctx);
        for _ in 1..GROUP_MOST {
            let Some(message) = ctx.take_message() else {
                break;
            };
            self.take(message, ctx);
        }
        self.finish(ctx)
    }

    async fn handle_info(&mut self, info: Info, ctx: &mut Context<ToLeases>) -> Flow {
        self.turn.now = ctx.now().as_nanos();
        match info {
            Info::Down {
                monitor,
                of,
                reason,
            } => self.gone(monitor, has_ended(of, &reason, ctx)),
            _ => self.state.expire(&mut self.turn),
        }
        self.finish(ctx)
    }

    fn format_status(&self) -> String {
        format!("{:?}", self.state.counts)
    }
}

/// Whether a process of which this is told has ended for certain. The loss of the way to it says nothing of
/// it; nor does another incarnation of its node, which knows no such process, while the old one may run on.
fn has_ended(of: Target, reason: &ExitReason, ctx: &Context<ToLeases>) -> bool {
    let own = ctx.pid();
    let is_here = of
        .pid()
        .is_some_and(|pid| (pid.node(), pid.incarnation()) == (own.node(), own.incarnation()));
    is_here || !matches!(reason, ExitReason::NoConnection | ExitReason::NoProc)
}

impl Serving {
    /// Takes one message: what is to be said of it is said when the turn is committed.
    fn take(&mut self, message: ToLeases, ctx: &Context<ToLeases>) {
        match message {
            ToLeases::Acquire {
                resource,
                wish,
                waits,
                reply_to,
            } => match self.state.acquire(&resource, waits, &mut self.turn) {
                Ok(ticket) => self.seat(ticket, wish, Some(reply_to), ctx),
                Err(error) => self.answers.push(Answer::Refused(reply_to, error)),
            },
            ToLeases::Leave(wish) => {
                if let Some(ticket) = self.by_wish.get(&wish) {
                    self.state.leave(*ticket, &mut self.turn);
                }
            }
            ToLeases::Renew(fencing, reply_to) => {
                let renewed = self.state.renew(&fencing, &mut self.turn);
                let renewed = renewed.map(|ticket| self.heard(ticket, &reply_to, ctx));
                self.answers.push(Answer::Done(reply_to, renewed));
            }
            ToLeases::Release(fencing) => {
                // Of what is over nobody waits to hear; it is counted.
                let _ = self.state.release(&fencing, &mut self.turn);
            }
            ToLeases::ReleaseNow(fencing, reply_to) => {
                let released = self.state.release(&fencing, &mut self.turn);
                self.answers.push(Answer::Done(reply_to, released));
            }
            ToLeases::Declare(name, settings, reply_to) => {
                let declared = self.state.declare(&name, settings, &mut self.turn);
                self.answers.push(Answer::Declared(reply_to, declared));
            }
            ToLeases::Info(name, reply_to) => reply_to.reply(self.state.info(&name)),
            ToLeases::Counts(reply_to) => reply_to.reply(self.state.counts),
        }
    }

    /// Somebody waits or holds from now on: its end is told.
    fn seat(
        &mut self,
        ticket: Ticket,
        wish: Wish,
        reply_to: Option<ReplyTo<Result<Grant, AcquireError>>>,
        ctx: &Context<ToLeases>,
    ) {
        let monitor = ctx.monitor(wish.by);
        self.by_monitor.insert(monitor, ticket);
        self.by_wish.insert(wish, ticket);
        let seeker = Seeker {
            wish,
            monitor: Some(monitor),
            reply_to,
        };
        self.seekers.insert(ticket, seeker);
    }

    /// A holder has renewed: it may be one from before this process was started, one to which the way was
    /// lost, or another process that the lease was handed to.
    fn heard(
        &mut self,
        ticket: Ticket,
        by: &ReplyTo<Result<(), LeaseError>>,
        ctx: &Context<ToLeases>,
    ) {
        let by = by.caller();
        let number = match self.seekers.get(&ticket) {
            Some(seeker) if seeker.wish.by == by && seeker.monitor.is_some() => return,
            Some(seeker) => seeker.wish.number,
            None => 0,
        };
        self.forget(ticket, ctx);
        self.seat(ticket, Wish { by, number }, None, ctx);
    }

    fn gone(&mut self, monitor: MonitorRef, has_ended: bool) {
        let Some(ticket) = self.by_monitor.remove(&monitor) else {
            return self.state.expire(&mut self.turn);
        };
        if let Some(seeker) = self.seekers.get_mut(&ticket) {
            seeker.monitor = None;
        }
        self.state.gone(ticket, has_ended, &mut self.turn);
    }

    fn forget(&mut self, ticket: Ticket, ctx: &Context<ToLeases>) {
        let Some(seeker) = self.seekers.remove(&ticket) else {
            return;
        };
        self.by_wish.remove(&seeker.wish);
        if let Some(monitor) = seeker.monitor {
            self.by_monitor.remove(&monitor);
            ctx.demonitor(monitor, true);
        }
    }

    /// Commits what was taken, then says what follows; what to do next.
    fn finish(&mut self, ctx: &Context<ToLeases>) -> Flow {
        if !self.turn.batch.is_empty()
            && let Err(error) = self.store.commit(&self.turn.batch)
        {
            return self.fail(error);
        }
        self.turn.batch.clear();
        for effect in std::mem::take(&mut self.turn.effects) {
            match effect {
                Effect::Granted(ticket, grant) => {
                    let seeker = self.seekers.get_mut(&ticket);
                    if let Some(reply_to) = seeker.and_then(|seeker| seeker.reply_to.take()) {
                        reply_to.reply(Ok(grant));
                    }
                }
                Effect::Over(ticket) => self.forget(ticket, ctx),
            }
        }
        for answer in std::mem::take(&mut self.answers) {
            match answer {
                Answer::Declared(reply_to, declared) => reply_to.reply(declared),
                Answer::Refused(reply_to, error) => reply_to.reply(Err(error)),
                Answer::Done(reply_to, done) => reply_to.reply(done),
            }
        }
        self.until_an_end()
    }

    /// The store has failed: who waits hears that the disk is full, where that is so. Of all else it is not
    /// known whether it is stored, and the callers hear that this process has ended.
    fn fail(&mut self, error: StoreError) -> Flow {
        if let StoreError::Full(_) = error {
            for effect in std::mem::take(&mut self.turn.effects) {
                if let Effect::Granted(ticket, _) = effect
                    && let Some(seeker) = self.seekers.get_mut(&ticket)
                    && let Some(reply_to) = seeker.reply_to.take()
                {
                    reply_to.reply(Err(AcquireError::DiskFull));
                }
            }
            for answer in std::mem::take(&mut self.answers) {
                match answer {
                    Answer::Declared(reply_to, Ok(())) => {
                        reply_to.reply(Err(DeclareError::DiskFull));
                    }
                    Answer::Declared(reply_to, refused) => reply_to.reply(refused),
                    Answer::Refused(reply_to, error) => reply_to.reply(Err(error)),
                    Answer::Done(..) => {}
                }
            }
        }
        Flow::Stop(ExitReason::error(error))
    }

    /// Waits for the next message, or until the next lease is over.
    fn until_an_end(&self) -> Flow {
        match self.state.next_end() {
            Some(at) => Flow::NextWithin(Duration::from_nanos(at.saturating_sub(self.turn.now))),
            None => Flow::Next,
        }
    }
}
