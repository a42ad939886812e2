//! Money: a currency and a whole number of its minor units.
//!
//! Amounts are integers, and print as exact decimal text. There is no conversion to or from a binary float.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// An ISO 4217 code: three capital letters, `EUR`.
///
/// Whether the code is *known*, and how many decimals it has, is the business of
/// [`crate::domain::exponents::Exponents`].
///
/// Kept as its place among all codes there can be, in alphabetical order: two bytes, so that a customer's balance fits
/// into 16.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Currency(u16);

/// All codes there can be, one after the other.
static CODES: [u8; 3 * Currency::COUNT] = {
    let (mut codes, mut place) = ([0; 3 * Currency::COUNT], 0);
    while place < Currency::COUNT {
        let letters = [place / (26 * 26), place / 26 % 26, place % 26];
        let mut index = 0;
        while index < 3 {
            codes[3 * place + index] = b'A' + letters[index] as u8;
            index += 1;
        }
        place += 1;
    }
    codes
};

impl Currency {
    /// How many codes there can be.
    pub(crate) const COUNT: usize = 26 * 26 * 26;

    /// Reads a code; `None` unless it is three capital ASCII letters.
    pub(crate) fn parse(code: &str) -> Option<Self> {
        let letters: [u8; 3] = code.as_bytes().try_into().ok()?;
        let places = letters.map(|letter| u16::from(letter.wrapping_sub(b'A')));
        places.iter().all(|place| *place < 26).then(|| Self((26 * places[0] + places[1]) * 26 + places[2]))
    }

    /// Its place among all codes there can be, in alphabetical order.
    pub(crate) fn ordinal(self) -> usize {
        usize::from(self.0)
    }

    pub(crate) fn of_ordinal(ordinal: usize) -> Option<Self> {
        u16::try_from(ordinal).ok().filter(|_| ordinal < Self::COUNT).map(Self)
    }

    pub(crate) fn as_str(self) -> &'static str {
        let from = 3 * self.ordinal();
        // Only letters are there, so this is never the fallback.
        std::str::from_utf8(&CODES[from..from + 3]).unwrap_or_default()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = Cow::<'_, str>::deserialize(deserializer)?;
        Self::parse(&code).ok_or_else(|| D::Error::custom("not a currency"))
    }
}

/// The balance would not fit into an `i128`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the balance would overflow")]
pub(crate) struct Overflow;

/// An exact sum of one currency. `Display` gives its decimal text with all decimals: `3800.00`, `-0.05`, `120` (JPY).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) currency: Currency,
    /// The sum in minor units: cents for EUR.
    pub(crate) minor_units: i128,
    /// How many decimals the currency has: 2 for EUR, 0 for JPY.
    pub(crate) exponent: u8,
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.minor_units.unsigned_abs().to_string();
        let decimals = usize::from(self.exponent);
        let padded = format!("{digits:0>width$}", width = decimals + 1);
        let (whole, fraction) = padded.split_at(padded.len() - decimals);
        let sign = if self.minor_units < 0 { "-" } else { "" };
        let point = if decimals == 0 { "" } else { "." };
        write!(f, "{sign}{whole}{point}{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(minor_units: i128, exponent: u8) -> String {
        Amount { currency: Currency::parse("EUR").unwrap(), minor_units, exponent }.to_string()
    }

    #[test]
    fn a_currency_is_found_again_by_its_place() {
        let first_and_last = ["AAA", "AAB", "ABA", "EUR", "ZZZ"].map(|code| Currency::parse(code).unwrap());
        assert!(first_and_last.iter().all(|currency| Currency::of_ordinal(currency.ordinal()) == Some(*currency)));
        assert!(first_and_last.is_sorted_by_key(|currency| currency.ordinal()));
        assert_eq!((first_and_last[0].ordinal(), first_and_last[4].ordinal()), (0, Currency::COUNT - 1));
        assert_eq!(Currency::of_ordinal(Currency::COUNT), None);
    }

    #[test]
    fn an_amount_prints_every_decimal_of_its_currency() {
        assert_eq!(text(380_000, 2), "3800.00");
        assert_eq!(text(-5, 2), "-0.05");
        assert_eq!(text(120, 0), "120");
        assert_eq!(text(0, 3), "0.000");
        assert_eq!(text(i128::MIN, 2), "-1701411834604692317316873037158841057.28");
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        assert_eq!(Currency::parse("EUR").unwrap().to_string(), "EUR");
        for wrong in ["eur", "EU", "EURO", "", "E1R", "É€"] {
            assert!(Currency::parse(wrong).is_none(), "{wrong}");
        }
    }
}
