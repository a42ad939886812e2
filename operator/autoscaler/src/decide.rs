//! The decision: a chain of small checks; the first that applies decides. Takes what is needed and what runs, gives the
//! replicas to ask for now, with their reason.

use std::time::Duration;

use crate::assess::{Assessment, UnderProvisioned, assess, misses_lag_slo};
use crate::decision::{BlockedBy, Capacity, Choice, Decision, Limit, Reason};
use crate::explain::explain;
use crate::history::GroupHistory;
use crate::lag::LagReading;
use crate::policy::{Current, FreezeReason, Policy};
use crate::tuning::{
    CONFIRMATIONS, POLL_INTERVAL, REBALANCE_TIME, SCALE_DOWN_MARGIN, SCALE_DOWN_STABILIZATION_WINDOW, SCALE_UP_MARGIN,
    START_TIME, URGENT_FACTOR,
};

/// Decides the replicas, from the reading that [`GroupHistory::observe`] gave for this poll, or
/// [`LagReading::Unknown`] when the poll failed.
///
/// `now` is the time given to `observe`. `history` must be of this group alone.
pub fn decide(
    policy: &Policy,
    history: &mut GroupHistory,
    reading: &LagReading,
    current: &Current,
    now: Duration,
) -> Decision {
    detect_changes(history, current, now);
    let assessment = assess(policy, history, reading, current);
    let choice = choose(policy, history, reading, current, &assessment, now);
    history.decision_state.confirming = choice.confirm;
    let mut decision = finish(history.decision_state.last.take(), choice, &assessment, reading, current, policy);
    decision.limited_by = limited_by(history, &assessment);
    decision.hot_partition = hot_partition(history, &assessment);
    history.decision_state.last = Some(decision.clone());
    decision
}

/// Detects what changed outside since the last decision.
fn detect_changes(history: &mut GroupHistory, current: &Current, now: Duration) {
    let template_changed = history.decision_state.template.as_ref().is_some_and(|known| *known != current.template);
    if template_changed || current.frozen_by == Some(FreezeReason::RollingUpdate) {
        // Figures from a time when two templates ran are valid for neither.
        history.capacity = Default::default();
    }
    history.decision_state.template = Some(current.template.clone());
    if history.decision_state.desired.is_some_and(|known| known != current.desired) {
        history.decision_state.settling = Some(now);
        history.decision_state.under_provisioned_polls = 0;
        history.decision_state.scale_down = None;
    }
    history.decision_state.desired = Some(current.desired);
    if history.decision_state.settling.is_some_and(|since| has_settled(history, current.desired, since, now)) {
        history.decision_state.settling = None;
    }
}

/// Whether a change of the replicas has taken effect: the group is stable, has as many members as desired, and every
/// partition with a backlog was committed since the change. After a time limit it counts as settled anyway, because
/// waiting longer would hide a lasting fault.
fn has_settled(history: &GroupHistory, desired: i32, since: Duration, now: Duration) -> bool {
    let complete = history.members.as_ref().is_some_and(|members| i32::try_from(members.len()) == Ok(desired));
    let commits =
        || history.partitions.values().all(|found| found.lag == 0 || found.committed_at.is_some_and(|at| at > since));
    let limit = START_TIME + REBALANCE_TIME + POLL_INTERVAL * 2;
    (history.stable && complete && commits()) || now.saturating_sub(since) >= limit
}

fn choose(
    policy: &Policy,
    history: &mut GroupHistory,
    reading: &LagReading,
    current: &Current,
    assessment: &Assessment,
    now: Duration,
) -> Choice {
    let chosen = frozen(current)
        .or_else(|| unknown(policy, history, reading, current))
        .or_else(|| out_of_bounds(policy, history, current))
        .inspect(|_| history.decision_state.under_provisioned_polls = 0)
        .or_else(|| scale_up(policy, history, current, assessment));
    if let Some(choice) = chosen {
        history.decision_state.scale_down = None;
        return choice;
    }
    if matches!(reading, LagReading::Partial(_)) {
        history.decision_state.scale_down = None;
        return Choice::keep(current.desired, Reason::LagPartial, Some(BlockedBy::LagPartial));
    }
    let mut choice = scale_down(history, current, assessment, now);
    // If the arrivals seem to jump, poll again at once, so that one decision gets the number right.
    choice.confirm =
        history.arrival.suspects_rise() && current.desired < assessment.ceiling && !history.decision_state.confirming;
    choice
}

fn frozen(current: &Current) -> Option<Choice> {
    let (reason, blocked_by) = match current.frozen_by? {
        FreezeReason::Pinned => (Reason::Pinned, BlockedBy::Pinned),
        FreezeReason::Paused => (Reason::Paused, BlockedBy::Paused),
        FreezeReason::RollingUpdate => (Reason::RollingUpdate, BlockedBy::RollingUpdate),
    };
    Some(Choice::keep(current.desired, reason, Some(blocked_by)))
}

fn unknown(policy: &Policy, history: &GroupHistory, reading: &LagReading, current: &Current) -> Option<Choice> {
    let bounded = policy.bounded_without_lag(current.desired, known_partition_count(history));
    matches!(reading, LagReading::Unknown)
        .then(|| Choice::keep(bounded, Reason::LagUnknown, Some(BlockedBy::LagUnknown)))
}

fn out_of_bounds(policy: &Policy, history: &GroupHistory, current: &Current) -> Option<Choice> {
    let bounded = policy.bounded(current.desired, known_partition_count(history));
    (bounded != current.desired).then(|| Choice::act(bounded, Reason::OutOfBounds))
}

fn known_partition_count(history: &GroupHistory) -> Option<i32> {
    Some(history.partition_count).filter(|count| *count > 0)
}

fn scale_up(policy: &Policy, history: &mut GroupHistory, current: &Current, assessment: &Assessment) -> Option<Choice> {
    let state = &mut history.decision_state;
    let wanted = assessment.needed.filter(|wanted| *wanted > current.desired);
    let (Some(under_provisioned), Some(wanted)) = (assessment.under_provisioned, wanted) else {
        state.under_provisioned_polls = 0;
        return None;
    };
    state.under_provisioned_polls += 1;
    let urgent = misses_lag_slo(assessment.age, policy.lag_slo)
        && f64::from(wanted) >= URGENT_FACTOR * f64::from(current.desired);
    if state.settling.is_some() && !urgent {
        return Some(Choice::keep(current.desired, Reason::Sufficient, Some(BlockedBy::Settling)));
    }
    if state.under_provisioned_polls < CONFIRMATIONS {
        let keep = Choice::keep(current.desired, Reason::Sufficient, Some(BlockedBy::Confirmation));
        return Some(Choice { confirm: !state.confirming, ..keep });
    }
    let reason = match under_provisioned {
        UnderProvisioned::Arrivals => Reason::ArrivalRate,
        UnderProvisioned::Backlog => Reason::Backlog,
        UnderProvisioned::Lag => Reason::LagRising,
    };
    Some(Choice::act(wanted, reason))
}

/// Reduces the replicas in one change, to the most that were needed in the whole window.
fn scale_down(history: &mut GroupHistory, current: &Current, assessment: &Assessment, now: Duration) -> Choice {
    let reason = if assessment.needed.is_some() { Reason::Sufficient } else { Reason::Measuring };
    let blocked_by = if assessment.capacity.is_none() && current.desired > assessment.floor {
        Some(BlockedBy::CapacityUnknown)
    } else if assessment.scale_down_to.is_none() {
        None
    } else if history.decision_state.settling.is_some() {
        Some(BlockedBy::Settling)
    } else if !history.stable {
        Some(BlockedBy::Rebalancing)
    } else if assessment.draining {
        Some(BlockedBy::Draining)
    } else {
        None
    };
    let (Some(fewer), None) = (assessment.scale_down_to, blocked_by) else {
        history.decision_state.scale_down = None;
        return Choice::keep(current.desired, reason, blocked_by);
    };
    let (since, most) =
        history.decision_state.scale_down.map_or((now, fewer), |(since, most)| (since, most.max(fewer)));
    history.decision_state.scale_down = Some((since, most));
    if now.saturating_sub(since) < SCALE_DOWN_STABILIZATION_WINDOW {
        return Choice::keep(current.desired, reason, Some(BlockedBy::StabilizationWindow));
    }
    Choice::act(most, Reason::DemandFell)
}

/// The limit that keeps the replicas from the number that the load needs, with a margin against noise.
fn limited_by(history: &mut GroupHistory, assessment: &Assessment) -> Option<Limit> {
    let state = &mut history.decision_state.limited_by;
    assessment.limits.map_or(state.reported, |limits| state.update(limits.contains(&state.reported), limits[1]))
}

/// The partition that gets more than one worker can process, with a margin against noise.
fn hot_partition(history: &mut GroupHistory, assessment: &Assessment) -> Option<i32> {
    let reported = history.decision_state.hot_partition.reported;
    let Some(capacity) = assessment.capacity.filter(|_| assessment.arrival_rate.is_some()) else { return reported };
    let rate = |partition: i32| history.arrival.rate_of(partition);
    let busiest = (0..history.partition_count).max_by(|one, other| rate(*one).total_cmp(&rate(*other)));
    let found = busiest.filter(|busiest| rate(*busiest) > capacity.rate * (1.0 + SCALE_UP_MARGIN));
    let holds = reported.map_or(found.is_none(), |reported| rate(reported) > capacity.rate * (1.0 - SCALE_DOWN_MARGIN));
    history.decision_state.hot_partition.update(holds, found)
}

/// Turns the choice into a decision. If the last decision still holds, its reason and explanation stay, so that a group
/// at rest causes no writes.
fn finish(
    last: Option<Decision>,
    choice: Choice,
    assessment: &Assessment,
    reading: &LagReading,
    current: &Current,
    policy: &Policy,
) -> Decision {
    let still_holds = |last: &Decision| {
        let same = last.reason == choice.reason;
        // After a restart arrivals are not measured yet; that is no reason for a new explanation.
        let unmeasured = choice.reason == Reason::Measuring && assessment.arrival_rate.is_none();
        let calm = (choice.reason == Reason::Sufficient || unmeasured) && last.reason.is_about_load();
        // Another source of the capacity is worth a new explanation.
        let source = |capacity: Option<Capacity>| capacity.map(|capacity| capacity.source);
        last.replicas == choice.replicas && (same || calm) && source(last.capacity) == source(assessment.capacity)
    };
    let (reason, explanation) = match last.filter(still_holds) {
        Some(last) => (last.reason, last.explanation),
        None => (choice.reason, explain(choice, assessment, reading, current, policy)),
    };
    Decision {
        replicas: choice.replicas,
        reason,
        explanation,
        needed: assessment.needed,
        blocked_by: choice.blocked_by,
        limited_by: None,
        hot_partition: None,
        confirm: choice.confirm,
        candidates: assessment.candidates.clone(),
        capacity: assessment.capacity,
        arrival_rate: assessment.arrival_rate,
    }
}
