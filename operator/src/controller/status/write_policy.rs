//! Pure. How urgently a changed status is written: a new decision or condition as soon as the writer's pace allows, a
//! changed lag only now and then.

use std::time::Duration;

use balancefleet_crds::{BalanceConsumerGroupStatus as Status, conditions};

use crate::controller::writer::Urgency;

/// While workers change or lag misses its objective, a user is likely to watch.
const BUSY_INTERVAL: Duration = Duration::from_secs(10);
const QUIET_INTERVAL: Duration = Duration::from_secs(60);

/// How urgent the change is; `None` if there is nothing to write.
pub(super) fn urgency(old: &Status, new: &Status, slo: Duration) -> Option<Urgency> {
    if old == new {
        return None;
    }
    let mut known = without_lag(new);
    if old.assignor.is_none() {
        // A status of an earlier release has no assignor. Adding it is not urgent: after an upgrade every object needs
        // it.
        known.assignor = None;
    }
    if without_lag(old) != known {
        return Some(Urgency::Urgent);
    }
    Some(Urgency::Every(if is_busy(new, slo) { BUSY_INTERVAL } else { QUIET_INTERVAL }))
}

/// The status without the figures that change with every poll.
fn without_lag(status: &Status) -> Status {
    let mut status = status.clone();
    // Whether lag is known matters; its value does not.
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

    fn between(old: &Status, new: &Status) -> Option<Urgency> {
        urgency(old, new, SLO)
    }

    #[test]
    fn an_equal_status_is_never_written() {
        assert_eq!(between(&status(1, "0s", 3), &status(1, "0s", 3)), None);
    }

    #[test]
    fn a_lag_that_moves_is_written_every_minute_at_rest_and_every_ten_seconds_when_it_matters() {
        let old = status(100, "1s", 3);
        let every = |seconds| Some(Urgency::Every(Duration::from_secs(seconds)));
        assert_eq!(between(&old, &status(200, "2s", 3)), every(60));
        assert_eq!(between(&old, &status(200, "1m", 3)), every(10), "over its objective");
        let starting = |lag| Status { ready_replicas: Some(2), ..status(lag, "1s", 6) };
        assert_eq!(between(&starting(100), &starting(200)), every(10), "while workers start");
    }

    #[test]
    fn a_decision_is_urgent() {
        assert_eq!(between(&status(100, "1s", 3), &status(200, "1s", 6)), Some(Urgency::Urgent));
    }

    #[test]
    fn a_lag_that_becomes_unknown_is_urgent() {
        let unknown = Status { lag: None, lag_age: None, ..status(0, "0s", 3) };
        assert_eq!(between(&status(100, "1s", 3), &unknown), Some(Urgency::Urgent));
    }
}
