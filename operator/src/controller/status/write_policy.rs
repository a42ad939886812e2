//! Pure. How urgently a changed status is written: a new decision or condition as soon as the writer's pace allows, a
//! changed lag every ten seconds.

use std::time::Duration;

use balancefleet_crds::BalanceConsumerGroupStatus as Status;

use crate::controller::writer::Urgency;

/// How old a lag may be in the status. With many custom resources, the writer's pace makes it longer.
const LAG_INTERVAL: Duration = Duration::from_secs(10);

/// How urgent the change is; `None` if there is nothing to write.
pub(super) fn urgency(old: &Status, new: &Status) -> Option<Urgency> {
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
    Some(Urgency::Every(LAG_INTERVAL))
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

#[cfg(test)]
mod tests {
    use super::*;
    use balancefleet_crds::{ScalingMode, ScalingStatus};

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

    #[test]
    fn an_equal_status_is_never_written() {
        assert_eq!(urgency(&status(1, "0s", 3), &status(1, "0s", 3)), None);
    }

    #[test]
    fn a_lag_that_moves_is_written_every_ten_seconds() {
        let every = Some(Urgency::Every(Duration::from_secs(10)));
        assert_eq!(urgency(&status(100, "1s", 3), &status(200, "2s", 3)), every);
        assert_eq!(urgency(&status(8100, "10s", 3), &status(0, "0s", 3)), every);
    }

    #[test]
    fn a_decision_is_urgent() {
        assert_eq!(urgency(&status(100, "1s", 3), &status(200, "1s", 6)), Some(Urgency::Urgent));
    }

    #[test]
    fn a_lag_that_becomes_unknown_is_urgent() {
        let unknown = Status { lag: None, lag_age: None, ..status(0, "0s", 3) };
        assert_eq!(urgency(&status(100, "1s", 3), &unknown), Some(Urgency::Urgent));
    }
}
