//! The ledger against a naive model, and what it must not do.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::domain::money::{Currency, Overflow};

fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

fn posting<'a>(customer: &'a str, code: &str, minor_units: i64, transaction_id: &'a str) -> Posting<'a> {
    let (customer, transaction_id) = (customer.into(), transaction_id.into());
    Posting { customer, currency: currency(code), minor_units, transaction_id, timestamp: Timestamp::UNIX_EPOCH }
}

#[test]
fn currencies_are_never_added_together() {
    let mut ledger = Ledger::default();
    ledger.fold(&posting("A", "EUR", 500, "T1"), 0).unwrap();
    ledger.fold(&posting("A", "JPY", 7, "T2"), 1).unwrap();
    ledger.fold(&posting("A", "EUR", -200, "T3"), 2).unwrap();
    assert_eq!(ledger.customer("A").unwrap().balances()[..], [(currency("EUR"), 300), (currency("JPY"), 7)]);
    assert_eq!(ledger.customer("A").unwrap().count, 3);
}

fn holding(balances: &[(&str, i128)]) -> Ledger {
    let balances = balances.iter().map(|(code, balance)| (currency(code), *balance));
    let mut ledger = Ledger::default();
    ledger.insert("A", Customer::new(balances, 7, "T0".into(), Timestamp::UNIX_EPOCH, 0), 0);
    ledger
}

#[test]
fn an_overflow_leaves_everything_as_it_was() {
    for (balance, amount) in [(i128::MAX, 1), (i128::MIN, -1)] {
        for others in [&[][..], &[("JPY", 3)]] {
            let mut ledger = holding(&[&[("EUR", balance)], others].concat());
            let before = ledger.customer("A").unwrap().clone();
            assert_eq!(ledger.fold(&posting("A", "EUR", amount, "T2"), 1), Err(Overflow));
            assert_eq!(ledger.customer("A").unwrap(), &before);
        }
    }
}

#[test]
fn balances_beyond_the_usual_size_are_exact_and_come_back() {
    let edge = i128::from(i64::MAX);
    let mut ledger = holding(&[("EUR", edge)]);
    for (amount, expected) in
        [(1, edge + 1), (i64::MAX, 2 * edge + 1), (-i64::MAX, edge + 1), (-1, edge), (-1, edge - 1)]
    {
        ledger.fold(&posting("A", "EUR", amount, "T"), 1).unwrap();
        let customer = ledger.customer("A").unwrap();
        assert_eq!(customer.balances()[..], [(currency("EUR"), expected)]);
        let same = Customer::new([(currency("EUR"), expected)], customer.count, "T".into(), customer.last_updated(), 1);
        assert_eq!(customer, &same, "however it was reached");
    }
}

#[test]
fn sixty_four_currencies_stay_apart() {
    let codes: Vec<_> = (0..64).map(|number| Currency::of_ordinal(number * 101).unwrap()).collect();
    let mut ledger = Ledger::default();
    for round in 1..=3 {
        for (number, code) in (1..).zip(&codes) {
            ledger.fold(&posting("A", code.as_str(), number * round, "T"), 0).unwrap();
        }
    }
    let expected: Vec<_> = (1..).zip(codes).map(|(number, code)| (code, 6 * number)).collect();
    assert_eq!(ledger.customer("A").unwrap().balances()[..], expected);
}

#[test]
fn ids_of_any_length_are_customers_of_their_own() {
    let mut ledger = Ledger::default();
    let uuid = "0a1b2c3d-4e5f-6789-abcd-ef0123456789";
    let ids = [String::new(), "x".repeat(10_000), uuid.to_owned(), uuid.to_uppercase(), "A".to_owned()];
    for (offset, id) in (0..).zip(ids.iter().chain(&ids)) {
        ledger.fold(&posting(id, "EUR", 5, id), offset).unwrap();
    }
    assert_eq!(ledger.len(), ids.len());
    for id in &ids {
        let customer = ledger.customer(id).unwrap();
        assert_eq!((customer.balances()[0].1, customer.last_transaction_id.to_string()), (10, id.clone()));
    }
}

#[test]
fn a_customer_that_is_removed_leaves_the_others() {
    let mut ledger = Ledger::default();
    let ids = ["A", "B", "C", "D"];
    for (offset, id) in (0..).zip(ids) {
        ledger.fold(&posting(id, "EUR", offset, "T"), offset).unwrap();
    }
    for (gone, left) in [("B", 3), ("nobody", 3), ("D", 2), ("A", 1), ("C", 0)] {
        ledger.remove(gone);
        assert_eq!((ledger.len(), ledger.customer(gone)), (left, None), "{gone}");
        let found = ids.iter().filter(|id| ledger.customer(id).is_some());
        assert_eq!(found.count(), left);
        for (id, customer) in ledger.customers() {
            assert_eq!(ids[usize::try_from(customer.last_offset).unwrap()], id.to_string());
        }
    }
    ledger.fold(&posting("A", "EUR", 1, "T"), 0).unwrap();
    assert_eq!(ledger.len(), 1);
}

#[test]
fn an_unknown_customer_is_none() {
    assert!(Ledger::default().customer("A").is_none());
}

/// Each pointer to follow is one more wait for memory, and each byte is there a million times.
#[test]
fn a_customer_takes_64_bytes() {
    assert_eq!(size_of::<Customer>(), 64);
    assert_eq!(size_of::<Option<Customer>>(), 64);
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

/// 21 to 26 bytes: an id itself has room for 24.
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
        let mut ledger = Ledger::default();
        for (index, (customer, code, amount)) in steps.iter().enumerate() {
            let (customer, id) = (customer_id(*customer), transaction_id(index));
            let offset = i64::try_from(index).unwrap();
            ledger.fold(&posting(&customer, code_of(*code), *amount, &id), offset).unwrap();
        }
        let mut found = Model::default();
        for (id, customer) in ledger.customers() {
            for (currency, balance) in &*customer.balances() {
                found.0.insert((id.to_string(), currency.to_string()), *balance);
            }
            prop_assert_eq!(ledger.customer(&id.text()), Some(customer));
            found.1.insert(id.to_string(), (customer.count, customer.last_transaction_id.to_string()));
        }
        prop_assert_eq!(ledger.len(), found.1.len());
        prop_assert_eq!(found, model(&steps));
    }
}

#[test]
fn customers_looked_up_together_are_those_looked_up_alone() {
    let mut ledger = Ledger::default();
    let ids: Vec<_> = (0..5000).map(|number| format!("CUST-{number}")).collect();
    ids.iter().step_by(2).zip(0..).for_each(|(id, offset)| ledger.fold(&posting(id, "EUR", 1, "T"), offset).unwrap());
    let asked = ids.iter().map(|id| Some(id.as_str())).chain([None]);
    let alone: Vec<_> = asked.clone().map(|id| id.map(|id| ledger.find(id))).collect();
    assert_eq!(ledger.find_all(asked)[..], alone);
    assert_eq!(alone.iter().flatten().filter(|found| found.slot.is_some()).count(), 2500);
}
