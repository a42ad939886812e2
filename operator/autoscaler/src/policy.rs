//! What the user wants for a group and what the cluster runs now: the two inputs of a decision that do not come from
//! Kafka. Plain numbers, already validated; numbers of replicas and partitions are `i32`, as in Kubernetes.

use std::time::Duration;

/// Where a group that has no committed offset begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StartFrom {
    /// At the first record that the log still holds.
    #[default]
    Earliest,
    /// At the end of the log as it was when the group was first seen.
    Latest,
}

/// How the group assigns its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Assignor {
    /// Moves only the partitions that must move; all others are processed on.
    #[default]
    CooperativeSticky,
    /// Consecutive blocks; every change stops all workers.
    Range,
    /// One after the other; every change stops all workers.
    RoundRobin,
}

impl Assignor {
    /// Whether a rebalance stops every partition and not only those that move.
    pub(crate) const fn is_eager(self) -> bool {
        !matches!(self, Self::CooperativeSticky)
    }
}

/// The goals and limits of one group.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Never fewer workers, at least 1.
    pub min_replicas: i32,
    /// Never more workers; `None`: as many as there are partitions, which is always a limit.
    pub max_replicas: Option<i32>,
    /// How old the oldest unread record may be.
    pub lag_slo: Duration,
    /// Time in which a backlog should be worked off.
    pub drain_within: Duration,
    /// Percent of a worker's capacity to plan with, 1 to 100.
    pub target_utilization: i32,
    /// Records per second that one worker is expected to process, until its capacity is measured.
    pub expected_rate_per_replica: Option<i32>,
    /// How the group assigns its partitions.
    pub assignor: Assignor,
}

impl Default for Policy {
    /// The defaults of the custom resource.
    fn default() -> Self {
        Self {
            min_replicas: 1,
            max_replicas: None,
            lag_slo: Duration::from_secs(60),
            drain_within: Duration::from_secs(60),
            target_utilization: 90,
            expected_rate_per_replica: None,
            assignor: Assignor::default(),
        }
    }
}

impl Policy {
    /// The most workers that are useful for this number of partitions; at least 1.
    pub fn ceiling(&self, partitions: i32) -> i32 {
        self.max_replicas.map_or(partitions, |max| max.min(partitions)).max(1)
    }

    /// The fewest workers. If it is above the ceiling, the ceiling wins, because a worker beyond it has nothing to
    /// read.
    pub fn floor(&self, partitions: i32) -> i32 {
        self.min_replicas.max(1).min(self.ceiling(partitions))
    }

    /// Replicas within all limits: `min(maximum, partitions, max(minimum, number))`. Never 0, which only a user may ask
    /// for. If the number of partitions is not known yet (`None`), it is no limit.
    pub fn bounded(&self, number: i32, partitions: Option<i32>) -> i32 {
        let partitions = partitions.unwrap_or(i32::MAX);
        number.clamp(self.floor(partitions), self.ceiling(partitions))
    }

    /// Replicas while lag is unknown. The user's own limits still hold. The number of partitions was read from Kafka
    /// like the lag, so no worker is removed because of it; it only keeps the minimum from adding workers that would
    /// have nothing to read.
    pub fn bounded_without_lag(&self, number: i32, partitions: Option<i32>) -> i32 {
        number.clamp(self.floor(partitions.unwrap_or(i32::MAX)), self.ceiling(i32::MAX))
    }

    /// The part of a worker's capacity to plan with, in (0, 1].
    pub(crate) fn target(&self) -> f64 {
        f64::from(self.target_utilization.clamp(1, 100)) / 100.0
    }
}

/// Why the replicas are frozen: they stay as they are, whatever the load needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FreezeReason {
    /// A user or another controller has fixed them.
    Pinned,
    /// The object is paused.
    Paused,
    /// A new pod template is being rolled out: old and new workers overlap, so the figures describe neither.
    RollingUpdate,
}

/// What runs now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Current {
    /// The replicas last decided, which the Deployment should have.
    pub desired: i32,
    /// Set while the replicas must not change; how many are needed is still computed and explained.
    pub frozen_by: Option<FreezeReason>,
    /// Identifies the pod template. When it changes, the learned capacity of a worker is forgotten.
    pub template: String,
}
