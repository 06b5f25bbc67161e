//! The world: nodes that boot, crash and reboot, the network wired to the kernel, faults, scenarios.
//!
//! It makes one run of one seed or tape. How runs are searched is the business of the floor below.

mod blows;
mod class;
mod clock;
mod disk_fault;
mod disk_rates;
mod disks;
mod fault;
mod faults;
mod mail_rates;
mod nemesis;
mod observe;
mod outcome;
mod plan;
mod process_fault;
mod process_rates;
mod property;
mod run;
mod scenario;
mod script;
mod swarm;
mod tracing;
mod view;
mod waits;
mod watch;
mod world;

pub use crate::process::{Called, Wait, Waiting};
pub use disk_fault::DiskTrouble;
pub use fault::Fault;
pub(crate) use faults::WINDOW_NS;
pub use faults::{FaultError, Faults};
pub use observe::{Observation, Observed, ObservedNode, Snapshot};
pub use outcome::{Outcome, RunError, Violation};
pub use plan::{Plan, Planned};
pub use process_fault::{AckFault, ProcessFault, Who};
pub use property::Verdict;
pub use run::{Chance, Keep};
pub use scenario::{Form, Scenario, ScenarioError};
pub use script::Sim;
pub(crate) use swarm::swarm_kind;
pub use view::{Unreadable, View};
pub use waits::{Waits, print_ring};
