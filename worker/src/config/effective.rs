//! The settings in effect, every one checked.

use std::{collections::BTreeMap, fmt, net::SocketAddr, time::Duration};

use balancefleet_kafka::Connection;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::{
    domain::rules::{LedgerKind, Rules},
    postgres_target::DatabaseTarget,
};

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) connection: Connection,
    pub(crate) topic: String,
    pub(crate) group_id: String,
    /// Where a group without progress begins.
    pub(crate) start_from: StartFrom,
    /// A member without a heartbeat for this long is removed from the group.
    pub(crate) session_timeout: Duration,
    /// The interval of heartbeats.
    pub(crate) heartbeat_interval: Duration,
    /// A member that does not poll for this long leaves the group.
    pub(crate) max_poll_interval: Duration,
    pub(crate) assignor: Assignor,
    /// The user's librdkafka settings, none of them reserved.
    pub(crate) extra_config: BTreeMap<String, String>,
    pub(crate) rules: Rules,
    pub(crate) store: StoreKind,
    pub(crate) changelog_topic: String,
    /// Replicas of a changelog that the worker creates; `None` for the brokers' default.
    pub(crate) changelog_replication: Option<i32>,
    pub(crate) database: Option<DatabaseTarget>,
    /// The longest wait of progress for its commit; `None` to choose by load.
    pub(crate) commit_interval: Option<Duration>,
    /// The topic for records that cannot be applied.
    pub(crate) dead_letter_topic: Option<String>,
    pub(crate) http_address: SocketAddr,
    pub(crate) peers: Vec<String>,
    /// A pause per newly processed message.
    pub(crate) simulated_work: Duration,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: String,
    /// `balance-worker-<host>-<8 hex>`.
    pub(crate) consumer_id: String,
}

impl Config {
    /// The database, if balances are kept in one.
    pub(crate) fn database_in_use(&self) -> Option<&DatabaseTarget> {
        self.database
            .as_ref()
            .filter(|_| self.rules.ledger == LedgerKind::Balances && self.store == StoreKind::Postgres)
    }
}

/// Where a group without progress begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StartFrom {
    Earliest,
    Latest,
}

/// How the group shares out its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Assignor {
    /// Moves only the partitions that must move; the others continue.
    CooperativeSticky,
    /// Revokes all partitions, then assigns ranges.
    Range,
    /// Revokes all partitions, then assigns them in turn.
    #[value(name = "roundrobin")]
    RoundRobin,
}

impl Assignor {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CooperativeSticky => "cooperative-sticky",
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
        }
    }
}

/// Where balances are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StoreKind {
    /// Keeps balances in a compacted topic, written in one Kafka transaction with the offsets.
    Changelog,
    /// Keeps balances in PostgreSQL, written in one SQL transaction with the progress.
    Postgres,
    /// Keeps offsets only and folds the topic again at every assignment.
    Replay,
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// What the user has agreed to before a rebuild. The comments are the text of `--help`.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RebuildOptions {
    /// Do not ask for confirmation
    #[arg(long = "yes")]
    pub(crate) is_agreed: bool,
    /// Also count records that were refused while their currency was unknown
    #[arg(long)]
    pub(crate) recount: bool,
    /// Where the store has nothing, start at the offset that the metadata of the group's offset names, even if the
    /// topic starts before it. Only for a group that started at the end of the topic (startFrom: Latest) and has lost
    /// its store
    #[arg(long)]
    pub(crate) from_base: bool,
    /// Replace balances of another topic with the same name: a deleted one, or another cluster's
    #[arg(long)]
    pub(crate) another_topic: bool,
    /// Give up transactions that the topic lacks: the exact number that a first run names
    // A negative number is refused as a value, and not read as another flag.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    pub(crate) lose: Option<u64>,
}
