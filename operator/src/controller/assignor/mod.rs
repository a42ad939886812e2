//! Pure. Which assignor the workers get. All members of a group must have the same assignor: a worker with another one
//! cannot join, and a rollout that adds a worker before it removes one would never progress. So a changed assignor
//! waits until no worker and no member is left; then all workers start with the new one.
//!
//! The operator remembers only since when no pod is left. It reads the running assignor from the group and the
//! Deployment, and a Deployment that it stopped for a change has an annotation. If the Deployment is gone, the status
//! says what its workers had: a killed worker stays a member of the group until its session ends, which may be later
//! than the end of its Deployment and its pod.

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

/// What the choice depends on.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    /// The object.
    group: &'a BalanceConsumerGroup,
    /// Its workers.
    workers: Option<&'a Deployment>,
    /// The names of its pods, as the watch shows them.
    pods: &'a [String],
    /// The pods that have not ended, read from the API server; `None` if they were not read.
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
    /// When they were read.
    pub at: Instant,
}

/// The assignor that the workers get now, and the change that has to wait.
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
    /// What has to end first.
    pub obstacle: Obstacle,
    /// Who carries it out.
    pub mode: ChangeMode,
}

/// What keeps workers with the new assignor from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// `spec.paused` is true.
    Paused,
    /// The Deployment asks for workers with the present one.
    Running,
    /// Pods that have not ended: their names.
    Pods(Vec<String>),
    /// The group was not read since the last pod ended.
    GroupNotRead,
    /// Members of the group: their client ids.
    Members(Vec<String>),
}

/// Who carries a change of the assignor out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ChangeMode {
    /// A user, by hand.
    Manual,
    /// The operator (`assignorChange: Recreate`), which does not begin yet: workers that it stops might not start
    /// again.
    Blocked(Obstacle),
    /// The operator, which stops all workers first.
    Recreate,
}

impl AssignorChoice {
    /// The replicas that the Deployment gets for the desired number.
    pub(super) fn replicas(&self, desired: i32) -> Replicas {
        match &self.pending {
            Some(Pending { mode: ChangeMode::Recreate, to, .. }) => Replicas::stopped(desired, *to),
            _ => Replicas::both(desired),
        }
    }

    /// Whether all workers are stopped for a change; figures of that time do not show how many are needed.
    pub(super) fn stops_workers(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.mode == ChangeMode::Recreate)
    }

    /// When to reconcile again although nothing has happened. A pod that ends triggers no reconcile, nor does a poll
    /// that equals the one before. A member that leaves does.
    pub(super) fn requeue_after(&self) -> Option<Duration> {
        let Pending { obstacle, mode, .. } = self.pending.as_ref()?;
        match obstacle {
            Obstacle::Running | Obstacle::Paused | Obstacle::Members(_) => None,
            Obstacle::Pods(_) => Some(REQUEUE_AFTER),
            Obstacle::GroupNotRead if *mode == ChangeMode::Recreate => Some(REQUEUE_AFTER),
            Obstacle::GroupNotRead => Some(POLL_INTERVAL),
        }
    }
}

/// Kept between reconciles: the generation of the Deployment, and since when it has no pod left.
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

/// Whether to read the remaining pods from the API server: if the Deployment asks for no worker and the next ones get
/// another assignor, or if there is no Deployment but something shows that there was one.
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
    let pending = Pending { from: running, to: wanted, obstacle, mode: change_mode(inputs) };
    AssignorChoice { assignor: running, pending: Some(pending), replaces: None }
}

/// The running assignor: the one that our members agreed on, whatever the template says, because a template with
/// another one could never be rolled out.
fn running(inputs: &Inputs<'_>) -> Option<Assignor> {
    let agreed = |is_there: &dyn Fn(&str) -> bool| agreed(inputs.group, inputs.snapshot, is_there);
    if let Some(workers) = inputs.workers {
        // Killed ones, perhaps of an earlier object of that name, say nothing about those that the template is making.
        return agreed(&|pod| inputs.pods.iter().any(|name| name == pod)).or_else(|| workload::assignor(workers));
    }
    // The Deployment is gone, or an earlier object of this name had one.
    let wanted = inputs.group.spec.kafka.consumer.assignor;
    let pods = inputs.remaining_pods?.pods.iter().filter_map(|(_, assignor)| *assignor);
    pods.chain(agreed(&|_| true)).chain(assignor_in_status(inputs.group)).find(|found| *found != wanted)
}

/// The assignor that the group's members agreed on, if at least one of them is our worker in a pod that `is_there`.
/// Foreign members say nothing about our workers.
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

/// The workers' assignor in `status.assignor`, from when the status was last written.
fn assignor_in_status(group: &BalanceConsumerGroup) -> Option<Assignor> {
    let word = group.status.as_ref()?.assignor.as_deref()?;
    Assignor::ALL.into_iter().find(|assignor| assignor.as_str() == word)
}

/// What keeps the first worker with another assignor from starting. Pods are checked before members, because the worker
/// of a pod that has not ended may still join.
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
        // Only foreign members, and they have the wanted assignor: the new workers can join them.
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

/// Who carries the change out. The operator stops running workers only if nothing is known that would keep them from
/// starting again.
fn change_mode(inputs: &Inputs<'_>) -> ChangeMode {
    if inputs.workers.is_none() {
        // The workers are gone already, so there is nothing left to stop.
        return ChangeMode::Recreate;
    }
    if inputs.group.spec.kafka.consumer.assignor_change != Some(AssignorChange::Recreate) {
        return ChangeMode::Manual;
    }
    if inputs.workers.is_some_and(|workers| workload::is_stopped(workers) || workload::spec_replicas(workers) == 0) {
        return ChangeMode::Recreate;
    }
    let Some(seen) = inputs.snapshot.filter(|seen| seen.group_state.is_some()) else {
        return ChangeMode::Blocked(Obstacle::GroupNotRead);
    };
    let name = inputs.group.name_any();
    let foreign = seen.members.iter().filter(|member| !members::is_ours(&member.client_id, &name));
    let foreign: Vec<String> = foreign.map(|member| member.client_id.clone()).collect();
    if foreign.is_empty() { ChangeMode::Recreate } else { ChangeMode::Blocked(Obstacle::Members(foreign)) }
}

/// Since when no pod is left, if the Deployment asks for none or is gone.
fn no_pod(workers: Option<&Deployment>, remaining_pods: Option<&RemainingPods>, before: NoPod) -> NoPod {
    let remaining_pods = remaining_pods?;
    let over = workers.is_none_or(|workers| {
        workload::spec_replicas(workers) == 0 && workload::is_observed(workers) && workload::existing(workers) == 0
    });
    // If workers were asked for in between, the generation is another one.
    let generation = workers.and_then(|workers| workers.metadata.generation);
    let known = before.filter(|(seen_at, _)| *seen_at == generation);
    (over && remaining_pods.pods.is_empty()).then(|| known.unwrap_or((generation, remaining_pods.at)))
}

#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;
