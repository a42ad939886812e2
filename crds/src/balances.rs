//! `spec.ledger` and `spec.balances`: what a record means, and where the balances live.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Where balances are kept: exactly one of the fields below. It cannot change, since no store reads another's
    /// state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Store>,
    /// What a transaction does to its customer's balance, by transaction type: `Credit` adds, `Debit` subtracts,
    /// `Ignore` counts the transaction and leaves the balance. Types: Transfer, Payment, Deposit, Withdrawal,
    /// CardPayment, InternationalTransfer, BillPayment. Default: Withdrawal, CardPayment and BillPayment are debits,
    /// the others credits. It cannot change: that would mix two ledgers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 7))]
    pub signs: BTreeMap<String, Sign>,
    /// Decimal places per currency, over the ISO 4217 table, for example `XYZ: 3`, at most 12. At most 64 currencies. It cannot change: the
    /// same digits would be worth something else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::minor_units")]
    pub minor_units: BTreeMap<String, i32>,
}

/// Where balances are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Store {
    /// Keep nothing: a worker that takes a partition reads it again from its first record. Right, simple, and as slow
    /// to take over as the topic is long. Write `replay: {}`.
    Replay(Replay),
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
