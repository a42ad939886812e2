//! The reasons of conditions and events: one word each, for users and alerts.

/// Every wanted worker is ready.
pub const WORKERS_READY: &str = "WorkersReady";
/// Some wanted workers are not ready yet.
pub const WORKERS_NOT_READY: &str = "WorkersNotReady";
/// `spec.replicas` is 0.
pub const SUSPENDED: &str = "Suspended";
/// `spec.paused` is true.
pub const PAUSED: &str = "Paused";

/// The object cannot be used as written; only a change of its spec helps.
pub const INVALID_SPEC: &str = "InvalidSpec";
/// A Secret named by the object does not exist.
pub const SECRET_NOT_FOUND: &str = "SecretNotFound";
/// A Secret lacks a key, or the content of a key cannot be used.
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
/// A child object with this name exists and belongs to someone else.
pub const NAME_TAKEN: &str = "NameTaken";
/// An older object uses the same group on the same Kafka cluster.
pub const GROUP_SHARED: &str = "GroupShared";
/// The API server refused a child object.
pub const APPLY_FAILED: &str = "ApplyFailed";

/// A new pod template is being rolled out.
pub const ROLLING_OUT: &str = "RollingOut";
/// The number of replicas is changing.
pub const SCALING: &str = "Scaling";
/// Nothing is changing.
pub const SETTLED: &str = "Settled";
/// A roll-out made no progress before its deadline.
pub const ROLLOUT_STUCK: &str = "RolloutStuck";

/// The lag of every partition was read.
pub const LAG_READ: &str = "LagRead";
/// The lag of only some partitions was read.
pub const LAG_PARTIAL: &str = "LagPartial";
/// The lag has not been read yet.
pub const LAG_NOT_READ_YET: &str = "LagNotReadYet";

/// The operator scales by lag.
pub const AUTOMATIC: &str = "Automatic";
/// `spec.replicas` is set.
pub const PINNED: &str = "Pinned";
/// `spec.scaling.dryRun` is true.
pub const DRY_RUN: &str = "DryRun";
/// The lag is unknown; replicas are held.
pub const HOLDING: &str = "Holding";

/// The load needs neither more nor fewer workers than the limits allow.
pub const WITHIN_LIMITS: &str = "WithinLimits";
/// `spec.scaling.minReplicas` keeps the number from going lower.
pub const AT_MIN_REPLICAS: &str = "AtMinReplicas";
/// `spec.scaling.maxReplicas` keeps the number from going higher.
pub const AT_MAX_REPLICAS: &str = "AtMaxReplicas";
/// Every partition already has a worker of its own.
pub const AT_PARTITIONS: &str = "AtPartitions";

/// The number of replicas was increased (event).
pub const SCALED_UP: &str = "ScaledUp";
/// The number of replicas was reduced (event).
pub const SCALED_DOWN: &str = "ScaledDown";
/// All workers were stopped and rejoin the group with another assignor (event).
pub const ASSIGNOR_CHANGED: &str = "AssignorChanged";
/// Some workers have no partition.
pub const IDLE_WORKERS: &str = "IdleWorkers";
