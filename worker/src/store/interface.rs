//! What a store is asked and what it answers.

use std::{collections::HashSet, ops::Range, sync::Arc};

use balancefleet_kafka::{GroupMetadata, UsageRecord};

use super::changelog::ChangelogImage;
use crate::{
    domain::{
        ledger::{Changes, Ledger},
        ledger_rules::LedgerRules,
    },
    not_ready::NotReady,
    partition_failure::PartitionFailure,
    view::SharedPartition,
};

/// How to bring one partition to where the group has committed.
#[derive(Debug)]
pub(crate) enum RestorePlan {
    /// There is nothing more to read.
    Done(Restored),
    /// Records of the input to fold again; processing goes on at their end.
    ReplayInput {
        /// First offset that belongs to the ledger.
        base: i64,
        records: Range<i64>,
    },
    /// Records of the same partition of the store's own log; what follows is said by [`Store::decide`].
    ReadChangelog(Range<i64>),
    /// Rows that only the store can read: [`Store::fetch`] gives the partition.
    QueryDatabase,
}

/// A partition as it goes on.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) ledger: Ledger,
    /// What belongs to it as well but is not durable yet.
    pub(crate) changes: Changes,
    /// What the group had committed.
    pub(crate) committed: Option<i64>,
    /// First offset that belongs to the ledger.
    pub(crate) base: i64,
    pub(crate) next_offset: i64,
    /// Of the log at the record before, if known.
    pub(crate) leader_epoch: Option<i32>,
    /// Where the group's other partitions begin: fixed by this one's first commit.
    pub(crate) initial_offsets: Vec<(i32, i64)>,
    pub(crate) records: u64,
}

impl Restored {
    /// A partition of which nothing was processed yet.
    pub(crate) fn empty_at(start: i64) -> Self {
        Self {
            ledger: Ledger::default(),
            changes: Changes::default(),
            committed: None,
            base: start,
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
    /// The group's, in which it was made.
    pub(crate) generation: i32,
}

/// A plan for each assignment, or what stands in its way.
pub(crate) type RestorePlans = Vec<(Assignment, Result<RestorePlan, RestoreError>)>;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RestoreError {
    /// It cannot be told now: ask again.
    #[error(transparent)]
    Passing(#[from] NotReady),
    #[error(transparent)]
    Final(#[from] PartitionFailure),
}

/// What becomes of partitions whose log was read.
pub(crate) type RestoreDecisions = Vec<(Assignment, Result<RestorePlan, NoRestorePlan>)>;

/// Why a partition whose log was read cannot go on.
pub(crate) enum NoRestorePlan {
    /// Not known yet: ask again with the same image.
    RetryLater(Box<ChangelogImage>, NotReady),
    Failed(PartitionFailure),
}

/// What processed records do before they are committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApplyMode {
    /// They change the ledger at once, and what is not committed is folded again by the next owner.
    Direct,
    /// They are gathered as changes over the ledger, which holds what is committed.
    Buffered,
}

/// How far one partition has come.
#[derive(Clone)]
pub(crate) struct Progress {
    /// Of which of this worker's assignments.
    pub(crate) assignment: Assignment,
    /// Says when that assignment is over.
    pub(crate) shared: Arc<SharedPartition>,
    /// What the group had committed before, `None` if nothing.
    pub(crate) from: Option<i64>,
    /// Every record below this was processed.
    pub(crate) next_offset: i64,
    /// Of the last record below, if known.
    pub(crate) leader_epoch: Option<i32>,
    /// What the records between the two have changed.
    pub(crate) changes: Arc<Changes>,
    /// Whether more of a ledger that the store does not have yet follows with later commits.
    pub(crate) is_partial: bool,
    /// Goes along as the commit's metadata.
    pub(crate) usage: UsageRecord,
    /// Other partitions, on which nobody works yet, and where they begin.
    pub(crate) initial_offsets: Vec<(i32, i64)>,
}

impl Progress {
    /// Of a whole ledger that was made of `records`: nobody works on the partition, and the group has committed `from`.
    pub(crate) fn whole(assignment: Assignment, from: Option<i64>, records: &Range<i64>, ledger: Ledger) -> Self {
        Self {
            assignment,
            shared: Arc::new(SharedPartition::new(assignment.partition, assignment.generation)),
            from,
            next_offset: records.end,
            // The log may be another one than when its leader's epoch was noted.
            leader_epoch: None,
            changes: Arc::new(Changes::all_of(ledger)),
            is_partial: false,
            usage: UsageRecord::beginning_at(records.start),
            initial_offsets: Vec::new(),
        }
    }
}

pub(crate) struct Batch {
    /// The membership in which all of `parts` were assigned to this worker: captured once, when the batch was put together.
    pub(crate) membership: GroupMetadata,
    pub(crate) parts: Vec<Progress>,
}

/// Numbers the assignments of this process: what carries an old one is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AssignmentNumber(pub(crate) u64);

/// Why a commit was not accepted, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    /// The coordinator no longer knows the worker in this generation.
    #[error("the group has gone on without this worker: {0}")]
    NotAMember(String),
    /// The group is between two generations; the same commit will do later.
    #[error("the group is rebalancing")]
    Rebalancing,
    /// No answer, or an error that may pass. With a store that keeps balances, nothing of it is durable then.
    #[error("{0}")]
    Unavailable(String),
    /// A record that is to be written is larger than its topic takes: the words say which, and what to do.
    #[error("{0}")]
    TooLarge(String),
    /// What is durable is neither where this commit began nor where it ended: others have gone on with these partitions.
    /// Of the batch's other ones nothing is durable.
    #[error("another worker has gone on with partitions {partitions:?}: {reason}")]
    Fenced { partitions: Vec<i32>, reason: String },
    /// Only a new process can go on.
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

/// Rows read so far, of how many; whether to go on.
pub(crate) type Watch<'a> = dyn FnMut(u64, u64) -> bool + 'a;

pub(crate) trait Store: Send + Sync {
    /// What processed records do before they are committed.
    fn apply_mode(&self) -> ApplyMode;

    /// Of a ledger that the store does not have yet, so many customers go into one commit.
    fn max_customers_per_commit(&self) -> usize {
        usize::MAX
    }

    /// Whether a commit without progress says something of each partition, and not of the membership alone.
    fn checks_each_partition(&self) -> bool {
        false
    }

    /// Gets ready to commit. Asked before the group is joined, until it succeeds.
    ///
    /// # Errors
    /// Why it cannot yet, or never.
    fn open(&self) -> Result<(), CommitError> {
        Ok(())
    }

    /// Plans the restore of newly assigned partitions, each by itself.
    ///
    /// # Errors
    /// Nothing can be told now: ask again.
    fn plan(&self, assigned: &[Assignment]) -> Result<RestorePlans, NotReady>;

    /// Reads a partition whose plan is [`RestorePlan::QueryDatabase`]. `watch` is told how many rows were read of how many
    /// there should be, and says whether it is still wanted.
    ///
    /// # Errors
    /// What stands in its way; after a passing one it is planned again.
    fn fetch(&self, _assignment: Assignment, _watch: &mut Watch<'_>) -> Result<Restored, RestoreError> {
        Err(PartitionFailure::CustomersWithoutProgress.into())
    }

    /// Says what follows from the partitions' logs, for a store whose plans are [`RestorePlan::ReadChangelog`].
    fn decide(&self, images: Vec<(Assignment, ChangelogImage)>) -> RestoreDecisions {
        images
            .into_iter()
            .map(|(assignment, _)| (assignment, Err(NoRestorePlan::Failed(PartitionFailure::CustomersWithoutProgress))))
            .collect()
    }

    /// What is stored of a partition is not what its log says: readers of the store are no longer to be answered with it.
    /// Waits for nothing; given up when the partition has left. Of a store that only workers read there is nothing to do.
    fn withdraw(&self, _assignment: Assignment, _shared: &Arc<SharedPartition>) {}

    /// Makes progress durable for all parts or, as far as this worker will ever know, for none.
    fn commit(&self, batch: &Batch) -> Result<(), CommitError>;
}

/// What a partition has, as far as its store has to know that to replace it.
#[derive(Default)]
pub(crate) struct Former {
    /// Those of a changelog that have a value.
    pub(crate) keys: HashSet<Box<[u8]>>,
    /// Where the row in a database stands, if there is one.
    pub(crate) row: Option<i64>,
}

/// A store that keeps balances, of which a tool can replace a partition as a whole.
pub(crate) trait Replace: Store {
    /// The next commit of `assignment` replaces what its partition has, all of it at once: its changes are the whole ledger
    /// then, which begins at `base` and was made by `rules`.
    ///
    /// # Errors
    /// Somebody has changed what is stored meanwhile, or it cannot be told.
    fn replace(&self, assignment: Assignment, former: Former, base: i64, rules: LedgerRules)
    -> Result<(), CommitError>;
}
