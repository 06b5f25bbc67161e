//! What rules 1 to 8 promise under [`Faults::chaos`]: packets lost and late, nodes that crash, lose their
//! power, stop, pause and are written off, cuts, breaks, clocks that go wrong.

use super::{all_seeds, idle};
use netsplit::{
    Address, CallError, Context, ExitReason, Faults, Info, Keep, MonitorRef, NodeId, Outcome, Pid,
    Received, ReplyTo, Scenario, Sim, Time, View, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

const NODES: [&str; 3] = ["a", "b", "c"];

/// Makes the runs of a scenario: all must be clean, and each of these counters is counted in some of them.
pub(super) fn sweep(scenario: &Scenario, counted: &[&str]) -> Vec<Outcome> {
    let outcomes = all_seeds(scenario, Keep::default());
    for key in counted {
        let seen = outcomes
            .iter()
            .any(|outcome| outcome.counters.contains_key(*key));
        assert!(seen, "no run has counted `{key}`");
    }
    outcomes
}

// ---- rules 1 and 6

/// Who sent it, and the how-manieth of that process to this node.
type Word = (Pid, u64);

/// What a process has heard: of each connection whether it is up, and of each sender its last word.
#[derive(Default)]
struct Ear {
    up: BTreeSet<NodeId>,
    last: BTreeMap<Pid, u64>,
}

/// Three nodes whose processes talk to each other, and listen: what breaks a rule is a complaint.
fn talk() -> Scenario {
    let mut scenario = Scenario::new("talk")
        .faults(Faults::chaos())
        .horizon(secs(40));
    for node in NODES {
        scenario = scenario.node(node, move |ctx: Context<Word>| async move {
            ctx.register("ear").expect("a free name");
            ctx.monitor_nodes(true);
            for peer in NODES.into_iter().filter(|peer| *peer != node) {
                ctx.spawn(move |own: Context| async move {
                    for n in 0.. {
                        Address::<Word>::named(peer, "ear").send((own.pid(), n));
                        own.sleep(millis(250)).await;
                    }
                });
            }
            let mut ear = Ear::default();
            loop {
                if let Err(complaint) = ear.hear(&ctx, ctx.receive().await) {
                    ctx.observe("complaints", |all: &mut Vec<String>| all.push(complaint));
                }
            }
        });
    }
    scenario.finally("nobody complains", |view| {
        view.observed::<Vec<String>>("complaints").is_none()
    })
}

impl Ear {
    fn hear(&mut self, ctx: &Context<Word>, received: Received<Word>) -> Result<(), String> {
        let is_so = match &received {
            Received::Info(Info::NodeUp(node)) => self.up.insert(*node),
            Received::Info(Info::NodeDown(node)) => {
                ctx.count("lost connections");
                self.up.remove(node)
            }
            Received::Message((from, n)) => {
                let before = self.last.insert(*from, *n);
                if before.is_some_and(|before| before + 1 < *n) {
                    ctx.count("lost messages");
                }
                self.up.contains(&from.node()) && before.is_none_or(|before| before < *n)
            }
            Received::Info(_) => false,
        };
        let complaint = || format!("{received:?}, while up are {:?}", self.up);
        is_so.then_some(()).ok_or_else(complaint)
    }
}

#[test]
fn otp_01_and_06_under_chaos_a_pair_is_never_reordered_and_all_signals_lie_between_up_and_down() {
    let outcomes = sweep(&talk(), &["lost connections", "lost messages"]);
    let received: u64 = outcomes.iter().map(|outcome| outcome.books.received).sum();
    assert!(received > 10_000, "{received}");
}

// ---- rules 2 to 5: links and monitors

/// When those who are still tied cut their tie: faults have stopped 90 s before, so that each silence was
/// noticed.
const LAST: Time = Time::from_nanos(150_000_000_000);
const FAULTS: u64 = 60;

#[derive(Debug, Serialize, Deserialize)]
enum ToHost {
    Start(ReplyTo<Pid>),
}

/// What was heard of a tie: by whom, of whom, why.
type Ends = Vec<(Pid, Pid, ExitReason)>;

/// Two nodes. Each asks the other for processes, again and again, and lets `ties` tie a process of its own
/// to each.
fn hosts<F>(name: &str, ties: fn(Context<u64>, Pid) -> F) -> Scenario
where
    F: Future<Output = ()> + 'static,
{
    let mut scenario = Scenario::new(name)
        .faults(Faults::chaos())
        .horizon(secs(FAULTS));
    for (node, peer) in [("a", "b"), ("b", "a")] {
        scenario = scenario.node(node, move |ctx: Context<ToHost>| async move {
            ctx.register("host").expect("a free name");
            ctx.spawn(move |own: Context| async move {
                let host = Address::<ToHost>::named(peer, "host");
                while own.now() < Time::ZERO + secs(FAULTS) {
                    if let Ok(far) = host.call(ToHost::Start, secs(5)).await {
                        own.spawn(move |tied: Context<u64>| ties(tied, far));
                    }
                    own.sleep(millis(700)).await;
                }
            });
            loop {
                let ToHost::Start(reply_to) = ctx.receive_message().await;
                let started = ctx.spawn(|own: Context<u64>| async move {
                    own.trap_exit(true);
                    hear(&own, LAST + secs(1000)).await;
                });
                reply_to.reply(started.pid().expect("a pid"));
            }
        });
    }
    scenario
}

/// Notes what is heard of ties until a moment.
async fn hear(ctx: &Context<u64>, until: Time) {
    while ctx.now() < until {
        let heard = match ctx.receive_within(until.since(ctx.now())).await {
            Some(Received::Info(Info::Exit { from, reason })) => (ctx.pid(), from, reason),
            Some(Received::Info(Info::Down { of, reason, .. })) => {
                (ctx.pid(), of.pid().expect("a monitor by pid"), reason)
            }
            _ => continue,
        };
        ctx.count(&heard.2.to_string());
        ctx.observe("ends", |ends: &mut Ends| ends.push(heard));
    }
}

/// Drives a run of [`hosts`] to its end, and gives what was tied and what was heard.
fn drive<T: Clone + 'static>(sim: &mut Sim<'_, '_>) -> (Vec<T>, Ends) {
    sim.run_for(secs(FAULTS));
    sim.quiet();
    sim.run_for(secs(200));
    let tied = sim.observed::<Vec<T>>("tied").unwrap_or_default();
    (tied, sim.observed::<Ends>("ends").unwrap_or_default())
}

/// Whether the node of a process has not gone down since the process began.
pub(super) fn still_up(view: &View, pid: Pid) -> bool {
    ["a", "b"].iter().any(|name| {
        let (node, boots) = (view.node(name), view.boots(name));
        view.is_up(name) && node == pid.node() && pid.incarnation() + 1 == boots
    })
}

fn reasons(ends: &Ends, by: Pid, of: Pid) -> Vec<&ExitReason> {
    let between = ends.iter().filter(|end| end.0 == by && end.1 == of);
    between.map(|(.., reason)| reason).collect()
}

/// Links a process and waits; at last ends itself or the other, so that the last links show.
async fn link(own: Context<u64>, far: Pid) {
    own.trap_exit(true);
    own.link(far);
    let ends_itself = own.random_below(2) == 0;
    let link = (own.pid(), far, ends_itself);
    own.observe("tied", |all: &mut Vec<(Pid, Pid, bool)>| all.push(link));
    hear(&own, LAST).await;
    if !ends_itself {
        own.send_exit(far, ExitReason::Kill);
        hear(&own, LAST + secs(1000)).await;
    }
}

#[test]
fn otp_02_and_03_under_chaos_a_link_tells_each_end_once_and_never_dies_unheard() {
    let scenario = hosts("links", link).script(|sim| {
        let (links, ends) = drive::<(Pid, Pid, bool)>(sim);
        for (near, far, ends_itself) in links {
            let told = (reasons(&ends, near, far), reasons(&ends, far, near));
            assert!(
                told.0.len() <= 1 && told.1.len() <= 1,
                "{near} {far}: {told:?}"
            );
            let [near_is_up, far_is_up] = sim.view(|v| [near, far].map(|pid| still_up(v, pid)));
            if near_is_up && !ends_itself {
                // Whatever befell the link, its maker has heard of its end.
                assert_eq!(told.0.len(), 1, "{near} {far}: {told:?}");
            }
            if near_is_up && far_is_up && told.0.is_empty() {
                assert_eq!(told.1, [&ExitReason::Normal], "{near} {far}");
            }
            if near_is_up && told.1 == [&ExitReason::NoConnection] {
                let reason = told.0.first().copied();
                let lost = [Some(&ExitReason::NoConnection), Some(&ExitReason::NoProc)];
                assert!(lost.contains(&reason), "{near} {far}: {told:?}");
            }
        }
    });
    sweep(&scenario, &["noconnection", "killed", "normal"]);
}

/// Monitors a process twice, of which one monitor ends at some time, and waits; at last kills it.
async fn monitor(own: Context<u64>, far: Pid) {
    let kept = own.monitor(far);
    let ended = own.monitor(far);
    own.sleep(millis(own.random_below(20_000))).await;
    own.demonitor(ended, true);
    own.observe("tied", |all: &mut Vec<(Pid, Pid)>| {
        all.push((own.pid(), far))
    });
    let mut killed = false;
    loop {
        let until = if killed { LAST + secs(1000) } else { LAST };
        match own.receive_within(until.since(own.now())).await {
            Some(Received::Info(Info::Down {
                monitor, reason, ..
            })) => {
                let heard = (own.pid(), far, reason);
                let key = which(monitor, kept);
                own.count(&heard.2.to_string());
                own.observe(key, |ends: &mut Ends| ends.push(heard));
            }
            Some(_) => {}
            None if killed => return,
            None => {
                killed = true;
                own.send_exit(far, ExitReason::Kill);
            }
        }
    }
}

fn which(monitor: MonitorRef, kept: MonitorRef) -> &'static str {
    if monitor == kept { "ends" } else { "flushed" }
}

#[test]
fn otp_04_and_05_under_chaos_each_monitor_gives_one_down_and_one_that_was_flushed_none() {
    let scenario = hosts("monitors", monitor).script(|sim| {
        let (monitors, ends) = drive::<(Pid, Pid)>(sim);
        for (near, far) in monitors {
            let told = reasons(&ends, near, far);
            assert!(told.len() <= 1, "{near} {far}: {told:?}");
            if !sim.view(|view| still_up(view, near)) {
                continue;
            }
            // It traps exits: nothing but the kill, which cannot be trapped, ends it.
            let allowed = [
                ExitReason::Killed,
                ExitReason::NoConnection,
                ExitReason::NoProc,
            ];
            assert!(
                told.len() == 1 && allowed.contains(told[0]),
                "{near} {far}: {told:?}"
            );
        }
        assert_eq!(sim.observed::<Ends>("flushed"), None);
    });
    sweep(&scenario, &["noconnection", "killed"]);
}

// ---- rules 7 and 8

/// The question `n` of a process.
#[derive(Debug, Serialize, Deserialize)]
struct Question(Pid, u64, ReplyTo<(Pid, u64)>);

/// Two nodes with a server each, which answers late at times, and two clients that call them.
fn calls() -> Scenario {
    let mut scenario = Scenario::new("calls")
        .faults(Faults::chaos())
        .horizon(secs(60));
    for node in ["a", "b"] {
        scenario = scenario.node(node, |ctx: Context<Question>| async move {
            ctx.register("server").expect("a free name");
            loop {
                let Question(from, n, reply_to) = ctx.receive_message().await;
                ctx.observe("taken", |taken: &mut Vec<(Pid, u64)>| taken.push((from, n)));
                if ctx.random_below(5) == 0 {
                    ctx.sleep(millis(ctx.random_below(2000))).await;
                }
                reply_to.reply((from, n));
            }
        });
    }
    for client in ["x", "y"] {
        scenario = scenario.client(client, |ctx: Context| async move {
            for n in 0..100 {
                let node = if ctx.random_below(2) == 0 { "a" } else { "b" };
                let server = Address::<Question>::named(node, "server");
                let began = ctx.now();
                let answer = server.call(|to| Question(ctx.pid(), n, to), secs(1)).await;
                // Timers are up to 50 ms late.
                let took = ctx.now().since(began);
                assert!(took <= millis(1051), "{answer:?} after {took:?}");
                ctx.count(match answer {
                    Ok(answer) => {
                        assert_eq!(answer, (ctx.pid(), n), "the answer to another question");
                        "answered"
                    }
                    Err(CallError::Timeout) => "timeout",
                    Err(CallError::NodeDown(_)) => "node down",
                    Err(CallError::NoProc) => "noproc",
                    // A server is killed with its node, and nobody tells then; but one that is asked to stop
                    // ends by the exit signal.
                    Err(CallError::Exit(ExitReason::Shutdown)) => "shutdown",
                    Err(other) => panic!("{other}"),
                });
                ctx.sleep(millis(300)).await;
            }
            idle(ctx).await;
        });
    }
    scenario.finally("no question is taken twice", |view| {
        let taken = view.observed::<Vec<(Pid, u64)>>("taken");
        let distinct: BTreeSet<_> = taken.into_iter().flatten().collect();
        distinct.len() == taken.map_or(0, Vec::len)
    })
}

#[test]
fn otp_07_and_08_under_chaos_each_call_ends_in_time_and_an_answer_is_that_of_its_own_question() {
    let counted = ["answered", "timeout", "node down", "shutdown"];
    let outcomes = sweep(&calls(), &counted);
    assert!(outcomes.iter().any(|outcome| outcome.books.stale > 0));
}
