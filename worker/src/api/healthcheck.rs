//! `balance-worker healthcheck`: asks the worker on this machine whether it is ready. For images without a shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

/// With its start, the process ends within 3 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What `/readyz` says, as far as it fits into one sentence.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Readiness {
    ready: bool,
    consumer_status: String,
    reason: Option<String>,
    assigned_partitions: usize,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum HealthcheckError {
    #[error("not ready: {0}")]
    NotReady(String),
    #[error("no worker answers at {0}: it has ended, or has another HTTP_ADDRESS")]
    Unreachable(SocketAddr),
    #[error("the worker at {0} has not answered within {ANSWER_WITHIN:?}: it is frozen or starved")]
    Late(SocketAddr),
    #[error("what answers at {address} is not a worker: {source}")]
    NotAWorker { address: SocketAddr, source: reqwest::Error },
}

/// Asks the worker that listens on `listen_address`; a ready one gives a sentence about it.
pub(crate) async fn healthcheck(listen_address: SocketAddr) -> Result<String, HealthcheckError> {
    let address = reachable(listen_address);
    let Readiness { ready, consumer_status, reason, assigned_partitions } =
        ask(address).await.map_err(|source| match source {
            _ if source.is_timeout() => HealthcheckError::Late(address),
            _ if source.is_connect() => HealthcheckError::Unreachable(address),
            source => HealthcheckError::NotAWorker { address, source: source.without_url() },
        })?;
    if !ready {
        return Err(HealthcheckError::NotReady(reason.unwrap_or(consumer_status)));
    }
    let partitions = if assigned_partitions == 1 { "partition" } else { "partitions" };
    let reason = reason.map(|reason| format!("; {reason}")).unwrap_or_default();
    Ok(format!("ready: {consumer_status}, {assigned_partitions} {partitions}{reason}"))
}

/// The answer has the same shape whether its status is 200 or 503.
async fn ask(address: SocketAddr) -> Result<Readiness, reqwest::Error> {
    let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_WITHIN).build()?;
    http.get(format!("http://{address}/readyz")).send().await?.json().await
}

/// Whoever listens on all addresses of the machine is asked on its loopback address.
fn reachable(mut listen_address: SocketAddr) -> SocketAddr {
    if listen_address.ip().is_unspecified() {
        listen_address.set_ip(match listen_address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    listen_address
}

#[cfg(test)]
mod tests {
    use super::reachable;

    #[test]
    fn who_listens_on_all_addresses_is_asked_on_the_loopback_one() {
        for (listen_address, asked) in
            [("0.0.0.0:8080", "127.0.0.1:8080"), ("[::]:8080", "[::1]:8080"), ("10.0.0.7:80", "10.0.0.7:80")]
        {
            assert_eq!(reachable(listen_address.parse().unwrap()).to_string(), asked);
        }
    }
}
