//! What the controller asks the poller to poll.

use balancefleet_autoscaler::{Current, Policy, SavedHistory, StartFrom};
use balancefleet_kafka::Connection;

/// Namespace and name of a custom resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One consumer group on one Kafka cluster, with what a decision about it needs.
#[derive(Debug, Clone, PartialEq)]
pub struct PollTarget {
    /// The cluster, with TLS and login; groups of equal connections share one client.
    pub connection: Connection,
    /// The topic whose partitions count.
    pub topic: String,
    /// The consumer group.
    pub group: String,
    /// Where the group begins if it has never committed.
    pub start_from: StartFrom,
    /// The goals and limits of the scaling decision.
    pub policy: Policy,
    /// What runs now, as the controller last saw it.
    pub current: Current,
    /// What the object's status says about earlier polls; a group that this process has not polled yet resumes from it.
    pub saved_history: SavedHistory,
}

impl PollTarget {
    /// Whether both are about the same group and topic, so that what was learned still holds.
    pub(super) fn is_about_the_same(&self, other: &Self) -> bool {
        self.topic == other.topic && self.group == other.group
    }
}
