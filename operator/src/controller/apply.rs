//! Writes the children: server-side apply of the full desired object, with one field manager, and only if it differs.
//! Each write waits for the answer to the one before.

use std::{sync::Arc, time::Duration};

use balancefleet_crds::{Assignor, reasons};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
    core::DynamicObject,
};
use serde_json::{Value, json};

use super::{
    assignor::AssignorChoice,
    build::{ChildKind, DEPLOYMENT, KINDS, Replicas, template_id},
    contention, deletion_cost,
    desired_replicas::Plan,
    drift::{APPLIED_HASH_ANNOTATION, DesiredObject, controlled_by},
    managed_fields::{FIELD_MANAGER, take_over_template_fields, template_has_foreign_fields},
    object_state::ObjectState,
    observe::{Observed, find},
    replica_change::next_change,
    shared::Context,
    validate::{Problem, Remedy, ValidatedGroup},
    workload,
};
use crate::{
    clock,
    error::{Error, Result, call},
    poller::ObjectKey,
};

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
/// The outer one if a call failed and may succeed later; the inner one if a user has to act.
pub(super) async fn apply(
    context: &Context,
    group: &ValidatedGroup,
    observed: &Observed,
    plan: &Plan,
    choice: &AssignorChoice,
    state: &mut ObjectState,
) -> Result<Result<Applied, Problem>> {
    let workers = observed.workers.as_deref();
    let change = next_change(workers, choice.replicas(plan.replicas), state, clock::now());
    let mut children = children(context, group, observed, change.replicas).await?;
    if let Some(taken) = taken(group, &children) {
        return Ok(Err(taken));
    }
    let before = workers.map(workload::replicas_in_annotation);
    if change.forget_deletion_cost {
        state.deletion_cost_written = None;
    }
    if change.write_deletion_cost {
        let members = observed.snapshot.as_ref().map(|snapshot| snapshot.members.as_slice()).unwrap_or_default();
        deletion_cost::write(&context.shared, &group.key, observed.pods.iter().map(AsRef::as_ref), members).await;
        state.deletion_cost_written = Some((plan.replicas, clock::now()));
    }
    let version = workers.and_then(ResourceExt::resource_version);
    if let Some(version) = version.filter(|_| choice.replaces.is_some()) {
        // The Deployment that was read has no worker left. A later version of it may have some, so the write is valid
        // for the version that was read alone.
        let deployment = children.iter_mut().find(|child| child.is_deployment());
        if let Some(desired) = deployment.and_then(|child| child.desired.as_mut()) {
            desired["metadata"]["resourceVersion"] = version.into();
        }
    }
    match write(context, group, &children).await {
        Ok(deployment) => {
            if change.reverts {
                contention::record_revert(&mut state.reverts, clock::now());
            }
            let scaled =
                before.map(|before| (before, change.replicas.annotated)).filter(|(before, after)| before != after);
            if scaled.is_some() {
                state.deletion_cost_written = None;
            }
            Ok(Ok(Applied {
                deployment: deployment.map(Arc::new).or_else(|| observed.workers.clone()),
                scaled,
                replaced: choice.replaces,
                requeue_after: change.requeue_after,
                template: template_id(group),
            }))
        }
        Err(error) if !error.is_transient() => Ok(Err(refused(&error))),
        Err(error) => Err(error),
    }
}

/// A child as it should be and as it is.
struct Child {
    kind: &'static ChildKind,
    /// The object to apply; `None` if the child is obsolete.
    desired: Option<Value>,
    /// The object that exists with its name, whoever created it.
    live: Option<Arc<DynamicObject>>,
}

impl Child {
    fn is_deployment(&self) -> bool {
        self.kind.resource == DEPLOYMENT.resource
    }
}

/// All children of kinds that the cluster has, in the order in which they are applied.
async fn children(context: &Context, group: &ValidatedGroup, observed: &Observed, to: Replicas) -> Result<Vec<Child>> {
    let failed = |source| Error::Json { action: format!("build the children of {}", group.key), source };
    let mut children = Vec::new();
    for kind in KINDS.iter().filter(|kind| context.caches.children.contains_key(&kind.resource)) {
        let desired = (kind.build)(group, to).transpose().map_err(failed)?;
        let live = match desired {
            _ if kind.resource == DEPLOYMENT.resource => observed.deployment.clone(),
            Some(_) => find(context, kind, &group.key).await?,
            // A child that is not desired matters only if it is ours, and then the cache has it.
            None => context.caches.child(kind, &group.key),
        };
        children.push(Child { kind, desired, live });
    }
    Ok(children)
}

/// Applies the desired children and deletes obsolete ones. Those are deleted last, when the pod template no longer
/// names them. Running pods do not miss an obsolete ServiceAccount: they have no token of it.
async fn write(context: &Context, group: &ValidatedGroup, children: &[Child]) -> Result<Option<Deployment>> {
    let mut deployment = None;
    for child in children {
        let applied = ensure(context, group, child).await?;
        deployment = applied.filter(|_| child.is_deployment()).or(deployment);
    }
    for child in children.iter().filter(|child| child.desired.is_none()) {
        if let Some(obsolete) = child.live.as_deref().filter(|live| is_ours(live, group)) {
            remove(context, &group.key, child.kind, obsolete).await?;
        }
    }
    deployment.as_ref().map(workload::from_object).transpose()
}

/// Applies a child if it differs from its desired state. Gives the child as applied; `None` if there was nothing to do.
async fn ensure(context: &Context, group: &ValidatedGroup, child: &Child) -> Result<Option<DynamicObject>> {
    let Some(desired) = &child.desired else { return Ok(None) };
    let (kind, name) = (child.kind.resource.kind, (child.kind.name)(&group.key.name));
    let api = context.api(child.kind, &group.key.namespace);
    let mut live = child.live.as_deref();
    if child.is_deployment() && live.is_some_and(|live| template_has_foreign_fields(live.managed_fields())) {
        take_over_fields(context, &group.key, &api, &name).await?;
        // The object that was read is outdated now: it still shows the foreign fields.
        live = None;
    }
    let action = format!("apply {kind} {name}");
    let live = live.map(serde_json::to_value).transpose();
    let live = live.map_err(|source| Error::Json { action: action.clone(), source })?;
    let stamped = DesiredObject::new(desired.clone());
    if live.is_some_and(|live| !stamped.differs(&live)) {
        return Ok(None);
    }
    let (target, params) = (name.clone(), PatchParams::apply(FIELD_MANAGER).force());
    let request = async move { api.patch(&target, &params, &Patch::Apply(&stamped.object)).await };
    let applied = context.shared.writer.write_child(&group.key, action, child.live.is_none(), request).await?;
    tracing::info!(kind, name, "applied");
    if let Some(cache) = context.caches.children.get(&child.kind.resource) {
        cache.wrote(applied.clone());
    }
    Ok(Some(applied))
}

/// Takes over the ownership of fields that others added to the pod template, and removes the applied hash. If the
/// operator dies before the apply that removes the fields, the next reconcile still sees that there is something to do.
async fn take_over_fields(context: &Context, key: &ObjectKey, api: &Api<DynamicObject>, name: &str) -> Result<()> {
    let live = call(format!("read Deployment {name}"), api.get(name)).await?;
    let entries = take_over_template_fields(live.managed_fields());
    let patch = json!({"metadata": {
        "resourceVersion": live.resource_version(),
        "managedFields": entries,
        "annotations": {APPLIED_HASH_ANNOTATION: Value::Null},
    }});
    tracing::info!(deployment = name, "removing fields of the pod template that somebody else added");
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let (api, target) = (api.clone(), name.to_owned());
    let request = async move { api.patch(&target, &params, &Patch::Merge(&patch)).await };
    context.shared.writer.write_child(key, format!("take over fields of Deployment {name}"), false, request).await?;
    Ok(())
}

async fn remove(context: &Context, key: &ObjectKey, kind: &ChildKind, obsolete: &DynamicObject) -> Result<()> {
    let (api, name) = (context.api(kind, &obsolete.namespace().unwrap_or_default()), obsolete.name_any());
    let params = DeleteParams {
        // Never an object that somebody has created with the same name since.
        preconditions: Some(Preconditions { uid: obsolete.uid(), resource_version: None }),
        ..DeleteParams::default()
    };
    let (action, target) = (format!("delete {} {name}", kind.resource.kind), name.clone());
    let request = async move { api.delete(&target, &params).await };
    match context.shared.writer.write_child(key, action, false, request).await {
        Err(error) if error.category() != "api_not_found" => Err(error),
        _ => {
            tracing::info!(kind = kind.resource.kind, name, "removed");
            Ok(())
        }
    }
}

fn is_ours(child: &DynamicObject, group: &ValidatedGroup) -> bool {
    controlled_by(child.owner_references(), &group.owner.uid)
}

/// The problem that something else has a child's name. It is never touched, and no other child is written either. The
/// Deployment's name is checked first.
fn taken(group: &ValidatedGroup, children: &[Child]) -> Option<Problem> {
    let foreign =
        |child: &&Child| child.desired.is_some() && child.live.as_deref().is_some_and(|live| !is_ours(live, group));
    let child = children.iter().rev().find(foreign)?;
    Some(Problem {
        reason: reasons::NAME_TAKEN,
        message: format!(
            "{} `{}` exists and does not belong to this object: delete it, or give this object another name",
            child.kind.resource.kind,
            (child.kind.name)(&group.key.name)
        ),
        remedy: Remedy::Retry,
    })
}

fn refused(error: &Error) -> Problem {
    Problem { reason: reasons::APPLY_FAILED, message: error.to_string(), remedy: Remedy::Retry }
}
