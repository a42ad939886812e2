//! `status`: what the operator saw and decided. Unknown values are absent, never zero.
//!
//! Enumerations are plain strings in the schema, so a newer operator can still write its status while an older CRD is
//! installed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// What the operator last observed and decided. Unknown values are absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BalanceConsumerGroupStatus {
    /// The `metadata.generation` that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Number of worker pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Number of ready worker pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Label selector of the worker pods, as a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub selector: Option<String>,
    /// Effective consumer group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 249))]
    pub group_id: Option<String>,
    /// Number of partitions of the topic: the largest useful number of replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
    /// Unread records of all partitions, rounded to two significant digits. Absent while unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,
    /// Age of the oldest unread record, in steps (`0s`, `1s`, `2s`, `5s`, `10s`, `30s`, `1m`, …). Absent while unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub lag_age: Option<String>,
    /// Members of the consumer group, including those that are not pods of this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<i32>,
    /// State of the consumer group as Kafka reports it: `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty`
    /// or `Dead`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub group_state: Option<String>,
    /// Assignor in the workers' pod template, or in the last known one: `CooperativeSticky`, `Range` or `RoundRobin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub assignor: Option<String>,
    /// Effective store. Absent if the ledger keeps no balances.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub store: Option<String>,
    /// Partitions assigned to each member of the group. At most 50 rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), extend("x-kubernetes-list-type" = "atomic"))]
    pub assignment: Vec<AssignmentRow>,
    /// Latest scaling decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingStatus>,
    /// Standard conditions, for example for `kubectl wait --for=condition=Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// One member of the group and its partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssignmentRow {
    /// Pod name, or the client id of a member that is not a pod of this object.
    #[schemars(length(max = 253))]
    pub pod: String,
    /// Assigned partitions, as ranges such as `0-2,5`.
    #[schemars(length(max = 1024))]
    pub partitions: String,
    /// Unread records of these partitions, rounded to two significant digits. Absent while unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,
}

/// The latest scaling decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingStatus {
    /// What decides the number of replicas: `Auto`, `Pinned`, `DryRun`, `Holding` or `Paused`.
    #[schemars(schema_with = "schema::word")]
    pub mode: ScalingMode,
    /// Wanted number of replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<i32>,
    /// Reason for the decision, as one word.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// The decision in one sentence, with its numbers.
    #[schemars(length(max = 1024))]
    pub explanation: String,
    /// Time of this decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Measured properties of the workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<Learned>,
}

/// What decides the number of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ScalingMode {
    /// The operator, by lag.
    Auto,
    /// `spec.replicas`.
    Pinned,
    /// Nothing changes; the operator only explains what it would do.
    DryRun,
    /// The lag is unknown; replicas are held.
    Holding,
    /// `spec.paused`.
    Paused,
}

impl ScalingMode {
    /// The name in the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "Auto",
            Self::Pinned => "Pinned",
            Self::DryRun => "DryRun",
            Self::Holding => "Holding",
            Self::Paused => "Paused",
        }
    }
}

/// Measured properties of the workers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Learned {
    /// Records per second one worker can process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_replica: Option<i64>,
    /// Source of the rate: `BusyTime`, `Saturation`, `Expected` or `LowerBound`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::word")]
    pub source: Option<CapacitySource>,
}

/// Source of a worker's rate, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CapacitySource {
    /// Records per busy second, as workers report them with their commits.
    BusyTime,
    /// The rate of workers that a backlog kept busy.
    Saturation,
    /// `spec.scaling.expectedRatePerReplica`.
    Expected,
    /// The highest observed rate; the real one may be higher.
    LowerBound,
}
