//! The group's offsets in Kafka: reads committed offsets and the bounds of the logs, and commits.

use std::{sync::Arc, time::Duration};

use balancefleet_kafka::{
    Admin, At, CommitMetadata, CommitMetadataError, CommittedOffset, Error, Isolation, ListedOffset, set_leader_epoch,
};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
};

use super::{Assignment, Batch, BatchPart, CommitError, RestorePlan, Restored, initial_offsets::InitialOffsets};
use crate::{
    config::StartFrom, kafka_clients::GroupConsumer, partition_failure::PartitionFailure, topic_facts::describe,
};

/// How long one question to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The offsets that the brokers know of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartitionOffsets {
    pub(crate) committed: Option<Committed>,
    /// First offset still there.
    pub(crate) log_start: i64,
    /// The offset the next record will get, open transactions included.
    pub(crate) log_end: i64,
}

impl PartitionOffsets {
    /// The start of a partition for which a store with balances has nothing stored. If nothing is committed, it begins
    /// with its first record, or at `initial_offsets`. A committed offset alone is no permission to continue, nor to
    /// fold the records below it: it may belong to another log.
    pub(super) fn plan_beginning(
        &self,
        start_from: StartFrom,
        initial_offsets: Option<&InitialOffsets>,
    ) -> Result<RestorePlan, PartitionFailure> {
        let Some(committed) = &self.committed else {
            let start = || Restored::empty_at(self.log_start);
            return Ok(RestorePlan::Done(initial_offsets.map_or_else(start, InitialOffsets::restored)));
        };
        let offset = committed.offset;
        if !committed.is_beginning(self.log_start, start_from) {
            return Err(PartitionFailure::CommitWithoutProgress { committed: offset });
        }
        self.check_in_log(offset)?;
        Ok(RestorePlan::Done(Restored { committed: Some(offset), ..Restored::empty_at(offset) }))
    }

    /// Checks that processing can continue at `offset`.
    pub(super) fn check_in_log(&self, offset: i64) -> Result<(), PartitionFailure> {
        if offset > self.log_end {
            return Err(PartitionFailure::CommittedBeyondEnd { committed: offset, log_end: self.log_end });
        }
        if offset < self.log_start { Err(PartitionFailure::OffsetOutOfRange { offset }) } else { Ok(()) }
    }

    /// A plan to fold the records of a ledger, if the log still has them.
    pub(super) fn plan_fold(&self, start_offset: i64, target: i64) -> Result<RestorePlan, PartitionFailure> {
        if self.log_start > start_offset {
            return Err(PartitionFailure::RetentionPassedStartOffset { start_offset, log_start: self.log_start });
        }
        if target > self.log_end {
            return Err(PartitionFailure::CommittedBeyondEnd { committed: target, log_end: self.log_end });
        }
        Ok(RestorePlan::ReplayInput { start_offset, records: start_offset..target })
    }
}

/// Partitions, each with its offsets or why the brokers cannot give them now.
pub(crate) type AllOffsets = Vec<(Assignment, Result<PartitionOffsets, Error>)>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) metadata: String,
}

impl Committed {
    /// Reads the coordinator's answer; `None` if nothing is committed.
    pub(crate) fn read(found: CommittedOffset) -> Result<Option<Self>, Error> {
        if let Some(error) = found.error {
            return Err(error);
        }
        let metadata = found.metadata;
        Ok(found.offset.map(|offset| Self { offset, metadata }))
    }

    /// The first offset of the ledger behind this commit: 0 if another program committed.
    pub(crate) fn start_offset(&self) -> Result<i64, PartitionFailure> {
        match self.metadata.parse::<CommitMetadata>() {
            Ok(metadata) => Ok(metadata.start_offset),
            Err(CommitMetadataError::Foreign) => Ok(0),
            Err(error) => Err(PartitionFailure::UnreadableProgress { reason: error.to_string() }),
        }
    }

    /// Whether the partition begins here, so that no balance contains records below: at the start of its log, or at the
    /// starting offset that was fixed for a group that begins at the end of the logs.
    pub(crate) fn is_beginning(&self, log_start: i64, start_from: StartFrom) -> bool {
        let is_fixed = || self.metadata == CommitMetadata::beginning_at(self.offset).to_string();
        (self.offset == log_start && !self.has_ledger()) || (start_from == StartFrom::Latest && is_fixed())
    }

    /// Whether a worker has processed records below, according to the metadata.
    fn has_ledger(&self) -> bool {
        match self.metadata.parse::<CommitMetadata>() {
            Ok(metadata) => metadata.start_offset < self.offset,
            Err(CommitMetadataError::Foreign) => false,
            Err(_) => self.offset > 0,
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

    /// See [`offsets_of`].
    pub(crate) fn of_partitions(&self, assigned: &[Assignment]) -> Result<AllOffsets, Error> {
        offsets_of(&self.admin, &self.group, &self.topic, assigned)
    }

    /// The committed offsets of the group, in the order asked for.
    ///
    /// # Errors
    /// The brokers cannot answer for all of them, for example while a transaction with one of them is open.
    pub(crate) fn committed(&self, assigned: &[Assignment]) -> Result<Vec<Option<Committed>>, Error> {
        let asked: Vec<_> = assigned.iter().map(|assignment| (self.topic.clone(), assignment.partition)).collect();
        let found = self.admin.committed_offsets(&self.group, Some(&asked), true, TIMEOUT)?;
        found.into_iter().map(Committed::read).collect()
    }

    /// Whether the group has committed anything on this topic.
    pub(crate) fn has_progress(&self) -> Result<bool, Error> {
        let all = self.admin.committed_offsets(&self.group, None, true, TIMEOUT)?;
        Ok(all.iter().any(|found| found.topic == self.topic && found.offset.is_some()))
    }

    /// The starting offsets of a group that begins now at the end of the logs.
    pub(super) fn initial_offsets(&self) -> Result<InitialOffsets, Error> {
        let partition_count = describe(&self.admin, &self.topic, TIMEOUT)?.partition_count;
        InitialOffsets::at_the_ends(&self.admin, &self.topic, partition_count, TIMEOUT)
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

    /// Sends the offsets of `parts` to the coordinator without waiting, so that the group's lag is visible.
    pub(crate) fn announce<'a>(&self, parts: impl IntoIterator<Item = &'a BatchPart>) {
        let sent = self.list(parts).and_then(|list| self.consumer.commit(&list, CommitMode::Async));
        if let Err(error) = sent {
            tracing::debug!(%error, "the group's offsets could not be sent: its lag is told with the next commit");
        }
    }

    fn list<'a>(&self, parts: impl IntoIterator<Item = &'a BatchPart>) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for BatchPart { assignment, next_offset, leader_epoch, metadata, initial_offsets, .. } in parts {
            let mut entry = list.add_partition(&self.topic, assignment.partition);
            entry.set_offset(Offset::Offset(*next_offset))?;
            entry.set_metadata(metadata.to_string());
            if let Some(epoch) = leader_epoch
                && let Err(error) = set_leader_epoch(&mut list, &self.topic, assignment.partition, *epoch)
            {
                tracing::debug!(%error, partition = assignment.partition, "an offset is committed without its leader epoch");
            }
            for (partition, offset) in initial_offsets {
                let mut entry = list.add_partition(&self.topic, *partition);
                entry.set_offset(Offset::Offset(*offset))?;
                entry.set_metadata(CommitMetadata::beginning_at(*offset).to_string());
            }
        }
        Ok(list)
    }
}

/// The offsets of partitions in `group`, each on its own: one without a leader does not block the others.
///
/// The ends are read after the committed offsets, so a committed offset is never above its end.
pub(crate) fn offsets_of(
    admin: &Admin,
    group: &str,
    topic: &str,
    assigned: &[Assignment],
) -> Result<AllOffsets, Error> {
    let asked: Vec<_> = assigned.iter().map(|assignment| (topic.to_owned(), assignment.partition)).collect();
    // Only stable offsets, because an open transaction may still move one.
    let committed = admin.committed_offsets(group, Some(&asked), true, TIMEOUT)?;
    let starts = admin.list_offsets(&asked, At::Earliest, Isolation::ReadUncommitted, TIMEOUT)?;
    let ends = admin.list_offsets(&asked, At::Latest, Isolation::ReadUncommitted, TIMEOUT)?;
    // All three answers are in the order asked for.
    let found = assigned.iter().zip(committed.into_iter().zip(starts.into_iter().zip(ends)));
    Ok(found.map(|(assigned, (committed, (start, end)))| (*assigned, read_answers(committed, start, end))).collect())
}

fn read_answers(found: CommittedOffset, start: ListedOffset, end: ListedOffset) -> Result<PartitionOffsets, Error> {
    Ok(PartitionOffsets { committed: Committed::read(found)?, log_start: start.offset?, log_end: end.offset? })
}

fn commit_reason(error: &KafkaError) -> String {
    error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a partition begins of which the store has nothing.
    fn begun(
        committed: (i64, &str),
        log: std::ops::Range<i64>,
        start_from: StartFrom,
    ) -> Result<i64, PartitionFailure> {
        let committed = Some(Committed { offset: committed.0, metadata: committed.1.to_owned() });
        let offsets = PartitionOffsets { committed, log_start: log.start, log_end: log.end };
        offsets.plan_beginning(start_from, None).map(|plan| match plan {
            RestorePlan::Done(restored) => {
                assert_eq!(
                    (restored.start_offset, restored.committed),
                    (restored.next_offset, Some(restored.next_offset))
                );
                restored.next_offset
            }
            _ => panic!("nothing is to be read"),
        })
    }

    const EACH: [StartFrom; 2] = [StartFrom::Earliest, StartFrom::Latest];

    #[test]
    fn a_commit_without_progress_is_no_permission_to_go_on() {
        for start_from in EACH {
            for metadata in
                ["", "bf1 base=1300 records=527 busy_micros=9", "bf1 base=0 records=1 busy_micros=1", "bf2 x"]
            {
                let found = begun((1400, metadata), 0..1500, start_from);
                assert_eq!(found, Err(PartitionFailure::CommitWithoutProgress { committed: 1400 }), "{metadata}");
            }
        }
    }

    #[test]
    fn a_commit_at_the_log_start_is_a_beginning() {
        for start_from in EACH {
            // A ledger that starts above is another log's, of which nothing was processed here.
            for metadata in ["", "bf1 base=7 records=0 busy_micros=0", "bf1 base=1300 records=5 busy_micros=9"] {
                assert_eq!(begun((7, metadata), 7..90, start_from), Ok(7), "{metadata}");
            }
            assert_eq!(begun((0, "bf2 x"), 0..90, start_from), Ok(0));
        }
    }

    #[test]
    fn a_ledger_whose_records_are_all_gone_is_no_beginning() {
        for metadata in ["bf1 base=5 records=2 busy_micros=0", "bf2 x"] {
            let found = begun((7, metadata), 7..90, StartFrom::Earliest);
            assert_eq!(found, Err(PartitionFailure::CommitWithoutProgress { committed: 7 }), "{metadata}");
        }
    }

    #[test]
    fn a_group_that_begins_at_the_end_knows_where_by_the_text_of_its_first_owner_alone() {
        let fixed = "bf1 base=60 records=0 busy_micros=0";
        assert_eq!(begun((60, fixed), 5..90, StartFrom::Latest), Ok(60));
        let refused = Err(PartitionFailure::CommitWithoutProgress { committed: 60 });
        assert_eq!(begun((60, fixed), 5..90, StartFrom::Earliest), refused);
        for other in [
            "",
            "bf1 base=60 records=1 busy_micros=0",
            "bf1 base=60 records=0 busy_micros=7",
            "bf1 base=59 records=0 busy_micros=0",
        ] {
            assert_eq!(begun((60, other), 5..90, StartFrom::Latest), refused, "{other}");
        }
    }

    #[test]
    fn a_beginning_has_to_be_in_the_log() {
        let fixed = "bf1 base=60 records=0 busy_micros=0";
        let gone = begun((60, fixed), 61..90, StartFrom::Latest);
        assert_eq!(gone, Err(PartitionFailure::OffsetOutOfRange { offset: 60 }));
        let cut = begun((60, fixed), 5..59, StartFrom::Latest);
        assert_eq!(cut, Err(PartitionFailure::CommittedBeyondEnd { committed: 60, log_end: 59 }));
    }
}
