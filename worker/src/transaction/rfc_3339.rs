//! Times as RFC 3339 writes them.
//!
//! The library's own parser takes more: a date and an hour alone, a space for the `T`, a zone in brackets. Whether a
//! record counts must not depend on what a library is kind enough to understand, so the form is checked first.

use jiff::Timestamp;

/// `2026-02-08T22:00:00Z`, with up to nine decimals of a second and `±hh:mm` for the `Z`.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    has_form(text.as_bytes()).then(|| text.parse().ok()).flatten()
}

fn has_form(text: &[u8]) -> bool {
    let Some((date_time, rest)) = text.split_first_chunk::<19>() else { return false };
    is_like(date_time, b"0000-00-00T00:00:00") && is_offset(behind_decimals(rest))
}

fn behind_decimals(rest: &[u8]) -> &[u8] {
    let Some(decimals) = rest.strip_prefix(b".") else { return rest };
    let digits = decimals.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 { rest } else { &decimals[digits..] }
}

fn is_offset(text: &[u8]) -> bool {
    // A day has no hour 24, and no offset is as long as a day.
    matches!(text, b"Z" | b"z") || is_like(text, b"+00:00") && text[1..3] < b"24"[..]
}

/// Whether a digit stands wherever the pattern has a zero, either sign for its plus, either case for its `T`.
fn is_like(text: &[u8], pattern: &[u8]) -> bool {
    let fits = |(byte, pattern): (&u8, &u8)| match pattern {
        b'0' => byte.is_ascii_digit(),
        b'+' => matches!(byte, b'+' | b'-'),
        pattern => byte.eq_ignore_ascii_case(pattern),
    };
    text.len() == pattern.len() && text.iter().zip(pattern).all(fits)
}

#[cfg(test)]
mod tests {
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
            "2026-02-30T22:00:00Z",
            "2026-02-08T24:00:00Z",
            "2026-02-08T22:60:00Z",
            "２026-02-08T22:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
