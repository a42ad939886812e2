//! The JSON of one transaction, field by field.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::customer::{Customer, account};
use super::kind::Kind;
use super::random::Draws;
use super::{Amount, Effect};

/// What a value is written from.
pub(super) struct Parts<'a> {
    pub(super) transaction_id: &'a str,
    pub(super) customer: &'a Customer,
    pub(super) effect: Effect,
    pub(super) timestamp: Timestamp,
    pub(super) optional_fields: bool,
    pub(super) draws: &'a mut Draws,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Transaction<'a> {
    transaction_id: &'a str,
    from_account: &'a str,
    to_account: &'a str,
    amount: Box<RawValue>,
    currency: &'a str,
    r#type: Code<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    customer_id: &'a str,
    timestamp: Timestamp,
    risk_score: u64,
    status: Code<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Location>,
}

/// The contract allows the number as well as its name.
#[derive(Serialize)]
#[serde(untagged)]
enum Code<'a> {
    Number(u64),
    Name(&'a str),
}

#[derive(Clone, Copy, Serialize)]
struct Location {
    city: &'static str,
    country: &'static str,
}

const LOCATIONS: [Location; 6] = [
    Location { city: "Paris", country: "FR" },
    Location { city: "Lyon", country: "FR" },
    Location { city: "Marseille", country: "FR" },
    Location { city: "Bruxelles", country: "BE" },
    Location { city: "Genève", country: "CH" },
    Location { city: "Madrid", country: "ES" },
];

/// The message's value.
pub(super) fn value(parts: &mut Parts<'_>) -> String {
    let Parts { transaction_id, customer, effect, timestamp, optional_fields, draws } = parts;
    let Effect { kind, amount } = *effect;
    let (kind_name, counterpart) = (kind.to_string(), account(draws));
    let (from_account, to_account) = match kind {
        Kind::Deposit => ("BANK", customer.account.as_str()),
        _ => (customer.account.as_str(), counterpart.as_str()),
    };
    // One in eight writes names instead of numbers: the contract takes both.
    let by_name = draws.below(8) == 0;
    let transaction = Transaction {
        transaction_id,
        from_account,
        to_account,
        amount: amount_text(amount, draws),
        currency: amount.currency.code,
        r#type: if by_name { Code::Name(&kind_name) } else { Code::Number(kind.number()) },
        description: optional_fields.then(|| description(kind, customer, draws)),
        customer_id: &customer.id,
        timestamp: *timestamp,
        risk_score: draws.below(101),
        status: if by_name { Code::Name("Pending") } else { Code::Number(1) },
        location: (*optional_fields && kind == Kind::CardPayment).then(|| *draws.one_of(&LOCATIONS)),
    };
    serde_json::to_string(&transaction).unwrap_or_default()
}

/// `1200.00`; one whole amount in four as `1200`: both are how a .NET decimal is written.
fn amount_text(amount: Amount, draws: &mut Draws) -> Box<RawValue> {
    let text = amount.to_string();
    let short = text.strip_suffix(".00").filter(|_| draws.below(4) == 0);
    RawValue::from_string(short.unwrap_or(&text).to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn description(kind: Kind, customer: &Customer, draws: &mut Draws) -> String {
    let phrase = *draws.one_of(match kind {
        Kind::Transfer => &["Virement loyer", "Virement épargne", "Remboursement"],
        Kind::Payment => &["Paiement en ligne", "Abonnement", "Assurance habitation"],
        Kind::Deposit => &["Salaire", "Dépôt de chèque", "Dépôt d'espèces"],
        Kind::Withdrawal => &["Retrait distributeur", "Retrait guichet", "Retrait à l'étranger"],
        Kind::CardPayment => &["Boulangerie", "Supermarché", "Station-service"],
        Kind::InternationalTransfer => &["Virement SWIFT", "Frais de scolarité", "Aide familiale"],
        Kind::BillPayment => &["Électricité", "Téléphone", "Eau"],
    });
    format!("{phrase} – {}", customer.name)
}

#[cfg(test)]
mod tests {
    use crate::stream::{Settings, Stream};

    #[test]
    fn a_record_has_the_fields_of_the_contract() {
        let record = Stream::new(Settings::default()).record(7);
        let value: serde_json::Value = serde_json::from_str(&record.value).unwrap();
        for text in ["transactionId", "fromAccount", "toAccount", "currency", "description", "customerId", "timestamp"]
        {
            assert!(value[text].is_string(), "{text} of {value}");
        }
        assert_eq!(value["transactionId"], "TX-seed-1-00000007");
        assert_eq!(value["timestamp"], "2026-01-01T00:00:00.07Z");
        assert!(value["amount"].is_number());
        assert!((0..=100).contains(&value["riskScore"].as_i64().unwrap()));
    }

    #[test]
    fn without_the_optional_fields_the_others_stay() {
        let stream = |optional_fields| Stream::new(Settings { optional_fields, ..Settings::default() });
        for index in 0..200 {
            let (whole, brief) = (stream(true).record(index), stream(false).record(index));
            assert_eq!((&whole.customer_id, whole.effect), (&brief.customer_id, brief.effect));
            let brief: serde_json::Value = serde_json::from_str(&brief.value).unwrap();
            assert!(brief["description"].is_null() && brief["location"].is_null(), "{brief}");
            assert!(brief["riskScore"].is_number() && brief["fromAccount"].is_string(), "{brief}");
        }
    }

    #[test]
    fn types_are_written_as_numbers_and_sometimes_as_names() {
        let stream = Stream::new(Settings::default());
        let names = (0..800)
            .map(|index| serde_json::from_str::<serde_json::Value>(&stream.record(index).value).unwrap())
            .filter(|value| value["type"].is_string())
            .count();
        assert!((60..140).contains(&names), "{names}");
    }
}
