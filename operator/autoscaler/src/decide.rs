//! The decision: a chain of small checks, each of which may settle it. In go what is needed and what runs, out comes the
//! number to ask for now, with its reason.

use std::time::Duration;

use crate::assess::{Assessment, Shortfall, assess, misses_objective};
use crate::decision::{BlockedBy, Capacity, Decision, Reason, Verdict};
use crate::explain::explain;
use crate::lag::LagReading;
use crate::policy::{Current, Hold, Policy};
use crate::state::Memory;
use crate::tuning::{CONFIRMATIONS, DOWN_WINDOW, POLL_INTERVAL, REBALANCE_TIME, START_TIME, URGENT_FACTOR};

/// Decides how many workers there should be, from the reading that [`Memory::observe`] gave for this poll, or
/// [`LagReading::Unknown`] when the poll failed.
///
/// `now` is the time given to `observe`. The memory must be that of this group alone.
pub fn decide(
    policy: &Policy,
    memory: &mut Memory,
    reading: &LagReading,
    current: &Current,
    now: Duration,
) -> Decision {
    follow(memory, current, now);
    let assessment = assess(policy, memory, reading, current);
    let verdict = judge(policy, memory, reading, current, &assessment, now);
    memory.course.confirming = verdict.confirm;
    let decision = publish(memory.course.last.take(), verdict, &assessment, reading, current, policy);
    memory.course.last = Some(decision.clone());
    decision
}

/// Notices what changed outside since the last decision.
fn follow(memory: &mut Memory, current: &Current, now: Duration) {
    let template_changed = memory.course.template.as_ref().is_some_and(|known| *known != current.template);
    if template_changed || current.hold == Some(Hold::RollingUpdate) {
        // Figures of a time when two templates ran belong to neither.
        memory.capacity = Default::default();
    }
    memory.course.template = Some(current.template.clone());
    if memory.course.desired.is_some_and(|known| known != current.desired) {
        memory.course.settling = Some(now);
        memory.course.exceeded = 0;
        memory.course.lower = None;
    }
    memory.course.desired = Some(current.desired);
    if memory.course.settling.is_some_and(|since| has_settled(memory, current.desired, since, now)) {
        memory.course.settling = None;
    }
}

/// The group is stable, as many members as wanted, and every partition with work was committed since the change; or it
/// has taken so long that waiting for it would hide a lasting fault.
fn has_settled(memory: &Memory, desired: i32, since: Duration, now: Duration) -> bool {
    let complete = memory.members.as_ref().is_some_and(|members| i32::try_from(members.len()) == Ok(desired));
    let commits =
        || memory.tracks.values().all(|track| track.lag == 0 || track.committed_at.is_some_and(|at| at > since));
    let limit = START_TIME + REBALANCE_TIME + POLL_INTERVAL * 2;
    (memory.stable && complete && commits()) || now.saturating_sub(since) >= limit
}

fn judge(
    policy: &Policy,
    memory: &mut Memory,
    reading: &LagReading,
    current: &Current,
    need: &Assessment,
    now: Duration,
) -> Verdict {
    let settled = held(current)
        .or_else(|| unknown(policy, memory, reading, current))
        .or_else(|| out_of_bounds(policy, memory, current))
        .inspect(|_| memory.course.exceeded = 0)
        .or_else(|| grow(policy, memory, current, need));
    if let Some(verdict) = settled {
        memory.course.lower = None;
        return verdict;
    }
    if matches!(reading, LagReading::Partial(_)) {
        memory.course.lower = None;
        return Verdict::keep(current.desired, Reason::LagPartial, Some(BlockedBy::LagPartial));
    }
    let mut verdict = shrink(memory, current, need, now);
    // What looks like a jump of the arrivals is looked at again at once, so that it is answered by the right number.
    verdict.confirm = memory.arrival.suspects_more() && current.desired < need.ceiling && !memory.course.confirming;
    verdict
}

fn held(current: &Current) -> Option<Verdict> {
    let (reason, blocked_by) = match current.hold? {
        Hold::Pinned => (Reason::Pinned, BlockedBy::Pinned),
        Hold::Paused => (Reason::Paused, BlockedBy::Paused),
        Hold::RollingUpdate => (Reason::RollingUpdate, BlockedBy::RollingUpdate),
    };
    Some(Verdict::keep(current.desired, reason, Some(blocked_by)))
}

fn unknown(policy: &Policy, memory: &Memory, reading: &LagReading, current: &Current) -> Option<Verdict> {
    let bounded = policy.bounded_unread(current.desired, counted(memory));
    matches!(reading, LagReading::Unknown)
        .then(|| Verdict::keep(bounded, Reason::LagUnknown, Some(BlockedBy::LagUnknown)))
}

fn out_of_bounds(policy: &Policy, memory: &Memory, current: &Current) -> Option<Verdict> {
    let bounded = policy.bounded(current.desired, counted(memory));
    (bounded != current.desired).then(|| Verdict::act(bounded, Reason::OutOfBounds))
}

fn counted(memory: &Memory) -> Option<i32> {
    Some(memory.partition_count).filter(|count| *count > 0)
}

fn grow(policy: &Policy, memory: &mut Memory, current: &Current, need: &Assessment) -> Option<Verdict> {
    let course = &mut memory.course;
    let wanted = need.need.filter(|wanted| *wanted > current.desired);
    let (Some(shortfall), Some(wanted)) = (need.exceeded, wanted) else {
        course.exceeded = 0;
        return None;
    };
    course.exceeded += 1;
    let urgent =
        misses_objective(need.age, policy.lag_slo) && f64::from(wanted) >= URGENT_FACTOR * f64::from(current.desired);
    if course.settling.is_some() && !urgent {
        return Some(Verdict::keep(current.desired, Reason::Sufficient, Some(BlockedBy::Settling)));
    }
    if course.exceeded < CONFIRMATIONS {
        let keep = Verdict::keep(current.desired, Reason::Sufficient, Some(BlockedBy::Confirmation));
        return Some(Verdict { confirm: !course.confirming, ..keep });
    }
    let reason = match shortfall {
        Shortfall::Arrivals => Reason::ArrivalRate,
        Shortfall::Backlog => Reason::Backlog,
        Shortfall::Lag => Reason::LagRising,
    };
    Some(Verdict::act(wanted, reason))
}

/// Fewer workers in one step, to the most that was needed in the whole window.
fn shrink(memory: &mut Memory, current: &Current, need: &Assessment, now: Duration) -> Verdict {
    let reason = if need.need.is_some() { Reason::Sufficient } else { Reason::Measuring };
    let blocked_by = if need.capacity.is_none() && current.desired > need.floor {
        Some(BlockedBy::CapacityUnknown)
    } else if need.lower.is_none() {
        None
    } else if memory.course.settling.is_some() {
        Some(BlockedBy::Settling)
    } else if !memory.stable {
        Some(BlockedBy::Rebalancing)
    } else if need.draining {
        Some(BlockedBy::Draining)
    } else {
        None
    };
    let (Some(lower), None) = (need.lower, blocked_by) else {
        memory.course.lower = None;
        return Verdict::keep(current.desired, reason, blocked_by);
    };
    let (since, most) = memory.course.lower.map_or((now, lower), |(since, most)| (since, most.max(lower)));
    memory.course.lower = Some((since, most));
    if now.saturating_sub(since) < DOWN_WINDOW {
        return Verdict::keep(current.desired, reason, Some(BlockedBy::DownWindow));
    }
    Verdict::act(most, Reason::DemandFell)
}

/// Makes the verdict a decision. A verdict that changes nothing leaves reason and explanation as they were: they are
/// those of the decision that holds, and a group at rest must not cause writes.
fn publish(
    last: Option<Decision>,
    verdict: Verdict,
    need: &Assessment,
    reading: &LagReading,
    current: &Current,
    policy: &Policy,
) -> Decision {
    let stands = |last: &Decision| {
        let same = last.reason == verdict.reason;
        let calm = verdict.reason == Reason::Sufficient && last.reason.is_about_load();
        // Better knowledge of the capacity is worth a new sentence.
        let source = |capacity: Option<Capacity>| capacity.map(|capacity| capacity.source);
        last.replicas == verdict.replicas && (same || calm) && source(last.capacity) == source(need.capacity)
    };
    let (reason, explanation) = match last.filter(stands) {
        Some(last) => (last.reason, last.explanation),
        None => (verdict.reason, explain(verdict, need, reading, current, policy)),
    };
    Decision {
        replicas: verdict.replicas,
        reason,
        explanation,
        need: need.need,
        blocked_by: verdict.blocked_by,
        limited_by: need.limited_by,
        confirm: verdict.confirm,
        rungs: need.rungs.clone(),
        capacity: need.capacity,
        arrival_rate: need.arrival_rate,
    }
}
