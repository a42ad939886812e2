//! Bounds how often the same thing is logged.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

/// Errors that come again and again are logged this often.
pub(crate) const SAME_ERROR_EVERY: Duration = Duration::from_secs(30);

/// Lets each key through once per interval and counts what it held back.
pub(crate) struct Throttle<K> {
    interval: Duration,
    seen: HashMap<K, (Instant, u64)>,
}

impl<K: Hash + Eq> Throttle<K> {
    /// The number of keys has to be bounded by their type: none is ever forgotten.
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, seen: HashMap::new() }
    }

    /// `Some(held back since the last one)` when `key` may be logged at `now`.
    pub(crate) fn admit(&mut self, key: K, now: Instant) -> Option<u64> {
        let Some((last, suppressed)) = self.seen.get_mut(&key) else {
            self.seen.insert(key, (now, 0));
            return Some(0);
        };
        if now.saturating_duration_since(*last) < self.interval {
            *suppressed += 1;
            return None;
        }
        *last = now;
        Some(std::mem::take(suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_kind_is_let_through_and_then_one_per_interval() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut throttle = Throttle::new(Duration::from_secs(60));
        assert_eq!(throttle.admit("a", at(0)), Some(0));
        assert_eq!(throttle.admit("a", at(1)), None);
        assert_eq!(throttle.admit("b", at(1)), Some(0));
        assert_eq!(throttle.admit("a", at(59)), None);
        assert_eq!(throttle.admit("a", at(60)), Some(2));
        assert_eq!(throttle.admit("a", at(120)), Some(0));
    }
}
