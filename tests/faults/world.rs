//! A small cluster whose members send each other beats, and note what they see.

use netsplit::trace::{Event, Log};
use netsplit::{
    Address, Context, Fault, Faults, Info, Keep, NodeId, Outcome, Pid, Received, Scenario, Time,
    millis,
};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often each member sends.
pub(crate) const PERIOD_MS: u64 = 100;
/// How long a packet is under way at most, in a cluster without faults.
pub(crate) const LATENCY_MS: u64 = 10;

/// What a member sends to each other one, ten times a second: once over the connection, once as a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beat {
    pub(crate) number: u64,
    pub(crate) from: Pid,
    pub(crate) via: Via,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Via {
    Connection,
    Datagram,
}

/// A beat that a member has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) at: Time,
    pub(crate) by: Pid,
    pub(crate) beat: Beat,
}

/// Something that a member was told of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) at: Time,
    pub(crate) by: Pid,
    pub(crate) info: Info,
}

/// A moment at which a member sent: as its clock and its wall clock have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ticked {
    pub(crate) at: Time,
    pub(crate) wall: Duration,
    pub(crate) by: Pid,
}

async fn member(ctx: Context<Beat>, name: &'static str, all: &'static [&'static str]) {
    ctx.register("member").expect("a free name");
    ctx.monitor_nodes(true);
    ctx.spawn_link(move |ticks: Context| async move {
        for number in 0.. {
            let (at, wall, by) = (ticks.now(), ticks.wall_clock(), ticks.pid());
            let ticked = Ticked { at, wall, by };
            ticks.observe("ticked", |all: &mut Vec<Ticked>| all.push(ticked));
            for other in all.iter().filter(|other| **other != name) {
                let (from, to) = (ticks.pid(), Address::<Beat>::named(other, "member"));
                let beat = |via| Beat { number, from, via };
                to.send(beat(Via::Connection));
                to.send_datagram(beat(Via::Datagram));
            }
            ticks.sleep(millis(PERIOD_MS)).await;
        }
    });
    loop {
        let received = ctx.receive().await;
        let (at, by) = (ctx.now(), ctx.pid());
        match received {
            Received::Message(beat) => {
                let heard = Heard { at, by, beat };
                ctx.observe("heard", |all: &mut Vec<Heard>| all.push(heard));
            }
            Received::Info(info) => {
                let told = Told { at, by, info };
                ctx.observe("told", |all: &mut Vec<Told>| all.push(told));
            }
        }
    }
}

/// A cluster of these members, for so long.
pub(crate) fn members(names: &'static [&'static str], horizon: Duration) -> Scenario {
    let scenario = Scenario::new("members").horizon(horizon);
    names.iter().fold(scenario, |scenario, name| {
        scenario.node(name, move |ctx| member(ctx, name, names))
    })
}

/// What a run has left.
pub(crate) struct Seen {
    pub(crate) heard: Vec<Heard>,
    pub(crate) told: Vec<Told>,
    pub(crate) ticked: Vec<Ticked>,
    pub(crate) outcome: Outcome,
}

/// What stands on the board at the end of a run, under a key.
pub(crate) fn at_end<T: Any + Clone + Default + Send>(
    scenario: Scenario,
    key: &'static str,
    seed: u64,
) -> (T, Outcome) {
    let slot = Arc::new(Mutex::new(T::default()));
    let note = slot.clone();
    let scenario = scenario.finally("the board is read", move |view| {
        *note.lock().expect("one thread") = view.observed(key).cloned().unwrap_or_default();
        true
    });
    let keep = Keep {
        log: true,
        ..Keep::default()
    };
    let outcome = scenario.run_with(netsplit::Chance::Seed(seed), keep);
    let outcome = outcome.expect("a scenario that can be run");
    assert!(
        outcome.is_ok(),
        "{:?} {:?}",
        outcome.violation,
        outcome.error
    );
    let seen = slot.lock().expect("one thread").clone();
    (seen, outcome)
}

/// A run of a cluster of members.
pub(crate) fn see(scenario: Scenario, seed: u64) -> Seen {
    let board: Arc<Mutex<(Vec<Told>, Vec<Ticked>)>> = Arc::default();
    let note = board.clone();
    let scenario = scenario.finally("the rest of the board is read", move |view| {
        let told = view.observed("told").cloned().unwrap_or_default();
        let ticked = view.observed("ticked").cloned().unwrap_or_default();
        *note.lock().expect("one thread") = (told, ticked);
        true
    });
    let (heard, outcome) = at_end(scenario, "heard", seed);
    let (told, ticked) = board.lock().expect("one thread").clone();
    Seen {
        heard,
        told,
        ticked,
        outcome,
    }
}

/// A script runs to its end, under a few seeds.
pub(crate) fn holds(scenario: Scenario) {
    for seed in 0..3 {
        let outcome = scenario.run(seed).expect("a scenario that can be run");
        assert!(
            outcome.is_ok(),
            "seed {seed}: {:?} {:?}",
            outcome.violation,
            outcome.error
        );
    }
}

/// The same fault at the same moment by hand in a plan and in a script; `check` holds for both, and what
/// members see is the same.
pub(crate) fn both_ways(
    cluster: impl Fn() -> Scenario,
    at: Duration,
    fault: &Fault<String>,
    check: impl Fn(&Seen),
) {
    // What comes at one moment comes in an order that is drawn.
    assert!(!(at.as_millis() as u64).is_multiple_of(PERIOD_MS));
    const HORIZON: Duration = millis(14_020);
    for seed in 0..2 {
        let planned = cluster().faults(Faults::calm().at(at, fault.clone()));
        let planned = see(planned.horizon(HORIZON).quiet(Duration::ZERO), seed);
        check(&planned);
        let fault = fault.clone();
        let script = cluster().script(move |sim| {
            sim.run_for(at);
            sim.apply(fault.clone()).expect("a fault that makes sense");
            sim.run_for(HORIZON - at);
        });
        let scripted = see(script, seed);
        check(&scripted);
        let both = planned.heard.iter().zip(&scripted.heard);
        let differ = both.clone().find(|(one, other)| one != other);
        assert_eq!(differ, None, "seed {seed}");
        assert_eq!(planned.heard.len(), scripted.heard.len(), "seed {seed}");
        assert_eq!(planned.told, scripted.told, "seed {seed}");
        assert!(planned.ticked == scripted.ticked, "seed {seed}");
    }
}

impl Seen {
    /// The node of a name: its newest machine, where there are several.
    pub(crate) fn node(&self, name: &str) -> NodeId {
        let names = &self.outcome.names;
        let index = names.iter().rposition(|other| other == name);
        NodeId::new(index.expect("a node of this name"))
    }

    /// The machine that had this name first.
    pub(crate) fn first_node(&self, name: &str) -> NodeId {
        let names = &self.outcome.names;
        let index = names.iter().position(|other| other == name);
        NodeId::new(index.expect("a node of this name"))
    }

    /// The numbers that one node has heard of another this way, in a window of milliseconds.
    pub(crate) fn numbers(
        &self,
        by: NodeId,
        from: NodeId,
        via: Via,
        window: Range<u64>,
    ) -> Vec<u64> {
        let heard = self.heard.iter().filter(|heard| {
            let at_ms = heard.at.as_nanos() / 1_000_000;
            heard.by.node() == by
                && heard.beat.from.node() == from
                && heard.beat.via == via
                && window.contains(&at_ms)
        });
        heard.map(|heard| heard.beat.number).collect()
    }

    /// Whether one node hears anything of another in a window of milliseconds, either way.
    pub(crate) fn hears(&self, by: NodeId, from: NodeId, window: Range<u64>) -> bool {
        [Via::Connection, Via::Datagram]
            .into_iter()
            .any(|via| !self.numbers(by, from, via, window.clone()).is_empty())
    }

    /// What a node was told, with milliseconds.
    pub(crate) fn told(&self, by: NodeId) -> Vec<(u64, &Info)> {
        let told = self.told.iter().filter(|told| told.by.node() == by);
        told.map(|told| (told.at.as_nanos() / 1_000_000, &told.info))
            .collect()
    }

    /// At which milliseconds, as its own clock has them, a node sent in this window.
    pub(crate) fn ticks(&self, by: NodeId, window: Range<u64>) -> Vec<u64> {
        let ticked = self.ticked.iter().filter(|ticked| ticked.by.node() == by);
        ticked
            .map(|ticked| ticked.at.as_nanos() / 1_000_000)
            .filter(|at_ms| window.contains(at_ms))
            .collect()
    }
}

/// The texts of the faults that had no effect.
pub(crate) fn without_effect(outcome: &Outcome) -> Vec<String> {
    let log: &Log = outcome.log.as_ref().expect("a log");
    let texts = log.entries().iter().filter_map(|entry| match entry.event {
        Event::NoEffect { text, .. } => log.text(text),
        _ => None,
    });
    texts.map(str::to_owned).collect()
}
