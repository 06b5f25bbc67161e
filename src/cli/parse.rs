//! Seeds, strategies and times, as people write them.

#[cfg(feature = "cli")]
use crate::explore::Strategy;
use std::ops::Range;

/// Why a text does not say which seeds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SeedsError {
    #[error("`{0}` is no seed: a seed is a whole number from 0 to 18446744073709551614")]
    NotASeed(String),
    #[error(
        "`{0}` says no seeds: write how many (`1000`), or `A..B`: from A up to, and without, B"
    )]
    NotSeeds(String),
    #[error("`{0}` is an empty range: it is half open, so `A..B` has seeds where A is less than B")]
    Empty(String),
}

/// One seed. The greatest `u64` is none, since no half open range ends behind it.
pub(crate) fn seed(text: &str) -> Result<u64, SeedsError> {
    let seed = text.parse().ok().filter(|seed| *seed < u64::MAX);
    seed.ok_or_else(|| SeedsError::NotASeed(text.to_owned()))
}

/// `N`: the first so many seeds; `A..B`: those from A up to, and without, B.
pub(crate) fn seeds(text: &str) -> Result<Range<u64>, SeedsError> {
    let number = |part: &str| {
        let number = part.trim().parse::<u64>();
        number.map_err(|_| SeedsError::NotSeeds(text.to_owned()))
    };
    let seeds = match text.split_once("..") {
        Some((first, end)) => number(first)?..number(end)?,
        None => 0..number(text)?,
    };
    if seeds.is_empty() {
        return Err(SeedsError::Empty(text.to_owned()));
    }
    Ok(seeds)
}

/// The name of a strategy: clap tells the names, and the nearest, where it is none.
#[cfg(feature = "cli")]
pub(crate) fn strategy() -> impl clap::builder::TypedValueParser<Value = Strategy> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(Strategy::ALL.map(Strategy::name))
        .try_map(|name| name.parse::<Strategy>())
}

/// Why a text is no time.
#[cfg(feature = "cli")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TimeError {
    #[error(
        "`{0}` is no time: write a number and its unit, such as `4.2s`, `300ms`, `1m`; \
         units are ns, us, ms, s, m, h"
    )]
    NotATime(String),
    #[error("`{0}` is finer than a nanosecond, which is the least step of virtual time")]
    TooFine(String),
    #[error("`{0}` is later than virtual time goes, which is some 584 years")]
    TooLate(String),
}

/// A moment of virtual time: a number, with a fraction or none, and its unit.
#[cfg(feature = "cli")]
pub(crate) fn time(text: &str) -> Result<crate::kernel::Time, TimeError> {
    let not_a_time = || TimeError::NotATime(text.to_owned());
    let unit_at = text.find(|c: char| c.is_alphabetic());
    let (number, unit) = text.split_at(unit_at.ok_or_else(not_a_time)?);
    let unit_ns: u128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(not_a_time()),
    };
    let number = number.trim();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(not_a_time());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 18 {
        return Err(TimeError::TooFine(text.to_owned()));
    }
    let scale = 10u128.pow(fraction.len() as u32);
    let parts = format!("{whole}{fraction}").parse::<u128>().ok();
    let parts = parts.and_then(|parts| parts.checked_mul(unit_ns));
    let too_late = || TimeError::TooLate(text.to_owned());
    let parts = parts.ok_or_else(too_late)?;
    if !parts.is_multiple_of(scale) {
        return Err(TimeError::TooFine(text.to_owned()));
    }
    let nanos = u64::try_from(parts / scale).map_err(|_| too_late())?;
    Ok(crate::kernel::Time::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_count_or_a_half_open_range() {
        assert_eq!(seeds("1000"), Ok(0..1000));
        assert_eq!(seeds("311..312"), Ok(311..312));
        assert_eq!(seed("311"), Ok(311));
    }

    #[test]
    fn what_says_no_seeds_is_refused_with_what_to_write() {
        for text in [
            "",
            "x",
            "-1",
            "1..",
            "..1",
            "1..2..3",
            "1.5",
            "99999999999999999999",
        ] {
            assert_eq!(seeds(text), Err(SeedsError::NotSeeds(text.to_owned())));
            assert_eq!(seed(text), Err(SeedsError::NotASeed(text.to_owned())));
        }
        for text in ["0", "5..5", "6..5"] {
            assert_eq!(seeds(text), Err(SeedsError::Empty(text.to_owned())));
        }
        assert!(seed(&u64::MAX.to_string()).is_err());
    }

    #[cfg(feature = "cli")]
    #[test]
    fn a_time_is_a_number_with_its_unit() {
        let cases = [
            ("4.2s", 4_200_000_000),
            ("300ms", 300_000_000),
            ("1m", 60_000_000_000),
            ("0.5h", 1_800_000_000_000),
            ("7us", 7_000),
            ("7 µs", 7_000),
            ("0s", 0),
            ("12ns", 12),
        ];
        for (text, nanos) in cases {
            assert_eq!(time(text).map(|time| time.as_nanos()), Ok(nanos), "{text}");
        }
    }

    #[cfg(feature = "cli")]
    #[test]
    fn what_is_no_time_is_refused_with_what_to_write() {
        for text in [
            "", "4.2", "s", "4,2s", "-1s", "1.s", ".5s", "1s2", "1 day", "1e3s",
        ] {
            assert_eq!(time(text), Err(TimeError::NotATime(text.to_owned())));
        }
        for text in ["1.5ns", "0.1234567891s", "0.0000000000000000001h"] {
            assert_eq!(time(text), Err(TimeError::TooFine(text.to_owned())));
        }
        for text in [
            "600000000000h",
            "99999999999999999999999999999999999999999s",
        ] {
            assert_eq!(time(text), Err(TimeError::TooLate(text.to_owned())));
        }
    }
}
