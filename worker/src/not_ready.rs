//! What may keep a worker waiting, and passes or is cured from outside.

use balancefleet_kafka::Error;

use crate::postgres_error::DatabaseError;

/// Something that does not answer, or does not let this worker go on yet; `Display` says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotReady {
    #[error(transparent)]
    Kafka(#[from] Error),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(
        "partition {partition} is {owner}'s since generation {theirs} of the group, this worker's is {ours}: waiting for a \
         later assignment, or until nothing was heard of that one for two session timeouts"
    )]
    Held { partition: i32, owner: String, theirs: i32, ours: i32 },
}

impl NotReady {
    /// A bounded name for logs.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Kafka(error) => error.kind().as_str(),
            Self::Database(error) => error.kind(),
            Self::Held { .. } => "Held",
        }
    }
}
