//! Pure. Between the start of the operator and its first poll nothing new is known about the lag. That part of the old
//! status is carried over, so that a restart writes nothing.

use balancefleet_crds::{BalanceConsumerGroupStatus as Status, conditions as types, reasons};

use super::{conditions, input::StatusInput, kafka};

/// Conditions that need what a poll has found.
const FROM_KAFKA: [&str; 6] = [
    types::LAG_KNOWN,
    types::HOT_PARTITION,
    types::DATA_LOSS,
    types::OFFSET_AHEAD_OF_LOG,
    types::OVER_CAPACITY,
    types::FOREIGN_MEMBERS,
];
/// Conditions that come from a decision.
const FROM_DECISION: [&str; 2] = [types::SCALING_ACTIVE, types::SCALING_LIMITED];

/// Whether the old status still says all that is known: the first poll has not ended, and will come. A problem may keep
/// the group from being polled at all.
pub(super) fn before_first_poll(old: &Status, input: &StatusInput<'_>) -> bool {
    let is_polled = input.problem.is_none_or(|problem| problem.reason == types::ASSIGNOR_CHANGE_PENDING);
    input.snapshot.is_none() && is_polled && !old.conditions.is_empty()
}

/// Carries over what the first poll will replace.
pub(super) fn apply(old: &Status, new: &mut Status, input: &StatusInput<'_>) {
    new.lag = old.lag;
    new.lag_age.clone_from(&old.lag_age);
    new.members = old.members;
    new.group_state.clone_from(&old.group_state);
    new.assignment.clone_from(&old.assignment);
    let mut kept = FROM_KAFKA.to_vec();
    let undecided = input.plan.is_some_and(|plan| plan.reason == reasons::LAG_NOT_READ_YET);
    let desired = |status: &Status| status.scaling.as_ref().and_then(|scaling| scaling.desired);
    if undecided && desired(old) == desired(new) {
        new.scaling.clone_from(&old.scaling);
        kept.extend(FROM_DECISION);
    }
    let was = |name: &str| old.conditions.iter().find(|condition| condition.type_ == name);
    if was(types::READY).is_some_and(|ready| kafka::is_reason(&ready.reason)) {
        kept.push(types::READY);
    }
    new.conditions.retain(|condition| !kept.contains(&condition.type_.as_str()));
    let generation = input.group.metadata.generation;
    for mut condition in kept.into_iter().filter_map(was).cloned() {
        condition.observed_generation = generation;
        new.conditions.push(condition);
    }
    conditions::order(&mut new.conditions);
}
