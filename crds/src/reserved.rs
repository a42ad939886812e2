//! Names that the operator sets itself and an object may not set.

/// A group of librdkafka keys that `spec.kafka.extraConfig` refuses for one reason.
pub struct ReservedKeys {
    /// The reason, and what to do instead.
    pub because: &'static str,
    /// Whole keys.
    pub keys: &'static [&'static str],
    /// Prefixes of keys.
    pub prefixes: &'static [&'static str],
}

/// The refused librdkafka keys. Keys with an underscore (callbacks) are already refused by their form.
pub const CONFIG_KEYS: [ReservedKeys; 3] = [
    ReservedKeys {
        because: "spec.kafka has a field for this (kubectl explain bcg.spec.kafka)",
        keys: &[
            "auto.offset.reset",
            "bootstrap.servers",
            "client.id",
            "group.id",
            "heartbeat.interval.ms",
            "max.poll.interval.ms",
            "metadata.broker.list",
            "partition.assignment.strategy",
            "security.protocol",
            "session.timeout.ms",
        ],
        prefixes: &[],
    },
    ReservedKeys {
        because: "configure login and encryption in kafka.tls and kafka.sasl, and keep their secrets in Secrets",
        keys: &[],
        prefixes: &["sasl.", "ssl.", "enable.sasl.", "enable.ssl.", "https."],
    },
    ReservedKeys {
        because: "the worker sets this itself because exact balances or its deadlines depend on it",
        keys: &[
            "acks",
            "allow.auto.create.topics",
            "auto.commit.enable",
            "auto.commit.interval.ms",
            "broker.version.fallback",
            "builtin.features",
            "check.crcs",
            "client.rack",
            "delivery.report.only.error",
            "delivery.timeout.ms",
            "enable.auto.commit",
            "enable.auto.offset.store",
            "enable.gapless.guarantee",
            "enable.idempotence",
            "enable.partition.eof",
            "fetch.max.bytes",
            "fetch.message.max.bytes",
            "fetch.queue.backoff.ms",
            "fetch.wait.max.ms",
            "group.instance.id",
            "group.protocol",
            "group.protocol.type",
            "group.remote.assignor",
            "interceptors",
            "internal.termination.signal",
            "isolation.level",
            "log.queue",
            "max.in.flight",
            "max.in.flight.requests.per.connection",
            "max.partition.fetch.bytes",
            "message.send.max.retries",
            "message.timeout.ms",
            "opaque",
            "partitioner",
            "plugin.library.paths",
            "queued.max.messages.kbytes",
            "queuing.strategy",
            "request.required.acks",
            "request.timeout.ms",
            "retries",
            "socket.timeout.ms",
            "topic.blacklist",
            "topic.metadata.refresh.interval.ms",
            "transaction.timeout.ms",
            "transactional.id",
        ],
        prefixes: &["api.version.", "consume.callback.", "offset.store."],
    },
];

/// Prefixes of environment variable names that `spec.worker.env` refuses. `Kafka__` is that of an older .NET consumer
/// which the worker replaces, and whose names it understands too (see `worker/src/config/sources.rs`).
pub const ENV_PREFIXES: [&str; 5] = ["KAFKA_", "Kafka__", "BALANCE_", "WORKER_", "API_"];
/// Environment variable names that `spec.worker.env` refuses. `ASPNETCORE_URLS` is the .NET name for the HTTP address,
/// which the worker understands too.
pub const ENV_NAMES: [&str; 6] =
    ["ASPNETCORE_URLS", "HTTP_ADDRESS", "LOG_FORMAT", "POD_NAME", "POD_UID", "SIMULATED_WORK"];

/// Labels by which the operator selects pods.
pub const LABELS: [&str; 3] = ["app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/name"];
/// The annotation by which the operator decides which pod is removed first.
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// Prefix of the operator's own labels and annotations.
pub const OWN_PREFIX: &str = "balancefleet.io/";
