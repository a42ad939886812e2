//! Rounding for the status: figures that are written to the API server move in steps, so that they rarely change.

use std::time::Duration;

/// Two significant digits, rounded to the nearest: 6 437 → 6 400, 95 → 95, 996 → 1 000.
pub fn round_lag(records: i64) -> i64 {
    let magnitude = (0..).map(|power| 10_i64.saturating_pow(power)).find(|scale| records.max(0) / scale < 100);
    let scale = magnitude.unwrap_or(1);
    let rounded = records.max(0).saturating_add(scale / 2) / scale;
    rounded.saturating_mul(scale)
}

/// The largest of 0, 1, 2, 5, 10, 30 s, 1, 2, 5, 10, 30 min, 1, 2, 5, 10, 24 h that the age has reached; whole days
/// beyond.
pub fn round_age(age: Duration) -> Duration {
    const DAY: u64 = 24 * 3600;
    const STEPS: [u64; 16] = [0, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 18_000, 36_000, DAY];
    let seconds = age.as_secs();
    let step = STEPS.into_iter().rev().find(|step| *step <= seconds).unwrap_or(0);
    Duration::from_secs(if step == DAY { seconds / DAY * DAY } else { step })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_keeps_two_significant_digits() {
        for (records, stepped) in [
            (-5, 0),
            (0, 0),
            (7, 7),
            (99, 99),
            (100, 100),
            (104, 100),
            (105, 110),
            (996, 1_000),
            (6_437, 6_400),
            (999_999, 1_000_000),
            (i64::MAX, 9_200_000_000_000_000_000),
        ] {
            assert_eq!(round_lag(records), stepped, "{records}");
        }
    }

    #[test]
    fn an_age_shows_the_last_step_it_reached() {
        for (millis, stepped) in [
            (0, 0),
            (999, 0),
            (1_000, 1),
            (4_999, 2),
            (5_000, 5),
            (29_999, 10),
            (59_000, 30),
            (119_000, 60),
            (4 * 60_000, 120),
            (59 * 60_000, 1_800),
            (3 * 3_600_000, 7_200),
            (50 * 3_600_000, 172_800),
        ] {
            assert_eq!(round_age(Duration::from_millis(millis)), Duration::from_secs(stepped), "{millis} ms");
        }
    }
}
