//! Pure. From a [`ValidatedGroup`] to the children it should have: one file per kind, each a function of the group
//! alone, so that equal input gives equal bytes and nothing is applied twice.

mod deployment;
mod environment;
mod peers_service;
mod pod;
mod pod_disruption_budget;
mod service;
mod service_account;

use std::collections::BTreeMap;

use balancefleet_crds::{Assignor, BalanceConsumerGroup};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Service, ServiceAccount},
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use kube::ResourceExt;

use super::validate::ValidatedGroup;

pub(super) use environment::{ASSIGNOR_VARIABLE, store_name};

/// The port of the workers' REST API, probes and metrics.
const HTTP_PORT: i32 = 8080;
const HTTP_PORT_NAME: &str = "http";

/// Value of `app.kubernetes.io/managed-by` on every child; the watches select by it.
pub(super) const MANAGED_BY: &str = "balancefleet-operator";
/// The Deployment's last decided number of workers: what is restored when somebody else writes `spec.replicas`.
pub(super) const REPLICAS_ANNOTATION: &str = "balancefleet.io/replicas";
/// The image the Deployment was last given: what is restored when somebody else writes it.
pub(super) const IMAGE_ANNOTATION: &str = "balancefleet.io/worker-image";

/// The assignor that the Deployment's workers were last given, by its protocol name.
pub(super) const ASSIGNOR_ANNOTATION: &str = "balancefleet.io/assignor";
/// There while we keep the number of workers at 0 for another assignor, whose protocol name it has.
pub(super) const STOPPED_ANNOTATION: &str = "balancefleet.io/stopped-for-assignor";

/// Everything one object owns.
#[derive(Debug, Clone)]
pub(super) struct Children {
    /// None when the object names a ServiceAccount of its own.
    pub service_account: Option<ServiceAccount>,
    /// Where the workers find each other.
    pub peers_service: Service,
    /// Where clients find any worker.
    pub service: Service,
    /// How many workers a node drain may take at once.
    pub pod_disruption_budget: PodDisruptionBudget,
    /// The workers.
    pub deployment: Deployment,
}

/// The number of workers in a Deployment: what it asks the cluster for, and what it records as our last decision. They
/// differ only while somebody else's number is let stand, and while all workers are stopped for another assignor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Replicas {
    /// `spec.replicas`.
    pub asked_for: i32,
    /// The annotation.
    pub decided: i32,
    /// All workers are stopped so that they can start again with this one.
    pub stopped_for: Option<Assignor>,
}

impl Replicas {
    /// One number for both.
    pub(super) fn agreed(number: i32) -> Self {
        Self { asked_for: number, decided: number, stopped_for: None }
    }

    /// None now, and as many as were decided when the workers can have another assignor.
    pub(super) fn stopped(decided: i32, stopped_for: Assignor) -> Self {
        Self { asked_for: 0, decided, stopped_for: Some(stopped_for) }
    }
}

/// Identifies a Deployment's pod template: whoever learns from the workers begins anew when it changes.
pub(super) fn template_id(deployment: &Deployment) -> String {
    let template = deployment.spec.as_ref().map(|spec| &spec.template);
    let text = serde_json::to_string(&template).unwrap_or_default();
    super::drift::short_hash(text.as_bytes())
}

/// Builds all children for so many workers.
pub(super) fn children(group: &ValidatedGroup, replicas: Replicas) -> Children {
    Children {
        service_account: service_account::service_account(group),
        peers_service: peers_service::peers_service(group),
        service: service::service(group),
        pod_disruption_budget: pod_disruption_budget::pod_disruption_budget(group),
        deployment: deployment::deployment(group, replicas),
    }
}

/// Name of the headless Service through which workers find each other.
pub(super) fn peers_service_name(group: &str) -> String {
    format!("{group}-peers")
}

/// The labels that select one group's pods; immutable in a Deployment, hence never more than these.
pub(super) fn selector_labels(group: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("app.kubernetes.io/instance".to_owned(), group.to_owned()),
        ("app.kubernetes.io/name".to_owned(), "balance-worker".to_owned()),
        ("balancefleet.io/group".to_owned(), group.to_owned()),
    ])
}

/// The same as text, for `status.selector`.
pub(super) fn selector_text(group: &BalanceConsumerGroup) -> String {
    let labels = selector_labels(&group.name_any());
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn selector(group: &ValidatedGroup) -> LabelSelector {
    LabelSelector { match_labels: Some(selector_labels(&group.key.name)), ..LabelSelector::default() }
}

fn labels(group: &ValidatedGroup) -> BTreeMap<String, String> {
    let mut labels = selector_labels(&group.key.name);
    labels.insert("app.kubernetes.io/managed-by".to_owned(), MANAGED_BY.to_owned());
    labels
}

/// Metadata of a child. Labels of the object itself are not handed on: tools that track by label would claim the child.
fn metadata(group: &ValidatedGroup, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(group.key.namespace.clone()),
        labels: Some(labels(group)),
        owner_references: Some(vec![group.owner.clone()]),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
