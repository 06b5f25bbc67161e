//! Law 1: the same seed gives the same run, in two processes, in debug and release, watched or not; and
//! what would break it is caught.
//!
//! `tests/golden/digests.txt` holds one digest for many seeds of each scenario here. Both profiles must
//! match it, so they match each other. After a change that is meant to change runs:
//! `NETSPLIT_GOLDEN=write cargo test --test determinism golden`.

use netsplit::explore::confirm;
use netsplit::sim::{Chance, Keep};
use netsplit::{
    Address, Context, ExitReason, Faults, Flow, GenServer, Info, Outcome, Refusal, ReplyTo,
    RunError, Scenario, Server, View, millis, report, secs,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::future::poll_fn;
use std::process::Command;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use xxhash_rust::xxh3::xxh3_128;

// --- Scenarios --------------------------------------------------------------------------------

#[derive(Debug, Serialize, Deserialize)]
enum Shelf {
    Put(u64),
    Count(ReplyTo<u64>),
}

struct ShelfServer {
    things: Vec<u64>,
}

impl GenServer for ShelfServer {
    type Args = ();
    type Message = Shelf;

    async fn init((): (), ctx: &mut Context<Shelf>) -> Result<Self, Refusal> {
        ctx.send_after(ctx.address(), Shelf::Put(0), millis(300));
        Ok(ShelfServer { things: Vec::new() })
    }

    async fn handle(&mut self, message: Shelf, ctx: &mut Context<Shelf>) -> Flow {
        match message {
            Shelf::Put(13) => panic!("unlucky"),
            Shelf::Put(thing) => self.things.push(thing),
            Shelf::Count(reply_to) => {
                if ctx.random_below(4) == 0 {
                    ctx.sleep(millis(3)).await;
                }
                reply_to.reply(self.things.len() as u64);
            }
        }
        Flow::NextWithin(millis(200))
    }

    async fn handle_info(&mut self, _: Info, ctx: &mut Context<Shelf>) -> Flow {
        ctx.observe("idle", |times: &mut u64| *times += 1);
        Flow::Next
    }
}

/// Starts a server under a name, and starts it again whenever it ends.
async fn keeper(ctx: Context) {
    ctx.trap_exit(true);
    loop {
        let server = Server::<ShelfServer>::with(()).name("shelf");
        if server.start_link(&ctx).await.is_err() {
            ctx.sleep(millis(10)).await;
        } else {
            ctx.receive().await;
        }
    }
}

async fn customer(ctx: Context) {
    for _ in 0..8 {
        let node = ["a", "b"][ctx.random_below(2) as usize];
        let shelf = Address::<Shelf>::named(node, "shelf");
        shelf.send(Shelf::Put(ctx.random_below(20)));
        match shelf.call(Shelf::Count, millis(50)).await {
            Ok(count) => ctx.observe("most", |most: &mut u64| *most = count.max(*most)),
            Err(error) => ctx.note(error),
        }
        ctx.sleep(millis(ctx.random_below(100))).await;
    }
}

fn faults() -> Faults {
    Faults::calm()
        .lose(0.05)
        .duplicate(0.05)
        .reorder(0.05, millis(40))
        .crash(secs(1), millis(100))
        .slow(0.1, millis(1))
        .late_timers(millis(2))
}

/// Servers that panic, timers, calls with timeouts, a network that does everything, crashes.
fn chaos() -> Scenario {
    Scenario::new("chaos")
        .node("a", keeper)
        .node("b", keeper)
        .client("first", customer)
        .client("second", customer)
        .faults(faults())
        .horizon(secs(3))
}

/// Processes of one node that link, monitor, kill and name one another.
fn family() -> Scenario {
    Scenario::new("family").client("home", |ctx: Context| async move {
        ctx.trap_exit(true);
        for nth in 0..6 {
            let child = move |child: Context<()>| async move {
                let _ = child.register(["ann", "bob", "cid"][child.random_below(3) as usize]);
                let twin = child.spawn_link(|twin: Context<()>| async move {
                    twin.receive_within(millis(twin.random_below(9))).await;
                });
                twin.send(());
                child.sleep(millis(child.random_below(9))).await;
                child.exit(ExitReason::error(nth)).await;
            };
            let child = ctx.spawn_link(child).pid().expect("an address by pid");
            let _ = ctx.monitor(child);
            if ctx.random_below(3) == 0 {
                ctx.send_exit(child, ExitReason::Kill);
            }
        }
        while ctx.receive_within(millis(20)).await.is_some() {}
    })
}

/// Names, and how many seeds of each go into its digest.
fn scenarios() -> Vec<(Scenario, u64)> {
    let with = |scenario: Scenario| scenario.finally("it ended", |_| true);
    let calm = chaos().faults(Faults::calm());
    vec![
        (with(chaos()), 300),
        (with(calm), 50),
        (with(family()), 300),
    ]
}

fn digests(scenario: &Scenario, seeds: u64) -> String {
    let mut bytes = Vec::new();
    for seed in 0..seeds {
        let outcome = scenario.run(seed).expect("a good scenario");
        assert_eq!(outcome.error, None, "seed {seed}");
        bytes.extend(outcome.digest.0.to_le_bytes());
        bytes.extend(outcome.steps.to_le_bytes());
    }
    format!("{:032x}", xxh3_128(&bytes))
}

fn keeping(scenario: &Scenario, seed: u64, keep: Keep) -> Outcome {
    let run = scenario.run_with(Chance::Seed(seed), keep);
    run.expect("a good scenario")
}

// --- Same in, same out ------------------------------------------------------------------------

const CHILD: &str = "NETSPLIT_TEST_CHILD";

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "how it knows which process it is"
)]
fn a_thousand_seeds_give_equal_digests_in_two_processes() {
    let found = digests(&chaos().finally("it ended", |_| true), 1_000);
    if std::env::var_os(CHILD).is_some() {
        println!("digests: {found}");
        return;
    }
    let this = "a_thousand_seeds_give_equal_digests_in_two_processes";
    let binary = std::env::current_exe().expect("this program");
    let child = Command::new(binary)
        .args(["--exact", this, "--nocapture"])
        .env(CHILD, "1")
        .output();
    let child = child.expect("another process");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(
        said.contains(&format!("digests: {found}\n")),
        "{found}: {said}"
    );
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "whether to write what is compared"
)]
fn debug_and_release_match_one_golden_file() {
    let lines = scenarios()
        .into_iter()
        .enumerate()
        .map(|(nth, (scenario, seeds))| {
            let digests = digests(&scenario, seeds);
            format!("{nth} {} {seeds} {digests}\n", scenario.name())
        });
    let found: String = lines.collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/digests.txt");
    if std::env::var("NETSPLIT_GOLDEN").is_ok_and(|value| value == "write") {
        std::fs::write(path, &found).expect("a file to write");
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(found, golden, "see the top of tests/determinism.rs");
}

#[test]
fn different_seeds_give_different_runs() {
    for (scenario, _) in scenarios() {
        let mut all: Vec<_> = (0..100)
            .map(|seed| scenario.run(seed).unwrap().digest)
            .collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 100, "{}", scenario.name());
    }
}

type Look = fn(&View) -> bool;

/// Properties that hold, and look at whatever can be seen.
const LOOKS: [(&str, Look); 7] = [
    ("time goes on", |view| {
        view.now().as_nanos() < u64::MAX && view.step() > 0
    }),
    ("books are read", |view| {
        view.books().received <= view.books().sent
    }),
    ("the board is read", |view| {
        view.observed::<u64>("most").is_none_or(|most| *most < 100)
    }),
    ("servers are read", |view| {
        let read = |server: &ShelfServer| server.things.len() < 100;
        view.server("a", "shelf", read).unwrap_or(true)
    }),
    ("nodes are read", |view| {
        !view.is_up("b") || view.boots("b") > 0
    }),
    ("waits are read", |view| view.waiting().len() < 1_000),
    ("calls and counters are read", |view| {
        view.call_cycle().is_none() && view.counter("none") == 0
    }),
];

/// The sorts of property, and none.
const SORTS: usize = 6;

/// Each look as a property of its sort.
fn observed(sorts: &[usize]) -> Scenario {
    let mut scenario = chaos();
    for ((name, look), sort) in LOOKS.into_iter().zip(sorts) {
        scenario = match sort {
            0 => scenario,
            1 => scenario.always(name, look),
            2 => scenario.never(name, move |view| !look(view)),
            // Looked at for a while, and then no more.
            3 => scenario.sometimes(name, move |view| look(view) && view.step() > 100),
            4 => scenario.eventually(name, millis(1), move |view| look(view) && view.step() > 50),
            _ => scenario.finally(name, look),
        };
    }
    scenario.finally("it ended", |_| true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_property_added_or_taken_away_changes_no_digest(
        seed in any::<u64>(), sorts in proptest::collection::vec(0..SORTS, LOOKS.len()),
    ) {
        let (plain, watched) = (observed(&[]).run(seed), observed(&sorts).run(seed));
        let (plain, watched) = (plain.unwrap(), watched.unwrap());
        prop_assert_eq!(watched.violation, None);
        prop_assert_eq!(
            (plain.digest, plain.steps, plain.events, plain.at),
            (watched.digest, watched.steps, watched.events, watched.at)
        );
    }

    #[test]
    fn what_is_kept_of_a_run_changes_no_digest(seed in any::<u64>()) {
        let scenario = observed(&[]);
        let plain = scenario.run(seed).unwrap();
        for bits in 1..8 {
            let [log, draws, payloads] = [1, 2, 4].map(|bit| bits & bit != 0);
            let kept = keeping(&scenario, seed, Keep { log, draws, payloads });
            prop_assert_eq!((kept.log.is_some(), kept.payloads.is_some()), (log, payloads));
            prop_assert_eq!(kept.draws.is_empty(), !draws);
            prop_assert_eq!(
                (plain.digest, plain.steps, plain.events, plain.books),
                (kept.digest, kept.steps, kept.events, kept.books)
            );
        }
    }
}

/// Once a note counted as a call of the host only where a log was kept: the crash of this run, at the
/// third call from then on, fell elsewhere.
#[test]
fn a_note_before_a_crash_inside_a_poll_changes_no_digest() {
    let scenario = Scenario::new("notes")
        .node("home", |ctx: Context<u64>| async move {
            for number in 0..100 {
                ctx.note(number);
                ctx.address().send(number);
                ctx.sleep(millis(10)).await;
            }
        })
        .finally("it ended", |_| true)
        .faults(Faults::calm().crash(millis(200), millis(10)))
        .horizon(secs(2));
    let log = Keep {
        log: true,
        ..Keep::default()
    };
    for seed in 0..50 {
        let plain = scenario.run(seed).expect("a good scenario");
        let logged = keeping(&scenario, seed, log);
        assert_eq!(plain.digest, logged.digest, "seed {seed}");
    }
}

// --- Leaks are caught -------------------------------------------------------------------------

/// Runs a seed twice; where the runs differ, the first event that does, as each run has it.
fn first_difference(scenario: &Scenario, seed: u64) -> Option<[String; 2]> {
    let keep = Keep {
        payloads: true,
        ..Keep::default()
    };
    let first = keeping(scenario, seed, keep);
    let found = confirm(scenario, &|| Chance::Seed(seed), &first, keep).err()?;
    let difference = found.difference.expect("the first event that differs");
    let shown = difference.sides.map(|side| {
        let at = side.at.expect("both runs have gone on to it");
        report::trace::line(&side.log, &found.names, at).expect("its line")
    });
    Some(shown)
}

#[test]
fn a_sound_scenario_has_no_first_difference() {
    let chaos = observed(&[]);
    assert!((0..20).all(|seed| first_difference(&chaos, seed).is_none()));
}

/// Sends in the order of a std `HashMap`, which has a hash seed of its own each time.
#[allow(clippy::disallowed_types, reason = "the leak that is planted")]
fn hash_order(_: &Context) -> impl Iterator<Item = u64> + use<> {
    let map: std::collections::HashMap<u64, ()> = (0..32).map(|key| (key, ())).collect();
    map.into_keys()
}

#[test]
fn sends_in_the_order_of_a_hash_map_are_caught_with_the_first_event_that_differs() {
    let scenario = Scenario::new("hash_order")
        .node("server", |ctx: Context<u64>| async move {
            ctx.register("server").expect("a free name");
            loop {
                ctx.receive_message().await;
            }
        })
        .client("client", |ctx: Context| async move {
            for key in hash_order(&ctx) {
                Address::named("server", "server").send(key);
            }
        })
        .finally("it ended", |_| true);
    let [one, other] = first_difference(&scenario, 7).expect("two runs that differ");
    assert_ne!(one, other);
    for line in [one, other] {
        let whose = "client  <client.0.0>  sends ·";
        assert!(line.contains(whose), "{line}");
    }
}

#[test]
fn local_payloads_in_the_order_of_a_hash_map_are_caught_where_they_are_sent() {
    let scenario = Scenario::new("hash_payload")
        .client("home", |ctx: Context<Vec<u64>>| async move {
            ctx.address().send(hash_order_of(&ctx));
            ctx.receive_message().await;
        })
        .finally("it ended", |_| true);
    let [one, other] = [(); 2].map(|()| scenario.run(7).expect("a good scenario").digest);
    assert_eq!(one, other, "which messages there were is the same");
    let [one, other] = first_difference(&scenario, 7).expect("two runs that differ");
    assert_ne!(one, other);
    for line in [one, other] {
        let sends = "home  <home.0.0>  sends ·1 to <home.0.0>: [";
        assert!(line.contains(sends), "{line}");
    }
}

#[allow(clippy::disallowed_types, reason = "the leak that is planted")]
fn hash_order_of<M>(_: &Context<M>) -> Vec<u64> {
    let set: std::collections::HashSet<u64> = (0..32).collect();
    set.into_iter().collect()
}

#[test]
#[allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the leak that is planted"
)]
fn a_real_clock_is_caught_with_the_first_event_that_differs() {
    let began = std::time::Instant::now();
    let scenario = Scenario::new("real_clock")
        .client("home", move |ctx: Context| async move {
            ctx.register("home").expect("a free name");
            ctx.sleep(began.elapsed()).await;
        })
        .finally("it ended", |_| true);
    let [one, other] = first_difference(&scenario, 7).expect("two runs that differ");
    assert_ne!(one, other);
    for line in [one, other] {
        assert!(line.contains("<home.0.0> home  sets a timer to "), "{line}");
    }
}

/// A process beside one that waits for what only the outside can do; `pend` is given its waker.
fn waits_outside(name: &str, pend: impl Fn(Waker) + Send + Sync + Clone + 'static) -> Scenario {
    Scenario::new(name)
        .client("home", move |ctx: Context| {
            let pend = pend.clone();
            async move {
                ctx.spawn(move |_: Context| async move {
                    let mut polls = 0;
                    poll_fn(|cx| {
                        polls += 1;
                        if polls > 1 {
                            return Poll::Ready(());
                        }
                        pend(cx.waker().clone());
                        Poll::Pending
                    })
                    .await;
                });
                ctx.sleep(millis(1)).await;
            }
        })
        .finally("it ended", |_| true)
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the leak that is planted")]
fn a_thread_that_wakes_a_process_is_named_as_a_wake_from_outside() {
    let scenario = waits_outside("thread", |waker| {
        let thread = std::thread::spawn(move || waker.wake());
        thread.join().expect("a thread that wakes");
    });
    for seed in 0..20 {
        let outcome = scenario.run(seed).expect("a good scenario");
        let pid = "<home.1.0>".to_owned();
        assert_eq!(
            outcome.error,
            Some(RunError::OutsideWake { pid }),
            "seed {seed}"
        );
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the leak that is planted")]
fn a_thread_that_wakes_too_late_is_an_unknown_wait_and_its_wake_is_harmless() {
    let (wakers, kept) = mpsc::channel();
    let scenario = waits_outside("late_thread", move |waker| {
        wakers.send(waker).expect("a place for wakers");
    });
    let unknown = Some(RunError::UnknownWait {
        pid: "<home.1.0>".to_owned(),
    });
    let first = scenario.run(1).expect("a good scenario");
    assert_eq!(first.error, unknown);
    let outlived = kept.recv().expect("the waker of a run that is over");
    outlived.wake_by_ref();
    std::thread::spawn(move || outlived.wake())
        .join()
        .expect("a thread that wakes");
    let second = scenario.run(1).expect("a good scenario");
    assert_eq!((second.error, second.digest), (unknown, first.digest));
}

#[test]
fn a_waker_of_an_earlier_run_is_harmless_within_a_later_one() {
    let (wakers, kept) = mpsc::channel();
    let keeps = waits_outside("keeps", move |waker| {
        wakers.send(waker).expect("a place for wakers");
    });
    let _ = keeps.run(1).expect("a good scenario");
    let kept = std::sync::Mutex::new(kept);
    let first = |old: bool| {
        let old = old.then(|| kept.lock().unwrap().recv().expect("a waker"));
        let scenario = Scenario::new("later")
            .client("home", move |ctx: Context| {
                old.iter().for_each(Waker::wake_by_ref);
                async move { ctx.sleep(millis(1)).await }
            })
            .finally("it ended", |_| true);
        let outcome = scenario.run(1).expect("a good scenario");
        assert!(outcome.is_ok(), "{outcome:?}");
        outcome.digest
    };
    assert_eq!(first(true), first(false));
}

#[test]
fn a_process_that_waits_for_nothing_known_is_named() {
    let scenario = Scenario::new("unknown")
        .client("home", |ctx: Context| async move {
            ctx.spawn(|ctx: Context<()>| async move { drop(ctx.receive().await) });
            ctx.spawn(|_: Context| std::future::pending::<()>());
        })
        .finally("it ended", |_| true);
    let outcome = scenario.run(1).expect("a good scenario");
    let pid = "<home.2.0>".to_owned();
    assert_eq!(outcome.error, Some(RunError::UnknownWait { pid }));
}
