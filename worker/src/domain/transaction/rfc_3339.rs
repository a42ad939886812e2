//! Times as RFC 3339 writes them.
//!
//! The library's own parser takes more: a date and an hour alone, a space for the `T`, a zone in brackets. Whether a
//! record counts must not depend on what a library is kind enough to understand, so the form is taken apart here;
//! whether there is such a time, and which one it is, is left to the library.

use jiff::{Timestamp, civil::DateTime, tz::Offset};

/// `2026-02-08T22:00:00Z`, with up to nine decimals of a second and `±hh:mm` for the `Z`.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    #[rustfmt::skip]
    let [y0, y1, y2, y3, b'-', o0, o1, b'-', d0, d1, b'T' | b't', h0, h1, b':', m0, m1, b':', s0, s1, rest @ ..] =
        text.as_bytes() else { return None };
    let year = i16::try_from(number(&[*y0, *y1, *y2, *y3])?).ok()?;
    // A leap second is the one before it, as the library has it.
    let second = two_digits(s0, s1).map(|second| if second == 60 { 59 } else { second })?;
    let (nanosecond, rest) = decimals(rest)?;
    let local = DateTime::new(
        year,
        two_digits(o0, o1)?,
        two_digits(d0, d1)?,
        two_digits(h0, h1)?,
        two_digits(m0, m1)?,
        second,
        nanosecond,
    );
    offset(rest)?.to_timestamp(local.ok()?).ok()
}

/// The nanoseconds of a fraction, if there is one, and what follows.
fn decimals(text: &[u8]) -> Option<(i32, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else { return Some((0, text)) };
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    let missing = 9_usize.checked_sub(digits.len()).filter(|missing| *missing < 9)?;
    Some((number(digits)? * 10_i32.pow(u32::try_from(missing).ok()?), rest))
}

fn offset(text: &[u8]) -> Option<Offset> {
    let [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] = text else {
        return matches!(text, b"Z" | b"z").then_some(Offset::UTC);
    };
    let (hours, minutes) = (two_digits(h0, h1)?, two_digits(m0, m1)?);
    // A day has no hour 24, and no offset is as long as a day.
    if hours > 23 || minutes > 59 {
        return None;
    }
    let seconds = 3600 * i32::from(hours) + 60 * i32::from(minutes);
    Offset::from_seconds(if *sign == b'-' { -seconds } else { seconds }).ok()
}

fn two_digits(tens: &u8, ones: &u8) -> Option<i8> {
    i8::try_from(number(&[*tens, *ones])?).ok()
}

/// Of at most nine digits.
fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| 10 * number + i32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_of_rfc_3339_are_read() {
        for (text, expected) in [
            ("2026-02-08T22:00:00Z", "2026-02-08T22:00:00Z"),
            ("2026-02-08t22:00:00z", "2026-02-08T22:00:00Z"),
            ("2026-02-08T22:00:00.1234567Z", "2026-02-08T22:00:00.1234567Z"),
            ("2026-02-08T22:00:00.5+01:30", "2026-02-08T20:30:00.5Z"),
            ("2026-02-08T22:00:00-00:00", "2026-02-08T22:00:00Z"),
            ("1990-12-31T15:59:60-08:00", "1990-12-31T23:59:59Z"),
            ("1990-12-31T15:59:60.25-08:00", "1990-12-31T23:59:59.25Z"),
            ("2024-02-29T00:00:00.123456789+23:59", "2024-02-28T00:01:00.123456789Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(parse(text).map(|time| time.to_string()).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_forms_of_iso_8601_and_times_that_do_not_exist_are_refused() {
        for text in [
            "",
            "yesterday",
            "2026-02-08",
            "2026-02-08 22Z",
            "2026-02-08 22:00:00Z",
            "2026-02-08T22:00Z",
            "20260208T2200Z",
            "2026-02-08T22:00:00",
            "2026-02-08T22:00:00Z[Europe/Paris]",
            "2026-02-08T22:00:00+01:00[Europe/Paris]",
            "2026-02-08T22:00:00,5Z",
            "2026-02-08T22:00:00.Z",
            "2026-02-08T22:00:00+01",
            "2026-02-08T22:00:00+0100",
            "2026-02-08T22:00:00+01:00:00",
            "2026-02-08T22:00:00+24:00",
            "+002026-02-08T22:00:00Z",
            "2026-02-08T22:00:00+01:60",
            "2026-02-08T22:00:00.1234567890Z",
            "2026-02-08T22:00:61Z",
            "2026-00-08T22:00:00Z",
            "2025-02-29T22:00:00Z",
            "9999-12-31T23:59:59-23:00",
            "2026-02-30T22:00:00Z",
            "2026-02-08T24:00:00Z",
            "2026-02-08T22:60:00Z",
            "２026-02-08T22:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_time_is_the_one_that_the_library_reads(
            date in (0..10_000, 0..14, 0..33),
            time in (0..26, 0..62, 0..62),
            separator in "[Tt]",
            decimals in "(\\.[0-9]{0,11})?",
            offset in "[Zz]|[+-][0-2][0-9]:[0-7][0-9]",
        ) {
            let ((year, month, day), (hour, minute, second)) = (date, time);
            let date = format!("{year:04}-{month:02}-{day:02}");
            let text = format!("{date}{separator}{hour:02}:{minute:02}:{second:02}{decimals}{offset}");
            let has_form = offset.len() == 1 || &offset[1..3] < "24";
            prop_assert_eq!(parse(&text), text.parse::<Timestamp>().ok().filter(|_| has_form), "{}", text);
        }
    }
}
