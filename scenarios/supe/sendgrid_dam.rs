//! A dam: webhooks come in bursts, and the main app takes few connections.
//!
//! SendGrid posts webhooks to the dam's HTTP server, which persists them in RabbitMQ and says OK. A
//! forwarder starts when there is work, posts what is in the queue to the main app, and stops when it was
//! idle for 30 s. A retrier looks every 5 minutes whether something was left. Who posts to the main app
//! needs one of its connections, which a lock grants.
//!
//! As built, the lock is a number: so many are out. Who dies with a connection never gives it back, and
//! before long there is none, for nobody. The webhooks stay in RabbitMQ.
//!
//! And the forwarder stops by itself. Its last act is to say goodbye to the main app; until that is over it
//! has its name, and the HTTP server, which has a new webhook, sees that it is there and tells it. Nobody
//! listens any more. Five minutes later the retrier looks.
//!
//! Built right, a connection is leased: it comes back by itself, and never while its holder counts on it.
//! And who starts the forwarder stops it: it says that it is idle, and the HTTP server, which knows whether
//! something came meanwhile, has it stopped before it looks at the next webhook.

use crate::mail::store;
use netsplit::mail::lease::{LeaseSettings, Leases, Resource};
use netsplit::mail::queue::{Broker, Queue, QueueSettings};
use netsplit::otp::process;
use netsplit::{
    Address, Context, ExitReason, Faults, Flow, GenServer, Pid, Refusal, ReplyTo, Scenario, Server,
    Supervisor, SupervisorRef, Time, View, child, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

type Webhook = u32;

const CONNECTIONS: u32 = 1;
const BURST: Webhook = 8;
const IDLE: Duration = secs(30);
const RETRY: Duration = secs(300);
const FAULTS: Duration = secs(180);
const REACHES: &str = "every accepted webhook reaches the app";
const BOUNDED: &str = "the app has no more connections than it takes";
const WAKES: &str = "no webhook waits until the retrier looks";

/// What is built right.
#[derive(Clone, Copy, Default)]
struct Right {
    /// Connections are leased.
    leases: bool,
    /// The forwarder is stopped by who starts it.
    stops: bool,
}

fn webhooks() -> Queue<Webhook> {
    Queue::new(Address::named("rabbit", "broker"), "webhooks").timeout(secs(2))
}

// ---- SendGrid, and the main app

async fn sendgrid(ctx: Context) {
    let http_server = Address::named("dam", "http_server");
    for webhook in 1..=2 * (BURST + 1) {
        while http_server
            .call(|ok| ToHttp::Webhook(webhook, ok), secs(5))
            .await
            .is_err()
        {
            ctx.sleep(secs(1)).await;
        }
        let now = ctx.now();
        ctx.observe("accepted", |all: &mut BTreeMap<Webhook, Time>| {
            all.insert(webhook, now);
        });
        // A burst, then a single one about when the forwarder is idle, then nothing for a while.
        match webhook % (BURST + 1) {
            BURST => ctx.sleep(secs(34) + millis(ctx.random_below(2_000))).await,
            0 => ctx.sleep(secs(120)).await,
            _ => {}
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
enum ToApp {
    Webhook(Webhook, ReplyTo<()>),
    Goodbye(ReplyTo<()>),
}

async fn app(ctx: Context<ToApp>) -> Result<(), ExitReason> {
    ctx.register("app").map_err(ExitReason::error)?;
    loop {
        match ctx.receive_message().await {
            ToApp::Webhook(webhook, ok) => {
                ctx.sleep(millis(500)).await;
                ctx.observe("reached", |all: &mut BTreeSet<Webhook>| {
                    all.insert(webhook);
                });
                ok.reply(());
            }
            ToApp::Goodbye(ok) => ok.reply(()),
        }
    }
}

// ---- the HTTP server

#[derive(Debug, Serialize, Deserialize)]
enum ToHttp {
    Webhook(Webhook, ReplyTo<()>),
    /// The forwarder has had nothing to do for a while.
    Idle,
}

struct HttpServer {
    right: Right,
    /// Whether the forwarder runs, as far as is known.
    runs: bool,
    /// Whether a webhook came since the forwarder was idle.
    is_busy: bool,
}

impl HttpServer {
    async fn wake_forwarder(&mut self, ctx: &Context<ToHttp>) {
        let runs = match self.right.stops {
            true => self.runs,
            false => ctx.whereis("forwarder").is_some(),
        };
        (self.runs, self.is_busy) = (true, true);
        if !runs {
            // There is an error for one that runs after all.
            let forwarders = SupervisorRef::at(ctx.node(), "forwarders");
            if forwarders.restart_child("forwarder").await.is_ok() {
                return;
            }
        }
        Address::at(ctx.node(), "forwarder").send(());
    }
}

impl GenServer for HttpServer {
    type Args = Right;
    type Message = ToHttp;

    async fn init(right: Right, _: &mut Context<ToHttp>) -> Result<HttpServer, Refusal> {
        Ok(HttpServer {
            right,
            runs: false,
            is_busy: true,
        })
    }

    async fn handle(&mut self, message: ToHttp, ctx: &mut Context<ToHttp>) -> Flow {
        match message {
            // Where it is not persisted there is no OK, and it is posted again.
            ToHttp::Webhook(webhook, ok) => {
                if webhooks().publish(&webhook).await.is_ok() {
                    ok.reply(());
                    self.wake_forwarder(ctx).await;
                }
            }
            ToHttp::Idle if self.is_busy => self.is_busy = false,
            ToHttp::Idle => {
                let forwarders = SupervisorRef::at(ctx.node(), "forwarders");
                let stopped = forwarders.terminate_child("forwarder").await;
                self.runs = stopped.is_err();
            }
        }
        Flow::Next
    }
}

// ---- who forwards

async fn forwarder(ctx: Context<()>, right: Right) -> Result<(), ExitReason> {
    ctx.register("forwarder").map_err(ExitReason::error)?;
    loop {
        while forward_all(&ctx, "forwarder", right).await.is_err() {
            ctx.sleep(secs(1)).await;
        }
        match ctx.receive_within(IDLE).await {
            Some(_) => {}
            None if right.stops => Address::at(ctx.node(), "http_server").send(ToHttp::Idle),
            None => {
                let app = Address::named("app", "app");
                let _ = app.call(ToApp::Goodbye, secs(5)).await;
                return Ok(());
            }
        }
    }
}

async fn retrier(ctx: Context, right: Right) -> Result<(), ExitReason> {
    ctx.register("retrier").map_err(ExitReason::error)?;
    loop {
        ctx.sleep(RETRY).await;
        // What fails now is for the next time.
        let _ = forward_all(&ctx, "retrier", right).await;
    }
}

/// Posts all that is in the queue to the main app.
async fn forward_all<M: netsplit::Message>(
    ctx: &Context<M>,
    who: &'static str,
    right: Right,
) -> Result<(), ExitReason> {
    while webhooks()
        .info()
        .await?
        .is_some_and(|info| info.waiting > 0)
    {
        let mut consumer = webhooks().consume(1).await?;
        let webhook = consumer.next().await?;
        let post = async {
            connected(ctx, who, true);
            let app = Address::named("app", "app");
            let posts = |ok| ToApp::Webhook(*webhook.message(), ok);
            while app.call(posts, secs(2)).await.is_err() {
                ctx.sleep(secs(1)).await;
            }
        };
        if right.leases {
            let lease = connection().acquire_within(secs(60)).await?;
            let posted = lease.during(post).await;
            connected(ctx, who, false);
            posted.map_err(ExitReason::error)?;
        } else {
            let lock = Address::at(ctx.node(), "connection_lock");
            lock.call(ToLock::Lock, secs(60)).await?;
            post.await;
            connected(ctx, who, false);
            lock.send(ToLock::Unlock);
        }
        webhook.ack();
    }
    Ok(())
}

/// Who has a connection, as the properties see it.
type Connected = BTreeMap<&'static str, Pid>;

fn connected<M: netsplit::Message>(ctx: &Context<M>, who: &'static str, is_connected: bool) {
    let pid = ctx.pid();
    ctx.observe("connected", |all: &mut Connected| {
        match is_connected {
            true => all.insert(who, pid),
            false => all.remove(who),
        };
    });
}

// ---- connections

#[derive(Debug, Serialize, Deserialize)]
enum ToLock {
    Lock(ReplyTo<()>),
    Unlock,
}

/// The lock as built.
struct Lock {
    free: u32,
    waiting: VecDeque<ReplyTo<()>>,
}

impl GenServer for Lock {
    type Args = ();
    type Message = ToLock;

    async fn init((): (), _: &mut Context<ToLock>) -> Result<Lock, Refusal> {
        Ok(Lock {
            free: CONNECTIONS,
            waiting: VecDeque::new(),
        })
    }

    async fn handle(&mut self, message: ToLock, _: &mut Context<ToLock>) -> Flow {
        match message {
            ToLock::Lock(granted) => self.waiting.push_back(granted),
            ToLock::Unlock => self.free += 1,
        }
        while self.free > 0
            && let Some(granted) = self.waiting.pop_front()
        {
            self.free -= 1;
            granted.reply(());
        }
        Flow::Next
    }
}

/// The connections, leased.
fn connection() -> Resource {
    Resource::new(Address::named("dam", "connection_lock"), "connection")
}

// ---- the tree, and the scenarios

fn tree() -> Supervisor {
    Supervisor::one_for_one().intensity(100, secs(10))
}

fn dam(right: Right) -> Supervisor {
    let dam = match right.leases {
        true => tree().child(child("connection_lock", || {
            let leased = LeaseSettings::new(secs(10)).places(CONNECTIONS);
            Leases::new("connection_lock", |ctx| store(&ctx)).resource("connection", leased)
        })),
        false => tree().child(child("connection_lock", || {
            Server::<Lock>::with(()).name("connection_lock")
        })),
    };
    dam.child(child("http_server", move || {
        Server::<HttpServer>::with(right).name("http_server")
    }))
    .child(child("forwarders", move || {
        let forwarder = move || process(move |ctx| forwarder(ctx, right));
        tree()
            .name("forwarders")
            .child(child("forwarder", forwarder).transient())
    }))
    .child(child("retrier", move || {
        process(move |ctx| retrier(ctx, right))
    }))
}

fn accepted(view: &View) -> impl Iterator<Item = (Webhook, Time)> {
    let accepted = view.observed::<BTreeMap<Webhook, Time>>("accepted");
    let reached = view.observed::<BTreeSet<Webhook>>("reached");
    let waits = move |webhook: &Webhook| !reached.is_some_and(|all| all.contains(webhook));
    let accepted = accepted.into_iter().flatten();
    accepted
        .map(|(webhook, at)| (*webhook, *at))
        .filter(move |(webhook, _)| waits(webhook))
}

fn all_have_reached_it(view: &View) -> Result<(), String> {
    match accepted(view).next() {
        Some((webhook, at)) => Err(format!("webhook {webhook}, accepted at {at}, never did")),
        None => Ok(()),
    }
}

/// None waits for longer than it takes to notice that a peer is silent, once the faults have stopped.
fn none_waits(view: &View) -> Result<(), String> {
    let since = |at: Time| view.now().since(at.max(Time::ZERO + FAULTS));
    match accepted(view).find(|(_, at)| *at < view.now() && since(*at) > secs(90)) {
        Some((webhook, at)) => Err(format!("webhook {webhook} waits since {at}")),
        None => Ok(()),
    }
}

fn is_bounded(view: &View) -> bool {
    let connected = view
        .observed::<Connected>("connected")
        .into_iter()
        .flatten();
    let living = connected.filter(|(who, pid)| view.whereis("dam", who) == Some(**pid));
    living.count() <= CONNECTIONS as usize
}

fn scenario(name: &str, right: Right) -> Scenario {
    Scenario::new(name)
        .node("dam", move |ctx| dam(right).run(ctx))
        .node("rabbit", |ctx| {
            let broker =
                || Broker::new("broker", |ctx| store(ctx)).queue("webhooks", QueueSettings::new());
            tree().child(child("broker", broker)).run(ctx)
        })
        .node("app", |ctx| {
            tree().child(child("app", || process(app))).run(ctx)
        })
        .client("sendgrid", sendgrid)
        .horizon(secs(400))
        .quiet(secs(400) - FAULTS)
        .always(BOUNDED, is_bounded)
        .finally(REACHES, all_have_reached_it)
}

/// The broken form: now and then a process is killed.
pub(crate) fn as_built() -> Scenario {
    scenario("supe/sendgrid_dam", Right::default())
        .summary("a lock that counts connections: who dies with one never gives it back")
        .faults(Faults::calm().kill_processes(secs(10)))
        .broken(REACHES)
}

/// The broken form after that was mended, without any fault.
pub(crate) fn wake_up() -> Scenario {
    let right = Right {
        leases: true,
        stops: false,
    };
    scenario("supe/sendgrid_dam_wake_up", right)
        .summary("a forwarder that stops when it is idle, and is told of work while it does")
        .always(WAKES, none_waits)
        .broken(WAKES)
}

/// The sound form. No node is paused or slow, and no timer late: so the properties see a lease end when its
/// holder does.
pub(crate) fn sound() -> Scenario {
    let right = Right {
        leases: true,
        stops: true,
    };
    scenario("supe/sendgrid_dam_leased", right)
        .summary(
            "connections are leased, and who starts the forwarder stops it: no webhook is left",
        )
        .always(WAKES, none_waits)
        .faults(
            Faults::calm()
                .lose(0.3)
                .duplicate(0.5)
                .reorder(0.1, secs(1))
                .crash(secs(30), secs(1))
                .crash_calls(100)
                .power_cut(secs(60), secs(2))
                .stop(secs(60), secs(1))
                .zombie(secs(90), secs(5))
                .partition(secs(30), secs(5))
                .break_connections(secs(20))
                .drift(200)
                .step_clocks(secs(60), secs(10))
                .kill_processes(secs(10))
                .swarm(),
        )
}
