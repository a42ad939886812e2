//! What all reconciles share: clients, caches, the poller's registry. Each scope has a [`Context`]; all share one
//! [`Shared`].

use std::{collections::BTreeMap, sync::Arc};

use balancefleet_crds::BalanceConsumerGroup;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt,
    core::{DeserializeGuard, DynamicObject, PartialObjectMeta},
    runtime::{
        events::{Recorder, Reporter},
        reflector::{ObjectRef, Store, store::WriterDropped},
    },
};
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use super::{
    build::{ChildKind, ChildResource},
    cache::Cache,
    drift::controlled_by,
    initial_sync::InitialSync,
    managed_fields::FIELD_MANAGER,
    object_state::ObjectStates,
    scope::{Scope, in_scope},
    secrets::SecretCache,
    validate::key_of,
    writer::Writer,
};
use crate::{
    error::{CALL_TIMEOUT, Error, Result},
    metrics::Metrics,
    poller::{LagRegistry, ObjectKey},
};

/// An object as watched. An object that cannot be deserialized is an error of its own and does not stop the watch.
pub(super) type MaybeInvalid = DeserializeGuard<BalanceConsumerGroup>;

/// Reconciles that run at the same time, over all watched namespaces.
pub(super) const CONCURRENCY: u16 = 16;

/// Shared by all watched namespaces.
pub struct Shared {
    /// The API server.
    pub(super) client: Client,
    /// Kafka as the poller sees it.
    pub(super) lag: LagRegistry,
    /// Counters.
    pub(super) metrics: Metrics,
    /// Secrets by name.
    pub(super) secrets: SecretCache,
    /// What is kept about objects between reconciles.
    pub(super) object_states: ObjectStates,
    /// Publishes events.
    pub(super) recorder: Recorder,
    /// Sends every write.
    pub(super) writer: Writer,
    /// Limits the reconciles that run at once.
    pub(super) slots: Semaphore,
    /// The image of this release's workers.
    pub(super) release_image: String,
    /// All watched objects, of every watched namespace.
    pub(super) groups: RwLock<Vec<Store<MaybeInvalid>>>,
    /// Their workers.
    pub(super) deployments: RwLock<Vec<Cache<DynamicObject>>>,
    /// Which scopes are synced.
    pub(super) initial_sync: InitialSync,
}

impl Shared {
    /// Wraps a client; `pod` is the pod that events name as their source.
    pub fn new(
        client: Client,
        lag: LagRegistry,
        metrics: Metrics,
        release_image: String,
        pod: Option<String>,
    ) -> Arc<Self> {
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: pod };
        Arc::new(Self {
            secrets: SecretCache::new(client.clone()),
            recorder: Recorder::new(client.clone(), reporter),
            client,
            lag,
            writer: Writer::new(metrics.clone()),
            metrics,
            object_states: ObjectStates::default(),
            slots: Semaphore::new(usize::from(CONCURRENCY)),
            release_image,
            groups: RwLock::default(),
            deployments: RwLock::default(),
            initial_sync: InitialSync::default(),
        })
    }

    /// Every watched object that can be read.
    pub(super) fn all_groups(&self) -> Vec<Arc<MaybeInvalid>> {
        self.groups.read().iter().flat_map(Store::state).filter(|object| object.0.is_ok()).collect()
    }

    /// Whether an object has its Deployment already.
    pub(super) fn has_workers(&self, group: &BalanceConsumerGroup) -> bool {
        let (key, uid) = (key_of(group), group.uid().unwrap_or_default());
        let found = self.deployments.read().iter().find_map(|cache| cache.get(&key.namespace, &key.name));
        found.is_some_and(|found| controlled_by(found.owner_references(), &uid))
    }

    /// How many objects wait after a failure or for the end of a problem.
    pub(super) fn in_backoff(&self) -> usize {
        self.object_states.in_backoff().union(&self.writer.in_backoff()).count()
    }

    /// Drops all that is kept about an object that is gone.
    pub(super) fn forget(&self, key: &ObjectKey) {
        self.lag.forget(key);
        self.object_states.forget(key);
        self.writer.forget(key);
    }

    /// Drops all that is kept about objects of a scope that are not in its newest list.
    pub(super) fn forget_absent(&self, scope: &Scope, store: &Store<MaybeInvalid>) {
        let kept = [self.lag.keys(), self.object_states.keys(), self.writer.keys()].concat().into_iter();
        for key in kept.filter(|key| in_scope(scope, key) && store.get(&reference(key)).is_none()) {
            self.forget(&key);
        }
    }
}

/// The caches of one watched namespace, or of all together.
pub(super) struct Caches {
    /// The objects.
    pub groups: Cache<MaybeInvalid>,
    /// Their children; an optional kind that the cluster lacks has no cache.
    pub children: BTreeMap<ChildResource, Cache<DynamicObject>>,
    /// Their pods, metadata only.
    pub pods: Store<PartialObjectMeta<Pod>>,
}

impl Caches {
    /// Waits until every kind was listed once. Without a time limit.
    ///
    /// # Errors
    /// When the watches have ended.
    pub(super) async fn listed(&self) -> Result<(), WriterDropped> {
        self.groups.store().wait_until_ready().await?;
        for children in self.children.values() {
            children.store().wait_until_ready().await?;
        }
        self.pods.wait_until_ready().await
    }

    /// The same for a reconcile, with a time limit. Until all kinds are listed, an absent child means nothing.
    ///
    /// # Errors
    /// When that takes too long, or the watches have ended.
    pub(super) async fn filled(&self) -> Result<()> {
        match tokio::time::timeout(CALL_TIMEOUT, self.listed()).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Error::CacheNotReady),
        }
    }

    /// The child of this kind with the name of ours, whoever created it.
    pub(super) fn child(&self, kind: &ChildKind, key: &ObjectKey) -> Option<Arc<DynamicObject>> {
        self.children.get(&kind.resource)?.get(&key.namespace, &(kind.name)(&key.name))
    }
}

/// What a reconcile gets.
pub(super) struct Context {
    /// Shared by all namespaces.
    pub shared: Arc<Shared>,
    /// Of this namespace.
    pub caches: Caches,
}

impl Context {
    /// The API of children of this kind.
    pub(super) fn api(&self, kind: &ChildKind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.shared.client.clone(), namespace, &kind.resource.api_resource())
    }
}

/// The object of that key, for queues and caches.
pub(super) fn reference(key: &ObjectKey) -> ObjectRef<MaybeInvalid> {
    ObjectRef::new(&key.name).within(&key.namespace)
}

/// The key of an object, readable or not.
pub(super) fn object_key(object: &MaybeInvalid) -> ObjectKey {
    match &object.0 {
        Ok(group) => key_of(group),
        Err(_) => ObjectKey { namespace: object.namespace().unwrap_or_default(), name: object.name_any() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::object_state::ObjectState;
    use kube::runtime::{reflector::store::Writer, watcher::Event};

    #[tokio::test]
    async fn what_the_newest_list_lacks_is_forgotten_in_its_own_scope_only() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let nobody = kube::Config::new("http://127.0.0.1:9".parse().unwrap());
        let (lag, _triggers) = LagRegistry::new();
        let shared = Shared::new(Client::try_from(nobody).unwrap(), lag, Metrics::default(), "image".into(), None);
        let key = |namespace: &str, name: &str| ObjectKey { namespace: namespace.into(), name: name.into() };
        for kept in [key("bank", "gone"), key("bank", "there"), key("shop", "elsewhere")] {
            shared.object_states.store(&kept, ObjectState::default());
        }
        let mut there = super::super::build::fixtures::minimal();
        there.metadata.name = Some("there".into());
        let mut writer = Writer::<MaybeInvalid>::default();
        for event in [Event::Init, Event::InitApply(DeserializeGuard(Ok(there))), Event::InitDone] {
            writer.apply_watcher_event(&event);
        }
        shared.forget_absent(&Scope::Namespace("bank".into()), &writer.as_reader());
        let mut left: Vec<String> = shared.object_states.keys().iter().map(ToString::to_string).collect();
        left.sort();
        assert_eq!(left, ["bank/there", "shop/elsewhere"]);
    }
}
