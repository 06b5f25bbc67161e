//! The same actors in a simulation and in life: two nodes on tokio, real time, TCP over loopback and files.
//!
//! This is the one place where tests wait for a real clock, a few milliseconds at a time: what is proved is
//! that it can be one. In each test actors tell a story, and it must be the same in both worlds, word for
//! word.

mod bank;
mod files;
mod host;
#[cfg(feature = "redb")]
mod letters;
mod packets;
mod shelf;
mod wire;

use bank::{business, crash, flood, neighbour, parting, people, stop, tree};
use futures::future::select_all;
use host::{Directory, Life};
use netsplit::trace::{Event, Names};
use netsplit::{Context, IntoExit, Message};
use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio::time::timeout;

/// What is done to the bank's node, once the town has said a line.
type Cue = (&'static str, Deed);

#[derive(Clone, Copy)]
enum Deed {
    Crash,
    Stop,
    Boot,
}

/// Plays it in both worlds; the town must tell this story, to its last line.
fn plays<B: Message, T: Message, F, G>(
    bank: impl Fn(Context<B>) -> F + Copy + Send + Sync + 'static,
    town: impl Fn(Context<T>) -> G + Copy + Send + Sync + 'static,
    cues: &'static [Cue],
    story: &'static [&'static str],
) where
    F: Future<Output: IntoExit> + 'static,
    G: Future<Output: IntoExit> + 'static,
{
    #[cfg(feature = "sim")]
    simulated::play(bank, town, cues, story);
    let told = in_life(async || {
        let mut lives = lives();
        lives[0].boot(bank).await;
        lives[1].boot(town).await;
        for (line, deed) in cues {
            until(&mut lives, line).await;
            match deed {
                Deed::Crash => lives[0].crash(),
                Deed::Stop => lives[0].stop(),
                Deed::Boot => lives[0].boot(bank).await,
            }
        }
        until(&mut lives, story[story.len() - 1]).await;
        told(&lives[1])
    });
    assert_eq!(told, story, "on real nodes");
}

/// Runs it on tokio, on this thread.
fn in_life<R>(code: impl AsyncFnOnce() -> R) -> R {
    let mut tokio = Builder::new_current_thread();
    let tokio = tokio.enable_io().enable_time().build().expect("a runtime");
    let code = async { timeout(Duration::from_secs(20), code()).await };
    let ended = LocalSet::new().block_on(&tokio, code);
    ended.expect("it ends in time")
}

/// A bank's and a town's node, which have not booted.
fn lives() -> [Life; 2] {
    let names: Names = vec!["bank".to_owned(), "town".to_owned()].into();
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let directory: Directory = Rc::new(RefCell::new(vec![nowhere; names.len()]));
    [0, 1].map(|own| Life::new(own, &names, &directory))
}

/// What the processes of a node have said.
fn told(life: &Life) -> Vec<String> {
    let said = life.runtime.observed::<Vec<String>>(&life.name());
    said.cloned().unwrap_or_default()
}

/// Lets both live until the town says a line.
async fn until(lives: &mut [Life; 2], line: &str) {
    while !told(&lives[1]).iter().any(|said| said == line) {
        let turns = lives.iter_mut().map(|life| Box::pin(life.turn()));
        select_all(turns).await;
    }
}

/// The same in simulations, under many seeds.
#[cfg(feature = "sim")]
mod simulated {
    use super::{Cue, Deed};
    use netsplit::{Context, IntoExit, Message, Scenario, secs};

    /// How many seeds of each play are run.
    const SEEDS: u64 = 50;

    pub(super) fn play<B: Message, T: Message, F, G>(
        bank: impl Fn(Context<B>) -> F + Copy + Send + Sync + 'static,
        town: impl Fn(Context<T>) -> G + Copy + Send + Sync + 'static,
        cues: &'static [Cue],
        story: &'static [&'static str],
    ) where
        F: Future<Output: IntoExit> + 'static,
        G: Future<Output: IntoExit> + 'static,
    {
        let scenario = Scenario::new("life").script(move |sim| {
            sim.node("bank", bank);
            sim.client("town", town);
            let last = (story[story.len() - 1], None);
            let cues = cues.iter().map(|(line, deed)| (*line, Some(*deed)));
            for (line, deed) in cues.chain([last]) {
                let is_said = sim.run_until(secs(300), |view| {
                    let told = view.observed::<Vec<String>>("town");
                    told.is_some_and(|told| told.iter().any(|said| said == line))
                });
                assert!(is_said, "{line:?} was not said");
                match deed {
                    Some(Deed::Crash) => sim.crash("bank"),
                    Some(Deed::Stop) => sim.stop("bank"),
                    Some(Deed::Boot) => sim.boot("bank"),
                    None => {}
                }
            }
            let told: Vec<String> = sim.observed("town").unwrap_or_default();
            assert_eq!(told, story, "in a simulation");
        });
        for seed in 0..SEEDS {
            let outcome = scenario.run(seed).expect("a sound scenario");
            let (violation, error) = (&outcome.violation, &outcome.error);
            assert!(outcome.is_ok(), "seed {seed}: {violation:?} {error:?}");
        }
    }
}

#[test]
fn calls_names_and_timers_are_the_same_in_life() {
    let story = &[
        "balance: Ok(5050)",
        "audit: Ok(5050)",
        "complaint: Err(Timeout)",
        "nobody: Err(NoProc)",
        "statement: 5050",
        "after 5 ms: true",
        "cancelled: true",
        "then: None",
    ];
    plays(|ctx| tree().run(ctx), business, &[], story);
}

#[test]
fn links_monitors_exits_and_restarts_are_the_same_in_life() {
    let story = &[
        "down: error: retired",
        "down: noproc",
        "exit: killed",
        "robbed: Err(Exit(Panic(\"hands up\")))",
        "the vault closes",
        "down: panic: hands up",
        "restarted: Ok(0)",
    ];
    plays(|ctx| tree().run(ctx), people, &[], story);
}

#[test]
fn a_node_that_crashes_and_boots_again_is_the_same_in_life() {
    let cues = &[("balance: Ok(0)", Deed::Crash), ("waits", Deed::Boot)];
    let story = &[
        "balance: Ok(0)",
        "called: Err(NodeDown(bank))",
        "down: noconnection",
        "exit: noconnection",
        "down: noconnection",
        "called: Err(NodeDown(bank))",
        "waits",
        "balance: Ok(0) again",
        "down: noproc",
        "a new incarnation: true",
    ];
    plays(|ctx| tree().run(ctx), crash, cues, story);
}

#[test]
fn a_connection_that_is_closed_heals_on_the_next_send_in_life() {
    let story = &[
        "down: noconnection",
        "bank is down",
        "peers: []",
        "bank is up",
        "balance: Ok(7)",
        "peers: [bank]",
    ];
    plays(|ctx| tree().run(ctx), parting, &[], story);
}

#[test]
fn a_node_that_is_stopped_closes_in_the_same_order_in_life() {
    let story = &[
        "waits",
        "the desk closes",
        "the vault closes",
        "bank is down",
        "peers: []",
    ];
    plays(|ctx| tree().run(ctx), stop, &[("waits", Deed::Stop)], story);
}

#[cfg(feature = "redb")]
#[test]
fn files_a_database_on_them_and_letters_over_a_crash_are_the_same_in_life() {
    let cues = &[
        ("monitors", Deed::Crash),
        ("the bank is down, and the letter is stored", Deed::Boot),
    ];
    let story = &[
        "open `notes/today`: there is no such file",
        "buy milk",
        "read `notes/today`: that is behind the end of the file",
        "[\"old/\", \"tomorrow\"]",
        "there: false",
        "8 bytes",
        "locked: true",
        "balance: 5",
        "balance: 12",
        "monitors",
        "the bank is down, and the letter is stored",
        "balance: 42",
    ];
    plays(letters::bank, letters::town, cues, story);
}

#[test]
fn two_nodes_that_dial_each_other_at_once_get_one_connection() {
    plays(neighbour, neighbour, &[], &["all in order"]);
}

#[test]
fn a_sender_waits_for_a_full_connection_and_loses_nothing() {
    let suspended = in_life(async || {
        let mut lives = lives();
        lives[0].runtime.core().1.trace().keep_log();
        lives[0].boot(flood).await;
        lives[1].boot(flood).await;
        until(&mut lives, "all in order").await;
        let log = lives[0].runtime.core().1.trace().take_log();
        let log = log.expect("it was kept");
        let events = log.entries().iter().map(|entry| entry.event);
        let is_it = |event: &Event| matches!(event, Event::Suspended { .. });
        events.filter(is_it).count()
    });
    assert!(suspended > 0);
}
