//! What the group needs, whether or not this is the moment to act. Takes the policy, the group's history and its lag,
//! gives an [`Assessment`].

use std::time::Duration;

use crate::age::Age;
use crate::candidates::{Evaluation, Load, candidate_counts};
use crate::decision::{Candidate, Capacity, CapacitySource, Limit};
use crate::history::GroupHistory;
use crate::lag::LagReading;
use crate::policy::{Current, Policy};
use crate::tuning::{
    EQUAL_RATES, LAG_AGE_EVIDENCE, LIMIT_MARGINS, LOWER_BOUND_UTILIZATION, SCALE_DOWN_MARGIN, SCALE_UP_MARGIN,
    YOUNG_DIVISOR,
};

/// What a group needs.
#[derive(Debug, Clone)]
pub(crate) struct Assessment {
    /// The fewest and the most replicas that the limits allow.
    pub(crate) floor: i32,
    pub(crate) ceiling: i32,
    pub(crate) arrival_rate: Option<f64>,
    pub(crate) capacity: Option<Capacity>,
    /// The part of a worker's capacity that `needed` was planned with, in (0, 1].
    pub(crate) utilization: f64,
    pub(crate) candidates: Vec<Candidate>,
    /// The smallest number of replicas that carries the load, within the limits; if none does, the one that comes
    /// closest.
    pub(crate) needed: Option<i32>,
    /// Whether no number within the limits carries the load.
    pub(crate) infeasible: bool,
    /// Whether the present replicas are too few, clearly enough to act.
    pub(crate) under_provisioned: Option<UnderProvisioned>,
    /// The smallest number of replicas that would carry the load with margin to spare, if it is below the present one.
    pub(crate) scale_down_to: Option<i32>,
    /// Which limit the needed number runs into, if any. Asked three times: for the present load, and for one a little
    /// lower and a little higher (the [`LIMIT_MARGINS`]). `None` while the load is not known.
    pub(crate) limits: Option<[Option<Limit>; 3]>,
    pub(crate) age: Option<Age>,
    /// Records unread in the partitions that are known.
    pub(crate) records: i64,
    /// Whether a backlog is being worked off: more is unread than a healthy consumer shows between two commits, and its
    /// oldest record is older than a part of the lag SLO ([`YOUNG_DIVISOR`]).
    pub(crate) draining: bool,
}

/// Why the present replicas are too few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnderProvisioned {
    /// More arrives than they can process.
    Arrivals,
    /// They would not work the backlog off in time.
    Backlog,
    /// Lag grows or is old; how much they can process is not known.
    Lag,
}

/// Assesses a group.
pub(crate) fn assess(policy: &Policy, history: &GroupHistory, reading: &LagReading, current: &Current) -> Assessment {
    let (floor, ceiling) = (policy.floor(history.partition_count), policy.ceiling(history.partition_count));
    let capacity = history.capacity.estimate(policy.expected_rate_per_replica.map(f64::from));
    // What was seen, not what a worker can do at most.
    let only_bound = capacity.is_some_and(|capacity| capacity.source == CapacitySource::LowerBound);
    let target = policy.target();
    let mut assessment = Assessment {
        floor,
        ceiling,
        arrival_rate: history.arrival.total(),
        capacity,
        utilization: if only_bound { target.min(LOWER_BOUND_UTILIZATION) } else { target },
        candidates: Vec::new(),
        needed: None,
        infeasible: false,
        under_provisioned: None,
        scale_down_to: None,
        limits: None,
        age: reading.age(),
        records: reading.lag().map_or(0, crate::lag::Lag::known_records),
        draining: is_draining(policy, history, reading),
    };
    if assessment.arrival_rate.is_none() {
        return assessment;
    }
    if let Some(capacity) = capacity {
        let load = load(policy, history, capacity.rate, current.desired);
        assessment.plan(&load, history.partition_count);
        if !only_bound {
            assessment.check_present(&load, current.desired, (target * (1.0 + SCALE_UP_MARGIN)).min(1.0));
        }
        assessment.plan_lower(&load, current.desired, target * (1.0 - SCALE_DOWN_MARGIN), only_bound);
    }
    if capacity.is_none() || only_bound {
        assessment.apply_lag_evidence(history, policy, current.desired);
    }
    assessment
}

impl Assessment {
    /// Evaluates the candidates and picks the needed number.
    fn plan(&mut self, load: &Load, partitions: i32) {
        let evaluated: Vec<Evaluation> = candidate_counts(partitions, self.floor, self.ceiling)
            .into_iter()
            .map(|replicas| load.evaluate(replicas, self.utilization))
            .collect();
        let (floor, ceiling) = (self.floor, self.ceiling);
        let allowed = || evaluated.iter().filter(|found| (floor..=ceiling).contains(&found.candidate.replicas));
        let feasible = allowed().find(|found| found.candidate.feasible);
        // If nothing is enough, take the smallest number whose busiest worker has the lowest required rate.
        let least = allowed().map(|found| found.required_rate).fold(f64::INFINITY, f64::min);
        let closest = || allowed().find(|found| found.required_rate <= least * EQUAL_RATES);
        self.needed = feasible.or_else(closest).map(|found| found.candidate.replicas);
        self.infeasible = feasible.is_none();
        self.limits = Some(LIMIT_MARGINS.map(|factor| {
            if !allowed().any(|found| found.load_ratio * factor <= 1.0) {
                return Some(self.limit_above(partitions));
            }
            let fewer =
                evaluated.iter().any(|found| found.candidate.replicas < floor && found.load_ratio * factor <= 1.0);
            fewer.then_some(Limit::MinReplicas)
        }));
        self.candidates = evaluated.into_iter().map(|found| found.candidate).collect();
    }

    const fn limit_above(&self, partitions: i32) -> Limit {
        if self.ceiling < partitions { Limit::MaxReplicas } else { Limit::Partitions }
    }

    /// Replicas are added only a little above the target, so that a load that hovers around the target changes nothing.
    fn check_present(&mut self, load: &Load, desired: i32, utilization: f64) {
        let present = load.candidate(desired, utilization);
        if !present.feasible {
            let overrun = present.busiest_rate > utilization * load.capacity;
            self.under_provisioned = Some(if overrun { UnderProvisioned::Arrivals } else { UnderProvisioned::Backlog });
        }
    }

    fn plan_lower(&mut self, load: &Load, desired: i32, utilization: f64, only_bound: bool) {
        let mut below: Vec<i32> = self.candidates.iter().map(|candidate| candidate.replicas).collect();
        below.retain(|replicas| (self.floor..desired).contains(replicas));
        if only_bound {
            // A capacity that is only a lower bound is trusted for one candidate at a time.
            below = below.split_off(below.len().saturating_sub(1));
        }
        let utilization = utilization.min(self.utilization);
        self.scale_down_to = below.into_iter().find(|replicas| load.candidate(*replicas, utilization).feasible);
    }

    /// Without a measured capacity only the lag itself shows that workers are missing. Needed is then the next
    /// candidate, or what the highest rate seen of one worker makes necessary, whichever is more.
    fn apply_lag_evidence(&mut self, history: &GroupHistory, policy: &Policy, desired: i32) {
        if self.lag_is_evidence(history, policy, desired) {
            let counts = candidate_counts(history.partition_count, self.floor, self.ceiling);
            let next = counts.into_iter().find(|replicas| *replicas > desired && *replicas <= self.ceiling);
            self.needed = next.or(Some(self.ceiling)).max(self.needed);
            self.infeasible = next.is_none();
            self.limits = Some([self.infeasible.then_some(self.limit_above(history.partition_count)); 3]);
            self.under_provisioned = Some(UnderProvisioned::Lag);
            // Where no more are allowed, the present ones are not too many either.
            self.scale_down_to = None;
        } else {
            self.needed = self.needed.map(|needed| needed.min(desired).clamp(self.floor, self.ceiling));
            self.infeasible = false;
            let below = |limit: Option<Limit>| limit.filter(|limit| *limit == Limit::MinReplicas);
            self.limits = Some(self.limits.map_or([None; 3], |limits| limits.map(below)));
        }
    }

    /// Whether lag shows that workers are missing: it grows or is old, although all desired workers run and commit. If
    /// some have not joined yet, or nothing is committed at all, more workers would not help.
    fn lag_is_evidence(&self, history: &GroupHistory, policy: &Policy, desired: i32) -> bool {
        let Some(commit_interval) = history.commit_interval() else { return false };
        let complete = history.members.as_ref().and_then(|members| i32::try_from(members.len()).ok()) >= Some(desired);
        let growing = || history.trend.is_growing(commit_interval, self.arrival_rate.unwrap_or(0.0));
        let old = || {
            self.age.is_some_and(|age| age.lower_bound() >= policy.lag_slo.mul_f64(LAG_AGE_EVIDENCE) + commit_interval)
                && !history.trend.is_shrinking(commit_interval)
        };
        history.stable && complete && self.records > 0 && (growing() || old())
    }
}

fn load(policy: &Policy, history: &GroupHistory, capacity: f64, desired: i32) -> Load {
    let partitions = 0..history.partition_count;
    Load {
        rates: partitions.clone().map(|partition| history.arrival.rate_of(partition)).collect(),
        backlogs: partitions.map(|partition| history.backlog_of(partition)).collect(),
        owners: history.members.iter().flatten().map(|member| member.partitions.clone()).collect(),
        assignor: policy.assignor,
        capacity,
        drain_within: policy.drain_within,
        desired,
    }
}

/// Whether a backlog is being worked off.
fn is_draining(policy: &Policy, history: &GroupHistory, reading: &LagReading) -> bool {
    let young = |age: Age| age.exact().is_some_and(|age| age < policy.lag_slo / YOUNG_DIVISOR);
    let behind = (0..history.partition_count).any(|partition| history.is_behind(partition));
    behind && !reading.age().is_some_and(young)
}

/// Whether the oldest unread record is older than the lag SLO allows.
pub(crate) fn misses_lag_slo(age: Option<Age>, lag_slo: Duration) -> bool {
    age.is_some_and(|age| age.lower_bound() > lag_slo)
}
