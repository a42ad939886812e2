//! What a record does to a balance: the ledger kind, the sign of each transaction type, the decimals of each currency.

use std::fmt;

use serde::Serialize;

/// What is kept of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LedgerKind {
    /// Exact balances per customer.
    Balances,
    /// Records of any content are processed and counted; there are no balances.
    Count,
}

impl fmt::Display for LedgerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Balances => "balances",
            Self::Count => "count",
        })
    }
}
