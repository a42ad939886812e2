//! The answer of `GET /api/Balance/balances`, read without any number ever becoming a float.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::oracle::{Decimal, DecimalError, Offsets};

/// All balances of the fleet at one moment.
#[derive(Clone, Debug)]
pub struct Balances {
    /// In the order of the answer.
    pub rows: Vec<Row>,
    /// The offsets for which the answer is true.
    pub as_of: Offsets,
}

/// One customer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    /// `customerId`.
    pub customer_id: String,
    /// Per currency; a single balance whose currency the answer does not name has an empty name here.
    pub balances: BTreeMap<String, Decimal>,
    /// `transactionCount`.
    pub count: u64,
    /// `lastTransactionId`.
    pub last_transaction_id: String,
    /// `lastUpdated`.
    pub last_updated: Timestamp,
}

/// Why there is no answer to compare.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The API cannot be reached.
    #[error("no answer: {0}")]
    Http(#[from] reqwest::Error),
    /// The API refuses; 503 while a partition has no owner.
    #[error("the API answers {status}: {body}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The answer's text.
        body: String,
    },
    /// The answer is none of this contract.
    #[error("the answer is not that of the contract: {0}")]
    Shape(#[from] serde_json::Error),
    /// A balance is no decimal.
    #[error("a balance is no exact decimal: {0}")]
    Decimal(#[from] DecimalError),
    /// `count` differs from the number of balances.
    #[error("the answer counts {count} customers and lists {listed}")]
    Count {
        /// `count` of the answer.
        count: usize,
        /// Length of `balances`.
        listed: usize,
    },
    /// The customers are not in the order of their ids.
    #[error("{0} is not in the order of customer ids")]
    Order(String),
    /// Whatever else kept the answer away.
    #[error("{0}")]
    Other(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    count: usize,
    #[serde(borrow)]
    balances: Vec<AnswerRow<'a>>,
    as_of: Offsets,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerRow<'a> {
    customer_id: String,
    #[serde(borrow)]
    balance: Option<&'a RawValue>,
    currency: Option<String>,
    #[serde(borrow)]
    balances: Option<BTreeMap<String, &'a RawValue>>,
    transaction_count: u64,
    last_updated: Timestamp,
    last_transaction_id: String,
}

impl Balances {
    /// Reads the answer's text and checks what it says of itself.
    pub fn parse(text: &str) -> Result<Self, AnswerError> {
        let answer: Answer<'_> = serde_json::from_str(text)?;
        let rows = answer.balances.into_iter().map(Row::of).collect::<Result<Vec<_>, _>>()?;
        if answer.count != rows.len() {
            return Err(AnswerError::Count { count: answer.count, listed: rows.len() });
        }
        if let Some(pair) = rows.windows(2).find(|pair| pair[0].customer_id >= pair[1].customer_id) {
            return Err(AnswerError::Order(pair[1].customer_id.clone()));
        }
        Ok(Self { rows, as_of: answer.as_of })
    }
}

impl Row {
    fn of(answer: AnswerRow<'_>) -> Result<Self, DecimalError> {
        let amounts = match (answer.balances, answer.balance) {
            (Some(amounts), _) => amounts,
            (None, amount) => amount.map(|amount| (answer.currency.unwrap_or_default(), amount)).into_iter().collect(),
        };
        let exact = |(currency, amount): (String, &RawValue)| Ok((currency, amount.get().parse()?));
        Ok(Self {
            customer_id: answer.customer_id,
            balances: amounts.into_iter().map(exact).collect::<Result<_, DecimalError>>()?,
            count: answer.transaction_count,
            last_transaction_id: answer.last_transaction_id,
            last_updated: answer.last_updated,
        })
    }
}

/// The API over HTTP.
#[derive(Debug)]
pub struct Http {
    client: reqwest::blocking::Client,
    url: String,
}

impl Http {
    /// `base` is the API's URL without a path, `http://127.0.0.1:18080`.
    pub fn new(base: &str) -> Result<Self, AnswerError> {
        let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(10)).build()?;
        Ok(Self { client, url: format!("{}/api/Balance/balances", base.trim_end_matches('/')) })
    }

    /// One answer.
    pub fn balances(&self) -> Result<Balances, AnswerError> {
        let response = self.client.get(&self.url).send()?;
        let status = response.status();
        let body = response.text()?;
        if !status.is_success() {
            return Err(AnswerError::Status { status: status.as_u16(), body });
        }
        Balances::parse(&body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"customerId":"CUST-001","balance":3800.00,"transactionCount":2,"lastUpdated":"2026-02-08T22:01:00Z","lastTransactionId":"BAL-002"}"#;

    fn parse(count: usize, rows: &str) -> Result<Balances, AnswerError> {
        Balances::parse(&format!(r#"{{"count":{count},"balances":[{rows}],"asOf":{{"0":2,"3":7}}}}"#))
    }

    #[test]
    fn a_single_balance_is_read_exactly() {
        let balances = parse(1, ROW).unwrap();
        assert_eq!(balances.rows[0].balances[""].to_string(), "3800");
        assert_eq!(balances.as_of, Offsets::from([(0, 2), (3, 7)]));
        let long = ROW.replace("3800.00", "123456789012345678901234567890.07");
        assert_eq!(parse(1, &long).unwrap().rows[0].balances[""].to_string(), "123456789012345678901234567890.07");
    }

    #[test]
    fn several_currencies_are_read_apart() {
        let several = ROW.replace(r#""balance":3800.00"#, r#""balance":null,"balances":{"EUR":1.50,"JPY":-7}"#);
        let row = parse(1, &several).unwrap().rows.remove(0);
        assert_eq!((row.balances["EUR"].to_string(), row.balances["JPY"].to_string()), ("1.5".into(), "-7".into()));
    }

    #[test]
    fn an_answer_that_contradicts_itself_is_refused() {
        assert!(matches!(parse(2, ROW), Err(AnswerError::Count { count: 2, listed: 1 })));
        assert!(matches!(parse(2, &format!("{ROW},{ROW}")), Err(AnswerError::Order(_))));
    }
}
