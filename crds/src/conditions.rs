//! The condition types of a [`crate::BalanceConsumerGroup`]. The first five are always present, the others only while
//! true.
//!
//! Their logic is in `operator/src/controller/status/conditions.rs`. What else a new one needs: see "A status
//! condition" in `docs/architecture.md`.

/// The object is valid, Kafka and the Secrets are usable, and the wanted workers are ready.
pub const READY: &str = "Ready";
/// Workers are being rolled out or their number is changing.
pub const PROGRESSING: &str = "Progressing";
/// The lag of every partition is known.
pub const LAG_KNOWN: &str = "LagKnown";
/// The operator chooses the number of replicas.
pub const SCALING_ACTIVE: &str = "ScalingActive";
/// A limit keeps replicas from the number that the load needs.
pub const SCALING_LIMITED: &str = "ScalingLimited";

/// One partition gets more records than one worker can process, so more workers would not help.
pub const HOT_PARTITION: &str = "HotPartition";
/// Retention deleted records before they were read.
pub const DATA_LOSS: &str = "DataLoss";
/// A committed offset is beyond the end of its partition.
pub const OFFSET_AHEAD_OF_LOG: &str = "OffsetAheadOfLog";
/// There are more workers than partitions, so some have none.
pub const OVER_CAPACITY: &str = "OverCapacity";
/// Something else keeps changing the Deployment's replicas.
pub const REPLICAS_CONTENDED: &str = "ReplicasContended";
/// The consumer group has members that are not pods of this object.
pub const FOREIGN_MEMBERS: &str = "ForeignMembers";
/// `spec.kafka.consumer.assignor` changed while workers with the previous assignor still run.
pub const ASSIGNOR_CHANGE_PENDING: &str = "AssignorChangePending";
/// The workers run another image than that of the operator's release.
pub const WORKER_IMAGE_OUTDATED: &str = "WorkerImageOutdated";

/// The conditions that are always present, whatever their status.
pub const ALWAYS_PRESENT: [&str; 5] = [READY, PROGRESSING, LAG_KNOWN, SCALING_ACTIVE, SCALING_LIMITED];
