//! Pure. Which assignor the workers get. The members of a group have to agree on one: a worker that brings another cannot
//! join those that run, and a rollout that adds one worker before it ends another would never get on. So a changed
//! assignor waits until no worker and no member is left, and all start with the new one.
//!
//! Nothing of it is remembered but since when no pod is left: what runs is read from the group and the Deployment, and a
//! Deployment that we stopped for a change says so.

use std::time::{Duration, Instant};

use balancefleet_crds::{Assignor, AssignorChange, BalanceConsumerGroup};
use balancefleet_kafka::GroupState;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;

use super::{build::Replicas, members, workload};
use crate::lag::Snapshot;

/// While all workers are away nothing is processed: it is looked soon whether they can come again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What the choice follows from.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    /// The object.
    pub group: &'a BalanceConsumerGroup,
    /// Its workers.
    pub workers: Option<&'a Deployment>,
    /// What the API server itself says is left of them; only where that is asked.
    pub remains: Option<&'a Remains>,
    /// Since when it is known that no pod is left.
    pub no_pod_since: Option<Instant>,
    /// The group as it was last read.
    pub snapshot: Option<&'a Snapshot>,
}

/// Pods of the object that have not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remains {
    /// Name and assignor of each.
    pub pods: Vec<(String, Option<Assignor>)>,
    /// When that was known.
    pub at: Instant,
}

/// What the workers get, and what stands in the way of what they should get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// The assignor of the pod template.
    pub assignor: Assignor,
    /// A change that has to wait.
    pub pending: Option<Pending>,
    /// The assignor that this pass replaces.
    pub replaces: Option<Assignor>,
}

/// A change that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    /// What the workers have.
    pub from: Assignor,
    /// What the object asks for.
    pub to: Assignor,
    /// What has to happen first.
    pub obstacle: Obstacle,
    /// Who makes it happen.
    pub way: Way,
}

/// What keeps workers with the new assignor from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// `spec.paused` is true.
    Paused,
    /// Workers with the former one are wanted.
    Running,
    /// Pods that have not ended: their names.
    Pods(Vec<String>),
    /// Kafka has not said since that the group is empty.
    GroupNotRead,
    /// Members of the group: their client ids.
    Members(Vec<String>),
}

/// Who brings the change about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// A person, if at all.
    ByHand,
    /// The operator would, but does not begin: of what it stops it is not certain that it can start again.
    NotYet(Obstacle),
    /// The operator, which has all workers stopped.
    Recreate,
}

impl Choice {
    /// The numbers that go with a decided number of workers.
    pub(super) fn replicas(&self, decided: i32) -> Replicas {
        match &self.pending {
            Some(Pending { way: Way::Recreate, to, .. }) => Replicas::stopped(decided, *to),
            _ => Replicas::agreed(decided),
        }
    }

    /// Whether the workers are away for a change, which says nothing of how many are needed.
    pub(super) fn stops_workers(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.way == Way::Recreate)
    }

    /// When to look again although nothing has happened: pods and members that go wake nobody.
    pub(super) fn next_look(&self) -> Option<Duration> {
        let obstacle = &self.pending.as_ref()?.obstacle;
        (!matches!(obstacle, Obstacle::Running | Obstacle::Paused)).then_some(LOOK_AGAIN)
    }
}

/// Chooses.
pub(super) fn choose(inputs: &Inputs<'_>) -> Choice {
    let wanted = inputs.group.spec.kafka.consumer.assignor;
    let settled = Choice { assignor: wanted, pending: None, replaces: None };
    let Some(running) = running(inputs).filter(|running| *running != wanted) else { return settled };
    let Some(obstacle) = obstacle(inputs) else { return Choice { replaces: Some(running), ..settled } };
    let pending = Pending { from: running, to: wanted, obstacle, way: way(inputs) };
    Choice { assignor: running, pending: Some(pending), replaces: None }
}

/// What our members agreed on is what runs, whatever a template says: it may be one that could never be rolled out.
fn running(inputs: &Inputs<'_>) -> Option<Assignor> {
    let name = inputs.group.name_any();
    let has_ours = |seen: &&Snapshot| seen.members.iter().any(|member| members::is_ours(&member.client_id, &name));
    let agreed = inputs.snapshot.filter(has_ours);
    let agreed = agreed.and_then(|seen| Assignor::from_protocol_name(seen.group_assignor.as_deref()?));
    let Some(workers) = inputs.workers else {
        // Of a Deployment that is gone, or of an object of that name that is.
        let wanted = inputs.group.spec.kafka.consumer.assignor;
        return inputs.remains?.pods.iter().find_map(|(_, assignor)| assignor.filter(|found| *found != wanted));
    };
    agreed.or_else(|| workload::assignor(workers))
}

/// What has to happen before the first worker with another assignor may start. Pods go before members: a member that is
/// looked for before the last pod has ended may still come.
fn obstacle(inputs: &Inputs<'_>) -> Option<Obstacle> {
    if inputs.group.spec.paused {
        return Some(Obstacle::Paused);
    }
    if inputs.workers.is_some_and(|workers| workload::spec_replicas(workers) > 0) {
        return Some(Obstacle::Running);
    }
    let pods = inputs.remains.map(|remains| remains.pods.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
    let Some(since) = inputs.no_pod_since.filter(|_| pods.as_ref().is_some_and(Vec::is_empty)) else {
        return Some(Obstacle::Pods(pods.unwrap_or_default()));
    };
    let newest = inputs.snapshot.filter(|seen| seen.taken_at >= since);
    match newest.and_then(|seen| Some((seen, seen.group_state?))) {
        Some((seen, _)) if !seen.members.is_empty() => {
            Some(Obstacle::Members(seen.members.iter().map(|member| member.client_id.clone()).collect()))
        }
        Some((_, GroupState::Empty | GroupState::Dead)) => None,
        _ => Some(Obstacle::GroupNotRead),
    }
}

/// Workers that run are stopped only if nothing is in sight that would keep them from starting again.
fn way(inputs: &Inputs<'_>) -> Way {
    if inputs.group.spec.kafka.consumer.assignor_change != Some(AssignorChange::Recreate) {
        return Way::ByHand;
    }
    if inputs.workers.is_some_and(|workers| workload::is_stopped(workers) || workload::spec_replicas(workers) == 0) {
        return Way::Recreate;
    }
    let Some(seen) = inputs.snapshot.filter(|seen| seen.group_state.is_some()) else {
        return Way::NotYet(Obstacle::GroupNotRead);
    };
    let name = inputs.group.name_any();
    let strangers = seen.members.iter().filter(|member| !members::is_ours(&member.client_id, &name));
    let strangers: Vec<String> = strangers.map(|member| member.client_id.clone()).collect();
    if strangers.is_empty() { Way::Recreate } else { Way::NotYet(Obstacle::Members(strangers)) }
}

/// What to remember of a look: since when no pod is left of a Deployment that asks for none.
pub(super) fn no_pod(
    workers: Option<&Deployment>,
    remains: Option<&Remains>,
    before: Option<(Option<i64>, Instant)>,
) -> Option<(Option<i64>, Instant)> {
    let (workers, remains) = (workers?, remains?);
    let over =
        workload::spec_replicas(workers) == 0 && workload::is_observed(workers) && workload::existing(workers) == 0;
    // Whoever asked for workers in between has made another generation.
    let generation = workers.metadata.generation;
    let known = before.filter(|(looked_at, _)| *looked_at == generation);
    (over && remains.pods.is_empty()).then(|| known.unwrap_or((generation, remains.at)))
}

#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;
