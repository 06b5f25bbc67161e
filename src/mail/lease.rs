//! Leases with fencing tokens: work that only one may do, or at most so many.
//!
//! [`Leases`] is a process that grants the places of resources, and keeps the tokens that it has granted in
//! a store. A [`Resource`] is where a [`Lease`] is acquired: of a resource with one place only one is held,
//! of one with `n` places (a limiter) at most `n`. [`Fences`] stand before what a holder does elsewhere, and
//! refuse whoever holds no more and does not know it. The rules themselves are a state that knows no process
//! (`rules`), held to a naive model by its tests.

mod fate;
mod fence;
mod handle;
mod rules;
mod server;
mod settings;
mod stored;
mod wire;

pub use fate::{AcquireError, DeclareError, LeaseCounts, LeaseError, ResourceInfo};
pub use fence::{Fences, Fencing, Stale};
pub use handle::{Lease, Resource};
pub use server::Leases;
pub use settings::LeaseSettings;
pub use wire::{Grant, ToLeases, Wish};
