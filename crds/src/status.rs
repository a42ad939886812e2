//! `status`: what the operator saw and decided. Unknown is absent, never zero.
//!
//! Closed sets of words are plain strings in the schema, so that a newer operator can still write its status while an
//! older definition is installed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// What the operator last saw and decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BalanceConsumerGroupStatus {
    /// The `metadata.generation` this status was written for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Worker pods that exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Worker pods that are ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Label selector of the worker pods, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub selector: Option<String>,
    /// The consumer group in effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 249))]
    pub group_id: Option<String>,
    /// Partitions of the topic: the most workers that can have something to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
    /// Unread records over all partitions, to two significant digits. Absent while it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,
    /// Age of the oldest unread record, in steps (0s, 1s, 2s, 5s, 10s, 30s, 1m, …). Absent while it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub lag_age: Option<String>,
    /// Members of the consumer group, whoever started them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<i32>,
    /// State of the consumer group in Kafka's words: `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty`,
    /// `Dead`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub group_state: Option<String>,
    /// Assignor of the workers' pod template, or of the last one that there was: `CooperativeSticky`, `Range` or `RoundRobin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub assignor: Option<String>,
    /// The store in effect, or absent where the ledger keeps no balances.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub store: Option<String>,
    /// Who reads which partitions. At most 50 rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), extend("x-kubernetes-list-type" = "atomic"))]
    pub assignment: Vec<AssignmentRow>,
    /// The last scaling decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingStatus>,
    /// The state in the words of standard conditions; `kubectl wait --for=condition=Ready` reads them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// One worker and the partitions it reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssignmentRow {
    /// Name of the pod, or the client id of a member that is not one of our pods.
    #[schemars(length(max = 253))]
    pub pod: String,
    /// Its partitions, as ranges: `0-2,5`.
    #[schemars(length(max = 1024))]
    pub partitions: String,
    /// Unread records in its partitions, to two significant digits. Absent while it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,
}

/// The last scaling decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingStatus {
    /// Who decides: `Auto`, `Pinned`, `DryRun`, `Holding` or `Paused`.
    #[schemars(schema_with = "schema::word")]
    pub mode: ScalingMode,
    /// Workers wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<i32>,
    /// One word for why.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// One sentence with the numbers of the decision.
    #[schemars(length(max = 1024))]
    pub explanation: String,
    /// When this decision was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What has been learned about the workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<Learned>,
}

/// Who decides how many workers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ScalingMode {
    /// The operator, from the lag.
    Auto,
    /// `spec.replicas`.
    Pinned,
    /// The operator explains what it would do and does nothing.
    DryRun,
    /// The lag is not known, so the number stays.
    Holding,
    /// `spec.paused`.
    Paused,
}

impl ScalingMode {
    /// The word in the status.
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

/// What has been learned about the workers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Learned {
    /// Records per second one worker can process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_replica: Option<i64>,
    /// Where the rate is from: `BusyTime`, `Saturation`, `LowerBound` or `Expected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::word")]
    pub source: Option<CapacitySource>,
}

/// Where the rate of one worker is known from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CapacitySource {
    /// Records over busy seconds, as the workers report them with their commits.
    BusyTime,
    /// The rate while a backlog kept every worker busy.
    Saturation,
    /// The highest rate seen; the real one may be higher.
    LowerBound,
    /// `spec.scaling.expectedRatePerReplica`.
    Expected,
}
