//! The text of a JSON number → minor units, exactly.

/// Why a text is not an amount of its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum AmountError {
    /// Not a number by the grammar of JSON: a string, `null`, `01`, `+1`, `.5`.
    #[error("the amount is not a JSON number")]
    NotANumber,
    /// Finer than the currency's smallest unit. Trailing zeros do not count: `5.000` is five.
    #[error("the amount has more decimals than its currency")]
    TooManyDecimals,
    /// More digits than an `i128` holds, or an exponent to match.
    #[error("the amount is too large")]
    TooLarge,
}

/// An exponent that no `i128` can follow; further digits of it change nothing.
const EXPONENT_LIMIT: i64 = 1_000_000;

/// Reads `text`, a JSON number, as a count of minor units of a currency with `exponent` decimals.
///
/// The value counts, not its spelling: with two decimals `12.5`, `12.50` and `1.25e1` are all 1250.
pub(crate) fn minor_units(text: &str, exponent: u8) -> Result<i128, AmountError> {
    let (negative, rest) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut number = Decimal::default();
    let rest = number.read_whole(rest)?;
    let rest = number.read_fraction(rest)?;
    number.read_exponent(rest)?;
    let units = i128::try_from(number.scaled(exponent)?).map_err(|_| AmountError::TooLarge)?;
    Ok(if negative { -units } else { units })
}

/// `significant × 10^power`; `significant` has no trailing zeros, which is what makes long spellings of short values
/// fit.
#[derive(Default)]
struct Decimal {
    // Unsigned, because a checked multiplication of a signed one of this size is a call.
    significant: u128,
    power: i64,
    /// Zeros read but not yet followed by another digit.
    zeros: u32,
}

impl Decimal {
    fn read_whole<'a>(&mut self, text: &'a [u8]) -> Result<&'a [u8], AmountError> {
        let (digits, rest) = split_digits(text);
        match digits {
            [] | [b'0', _, ..] => Err(AmountError::NotANumber),
            _ => {
                self.push(digits)?;
                self.power = i64::from(self.zeros);
                Ok(rest)
            }
        }
    }

    fn read_fraction<'a>(&mut self, text: &'a [u8]) -> Result<&'a [u8], AmountError> {
        let [b'.', rest @ ..] = text else { return Ok(text) };
        let (digits, rest) = split_digits(rest);
        if digits.is_empty() {
            return Err(AmountError::NotANumber);
        }
        self.push(digits)?;
        // The digit that ended a run of zeros took them in; those still pending are left out of the value.
        self.power = i64::from(self.zeros) - i64::try_from(digits.len()).map_err(|_| AmountError::TooLarge)?;
        Ok(rest)
    }

    fn read_exponent(&mut self, text: &[u8]) -> Result<(), AmountError> {
        let (negative, digits) = match text {
            [] => return Ok(()),
            [b'e' | b'E', b'-', digits @ ..] => (true, digits),
            [b'e' | b'E', b'+', digits @ ..] | [b'e' | b'E', digits @ ..] => (false, digits),
            _ => return Err(AmountError::NotANumber),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(AmountError::NotANumber);
        }
        let read = |exponent: i64, digit: &u8| (exponent * 10 + i64::from(digit - b'0')).min(EXPONENT_LIMIT);
        let exponent = digits.iter().fold(0, read);
        self.power += if negative { -exponent } else { exponent };
        Ok(())
    }

    fn push(&mut self, digits: &[u8]) -> Result<(), AmountError> {
        for digit in digits {
            if *digit == b'0' {
                self.zeros += u32::from(self.significant != 0);
                continue;
            }
            let shifted = shift(self.significant, self.zeros + 1)?;
            self.significant = shifted.checked_add(u128::from(digit - b'0')).ok_or(AmountError::TooLarge)?;
            self.zeros = 0;
        }
        Ok(())
    }

    fn scaled(&self, exponent: u8) -> Result<u128, AmountError> {
        if self.significant == 0 {
            return Ok(0);
        }
        let power = self.power + i64::from(exponent);
        if power < 0 {
            return Err(AmountError::TooManyDecimals);
        }
        shift(self.significant, u32::try_from(power).map_err(|_| AmountError::TooLarge)?)
    }
}

fn shift(value: u128, power: u32) -> Result<u128, AmountError> {
    if value == 0 {
        return Ok(0);
    }
    10_u128.checked_pow(power).and_then(|factor| value.checked_mul(factor)).ok_or(AmountError::TooLarge)
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_value_counts_and_not_its_spelling() {
        for text in ["12.5", "12.50", "12.500", "1.25e1", "1250e-2", "0.125E+2", "125000000e-7"] {
            assert_eq!(minor_units(text, 2), Ok(1250), "{text}");
        }
        assert_eq!(minor_units("5000.00", 2), Ok(500_000));
        assert_eq!(minor_units("-0.01", 2), Ok(-1));
        assert_eq!(minor_units("0.000000000000000000000000000000000000000000000000", 2), Ok(0));
        assert_eq!(minor_units("0e400", 2), Ok(0));
        assert_eq!(minor_units("120", 0), Ok(120));
    }

    #[test]
    fn an_amount_finer_than_the_currency_is_refused() {
        for (text, exponent) in [("1.005", 2), ("1e-3", 2), ("0.5", 0), ("1.0001", 3), ("1e-400", 2)] {
            assert_eq!(minor_units(text, exponent), Err(AmountError::TooManyDecimals), "{text}");
        }
    }

    #[test]
    fn an_amount_beyond_all_bounds_is_refused() {
        let (long, beyond_signed) = ("9".repeat(40), i128::MAX.cast_unsigned() + 1);
        for (units, expected) in [(i128::MAX, Ok(i128::MAX)), (-i128::MAX, Ok(-i128::MAX))] {
            assert_eq!(minor_units(&units.to_string(), 0), expected);
        }
        assert_eq!(minor_units(&beyond_signed.to_string(), 0), Err(AmountError::TooLarge));
        let fine = "0.200000000000000000000000000000000000001";
        assert_eq!(minor_units(fine, 2), Err(AmountError::TooManyDecimals));
        for text in ["1e400", "-1e99999999999999999999", "1e37", long.as_str()] {
            assert_eq!(minor_units(text, 2), Err(AmountError::TooLarge), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_number_is_refused() {
        for text in ["", "-", "+1", "01", "1.", ".5", "1e", "1e+", "1.5.2", "\"5\"", "null", "NaN", "0x10", "1 ", "٣"]
        {
            assert_eq!(minor_units(text, 2), Err(AmountError::NotANumber), "{text:?}");
        }
    }

    /// The same by way of text: move the point, cut zeros, parse as a whole number.
    fn reference(whole: &str, fraction: &str, power: i32, exponent: u8) -> Result<i128, AmountError> {
        let digits = format!("{whole}{fraction}");
        let point = i64::try_from(whole.len()).unwrap() + i64::from(power) + i64::from(exponent);
        let point = usize::try_from(point.max(0)).unwrap();
        let lead =
            usize::try_from((-(i64::try_from(whole.len()).unwrap() + i64::from(power) + i64::from(exponent))).max(0))
                .unwrap();
        let digits = format!("{}{digits}{}", "0".repeat(lead), "0".repeat(point.saturating_sub(digits.len())));
        let (units, rest) = digits.split_at(point);
        if rest.bytes().any(|digit| digit != b'0') {
            return Err(AmountError::TooManyDecimals);
        }
        let units = units.trim_start_matches('0');
        if units.is_empty() { Ok(0) } else { units.parse().map_err(|_| AmountError::TooLarge) }
    }

    proptest! {
        #[test]
        fn every_spelling_agrees_with_moving_the_point_by_hand(
            whole in "0|[1-9][0-9]{0,24}",
            fraction in "[0-9]{0,12}0{0,3}",
            power in proptest::option::of(-20_i32..20),
            exponent in 0_u8..5,
            negative: bool,
        ) {
            let mut text = String::new();
            if negative { text.push('-'); }
            text.push_str(&whole);
            if !fraction.is_empty() { text.push('.'); text.push_str(&fraction); }
            if let Some(power) = power { text.push_str(&format!("e{power}")); }
            let expected = reference(&whole, &fraction, power.unwrap_or(0), exponent);
            let expected = expected.map(|units| if negative { -units } else { units });
            prop_assert_eq!(minor_units(&text, exponent), expected, "{}", text);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}", exponent in 0_u8..13) {
            let _ = minor_units(&text, exponent);
        }
    }
}
