//! Pure. What children have in common: names, labels, owner, the annotations that record our decisions.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::controller::validate::ValidatedGroup;

/// The port of the workers' REST API, probes and metrics.
pub(super) const HTTP_PORT: i32 = 8080;
pub(super) const HTTP_PORT_NAME: &str = "http";

/// Value of `app.kubernetes.io/managed-by` on every child; the watches select by it.
pub(in crate::controller) const MANAGED_BY: &str = "balancefleet-operator";
/// The replicas last decided. They are restored when somebody else writes `spec.replicas` of the Deployment.
pub(in crate::controller) const REPLICAS_ANNOTATION: &str = "balancefleet.io/replicas";
/// The image that the operator last set. It is restored when somebody else changes it.
pub(in crate::controller) const IMAGE_ANNOTATION: &str = "balancefleet.io/worker-image";

/// The assignor that the operator last set for the workers, by its protocol name.
pub(in crate::controller) const ASSIGNOR_ANNOTATION: &str = "balancefleet.io/assignor";
/// Set while the operator keeps the replicas at 0 for a change of the assignor: the protocol name of the new one.
pub(in crate::controller) const STOPPED_ANNOTATION: &str = "balancefleet.io/stopped-for-assignor";

/// Name of the headless Service through which workers find each other.
pub(in crate::controller) fn peers_service_name(group: &str) -> String {
    format!("{group}-peers")
}

/// The labels that select one group's pods. Never add one: a Deployment's selector is immutable.
pub(in crate::controller) fn selector_labels(group: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/instance".to_owned(), group.to_owned()),
        ("app.kubernetes.io/name".to_owned(), "balance-worker".to_owned()),
        ("balancefleet.io/group".to_owned(), group.to_owned()),
    ])
}

/// The selector labels as text.
pub(in crate::controller) fn selector_text(group: &str) -> String {
    selector_labels(group).iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

pub(super) fn selector(group: &ValidatedGroup) -> LabelSelector {
    LabelSelector { match_labels: Some(selector_labels(&group.key.name)), ..LabelSelector::default() }
}

pub(super) fn labels(group: &ValidatedGroup) -> BTreeMap<String, String> {
    let mut labels = selector_labels(&group.key.name);
    labels.insert("app.kubernetes.io/managed-by".to_owned(), MANAGED_BY.to_owned());
    labels
}

/// Metadata of a child. It does not get the labels of the object itself: tools that track by label would claim the
/// child.
pub(super) fn metadata(group: &ValidatedGroup, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(group.key.namespace.clone()),
        labels: Some(labels(group)),
        owner_references: Some(vec![group.owner.clone()]),
        ..ObjectMeta::default()
    }
}
