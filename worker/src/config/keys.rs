//! Every setting, once: its path in the file, its environment variables, its flag, its default and its help.
//!
//! Parsing, `--help` and `--print-config` all use this table.

pub(crate) struct Key {
    /// Its path in the file, which is also its name in this program.
    pub(crate) path: &'static str,
    /// Environment variables, the first one wins; empty for a setting that is spread over many variables.
    pub(crate) env: &'static [&'static str],
    /// Its flag, without dashes.
    pub(crate) flag: &'static str,
    pub(crate) form: Form,
    /// Its value when none is given.
    pub(crate) default: Option<&'static str>,
    pub(crate) help: &'static str,
    /// Whether its value must never be shown.
    pub(crate) is_secret: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Scalar,
    /// A list in the file, comma-separated elsewhere.
    List,
    /// A map in the file, `name=value,…` elsewhere.
    Map,
}

const fn scalar(
    path: &'static str,
    env: &'static [&'static str],
    flag: &'static str,
    default: Option<&'static str>,
    help: &'static str,
) -> Key {
    Key { path, env, flag, form: Form::Scalar, default, help, is_secret: false }
}

/// The path of the settings that are passed to librdkafka.
pub(crate) const EXTRA_CONFIG: &str = "kafka.extraConfig";
/// The prefix of their environment variables.
pub(crate) const EXTRA_CONFIG_ENV: &str = "KAFKA_CONFIG_";

/// All settings, in the order of `--help`.
pub(crate) const KEYS: &[Key] = &[
    scalar(
        "kafka.bootstrapServers",
        &["KAFKA_BOOTSTRAP_SERVERS", "Kafka__BootstrapServers"],
        "bootstrap-servers",
        Some("localhost:9092"),
        "Bootstrap brokers, host:port,…",
    ),
    scalar("kafka.topic", &["KAFKA_TOPIC", "Kafka__Topic"], "topic", Some("banking.transactions"), "Topic to consume"),
    scalar(
        "kafka.groupId",
        &["KAFKA_GROUP_ID", "Kafka__GroupId"],
        "group-id",
        Some("balance-service"),
        "Consumer group",
    ),
    scalar(
        "kafka.startFrom",
        &["KAFKA_AUTO_OFFSET_RESET", "Kafka__AutoOffsetReset"],
        "auto-offset-reset",
        Some("earliest"),
        "Where a group without progress starts: earliest or latest",
    ),
    scalar(
        "kafka.sessionTimeout",
        &["KAFKA_SESSION_TIMEOUT"],
        "session-timeout",
        Some("10s"),
        "A worker without a heartbeat for this long loses its partitions; at most 1h and max-poll-interval",
    ),
    scalar(
        "kafka.heartbeatInterval",
        &["KAFKA_HEARTBEAT_INTERVAL"],
        "heartbeat-interval",
        Some("500ms"),
        "Time between heartbeats, by which workers also learn of rebalances; at most a third of session-timeout",
    ),
    scalar(
        "kafka.maxPollInterval",
        &["KAFKA_MAX_POLL_INTERVAL"],
        "max-poll-interval",
        Some("60s"),
        "A worker that does not poll for this long leaves the group; at least session-timeout, at most 24h",
    ),
    scalar(
        "kafka.assignor",
        &["KAFKA_ASSIGNOR"],
        "assignor",
        Some("cooperative-sticky"),
        "How partitions are assigned: cooperative-sticky, range or roundrobin",
    ),
    scalar("kafka.tls.enabled", &["KAFKA_TLS_ENABLED"], "tls", None, "true to encrypt; implied by the TLS files below"),
    scalar("kafka.tls.caFile", &["KAFKA_TLS_CA_FILE"], "tls-ca-file", None, "Certificate authorities to trust, PEM"),
    scalar(
        "kafka.tls.certificateFile",
        &["KAFKA_TLS_CERTIFICATE_FILE"],
        "tls-certificate-file",
        None,
        "Client certificate, PEM",
    ),
    scalar("kafka.tls.keyFile", &["KAFKA_TLS_KEY_FILE"], "tls-key-file", None, "Key of the client certificate, PEM"),
    scalar(
        "kafka.sasl.mechanism",
        &["KAFKA_SASL_MECHANISM"],
        "sasl-mechanism",
        None,
        "Login mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
    ),
    scalar(
        "kafka.sasl.usernameFile",
        &["KAFKA_SASL_USERNAME_FILE"],
        "sasl-username-file",
        None,
        "File that contains the user name",
    ),
    scalar(
        "kafka.sasl.passwordFile",
        &["KAFKA_SASL_PASSWORD_FILE"],
        "sasl-password-file",
        None,
        "File that contains the password",
    ),
    Key {
        path: EXTRA_CONFIG,
        env: &[],
        flag: "kafka-config",
        form: Form::Map,
        default: None,
        help: "Additional librdkafka settings, key=value,…; in the environment KAFKA_CONFIG_FETCH_MIN_BYTES sets \
               fetch.min.bytes. Settings that exact balances depend on are refused",
        is_secret: false,
    },
    scalar(
        "ledger",
        &["WORKER_LEDGER"],
        "ledger",
        Some("balances"),
        "balances, or count (process and count any record, keep no balances)",
    ),
    scalar(
        "balances.store",
        &["BALANCE_STORE"],
        "store",
        Some("changelog"),
        "Where balances are stored: changelog (a compacted topic), postgres, or replay (nowhere: the topic is re-read)",
    ),
    scalar(
        "balances.changelogTopic",
        &["BALANCE_CHANGELOG_TOPIC"],
        "changelog-topic",
        None,
        "Topic of the store changelog, created if missing [default: <group>-<topic>-changelog-<8 hex>]",
    ),
    scalar(
        "balances.changelogReplication",
        &["BALANCE_CHANGELOG_REPLICATION"],
        "changelog-replication",
        None,
        "Replication factor of topics that the worker creates [default: the brokers' default]",
    ),
    Key {
        path: "balances.postgresUrl",
        env: &["BALANCE_POSTGRES_URL"],
        flag: "postgres-url",
        form: Form::Scalar,
        default: None,
        help: "Database of the store postgres: postgres://user:password@host:port/database. Encrypted and verified \
               unless it ends with ?sslmode=disable",
        is_secret: true,
    },
    scalar(
        "balances.postgresCaFile",
        &["BALANCE_POSTGRES_CA_FILE"],
        "postgres-ca-file",
        None,
        "Certificate authorities to trust for the database, PEM [default: the system's]",
    ),
    scalar(
        "balances.commitInterval",
        &["BALANCE_COMMIT_INTERVAL"],
        "commit-interval",
        None,
        "Longest time progress waits for its commit, at most 60s [default: 1s while there is a backlog, otherwise as \
         soon as practical]",
    ),
    scalar(
        "balances.deadLetterTopic",
        &["BALANCE_DEAD_LETTER_TOPIC"],
        "dead-letter-topic",
        None,
        "Topic for records that cannot be applied, created if missing [default: they are counted and logged; the store \
         postgres has a table for them]",
    ),
    Key {
        path: "balances.signs",
        env: &["BALANCE_SIGNS"],
        flag: "signs",
        form: Form::Map,
        default: None,
        help: "credit, debit or ignore per transaction type, replacing the labs' signs: Transfer=debit,Payment=ignore",
        is_secret: false,
    },
    Key {
        path: "balances.minorUnits",
        env: &["BALANCE_MINOR_UNITS"],
        flag: "minor-units",
        form: Form::Map,
        default: None,
        help: "Decimal places per currency (0 to 12), in addition to or instead of ISO 4217: XYZ=3",
        is_secret: false,
    },
    scalar("http.address", &["HTTP_ADDRESS"], "http-address", Some("0.0.0.0:8080"), "Listen address of the REST API"),
    scalar("http.urls", &["ASPNETCORE_URLS"], "urls", None, "The same in .NET's form: http://+:8080"),
    Key {
        path: "http.peers",
        env: &["WORKER_PEERS"],
        flag: "peers",
        form: Form::List,
        default: None,
        help: "The other workers, host:port,…; one DNS name may resolve to all of them",
        is_secret: false,
    },
    scalar(
        "simulatedWork",
        &["SIMULATED_WORK"],
        "simulated-work",
        Some("0ms"),
        "Pause for each newly processed record, for demonstrations; at most 1s",
    ),
    scalar(
        "log.format",
        &["LOG_FORMAT"],
        "log-format",
        None,
        "Log format: text or json [default: text on a terminal, otherwise json]",
    ),
    scalar(
        "log.level",
        &["LOG_LEVEL"],
        "log-level",
        Some("info"),
        "Log level: error, warn, info, debug, trace, or a filter by module",
    ),
    scalar("pod.name", &["POD_NAME"], "pod-name", None, "Host name part of the consumer id [default: the host name]"),
    scalar("pod.uid", &["POD_UID"], "pod-uid", None, "Pod UID, for the consumer id's last 8 digits [default: random]"),
];

/// Settings of stores and features that this release does not have; refused by name so that nobody relies on them.
pub(crate) const NOT_AVAILABLE: &[(&str, &str)] = &[("http.tokenFile", "API_TOKEN_FILE")];
