//! Pure. The pause after a failed attempt. It doubles with each failure in a row; a success resets it.

use std::time::{Duration, Instant};

/// First and longest pause after a failed call.
pub(super) const AFTER_FAILURE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// First and longest pause while a problem outside the object lasts.
pub(super) const WHILE_A_PROBLEM_LASTS: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(300));

/// Failures in a row, and the earliest time of the next attempt. The default has seen no failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    failures: u32,
    not_before: Option<Instant>,
}

impl Backoff {
    /// Counts a failure and gives the pause before the next attempt: 80 to 120 % of the doubled one, so that objects
    /// that failed together are not retried together. `random` is in [0, 1).
    pub(super) fn failed(&mut self, (first, longest): (Duration, Duration), now: Instant, random: f64) -> Duration {
        let doubled = first.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        let pause = doubled.min(longest).mul_f64(0.8 + 0.4 * random.clamp(0.0, 1.0));
        self.not_before = Some(now + pause);
        pause
    }

    /// The earliest time of the next attempt; `None` after a success.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// The rest of the pause; `None` if it is over.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        self.not_before?.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Whether the last attempt failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let now = Instant::now();
        let pauses = |limits, count: usize| {
            let mut backoff = Backoff::default();
            (0..count).map(|_| backoff.failed(limits, now, 0.5).as_secs()).collect::<Vec<_>>()
        };
        assert_eq!(pauses(AFTER_FAILURE, 12), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(pauses(WHILE_A_PROBLEM_LASTS, 7), [15, 30, 60, 120, 240, 300, 300]);
    }

    #[test]
    fn pauses_spread_by_a_fifth_to_either_side() {
        let now = Instant::now();
        assert_eq!(Backoff::default().failed(AFTER_FAILURE, now, 0.0), Duration::from_millis(800));
        assert!(Backoff::default().failed(AFTER_FAILURE, now, 1.0) <= Duration::from_millis(1_200));
    }

    #[test]
    fn what_is_left_of_a_pause_falls_to_nothing() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        assert_eq!((backoff.left(now), backoff.has_failed()), (None, false));
        backoff.failed(AFTER_FAILURE, now, 0.5);
        assert_eq!(backoff.left(now + Duration::from_millis(400)), Some(Duration::from_millis(600)));
        assert_eq!((backoff.left(now + Duration::from_secs(1)), backoff.has_failed()), (None, true));
    }
}
