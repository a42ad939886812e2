//! The group's offsets in Kafka: what is committed, where the logs begin and end, and committing.

use std::{sync::Arc, time::Duration};

use balancefleet_kafka::{Admin, At, CommittedOffset, Error, Isolation, ListedOffset, UsageRecord, usage::UsageError};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
};

use super::{Assignment, Batch, CommitError, Plan, Progress, Restored, beginning::Beginning};
use crate::{
    consumer::{GroupConsumer, describe},
    failure::Failure,
};

/// How long one question to the brokers may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

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

impl Position {
    /// How a partition begins of which a store that keeps balances has nothing: with what the group has committed by
    /// another store, folded once more, else with its first record.
    /// With a `beginning` the group begins there, unless it has begun.
    pub(super) fn begin(&self, beginning: Option<&Beginning>) -> Result<Plan, Failure> {
        let Some(committed) = &self.committed else {
            let start = || Restored::empty_at(self.log_start);
            return Ok(Plan::Ready(beginning.map_or_else(start, Beginning::restored)));
        };
        self.fold(committed.base()?.min(committed.offset), committed.offset)
    }

    /// The records of a ledger, if they are there.
    pub(super) fn fold(&self, base: i64, target: i64) -> Result<Plan, Failure> {
        if self.log_start > base {
            return Err(Failure::RetentionPassedBase { base, log_start: self.log_start });
        }
        if target > self.log_end {
            return Err(Failure::CommittedBeyondEnd { committed: target, log_end: self.log_end });
        }
        Ok(Plan::Fold { base, records: base..target })
    }
}

/// Partitions, each with its position or why the brokers cannot tell it now.
pub(crate) type Positions = Vec<(Assignment, Result<Position, Error>)>;

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

    /// Where `partitions` stand, each by itself: one without a leader does not hold up the others.
    ///
    /// The ends are read after the committed offsets: what was committed then is below the end now.
    pub(crate) fn positions(&self, assigned: &[Assignment]) -> Result<Positions, Error> {
        let asked: Vec<_> = assigned.iter().map(|assignment| (self.topic.clone(), assignment.partition)).collect();
        // A transactional commit under way may still move the offset, hence only stable ones.
        let committed = self.admin.committed_offsets(&self.group, Some(&asked), true, TIMEOUT)?;
        let starts = self.admin.list_offsets(&asked, At::Earliest, Isolation::ReadUncommitted, TIMEOUT)?;
        let ends = self.admin.list_offsets(&asked, At::Latest, Isolation::ReadUncommitted, TIMEOUT)?;
        // All three answer in the order asked for.
        let found = assigned.iter().zip(committed.into_iter().zip(starts.into_iter().zip(ends)));
        Ok(found.map(|(assigned, (committed, (start, end)))| (*assigned, position(committed, start, end))).collect())
    }

    /// What the group has committed, in the order asked for.
    ///
    /// # Errors
    /// The brokers cannot tell for all of them, for example while a transaction with one of them is under way.
    pub(crate) fn committed(&self, assigned: &[Assignment]) -> Result<Vec<Option<Committed>>, Error> {
        let asked: Vec<_> = assigned.iter().map(|assignment| (self.topic.clone(), assignment.partition)).collect();
        let found = self.admin.committed_offsets(&self.group, Some(&asked), true, TIMEOUT)?;
        found.into_iter().map(committed).collect()
    }

    /// Whether the group has committed anything on this topic.
    pub(crate) fn has_progress(&self) -> Result<bool, Error> {
        let all = self.admin.committed_offsets(&self.group, None, true, TIMEOUT)?;
        Ok(all.iter().any(|found| found.topic == self.topic && found.offset.is_some()))
    }

    /// Where a group begins that begins now, at the end of its logs.
    pub(super) fn beginning(&self) -> Result<Beginning, Error> {
        Beginning::at_the_ends(&self.admin, &self.topic, describe(&self.admin, &self.topic, TIMEOUT)?.partition_count)
    }

    /// Commits and waits for the coordinator's answer.
    pub(crate) fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        let list = self.list(&batch.parts).map_err(|error| CommitError::Unavailable(error.to_string()))?;
        self.consumer.commit(&list, CommitMode::Sync).map_err(|error| match error.rdkafka_error_code() {
            Some(Code::UnknownMemberId | Code::IllegalGeneration | Code::FencedInstanceId) => {
                CommitError::NotAMember(error.to_string())
            }
            Some(Code::RebalanceInProgress) => CommitError::Rebalancing,
            _ => CommitError::Unavailable(commit_reason(&error)),
        })
    }

    /// Tells the coordinator how far `parts` have come, so that the group's lag is seen, and waits for nothing.
    pub(crate) fn announce<'a>(&self, parts: impl IntoIterator<Item = &'a Progress>) {
        let sent = self.list(parts).and_then(|list| self.consumer.commit(&list, CommitMode::Async));
        if let Err(error) = sent {
            tracing::debug!(%error, "the group's offsets could not be sent: its lag is told with the next commit");
        }
    }

    fn list<'a>(&self, parts: impl IntoIterator<Item = &'a Progress>) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for Progress { assignment, next_offset, usage, others, .. } in parts {
            let mut entry = list.add_partition(&self.topic, assignment.partition);
            entry.set_offset(Offset::Offset(*next_offset))?;
            entry.set_metadata(usage.to_string());
            for (partition, offset) in others {
                let mut entry = list.add_partition(&self.topic, *partition);
                entry.set_offset(Offset::Offset(*offset))?;
                entry.set_metadata(UsageRecord::beginning_at(*offset).to_string());
            }
        }
        Ok(list)
    }
}

fn position(found: CommittedOffset, start: ListedOffset, end: ListedOffset) -> Result<Position, Error> {
    Ok(Position { committed: committed(found)?, log_start: start.offset?, log_end: end.offset? })
}

fn committed(found: CommittedOffset) -> Result<Option<Committed>, Error> {
    if let Some(error) = found.error {
        return Err(error);
    }
    let metadata = found.metadata;
    Ok(found.offset.map(|offset| Committed { offset, metadata }))
}

fn commit_reason(error: &KafkaError) -> String {
    error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string())
}
