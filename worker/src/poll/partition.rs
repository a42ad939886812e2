//! An assigned partition as the poll thread holds it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use balancefleet_kafka::UsageRecord;

use super::{ahead::Ahead, pending_validation::Validation};
use crate::{
    domain::{
        ledger::{DeadLetter, Posting},
        money::Overflow,
    },
    partition_failure::PartitionFailure,
    store::{ApplyMode, Assignment, AssignmentNumber, Progress, Restored},
    view::{Phase, SharedPartition, State, Visible},
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

/// The work on a partition since its assignment.
pub(crate) struct Active {
    base: i64,
    next_offset: i64,
    leader_epoch: Option<i32>,
    /// Set while it is unknown whether the log still holds this position.
    pub(super) validation: Option<Validation>,
    /// The group's committed offset, as far as this worker knows.
    committed: Option<i64>,
    /// Whether a commit of this assignment was accepted.
    is_first_commit_accepted: bool,
    /// Starting offsets of the group's other partitions; the first commit carries them.
    initial_offsets: Vec<(i32, i64)>,
    /// Changes over the ledger; `None` when records change the ledger itself.
    ahead: Option<Ahead>,
    records: u64,
    busy: Duration,
    /// The part of `records` in the current batch.
    in_batch: u64,
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
        let Restored { ledger, changes, committed, base, next_offset, leader_epoch, initial_offsets, records } =
            restored;
        self.restored_records = records;
        let mut state = self.shared.lock();
        state.ledger = ledger.into();
        state.next_offset = Some(next_offset);
        // While changes are not durable, the visible balances are not true for any offset.
        state.as_of = (changes.len() == 0).then_some(next_offset);
        state.committed_offset = committed;
        let active = Active {
            base,
            next_offset,
            leader_epoch,
            validation: None,
            committed,
            is_first_commit_accepted: false,
            initial_offsets,
            ahead: (apply_mode == ApplyMode::Buffered).then(|| Ahead::new(changes)),
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
        state.ledger = Visible::default();
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
    pub(crate) fn progress(&mut self, all: bool, max_customers_per_commit: usize) -> Option<Progress> {
        if !all && !self.is_dirty() {
            return None;
        }
        // Later, all changes go together with the offset that they lead to. A ledger that was folded again may be
        // split: its offset is already committed.
        let at_most = if self.awaits_first_commit() { max_customers_per_commit } else { usize::MAX };
        let (assignment, shared) = (self.assignment(), self.shared.clone());
        let active = self.committing()?;
        let changes = active.ahead.as_mut().map(|ahead| ahead.take_off(at_most)).unwrap_or_default();
        Some(Progress {
            assignment,
            shared,
            from: active.committed,
            next_offset: active.next_offset,
            leader_epoch: active.leader_epoch,
            changes,
            is_partial: active.pending().0 > 0,
            usage: active.usage(),
            initial_offsets: active.initial_offsets.clone(),
        })
    }

    /// Notes that the commit up to `next_offset` was accepted.
    pub(crate) fn committed(&mut self, next_offset: i64) {
        let landed = self.committing().and_then(|active| {
            active.committed = Some(next_offset);
            active.is_first_commit_accepted = true;
            active.initial_offsets.clear();
            active.ahead.as_mut().and_then(Ahead::landed)
        });
        if let Some(changes) = landed {
            self.shared.publish(&changes, next_offset);
        }
        self.shared.lock().committed_offset = Some(next_offset);
        self.stage = match std::mem::replace(&mut self.stage, Stage::Restoring) {
            Stage::AwaitingFirstCommit(active) if active.pending().0 == 0 => Stage::Ready(active),
            stage => stage,
        };
    }

    /// Notes that the commit was refused: its changes go with the next one.
    pub(crate) fn refused(&mut self) {
        if let Some(ahead) = self.committing().and_then(|active| active.ahead.as_mut()) {
            ahead.turned_back();
        }
    }
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

    /// Loads these customers into the processor's cache, because records are about to be applied to them. Applying a
    /// record is mostly waiting for memory, and loads that are issued together overlap.
    pub(crate) fn prefetch<'a>(&self, customers: impl Iterator<Item = &'a str> + Clone, ledger: &Visible) {
        match &self.ahead {
            Some(ahead) => ahead.prefetch(customers, ledger),
            None => ledger.prefetch(customers),
        }
    }

    /// Applies the record at `offset`, to the ledger or to the changes over it.
    pub(crate) fn apply(&mut self, posting: &Posting<'_>, offset: i64, state: &mut State) -> Result<(), Overflow> {
        match &mut self.ahead {
            Some(ahead) => ahead.apply(posting, offset, &state.ledger),
            None => {
                // Ledger and offset change under the same lock, so no reader sees one alone.
                state.advance(offset);
                state.ledger.apply(posting, offset)
            }
        }
    }

    /// Passes a record that changes no balance.
    pub(crate) fn skip(&self, offset: i64, state: &mut State) {
        if self.ahead.is_none() {
            state.advance(offset);
        }
    }

    /// Keeps a bad record for the next commit.
    pub(crate) fn add_dead_letter(&mut self, dead_letter: DeadLetter) {
        if let Some(ahead) = &mut self.ahead {
            ahead.put_aside(dead_letter);
        }
    }

    /// What the next commit would write: the number of customers, and the bytes of dead letters.
    pub(crate) fn pending(&self) -> (usize, usize) {
        self.ahead.as_ref().map_or((0, 0), |ahead| (ahead.changed(), ahead.dead_bytes()))
    }

    /// [`Self::pending`], plus what the running commit writes.
    pub(crate) fn uncommitted(&self) -> (usize, usize) {
        self.ahead.as_ref().map_or((0, 0), Ahead::not_durable)
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
        self.leader_epoch.is_none() && self.next_offset > self.base
    }

    fn is_dirty(&self) -> bool {
        !self.is_first_commit_accepted || self.committed != Some(self.next_offset)
    }

    /// Ends a batch that had `records` records of all partitions and took `busy`. This partition's share of the time is
    /// proportional to its records.
    pub(crate) fn end_batch(&mut self, busy: Duration, records: u64, shared: &SharedPartition) {
        if self.ahead.is_some() && self.in_batch > 0 {
            shared.lock().set_position(self.next_offset);
        }
        let share = u128::from(std::mem::take(&mut self.in_batch)) * busy.as_nanos() / u128::from(records.max(1));
        self.busy += Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX));
    }

    fn usage(&self) -> UsageRecord {
        let busy_micros = u64::try_from(self.busy.as_micros()).unwrap_or(u64::MAX);
        UsageRecord { base_offset: self.base, records: self.records, busy_micros }
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

    fn active(next_offset: i64) -> Active {
        let mut owned = restored(next_offset, ApplyMode::Direct);
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
    fn a_partition_whose_balances_are_kept_elsewhere_works_only_after_its_first_commit() {
        let mut owned = restored(7, ApplyMode::Buffered);
        owned.activate();
        assert!(matches!(owned.stage, Stage::AwaitingFirstCommit(_)) && owned.fetch_from().is_none());
        assert_eq!(owned.progress(false, usize::MAX).map(|progress| progress.next_offset), Some(7));
        owned.refused();
        assert!(owned.is_dirty());
        owned.progress(false, usize::MAX);
        owned.committed(7);
        assert_eq!(owned.fetch_from(), Some((7, None)));
        owned.activate();
        assert!(owned.active().is_some() && !owned.is_dirty());
    }

    #[test]
    fn a_batchs_time_is_shared_by_records() {
        let mut active = active(0);
        let shared = SharedPartition::new(0, 1);
        (0..3).for_each(|offset| active.advance(offset, None));
        active.end_batch(Duration::from_micros(40), 4, &shared);
        active.end_batch(Duration::from_micros(100), 4, &shared);
        assert_eq!(active.usage(), UsageRecord { base_offset: 0, records: 3, busy_micros: 30 });
    }

    #[test]
    fn only_what_the_coordinator_accepted_is_clean() {
        let mut owned = restored(7, ApplyMode::Direct);
        owned.activate();
        assert_eq!(owned.progress(false, usize::MAX).map(|progress| progress.next_offset), Some(7));
        owned.committed(7);
        assert!(owned.progress(false, usize::MAX).is_none() && owned.progress(true, usize::MAX).is_some());
        owned.active().unwrap().advance(7, None);
        assert_eq!(owned.progress(false, usize::MAX).map(|progress| progress.next_offset), Some(8));
    }
}
