//! Balance reads for the whole fleet, on any worker: every partition exactly once, or a refusal that names what is
//! missing; never a silently partial sum.
//!
//! A worker owns some partitions; the others belong to its peers, which are asked over HTTP. Partitions move while
//! this happens, so answers carry generation and offset, and what is missing is asked for again for a while. With balances
//! in a database, one statement there takes the place of all that.

mod database;
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
use self::memory::Memory;
use self::merge::{Answer, Cover, Gathering};
use self::peer::{PeerClient, PeerError, Question};
use super::refusal::Refusal;
use super::telemetry::FleetMetrics;
use crate::store::DatabaseReader;
use crate::view::View;

pub(super) use self::local::{Line, answerable, facts, fits, of_customer};
pub(super) use self::memory::Charge;
pub(super) use self::merge::{FleetBalances, SumError};
pub(super) use self::wire::{CONTENT_TYPE, TOO_LARGE, write_partition};

/// Where a worker answers for its own partitions.
pub(super) const INTERNAL_PATH: &str = "/internal/v1/partitions";
/// Header with the asking worker's consumer id: the peers' DNS name lists the asker too.
pub(super) const ASKER: &str = "x-balancefleet-asker";

/// Partitions named in one request to a peer.
pub(super) const MAX_LISTED: usize = 500;

/// Every peer begins to answer within this, or the round goes on without it.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(100);
/// What is missing after the first round is asked for again for so long.
const RETRY_FOR: Duration = Duration::from_secs(1);
/// Between two rounds; partitions that move are away for longer than that.
const ROUND_PAUSE: Duration = Duration::from_millis(50);

/// Which customers a read is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Every customer.
    All,
    /// One customer.
    Customer(String),
}

/// What one kind of read may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Reads at a time.
    concurrent: usize,
    /// A peer's whole answer.
    answer: Duration,
    /// Waiting for a turn.
    turn: Duration,
    /// Memory of its rows, own ones and those of peers.
    bytes: usize,
}

const ONE_CUSTOMER: Limits =
    Limits { concurrent: 64, answer: ANSWER_TIMEOUT, turn: Duration::from_secs(1), bytes: 1 << 20 };
/// One list at a time is gathered; as many as there is memory for are sent.
const WHOLE_LIST: Limits =
    Limits { concurrent: 1, answer: Duration::from_secs(8), turn: Duration::from_secs(5), bytes: LIST_BYTES };

/// Memory of one list's rows: those of some 700 000 customers with usual ids.
pub(super) const LIST_BYTES: usize = 96 << 20;
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
pub(super) struct Read {
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
            client: PeerClient::new(&view.identity().consumer_id)?,
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

    /// One of the own partitions as a line for a peer, once there is room for it; `None` if this worker may not answer for it.
    pub(super) async fn line(&self, partition: i32) -> Result<Option<Line>, Refusal> {
        let give_up = Instant::now() + PEER_WAITS;
        loop {
            let turn = timeout_at(give_up, self.peers_copies.clone().acquire_owned()).await;
            let Ok(Ok(turn)) = turn else { return Err(Refusal::Busy) };
            let (view, charge) = (self.view.clone(), self.of_lists.charge(LINE_BYTES));
            let copied = tokio::task::spawn_blocking(move || {
                let _until_copied = turn;
                local::line(&view, partition, &charge)
            });
            match copied.await.map_err(|_| Refusal::Internal)? {
                Err(Refusal::Busy) if Instant::now() + ROUND_PAUSE < give_up => sleep(ROUND_PAUSE).await,
                copied => return copied,
            }
        }
    }

    /// The sums for `wanted` over every partition, once it is this read's turn.
    pub(super) async fn read(&self, wanted: Wanted) -> Result<Read, Refusal> {
        let started = Instant::now();
        let result = self.take_turn_and_gather(wanted).await;
        self.metrics.read(result.as_ref().err(), started.elapsed());
        result
    }

    async fn take_turn_and_gather(&self, wanted: Wanted) -> Result<Read, Refusal> {
        let (limits, turns, memory) = match wanted {
            Wanted::All => (WHOLE_LIST, &self.list_reads, &self.of_lists),
            Wanted::Customer(_) => (ONE_CUSTOMER, &self.customer_reads, &self.of_customers),
        };
        // Until the sums are there. A client that reads them slowly keeps nobody else waiting.
        let _turn = match timeout(limits.turn, turns.acquire()).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(_)) | Err(_) => return Err(Refusal::Busy),
        };
        let charge = memory.charge(limits.bytes);
        let is_long = wanted == Wanted::All;
        let cover = match &self.database {
            Some(database) => database::gather(&self.view, database, &wanted, &charge).await?,
            None => self.gather(wanted, limits, &charge).await?,
        };
        let balances = if is_long {
            tokio::task::spawn_blocking(|| cover.sum()).await.map_err(|_| Refusal::Internal)??
        } else {
            cover.sum()?
        };
        Ok(Read { balances, charge })
    }

    async fn gather(&self, wanted: Wanted, limits: Limits, charge: &Arc<Charge>) -> Result<Cover, Refusal> {
        let (ledger, partition_count) = local::ledger(&self.view).ok_or(Refusal::TopicUnknown)?;
        let book = self.view.book();
        let mut gathering = Gathering::new(ledger.clone(), book.clone(), partition_count);
        let mut only = None;
        let mut freshness = Freshness::Recent;
        let mut give_up = None;
        loop {
            let peers = self.directory.addresses(freshness).await;
            let now = Instant::now();
            let question = Question {
                wanted: wanted.clone(),
                only,
                identity: ledger.clone(),
                book: book.clone(),
                head_by: now + ANSWER_TIMEOUT,
                body_by: now + limits.answer,
                charge: charge.clone(),
            };
            let no_room = self.ask_everyone(question, peers, &mut gathering).await?;
            if let Some(cover) = gathering.take_cover() {
                return Ok(cover);
            }
            // To ask again would not make it smaller. A peer that does not belong here may be large without harm.
            if matches!(no_room, Some(Refusal::TooLarge)) {
                return Err(Refusal::TooLarge);
            }
            let missing_partitions = gathering.missing();
            let give_up = *give_up.get_or_insert_with(|| Instant::now() + RETRY_FOR);
            if Instant::now() + ROUND_PAUSE + ANSWER_TIMEOUT > give_up {
                return Err(no_room.unwrap_or(Refusal::Incomplete { missing_partitions }));
            }
            (only, freshness) = (Some(missing_partitions), Freshness::Now);
            sleep(ROUND_PAUSE).await;
        }
    }

    /// One round: this worker and all peers at once. A peer without an answer is the round's loss, not its failure; if it
    /// was for want of room, that is said.
    async fn ask_everyone(
        &self,
        question: Question,
        peers: BTreeSet<SocketAddr>,
        gathering: &mut Gathering,
    ) -> Result<Option<Refusal>, Refusal> {
        let question = Arc::new(question);
        // What is too large here is not asked for elsewhere.
        if question.wanted == Wanted::All {
            local::fits(&self.view, &local::answerable(&self.view, question.only.as_deref()))?;
        }
        let of_peers = join_all(peers.into_iter().map(|peer| self.ask(peer, &question)));
        let (own, of_peers) = tokio::join!(self.own_answer(&question), of_peers);
        if let Some(own) = own? {
            gathering.add(own);
        }
        let mut no_room = None;
        for answer in of_peers {
            match answer {
                Ok(answer) => self.metrics.peer(if gathering.add(answer) { "answered" } else { "foreign" }),
                Err(error) => {
                    self.metrics.peer(error.category());
                    no_room = match error {
                        PeerError::TooLarge => Some(Refusal::TooLarge),
                        PeerError::Full => no_room.or(Some(Refusal::Busy)),
                        _ => no_room,
                    };
                }
            }
        }
        Ok(no_room)
    }

    async fn ask(&self, peer: SocketAddr, question: &Question) -> Result<Answer, PeerError> {
        let answer = self.client.ask(peer, question).await;
        if let Err(error) = &answer {
            tracing::debug!(%peer, %error, "a peer did not answer");
        }
        answer
    }

    async fn own_answer(&self, question: &Arc<Question>) -> Result<Option<Answer>, Refusal> {
        if question.wanted != Wanted::All {
            return local::answer(&self.view, question);
        }
        let (view, question) = (self.view.clone(), question.clone());
        // Copying whole ledgers takes milliseconds that other requests must not wait for.
        let copy = tokio::task::spawn_blocking(move || local::answer(&view, &question));
        copy.await.map_err(|_| Refusal::Internal)?
    }
}
