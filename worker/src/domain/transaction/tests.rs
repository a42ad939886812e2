//! What is accepted, what is refused and under which name.

use std::collections::BTreeMap;

use super::*;
use crate::domain::amount::AmountError;

/// A message from the guides of the .NET consumers that this worker replaces, verbatim.
pub(super) const DEPOSIT: &str = r#"{"transactionId":"BAL-001","fromAccount":"BANK","toAccount":"FR7630001000123456789","amount":5000.00,"currency":"EUR","type":3,"description":"Depot initial","customerId":"CUST-001","timestamp":"2026-02-08T22:00:00Z","riskScore":0,"status":1}"#;

fn parse(text: &str) -> Result<Transaction<'_>, BadRecord> {
    Transaction::parse(Some(text.as_bytes()), &Exponents::iso_4217(&BTreeMap::new()))
}

/// [`DEPOSIT`] with one field replaced by `value`, or left out.
fn with(field: &str, value: Option<&str>) -> String {
    let whole: BTreeMap<String, Box<serde_json::value::RawValue>> = serde_json::from_str(DEPOSIT).unwrap();
    let mut fields: BTreeMap<&str, &str> = whole.iter().map(|(name, raw)| (name.as_str(), raw.get())).collect();
    match value {
        Some(value) => fields.insert(field, value),
        None => fields.remove(field),
    };
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

#[track_caller]
fn refused(field: &str, value: &str, expected: BadRecord) {
    assert_eq!(parse(&with(field, Some(value))), Err(expected), "{field}: {value}");
}

#[test]
fn a_message_is_read_as_it_is() {
    let transaction = parse(DEPOSIT).unwrap();
    assert_eq!(transaction.transaction_id, "BAL-001");
    assert_eq!(transaction.customer_id, "CUST-001");
    assert_eq!((transaction.minor_units, transaction.currency.as_str()), (500_000, "EUR"));
    assert_eq!(transaction.transaction_type, TransactionType::Deposit);
    assert_eq!(transaction.timestamp.to_string(), "2026-02-08T22:00:00Z");
}

#[test]
fn types_and_statuses_are_numbers_or_names() {
    for (index, kind) in TransactionType::ALL.iter().enumerate() {
        let (number, name) = ((index + 1).to_string(), format!("\"{}\"", kind.name()));
        assert_eq!(parse(&with("type", Some(&number))).unwrap().transaction_type, *kind);
        assert_eq!(parse(&with("type", Some(&name))).unwrap().transaction_type, *kind);
    }
    for status in ["1", "6", "\"UnderReview\"", "null"] {
        assert!(parse(&with("status", Some(status))).is_ok(), "{status}");
    }
    for wrong in ["0", "8", "1.0", "-1", "\"transfer\"", "\"3\"", "null", "[3]", "true", "1e0"] {
        refused("type", wrong, BadRecord::WrongShape);
    }
    refused("status", "7", BadRecord::WrongShape);
}

#[test]
fn what_a_balance_does_not_need_may_be_absent_or_null_but_not_of_a_wrong_type() {
    for field in ["fromAccount", "toAccount", "description", "riskScore", "status", "location"] {
        assert!(parse(&with(field, None)).is_ok(), "{field} absent");
        assert!(parse(&with(field, Some("null"))).is_ok(), "{field} null");
        refused(field, "false", BadRecord::WrongShape);
    }
    assert!(parse(&with("location", Some(r#"{"city":"Paris","at":[48.85,2.35]}"#))).is_ok());
    assert!(parse(&with("unknown", Some(r#"{"a":[1,null]}"#))).is_ok());
}

#[test]
fn what_a_balance_needs_is_required_once() {
    for field in ["transactionId", "amount", "currency", "type", "customerId", "timestamp"] {
        assert_eq!(parse(&with(field, None)), Err(BadRecord::WrongShape), "{field} absent");
    }
    let twice = DEPOSIT.replacen('{', r#"{"amount":1.00,"#, 1);
    assert_eq!(parse(&twice), Err(BadRecord::WrongShape));
}

#[test]
fn an_amount_is_a_json_number_from_a_hundredth_to_a_million() {
    refused("amount", "\"5000.00\"", BadRecord::Amount(AmountError::NotANumber));
    refused("amount", "12.345", BadRecord::Amount(AmountError::TooManyDecimals));
    refused("amount", "1e400", BadRecord::Amount(AmountError::TooLarge));
    for wrong in ["0", "0.00", "-1", "-0.01", "1000000.01", "1e7"] {
        refused("amount", wrong, BadRecord::AmountOutOfRange);
    }
    for (right, units) in [("0.01", 1), ("1000000.00", 100_000_000), ("1e6", 100_000_000), ("5.000", 500)] {
        assert_eq!(parse(&with("amount", Some(right))).unwrap().minor_units, units, "{right}");
    }
}

#[test]
fn the_range_is_one_of_whole_units_in_every_currency() {
    let dinar = with("currency", Some("\"KWD\""));
    for (amount, expected) in
        [("0.009", Err(BadRecord::AmountOutOfRange)), ("0.010", Ok(10)), ("1000000.000", Ok(1_000_000_000))]
    {
        let read = parse(&dinar.replace("5000.00", amount)).map(|transaction| transaction.minor_units);
        assert_eq!(read, expected, "{amount} KWD");
    }
    let yen = with("currency", Some("\"JPY\"")).replace("5000.00", "1");
    assert_eq!(parse(&yen).unwrap().minor_units, 1);
}

#[test]
fn each_other_fault_has_its_name() {
    for (field, value, expected) in [
        ("currency", "\"XXX\"", BadRecord::UnknownCurrency),
        ("currency", "\"eur\"", BadRecord::UnknownCurrency),
        ("timestamp", "\"yesterday\"", BadRecord::Timestamp),
        ("timestamp", "\"2026-02-08 22Z\"", BadRecord::Timestamp),
        ("timestamp", "1770588000", BadRecord::WrongShape),
        ("riskScore", "101", BadRecord::WrongShape),
        ("riskScore", "1.5", BadRecord::WrongShape),
        ("customerId", "7", BadRecord::WrongShape),
    ] {
        refused(field, value, expected);
    }
    refused("description", &format!("\"{}\"", "x".repeat(501)), BadRecord::DescriptionTooLong);
    assert!(parse(&with("description", Some(&format!("\"{}\"", "é".repeat(500))))).is_ok());
}

#[test]
fn ids_are_what_the_api_can_look_up() {
    let of_bytes = |bytes: usize| format!("\"{}\"", "é".repeat(bytes / 2));
    refused("customerId", "\"\"", BadRecord::IdLength);
    for field in ["customerId", "transactionId"] {
        refused(field, &of_bytes(MAX_ID_BYTES + 2), BadRecord::IdLength);
        assert!(parse(&with(field, Some(&of_bytes(MAX_ID_BYTES)))).is_ok(), "{field}");
    }
}

#[test]
fn a_megabyte_of_brackets_is_a_bad_record_wherever_it_stands() {
    let brackets = ["[".repeat(1 << 20), r#"{"a":"#.repeat(200_000), r#"[{"":["#.repeat(200_000)];
    for field in ["unknown", "location", "amount", "customerId", "type", "description"] {
        for value in &brackets {
            refused_on_a_small_stack(with_unchecked(field, value));
        }
    }
    brackets.iter().for_each(|value| refused_on_a_small_stack(value.clone()));
}

/// A thread's stack is what a recursion ends.
fn refused_on_a_small_stack(text: String) {
    let parsed = std::thread::spawn(move || parse(&text).map(drop)).join().unwrap();
    assert_eq!(parsed, Err(BadRecord::NestedTooDeep));
}

/// [`DEPOSIT`], its last field cut off and followed by `field` with a value that need not be JSON.
fn with_unchecked(field: &str, value: &str) -> String {
    format!("{},\"{field}\":{value}", with(field, None).trim_end_matches('}'))
}

#[test]
fn a_value_may_be_nested_as_deeply_as_the_limit_says() {
    let array = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&with("unknown", Some(&array(127)))).is_ok());
    let deeper = format!("{},\"unknown\":{}}}", DEPOSIT.trim_end_matches('}'), array(128));
    assert_eq!(parse(&deeper), Err(BadRecord::NestedTooDeep));
}

#[test]
fn what_is_not_one_json_object_is_broken() {
    let exponents = Exponents::iso_4217(&BTreeMap::new());
    assert_eq!(Transaction::parse(None, &exponents), Err(BadRecord::Empty));
    let trailing = format!("{DEPOSIT}x");
    for text in ["", "{", "{\"a\":", "not json", trailing.as_str(), &DEPOSIT[..DEPOSIT.len() - 1]] {
        assert_eq!(parse(text), Err(BadRecord::BrokenJson), "{text}");
    }
    for text in ["[]", "null", "5", "\"text\""] {
        assert_eq!(parse(text), Err(BadRecord::WrongShape), "{text}");
    }
    let mut bytes = DEPOSIT.as_bytes().to_vec();
    bytes[20] = 0xff;
    assert!(Transaction::parse(Some(&bytes), &exponents).is_err(), "not UTF-8");
}

#[test]
fn a_record_without_a_transaction_is_a_bad_record_here() {
    assert_eq!(parse(r#"{"orderId":"ORD-001","amount":99.99,"status":"NEW"}"#), Err(BadRecord::WrongShape));
}

#[test]
fn escapes_in_ids_are_resolved() {
    let text = with("customerId", Some(r#""caf\u00e9 \"\ud83d\ude00\"""#));
    assert_eq!(parse(&text).unwrap().customer_id, "café \"😀\"");
}
