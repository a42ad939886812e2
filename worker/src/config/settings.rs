//! Every setting, once: its path in the file, its flag, its variable, its default, its help and its allowed values.
//!
//! Parsing, `--help` and `--print-config` all use this table. clap does not read the variables itself: the caller
//! passes them in, and some settings have two.

use std::{net::SocketAddr, time::Duration};

use balancefleet_kafka::SaslMechanism;
use clap::{Args, Command};

use super::{
    effective::{Assignor, LogFormat, StartFrom, StoreKind},
    topic_names::topic_name,
    value::{
        address, choice, client_setting, content, duration_up_to, ledger, log_level, minor_units, name, peer,
        replication, servers, sign, truth, urls,
    },
};
use crate::domain::{
    money::Currency,
    rules::{LedgerKind, Sign},
    transaction::TransactionType,
};

/// The path of the settings that are passed to librdkafka.
pub(super) const EXTRA_CONFIG: &str = "kafka.extraConfig";
/// Settings whose values are `name=value`.
pub(super) const MAPS: [&str; 3] = [EXTRA_CONFIG, "balances.signs", "balances.minorUnits"];
/// The listen address has two names.
pub(super) const ADDRESS: &str = "http.address";
pub(super) const URLS: &str = "http.urls";

/// Longer pauses would exceed the time that a worker has to stop.
const MAX_SIMULATED_WORK: Duration = Duration::from_secs(1);
/// The longest values that librdkafka accepts for session timeout and heartbeat interval, and for the poll interval.
const MAX_SESSION: Duration = Duration::from_secs(3600);
const MAX_POLL: Duration = Duration::from_secs(24 * 3600);
/// Later commits would make a crash expensive and the lag look large.
const MAX_COMMIT: Duration = Duration::from_secs(60);

/// The settings, each checked by itself. An id is a path in the file, a comment is what `--help` says.
#[derive(Args)]
pub(super) struct Settings {
    /// Bootstrap brokers, host:port,…
    #[arg(long, id = "kafka.bootstrapServers", env = "KAFKA_BOOTSTRAP_SERVERS")]
    #[arg(default_value = "localhost:9092", value_parser = servers)]
    pub(super) bootstrap_servers: String,

    /// Topic to consume
    #[arg(long, id = "kafka.topic", env = "KAFKA_TOPIC", default_value = "banking.transactions", value_parser = name)]
    pub(super) topic: String,

    /// Consumer group
    #[arg(long, id = "kafka.groupId", env = "KAFKA_GROUP_ID", default_value = "balance-service", value_parser = name)]
    pub(super) group_id: String,

    /// Where a group without progress starts: earliest or latest
    #[arg(long, id = "kafka.startFrom", env = "KAFKA_AUTO_OFFSET_RESET")]
    #[arg(default_value = "earliest", value_parser = choice::<StartFrom>)]
    pub(super) auto_offset_reset: StartFrom,

    /// A worker without a heartbeat for this long loses its partitions; at most 1h and max-poll-interval
    #[arg(long, id = "kafka.sessionTimeout", env = "KAFKA_SESSION_TIMEOUT")]
    #[arg(default_value = "10s", value_parser = duration_up_to(MAX_SESSION))]
    pub(super) session_timeout: Duration,

    /// Time between heartbeats, by which workers also learn of rebalances; at most a third of session-timeout
    #[arg(long, id = "kafka.heartbeatInterval", env = "KAFKA_HEARTBEAT_INTERVAL")]
    #[arg(default_value = "500ms", value_parser = duration_up_to(MAX_SESSION))]
    pub(super) heartbeat_interval: Duration,

    /// A worker that does not poll for this long leaves the group; at least session-timeout, at most 24h
    #[arg(long, id = "kafka.maxPollInterval", env = "KAFKA_MAX_POLL_INTERVAL")]
    #[arg(default_value = "60s", value_parser = duration_up_to(MAX_POLL))]
    pub(super) max_poll_interval: Duration,

    /// How partitions are assigned: cooperative-sticky, range or roundrobin
    #[arg(long, id = "kafka.assignor", env = "KAFKA_ASSIGNOR")]
    #[arg(default_value = "cooperative-sticky", value_parser = choice::<Assignor>)]
    pub(super) assignor: Assignor,

    /// true to encrypt; implied by the TLS files below
    #[arg(long, id = "kafka.tls.enabled", env = "KAFKA_TLS_ENABLED", value_parser = truth)]
    pub(super) tls: Option<bool>,

    /// Certificate authorities to trust, PEM
    #[arg(long, id = "kafka.tls.caFile", env = "KAFKA_TLS_CA_FILE", value_parser = content)]
    pub(super) tls_ca_file: Option<String>,

    /// Client certificate, PEM
    #[arg(long, id = "kafka.tls.certificateFile", env = "KAFKA_TLS_CERTIFICATE_FILE", value_parser = content)]
    pub(super) tls_certificate_file: Option<String>,

    /// Key of the client certificate, PEM
    #[arg(long, id = "kafka.tls.keyFile", env = "KAFKA_TLS_KEY_FILE", value_parser = content)]
    pub(super) tls_key_file: Option<String>,

    /// Login mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
    #[arg(long, id = "kafka.sasl.mechanism", env = "KAFKA_SASL_MECHANISM")]
    pub(super) sasl_mechanism: Option<SaslMechanism>,

    /// File that contains the user name
    #[arg(long, id = "kafka.sasl.usernameFile", env = "KAFKA_SASL_USERNAME_FILE", value_parser = content)]
    pub(super) sasl_username_file: Option<String>,

    /// File that contains the password
    #[arg(long, id = "kafka.sasl.passwordFile", env = "KAFKA_SASL_PASSWORD_FILE", value_parser = content)]
    pub(super) sasl_password_file: Option<String>,

    /// Additional librdkafka settings, key=value,…; in the environment KAFKA_CONFIG_FETCH_MIN_BYTES sets
    /// fetch.min.bytes. Settings that exact balances depend on are refused
    #[arg(long, id = EXTRA_CONFIG, value_parser = client_setting)]
    pub(super) kafka_config: Vec<(String, String)>,

    /// balances, or count (process and count any record, keep no balances)
    #[arg(long, id = "ledger", env = "WORKER_LEDGER", default_value = "balances", value_parser = ledger)]
    pub(super) ledger: LedgerKind,

    /// Where balances are stored: changelog (a compacted topic), postgres, or replay (nowhere: the topic is re-read)
    #[arg(long, id = "balances.store", env = "BALANCE_STORE")]
    #[arg(default_value = "changelog", value_parser = choice::<StoreKind>)]
    pub(super) store: StoreKind,

    /// Topic of the store changelog, created if missing [default: <group>-<topic>-changelog-<8 hex>]
    #[arg(long, id = "balances.changelogTopic", env = "BALANCE_CHANGELOG_TOPIC", value_parser = topic_name)]
    pub(super) changelog_topic: Option<String>,

    /// Replication factor of topics that the worker creates [default: the brokers' default]
    #[arg(long, id = "balances.changelogReplication", env = "BALANCE_CHANGELOG_REPLICATION")]
    #[arg(value_parser = replication)]
    pub(super) changelog_replication: Option<i32>,

    /// Database of the store postgres: postgres://user:password@host:port/database. Encrypted and verified unless it
    /// ends with ?sslmode=disable
    #[arg(long, id = "balances.postgresUrl", env = "BALANCE_POSTGRES_URL", hide_env_values = true)]
    pub(super) postgres_url: Option<String>,

    /// Certificate authorities to trust for the database, PEM [default: the system's]
    #[arg(long, id = "balances.postgresCaFile", env = "BALANCE_POSTGRES_CA_FILE", value_parser = content)]
    pub(super) postgres_ca_file: Option<String>,

    /// Longest time progress waits for its commit, at most 60s [default: 1s while there is a backlog, otherwise as soon
    /// as practical]
    #[arg(long, id = "balances.commitInterval", env = "BALANCE_COMMIT_INTERVAL")]
    #[arg(value_parser = duration_up_to(MAX_COMMIT))]
    pub(super) commit_interval: Option<Duration>,

    /// Topic for records that cannot be applied, created if missing [default: they are counted and logged; the store
    /// postgres has a table for them]
    #[arg(long, id = "balances.deadLetterTopic", env = "BALANCE_DEAD_LETTER_TOPIC", value_parser = topic_name)]
    pub(super) dead_letter_topic: Option<String>,

    /// credit, debit or ignore per transaction type, in place of its default sign: Transfer=debit,Payment=ignore
    #[arg(long, id = "balances.signs", env = "BALANCE_SIGNS", value_parser = sign)]
    pub(super) signs: Vec<(TransactionType, Sign)>,

    /// Decimal places per currency (0 to 12), in addition to or instead of ISO 4217: XYZ=3
    #[arg(long, id = "balances.minorUnits", env = "BALANCE_MINOR_UNITS", value_parser = minor_units)]
    pub(super) minor_units: Vec<(Currency, u8)>,

    /// Listen address of the REST API
    #[arg(long, id = ADDRESS, env = "HTTP_ADDRESS", default_value = "0.0.0.0:8080", value_parser = address)]
    pub(super) http_address: SocketAddr,

    /// The same in .NET's form: http://+:8080
    #[arg(long, id = URLS, env = "ASPNETCORE_URLS", value_parser = urls)]
    pub(super) urls: Option<SocketAddr>,

    /// The other workers, host:port,…; one DNS name may resolve to all of them
    #[arg(long, id = "http.peers", env = "WORKER_PEERS", value_parser = peer)]
    pub(super) peers: Vec<String>,

    /// Pause for each newly processed record, for demonstrations; at most 1s
    #[arg(long, id = "simulatedWork", env = "SIMULATED_WORK")]
    #[arg(default_value = "0ms", value_parser = duration_up_to(MAX_SIMULATED_WORK))]
    pub(super) simulated_work: Duration,

    /// Log format: text or json [default: text on a terminal, otherwise json]
    #[arg(long, id = "log.format", env = "LOG_FORMAT", value_parser = choice::<LogFormat>)]
    pub(super) log_format: Option<LogFormat>,

    /// Log level: error, warn, info, debug, trace, or a filter by module
    #[arg(long, id = "log.level", env = "LOG_LEVEL", default_value = "info", value_parser = log_level)]
    pub(super) log_level: String,

    /// Host name part of the consumer id [default: the host name]
    #[arg(long, id = "pod.name", env = "POD_NAME")]
    pub(super) pod_name: Option<String>,

    /// Pod UID, for the consumer id's last 8 digits [default: random]
    #[arg(long, id = "pod.uid", env = "POD_UID")]
    pub(super) pod_uid: Option<String>,
}

impl Settings {
    /// The table, as clap sees it. In `--help` it comes after all other flags.
    pub(super) fn table() -> Command {
        Self::augment_args(Command::new("settings").no_binary_name(true).next_display_order(100))
    }

    /// Where the REST API listens, whichever name it was given under.
    pub(super) fn listen_address(&self) -> SocketAddr {
        self.urls.unwrap_or(self.http_address)
    }
}
