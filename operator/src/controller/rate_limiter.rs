//! A limit on how many statuses are written per second only because a lag moved.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Ten per second, over all objects.
const INTERVAL: Duration = Duration::from_millis(100);

/// The time of the next free slot.
#[derive(Default)]
pub(super) struct RateLimiter {
    next: Mutex<Option<Instant>>,
}

impl RateLimiter {
    /// Gives a slot to whoever asks, at `now` or later, and to nobody else: all who wait for one common time would come
    /// back together, and all but one in vain.
    pub(super) fn reserve(&self, now: Instant) -> Instant {
        let mut next = self.next.lock();
        let slot = next.map_or(now, |free| free.max(now));
        *next = Some(slot + INTERVAL);
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_writes_a_second_and_no_two_wait_for_one_slot() {
        let (rate_limiter, start) = (RateLimiter::default(), Instant::now());
        let slots: Vec<Instant> = (0..50).map(|_| rate_limiter.reserve(start)).collect();
        assert_eq!(slots[0], start);
        assert!(slots.windows(2).all(|two| two[1] - two[0] == INTERVAL));
        let later = start + Duration::from_secs(60);
        assert_eq!(rate_limiter.reserve(later), later, "nobody saves slots up");
    }
}
