//! When a changed status is written: a decision or a condition at once, a lag that merely moved now and then, and of
//! such writes a limited number per second over all objects.

use std::time::{Duration, Instant};

use balancefleet_crds::{BalanceConsumerGroupStatus as Status, conditions};
use parking_lot::Mutex;

/// While something is being done about the lag, a user is likely to watch.
const BUSY_INTERVAL: Duration = Duration::from_secs(10);
const QUIET_INTERVAL: Duration = Duration::from_secs(60);

/// When to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// There is nothing to write.
    Unchanged,
    /// At once.
    Now,
    /// As soon as the common limit of such writes allows.
    RateLimited,
    /// Not before that time has passed.
    After(Duration),
}

/// Compares; `written_ago` is the time since the last write, if this process made one.
pub(crate) fn due(old: &Status, new: &Status, slo: Duration, written_ago: Option<Duration>) -> Due {
    if old == new {
        return Due::Unchanged;
    }
    let mut known = without_lag(new);
    if old.assignor.is_none() {
        // A status of an earlier release, of any number of objects: what they have is news to nobody.
        known.assignor = None;
    }
    if without_lag(old) != known {
        return Due::Now;
    }
    let interval = if is_busy(new, slo) { BUSY_INTERVAL } else { QUIET_INTERVAL };
    match written_ago.and_then(|ago| interval.checked_sub(ago)).filter(|wait| !wait.is_zero()) {
        Some(wait) => Due::After(wait),
        None => Due::RateLimited,
    }
}

/// The status without what moves by itself.
fn without_lag(status: &Status) -> Status {
    let mut status = status.clone();
    // That it became known or unknown is news; its value is not.
    status.lag = status.lag.map(|_| 0);
    status.lag_age = status.lag_age.map(|_| String::new());
    for row in &mut status.assignment {
        row.lag = None;
    }
    if let Some(learned) = status.scaling.as_mut().and_then(|scaling| scaling.learned.as_mut()) {
        learned.rate_per_replica = None;
    }
    status
}

fn is_busy(status: &Status, slo: Duration) -> bool {
    let changing = status.ready_replicas != status.replicas
        || status
            .conditions
            .iter()
            .any(|condition| condition.type_ == conditions::PROGRESSING && condition.status == "True");
    let behind = status.lag_age.as_deref().and_then(|age| age.parse::<balancefleet_crds::Duration>().ok());
    changing || behind.is_some_and(|age| age.get() >= slo)
}

/// Ten per second, over all objects.
const SLOT_INTERVAL: Duration = Duration::from_millis(100);

/// Limits how many statuses are written per second only because a lag moved: has the time of the next free slot.
#[derive(Default)]
pub(in crate::controller) struct RateLimiter {
    next: Mutex<Option<Instant>>,
}

impl RateLimiter {
    /// A slot of one's own, at `now` or later: if all waited for one common time, all would come back together and all
    /// but one would have to wait again.
    pub(in crate::controller) fn reserve(&self, now: Instant) -> Instant {
        let mut next = self.next.lock();
        let slot = next.map_or(now, |free| free.max(now));
        *next = Some(slot + SLOT_INTERVAL);
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use balancefleet_crds::{ScalingMode, ScalingStatus};

    const SLO: Duration = Duration::from_secs(60);

    fn status(lag: i64, age: &str, desired: i32) -> Status {
        Status {
            lag: Some(lag),
            lag_age: Some(age.into()),
            replicas: Some(3),
            ready_replicas: Some(3),
            scaling: Some(ScalingStatus {
                mode: ScalingMode::Auto,
                desired: Some(desired),
                reason: "Sufficient".into(),
                explanation: String::new(),
                since: None,
                learned: None,
            }),
            ..Status::default()
        }
    }

    fn after(seconds: u64, old: &Status, new: &Status) -> Due {
        due(old, new, SLO, Some(Duration::from_secs(seconds)))
    }

    #[test]
    fn an_equal_status_is_never_written() {
        assert_eq!(after(3_600, &status(1, "0s", 3), &status(1, "0s", 3)), Due::Unchanged);
    }

    #[test]
    fn a_lag_that_moves_is_written_every_minute_at_rest_and_every_ten_seconds_when_it_matters() {
        let old = status(100, "1s", 3);
        assert_eq!(after(10, &old, &status(200, "2s", 3)), Due::After(Duration::from_secs(50)));
        assert_eq!(after(60, &old, &status(200, "2s", 3)), Due::RateLimited);
        assert_eq!(after(4, &old, &status(200, "1m", 3)), Due::After(Duration::from_secs(6)), "over its objective");
        let starting = |lag| Status { ready_replicas: Some(2), ..status(lag, "1s", 6) };
        assert_eq!(after(10, &starting(100), &starting(200)), Due::RateLimited, "while workers start");
    }

    #[test]
    fn a_decision_is_written_at_once() {
        assert_eq!(after(0, &status(100, "1s", 3), &status(200, "1s", 6)), Due::Now);
    }

    #[test]
    fn a_lag_that_becomes_unknown_is_written_at_once() {
        let unknown = Status { lag: None, lag_age: None, ..status(0, "0s", 3) };
        assert_eq!(after(0, &status(100, "1s", 3), &unknown), Due::Now);
    }

    #[test]
    fn ten_writes_a_second_and_no_two_wait_for_one_slot() {
        let (rate_limiter, start) = (RateLimiter::default(), Instant::now());
        let slots: Vec<Instant> = (0..50).map(|_| rate_limiter.reserve(start)).collect();
        assert_eq!(slots[0], start);
        assert!(slots.windows(2).all(|two| two[1] - two[0] == SLOT_INTERVAL));
        let later = start + Duration::from_secs(60);
        assert_eq!(rate_limiter.reserve(later), later, "nobody saves slots up");
    }
}
