//! Decides which records a rebuild folds for a partition.

use std::ops::Range;

use crate::{
    config::StartFrom,
    partition_failure::PartitionFailure,
    store::{Committed, StoredProgress},
};

/// What is known about a partition.
pub(super) struct Known<'a> {
    /// Its stored progress, if there is one.
    pub(super) stored_progress: Option<&'a StoredProgress>,
    /// The group's offset, if it matters.
    pub(super) committed: Option<&'a Committed>,
    /// Whether the store has customers of the partition.
    pub(super) has_customers: bool,
    /// The bounds of its log.
    pub(super) log: Range<i64>,
    pub(super) topic_id: &'a str,
    pub(super) start_from: StartFrom,
    /// Whether the user vouches for the start offsets in commit metadata (`--from-base`).
    pub(super) trusts_metadata: bool,
}

/// The records that a rebuild folds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RecordsToFold {
    /// These records.
    Range(Range<i64>),
    /// All records: the stored balances come from another topic, or from an unknown one.
    WholeTopic,
}

/// Why a partition cannot be rebuilt; `Display` says what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RebuildRefusal {
    #[error(transparent)]
    Failed(#[from] PartitionFailure),
    /// The balances would lack records of the log.
    #[error(
        "the group's offset {committed} is that of a ledger which begins at offset {start_offset}, but the log begins at \
         {log_start}: the balances would be made without the records {log_start} to {start_offset}. A mirrored group's \
         offsets are another log's: delete them (kafka-consumer-groups --delete-offsets), and the workers begin with the \
         first record. Only of a group that began at the end of the log (startFrom: Latest) and has lost its store is this \
         right: add --from-base"
    )]
    StartAboveLogStart { start_offset: i64, log_start: i64, committed: i64 },
    /// The range would end before it begins.
    #[error(
        "offset {committed}, which the group has committed, is below {start_offset}, the first offset of its ledger, in a \
         log that begins at {log_start}: one of the two is another log's, or was moved by hand. Delete the group's offsets \
         (kafka-consumer-groups --delete-offsets): the workers go on from what the store has, else begin with the first \
         record"
    )]
    StartAboveCommit { start_offset: i64, log_start: i64, committed: i64 },
}

pub(super) fn records_to_fold(known: &Known<'_>) -> Result<RecordsToFold, RebuildRefusal> {
    let log_start = known.log.start;
    let records = match (known.stored_progress, known.committed) {
        (Some(stored_progress), _) if stored_progress.topic_id != known.topic_id => {
            has_first_record(known)?;
            return Ok(RecordsToFold::WholeTopic);
        }
        (Some(stored_progress), committed) => {
            stored_progress.start_offset..committed.map_or(stored_progress.next_offset, |committed| committed.offset)
        }
        (None, Some(committed)) => records_behind(committed, known)?,
        (None, None) if known.has_customers => {
            has_first_record(known)?;
            return Ok(RecordsToFold::WholeTopic);
        }
        (None, None) => log_start..log_start,
    };
    let (start_offset, committed) = (records.start, records.end);
    if start_offset > committed {
        return Err(RebuildRefusal::StartAboveCommit { start_offset, log_start, committed });
    }
    if start_offset < log_start && start_offset < committed {
        return Err(PartitionFailure::RetentionPassedStartOffset { start_offset, log_start }.into());
    }
    if committed > known.log.end {
        return Err(PartitionFailure::CommittedBeyondEnd { committed, log_end: known.log.end }.into());
    }
    Ok(RecordsToFold::Range(records))
}

/// The records behind a committed offset, if nothing else is known about the partition.
fn records_behind(committed: &Committed, known: &Known<'_>) -> Result<Range<i64>, RebuildRefusal> {
    let (log_start, offset) = (known.log.start, committed.offset);
    if let Ok(start_offset) = committed.start_offset()
        && start_offset > offset
    {
        return Err(RebuildRefusal::StartAboveCommit { start_offset, log_start, committed: offset });
    }
    if committed.is_beginning(log_start, known.start_from) {
        return Ok(offset..offset);
    }
    let start_offset = committed.start_offset()?;
    if start_offset > log_start && !known.trusts_metadata {
        return Err(RebuildRefusal::StartAboveLogStart { start_offset, log_start, committed: offset });
    }
    Ok(start_offset..offset)
}

/// Checks that the log still begins with its first record. Otherwise the user must decide to begin later.
fn has_first_record(known: &Known<'_>) -> Result<(), PartitionFailure> {
    let log_start = known.log.start;
    if log_start > 0 {
        Err(PartitionFailure::RetentionPassedStartOffset { start_offset: 0, log_start })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The store has nothing of the partition; the group has committed this.
    fn alone(
        offset: i64,
        metadata: &str,
        log: Range<i64>,
        change: impl FnOnce(&mut Known<'_>),
    ) -> Result<RecordsToFold, RebuildRefusal> {
        let committed = Committed { offset, metadata: metadata.to_owned() };
        let mut known = Known {
            stored_progress: None,
            committed: Some(&committed),
            has_customers: false,
            log,
            topic_id: "i",
            start_from: StartFrom::Earliest,
            trusts_metadata: false,
        };
        change(&mut known);
        records_to_fold(&known)
    }

    /// The store stands at 5 to 60 of a topic with that id.
    fn stored_progress(
        topic_id: &str,
        committed: Option<i64>,
        log: Range<i64>,
    ) -> Result<RecordsToFold, RebuildRefusal> {
        let stored_progress = StoredProgress {
            topic_id: topic_id.to_owned(),
            start_offset: 5,
            next_offset: 60,
            rules: None,
            is_comparable: true,
        };
        let committed = committed.map(|offset| Committed { offset, metadata: String::new() });
        records_to_fold(&Known {
            stored_progress: Some(&stored_progress),
            committed: committed.as_ref(),
            has_customers: true,
            log,
            topic_id: "i",
            start_from: StartFrom::Earliest,
            trusts_metadata: false,
        })
    }

    const REPLAYED: &str = "bf1 base=5 records=10 busy_micros=70";

    #[test]
    fn a_start_offset_is_used_where_it_is_the_log_start() {
        assert_eq!(alone(60, REPLAYED, 5..90, |_| {}), Ok(RecordsToFold::Range(5..60)));
        assert_eq!(alone(60, "", 0..90, |_| {}), Ok(RecordsToFold::Range(0..60)));
        let gone = PartitionFailure::RetentionPassedStartOffset { start_offset: 5, log_start: 6 };
        assert_eq!(alone(60, REPLAYED, 6..90, |_| {}), Err(gone.into()));
        let cut = PartitionFailure::CommittedBeyondEnd { committed: 60, log_end: 59 };
        assert_eq!(alone(60, REPLAYED, 5..59, |_| {}), Err(cut.into()));
    }

    #[test]
    fn a_start_offset_above_the_log_start_needs_somebody_who_vouches_for_it() {
        let metadata = "bf1 base=1300 records=527 busy_micros=9";
        let refused = RebuildRefusal::StartAboveLogStart { start_offset: 1300, log_start: 0, committed: 1400 };
        let text = refused.to_string();
        assert!(["1300", "begins at 0", "1400", "--delete-offsets", "--from-base"].iter().all(|it| text.contains(it)));
        assert_eq!(alone(1400, metadata, 0..1500, |_| {}), Err(refused));
        assert_eq!(
            alone(1400, metadata, 0..1500, |known| known.trusts_metadata = true),
            Ok(RecordsToFold::Range(1300..1400))
        );
    }

    #[test]
    fn a_start_offset_above_its_own_commit_is_always_refused() {
        let metadata = "bf1 base=1300 records=527 busy_micros=9";
        for committed in [0, 1200] {
            let refused = Err(RebuildRefusal::StartAboveCommit { start_offset: 1300, log_start: 0, committed });
            assert_eq!(alone(committed, metadata, 0..1500, |known| known.trusts_metadata = true), refused);
        }
        let moved = RebuildRefusal::StartAboveCommit { start_offset: 5, log_start: 0, committed: 3 };
        assert_eq!(stored_progress("i", Some(3), 0..90), Err(moved));
    }

    #[test]
    fn a_partition_that_has_only_begun_stays_so() {
        assert_eq!(alone(7, "", 7..90, |_| {}), Ok(RecordsToFold::Range(7..7)));
        let latest = |known: &mut Known<'_>| known.start_from = StartFrom::Latest;
        assert_eq!(alone(60, "bf1 base=60 records=0 busy_micros=0", 5..90, latest), Ok(RecordsToFold::Range(60..60)));
        let nothing = |known: &mut Known<'_>| known.committed = None;
        assert_eq!(alone(0, "", 7..90, nothing), Ok(RecordsToFold::Range(7..7)));
    }

    #[test]
    fn metadata_that_cannot_be_read_is_not_guessed() {
        let refused = alone(60, "bf2 x", 0..90, |_| {});
        assert!(matches!(refused, Err(RebuildRefusal::Failed(PartitionFailure::UnreadableProgress { .. }))));
    }

    #[test]
    fn the_groups_offset_goes_before_that_of_the_progress() {
        assert_eq!(stored_progress("i", None, 0..90), Ok(RecordsToFold::Range(5..60)));
        assert_eq!(stored_progress("i", Some(50), 0..90), Ok(RecordsToFold::Range(5..50)));
    }

    #[test]
    fn another_topic_is_folded_as_a_whole_or_not_at_all() {
        assert_eq!(stored_progress("x", Some(50), 0..20), Ok(RecordsToFold::WholeTopic));
        let gone = PartitionFailure::RetentionPassedStartOffset { start_offset: 0, log_start: 1 };
        assert_eq!(stored_progress("x", None, 1..20), Err(gone.clone().into()));
        let unknown = |known: &mut Known<'_>| (known.committed, known.has_customers) = (None, true);
        assert_eq!(alone(0, "", 0..90, unknown), Ok(RecordsToFold::WholeTopic));
        assert_eq!(alone(0, "", 1..90, unknown), Err(gone.into()));
    }
}
