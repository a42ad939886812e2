//! A customer in the table `bal`: one row per currency.
//!
//! Amounts are sent as decimal text, because no type of the driver holds every `i128`. PostgreSQL's text holds every
//! character but NUL, which an id may contain: NUL is written as a backslash and 0, a backslash as two.

use std::borrow::Cow;

use jiff::Timestamp;
use smallvec::smallvec;
use tokio_postgres::Row;

use crate::domain::{
    ledger::{Customer, Ledger},
    money::Currency,
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

pub(super) fn rows_of<'a>(partition: i32, id: &'a str, customer: &'a Customer) -> impl Iterator<Item = BalanceRow<'a>> {
    (0..).zip(customer.balances()).map(move |(place, (currency, minor_units))| BalanceRow {
        partition,
        customer: escape(id),
        currency: currency.as_str(),
        place,
        minor_units: minor_units.to_string(),
        // The sign bit is the highest bit of the count, which no count reaches.
        count: customer.count.cast_signed(),
        last_transaction_id: escape(&customer.last_transaction_id),
        second: customer.last_updated.as_second(),
        nanosecond: customer.last_updated.subsec_nanosecond(),
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
    current: Option<(String, Customer)>,
}

impl LedgerBuilder {
    pub(super) fn take(&mut self, row: CustomerRow) {
        let CustomerRow { customer: id, currency, minor_units, count, last_transaction_id, last_updated, last_offset } =
            row;
        match &mut self.current {
            Some((current, customer)) if *current == id => customer.balances.push((currency, minor_units)),
            _ => {
                let (balances, last_transaction_id) = (smallvec![(currency, minor_units)], last_transaction_id.into());
                let customer = Customer { balances, count, last_transaction_id, last_updated, last_offset };
                if let Some((id, complete)) = self.current.replace((id, customer)) {
                    self.ledger.insert(&id, complete);
                }
            }
        }
    }

    pub(super) fn finish(mut self) -> Ledger {
        if let Some((id, complete)) = self.current.take() {
            self.ledger.insert(&id, complete);
        }
        self.ledger
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
