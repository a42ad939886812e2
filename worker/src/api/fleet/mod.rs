//! Balance reads for the whole fleet, on any worker: every partition exactly once, or a refusal that names what is
//! missing; never a silently partial sum.
//!
//! A worker owns some partitions; the others belong to its peers, which are asked over HTTP. Partitions move while this
//! happens, so answers carry generation and offset, and what is missing is asked for again for a while. With balances
//! in a database, one statement there takes the place of all that.

mod directory;
mod local;
mod memory;
mod merge;
#[cfg(test)]
mod merge_tests;
mod peer;
mod wire;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::directory::{Directory, Freshness};
use self::memory::{Exceeded, Memory};
use self::merge::{Answer, FleetSnapshot, SnapshotBuilder};
use self::peer::{PeerClient, PeerError, PeerRequest};
use super::errors::ApiError;
use super::limits::LIST_BYTES;
use super::telemetry::FleetMetrics;
use crate::store::{DatabaseReadError, DatabaseReader};
use crate::view::{Selection, View};

pub(super) use self::local::{Line, answerable, fits, ledger_info, of_customer};
pub(super) use self::memory::Charge;
pub(super) use self::merge::{FleetBalances, SumError};
pub(super) use self::peer::BalanceQuery;
pub(super) use self::wire::{ASKER, CONTENT_TYPE, TOO_LARGE, write_partition};

/// A peer that does not begin to answer within this time is left out of the round.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(100);
/// What is missing after the first round is asked for again for so long.
const RETRY_FOR: Duration = Duration::from_secs(1);
/// Between two rounds; partitions that move are away for longer than that.
const ROUND_PAUSE: Duration = Duration::from_millis(50);

/// What one kind of read may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Reads at a time.
    concurrent: usize,
    /// A peer's whole answer.
    answer: Duration,
    /// Waiting for a permit.
    permit_wait: Duration,
    /// Memory of its rows, own ones and those of peers.
    bytes: usize,
}

const ONE_CUSTOMER: Limits =
    Limits { concurrent: 64, answer: ANSWER_TIMEOUT, permit_wait: Duration::from_secs(1), bytes: 1 << 20 };
/// One list at a time is gathered; as many as there is memory for are sent.
const WHOLE_LIST: Limits =
    Limits { concurrent: 1, answer: Duration::from_secs(8), permit_wait: Duration::from_secs(5), bytes: LIST_BYTES };

/// The line of one partition, for a peer.
const LINE_BYTES: usize = 64 << 20;
/// All lists and lines together, those that are being read by slow clients included.
const LISTS_BYTES: usize = 112 << 20;

/// Partitions that are copied for peers at a time, or wait for their turn.
const PEERS_COPIES: usize = 4;
/// A peer's list waits so long for its turn, or for memory, before each partition.
const PEER_WAITS: Duration = Duration::from_secs(5);

/// Reads over all workers of the group.
pub(super) struct Fleet {
    view: Arc<View>,
    /// Asked instead of the peers, if there is one.
    database: Option<Arc<DatabaseReader>>,
    directory: Directory,
    client: PeerClient,
    metrics: FleetMetrics,
    customer_reads: Arc<Semaphore>,
    list_reads: Arc<Semaphore>,
    peers_copies: Arc<Semaphore>,
    of_customers: Arc<Memory>,
    of_lists: Arc<Memory>,
}

/// The balances that were asked for, and the memory that they hold until they are answered.
pub(super) struct BalanceRead {
    pub(super) balances: FleetBalances,
    pub(super) charge: Arc<Charge>,
}

impl Fleet {
    pub(super) fn new(
        view: Arc<View>,
        peers: Vec<String>,
        database: Option<Arc<DatabaseReader>>,
        metrics: FleetMetrics,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: PeerClient::new(&view.worker_info().consumer_id)?,
            view,
            database,
            directory: Directory::new(peers),
            metrics,
            customer_reads: Arc::new(Semaphore::new(ONE_CUSTOMER.concurrent)),
            list_reads: Arc::new(Semaphore::new(WHOLE_LIST.concurrent)),
            peers_copies: Arc::new(Semaphore::new(PEERS_COPIES)),
            of_customers: Memory::new(ONE_CUSTOMER.concurrent * ONE_CUSTOMER.bytes),
            of_lists: Memory::new(LISTS_BYTES),
        })
    }

    /// One of the own partitions as a line for a peer, once there is room for it; `None` if this worker may not answer
    /// for it.
    pub(super) async fn line(&self, partition: i32) -> Result<Option<Line>, ApiError> {
        let give_up = Instant::now() + PEER_WAITS;
        loop {
            let permit = timeout_at(give_up, self.peers_copies.clone().acquire_owned()).await;
            let Ok(Ok(permit)) = permit else { return Err(ApiError::Busy) };
            let (view, charge) = (self.view.clone(), self.of_lists.charge(LINE_BYTES));
            let copied = tokio::task::spawn_blocking(move || {
                let _until_copied = permit;
                local::line(&view, partition, &charge)
            });
            match copied.await.map_err(|_| ApiError::Internal)? {
                Err(ApiError::Busy) if Instant::now() + ROUND_PAUSE < give_up => sleep(ROUND_PAUSE).await,
                copied => return copied,
            }
        }
    }

    /// The sums for `query` over every partition, once this read has a permit.
    pub(super) async fn read(&self, query: BalanceQuery) -> Result<BalanceRead, ApiError> {
        let started = Instant::now();
        let result = self.gather_with_permit(query).await;
        self.metrics.read(result.as_ref().err(), started.elapsed());
        result
    }

    async fn gather_with_permit(&self, query: BalanceQuery) -> Result<BalanceRead, ApiError> {
        let (limits, permits, memory) = match query {
            BalanceQuery::All => (WHOLE_LIST, &self.list_reads, &self.of_lists),
            BalanceQuery::Customer(_) => (ONE_CUSTOMER, &self.customer_reads, &self.of_customers),
        };
        // Until the sums are there. A client that reads them slowly keeps nobody else waiting.
        let _permit = match timeout(limits.permit_wait, permits.acquire()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) | Err(_) => return Err(ApiError::Busy),
        };
        let charge = memory.charge(limits.bytes);
        let is_long = query == BalanceQuery::All;
        let snapshot = match &self.database {
            Some(database) => gather_from_database(&self.view, database, &query, &charge).await?,
            None => self.gather(query, limits, &charge).await?,
        };
        let balances = if is_long {
            tokio::task::spawn_blocking(|| snapshot.sum()).await.map_err(|_| ApiError::Internal)??
        } else {
            snapshot.sum()?
        };
        Ok(BalanceRead { balances, charge })
    }

    async fn gather(
        &self,
        query: BalanceQuery,
        limits: Limits,
        charge: &Arc<Charge>,
    ) -> Result<FleetSnapshot, ApiError> {
        let (ledger, partition_count) = local::ledger(&self.view).ok_or(ApiError::TopicUnknown)?;
        let worker_rules = self.view.worker_rules();
        let mut builder = SnapshotBuilder::new(ledger.clone(), worker_rules.clone(), partition_count);
        let mut only = None;
        let mut freshness = Freshness::Recent;
        let mut give_up = None;
        loop {
            let peers = self.directory.addresses(freshness).await;
            let now = Instant::now();
            let peer_request = PeerRequest {
                query: query.clone(),
                only,
                identity: ledger.clone(),
                worker_rules: worker_rules.clone(),
                head_by: now + ANSWER_TIMEOUT,
                body_by: now + limits.answer,
                charge: charge.clone(),
            };
            let no_room = self.ask_everyone(peer_request, peers, &mut builder).await?;
            if let Some(snapshot) = builder.take_snapshot() {
                return Ok(snapshot);
            }
            // To ask again would not make it smaller. A peer that does not belong here may be large without harm.
            if matches!(no_room, Some(ApiError::TooLarge)) {
                return Err(ApiError::TooLarge);
            }
            let missing_partitions = builder.missing();
            let give_up = *give_up.get_or_insert_with(|| Instant::now() + RETRY_FOR);
            if Instant::now() + ROUND_PAUSE + ANSWER_TIMEOUT > give_up {
                return Err(no_room.unwrap_or(ApiError::Incomplete { missing_partitions }));
            }
            (only, freshness) = (Some(missing_partitions), Freshness::Now);
            sleep(ROUND_PAUSE).await;
        }
    }

    /// One round: this worker and all peers at once. A peer without an answer is the round's loss, not its failure; if
    /// it was for want of room, that is said.
    async fn ask_everyone(
        &self,
        peer_request: PeerRequest,
        peers: BTreeSet<SocketAddr>,
        builder: &mut SnapshotBuilder,
    ) -> Result<Option<ApiError>, ApiError> {
        let peer_request = Arc::new(peer_request);
        // What is too large here is not asked for elsewhere.
        if peer_request.query == BalanceQuery::All {
            local::fits(&self.view, &local::answerable(&self.view, peer_request.only.as_deref()))?;
        }
        let of_peers = join_all(peers.into_iter().map(|peer| self.ask(peer, &peer_request)));
        let (own, of_peers) = tokio::join!(self.own_answer(&peer_request), of_peers);
        if let Some(own) = own? {
            builder.add(own);
        }
        let mut no_room = None;
        for answer in of_peers {
            match answer {
                Ok(answer) => self.metrics.peer(if builder.add(answer) { "answered" } else { "foreign" }),
                Err(error) => {
                    self.metrics.peer(error.category());
                    no_room = match error {
                        PeerError::TooLarge => Some(ApiError::TooLarge),
                        PeerError::Full => no_room.or(Some(ApiError::Busy)),
                        _ => no_room,
                    };
                }
            }
        }
        Ok(no_room)
    }

    async fn ask(&self, peer: SocketAddr, peer_request: &PeerRequest) -> Result<Answer, PeerError> {
        let answer = self.client.ask(peer, peer_request).await;
        if let Err(error) = &answer {
            tracing::debug!(%peer, %error, "a peer did not answer");
        }
        answer
    }

    async fn own_answer(&self, peer_request: &Arc<PeerRequest>) -> Result<Option<Answer>, ApiError> {
        if peer_request.query != BalanceQuery::All {
            return local::answer(&self.view, peer_request);
        }
        let (view, peer_request) = (self.view.clone(), peer_request.clone());
        // Copying whole ledgers takes milliseconds that other requests must not wait for.
        let copy = tokio::task::spawn_blocking(move || local::answer(&view, &peer_request));
        copy.await.map_err(|_| ApiError::Internal)?
    }
}

/// Every partition's rows for `query`. A partition that no worker has begun yet is missing.
async fn gather_from_database(
    view: &View,
    database: &DatabaseReader,
    query: &BalanceQuery,
    charge: &Arc<Charge>,
) -> Result<FleetSnapshot, ApiError> {
    let (identity, partition_count) = local::ledger(view).ok_or(ApiError::TopicUnknown)?;
    let selection = match query {
        BalanceQuery::All => Selection::All,
        BalanceQuery::Customer(customer) => Selection::Customer(customer),
    };
    let mut exceeded = None;
    let mut may_take = |bytes| match charge.take(bytes) {
        Ok(()) => true,
        Err(error) => {
            exceeded = Some(error);
            false
        }
    };
    let read = database.read(&identity.topic_id, selection, &mut may_take).await;
    let partitions = read.map_err(|error| error_of(error, exceeded))?;
    let mut builder = SnapshotBuilder::new(identity.clone(), view.worker_rules().clone(), partition_count);
    builder.add(Answer::own(identity, partition_count, partitions));
    builder.take_snapshot().ok_or_else(|| ApiError::Incomplete { missing_partitions: builder.missing() })
}

/// What a client reads names no host and no user; the log does.
fn error_of(error: DatabaseReadError, exceeded: Option<Exceeded>) -> ApiError {
    match error {
        DatabaseReadError::NoRoom => exceeded.unwrap_or(Exceeded::Together).into(),
        DatabaseReadError::Database(error) => {
            tracing::debug!(%error, "balances cannot be read from the database");
            ApiError::Database { kind: error.kind() }
        }
        unreadable @ DatabaseReadError::Unreadable(_) => {
            tracing::error!("{unreadable}");
            ApiError::Internal
        }
    }
}
