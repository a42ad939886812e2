//! How balances read in JSON: one currency as a plain number, several as a map, never added together.
//!
//! Numbers are the exact decimal text of an amount, with all decimals of its currency; no float comes near them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use axum::body::Bytes;
use jiff::Timestamp;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::fleet::{BalanceRead, Charge, SumError};
use super::streaming_body::PIECE_BYTES;
use crate::domain::money::Amount;
use crate::view::BalanceRow;

/// An amount as a JSON number of any length, such as `3800.00`.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExactNumber(Amount);

/// A customer's balance over the whole fleet.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "customerId": "CUST-001", "balance": 3800.25, "currency": "EUR", "transactionCount": 2,
    "lastUpdated": "2026-02-08T22:01:00Z", "lastTransactionId": "BAL-002", "asOf": {"0": 42, "1": 17}
}))]
#[serde(rename_all = "camelCase")]
pub(super) struct Balance<'a> {
    #[schema(value_type = String)]
    customer_id: Cow<'a, str>,
    /// The balance, when all transactions have one currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    balance: Option<ExactNumber>,
    /// The balance's currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    currency: Option<&'a str>,
    /// Currency → balance, instead of the two above, when there are several currencies.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Option<BTreeMap<String, ExactNumber>>, nullable = false, example = json!({"EUR": 3800.25, "JPY": 120}))]
    balances: BTreeMap<&'a str, ExactNumber>,
    transaction_count: u64,
    /// Time of the latest transaction.
    #[schema(value_type = String, format = DateTime)]
    last_updated: Timestamp,
    #[schema(value_type = String)]
    last_transaction_id: Cow<'a, str>,
    /// Partition → next offset: every record below it was dealt with, and those that fit are in this balance. In a list, the list has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, i64>>, nullable = false)]
    as_of: Option<&'a BTreeMap<i32, i64>>,
}

/// Every customer's balance.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BalanceList<'a> {
    count: usize,
    /// Partition → next offset: exactly the records below it are in these balances.
    #[schema(value_type = BTreeMap<String, i64>, example = json!({"0": 42, "1": 17}))]
    as_of: &'a BTreeMap<i32, i64>,
    /// Ordered by customer id.
    balances: &'a [Balance<'a>],
}

impl<'a> Balance<'a> {
    pub(super) fn of(customer: &'a BalanceRow, as_of: Option<&'a BTreeMap<i32, i64>>) -> Self {
        let (single, several) = match &customer.amounts[..] {
            [amount] => (Some(amount), &[][..]),
            amounts => (None, amounts),
        };
        Self {
            customer_id: customer.customer.cow(),
            balance: single.copied().map(ExactNumber),
            currency: single.map(|amount| amount.currency.as_str()),
            balances: several.iter().map(|amount| (amount.currency.as_str(), ExactNumber(*amount))).collect(),
            transaction_count: customer.count,
            last_updated: customer.last_updated,
            last_transaction_id: customer.last_transaction_id.cow(),
            as_of,
        }
    }
}

/// What ends the text of a list.
const LIST_END: &[u8] = b"]}";

/// A list as JSON text, made piece by piece. It holds its memory until it is dropped.
pub(super) struct ListText<C> {
    /// What is written already of the next piece.
    piece: Vec<u8>,
    customers: C,
    is_first: bool,
    is_over: bool,
    _charge: Arc<Charge>,
}

/// See [`ListText`].
pub(super) fn list_text(
    read: BalanceRead,
) -> Result<ListText<impl Iterator<Item = Result<BalanceRow, SumError>>>, serde_json::Error> {
    let BalanceRead { balances, charge } = read;
    let head = BalanceList { count: balances.count, ..BalanceList::empty(&balances.as_of) };
    let mut piece = serde_json::to_vec(&head)?;
    piece.truncate(piece.len() - LIST_END.len());
    Ok(ListText { piece, customers: balances.into_customers(), is_first: true, is_over: false, _charge: charge })
}

impl<C: Iterator<Item = Result<BalanceRow, SumError>>> Iterator for ListText<C> {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let mut piece = std::mem::take(&mut self.piece);
        piece.reserve(PIECE_BYTES + 1024);
        while piece.len() < PIECE_BYTES {
            let Some(customer) = self.customers.next() else {
                piece.extend_from_slice(LIST_END);
                self.is_over = true;
                break;
            };
            if !std::mem::replace(&mut self.is_first, false) {
                piece.push(b',');
            }
            let written = customer
                .map_err(io::Error::other)
                .and_then(|customer| Ok(serde_json::to_writer(&mut piece, &Balance::of(&customer, None))?));
            if let Err(error) = written {
                return Some(Err(error));
            }
        }
        Some(Ok(piece.into()))
    }
}

impl<'a> BalanceList<'a> {
    /// Of a ledger without customers.
    pub(super) fn empty(as_of: &'a BTreeMap<i32, i64>) -> Self {
        Self { count: 0, as_of, balances: &[] }
    }
}

impl Serialize for ExactNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl PartialSchema for ExactNumber {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Number))
            .description(Some("Exact decimal with all decimals of the currency"))
            .examples([serde_json::json!(3800.25)]);
        RefOr::T(number.into())
    }
}

impl ToSchema for ExactNumber {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;

    fn customer(amounts: &[(&str, i128, u8)]) -> BalanceRow {
        let amount = |&(code, minor_units, exponent): &(&str, i128, u8)| Amount {
            currency: Currency::parse(code).unwrap(),
            minor_units,
            exponent,
        };
        BalanceRow {
            customer: "CUST-001".into(),
            amounts: amounts.iter().map(amount).collect(),
            count: 2,
            last_transaction_id: "BAL-002".into(),
            last_updated: "2026-02-08T22:01:00Z".parse().unwrap(),
            last_offset: 0,
            partition: 0,
        }
    }

    #[test]
    fn one_currency_is_a_plain_number_with_all_its_decimals() {
        let customer = customer(&[("EUR", 380_000, 2)]);
        assert_eq!(
            serde_json::to_string(&Balance::of(&customer, Some(&BTreeMap::from([(0, 42)])))).unwrap(),
            r#"{"customerId":"CUST-001","balance":3800.00,"currency":"EUR","transactionCount":2,"lastUpdated":"2026-02-08T22:01:00Z","lastTransactionId":"BAL-002","asOf":{"0":42}}"#
        );
    }

    #[test]
    fn several_currencies_are_a_map_and_no_sum() {
        let customer = customer(&[("EUR", -5, 2), ("JPY", 120, 0)]);
        let text = serde_json::to_string(&Balance::of(&customer, None)).unwrap();
        assert!(text.contains(r#""balances":{"EUR":-0.05,"JPY":120}"#), "{text}");
        assert!(!text.contains(r#""balance":"#) && !text.contains("currency"), "{text}");
    }

    #[test]
    fn a_number_longer_than_any_float_keeps_every_digit() {
        let customer = customer(&[("EUR", i128::MAX, 2)]);
        let text = serde_json::to_string(&Balance::of(&customer, None)).unwrap();
        assert!(text.contains("1701411834604692317316873037158841057.27"), "{text}");
    }
}
