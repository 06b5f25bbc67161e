//! Shapes of random durations, and rates: the same bits on every platform.
//!
//! Integers where integers do; else `f64` with `libm` (pure Rust), never the platform's own `ln`.

use std::fmt;
use std::time::Duration;

/// How likely something is, from 0 (never) to 1 (always).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

/// A rate outside 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a rate must lie between 0 and 1, and this one is {0}")]
pub struct RateError(pub f64);

const ONE: u64 = 1 << 63;

impl Rate {
    /// Never.
    pub const NEVER: Rate = Rate(0);
    /// Always.
    pub const ALWAYS: Rate = Rate(ONE);

    /// The rate of a probability.
    ///
    /// # Errors
    /// When `probability` is below 0, above 1, or not a number.
    pub fn new(probability: f64) -> Result<Rate, RateError> {
        if (0.0..=1.0).contains(&probability) {
            Ok(Rate((probability * ONE as f64) as u64))
        } else {
            Err(RateError(probability))
        }
    }

    /// Whether it never happens.
    #[inline]
    #[must_use]
    pub const fn is_never(self) -> bool {
        self.0 == 0
    }

    /// Whether these bits fall under the rate.
    #[inline]
    #[must_use]
    pub const fn hit(self, bits: u64) -> bool {
        (bits >> 1) < self.0
    }

    /// The rate of one or the other of two independent things.
    #[inline]
    #[must_use]
    pub fn or(self, other: Rate) -> Rate {
        if self.0 == 0 {
            return other;
        }
        let both = (u128::from(self.0) * u128::from(other.0)) >> 63;
        Rate(self.0 + other.0 - both as u64)
    }

    /// The probability, from 0 to 1.
    #[must_use]
    pub fn probability(self) -> f64 {
        self.0 as f64 / ONE as f64
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", (self.probability() * 1e6).round() / 1e4)
    }
}

/// A shape of random durations.
///
/// Every shape has a least value, which is its calm outcome, and a cap, so that no draw is without bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// Always this long.
    Constant(Duration),
    /// Anything from `min` to `max`, both included, each as likely.
    Uniform {
        /// The least.
        min: Duration,
        /// The most.
        max: Duration,
    },
    /// `min` and an exponential on top, of which `mean` is the mean; cut at 20 means.
    Exponential {
        /// The least.
        min: Duration,
        /// The mean of what comes on top.
        mean: Duration,
    },
    /// `min` and a log-normal on top: half of the draws lie under `median`; cut at 1,000 medians.
    LogNormal {
        /// The least.
        min: Duration,
        /// The median of what comes on top.
        median: Duration,
        /// The deviation of its logarithm: 0.5 is mild, 1.5 is wild.
        sigma: f64,
    },
    /// A Pareto from `min` on: most draws near it, a few very long, cut at `max`.
    HeavyTail {
        /// The least.
        min: Duration,
        /// The exponent: the smaller, the heavier; 1.2 is heavy, 3 is light.
        alpha: f64,
        /// The most.
        max: Duration,
    },
}

/// A shape that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum DistributionError {
    /// The least is above the most.
    #[error("the least duration, {0:?}, is above the most, {1:?}")]
    Reversed(Duration, Duration),
    /// A parameter must be a number above zero.
    #[error("{0} must be a number above 0, and is {1}")]
    NotPositive(&'static str, f64),
    /// Longer than a run can be.
    #[error("{0:?} is longer than virtual time allows (584 years)")]
    TooLong(Duration),
}

/// Bits to a number in (0, 1], exactly.
fn unit(bits: u64) -> f64 {
    ((bits >> 11) + 1) as f64 * (1.0 / (1u64 << 53) as f64)
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// `bits` spread evenly over `0..=span`.
#[inline]
pub(super) fn spread(bits: u64, span: u64) -> u64 {
    ((u128::from(bits) * (u128::from(span) + 1)) >> 64) as u64
}

impl Distribution {
    /// Anything from `min` to `max`, each as likely.
    #[must_use]
    pub const fn uniform(min: Duration, max: Duration) -> Distribution {
        Distribution::Uniform { min, max }
    }

    /// The least value, in nanoseconds: what a calm draw gives.
    #[inline]
    #[must_use]
    pub fn least_ns(&self) -> u64 {
        match *self {
            Distribution::Constant(at) => ns(at),
            Distribution::Uniform { min, .. }
            | Distribution::Exponential { min, .. }
            | Distribution::LogNormal { min, .. }
            | Distribution::HeavyTail { min, .. } => ns(min),
        }
    }

    /// The most that can come on top of the least, in nanoseconds.
    #[must_use]
    pub fn span_ns(&self) -> u64 {
        match *self {
            Distribution::Constant(_) => 0,
            Distribution::Uniform { min, max } | Distribution::HeavyTail { min, max, .. } => {
                ns(max).saturating_sub(ns(min))
            }
            Distribution::Exponential { mean, .. } => ns(mean).saturating_mul(20),
            Distribution::LogNormal { median, .. } => ns(median).saturating_mul(1000),
        }
    }

    /// What comes on top of the least for these bits, in nanoseconds.
    #[inline(always)]
    #[must_use]
    pub fn above_least_ns(&self, bits: u64) -> u64 {
        match *self {
            Distribution::Constant(_) => 0,
            Distribution::Uniform { min, max } => spread(bits, ns(max).saturating_sub(ns(min))),
            _ => self.above_least_by_float(bits).min(self.span_ns()),
        }
    }

    fn above_least_by_float(&self, bits: u64) -> u64 {
        let value = match *self {
            Distribution::Exponential { mean, .. } => -libm::log(unit(bits)) * ns(mean) as f64,
            Distribution::LogNormal { median, sigma, .. } => {
                let radius = libm::sqrt(-2.0 * libm::log(unit(bits & !0xFFFF_FFFF)));
                let angle = (bits & 0xFFFF_FFFF) as f64 * (std::f64::consts::TAU / 4_294_967_296.0);
                ns(median) as f64 * libm::exp(sigma * radius * libm::cos(angle))
            }
            Distribution::HeavyTail { min, alpha, .. } => {
                let least = ns(min).max(1) as f64;
                least * libm::pow(unit(bits), -1.0 / alpha) - least
            }
            Distribution::Constant(_) | Distribution::Uniform { .. } => 0.0,
        };
        value as u64
    }

    /// Whether the parameters make sense.
    ///
    /// # Errors
    /// A least above the most, a `mean`, `median`, `sigma` or `alpha` that is not above 0, or a
    /// duration that virtual time cannot hold.
    pub fn validate(&self) -> Result<(), DistributionError> {
        let positive = |what, value: f64| {
            if value.is_finite() && value > 0.0 {
                Ok(())
            } else {
                Err(DistributionError::NotPositive(what, value))
            }
        };
        let fits = |duration: Duration| match u64::try_from(duration.as_nanos()) {
            Ok(_) => Ok(()),
            Err(_) => Err(DistributionError::TooLong(duration)),
        };
        match *self {
            Distribution::Constant(at) => fits(at),
            Distribution::Uniform { min, max } if min > max => {
                Err(DistributionError::Reversed(min, max))
            }
            Distribution::Uniform { max, .. } => fits(max),
            Distribution::Exponential { min, mean } => {
                fits(min)?;
                positive("the mean, in seconds,", mean.as_secs_f64())
            }
            Distribution::LogNormal { min, median, sigma } => {
                fits(min)?;
                positive("the median, in seconds,", median.as_secs_f64())?;
                positive("sigma", sigma)
            }
            Distribution::HeavyTail { min, max, .. } if min > max => {
                Err(DistributionError::Reversed(min, max))
            }
            Distribution::HeavyTail { alpha, max, .. } => {
                fits(max)?;
                positive("alpha", alpha)
            }
        }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Distribution::Constant(at) => write!(f, "{at:?}"),
            Distribution::Uniform { min, max } => write!(f, "{min:?} to {max:?}"),
            Distribution::Exponential { min, mean } => {
                write!(f, "{min:?} and exponential, mean {mean:?}")
            }
            Distribution::LogNormal { min, median, sigma } => {
                write!(
                    f,
                    "{min:?} and log-normal, median {median:?}, sigma {sigma}"
                )
            }
            Distribution::HeavyTail { min, alpha, max } => {
                write!(f, "heavy tail from {min:?} to {max:?}, alpha {alpha}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::site::{Kind, Lineage, Site};
    use super::super::source::keyed;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn shapes() -> [Distribution; 5] {
        [
            Distribution::Constant(3 * MS),
            Distribution::uniform(MS, 10 * MS),
            Distribution::Exponential {
                min: MS,
                mean: 5 * MS,
            },
            Distribution::LogNormal {
                min: MS,
                median: 5 * MS,
                sigma: 0.8,
            },
            Distribution::HeavyTail {
                min: MS,
                alpha: 1.5,
                max: 500 * MS,
            },
        ]
    }

    fn draws(shape: &Distribution) -> Vec<u64> {
        let site = |nth| Site::new(Kind::Latency, Lineage::RUN, nth);
        (0..20_000)
            .map(|nth| shape.above_least_ns(keyed(7, site(nth))))
            .collect()
    }

    #[test]
    fn the_same_bits_give_the_same_durations_on_every_platform() {
        let got: Vec<String> = shapes()
            .iter()
            .map(|shape| {
                let bits = [0, 1, 0x0123_4567_89AB_CDEF, u64::MAX];
                format!("{:?}", bits.map(|b| shape.above_least_ns(b)))
            })
            .collect();
        assert_eq!(got.join("\n"), include_str!("golden_durations.txt").trim());
    }

    #[test]
    fn every_shape_has_the_middle_that_its_parameters_say() {
        let mean = |d: &[u64]| d.iter().sum::<u64>() / d.len() as u64;
        let median = |mut d: Vec<u64>| {
            d.sort_unstable();
            d[d.len() / 2]
        };
        let [constant, uniform, exponential, log_normal, heavy] = shapes();
        assert_eq!(mean(&draws(&constant)), 0);
        assert!((4_400_000..4_600_000).contains(&mean(&draws(&uniform))));
        assert!((4_850_000..5_150_000).contains(&mean(&draws(&exponential))));
        assert!((4_850_000..5_150_000).contains(&median(draws(&log_normal))));
        assert!(
            (560_000..620_000).contains(&median(draws(&heavy))),
            "2^(1/1.5) - 1 = 0.587"
        );
    }

    #[test]
    fn no_draw_exceeds_its_cap() {
        for shape in shapes() {
            assert!(
                draws(&shape).iter().all(|&ns| ns <= shape.span_ns()),
                "{shape}"
            );
            assert!(shape.above_least_ns(0) <= shape.span_ns(), "{shape}");
        }
    }

    #[test]
    fn a_shape_that_makes_no_sense_is_refused() {
        let wrong = [
            Distribution::uniform(2 * MS, MS),
            Distribution::Exponential {
                min: MS,
                mean: Duration::ZERO,
            },
            Distribution::LogNormal {
                min: MS,
                median: MS,
                sigma: f64::NAN,
            },
            Distribution::HeavyTail {
                min: MS,
                alpha: -1.0,
                max: MS,
            },
            Distribution::HeavyTail {
                min: 2 * MS,
                alpha: 1.0,
                max: MS,
            },
            Distribution::Constant(Duration::MAX),
        ];
        for shape in wrong {
            assert!(shape.validate().is_err(), "{shape}");
        }
        assert!(shapes().iter().all(|shape| shape.validate().is_ok()));
    }

    #[test]
    fn a_rate_outside_0_to_1_is_refused() {
        assert!(
            Rate::new(1.1).is_err() && Rate::new(-0.1).is_err() && Rate::new(f64::NAN).is_err()
        );
        assert!(!Rate::NEVER.hit(0) && Rate::ALWAYS.hit(u64::MAX));
        assert_eq!(Rate::new(0.05).unwrap().to_string(), "5 %");
    }
}
