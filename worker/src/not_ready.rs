//! What may keep a worker waiting until it passes, or until a user fixes it.

use balancefleet_kafka::Error;

use crate::postgres_error::DatabaseError;

/// Something that does not answer, or that this worker must wait for; `Display` says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotReady {
    #[error(transparent)]
    Kafka(#[from] Error),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The row in PostgreSQL belongs to a later generation of the group than this worker's assignment.
    #[error(
        "partition {partition} is {owner}'s since generation {theirs} of the group, and this worker is in generation \
         {ours}: waiting for a later assignment, or until {owner} has written nothing for two session timeouts"
    )]
    Held { partition: i32, owner: String, theirs: i32, ours: i32 },
    /// The group begins at the end of the logs, see `store::initial_offsets`.
    #[error(
        "the group has committed nothing yet: waiting for the worker that has partition {initiating_partition}, whose \
         first commit fixes where all partitions begin"
    )]
    NoInitialOffsets { initiating_partition: i32 },
}

impl NotReady {
    /// A bounded name for logs.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Kafka(error) => error.kind().as_str(),
            Self::Database(error) => error.kind(),
            Self::Held { .. } => "Held",
            Self::NoInitialOffsets { .. } => "NoInitialOffsets",
        }
    }
}
