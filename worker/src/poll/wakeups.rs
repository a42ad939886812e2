//! When to wake the fetchers, so that the client fetches at once, instead of up to a second later: after every change of
//! what it is to fetch.
//!
//! The change takes effect some time after the call that asked for it, for example when a leader has said that its log is
//! still the one that was read; hence several times, ever more seldom.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(5);
/// After this the client looks by itself.
const LAST: Duration = Duration::from_millis(640);

/// The next time, and how long after it the one that follows.
#[derive(Debug, Default)]
pub(super) struct FetchWakeups(Option<(Instant, Duration)>);

impl FetchWakeups {
    /// What is to be fetched has changed at `now`.
    pub(super) fn begin(&mut self, now: Instant) {
        self.0 = Some((now, FIRST));
    }

    /// Whether it is time at `now`.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let Some((_, pause)) = self.0.filter(|(next, _)| *next <= now) else { return false };
        self.0 = (pause <= LAST).then(|| (now + pause, pause * 2));
        true
    }

    /// How long until the next one.
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
