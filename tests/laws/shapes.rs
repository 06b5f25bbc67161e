//! Clusters of different shapes, under every kind of fault.

use netsplit::{
    Address, Context, Distribution, ExitReason, Faults, Flow, GenServer, Info, MailboxBound,
    Network, Never, Overflow, PacketKind, Path, Received, Refusal, ReplyTo, Scenario, Server,
    Supervisor, TimerRef, child, millis, secs,
};
use serde::{Deserialize, Serialize};

/// Every shape: at least five nodes each.
#[allow(dead_code, reason = "not every test that has these shapes wants all")]
pub(crate) fn all() -> Vec<Scenario> {
    vec![
        ring(),
        star(),
        pairs(),
        family(),
        lockstep(),
        partners(),
        crowd(),
        keepers(),
    ]
}

fn chaos(scenario: Scenario) -> Scenario {
    let faults = Faults::calm()
        .lose(0.05)
        .duplicate(0.05)
        .reorder(0.05, millis(60))
        .crash(secs(1), millis(100))
        .slow(0.2, millis(1))
        .late_timers(millis(3));
    scenario
        .faults(faults)
        .finally("it ended", |_| true)
        .horizon(millis(1200))
        .quiet(millis(100))
}

/// Tokens go round six nodes; each node lets new ones in, and waits a drawn while with each.
pub(crate) fn ring() -> Scenario {
    let names = ["r0", "r1", "r2", "r3", "r4", "r5"];
    let mut scenario = Scenario::new("ring");
    for (index, name) in names.into_iter().enumerate() {
        let next = names[(index + 1) % names.len()];
        scenario = scenario.node(name, move |ctx: Context<u32>| async move {
            ctx.register("ring").expect("a free name");
            loop {
                let hops = match ctx.receive_within(millis(150)).await {
                    Some(Received::Message(hops)) => hops,
                    _ => 0,
                };
                ctx.sleep(millis(ctx.random_below(20))).await;
                if hops < 12 {
                    Address::named(next, "ring").send_datagram(hops + 1);
                }
            }
        });
    }
    chaos(scenario)
}

/// Five clients ask one hub, with timeouts; answers may come too late.
pub(crate) fn star() -> Scenario {
    let mut scenario =
        Scenario::new("star").node("hub", |ctx: Context<(u64, ReplyTo<u64>)>| async move {
            ctx.register("hub").expect("a free name");
            loop {
                let (number, reply_to) = ctx.receive_message().await;
                if number % 3 == 0 {
                    ctx.work(millis(2)).await;
                }
                reply_to.reply(2 * number);
            }
        });
    for name in ["c0", "c1", "c2", "c3", "c4"] {
        scenario = scenario.client(name, |ctx: Context| async move {
            let hub = Address::<(u64, ReplyTo<u64>)>::named("hub", "hub");
            loop {
                let number = ctx.random_below(1000);
                let _ = hub.call(|reply_to| (number, reply_to), millis(15)).await;
                ctx.sleep(millis(5 + ctx.random_below(30))).await;
            }
        });
    }
    chaos(scenario)
}

/// Three pairs that know nothing of each other: what happens to one is no concern of the others.
pub(crate) fn pairs() -> Scenario {
    let mut scenario = Scenario::new("pairs");
    for (one, other) in [("a1", "a2"), ("b1", "b2"), ("c1", "c2")] {
        for (me, you) in [(one, other), (other, one)] {
            scenario = scenario.node(me, move |ctx: Context<u64>| async move {
                ctx.register("player").expect("a free name");
                loop {
                    let (number, kind) = match ctx.receive_within(millis(40)).await {
                        Some(Received::Message(number)) => (number, PacketKind::Ack),
                        _ => (ctx.random_below(100), PacketKind::Data),
                    };
                    ctx.sleep(millis(number % 10)).await;
                    Address::named(you, "player").send_datagram_as(kind, number.wrapping_add(1));
                }
            });
        }
    }
    chaos(scenario)
}

/// Three pairs over connections, with calls and monitors of nodes, under every fault that a plan can have.
pub(crate) fn partners() -> Scenario {
    let mut scenario = Scenario::new("partners");
    for (one, other) in [("a1", "a2"), ("b1", "b2"), ("c1", "c2")] {
        for (me, you) in [(one, other), (other, one)] {
            scenario = scenario.node(me, move |ctx: Context<(u64, Option<ReplyTo<u64>>)>| {
                partner(ctx, you)
            });
        }
    }
    let faults = Faults::calm()
        .lose(0.05)
        .crash(secs(4), millis(200))
        .power_cut(secs(4), millis(200))
        .stop(secs(4), millis(200))
        .pause(secs(4), millis(200))
        .zombie(secs(4), millis(500))
        .partition(secs(4), millis(200))
        .break_connections(secs(4))
        .step_clocks(secs(2), secs(1))
        .drift(200)
        .late_timers(millis(3));
    scenario
        .faults(faults)
        .finally("it ended", |_| true)
        .horizon(millis(2500))
        .quiet(millis(100))
}

async fn partner(ctx: Context<(u64, Option<ReplyTo<u64>>)>, you: &'static str) {
    ctx.register("partner").expect("a free name");
    ctx.monitor_nodes(true);
    let partner = Address::<(u64, Option<ReplyTo<u64>>)>::named(you, "partner");
    loop {
        match ctx.receive_within(millis(40)).await {
            Some(Received::Message((number, Some(reply_to)))) => reply_to.reply(number + 1),
            Some(Received::Message((number, None))) => ctx.sleep(millis(number % 10)).await,
            Some(Received::Info(_)) => partner.send((ctx.random_below(100), None)),
            None => {
                let number = ctx.random_below(100);
                partner.send((number, None));
                let _ = partner.call(|to| (number, Some(to)), millis(30)).await;
            }
        }
    }
}

/// Three pairs of nodes; on each a supervisor keeps two servers, which send to each other and to those of the
/// other node, under all that can befall processes.
pub(crate) fn keepers() -> Scenario {
    let mut scenario = Scenario::new("keepers");
    for (one, other) in [("a1", "a2"), ("b1", "b2"), ("c1", "c2")] {
        for (me, you) in [(one, other), (other, one)] {
            scenario = scenario.node(me, move |ctx| async move {
                let keeper = |own: &'static str, to: [Address<u64>; 2]| {
                    child(own, move || Server::<Keeper>::with(to).name(own))
                };
                let (left, right) = (Address::named(me, "left"), Address::named(me, "right"));
                let tree = Supervisor::one_for_all().intensity(1000, secs(1));
                tree.child(keeper("left", [right, Address::named(you, "left")]))
                    .child(keeper("right", [left, Address::named(you, "right")]))
                    .run(ctx)
                    .await
            });
        }
    }
    let faults = Faults::calm()
        .lose(0.05)
        .stop(secs(4), millis(200))
        .kill_processes(secs(4))
        .crash_at_messages(secs(2), 8)
        .flood(secs(4), 8)
        .crash_at_steps(0.01)
        .fail_inits(0.2)
        .hang_inits(0.4, millis(50))
        .slow_terminates(0.5, millis(50))
        .late_timers(millis(3));
    scenario
        .faults(faults)
        .finally("it ended", |_| true)
        .horizon(millis(2500))
        .quiet(millis(100))
}

/// Sends a number on after a while, or begins with one.
struct Keeper([Address<u64>; 2]);

impl GenServer for Keeper {
    type Args = [Address<u64>; 2];
    type Message = u64;

    async fn init(to: [Address<u64>; 2], ctx: &mut Context<u64>) -> Result<Keeper, Refusal> {
        ctx.trap_exit(true);
        Ok(Keeper(to))
    }

    fn first(&self) -> Flow {
        Flow::NextWithin(millis(40))
    }

    async fn handle(&mut self, number: u64, ctx: &mut Context<u64>) -> Flow {
        ctx.sleep(millis(number % 5)).await;
        ctx.step("slept").await;
        if !number.is_multiple_of(10) {
            self.0[(number % 2) as usize].send(number - 1);
        }
        Flow::NextWithin(millis(40))
    }

    async fn handle_info(&mut self, _: Info, ctx: &mut Context<u64>) -> Flow {
        self.0[0].send(ctx.random_below(100));
        Flow::NextWithin(millis(40))
    }
}

/// Five nodes whose packets all take 10 ms, and whose timers do too: everything falls together.
pub(crate) fn lockstep() -> Scenario {
    let names = ["l0", "l1", "l2", "l3", "l4"];
    let mut scenario = Scenario::new("lockstep");
    for (index, name) in names.into_iter().enumerate() {
        let next = names[(index + 1) % names.len()];
        scenario = scenario.node(name, move |ctx: Context<u32>| async move {
            ctx.register("lockstep").expect("a free name");
            ctx.send_after(ctx.address(), 0, millis(10));
            loop {
                let hops = ctx.receive_message().await;
                if hops == 0 {
                    ctx.send_after(ctx.address(), 0, millis(10));
                }
                if hops < 3 {
                    Address::named(next, "lockstep").send_datagram(hops + 1);
                }
            }
        });
    }
    let faults = Faults::calm()
        .lose(0.05)
        .duplicate(0.05)
        .crash(secs(1), millis(100));
    let path = Path::new(Distribution::Constant(millis(10)));
    scenario
        .network(Network::new(path))
        .faults(faults)
        .finally("it ended", |_| true)
        .horizon(millis(600))
        .quiet(millis(100))
}

#[derive(Debug, Serialize, Deserialize)]
enum Order {
    Work(u64, Option<ReplyTo<u64>>),
    Tick,
}

/// Nodes whose first process starts children, watches them, and starts them again; children start
/// children, set timers, fail, and send to other nodes and to their siblings.
pub(crate) fn family() -> Scenario {
    let names = ["f0", "f1", "f2", "f3", "f4"];
    let mut scenario = Scenario::new("family");
    for (index, name) in names.into_iter().enumerate() {
        let other = names[(index + 2) % names.len()];
        scenario = scenario.node(name, move |ctx: Context<Order>| parent(ctx, other));
    }
    chaos(scenario)
}

async fn parent(ctx: Context<Order>, other: &'static str) {
    ctx.register("parent").expect("a free name");
    let start =
        |elder: Option<Address<Order>>| ctx.spawn_monitor(move |child| worker(child, elder, other));
    let (elder, _) = start(None);
    let mut children = vec![elder];
    for _ in 0..3 {
        children.push(start(Some(elder)).0);
    }
    let tick = || -> TimerRef { ctx.send_after(ctx.address(), Order::Tick, millis(25)) };
    tick();
    loop {
        match ctx.receive().await {
            Received::Message(Order::Tick) => {
                let chosen = ctx.random_below(children.len() as u64) as usize;
                children[chosen].send(Order::Work(ctx.random_below(50), None));
                tick();
            }
            Received::Message(work) => children[0].send(work),
            Received::Info(Info::Down { of, .. }) => {
                if let Some(at) = children.iter().position(|child| child.target() == of) {
                    let elder = (at > 0).then_some(children[0]);
                    children[at] = start(elder).0;
                }
            }
            Received::Info(_) => {}
        }
    }
}

async fn worker(
    ctx: Context<Order>,
    elder: Option<Address<Order>>,
    other: &'static str,
) -> Result<(), ExitReason> {
    loop {
        let Received::Message(Order::Work(number, reply_to)) = ctx.receive().await else {
            continue;
        };
        let helper = ctx.spawn_link(move |helper: Context<Never>| async move {
            helper.sleep(millis(number % 7)).await;
        });
        ctx.sleep(millis(number % 5)).await;
        if let Some(reply_to) = reply_to {
            reply_to.reply(number);
        }
        match (number % 10, elder) {
            (0, _) => return Err(ExitReason::error("no zeros, please")),
            (1, _) => panic!("no ones either"),
            (2, Some(elder)) => {
                let ask = |reply_to| Order::Work(number + 3, Some(reply_to));
                let _ = elder.call(ask, millis(20)).await;
            }
            (3, _) => ctx.send_exit(helper.pid().expect("a pid"), ExitReason::Shutdown),
            (4, _) => {
                ctx.send_after(
                    Address::named(other, "parent"),
                    Order::Work(number + 1, None),
                    millis(4),
                );
            }
            (5, _) => Address::named(other, "parent").send_datagram(Order::Work(number + 1, None)),
            _ => {}
        }
    }
}

/// Producers on five nodes fill mailboxes with bounds, of their own node and of the next: they wait for
/// room, are dropped, and their questions too.
pub(crate) fn crowd() -> Scenario {
    let names = ["b0", "b1", "b2", "b3", "b4"];
    let mut scenario = Scenario::new("crowd");
    for (index, name) in names.into_iter().enumerate() {
        let next = names[(index + 1) % names.len()];
        let policy = [Overflow::Wait, Overflow::DropOldest, Overflow::Refuse][index % 3];
        scenario = scenario.node(name, move |ctx: Context<Question>| async move {
            ctx.register("till").expect("a free name");
            ctx.bound_mailbox(MailboxBound::new(2).policy(policy));
            for _ in 0..2 {
                ctx.spawn_link(move |ctx: Context| customer(ctx, name, next));
            }
            loop {
                let (number, reply_to) = ctx.receive_message().await;
                ctx.sleep(millis(number % 4)).await;
                if let Some(reply_to) = reply_to {
                    reply_to.reply(number);
                }
            }
        });
    }
    chaos(scenario)
}

type Question = (u64, Option<ReplyTo<u64>>);

async fn customer(ctx: Context, own: &'static str, next: &'static str) {
    let tills = [own, next].map(|node| Address::<Question>::named(node, "till"));
    loop {
        let till = tills[ctx.random_below(2) as usize];
        let number = ctx.random_below(50);
        if number % 5 == 0 {
            let _ = till.call(|to| (number, Some(to)), millis(20)).await;
        } else {
            till.send((number, None));
        }
        ctx.sleep(millis(ctx.random_below(3))).await;
    }
}
