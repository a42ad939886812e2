//! An assigned partition as the poll thread holds it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use balancefleet_kafka::UsageRecord;

use crate::{
    failure::Failure,
    ledger::Ledger,
    store::{Epoch, Progress},
    view::{Cell, Phase},
};

/// One assignment of one partition.
pub(crate) struct Owned {
    pub(crate) partition: i32,
    pub(crate) epoch: Epoch,
    /// What readers see of it.
    pub(crate) cell: Arc<Cell>,
    pub(crate) stage: Stage,
    /// Whether it is part of the client's assignment: from its activation on, also when it fails then.
    pub(crate) is_fetched: bool,
}

/// Where the partition is on its way to work.
pub(crate) enum Stage {
    /// With the restore thread.
    Restoring,
    /// Restored; the client is to fetch it from there.
    Ready(Restored),
    /// The client fetches it, records are applied.
    Active(Active),
    /// Kept, not processed.
    Failed,
}

/// What a restore gives back.
pub(crate) struct Restored {
    pub(crate) ledger: Ledger,
    pub(crate) base: i64,
    pub(crate) next_offset: i64,
}

/// The work on a partition since its assignment.
pub(crate) struct Active {
    base: i64,
    next_offset: i64,
    /// What the coordinator accepted in this assignment; `None` until the first commit fixed the start.
    committed: Option<i64>,
    records: u64,
    busy: Duration,
    /// Of `records`, those of the batch under way.
    in_batch: u64,
}

/// What the offset of a record says about its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Next,
    /// Seen before: the client delivered it twice.
    Behind,
    /// Offsets are missing in between: transaction markers take some.
    AfterGap,
}

impl Owned {
    pub(crate) fn new(partition: i32, epoch: Epoch, generation: i32) -> Self {
        let cell = Arc::new(Cell::new(partition, generation));
        Self { partition, epoch, cell, stage: Stage::Restoring, is_fetched: false }
    }

    pub(crate) fn active(&mut self) -> Option<&mut Active> {
        if let Stage::Active(active) = &mut self.stage { Some(active) } else { None }
    }

    /// Begins to work where the restore ended.
    pub(crate) fn activate(&mut self, restored: Restored) {
        let Restored { ledger, base, next_offset } = restored;
        let mut state = self.cell.lock();
        state.ledger = ledger;
        state.next_offset = Some(next_offset);
        state.restore = None;
        state.phase = Phase::Active;
        self.stage = Stage::Active(Active::new(base, next_offset));
        self.is_fetched = true;
    }

    /// The offset the client has to fetch from, if it is to fetch at all.
    pub(crate) fn fetch_from(&self) -> Option<i64> {
        match &self.stage {
            Stage::Ready(restored) => Some(restored.next_offset),
            Stage::Active(active) => Some(active.next_offset),
            Stage::Restoring | Stage::Failed => None,
        }
    }

    /// Stops for good; readers get the reason instead of balances.
    pub(crate) fn fail(&mut self, failure: Failure) {
        tracing::error!(
            partition = self.partition,
            category = failure.category(),
            "partition {} failed: {failure}",
            self.partition
        );
        let mut state = self.cell.lock();
        state.phase = Phase::Failed;
        state.ledger = Ledger::default();
        state.restore = None;
        state.failure = Some(failure);
        self.stage = Stage::Failed;
    }

    /// What there is to commit: news since the last accepted commit, or with `all` also without.
    pub(crate) fn progress(&self, all: bool) -> Option<Progress> {
        let Stage::Active(active) = &self.stage else { return None };
        (all || active.is_dirty()).then(|| Progress {
            partition: self.partition,
            epoch: self.epoch,
            next_offset: active.next_offset,
            usage: active.usage(),
        })
    }

    /// The coordinator accepted `next_offset`.
    pub(crate) fn committed(&mut self, next_offset: i64) {
        self.cell.lock().committed_offset = Some(next_offset);
        if let Some(active) = self.active() {
            active.committed = Some(next_offset);
        }
    }
}

impl Active {
    fn new(base: i64, next_offset: i64) -> Self {
        Self { base, next_offset, committed: None, records: 0, busy: Duration::ZERO, in_batch: 0 }
    }

    /// Where `offset` stands to what was processed.
    pub(crate) fn place(&self, offset: i64) -> Place {
        match offset.cmp(&self.next_offset) {
            std::cmp::Ordering::Equal => Place::Next,
            std::cmp::Ordering::Less => Place::Behind,
            std::cmp::Ordering::Greater => Place::AfterGap,
        }
    }

    /// The record at `offset` is dealt with, applied or not.
    pub(crate) fn passed(&mut self, offset: i64) {
        self.next_offset = offset + 1;
        self.records += 1;
        self.in_batch += 1;
    }

    pub(crate) fn next_offset(&self) -> i64 {
        self.next_offset
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.committed != Some(self.next_offset)
    }

    /// Ends a batch of `records` over all partitions that took `busy`: this one gets its share.
    pub(crate) fn end_batch(&mut self, busy: Duration, records: u64) {
        let share = u128::from(std::mem::take(&mut self.in_batch)) * busy.as_nanos() / u128::from(records.max(1));
        self.busy += Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX));
    }

    fn usage(&self) -> UsageRecord {
        let busy_micros = u64::try_from(self.busy.as_micros()).unwrap_or(u64::MAX);
        UsageRecord { base_offset: self.base, records: self.records, busy_micros }
    }
}

/// The partitions of one Assigned event that are not active yet.
pub(crate) struct Arrival {
    pub(crate) event: u64,
    pub(crate) since: Instant,
    waiting: Vec<(i32, Epoch)>,
    came_about: bool,
}

impl Arrival {
    /// `waiting` has just been assigned.
    pub(crate) fn new(event: u64, waiting: Vec<(i32, Epoch)>) -> Self {
        Self { event, since: Instant::now(), came_about: waiting.is_empty(), waiting }
    }

    /// Strikes off the partitions that are no longer on their way.
    pub(crate) fn update(&mut self, partitions: &BTreeMap<i32, Owned>) {
        self.waiting.retain(|(partition, epoch)| {
            match partitions.get(partition).filter(|owned| owned.epoch == *epoch).map(|owned| &owned.stage) {
                Some(Stage::Restoring | Stage::Ready(_)) => true,
                Some(Stage::Active(_) | Stage::Failed) => {
                    self.came_about = true;
                    false
                }
                None => false,
            }
        });
    }

    /// Nothing is waited for any more.
    pub(crate) fn is_over(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a partition arrived, at work or failed, or there was none to wait for; false when all left on the way.
    pub(crate) fn came_about(&self) -> bool {
        self.came_about
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active(next_offset: i64) -> Active {
        Active::new(0, next_offset)
    }

    #[test]
    fn an_offset_is_next_behind_or_after_a_gap() {
        let active = active(5);
        assert_eq!([4, 5, 6].map(|offset| active.place(offset)), [Place::Behind, Place::Next, Place::AfterGap]);
    }

    #[test]
    fn the_start_is_committed_even_before_the_first_record() {
        assert!(active(0).is_dirty());
    }

    #[test]
    fn a_batchs_time_is_shared_by_records() {
        let mut active = active(0);
        (0..3).for_each(|offset| active.passed(offset));
        active.end_batch(Duration::from_micros(40), 4);
        active.end_batch(Duration::from_micros(100), 4);
        assert_eq!(active.usage(), UsageRecord { base_offset: 0, records: 3, busy_micros: 30 });
    }

    #[test]
    fn an_arrival_whose_partitions_all_left_on_the_way_did_not_come_about() {
        let assigned = |partition| Owned::new(partition, Epoch(1), 1);
        let mut partitions = BTreeMap::from([(0, assigned(0)), (1, assigned(1))]);
        let arrival = || Arrival::new(1, vec![(0, Epoch(1)), (1, Epoch(1))]);
        let (mut interrupted, mut half) = (arrival(), arrival());
        half.update(&partitions);
        assert!(!half.is_over());
        partitions.remove(&0);
        half.update(&partitions);
        if let Some(owned) = partitions.get_mut(&1) {
            owned.activate(Restored { ledger: Ledger::default(), base: 0, next_offset: 0 });
        }
        half.update(&partitions);
        assert!(half.is_over() && half.came_about());
        // Back again, but by another assignment.
        interrupted.update(&BTreeMap::from([(1, Owned::new(1, Epoch(2), 2))]));
        assert!(interrupted.is_over() && !interrupted.came_about());
    }

    #[test]
    fn a_worker_without_a_partition_waits_for_none() {
        let arrival = Arrival::new(1, Vec::new());
        assert!(arrival.is_over() && arrival.came_about());
    }

    #[test]
    fn only_what_the_coordinator_accepted_is_clean() {
        let mut owned = Owned::new(0, Epoch(1), 1);
        owned.activate(Restored { ledger: Ledger::default(), base: 0, next_offset: 7 });
        assert_eq!(owned.progress(false).map(|progress| progress.next_offset), Some(7));
        owned.committed(7);
        assert!(owned.progress(false).is_none() && owned.progress(true).is_some());
        owned.active().unwrap().passed(7);
        assert_eq!(owned.progress(false).map(|progress| progress.next_offset), Some(8));
    }
}
