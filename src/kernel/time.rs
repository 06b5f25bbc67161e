//! Virtual time: nanoseconds since the run began.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment of virtual time, in nanoseconds since the run began.
///
/// Displayed in seconds, to the millisecond or as finely as is needed: `4.218 s`, `0.000001200 s`.
///
/// ```
/// use netsplit::Time;
/// use std::time::Duration;
/// let at = Time::ZERO + Duration::from_millis(4218);
/// assert_eq!(at.to_string(), "4.218 s");
/// assert_eq!(at.as_nanos(), 4_218_000_000);
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Time(u64);

impl Time {
    /// The moment at which a run begins.
    pub const ZERO: Time = Time(0);
    /// Later than any moment of a run (about 584 years).
    pub const MAX: Time = Time(u64::MAX);

    /// The moment `nanos` nanoseconds after the run began.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Time {
        Time(nanos)
    }

    /// Nanoseconds since the run began.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment `nanos` nanoseconds later; the end of time where that would be after it.
    #[must_use]
    pub const fn plus_nanos(self, nanos: u64) -> Time {
        Time(self.0.saturating_add(nanos))
    }
}

/// Nanoseconds of a duration; a duration too long for a `u64` (584 years) counts as the longest that fits.
#[must_use]
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, duration: Duration) -> Time {
        self.plus_nanos(nanos(duration))
    }
}

impl Sub for Time {
    type Output = Duration;
    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, rest) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        if rest.is_multiple_of(1_000_000) {
            write!(f, "{seconds}.{:03} s", rest / 1_000_000)
        } else if rest.is_multiple_of(1_000) {
            write!(f, "{seconds}.{:06} s", rest / 1_000)
        } else {
            write!(f, "{seconds}.{rest:09} s")
        }
    }
}
