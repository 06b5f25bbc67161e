//! Workloads over the network: round trips, clusters that gossip, many seeds.

use crate::meter::{Clock, Measured, rss_kb};
use crate::{Rng, ended, measure, run, scenario};
use netsplit::choice::Rate;
use netsplit::{
    Address, Context, Distribution, Network, NodeId, Path, Received, ReplyTo, Scenario, millis,
    secs,
};
use std::sync::Arc;
use std::time::Duration;

/// One way takes 1 to 10 ms, each as likely.
fn path() -> Path {
    Path::new(Distribution::uniform(millis(1), millis(10)))
}

type Question = (u64, Address<u64>);

/// Answers each question over the connection.
async fn connected_echo(ctx: Context<Question>) {
    ctx.register("echo").expect("a free name");
    loop {
        if let Received::Message((number, reply_to)) = ctx.receive().await {
            reply_to.send(number);
        }
    }
}

/// Answers each question to the address in it.
async fn echo(ctx: Context<Question>) {
    ctx.register("echo").expect("a free name");
    loop {
        if let Received::Message((number, reply_to)) = ctx.receive().await {
            reply_to.send_datagram(number);
        }
    }
}

/// W4udp: `n` round trips between two nodes, as plain messages.
pub(crate) fn datagrams(n: u64) -> Measured {
    let scenario = scenario("W4udp")
        .network(Network::new(path()))
        .node("s", echo)
        .client("c", move |ctx: Context<u64>| async move {
            let server = Address::named("s", "echo");
            for number in 0..n {
                server.send_datagram((number, ctx.address()));
                assert_eq!(ctx.receive().await, Received::Message(number));
            }
        });
    measure(scenario, |outcome| {
        assert_eq!(outcome.books.received, 2 * n);
        2 * n
    })
}

/// W4tcp: the same over a connection.
pub(crate) fn connected(n: u64) -> Measured {
    let scenario = scenario("W4tcp")
        .network(Network::new(path()))
        .node("s", connected_echo)
        .client("c", move |ctx: Context<u64>| async move {
            let server = Address::named("s", "echo");
            for number in 0..n {
                server.send((number, ctx.address()));
                assert_eq!(ctx.receive().await, Received::Message(number));
            }
        });
    measure(scenario, |outcome| {
        assert_eq!(outcome.books.received, 2 * n);
        2 * n
    })
}

/// W4call: the same as calls, each with a timeout.
pub(crate) fn calls(n: u64) -> Measured {
    let scenario = scenario("W4call")
        .network(Network::new(path()))
        .node("s", |ctx: Context<(u64, ReplyTo<u64>)>| async move {
            ctx.register("echo").expect("a free name");
            loop {
                if let Received::Message((number, reply_to)) = ctx.receive().await {
                    reply_to.reply(number);
                }
            }
        })
        .client("c", move |_: Context| async move {
            let server = Address::<(u64, ReplyTo<u64>)>::named("s", "echo");
            for number in 0..n {
                let answer = server.call(|reply_to| (number, reply_to), secs(1));
                assert_eq!(answer.await, Ok(number));
            }
        });
    measure(scenario, |_| 2 * n)
}

/// To whom a node of a gossiping cluster sends, each time.
#[derive(Clone, Copy)]
enum To {
    RandomOther,
    AllOthers,
}

/// A cluster in which a process of each node sends datagrams, `rounds` times at this pace, and another
/// takes what comes.
struct Gossip {
    name: &'static str,
    nodes: u64,
    path: Path,
    rounds: u64,
    pace: Duration,
    to: To,
}

impl Gossip {
    fn scenario(self) -> Scenario {
        let Gossip {
            rounds, pace, to, ..
        } = self;
        let at = |index| Address::<u64>::at(NodeId::new(index as usize), "inbox");
        let all: Arc<[Address<u64>]> = (0..self.nodes).map(at).collect();
        let mut scenario = scenario(self.name).network(Network::new(self.path));
        for own in 0..self.nodes {
            let all = all.clone();
            scenario = scenario.node(&format!("h{own}"), move |ctx: Context<u64>| {
                let all = all.clone();
                async move {
                    ctx.register("inbox").expect("a free name");
                    let _ = ctx.spawn(move |ctx: Context| async move {
                        let mut rng = Rng(own);
                        for round in 0..rounds {
                            ctx.sleep(pace).await;
                            match to {
                                To::RandomOther => {
                                    let other = rng.below(all.len() as u64 - 1);
                                    all[(other + u64::from(other >= own)) as usize]
                                        .send_datagram(round);
                                }
                                To::AllOthers => {
                                    let others = all.iter().zip(0..).filter(|(_, at)| *at != own);
                                    others.for_each(|(other, _)| other.send_datagram(round));
                                }
                            }
                        }
                    });
                    loop {
                        ctx.receive().await;
                    }
                }
            });
        }
        scenario
    }
}

/// W5: 50 nodes, `n` messages of each to random others, one a millisecond, 1 % lost.
pub(crate) fn lossy(n: u64) -> Measured {
    let one_percent = Rate::new(0.01).expect("a probability");
    let gossip = Gossip {
        name: "W5",
        nodes: 50,
        path: path().with_loss(one_percent),
        rounds: n,
        pace: millis(1),
        to: To::RandomOther,
    };
    let mut delivered = 0;
    let mut measured = measure(gossip.scenario(), |outcome| {
        delivered = outcome.books.received;
        outcome.books.sent
    });
    assert_eq!(measured.units, 50 * n);
    measured.extra.push(("delivered", delivered as f64));
    measured
}

/// W8: 5 nodes, each to each a heartbeat every 100 ms, for `n` simulated seconds.
pub(crate) fn heartbeats(n: u64) -> Measured {
    let gossip = Gossip {
        name: "W8",
        nodes: 5,
        path: path(),
        rounds: 10 * n,
        pace: millis(100),
        to: To::AllOthers,
    };
    measure(gossip.scenario(), |outcome| outcome.books.received)
}

/// nodes1000: 1,000 nodes, a datagram of each to a random other every 100 ms, for `n` simulated seconds.
pub(crate) fn nodes1000(n: u64) -> Measured {
    many_nodes("nodes1000", 1_000, n)
}

/// nodes10: the same with 10 nodes; a hundred times the `n` gives as many messages.
pub(crate) fn nodes10(n: u64) -> Measured {
    many_nodes("nodes10", 10, n)
}

fn many_nodes(name: &'static str, nodes: u64, n: u64) -> Measured {
    let gossip = Gossip {
        name,
        nodes,
        path: path(),
        rounds: 10 * n,
        pace: millis(100),
        to: To::RandomOther,
    };
    measure(gossip.scenario(), |outcome| outcome.books.received)
}

/// W7: `n` seeds, each a cluster of 5 nodes booted, 50 round trips, and the cluster taken down.
pub(crate) fn seeds(n: u64) -> Measured {
    let mut scenario = scenario("W7").network(Network::new(path()));
    for index in 0..4 {
        scenario = scenario.node(&format!("s{index}"), echo);
    }
    let scenario = scenario.client("c", |ctx: Context<u64>| async move {
        let servers = ["s0", "s1", "s2", "s3"].map(|node| Address::named(node, "echo"));
        for number in 0..50 {
            servers[number as usize % servers.len()].send_datagram((number, ctx.address()));
            assert_eq!(ctx.receive().await, Received::Message(number));
        }
    });
    scenario.validate().expect("a scenario that can run");
    let (mut events, mut early_kb) = (0, 0);
    let clock = Clock::start();
    for seed in 0..n {
        let outcome = run(&scenario, seed);
        ended(&outcome);
        assert_eq!(outcome.books.received, 100);
        events += outcome.events;
        if seed == n / 100 {
            early_kb = rss_kb();
        }
    }
    let spent = clock.spent();
    // Memory after one hundredth of the seeds and after all: it must not grow.
    let extra = vec![
        ("events", events as f64),
        ("rss_early_kb", early_kb as f64),
        ("rss_end_kb", rss_kb() as f64),
    ];
    Measured {
        spent,
        units: n,
        extra,
    }
}
