//! Two live incarnations of one name: the one that was written off, and the one in its place.

use super::{ear, heard, listen};
use netsplit::{
    Address, CallError, Context, Distribution, Network, NodeId, PacketFault, Path, Pid, ReplyTo,
    Scenario, Sim, check, millis, secs,
};

/// A node `a` whose processes send their pid to `b` once a second, and `b`, which notes whose came.
fn beats(name: &str) -> Scenario {
    let scenario = Scenario::new(name).node("a", |ctx: Context<u64>| async move {
        ctx.register("ear").expect("a free name");
        ctx.spawn(|sender: Context| async move {
            loop {
                Address::<Pid>::named("b", "beats").send(sender.pid());
                sender.sleep(secs(1)).await;
            }
        });
        let key = if ctx.node() == NodeId::new(0) {
            "old"
        } else {
            "new"
        };
        listen(&ctx, key).await;
    });
    scenario.node("b", |ctx: Context<Pid>| async move {
        ctx.register("beats").expect("a free name");
        ctx.spawn(|own: Context<u64>| async move {
            own.register("ear").expect("a free name");
            listen(&own, "b").await;
        });
        loop {
            let node = ctx.receive_message().await.node();
            ctx.observe("beats", |all: &mut Vec<NodeId>| all.push(node));
        }
    })
}

/// Who has been heard since the last look.
fn since(sim: &Sim<'_, '_>, before: &mut usize) -> Vec<NodeId> {
    let all = sim.observed::<Vec<NodeId>>("beats").unwrap_or_default();
    let mut newer = all[*before..].to_vec();
    *before = all.len();
    newer.dedup();
    newer
}

#[test]
fn a_successor_has_a_node_id_of_its_own_and_takes_the_place_of_the_old_one() {
    check(beats("successor").script(|sim| {
        let mut seen = 0;
        sim.run_for(secs(5));
        let old = since(sim, &mut seen);
        sim.zombie("a");
        sim.run_for(secs(5));
        let new = since(sim, &mut seen);
        assert_eq!((old.len(), new.len()), (1, 1));
        assert_ne!(old, new);
        // The old one is given up before the new one is there: both have one name.
        assert_eq!(heard(sim, "b"), ["up a", "down a", "up a"]);
        assert_eq!(heard(sim, "new"), ["up b"]);
    }));
}

#[test]
fn the_old_one_finds_no_way_back_while_the_new_one_is_connected() {
    check(beats("way back").script(|sim| {
        let mut seen = 0;
        sim.run_for(secs(5));
        sim.zombie("a");
        sim.run_for(secs(30));
        since(sim, &mut seen);
        sim.heal();
        sim.run_for(secs(30));
        let twin = sim.view(|view| view.node("a"));
        assert_eq!(since(sim, &mut seen), [twin]);
        assert_eq!(heard(sim, "b"), ["up a", "down a", "up a"]);
        let old = heard(sim, "old");
        assert_eq!(
            old,
            ["up b", "down b"],
            "it hears that it was given up, and is refused from then on"
        );
    }));
}

#[test]
fn what_is_sent_to_the_name_goes_to_the_new_one_and_what_is_sent_to_a_pid_to_its_own() {
    let scenario = Scenario::new("whom").node("a", |ctx: Context<u64>| async move {
        ctx.register("ear").expect("a free name");
        let key = if ctx.node() == NodeId::new(0) {
            "old"
        } else {
            "new"
        };
        Address::<Pid>::named("b", "b").send(ctx.pid());
        listen(&ctx, key).await;
    });
    let scenario = scenario.client("b", |ctx: Context<Pid>| async move {
        ctx.register("b").expect("a free name");
        let [old, new] = [ctx.receive_message().await, ctx.receive_message().await];
        assert_ne!(old.node(), new.node());
        Address::<u64>::named("a", "ear").send(1);
        Address::<u64>::of(new).send(2);
        Address::<u64>::of(old).send(3);
    });
    check(scenario.script(|sim| {
        sim.run_for(secs(1));
        sim.zombie("a");
        sim.run_for(secs(5));
        assert_eq!(heard(sim, "new"), ["up b", "1", "2"]);
        assert_eq!(heard(sim, "old"), ["up b"]);
    }));
}

#[test]
fn the_old_one_hears_that_another_has_its_place_even_if_it_sends_nothing_any_more() {
    let scenario = Scenario::new("listens").node("a", |ctx: Context<u64>| async move {
        ctx.register("ear").expect("a free name");
        let key = if ctx.node() == NodeId::new(0) {
            "old"
        } else {
            "new"
        };
        Address::<u64>::named("b", "ear").send(1);
        listen(&ctx, key).await;
    });
    check(ear(scenario, "b").script(|sim| {
        sim.run_for(secs(1));
        sim.zombie("a");
        sim.run_for(secs(5));
        assert_eq!(heard(sim, "b"), ["up a", "1", "down a", "up a", "1"]);
        assert_eq!(heard(sim, "old"), ["up b"], "it is cut off");
        sim.heal();
        sim.run_for(secs(1));
        assert_eq!(heard(sim, "old"), ["up b", "down b"]);
    }));
}

#[test]
fn whoever_calls_the_new_one_gives_the_old_one_up() {
    let scenario = Scenario::new("calls").node("a", |ctx: Context<u64>| async move {
        ctx.register("ear").expect("a free name");
        let key = if ctx.node() == NodeId::new(0) {
            "old"
        } else {
            "new"
        };
        listen(&ctx, key).await;
    });
    let scenario = scenario.node("b", |ctx: Context<u64>| async move {
        ctx.spawn(|sender: Context| async move {
            loop {
                Address::<u64>::named("a", "ear").send(1);
                sender.sleep(secs(1)).await;
            }
        });
        listen(&ctx, "b").await;
    });
    check(scenario.script(|sim| {
        sim.run_for(secs(1));
        sim.zombie("a");
        sim.run_for(secs(5));
        assert_eq!(heard(sim, "b"), ["up a", "down a", "up a"]);
        sim.heal();
        sim.run_for(secs(1));
        assert_eq!(heard(sim, "old").last().map(String::as_str), Some("down b"));
    }));
}

#[test]
fn a_node_that_was_written_off_still_means_itself_by_its_own_name() {
    let scenario = Scenario::new("itself").node("a", |ctx: Context<u64>| async move {
        ctx.register("ear").expect("a free name");
        let (own, key) = (ctx.node(), ["old", "new"][ctx.node().index().min(1)]);
        ctx.spawn(move |sender: Context| async move {
            loop {
                assert_eq!(sender.node_named("a"), Some(own));
                Address::<u64>::named("a", "ear").send(1);
                sender.sleep(secs(1)).await;
            }
        });
        loop {
            let _ = ctx.receive_message().await;
            ctx.count(key);
        }
    });
    check(scenario.script(|sim| {
        sim.run_for(millis(500));
        sim.zombie("a");
        sim.run_for(secs(10));
        let counted = ["old", "new"].map(|key| sim.view(|view| view.counter(key)));
        assert_eq!(counted, [11, 11]);
    }));
}

#[test]
fn what_a_new_one_sends_to_its_name_at_the_old_node_is_no_packet() {
    // `b` has the address from before, and hands it to the new one.
    let scenario = Scenario::new("its own").node("a", |ctx: Context<Address<u64>>| async move {
        ctx.spawn(|ear: Context<u64>| async move {
            ear.register("ear").expect("a free name");
            listen(&ear, "ear").await;
        });
        Address::<Pid>::named("b", "b").send(ctx.pid());
        ctx.receive_message().await.send(7);
    });
    let scenario = scenario.node("b", |ctx: Context<Pid>| async move {
        ctx.register("b").expect("a free name");
        let ear = Address::<u64>::named("a", "ear");
        let [_, new] = [ctx.receive_message().await, ctx.receive_message().await];
        Address::of(new).send(ear);
    });
    let scenario = scenario.network(Network::new(Path::new(Distribution::Constant(millis(5)))));
    check(scenario.script(move |sim| {
        sim.run_for(secs(1));
        sim.zombie("a");
        sim.packets(&PacketFault::lose(1.0));
        sim.run_for(secs(5));
        assert!(
            heard(sim, "ear").contains(&"7".to_owned()),
            "{:?}",
            heard(sim, "ear")
        );
    }));
}

#[test]
fn a_call_to_a_name_fails_with_the_connection_to_the_machine_that_was_asked() {
    // The address is of the second machine of three.
    let scenario = Scenario::new("third").node("a", |ctx: Context<ReplyTo<u64>>| async move {
        ctx.register("deaf").expect("a free name");
        ctx.sleep(secs(1000)).await;
    });
    let scenario = scenario.node("b", |ctx: Context| async move {
        ctx.sleep(secs(2)).await;
        let deaf = Address::<ReplyTo<u64>>::named("a", "deaf");
        ctx.sleep(secs(2)).await;
        let answer = deaf.call(|to| to, secs(500)).await;
        assert!(matches!(answer, Err(CallError::NodeDown(_))), "{answer:?}");
        ctx.count("failed");
    });
    check(scenario.script(|sim| {
        for _ in 0..2 {
            sim.run_for(secs(1));
            sim.zombie("a");
            sim.run_for(millis(500));
            sim.quiet();
            sim.run_for(secs(1));
        }
        sim.run_for(secs(1));
        sim.crash("a");
        sim.run_for(secs(1));
        assert_eq!(sim.view(|view| view.counter("failed")), 1);
    }));
}

#[test]
fn a_call_that_went_to_the_old_one_is_none_of_the_new_ones_connection() {
    let scenario = Scenario::new("whose call").node("a", |ctx: Context<ReplyTo<u64>>| async move {
        ctx.register("deaf").expect("a free name");
        ctx.sleep(secs(1000)).await;
    });
    let scenario = scenario.node("b", |ctx: Context| async move {
        let deaf = Address::<ReplyTo<u64>>::named("a", "deaf");
        ctx.spawn(move |ctx: Context| async move {
            let _ = deaf.call(|to| to, secs(500)).await;
            ctx.count("failed");
        });
        let twin = loop {
            ctx.sleep(millis(100)).await;
            match ctx.node_named("a") {
                Some(node) if node != NodeId::new(0) => break node,
                _ => {}
            }
        };
        // The cut lets it not be set up: that is told long before the old one's silence is noticed.
        ctx.connect(twin);
    });
    check(scenario.script(|sim| {
        sim.run_for(secs(1));
        sim.zombie("a");
        sim.partition(["a"], ["b"]);
        sim.run_for(secs(20));
        assert_eq!(sim.view(|view| view.counter("failed")), 0);
        sim.run_for(secs(80));
        assert_eq!(sim.view(|view| view.counter("failed")), 1);
    }));
}
