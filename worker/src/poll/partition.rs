//! An assigned partition as the poll thread holds it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{active::Active, pending_validation::Validation};
use crate::{
    domain::ledger::{Buffer, Ledger},
    partition_failure::PartitionFailure,
    store::{ApplyMode, Assignment, AssignmentNumber, BatchPart, RecordEncoder, Restored},
    view::{Phase, SharedPartition},
};

/// One assignment of one partition.
pub(crate) struct AssignedPartition {
    pub(crate) partition: i32,
    pub(crate) assignment_number: AssignmentNumber,
    pub(crate) generation: i32,
    /// The member id under which the partition was assigned. The worker must not commit for it under any other.
    pub(crate) member_id: Arc<str>,
    /// The part that readers see.
    pub(crate) shared: Arc<SharedPartition>,
    pub(crate) stage: Stage,
    /// Whether it is part of the client's assignment: from its activation on, even after a failure.
    pub(crate) is_fetched: bool,
    /// The number of records that were read to restore it.
    pub(crate) restored_records: u64,
}

/// The stages of an assigned partition.
pub(crate) enum Stage {
    /// The restore thread reads it.
    Restoring,
    /// Restored, but its records are fetched only after a first commit is accepted. That commit fixes where the
    /// partition begins, and proves that the partition is this worker's.
    AwaitingFirstCommit(Active),
    /// Restored; the client does not fetch it yet.
    Ready(Active),
    /// The client fetches it, and its records are applied.
    Active(Active),
    /// Assigned, but not processed any more.
    Failed,
}

impl AssignedPartition {
    pub(crate) fn new(
        partition: i32,
        assignment_number: AssignmentNumber,
        generation: i32,
        member_id: Arc<str>,
    ) -> Self {
        let shared = Arc::new(SharedPartition::new(partition, generation));
        Self {
            partition,
            assignment_number,
            generation,
            member_id,
            shared,
            stage: Stage::Restoring,
            is_fetched: false,
            restored_records: 0,
        }
    }

    pub(crate) fn assignment(&self) -> Assignment {
        Assignment { partition: self.partition, number: self.assignment_number, generation: self.generation }
    }

    pub(crate) fn active(&mut self) -> Option<&mut Active> {
        if let Stage::Active(active) = &mut self.stage { Some(active) } else { None }
    }

    /// Takes over what the restore thread has read.
    pub(crate) fn restored(&mut self, restored: Restored, apply_mode: ApplyMode) {
        let Restored { ledger, buffer, committed, start_offset, next_offset, leader_epoch, initial_offsets, records } =
            restored;
        self.restored_records = records;
        let mut state = self.shared.lock();
        state.ledger = ledger;
        state.next_offset = Some(next_offset);
        // While changes are not durable, the visible balances are not true for any offset.
        state.as_of = (buffer.pending().0 == 0).then_some(next_offset);
        state.committed_offset = committed;
        let active = Active {
            start_offset,
            next_offset,
            leader_epoch,
            validation: None,
            committed,
            is_first_commit_accepted: false,
            initial_offsets,
            buffer: (apply_mode == ApplyMode::Buffered).then_some(*buffer),
            records: 0,
            busy: Duration::ZERO,
            in_batch: 0,
        };
        self.stage = match apply_mode {
            ApplyMode::Buffered => Stage::AwaitingFirstCommit(active),
            ApplyMode::Direct => Stage::Ready(active),
        };
    }

    /// Whether the client must be given the partition.
    pub(crate) fn is_to_be_fetched(&self) -> bool {
        !self.is_fetched && matches!(self.stage, Stage::Ready(_) | Stage::Active(_))
    }

    /// The client was given the partition. Its records are applied once the log is known to hold its position.
    pub(crate) fn activate(&mut self) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Restoring) {
            Stage::Ready(active) => {
                let mut state = self.shared.lock();
                (state.restore, state.blocked_by) = (None, None);
                state.phase = Phase::Active;
                Stage::Active(active)
            }
            stage => stage,
        };
        if let Stage::Active(active) = &mut self.stage {
            self.is_fetched = true;
            // An eager assignment restarts active partitions too: a validation asked for before is never answered.
            if active.position(self.partition).is_some() {
                active.validation.get_or_insert_with(|| Validation::new(Instant::now())).begin_again(false);
            }
        }
    }

    /// The offset from which the client must fetch, with the leader epoch of the record before it; `None` if it must
    /// not fetch.
    pub(crate) fn fetch_from(&self) -> Option<(i64, Option<i32>)> {
        match &self.stage {
            Stage::Ready(active) | Stage::Active(active) => Some((active.next_offset, active.leader_epoch)),
            Stage::Restoring | Stage::AwaitingFirstCommit(_) | Stage::Failed => None,
        }
    }

    /// Stops the partition until it is assigned again; readers get the reason instead of balances.
    pub(crate) fn fail(&mut self, failure: PartitionFailure) {
        tracing::error!(
            partition = self.partition,
            category = failure.category(),
            "partition {} failed: {failure}",
            self.partition
        );
        let mut state = self.shared.lock();
        state.phase = Phase::Failed;
        state.ledger = Ledger::default();
        (state.restore, state.blocked_by) = (None, None);
        state.failure = Some(failure);
        self.stage = Stage::Failed;
    }

    fn committing(&mut self) -> Option<&mut Active> {
        match &mut self.stage {
            Stage::AwaitingFirstCommit(active) | Stage::Active(active) => Some(active),
            Stage::Restoring | Stage::Ready(_) | Stage::Failed => None,
        }
    }

    /// Whether there is something to commit that is not durable.
    pub(crate) fn is_dirty(&self) -> bool {
        match &self.stage {
            Stage::AwaitingFirstCommit(_) => true,
            Stage::Active(active) => active.is_dirty(),
            Stage::Restoring | Stage::Ready(_) | Stage::Failed => false,
        }
    }

    /// Whether its first commit is still to be accepted.
    pub(crate) fn awaits_first_commit(&self) -> bool {
        matches!(self.stage, Stage::AwaitingFirstCommit(_))
    }

    /// The number of records processed since its assignment.
    pub(crate) fn processed(&self) -> u64 {
        if let Stage::Active(active) = &self.stage { active.records } else { 0 }
    }

    /// Whether it has processed records that are not durable.
    pub(crate) fn has_uncommitted(&self) -> bool {
        matches!(&self.stage, Stage::Active(active) if active.is_dirty())
    }

    /// The partition's part of the next commit: its progress since the last accepted commit, and with `all` also a part
    /// without progress. While the ledger is written to the store for the first time, the part has at most
    /// `max_customers_per_commit` customers.
    pub(crate) fn next_batch_part(&mut self, all: bool, max_customers_per_commit: usize) -> Option<BatchPart> {
        if !all && !self.is_dirty() {
            return None;
        }
        // Later, all changes go together with the offset that they lead to. A ledger that was folded again may be
        // split: its offset is already committed.
        let at_most = if self.awaits_first_commit() { max_customers_per_commit } else { usize::MAX };
        let (assignment, shared) = (self.assignment(), self.shared.clone());
        let active = self.committing()?;
        let changes = active.buffer.as_mut().map(|buffer| {
            let mut encoder = RecordEncoder::default();
            buffer.take_for_commit(&shared.lock().ledger, at_most, |id, state| encoder.encode_and_digest(id, state))
        });
        let changes = changes.unwrap_or_default();
        Some(BatchPart {
            assignment,
            shared,
            from: active.committed,
            next_offset: active.next_offset,
            leader_epoch: active.leader_epoch,
            changes,
            is_partial: active.pending_size().0 > 0,
            metadata: active.commit_metadata(),
            initial_offsets: active.initial_offsets.clone(),
        })
    }

    /// Notes that the commit up to `next_offset` was accepted.
    pub(crate) fn committed(&mut self, next_offset: i64) {
        let accepted = self.committing().and_then(|active| {
            active.committed = Some(next_offset);
            active.is_first_commit_accepted = true;
            active.initial_offsets.clear();
            active.buffer.as_mut().and_then(Buffer::accepted)
        });
        let mut state = self.shared.lock();
        state.committed_offset = Some(next_offset);
        // Readers see all of the commit or nothing.
        let replaced = accepted.map(|accepted| {
            state.as_of = Some(next_offset);
            accepted.publish(&mut state.ledger)
        });
        drop(state);
        drop(replaced);
        self.stage = match std::mem::replace(&mut self.stage, Stage::Restoring) {
            Stage::AwaitingFirstCommit(active) if active.pending_size().0 == 0 => Stage::Ready(active),
            stage => stage,
        };
    }

    /// Notes that the commit was refused: its changes go with the next one.
    pub(crate) fn refused(&mut self) {
        if let Some(buffer) = self.committing().and_then(|active| active.buffer.as_mut()) {
            buffer.refused();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restored(next_offset: i64, apply_mode: ApplyMode) -> AssignedPartition {
        let mut owned = AssignedPartition::new(0, AssignmentNumber(1), 1, "m".into());
        owned.restored(Restored::empty_at(next_offset), apply_mode);
        owned
    }

    #[test]
    fn a_partition_whose_balances_are_kept_elsewhere_works_only_after_its_first_commit() {
        let mut owned = restored(7, ApplyMode::Buffered);
        owned.activate();
        assert!(matches!(owned.stage, Stage::AwaitingFirstCommit(_)) && owned.fetch_from().is_none());
        assert_eq!(owned.next_batch_part(false, usize::MAX).map(|part| part.next_offset), Some(7));
        owned.refused();
        assert!(owned.is_dirty());
        owned.next_batch_part(false, usize::MAX);
        owned.committed(7);
        assert_eq!(owned.fetch_from(), Some((7, None)));
        owned.activate();
        assert!(owned.active().is_some() && !owned.is_dirty());
    }

    #[test]
    fn only_what_the_coordinator_accepted_is_clean() {
        let mut owned = restored(7, ApplyMode::Direct);
        owned.activate();
        assert_eq!(owned.next_batch_part(false, usize::MAX).map(|part| part.next_offset), Some(7));
        owned.committed(7);
        assert!(
            owned.next_batch_part(false, usize::MAX).is_none() && owned.next_batch_part(true, usize::MAX).is_some()
        );
        owned.active().unwrap().advance(7, None);
        assert_eq!(owned.next_batch_part(false, usize::MAX).map(|part| part.next_offset), Some(8));
    }
}
