//! The status of an object: computed from its input (pure), written if it changed and is due.

mod assignor;
mod carry_over;
mod conditions;
mod figures;
mod input;
mod kafka;
mod write_policy;

use std::time::{Duration, Instant};

use balancefleet_crds::{BalanceConsumerGroup, BalanceConsumerGroupStatus as Status, Learned, ScalingStatus};
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::DeserializeGuard,
};
use serde_json::json;

use super::{
    build::{selector_text, store_name},
    managed_fields::FIELD_MANAGER,
    object_state::ObjectState,
    shared::Context,
    validate::key_of,
    workload,
};
use crate::error::{Result, call};

pub(super) use assignor::left_over;
pub(super) use input::StatusInput;
pub(super) use kafka::problem as kafka_problem;
pub(super) use write_policy::{Due, RateLimiter, due};

/// The status that this input gives; what did not change keeps its times.
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
        lag_age: snapshot.and_then(|snapshot| snapshot.rounded.lag_age).map(figures::age_text),
        members: snapshot.and_then(figures::members),
        group_state: snapshot.and_then(|snapshot| snapshot.group_state).map(|state| state.as_str().to_owned()),
        assignor: figures::assignor(input).or_else(|| old.assignor.clone()),
        store: group.effective_store().as_ref().map(|store| store_name(store).to_owned()),
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
pub(super) fn recorded(group: &BalanceConsumerGroup) -> Status {
    let mut status = group.status.clone().unwrap_or_default();
    conditions::order(&mut status.conditions);
    status
}

/// The decision; its time and its learned figures move only with it.
fn scaling(old: Option<&ScalingStatus>, input: &StatusInput<'_>) -> Option<ScalingStatus> {
    // Nothing was decided in this reconcile: what was decided last still holds.
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
        && !input.learned_due
        && known_as_well(old.learned.as_ref(), scaling.learned.as_ref())
    {
        scaling.learned = old.learned.clone();
    }
    Some(scaling)
}

fn known_as_well(old: Option<&Learned>, new: Option<&Learned>) -> bool {
    old.map(|learned| learned.source) == new.map(|learned| learned.source)
}

/// Writes the status if it is due. Gives the time after which to requeue if it was deferred.
///
/// # Errors
/// When the API server does not take it.
pub(super) async fn write(
    context: &Context,
    group: &BalanceConsumerGroup,
    next: &Status,
    state: &mut ObjectState,
) -> Result<Option<Duration>> {
    let old = recorded(group);
    let slo = group.spec.scaling.lag_slo.get();
    let now = Instant::now();
    match due(&old, next, slo, state.status_written.map(|at| now.saturating_duration_since(at))) {
        Due::Unchanged => return Ok(None),
        Due::After(wait) => return Ok(Some(wait)),
        Due::RateLimited => {
            let slot = *state.status_slot.get_or_insert_with(|| context.shared.rate_limiter.reserve(now));
            if slot > now {
                return Ok(Some(slot - now));
            }
        }
        Due::Now => {}
    }
    state.status_slot = None;
    let key = key_of(group);
    let object = json!({
        "apiVersion": BalanceConsumerGroup::api_version(&()),
        "kind": BalanceConsumerGroup::kind(&()),
        // With the uid, so that a status never lands on a later object of the same name.
        "metadata": {"name": key.name, "namespace": key.namespace, "uid": group.uid()},
        "status": next,
    });
    let api: Api<BalanceConsumerGroup> = Api::namespaced(context.shared.client.clone(), &key.namespace);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let written =
        call(format!("write status of {key}"), api.patch_status(&key.name, &params, &Patch::Apply(&object))).await?;
    state.status_written = Some(now);
    let learned = |status: &Status| status.scaling.as_ref().and_then(|scaling| scaling.learned.clone());
    if learned(&old) != learned(next) {
        state.learned_written = Some(now);
    }
    context.caches.groups.wrote(DeserializeGuard(Ok(written)));
    Ok(None)
}

#[cfg(test)]
mod tests;
