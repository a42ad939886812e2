//! One record's value → one transaction, checked.
//!
//! In goes JSON as the labs' producers write it; unknown fields are ignored, everything known is held to its type and
//! range. Account formats are never a reason to refuse: `BANK` is a valid account.

mod depth;
mod rfc_3339;
mod wire;

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    amount::{AmountError, minor_units},
    exponents::{Exponents, MAX_EXPONENT},
    ledger::Overflow,
    money::Currency,
};
use depth::MAX_DEPTH;
use wire::Wire;

/// The longest `customerId` and `transactionId`, in bytes: the ledger keeps them, and the API looks up no longer ones.
pub(crate) const MAX_ID_BYTES: usize = 128;
/// The longest `description`, in characters.
const MAX_DESCRIPTION: usize = 500;
/// The largest amount in whole units of its currency; the smallest is a hundredth of one.
const MAX_AMOUNT: i64 = 1_000_000;

/// The kinds of transaction, by the labs' numbers.
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

/// A transaction that passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transaction<'a> {
    pub(crate) transaction_id: Cow<'a, str>,
    pub(crate) customer_id: Cow<'a, str>,
    /// Its amount in minor units, positive: the sign is the rules' business.
    pub(crate) minor_units: i128,
    pub(crate) currency: Currency,
    pub(crate) transaction_type: TransactionType,
    pub(crate) timestamp: Timestamp,
}

impl<'a> Transaction<'a> {
    /// Reads a record's value; `None` is a record without one.
    pub(crate) fn parse(value: Option<&'a [u8]>, exponents: &Exponents) -> Result<Self, BadRecord> {
        let wire = Wire::parse(value.ok_or(BadRecord::Empty)?)?;
        if wire
            .description
            .is_some_and(|text| text.0.len() > MAX_DESCRIPTION && text.0.chars().count() > MAX_DESCRIPTION)
        {
            return Err(BadRecord::DescriptionTooLong);
        }
        let (transaction_id, customer_id) = (wire.transaction_id.0, wire.customer_id.0);
        if customer_id.is_empty() || customer_id.len() > MAX_ID_BYTES || transaction_id.len() > MAX_ID_BYTES {
            return Err(BadRecord::IdLength);
        }
        let currency = Currency::parse(&wire.currency.0).ok_or(BadRecord::UnknownCurrency)?;
        let exponent = exponents.of(currency).ok_or(BadRecord::UnknownCurrency)?;
        Ok(Self {
            minor_units: in_range(minor_units(wire.amount.as_raw_str(), exponent)?, exponent)?,
            currency,
            transaction_type: wire.transaction_type.0,
            timestamp: rfc_3339::parse(&wire.timestamp.0).ok_or(BadRecord::Timestamp)?,
            transaction_id,
            customer_id,
        })
    }
}

fn in_range(minor_units: i128, exponent: u8) -> Result<i128, BadRecord> {
    // What an i64 holds is compared at once, and the largest amount of the finest currency is 10^18.
    const { assert!(MAX_EXPONENT <= 12) };
    let in_range = i64::try_from(minor_units).is_ok_and(|minor_units| {
        let unit = 10_i64.pow(u32::from(exponent));
        // A hundredth of a unit is no whole number of minor units for a currency without decimals.
        let at_least_a_hundredth = minor_units.checked_mul(100).is_none_or(|hundredths| hundredths >= unit);
        minor_units > 0 && at_least_a_hundredth && minor_units <= MAX_AMOUNT * unit
    });
    in_range.then_some(minor_units).ok_or(BadRecord::AmountOutOfRange)
}

/// Why a record cannot be applied. No reason carries a part of the record: records are personal data, and this is logged.
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

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod tests;
