//! What workers tell each other on `/internal/v1/partitions`: lines of JSON, first the facts about the worker, then
//! one line per partition it answers for. A partition at a time is in memory on either side.
//!
//! Rows are arrays, since a whole list repeats their shape for every customer. Amounts travel as whole minor units.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::merge::{Answer, LedgerIdentity};
use crate::ledger_rules::Rulebook;
use crate::money::{Amount, Currency};
use crate::view::{BalanceRow, PartitionBalances};

/// Media type of the answer.
pub(crate) const CONTENT_TYPE: &str = "application/x-ndjson";

/// First line: who answers, and for which ledger.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Facts {
    pub(crate) consumer_id: String,
    pub(crate) group_id: String,
    pub(crate) topic: String,
    pub(crate) topic_id: String,
    /// What workers of the first release compare: of one that they may add to, the hash that they would write themselves.
    pub(crate) rules_hash: String,
    pub(crate) partition_count: i32,
    /// What others compare. Workers of the first release do not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rules: Option<RuleFacts>,
}

/// By which rules a worker's balances are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RuleFacts {
    /// Kind and signs.
    pub(crate) identity: String,
    /// Decimals of the currencies that its partitions hold.
    pub(crate) exponents: BTreeMap<Currency, u8>,
    /// Of a store that keeps no ledger: a hash over everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) table: Option<String>,
}

/// Every further line: one partition.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block<'a> {
    partition: i32,
    generation: i32,
    next_offset: i64,
    #[serde(borrow)]
    rows: Vec<Row<'a>>,
}

/// Customer, amounts, count, last transaction's id, time and offset.
#[derive(Debug, Serialize, Deserialize)]
struct Row<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Vec<WireAmount<'a>>,
    u64,
    #[serde(borrow)] Cow<'a, str>,
    Timestamp,
    i64,
);

/// Currency, decimals, minor units.
#[derive(Debug, Serialize, Deserialize)]
struct WireAmount<'a>(#[serde(borrow)] Cow<'a, str>, u8, i128);

/// Why a line of a peer cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("a line is not what this version of the worker understands: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{0:?} is not a currency")]
    Currency(String),
}

impl Facts {
    /// What must be equal for partitions to be added.
    pub(crate) fn identity(&self, book: &Rulebook) -> LedgerIdentity {
        let (rules, table) = match &self.rules {
            Some(rules) => (rules.identity.clone(), rules.table.clone()),
            // The same rules, as far as its hash tells; its decimals are in its rows.
            None if book.overrides_of(&self.rules_hash).is_some() => (book.identity().to_owned(), None),
            None => (self.rules_hash.clone(), None),
        };
        LedgerIdentity {
            group_id: self.group_id.clone(),
            topic: self.topic.clone(),
            topic_id: self.topic_id.clone(),
            rules,
            table,
        }
    }

    /// What such a worker says with `partitions`.
    pub(crate) fn answer(self, partitions: Vec<PartitionBalances>, book: &Rulebook) -> Answer {
        let identity = self.identity(book);
        let exponents = match self.rules {
            Some(rules) => rules.exponents,
            None => {
                let rows = partitions.iter().flat_map(|held| &held.rows);
                rows.flat_map(|row| &row.amounts).map(|amount| (amount.currency, amount.exponent)).collect()
            }
        };
        Answer { identity, exponents, partition_count: self.partition_count, partitions }
    }
}

/// Writes a partition's line without its newline.
pub(crate) fn write_partition(writer: impl std::io::Write, held: &PartitionBalances) -> Result<(), serde_json::Error> {
    let rows = held.rows.iter().map(Row::of).collect();
    let PartitionBalances { partition, generation, next_offset, .. } = *held;
    serde_json::to_writer(writer, &Block { partition, generation, next_offset, rows })
}

/// Reads a partition's line.
pub(crate) fn read_partition(line: &[u8]) -> Result<PartitionBalances, WireError> {
    let Block { partition, generation, next_offset, rows } = serde_json::from_slice(line)?;
    let rows = rows.into_iter().map(Row::read).collect::<Result<_, _>>()?;
    Ok(PartitionBalances { partition, generation, next_offset, rows })
}

impl<'a> Row<'a> {
    fn of(row: &'a BalanceRow) -> Self {
        let amounts = row
            .amounts
            .iter()
            .map(|amount| WireAmount(Cow::Borrowed(amount.currency.as_str()), amount.exponent, amount.minor_units));
        Self(
            Cow::Borrowed(&row.customer),
            amounts.collect(),
            row.count,
            Cow::Borrowed(&row.last_transaction_id),
            row.last_updated,
            row.last_offset,
        )
    }

    fn read(self) -> Result<BalanceRow, WireError> {
        let Self(customer, amounts, count, last_transaction_id, last_updated, last_offset) = self;
        Ok(BalanceRow {
            customer: customer.into_owned(),
            amounts: amounts.into_iter().map(WireAmount::read).collect::<Result<_, _>>()?,
            count,
            last_transaction_id: last_transaction_id.into_owned(),
            last_updated,
            last_offset,
        })
    }
}

impl WireAmount<'_> {
    fn read(self) -> Result<Amount, WireError> {
        let Self(code, exponent, minor_units) = self;
        let currency = Currency::parse(&code).ok_or_else(|| WireError::Currency(code.into_owned()))?;
        Ok(Amount { currency, minor_units, exponent })
    }
}
