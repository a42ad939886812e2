//! The same checks written plainly over `serde_json`, and amounts moved by their decimal point as on paper.

use std::fmt;

use serde::{
    Deserialize,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::*;

/// What a record says.
pub(super) enum Reading {
    Transaction(Transaction<'static>),
    Refused,
}

pub(super) fn read(bytes: &[u8]) -> Reading {
    // What `serde_json` skips it does not look at closely.
    let text = std::str::from_utf8(bytes).ok().filter(|text| deepest(text) <= 128);
    text.and_then(transaction).map_or(Reading::Refused, Reading::Transaction)
}

fn transaction(text: &str) -> Option<Transaction<'static>> {
    let Fields(fields) = serde_json::from_str(text).ok()?;
    let known = |name: &str| match fields.iter().filter(|(known, _)| known == name).collect::<Vec<_>>()[..] {
        [] => Ok(None),
        [(_, value)] => Ok(Some(value.get())),
        _ => Err(()),
    };
    let required = |name: &str| known(name).ok().flatten();
    let string = |name: &str| required(name).and_then(|raw| serde_json::from_str::<String>(raw).ok());
    let number = |raw: &str| raw.bytes().all(|byte| byte.is_ascii_digit()).then(|| raw.parse::<u64>().ok()).flatten();
    let optional = |name: &str, check: &dyn Fn(&str) -> bool| match known(name) {
        Ok(Some("null") | None) => true,
        Ok(Some(raw)) => check(raw),
        Err(()) => false,
    };
    let is_string = |raw: &str| serde_json::from_str::<String>(raw).is_ok();
    let is_short = |raw: &str| serde_json::from_str::<String>(raw).is_ok_and(|text| text.chars().count() <= 500);
    let is_status = |raw: &str| {
        let names = ["Pending", "Processing", "Completed", "Failed", "Rejected", "UnderReview"];
        let is_named = serde_json::from_str::<String>(raw).is_ok_and(|name| names.contains(&name.as_str()));
        is_named || number(raw).is_some_and(|number| (1..=6).contains(&number))
    };
    let is_right = optional("fromAccount", &is_string)
        && optional("toAccount", &is_string)
        && optional("description", &is_short)
        && optional("riskScore", &|raw| number(raw).is_some_and(|score| score <= 100))
        && optional("status", &is_status)
        && optional("location", &|raw| raw.starts_with('{'));
    let currency = Currency::parse(&string("currency")?)?;
    let exponent = Exponents::iso_4217(&BTreeMap::new()).of(currency)?;
    let kind = required("type")?;
    let transaction_type = match serde_json::from_str(kind).ok()? {
        Value::String(name) => TransactionType::named(&name)?,
        _ => *TransactionType::ALL.get(usize::try_from(number(kind)?).ok()?.checked_sub(1)?)?,
    };
    let (transaction_id, customer_id) = (string("transactionId")?, string("customerId")?);
    let fits = !customer_id.is_empty() && customer_id.len() <= 128 && transaction_id.len() <= 128;
    (is_right && fits).then_some(Transaction {
        minor_units: in_range(units(required("amount")?, exponent)?, exponent).ok()?,
        currency,
        transaction_type,
        timestamp: rfc_3339::parse(&string("timestamp")?)?,
        transaction_id: transaction_id.into(),
        customer_id: customer_id.into(),
    })
}

/// Every field, repeated ones too.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// A number's text with its point moved to the right; none when digits are left behind it, or it is beyond all amounts.
fn units(text: &str, exponent: u8) -> Option<i128> {
    if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return None;
    }
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
    let digits = digits.trim_end_matches('0');
    let right_of_point = i64::try_from(digits.len()).ok()? - i64::try_from(whole.trim_start_matches('-').len()).ok()?;
    let zeros = power.parse::<i64>().ok()?.checked_add(i64::from(exponent) - right_of_point)?;
    // No amount has so many digits.
    let zeros = usize::try_from(zeros).ok().filter(|zeros| *zeros < 30)?;
    let units = format!("{digits}{}", "0".repeat(zeros)).parse::<i128>().ok()?;
    Some(if whole.starts_with('-') { -units } else { units })
}

/// How deeply brackets outside strings are nested.
fn deepest(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for character in text.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            '[' | '{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            ']' | '}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
