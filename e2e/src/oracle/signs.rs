//! What each type of transaction does to a balance.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::decimal::Decimal;
use crate::stream::Kind;

/// Adds, subtracts, or leaves alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs)] // the names are the contract's own
pub enum Sign {
    Credit,
    Debit,
    Ignore,
}

/// The sign of every type; the default is that of the .NET consumers that the worker replaces.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Signs {
    changed: BTreeMap<Kind, Sign>,
}

impl Signs {
    /// The sign of that type.
    pub fn of(&self, kind: Kind) -> Sign {
        let default = match kind {
            Kind::Withdrawal | Kind::CardPayment | Kind::BillPayment => Sign::Debit,
            _ => Sign::Credit,
        };
        self.changed.get(&kind).copied().unwrap_or(default)
    }

    /// What an amount of that type adds to a balance.
    pub fn signed(&self, kind: Kind, amount: Decimal) -> Decimal {
        match self.of(kind) {
            Sign::Credit => amount,
            Sign::Debit => amount.negated(),
            Sign::Ignore => Decimal::default(),
        }
    }
}

impl FromStr for Signs {
    type Err = String;

    /// `Transfer=debit,Payment=ignore`, over the default.
    fn from_str(text: &str) -> Result<Self, String> {
        let sign = |part: &str| {
            let (kind, sign) = part.split_once('=').ok_or_else(|| format!("{part}: write TYPE=SIGN"))?;
            let sign = match sign.to_ascii_lowercase().as_str() {
                "credit" => Sign::Credit,
                "debit" => Sign::Debit,
                "ignore" => Sign::Ignore,
                _ => return Err(format!("{part}: the sign is credit, debit or ignore")),
            };
            Ok((kind.parse()?, sign))
        };
        let parts = text.split(',').filter(|part| !part.is_empty());
        Ok(Self { changed: parts.map(sign).collect::<Result<_, String>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_that_of_the_dotnet_consumers() {
        let debits: Vec<_> = Kind::ALL.into_iter().filter(|kind| Signs::default().of(*kind) == Sign::Debit).collect();
        assert_eq!(debits, [Kind::Withdrawal, Kind::CardPayment, Kind::BillPayment]);
    }

    #[test]
    fn named_types_change_and_the_others_stay() {
        let signs: Signs = "Transfer=debit,Payment=Ignore".parse().unwrap();
        assert_eq!(signs.of(Kind::Transfer), Sign::Debit);
        assert_eq!(signs.of(Kind::Payment), Sign::Ignore);
        assert_eq!(signs.of(Kind::Deposit), Sign::Credit);
        assert!("Transfer=minus".parse::<Signs>().is_err());
    }
}
