//! The seven types of a transaction and how often each occurs.

use std::fmt;
use std::str::FromStr;

use super::random::Draws;

/// A transaction's type, with the number it has on the wire.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs)] // the names are the contract's own
pub enum Kind {
    Transfer = 1,
    Payment,
    Deposit,
    Withdrawal,
    CardPayment,
    InternationalTransfer,
    BillPayment,
}

impl Kind {
    /// All types in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Transfer,
        Self::Payment,
        Self::Deposit,
        Self::Withdrawal,
        Self::CardPayment,
        Self::InternationalTransfer,
        Self::BillPayment,
    ];

    /// The number on the wire, 1 to 7.
    pub fn number(self) -> u64 {
        self as u64
    }

    /// The type of that number.
    pub fn of_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, out)
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|kind| kind.to_string() == name);
        known.ok_or_else(|| format!("unknown transaction type {name}; one of {:?}", Self::ALL))
    }
}

/// How often each type occurs: whole-number weights.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mix {
    weights: Vec<(Kind, u64)>,
}

impl Mix {
    /// Draws a type.
    pub fn draw(&self, draws: &mut Draws) -> Kind {
        let total = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut left = draws.below(total);
        for (kind, weight) in &self.weights {
            if left < *weight {
                return *kind;
            }
            left -= weight;
        }
        Kind::Transfer
    }
}

impl Default for Mix {
    /// A retail bank's day: mostly cards, then transfers and payments.
    fn default() -> Self {
        use Kind::*;
        let weights = [
            (CardPayment, 35),
            (Transfer, 20),
            (Payment, 14),
            (Deposit, 12),
            (Withdrawal, 8),
            (BillPayment, 8),
            (InternationalTransfer, 3),
        ];
        Self { weights: weights.to_vec() }
    }
}

impl FromStr for Mix {
    type Err = String;

    /// `Deposit=3,Withdrawal=1`: types that are not named do not occur.
    fn from_str(text: &str) -> Result<Self, String> {
        let weight = |part: &str| {
            let (name, weight) = part.split_once('=').ok_or_else(|| format!("{part}: write TYPE=WEIGHT"))?;
            let weight: u32 = weight.parse().map_err(|_| format!("{part}: the weight is a whole number"))?;
            Ok((name.parse()?, u64::from(weight)))
        };
        let weights = text.split(',').map(weight).collect::<Result<Vec<(Kind, u64)>, String>>()?;
        if weights.iter().all(|(_, weight)| *weight == 0) {
            return Err("at least one weight is above 0".into());
        }
        Ok(Self { weights })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_draws_only_the_types_it_names() {
        let mix: Mix = "Deposit=3,Withdrawal=1".parse().unwrap();
        let deposits = (0..4_000).filter(|index| mix.draw(&mut Draws::new(5, 0, *index)) == Kind::Deposit).count();
        assert!((2_900..3_100).contains(&deposits), "{deposits}");
    }

    #[test]
    fn a_mix_without_any_weight_is_refused() {
        assert!("Deposit=0".parse::<Mix>().is_err());
        assert!("Gift=1".parse::<Mix>().unwrap_err().contains("Gift"));
    }

    #[test]
    fn numbers_and_names_of_a_type_agree() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_number(kind.number()), Some(kind));
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert_eq!(Kind::of_number(8), None);
    }
}
