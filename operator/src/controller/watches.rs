//! The watches of one namespace (or all): they fill the caches and turn every change into the object to reconcile.

use std::{fmt::Debug, sync::Arc};

use balancefleet_crds::BalanceConsumerGroup;
use futures::{
    Stream, StreamExt, TryStreamExt, future,
    stream::{self, BoxStream},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        Predicate, PredicateConfig, WatchStreamExt, predicates,
        reflector::{self, ObjectRef, Store, store::Writer},
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;

use super::{
    build::MANAGED_BY,
    cache::Cache,
    managed_fields::{FIELD_MANAGER, is_foreign},
    scope::Scope,
    shared::{Caches, MaybeInvalid, Shared, object_key},
};
use crate::metrics::Metrics;

/// The caches and the stream that must be polled to fill them; it yields every object that something happened to.
pub(super) fn start(scope: &Scope, shared: &Arc<Shared>) -> (Caches, BoxStream<'static, ObjectRef<MaybeInvalid>>) {
    let (groups, group_changes) = watch_groups(scope, shared);
    let (deployments, deployment_changes) = watch_children(scope, shared);
    shared.deployments.write().push(Cache::clone(&deployments));
    let (services, service_changes) = watch_children(scope, shared);
    let (service_accounts, account_changes) = watch_children(scope, shared);
    let (pod_disruption_budgets, budget_changes) = watch_children(scope, shared);
    let (pods, pod_changes) = watch_pods(scope, shared);
    let changes = stream::select_all([
        group_changes,
        deployment_changes,
        service_changes,
        account_changes,
        budget_changes,
        pod_changes,
    ]);
    (Caches { groups, deployments, services, service_accounts, pod_disruption_budgets, pods }, changes.boxed())
}

fn watch_groups(
    scope: &Scope,
    shared: &Arc<Shared>,
) -> (Cache<MaybeInvalid>, BoxStream<'static, ObjectRef<MaybeInvalid>>) {
    let writer = Writer::<MaybeInvalid>::default();
    let store = writer.as_reader();
    shared.groups.write().push(store.clone());
    let cache = Cache::new(store);
    let (seen, written, covered) = (Arc::clone(shared), cache.clone(), scope.clone());
    // Our own status writes do not come back as work; everything that a user can edit does.
    let edits = predicates::generation.combine(predicates::labels).combine(predicates::annotations);
    let changes = watcher(scope.api::<MaybeInvalid>(&shared.client), watcher::Config::default())
        .default_backoff()
        .modify(prune_group)
        .reflect(writer)
        .inspect_ok(move |event| {
            written.echoed(event);
            match event {
                Event::Delete(object) => seen.forget(&object_key(object)),
                // What was deleted while the watch was away is absent from the new list, and no event reports it.
                Event::InitDone => seen.forget_absent(&covered, written.store()),
                Event::Apply(_) | Event::Init | Event::InitApply(_) => {}
            }
            seen.metrics.set_groups(seen.groups.read().iter().map(Store::len).sum());
        })
        .applied_objects()
        .predicate_filter(edits, PredicateConfig::default())
        .map_ok(|object| ObjectRef::from_obj(&object));
    (cache, logged(changes, "BalanceConsumerGroup", shared.metrics.clone()))
}

fn watch_children<K>(scope: &Scope, shared: &Arc<Shared>) -> (Cache<K>, BoxStream<'static, ObjectRef<MaybeInvalid>>)
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static,
{
    let mut writer = Writer::<K>::default();
    let cache = Cache::new(writer.as_reader());
    let written = cache.clone();
    let changes = watcher(scope.api::<K>(&shared.client), ours())
        .default_backoff()
        .modify(|child| {
            // Ours is large and says nothing that the desired object does not; drift is found by those of others.
            child.meta_mut().managed_fields.get_or_insert_default().retain(is_foreign);
        })
        .map_ok(move |event| stream::iter(apply_event(&mut writer, &written, event)).map(Ok))
        .try_flatten();
    (cache, logged(changes, K::kind(&()).into_owned(), shared.metrics.clone()))
}

/// Brings the cache up to date and gives the objects whose children an event is about: also of those that went while the
/// watch was away, which the list that follows only leaves out.
fn apply_event<K>(writer: &mut Writer<K>, cache: &Cache<K>, event: Event<K>) -> Vec<ObjectRef<MaybeInvalid>>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()> + Clone + Debug + 'static,
{
    let before = if matches!(event, Event::InitDone) { cache.store().state() } else { Vec::new() };
    writer.apply_watcher_event(&event);
    cache.echoed(&event);
    match event {
        Event::Apply(child) | Event::InitApply(child) | Event::Delete(child) => owner(&child).into_iter().collect(),
        Event::InitDone => {
            let gone = before.iter().filter(|child| cache.store().get(&ObjectRef::from_obj(child.as_ref())).is_none());
            gone.filter_map(|child| owner(child.as_ref())).collect()
        }
        Event::Init => Vec::new(),
    }
}

/// Pods trigger nothing: their Deployment's status does.
fn watch_pods(
    scope: &Scope,
    shared: &Arc<Shared>,
) -> (Store<PartialObjectMeta<Pod>>, BoxStream<'static, ObjectRef<MaybeInvalid>>) {
    let (store, writer) = reflector::store::<PartialObjectMeta<Pod>>();
    let changes = watcher(scope.api::<PartialObjectMeta<Pod>>(&shared.client), ours())
        .default_backoff()
        .modify(|pod| pod.metadata.managed_fields = None)
        .reflect(writer)
        .applied_objects()
        .try_filter_map(|_| future::ok(None));
    (store, logged(changes, "Pod", shared.metrics.clone()))
}

fn ours() -> watcher::Config {
    watcher::Config::default().labels(&format!("app.kubernetes.io/managed-by={MANAGED_BY}"))
}

/// The object that a child belongs to.
fn owner(child: &impl Resource) -> Option<ObjectRef<MaybeInvalid>> {
    let owner = child.owner_references().iter().find(|owner| owner.controller == Some(true))?;
    let ours = owner.kind == BalanceConsumerGroup::kind(&())
        && owner.api_version.split('/').next() == Some(&*BalanceConsumerGroup::group(&()));
    ours.then(|| ObjectRef::new(&owner.name).within(child.namespace().as_deref().unwrap_or_default()))
}

/// Keeps of the field owners only who set `spec.replicas`, which a pin's condition names.
fn prune_group(object: &mut MaybeInvalid) {
    let owns_replicas = |entry: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        fields.is_some_and(|fields| fields.pointer("/f:spec/f:replicas").is_some())
            && entry.manager.as_deref() != Some(FIELD_MANAGER)
    };
    object.meta_mut().managed_fields.get_or_insert_default().retain(owns_replicas);
    object.meta_mut().annotations.get_or_insert_default().remove("kubectl.kubernetes.io/last-applied-configuration");
}

/// A broken watch is restarted with a growing pause; it is logged and counted.
fn logged(
    changes: impl Stream<Item = Result<ObjectRef<MaybeInvalid>, watcher::Error>> + Send + 'static,
    kind: impl Into<String>,
    metrics: Metrics,
) -> BoxStream<'static, ObjectRef<MaybeInvalid>> {
    let kind = kind.into();
    changes
        .filter_map(move |change| {
            let change = change.inspect_err(|error| {
                metrics.watch_error();
                tracing::warn!(kind, %error, "watch failed, restarting it");
            });
            future::ready(change.ok())
        })
        .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Service;
    use serde_json::json;

    fn child(name: &str, owner: &str) -> Service {
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "bank", "ownerReferences": [{
            "apiVersion": "balancefleet.io/v1alpha1", "kind": "BalanceConsumerGroup", "controller": true,
            "name": owner, "uid": "1",
        }]}}))
        .unwrap()
    }

    #[test]
    fn a_child_deleted_while_the_watch_was_away_triggers_its_owner() {
        let mut writer = Writer::<Service>::default();
        let cache = Cache::new(writer.as_reader());
        let mut triggered = |event| -> Vec<String> {
            let triggered = apply_event(&mut writer, &cache, event);
            triggered.into_iter().map(|reference| reference.name).collect()
        };
        assert_eq!(triggered(Event::Apply(child("a", "shop"))), ["shop"]);
        assert_eq!(triggered(Event::Apply(child("b", "till"))), ["till"]);
        assert!(triggered(Event::Init).is_empty());
        assert_eq!(triggered(Event::InitApply(child("b", "till"))), ["till"]);
        assert_eq!(triggered(Event::InitDone), ["shop"]);
        assert_eq!(triggered(Event::Delete(child("b", "till"))), ["till"]);
    }
}
