//! The polled groups and the newest snapshot of each.

use std::collections::HashMap;
use std::sync::Arc;

use balancefleet_kafka::Connection;
use parking_lot::Mutex;

use super::cluster::Cluster;
use super::triggers::{self, Trigger};
use super::{ObjectKey, PollTarget, Snapshot, Triggers};

/// Which groups are polled, on which clusters, and their newest snapshots. Cheap to clone; clones share their content.
#[derive(Clone)]
pub struct LagRegistry {
    inner: Arc<Mutex<Inner>>,
    trigger: Trigger,
}

#[derive(Default)]
struct Inner {
    clusters: HashMap<Connection, Cluster>,
    connections: HashMap<ObjectKey, Connection>,
}

impl LagRegistry {
    /// An empty registry, and the stream of the objects to reconcile.
    pub fn new() -> (Self, Triggers) {
        let (trigger, triggers) = triggers::queue();
        (Self { inner: Arc::default(), trigger }, triggers)
    }

    /// Polls a group from now on, or updates its target. What was learned is kept unless connection (with its login),
    /// topic or group changed. Needs a tokio runtime; cheap enough for every reconcile.
    pub fn register(&self, key: ObjectKey, target: PollTarget) {
        let mut inner = self.inner.lock();
        if inner.connections.get(&key).is_some_and(|connection| *connection != target.connection) {
            inner.remove(&key);
        }
        inner.connections.insert(key.clone(), target.connection.clone());
        inner
            .clusters
            .entry(target.connection.clone())
            .or_insert_with(|| Cluster::start(target.connection.clone(), self.trigger.clone()))
            .put(key, target);
    }

    /// Stops polling the group; a cluster's client is closed with its last group.
    pub fn forget(&self, key: &ObjectKey) {
        self.inner.lock().remove(key);
    }

    /// Every polled group.
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.inner.lock().connections.keys().cloned().collect()
    }

    /// What the last poll saw; `None` until the first poll after `register` has ended.
    pub fn snapshot(&self, key: &ObjectKey) -> Option<Arc<Snapshot>> {
        let inner = self.inner.lock();
        inner.clusters.get(inner.connections.get(key)?)?.snapshot(key)
    }
}

impl Inner {
    fn remove(&mut self, key: &ObjectKey) {
        let Some(connection) = self.connections.remove(key) else { return };
        if let Some(cluster) = self.clusters.get(&connection)
            && cluster.remove(key)
        {
            // Dropping it ends the cluster's task.
            self.clusters.remove(&connection);
        }
    }
}
