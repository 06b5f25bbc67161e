//! The code of `docs/guide/scripts.md`.

use super::pages::SCRIPTS;
use netsplit::sim::Unreadable;
use netsplit::{
    Address, Context, ExitReason, Fault, Faults, Flow, GenServer, Info, PacketFault, PacketKind,
    Refusal, ReplyTo, Scenario, Server, Sim, check, millis, secs,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// Adds up what it is sent, and tells the sum to whoever asks.
struct Counter {
    sum: u64,
}

#[derive(Debug, Serialize, Deserialize)]
enum ToCounter {
    Add(u64),
    Sum(ReplyTo<u64>),
}

impl GenServer for Counter {
    type Args = ();
    type Message = ToCounter;

    async fn init((): (), _: &mut Context<ToCounter>) -> Result<Counter, Refusal> {
        Ok(Counter { sum: 0 })
    }

    async fn handle(&mut self, message: ToCounter, _: &mut Context<ToCounter>) -> Flow {
        match message {
            ToCounter::Add(number) => self.sum += number,
            ToCounter::Sum(reply_to) => reply_to.reply(self.sum),
        }
        Flow::Next
    }
}

async fn counter(ctx: Context<ToCounter>) -> ExitReason {
    Server::<Counter>::with(()).name("counter").run(ctx).await
}

/// Sends a 1 to the counter on node a, ten times a second.
async fn ticker(ctx: Context) {
    let counter = Address::named("a", "counter");
    loop {
        counter.send(ToCounter::Add(1));
        ctx.sleep(millis(100)).await;
    }
}

/// The sum that the counter on node a has now.
fn sum(sim: &netsplit::Sim<'_, '_>) -> u64 {
    let sum = sim.server("a", "counter", |counter: &Counter| counter.sum);
    sum.expect("a counter between two messages")
}

#[test]
fn nodes_and_time() {
    check(Scenario::new("nodes and time").script(|sim| {
        sim.node("a", counter); // boots at once, and again after each crash
        sim.client("b", ticker); // a panic of a client fails the run
        sim.run_for(secs(1));
        assert_eq!(sim.now().as_nanos(), 1_000_000_000);
        let has_ten = |view: &netsplit::View| {
            let sum = view.server("a", "counter", |counter: &Counter| counter.sum);
            sum.is_ok_and(|sum| sum >= 10)
        };
        assert!(sim.run_until(secs(1), has_ten), "within one more second");
        assert_eq!(sum(sim), 10);
    }));
}

#[test]
fn looking() {
    check(Scenario::new("looking").script(|sim| {
        sim.node("a", counter);
        sim.client("b", |ctx: Context| async move {
            let counter = Address::named("a", "counter");
            counter.send(ToCounter::Add(5));
            let sum = counter.call(ToCounter::Sum, secs(1)).await;
            ctx.observe("sums", |sums: &mut Vec<u64>| sums.extend(sum));
            ctx.count("asked");
        });
        sim.run_for(secs(1));
        assert!(sim.is_up("a"));
        assert_eq!(sim.observed("sums"), Some(vec![5u64]));
        assert_eq!(sim.view(|view| view.counter("asked")), 1);
        assert_eq!(sim.server("a", "counter", |c: &Counter| c.sum), Ok(5));
        sim.crash("a");
        let gone = sim.server("a", "counter", |c: &Counter| c.sum);
        assert_eq!(gone, Err(Unreadable::NodeDown));
    }));
}

#[test]
fn going_down() {
    check(Scenario::new("going down").script(|sim| {
        sim.node("a", counter);
        sim.client("b", ticker);
        sim.run_for(secs(1));
        sim.crash("a"); // at once, between two steps
        assert!(!sim.is_up("a"));
        sim.run_for(secs(1)); // it stays down,
        sim.boot("a"); // until it is booted
        sim.run_for(secs(1));
        assert!((8..=11).contains(&sum(sim)), "what it knew is gone");
        assert_eq!(sim.view(|view| view.boots("a")), 2);

        sim.stop("a"); // asked to: its first process gets the exit `shutdown`
        sim.run_for(millis(1));
        assert!(!sim.is_up("a"), "it had nothing to wind up");

        sim.boot("a");
        sim.power_cut("a"); // nobody is told: peers hear nothing, and give up after the tick time
        assert!(!sim.is_up("a"));
    }));
}

#[test]
fn standing_still() {
    check(Scenario::new("standing still").script(|sim| {
        sim.node("a", counter);
        sim.client("b", ticker);
        sim.run_for(secs(1));
        sim.pause("a");
        let before = sum(sim);
        sim.run_for(secs(5));
        assert_eq!(sum(sim), before, "it neither steps nor takes anything in");
        sim.resume("a");
        sim.run_for(secs(1));
        assert!(
            sum(sim) >= before + 50,
            "what came meanwhile has not been lost"
        );

        sim.slow("a", millis(150)); // each step costs more than there is between two ticks
        sim.run_for(secs(3));
        let slow = sum(sim);
        sim.slow("a", Duration::ZERO); // fast again
        sim.run_for(secs(3));
        assert!(sum(sim) > slow + 30, "it has caught up");
    }));
}

#[test]
fn cuts() {
    check(Scenario::new("cuts").script(|sim| {
        sim.node("a", counter);
        sim.client("b", ticker);
        sim.client("c", |ctx: Context| async move {
            let counter = Address::named("a", "counter");
            while counter.call(ToCounter::Sum, millis(500)).await.is_ok() {
                ctx.sleep(millis(500)).await;
            }
            ctx.count("c gave up");
        });
        sim.run_for(secs(1));
        sim.partition(["a"], ["b"]); // both ways; c is on neither side, and reaches both
        sim.run_for(millis(50)); // what was on its way is held, like all the rest
        let before = sum(sim);
        sim.run_for(secs(2));
        assert_eq!(sum(sim), before);
        assert_eq!(sim.view(|view| view.counter("c gave up")), 0);
        sim.heal(); // every cut
        sim.run_for(secs(1));
        assert!(sum(sim) >= before + 20);

        sim.partition_one_way(["a"], ["c"]); // c still asks, and hears no answer
        sim.run_for(secs(2));
        assert_eq!(sim.view(|view| view.counter("c gave up")), 1);

        sim.isolate("b"); // from all others
        let before = sum(sim);
        sim.run_for(secs(2));
        assert!(sum(sim) <= before + 1);
    }));
}

#[test]
fn a_connection_breaks() {
    check(Scenario::new("a broken connection").script(|sim| {
        sim.node("a", counter);
        sim.client("b", |ctx: Context| async move {
            ctx.monitor_nodes(true);
            Address::named("a", "counter").send(ToCounter::Add(1));
            let is_down = |info: &Info| matches!(info, Info::NodeDown(_));
            ctx.receive_info(is_down).await;
            ctx.count("told");
        });
        sim.run_for(secs(1));
        sim.break_connection("a", "b");
        assert!(sim.run_until(secs(1), |view| view.counter("told") == 1));
        assert_eq!(sum(sim), 1);
    }));
}

#[test]
fn two_of_one_name() {
    check(Scenario::new("a zombie").script(|sim| {
        sim.node("a", |ctx: Context| async move {
            loop {
                ctx.observe("alive", |who: &mut BTreeSet<String>| {
                    who.insert(ctx.pid().to_string());
                });
                ctx.sleep(millis(100)).await;
            }
        });
        sim.run_for(secs(1));
        sim.zombie("a"); // written off: a new one boots, and the old one runs on, cut off
        sim.run_for(secs(1));
        let alive: BTreeSet<String> = sim.observed("alive").expect("somebody");
        assert_eq!(alive.len(), 2);
        sim.heal(); // now others can hear both
        sim.quiet(); // and now the old one has ended
    }));
}

#[test]
fn clocks() {
    check(Scenario::new("clocks").script(|sim| {
        sim.node("a", |ctx: Context| async move {
            loop {
                let (own, wall) = (ctx.now(), ctx.wall_clock());
                ctx.observe("clocks", |clocks: &mut (Duration, Duration)| {
                    *clocks = (own.since(netsplit::Time::ZERO), wall);
                });
                ctx.sleep(millis(100)).await;
            }
        });
        let read = |sim: &netsplit::Sim<'_, '_>| {
            let clocks: Option<(Duration, Duration)> = sim.observed("clocks");
            clocks.expect("it has looked at its clocks")
        };
        sim.run_for(secs(10));
        let (own, wall) = read(sim);
        sim.clock_forward("a", secs(3600)); // its wall clock; its own time never steps
        sim.run_for(secs(1));
        let (own_then, wall_then) = read(sim);
        assert!(own_then - own < millis(1_100));
        assert!(wall_then - wall > secs(3600));
        sim.clock_back("a", secs(7200));
        sim.drift("a", 100_000); // a tenth too fast from now on
        sim.run_for(secs(10));
        let (own, wall) = read(sim);
        assert!(wall < wall_then);
        assert!(own - own_then > millis(10_800));
    }));
}

#[test]
fn packets() {
    check(Scenario::new("packets").script(|sim| {
        sim.node("a", counter);
        sim.client("b", |ctx: Context| async move {
            let counter = Address::named("a", "counter");
            loop {
                counter.send_datagram(ToCounter::Add(1));
                ctx.sleep(millis(100)).await;
            }
        });
        let adds = || PacketFault::lose(1.0).kind(PacketKind::Data).to("a");
        sim.packets(&adds().nth(3)); // the third of them, counted from now on
        sim.run_for(millis(950));
        assert_eq!(sum(sim), 9);
        sim.packets(&PacketFault::hold().from("b"));
        sim.run_for(secs(1));
        assert!(sum(sim) <= 10);
        sim.release(); // no fault of packets any more, and what was held comes now
        sim.run_for(millis(50));
        assert_eq!(sum(sim), 19);
    }));
}

#[test]
fn any_fault() {
    check(Scenario::new("any fault").script(|sim| {
        sim.node("a", counter);
        // In the middle of a poll: at its 2nd send, timer or draw from now on. It reboots after 1 s.
        let crash = Fault::crash_at_call("a", 2, secs(1));
        sim.apply(crash).expect("a fault that makes sense");
        let nobody = sim.apply(Fault::crash("nobody", secs(1)));
        let error = nobody.expect_err("no such node").to_string();
        assert!(error.contains("names the node `nobody`"), "{error}");
    }));
}

#[test]
fn chance_and_a_script() {
    let faults = Faults::calm().lose(0.1).crash(secs(5), secs(1));
    let scenario = Scenario::new("chance and a script")
        .node("a", counter)
        .faults(faults)
        .never("it counts too much", |view| {
            let sum = view.server("a", "counter", |c: &Counter| c.sum);
            sum.is_ok_and(|sum| sum > 300)
        });
    check(scenario.script(|sim| {
        sim.client("b", ticker);
        let moment = sim.random_below(10_000); // another for each seed
        sim.run_for(millis(1 + moment));
        sim.quiet(); // no more faults; all is healed, and what was to reboot does so now
        sim.run_for(millis(1));
        let before = sum(sim);
        sim.run_for(secs(5));
        assert!(sum(sim) >= before + 45, "it counts again");
    }));
}

#[test]
fn a_process_is_killed() {
    check(Scenario::new("a process is killed").script(|sim| {
        sim.node("a", counter);
        sim.client("b", ticker);
        sim.run_for(secs(1));
        sim.kill("a", "counter");
        assert!(sim.is_up("a"), "the node lives on");
        let read = sim.server("a", "counter", |counter: &Counter| counter.sum);
        assert!(read.is_err(), "nobody holds the name");
    }));
}

#[test]
fn what_befalls_a_disk() {
    check(Scenario::new("what befalls a disk").script(|sim| {
        sim.node("a", |ctx: Context| async move {
            loop {
                ctx.sleep(millis(100)).await;
                let noted = async {
                    let file = ctx.files().create("notes").await?;
                    file.append(b"1").await?;
                    file.sync().await?;
                    ctx.files().sync_directory("").await?;
                    file.len().await
                };
                let length = noted.await.unwrap_or(0);
                ctx.observe("length", |noted: &mut u64| *noted = length);
            }
        });
        let length = |sim: &Sim<'_, '_>| sim.observed::<u64>("length");
        sim.run_for(secs(1));
        sim.fill_disk("a");
        sim.run_for(secs(1));
        assert_eq!(length(sim), Some(0), "nothing more goes in");
        sim.mend_disk("a");
        sim.slow_disk("a", 20);
        sim.run_for(secs(1));
        sim.hang_disk("a"); // what is asked of it now is done when it is mended
        sim.run_for(secs(1));
        sim.mend_disk("a");
        sim.remember_disk("a");
        sim.run_for(secs(10));
        assert!(length(sim) > Some(90));
        sim.roll_back_disk("a"); // the power is gone, and what was written since it was remembered
        sim.boot("a");
        sim.run_for(secs(1));
        assert!(length(sim) < Some(50));
        sim.wipe_disk("a");
        sim.boot("a");
        sim.run_for(millis(150));
        assert_eq!(length(sim), Some(1));
    }));
}

#[test]
fn the_page_shows_the_code_that_is_tested() {
    SCRIPTS.is_held_by(&[include_str!("scripts.rs")]);
}

#[test]
fn the_page_names_every_method_of_a_script() {
    let source = include_str!("../../src/sim/script.rs");
    let methods = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub fn "));
    let names = methods.map(|rest| rest.split(['<', '(']).next().unwrap_or_default());
    let names: Vec<&str> = names.collect();
    assert!(names.len() > 25, "{names:?}");
    for name in names {
        let called = SCRIPTS.text.contains(&format!(".{name}("));
        assert!(called, "{}: no word of `{name}`", SCRIPTS.path);
    }
}
