//! Deterministic simulation of clusters of Erlang/OTP-style actors.
//!
//! A whole cluster (processes, mailboxes, links, monitors, servers, nodes, connections, network) runs on
//! one thread under a virtual clock, and everything that chance decides is drawn from a seed: scheduling,
//! latency, loss, duplicates, cuts, crashes, pauses, clocks. The same seed gives the same run, bit for bit,
//! so every failure can be replayed, cut down to its few essential faults, and kept as a test.
//!
//! A [`Scenario`] declares nodes and what they boot, clients and their workload, [`Faults`], properties and
//! a horizon, or a script that drives the run ([`Sim`]). A node boots a process, which is an async function
//! over its [`Context`], or a [`GenServer`]. [`check()`] runs many seeds of a scenario on all cores from a
//! `#[test]`; [`cli::main`] makes a command line of a list of scenarios; [`Scenario::run`] is the run of one
//! seed, and [`explore::shrink`] cuts its failure down to the draws that it needs.
//!
//! ```
//! use netsplit::{Address, Context, Faults, Scenario, secs};
//!
//! // A counter that adds up what it is sent, and a client that sends it ten ones.
//! let scenario = Scenario::new("counter")
//!     .node("server", |ctx: Context<u64>| async move {
//!         ctx.register("counter").expect("a free name");
//!         loop {
//!             let add = ctx.receive_message().await;
//!             ctx.observe("sum", |sum: &mut u64| *sum += add);
//!         }
//!     })
//!     .client("client", |_: Context| async move {
//!         let counter = Address::<u64>::named("server", "counter");
//!         for _ in 0..10 {
//!             counter.send_datagram(1);
//!         }
//!     })
//!     .finally("nothing is lost", |view| view.observed("sum") == Some(&10u64))
//!     .horizon(secs(1));
//!
//! assert!(scenario.run(1).unwrap().is_ok());
//! // Datagrams may be lost, and this design does not send them again: some seed shows it. With `send`,
//! // which goes over a connection, a lost packet would come later.
//! let lossy = scenario.faults(Faults::calm().lose(0.05));
//! assert!((0..100).any(|seed| lossy.run(seed).unwrap().violation.is_some()));
//! ```
//!
//! # What breaks a replay
//!
//! Code under test that reads something else than its context: the order of a `std` hash map, real time,
//! threads, files, a `static` that an earlier run has changed, a field of `tracing` that does more than
//! look. Every violation is run twice before it is reported, and `--check-determinism` looks for such leaks
//! in every seed.
//!
//! # Features
//!
//! `cli` (default): the command line, which brings clap and indicatif. `sim`, which it needs: scenarios,
//! [`check()`], sweeps. `redb` (default): a store of mail in a file. Without all: the actors alone, for a
//! host that drives a [`process::Runtime`].
//!
//! # Floors
//!
//! Modules import only those above them: [`choice`] (chance), [`trace`] (what happened), [`kernel`]
//! (time, executor), [`process`] (actors), [`net`] (the network as a model), [`disk`]
//! (a disk as a model), [`otp`] (behaviours), [`mail`] (what is never lost), [`mod@check`] (what must hold of
//! a history), [`sim`] (the world), [`explore`] (many runs), [`report`] (showing them), [`cli`] (the edge).

#[cfg(feature = "sim")]
pub mod check;
pub mod choice;
#[cfg(feature = "sim")]
pub mod cli;
#[cfg(feature = "sim")]
pub mod disk;
#[cfg(feature = "sim")]
pub mod explore;
pub mod kernel;
pub mod mail;
#[cfg(feature = "sim")]
pub mod net;
pub mod otp;
pub mod process;
#[cfg(feature = "sim")]
pub mod report;
#[cfg(feature = "sim")]
pub mod sim;
pub mod trace;

/// The pages of the guide whose code runs as it stands there.
#[cfg(all(doctest, feature = "sim"))]
mod guide {
    #[doc = include_str!("../docs/guide/faults.md")]
    mod faults {}
    #[doc = include_str!("../docs/guide/supervision.md")]
    mod supervision {}
    #[doc = include_str!("../docs/guide/inside.md")]
    mod inside {}
    #[doc = include_str!("../docs/guide/files.md")]
    mod files {}
    #[doc = include_str!("../docs/guide/leases.md")]
    mod leases {}
    #[doc = include_str!("../docs/guide/letters.md")]
    mod letters {}
    #[doc = include_str!("../docs/guide/mailboxes.md")]
    mod mailboxes {}
    #[doc = include_str!("../docs/guide/queues.md")]
    mod queues {}
    #[doc = include_str!("../docs/guide/state-machines.md")]
    mod state_machines {}
}

use std::time::Duration;

pub use choice::{Distribution, Rate, Tape};
#[cfg(feature = "sim")]
pub use cli::check;
pub use kernel::Bounds;
pub use kernel::time::Time;
#[cfg(feature = "sim")]
pub use net::{Cut, Network, PacketFault, Path};
pub use otp::{
    Answers, AutoShutdown, BackOff, ChildError, ChildSpec, DynamicSupervisor, DynamicSupervisorRef,
    Entered, Event, Flow, GenServer, GenStatem, Initial, OnTimeout, Refusal, Registry,
    RegistryError, RegistryEvent, RegistryRef, Server, Shutdown, SpecError, StartError, Startable,
    StateMachine, Supervisor, SupervisorRef, Task, TaskError, TaskStream, TaskSupervisor,
    TaskSupervisorRef, Transition, abcast, child, multi_call, stop,
};
pub use process::{
    Address, CallError, Context, DeadLetter, ExitReason, Info, IntoExit, MailboxBound, Message,
    MonitorRef, NameError, Never, Overflow, Received, ReplyTo, Target, TimerRef, TrySendError,
};
#[cfg(feature = "sim")]
pub use sim::{
    Chance, Fault, Faults, Form, Keep, Outcome, RunError, Scenario, ScenarioError, Sim, Unreadable,
    Verdict, View, Violation,
};
pub use trace::{NodeId, PacketKind, Pid, Restart, Strategy};

/// So many seconds.
#[must_use]
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// So many milliseconds.
#[must_use]
pub const fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// So many microseconds.
#[must_use]
pub const fn micros(microseconds: u64) -> Duration {
    Duration::from_micros(microseconds)
}
