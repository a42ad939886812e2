//! What there is to know of one kind of children. That they are watched, applied, restored and removed follows from it,
//! and is the same for all.

use kube::api::{ApiResource, GroupVersionKind};
use serde_json::Value;

use super::replicas::Replicas;
use crate::controller::validate::ValidatedGroup;

/// A namespaced resource of the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::controller) struct ChildResource {
    /// Empty for those of the core.
    pub group: &'static str,
    /// The version in which it is read and written.
    pub version: &'static str,
    /// What objects call themselves.
    pub kind: &'static str,
    /// What paths call them.
    pub plural: &'static str,
    /// Not every cluster has it: it is looked for before the watches start, and left out where it is absent. One that
    /// is installed later is seen after a restart.
    pub optional: bool,
}

impl ChildResource {
    /// The same for the client.
    pub(in crate::controller) fn api_resource(self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(self.group, self.version, self.kind), self.plural)
    }
}

/// Builds the full object to apply; none if the group is not to have such a child, and one that it has is removed.
type Build = fn(&ValidatedGroup, Replicas) -> Option<serde_json::Result<Value>>;

/// A kind of children: a row of the table.
pub(in crate::controller) struct ChildKind {
    /// What it is to the API server. Two kinds may share it.
    pub resource: ChildResource,
    /// The name of a group's child. No other kind of the same resource has it.
    pub name: fn(group: &str) -> String,
    /// Builds a group's child.
    pub build: Build,
}

impl ChildKind {
    /// Of a resource that every cluster has.
    pub(super) const fn of<K: k8s_openapi::Resource>(name: fn(&str) -> String, build: Build) -> Self {
        let (group, version, kind, plural) = (K::GROUP, K::VERSION, K::KIND, K::URL_PATH_SEGMENT);
        Self { resource: ChildResource { group, version, kind, plural, optional: false }, name, build }
    }
}
