//! Pure. Which assignor the workers get. The members of a group have to agree on one: a worker that brings another
//! cannot join those that run, and a rollout that adds one worker before it ends another would never get on. So a
//! changed assignor waits until no worker and no member is left, and all start with the new one.
//!
//! Nothing of it is remembered but since when no pod is left: what runs is read from the group and the Deployment, and
//! a Deployment that we stopped for a change says so. Where the Deployment is gone the status says what its workers
//! had: one that was killed is a member of the group until its session ends, longer than its Deployment and its pod
//! exist.

use std::time::{Duration, Instant};

use balancefleet_autoscaler::POLL_INTERVAL;
use balancefleet_crds::{Assignor, AssignorChange, BalanceConsumerGroup};
use balancefleet_kafka::GroupState;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;

use super::{build::Replicas, members, workload};
use crate::poller::Snapshot;

/// While all workers are stopped nothing is processed: they start again as soon as they can.
const REQUEUE_AFTER: Duration = Duration::from_secs(1);

/// What the choice follows from.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    /// The object.
    group: &'a BalanceConsumerGroup,
    /// Its workers.
    workers: Option<&'a Deployment>,
    /// The names of its pods, as the watch shows them.
    pods: &'a [String],
    /// What the API server itself says is left of them; only where that is asked.
    remaining_pods: Option<&'a RemainingPods>,
    /// Since when it is known that no pod is left.
    no_pod_since: Option<Instant>,
    /// The group as it was last read.
    snapshot: Option<&'a Snapshot>,
}

/// Pods of the object that have not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemainingPods {
    /// Name and assignor of each.
    pub pods: Vec<(String, Option<Assignor>)>,
    /// When that was known.
    pub at: Instant,
}

/// What the workers get, and what stands in the way of what they should get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AssignorChoice {
    /// The assignor of the pod template.
    pub assignor: Assignor,
    /// A change that has to wait.
    pub pending: Option<Pending>,
    /// The assignor that this reconcile replaces.
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
    /// A user, if at all.
    ByHand,
    /// The operator would, but does not begin: of what it stops it is not certain that it can start again.
    NotYet(Obstacle),
    /// The operator, which has all workers stopped.
    Recreate,
}

impl AssignorChoice {
    /// What the Deployment gets for the desired replicas.
    pub(super) fn replicas(&self, desired: i32) -> Replicas {
        match &self.pending {
            Some(Pending { way: Way::Recreate, to, .. }) => Replicas::stopped(desired, *to),
            _ => Replicas::both(desired),
        }
    }

    /// Whether the workers are away for a change, which says nothing of how many are needed.
    pub(super) fn stops_workers(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.way == Way::Recreate)
    }

    /// When to reconcile again although nothing has happened: pods that end trigger nothing, nor does a poll that
    /// equals one before the last pod had ended. Members that leave do.
    pub(super) fn requeue_after(&self) -> Option<Duration> {
        let Pending { obstacle, way, .. } = self.pending.as_ref()?;
        match obstacle {
            Obstacle::Running | Obstacle::Paused | Obstacle::Members(_) => None,
            Obstacle::Pods(_) => Some(REQUEUE_AFTER),
            Obstacle::GroupNotRead if *way == Way::Recreate => Some(REQUEUE_AFTER),
            Obstacle::GroupNotRead => Some(POLL_INTERVAL),
        }
    }
}

/// Kept between reconciles: since when no pod is left, and the generation of the Deployment for which that was seen.
pub(super) type NoPod = Option<(Option<i64>, Instant)>;

/// Chooses, and records since when no pod is left.
pub(super) fn evaluate(
    group: &BalanceConsumerGroup,
    workers: Option<&Deployment>,
    pods: &[String],
    remaining_pods: Option<&RemainingPods>,
    snapshot: Option<&Snapshot>,
    kept: &mut NoPod,
) -> AssignorChoice {
    *kept = no_pod(workers, remaining_pods, *kept);
    let no_pod_since = kept.map(|(_, since)| since);
    let choice = choose(&Inputs { group, workers, pods, remaining_pods, no_pod_since, snapshot });
    if workers.is_none() && choice.pending.is_none() {
        // Pods may start from now on, and no generation distinguishes them from those before.
        *kept = None;
    }
    choice
}

/// Whether the API server is to be asked what is left of the workers: where none is wanted and those that come next are
/// to have another assignor, and where there is no Deployment but something says that there was one.
pub(super) fn needs_remaining_pods(
    group: &BalanceConsumerGroup,
    workers: Option<&Deployment>,
    has_pods: bool,
    snapshot: Option<&Snapshot>,
) -> bool {
    let wanted = group.spec.kafka.consumer.assignor;
    match workers {
        Some(workers) => workload::spec_replicas(workers) == 0 && workload::assignor(workers) != Some(wanted),
        None => has_pods || assignor_in_status(group).is_some() || agreed(group, snapshot, |_| true).is_some(),
    }
}

/// Chooses.
fn choose(inputs: &Inputs<'_>) -> AssignorChoice {
    let wanted = inputs.group.spec.kafka.consumer.assignor;
    let settled = AssignorChoice { assignor: wanted, pending: None, replaces: None };
    let Some(running) = running(inputs).filter(|running| *running != wanted) else { return settled };
    let Some(obstacle) = obstacle(inputs) else { return AssignorChoice { replaces: Some(running), ..settled } };
    let pending = Pending { from: running, to: wanted, obstacle, way: way(inputs) };
    AssignorChoice { assignor: running, pending: Some(pending), replaces: None }
}

/// What our members agreed on is what runs, whatever a template says: it may be one that could never be rolled out.
fn running(inputs: &Inputs<'_>) -> Option<Assignor> {
    let agreed = |is_there: &dyn Fn(&str) -> bool| agreed(inputs.group, inputs.snapshot, is_there);
    if let Some(workers) = inputs.workers {
        // Killed ones, perhaps of an earlier object of that name, say nothing about those that the template is making.
        return agreed(&|pod| inputs.pods.iter().any(|name| name == pod)).or_else(|| workload::assignor(workers));
    }
    // Of a Deployment that is gone, or of an object of that name that is.
    let wanted = inputs.group.spec.kafka.consumer.assignor;
    let pods = inputs.remaining_pods?.pods.iter().filter_map(|(_, assignor)| *assignor);
    pods.chain(agreed(&|_| true)).chain(assignor_in_status(inputs.group)).find(|found| *found != wanted)
}

/// What the group's members agreed on, if some are our workers in such pods: foreign members say nothing about them.
fn agreed(
    group: &BalanceConsumerGroup,
    snapshot: Option<&Snapshot>,
    is_there: impl Fn(&str) -> bool,
) -> Option<Assignor> {
    let (seen, name) = (snapshot?, group.name_any());
    let is_one = |client: &str| members::is_ours(client, &name) && members::pod_of(client).is_some_and(&is_there);
    let has_ours = seen.members.iter().any(|member| is_one(&member.client_id));
    Assignor::from_protocol_name(seen.group_assignor.as_deref().filter(|_| has_ours)?)
}

/// What the workers had when the status was last written.
fn assignor_in_status(group: &BalanceConsumerGroup) -> Option<Assignor> {
    let word = group.status.as_ref()?.assignor.as_deref()?;
    Assignor::ALL.into_iter().find(|assignor| assignor.as_str() == word)
}

/// What has to happen before the first worker with another assignor may start. Pods are checked before members: while a
/// pod has not ended, its worker may still join.
fn obstacle(inputs: &Inputs<'_>) -> Option<Obstacle> {
    if inputs.group.spec.paused {
        return Some(Obstacle::Paused);
    }
    if inputs.workers.is_some_and(|workers| workload::spec_replicas(workers) > 0) {
        return Some(Obstacle::Running);
    }
    let pods = inputs.remaining_pods.map(|left| left.pods.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
    let Some(since) = inputs.no_pod_since.filter(|_| pods.as_ref().is_some_and(Vec::is_empty)) else {
        return Some(Obstacle::Pods(pods.unwrap_or_default()));
    };
    let newest = inputs.snapshot.filter(|seen| seen.taken_at >= since);
    let (name, wanted) = (inputs.group.name_any(), inputs.group.spec.kafka.consumer.assignor);
    match newest.and_then(|seen| Some((seen, seen.group_state?))) {
        // Others alone, whom the new workers can join.
        Some((seen, _))
            if seen.group_assignor.as_deref() == Some(wanted.protocol_name())
                && !seen.members.iter().any(|member| members::is_ours(&member.client_id, &name)) =>
        {
            None
        }
        Some((seen, _)) if !seen.members.is_empty() => {
            Some(Obstacle::Members(seen.members.iter().map(|member| member.client_id.clone()).collect()))
        }
        Some((_, GroupState::Empty | GroupState::Dead)) => None,
        _ => Some(Obstacle::GroupNotRead),
    }
}

/// Workers that run are stopped only if nothing is in sight that would keep them from starting again.
fn way(inputs: &Inputs<'_>) -> Way {
    if inputs.workers.is_none() {
        // Whoever took them away has stopped them: there is nothing left to decide.
        return Way::Recreate;
    }
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
    let foreign = seen.members.iter().filter(|member| !members::is_ours(&member.client_id, &name));
    let foreign: Vec<String> = foreign.map(|member| member.client_id.clone()).collect();
    if foreign.is_empty() { Way::Recreate } else { Way::NotYet(Obstacle::Members(foreign)) }
}

/// Since when no pod is left of a Deployment that asks for none, or that is gone.
fn no_pod(workers: Option<&Deployment>, remaining_pods: Option<&RemainingPods>, before: NoPod) -> NoPod {
    let remaining_pods = remaining_pods?;
    let over = workers.is_none_or(|workers| {
        workload::spec_replicas(workers) == 0 && workload::is_observed(workers) && workload::existing(workers) == 0
    });
    // Whoever asked for workers in between has made another generation.
    let generation = workers.and_then(|workers| workers.metadata.generation);
    let known = before.filter(|(seen_at, _)| *seen_at == generation);
    (over && remaining_pods.pods.is_empty()).then(|| known.unwrap_or((generation, remaining_pods.at)))
}

#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;
