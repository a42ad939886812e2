//! What the poller publishes about one group: the source of all that status, conditions and metrics say about Kafka.

use std::time::{Duration, Instant};

use balancefleet_autoscaler::{Decision, LagReading};
use balancefleet_kafka::GroupState;

/// Why Kafka could not be read: a bounded set, because each kind becomes the reason of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The topic does not exist.
    UnknownTopic,
    /// No broker can be reached, or none answers in time.
    BrokerUnreachable,
    /// The login was refused.
    AuthenticationFailed,
    /// The TLS handshake failed.
    TlsFailed,
    /// Logged in, but not allowed to read the group or the topic.
    AuthorizationFailed,
    /// The connection's settings cannot work.
    InvalidConnection,
    /// Anything else; the message is Kafka's own.
    ReadFailed,
}

/// What keeps the group from being read, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaProblem {
    /// The condition's reason.
    pub kind: ProblemKind,
    /// What to do about it; never a secret.
    pub message: String,
    /// The first failed read of this kind.
    pub since: Instant,
}

/// A live member of the group and its lag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberLag {
    /// Its `client.id`, by which the operator finds the pod.
    pub client_id: String,
    /// Its partitions of the polled topic, ascending.
    pub partitions: Vec<i32>,
    /// Their unread records; `None` if unknown for one of them.
    pub lag: Option<i64>,
}

/// The figures of the status, rounded so that they change rarely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rounded {
    /// Unread records, two significant digits; `None` if unknown.
    pub lag: Option<i64>,
    /// Age of the oldest unread record, rounded down to a step; `None` if unknown.
    pub lag_age: Option<Duration>,
}

/// One group as the last poll saw it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The exact lag, for metrics and conditions (lost records, offsets ahead of the log).
    pub lag: LagReading,
    /// The rounded figures, for the status.
    pub rounded: Rounded,
    /// Partitions of the topic, as last known.
    pub partitions: Option<i32>,
    /// The topic's id in Kafka's own text form, as last known.
    pub topic_id: Option<String>,
    /// The group's state; `None` if it could not be read.
    pub group_state: Option<GroupState>,
    /// The assignor that the members agreed on, in Kafka's words; `None` while they have not, or if it could not be
    /// read.
    pub group_assignor: Option<String>,
    /// The live members, by client id; empty if they could not be read (see `group_state`).
    pub members: Vec<MemberLag>,
    /// The desired replicas, and why.
    pub decision: Decision,
    /// Set while the group cannot be read, or only in part.
    pub problem: Option<KafkaProblem>,
    /// When the ends of the logs had been read; members and group state were read after it. For a failed poll: when it
    /// had failed.
    pub taken_at: Instant,
}
