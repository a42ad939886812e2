//! Decimals of any length, added digit by digit as on paper.
//!
//! Slow and plain on purpose: the oracle must not share a way of computing with what it judges.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// An exact decimal, kept without superfluous zeros, so that equal values are equal.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Decimal {
    negative: bool,
    /// Least significant first.
    digits: Vec<u8>,
    /// How many of the digits stand after the point.
    decimals: usize,
}

/// Larger exponents are refused: `1e400` is no amount of money.
const MOST_ZEROS: i32 = 30;

/// Why a text is no decimal.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecimalError {
    /// The text is no JSON number.
    #[error("{0} is not a decimal number")]
    NotANumber(String),
    /// The exponent is beyond anything an amount can have.
    #[error("the exponent of {0} is out of range")]
    Exponent(String),
}

impl Decimal {
    /// How many decimals the value needs: 1 for `12.50`.
    pub fn decimals(&self) -> usize {
        self.decimals
    }

    /// Zero or more.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// The same with the other sign.
    #[must_use]
    pub fn negated(mut self) -> Self {
        self.negative = !self.negative && !self.digits.is_empty();
        self
    }

    /// The sum.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let decimals = self.decimals.max(other.decimals);
        let (ours, theirs) = (self.digits_with(decimals), other.digits_with(decimals));
        let (negative, digits) = match (self.negative == other.negative, compare(&ours, &theirs)) {
            (true, _) => (self.negative, add(&ours, &theirs)),
            (false, Ordering::Less) => (other.negative, subtract(&theirs, &ours)),
            (false, _) => (self.negative, subtract(&ours, &theirs)),
        };
        Self { negative, digits, decimals }.normalised()
    }

    fn digits_with(&self, decimals: usize) -> Vec<u8> {
        let mut digits = vec![0; decimals - self.decimals];
        digits.extend(&self.digits);
        digits
    }

    fn normalised(mut self) -> Self {
        let superfluous = self.digits.iter().take(self.decimals).take_while(|digit| **digit == 0).count();
        self.digits.drain(..superfluous);
        self.decimals -= superfluous;
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            return Self::default();
        }
        self
    }
}

fn add(one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let mut sum = Vec::with_capacity(one.len().max(other.len()) + 1);
    for place in 0..one.len().max(other.len()) {
        let digit = one.get(place).unwrap_or(&0) + other.get(place).unwrap_or(&0) + carry;
        sum.push(digit % 10);
        carry = digit / 10;
    }
    sum.push(carry);
    sum
}

/// `larger − smaller`.
fn subtract(larger: &[u8], smaller: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut difference = Vec::with_capacity(larger.len());
    for (place, digit) in larger.iter().enumerate() {
        let taken = smaller.get(place).unwrap_or(&0) + borrow;
        borrow = u8::from(*digit < taken);
        difference.push(digit + 10 * borrow - taken);
    }
    difference
}

fn compare(one: &[u8], other: &[u8]) -> Ordering {
    let places = one.len().max(other.len());
    let at = |digits: &[u8], place: usize| digits.get(place).copied().unwrap_or(0);
    let difference = (0..places).rev().find(|place| at(one, *place) != at(other, *place));
    difference.map_or(Ordering::Equal, |place| at(one, place).cmp(&at(other, place)))
}

impl FromStr for Decimal {
    type Err = DecimalError;

    /// Reads what JSON calls a number: `-12`, `12.50`, `1.2e3`.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let not_a_number = || DecimalError::NotANumber(text.to_owned());
        let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) || !is_digits(exponent.trim_start_matches(['+', '-'])) {
            return Err(not_a_number());
        }
        let shift: i32 = exponent.parse().map_err(|_| DecimalError::Exponent(text.to_owned()))?;
        if shift.abs() > MOST_ZEROS {
            return Err(DecimalError::Exponent(text.to_owned()));
        }
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).rev().map(|byte| byte - b'0').collect();
        let mut decimals = fraction.len() as i32 - shift;
        while decimals < 0 {
            digits.insert(0, 0);
            decimals += 1;
        }
        digits.resize(digits.len().max(decimals as usize), 0);
        Ok(Self { negative, digits, decimals: decimals as usize }.normalised())
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for place in (0..self.digits.len().max(self.decimals + 1)).rev() {
            text.push(char::from(b'0' + self.digits.get(place).unwrap_or(&0)));
            if place == self.decimals && place > 0 {
                text.push('.');
            }
        }
        out.write_str(if self.negative { "-" } else { "" })?;
        out.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Draws;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn sums_are_those_of_paper() {
        for (one, other, sum) in [
            ("5000.00", "-1200.00", "3800"),
            ("250", "100", "350"),
            ("0.1", "0.2", "0.3"),
            ("999.99", "0.01", "1000"),
            ("1.005", "-1.005", "0"),
            ("-0.05", "0.2", "0.15"),
            ("100", "-100.01", "-0.01"),
            ("99999999999999999999999999999999999999999.99", "0.01", "100000000000000000000000000000000000000000"),
        ] {
            assert_eq!(decimal(one).plus(&decimal(other)).to_string(), sum, "{one} + {other}");
            assert_eq!(decimal(other).plus(&decimal(one)), decimal(sum));
        }
    }

    #[test]
    fn a_hundred_thousand_sums_agree_with_whole_numbers() {
        let (mut sum, mut cents) = (Decimal::default(), 0i128);
        for index in 0..100_000 {
            let mut draws = Draws::new(8, 0, index);
            let (amount, negative) = (draws.below(100_000_000), draws.below(2) == 0);
            let text = format!("{}{}.{:02}", if negative { "-" } else { "" }, amount / 100, amount % 100);
            sum = sum.plus(&decimal(&text));
            cents += if negative { -i128::from(amount) } else { i128::from(amount) };
        }
        let sign = if cents < 0 { "-" } else { "" };
        let expected = format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100);
        assert_eq!(sum, decimal(&expected));
    }

    #[test]
    fn equal_values_are_equal_however_they_are_written() {
        for same in ["1200", "1200.0", "1200.00", "1.2e3", "12E+2", "120000e-2"] {
            assert_eq!(decimal(same), decimal("1200"), "{same}");
        }
        assert_eq!(decimal("-0.00"), decimal("0"));
        assert_eq!(decimal("12.50").decimals(), 1);
        assert_eq!(decimal("5e-3").to_string(), "0.005");
    }

    #[test]
    fn what_is_no_number_or_beyond_all_money_is_refused() {
        for bad in ["", "-", ".5", "1.", "1.2.3", "abc", "1e", "0x10", " 1"] {
            assert!(matches!(bad.parse::<Decimal>(), Err(DecimalError::NotANumber(_))), "{bad:?}");
        }
        for bad in ["1e400", "1e-400", "1e99999999999"] {
            assert!(matches!(bad.parse::<Decimal>(), Err(DecimalError::Exponent(_))), "{bad}");
        }
    }
}
