//! The clocks of a node: one that only goes forward, perhaps too fast or too slow, and a wall clock that
//! may step besides.

use crate::kernel::Time;

/// Wall time at the beginning of every run: 2024-01-01T00:00:00Z, in nanoseconds since 1970.
const WALL_AT_START_NS: u64 = 1_704_067_200_000_000_000;
const BILLION: u128 = 1_000_000_000;

/// A node's clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Since when it has this drift, and what it showed then.
    since: Time,
    showed_ns: u64,
    /// How much faster than the run's it is, in parts in a billion.
    drift_ppb: i64,
    wall_ahead_ns: i64,
}

impl Clock {
    /// What it shows at this moment of the run.
    pub(crate) fn at(&self, now: Time) -> Time {
        let passed = now.since(self.since).as_nanos() * self.speed() / BILLION;
        let passed_ns = u64::try_from(passed).unwrap_or(u64::MAX);
        Time::from_nanos(self.showed_ns).plus_nanos(passed_ns)
    }

    /// How long it takes to move by so many nanoseconds, at its present drift.
    pub(crate) fn real_ns(&self, own_ns: u64) -> u64 {
        let real = (u128::from(own_ns) * BILLION).div_ceil(self.speed());
        u64::try_from(real).unwrap_or(u64::MAX)
    }

    /// Its wall time, in nanoseconds since 1970.
    pub(crate) fn wall_ns(&self, now: Time) -> u64 {
        let wall_ns = WALL_AT_START_NS.saturating_add(self.at(now).as_nanos());
        wall_ns.saturating_add_signed(self.wall_ahead_ns)
    }

    /// From now on it is faster by so much, or slower.
    pub(crate) fn set_drift(&mut self, now: Time, ppb: i64) {
        (self.showed_ns, self.since) = (self.at(now).as_nanos(), now);
        self.drift_ppb = ppb;
    }

    /// The wall clock steps.
    pub(crate) fn step(&mut self, by_ns: i64) {
        self.wall_ahead_ns = self.wall_ahead_ns.saturating_add(by_ns);
    }

    fn speed(&self) -> u128 {
        BILLION
            .saturating_add_signed(i128::from(self.drift_ppb))
            .max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_shows_more_and_its_timers_come_sooner() {
        let mut clock = Clock::default();
        clock.set_drift(Time::from_nanos(1_000), 500_000_000);
        assert_eq!(clock.at(Time::from_nanos(3_000)).as_nanos(), 4_000);
        assert_eq!(clock.real_ns(3_000), 2_000);
        clock.set_drift(Time::from_nanos(3_000), -500_000_000);
        assert_eq!(clock.at(Time::from_nanos(5_000)).as_nanos(), 5_000);
        assert_eq!(clock.real_ns(3_000), 6_000);
    }

    #[test]
    fn at_the_end_of_time_clocks_stand_still() {
        let mut clock = Clock::default();
        assert_eq!(clock.wall_ns(Time::MAX), u64::MAX);
        clock.set_drift(Time::ZERO, 500_000_000);
        assert_eq!(clock.at(Time::MAX), Time::MAX);
    }

    #[test]
    fn a_step_moves_the_wall_clock_only() {
        let mut clock = Clock::default();
        let now = Time::from_nanos(7);
        let before = clock.wall_ns(now);
        clock.step(-2_000_000_000);
        assert_eq!(before - clock.wall_ns(now), 2_000_000_000);
        assert_eq!(clock.at(now), now);
    }
}
