//! Durations as they are written in the object: text such as `10s` or `1h30m` in, [`std::time::Duration`] out, and
//! back.
//!
//! kube's own duration type is not used: it prints 0 as `0ns` and 1500 ms as `1.5s`, which the schema's pattern
//! refuses, so that an object read and written back by it would no longer be valid.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration as StdDuration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What the API server accepts as a duration.
pub const PATTERN: &str = "^([0-9]+(ms|s|m|h))+$";
/// The longest text the API server accepts as a duration.
pub const MAX_LENGTH: usize = 16;

/// A duration of whole milliseconds. Prints seconds where they are whole (`90s`), else milliseconds (`1500ms`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(StdDuration);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// No number, no unit, or an unknown unit.
    #[error("`{0}` is not a duration: write whole numbers with the units h, m, s, ms, for example 10s or 1h30m")]
    Malformed(String),
    /// More milliseconds than 64 bits hold.
    #[error("`{0}` is too long for a duration")]
    TooLong(String),
}

impl Duration {
    /// A duration of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(StdDuration::from_secs(seconds))
    }

    /// A duration of whole milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(StdDuration::from_millis(millis))
    }

    /// The same as a standard duration.
    pub const fn get(self) -> StdDuration {
        self.0
    }

    /// Seconds, rounded up: for fields of Kubernetes that know no smaller unit.
    pub const fn whole_seconds(self) -> u64 {
        self.0.as_secs() + if self.0.subsec_nanos() > 0 { 1 } else { 0 }
    }
}

impl From<Duration> for StdDuration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subsec_nanos() == 0 {
            write!(f, "{}s", self.0.as_secs())
        } else {
            write!(f, "{}ms", self.0.as_millis())
        }
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || DurationError::Malformed(text.to_owned());
        let too_long = || DurationError::TooLong(text.to_owned());
        let mut millis: u64 = 0;
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(malformed)?;
            let (number, tail) = rest.split_at(digits);
            let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            let scale = unit_millis(unit).filter(|_| !number.is_empty()).ok_or_else(malformed)?;
            let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(scale)).ok_or_else(too_long)?;
            millis = millis.checked_add(part).ok_or_else(too_long)?;
            rest = tail;
        }
        if text.is_empty() { Err(malformed()) } else { Ok(Self::from_millis(millis)) }
    }
}

fn unit_millis(unit: &str) -> Option<u64> {
    match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN, "maxLength": MAX_LENGTH })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_and_their_sum_is_understood() {
        for (text, millis) in
            [("7ms", 7), ("10s", 10_000), ("2m", 120_000), ("1h30m", 5_400_000), ("1s500ms", 1_500), ("0ms", 0)]
        {
            assert_eq!(text.parse(), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused_with_an_example() {
        for text in ["", "10", "s", "10 s", "-1s", "1.5s", "3d", "10s5", "1ss", "१s"] {
            let error = text.parse::<Duration>().unwrap_err();
            assert!(error.to_string().contains("for example 10s"), "{text}: {error}");
        }
    }

    #[test]
    fn more_than_can_be_counted_is_refused() {
        for text in ["99999999999999999999s", "9999999999999999h", "18446744073709551615ms1ms"] {
            assert_eq!(text.parse::<Duration>(), Err(DurationError::TooLong(text.to_owned())));
        }
    }

    #[test]
    fn what_is_printed_reads_back_the_same() {
        for millis in [0, 1, 999, 1_000, 1_500, 60_000, 5_400_000, 86_400_001] {
            let duration = Duration::from_millis(millis);
            assert_eq!(duration.to_string().parse(), Ok(duration));
        }
        assert_eq!(Duration::from_millis(0).to_string(), "0s");
        assert_eq!(Duration::from_millis(1_500).to_string(), "1500ms");
        assert_eq!(Duration::from_secs(90).to_string(), "90s");
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(Duration::from_millis(1_001).whole_seconds(), 2);
        assert_eq!(Duration::from_secs(30).whole_seconds(), 30);
    }
}
