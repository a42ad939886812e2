//! Why a record cannot be applied.

use super::depth::MAX_DEPTH;
use crate::domain::{amount::AmountError, money::Overflow};

/// The longest `customerId` and `transactionId`, in bytes: the ledger keeps them, and the API looks up no longer ones.
pub(crate) const MAX_ID_BYTES: usize = 128;

/// Why a record cannot be applied. No reason carries a part of the record: records are personal data, and this is
/// logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum BadRecord {
    /// A tombstone.
    #[error("the record has no value")]
    Empty,
    #[error("the value is not a JSON object")]
    BrokenJson,
    #[error("the value is nested deeper than {MAX_DEPTH} levels")]
    NestedTooDeep,
    #[error("a field is missing, repeated, of a wrong type or out of range")]
    WrongShape,
    #[error(transparent)]
    Amount(#[from] AmountError),
    #[error("the amount is not between 0.01 and 1 000 000")]
    AmountOutOfRange,
    #[error("the currency is unknown; BALANCE_MINOR_UNITS can add it for records to come")]
    UnknownCurrency,
    #[error("the timestamp is not an RFC 3339 time")]
    Timestamp,
    #[error("the description is longer than 500 characters")]
    DescriptionTooLong,
    /// No customer, or an id that nobody could ask for.
    #[error("the customerId is empty, or it or the transactionId is longer than {MAX_ID_BYTES} bytes")]
    IdLength,
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

impl BadRecord {
    /// A bounded name for logs and metrics.
    pub(crate) const fn category(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::BrokenJson => "BrokenJson",
            Self::NestedTooDeep => "NestedTooDeep",
            Self::WrongShape => "WrongShape",
            Self::Amount(AmountError::NotANumber) => "AmountNotANumber",
            Self::Amount(AmountError::TooManyDecimals) => "AmountTooManyDecimals",
            Self::Amount(AmountError::TooLarge) => "AmountTooLarge",
            Self::AmountOutOfRange => "AmountOutOfRange",
            Self::UnknownCurrency => "UnknownCurrency",
            Self::Timestamp => "Timestamp",
            Self::DescriptionTooLong => "DescriptionTooLong",
            Self::IdLength => "IdLength",
            Self::Overflow(_) => "Overflow",
        }
    }
}
