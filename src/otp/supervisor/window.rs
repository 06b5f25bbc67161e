//! How many restarts a supervisor allows within which time.

use crate::kernel::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// The restarts of the last period: at most as many as are allowed, each in constant time.
#[derive(Debug)]
pub(crate) struct Window {
    intensity: u32,
    period: Duration,
    /// When they were, the oldest first; never more than the intensity.
    restarts: VecDeque<Time>,
}

impl Window {
    pub(crate) fn new(intensity: u32, period: Duration) -> Window {
        Window {
            intensity,
            period,
            restarts: VecDeque::new(),
        }
    }

    /// Counts a restart; false where it is one too many. A restart that lies a whole period back still
    /// counts: both ends belong to it, as in OTP.
    pub(crate) fn count(&mut self, now: Time) -> bool {
        while let Some(oldest) = self.restarts.front()
            && *oldest + self.period < now
        {
            self.restarts.pop_front();
        }
        if self.restarts.len() >= self.intensity as usize {
            return false;
        }
        self.restarts.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(nanos: u64) -> Time {
        Time::ZERO + Duration::from_nanos(nanos)
    }

    #[test]
    fn a_restart_counts_for_a_whole_period_and_not_a_nanosecond_longer() {
        let mut window = Window::new(1, Duration::from_nanos(10));
        assert!(window.count(at(5)));
        assert!(!window.count(at(15)));
        assert!(window.count(at(16)));
    }

    #[test]
    fn an_intensity_of_nought_allows_none() {
        assert!(!Window::new(0, Duration::from_secs(5)).count(at(0)));
    }

    proptest! {
        #[test]
        fn it_counts_as_one_who_walks_all_restarts(
            intensity in 0_u32..5,
            period in 1_u64..20,
            steps in prop::collection::vec(0_u64..8, 0..60),
        ) {
            let mut window = Window::new(intensity, Duration::from_nanos(period));
            let (mut now, mut all) = (0, Vec::new());
            for step in steps {
                now += step;
                let within = all.iter().filter(|then| **then + period >= now).count();
                let allowed = within < intensity as usize;
                prop_assert_eq!(window.count(at(now)), allowed);
                if allowed {
                    all.push(now);
                }
            }
        }
    }
}
