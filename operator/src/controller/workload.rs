//! Pure. What a live Deployment says: the last decisions, in its annotations, and how far the cluster has followed
//! them.

use balancefleet_crds::Assignor;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::PodSpec};
use kube::{ResourceExt, core::DynamicObject};
use serde::Deserialize;

use super::build::{ASSIGNOR_ANNOTATION, ASSIGNOR_VARIABLE, IMAGE_ANNOTATION, REPLICAS_ANNOTATION, STOPPED_ANNOTATION};
use crate::error::{Error, Result};

/// The typed Deployment; no other child is read by its fields.
///
/// # Errors
/// When the object is not a Deployment.
pub(super) fn from_object(object: &DynamicObject) -> Result<Deployment> {
    let failed = |source| Error::Json { action: format!("read Deployment {}", object.name_any()), source };
    Ok(Deployment {
        metadata: object.metadata.clone(),
        spec: Option::deserialize(&object.data["spec"]).map_err(failed)?,
        status: Option::deserialize(&object.data["status"]).map_err(failed)?,
    })
}

/// The image that the operator last set, from the annotation; without the annotation, the image in the pod template.
pub(super) fn image(deployment: &Deployment) -> Option<&str> {
    let annotated = deployment.annotations().get(IMAGE_ANNOTATION).map(String::as_str);
    annotated.or_else(|| {
        let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
        pod.containers.first()?.image.as_deref()
    })
}

/// The assignor that the operator last set, from the annotation; without the annotation, the one in the pod template.
/// `None` if it is not one that workers have.
pub(super) fn assignor(deployment: &Deployment) -> Option<Assignor> {
    let annotated = deployment.annotations().get(ASSIGNOR_ANNOTATION).map(String::as_str);
    let annotated = annotated.and_then(Assignor::from_protocol_name);
    annotated.or_else(|| assignor_of(deployment.spec.as_ref()?.template.spec.as_ref()?))
}

/// The assignor of the worker in a pod.
pub(super) fn assignor_of(pod: &PodSpec) -> Option<Assignor> {
    let mut variables = pod.containers.iter().flat_map(|container| container.env.iter().flatten());
    let variable = variables.find(|variable| variable.name == ASSIGNOR_VARIABLE)?;
    Assignor::from_protocol_name(variable.value.as_deref()?)
}

/// Whether the operator keeps the replicas at 0 until the workers can have another assignor.
pub(super) fn is_stopped(deployment: &Deployment) -> bool {
    deployment.annotations().contains_key(STOPPED_ANNOTATION)
}

/// The `spec.replicas` that the operator last wrote, even if others changed it since.
pub(super) fn last_spec_replicas(deployment: &Deployment) -> i32 {
    if is_stopped(deployment) { 0 } else { replicas_in_annotation(deployment) }
}

/// The replicas last decided, from the annotation, even if others changed `spec.replicas` since.
pub(super) fn replicas_in_annotation(deployment: &Deployment) -> i32 {
    let annotated = deployment.annotations().get(REPLICAS_ANNOTATION).and_then(|text| text.parse().ok());
    annotated.unwrap_or_else(|| spec_replicas(deployment))
}

/// The replicas that the Deployment asks for now.
pub(super) fn spec_replicas(deployment: &Deployment) -> i32 {
    // The API server's own default.
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// Pods that exist.
pub(super) fn existing(deployment: &Deployment) -> i32 {
    deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0)
}

/// Pods that are ready.
pub(super) fn ready(deployment: &Deployment) -> i32 {
    deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0)
}

/// Whether pods of an older template are left.
pub(super) fn is_rolling(deployment: &Deployment) -> bool {
    let updated = deployment.status.as_ref().and_then(|status| status.updated_replicas).unwrap_or(0);
    updated < existing(deployment)
}

/// Whether a rollout freezes the replicas, because figures of old and new workers are mixed. Not if it is stuck: then
/// the old workers still do all the work, and must be scaled.
pub(super) fn freezes_replicas(deployment: &Deployment) -> bool {
    is_rolling(deployment) && rollout(deployment) != Rollout::Stuck
}

/// Whether the cluster has observed the newest version of the Deployment; until then its status describes an older one.
pub(super) fn is_observed(deployment: &Deployment) -> bool {
    let observed = deployment.status.as_ref().and_then(|status| status.observed_generation);
    observed.unwrap_or(0) >= deployment.metadata.generation.unwrap_or(0)
}

/// How a rollout goes, as the cluster reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rollout {
    /// The newest template runs everywhere.
    Complete,
    /// On its way.
    Underway,
    /// It made no progress before its deadline.
    Stuck,
}

/// How the Deployment's rollout goes.
pub(super) fn rollout(deployment: &Deployment) -> Rollout {
    let conditions = deployment.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let progressing = conditions.iter().find(|condition| condition.type_ == "Progressing");
    match progressing.map(|condition| (condition.status.as_str(), condition.reason.as_deref())) {
        Some(("False", _)) => Rollout::Stuck,
        Some((_, Some("NewReplicaSetAvailable"))) if !is_rolling(deployment) => Rollout::Complete,
        _ => Rollout::Underway,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rollout_that_is_stuck_holds_no_decision() {
        let with = |status: &str| -> Deployment {
            serde_json::from_value(json!({
                "metadata": {}, "spec": {"replicas": 2, "selector": {}, "template": {}},
                "status": {"replicas": 3, "updatedReplicas": 1,
                    "conditions": [{"type": "Progressing", "status": status, "reason": "x"}]},
            }))
            .unwrap()
        };
        assert!(freezes_replicas(&with("True")));
        assert!(is_rolling(&with("False")) && !freezes_replicas(&with("False")));
    }
}
