//! Pure. From a [`ValidatedGroup`] to the children it should have: one file per kind, each a function of the group
//! alone, so that equal input gives equal bytes and nothing is applied twice.

mod deployment;
mod environment;
mod metadata;
mod peers_service;
mod pod;
mod pod_disruption_budget;
mod service;
mod service_account;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Service, ServiceAccount},
    policy::v1::PodDisruptionBudget,
};

use super::validate::ValidatedGroup;

pub(super) use deployment::{Replicas, template_id};
pub(super) use environment::{ASSIGNOR_VARIABLE, store_name};
pub(super) use metadata::{
    ASSIGNOR_ANNOTATION, IMAGE_ANNOTATION, MANAGED_BY, REPLICAS_ANNOTATION, STOPPED_ANNOTATION, peers_service_name,
    selector_labels, selector_text,
};

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

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
