//! The condition types of a [`crate::BalanceConsumerGroup`]. The first five are always present, the others while true.

/// The object is accepted, Kafka and the Secrets are in order, and the wanted workers are ready.
pub const READY: &str = "Ready";
/// Workers are being rolled out or their number is changing.
pub const PROGRESSING: &str = "Progressing";
/// The lag of every partition is known.
pub const LAG_KNOWN: &str = "LagKnown";
/// The operator chooses the number of workers.
pub const SCALING_ACTIVE: &str = "ScalingActive";
/// A limit keeps the number of workers from what the load asks for.
pub const SCALING_LIMITED: &str = "ScalingLimited";

/// One partition carries more than one worker can process: more workers would not help.
pub const HOT_PARTITION: &str = "HotPartition";
/// Records were deleted by retention before they were read.
pub const DATA_LOSS: &str = "DataLoss";
/// A committed offset lies beyond the end of its partition.
pub const OFFSET_AHEAD_OF_LOG: &str = "OffsetAheadOfLog";
/// There are workers without a partition.
pub const OVER_CAPACITY: &str = "OverCapacity";
/// Someone else keeps changing the Deployment's replicas.
pub const REPLICAS_CONTENDED: &str = "ReplicasContended";
/// The consumer group has members that are not this object's pods.
pub const FOREIGN_MEMBERS: &str = "ForeignMembers";
/// `spec.kafka.consumer.assignor` was changed and workers with the former one still run.
pub const ASSIGNOR_CHANGE_PENDING: &str = "AssignorChangePending";
/// The fleet runs an older image than the operator's release.
pub const WORKER_IMAGE_OUTDATED: &str = "WorkerImageOutdated";

/// The conditions that are present whatever their status.
pub const ALWAYS_PRESENT: [&str; 5] = [READY, PROGRESSING, LAG_KNOWN, SCALING_ACTIVE, SCALING_LIMITED];
