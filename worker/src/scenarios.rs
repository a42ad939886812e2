//! Two balance scenarios from the guides of the .NET consumers that this worker replaces, with their messages
//! unchanged.
//!
//! The guides contradict each other on `Transfer`: the consumers' code adds it, one of the scenarios subtracts it. Both
//! are right here, by one setting.

use std::collections::BTreeMap;

use crate::domain::{
    exponents::Exponents,
    ledger::Ledger,
    rules::{LedgerKind, Rules, Sign, Signs},
    transaction::TransactionType,
};

const DEPOSIT_5000: &str = r#"{"transactionId":"BAL-001","fromAccount":"BANK","toAccount":"FR7630001000123456789","amount":5000.00,"currency":"EUR","type":3,"description":"Depot initial","customerId":"CUST-001","timestamp":"2026-02-08T22:00:00Z","riskScore":0,"status":1}"#;
const TRANSFER_1200: &str = r#"{"transactionId":"BAL-002","fromAccount":"FR7630001000123456789","toAccount":"FR7630001000987654321","amount":1200.00,"currency":"EUR","type":1,"description":"Virement loyer","customerId":"CUST-001","timestamp":"2026-02-08T22:01:00Z","riskScore":0,"status":1}"#;
const TRANSFER_250: &str = r#"{"transactionId":"TX-001","fromAccount":"FR7630001000123456789","toAccount":"FR7630001000987654321","amount":250.00,"currency":"EUR","type":1,"description":"Virement","customerId":"CUST-001","timestamp":"2026-02-08T22:00:00Z","riskScore":10,"status":1}"#;
const TRANSFER_100: &str = r#"{"transactionId":"TX-002","fromAccount":"FR7630001000123456789","toAccount":"FR7630001000987654321","amount":100.00,"currency":"EUR","type":"Transfer","description":"Virement","customerId":"CUST-001","timestamp":"2026-02-08T22:01:00Z","riskScore":10,"status":"Pending"}"#;

/// Balance in cents, count and last transaction of CUST-001.
fn fold(signs: &[(TransactionType, Sign)], messages: &[&str]) -> (i128, u64, String) {
    let rules = Rules {
        ledger: LedgerKind::Balances,
        signs: Signs::with_overrides(&signs.iter().copied().collect()),
        exponents: Exponents::iso_4217(&BTreeMap::new()),
    };
    let mut ledger = Ledger::default();
    for (offset, message) in (0..).zip(messages) {
        let applied = rules.fold(Some(message.as_bytes()), |posting| ledger.fold(posting, offset));
        assert_eq!(applied, Ok(true), "{message}");
    }
    let customer = ledger.customer("CUST-001").unwrap();
    let [(currency, cents)] = customer.balances()[..] else { panic!("one currency is expected") };
    assert_eq!(currency.as_str(), "EUR");
    (cents, customer.count, customer.last_transaction_id.to_string())
}

#[test]
fn a_deposit_of_5000_and_a_transfer_of_1200_leave_3800_when_transfers_are_debits() {
    let signs = [(TransactionType::Transfer, Sign::Debit)];
    assert_eq!(fold(&signs, &[DEPOSIT_5000, TRANSFER_1200]), (380_000, 2, "BAL-002".to_owned()));
}

#[test]
fn transfers_of_250_and_100_give_350_by_the_default_signs() {
    assert_eq!(fold(&[], &[TRANSFER_250, TRANSFER_100]), (35_000, 2, "TX-002".to_owned()));
}
