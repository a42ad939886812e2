//! Balance reads for the whole fleet, on any worker: every partition exactly once, or a refusal that names what is
//! missing; never a silently partial sum.
//!
//! A worker owns some partitions; the others belong to its peers, which are asked over HTTP. Partitions move while
//! this happens, so answers carry generation and offset, and what is missing is asked for again for a while. With balances
//! in a database, one statement there takes the place of all that.

mod database;
mod directory;
mod local;
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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use self::directory::{Directory, Freshness};
use self::merge::{Answer, Gathering};
use self::peer::{Budget, PeerClient, PeerError, Question};
use super::refusal::Refusal;
use super::telemetry::FleetMetrics;
use crate::store::DatabaseReader;
use crate::view::View;

pub(super) use self::local::{facts, partitions};
pub(super) use self::merge::{Cover, CustomerBalance, FleetBalances, SumError};
pub(super) use self::wire::{CONTENT_TYPE, Facts, write_partition};

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
    /// What peers may send for one read.
    bytes: usize,
}

const ONE_CUSTOMER: Limits =
    Limits { concurrent: 64, answer: ANSWER_TIMEOUT, turn: Duration::from_secs(1), bytes: 4 << 20 };
/// One list at a time, since all of it passes through memory: 64 MiB are some 700 000 rows, three times that in memory.
const WHOLE_LIST: Limits =
    Limits { concurrent: 1, answer: Duration::from_secs(8), turn: Duration::from_secs(5), bytes: 64 << 20 };

/// Whole lists that peers may read here at a time: each holds one partition's rows.
const PEERS_LIST_READS: usize = 4;

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
    peers_list_reads: Arc<Semaphore>,
}

/// A complete read, and the right to hold that much memory until it is answered.
pub(super) struct Read {
    pub(super) cover: Cover,
    pub(super) turn: OwnedSemaphorePermit,
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
            peers_list_reads: Arc::new(Semaphore::new(PEERS_LIST_READS)),
        })
    }

    /// The right to copy whole partitions for a peer; refused rather than queued, since the peer asks again.
    pub(super) fn turn_for_peer(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        self.peers_list_reads.clone().try_acquire_owned().map_err(|_| Refusal::Busy)
    }

    /// Every partition's rows for `wanted`, once it is this read's turn.
    pub(super) async fn read(&self, wanted: Wanted) -> Result<Read, Refusal> {
        let started = Instant::now();
        let result = self.take_turn_and_gather(wanted).await;
        self.metrics.read(result.as_ref().err(), started.elapsed());
        result
    }

    async fn take_turn_and_gather(&self, wanted: Wanted) -> Result<Read, Refusal> {
        let (limits, turns) = match wanted {
            Wanted::All => (WHOLE_LIST, &self.list_reads),
            Wanted::Customer(_) => (ONE_CUSTOMER, &self.customer_reads),
        };
        let turn = match timeout(limits.turn, turns.clone().acquire_owned()).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(_)) | Err(_) => return Err(Refusal::Busy),
        };
        let cover = match &self.database {
            Some(database) => database::gather(&self.view, database, &wanted, limits.bytes).await?,
            None => self.gather(wanted, limits).await?,
        };
        Ok(Read { cover, turn })
    }

    async fn gather(&self, wanted: Wanted, limits: Limits) -> Result<Cover, Refusal> {
        let facts = local::facts(&self.view).ok_or(Refusal::TopicUnknown)?;
        let budget = Budget::new(limits.bytes);
        let book = self.view.book();
        let mut gathering = Gathering::new(facts.identity(book), book.clone(), facts.partition_count);
        let mut only = None;
        let mut freshness = Freshness::Recent;
        let mut give_up = None;
        loop {
            let peers = self.directory.addresses(freshness).await;
            let now = Instant::now();
            let question = Question {
                wanted: wanted.clone(),
                only,
                head_by: now + ANSWER_TIMEOUT,
                body_by: now + limits.answer,
                budget: budget.clone(),
            };
            self.ask_everyone(question, peers, &mut gathering).await?;
            if let Some(cover) = gathering.take_cover() {
                return Ok(cover);
            }
            let missing_partitions = gathering.missing();
            let give_up = *give_up.get_or_insert_with(|| Instant::now() + RETRY_FOR);
            if Instant::now() + ROUND_PAUSE + ANSWER_TIMEOUT > give_up {
                return Err(Refusal::Incomplete { missing_partitions });
            }
            (only, freshness) = (Some(missing_partitions), Freshness::Now);
            sleep(ROUND_PAUSE).await;
        }
    }

    /// One round: this worker and all peers at once. A peer without an answer is the round's loss, not its failure.
    async fn ask_everyone(
        &self,
        question: Question,
        peers: BTreeSet<SocketAddr>,
        gathering: &mut Gathering,
    ) -> Result<(), Refusal> {
        let question = Arc::new(question);
        let of_peers = join_all(peers.into_iter().map(|peer| self.ask(peer, &question)));
        let (own, of_peers) = tokio::join!(self.own_answer(&question), of_peers);
        if let Some(own) = own? {
            gathering.add(own);
        }
        for answer in of_peers {
            match answer {
                Ok(answer) => self.metrics.peer(if gathering.add(answer) { "answered" } else { "foreign" }),
                Err(PeerError::TooLarge) => return Err(Refusal::TooLarge),
                Err(error) => self.metrics.peer(error.category()),
            }
        }
        Ok(())
    }

    async fn ask(&self, peer: SocketAddr, question: &Question) -> Result<Answer, PeerError> {
        let answer = self.client.ask(peer, question, self.view.book()).await;
        if let Err(error) = &answer {
            tracing::debug!(%peer, %error, "a peer did not answer");
        }
        answer
    }

    async fn own_answer(&self, question: &Arc<Question>) -> Result<Option<Answer>, Refusal> {
        if question.wanted != Wanted::All {
            return Ok(local::answer(&self.view, question));
        }
        let (view, question) = (self.view.clone(), question.clone());
        // Copying whole ledgers takes milliseconds that other requests must not wait for.
        let copy = tokio::task::spawn_blocking(move || local::answer(&view, &question));
        copy.await.map_err(|_| Refusal::Internal)
    }
}
