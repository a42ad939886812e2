//! The watches of one namespace (or all): they fill the caches and give the object to reconcile for every change.

use std::{collections::BTreeSet, sync::Arc};

use balancefleet_crds::BalanceConsumerGroup;
use futures::{
    Stream, StreamExt, TryStreamExt, future,
    stream::{self, BoxStream},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Client, Resource, ResourceExt,
    core::{DynamicObject, PartialObjectMeta, TypeMeta},
    runtime::{
        Predicate, PredicateConfig, WatchStreamExt, predicates,
        reflector::{self, ObjectRef, Store, store::Writer},
        watcher::{self, Event, watcher},
    },
};

use super::{
    build::{ChildResource, DEPLOYMENT, KINDS, MANAGED_BY},
    cache::Cache,
    managed_fields::{FIELD_MANAGER, is_foreign},
    scope::Scope,
    shared::{Caches, MaybeInvalid, Shared, object_key},
};
use crate::{
    error::{Result, call},
    metrics::Metrics,
};

/// Objects to reconcile.
type Triggers = BoxStream<'static, ObjectRef<MaybeInvalid>>;
/// The resources of [`KINDS`] that the cluster has.
pub(super) type ServedKinds = BTreeSet<ChildResource>;

/// The caches, and the stream that must be polled to fill them. It yields every object that has changed, or whose child
/// has.
pub(super) fn start(scope: &Scope, shared: &Arc<Shared>, kinds: &ServedKinds) -> (Caches, Triggers) {
    let (groups, group_changes) = watch_groups(scope, shared);
    let (pods, pod_changes) = watch_pods(scope, shared);
    let mut caches = Caches { groups, children: Default::default(), pods };
    let mut changes = vec![group_changes, pod_changes];
    for kind in kinds {
        let (cache, child_changes) = watch_children(scope, shared, *kind);
        caches.children.insert(*kind, cache);
        changes.push(child_changes);
    }
    shared.deployments.write().extend(caches.children.get(&DEPLOYMENT.resource).cloned());
    (caches, stream::select_all(changes).boxed())
}

/// The kinds of children that the cluster has: all but the optional ones that it lacks.
///
/// # Errors
/// When the API server does not answer.
pub(super) async fn served_kinds(client: &Client) -> Result<ServedKinds> {
    let mut served = ServedKinds::new();
    for kind in KINDS {
        if !kind.resource.optional || is_served(client, kind.resource).await? {
            served.insert(kind.resource);
        }
    }
    Ok(served)
}

async fn is_served(client: &Client, kind: ChildResource) -> Result<bool> {
    let version = kind.api_resource().api_version;
    match call(format!("look for the kind {}", kind.kind), client.list_api_group_resources(&version)).await {
        Ok(found) => Ok(found.resources.iter().any(|resource| resource.name == kind.plural)),
        Err(error) if error.category() == "api_not_found" => Ok(false),
        Err(error) => Err(error),
    }
}

fn watch_groups(scope: &Scope, shared: &Arc<Shared>) -> (Cache<MaybeInvalid>, Triggers) {
    let writer = Writer::<MaybeInvalid>::default();
    let store = writer.as_reader();
    shared.groups.write().push(store.clone());
    let cache = Cache::new(store, ());
    let (seen, written, covered) = (Arc::clone(shared), cache.clone(), scope.clone());
    // Our own status writes trigger nothing; every edit of a user does.
    let edits = predicates::generation.combine(predicates::labels).combine(predicates::annotations);
    let changes = watcher(scope.api::<MaybeInvalid>(&shared.client, &()), watcher::Config::default())
        .default_backoff()
        .modify(prune_group)
        .reflect(writer)
        .inspect_ok(move |event| {
            written.echoed(event);
            match event {
                Event::Delete(object) => seen.forget(&object_key(object)),
                // Objects that were deleted while the watch was down are absent from the new list; no event reports
                // them.
                Event::InitDone => seen.forget_absent(&covered, written.store()),
                Event::Apply(_) | Event::Init | Event::InitApply(_) => {}
            }
            let objects = seen.groups.read().iter().map(Store::len).sum();
            seen.metrics.set_groups(objects);
            seen.writer.set_objects(objects);
        })
        .applied_objects()
        .predicate_filter(edits, PredicateConfig::default())
        .map_ok(|object| ObjectRef::from_obj(&object));
    (cache, logged(changes, "BalanceConsumerGroup", shared.metrics.clone()))
}

fn watch_children(scope: &Scope, shared: &Arc<Shared>, kind: ChildResource) -> (Cache<DynamicObject>, Triggers) {
    let resource = kind.api_resource();
    let mut writer = Writer::new(resource.clone());
    let cache = Cache::new(writer.as_reader(), resource.clone());
    let written = cache.clone();
    let changes = watcher(scope.api(&shared.client, &resource), ours())
        .default_backoff()
        .modify(move |child: &mut DynamicObject| {
            // Our own entry is large and says no more than the desired object; the others' entries show drift.
            child.metadata.managed_fields.get_or_insert_default().retain(is_foreign);
            // Objects in a list have no kind, and would differ from the desired one.
            child.types = Some(TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() });
        })
        .map_ok(move |event| stream::iter(apply_event(&mut writer, &written, event)).map(Ok))
        .try_flatten();
    (cache, logged(changes, kind.kind, shared.metrics.clone()))
}

/// Updates the cache and gives the owners of the children that an event is about. The list after a broken watch omits
/// children that were deleted in between; their owners are given too.
fn apply_event(
    writer: &mut Writer<DynamicObject>,
    cache: &Cache<DynamicObject>,
    event: Event<DynamicObject>,
) -> Vec<ObjectRef<MaybeInvalid>> {
    let before = if matches!(event, Event::InitDone) { cache.store().state() } else { Vec::new() };
    writer.apply_watcher_event(&event);
    cache.echoed(&event);
    match event {
        Event::Apply(child) | Event::InitApply(child) | Event::Delete(child) => owner(&child).into_iter().collect(),
        Event::InitDone => {
            let gone = before.iter().filter(|child| cache.store().get(&cache.reference(child)).is_none());
            gone.filter_map(|child| owner(child.as_ref())).collect()
        }
        Event::Init => Vec::new(),
    }
}

/// Watches pods. They trigger nothing, because their Deployment's status does.
fn watch_pods(scope: &Scope, shared: &Arc<Shared>) -> (Store<PartialObjectMeta<Pod>>, Triggers) {
    let (store, writer) = reflector::store::<PartialObjectMeta<Pod>>();
    let changes = watcher(scope.api::<PartialObjectMeta<Pod>>(&shared.client, &()), ours())
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

/// Of the managed fields, keeps only the entries for `spec.replicas`: the condition of a pin names who set it.
fn prune_group(object: &mut MaybeInvalid) {
    let owns_replicas = |entry: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        fields.is_some_and(|fields| fields.pointer("/f:spec/f:replicas").is_some())
            && entry.manager.as_deref() != Some(FIELD_MANAGER)
    };
    object.meta_mut().managed_fields.get_or_insert_default().retain(owns_replicas);
    object.meta_mut().annotations.get_or_insert_default().remove("kubectl.kubernetes.io/last-applied-configuration");
}

/// Logs and counts a broken watch, which is restarted with a growing pause.
fn logged(
    changes: impl Stream<Item = Result<ObjectRef<MaybeInvalid>, watcher::Error>> + Send + 'static,
    kind: &'static str,
    metrics: Metrics,
) -> Triggers {
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
    use axum::http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    fn child(name: &str, owner: &str) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "bank", "ownerReferences": [{
            "apiVersion": "balancefleet.io/v1alpha1", "kind": "BalanceConsumerGroup", "controller": true,
            "name": owner, "uid": "1",
        }]}}))
        .unwrap()
    }

    #[test]
    fn a_child_deleted_while_the_watch_was_away_triggers_its_owner() {
        let kind = DEPLOYMENT.resource.api_resource();
        let mut writer = Writer::new(kind.clone());
        let cache = Cache::new(writer.as_reader(), kind);
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

    #[tokio::test]
    async fn an_optional_kind_is_there_if_the_api_server_says_so() {
        let answers = tower::service_fn(|request: Request<Body>| async move {
            let (code, answer) = match request.uri().path() {
                "/apis/apps/v1" => (
                    200,
                    json!({"groupVersion": "apps/v1", "resources": [
                        {"name": "deployments", "singularName": "", "namespaced": true, "kind": "Deployment", "verbs": []}
                    ]}),
                ),
                _ => (404, json!({"status": "Failure", "code": 404, "message": "no such page", "reason": "NotFound"})),
            };
            Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()))
        });
        let client = Client::new(answers, "default");
        let there = DEPLOYMENT.resource;
        assert!(is_served(&client, there).await.unwrap());
        assert!(!is_served(&client, ChildResource { plural: "routes", ..there }).await.unwrap());
        let route = ("route.openshift.io", "v1", "Route", "routes");
        let (group, version, kind, plural) = route;
        let optional = ChildResource { group, version, kind, plural, optional: true };
        assert!(!is_served(&client, optional).await.unwrap());
    }
}
