//! A limit on how many statuses are written per second only because a lag moved.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Ten per second, over all objects.
const INTERVAL: Duration = Duration::from_millis(100);

/// The time of the next free slot.
#[derive(Default)]
pub(super) struct Pace {
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// Takes the slot if one is free at `now`; else says how long it takes until the next one is.
    ///
    /// # Errors
    /// The time to wait before asking again.
    pub(super) fn take(&self, now: Instant) -> Result<(), Duration> {
        let mut next = self.next.lock();
        match *next {
            Some(free) if free > now => Err(free - now),
            _ => {
                *next = Some(now + INTERVAL);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_writes_a_second_and_no_more() {
        let (pace, start) = (Pace::default(), Instant::now());
        let taken = (0..2_000).filter(|ms| pace.take(start + Duration::from_millis(*ms)).is_ok()).count();
        assert_eq!(taken, 20);
    }
}
