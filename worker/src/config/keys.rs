//! Every setting, once: its path in the file, its name in the environment, its flag, its default and what it means.
//!
//! Reading, `--help` and `--print-config` all go by this table.

/// One setting.
pub(crate) struct Key {
    /// Where it is in the file, and what it is called in this program.
    pub(crate) path: &'static str,
    /// Names in the environment, the first one wins; empty for those that are spread over many variables.
    pub(crate) env: &'static [&'static str],
    /// Its flag, without dashes.
    pub(crate) flag: &'static str,
    /// How it is written.
    pub(crate) form: Form,
    /// Its value when nobody gives one.
    pub(crate) default: Option<&'static str>,
    /// For `--help`.
    pub(crate) help: &'static str,
    /// Whether its value must never be shown.
    pub(crate) is_secret: bool,
}

/// How a setting is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One value.
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

/// The path of the settings that are passed on to librdkafka.
pub(crate) const EXTRA_CONFIG: &str = "kafka.extraConfig";
/// The beginning of their variables.
pub(crate) const EXTRA_CONFIG_ENV: &str = "KAFKA_CONFIG_";

/// All settings, in the order of `--help`.
pub(crate) const KEYS: &[Key] = &[
    scalar(
        "kafka.bootstrapServers",
        &["KAFKA_BOOTSTRAP_SERVERS", "Kafka__BootstrapServers"],
        "bootstrap-servers",
        Some("localhost:9092"),
        "Brokers to start from, host:port,…",
    ),
    scalar("kafka.topic", &["KAFKA_TOPIC", "Kafka__Topic"], "topic", Some("banking.transactions"), "Input topic"),
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
        "Where a group without progress begins: earliest or latest",
    ),
    scalar(
        "kafka.sessionTimeout",
        &["KAFKA_SESSION_TIMEOUT"],
        "session-timeout",
        Some("10s"),
        "A member that is silent for so long loses its partitions",
    ),
    scalar(
        "kafka.heartbeatInterval",
        &["KAFKA_HEARTBEAT_INTERVAL"],
        "heartbeat-interval",
        Some("500ms"),
        "How often a member reports, and so learns of a rebalance; at most a third of the session timeout",
    ),
    scalar(
        "kafka.maxPollInterval",
        &["KAFKA_MAX_POLL_INTERVAL"],
        "max-poll-interval",
        Some("60s"),
        "A member that does not poll for so long leaves; at least the session timeout",
    ),
    scalar(
        "kafka.assignor",
        &["KAFKA_ASSIGNOR"],
        "assignor",
        Some("cooperative-sticky"),
        "cooperative-sticky, range or roundrobin",
    ),
    scalar("kafka.tls.enabled", &["KAFKA_TLS_ENABLED"], "tls", None, "true to encrypt; implied by the files below"),
    scalar("kafka.tls.caFile", &["KAFKA_TLS_CA_FILE"], "tls-ca-file", None, "Authorities to trust, PEM"),
    scalar(
        "kafka.tls.certificateFile",
        &["KAFKA_TLS_CERTIFICATE_FILE"],
        "tls-certificate-file",
        None,
        "Own certificate, PEM",
    ),
    scalar("kafka.tls.keyFile", &["KAFKA_TLS_KEY_FILE"], "tls-key-file", None, "Key of the own certificate, PEM"),
    scalar(
        "kafka.sasl.mechanism",
        &["KAFKA_SASL_MECHANISM"],
        "sasl-mechanism",
        None,
        "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
    ),
    scalar(
        "kafka.sasl.usernameFile",
        &["KAFKA_SASL_USERNAME_FILE"],
        "sasl-username-file",
        None,
        "File with the login's name",
    ),
    scalar(
        "kafka.sasl.passwordFile",
        &["KAFKA_SASL_PASSWORD_FILE"],
        "sasl-password-file",
        None,
        "File with the login's password",
    ),
    Key {
        path: EXTRA_CONFIG,
        env: &[],
        flag: "kafka-config",
        form: Form::Map,
        default: None,
        help: "librdkafka settings, key=value,…; KAFKA_CONFIG_FETCH_MIN_BYTES in the environment is fetch.min.bytes. \
               Those that exactness depends on are refused",
        is_secret: false,
    },
    scalar(
        "ledger",
        &["WORKER_LEDGER"],
        "ledger",
        Some("balances"),
        "balances, or count: any record is processed and counted",
    ),
    scalar(
        "balances.store",
        &["BALANCE_STORE"],
        "store",
        Some("changelog"),
        "Where balances are kept: changelog (a compacted topic), postgres, or replay (nowhere: the input is folded again)",
    ),
    scalar(
        "balances.changelogTopic",
        &["BALANCE_CHANGELOG_TOPIC"],
        "changelog-topic",
        None,
        "Topic of the changelog store, made if missing [default: <group>-<topic>-changelog-<8 hex>]",
    ),
    scalar(
        "balances.changelogReplication",
        &["BALANCE_CHANGELOG_REPLICATION"],
        "changelog-replication",
        None,
        "Replicas of a changelog that has to be made [default: the brokers' own]",
    ),
    Key {
        path: "balances.postgresUrl",
        env: &["BALANCE_POSTGRES_URL"],
        flag: "postgres-url",
        form: Form::Scalar,
        default: None,
        help: "Database of the store postgres: postgres://user:password@host:port/database. Encrypted and verified, unless it \
               ends with ?sslmode=disable",
        is_secret: true,
    },
    scalar(
        "balances.postgresCaFile",
        &["BALANCE_POSTGRES_CA_FILE"],
        "postgres-ca-file",
        None,
        "Authorities to trust for the database, PEM [default: the system's]",
    ),
    scalar(
        "balances.commitInterval",
        &["BALANCE_COMMIT_INTERVAL"],
        "commit-interval",
        None,
        "Progress waits no longer than this for its commit [default: 1s behind the head, as soon as sensible near it]",
    ),
    scalar(
        "balances.deadLetterTopic",
        &["BALANCE_DEAD_LETTER_TOPIC"],
        "dead-letter-topic",
        None,
        "Where records go that cannot be applied, made if missing [default: they are counted and logged; the store postgres \
         has a table for them]",
    ),
    Key {
        path: "balances.signs",
        env: &["BALANCE_SIGNS"],
        flag: "signs",
        form: Form::Map,
        default: None,
        help: "credit, debit or ignore per transaction type, over the labs' signs: Transfer=debit,Payment=ignore",
        is_secret: false,
    },
    Key {
        path: "balances.minorUnits",
        env: &["BALANCE_MINOR_UNITS"],
        flag: "minor-units",
        form: Form::Map,
        default: None,
        help: "Decimals per currency, over ISO 4217: XYZ=3",
        is_secret: false,
    },
    scalar("http.address", &["HTTP_ADDRESS"], "http-address", Some("0.0.0.0:8080"), "Where the REST API listens"),
    scalar("http.urls", &["ASPNETCORE_URLS"], "urls", None, "The same as .NET writes it: http://+:8080"),
    Key {
        path: "http.peers",
        env: &["WORKER_PEERS"],
        flag: "peers",
        form: Form::List,
        default: None,
        help: "The other workers, host:port,…; a DNS name may list them all",
        is_secret: false,
    },
    scalar(
        "simulatedWork",
        &["SIMULATED_WORK"],
        "simulated-work",
        Some("0ms"),
        "A pause per newly processed message, for demonstrations; at most 1s",
    ),
    scalar("log.format", &["LOG_FORMAT"], "log-format", None, "text or json [default: text on a terminal, else json]"),
    scalar(
        "log.level",
        &["LOG_LEVEL"],
        "log-level",
        Some("info"),
        "error, warn, info, debug, trace, or a filter by module",
    ),
    scalar("pod.name", &["POD_NAME"], "pod-name", None, "Host part of the consumer id [default: the host name]"),
    scalar("pod.uid", &["POD_UID"], "pod-uid", None, "Gives the consumer id its last 8 digits [default: random]"),
];

/// Settings of stores and features that this release does not have: refused by name, so that nobody relies on them.
pub(crate) const NOT_AVAILABLE: &[(&str, &str)] = &[("http.tokenFile", "API_TOKEN_FILE")];
