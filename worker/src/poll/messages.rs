//! What the other threads tell the poll thread.

use std::{
    sync::{Arc, mpsc},
    time::Instant,
};

use balancefleet_kafka::{Error, RecordQueue, Validity};

use super::truncation::{Log, Overdue};
use crate::{
    kafka_clients::Context,
    partition_failure::PartitionFailure,
    store::{Assignment, CommitError, Restored},
    topic_facts::TopicFacts,
};

pub(crate) enum Report {
    Restored { assignment: Assignment, outcome: Result<Restored, PartitionFailure> },
    Committed(Committed),
    Inspected(Result<Inspection, Error>),
}

/// The way to the poll thread, which is woken up when it waits for records.
#[derive(Clone)]
pub(crate) struct Reporter {
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) records: Arc<RecordQueue<Context>>,
}

impl Reporter {
    /// False when nobody takes reports any more.
    pub(crate) fn send(&self, report: Report) -> bool {
        let is_taken = self.reports.send(report).is_ok();
        self.records.wake();
        is_taken
    }
}

pub(crate) struct Committed {
    /// Each assignment with the offset below which everything was to be durable.
    pub(crate) progress: Vec<(Assignment, i64)>,
    pub(crate) outcome: Result<(), CommitError>,
    /// When it was handed over: at that time or later the coordinator took it.
    pub(crate) sent: Instant,
}

/// The topic as the brokers describe it now.
pub(crate) struct Inspection {
    pub(crate) topic: TopicFacts,
    /// Of the suspects that could be measured.
    pub(crate) logs: Vec<Log>,
    /// Positions whose validation was overdue, with what their leaders said to another client.
    pub(crate) looked_up: Vec<(Overdue, Validity)>,
}
