//! A watch cache that also knows our own writes: between a write and its echo on the watch a pass would otherwise
//! decide from the state before the write, and write again or, worse, take the decision back.

use std::{
    collections::HashMap,
    fmt::Debug,
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use kube::{
    Resource,
    runtime::{
        reflector::{Lookup, ObjectRef, Store},
        watcher::Event,
    },
};
use parking_lot::Mutex;

/// A write that the watch has not shown by then is gone again, and its deletion was shown before our answer came.
const ECHO_WITHIN: Duration = Duration::from_secs(30);

/// Reads of one kind. Cloning shares.
pub(super) struct Cache<K: Lookup + Clone + 'static>
where
    K::DynamicType: Hash + Eq,
{
    store: Store<K>,
    written: Arc<Mutex<HashMap<ObjectRef<K>, Written<K>>>>,
}

impl<K> Clone for Cache<K>
where
    K: Lookup + Clone + 'static,
    K::DynamicType: Hash + Eq + Clone,
{
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), written: Arc::clone(&self.written) }
    }
}

/// What the API server answered to our write, and what the watch had shown when it was sent.
struct Written<K> {
    seen: Option<String>,
    object: Arc<K>,
    at: Instant,
}

impl<K> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + 'static,
{
    /// Puts the memory of our writes before a watch's store.
    pub(super) fn new(store: Store<K>) -> Self {
        Self { store, written: Arc::default() }
    }

    /// The newest state known: our own write until the watch has moved on from what it showed before, then the watch.
    pub(super) fn get(&self, reference: &ObjectRef<K>) -> Option<Arc<K>> {
        let watched = self.store.get(reference);
        let version = watched.as_ref().and_then(|object| object.meta().resource_version.clone());
        let mut written = self.written.lock();
        match written.get(reference) {
            Some(own) if own.seen == version && own.at.elapsed() < ECHO_WITHIN => Some(Arc::clone(&own.object)),
            Some(_) => {
                written.remove(reference);
                watched
            }
            None => watched,
        }
    }

    /// What the watch shows now; to be taken before a write and given to [`Self::wrote`] after it.
    pub(super) fn version(&self, reference: &ObjectRef<K>) -> Option<String> {
        self.store.get(reference).and_then(|object| object.meta().resource_version.clone())
    }

    /// Remembers the API server's answer to a write that was sent when the watch showed `before`.
    pub(super) fn wrote(&self, object: K, before: Option<String>) {
        let reference = ObjectRef::from_obj(&object);
        // Otherwise the watch was faster than the answer: it shows this write or a later one.
        if self.version(&reference) == before && object.meta().resource_version != before {
            self.written
                .lock()
                .insert(reference, Written { seen: before, object: Arc::new(object), at: Instant::now() });
        }
    }

    /// To be told of every event of the watch: what it shows of an object replaces what we remember of it.
    pub(super) fn echoed(&self, event: &Event<K>) {
        if let Event::Apply(object) | Event::Delete(object) = event {
            self.written.lock().remove(&ObjectRef::from_obj(object));
        }
    }

    /// The watch's own view.
    pub(super) fn store(&self) -> &Store<K> {
        &self.store
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
        cache.get(&ObjectRef::new("x").within("bank")).and_then(|service| service.metadata.resource_version.clone())
    }

    #[test]
    fn a_write_is_seen_at_once_and_until_the_watch_moves_on() {
        let (store, mut writer) = reflector::store::<Service>();
        let cache = Cache::new(store);
        event(&cache, &mut writer, &Event::Apply(service("1")));
        cache.wrote(service("2"), Some("1".into()));
        assert_eq!(version(&cache).as_deref(), Some("2"));
        event(&cache, &mut writer, &Event::Apply(service("3")));
        assert_eq!(version(&cache).as_deref(), Some("3"), "somebody wrote after us");
        event(&cache, &mut writer, &Event::Delete(service("3")));
        assert_eq!(version(&cache), None, "our write does not raise the dead");
    }

    #[test]
    fn a_created_child_is_seen_before_the_watch_shows_it() {
        let (store, mut writer) = reflector::store::<Service>();
        let cache = Cache::new(store);
        cache.wrote(service("1"), None);
        assert_eq!(version(&cache).as_deref(), Some("1"));
        event(&cache, &mut writer, &Event::Apply(service("1")));
        event(&cache, &mut writer, &Event::Delete(service("1")));
        assert_eq!(version(&cache), None);
    }

    #[test]
    fn an_answer_that_the_watch_has_overtaken_is_not_kept() {
        let (store, mut writer) = reflector::store::<Service>();
        let cache = Cache::new(store);
        event(&cache, &mut writer, &Event::Apply(service("3")));
        cache.wrote(service("2"), Some("1".into()));
        assert_eq!(version(&cache).as_deref(), Some("3"));
        event(&cache, &mut writer, &Event::Delete(service("3")));
        assert_eq!(version(&cache), None);
    }
}
