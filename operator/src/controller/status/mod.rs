//! The status of an object: computed from its input (pure) and handed over to the writer if it changed.

mod assignor;
mod carry_over;
mod conditions;
mod figures;
mod input;
mod kafka;
mod write_policy;

use std::sync::Arc;

use balancefleet_crds::{BalanceConsumerGroup, BalanceConsumerGroupStatus as Status, Learned, ScalingStatus};
use futures::FutureExt;
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::DeserializeGuard,
};
use serde_json::json;

use super::{
    build::selector_text,
    events,
    managed_fields::FIELD_MANAGER,
    shared::Context,
    validate::key_of,
    workload,
    writer::{Job, WriteOutcome},
};
use crate::{error::call, poller::ObjectKey};

pub(super) use assignor::left_by_deleted_deployment;
pub(super) use figures::saved_history;
pub(super) use input::StatusInput;
pub(super) use kafka::problem as kafka_problem;

/// The status for this input. What did not change keeps its times.
pub(super) fn next(old: &Status, input: &StatusInput<'_>) -> Status {
    let group = input.group;
    let snapshot = input.snapshot;
    let mut status = Status {
        observed_generation: group.metadata.generation,
        replicas: Some(input.deployment.map_or(0, workload::existing)),
        ready_replicas: Some(input.deployment.map_or(0, workload::ready)),
        selector: Some(selector_text(&group.name_any())),
        group_id: Some(group.effective_group_id()),
        partitions: snapshot.and_then(|snapshot| snapshot.partitions).or(old.partitions),
        lag: snapshot.and_then(|snapshot| snapshot.rounded.lag),
        lag_age: snapshot.and_then(|snapshot| figures::lag_age(old, snapshot)),
        members: snapshot.and_then(figures::members),
        group_state: snapshot.and_then(|snapshot| snapshot.group_state).map(|state| state.as_str().to_owned()),
        assignor: figures::assignor(input).or_else(|| old.assignor.clone()),
        store: group.effective_store().map(|store| store.kind().name().to_owned()),
        assignment: snapshot.map(figures::assignment).unwrap_or_default(),
        scaling: scaling(old.scaling.as_ref(), input),
        conditions: Vec::new(),
    };
    status.conditions = conditions::conditions(old, &status, input);
    conditions::order(&mut status.conditions);
    if carry_over::before_first_poll(old, input) {
        carry_over::apply(old, &mut status, input);
    }
    status
}

/// The status as it was last written; empty for a new object.
pub(super) fn last_written(group: &BalanceConsumerGroup) -> Status {
    let mut status = group.status.clone().unwrap_or_default();
    conditions::order(&mut status.conditions);
    status
}

/// The decision. Its time and the learned figures change only with it.
fn scaling(old: Option<&ScalingStatus>, input: &StatusInput<'_>) -> Option<ScalingStatus> {
    // Nothing was decided in this reconcile: the last decision still holds.
    let Some(plan) = input.plan else { return old.cloned() };
    let mut scaling = ScalingStatus {
        mode: plan.mode,
        desired: Some(plan.desired),
        reason: plan.reason.clone(),
        explanation: plan.explanation.clone(),
        since: None,
        learned: input.snapshot.and_then(figures::learned),
    };
    let decided_before = old.filter(|old| {
        (old.mode, old.desired, &old.reason, &old.explanation)
            == (scaling.mode, scaling.desired, &scaling.reason, &scaling.explanation)
    });
    scaling.since = decided_before.map_or(Some(input.time()), |old| old.since.clone());
    if let Some(old) = decided_before
        && !input.learned_figures_due
        && known_as_well(old.learned.as_ref(), scaling.learned.as_ref())
    {
        scaling.learned = old.learned.clone();
    }
    Some(scaling)
}

fn known_as_well(old: Option<&Learned>, new: Option<&Learned>) -> bool {
    old.map(|learned| learned.source) == new.map(|learned| learned.source)
}

/// Hands the status over to the writer if it has changed. If not, drops a status that waits.
pub(super) fn write(context: &Arc<Context>, group: &BalanceConsumerGroup, old: &Status, new: Status) {
    let urgency = write_policy::urgency(old, &new);
    let key = key_of(group);
    let status = urgency.map(|urgency| (urgency, job(Arc::clone(context), key.clone(), group.uid(), new)));
    context.shared.writer.set_status(&key, status);
}

/// Writes the status, and then the events that follow from it. So each event is published once, however often the write
/// is tried.
fn job(context: Arc<Context>, key: ObjectKey, uid: Option<String>, new: Status) -> Job {
    let write = async move {
        // While it waited, an earlier write may have written the same, or another object may have got the name.
        let current = context.caches.groups.get(&key.namespace, &key.name);
        let current = current.as_deref().and_then(|object| object.0.as_ref().ok());
        let Some(group) = current.filter(|group| group.uid() == uid) else { return WriteOutcome::Skipped };
        let old = last_written(group);
        if old == new {
            return WriteOutcome::Skipped;
        }
        let object = json!({
            "apiVersion": BalanceConsumerGroup::api_version(&()),
            "kind": BalanceConsumerGroup::kind(&()),
            // With the uid, so that a status never lands on a later object of the same name.
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": uid},
            "status": new,
        });
        let api: Api<BalanceConsumerGroup> = Api::namespaced(context.shared.client.clone(), &key.namespace);
        let (params, patch) = (PatchParams::apply(FIELD_MANAGER).force(), Patch::Apply(&object));
        match call(format!("write status of {key}"), api.patch_status(&key.name, &params, &patch)).await {
            Ok(written) => {
                context.caches.groups.wrote(DeserializeGuard(Ok(written)));
                events::publish(&context.shared, &key, &group.object_ref(&()), events::transitions(&old, &new));
                WriteOutcome::Written
            }
            Err(error) => {
                tracing::warn!(object = %key, %error, category = error.category(), "cannot write a status");
                WriteOutcome::Failed { category: error.category(), again: Some(job(context, key, uid, new)) }
            }
        }
    };
    write.boxed()
}

#[cfg(test)]
mod tests;
