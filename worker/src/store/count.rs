//! The progress of the count ledger is offsets alone, committed after processing and before a revocation.

use balancefleet_kafka::Error;

use super::{
    ApplyMode, Assignment, Batch, CommitError, RestorePlan, RestorePlans, Restored, Store,
    initial_offsets::{INITIATING_PARTITION, InitialOffsets, not_begun},
    offsets::{Offsets, PartitionOffsets},
};
use crate::{config::StartFrom, not_ready::NotReady, partition_failure::PartitionFailure};

pub(crate) struct Count {
    pub(crate) offsets: Offsets,
    /// Where a group without progress begins.
    pub(crate) start_from: StartFrom,
}

impl Store for Count {
    fn apply_mode(&self) -> ApplyMode {
        ApplyMode::Direct
    }

    fn plan(&self, assigned: &[Assignment]) -> Result<RestorePlans, NotReady> {
        // A partition added to a running group begins at its first record, or records would be lost. So first ask
        // whether the group has begun: if it has, its starting offsets are among the offsets below.
        let begins = self.start_from == StartFrom::Latest && !self.offsets.has_progress()?;
        let found = self.offsets.of_partitions(assigned)?;
        let initial_offsets = begins.then(|| self.offsets.initial_offsets()).transpose()?;
        let planned = |assignment: Assignment,
                       offsets: Result<PartitionOffsets, Error>|
         -> Result<RestorePlan, super::RestoreError> {
            let offsets = offsets.map_err(NotReady::from)?;
            match &initial_offsets {
                Some(_) if offsets.committed.is_none() && assignment.partition != INITIATING_PARTITION => {
                    Err(not_begun().into())
                }
                initial_offsets => Ok(plan(&offsets, initial_offsets.as_ref())?),
            }
        };
        Ok(found.into_iter().map(|(assignment, offsets)| (assignment, planned(assignment, offsets))).collect())
    }

    fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        self.offsets.commit(batch)
    }
}

fn plan(offsets: &PartitionOffsets, initial_offsets: Option<&InitialOffsets>) -> Result<RestorePlan, PartitionFailure> {
    let PartitionOffsets { committed, log_start, log_end } = offsets;
    let Some(committed) = committed else {
        return Ok(RestorePlan::Done(
            initial_offsets.map_or_else(|| Restored::empty_at(*log_start), InitialOffsets::restored),
        ));
    };
    if committed.offset > *log_end {
        return Err(PartitionFailure::CommittedBeyondEnd { committed: committed.offset, log_end: *log_end });
    }
    let start = committed.offset.max(*log_start);
    if start > committed.offset {
        tracing::warn!(
            committed = committed.offset,
            log_start,
            "records were removed from the topic before they were processed: going on at the first one left"
        );
    }
    let start_offset = committed.start_offset()?.min(start);
    Ok(RestorePlan::Done(Restored { start_offset, committed: Some(committed.offset), ..Restored::empty_at(start) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::offsets::Committed;

    fn start(committed: Option<i64>, log: std::ops::Range<i64>) -> Result<i64, PartitionFailure> {
        let committed = committed.map(|offset| Committed { offset, metadata: String::new() });
        let offsets = PartitionOffsets { committed, log_start: log.start, log_end: log.end };
        plan(&offsets, None).map(|plan| match plan {
            RestorePlan::Done(restored) => restored.next_offset,
            _ => panic!("there is nothing to read"),
        })
    }

    #[test]
    fn a_partition_goes_on_where_the_group_has_committed() {
        assert_eq!(start(Some(60), 5..90), Ok(60));
    }

    #[test]
    fn a_new_partition_begins_at_its_first_record() {
        assert_eq!(start(None, 5..90), Ok(5));
    }

    #[test]
    fn removed_records_are_passed_over() {
        assert_eq!(start(Some(3), 5..90), Ok(5));
    }

    #[test]
    fn a_commit_beyond_the_log_fails() {
        assert_eq!(start(Some(91), 5..90), Err(PartitionFailure::CommittedBeyondEnd { committed: 91, log_end: 90 }));
    }
}
