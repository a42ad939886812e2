//! Where the progress of partitions is kept.
//!
//! A store answers two questions: what has to be read before a partition can go on (`plan`, asked on the restore
//! thread), and how is what was done since then made durable (`commit`, on the commit thread). Between the two, the poll
//! thread alone owns a partition.
//!
//! `replay` commits offsets only, so a plan names records of the input. A store that writes the ledger itself will plan
//! to read that instead, and take the changed customers in its commit.

mod count;
mod offsets;
mod replay;

use std::{fmt, ops::Range};

use balancefleet_kafka::UsageRecord;
use serde::Serialize;

pub(crate) use count::Count;
pub(crate) use offsets::Offsets;
pub(crate) use replay::Replay;

use crate::failure::Failure;

/// Which store a worker uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// Keeps offsets only and folds the topic again at every assignment.
    Replay,
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replay => f.write_str("replay"),
        }
    }
}

/// How to bring one partition to where the group has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// First offset that belongs to the ledger.
    pub(crate) base: i64,
    /// Records of the input to fold again; processing goes on at its end.
    pub(crate) fold: Range<i64>,
}

/// A plan for each partition, or what stands in its way.
pub(crate) type Plans = Vec<(i32, Result<Plan, Obstacle>)>;

/// Why there is no plan for a partition.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Obstacle {
    /// The brokers cannot tell now: ask again.
    #[error(transparent)]
    Passing(#[from] balancefleet_kafka::Error),
    /// The partition can never go on.
    #[error(transparent)]
    Final(#[from] Failure),
}

/// How far one partition has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Its number.
    pub(crate) partition: i32,
    /// Which of this worker's assignments of it this belongs to.
    pub(crate) epoch: Epoch,
    /// Every record below this was processed.
    pub(crate) next_offset: i64,
    /// Goes along as the commit's metadata.
    pub(crate) usage: UsageRecord,
}

/// Numbers the assignments of this process: what carries an old one is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Epoch(pub(crate) u64);

/// Why a commit was not accepted, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    /// The coordinator no longer knows the worker in this generation.
    #[error("the group has gone on without this worker: {0}")]
    NotAMember(String),
    /// The group is between two generations; the same commit will do later.
    #[error("the group is rebalancing")]
    Rebalancing,
    /// No answer, or an error that may pass.
    #[error("{0}")]
    Unavailable(String),
}

impl CommitError {
    /// A bounded name for logs and metrics.
    pub(crate) const fn category(&self) -> &'static str {
        match self {
            Self::NotAMember(_) => "NotAMember",
            Self::Rebalancing => "Rebalancing",
            Self::Unavailable(_) => "Unavailable",
        }
    }
}

/// See the module.
pub(crate) trait Store: Send + Sync {
    /// Plans the restore of newly assigned partitions, each by itself.
    ///
    /// # Errors
    /// The brokers cannot tell anything now: ask again.
    fn plan(&self, partitions: &[i32]) -> Result<Plans, balancefleet_kafka::Error>;

    /// Makes progress durable for all given partitions or, as far as this worker will ever know, for none.
    fn commit(&self, progress: &[Progress]) -> Result<(), CommitError>;
}
