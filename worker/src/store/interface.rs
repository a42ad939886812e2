//! The [`Store`] trait: the requests to a store, and its answers.

use std::{collections::HashSet, ops::Range, sync::Arc};

use balancefleet_kafka::{CommitMetadata, GroupMetadata};

use super::changelog::ChangelogContents;
use crate::{
    domain::{
        ledger::{Buffer, Changes, Ledger},
        ledger_rules::LedgerRules,
    },
    not_ready::NotReady,
    partition_failure::PartitionFailure,
    view::SharedPartition,
};

/// How to restore one partition to the group's committed offset.
#[derive(Debug)]
pub(crate) enum RestorePlan {
    /// Nothing more has to be read.
    Done(Restored),
    /// Fold these records of the input again; processing continues at their end.
    ReplayInput {
        /// First offset that belongs to the ledger.
        start_offset: i64,
        records: Range<i64>,
    },
    /// Read these records of the same partition of the store's changelog; then [`Store::decide`] says what to do next.
    ReadChangelog(Range<i64>),
    /// Only the store can read the rows: [`Store::fetch`] restores the partition.
    QueryDatabase,
}

/// A restored partition, from where it continues.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) ledger: Ledger,
    /// Changes over the ledger that are not durable yet.
    pub(crate) buffer: Box<Buffer>,
    /// The group's committed offset.
    pub(crate) committed: Option<i64>,
    /// First offset that belongs to the ledger.
    pub(crate) start_offset: i64,
    pub(crate) next_offset: i64,
    /// The leader epoch of the record before `next_offset`, if known.
    pub(crate) leader_epoch: Option<i32>,
    /// Starting offsets of the group's other partitions, which this partition's first commit fixes.
    pub(crate) initial_offsets: Vec<(i32, i64)>,
    pub(crate) records: u64,
}

impl Restored {
    /// A partition without processed records.
    pub(crate) fn empty_at(start: i64) -> Self {
        Self {
            ledger: Ledger::default(),
            buffer: Box::default(),
            committed: None,
            start_offset: start,
            next_offset: start,
            leader_epoch: None,
            initial_offsets: Vec::new(),
            records: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) partition: i32,
    pub(crate) number: AssignmentNumber,
    /// The generation of the group that made the assignment.
    pub(crate) generation: i32,
}

/// A plan for each assignment, or why there is none.
pub(crate) type RestorePlans = Vec<(Assignment, Result<RestorePlan, RestoreError>)>;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RestoreError {
    /// Not known yet: ask again.
    #[error(transparent)]
    Transient(#[from] NotReady),
    #[error(transparent)]
    Permanent(#[from] PartitionFailure),
}

/// What to do with partitions whose changelog was read.
pub(crate) type RestoreDecisions = Vec<(Assignment, Result<RestorePlan, NoRestorePlan>)>;

/// Why a partition whose changelog was read has no plan.
pub(crate) enum NoRestorePlan {
    /// Not known yet: ask again with the same contents.
    RetryLater(Box<ChangelogContents>, NotReady),
    Failed(PartitionFailure),
}

/// Where processed records go before they are committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApplyMode {
    /// They change the ledger at once. The next owner folds uncommitted records again.
    Direct,
    /// They are collected as changes over the ledger, which holds only what is committed.
    Buffered,
}

/// What a commit changes of one partition: its customers, and how far it has come.
#[derive(Clone)]
pub(crate) struct BatchPart {
    /// The assignment that made the progress.
    pub(crate) assignment: Assignment,
    /// Tells whether that assignment is over.
    pub(crate) shared: Arc<SharedPartition>,
    /// The group's committed offset before, `None` if there was none.
    pub(crate) from: Option<i64>,
    /// Every record below this was processed.
    pub(crate) next_offset: i64,
    /// The leader epoch of the last record below, if known.
    pub(crate) leader_epoch: Option<i32>,
    /// The changes by the records from `from` to `next_offset`.
    pub(crate) changes: Arc<Changes>,
    /// Whether later commits carry the rest of a ledger that the store does not have yet.
    pub(crate) is_partial: bool,
    /// The metadata of the offset commit.
    pub(crate) metadata: CommitMetadata,
    /// Starting offsets of other partitions, which no worker has begun yet.
    pub(crate) initial_offsets: Vec<(i32, i64)>,
}

impl BatchPart {
    /// A whole ledger, recomputed from `records` while no worker has the partition; the group has committed `from`.
    pub(crate) fn whole(assignment: Assignment, from: Option<i64>, records: &Range<i64>, ledger: Ledger) -> Self {
        Self {
            assignment,
            shared: Arc::new(SharedPartition::new(assignment.partition, assignment.generation)),
            from,
            next_offset: records.end,
            // The log may have been replaced since its leader epoch was stored.
            leader_epoch: None,
            changes: Arc::new(Changes::all_of(ledger)),
            is_partial: false,
            metadata: CommitMetadata::beginning_at(records.start),
            initial_offsets: Vec::new(),
        }
    }
}

pub(crate) struct Batch {
    /// The membership in which all of `parts` were assigned to this worker: captured once, when the batch was put
    /// together.
    pub(crate) membership: GroupMetadata,
    pub(crate) parts: Vec<BatchPart>,
}

/// Numbers the assignments of this process. Of what other threads report to the poll thread, and of commits, those with
/// an old number are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AssignmentNumber(pub(crate) u64);

/// Why a commit was not accepted, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    /// The coordinator no longer knows the worker in this generation.
    #[error("the group has gone on without this worker: {0}")]
    NotAMember(String),
    /// The group is between two generations; the same commit can succeed later.
    #[error("the group is rebalancing")]
    Rebalancing,
    /// No answer, or an error that may pass. With a store that keeps balances, nothing of the commit is durable.
    #[error("{0}")]
    Unavailable(String),
    /// A record is larger than its topic accepts: the text says which one, and what to do.
    #[error("{0}")]
    TooLarge(String),
    /// The durable progress is neither where this commit began nor where it ended: another worker has continued these
    /// partitions. Nothing of the batch's other partitions is durable.
    #[error("another worker has gone on with partitions {partitions:?}: {reason}")]
    Fenced { partitions: Vec<i32>, reason: String },
    /// Only a new process can continue.
    #[error("{0}")]
    Fatal(String),
}

impl CommitError {
    /// A bounded name for logs and metrics.
    pub(crate) const fn category(&self) -> &'static str {
        match self {
            Self::NotAMember(_) => "NotAMember",
            Self::Rebalancing => "Rebalancing",
            Self::Unavailable(_) => "Unavailable",
            Self::TooLarge(_) => "TooLarge",
            Self::Fenced { .. } => "Fenced",
            Self::Fatal(_) => "Fatal",
        }
    }
}

/// Called with the rows read so far and the expected total; returns whether to continue.
pub(crate) type OnProgress<'a> = dyn FnMut(u64, u64) -> bool + 'a;

/// Where the progress of partitions is kept. The restore thread plans and reads, the commit thread commits.
pub(crate) trait Store: Send + Sync {
    /// Where processed records go before they are committed.
    fn apply_mode(&self) -> ApplyMode;

    /// The most customers in one commit while a ledger is written to the store for the first time.
    fn max_customers_per_commit(&self) -> usize {
        usize::MAX
    }

    /// Whether an empty commit must include every partition. A worker that has read nothing new sends one from time to
    /// time, to check that it is still a member of the group; for that, one partition is enough.
    fn empty_commits_have_all_partitions(&self) -> bool {
        false
    }

    /// Gets ready to commit. Called before the group is joined, until it succeeds.
    ///
    /// # Errors
    /// The store is not ready yet; [`CommitError::Fatal`] if it never will be.
    fn open(&self) -> Result<(), CommitError> {
        Ok(())
    }

    /// Plans the restore of newly assigned partitions, each on its own.
    ///
    /// # Errors
    /// Nothing is known yet: ask again.
    fn plan(&self, assigned: &[Assignment]) -> Result<RestorePlans, NotReady>;

    /// Reads a partition whose plan is [`RestorePlan::QueryDatabase`]: a store with such plans must implement it.
    /// `on_progress` is told the progress and can stop the read.
    ///
    /// # Errors
    /// Why the partition cannot be restored; after a transient error it is planned again.
    fn fetch(&self, _assignment: Assignment, _on_progress: &mut OnProgress<'_>) -> Result<Restored, RestoreError> {
        // Not reached in a store without such plans.
        Err(PartitionFailure::CustomersWithoutProgress.into())
    }

    /// Decides how to continue after a changelog was read: a store whose plans are [`RestorePlan::ReadChangelog`] must
    /// implement it.
    fn decide(&self, contents: Vec<(Assignment, ChangelogContents)>) -> RestoreDecisions {
        // Not reached in a store without such plans.
        contents
            .into_iter()
            .map(|(assignment, _)| (assignment, Err(NoRestorePlan::Failed(PartitionFailure::CustomersWithoutProgress))))
            .collect()
    }

    /// Withholds a partition from those who read the store directly, because the stored balances may hold records that
    /// its log no longer has. Does not block; gives up when the partition leaves this worker. A store that only workers
    /// read does nothing.
    fn withhold(&self, _assignment: Assignment, _shared: &Arc<SharedPartition>) {}

    /// Makes the progress of all parts durable.
    ///
    /// # Errors
    /// The progress of no part is durable, or another worker has continued: see [`CommitError`].
    fn commit(&self, batch: &Batch) -> Result<(), CommitError>;
}

/// The stored state of a partition that a rebuild replaces.
#[derive(Default)]
pub(crate) struct Replaced {
    /// The keys of a changelog that have a value.
    pub(crate) keys: HashSet<Box<[u8]>>,
    /// The next offset of the partition's row in a database, if it has one.
    pub(crate) row: Option<i64>,
}

/// A store whose balances a tool can replace, one whole partition at a time.
pub(crate) trait Replace: Store {
    /// Makes the next commit of `assignment` replace the whole stored partition at once. The changes of that commit are
    /// the whole ledger, which begins at `start_offset` and was made by `rules`.
    ///
    /// # Errors
    /// The stored state has changed meanwhile, or it cannot be read.
    fn replace(
        &self,
        assignment: Assignment,
        former: Replaced,
        start_offset: i64,
        rules: LedgerRules,
    ) -> Result<(), CommitError>;
}
