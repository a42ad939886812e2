//! The kinds of transaction.

use serde::{Deserialize, Serialize};

/// The kinds of transaction, with the numbers of the .NET consumers that this worker replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum TransactionType {
    Transfer,
    Payment,
    Deposit,
    Withdrawal,
    CardPayment,
    InternationalTransfer,
    BillPayment,
}

impl TransactionType {
    /// All of them; the number of each is its place, from 1.
    pub(crate) const ALL: [Self; 7] = [
        Self::Transfer,
        Self::Payment,
        Self::Deposit,
        Self::Withdrawal,
        Self::CardPayment,
        Self::InternationalTransfer,
        Self::BillPayment,
    ];

    /// Its name in messages and settings.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Transfer => "Transfer",
            Self::Payment => "Payment",
            Self::Deposit => "Deposit",
            Self::Withdrawal => "Withdrawal",
            Self::CardPayment => "CardPayment",
            Self::InternationalTransfer => "InternationalTransfer",
            Self::BillPayment => "BillPayment",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}
