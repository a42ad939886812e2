//! The work on an assigned partition: its position, what was applied, and what the next commit writes.

use std::time::Duration;

use balancefleet_kafka::CommitMetadata;

use super::pending_validation::Validation;
use crate::{
    domain::{
        ledger::{Buffer, DeadLetter, Found, Ledger, Posting},
        money::Overflow,
    },
    view::{SharedPartition, State},
};

/// The work on a partition since its assignment.
pub(crate) struct Active {
    pub(super) start_offset: i64,
    pub(super) next_offset: i64,
    pub(super) leader_epoch: Option<i32>,
    /// Set while it is unknown whether the log still holds this position.
    pub(super) validation: Option<Validation>,
    /// The group's committed offset, as far as this worker knows.
    pub(super) committed: Option<i64>,
    /// Whether a commit of this assignment was accepted.
    pub(super) is_first_commit_accepted: bool,
    /// Starting offsets of the group's other partitions; the first commit carries them.
    pub(super) initial_offsets: Vec<(i32, i64)>,
    /// Changes over the ledger; `None` when records change the ledger itself.
    pub(super) buffer: Option<Buffer>,
    pub(super) records: u64,
    pub(super) busy: Duration,
    /// The part of `records` in the current batch.
    pub(super) in_batch: u64,
}

/// The offset of a record, compared with the expected one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OffsetCheck {
    Expected,
    /// Seen before: the client delivered it twice.
    Duplicate,
    /// Offsets are missing in between: transaction markers take some.
    Gap,
}

impl Active {
    /// Compares `offset` with the next offset to process.
    pub(crate) fn check_offset(&self, offset: i64) -> OffsetCheck {
        match offset.cmp(&self.next_offset) {
            std::cmp::Ordering::Equal => OffsetCheck::Expected,
            std::cmp::Ordering::Less => OffsetCheck::Duplicate,
            std::cmp::Ordering::Greater => OffsetCheck::Gap,
        }
    }

    /// Loads a customer into the processor's cache, because a record is about to be applied to it. Applying a record is
    /// mostly waiting for memory, and loads that are issued together overlap.
    pub(crate) fn touch(&self, found: Found, ledger: &Ledger) {
        match &self.buffer {
            Some(buffer) => buffer.touch(found, ledger),
            None => ledger.touch(found),
        }
    }

    /// Applies the record at `offset` to the customer that was found, in the ledger or as a change over it.
    pub(crate) fn apply(
        &mut self,
        found: Found,
        posting: &Posting<'_>,
        offset: i64,
        state: &mut State,
    ) -> Result<(), Overflow> {
        match &mut self.buffer {
            Some(buffer) => buffer.apply(&mut state.ledger, found, posting, offset),
            None => {
                // Ledger and offset change under the same lock, so no reader sees one alone.
                state.advance(offset);
                state.ledger.apply(found, posting, offset)
            }
        }
    }

    /// Passes a record that changes no balance.
    pub(crate) fn skip(&self, offset: i64, state: &mut State) {
        if self.buffer.is_none() {
            state.advance(offset);
        }
    }

    /// Keeps a bad record for the next commit.
    pub(crate) fn add_dead_letter(&mut self, dead_letter: DeadLetter) {
        if let Some(buffer) = &mut self.buffer {
            buffer.add_dead_letter(dead_letter);
        }
    }

    /// What the next commit would write: the number of customers, and the bytes of dead letters.
    pub(crate) fn pending_size(&self) -> (usize, usize) {
        self.buffer.as_ref().map_or((0, 0), Buffer::pending)
    }

    /// [`Self::pending_size`], plus what the running commit writes.
    pub(crate) fn uncommitted_size(&self) -> (usize, usize) {
        self.buffer.as_ref().map_or((0, 0), Buffer::uncommitted)
    }

    /// Moves past the record at `offset`, whether it was applied or not.
    pub(crate) fn advance(&mut self, offset: i64, leader_epoch: Option<i32>) {
        self.next_offset = offset + 1;
        // No leader can be asked about an offset without the epoch of the record before it.
        self.leader_epoch = leader_epoch;
        self.records += 1;
        self.in_batch += 1;
    }

    pub(crate) fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// The leader epoch of the record before the position, if known.
    pub(crate) fn leader_epoch(&self) -> Option<i32> {
        self.leader_epoch
    }

    /// Whether records precede the position but their leader epoch is unknown, so that no leader can be asked about it.
    pub(crate) fn lacks_epoch(&self) -> bool {
        self.leader_epoch.is_none() && self.next_offset > self.start_offset
    }

    pub(super) fn is_dirty(&self) -> bool {
        !self.is_first_commit_accepted || self.committed != Some(self.next_offset)
    }

    /// Ends a batch that had `records` records of all partitions and took `busy`. This partition's share of the time is
    /// proportional to its records.
    pub(crate) fn end_batch(&mut self, busy: Duration, records: u64, shared: &SharedPartition) {
        if self.buffer.is_some() && self.in_batch > 0 {
            shared.lock().set_position(self.next_offset);
        }
        let share = u128::from(std::mem::take(&mut self.in_batch)) * busy.as_nanos() / u128::from(records.max(1));
        self.busy += Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX));
    }

    pub(super) fn commit_metadata(&self) -> CommitMetadata {
        let busy_micros = u64::try_from(self.busy.as_micros()).unwrap_or(u64::MAX);
        CommitMetadata { start_offset: self.start_offset, records: self.records, busy_micros }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        poll::partition::{AssignedPartition, Stage},
        store::{ApplyMode, AssignmentNumber, Restored},
    };

    fn active(next_offset: i64) -> Active {
        let mut owned = AssignedPartition::new(0, AssignmentNumber(1), 1, "m".into());
        owned.restored(Restored::empty_at(next_offset), ApplyMode::Direct);
        owned.activate();
        let Stage::Active(active) = owned.stage else { panic!("it is not active") };
        active
    }

    #[test]
    fn an_offset_is_next_behind_or_after_a_gap() {
        let active = active(5);
        assert_eq!(
            [4, 5, 6].map(|offset| active.check_offset(offset)),
            [OffsetCheck::Duplicate, OffsetCheck::Expected, OffsetCheck::Gap]
        );
    }

    #[test]
    fn the_start_is_committed_even_before_the_first_record() {
        assert!(active(0).is_dirty());
    }

    #[test]
    fn a_batchs_time_is_shared_by_records() {
        let mut active = active(0);
        let shared = SharedPartition::new(0, 1);
        (0..3).for_each(|offset| active.advance(offset, None));
        active.end_batch(Duration::from_micros(40), 4, &shared);
        active.end_batch(Duration::from_micros(100), 4, &shared);
        assert_eq!(active.commit_metadata(), CommitMetadata { start_offset: 0, records: 3, busy_micros: 30 });
    }
}
