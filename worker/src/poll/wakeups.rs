//! When to wake the client's fetch threads after a change of what to fetch. Otherwise they start up to a second later.
//!
//! A change takes effect some time after its call, for example when a leader has confirmed a position. So they are
//! woken several times, at growing intervals.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(5);
/// After this time the client's threads wake by themselves.
const LAST: Duration = Duration::from_millis(640);

/// The time of the next wake-up, and the interval after it.
#[derive(Debug, Default)]
pub(super) struct FetchWakeups(Option<(Instant, Duration)>);

impl FetchWakeups {
    /// Starts the series: at `now`, what to fetch has changed.
    pub(super) fn begin(&mut self, now: Instant) {
        self.0 = Some((now, FIRST));
    }

    /// Whether a wake-up is due at `now`.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let Some((_, pause)) = self.0.filter(|(next, _)| *next <= now) else { return false };
        self.0 = (pause <= LAST).then(|| (now + pause, pause * 2));
        true
    }

    /// The time until the next wake-up.
    pub(super) fn due_in(&self, now: Instant) -> Option<Duration> {
        self.0.map(|(next, _)| next.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_at_once_and_ever_more_seldom_until_the_client_looks_by_itself() {
        let (mut fetch_wakeups, began) = (FetchWakeups::default(), Instant::now());
        assert!(!fetch_wakeups.is_due(began));
        fetch_wakeups.begin(began);
        let due = |fetch_wakeups: &mut FetchWakeups| {
            (0..3000).filter(|millis| fetch_wakeups.is_due(began + Duration::from_millis(*millis))).collect::<Vec<_>>()
        };
        assert_eq!(due(&mut fetch_wakeups), [0, 5, 15, 35, 75, 155, 315, 635, 1275]);
        assert_eq!(fetch_wakeups.due_in(began), None);
        fetch_wakeups.begin(began);
        assert_eq!(fetch_wakeups.due_in(began), Some(Duration::ZERO));
    }
}
