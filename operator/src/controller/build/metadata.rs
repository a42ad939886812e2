//! Pure. What children have in common: names, labels, owner, the annotations that record our decisions.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::controller::validate::ValidatedGroup;

/// The port of the workers' REST API, probes and metrics.
pub(super) const HTTP_PORT: i32 = 8080;
pub(super) const HTTP_PORT_NAME: &str = "http";

/// Value of `app.kubernetes.io/managed-by` on every child; the watches select by it.
pub(in crate::controller) const MANAGED_BY: &str = "balancefleet-operator";
/// The Deployment's replicas as last decided: what is restored when somebody else writes `spec.replicas`.
pub(in crate::controller) const REPLICAS_ANNOTATION: &str = "balancefleet.io/replicas";
/// The image the Deployment was last given: what is restored when somebody else writes it.
pub(in crate::controller) const IMAGE_ANNOTATION: &str = "balancefleet.io/worker-image";

/// The assignor that the Deployment's workers were last given, by its protocol name.
pub(in crate::controller) const ASSIGNOR_ANNOTATION: &str = "balancefleet.io/assignor";
/// There while we keep the replicas at 0 for another assignor, whose protocol name it has.
pub(in crate::controller) const STOPPED_ANNOTATION: &str = "balancefleet.io/stopped-for-assignor";

/// Name of the headless Service through which workers find each other.
pub(in crate::controller) fn peers_service_name(group: &str) -> String {
    format!("{group}-peers")
}

/// The labels that select one group's pods; immutable in a Deployment, hence never more than these.
pub(in crate::controller) fn selector_labels(group: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/instance".to_owned(), group.to_owned()),
        ("app.kubernetes.io/name".to_owned(), "balance-worker".to_owned()),
        ("balancefleet.io/group".to_owned(), group.to_owned()),
    ])
}

/// The same as text.
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

/// Metadata of a child. Labels of the object itself are not handed on: tools that track by label would claim the child.
pub(super) fn metadata(group: &ValidatedGroup, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(group.key.namespace.clone()),
        labels: Some(labels(group)),
        owner_references: Some(vec![group.owner.clone()]),
        ..ObjectMeta::default()
    }
}
