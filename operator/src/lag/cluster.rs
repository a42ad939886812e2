//! The groups of one Kafka cluster.

use std::collections::HashMap;
use std::sync::Arc;

use balancefleet_kafka::Connection;
use parking_lot::Mutex;

use super::wake::Waker;
use super::{GroupKey, Snapshot, Watch};

/// What is watched of one group, and what is known of it.
struct Watched {
    watch: Watch,
    snapshot: Option<Arc<Snapshot>>,
}

/// One Kafka cluster and its groups.
pub(super) struct Cluster {
    groups: Arc<Mutex<HashMap<GroupKey, Watched>>>,
}

impl Cluster {
    pub(super) fn start(_connection: Connection, _waker: Waker) -> Self {
        Self { groups: Arc::default() }
    }

    pub(super) fn put(&self, key: GroupKey, watch: Watch) {
        let mut groups = self.groups.lock();
        match groups.get_mut(&key) {
            Some(known) if known.watch.topic == watch.topic && known.watch.group == watch.group => known.watch = watch,
            _ => drop(groups.insert(key, Watched { watch, snapshot: None })),
        }
    }

    /// Whether that was the last one.
    pub(super) fn take(&self, key: &GroupKey) -> bool {
        let mut groups = self.groups.lock();
        groups.remove(key);
        groups.is_empty()
    }

    pub(super) fn snapshot(&self, key: &GroupKey) -> Option<Arc<Snapshot>> {
        self.groups.lock().get(key)?.snapshot.clone()
    }
}
