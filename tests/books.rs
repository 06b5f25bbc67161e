//! Law 7: whatever processes do and whatever faults do to them, the books balance, and a seed gives the
//! same run again.
//!
//! The programs are drawn: each process decides by its own randomness what to do next.

use futures::future::{Either, select};
use netsplit::sim::{Chance, Keep};
use netsplit::{
    Address, Context, ExitReason, Faults, Info, MailboxBound, Outcome, Overflow, PacketKind,
    Received, ReplyTo, Scenario, TimerRef, millis,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::pin::pin;
use std::time::Duration;

#[derive(Debug, Serialize, Deserialize)]
enum Talk {
    Meet(Address<Talk>),
    Word(String),
    Ask(ReplyTo<u64>),
    /// An address of a process as if it took numbers: what is sent there is of another type.
    Mistaken(Address<u64>),
}

const NAMES: [&str; 3] = ["ann", "bob", "cid"];
const PEERS_MOST: usize = 6;
const DEPTH_MOST: u64 = 3;

/// A process that does so many things, drawn one after another.
struct Wanderer {
    ctx: Context<Talk>,
    nodes: u64,
    depth: u64,
    peers: Vec<Address<Talk>>,
    held: Vec<ReplyTo<u64>>,
    timers: Vec<TimerRef>,
}

impl Wanderer {
    fn new(ctx: Context<Talk>, nodes: u64, depth: u64) -> Wanderer {
        let peers = vec![ctx.address()];
        Wanderer {
            ctx,
            nodes,
            depth,
            peers,
            held: Vec::new(),
            timers: Vec::new(),
        }
    }

    fn draw(&self, n: u64) -> u64 {
        self.ctx.random_below(n)
    }

    fn peer(&self) -> Address<Talk> {
        if self.draw(3) == 0 {
            let node = ["n0", "n1", "n2", "n3"][self.draw(self.nodes) as usize];
            return Address::named(node, NAMES[self.draw(3) as usize]);
        }
        self.peers[self.draw(self.peers.len() as u64) as usize]
    }

    fn short(&self) -> Duration {
        millis(self.draw(30))
    }

    fn message(&self) -> Talk {
        match self.draw(3) {
            0 => Talk::Meet(self.peer()),
            1 => Talk::Mistaken(Address::of(self.ctx.pid())),
            _ => Talk::Word("x".repeat(self.draw(40) as usize)),
        }
    }

    fn reason(&self) -> ExitReason {
        let reasons = [ExitReason::Normal, ExitReason::Shutdown, ExitReason::Kill];
        let drawn = reasons.get(self.draw(4) as usize).cloned();
        drawn.unwrap_or_else(|| ExitReason::error("drawn"))
    }

    async fn wander(mut self, deeds: u64) {
        for _ in 0..deeds {
            match self.draw(22) {
                0..=4 => self.speak(),
                5..=8 => self.listen().await,
                9..=12 => self.relate().await,
                13..=15 => self.ask().await,
                16 => self.ctx.sleep(self.short()).await,
                17 => self.time(),
                18 => self.ctx.work(self.short() / 8).await,
                19 | 20 => self.bound(),
                _ => self.end().await,
            }
        }
    }

    fn speak(&mut self) {
        let (peer, message) = (self.peer(), self.message());
        match self.draw(6) {
            0 => peer.send_as(PacketKind::Ack, message),
            1 => drop(peer.try_send(message)),
            2 if !self.held.is_empty() => self.held.remove(0).reply(self.draw(100)),
            _ => peer.send(message),
        }
    }

    async fn listen(&mut self) {
        let received = match self.draw(3) {
            0 => {
                let word = self.ctx.receive_where(|talk| matches!(talk, Talk::Word(_)));
                match select(pin!(word), pin!(self.ctx.sleep(self.short()))).await {
                    Either::Left((word, _)) => Some(Received::Message(word)),
                    Either::Right(_) => None,
                }
            }
            1 => self.ctx.receive_within(Duration::ZERO).await,
            _ => self.ctx.receive_within(self.short()).await,
        };
        match received {
            Some(Received::Message(Talk::Meet(peer))) if self.peers.len() < PEERS_MOST => {
                self.peers.push(peer);
            }
            Some(Received::Message(Talk::Ask(reply_to))) => self.held.push(reply_to),
            Some(Received::Message(Talk::Mistaken(address))) => address.send(7),
            Some(Received::Info(Info::Down { monitor, .. })) => {
                self.ctx.demonitor(monitor, true);
            }
            _ => {}
        }
    }

    async fn relate(&mut self) {
        let pid = self.peer().pid().unwrap_or(self.ctx.pid());
        match self.draw(9) {
            0 => self.ctx.link(pid),
            1 => self.ctx.unlink(pid),
            2 => drop(self.ctx.monitor(pid)),
            3 => {
                let monitor = self.ctx.monitor(pid);
                self.ctx.demonitor(monitor, self.draw(2) == 0);
            }
            4 => self.ctx.trap_exit(self.draw(2) == 0),
            5 => drop(self.ctx.register(NAMES[self.draw(3) as usize])),
            6 => self.ctx.unregister(),
            7 => self.ctx.send_exit(pid, self.reason()),
            _ => self.bear(),
        }
    }

    fn bear(&mut self) {
        let (nodes, depth) = (self.nodes, self.depth + 1);
        if depth > DEPTH_MOST {
            return;
        }
        let child = move |ctx: Context<Talk>| {
            let deeds = 10;
            Wanderer::new(ctx, nodes, depth).wander(deeds)
        };
        let child = match self.draw(3) {
            0 => self.ctx.spawn(child),
            1 => self.ctx.spawn_link(child),
            _ => self.ctx.spawn_monitor(child).0,
        };
        child.send(Talk::Meet(self.ctx.address()));
        self.peers.push(child);
    }

    async fn ask(&mut self) {
        let (peer, timeout) = (self.peer(), self.short());
        if self.draw(4) == 0 {
            // A call that is given up before its time.
            let call = pin!(peer.call(Talk::Ask, timeout));
            select(call, pin!(self.ctx.yield_now())).await;
        } else {
            let _ = peer.call(Talk::Ask, timeout).await;
        }
    }

    fn time(&mut self) {
        let timer = self.timers.pop();
        match timer {
            Some(timer) if self.draw(2) == 0 => drop(self.ctx.cancel_timer(timer)),
            _ => {
                let (peer, message, after) = (self.peer(), self.message(), self.short());
                self.timers.push(self.ctx.send_after(peer, message, after));
            }
        }
    }

    fn bound(&mut self) {
        let policies = [
            Overflow::Wait,
            Overflow::Refuse,
            Overflow::DropNewest,
            Overflow::DropOldest,
        ];
        match self.draw(4) {
            0 => self.ctx.watch_dead_letters(self.draw(3) > 0),
            1 => self.ctx.watch_overload(self.draw(3) > 0),
            _ => {
                let bound = MailboxBound::new(self.draw(4) as usize + 1);
                let policy = policies[self.draw(4) as usize];
                self.ctx.bound_mailbox(bound.policy(policy));
            }
        }
    }

    async fn end(&mut self) {
        match self.draw(12) {
            0 => panic!("drawn"),
            1 | 2 => drop(self.ctx.exit(self.reason()).await),
            _ => {}
        }
    }
}

/// Says something on its way out: to be discarded after a kill or a crash, and to be counted otherwise.
struct LastWords(Address<Talk>);

impl Drop for LastWords {
    fn drop(&mut self) {
        self.0.send(Talk::Word("last words".to_owned()));
    }
}

fn scenario(nodes: usize, deeds: u64, faults: Faults, horizon: Duration) -> Scenario {
    let mut scenario = Scenario::new("wanderers");
    for nth in 0..nodes {
        scenario = scenario.node(&format!("n{nth}"), move |ctx: Context<Talk>| async move {
            let _ = ctx.register(NAMES[nth % NAMES.len()]);
            let _words = LastWords(Address::named("n0", NAMES[0]));
            Wanderer::new(ctx, nodes as u64, 0).wander(deeds).await;
        });
    }
    scenario
        .faults(faults)
        .finally("it ended", |_| true)
        .horizon(horizon)
}

prop_compose! {
    fn faults()(
        rates in prop::array::uniform5(prop_oneof![3 => Just(0.0), 1 => 0.0..0.5]),
        crash_ms in prop_oneof![Just(0), 50u64..2_000],
        crash_calls in 0u64..20,
    ) -> Faults {
        let [lose, duplicate, reorder, slow, late] = rates;
        let faults = Faults::calm()
            .lose(lose)
            .duplicate(duplicate)
            .reorder(reorder, millis(60))
            .slow(slow, millis(3))
            .late_timers(Duration::from_micros((late * 10_000.0) as u64));
        match crash_ms {
            0 => faults,
            every => faults.crash(millis(every), millis(every / 4 + 1)).crash_calls(crash_calls),
        }
    }
}

fn run(scenario: &Scenario, seed: u64, keep: Keep) -> Outcome {
    let outcome = scenario.run_with(Chance::Seed(seed), keep);
    outcome.expect("a good scenario")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_books_balance_whatever_processes_and_faults_do(
        seed in any::<u64>(), nodes in 1usize..5, deeds in 1u64..60, faults in faults(),
        horizon_ms in prop_oneof![1u64..100, Just(1_000)],
    ) {
        let scenario = scenario(nodes, deeds, faults, millis(horizon_ms));
        let outcome = run(&scenario, seed, Keep::default());
        prop_assert_eq!(&outcome.error, &None);
        let books = outcome.books;
        let fates = [books.received, books.unread, books.stale, books.lost, books.dead];
        prop_assert_eq!(books.sent, fates.iter().sum::<u64>() + books.in_flight);
        let log = Keep { log: true, draws: true, payloads: true };
        let again = run(&scenario, seed, log);
        prop_assert_eq!(
            (outcome.digest, outcome.events, outcome.books),
            (again.digest, again.events, again.books)
        );
    }
}

#[test]
fn the_drawn_programs_meet_every_fate() {
    let faults = Faults::calm()
        .lose(0.1)
        .duplicate(0.1)
        .crash(millis(50), millis(5));
    let scenario = scenario(4, 60, faults, millis(80));
    let mut fates = [0; 6];
    for seed in 0..200 {
        let books = run(&scenario, seed, Keep::default()).books;
        let found = [
            books.received,
            books.unread,
            books.stale,
            books.lost,
            books.dead,
            books.in_flight,
        ];
        fates
            .iter_mut()
            .zip(found)
            .for_each(|(sum, found)| *sum += found);
    }
    assert!(fates.iter().all(|count| *count > 20), "{fates:?}");
}
