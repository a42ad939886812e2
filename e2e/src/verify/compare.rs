//! The oracle's accounts beside those of an answer: pure, every difference named.

use std::collections::BTreeMap;
use std::fmt;

use super::answer::{Balances, Row};
use crate::oracle::{Account, Ledger};

/// One thing that is not as it must be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// The customer.
    pub customer_id: String,
    /// `balance EUR`, `transactionCount`, `lastTransactionId`, `lastUpdated`, or `customer`.
    pub what: String,
    /// What the oracle says.
    pub expected: String,
    /// What the API says.
    pub answered: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { customer_id, what, expected, answered } = self;
        write!(out, "{customer_id}: {what} must be {expected}, the API says {answered}")
    }
}

/// All differences, by customer id.
pub fn compare(ledger: &Ledger, balances: &Balances) -> Vec<Difference> {
    let mut rows: BTreeMap<&str, &Row> = balances.rows.iter().map(|row| (row.customer_id.as_str(), row)).collect();
    let mut differences = Vec::new();
    for (customer_id, account) in &ledger.accounts {
        let difference =
            |(what, expected, answered)| Difference { customer_id: customer_id.clone(), what, expected, answered };
        match rows.remove(customer_id.as_str()) {
            Some(row) => differences.extend(of_account(account, row).into_iter().map(difference)),
            None => differences.push(difference(("customer".into(), describe(account), "nothing".into()))),
        }
    }
    differences.extend(rows.into_values().map(|row| Difference {
        customer_id: row.customer_id.clone(),
        what: "customer".into(),
        expected: "nothing".into(),
        answered: format!("{} transactions", row.count),
    }));
    differences
}

fn of_account(account: &Account, row: &Row) -> Vec<(String, String, String)> {
    let mut pairs = vec![("transactionCount".to_owned(), account.count.to_string(), row.count.to_string())];
    let expected: BTreeMap<_, _> = account.balances.iter().map(|(it, balance)| (it.as_str(), balance)).collect();
    let mut answered: BTreeMap<_, _> = row.balances.iter().map(|(it, balance)| (it.as_str(), balance)).collect();
    // A single balance may come without its currency's name.
    if let (Some((only, _)), 1, Some(balance)) = (expected.first_key_value(), expected.len(), answered.remove("")) {
        answered.insert(only, balance);
    }
    for currency in expected.keys().chain(answered.keys()) {
        let text = |side: &BTreeMap<_, &crate::oracle::Decimal>| {
            side.get(currency).map_or("nothing".to_owned(), |balance| balance.to_string())
        };
        pairs.push((format!("balance {currency}"), text(&expected), text(&answered)));
    }
    if let Some(last) = account.last() {
        pairs.push(("lastTransactionId".into(), last.transaction_id.clone(), row.last_transaction_id.clone()));
        pairs.push(("lastUpdated".into(), last.timestamp.to_string(), row.last_updated.to_string()));
    }
    pairs.retain(|(_, expected, answered)| expected != answered);
    pairs.dedup();
    pairs
}

fn describe(account: &Account) -> String {
    let balances: Vec<_> = account.balances.iter().map(|(currency, balance)| format!("{balance} {currency}")).collect();
    format!("{} in {} transactions", balances.join(" and "), account.count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Signs;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for (id, amount, currency) in [("A", "5000.00", "EUR"), ("A", "70", "JPY"), ("B", "0.01", "EUR")] {
            let message = format!(
                r#"{{"transactionId":"T-{amount}","amount":{amount},"currency":"{currency}","type":3,"customerId":"{id}","timestamp":"2026-02-08T22:00:00Z"}}"#
            );
            ledger.add_message(0, message.as_bytes(), &Signs::default());
        }
        ledger
    }

    fn differences(first: &str, second: &str) -> Vec<String> {
        let text = format!(r#"{{"count":2,"balances":[{first},{second}],"asOf":{{}}}}"#);
        compare(&ledger(), &Balances::parse(&text).unwrap()).iter().map(ToString::to_string).collect()
    }

    const A: &str = r#"{"customerId":"A","balances":{"EUR":5000.00,"JPY":70},"transactionCount":2,"lastUpdated":"2026-02-08T22:00:00Z","lastTransactionId":"T-70"}"#;
    const B: &str = r#"{"customerId":"B","balance":0.01,"transactionCount":1,"lastUpdated":"2026-02-08T22:00:00Z","lastTransactionId":"T-0.01"}"#;

    #[test]
    fn equal_accounts_have_no_difference() {
        assert_eq!(differences(A, B), Vec::<String>::new());
    }

    #[test]
    fn each_wrong_field_is_named_once() {
        let wrong = B.replace("0.01,", "0.02,").replace("\"transactionCount\":1", "\"transactionCount\":2");
        assert_eq!(
            differences(A, &wrong),
            ["B: transactionCount must be 1, the API says 2", "B: balance EUR must be 0.01, the API says 0.02",]
        );
        let late = A.replace("T-70", "T-5000.00").replace("22:00:00", "22:00:01");
        assert_eq!(differences(&late, B).len(), 2);
    }

    #[test]
    fn a_missing_currency_and_a_strange_customer_are_differences() {
        let missing = A.replace(",\"JPY\":70", "");
        assert_eq!(differences(&missing, B), ["A: balance JPY must be 70, the API says nothing"]);
        let strange = B.replace("\"B\"", "\"C\"");
        assert_eq!(differences(A, &strange).len(), 2);
    }
}
