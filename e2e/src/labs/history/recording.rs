//! What the workers of a group say of their rebalances, as `e2e/labs/history.sh` collects it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The histories of all workers at one moment.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recording {
    /// Where the workers run: `cluster` or `compose`.
    pub on: String,
    /// The consumer group.
    pub group: String,
    /// Its assignor, if known.
    #[serde(default)]
    pub assignor: Option<String>,
    /// When it was recorded.
    pub taken: Timestamp,
    /// The workers that answered.
    pub workers: Vec<Worker>,
    /// The workers that did not.
    #[serde(default)]
    pub unanswered: Vec<String>,
    /// The processes of workers that are known to have ended, with their histories.
    #[serde(default)]
    pub ended: Vec<Ended>,
}

/// The end of a worker's process. The pod or container may run another one now.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// The pod or the container.
    pub name: String,
    /// When, to the second.
    pub at: Timestamp,
}

/// One worker's answer of `GET /api/Balance/rebalancing-history`, and when its process started.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Worker {
    /// The pod or the container.
    pub name: String,
    /// When the process started: its history is no older.
    pub started_at: Timestamp,
    /// The partitions it has now.
    pub current_partitions: Vec<i32>,
    /// All events since the start; the list keeps the newest ones only.
    pub total_rebalancing_events: u64,
    /// Newest first.
    pub history: Vec<Event>,
}

/// An entry of a worker's history.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// When it was recorded: for a revocation, after its commit.
    pub timestamp: Timestamp,
    /// What happened.
    pub event_type: EventType,
    /// To which partitions.
    pub partitions: Vec<i32>,
    /// A sentence.
    pub details: String,
    /// The group's generation, -1 outside of it.
    pub generation: i32,
    /// Revoked: how long the commit before took.
    #[serde(default)]
    pub commit_millis: Option<u64>,
    /// Assigned: how long until the last partition was processed; absent while one is not.
    #[serde(default)]
    pub restore_millis: Option<u64>,
}

/// The contract's own words.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[allow(missing_docs)]
pub enum EventType {
    Revoked,
    Lost,
    Assigned,
}

impl Event {
    /// When its partitions stopped or were assigned: a revoked partition stands still from the beginning of its commit.
    pub(super) fn began(&self) -> Timestamp {
        earlier(self.timestamp, self.commit_millis.unwrap_or(0))
    }

    /// When its partitions are processed again, or gone.
    pub(super) fn ended(&self) -> Timestamp {
        later(self.timestamp, self.restore_millis.unwrap_or(0))
    }
}

impl Worker {
    /// Whether the worker has had more events than it remembers.
    pub(super) fn has_forgotten(&self) -> bool {
        self.total_rebalancing_events > self.history.len() as u64
    }

    /// The partitions it had before the first event that it remembers.
    pub(super) fn initial_partitions(&self) -> Vec<i32> {
        let mut partitions = self.current_partitions.clone();
        for event in self.history.iter().filter(|_| self.has_forgotten()) {
            partitions.retain(|partition| !event.partitions.contains(partition));
            if event.event_type != EventType::Assigned {
                partitions.extend(&event.partitions);
            }
        }
        if self.has_forgotten() { partitions } else { Vec::new() }
    }
}

/// That many milliseconds before.
pub(super) fn earlier(timestamp: Timestamp, millis: u64) -> Timestamp {
    timestamp.checked_sub(Duration::from_millis(millis)).unwrap_or(Timestamp::MIN)
}

/// That many milliseconds after.
pub(super) fn later(timestamp: Timestamp, millis: u64) -> Timestamp {
    timestamp.checked_add(Duration::from_millis(millis)).unwrap_or(Timestamp::MAX)
}

/// From one moment to another; none if the clock says that the second came first.
pub(super) fn between(first: Timestamp, second: Timestamp) -> Duration {
    Duration::try_from(second.duration_since(first)).unwrap_or(Duration::ZERO)
}
