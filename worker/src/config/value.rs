//! Texts of settings → values. Errors say what would be right.

use std::{net::SocketAddr, time::Duration};

use balancefleet_kafka::{Connection, Error, reserved_keys};
use clap::ValueEnum;
use jiff::SignedDuration;

use crate::domain::{
    exponents::MAX_EXPONENT,
    money::Currency,
    rules::{LedgerKind, Sign},
    transaction::TransactionType,
};

/// `10s`, `500ms`, `1m30s`, `2h`.
fn duration(text: &str) -> Result<Duration, String> {
    let duration = text.parse::<SignedDuration>().ok().and_then(|duration| duration.try_into().ok());
    duration.ok_or_else(|| "write a duration like 500ms, 10s or 1m30s".to_owned())
}

/// The same, with a bound.
pub(super) fn duration_up_to(most: Duration) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| {
        let duration = duration(text)?;
        if duration <= most { Ok(duration) } else { Err(format!("it is at most {}s", most.as_secs())) }
    }
}

/// One of a few words.
pub(super) fn choice<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, true).map_err(|_| {
        let choices = T::value_variants().iter().filter_map(T::to_possible_value);
        format!("choose one of {}", choices.map(|one| one.get_name().to_owned()).collect::<Vec<_>>().join(", "))
    })
}

pub(super) fn ledger(text: &str) -> Result<LedgerKind, String> {
    LedgerKind::named(&text.to_ascii_lowercase()).ok_or_else(|| "choose one of balances, count".to_owned())
}

pub(super) fn truth(text: &str) -> Result<bool, String> {
    text.to_ascii_lowercase().parse().map_err(|_| "choose one of true, false".to_owned())
}

pub(super) fn name(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it must not be empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// The content of the file that is named.
pub(super) fn content(file: &str) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("the file cannot be read: {error}"))
}

/// Bootstrap brokers.
pub(super) fn servers(text: &str) -> Result<String, String> {
    Connection::plaintext(text).check().map(|()| text.to_owned()).map_err(detail)
}

pub(super) fn replication(text: &str) -> Result<i32, String> {
    match text.parse() {
        Ok(replicas @ (-1 | 1..=100)) => Ok(replicas),
        _ => Err("write a number of replicas, or -1 for the brokers' default".to_owned()),
    }
}

pub(super) fn log_level(text: &str) -> Result<String, String> {
    let filter = tracing_subscriber::EnvFilter::try_new(text);
    filter.map(|_| text.to_owned()).map_err(|_| "write error, warn, info, debug or trace".to_owned())
}

fn entry(text: &str) -> Result<(&str, &str), String> {
    let entry = text.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
    entry.ok_or_else(|| format!("{text:?} is not name=value"))
}

/// `Transfer=debit`.
pub(super) fn sign(text: &str) -> Result<(TransactionType, Sign), String> {
    let (name, value) = entry(text)?;
    let names = || TransactionType::ALL.map(TransactionType::name).join(", ");
    let kind = TransactionType::named(name).ok_or_else(|| format!("{name:?} is none of {}", names()))?;
    let sign = Sign::named(value).ok_or_else(|| format!("{name} is to be credit, debit or ignore, not {value:?}"))?;
    Ok((kind, sign))
}

/// `XYZ=3`.
pub(super) fn minor_units(text: &str) -> Result<(Currency, u8), String> {
    let (code, decimals) = entry(text)?;
    let currency = Currency::parse(code).ok_or_else(|| format!("{code:?} is not a currency code like EUR"))?;
    let decimals = decimals.parse().ok().filter(|decimals| *decimals <= MAX_EXPONENT);
    Ok((currency, decimals.ok_or_else(|| format!("{code} takes a number of decimals from 0 to {MAX_EXPONENT}"))?))
}

/// `fetch.min.bytes=1024`. The error does not repeat the value: somebody may have put a secret there.
pub(super) fn client_setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = entry(text)
        .ok()
        .filter(|_| !text.contains('\n'))
        .ok_or("every entry is key=value, and no value has a comma or a line break")?;
    reserved_keys::check(key, value).map_err(detail)?;
    Ok((key.to_owned(), value.to_owned()))
}

/// What is wrong, without the words around it.
pub(super) fn detail(error: Error) -> String {
    match error {
        Error::Invalid { detail } => detail,
        other => other.to_string(),
    }
}

/// `0.0.0.0:8080`.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write address:port, like 0.0.0.0:8080".to_owned())
}

pub(super) fn peer(text: &str) -> Result<String, String> {
    if is_host_and_port(text) { Ok(text.to_owned()) } else { Err("write host:port for each".to_owned()) }
}

/// Whether it is `host:port`.
pub(crate) fn is_host_and_port(peer: &str) -> bool {
    peer.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// .NET's `http://+:8080;…`: the first plain one.
pub(super) fn urls(text: &str) -> Result<SocketAddr, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("0ms"), Ok(Duration::ZERO));
        assert_eq!(duration_up_to(Duration::MAX)("2h"), Ok(Duration::from_secs(7200)));
        for wrong in ["", "10", "s", "-1s", "99999999999999999999s", "1d", "1s ago"] {
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
    fn an_entry_of_a_map_names_what_is_wrong_in_it() {
        assert_eq!(sign(" Transfer = debit"), Ok((TransactionType::Transfer, Sign::Debit)));
        assert!(sign("Transfers=debit").unwrap_err().contains("Transfers"));
        assert!(sign("Transfer=minus").unwrap_err().contains("minus"));
        assert!(sign("Transfer").unwrap_err().contains("name=value"));
        assert!(minor_units("eur=2").unwrap_err().contains("eur"));
        assert!(minor_units("XYZ=13").unwrap_err().contains("12"));
    }
}
