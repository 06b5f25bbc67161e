//! Many seeds under every kind of fault.

use crate::meter::{Clock, Measured};
use crate::{run, scenario};
use netsplit::{Address, Context, Faults, Received, ReplyTo, Scenario, secs};
use serde::{Deserialize, Serialize};

const NODES: [&str; 5] = ["n0", "n1", "n2", "n3", "n4"];

#[derive(Debug, Serialize, Deserialize)]
enum Work {
    Ask(u64, ReplyTo<u64>),
    Tell(u64),
}

/// Answers what it is asked, and takes what it is told.
async fn member(ctx: Context<Work>) {
    ctx.register("member").expect("a free name");
    ctx.spawn_link(load);
    loop {
        match ctx.receive().await {
            Received::Message(Work::Ask(number, reply_to)) => reply_to.reply(number),
            Received::Message(Work::Tell(number)) => ctx.count_by("told", number),
            Received::Info(_) => {}
        }
    }
}

/// Once a second, three things to members drawn at random: a call, a message, a datagram.
async fn load(ctx: Context) {
    loop {
        ctx.sleep(secs(1)).await;
        let member = || {
            let other = ctx.random_below(NODES.len() as u64) as usize;
            Address::<Work>::named(NODES[other], "member")
        };
        let answer = member().call(|reply_to| Work::Ask(1, reply_to), secs(1));
        ctx.count(if answer.await.is_ok() {
            "answered"
        } else {
            "unanswered"
        });
        member().send(Work::Tell(1));
        member().send_datagram(Work::Tell(1));
    }
}

fn cluster() -> Scenario {
    let cluster = scenario("chaos").faults(Faults::chaos()).horizon(secs(600));
    let boots = |scenario: Scenario, name: &&str| scenario.node(name, member);
    NODES.iter().fold(cluster, boots)
}

/// chaos: `n` seeds, each ten simulated minutes of five nodes under `Faults::chaos()`, with fifteen calls,
/// messages and datagrams a second.
pub(crate) fn seeds(n: u64) -> Measured {
    let scenario = cluster();
    scenario.validate().expect("a scenario that can run");
    let (mut events, mut faults, mut answered, mut sent) = (0, 0, 0, 0);
    let clock = Clock::start();
    for seed in 0..n {
        let outcome = run(&scenario, seed);
        crate::ended(&outcome);
        events += outcome.events;
        faults += outcome.plan.faults().len();
        answered += outcome.counters.get("answered").unwrap_or(&0);
        sent += outcome.books.sent;
    }
    let spent = clock.spent();
    let a_seed = |count: u64| count as f64 / n as f64;
    Measured {
        spent,
        units: n,
        extra: vec![
            ("per_minute", n as f64 * 60.0 / spent.wall_s),
            ("events_a_seed", a_seed(events)),
            ("faults_a_seed", a_seed(faults as u64)),
            ("answered_a_seed", a_seed(answered)),
            ("sent_a_seed", a_seed(sent)),
        ],
    }
}
