//! The register of watched groups and the newest snapshot of each.

use std::collections::HashMap;
use std::sync::Arc;

use balancefleet_kafka::Connection;
use parking_lot::Mutex;

use super::cluster::Cluster;
use super::triggers::{self, Waker};
use super::{GroupKey, Snapshot, Watch, Woken};

/// Which groups are watched, on which clusters, and what is known of them. Cheap to clone; all clones are one book.
#[derive(Clone)]
pub struct LagBook {
    shelf: Arc<Mutex<Shelf>>,
    waker: Waker,
}

#[derive(Default)]
struct Shelf {
    clusters: HashMap<Connection, Cluster>,
    connections: HashMap<GroupKey, Connection>,
}

impl LagBook {
    /// An empty book and the stream of objects it wakes.
    pub fn new() -> (Self, Woken) {
        let (waker, woken) = triggers::queue();
        (Self { shelf: Arc::default(), waker }, woken)
    }

    /// Watches a group from now on, or takes over what changed of its watch; what was learned is kept unless cluster,
    /// topic or group are others. Call it within a tokio runtime, at every look at the object: it is cheap.
    pub fn register(&self, key: GroupKey, watch: Watch) {
        let mut shelf = self.shelf.lock();
        if shelf.connections.get(&key).is_some_and(|connection| *connection != watch.connection) {
            shelf.remove(&key);
        }
        shelf.connections.insert(key.clone(), watch.connection.clone());
        shelf
            .clusters
            .entry(watch.connection.clone())
            .or_insert_with(|| Cluster::start(watch.connection.clone(), self.waker.clone()))
            .put(key, watch);
    }

    /// Watches the group no longer; a cluster's client goes with its last group.
    pub fn forget(&self, key: &GroupKey) {
        self.shelf.lock().remove(key);
    }

    /// Every watched group.
    pub fn keys(&self) -> Vec<GroupKey> {
        self.shelf.lock().connections.keys().cloned().collect()
    }

    /// What the last poll saw; `None` until the first one after `register` has ended.
    pub fn snapshot(&self, key: &GroupKey) -> Option<Arc<Snapshot>> {
        let shelf = self.shelf.lock();
        shelf.clusters.get(shelf.connections.get(key)?)?.snapshot(key)
    }
}

impl Shelf {
    fn remove(&mut self, key: &GroupKey) {
        let Some(connection) = self.connections.remove(key) else { return };
        if let Some(cluster) = self.clusters.get(&connection)
            && cluster.take(key)
        {
            // Dropping it ends the cluster's task.
            self.clusters.remove(&connection);
        }
    }
}
