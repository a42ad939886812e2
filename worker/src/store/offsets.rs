//! The group's offsets in Kafka: what is committed, where the logs begin and end, and committing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use balancefleet_kafka::{Admin, At, Error, Isolation, UsageRecord, usage::UsageError};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use super::{CommitError, Progress};
use crate::{consumer::GroupConsumer, failure::Failure};

/// How long one question to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// One partition as the brokers know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The committed offset and its metadata.
    pub(crate) committed: Option<Committed>,
    /// First offset still there.
    pub(crate) log_start: i64,
    /// The offset the next record will get, open transactions included.
    pub(crate) log_end: i64,
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) metadata: String,
}

impl Committed {
    /// Where the ledger begins that this commit stands for: 0 when somebody else committed.
    pub(crate) fn base(&self) -> Result<i64, Failure> {
        match self.metadata.parse::<UsageRecord>() {
            Ok(usage) => Ok(usage.base_offset),
            Err(UsageError::Foreign) => Ok(0),
            Err(error) => Err(Failure::UnreadableProgress { reason: error.to_string() }),
        }
    }
}

/// Reads and writes the offsets of one group on one topic.
pub(crate) struct Offsets {
    admin: Admin,
    consumer: Arc<GroupConsumer>,
    group: String,
    topic: String,
}

impl Offsets {
    pub(crate) fn new(admin: Admin, consumer: Arc<GroupConsumer>, group: &str, topic: &str) -> Self {
        Self { admin, consumer, group: group.to_owned(), topic: topic.to_owned() }
    }

    /// Where `partitions` stand, by number.
    ///
    /// The ends are read after the committed offsets: what was committed then is below the end now.
    pub(crate) fn positions(&self, partitions: &[i32]) -> Result<BTreeMap<i32, Position>, Error> {
        let asked: Vec<_> = partitions.iter().map(|partition| (self.topic.clone(), *partition)).collect();
        // A transactional commit under way may still move the offset, hence only stable ones.
        let mut committed = BTreeMap::new();
        for found in self.admin.committed_offsets(&self.group, Some(&asked), true, TIMEOUT)? {
            if let Some(error) = found.error {
                return Err(error);
            }
            let offset = found.offset.map(|offset| Committed { offset, metadata: found.metadata });
            committed.insert(found.partition, offset);
        }
        let starts = self.ends(&asked, At::Earliest)?;
        let ends = self.ends(&asked, At::Latest)?;
        let position = |(partition, log_start)| {
            let log_end = ends.get(&partition).copied().unwrap_or(log_start);
            (partition, Position { committed: committed.remove(&partition).flatten(), log_start, log_end })
        };
        Ok(starts.into_iter().map(position).collect())
    }

    /// Whether the group has committed anything on this topic.
    pub(crate) fn has_progress(&self) -> Result<bool, Error> {
        let all = self.admin.committed_offsets(&self.group, None, true, TIMEOUT)?;
        Ok(all.iter().any(|found| found.topic == self.topic && found.offset.is_some()))
    }

    fn ends(&self, asked: &[(String, i32)], at: At) -> Result<BTreeMap<i32, i64>, Error> {
        let found = self.admin.list_offsets(asked, at, Isolation::ReadUncommitted, TIMEOUT)?;
        found.into_iter().map(|listed| Ok((listed.partition, listed.offset?))).collect()
    }

    /// Commits and waits for the coordinator's answer.
    pub(crate) fn commit(&self, progress: &[Progress]) -> Result<(), CommitError> {
        let mut list = TopicPartitionList::new();
        for Progress { partition, next_offset, usage, .. } in progress {
            let mut entry = list.add_partition(&self.topic, *partition);
            entry
                .set_offset(Offset::Offset(*next_offset))
                .map_err(|error| CommitError::Unavailable(error.to_string()))?;
            entry.set_metadata(usage.to_string());
        }
        self.consumer.commit(&list, CommitMode::Sync).map_err(|error| match error.rdkafka_error_code() {
            Some(Code::UnknownMemberId | Code::IllegalGeneration | Code::FencedInstanceId) => {
                CommitError::NotAMember(error.to_string())
            }
            Some(Code::RebalanceInProgress) => CommitError::Rebalancing,
            _ => CommitError::Unavailable(commit_reason(&error)),
        })
    }
}

fn commit_reason(error: &KafkaError) -> String {
    error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string())
}
