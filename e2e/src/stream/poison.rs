//! Records that no worker can apply: each must be counted as an error and change no balance.

use super::money::Amount;
use super::random::Draws;

/// Turns a good value into one of the known bad ones.
pub(super) fn spoil(value: &str, amount: Amount, draws: &mut Draws) -> String {
    let with_amount = |text: &str| replace_field(value, "amount", text);
    match draws.below(6) {
        // Cut in the middle, as by a producer that crashed.
        0 => value.chars().take(value.chars().count() / 2).collect(),
        // One decimal more than the currency has.
        1 if amount.currency.decimals == 0 => with_amount(&format!("{amount}.7")),
        1 => with_amount(&format!("{amount}7")),
        2 => with_amount("1e400"),
        3 => with_amount("\"a lot\""),
        4 => replace_field(value, "customerId", "{\"number\":17}"),
        _ => "not JSON at all".into(),
    }
}

/// Puts `text` where the field's value was. Only for fields whose value holds no comma.
fn replace_field(value: &str, field: &str, text: &str) -> String {
    let name = format!("\"{field}\":");
    let Some(start) = value.find(&name).map(|position| position + name.len()) else { return String::new() };
    let end = value[start..].find(',').map_or(value.len(), |length| start + length);
    format!("{}{text}{}", &value[..start], &value[end..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle;
    use crate::stream::{Currency, Settings, Stream};

    const EURO: Currency = Currency { code: "EUR", decimals: 2 };
    const YEN: Currency = Currency { code: "JPY", decimals: 0 };

    #[test]
    fn only_the_named_field_is_replaced() {
        let value = r#"{"amount":12.50,"currency":"EUR"}"#;
        assert_eq!(replace_field(value, "amount", "1e400"), r#"{"amount":1e400,"currency":"EUR"}"#);
    }

    #[test]
    fn each_bad_value_is_refused_by_the_oracle_and_each_good_one_is_not() {
        let settings = Settings { poison: 50.0, currencies: vec![EURO, YEN], ..Settings::default() };
        let stream = Stream::new(settings);
        for record in (0..2_000).map(|index| stream.record(index)) {
            let read = oracle::read(record.value.as_bytes());
            assert_eq!(read.is_ok(), record.effect.is_some(), "{}: {read:?}", record.value);
        }
    }
}
