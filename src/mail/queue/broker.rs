//! The broker: the process that keeps queues, on a store.

use super::fate::{ConsumeError, DeclareError, PublishError, SettleError};
use super::rules::{Bounds, Effect, Fate, Incoming, State, Tag, Turn};
use super::settings::QueueSettings;
use super::stored::{self, Record};
use super::wire::{Carried, Publication, ToBroker};
use crate::kernel::nanos;
use crate::mail::store::{Store, StoreError};
use crate::otp::{Flow, GenServer, Refusal, Server, StartError, Startable, Starting};
use crate::process::{Address, Context, ExitReason, Info, Message, MonitorRef, ReplyTo};
use crate::trace::{LetterId, Mailed, Pid};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// How many messages share one commit, at most.
const GROUP_MOST: usize = 1_024;
/// How long a consumer may have a letter unsettled: RabbitMQ's `consumer_timeout`.
const ACK_TIMEOUT_NS: u64 = 30 * 60 * 1_000_000_000;

/// A broker, as it is started: a process that keeps durable queues in a store, and is found by its name.
///
/// What waits in its mailbox is taken together: one commit for all of it, and only then the confirms and the
/// deliveries. Where its store fails it ends, and whoever supervises it starts it again: it opens the store
/// anew, and every letter that was with a consumer waits at its place.
///
/// ```
/// use netsplit::mail::MemoryStore;
/// use netsplit::mail::queue::{Broker, Queue, QueueSettings};
/// use netsplit::{Context, ExitReason, Scenario};
///
/// let scenario = Scenario::new("orders")
///     .client("shop", |ctx: Context| async move {
///         let broker = Broker::new("broker", |_| Ok(MemoryStore::new())).start_link(&ctx).await?;
///         let orders = Queue::<String>::new(broker, "orders");
///         orders.declare(QueueSettings::new()).await?;
///         orders.publish(&"a lamp".to_owned()).await?; // Answers when it is stored.
///
///         let mut consumer = orders.consume(10).await?;
///         let order = consumer.next().await?;
///         assert_eq!(order.message(), "a lamp");
///         order.ack(); // It is forgotten; before, it would have come back.
///         Ok::<(), ExitReason>(())
///     })
///     .finally("it ended", |_| true);
/// assert!(scenario.run(7).unwrap().is_ok());
/// ```
pub struct Broker<S, O> {
    name: String,
    open: O,
    bounds: Bounds,
    queues: Vec<(String, QueueSettings)>,
    store: PhantomData<fn() -> S>,
}

impl<S, O> fmt::Debug for Broker<S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Broker({})", self.name)
    }
}

impl<S, O> Broker<S, O>
where
    S: Store,
    O: FnOnce(&mut Context<ToBroker>) -> Result<S, StoreError> + 'static,
{
    /// A broker of this local name, whose process opens its store with `open` when it starts.
    #[must_use]
    pub fn new(name: &str, open: O) -> Broker<S, O> {
        Broker {
            name: name.to_owned(),
            open,
            bounds: Bounds {
                letter_bytes: 16 << 20,
                window: 10_000,
                ack_timeout_ns: ACK_TIMEOUT_NS,
            },
            queues: Vec::new(),
            store: PhantomData,
        }
    }

    /// Declares a queue when it starts, and ends where that cannot be.
    #[must_use]
    pub fn queue(mut self, name: &str, settings: QueueSettings) -> Broker<S, O> {
        self.queues.push((name.to_owned(), settings));
        self
    }

    /// How many bytes a letter may have. Default: 16 MiB, RabbitMQ's.
    #[must_use]
    pub fn letter_bytes(mut self, most: u64) -> Broker<S, O> {
        self.bounds.letter_bytes = most;
        self
    }

    /// For how many letters of each queue the broker keeps the place in memory (of 48 bytes each, in an
    /// ordered map); the rest lies in the store. Default: 10,000.
    ///
    /// # Panics
    /// Where it is 0.
    #[must_use]
    pub fn window(mut self, letters: usize) -> Broker<S, O> {
        assert!(letters > 0, "a window of 0 lets no letter be delivered");
        self.bounds.window = letters;
        self
    }

    /// How long a consumer may have a letter before it settles it. One that takes longer, or whose ack was
    /// lost, is cancelled, between one and five quarters of this after it was given the letter, and all that
    /// it has goes back. Default: 30 minutes, RabbitMQ's.
    ///
    /// # Panics
    /// Where it is 0.
    #[must_use]
    pub fn ack_timeout(mut self, timeout: Duration) -> Broker<S, O> {
        assert!(
            !timeout.is_zero(),
            "an ack timeout of 0 lets nothing be acked"
        );
        self.bounds.ack_timeout_ns = nanos(timeout);
        self
    }

    fn server(self) -> Server<Serving<S, O>> {
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
    ) -> Result<Address<ToBroker>, StartError> {
        self.server().start(starter).await
    }

    /// Starts it linked to the starter, and waits until its store is open.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub async fn start_link<M: Message>(
        self,
        starter: &Context<M>,
    ) -> Result<Address<ToBroker>, StartError> {
        self.server().start_link(starter).await
    }

    /// Makes the current process the broker; gives the reason of its end.
    pub async fn run(self, ctx: Context<ToBroker>) -> ExitReason {
        self.server().run(ctx).await
    }
}

impl<S, O> Startable for Broker<S, O>
where
    S: Store,
    O: FnOnce(&mut Context<ToBroker>) -> Result<S, StoreError> + 'static,
{
    type Message = ToBroker;

    fn begin<M: Message>(self, starter: &Context<M>) -> Starting<ToBroker> {
        self.server().begin(starter)
    }
}

/// A consumer as the process knows it.
#[derive(Debug)]
struct Consumer {
    /// The call in which it asked to be one.
    asked: (Pid, u32),
    monitor: MonitorRef,
    /// What it has been given, and was not sent as yet.
    out: VecDeque<Record>,
    /// Where it waits for that.
    asks: Option<ReplyTo<Result<Vec<Carried>, ConsumeError>>>,
}

/// What is said once the turn is committed.
#[derive(Debug)]
enum Answer {
    Declared(ReplyTo<Result<(), DeclareError>>, Result<(), DeclareError>),
    Published(
        ReplyTo<Result<LetterId, PublishError>>,
        Result<LetterId, PublishError>,
    ),
    Consumes(
        ReplyTo<Result<u64, ConsumeError>>,
        Result<u64, ConsumeError>,
    ),
    Settled(ReplyTo<Result<(), SettleError>>, Result<(), SettleError>),
}

/// A broker at work.
struct Serving<S, O> {
    store: S,
    state: State,
    turn: Turn,
    answers: Vec<Answer>,
    /// The bodies of the letters of this turn, by their numbers: mostly somebody waits for them.
    fresh: Vec<(u64, Option<Vec<u8>>)>,
    consumers: BTreeMap<Tag, Consumer>,
    monitors: BTreeMap<MonitorRef, Tag>,
    /// Consumers that wait for letters, and may have some now.
    stirred: Vec<Tag>,
    open: PhantomData<fn(O)>,
}

impl<S, O> GenServer for Serving<S, O>
where
    S: Store,
    O: FnOnce(&mut Context<ToBroker>) -> Result<S, StoreError> + 'static,
{
    type Args = Broker<S, O>;
    type Message = ToBroker;

    async fn init(args: Broker<S, O>, ctx: &mut Context<ToBroker>) -> Result<Self, Refusal> {
        let mut store = (args.open)(ctx).map_err(ExitReason::error)?;
        ctx.keeps_mail();
        let mut turn = Turn {
            now: wall_ns(ctx),
            ..Turn::default()
        };
        let origin =
            || ctx.mail_origin(&format!("{}@{}/{:x}", args.name, ctx.node(), ctx.random()));
        let opened = State::open(&store, args.bounds, origin, &mut turn);
        let mut state = opened.map_err(ExitReason::error)?;
        for (name, settings) in args.queues {
            state.declare(&name, settings, &mut turn)?;
        }
        store.commit(&turn.batch).map_err(ExitReason::error)?;
        turn.batch.clear();
        Ok(Serving {
            store,
            state,
            turn,
            answers: Vec::new(),
            fresh: Vec::new(),
            consumers: BTreeMap::new(),
            monitors: BTreeMap::new(),
            stirred: Vec::new(),
            open: PhantomData,
        })
    }

    fn first(&self) -> Flow {
        self.until_a_deadline()
    }

    async fn handle(&mut self, message: ToBroker, ctx: &mut Context<ToBroker>) -> Flow {
        self.clock(ctx);
        self.take(message, ctx);
        for _ in 1..GROUP_MOST {
            let Some(message) = ctx.take_message() else {
                break;
            };
            self.take(message, ctx);
        }
        self.finish(ctx)
    }

    async fn handle_info(&mut self, info: Info, ctx: &mut Context<ToBroker>) -> Flow {
        self.clock(ctx);
        if let Info::Down { monitor, .. } = info
            && let Some(tag) = self.monitors.remove(&monitor)
        {
            self.consumers.remove(&tag);
            self.state.cancel(tag, &mut self.turn);
        } else if info == Info::Redeliver {
            self.state.redeliver(&mut self.turn);
        } else {
            for tag in self.state.overdue(&self.turn) {
                self.cancel(tag, ctx);
            }
            self.state.tick(&mut self.turn);
        }
        self.finish(ctx)
    }

    fn format_status(&self) -> String {
        format!("{:?}", self.state.counts)
    }
}

fn wall_ns(ctx: &Context<ToBroker>) -> u64 {
    u64::try_from(ctx.wall_clock().as_nanos()).unwrap_or(u64::MAX)
}

impl<S: Store, O> Serving<S, O> {
    /// Takes one message: what is to be said of it is said when the turn is committed.
    fn take(&mut self, message: ToBroker, ctx: &Context<ToBroker>) {
        match message {
            ToBroker::Publish(publication, reply_to) => self.publish(publication, reply_to),
            ToBroker::Begin(letter, attempt) => {
                let number = self.own(letter);
                self.state.begin(number, attempt, &mut self.turn);
            }
            ToBroker::Settle(letter, attempt, how) => {
                let number = self.own(letter);
                // What is wrong with it is counted, and told.
                let _ = self.state.settle(number, attempt, how, &mut self.turn);
            }
            ToBroker::SettleNow(letter, attempt, how, reply_to) => {
                let number = self.own(letter);
                let settled = self.state.settle(number, attempt, how, &mut self.turn);
                self.answers.push(Answer::Settled(reply_to, settled));
            }
            ToBroker::Next(tag, reply_to) => self.next(tag, reply_to),
            ToBroker::Declare(name, settings, reply_to) => {
                let declared = self.state.declare(&name, settings, &mut self.turn);
                self.answers.push(Answer::Declared(reply_to, declared));
            }
            ToBroker::Consume(name, prefetch, exclusively, reply_to) => {
                let consumer = (reply_to.call(), prefetch, exclusively);
                let consumes = self.consume(&name, consumer, ctx);
                self.answers.push(Answer::Consumes(reply_to, consumes));
            }
            ToBroker::Cancel(tag) => self.cancel(tag, ctx),
            ToBroker::Disown(pid, call) => {
                let is_it = |consumer: &Consumer| consumer.asked == (pid, call);
                let mut consumers = self.consumers.iter();
                let tag = consumers.find(|(_, consumer)| is_it(consumer));
                if let Some((&tag, _)) = tag {
                    self.cancel(tag, ctx);
                }
            }
            ToBroker::Info(name, reply_to) => reply_to.reply(self.state.info(&name)),
            ToBroker::Counts(reply_to) => reply_to.reply(self.state.counts),
        }
    }

    fn clock(&mut self, ctx: &Context<ToBroker>) {
        self.turn.now = wall_ns(ctx);
        self.turn.uptime = ctx.now().as_nanos();
    }

    /// A consumer is no more.
    fn cancel(&mut self, tag: Tag, ctx: &Context<ToBroker>) {
        if let Some(consumer) = self.consumers.remove(&tag) {
            self.monitors.remove(&consumer.monitor);
            ctx.demonitor(consumer.monitor, true);
            if let Some(reply_to) = consumer.asks {
                reply_to.reply(Err(ConsumeError::Cancelled));
            }
        }
        self.state.cancel(tag, &mut self.turn);
    }

    /// The number of a letter of this store; 0, which none has, of another's.
    fn own(&self, letter: LetterId) -> u64 {
        let is_own = letter == self.state.letter(letter.number);
        if is_own { letter.number } else { 0 }
    }

    fn publish(
        &mut self,
        publication: Publication,
        reply_to: ReplyTo<Result<LetterId, PublishError>>,
    ) {
        let Publication {
            queue,
            body,
            priority,
            deadline,
        } = publication;
        let deadline = deadline.map(|at| u64::try_from(at.as_nanos()).unwrap_or(u64::MAX));
        let incoming = Incoming {
            body,
            priority,
            deadline,
        };
        let number = self.state.publish(&queue, &incoming, &mut self.turn);
        let letter = number.map(|number| {
            self.fresh.push((number, Some(incoming.body)));
            self.state.letter(number)
        });
        self.answers.push(Answer::Published(reply_to, letter));
    }

    fn consume(
        &mut self,
        name: &str,
        (asked, prefetch, exclusively): ((Pid, u32), u32, bool),
        ctx: &Context<ToBroker>,
    ) -> Result<Tag, ConsumeError> {
        let tag = self
            .state
            .consume(name, prefetch, exclusively, &mut self.turn)?;
        let consumer = Consumer {
            asked,
            monitor: ctx.monitor(asked.0),
            out: VecDeque::new(),
            asks: None,
        };
        self.monitors.insert(consumer.monitor, tag);
        self.consumers.insert(tag, consumer);
        Ok(tag)
    }

    fn next(&mut self, tag: Tag, reply_to: ReplyTo<Result<Vec<Carried>, ConsumeError>>) {
        match self.consumers.get_mut(&tag) {
            Some(consumer) => {
                consumer.asks = Some(reply_to);
                self.stirred.push(tag);
            }
            None => reply_to.reply(Err(ConsumeError::Cancelled)),
        }
    }

    /// Commits what was taken, then says and sends what follows; what to do next.
    fn finish(&mut self, ctx: &Context<ToBroker>) -> Flow {
        loop {
            self.state.seal(&mut self.turn);
            if !self.turn.batch.is_empty()
                && let Err(error) = self.store.commit(&self.turn.batch)
            {
                return self.fail(error);
            }
            self.turn.batch.clear();
            let said = self.follow(ctx);
            self.fresh.clear();
            if let Err(error) = said {
                return self.fail(error);
            }
            if !self.state.wants_letters() {
                return self.until_a_deadline();
            }
            if let Err(error) = self.state.fetch(&self.store) {
                return self.fail(error);
            }
            self.state.settle_down(&mut self.turn);
        }
    }

    /// Says and sends what follows from what is committed.
    fn follow(&mut self, ctx: &Context<ToBroker>) -> Result<(), StoreError> {
        for effect in self.turn.effects.drain(..) {
            match effect {
                Effect::Told {
                    number,
                    attempt,
                    what,
                } => {
                    ctx.tell_mail(self.state.letter(number), attempt, mailed(what));
                }
                Effect::Deliver { to, record } => {
                    if let Some(consumer) = self.consumers.get_mut(&to) {
                        consumer.out.push_back(record);
                        self.stirred.push(to);
                    }
                }
            }
        }
        for answer in self.answers.drain(..) {
            match answer {
                Answer::Declared(reply_to, declared) => reply_to.reply(declared),
                Answer::Published(reply_to, letter) => reply_to.reply(letter),
                Answer::Consumes(reply_to, tag) => reply_to.reply(tag),
                Answer::Settled(reply_to, settled) => reply_to.reply(settled),
            }
        }
        for tag in std::mem::take(&mut self.stirred) {
            self.carry(tag, ctx)?;
        }
        Ok(())
    }

    /// Sends a consumer what it was given, where it waits for it.
    fn carry(&mut self, tag: Tag, ctx: &Context<ToBroker>) -> Result<(), StoreError> {
        let Some(consumer) = self.consumers.get_mut(&tag) else {
            return Ok(());
        };
        if consumer.asks.is_none() || consumer.out.is_empty() {
            return Ok(());
        }
        let mut carried = Vec::with_capacity(consumer.out.len());
        for record in consumer.out.drain(..) {
            let (number, attempt) = (record.number, record.attempts);
            // Somebody may have settled it by hand meanwhile.
            if self.state.holds(tag, number, attempt) {
                let letter = self.state.letter(number);
                // Numbers only rise.
                let fresh = self
                    .fresh
                    .binary_search_by_key(&number, |(number, _)| *number);
                let fresh = fresh.ok().and_then(|at| self.fresh[at].1.take());
                carried.push(Carried {
                    letter,
                    attempt,
                    redelivered: record.is_redelivered(),
                    deaths: stored::deaths(&self.store, number, record.deaths)?,
                    body: match fresh {
                        Some(body) => body,
                        None => stored::body(&self.store, number)?,
                    },
                });
                if record.deaths == 0 {
                    ctx.tell_mail(letter, attempt, Mailed::Sent);
                }
            }
        }
        if !carried.is_empty()
            && let Some(reply_to) = consumer.asks.take()
        {
            reply_to.reply(Ok(carried));
        }
        Ok(())
    }

    /// The store has failed: the process ends. What is known not to be stored is refused before.
    fn fail(&mut self, error: StoreError) -> Flow {
        for answer in std::mem::take(&mut self.answers) {
            if let Answer::Published(reply_to, letter) = answer {
                match (letter, &error) {
                    (Err(refused), _) => reply_to.reply(Err(refused)),
                    (Ok(_), StoreError::Full(_)) => reply_to.reply(Err(PublishError::DiskFull)),
                    // Whether it is stored is not known: the caller hears that this process has ended.
                    (Ok(_), _) => {}
                }
            }
        }
        Flow::Stop(ExitReason::error(error))
    }

    /// Waits for the next message, or until the next letter's time is over.
    fn until_a_deadline(&self) -> Flow {
        // A letter may wait until its deadline, and not longer.
        let ends = self.state.next_deadline();
        let ends = ends.map(|at| at.saturating_sub(self.turn.now) + 1);
        let look = self.state.next_look();
        let look = look.map(|at| at.saturating_sub(self.turn.uptime));
        match ends.into_iter().chain(look).min() {
            Some(wait) => Flow::NextWithin(Duration::from_nanos(wait)),
            None => Flow::Next,
        }
    }
}

fn mailed(what: Fate) -> Mailed {
    match what {
        Fate::Accepted => Mailed::accepted(0),
        Fate::Acked => Mailed::Acked,
        Fate::Stale => Mailed::StaleAck,
        Fate::Returned => Mailed::Returned,
        Fate::Dead(why) => Mailed::Dead(why),
    }
}
