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
    /// No customer, or an id longer than 128 bytes.
    #[error("the customerId is empty, or an id is longer than {MAX_ID_BYTES} bytes")]
    Id,
    /// Brackets in brackets.
    #[error("nested deeper than {MAX_DEPTH} levels")]
    Depth,
    /// The timestamp is not of RFC 3339's form.
    #[error("the timestamp {0} is not of the form 2026-02-08T22:00:00Z")]
    TimestampForm(String),
    /// No such time.
    #[error("timestamp: {0}")]
    Timestamp(#[from] jiff::Error),
}

const MAX_ID_BYTES: usize = 128;
const MAX_DEPTH: i32 = 128;

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
    if depth(value) > MAX_DEPTH {
        return Err(Refusal::Depth);
    }
    let message: Message<'_> = serde_json::from_slice(value)?;
    if message.customer_id.is_empty() || message.customer_id.len().max(message.transaction_id.len()) > MAX_ID_BYTES {
        return Err(Refusal::Id);
    }
    if !is_rfc_3339(&message.timestamp) {
        return Err(Refusal::TimestampForm(message.timestamp));
    }
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

/// The deepest level of brackets, as far as the text is JSON.
fn depth(value: &[u8]) -> i32 {
    let (mut in_string, mut escaped, mut depth, mut deepest) = (false, false, 0, 0);
    for byte in value {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Whether the text has the form of RFC 3339, piece by piece; whether there is such a time the parser says.
fn is_rfc_3339(text: &str) -> bool {
    let digits = |text: &str, lengths: &[usize], separator| {
        let mut parts = text.split(separator);
        let fits = |length| parts.next().is_some_and(|part| part.len() == length && all_digits(part));
        lengths.iter().copied().all(fits) && parts.next().is_none()
    };
    let text = text.to_ascii_uppercase();
    let Some((date, time)) = text.split_once('T') else { return false };
    let (time, offset) = match time.find(['Z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => return false,
    };
    let (time, decimals) = time.split_once('.').unwrap_or((time, "0"));
    let has_offset =
        offset == "Z" || offset.strip_prefix(['+', '-']).is_some_and(|rest| digits(rest, &[2, 2], ':') && rest < "24");
    digits(date, &[4, 2, 2], '-') && digits(time, &[2, 2, 2], ':') && all_digits(decimals) && has_offset
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
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
    fn a_sample_is_read() {
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
    fn what_is_rare_but_allowed_is_read() {
        for (from, to) in [
            ("2026-02-08T22:01:00Z", "2026-02-08t23:01:00.5+01:00"),
            ("CUST-001", &"x".repeat(128)),
            ("\"riskScore\":0", &format!("\"more\":{}1{}", "[".repeat(127), "]".repeat(127))),
            ("Virement loyer", &"[{".repeat(129)),
        ] {
            let rare = SAMPLE.replace(from, to);
            assert!(read(rare.as_bytes()).is_ok(), "{rare}");
        }
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
            ("2026-02-08T22:01:00Z", "2026-02-08 22Z"),
            ("2026-02-08T22:01:00Z", "20260208T2200Z"),
            ("2026-02-08T22:01:00Z", "2026-02-08T22:01:00Z[Europe/Paris]"),
            ("2026-02-08T22:01:00Z", "2026-02-08T22:01:00+24:00"),
            ("\"CUST-001\"", "\"\""),
            ("CUST-001", &"x".repeat(129)),
            ("BAL-002", &"x".repeat(129)),
            ("\"riskScore\":0", &format!("\"more\":{}1{}", "[".repeat(128), "]".repeat(128))),
            ("\"CUST-001\"", "null"),
        ] {
            let bad = SAMPLE.replace(from, to);
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(read(br#"{"orderId":"ORD-001","amount":99.99,"status":"NEW"}"#).is_err());
    }
}
