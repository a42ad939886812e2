//! The settings in effect, every one checked.

use std::{collections::BTreeMap, fmt, net::SocketAddr, time::Duration};

use balancefleet_kafka::Connection;
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
    /// A silent member is out after this.
    pub(crate) session_timeout: Duration,
    /// How often a member reports.
    pub(crate) heartbeat_interval: Duration,
    /// A member that does not poll is out after this.
    pub(crate) max_poll_interval: Duration,
    pub(crate) assignor: Assignor,
    /// librdkafka settings from outside, none of them reserved.
    pub(crate) extra_config: BTreeMap<String, String>,
    pub(crate) rules: Rules,
    pub(crate) store: StoreKind,
    pub(crate) changelog_topic: String,
    /// Replicas of a changelog that has to be made; `None` for the brokers' own default.
    pub(crate) changelog_replication: Option<i32>,
    pub(crate) database: Option<DatabaseTarget>,
    /// Progress waits no longer than this for its commit; `None` for what suits the load.
    pub(crate) commit_interval: Option<Duration>,
    /// Where records go that cannot be applied.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartFrom {
    Earliest,
    Latest,
}

/// How the group shares out its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assignor {
    /// Moves only what must move; the rest goes on.
    CooperativeSticky,
    /// Stops all, shares out ranges.
    Range,
    /// Stops all, deals one by one.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StoreKind {
    /// Keeps offsets only and folds the topic again at every assignment.
    Replay,
    /// Keeps balances in a compacted topic, written in one Kafka transaction with the offsets.
    Changelog,
    /// Keeps balances in PostgreSQL, written in one SQL transaction with the progress.
    Postgres,
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replay => "replay",
            Self::Changelog => "changelog",
            Self::Postgres => "postgres",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// What a person has said of a rebuild beforehand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RebuildOptions {
    /// It need not be asked for.
    pub(crate) is_agreed: bool,
    /// Where the store has nothing, the ledger begins where the metadata of the group's offset says, although the log
    /// begins before.
    pub(crate) from_base: bool,
    /// The balances may be replaced by those of another topic of the same name.
    pub(crate) another_topic: bool,
    /// So many transactions are given up with it.
    pub(crate) lose: Option<u64>,
    /// Records count also where they were refused because their currency was unknown then.
    pub(crate) recount: bool,
}
