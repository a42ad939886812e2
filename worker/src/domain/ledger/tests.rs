//! The ledger against a naive model, and what it must not do.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::domain::money::{Currency, Overflow};

fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

fn posting<'a>(customer: &'a str, code: &str, minor_units: i128, transaction_id: &'a str) -> Posting<'a> {
    let (customer, transaction_id) = (customer.into(), transaction_id.into());
    Posting { customer, currency: currency(code), minor_units, transaction_id, timestamp: Timestamp::UNIX_EPOCH }
}

#[test]
fn currencies_are_never_added_together() {
    let mut ledger = Ledger::default();
    ledger.apply(&posting("A", "EUR", 500, "T1"), 0).unwrap();
    ledger.apply(&posting("A", "JPY", 7, "T2"), 1).unwrap();
    ledger.apply(&posting("A", "EUR", -200, "T3"), 2).unwrap();
    assert_eq!(ledger.customer("A").unwrap().balances(), [(currency("EUR"), 300), (currency("JPY"), 7)]);
    assert_eq!(ledger.customer("A").unwrap().count, 3);
}

#[test]
fn an_overflow_leaves_everything_as_it_was() {
    let mut ledger = Ledger::default();
    ledger.apply(&posting("A", "EUR", i128::MAX, "T1"), 0).unwrap();
    let before = ledger.customer("A").unwrap().clone();
    assert_eq!(ledger.apply(&posting("A", "EUR", 1, "T2"), 1), Err(Overflow));
    assert_eq!(ledger.customer("A").unwrap(), &before);
}

#[test]
fn an_unknown_customer_is_none() {
    assert!(Ledger::default().customer("A").is_none());
}

/// Each pointer to follow is one more wait for memory.
#[test]
fn usual_ids_and_a_single_currency_lie_in_the_map_itself() {
    let mut ledger = Ledger::default();
    let (customer, transaction) = ("CUST-0000000000000000001", "TXN-20260208220000-00001");
    ledger.apply(&posting(customer, "EUR", 500, transaction), 0).unwrap();
    let (id, state) = ledger.customers.iter().next().unwrap();
    assert!(!id.is_heap_allocated() && !state.last_transaction_id.is_heap_allocated() && !state.balances.spilled());
}

/// Customer, currency, amount.
type Step = (u8, u8, i64);

/// Balances by customer and currency, and how often and by what each customer was touched last.
type Model = (BTreeMap<(String, String), i128>, BTreeMap<String, (u64, String)>);

fn model(steps: &[Step]) -> Model {
    let mut model = Model::default();
    for (index, (customer, code, amount)) in steps.iter().enumerate() {
        let (customer, code) = (customer_id(*customer), code_of(*code));
        *model.0.entry((customer.clone(), code.to_owned())).or_default() += i128::from(*amount);
        let touched = model.1.entry(customer).or_default();
        *touched = (touched.0 + 1, transaction_id(index));
    }
    model
}

fn code_of(code: u8) -> &'static str {
    ["EUR", "USD", "JPY"][usize::from(code % 3)]
}

/// 21 to 26 bytes: the map itself has room for 24.
fn customer_id(customer: u8) -> String {
    format!("C{customer:0width$}", width = 20 + usize::from(customer))
}

/// Longer and shorter ones in turn, to both sides of 24 bytes.
fn transaction_id(index: usize) -> String {
    format!("T{index:0width$}", width = index * 7 % 60)
}

proptest! {
    #[test]
    fn any_sequence_of_postings_gives_what_plain_sums_give(
        steps in proptest::collection::vec((0_u8..6, any::<u8>(), any::<i64>()), 0..200),
    ) {
        let (mut ledger, mut copy) = (Ledger::default(), Ledger::default());
        for (index, (customer, code, amount)) in steps.iter().enumerate() {
            let (customer, id) = (customer_id(*customer), transaction_id(index));
            let offset = i64::try_from(index).unwrap();
            ledger.apply(&posting(&customer, code_of(*code), i128::from(*amount), &id), offset).unwrap();
            copy.set(&customer, ledger.customer(&customer).unwrap());
        }
        let mut found = Model::default();
        for (id, customer) in ledger.customers() {
            for (currency, balance) in customer.balances() {
                found.0.insert((id.to_owned(), currency.to_string()), *balance);
            }
            prop_assert_eq!(copy.customer(id), Some(customer));
            found.1.insert(id.to_owned(), (customer.count, customer.last_transaction_id.to_string()));
        }
        prop_assert_eq!(ledger.len(), found.1.len());
        prop_assert_eq!(found, model(&steps));
    }
}
