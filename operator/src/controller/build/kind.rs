//! What the operator knows about one kind of child, for example the Deployment. Watching, applying, restoring and
//! removing it follows from that and is the same for all kinds. What a new kind needs: see "A kind of child" in
//! `docs/architecture.md`.

use kube::api::{ApiResource, GroupVersionKind};
use serde_json::Value;

use super::replicas::Replicas;
use crate::controller::validate::ValidatedGroup;

/// A namespaced resource of the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::controller) struct ChildResource {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The version in which it is read and written.
    pub version: &'static str,
    /// The kind, as in objects.
    pub kind: &'static str,
    /// The plural name, as in paths.
    pub plural: &'static str,
    /// Not every cluster has it. The operator looks for it before the watches start and does without it if it is
    /// absent; if it is installed later, the operator sees it after a restart.
    pub optional: bool,
}

impl ChildResource {
    /// The resource of a type, which every cluster has.
    pub(in crate::controller) const fn of<K: k8s_openapi::Resource>() -> Self {
        Self { group: K::GROUP, version: K::VERSION, kind: K::KIND, plural: K::URL_PATH_SEGMENT, optional: false }
    }

    /// The resource in the client's own type.
    pub(in crate::controller) fn api_resource(self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(self.group, self.version, self.kind), self.plural)
    }
}

/// Builds the full object to apply; `None` if the custom resource should not have such a child, which removes an
/// existing one.
type Build = fn(&ValidatedGroup, Replicas) -> Option<serde_json::Result<Value>>;

/// A kind of child: a row of the table `KINDS`.
pub(in crate::controller) struct ChildKind {
    /// What it is to the API server. Two kinds may share it.
    pub resource: ChildResource,
    /// The name of a custom resource's child, unique among the kinds of the same resource.
    pub name: fn(group: &str) -> String,
    /// Builds a custom resource's child.
    pub build: Build,
}

impl ChildKind {
    /// A kind whose resource every cluster has. One that a cluster may lack has the same three fields, with a
    /// [`ChildResource`] that is `optional`.
    pub(super) const fn of<K: k8s_openapi::Resource>(name: fn(&str) -> String, build: Build) -> Self {
        Self { resource: ChildResource::of::<K>(), name, build }
    }
}
