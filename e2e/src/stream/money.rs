//! Currencies of the stream, and amounts as exact decimal text.

use std::fmt;
use std::str::FromStr;

use super::kind::Kind;
use super::random::Draws;

/// An ISO 4217 currency with its number of decimals.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Currency {
    /// Three letters.
    pub code: &'static str,
    /// Decimals of the minor unit: 2 for EUR, 0 for JPY, 3 for KWD.
    pub decimals: u32,
}

/// What the generator can write; few, but one of each number of decimals.
const KNOWN: [Currency; 8] = [
    Currency { code: "EUR", decimals: 2 },
    Currency { code: "USD", decimals: 2 },
    Currency { code: "GBP", decimals: 2 },
    Currency { code: "CHF", decimals: 2 },
    Currency { code: "JPY", decimals: 0 },
    Currency { code: "KRW", decimals: 0 },
    Currency { code: "KWD", decimals: 3 },
    Currency { code: "BHD", decimals: 3 },
];

impl FromStr for Currency {
    type Err = String;

    fn from_str(code: &str) -> Result<Self, String> {
        let known = KNOWN.into_iter().find(|currency| currency.code == code);
        known.ok_or_else(|| format!("unknown currency {code}; one of {}", KNOWN.map(|known| known.code).join(", ")))
    }
}

/// An amount in minor units of its currency; displays as the plain decimal, `1200.00`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Amount {
    /// Cents, yen, fils: 1 is the smallest amount that exists.
    pub minor_units: u64,
    /// The currency whose minor units these are.
    pub currency: Currency,
}

impl Amount {
    /// An amount as that type of transaction has it, at least one minor unit and at most 1 000 000.00.
    pub fn draw(kind: Kind, currency: Currency, draws: &mut Draws) -> Self {
        // Smallest and largest in hundredths of a unit; one in a thousand is anything the contract allows.
        let (smallest, largest) = match (draws.below(1_000), kind) {
            (0, _) => (1, 100_000_000),
            (_, Kind::Deposit) => (50_000, 450_000),
            (_, Kind::CardPayment) => (120, 18_000),
            (_, Kind::Withdrawal) => (2_000, 50_000),
            (_, Kind::InternationalTransfer) => (10_000, 900_000),
            _ => (500, 150_000),
        };
        let hundredths = draws.between(smallest, largest);
        let minor_units = match currency.decimals {
            0 => hundredths.div_ceil(100),
            // The third decimal is drawn too, else it would always be 0.
            3 => (hundredths * 10 + draws.below(10)).min(1_000_000_000),
            _ => hundredths,
        };
        Self { minor_units, currency }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10u64.pow(self.currency.decimals);
        let (whole, rest) = (self.minor_units / unit, self.minor_units % unit);
        match self.currency.decimals {
            0 => write!(out, "{whole}"),
            decimals => write!(out, "{whole}.{rest:0width$}", width = decimals as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_written_with_the_decimals_of_its_currency() {
        let written = |minor_units, code: &str| Amount { minor_units, currency: code.parse().unwrap() }.to_string();
        assert_eq!(written(120_000, "EUR"), "1200.00");
        assert_eq!(written(5, "EUR"), "0.05");
        assert_eq!(written(1_234, "JPY"), "1234");
        assert_eq!(written(1_234, "KWD"), "1.234");
    }

    #[test]
    fn every_amount_lies_within_the_contract() {
        for currency in KNOWN {
            for index in 0..20_000 {
                let amount = Amount::draw(Kind::Payment, currency, &mut Draws::new(3, 0, index));
                let most = 1_000_000 * 10u64.pow(currency.decimals);
                assert!((1..=most).contains(&amount.minor_units), "{amount}");
            }
        }
    }
}
