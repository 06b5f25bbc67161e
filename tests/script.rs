//! Scripts: a test drives the run itself.

use netsplit::{
    Address, Context, Fault, Faults, Info, Received, ReplyTo, Scenario, check, millis, secs,
};

async fn counter(ctx: Context<u64>) {
    ctx.register("counter").expect("a free name");
    loop {
        let add = ctx.receive_message().await;
        ctx.observe("sum", |sum: &mut u64| *sum += add);
    }
}

async fn echo(ctx: Context<ReplyTo<u64>>) {
    ctx.register("echo").expect("a free name");
    loop {
        ctx.receive_message().await.reply(7);
    }
}

#[test]
fn a_message_arrives_over_a_connection_and_a_call_gets_its_answer() {
    check(Scenario::new("over a connection").script(|sim| {
        sim.node("a", counter);
        sim.node("e", echo);
        sim.client("b", |ctx: Context| async move {
            Address::<u64>::named("a", "counter").send(1);
            let echo = Address::<ReplyTo<u64>>::named("e", "echo");
            assert_eq!(echo.call(|to| to, secs(1)).await, Ok(7));
            ctx.count("answered");
        });
        sim.run_for(secs(1));
        assert_eq!(sim.observed("sum"), Some(1u64));
        assert_eq!(sim.view(|view| view.counter("answered")), 1);
    }));
}

#[test]
fn a_partition_delays_what_is_sent_until_it_heals() {
    check(Scenario::new("partition").script(|sim| {
        sim.node("a", counter);
        sim.client("b", |ctx: Context| async move {
            let counter = Address::<u64>::named("a", "counter");
            counter.send(1);
            ctx.sleep(secs(1)).await;
            counter.send(10);
        });
        sim.run_for(millis(500));
        sim.partition(["a"], ["b"]);
        sim.run_for(secs(20));
        assert_eq!(sim.observed("sum"), Some(1u64));
        sim.heal();
        assert!(sim.run_until(secs(1), |view| view.observed("sum") == Some(&11u64)));
    }));
}

#[test]
fn a_crash_is_told_as_node_down_and_the_next_send_connects_again() {
    check(Scenario::new("crash").script(|sim| {
        sim.node("a", counter);
        sim.client("b", |ctx: Context| async move {
            ctx.monitor_nodes(true);
            let counter = Address::<u64>::named("a", "counter");
            counter.send(1);
            let a = ctx.node_named("a").expect("a node");
            for wanted in [Info::NodeUp(a), Info::NodeDown(a)] {
                assert_eq!(ctx.receive().await, Received::Info(wanted));
            }
            ctx.sleep(secs(1)).await;
            counter.send(10);
            assert_eq!(ctx.receive().await, Received::Info(Info::NodeUp(a)));
        });
        sim.run_for(secs(1));
        sim.crash("a");
        sim.run_for(millis(100));
        sim.boot("a");
        assert!(sim.run_until(secs(5), |view| view.observed("sum") == Some(&11u64)));
    }));
}

#[test]
fn a_zombie_lives_beside_its_successor() {
    check(Scenario::new("zombie").script(|sim| {
        sim.node("a", echo);
        sim.node("b", echo);
        sim.run_for(secs(1));
        sim.zombie("a");
        sim.run_for(secs(1));
        assert!(sim.is_up("a"));
        assert_eq!(sim.view(|view| view.boots("a")), 2);
        sim.heal();
        sim.run_for(secs(1));
        sim.quiet();
    }));
}

#[test]
fn no_planned_fault_begins_after_all_was_made_quiet() {
    let faults = Faults::calm().at(secs(2), Fault::crash("a", secs(1)));
    let scenario = Scenario::new("quiet").node("a", counter).faults(faults);
    check(scenario.clone().script(|sim| {
        sim.run_for(secs(1));
        sim.quiet();
        sim.run_for(secs(5));
        assert_eq!(sim.view(|view| view.boots("a")), 1);
    }));
    check(scenario.script(|sim| {
        sim.run_for(secs(5));
        assert_eq!(sim.view(|view| view.boots("a")), 2);
    }));
}

#[test]
fn a_name_that_no_node_has_is_told_with_the_line_of_the_script() {
    let scenario = Scenario::new("no such node").script(|sim| {
        sim.node("a", counter);
        sim.crash("b");
    });
    let outcome = scenario.run(0).expect("a scenario that can be run");
    let detail = outcome.violation.expect("the script panics").detail;
    assert!(detail.contains("names the node `b`"), "{detail}");
    assert!(detail.contains("tests/script.rs:"), "{detail}");
}

#[test]
fn when_all_is_healed_what_was_lost_is_sent_again_at_once() {
    let outcome = |seed| {
        let scenario = Scenario::new("healed")
            .node("a", counter)
            .client("b", |_: Context| async {
                Address::<u64>::named("a", "counter").send(1);
            })
            // Each copy but the last is lost: 51 s.
            .faults(Faults::calm().lose(1.0))
            .finally("it has come", |view| view.observed("sum") == Some(&1u64))
            .horizon(secs(10))
            .quiet(millis(100));
        scenario.run(seed).expect("a scenario that can be run")
    };
    for seed in 0..20 {
        assert!(outcome(seed).is_ok(), "{:?}", outcome(seed).violation);
    }
}
