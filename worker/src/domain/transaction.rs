//! One record's value → one transaction, checked.
//!
//! The input is the JSON of the .NET consumers that this worker replaces. Unknown fields are ignored; every known
//! field must have its type and range. Account formats are never a reason to refuse: `BANK` is a valid account.

mod bad_record;
mod depth;
mod rfc_3339;
mod transaction_type;
mod usual;
mod wire;

use std::borrow::Cow;

use jiff::Timestamp;

pub(crate) use bad_record::{BadRecord, MAX_ID_BYTES};
pub(crate) use transaction_type::TransactionType;

use crate::domain::{
    amount::minor_units,
    exponents::{Exponents, MAX_EXPONENT},
    money::Currency,
};
use wire::Wire;

/// The longest `description`, in characters.
const MAX_DESCRIPTION: usize = 500;
/// The largest amount in whole units of its currency; the smallest is a hundredth of one.
const MAX_AMOUNT: i64 = 1_000_000;

/// A transaction that passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transaction<'a> {
    pub(crate) transaction_id: Cow<'a, str>,
    pub(crate) customer_id: Cow<'a, str>,
    /// The positive amount in minor units. The rules give it its sign.
    pub(crate) minor_units: i64,
    pub(crate) currency: Currency,
    pub(crate) transaction_type: TransactionType,
    pub(crate) timestamp: Timestamp,
}

impl<'a> Transaction<'a> {
    /// Reads a record's value; `None` is a record without one.
    ///
    /// # Errors
    /// Why it is no transaction.
    pub(crate) fn parse(value: Option<&'a [u8]>, exponents: &Exponents) -> Result<Self, BadRecord> {
        let value = value.ok_or(BadRecord::Empty)?;
        Self::parse_usual(value, exponents).map_or_else(|| Self::parse_any(value, exponents), Ok)
    }

    /// Reads a right record of the usual shape; `None` of any other.
    fn parse_usual(value: &'a [u8], exponents: &Exponents) -> Option<Self> {
        let usual::Usual { transaction_id, customer_id, amount, currency, transaction_type, description, timestamp } =
            usual::read(value)?;
        let is_long = description.is_some_and(|text| text.len() > MAX_DESCRIPTION);
        if is_long || customer_id.is_empty() || customer_id.len().max(transaction_id.len()) > MAX_ID_BYTES {
            return None;
        }
        let exponent = exponents.of(currency)?;
        Some(Self {
            minor_units: in_range(amount.minor_units(exponent)?, exponent).ok()?,
            currency,
            transaction_type,
            timestamp,
            transaction_id: transaction_id.into(),
            customer_id: customer_id.into(),
        })
    }

    /// Reads a record of any shape.
    fn parse_any(value: &'a [u8], exponents: &Exponents) -> Result<Self, BadRecord> {
        let wire = Wire::parse(value)?;
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

fn in_range(minor_units: i128, exponent: u8) -> Result<i64, BadRecord> {
    // The largest amount of the finest currency is 10^18, which an i64 holds.
    const { assert!(MAX_EXPONENT <= 12) };
    let in_range = |minor_units: &i64| {
        let unit = 10_i64.pow(u32::from(exponent));
        // A hundredth of a unit is no whole number of minor units for a currency without decimals.
        let at_least_a_hundredth = minor_units.checked_mul(100).is_none_or(|hundredths| hundredths >= unit);
        *minor_units > 0 && at_least_a_hundredth && *minor_units <= MAX_AMOUNT * unit
    };
    i64::try_from(minor_units).ok().filter(in_range).ok_or(BadRecord::AmountOutOfRange)
}

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod tests;
