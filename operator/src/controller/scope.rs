//! Which namespaces one set of watches covers.

use kube::{Api, Client, Resource, core::NamespaceScope};

use crate::poller::ObjectKey;

/// The namespaces of one set of watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The whole cluster.
    All,
    /// One namespace.
    Namespace(String),
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("all namespaces"),
            Self::Namespace(name) => write!(f, "namespace {name}"),
        }
    }
}

impl Scope {
    /// An API of a namespaced kind over this scope.
    pub(super) fn api<K>(&self, client: &Client, kind: &K::DynamicType) -> Api<K>
    where
        K: Resource<Scope: NamespaceScope>,
    {
        let everywhere = Api::all_with(client.clone(), kind);
        match self {
            Self::All => everywhere,
            Self::Namespace(name) => everywhere.constrain(name),
        }
    }
}

/// Whether the object of this key is in the scope.
pub(super) fn in_scope(scope: &Scope, key: &ObjectKey) -> bool {
    match scope {
        Scope::All => true,
        Scope::Namespace(name) => *name == key.namespace,
    }
}
