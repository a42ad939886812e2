//! Pure. Builds the children that a [`ValidatedGroup`](super::validate::ValidatedGroup), a custom resource whose spec
//! was checked, should have: one file per kind of child. Each is a function of the group and its [`Replicas`] alone, so
//! equal input gives equal bytes and nothing is applied twice.

mod deployment;
mod environment;
mod kind;
mod metadata;
mod peers_service;
mod pod;
mod pod_disruption_budget;
mod replicas;
mod service;
mod service_account;

pub(super) use deployment::{KIND as DEPLOYMENT, template_id};
pub(super) use environment::ASSIGNOR_VARIABLE;
pub(super) use kind::{ChildKind, ChildResource};
pub(super) use metadata::{
    ASSIGNOR_ANNOTATION, IMAGE_ANNOTATION, MANAGED_BY, REPLICAS_ANNOTATION, STOPPED_ANNOTATION, selector_labels,
    selector_text,
};
pub(super) use replicas::Replicas;

/// All kinds of child, in the order in which they are applied. Pods need their ServiceAccount to be admitted, and
/// the headless Service to find their peers. The budget must exist before the pods that it protects. The Deployment
/// comes last, so that a reconcile that fails half-way restarts no pod twice.
pub(super) static KINDS: &[ChildKind] =
    &[service_account::KIND, peers_service::KIND, service::KIND, pod_disruption_budget::KIND, DEPLOYMENT];

/// The plural names of the kinds, as in paths of the API server.
pub(crate) fn child_plurals() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.resource.plural)
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod plain_manifests;
#[cfg(test)]
mod tests;
