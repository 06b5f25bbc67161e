//! What is said of a resource once, when it is declared.

use super::fate::DeclareError;
use crate::kernel::nanos;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const MILLION: u128 = 1_000_000;

/// The settings of a resource: they are given once, and a later declaration must repeat them.
///
/// ```
/// use netsplit::mail::lease::LeaseSettings;
/// use netsplit::secs;
///
/// let lock = LeaseSettings::new(secs(10)); // Only one holds it.
/// let limiter = LeaseSettings::new(secs(10)).places(4); // At most four do.
/// assert_ne!(lock, limiter);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseSettings {
    pub(super) places: u32,
    pub(super) ttl_ns: u64,
    pub(super) drift_ppm: u32,
}

impl LeaseSettings {
    /// By how many parts in a million a clock may be wrong, where nothing else is said: as far as NTP
    /// corrects a clock (RFC 5905).
    pub const DRIFT_PPM: u32 = 500;

    /// A resource that one holds at a time. A lease of it that is not renewed is over `ttl` after it was
    /// granted, and its holder counts a little less: see [`LeaseSettings::drift`].
    #[must_use]
    pub fn new(ttl: Duration) -> LeaseSettings {
        LeaseSettings {
            places: 1,
            ttl_ns: nanos(ttl),
            drift_ppm: LeaseSettings::DRIFT_PPM,
        }
    }

    /// How many hold it at a time. Default: 1.
    #[must_use]
    pub fn places(mut self, places: u32) -> LeaseSettings {
        self.places = places;
        self
    }

    /// By how many parts in a million the clock of any node may run too fast or too slow: as long as none is
    /// further off, no two believe that they hold one place. A holder counts twice as much less than the
    /// lease's length. Default: 500, so of 10 s a holder counts on 9.99 s.
    #[must_use]
    pub fn drift(mut self, parts_per_million: u32) -> LeaseSettings {
        self.drift_ppm = parts_per_million;
        self
    }

    /// How long a holder may count on a lease, by its own clock, from when it asked for it.
    ///
    /// The grantor's clock, at its fastest, shows the lease's length `t` when `t / (1 + d)` have passed; the
    /// holder's, at its slowest, shows `t (1 - d) / (1 + d)` by then, which is more than `t (1 - 2 d)`.
    pub(super) fn trusted_ns(&self) -> u64 {
        let (ttl, drift) = (u128::from(self.ttl_ns), u128::from(self.drift_ppm));
        let margin = (2 * ttl * drift).div_ceil(MILLION);
        u64::try_from(ttl.saturating_sub(margin)).unwrap_or(u64::MAX)
    }

    /// Why they make no sense, where they make none.
    pub(super) fn flaw(&self) -> Option<DeclareError> {
        if self.places == 0 {
            return Some(DeclareError::NoPlaces);
        }
        let too_short = DeclareError::TooShort {
            ttl: Duration::from_nanos(self.ttl_ns),
            drift_ppm: self.drift_ppm,
        };
        (self.trusted_ns() == 0).then_some(too_short)
    }
}
