//! Asks one peer for the partitions it owns. In: an address and a question; out: the peer's answer, or why there is
//! none, within the question's deadlines.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::merge::Answer;
use super::wire::{self, Facts, WireError};
use super::{MAX_LISTED, Wanted};
use crate::ledger_rules::Rulebook;
use crate::view::PartitionBalances;

/// Lines longer than this are parsed off the threads that serve requests.
const LONG_LINE_BYTES: usize = 256 * 1024;
/// Shorter than the time the server keeps an idle connection, so that a reused one is seldom just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is asked of every peer in one round.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) wanted: Wanted,
    /// Only these partitions; all of the peer's when `None`.
    pub(super) only: Option<Vec<i32>>,
    /// The peer has begun to answer by then.
    pub(super) head_by: Instant,
    /// The peer has answered by then.
    pub(super) body_by: Instant,
    /// Bytes all peers together may still send.
    pub(super) budget: Arc<Budget>,
}

/// Bounds the memory of one read over all its rounds.
#[derive(Debug)]
pub(super) struct Budget(AtomicUsize);

/// Why a peer gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum PeerError {
    #[error("no answer in time")]
    Late,
    #[error(transparent)]
    Http(reqwest::Error),
    #[error("answered with status {0}")]
    Status(reqwest::StatusCode),
    #[error("sent something else than lines of partitions")]
    Empty,
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the answers are larger than one read may be")]
    TooLarge,
    #[error("the answer could not be parsed")]
    Parser(#[from] tokio::task::JoinError),
}

impl PeerError {
    /// A bounded name for metrics.
    pub(super) fn category(&self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Http(error) if error.is_connect() => "unreachable",
            Self::Http(_) => "broken_off",
            Self::Status(_) => "refused",
            Self::Empty | Self::Wire(_) | Self::Parser(_) => "malformed",
            Self::TooLarge => "too_large",
        }
    }
}

/// Errors are logged, and the URL names a customer.
impl From<reqwest::Error> for PeerError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}

/// One HTTP client for all peers, with a pool of connections.
#[derive(Clone, Debug)]
pub(super) struct PeerClient {
    http: reqwest::Client,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(bytes)))
    }

    fn take(&self, bytes: usize) -> Result<(), PeerError> {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        taken.map(drop).map_err(|_| PeerError::TooLarge)
    }
}

impl PeerClient {
    /// `asker` is the own consumer id: a peer that is this very worker answers without partitions.
    pub(super) fn new(asker: &str) -> Result<Self, reqwest::Error> {
        let mut headers = reqwest::header::HeaderMap::new();
        if let Ok(asker) = reqwest::header::HeaderValue::from_str(asker) {
            headers.insert(super::ASKER, asker);
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

    /// One answer within the question's deadlines.
    pub(super) async fn ask(
        &self,
        peer: SocketAddr,
        question: &Question,
        book: &Rulebook,
    ) -> Result<Answer, PeerError> {
        let mut request = self.http.get(format!("http://{peer}{}", super::INTERNAL_PATH));
        if let Wanted::Customer(customer) = &question.wanted {
            request = request.query(&[("customer", customer)]);
        }
        // A longer list might not fit a request's head; then the peer sends all it has.
        if let Some(only) = question.only.as_ref().filter(|only| only.len() <= MAX_LISTED) {
            let only: Vec<_> = only.iter().map(i32::to_string).collect();
            request = request.query(&[("partitions", only.join(","))]);
        }
        let response = timeout_at(question.head_by, request.send()).await.map_err(|_| PeerError::Late)??;
        if response.status() != reqwest::StatusCode::OK {
            return Err(PeerError::Status(response.status()));
        }
        timeout_at(question.body_by, read(response, &question.budget, book)).await.map_err(|_| PeerError::Late)?
    }
}

async fn read(mut response: reqwest::Response, budget: &Budget, book: &Rulebook) -> Result<Answer, PeerError> {
    let mut facts: Option<Facts> = None;
    let mut partitions = Vec::new();
    let mut pending = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        budget.take(chunk.len())?;
        let mut rest = &chunk[..];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            pending.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut pending);
            match &facts {
                None => facts = Some(serde_json::from_slice(&line).map_err(WireError::Json)?),
                Some(_) => partitions.push(parse(line).await?),
            }
        }
        pending.extend_from_slice(rest);
    }
    match facts {
        Some(facts) if pending.is_empty() => Ok(facts.answer(partitions, book)),
        _ => Err(PeerError::Empty),
    }
}

async fn parse(line: Vec<u8>) -> Result<PartitionBalances, PeerError> {
    if line.len() < LONG_LINE_BYTES {
        return Ok(wire::read_partition(&line)?);
    }
    Ok(tokio::task::spawn_blocking(move || wire::read_partition(&line)).await??)
}
