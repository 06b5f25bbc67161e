//! What can be said of leases: how they are refused and end, and what is counted.

use super::settings::LeaseSettings;
use crate::process::{CallError, ExitReason};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Why a resource was not declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum DeclareError {
    /// It is there with other settings.
    #[error("the resource {name} is there with other settings: {has:?}")]
    OtherSettings {
        /// Which resource.
        name: String,
        /// The settings that it has.
        has: LeaseSettings,
    },
    /// A resource that nobody may hold is granted to nobody.
    #[error("a resource with 0 places is granted to nobody: it has 1 at least")]
    NoPlaces,
    /// Of a lease nothing is left that its holder may count on.
    #[error(
        "a lease of {ttl:?}, between clocks that are wrong by up to {drift_ppm} parts in a million, is over \
         before it is held: make it longer"
    )]
    TooShort {
        /// The length of the lease.
        ttl: Duration,
        /// By how much clocks may be wrong.
        drift_ppm: u32,
    },
    /// The disk under the leases is full: the declaration was not stored.
    #[error("the disk under the leases is full")]
    DiskFull,
    /// The leases' process did not answer.
    #[error("the leases did not answer: {0}")]
    Server(CallError),
}

/// Why there is no lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AcquireError {
    /// There is no such resource.
    #[error("there is no resource {0}: declare it first")]
    NoSuchResource(String),
    /// All its places are held, and whoever asked does not wait.
    #[error("all places of the resource {0} are held")]
    Taken(String),
    /// All its places were held until the time to wait was over.
    #[error("all places of the resource {0} were held for as long as was waited")]
    TimedOut(String),
    /// The disk under the leases is full: nothing was granted.
    #[error("the disk under the leases is full")]
    DiskFull,
    /// The leases' process did not answer. If it has granted a place, that is given back, at the latest when
    /// its lease is over.
    #[error("the leases did not answer: {0}")]
    Server(CallError),
}

/// Why a lease was not renewed, or not released, or has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum LeaseError {
    /// It is over, or was given back before: somebody else may hold the place.
    #[error("the lease is over")]
    NotHeld,
    /// The leases' process did not answer: whether it has done it is not known. The holder may count on what
    /// is left of its lease.
    #[error("the leases did not answer: {0}")]
    Server(CallError),
}

/// An error that ends the process which does not expect it.
macro_rules! ends_a_process {
    ($($error:ty)*) => {$(
        impl From<$error> for ExitReason {
            fn from(error: $error) -> ExitReason {
                ExitReason::error(error)
            }
        }
    )*};
}

ends_a_process!(DeclareError AcquireError LeaseError super::fence::Stale);

/// What has become of leases, since their process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseCounts {
    /// Places that were granted.
    pub granted: u64,
    /// Leases that were renewed, each time.
    pub renewed: u64,
    /// Leases that were given back by their holders.
    pub released: u64,
    /// Leases whose holder had ended for certain.
    pub bereaved: u64,
    /// Leases that were not renewed in time.
    pub expired: u64,
    /// Renewals and releases of leases that were over, and that did nothing.
    pub not_held: u64,
    /// Those who waited, and left without a place.
    pub left: u64,
}

/// How it stands with one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceInfo {
    /// Its settings.
    pub settings: LeaseSettings,
    /// Places that are held, or may be.
    pub held: u32,
    /// Those who wait.
    pub waiting: u64,
    /// The last token that was granted; 0 before the first.
    pub last_token: u64,
}
