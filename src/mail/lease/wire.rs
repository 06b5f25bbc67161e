//! What goes between the leases' process and those who hold them.

use super::fate::{AcquireError, DeclareError, LeaseCounts, LeaseError, ResourceInfo};
use super::fence::Fencing;
use super::settings::LeaseSettings;
use crate::process::ReplyTo;
use crate::trace::Pid;
use serde::{Deserialize, Serialize};

/// One wish for a place: whose, and a number that this process gives to no other wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wish {
    pub(super) by: Pid,
    pub(super) number: u64,
}

/// A place that was granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub(super) fencing: Fencing,
    /// How long its holder may count on it, by its own clock, from when it asked.
    pub(super) trusted_ns: u64,
}

/// What the leases' process is asked: a [`Resource`](super::Resource) and a [`Lease`](super::Lease) do it.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToLeases {
    /// Declares a resource.
    Declare(String, LeaseSettings, ReplyTo<Result<(), DeclareError>>),
    /// Asks for a place of a resource, and waits for one, or not.
    Acquire {
        /// Of which resource.
        resource: String,
        /// By whom.
        wish: Wish,
        /// Whether the answer may wait for a place.
        waits: bool,
        /// To whom the place goes.
        reply_to: ReplyTo<Result<Grant, AcquireError>>,
    },
    /// A wish is no more: if it waits it leaves, and if it was granted the place is given back.
    Leave(Wish),
    /// Renews a lease.
    Renew(Fencing, ReplyTo<Result<(), LeaseError>>),
    /// Gives a lease back, and nobody waits to hear of it.
    Release(Fencing),
    /// The same, and somebody does.
    ReleaseNow(Fencing, ReplyTo<Result<(), LeaseError>>),
    /// How it stands with a resource; nothing where there is none.
    Info(String, ReplyTo<Option<ResourceInfo>>),
    /// What has become of leases.
    Counts(ReplyTo<LeaseCounts>),
}
