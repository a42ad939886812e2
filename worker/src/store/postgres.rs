//! The store that keeps balances in PostgreSQL, with the partitions of the input.
//!
//! One SQL transaction writes the changed customers, the dead letters and the progress, so all three move together or
//! not at all. The row of a partition in `part` is the truth about it, and its only lock:
//!
//! 1. A new owner raises the row's epoch before it reads anything. A batch is written only if every row still has the
//!    epoch and the offset that this worker left there. So a worker that has lost a partition without knowing it can no
//!    longer write.
//! 2. A restore and a reader read row and balances in one snapshot. They always belong together and were committed.
//! 3. If the outcome of a batch is unknown, a new session locks its rows and then reads them. The lock waits until the
//!    old session's transaction has ended.
//!
//! The group's offsets in Kafka follow each commit, without a wait, so that others see the lag. They decide only one
//! thing: if a partition has no row, and the group has committed nothing or the offset of its first record, it begins
//! with that record. Any other offset without a row belongs to another store, another log or a lost row, so the
//! partition fails. A rebuild (`ops::rebuild`) creates the row with the balances; it does not dead-letter records
//! again.
//!
//! The commit thread sends batches on one connection, the restore thread reads on another. A lost connection is
//! recreated after a pause that grows to two seconds. `postgres/schema.sql` describes the schema.

mod claim;
mod copy;
mod durable_state;
mod inspector;
mod load;
mod read;
mod reconnecting_client;
mod replace;
mod rows;
#[cfg(test)]
mod schedules;
mod schema;
mod session;
mod write;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use balancefleet_kafka::Admin;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_postgres::Client;

pub(crate) use inspector::{StoreInspector, has_progress};
pub(crate) use read::{DatabaseReadError, DatabaseReader};

use super::{
    ApplyMode, Assignment, Batch, CommitError, Offsets, OnProgress, RecordEncoder, Replace, Replaced, RestoreError,
    RestorePlan, RestorePlans, Restored, Store, durable_states::DurableStates,
};
use crate::{
    config::Config,
    domain::ledger_rules::{LedgerRules, WorkerRules},
    kafka_clients::GroupConsumer,
    not_ready::NotReady,
    partition_failure::PartitionFailure,
    postgres_error::DatabaseError,
    postgres_target::DatabaseTarget,
    throttle::Throttle,
    topic_facts::describe,
    view::SharedPartition,
};
use claim::claim;
use durable_state::{PartitionCommit, Row, RowState, plan_claim, replacing};
use load::{LoadOutcome, load};
use reconnecting_client::ReconnectingClient;
use replace::claim_for_replacement;
use session::{CLAIMING, LedgerKey, SESSION};
use write::{BatchFate, CommitFailure, read_outcome, write};

/// How long one question to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The time to check the tables, or to create them.
const PREPARE_WITHIN: Duration = Duration::from_secs(15);

/// The pause between two attempts to find out the outcome of a batch. The partitions' next owner may wait meanwhile.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// The same error is logged this often.
const WARN_EVERY: Duration = Duration::from_secs(30);

/// The pause between two attempts to withhold a partition from readers.
const WITHHOLD_AGAIN: Duration = Duration::from_secs(2);

/// Checks that the database can be used; with `create`, creates missing tables.
pub(crate) fn prepare(target: &DatabaseTarget, runtime: &Handle, create: bool) -> Result<(), DatabaseError> {
    // The caller logs that it waits.
    let prepared = async {
        let session = target.connect().await?;
        schema::prepare(&session, create).await
    };
    let within = async { tokio::time::timeout(PREPARE_WITHIN, prepared).await };
    runtime.block_on(within).unwrap_or(Err(DatabaseError::Late(PREPARE_WITHIN)))
}

pub(crate) struct Postgres {
    admin: Admin,
    offsets: Offsets,
    ledger_key: Arc<LedgerKey>,
    target: DatabaseTarget,
    topic_id: String,
    runtime: Handle,
    session_timeout: Duration,
    /// The connection of the commit thread.
    writer: Mutex<ReconnectingClient>,
    /// The connection of the restore thread.
    reader: Mutex<ReconnectingClient>,
    durable_states: DurableStates<RowState>,
}

impl Postgres {
    /// `topic_id` is the id of the input topic when this process began; all stored progress is for records of that
    /// topic.
    pub(crate) fn new(
        config: &Config,
        topic_id: &str,
        target: &DatabaseTarget,
        admin: Admin,
        consumer: Arc<GroupConsumer>,
        runtime: &Handle,
    ) -> Self {
        Self {
            offsets: Offsets::new(admin.clone(), consumer, &config.group_id, &config.topic),
            ledger_key: Arc::new(LedgerKey::of(config, Arc::new(WorkerRules::new(config.rules.clone())))),
            target: target.clone(),
            topic_id: topic_id.to_owned(),
            runtime: runtime.clone(),
            session_timeout: config.session_timeout,
            writer: Mutex::new(ReconnectingClient::new(target.clone(), &[SESSION])),
            reader: Mutex::new(ReconnectingClient::new(target.clone(), &[SESSION, CLAIMING])),
            durable_states: DurableStates::new(),
            admin,
        }
    }

    /// Runs a query on the restore thread's connection.
    fn read<T>(&self, question: impl AsyncFnOnce(&Client) -> Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        self.runtime.block_on(self.reader.lock().ask(question))
    }

    /// Withholds a partition that was claimed with `epoch` from readers.
    fn withhold_from_readers(&self, partition: i32, epoch: i64) -> Result<(), NotReady> {
        Ok(self.read(async |client| load::set_withheld(client, &self.ledger_key, partition, epoch, true).await)?)
    }

    /// The parts of `batch` that still belong to this worker, ordered by partition: all sessions lock rows in that
    /// order.
    fn partition_commits<'a>(&self, batch: &'a Batch) -> Vec<PartitionCommit<'a>> {
        let (still_ours, mut encoder) = (self.durable_states.still_ours(batch), RecordEncoder::default());
        let mut commits: Vec<_> = still_ours
            .map(|(part, before)| PartitionCommit::new(part, before, &self.ledger_key.worker_rules, &mut encoder))
            .collect();
        commits.sort_unstable_by_key(PartitionCommit::partition);
        commits
    }

    /// Asks until the outcome of a batch is known, or all of its partitions have left.
    fn resolve_outcome(
        &self,
        connection: &mut ReconnectingClient,
        commits: &[PartitionCommit<'_>],
    ) -> Option<BatchFate> {
        let mut warnings = Throttle::new(WARN_EVERY);
        loop {
            // The next owner may have moved on partitions that have left meanwhile.
            let remaining: Vec<_> = commits.iter().filter(|commit| !commit.part.shared.is_released()).collect();
            if remaining.is_empty() {
                return None;
            }
            let question = async |client: &Client| read_outcome(client, &self.ledger_key, &remaining).await;
            match self.runtime.block_on(connection.ask(question)) {
                Ok(found) => return Some(found),
                Err(error) => {
                    if let Some(suppressed) = warnings.admit(error.kind(), Instant::now()) {
                        tracing::warn!(%error, suppressed, "cannot find out yet what became of a commit");
                    }
                }
            }
            // A server may accept connections and still refuse queries.
            std::thread::sleep(ASK_AGAIN);
        }
    }
}

impl Store for Postgres {
    fn apply_mode(&self) -> ApplyMode {
        ApplyMode::Buffered
    }

    /// A row that is not updated becomes free for others after a while.
    fn empty_commits_have_all_partitions(&self) -> bool {
        true
    }

    fn plan(&self, assigned: &[Assignment]) -> Result<RestorePlans, NotReady> {
        let found = describe(&self.admin, &self.ledger_key.topic, TIMEOUT)?.topic_id;
        if found != self.topic_id {
            let failure = PartitionFailure::TopicRecreated { expected: self.topic_id.clone(), found };
            return Ok(assigned.iter().map(|assignment| (*assignment, Err(failure.clone().into()))).collect());
        }
        let claims = self.read(async |client| claim(client, &self.ledger_key, assigned, self.session_timeout).await)?;
        // Read after the claim, so the row's offset is not above the log's end.
        let found = self.offsets.of_partitions(assigned)?;
        let plans = found.into_iter().zip(claims).map(|((assignment, offsets), claim)| {
            let plan = || -> Result<RestorePlan, RestoreError> {
                let offsets = offsets.map_err(NotReady::from)?;
                let claim = claim.map_err(NotReady::from)?;
                let epoch = claim.epoch();
                let planned = plan_claim(claim, assignment, &self.ledger_key, &self.topic_id, &offsets);
                if let (Err(RestoreError::Permanent(PartitionFailure::CommittedBeyondEnd { .. })), Some(epoch)) =
                    (&planned, epoch)
                {
                    // The log was truncated: the stored balances contain records that are gone.
                    self.withhold_from_readers(assignment.partition, epoch)?;
                }
                let (durable_state, plan) = planned?;
                self.durable_states.insert(assignment, durable_state);
                Ok(plan)
            };
            (assignment, plan())
        });
        Ok(plans.collect())
    }

    fn fetch(&self, assignment: Assignment, on_progress: &mut OnProgress<'_>) -> Result<Restored, RestoreError> {
        let moved = || DatabaseError::PartitionMoved { detail: "it was claimed again meanwhile" };
        let found = self.durable_states.get(assignment);
        let Some((durable_state, row)) = found.and_then(|found| found.store_specific.row.map(|row| (found, row)))
        else {
            return Err(NotReady::from(moved()).into());
        };
        let claimed = (assignment.partition, row.epoch);
        let loaded = self.read(async |client| load(client, &self.ledger_key, claimed, on_progress).await);
        match loaded.map_err(NotReady::from)? {
            LoadOutcome::Ledger(ledger) => {
                // It may hold currencies that the first release has counted.
                let found = self.durable_states.with(assignment, |durable_state| {
                    Arc::make_mut(&mut durable_state.rules)
                        .note_found(ledger.currencies(), &self.ledger_key.worker_rules)
                });
                found.unwrap_or(Ok(())).map_err(PartitionFailure::from)?;
                Ok(Restored {
                    ledger,
                    start_offset: durable_state.start_offset,
                    committed: Some(row.next_offset),
                    leader_epoch: durable_state.store_specific.leader_epoch,
                    ..Restored::empty_at(row.next_offset)
                })
            }
            LoadOutcome::Failed(failure) => Err(failure.into()),
            LoadOutcome::Moved => Err(NotReady::from(moved()).into()),
        }
    }

    fn withhold(&self, assignment: Assignment, shared: &Arc<SharedPartition>) {
        let Some(row) = self.durable_states.get(assignment).and_then(|it| it.store_specific.row) else { return };
        let (ledger_key, target, shared) = (self.ledger_key.clone(), self.target.clone(), shared.clone());
        self.runtime.spawn(async move {
            let (mut connection, mut warnings) = (ReconnectingClient::new(target, &[SESSION]), Throttle::new(WARN_EVERY));
            while !shared.is_released() {
                let partition = assignment.partition;
                let withhold = async |client: &Client| load::set_withheld(client, &ledger_key, partition, row.epoch, true).await;
                let Err(error) = connection.ask(withhold).await else { return };
                if let Some(suppressed) = warnings.admit(error.kind(), Instant::now()) {
                    tracing::warn!(%error, partition, suppressed, "readers may still be given balances of a failed partition");
                }
                tokio::time::sleep(WITHHOLD_AGAIN).await;
            }
        });
    }

    fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        let mut connection = self.writer.lock();
        // Checked as late as possible: partitions that have left meanwhile are not written.
        let commits = self.partition_commits(batch);
        if commits.is_empty() {
            // Not a success: this says nothing about the worker's membership.
            return Err(CommitError::Unavailable("the partitions have left".to_owned()));
        }
        let written =
            self.runtime.block_on(connection.ask(async |client| write(client, &self.ledger_key, &commits).await));
        let found = match written {
            Ok(fate) => Some(fate),
            Err(CommitFailure::Failed(error)) => return Err(CommitError::Unavailable(error.to_string())),
            Err(CommitFailure::Unknown(error)) => {
                tracing::warn!(%error, "commit outcome unknown, resolving");
                self.resolve_outcome(&mut connection, &commits)
            }
        };
        match found {
            Some(BatchFate::Written) => {
                for commit in &commits {
                    self.durable_states.accept(commit.part, commit.after.clone());
                }
                // Partitions that have left are for their new owner to announce.
                let ours = commits.iter().map(|commit| commit.part).filter(|part| !part.shared.is_released());
                self.offsets.announce(ours);
                Ok(())
            }
            Some(BatchFate::Untouched) => Err(CommitError::Unavailable("PostgreSQL rolled the commit back".to_owned())),
            Some(BatchFate::Others(partitions)) => {
                Err(CommitError::Fenced { partitions, reason: "their rows have changed".to_owned() })
            }
            None => Err(CommitError::Unavailable("the partitions have left".to_owned())),
        }
    }
}

impl Replace for Postgres {
    /// Claims the row at once. The next commit replaces row and balances in one SQL transaction.
    fn replace(
        &self,
        assignment: Assignment,
        former: Replaced,
        start_offset: i64,
        rules: LedgerRules,
    ) -> Result<(), CommitError> {
        let mut row = None;
        if let Some(next_offset) = former.row {
            let mut connection = self.writer.lock();
            let taken = self.runtime.block_on(async {
                claim_for_replacement(connection.ready().await?, &self.ledger_key, assignment, next_offset).await
            });
            if taken.is_err() {
                connection.disconnect();
            }
            let Some(epoch) = taken.map_err(|error| CommitError::Unavailable(error.to_string()))? else {
                let reason = "its row has changed".to_owned();
                return Err(CommitError::Fenced { partitions: vec![assignment.partition], reason });
            };
            row = Some(Row { epoch, next_offset });
        }
        let durable_state = replacing(&self.topic_id, row, start_offset, rules);
        self.durable_states.insert(assignment, durable_state);
        Ok(())
    }
}
