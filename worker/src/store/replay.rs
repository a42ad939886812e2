//! The store that keeps nothing: at every assignment, the partition is folded again from its ledger's start offset to
//! the committed offset.
//!
//! It is the simplest correct store, and the others are tested against it. The first commit of a partition fixes the
//! start offset and carries it as metadata. All records of the balances lie between start offset and committed offset,
//! or the partition fails. A late commit of another worker, or a commit with an unknown outcome, only moves the point
//! where folding ends and processing begins (with the pause per record of `simulatedWork`, which demonstrations set).

#[cfg(test)]
mod schedules;

use balancefleet_kafka::Error;

use super::{
    ApplyMode, Assignment, Batch, CommitError, RestorePlan, RestorePlans, Restored, Store,
    offsets::{Offsets, PartitionOffsets},
};
use crate::{not_ready::NotReady, partition_failure::PartitionFailure};

pub(crate) struct Replay(pub(crate) Offsets);

impl Store for Replay {
    fn apply_mode(&self) -> ApplyMode {
        ApplyMode::Direct
    }

    fn plan(&self, assigned: &[Assignment]) -> Result<RestorePlans, NotReady> {
        let planned = |offsets: Result<PartitionOffsets, Error>| Ok(plan(&offsets.map_err(NotReady::from)?)?);
        let found = self.0.of_partitions(assigned)?;
        Ok(found.into_iter().map(|(assignment, offsets)| (assignment, planned(offsets))).collect())
    }

    fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        self.0.commit(batch)
    }
}

/// What is to be folded of a partition.
pub(crate) fn plan(offsets: &PartitionOffsets) -> Result<RestorePlan, PartitionFailure> {
    let &PartitionOffsets { ref committed, log_start, log_end } = offsets;
    let Some(committed) = committed else { return Ok(RestorePlan::Done(Restored::empty_at(log_start))) };
    let start_offset = committed.start_offset()?;
    // The ledger's start was a log's start once, and a log's start never goes back.
    if log_start < start_offset || start_offset > committed.offset {
        return Err(PartitionFailure::StartOfAnotherLog { start_offset, log_start, committed: committed.offset });
    }
    if committed.offset > log_end {
        return Err(PartitionFailure::CommittedBeyondEnd { committed: committed.offset, log_end });
    }
    if log_start > start_offset {
        return Err(PartitionFailure::RetentionPassedStartOffset { start_offset, log_start });
    }
    Ok(RestorePlan::ReplayInput { start_offset, records: start_offset..committed.offset })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::offsets::Committed;

    /// Start offset and the records to fold; a new partition has none.
    fn planned(
        committed: Option<(i64, &str)>,
        log: std::ops::Range<i64>,
    ) -> Result<(i64, std::ops::Range<i64>), PartitionFailure> {
        let committed = committed.map(|(offset, metadata)| Committed { offset, metadata: metadata.to_owned() });
        match plan(&PartitionOffsets { committed, log_start: log.start, log_end: log.end })? {
            RestorePlan::Done(restored) => Ok((restored.start_offset, restored.next_offset..restored.next_offset)),
            RestorePlan::ReplayInput { start_offset, records } => Ok((start_offset, records)),
            RestorePlan::ReadChangelog(_) | RestorePlan::QueryDatabase => panic!("replay has no log of its own"),
        }
    }

    #[test]
    fn a_new_partition_begins_at_its_first_record() {
        assert_eq!(planned(None, 5..90), Ok((5, 5..5)));
    }

    #[test]
    fn a_known_partition_is_folded_from_its_start_offset_to_its_commit() {
        let metadata = "bf1 base=5 records=10 busy_micros=70";
        assert_eq!(planned(Some((60, metadata)), 5..90), Ok((5, 5..60)));
        assert_eq!(planned(Some((5, metadata)), 5..90), Ok((5, 5..5)));
    }

    #[test]
    fn the_commit_of_another_program_stands_for_everything_before_it() {
        assert_eq!(planned(Some((60, "")), 0..90), Ok((0, 0..60)));
        assert_eq!(
            planned(Some((60, "")), 1..90),
            Err(PartitionFailure::RetentionPassedStartOffset { start_offset: 0, log_start: 1 })
        );
    }

    #[test]
    fn a_partition_whose_first_records_are_gone_fails() {
        let metadata = "bf1 base=5 records=10 busy_micros=70";
        assert_eq!(
            planned(Some((60, metadata)), 6..90),
            Err(PartitionFailure::RetentionPassedStartOffset { start_offset: 5, log_start: 6 })
        );
    }

    #[test]
    fn a_commit_beyond_the_log_fails() {
        assert_eq!(
            planned(Some((91, "")), 0..90),
            Err(PartitionFailure::CommittedBeyondEnd { committed: 91, log_end: 90 })
        );
    }

    #[test]
    fn progress_of_a_later_release_is_not_guessed() {
        assert!(matches!(planned(Some((6, "bf2 x")), 0..9), Err(PartitionFailure::UnreadableProgress { .. })));
    }

    #[test]
    fn the_commit_of_another_log_is_not_followed() {
        let metadata = "bf1 base=1300 records=527 busy_micros=9";
        let other =
            |committed, log_start| PartitionFailure::StartOfAnotherLog { start_offset: 1300, log_start, committed };
        assert_eq!(planned(Some((1400, metadata)), 0..1500), Err(other(1400, 0)));
        // Also where the log is too short for it.
        assert_eq!(planned(Some((1400, metadata)), 0..100), Err(other(1400, 0)));
        // The log starts where it did, but its offset is one of a log that was shorter.
        assert_eq!(planned(Some((1200, metadata)), 1300..1500), Err(other(1200, 1300)));
    }
}
