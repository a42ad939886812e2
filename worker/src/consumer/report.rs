//! What the other threads tell the poll thread.

use std::time::Instant;

use balancefleet_kafka::Error;

use super::partition::Restored;
use crate::{
    failure::Failure,
    store::{CommitError, Epoch, Progress},
    view::TopicFacts,
};

/// One message to the poll thread.
pub(crate) enum Report {
    /// From the restore thread.
    Restored { partition: i32, epoch: Epoch, outcome: Result<Restored, Failure> },
    /// From the commit thread.
    Committed(Committed),
    /// From the inspector.
    Inspected(Result<Inspection, Error>),
}

/// A commit that came to an end.
pub(crate) struct Committed {
    pub(crate) progress: Vec<Progress>,
    pub(crate) outcome: Result<(), CommitError>,
    /// When it was handed over: at that time or later the coordinator took it.
    pub(crate) sent: Instant,
}

/// The topic as the brokers describe it now.
pub(crate) struct Inspection {
    pub(crate) topic: TopicFacts,
    /// Log start and end of the partitions that were in doubt.
    pub(crate) logs: Vec<(Doubt, i64, i64)>,
}

/// A partition that may stand where its log no longer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub(crate) partition: i32,
    pub(crate) epoch: Epoch,
    pub(crate) next_offset: i64,
}
