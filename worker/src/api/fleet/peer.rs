//! Asks one peer for the partitions that it owns, within the request's deadlines.

use std::io::{BufReader, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::memory::{Charge, Exceeded};
use super::merge::{Answer, LedgerIdentity};
use super::wire::{self, ASKER, INTERNAL_PATH, WireError};
use crate::api::limits::MAX_LISTED;
use crate::domain::ledger_rules::WorkerRules;

/// What peers send for one customer, in one answer.
const ONE_CUSTOMER_BYTES: usize = 1 << 20;
/// Chunks of an answer that wait to be parsed.
const CHUNKS_AHEAD: usize = 2;
/// Much shorter than the time a server keeps an idle connection, also one of an earlier release (15 s): a reused one is
/// seldom just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BalanceQuery {
    All,
    Customer(String),
}

/// What is asked of every peer in one round.
pub(super) struct PeerRequest {
    pub(super) query: BalanceQuery,
    /// Only these partitions; all of the peer's when `None`.
    pub(super) only: Option<Vec<i32>>,
    /// The identity of the asking worker's ledger.
    pub(super) identity: LedgerIdentity,
    /// The rules of the asking worker.
    pub(super) worker_rules: Arc<WorkerRules>,
    /// The peer must begin to answer by then.
    pub(super) head_by: Instant,
    /// The peer must have answered by then.
    pub(super) body_by: Instant,
    /// The memory of all answers together.
    pub(super) charge: Arc<Charge>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum PeerError {
    #[error("no answer in time")]
    Late,
    #[error(transparent)]
    Http(reqwest::Error),
    #[error("answered with status {0}")]
    Status(reqwest::StatusCode),
    #[error("sent more than one customer can be")]
    Long,
    #[error(transparent)]
    Wire(WireError),
    #[error("its partitions, or those of all peers, are larger than one answer may be")]
    TooLarge,
    #[error("other reads hold the memory that the answer would take")]
    Full,
    #[error("the answer could not be parsed")]
    Parser(#[from] tokio::task::JoinError),
}

impl PeerError {
    /// A bounded name for metrics.
    pub(super) fn category(&self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Http(error) if error.is_connect() => "unreachable",
            Self::Http(_) | Self::Wire(WireError::BrokenOff(_)) => "broken_off",
            Self::Status(_) => "refused",
            Self::Long | Self::Wire(_) | Self::Parser(_) => "malformed",
            Self::TooLarge => "too_large",
            Self::Full => "full",
        }
    }
}

/// Errors are logged, and the URL names a customer.
impl From<reqwest::Error> for PeerError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}

impl From<WireError> for PeerError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::TooLarge | WireError::Exceeded(Exceeded::Alone) => Self::TooLarge,
            WireError::Exceeded(Exceeded::Together) => Self::Full,
            error => Self::Wire(error),
        }
    }
}

/// One HTTP client for all peers, with a pool of connections.
#[derive(Clone, Debug)]
pub(super) struct PeerClient {
    http: reqwest::Client,
}

impl PeerClient {
    /// `asker` is the own consumer id: a peer that is this very worker answers without partitions.
    pub(super) fn new(asker: &str) -> Result<Self, reqwest::Error> {
        let mut headers = reqwest::header::HeaderMap::new();
        if let Ok(asker) = reqwest::header::HeaderValue::from_str(asker) {
            headers.insert(ASKER, asker);
        }
        let http = reqwest::Client::builder()
            .default_headers(headers)
            // Peers are addresses of one network: a proxy of the environment is not for them.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .build()?;
        Ok(Self { http })
    }

    /// One answer within the request's deadlines.
    pub(super) async fn ask(&self, peer: SocketAddr, peer_request: &PeerRequest) -> Result<Answer, PeerError> {
        let mut request = self.http.get(format!("http://{peer}{INTERNAL_PATH}"));
        if let BalanceQuery::Customer(customer) = &peer_request.query {
            request = request.query(&[("customer", customer)]);
        }
        // A longer list might not fit a request's head; then the peer sends all it has.
        if let Some(only) = peer_request.only.as_ref().filter(|only| only.len() <= MAX_LISTED) {
            let only: Vec<_> = only.iter().map(i32::to_string).collect();
            request = request.query(&[("partitions", only.join(","))]);
        }
        let response = timeout_at(peer_request.head_by, request.send()).await.map_err(|_| PeerError::Late)??;
        match response.status() {
            reqwest::StatusCode::OK => {}
            reqwest::StatusCode::PAYLOAD_TOO_LARGE => return Err(PeerError::TooLarge),
            status => return Err(PeerError::Status(status)),
        }
        let read = async {
            match peer_request.query {
                BalanceQuery::All => read_list(response, peer_request).await,
                BalanceQuery::Customer(_) => read_one(response, peer_request).await,
            }
        };
        timeout_at(peer_request.body_by, read).await.map_err(|_| PeerError::Late)?
    }
}

async fn read_one(mut response: reqwest::Response, peer_request: &PeerRequest) -> Result<Answer, PeerError> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if answer.len() + chunk.len() > ONE_CUSTOMER_BYTES {
            return Err(PeerError::Long);
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(wire::read_short_answer(&answer, &peer_request.identity, &peer_request.worker_rules, &peer_request.charge)?)
}

/// A long answer is parsed while it comes, off the threads that serve requests.
async fn read_list(mut response: reqwest::Response, peer_request: &PeerRequest) -> Result<Answer, PeerError> {
    let (chunks, received) = mpsc::channel(CHUNKS_AHEAD);
    let (identity, worker_rules, charge) =
        (peer_request.identity.clone(), peer_request.worker_rules.clone(), peer_request.charge.clone());
    let parsed = tokio::task::spawn_blocking(move || {
        let answer = BufReader::new(Received { chunks: received, rest: Bytes::new() });
        wire::read_answer(answer, &identity, &worker_rules, &charge)
    });
    loop {
        let chunk = match response.chunk().await {
            Ok(None) => break,
            Ok(Some(chunk)) => Ok(chunk),
            Err(error) => Err(std::io::Error::other(error.without_url())),
        };
        // The parser has what it needs, or has given up.
        if chunks.send(chunk).await.is_err() {
            break;
        }
    }
    drop(chunks);
    Ok(parsed.await??)
}

/// The chunks of an answer as they come.
struct Received {
    chunks: mpsc::Receiver<std::io::Result<Bytes>>,
    rest: Bytes,
}

impl Read for Received {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.rest.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.rest = chunk?,
                None => return Ok(0),
            }
        }
        let part = self.rest.split_to(into.len().min(self.rest.len()));
        into[..part.len()].copy_from_slice(&part);
        Ok(part.len())
    }
}
