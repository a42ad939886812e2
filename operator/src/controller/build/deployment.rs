//! Pure. The workers as a Deployment: how many, and how one template replaces another.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{
    kind::ChildKind,
    metadata::{ASSIGNOR_ANNOTATION, IMAGE_ANNOTATION, REPLICAS_ANNOTATION, STOPPED_ANNOTATION, metadata, selector},
    pod,
    replicas::Replicas,
};
use crate::controller::{hash::short_hash, validate::ValidatedGroup};

/// A worker that replays a long topic takes minutes to become ready; the rollout has not failed then.
const PROGRESS_DEADLINE_SECONDS: i32 = 900;
const REVISION_HISTORY_LIMIT: i32 = 3;

pub(in crate::controller) const KIND: ChildKind = ChildKind::of::<Deployment>(str::to_owned, |group, replicas| {
    Some(serde_json::to_value(deployment(group, replicas)))
});

/// Identifies the pod template. When it changes, the poller forgets the learned capacity of a worker.
pub(in crate::controller) fn template_id(group: &ValidatedGroup) -> String {
    let text = serde_json::to_string(&pod::template(group)).unwrap_or_default();
    short_hash(text.as_bytes())
}

fn deployment(group: &ValidatedGroup, replicas: Replicas) -> Deployment {
    let mut metadata = metadata(group, &group.key.name);
    let mut annotations = BTreeMap::from([
        (IMAGE_ANNOTATION.to_owned(), group.image.clone()),
        (REPLICAS_ANNOTATION.to_owned(), replicas.annotated.to_string()),
        (ASSIGNOR_ANNOTATION.to_owned(), group.consumer.assignor.protocol_name().to_owned()),
    ]);
    if let Some(assignor) = replicas.stopped_for {
        annotations.insert(STOPPED_ANNOTATION.to_owned(), assignor.protocol_name().to_owned());
    }
    metadata.annotations = Some(annotations);
    Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            // Always set: a field that an apply omits falls back to its default, which is one worker.
            replicas: Some(replicas.spec),
            selector: selector(group),
            strategy: Some(one_more_before_one_less()),
            // A rollout that somebody paused by hand would never end, and look as if workers were starting. Users pause
            // with `spec.paused` of the object.
            paused: Some(false),
            progress_deadline_seconds: Some(PROGRESS_DEADLINE_SECONDS),
            revision_history_limit: Some(REVISION_HISTORY_LIMIT),
            template: pod::template(group),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// A new worker restores its partitions before an old one leaves, so that every partition can always be read.
fn one_more_before_one_less() -> DeploymentStrategy {
    DeploymentStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::Int(1)),
            max_unavailable: Some(IntOrString::Int(0)),
        }),
    }
}
