//! The oracle's own reading of a message: bytes go in, what a transaction says comes out.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::decimal::{Decimal, DecimalError};
use crate::stream::Kind;

/// What the oracle takes from one message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reading {
    /// `transactionId`.
    pub transaction_id: String,
    /// `customerId`.
    pub customer_id: String,
    /// `amount`, still without a sign of its own.
    pub amount: Decimal,
    /// `currency`.
    pub currency: String,
    /// `type`.
    pub kind: Kind,
    /// `timestamp`.
    pub timestamp: Timestamp,
}

/// Why a message changes no balance.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not the JSON of a transaction.
    #[error("not a transaction: {0}")]
    Shape(#[from] serde_json::Error),
    /// The amount is no decimal, or beyond all money.
    #[error("amount: {0}")]
    Amount(#[from] DecimalError),
    /// The amount has more decimals than its currency, or a sign.
    #[error("amount {0} {1} is not one of this currency")]
    Minor(Decimal, String),
    /// The type is neither 1 to 7 nor one of their names.
    #[error("unknown type {0}")]
    Kind(String),
    /// The timestamp is not RFC 3339.
    #[error("timestamp: {0}")]
    Timestamp(#[from] jiff::Error),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    transaction_id: String,
    customer_id: String,
    #[serde(borrow)]
    amount: &'a RawValue,
    currency: String,
    r#type: Code,
    timestamp: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Code {
    Number(u64),
    Name(String),
}

/// Reads one message by the contract.
pub fn read(value: &[u8]) -> Result<Reading, Refusal> {
    let message: Message<'_> = serde_json::from_slice(value)?;
    let amount: Decimal = message.amount.get().parse()?;
    if amount.is_negative() || amount.decimals() > decimals_of(&message.currency) {
        return Err(Refusal::Minor(amount, message.currency));
    }
    let kind = match message.r#type {
        Code::Number(number) => Kind::of_number(number).ok_or_else(|| Refusal::Kind(number.to_string())),
        Code::Name(name) => name.parse().map_err(|_| Refusal::Kind(name)),
    }?;
    Ok(Reading {
        transaction_id: message.transaction_id,
        customer_id: message.customer_id,
        amount,
        currency: message.currency,
        kind,
        timestamp: message.timestamp.parse()?,
    })
}

/// The currencies whose minor unit is not a hundredth (ISO 4217, as far as the generator and the tests use them).
fn decimals_of(currency: &str) -> usize {
    match currency {
        "JPY" | "KRW" | "CLP" | "ISK" | "VND" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"{"transactionId":"BAL-002","fromAccount":"FR7630001000123456789","toAccount":"FR7630001000987654321","amount":1200.00,"currency":"EUR","type":1,"description":"Virement loyer","customerId":"CUST-001","timestamp":"2026-02-08T22:01:00Z","riskScore":0,"status":1}"#;

    #[test]
    fn the_sample_of_the_labs_is_read() {
        let reading = read(SAMPLE.as_bytes()).unwrap();
        assert_eq!((reading.customer_id.as_str(), reading.amount.to_string().as_str()), ("CUST-001", "1200"));
        assert_eq!((reading.kind, reading.currency.as_str()), (Kind::Transfer, "EUR"));
    }

    #[test]
    fn a_name_of_a_type_means_the_same_as_its_number() {
        let named = SAMPLE.replace(r#""type":1"#, r#""type":"Transfer""#);
        assert_eq!(read(named.as_bytes()).unwrap(), read(SAMPLE.as_bytes()).unwrap());
    }

    #[test]
    fn what_the_contract_does_not_allow_is_refused() {
        for (from, to) in [
            ("1200.00", "1200.001"),
            ("1200.00", "-1200.00"),
            ("1200.00", "1e400"),
            ("1200.00", "\"1200.00\""),
            ("\"type\":1", "\"type\":8"),
            ("\"type\":1", "\"type\":\"Gift\""),
            ("2026-02-08T22:01:00Z", "yesterday"),
            ("\"CUST-001\"", "null"),
        ] {
            let bad = SAMPLE.replace(from, to);
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(read(br#"{"orderId":"ORD-001","amount":99.99,"status":"NEW"}"#).is_err());
    }
}
