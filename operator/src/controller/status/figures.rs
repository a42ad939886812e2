//! Pure. The numbers and lists of the status, rounded so that they rarely change; and what a restarted operator reads
//! back from them.

use std::time::Duration;

use balancefleet_autoscaler::{self as autoscaler, Limit};
use balancefleet_crds::{
    AssignmentRow, BalanceConsumerGroup, BalanceConsumerGroupStatus as Status, CapacitySource, Learned, ScalingStatus,
    conditions, reasons,
};

use super::input::StatusInput;
use crate::{
    controller::{members::pod_of, workload},
    poller::Snapshot,
};

const MOST_ROWS: usize = 50;

/// A step of the age in its largest whole unit: `30s`, `5m`, `2h`.
pub(super) fn age_text(age: Duration) -> String {
    match age.as_secs() {
        seconds if seconds > 0 && seconds % 3_600 == 0 => format!("{}h", seconds / 3_600),
        seconds if seconds > 0 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// The age of the oldest unread record. An operator that has just started does not know it yet; the old one stays as
/// long as the lag itself is known.
pub(super) fn lag_age(old: &Status, snapshot: &Snapshot) -> Option<String> {
    let age = snapshot.rounded.lag_age.map(age_text);
    age.or_else(|| old.lag_age.clone().filter(|_| snapshot.rounded.lag.is_some()))
}

/// How many members the group has; `None` if the group could not be read.
pub(super) fn members(snapshot: &Snapshot) -> Option<i32> {
    snapshot.group_state?;
    i32::try_from(snapshot.members.len()).ok()
}

/// The workers' assignor: the running one while a change waits, else that of the Deployment.
pub(super) fn assignor(input: &StatusInput<'_>) -> Option<String> {
    let running = input.pending.map(|pending| pending.from);
    let running = running.or_else(|| input.deployment.and_then(workload::assignor));
    running.map(|assignor| assignor.as_str().to_owned())
}

/// One row per member, by pod.
pub(super) fn assignment(snapshot: &Snapshot) -> Vec<AssignmentRow> {
    let mut rows: Vec<AssignmentRow> = snapshot
        .members
        .iter()
        .map(|member| AssignmentRow {
            pod: pod_of(&member.client_id).unwrap_or(&member.client_id).chars().take(253).collect(),
            partitions: ranges(&member.partitions),
            lag: member.lag.map(autoscaler::round_lag),
        })
        .collect();
    rows.sort_by(|left, right| (&left.pod, &left.partitions).cmp(&(&right.pod, &right.partitions)));
    rows.truncate(MOST_ROWS);
    rows
}

/// `[0, 1, 2, 5]` → `0-2,5`, cut after a whole range if it is too long for the field.
pub(super) fn ranges(partitions: &[i32]) -> String {
    let mut runs: Vec<(i32, i32)> = Vec::new();
    for &partition in partitions {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(partition) => *last = partition,
            _ => runs.push((partition, partition)),
        }
    }
    let mut text = String::new();
    for (first, last) in runs {
        let run = if first == last { first.to_string() } else { format!("{first}-{last}") };
        if text.len() + run.len() + 2 > 1_020 {
            return text + ",…";
        }
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&run);
    }
    text
}

/// What is known about one worker's capacity.
pub(super) fn learned(snapshot: &Snapshot) -> Option<Learned> {
    let capacity = snapshot.decision.capacity?;
    Some(Learned {
        // A rate in records per second is far below what `f64` and `i64` share.
        rate_per_replica: Some(autoscaler::round_lag(capacity.rate.round() as i64)),
        source: Some(match capacity.source {
            autoscaler::CapacitySource::BusyTime => CapacitySource::BusyTime,
            autoscaler::CapacitySource::Saturation => CapacitySource::Saturation,
            autoscaler::CapacitySource::Expected => CapacitySource::Expected,
            autoscaler::CapacitySource::LowerBound => CapacitySource::LowerBound,
        }),
    })
}

/// The history that an object's status holds, from which a poller that has not polled its group yet resumes.
pub(in crate::controller) fn saved_history(group: &BalanceConsumerGroup) -> autoscaler::SavedHistory {
    let status = group.status.as_ref();
    let scaling = status.and_then(|status| status.scaling.as_ref());
    let condition = |name: &str| {
        let found = status?.conditions.iter().find(|condition| condition.type_ == name);
        found.filter(|condition| condition.status == "True")
    };
    let decision = |scaling: &ScalingStatus| {
        Some((scaling.desired?, autoscaler::Reason::parse(&scaling.reason)?, scaling.explanation.clone()))
    };
    autoscaler::SavedHistory {
        decision: scaling.and_then(decision),
        capacity: scaling.and_then(|scaling| capacity(scaling.learned.as_ref()?)),
        limited_by: condition(conditions::SCALING_LIMITED).and_then(|limited| limit(&limited.reason)),
        hot_partition: condition(conditions::HOT_PARTITION).and_then(|hot| hot_partition(&hot.message)),
    }
}

fn capacity(learned: &Learned) -> Option<autoscaler::Capacity> {
    let source = match learned.source? {
        CapacitySource::BusyTime => autoscaler::CapacitySource::BusyTime,
        CapacitySource::Saturation => autoscaler::CapacitySource::Saturation,
        CapacitySource::Expected => autoscaler::CapacitySource::Expected,
        CapacitySource::LowerBound => autoscaler::CapacitySource::LowerBound,
    };
    Some(autoscaler::Capacity { rate: learned.rate_per_replica? as f64, source })
}

fn limit(reason: &str) -> Option<Limit> {
    match reason {
        reasons::AT_MIN_REPLICAS => Some(Limit::MinReplicas),
        reasons::AT_MAX_REPLICAS => Some(Limit::MaxReplicas),
        reasons::AT_PARTITIONS => Some(Limit::Partitions),
        _ => None,
    }
}

/// The partition that the message of the condition `HotPartition` names.
fn hot_partition(message: &str) -> Option<i32> {
    message.strip_prefix("partition ")?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_written_as_ranges() {
        assert_eq!(ranges(&[0, 1, 2, 5]), "0-2,5");
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[7]), "7");
        assert_eq!(ranges(&[i32::MAX - 1, i32::MAX, 3]), "2147483646-2147483647,3", "whatever a member claims");
        let many: Vec<i32> = (0..2_000).map(|n| n * 2).collect();
        assert!(ranges(&many).len() <= 1_024 && ranges(&many).ends_with(",…"));
    }

    #[test]
    fn an_age_is_written_in_its_largest_whole_unit() {
        for (seconds, text) in [(0, "0s"), (30, "30s"), (60, "1m"), (300, "5m"), (7_200, "2h"), (5_400, "90m")] {
            assert_eq!(age_text(Duration::from_secs(seconds)), text);
        }
    }
}
