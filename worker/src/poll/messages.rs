//! The reports that other threads send to the poll thread.

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

/// Sends reports to the poll thread, and wakes it if it waits for records.
#[derive(Clone)]
pub(crate) struct Reporter {
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) records: Arc<RecordQueue<Context>>,
}

impl Reporter {
    /// Returns false if the poll thread has ended.
    pub(crate) fn send(&self, report: Report) -> bool {
        let is_taken = self.reports.send(report).is_ok();
        self.records.wake();
        is_taken
    }
}

pub(crate) struct Committed {
    /// Each assignment with the next offset that the commit was to make durable.
    pub(crate) progress: Vec<(Assignment, i64)>,
    pub(crate) outcome: Result<(), CommitError>,
    /// When the commit was sent. The coordinator accepted it at that time or later.
    pub(crate) sent: Instant,
}

/// The topic as the brokers describe it now.
pub(crate) struct Inspection {
    pub(crate) topic: TopicFacts,
    /// The logs that may have been truncated, those that could be measured.
    pub(crate) logs: Vec<Log>,
    /// Positions whose validation was overdue, with their leaders' answers to another client.
    pub(crate) looked_up: Vec<(Overdue, Validity)>,
}
