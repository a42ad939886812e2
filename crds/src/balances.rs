//! `spec.ledger` and `spec.balances`: what workers keep of the records (a *ledger* per partition), and where balances
//! are stored.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::kafka::SecretRef;
use crate::schema;

/// What the workers keep of the records: the kind of their ledgers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Ledger {
    #[default]
    Balances,
    Count,
}

/// How transactions become balances, and where balances are stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Balances {
    /// Where balances are stored; set exactly one field. Default: `changelog: {}`. Immutable, because workers with
    /// different stores would share one group during the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Store>,
    /// Effect of each transaction type on its customer's balance: `Credit` adds, `Debit` subtracts, `Ignore` skips the
    /// transaction. Default: Withdrawal, CardPayment and BillPayment are debits; Transfer, Payment, Deposit and
    /// InternationalTransfer are credits. Immutable, because a change would mix two ledgers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 7))]
    pub signs: BTreeMap<String, Sign>,
    /// Decimal places (0 to 12) per currency, in addition to or instead of those of ISO 4217, for example `XYZ: 3`. At
    /// most 64 currencies. You may add currencies, which count from then on; decimals that are set cannot be changed,
    /// because the same digits would then be worth a different amount.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::minor_units")]
    pub minor_units: BTreeMap<String, i32>,
    /// Topic for records that cannot be applied, such as broken JSON or an unknown currency. Each record is written
    /// there once and unchanged, with headers for its origin and the error; the topic is created if missing. Default:
    /// such records are only counted and logged. Not available with the store `replay`; `postgres` uses a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 249))]
    pub dead_letter_topic: Option<String>,
}

/// Where balances are stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Store {
    /// Stores balances in a compacted topic, one record per customer, written in one transaction with the group's
    /// offsets. A worker that is assigned a partition reads about as many records as the partition has customers. Needs
    /// Kafka 3.6 or later; `changelog: {}` selects the defaults.
    Changelog(Changelog),
    /// Stores balances in PostgreSQL, one row per customer and currency, written in one SQL transaction with the
    /// progress. Missing tables are created in the schema `balancefleet`. Every worker answers API reads from the
    /// database.
    Postgres(Postgres),
    /// Stores nothing: a worker that is assigned a partition re-reads it from its first record. Correct and simple, but
    /// a take-over is as slow as the topic is long. Write `replay: {}`.
    Replay(Replay),
}

/// The stores by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum StoreKind {
    Changelog,
    Postgres,
    Replay,
}

impl StoreKind {
    /// All stores.
    pub const ALL: [Self; 3] = [Self::Changelog, Self::Postgres, Self::Replay];

    /// The name in the object, in the status and in the worker's configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Changelog => "changelog",
            Self::Postgres => "postgres",
            Self::Replay => "replay",
        }
    }
}

impl Store {
    /// Which store it is.
    pub const fn kind(&self) -> StoreKind {
        match self {
            Self::Changelog(_) => StoreKind::Changelog,
            Self::Postgres(_) => StoreKind::Postgres,
            Self::Replay(_) => StoreKind::Replay,
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::Changelog(Changelog::default())
    }
}

/// Settings of the changelog store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Changelog {
    /// Compacted topic that holds the balances, with as many partitions as `kafka.topic`; created if missing. Only this
    /// group may use it. Default: `<group>-<topic>-changelog-` and eight hexadecimal digits derived from both names.
    /// Immutable, because another topic would be another ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 249))]
    pub topic: Option<String>,
    /// Replication factor of the changelog and of `deadLetterTopic` when they are created; existing topics keep theirs.
    /// Default: the brokers' default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub replication_factor: Option<i32>,
    /// Longest time a processed record waits for its commit, more than 0 and at most `60s`. Until then it is not in the
    /// balances and counts as lag. Default: `1s` while there is a backlog, otherwise as soon as practical.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_interval: Option<Duration>,
}

/// Settings of the PostgreSQL store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Postgres {
    /// Secret in the same namespace. Its key `url` is `postgres://user:password@host:port/database`; the connection is
    /// encrypted and the server's certificate verified unless the URL ends with `?sslmode=disable`. The optional key
    /// `ca.crt` holds the certificate authorities to trust, in PEM form (default: the public ones). You may change the
    /// Secret, but the balances do not move with it.
    pub connection_secret_ref: SecretRef,
}

/// The replay store, which has no settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replay {}

/// What a transaction does to its customer's balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Sign {
    Credit,
    Debit,
    Ignore,
}

/// The transaction types and the default sign of each, ordered by their numbers 1 to 7.
pub const TRANSACTION_TYPES: [(&str, Sign); 7] = [
    ("Transfer", Sign::Credit),
    ("Payment", Sign::Credit),
    ("Deposit", Sign::Credit),
    ("Withdrawal", Sign::Debit),
    ("CardPayment", Sign::Debit),
    ("InternationalTransfer", Sign::Credit),
    ("BillPayment", Sign::Debit),
];
