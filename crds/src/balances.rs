//! `spec.ledger` and `spec.balances`: what a record means, and where the balances live.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::kafka::SecretRef;
use crate::schema;

/// What a worker does with a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Ledger {
    #[default]
    Balances,
    Count,
}

/// How records become balances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Balances {
    /// Where balances are kept: exactly one of the fields below. Default: `changelog: {}`. It cannot change, since
    /// workers of two stores would share one group meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Store>,
    /// What a transaction does to its customer's balance, by transaction type: `Credit` adds, `Debit` subtracts,
    /// `Ignore` passes it over. Types: Transfer, Payment, Deposit, Withdrawal,
    /// CardPayment, InternationalTransfer, BillPayment. Default: Withdrawal, CardPayment and BillPayment are debits,
    /// the others credits. It cannot change: that would mix two ledgers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 7))]
    pub signs: BTreeMap<String, Sign>,
    /// Decimal places per currency, over the ISO 4217 table, for example `XYZ: 3`, at most 12. At most 64 currencies. It may gain
    /// currencies, which count from then on; the decimals of one cannot change: the same digits would be worth something else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::minor_units")]
    pub minor_units: BTreeMap<String, i32>,
    /// Topic for records that cannot be applied, such as broken JSON or an unknown currency: each is written there once,
    /// as it came, with headers that say where it was and what is wrong. Made if it is missing. Default: they are counted
    /// and logged. The store `replay` has none, `postgres` has a table instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 249))]
    pub dead_letter_topic: Option<String>,
}

/// Where balances are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Store {
    /// In a compacted topic, one record per customer, written in one transaction with the group's offsets. A worker that
    /// takes a partition reads about as many records as it has customers. Needs brokers of Kafka 3.6 or later. Write
    /// `changelog: {}` for its defaults.
    Changelog(Changelog),
    /// In PostgreSQL, one row per customer and currency, written in one SQL transaction with the progress. Reads of the API
    /// are answered by the database, whichever worker is asked.
    Postgres(Postgres),
    /// Nowhere: a worker that takes a partition reads it again from its first record. Right, simple, and as slow to take
    /// over as the topic is long. Write `replay: {}`.
    Replay(Replay),
}

impl Default for Store {
    fn default() -> Self {
        Self::Changelog(Changelog::default())
    }
}

/// The settings of the changelog store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Changelog {
    /// The compacted topic. Default: `<group>-<topic>-changelog-` and eight hexadecimal digits made of the two names. It is
    /// made if it is missing, has as many partitions as `kafka.topic`, and belongs to this group alone. It cannot change:
    /// another topic would be another ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 249))]
    pub topic: Option<String>,
    /// Replicas of the changelog and of `deadLetterTopic` where they have to be made; topics that exist keep theirs.
    /// Default: the brokers' own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub replication_factor: Option<i32>,
    /// Processed records wait no longer than this for their commit, at most 60s. Until then they are not in the balances
    /// and count as lag. Default: as soon as sensible while there is no backlog, else 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_interval: Option<Duration>,
}

/// The settings of the PostgreSQL store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Postgres {
    /// Secret of this namespace. Its key `url` names the database, `postgres://user:password@host:port/database`; the
    /// connection is encrypted and the server's certificate verified unless the URL ends with `?sslmode=disable`. Its key
    /// `ca.crt`, if there is one, holds the certificate authorities to trust, in PEM form; default: the public authorities.
    /// The tables are made if they are missing, in the schema `balancefleet`. The Secret may change; the balances do not move
    /// with it.
    pub connection_secret_ref: SecretRef,
}

/// The replay store has no settings.
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

/// The transaction types and what each does by default, in the order of their numbers 1 to 7.
pub const TRANSACTION_TYPES: [(&str, Sign); 7] = [
    ("Transfer", Sign::Credit),
    ("Payment", Sign::Credit),
    ("Deposit", Sign::Credit),
    ("Withdrawal", Sign::Debit),
    ("CardPayment", Sign::Debit),
    ("InternationalTransfer", Sign::Credit),
    ("BillPayment", Sign::Debit),
];
