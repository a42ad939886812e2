//! Compares two ledgers of the same records, customer by customer.

use std::fmt::Write;

use crate::domain::{
    exponents::Exponents,
    id::Id,
    ledger::{Customer, Ledger},
    money::Amount,
};

/// A customer that is not the same in both.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference<'a> {
    pub(super) customer: &'a Id,
    pub(super) stored: Option<&'a Customer>,
    pub(super) folded: Option<&'a Customer>,
}

/// All differences, ordered by customer.
pub(super) fn differences<'a>(stored: &'a Ledger, folded: &'a Ledger) -> Vec<Difference<'a>> {
    let of_stored = stored.customers().map(|(id, customer)| (id, Some(customer), folded.customer(&id.text())));
    let only_folded = folded.customers().filter(|(id, _)| stored.customer(&id.text()).is_none());
    let all = of_stored.chain(only_folded.map(|(id, customer)| (id, None, Some(customer))));
    let differ = all.filter(|(_, stored, folded)| match (stored, folded) {
        (Some(stored), Some(folded)) => !is_same(stored, folded),
        _ => true,
    });
    let mut found: Vec<_> = differ.map(|(customer, stored, folded)| Difference { customer, stored, folded }).collect();
    found.sort_unstable_by_key(|difference| difference.customer);
    found
}

fn is_same(one: &Customer, other: &Customer) -> bool {
    let sorted = |customer: &Customer| {
        let mut balances = customer.balances().to_vec();
        balances.sort_unstable_by_key(|(currency, _)| *currency);
        balances
    };
    let rest = |it: &Customer| (it.count, it.last_updated(), it.last_offset);
    rest(one) == rest(other) && one.last_transaction_id == other.last_transaction_id && sorted(one) == sorted(other)
}

impl Difference<'_> {
    /// One line for people.
    pub(super) fn describe(&self, exponents: &Exponents) -> String {
        let (stored, folded) = (words(self.stored, exponents), words(self.folded, exponents));
        format!("{}: stored {stored}; the log gives {folded}", self.customer)
    }
}

fn words(customer: Option<&Customer>, exponents: &Exponents) -> String {
    let Some(customer) = customer else { return "nothing".to_owned() };
    let mut text = String::new();
    for &(currency, minor_units) in &*customer.balances() {
        let exponent = exponents.of(currency).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write!(text, "{} {currency}, ", Amount { currency, minor_units, exponent });
    }
    let Customer { count, last_transaction_id, last_offset, .. } = customer;
    format!("{text}{count} transactions, the last {last_transaction_id} at offset {last_offset}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;
    use crate::domain::{ledger::Posting, money::Currency};

    fn ledger(postings: &[(&str, &str, i64)]) -> Ledger {
        let mut ledger = Ledger::default();
        for (offset, (customer, currency, minor_units)) in (0..).zip(postings) {
            let (currency, timestamp) = (Currency::parse(currency).unwrap(), Timestamp::UNIX_EPOCH);
            let posting = Posting {
                customer: (*customer).into(),
                currency,
                minor_units: *minor_units,
                transaction_id: "T".into(),
                timestamp,
            };
            ledger.fold(&posting, offset).unwrap();
        }
        ledger
    }

    fn differing(stored: &Ledger, folded: &Ledger) -> Vec<String> {
        let exponents = Exponents::iso_4217(&BTreeMap::new());
        differences(stored, folded).iter().map(|difference| difference.describe(&exponents)).collect()
    }

    #[test]
    fn equal_ledgers_have_no_difference() {
        let postings = [("A", "EUR", 5), ("B", "JPY", 7), ("A", "JPY", 1)];
        assert_eq!(differing(&ledger(&postings), &ledger(&postings)), Vec::<String>::new());
    }

    #[test]
    fn a_cent_a_customer_too_many_and_one_too_few_are_found() {
        let stored = ledger(&[("A", "EUR", 500), ("B", "EUR", 7)]);
        let folded = ledger(&[("A", "EUR", 501), ("C", "EUR", 7)]);
        assert_eq!(
            differing(&stored, &folded),
            [
                "A: stored 5.00 EUR, 1 transactions, the last T at offset 0; the log gives 5.01 EUR, 1 transactions, the last T at offset 0",
                "B: stored 0.07 EUR, 1 transactions, the last T at offset 1; the log gives nothing",
                "C: stored nothing; the log gives 0.07 EUR, 1 transactions, the last T at offset 1",
            ]
        );
    }

    #[test]
    fn the_same_sum_out_of_other_records_is_a_difference() {
        let (stored, folded) = (ledger(&[("A", "EUR", 5), ("A", "EUR", -1)]), ledger(&[("A", "EUR", 4)]));
        assert_eq!(differing(&stored, &folded).len(), 1);
    }
}
