//! Texts of settings → values. Errors say what would be right.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use crate::domain::{exponents::MAX_EXPONENT, money::Currency, rules::Sign, transaction::TransactionType};

/// `10s`, `500ms`, `1m30s`, `2h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a duration like 500ms, 10s or 1m30s".to_owned();
    let (mut total, mut rest) = (Duration::ZERO, text);
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u32 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let end = rest.find(|character: char| character.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return Err(wrong()),
        };
        total = unit.checked_mul(number).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = &rest[end..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

/// The same, with a bound.
pub(crate) fn duration_up_to(most: Duration, text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration <= most { Ok(duration) } else { Err(format!("it is at most {}s", most.as_secs())) }
}

/// One of a few words.
pub(crate) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, value)| *value);
    found.ok_or_else(|| {
        format!("choose one of {}", choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "))
    })
}

/// Lines of `name=value`; empty lines are nothing.
pub(crate) fn map(text: &str) -> Result<BTreeMap<&str, &str>, String> {
    let mut map = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once('=').ok_or_else(|| format!("{line:?} is not name=value"))?;
        if map.insert(name.trim(), value.trim()).is_some() {
            return Err(format!("{} is given twice", name.trim()));
        }
    }
    Ok(map)
}

/// `Transfer=debit` lines.
pub(crate) fn signs(text: &str) -> Result<BTreeMap<TransactionType, Sign>, String> {
    let names = || TransactionType::ALL.map(TransactionType::name).join(", ");
    let entry = |(name, value): (&str, &str)| {
        let kind = TransactionType::named(name).ok_or_else(|| format!("{name:?} is none of {}", names()))?;
        let sign =
            Sign::named(value).ok_or_else(|| format!("{name} is to be credit, debit or ignore, not {value:?}"))?;
        Ok((kind, sign))
    };
    map(text)?.into_iter().map(entry).collect()
}

/// `XYZ=3` lines.
pub(crate) fn minor_units(text: &str) -> Result<BTreeMap<Currency, u8>, String> {
    let entry = |(code, decimals): (&str, &str)| {
        let currency = Currency::parse(code).ok_or_else(|| format!("{code:?} is not a currency code like EUR"))?;
        let decimals = decimals.parse().ok().filter(|decimals| *decimals <= MAX_EXPONENT);
        Ok((currency, decimals.ok_or_else(|| format!("{code} takes a number of decimals from 0 to {MAX_EXPONENT}"))?))
    };
    map(text)?.into_iter().map(entry).collect()
}

/// `0.0.0.0:8080`.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write address:port, like 0.0.0.0:8080".to_owned())
}

/// Whether it is `host:port`.
pub(crate) fn is_host_and_port(peer: &str) -> bool {
    peer.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// .NET's `http://+:8080;…`: the first plain one.
pub(crate) fn urls(text: &str) -> Result<SocketAddr, String> {
    let wrong = || "write http://host:port, like http://+:8080; TLS is not served".to_owned();
    let rest = text.split(';').find_map(|url| url.trim().strip_prefix("http://")).ok_or_else(wrong)?;
    let rest = rest.trim_end_matches('/');
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (rest, "80"),
    };
    let host = match host {
        "+" | "*" => "0.0.0.0",
        "localhost" => "127.0.0.1",
        host => host,
    };
    address(&format!("{host}:{port}")).map_err(|_| wrong())
}

pub(crate) fn flag(text: &str) -> Result<bool, String> {
    choice(text, &[("true", true), ("false", false)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("0ms"), Ok(Duration::ZERO));
        for wrong in ["", "10", "s", "10 s", "-1s", "1.5s", "99999999999s", "1d"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn dotnet_urls_become_addresses() {
        for (text, expected) in [
            ("http://+:8080", "0.0.0.0:8080"),
            ("http://*:5000/", "0.0.0.0:5000"),
            ("https://+:443;http://localhost:8081", "127.0.0.1:8081"),
            ("http://[::]:8080", "[::]:8080"),
            ("http://0.0.0.0", "0.0.0.0:80"),
        ] {
            assert_eq!(urls(text).map(|address| address.to_string()), Ok(expected.to_owned()), "{text}");
        }
        for wrong in ["https://+:443", "+:8080", "http://bank.example:8080", "http://+:99999"] {
            assert!(urls(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn maps_name_what_is_wrong_in_them() {
        assert_eq!(signs("Transfer=debit").unwrap()[&TransactionType::Transfer], Sign::Debit);
        assert!(signs("Transfers=debit").unwrap_err().contains("Transfers"));
        assert!(signs("Transfer=minus").unwrap_err().contains("minus"));
        assert!(signs("Transfer").unwrap_err().contains("name=value"));
        assert!(signs("Transfer=debit\nTransfer=credit").unwrap_err().contains("twice"));
        assert!(minor_units("eur=2").unwrap_err().contains("eur"));
        assert!(minor_units("XYZ=13").unwrap_err().contains("12"));
    }
}
