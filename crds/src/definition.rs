//! The CustomResourceDefinition: the derived schema, cut to what the API server accepts without warnings.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use crate::BalanceConsumerGroup;

/// The definition to install.
pub fn definition() -> CustomResourceDefinition {
    BalanceConsumerGroup::crd()
}
