//! The reasons of conditions and events: one word each, for people and for alerts.

/// Every wanted worker is ready.
pub const WORKERS_READY: &str = "WorkersReady";
/// Some wanted workers are not ready yet.
pub const WORKERS_NOT_READY: &str = "WorkersNotReady";
/// `spec.replicas` is 0.
pub const SUSPENDED: &str = "Suspended";
/// `spec.paused` is true.
pub const PAUSED: &str = "Paused";

/// The object cannot be used as it is written; only an edit cures it.
pub const INVALID_SPEC: &str = "InvalidSpec";
/// A Secret that the object names does not exist.
pub const SECRET_NOT_FOUND: &str = "SecretNotFound";
/// A Secret exists but lacks a key, or the key's content cannot be used.
pub const SECRET_INCOMPLETE: &str = "SecretIncomplete";
/// Kafka has no such topic.
pub const TOPIC_NOT_FOUND: &str = "TopicNotFound";
/// No broker answers.
pub const KAFKA_UNREACHABLE: &str = "KafkaUnreachable";
/// The brokers refuse the login.
pub const AUTHENTICATION_FAILED: &str = "AuthenticationFailed";
/// The TLS handshake with the brokers failed.
pub const TLS_FAILED: &str = "TlsFailed";
/// The brokers accept the login but refuse the operation.
pub const AUTHORIZATION_FAILED: &str = "AuthorizationFailed";
/// Kafka answered with another error.
pub const KAFKA_ERROR: &str = "KafkaError";
/// A child of the wanted name exists and belongs to someone else.
pub const NAME_TAKEN: &str = "NameTaken";
/// An older object consumes with the same group on the same Kafka.
pub const GROUP_SHARED: &str = "GroupShared";
/// The API server refused a child.
pub const APPLY_FAILED: &str = "ApplyFailed";

/// A new pod template is being rolled out.
pub const ROLLING_OUT: &str = "RollingOut";
/// The number of workers is changing.
pub const SCALING: &str = "Scaling";
/// Nothing is changing.
pub const SETTLED: &str = "Settled";
/// A rollout made no progress by its deadline.
pub const ROLLOUT_STUCK: &str = "RolloutStuck";

/// The lag of every partition was read.
pub const LAG_READ: &str = "LagRead";
/// The lag of some partitions only was read.
pub const LAG_PARTIAL: &str = "LagPartial";
/// The lag has not been read yet.
pub const LAG_NOT_READ_YET: &str = "LagNotReadYet";

/// The operator follows the lag.
pub const AUTOMATIC: &str = "Automatic";
/// `spec.replicas` is set.
pub const PINNED: &str = "Pinned";
/// `spec.scaling.dryRun` is true.
pub const DRY_RUN: &str = "DryRun";
/// The lag is unknown, so the number of workers stays.
pub const HOLDING: &str = "Holding";

/// The load asks for no more and no fewer workers than the limits allow.
pub const WITHIN_LIMITS: &str = "WithinLimits";
/// `spec.scaling.minReplicas` holds the number up.
pub const AT_MIN_REPLICAS: &str = "AtMinReplicas";
/// `spec.scaling.maxReplicas` holds the number down.
pub const AT_MAX_REPLICAS: &str = "AtMaxReplicas";
/// There is already a worker for every partition.
pub const AT_PARTITIONS: &str = "AtPartitions";

/// The number of workers was raised (event).
pub const SCALED_UP: &str = "ScaledUp";
/// The number of workers was lowered (event).
pub const SCALED_DOWN: &str = "ScaledDown";
/// All workers were stopped, and take up the group with another assignor (event).
pub const ASSIGNOR_CHANGED: &str = "AssignorChanged";
/// Workers have no partition to read.
pub const IDLE_WORKERS: &str = "IdleWorkers";
