//! A watch cache that also knows the operator's own writes. Otherwise a reconcile between a write and its echo on the
//! watch would work with the state before the write: it would write again or, worse, revert the decision.

use std::{
    collections::HashMap,
    fmt::Debug,
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Resource,
    runtime::{
        reflector::{Lookup, ObjectRef, Store},
        watcher::Event,
    },
};
use parking_lot::Mutex;

/// If the watch has not shown a created child within this time, the child is gone again: the watch had shown its
/// deletion before the answer to our write arrived.
const ECHO_WITHIN: Duration = Duration::from_secs(30);

/// Reads of one kind. Cloning shares.
#[derive(Clone)]
pub(super) struct Cache<K: Lookup + Clone + 'static>
where
    K::DynamicType: Hash + Eq,
{
    store: Store<K>,
    kind: K::DynamicType,
    written: Arc<Mutex<HashMap<ObjectRef<K>, Written<K>>>>,
}

/// What the API server answered to our write.
struct Written<K> {
    object: Arc<K>,
    at: Instant,
}

impl<K> Cache<K>
where
    K: Resource + Clone + Debug + 'static,
    K::DynamicType: Hash + Eq + Clone,
{
    /// Puts our own writes before a watch's store.
    pub(super) fn new(store: Store<K>, kind: K::DynamicType) -> Self {
        Self { store, kind, written: Arc::default() }
    }

    /// The key of an object in the cache.
    pub(super) fn reference(&self, object: &K) -> ObjectRef<K> {
        ObjectRef::from_obj_with(object, self.kind.clone())
    }

    /// The newest known state: that of the watch, or our own last write while the watch is behind it.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let reference = ObjectRef::new_with(name, self.kind.clone()).within(namespace);
        let watched = self.store.get(&reference);
        let mut written = self.written.lock();
        let ahead = written.get(&reference).filter(|own| match &watched {
            Some(watched) => is_newer(own.object.as_ref(), watched.as_ref()),
            None => own.at.elapsed() < ECHO_WITHIN,
        });
        match ahead {
            Some(own) => Some(Arc::clone(&own.object)),
            None => {
                written.remove(&reference);
                watched
            }
        }
    }

    /// Remembers the API server's answer to a write.
    pub(super) fn wrote(&self, object: K) {
        let reference = self.reference(&object);
        self.written.lock().insert(reference, Written { object: Arc::new(object), at: Instant::now() });
    }

    /// Must be called with every event of the watch, so that no write is kept longer than needed.
    pub(super) fn echoed(&self, event: &Event<K>) {
        let mut written = self.written.lock();
        match event {
            Event::Apply(object) => {
                let reference = self.reference(object);
                if written.get(&reference).is_some_and(|own| !is_newer(own.object.as_ref(), object)) {
                    written.remove(&reference);
                }
            }
            Event::Delete(object) => drop(written.remove(&self.reference(object))),
            Event::Init | Event::InitApply(_) | Event::InitDone => {}
        }
    }

    /// The watch's own view.
    pub(super) fn store(&self) -> &Store<K> {
        &self.store
    }
}

/// Whether the left state is later than the right one. Versions of one resource are growing numbers (documented since
/// Kubernetes 1.35, and always true before). With anything else the watch wins.
fn is_newer(left: &impl Resource, right: &impl Resource) -> bool {
    let version = |meta: &ObjectMeta| meta.resource_version.as_deref().and_then(|text| text.parse::<u128>().ok());
    match (version(left.meta()), version(right.meta())) {
        (Some(left), Some(right)) => left > right,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Service;
    use kube::runtime::reflector::{self, store::Writer};

    fn service(version: &str) -> Service {
        let mut service = Service::default();
        service.metadata.name = Some("x".into());
        service.metadata.namespace = Some("bank".into());
        service.metadata.resource_version = Some(version.into());
        service
    }

    /// One event of the watch, as the streams handle it.
    fn event(cache: &Cache<Service>, writer: &mut Writer<Service>, event: &Event<Service>) {
        writer.apply_watcher_event(event);
        cache.echoed(event);
    }

    fn version(cache: &Cache<Service>) -> Option<String> {
        cache.get("bank", "x").and_then(|service| service.metadata.resource_version.clone())
    }

    #[test]
    fn a_write_is_seen_at_once_and_until_the_watch_has_overtaken_it() {
        let (store, mut writer) = reflector::store::<Service>();
        let cache = Cache::new(store, ());
        event(&cache, &mut writer, &Event::Apply(service("7")));
        cache.wrote(service("10"));
        assert_eq!(version(&cache).as_deref(), Some("10"));
        event(&cache, &mut writer, &Event::Apply(service("9")));
        assert_eq!(version(&cache).as_deref(), Some("10"), "what somebody wrote before us is overwritten");
        event(&cache, &mut writer, &Event::Apply(service("11")));
        assert_eq!(version(&cache).as_deref(), Some("11"), "somebody wrote after us");
        event(&cache, &mut writer, &Event::Delete(service("12")));
        assert_eq!(version(&cache), None, "our write does not raise the dead");
    }

    #[test]
    fn a_created_child_is_seen_before_the_watch_shows_it() {
        let (store, mut writer) = reflector::store::<Service>();
        let cache = Cache::new(store, ());
        cache.wrote(service("1"));
        assert_eq!(version(&cache).as_deref(), Some("1"));
        event(&cache, &mut writer, &Event::Apply(service("1")));
        event(&cache, &mut writer, &Event::Delete(service("2")));
        assert_eq!(version(&cache), None);
    }

    #[test]
    fn an_answer_that_the_watch_has_overtaken_is_not_kept() {
        let (store, mut writer) = reflector::store::<Service>();
        let cache = Cache::new(store, ());
        event(&cache, &mut writer, &Event::Apply(service("3")));
        cache.wrote(service("2"));
        assert_eq!(version(&cache).as_deref(), Some("3"));
    }

    #[test]
    fn versions_that_are_no_numbers_leave_the_watch_the_last_word() {
        let (store, mut writer) = reflector::store::<Service>();
        let cache = Cache::new(store, ());
        event(&cache, &mut writer, &Event::Apply(service("a")));
        cache.wrote(service("b"));
        assert_eq!(version(&cache).as_deref(), Some("a"));
    }
}
