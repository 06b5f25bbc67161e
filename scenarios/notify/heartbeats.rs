//! Workers with a heartbeat.
//!
//! A dispatcher hands events out to pods, one at a time to each. Pods send heartbeats. A pod that was not
//! heard of for a while is dead, and its event goes to another, as a retry. A pod works on an event for a
//! while, between two statements in the database: it begins, it finishes.
//!
//! But a heartbeat tells nothing about the work. A pod that stops for a moment (a collection of garbage, a
//! host that gives its processor to others) is silent, is taken for dead, and goes on where it was: now
//! two pods work on one event. And a pod whose work hangs (its client waits for an answer of the database
//! that was lost, without a time-out) has a fine heartbeat, for ever: healthy, but not processing.
//!
//! The cure is not a better heartbeat: from silence nobody can tell the slow from the dead. It is that the
//! database knows which retry is the newest, and takes nothing from an older one; then an event may be taken
//! from a pod at any time, also for the reason that its work takes too long.

use super::storm;
use netsplit::{
    Address, CallError, Context, ExitReason, Faults, Flow, GenServer, PacketFault, PacketKind,
    Received, Refusal, ReplyTo, Scenario, Server, Time, View, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

type Event = u32;

/// An event for a pod: the how-manieth retry of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Job {
    event: Event,
    retries: u32,
}

#[derive(Debug, Serialize, Deserialize)]
enum ToDispatcher {
    Event(Event),
    Heartbeat(Address<Job>),
    Finished(Address<Job>, Job),
}

#[derive(Debug, Serialize, Deserialize)]
enum Step {
    Begins,
    Finishes,
}

/// A statement of a pod: what it does with an event. Answered when it is executed.
type Statement = (Step, Job, ReplyTo<()>);

/// Where the two forms differ.
#[derive(Clone, Copy)]
struct Design {
    /// The `WHERE` of each statement: whether this job may touch the row of its event.
    may_write: fn(&Row, Job) -> bool,
    /// How long the dispatcher waits for the work of a pod that has a heartbeat, and a pod for an answer.
    patience: Duration,
}

/// Heartbeats tell everything.
const TRUST_IN_HEARTBEATS: Design = Design {
    may_write: |_, _| true,
    patience: secs(3600),
};
/// Heartbeats are for speed only: the database knows which retry counts.
const FENCES: Design = Design {
    may_write: |row, job| !row.is_done && job.retries >= row.latest,
    patience: secs(1),
};

const DISPATCHER: &str = "dispatcher";
const DB: &str = "db";
const PODS: [&str; 3] = ["pod_1", "pod_2", "pod_3"];
const EVENTS: Event = 20;
const HEARTBEAT_EVERY: Duration = millis(200);
const DEAD_AFTER: Duration = millis(500);
const WORK: Duration = millis(150);
const EXCLUSIVE: &str = "no two workers on one event";
const DONE: &str = "every event is done";

// ---- the dispatcher

/// What a pod is, as far as the dispatcher knows.
enum State {
    Idle,
    Busy(Job, Time),
}

struct Pod {
    state: State,
    heard: Time,
}

#[derive(Default)]
struct Dispatcher {
    waiting: VecDeque<Job>,
    pods: BTreeMap<Address<Job>, Pod>,
}

impl Dispatcher {
    fn take(&mut self, message: ToDispatcher, now: Time) {
        match message {
            ToDispatcher::Event(event) => self.waiting.push_back(Job { event, retries: 0 }),
            ToDispatcher::Heartbeat(address) => {
                let state = State::Idle;
                let pod = self
                    .pods
                    .entry(address)
                    .or_insert(Pod { state, heard: now });
                pod.heard = now;
            }
            ToDispatcher::Finished(address, job) => {
                if let Some(pod) = self.pods.get_mut(&address)
                    && matches!(pod.state, State::Busy(its, _) if its == job)
                {
                    pod.state = State::Idle;
                }
            }
        }
    }

    /// Takes events back from pods that are dead, or busy for longer than it has patience.
    fn take_back(&mut self, ctx: &Context<ToDispatcher>, patience: Duration) {
        let now = ctx.now();
        self.pods.retain(|address, pod| {
            let dead = now.since(pod.heard) > DEAD_AFTER;
            if let State::Busy(Job { event, retries }, since) = pod.state
                && (dead || now.since(since) > patience)
            {
                ctx.note(format_args!("takes event {event} back from {address:?}"));
                let retries = retries + 1;
                self.waiting.push_front(Job { event, retries });
                pod.state = State::Idle;
            }
            !dead
        });
    }

    fn hand_out(&mut self, now: Time) {
        let idle = |(_, pod): &(_, &mut Pod)| matches!(pod.state, State::Idle);
        for (address, pod) in self.pods.iter_mut().filter(idle) {
            let Some(job) = self.waiting.pop_front() else {
                return;
            };
            address.send(job);
            pod.state = State::Busy(job, now);
        }
    }
}

async fn dispatcher(ctx: Context<ToDispatcher>, patience: Duration) -> Result<(), ExitReason> {
    ctx.register(DISPATCHER).map_err(ExitReason::error)?;
    let mut dispatcher = Dispatcher::default();
    loop {
        if let Some(Received::Message(message)) = ctx.receive_within(HEARTBEAT_EVERY).await {
            dispatcher.take(message, ctx.now());
        }
        dispatcher.take_back(&ctx, patience);
        dispatcher.hand_out(ctx.now());
    }
}

// ---- pods

async fn pod(ctx: Context<Job>, patience: Duration) -> Result<(), ExitReason> {
    ctx.register("worker").map_err(ExitReason::error)?;
    let me = ctx.address();
    let dispatcher = Address::named(DISPATCHER, DISPATCHER);
    ctx.spawn_link(move |ctx| heart(ctx, me));
    loop {
        let job = ctx.receive_message().await;
        if work(&ctx, job, patience).await.is_ok() {
            dispatcher.send(ToDispatcher::Finished(me, job));
        }
    }
}

async fn heart(ctx: Context, worker: Address<Job>) -> Result<(), ExitReason> {
    ctx.register("heart").map_err(ExitReason::error)?;
    let dispatcher = Address::named(DISPATCHER, DISPATCHER);
    loop {
        dispatcher.send_as(PacketKind::Heartbeat, ToDispatcher::Heartbeat(worker));
        ctx.sleep(HEARTBEAT_EVERY).await;
    }
}

async fn work(ctx: &Context<Job>, job: Job, patience: Duration) -> Result<(), CallError> {
    let db = Address::<Statement>::named(DB, DB);
    db.call(|done| (Step::Begins, job, done), patience).await?;
    ctx.sleep(WORK).await;
    db.call(|done| (Step::Finishes, job, done), patience).await
}

// ---- the database

/// What the database has of an event.
#[derive(Default)]
struct Row {
    /// The retry whose statement was the last to be executed.
    latest: u32,
    is_done: bool,
    /// Whether a worker finished it after another had begun or finished.
    had_two_workers: bool,
    /// Who has done what when, for people.
    log: Vec<String>,
}

struct Db {
    rows: BTreeMap<Event, Row>,
    may_write: fn(&Row, Job) -> bool,
}

impl GenServer for Db {
    type Args = fn(&Row, Job) -> bool;
    type Message = Statement;

    async fn init(may_write: Self::Args, _: &mut Context<Statement>) -> Result<Db, Refusal> {
        let rows = BTreeMap::new();
        Ok(Db { rows, may_write })
    }

    async fn handle(&mut self, statement: Statement, ctx: &mut Context<Statement>) -> Flow {
        let (step, job, done) = statement;
        let row = self.rows.entry(job.event).or_default();
        if (self.may_write)(row, job) {
            let what = match step {
                Step::Begins => "begins",
                Step::Finishes => {
                    row.had_two_workers |= row.is_done || row.latest != job.retries;
                    row.is_done = true;
                    "finishes"
                }
            };
            row.latest = job.retries;
            let (pod, at, retry) = (done.caller().node(), ctx.now(), job.retries);
            row.log
                .push(format!("{pod} {what} at {at} (retry {retry})"));
        }
        done.reply(());
        Flow::Next
    }
}

fn no_two_workers_on_one_event(view: &View) -> Result<(), String> {
    let first = |db: &Db| {
        let (event, row) = db.rows.iter().find(|(_, row)| row.had_two_workers)?;
        Some(format!("event {event}: {}", row.log.join("; ")))
    };
    let found = view.server(DB, DB, first);
    found.ok().flatten().map_or(Ok(()), Err)
}

fn every_event_is_done(view: &View) -> Result<(), String> {
    let first_undone = |db: &Db| {
        let done = |event: &Event| db.rows.get(event).is_some_and(|row| row.is_done);
        (1..=EVENTS).find(|event| !done(event))
    };
    match view.server(DB, DB, first_undone) {
        Ok(None) => Ok(()),
        Ok(Some(event)) => Err(format!("nobody has done event {event}")),
        Err(unreadable) => Err(format!("the database: {unreadable}")),
    }
}

/// Events as they happen elsewhere.
async fn accounts(ctx: Context) {
    let dispatcher = Address::named(DISPATCHER, DISPATCHER);
    for event in 1..=EVENTS {
        dispatcher.send(ToDispatcher::Event(event));
        ctx.sleep(millis(100)).await;
    }
}

fn scenario(name: &str, design: Design) -> Scenario {
    let Design {
        may_write,
        patience,
    } = design;
    let scenario = Scenario::new(name)
        .node(DISPATCHER, move |ctx| dispatcher(ctx, patience))
        .node(DB, move |ctx| {
            Server::<Db>::with(may_write).name(DB).run(ctx)
        })
        .client("accounts", accounts)
        .always(EXCLUSIVE, no_two_workers_on_one_event)
        .finally(DONE, every_event_is_done);
    PODS.iter().fold(scenario, |scenario, name| {
        scenario.node(name, move |ctx| pod(ctx, patience))
    })
}

/// Answers of the database that never come.
fn lost_answers() -> PacketFault {
    PacketFault::never_answer()
        .from(DB)
        .during(millis(700)..millis(730))
}

/// The broken form: pods that are slow for a moment.
pub(crate) fn slow() -> Scenario {
    scenario("notify/heartbeats", TRUST_IN_HEARTBEATS)
        .summary("a pod that is slow is taken for dead: its event goes to another, and both do it")
        .broken(EXCLUSIVE)
        .faults(
            Faults::calm()
                .pause(secs(4), millis(500))
                .spare(DISPATCHER)
                .spare(DB),
        )
        .horizon(secs(8))
}

/// The same broken form: a pod whose work hangs.
pub(crate) fn hung() -> Scenario {
    scenario("notify/heartbeats_hung", TRUST_IN_HEARTBEATS)
        .summary("a pod whose work hangs has a heartbeat: healthy, but not processing")
        .broken(DONE)
        .faults(Faults::calm().packets(lost_answers()))
        .horizon(secs(8))
}

/// The sound form, under every fault.
pub(crate) fn fenced() -> Scenario {
    scenario("notify/heartbeats_fenced", FENCES)
        .summary("the same heartbeats, and a database that takes nothing from an older retry")
        .faults(storm().packets(lost_answers()).spare(DISPATCHER).spare(DB))
        .horizon(secs(20))
}
