//! The disk of one node as a model: what is written, what is durable, and what a crash leaves of it.
//!
//! An operation goes in with the draws that it may make; out comes what it gives, how long it takes, and
//! what befell it. No clock, no futures, no processes. See [`Disk`].

mod budget;
mod content;
mod crash;
mod entries;
mod file;
mod model;
mod name;
mod node;
mod serve;
mod settings;
mod sync;
#[cfg(test)]
mod tests;

pub use budget::Budget;
pub use crash::Lost;
pub use model::{Disk, FileHandle};
pub use node::Snapshot;
pub use serve::{Asker, Served};
pub use settings::{Aimed, Condition, DiskFaults, Settings, SettingsError};
