//! Writes the children: server-side apply of the full desired object, one field manager, only what differs.

use std::{
    fmt::Debug,
    sync::Arc,
    time::{Duration, Instant},
};

use balancefleet_crds::{Assignor, reasons};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ServiceAccount};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    assignor::AssignorChoice,
    build::{self, Children},
    cache::Cache,
    contention, deletion_cost,
    desired_replicas::Plan,
    drift::{APPLIED_HASH_ANNOTATION, DesiredObject, controlled_by},
    managed_fields::{FIELD_MANAGER, adopt_template_fields, template_has_foreign_fields},
    object_state::ObjectState,
    observe::{Live, Observed},
    replica_change::next_change,
    shared::Context,
    validate::{Problem, Remedy, ValidatedGroup},
    workload,
};
use crate::error::{Error, Result, call};

/// What was done.
#[derive(Debug, Clone, Default)]
pub(super) struct Applied {
    /// The Deployment as it is now.
    pub deployment: Option<Arc<Deployment>>,
    /// The replicas before and after, if they were changed.
    pub scaled: Option<(i32, i32)>,
    /// The assignor that the workers had before, if it was changed.
    pub replaced: Option<Assignor>,
    /// When a deferred replica change is due.
    pub requeue_after: Option<Duration>,
    /// Identifies the pod template.
    pub template: String,
}

/// Brings all children to their desired state.
///
/// # Errors
/// The outer one when a call failed and may succeed later; the inner one when somebody has to act.
pub(super) async fn apply(
    context: &Context,
    group: &ValidatedGroup,
    observed: &Observed,
    plan: &Plan,
    choice: &AssignorChoice,
    state: &mut ObjectState,
) -> Result<Result<Applied, Problem>> {
    if let Some(taken) = taken(group, &observed.live) {
        return Ok(Err(taken));
    }
    let wanted = choice.replicas(plan.replicas);
    let change = next_change(observed.live.deployment.as_deref(), wanted, state, Instant::now());
    let before = observed.live.deployment.as_deref().map(workload::recorded_replicas);
    if change.forget_ranks {
        state.ranked = None;
    }
    if change.rank {
        let members = observed.snapshot.as_ref().map(|snapshot| snapshot.members.as_slice()).unwrap_or_default();
        deletion_cost::write(&context.shared.client, &group.key, observed.pods.iter().map(AsRef::as_ref), members)
            .await;
        state.ranked = Some((plan.replicas, Instant::now()));
    }
    let mut children = build::children(group, change.replicas);
    if choice.replaces.is_some() {
        // No worker is left of the Deployment that was read. Of another version that is not known.
        let read = observed.live.deployment.as_deref();
        children.deployment.metadata.resource_version = read.and_then(ResourceExt::resource_version);
    }
    let template = build::template_id(&children.deployment);
    match write(context, group, &observed.live, &children).await {
        Ok(deployment) => {
            if change.restores {
                contention::restored(&mut state.restores, Instant::now());
            }
            let scaled =
                before.map(|before| (before, change.replicas.recorded)).filter(|(before, after)| before != after);
            if scaled.is_some() {
                state.ranked = None;
            }
            Ok(Ok(Applied {
                deployment,
                scaled,
                replaced: choice.replaces,
                requeue_after: change.requeue_after,
                template,
            }))
        }
        Err(error) if !error.is_transient() => Ok(Err(refused(&error))),
        Err(error) => Err(error),
    }
}

/// The order matters. Pods need their ServiceAccount to be admitted and the headless Service to find their peers. The
/// budget comes before there is anything to disrupt. The Deployment comes last, so a reconcile that fails half-way
/// restarts no pod twice. An orphaned ServiceAccount goes after the template has stopped to name it; running pods have
/// no token of it that they could miss.
async fn write(
    context: &Context,
    group: &ValidatedGroup,
    live: &Live,
    children: &Children,
) -> Result<Option<Arc<Deployment>>> {
    let caches = &context.caches;
    if let Some(account) = &children.service_account {
        ensure(context, &caches.service_accounts, live.service_account.as_deref(), account).await?;
    }
    ensure(context, &caches.services, live.peers_service.as_deref(), &children.peers_service).await?;
    ensure(context, &caches.services, live.service.as_deref(), &children.service).await?;
    let budget = &children.pod_disruption_budget;
    ensure(context, &caches.pod_disruption_budgets, live.pod_disruption_budget.as_deref(), budget).await?;
    let deployment = ensure_deployment(context, live.deployment.as_deref(), &children.deployment).await?;
    if children.service_account.is_none()
        && let Some(orphan) = live.service_account.as_deref().filter(|account| is_ours(*account, group))
    {
        remove(context, orphan).await?;
    }
    Ok(deployment.map(Arc::new).or_else(|| live.deployment.clone()))
}

async fn ensure_deployment(
    context: &Context,
    live: Option<&Deployment>,
    desired: &Deployment,
) -> Result<Option<Deployment>> {
    let foreign = |live: &Deployment| template_has_foreign_fields(live.managed_fields());
    if live.is_some_and(foreign) {
        adopt(context, desired).await?;
    }
    // After an adoption the cached state is older than the object, and still shows the foreign fields.
    let live = live.filter(|live| !foreign(live));
    ensure(context, &context.caches.deployments, live, desired).await
}

/// Takes ownership of the template's fields that others added, and drops the applied hash: if the operator dies before
/// the apply that removes them, the next one still sees that there is something to do.
async fn adopt(context: &Context, desired: &Deployment) -> Result<()> {
    let (namespace, name) = (desired.namespace().unwrap_or_default(), desired.name_any());
    let api: Api<Deployment> = Api::namespaced(context.shared.client.clone(), &namespace);
    let live = call(format!("read Deployment {name}"), api.get(&name)).await?;
    let entries = adopt_template_fields(live.managed_fields());
    let patch = json!({"metadata": {
        "resourceVersion": live.resource_version(),
        "managedFields": entries,
        "annotations": {APPLIED_HASH_ANNOTATION: Value::Null},
    }});
    tracing::info!(deployment = name, "removing fields of the pod template that somebody else added");
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    call(format!("adopt Deployment {name}"), api.patch(&name, &params, &Patch::Merge(&patch))).await?;
    Ok(())
}

/// Applies a child if it differs from its desired state; gives it as it is after that.
async fn ensure<K>(context: &Context, cache: &Cache<K>, live: Option<&K>, desired: &K) -> Result<Option<K>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + 'static,
{
    let (kind, name) = (K::kind(&()), desired.name_any());
    let action = format!("apply {kind} {name}");
    let value =
        |object: &K| serde_json::to_value(object).map_err(|source| Error::Serialize { action: action.clone(), source });
    let stamped = DesiredObject::new(value(desired)?);
    if let Some(live) = live
        && !stamped.differs(&value(live)?)
    {
        return Ok(None);
    }
    let api: Api<K> = Api::namespaced(context.shared.client.clone(), &desired.namespace().unwrap_or_default());
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let applied = call(action, api.patch(&name, &params, &Patch::Apply(&stamped.object))).await?;
    tracing::info!(%kind, name, "applied");
    cache.wrote(applied.clone());
    Ok(Some(applied))
}

async fn remove(context: &Context, orphan: &ServiceAccount) -> Result<()> {
    let (namespace, name) = (orphan.namespace().unwrap_or_default(), orphan.name_any());
    let api: Api<ServiceAccount> = Api::namespaced(context.shared.client.clone(), &namespace);
    let params = DeleteParams {
        // Never one that somebody has made under the same name since.
        preconditions: Some(Preconditions { uid: orphan.uid(), resource_version: None }),
        ..DeleteParams::default()
    };
    match call(format!("delete ServiceAccount {name}"), api.delete(&name, &params)).await {
        Err(error) if error.category() != "api_not_found" => Err(error),
        _ => {
            tracing::info!(kind = "ServiceAccount", name, "removed");
            Ok(())
        }
    }
}

fn is_ours(child: &impl Resource, group: &ValidatedGroup) -> bool {
    controlled_by(Some(child.owner_references()), &group.owner.uid)
}

/// A child's name that something else has: never touched, nothing else is written either.
fn taken(group: &ValidatedGroup, live: &Live) -> Option<Problem> {
    fn foreign<K: Resource<DynamicType = ()>>(child: Option<&Arc<K>>, group: &ValidatedGroup) -> Option<String> {
        let child = child.filter(|child| !is_ours(child.as_ref(), group))?;
        Some(format!("{} `{}`", K::kind(&()), child.name_any()))
    }
    let account = live.service_account.as_ref().filter(|_| group.worker.service_account_name.is_none());
    let what = foreign(live.deployment.as_ref(), group)
        .or_else(|| foreign(live.service.as_ref(), group))
        .or_else(|| foreign(live.peers_service.as_ref(), group))
        .or_else(|| foreign(account, group))
        .or_else(|| foreign(live.pod_disruption_budget.as_ref(), group))?;
    Some(Problem {
        reason: reasons::NAME_TAKEN,
        message: format!(
            "{what} exists and does not belong to this object: delete it, or give this object another name"
        ),
        remedy: Remedy::Retry,
    })
}

fn refused(error: &Error) -> Problem {
    Problem { reason: reasons::APPLY_FAILED, message: error.to_string(), remedy: Remedy::Retry }
}
