//! A customer in the table `bal`: one row per currency.
//!
//! Amounts are sent as decimal text, because no type of the driver holds every `i128`. PostgreSQL's text holds every
//! character but NUL, which an id may contain: NUL is written as a backslash and 0, a backslash as two.

use std::borrow::Cow;

use jiff::Timestamp;
use tokio_postgres::Row;

use crate::{
    domain::{
        id::Id,
        ledger::{Customer, Ledger},
        money::Currency,
    },
    store::RecordEncoder,
};

pub(super) struct BalanceRow<'a> {
    pub(super) partition: i32,
    pub(super) customer: Cow<'a, str>,
    pub(super) currency: &'a str,
    /// The index of the currency among the customer's.
    pub(super) place: i16,
    pub(super) minor_units: String,
    pub(super) count: i64,
    pub(super) last_transaction_id: Cow<'a, str>,
    pub(super) second: i64,
    pub(super) nanosecond: i32,
    pub(super) last_offset: i64,
}

pub(super) fn rows_of<'a>(partition: i32, id: &'a Id, customer: &'a Customer) -> impl Iterator<Item = BalanceRow<'a>> {
    let balances = customer.balances();
    (0..).zip(0..balances.len()).map(move |(place, index)| BalanceRow {
        partition,
        customer: escape_id(id),
        currency: balances[index].0.as_str(),
        place,
        minor_units: balances[index].1.to_string(),
        // The sign bit is the highest bit of the count, which no count reaches.
        count: customer.count.cast_signed(),
        last_transaction_id: escape_id(&customer.last_transaction_id),
        second: customer.last_updated().as_second(),
        nanosecond: customer.last_updated().subsec_nanosecond(),
        last_offset: customer.last_offset,
    })
}

/// Sorts by the table's key: all sessions write rows in the same order.
pub(super) fn in_order<'a>(rows: impl Iterator<Item = BalanceRow<'a>>) -> Vec<BalanceRow<'a>> {
    let mut rows: Vec<_> = rows.collect();
    rows.sort_unstable_by(|one, other| {
        (one.partition, &*one.customer, one.currency).cmp(&(other.partition, &*other.customer, other.currency))
    });
    rows
}

/// The columns that [`CustomerRow::read`] expects, of `bal AS b`.
pub(super) const COLUMNS: &str = "b.customer, b.currency, b.minor_units::text, b.count, b.last_transaction_id, \
                                  b.updated_second, b.updated_nanosecond, b.last_offset";

pub(super) struct CustomerRow {
    pub(super) customer: String,
    pub(super) currency: Currency,
    pub(super) minor_units: i128,
    pub(super) count: u64,
    pub(super) last_transaction_id: String,
    pub(super) last_updated: Timestamp,
    pub(super) last_offset: i64,
}

impl CustomerRow {
    /// Reads the [`COLUMNS`] from index `from` on; the error says what this release cannot have written.
    pub(super) fn read(row: &Row, from: usize) -> Result<Self, String> {
        let words = |error: tokio_postgres::Error| error.to_string();
        let text = |place: usize| row.try_get::<_, &str>(from + place).map_err(words);
        let number = |place: usize| row.try_get::<_, i64>(from + place).map_err(words);
        let nanosecond: i32 = row.try_get(from + 6).map_err(words)?;
        Ok(Self {
            customer: unescape(text(0)?)?.into_owned(),
            currency: Currency::parse(text(1)?).ok_or("a currency is not three capital letters")?,
            minor_units: text(2)?.parse().map_err(|_| "an amount is not a whole number of minor units")?,
            count: number(3)?.cast_unsigned(),
            last_transaction_id: unescape(text(4)?)?.into_owned(),
            last_updated: Timestamp::new(number(5)?, nanosecond).map_err(|_| "a time is out of range")?,
            last_offset: number(7)?,
        })
    }
}

/// Joins rows into customers. The rows of one customer follow each other, with its currencies in order.
#[derive(Default)]
pub(super) struct LedgerBuilder {
    ledger: Ledger,
    encoder: RecordEncoder,
    /// The first row of a customer, and its balances so far.
    current: Option<(CustomerRow, Vec<(Currency, i128)>)>,
}

impl LedgerBuilder {
    pub(super) fn take(&mut self, row: CustomerRow) {
        let balance = (row.currency, row.minor_units);
        match &mut self.current {
            Some((first, balances)) if first.customer == row.customer => balances.push(balance),
            _ => {
                self.end_customer();
                self.current = Some((row, vec![balance]));
            }
        }
    }

    fn end_customer(&mut self) {
        let Some((row, balances)) = self.current.take() else { return };
        let CustomerRow { customer: id, count, last_transaction_id, last_updated, last_offset, .. } = row;
        let state = Customer::new(balances, count, last_transaction_id.as_str().into(), last_updated, last_offset);
        let digest = self.encoder.encode_and_digest(&id.as_str().into(), &state);
        self.ledger.insert(&id, state, digest);
    }

    pub(super) fn finish(mut self) -> Ledger {
        self.end_customer();
        self.ledger
    }
}

/// [`escape`], of an id.
fn escape_id(id: &Id) -> Cow<'_, str> {
    match id {
        Id::Text(text) => escape(text),
        Id::Uuid(_) => id.cow(),
    }
}

/// Text without NUL that [`unescape`] reads back.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if text.contains(['\\', '\0']) {
        Cow::Owned(text.replace('\\', r"\\").replace('\0', r"\0"))
    } else {
        Cow::Borrowed(text)
    }
}

/// See [`escape`].
fn unescape(text: &str) -> Result<Cow<'_, str>, String> {
    if !text.contains('\\') {
        return Ok(Cow::Borrowed(text));
    }
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text.chars());
    while let Some(character) = rest.next() {
        let meant = match character {
            '\\' => match rest.next() {
                Some('\\') => '\\',
                Some('0') => '\0',
                _ => return Err("a backslash in an id is not followed by a backslash or 0".to_owned()),
            },
            plain => plain,
        };
        plain.push(meant);
    }
    Ok(Cow::Owned(plain))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_comes_back_and_has_no_nul_on_the_way(text in r"(\\|\x00|0|[a-z]|é)*") {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains('\0'));
            let back = unescape(&escaped).unwrap();
            prop_assert_eq!(back, text.as_str());
        }

        #[test]
        fn no_two_texts_become_one(one in r"(\\|\x00|0)*", other in r"(\\|\x00|0)*") {
            prop_assert_eq!(escape(&one) == escape(&other), one == other);
        }
    }

    #[test]
    fn what_nobody_has_escaped_is_refused() {
        for wrong in [r"\", r"a\b", r"\\\"] {
            assert!(unescape(wrong).is_err(), "{wrong}");
        }
    }
}
