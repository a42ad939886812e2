//! The consumer's state as the rest of the process sees it.
//!
//! The poll thread writes, the REST API reads. A read of one customer locks its partition for a moment; a whole
//! partition is copied from a snapshot, some customers at a time. The poll thread holds the lock while it applies some
//! records, or while the changes of a commit become visible.

mod counters;
mod facts;
mod history;
mod shared_partition;
mod snapshot;
#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};

pub(crate) use facts::*;
pub(crate) use shared_partition::{SharedPartition, State};
pub(crate) use snapshot::{CopyError, Snapshot};

use crate::{
    cleanup_policy::CleanupPolicy,
    domain::{
        ledger_rules::{LedgerRules, WorkerRules},
        rules::Rules,
    },
    not_ready::NotReady,
    status::Status,
    topic_facts::TopicFacts,
};
pub(crate) use counters::{Counters, count};
use history::History;

/// A worker whose poll thread was last alive longer ago than this does not answer for its partitions.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How long a copy of a partition waits for another copy.
const COPY_TURN: Duration = Duration::from_secs(5);
/// A poll thread that was not alive for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// The consumer as others see it. Shared; every method may be called from any thread.
pub(crate) struct View {
    worker_info: WorkerInfo,
    worker_rules: Arc<WorkerRules>,
    session_timeout: Duration,
    status: Mutex<Status>,
    counters: Counters,
    partitions: RwLock<BTreeMap<i32, Arc<SharedPartition>>>,
    history: Mutex<History>,
    topic: Mutex<Option<TopicFacts>>,
    /// Whether the topic keeps every record, once known.
    cleanup_policy: Mutex<Option<CleanupPolicy>>,
    waiting_for: Mutex<Option<NotReady>>,
    /// Why the last commit was not accepted.
    uncommitted: Mutex<Option<String>>,
    ready: Mutex<bool>,
    last_alive: Mutex<Instant>,
    membership_confirmed_at: Mutex<Option<Instant>>,
    /// Held while a partition is copied: a copy keeps changes in memory, so only one runs at a time.
    copying: Mutex<()>,
}

impl View {
    pub(crate) fn new(worker_info: WorkerInfo, rules: Rules, session_timeout: Duration) -> Self {
        Self {
            worker_info,
            worker_rules: Arc::new(WorkerRules::new(rules)),
            session_timeout,
            status: Mutex::new(Status::Starting),
            counters: Counters::default(),
            partitions: RwLock::default(),
            history: Mutex::default(),
            topic: Mutex::default(),
            cleanup_policy: Mutex::default(),
            waiting_for: Mutex::default(),
            uncommitted: Mutex::default(),
            ready: Mutex::new(false),
            last_alive: Mutex::new(Instant::now()),
            membership_confirmed_at: Mutex::default(),
            copying: Mutex::default(),
        }
    }

    pub(crate) fn worker_info(&self) -> &WorkerInfo {
        &self.worker_info
    }

    pub(crate) fn worker_rules(&self) -> &Arc<WorkerRules> {
        &self.worker_rules
    }

    /// The rules that made the ledgers of the active partitions, if the store keeps them.
    pub(crate) fn ledger_rules(&self) -> Vec<Arc<LedgerRules>> {
        self.shared_partitions()
            .iter()
            .filter(|shared| shared.is_active())
            .filter_map(|shared| shared.rules())
            .collect()
    }

    pub(crate) fn status(&self) -> Status {
        *self.status.lock()
    }

    pub(crate) fn counters(&self) -> Counts {
        self.counters.read()
    }

    /// The assigned partitions, sorted.
    pub(crate) fn partitions(&self) -> Vec<PartitionInfo> {
        self.shared_partitions().iter().map(|shared| shared.info()).collect()
    }

    /// Rebalance events, newest first; the oldest are forgotten after some hundred.
    pub(crate) fn history(&self) -> Vec<RebalanceEvent> {
        self.history.lock().newest_first()
    }

    /// The topic as last described by the brokers, `None` before that.
    pub(crate) fn topic(&self) -> Option<TopicFacts> {
        self.topic.lock().clone()
    }

    /// Whether the topic is compacted; `None` while that is not known, or of no interest to this ledger.
    pub(crate) fn is_input_compacted(&self) -> Option<bool> {
        match &*self.cleanup_policy.lock() {
            Some(CleanupPolicy::Compacted { .. }) => Some(true),
            Some(CleanupPolicy::KeepsAllRecords) => Some(false),
            Some(CleanupPolicy::Unknown) | None => None,
        }
    }

    /// The partitions this worker may answer for now, sorted.
    ///
    /// A partition counts when it is active, and the worker is provably still a member: its poll thread is running, and
    /// a commit sent less than a session timeout ago was accepted.
    pub(crate) fn answerable(&self) -> Vec<i32> {
        if !self.is_member() {
            return Vec::new();
        }
        self.shared_partitions().iter().filter(|shared| shared.is_active()).map(|shared| shared.partition()).collect()
    }

    /// One customer's balances in one partition; `None` unless the worker may answer for it.
    pub(crate) fn customer(&self, partition: i32, id: &str) -> Option<PartitionBalances> {
        let balances = self.shared(partition)?.customer(id, &self.worker_rules.rules().exponents)?;
        // Checked afterwards: if the process was frozen meanwhile, the worker may have lost the partition.
        self.is_member().then_some(balances)
    }

    /// The number of customers of a partition.
    pub(crate) fn customers(&self, partition: i32) -> usize {
        self.shared(partition).map_or(0, |shared| shared.lock().ledger.len())
    }

    /// Gives `copy` every customer of one partition, all from the same moment; `None` unless the worker may answer for
    /// it.
    ///
    /// Blocks while another partition is copied. Processing continues meanwhile and what it changes is kept in memory, so
    /// `copy` must take the rows quickly and must not wait for a network.
    pub(crate) fn copy<T, E: From<CopyError>>(
        &self,
        partition: i32,
        copy: impl FnOnce(&Snapshot<'_>) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let Some(shared) = self.shared(partition) else { return Ok(None) };
        let Some(_turn) = self.copying.try_lock_for(COPY_TURN) else { return Err(CopyError::Turn.into()) };
        let Some(snapshot) = shared.snapshot(&self.worker_rules.rules().exponents) else { return Ok(None) };
        let copied = copy(&snapshot);
        drop(snapshot);
        // Checked afterwards, as above: the partition may also have failed or left meanwhile. Its copy may have ended with
        // an error, because its ledger is gone.
        if self.is_member() && shared.is_active() && !shared.is_released() { copied.map(Some) } else { Ok(None) }
    }

    pub(crate) fn readiness(&self) -> Readiness {
        let partitions = self.partitions();
        let in_phase = |phase| partitions.iter().filter(|info| info.phase == phase).cloned().collect::<Vec<_>>();
        let failed = in_phase(Phase::Failed);
        // A partition whose position is not validated yet serves its balances, but makes no progress.
        let is_blocked = |info: &&PartitionInfo| info.phase == Phase::Active && info.blocked_by.is_some();
        let is_restoring = |info: &&PartitionInfo| info.phase == Phase::Restoring || is_blocked(info);
        let restoring: Vec<_> = partitions.iter().filter(is_restoring).cloned().collect();
        let blocked_by = partitions.iter().find(is_blocked).and_then(|info| info.blocked_by.clone());
        let status = self.status();
        let stopping = matches!(status, Status::Stopped | Status::FatalError);
        let ready = *self.ready.lock() && !stopping && failed.is_empty();
        let reason = if stopping {
            Some(status.to_string())
        } else if let Some(failed) = failed.first() {
            failed.failure.clone()
        } else {
            let waiting_for = self.waiting_for.lock().as_ref().map(ToString::to_string);
            let compacted = || self.cleanup_policy.lock().as_ref().and_then(CleanupPolicy::warning);
            waiting_for.or_else(|| self.uncommitted.lock().clone()).or(blocked_by).or_else(compacted)
        };
        Readiness { ready, reason, restoring, failed }
    }

    /// False when the poll thread is stuck and only a restart helps.
    pub(crate) fn liveness(&self) -> bool {
        self.last_alive.lock().elapsed() < STUCK_AFTER
    }

    fn is_member(&self) -> bool {
        self.last_alive.lock().elapsed() <= ANSWER_WITHIN
            && self.membership_confirmed_at.lock().is_some_and(|at| at.elapsed() < self.session_timeout)
    }

    fn shared(&self, partition: i32) -> Option<Arc<SharedPartition>> {
        self.partitions.read().get(&partition).cloned()
    }

    fn shared_partitions(&self) -> Vec<Arc<SharedPartition>> {
        self.partitions.read().values().cloned().collect()
    }
}
