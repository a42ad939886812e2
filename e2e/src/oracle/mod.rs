//! What every balance must be: folded from the generator's own records, or from the topic itself.
//!
//! It reads JSON with serde_json and adds digit by digit; nothing of the worker is used.

mod decimal;
mod record;
mod signs;
mod topic;

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;

pub use decimal::{Decimal, DecimalError};
pub use record::{Reading, Refusal, read};
pub use signs::{Sign, Signs};
pub use topic::{Offsets, Topic, TopicError};

use crate::stream::{Effect, Stream};

/// Where a record stood when it was the last of its customer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Last {
    /// The record's own timestamp.
    pub timestamp: Timestamp,
    /// `transactionId`.
    pub transaction_id: String,
}

/// One customer's account as it must be.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Account {
    /// Per currency.
    pub balances: BTreeMap<String, Decimal>,
    /// Transactions, over all currencies.
    pub count: u64,
    /// Per partition its last record; empty when the account was not folded from a topic.
    last: BTreeMap<i32, Last>,
}

impl Account {
    /// The last record: within a partition the one with the highest offset, over partitions the latest timestamp, and
    /// of equal ones that of the higher partition.
    pub fn last(&self) -> Option<&Last> {
        self.last.values().max_by_key(|last| last.timestamp)
    }

    fn add(&mut self, currency: &str, amount: &Decimal) {
        let balance = self.balances.entry(currency.to_owned()).or_default();
        *balance = balance.plus(amount);
        self.count += 1;
    }
}

/// All accounts as they must be, by customer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ledger {
    /// By customer id, in its order.
    pub accounts: BTreeMap<String, Account>,
    /// Records that are no transactions.
    pub refused: u64,
}

impl Ledger {
    /// The records of a generator's run, without any topic.
    pub fn of_run(stream: &Stream, indexes: Range<u64>, signs: &Signs) -> Self {
        let mut ledger = Self::default();
        for record in indexes.map(|index| stream.record(index)) {
            match record.effect {
                Some(effect) => ledger.add_effect(record.customer_id, effect, signs),
                None => ledger.refused += 1,
            }
        }
        ledger
    }

    fn add_effect(&mut self, customer_id: String, effect: Effect, signs: &Signs) {
        // The amount's text is the generator's own and always a decimal.
        let amount = effect.amount.to_string().parse().unwrap_or_default();
        let account = self.accounts.entry(customer_id).or_default();
        account.add(effect.amount.currency.code, &signs.signed(effect.kind, amount));
    }

    /// Adds one message of a topic.
    pub fn add_message(&mut self, partition: i32, value: &[u8], signs: &Signs) {
        let Ok(reading) = read(value) else {
            self.refused += 1;
            return;
        };
        let account = self.accounts.entry(reading.customer_id).or_default();
        account.add(&reading.currency, &signs.signed(reading.kind, reading.amount));
        let last = Last { timestamp: reading.timestamp, transaction_id: reading.transaction_id };
        account.last.insert(partition, last);
    }

    /// Transactions of all customers.
    pub fn count(&self) -> u64 {
        self.accounts.values().map(|account| account.count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Settings;

    const DEPOSIT: &str = r#"{"transactionId":"BAL-001","fromAccount":"BANK","toAccount":"FR7630001000123456789","amount":5000.00,"currency":"EUR","type":3,"description":"Depot initial","customerId":"CUST-001","timestamp":"2026-02-08T22:00:00Z","riskScore":0,"status":1}"#;
    const TRANSFER: &str = r#"{"transactionId":"BAL-002","fromAccount":"FR7630001000123456789","toAccount":"FR7630001000987654321","amount":1200.00,"currency":"EUR","type":1,"description":"Virement loyer","customerId":"CUST-001","timestamp":"2026-02-08T22:01:00Z","riskScore":0,"status":1}"#;

    fn fold(messages: &[(i32, &str)], signs: &str) -> Account {
        let mut ledger = Ledger::default();
        for (partition, message) in messages {
            ledger.add_message(*partition, message.as_bytes(), &signs.parse().unwrap());
        }
        ledger.accounts.remove("CUST-001").unwrap()
    }

    #[test]
    fn a_deposit_less_a_debited_transfer_is_3800() {
        let account = fold(&[(0, DEPOSIT), (4, TRANSFER)], "Transfer=debit");
        assert_eq!((account.balances["EUR"].to_string().as_str(), account.count), ("3800", 2));
    }

    #[test]
    fn two_transfers_add_to_350_by_the_code_of_the_labs() {
        let (one, other) = (TRANSFER.replace("1200.00", "250.00"), TRANSFER.replace("1200.00", "100.00"));
        let account = fold(&[(0, &one), (1, &other)], "");
        assert_eq!((account.balances["EUR"].to_string().as_str(), account.count), ("350", 2));
    }

    #[test]
    fn the_last_record_is_the_latest_and_of_equal_ones_that_of_the_higher_partition() {
        assert_eq!(fold(&[(5, DEPOSIT), (0, TRANSFER)], "").last().unwrap().transaction_id, "BAL-002");
        let same_time = DEPOSIT.replace("22:00:00", "22:01:00");
        assert_eq!(fold(&[(5, &same_time), (0, TRANSFER)], "").last().unwrap().transaction_id, "BAL-001");
        // Within a partition the order of the log decides, not the clock of whoever wrote the record.
        assert_eq!(fold(&[(0, TRANSFER), (0, DEPOSIT)], "").last().unwrap().transaction_id, "BAL-001");
    }

    #[test]
    fn what_the_generator_sums_is_what_its_messages_say() {
        let currencies = ["EUR", "JPY", "KWD"].map(|code| code.parse().unwrap()).to_vec();
        let settings = Settings { currencies, multi_currency: true, poison: 3.0, customers: 50, ..Settings::default() };
        let (stream, signs) = (Stream::new(settings), "Transfer=debit,Payment=ignore".parse().unwrap());
        let expected = Ledger::of_run(&stream, 100..5_100, &signs);
        let mut read = Ledger::default();
        for index in 100..5_100 {
            read.add_message((index % 6) as i32, stream.record(index).value.as_bytes(), &signs);
        }
        assert_eq!((read.refused, read.count()), (expected.refused, expected.count()));
        for (customer, account) in &expected.accounts {
            assert_eq!(account.balances, read.accounts[customer].balances, "{customer}");
            assert_eq!(account.count, read.accounts[customer].count, "{customer}");
        }
    }
}
