//! Half-open connections: one side has given up, or begun anew, and the other still believes.

use super::{ear, heard, listen, steady, uneven};
use netsplit::{Address, Context, Pid, Scenario, Time, check, millis, secs};

/// Two nodes with an ear each. That of `a` sends 1 at the beginning, and the others at their times.
fn sender(scenario: Scenario, later: &'static [(u64, u64)]) -> Scenario {
    let scenario = scenario.node("a", move |ctx: Context<u64>| async move {
        ctx.register("ear").expect("a free name");
        if ctx.pid().incarnation() == 0 {
            Address::<u64>::named("b", "ear").send(1);
        }
        for (n, at) in later {
            let at = Time::ZERO + secs(*at);
            if at > ctx.now() {
                ctx.send_after(Address::<u64>::named("b", "ear"), *n, at.since(ctx.now()));
            }
        }
        listen(&ctx, "a").await;
    });
    ear(scenario, "b")
}

#[test]
fn node_down_comes_before_the_new_node_up_where_one_side_has_given_up_already() {
    let scenario = sender(Scenario::new("half open"), &[(2, 90), (3, 91)]);
    check(scenario.script(|sim| {
        sim.run_for(secs(1));
        sim.partition(["a"], ["b"]);
        let gave_up = |node: &'static str| {
            move |view: &netsplit::View| {
                let all = view.observed::<super::Heard>(node);
                all.is_some_and(|all| all.iter().any(|(_, line)| line.starts_with("down")))
            }
        };
        sim.run_until(secs(80), |view| gave_up("a")(view) || gave_up("b")(view));
        sim.heal();
        sim.run_for(secs(95));
        assert_eq!(heard(sim, "a"), ["up b", "down b", "up b"]);
        assert_eq!(heard(sim, "b"), ["up a", "1", "down a", "up a", "2", "3"]);
    }));
}

#[test]
fn who_sends_over_a_connection_that_the_other_side_has_given_up_hears_that_it_is_none() {
    let scenario = Scenario::new("given up").node("a", |ctx: Context<u64>| async move {
        ctx.register("ear").expect("a free name");
        ctx.spawn(|sender: Context| async move {
            for n in 1.. {
                Address::<u64>::named("b", "ear").send(n);
                sender.sleep(secs(1)).await;
            }
        });
        listen(&ctx, "a").await;
    });
    check(ear(scenario, "b").script(|sim| {
        sim.run_for(millis(1500));
        // What a sends, b does not hear, and gives a up; a hears of that when the way is open again.
        sim.partition_one_way(["a"], ["b"]);
        sim.packets(&netsplit::PacketFault::hold().from("b"));
        sim.run_for(secs(80));
        sim.release();
        sim.heal();
        sim.run_for(secs(5));
        let seen = heard(sim, "b");
        let down = seen
            .iter()
            .position(|line| line == "down a")
            .expect("noticed");
        assert_eq!(seen[down + 1], "up a", "{seen:?}");
        assert_eq!(heard(sim, "a"), ["up b", "down b", "up b"]);
    }));
}

#[test]
fn a_reboot_after_a_power_cut_ends_what_the_peers_believed_before_anything_new() {
    let scenario = sender(Scenario::new("power"), &[(2, 20)]);
    check(scenario.script(|sim| {
        sim.run_for(secs(1));
        sim.power_cut("a");
        sim.run_for(secs(10));
        assert_eq!(heard(sim, "b"), ["up a", "1"]);
        sim.boot("a");
        sim.run_for(secs(1));
        // The machine is back, and knows of no connection.
        assert_eq!(heard(sim, "b"), ["up a", "1", "down a"]);
        sim.run_for(secs(20));
        assert_eq!(heard(sim, "b"), ["up a", "1", "down a", "up a", "2"]);
    }));
}

#[test]
fn a_reboot_behind_a_cut_is_told_as_the_end_of_the_old_connection_and_then_a_new_one() {
    let scenario = sender(Scenario::new("reboot"), &[(2, 31)]);
    check(scenario.script(|sim| {
        sim.run_for(secs(1));
        sim.partition(["a"], ["b"]);
        sim.crash("a");
        sim.run_for(secs(1));
        sim.boot("a");
        sim.run_for(secs(28));
        assert_eq!(heard(sim, "b"), ["up a", "1"]);
        sim.heal();
        sim.run_for(secs(5));
        assert_eq!(heard(sim, "b"), ["up a", "1", "down a", "up a", "2"]);
    }));
}

#[test]
fn what_an_old_incarnation_has_sent_is_not_delivered_after_node_down() {
    let declare = |s: Scenario| {
        ear(s, "b").node("a", |ctx: Context| async move {
            let boot = u64::from(ctx.pid().incarnation());
            for n in 0.. {
                Address::<u64>::named("b", "ear").send(1000 * boot + n);
                ctx.sleep(millis(3)).await;
            }
        })
    };
    uneven(declare, |sim| {
        for _ in 0..4 {
            let while_up = sim.random_below(100);
            sim.run_for(millis(while_up));
            sim.crash("a");
            let while_down = sim.random_below(10);
            sim.run_for(millis(while_down));
            sim.boot("a");
        }
        sim.run_for(millis(100));
        let mut boot = None;
        for line in heard(sim, "b") {
            match line.parse::<u64>() {
                Ok(n) => assert_eq!(*boot.get_or_insert(n / 1000), n / 1000),
                Err(_) => boot = None,
            }
        }
        assert!(boot.is_some());
    });
}

#[test]
fn what_is_under_way_to_an_old_incarnation_does_not_reach_the_new_one() {
    let declare = |s: Scenario| {
        let scenario = s.node("a", |ctx: Context<u64>| async move {
            ctx.register("ear").expect("a free name");
            if ctx.pid().incarnation() == 0 {
                ctx.connect(ctx.node_named("b").expect("a node"));
            }
            listen(
                &ctx,
                if ctx.pid().incarnation() == 0 {
                    "old"
                } else {
                    "new"
                },
            )
            .await;
        });
        scenario.node("b", |ctx: Context| async move {
            ctx.sleep(secs(1)).await;
            (1..=3).for_each(|n| Address::<u64>::named("a", "ear").send(n));
            ctx.sleep(secs(1)).await;
            Address::<u64>::named("a", "ear").send(4);
        })
    };
    steady(declare, |sim| {
        sim.run_for(millis(1002));
        sim.crash("a");
        sim.boot("a");
        sim.run_for(secs(5));
        assert_eq!(heard(sim, "old"), ["up b"]);
        assert_eq!(heard(sim, "new"), ["up b", "4"]);
    });
}

#[test]
fn a_pid_of_an_old_incarnation_is_dead_over_the_new_connection() {
    let scenario = Scenario::new("old pid").node("a", |ctx: Context<u64>| async move {
        Address::<Pid>::named("b", "b").send(ctx.pid());
        listen(&ctx, "a").await;
    });
    let scenario = scenario.client("b", |ctx: Context<Pid>| async move {
        ctx.register("b").expect("a free name");
        ctx.trap_exit(true);
        let [old, new] = [ctx.receive_message().await, ctx.receive_message().await];
        assert!(old.incarnation() < new.incarnation());
        ctx.link(old);
        let monitor = ctx.monitor(old);
        Address::<u64>::of(old).send(1);
        Address::<u64>::of(new).send(2);
        let reason = netsplit::ExitReason::NoProc;
        let exit = netsplit::Info::Exit {
            from: old,
            reason: reason.clone(),
        };
        let down = netsplit::Info::Down {
            monitor,
            of: old.into(),
            reason,
        };
        for wanted in [exit, down] {
            assert_eq!(ctx.receive().await, netsplit::Received::Info(wanted));
        }
        ctx.count("done");
    });
    check(scenario.script(|sim| {
        sim.run_for(secs(1));
        sim.crash("a");
        sim.run_for(secs(1));
        sim.boot("a");
        sim.run_for(secs(1));
        assert_eq!(
            sim.view(|view| (view.counter("done"), view.books().dead)),
            (1, 1)
        );
        assert_eq!(heard(sim, "a").last().map(String::as_str), Some("2"));
    }));
}
