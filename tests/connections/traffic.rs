//! What a connection carries while it stands: everything, in order, later where packets are lost.

use super::{Heard, at, ear, echo, heard, moment, steady, uneven};
use netsplit::{
    Address, CallError, Context, Distribution, Faults, Message, Network, PacketFault, PacketKind,
    Path, Rate, ReplyTo, Scenario, Sim, Time, check, millis, secs,
};
use std::time::Duration;

fn to_a() -> Address<u64> {
    Address::named("a", "ear")
}

/// A client that connects to `a`, and begins to send a second later: one message each `pause`.
fn stream(
    scenario: Scenario,
    messages: u64,
    pause: Duration,
    send: fn(Address<u64>, u64),
) -> Scenario {
    ear(scenario, "a").client("client", move |ctx: Context| async move {
        ctx.connect(ctx.node_named("a").expect("a node"));
        ctx.sleep(secs(1)).await;
        for n in 1..=messages {
            send(to_a(), n);
            ctx.sleep(pause).await;
        }
    })
}

/// The numbers from 1 on, after the line that says that the connection is up.
fn up_and_numbers(messages: u64) -> Vec<String> {
    let up = ["up client".to_owned()].into_iter();
    up.chain((1..=messages).map(|n| n.to_string())).collect()
}

fn assert_nothing_is_lost(sim: &Sim<'_, '_>) {
    let books = sim.view(|view| view.books());
    assert_eq!((books.lost, books.dead), (0, 0));
}

#[test]
fn what_a_connection_carries_arrives_in_the_order_sent() {
    let declare = |s| stream(s, 100, millis(1), Address::send);
    uneven(declare, |sim| {
        sim.run_for(secs(5));
        assert_eq!(heard(sim, "a"), up_and_numbers(100));
    });
}

#[test]
fn datagrams_overtake_one_another_where_a_connection_does_not() {
    let scenario = stream(
        Scenario::new("datagrams"),
        20,
        millis(1),
        Address::send_datagram,
    );
    let scenario = scenario.sometimes("one overtakes another", |view| {
        let heard = view.observed::<Heard>("a");
        heard.is_some_and(|all| {
            !all.iter()
                .skip(1)
                .is_sorted_by_key(|(_, n)| n.parse::<u64>().ok())
        })
    });
    check(scenario.script(|sim| {
        sim.run_for(secs(5));
        let mut seen = heard(sim, "a");
        seen.sort_by_key(|line| line.parse::<u64>().ok());
        assert_eq!(seen, up_and_numbers(20));
    }));
}

#[test]
fn a_lossy_path_only_delays_what_a_connection_carries() {
    let path = Path::new(Distribution::Constant(millis(5)));
    let lossy = path.with_loss(Rate::new(0.1).expect("a rate"));
    let scenario = stream(Scenario::new("lossy"), 50, millis(10), Address::send)
        .network(Network::new(lossy))
        .sometimes("a packet comes late", |view| {
            view.observed::<Heard>("a").is_some_and(|all| {
                let second = all.iter().find(|(_, line)| line == "2");
                second.is_some_and(|(at, _)| *at > Time::ZERO + millis(1015))
            })
        });
    check(scenario.script(|sim| {
        sim.run_for(secs(200));
        assert_eq!(heard(sim, "a"), up_and_numbers(50));
        assert_nothing_is_lost(sim);
    }));
}

#[test]
fn a_lost_packet_is_sent_again_after_200_ms_and_what_follows_waits_behind_it() {
    let declare = |s| stream(s, 3, millis(10), Address::send);
    steady(declare, |sim| {
        sim.packets(&PacketFault::lose(1.0).from("client").nth(2));
        sim.run_for(secs(5));
        let moments = ["1", "2", "3"].map(|line| moment(sim, "a", line));
        assert_eq!(
            moments,
            [at(millis(1005)), at(millis(1215)), at(millis(1215))]
        );
        assert_eq!(heard(sim, "a"), up_and_numbers(3));
        assert_nothing_is_lost(sim);
    });
}

#[test]
fn a_delayed_packet_delays_what_follows() {
    let declare = |s| stream(s, 10, millis(1), Address::send);
    uneven(declare, |sim| {
        sim.packets(&PacketFault::delay(0.5, secs(1)).to("a"));
        sim.run_for(secs(10));
        assert_eq!(heard(sim, "a"), up_and_numbers(10));
    });
}

#[test]
fn a_connection_takes_nothing_twice() {
    let faults = Faults::calm().duplicate(1.0).reorder(1.0, secs(1));
    let scenario = stream(Scenario::new("twice"), 10, millis(1), Address::send).faults(faults);
    check(scenario.script(|sim| {
        sim.run_for(secs(5));
        assert_eq!(heard(sim, "a"), up_and_numbers(10));
        assert_eq!(sim.view(|view| view.books().sent), 10);
    }));
}

#[test]
fn what_is_held_comes_in_order_when_it_is_released() {
    let declare = |s| stream(s, 5, millis(1), Address::send);
    steady(declare, |sim| {
        sim.packets(&PacketFault::hold().from("client"));
        sim.run_for(secs(30));
        assert_eq!(heard(sim, "a"), ["up client"]);
        sim.release();
        sim.run_for(Duration::from_nanos(1));
        assert_eq!(heard(sim, "a"), up_and_numbers(5));
        assert_eq!(moment(sim, "a", "5"), at(secs(30)));
    });
}

#[test]
fn a_cut_that_heals_before_it_is_noticed_is_a_delay() {
    let declare = |s| stream(s, 100, millis(100), Address::send);
    uneven(declare, |sim| {
        sim.run_for(millis(1500));
        sim.partition(["a"], ["client"]);
        sim.run_for(secs(40));
        assert!(heard(sim, "a").len() < 10);
        sim.heal();
        sim.run_for(secs(1));
        assert_eq!(heard(sim, "a"), up_and_numbers(100));
        assert_nothing_is_lost(sim);
    });
}

#[test]
fn a_pause_that_ends_before_it_is_noticed_is_a_delay() {
    let declare = |s| stream(s, 100, millis(100), Address::send);
    uneven(declare, |sim| {
        sim.run_for(millis(1500));
        sim.pause("a");
        sim.run_for(secs(40));
        assert!(heard(sim, "a").len() < 10);
        sim.resume("a");
        sim.run_for(secs(1));
        assert_eq!(heard(sim, "a"), up_and_numbers(100));
        assert_nothing_is_lost(sim);
    });
}

#[test]
fn an_answer_that_never_comes_leaves_the_connection_as_it_is() {
    let declare = |s| {
        echo(s, "a").client("client", |ctx: Context| async move {
            let echo = Address::<ReplyTo<u64>>::named("a", "echo");
            assert_eq!(echo.call(|to| to, secs(10)).await, Err(CallError::Timeout));
            assert_eq!(ctx.nodes().len(), 1);
            ctx.sleep(secs(1)).await;
            assert_eq!(echo.call(|to| to, secs(10)).await, Ok(7));
            ctx.count("answered");
        })
    };
    uneven(declare, |sim| {
        sim.packets(&PacketFault::never_answer().kind(PacketKind::Reply));
        sim.run_for(secs(10));
        sim.release();
        sim.run_for(secs(10));
        assert_eq!(sim.view(|view| view.counter("answered")), 1);
    });
}

/// A message of 1,000 bytes and a little.
fn thousand(n: u8) -> Vec<u8> {
    vec![n; 1000]
}

/// A process named `ear` that notes when each message came.
fn sized_ear<M: Message>(scenario: Scenario, node: &'static str, count: fn(M) -> u64) -> Scenario {
    scenario.node(node, move |ctx: Context<M>| async move {
        ctx.register("ear").expect("a free name");
        loop {
            let line = count(ctx.receive_message().await).to_string();
            let now = ctx.now();
            ctx.observe(node, |heard: &mut Heard| heard.push((now, line)));
        }
    })
}

#[test]
fn a_narrow_path_passes_messages_one_after_the_other() {
    let narrow = Path::new(Distribution::Constant(millis(5))).with_bandwidth(10_000);
    let network = Network::new(Path::new(Distribution::Constant(millis(5))));
    let scenario = sized_ear::<Vec<u8>>(Scenario::new("narrow"), "a", |m| u64::from(m[0]))
        .network(network.path("client", "a", narrow))
        .client("client", |ctx: Context| async move {
            ctx.connect(ctx.node_named("a").expect("a node"));
            ctx.sleep(secs(1)).await;
            let ear = Address::named("a", "ear");
            (1..=3).for_each(|n| ear.send(thousand(n)));
            ctx.sleep(secs(1)).await;
            // A datagram waits for no other.
            (4..=5).for_each(|n| ear.send_datagram(thousand(n)));
        });
    check(scenario.script(|sim| {
        sim.run_for(secs(5));
        // Two bytes more say how long the message is: 1,002 bytes take 100.2 ms.
        let alone = Duration::from_micros(100_200);
        for (n, sent, passes) in [(1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 2, 1), (5, 2, 1)] {
            let expected = at(secs(sent) + passes * alone + millis(5));
            assert_eq!(moment(sim, "a", &n.to_string()), expected, "message {n}");
        }
    }));
}

/// A client whose process sends six messages of 1,000 bytes over a connection that takes 3,000, and
/// another process that goes on meanwhile.
fn busy(scenario: Scenario) -> Scenario {
    let network = Network::new(Path::new(Distribution::Constant(millis(5))));
    sized_ear::<Vec<u8>>(scenario, "a", |m| u64::from(m[0]))
        .network(network.buffer(3000))
        .client("client", |ctx: Context| async move {
            ctx.connect(ctx.node_named("a").expect("a node"));
            ctx.spawn(|other: Context| async move {
                loop {
                    other.sleep(secs(1)).await;
                    other.count("others");
                }
            });
            ctx.sleep(secs(1)).await;
            for n in 1..=6 {
                Address::named("a", "ear").send(thousand(n));
                ctx.count("sent");
                ctx.yield_now().await;
            }
        })
}

fn sent(sim: &Sim<'_, '_>) -> u64 {
    sim.view(|view| view.counter("sent"))
}

#[test]
fn a_busy_connection_suspends_its_sender_until_half_of_it_is_free() {
    check(busy(Scenario::new("busy")).script(|sim| {
        sim.packets(&PacketFault::hold().from("client"));
        sim.run_for(secs(10));
        // The third message makes it more than 3,000 bytes.
        assert_eq!(sent(sim), 3);
        assert_eq!(sim.view(|view| view.counter("others")), 10);
        sim.release();
        assert!(sim.run_until(millis(10), |view| view.counter("sent") == 6));
        sim.run_for(secs(1));
        assert_eq!(heard(sim, "a"), ["1", "2", "3", "4", "5", "6"]);
    }));
}

#[test]
fn a_sender_is_suspended_at_a_connection_that_is_being_set_up_too_and_released_when_that_fails() {
    check(busy(Scenario::new("busy set-up")).script(|sim| {
        sim.partition(["a"], ["client"]);
        sim.run_for(millis(6999));
        assert_eq!(sent(sim), 3);
        sim.run_for(millis(1));
        assert_eq!(sent(sim), 6);
        assert_eq!(sim.view(|view| view.books().dead), 3);
    }));
}

#[test]
fn a_suspended_sender_is_released_when_the_connection_breaks() {
    check(busy(Scenario::new("break")).script(|sim| {
        sim.packets(&PacketFault::hold().from("client"));
        sim.run_for(secs(10));
        assert_eq!(sent(sim), 3);
        sim.release();
        sim.partition(["a"], ["client"]);
        sim.crash("a");
        sim.run_for(secs(1));
        assert_eq!(sent(sim), 3);
        sim.heal();
        assert!(sim.run_until(secs(1), |view| view.counter("sent") == 6));
    }));
}

#[test]
fn a_suspended_sender_can_be_killed() {
    let declare = |s: Scenario| {
        let network = Network::new(Path::new(Distribution::Constant(millis(5)))).buffer(3000);
        sized_ear::<Vec<u8>>(s, "a", |m| u64::from(m[0]))
            .network(network)
            .client("client", |ctx: Context| async move {
                ctx.connect(ctx.node_named("a").expect("a node"));
                ctx.sleep(millis(500)).await;
                let (sender, _monitor) = ctx.spawn_monitor(|sender: Context| async move {
                    for n in 1..=6 {
                        Address::named("a", "ear").send(thousand(n));
                        sender.yield_now().await;
                    }
                });
                ctx.sleep(secs(1)).await;
                ctx.send_exit(sender.pid().expect("a pid"), netsplit::ExitReason::Kill);
                let down = ctx.receive_info(|_| true).await;
                assert!(matches!(
                    down,
                    netsplit::Info::Down {
                        reason: netsplit::ExitReason::Killed,
                        ..
                    }
                ));
                ctx.count("killed");
            })
    };
    check(declare(Scenario::new("kill")).script(|sim| {
        sim.packets(&PacketFault::hold().from("client"));
        sim.run_for(secs(2));
        assert_eq!(sim.view(|view| view.counter("killed")), 1);
        sim.release();
        sim.run_for(secs(2));
        assert_eq!(heard(sim, "a"), ["1", "2", "3"]);
    }));
}

#[test]
fn a_suspended_sender_waits_for_a_connection_and_says_so() {
    check(busy(Scenario::new("says so")).script(|sim| {
        sim.packets(&PacketFault::hold().from("client"));
        sim.run_for(secs(10));
        let waits = sim.view(|view| view.waiting());
        let of_sender = waits.iter().map(|waiting| waiting.to_string()).nth(1);
        assert_eq!(
            of_sender.as_deref(),
            Some("<client.0.0>  waits for a connection that takes more")
        );
    }));
}

#[test]
fn what_was_sent_before_a_connection_was_closed_still_keeps_the_line_busy() {
    let narrow = Path::new(Distribution::Constant(millis(5))).with_bandwidth(10_000);
    let scenario = sized_ear::<Vec<u8>>(Scenario::new("closed"), "a", |m| u64::from(m[0]))
        .network(Network::new(narrow).buffer(2_500))
        .client("client", |ctx: Context| async move {
            let a = ctx.node_named("a").expect("a node");
            ctx.connect(a);
            ctx.sleep(secs(1)).await;
            let ear = Address::named("a", "ear");
            (1..=2).for_each(|n| ear.send(thousand(n)));
            ctx.disconnect(a);
            ear.send(thousand(3));
            ctx.yield_now().await;
            ctx.count("sent");
        });
    check(scenario.script(|sim| {
        sim.run_for(millis(1_100));
        assert_eq!(sent(sim), 0);
        assert!(sim.run_until(millis(200), |view| view.counter("sent") == 1));
        sim.run_for(secs(1));
        assert_eq!(heard(sim, "a"), ["1", "2", "3"]);
    }));
}
