//! Waiting before a restart: beyond OTP, and off by default.

use crate::process::{Context, Message};
use std::time::Duration;

/// A wait before each restart of a child: at first short, twice as long each time, up to a most; of each wait
/// a half is drawn, so that many children that fail together do not come back together. A child that has
/// lived for the longest wait begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    first: Duration,
    most: Duration,
}

impl BackOff {
    /// Waits between half of `first` and `first`, then twice that, and so on, at most `most`.
    #[must_use]
    pub const fn new(first: Duration, most: Duration) -> BackOff {
        BackOff { first, most }
    }

    /// How long to wait before the try after so many in a row.
    pub(crate) fn wait<M: Message>(&self, ctx: &Context<M>, tries: u32) -> Duration {
        self.drawn(tries, &mut |below| ctx.random_below(below))
    }

    /// The same, where `draw` gives a number below its argument.
    pub(crate) fn drawn(&self, tries: u32, draw: &mut dyn FnMut(u64) -> u64) -> Duration {
        let least = self.least(tries);
        least + BackOff::rest(least, draw)
    }

    /// The shortest wait before the try after so many in a row: the half of it that is not drawn.
    pub(crate) fn least(&self, tries: u32) -> Duration {
        let doubled = 1_u32.checked_shl(tries.min(31)).unwrap_or(u32::MAX);
        let full = self.first.saturating_mul(doubled).min(self.most);
        full / 2
    }

    /// The other half, which is drawn: how much longer than the shortest wait it takes.
    pub(crate) fn rest(least: Duration, draw: &mut dyn FnMut(u64) -> u64) -> Duration {
        let most = u64::try_from(least.as_nanos()).unwrap_or(u64::MAX - 1);
        Duration::from_nanos(draw(most + 1))
    }

    /// How long a child must have lived for its failures to be forgotten.
    pub(crate) const fn forgives_after(&self) -> Duration {
        self.most
    }
}
