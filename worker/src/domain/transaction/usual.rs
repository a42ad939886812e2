//! The usual shape of a record, read without a JSON parser: the known fields in their usual order, without spaces, and
//! no escape in any string.
//!
//! It answers for right records only. Whatever it does not expect, wrong records too, is left to the parser, which alone
//! says why a record is bad.

use jiff::Timestamp;

use super::transaction_type::TransactionType;
use crate::domain::money::Currency;

/// A record of the usual shape. Lengths and ranges are not checked yet.
pub(super) struct Usual<'a> {
    pub(super) transaction_id: &'a str,
    pub(super) customer_id: &'a str,
    pub(super) amount: Decimal,
    pub(super) currency: Currency,
    pub(super) transaction_type: TransactionType,
    pub(super) description: Option<&'a str>,
    pub(super) timestamp: Timestamp,
}

/// Reads a record of the usual shape; `None` of any other.
pub(super) fn read(value: &[u8]) -> Option<Usual<'_>> {
    let mut rest = Rest(std::str::from_utf8(value).ok()?);
    let transaction_id = rest.string("{\"transactionId\":\"")?;
    rest.string(",\"fromAccount\":\"")?;
    rest.string(",\"toAccount\":\"")?;
    rest.skip(",\"amount\":")?;
    let amount = rest.decimal()?;
    let currency = Currency::parse(rest.string(",\"currency\":\"")?)?;
    rest.skip(",\"type\":")?;
    let transaction_type = match rest.named_or_digit()? {
        Named::Number(number) => *TransactionType::ALL.get(number.checked_sub(1)?)?,
        Named::Name(name) => TransactionType::named(name)?,
    };
    let description = rest.string(",\"description\":\"");
    let customer_id = rest.string(",\"customerId\":\"")?;
    let timestamp = timestamp(rest.string(",\"timestamp\":\"")?.as_bytes())?;
    rest.skip(",\"riskScore\":")?;
    let Decimal { digits: 0..=100, decimals: 0 } = rest.decimal()? else { return None };
    rest.skip(",\"status\":")?;
    let (Named::Number(1..=6) | Named::Name("Pending")) = rest.named_or_digit()? else { return None };
    let usual = Usual { transaction_id, customer_id, amount, currency, transaction_type, description, timestamp };
    (rest.0 == "}").then_some(usual)
}

/// What is still to be read.
struct Rest<'a>(&'a str);

/// `digits / 10^decimals`.
#[derive(Clone, Copy)]
pub(super) struct Decimal {
    digits: i64,
    decimals: u32,
}

enum Named<'a> {
    Number(usize),
    Name(&'a str),
}

/// The longest number that is read here: an `i64` holds all its digits.
const MOST_CHARACTERS: usize = 15;

impl<'a> Rest<'a> {
    fn skip(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// A string without escapes, after a text that ends with its opening quote. Reads nothing if that text is not there.
    fn string(&mut self, before: &str) -> Option<&'a str> {
        let from = self.0.strip_prefix(before)?;
        let (string, rest) = from.split_at_checked(string_end(from.as_bytes())?)?;
        self.0 = rest.strip_prefix('"')?;
        Some(string)
    }

    /// A number without sign and exponent, as JSON writes it.
    fn decimal(&mut self) -> Option<Decimal> {
        let bytes = self.0.as_bytes();
        let digit = |at: usize| bytes.get(at).filter(|byte| byte.is_ascii_digit());
        let (mut digits, mut at, mut point) = (0, 0, None);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'0'..=b'9' => digits = 10 * digits + i64::from(byte - b'0'),
                b'.' if point.is_none() => point = Some(at),
                _ => break,
            }
            at += 1;
            if at > MOST_CHARACTERS {
                return None;
            }
        }
        // A digit is required first and behind the point, and a leading zero stands alone.
        let is_number = digit(0).is_some() && (bytes.first() != Some(&b'0') || digit(1).is_none());
        let decimals = point.map_or(0, |point| at - point - 1);
        if !is_number || (point.is_some() && decimals == 0) {
            return None;
        }
        self.0 = self.0.get(at..)?;
        Some(Decimal { digits, decimals: u32::try_from(decimals).ok()? })
    }

    /// A single digit, or a name in quotes.
    fn named_or_digit(&mut self) -> Option<Named<'a>> {
        if let Some(name) = self.string("\"") {
            return Some(Named::Name(name));
        }
        match self.decimal()? {
            Decimal { digits, decimals: 0 } => Some(Named::Number(usize::try_from(digits).ok()?)),
            _ => None,
        }
    }
}

impl Decimal {
    /// In minor units of a currency with so many decimals; `None` if it has more, or is beyond all amounts.
    pub(super) fn minor_units(self, exponent: u8) -> Option<i128> {
        let zeros = u32::from(exponent).checked_sub(self.decimals)?;
        Some(i128::from(self.digits.checked_mul(10_i64.checked_pow(zeros)?)?))
    }
}

/// Where a string ends; `None` if an escape, a control character or nothing comes before.
fn string_end(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // Eight bytes at a time. The lowest bit that is set is that of the first such byte; those above it may be wrong.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    let is = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let mut at = 0;
    let mut words = text.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().ok()?);
        let found = (is(word, b'"') | is(word, b'\\') | below(word, 0x20)) & HIGH;
        if found != 0 {
            at += found.trailing_zeros() as usize / 8;
            return (text[at] == b'"').then_some(at);
        }
        at += 8;
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    at += words.remainder().iter().position(ends)?;
    (text[at] == b'"').then_some(at)
}

/// `2026-02-08T22:00:00Z`, with up to nine decimals of a second.
fn timestamp(text: &[u8]) -> Option<Timestamp> {
    #[rustfmt::skip]
    let [y0, y1, y2, y3, b'-', o0, o1, b'-', d0, d1, b'T', h0, h1, b':', m0, m1, b':', s0, s1, decimals @ .., b'Z'] =
        text else { return None };
    let [year, century] = [number([y2, y3])?, number([y0, y1])?];
    let [month, day, hour, minute, second] = [[o0, o1], [d0, d1], [h0, h1], [m0, m1], [s0, s1]].map(number);
    let (month, day, hour, minute, second) = (month?, day?, hour?, minute?, second?);
    let year = 100 * century + year;
    let exists = (1..=days_of(year, month)?).contains(&day) && hour < 24 && minute < 60 && second < 60;
    let nanosecond = nanosecond(decimals)?;
    let seconds = 86_400 * days_since_1970(year, month, day) + 3600 * hour + 60 * minute + second;
    exists.then(|| Timestamp::new(seconds, nanosecond).ok()).flatten()
}

fn number(digits: [&u8; 2]) -> Option<i64> {
    let [tens, ones] = digits.map(|digit| digit.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(10 * tens + ones))
}

fn nanosecond(decimals: &[u8]) -> Option<i32> {
    let digits = match decimals {
        [] => return Some(0),
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => digits,
        _ => return None,
    };
    let mut nanosecond = 0;
    for place in 0..9 {
        let digit = digits.get(place).map_or(0, |digit| digit.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        nanosecond = 10 * nanosecond + i32::from(digit);
    }
    Some(nanosecond)
}

fn days_of(year: i64, month: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if is_leap { 29 } else { 28 }),
        _ => None,
    }
}

/// Days of the Gregorian calendar from 1970-01-01. A year is counted from March, so that a leap day is its last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // From 0000-03-01 it is 719 468 days to 1970-01-01.
    365 * year + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        exponents::Exponents,
        transaction::{Transaction, rfc_3339, tests::DEPOSIT},
    };

    fn parsed(value: &[u8]) -> Option<Transaction<'_>> {
        Transaction::parse_usual(value, &exponents())
    }

    fn exponents() -> Exponents {
        Exponents::iso_4217(&BTreeMap::new())
    }

    #[test]
    fn the_usual_shapes_are_read_here() {
        for text in [
            DEPOSIT.to_owned(),
            DEPOSIT.replace("\"description\":\"Depot initial\",", ""),
            DEPOSIT.replace("Depot", "Dépôt"),
            DEPOSIT.replace("5000.00", "5000"),
            DEPOSIT.replace(":3,", ":\"Deposit\",").replace("\"status\":1", "\"status\":\"Pending\""),
            DEPOSIT.replace("22:00:00Z", "22:00:00.123456789Z"),
            DEPOSIT.replace("\"riskScore\":0", "\"riskScore\":100"),
        ] {
            let found = parsed(text.as_bytes());
            assert!(found.is_some(), "{text}");
            assert_eq!(found, Transaction::parse_any(text.as_bytes(), &exponents()).ok());
        }
    }

    #[test]
    fn anything_else_is_left_to_the_parser() {
        for (from, to) in [
            ("BAL-001", "BAL\\u002d001"),
            ("\"amount\"", "\"\\u0061mount\""),
            ("{\"transactionId\"", "{\"amount\":1,\"transactionId\""),
            ("\"fromAccount\":\"BANK\",", ""),
            ("BANK", "BA\nNK"),
            (":5000.00", ": 5000.00"),
            ("5000.00", "5e3"),
            ("5000.00", "05000.00"),
            ("5000.00", "5000."),
            ("5000.00", ".5"),
            ("5000.00", "50.0.0"),
            ("5000.00", "-5"),
            ("5000.00", "5.001"),
            ("5000.00", "1000000.01"),
            ("5000.00", "99999999999999999999"),
            ("EUR", "XXX"),
            (":3,", ":0,"),
            (":3,", ":8,"),
            (":3,", ":3.0,"),
            (":3,", ":03,"),
            ("\"riskScore\":0", "\"riskScore\":101"),
            ("\"status\":1", "\"status\":7"),
            ("\"status\":1}", "\"status\":1,\"location\":{}}"),
            ("\"status\":1}", "\"status\":1} "),
            ("CUST-001", ""),
            ("22:00:00Z", "22:00:60Z"),
            ("22:00:00Z", "24:00:00Z"),
            ("22:00:00Z", "22:00:00+00:00"),
            ("22:00:00Z", "22:00:00.Z"),
            ("22:00:00Z", "22:00:00.1234567890Z"),
            ("2026-02-08", "2026-02-29"),
            ("2026-02-08", "2026-00-08"),
        ] {
            let text = DEPOSIT.replacen(from, to, 1);
            assert_ne!(text, DEPOSIT, "{from}");
            assert_eq!(parsed(text.as_bytes()), None, "{text}");
        }
        let mut bytes = DEPOSIT.as_bytes().to_vec();
        for at in 0..bytes.len() {
            let byte = std::mem::replace(&mut bytes[at], 0xff);
            assert_eq!(parsed(&bytes), None, "no UTF-8 at {at}");
            assert_eq!(parsed(&bytes[..at]), None, "cut at {at}");
            bytes[at] = byte;
        }
    }

    proptest! {
        #[test]
        fn a_time_is_the_one_of_rfc_3339(
            date in (0..10_000, 0..14, 0..33),
            time in (0..26, 0..62, 0..62),
            decimals in "(\\.[0-9]{0,11})?",
        ) {
            let ((year, month, day), (hour, minute, second)) = (date, time);
            let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{decimals}Z");
            let expected = rfc_3339::parse(&text).filter(|_| second < 60);
            prop_assert_eq!(timestamp(text.as_bytes()), expected, "{}", text);
        }

        #[test]
        fn a_string_ends_where_its_bytes_say(text in prop::collection::vec(any::<u8>(), 0..40), rare in 0..3_u8) {
            let text: Vec<u8> = text.iter().map(|byte| if rare == 0 { *byte } else { byte | 0x60 }).collect();
            let first = text.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            prop_assert_eq!(string_end(&text), first.filter(|at| text[*at] == b'"'));
            let quoted = [&text[..], b"\""].concat();
            let first = quoted.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            prop_assert_eq!(string_end(&quoted), first.filter(|at| quoted[*at] == b'"'));
        }
    }
}
