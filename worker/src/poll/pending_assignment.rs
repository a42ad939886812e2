//! The outcome of an assignment: which of its partitions are not active yet, and how many records were read for the
//! others.

use std::{collections::BTreeMap, time::Instant};

use super::partition::{AssignedPartition, Stage};
use crate::store::AssignmentNumber;

/// The partitions of one Assigned event that are not active yet.
pub(crate) struct PendingAssignment {
    pub(crate) event: u64,
    pub(crate) since: Instant,
    /// The number of records read for the partitions that are done.
    pub(crate) records: u64,
    waiting: Vec<(i32, AssignmentNumber)>,
    succeeded: bool,
}

impl PendingAssignment {
    /// The partitions in `waiting` have just been assigned.
    pub(crate) fn new(event: u64, waiting: Vec<(i32, AssignmentNumber)>) -> Self {
        Self { event, since: Instant::now(), records: 0, succeeded: waiting.is_empty(), waiting }
    }

    /// Removes the partitions that are active, failed or gone.
    pub(crate) fn update(&mut self, partitions: &BTreeMap<i32, AssignedPartition>) {
        self.waiting.retain(|(partition, assignment_number)| {
            let Some(owned) = partitions.get(partition).filter(|owned| owned.assignment_number == *assignment_number)
            else {
                return false;
            };
            match owned.stage {
                Stage::Restoring | Stage::AwaitingFirstCommit(_) | Stage::Ready(_) => true,
                Stage::Active(_) | Stage::Failed => {
                    self.succeeded = true;
                    self.records += owned.restored_records;
                    false
                }
            }
        });
    }

    /// Whether no partition is waited for any more.
    pub(crate) fn is_over(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a partition became active or failed, or there was none to wait for. False if all left before that.
    pub(crate) fn succeeded(&self) -> bool {
        self.succeeded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ApplyMode, Restored};

    #[test]
    fn an_assignment_whose_partitions_all_left_early_did_not_succeed() {
        let assigned = |partition| AssignedPartition::new(partition, AssignmentNumber(1), 1, "m".into());
        let mut partitions = BTreeMap::from([(0, assigned(0)), (1, assigned(1))]);
        let pending = || PendingAssignment::new(1, vec![(0, AssignmentNumber(1)), (1, AssignmentNumber(1))]);
        let (mut interrupted, mut half) = (pending(), pending());
        half.update(&partitions);
        assert!(!half.is_over());
        partitions.remove(&0);
        half.update(&partitions);
        if let Some(owned) = partitions.get_mut(&1) {
            owned.restored(Restored::empty_at(0), ApplyMode::Direct);
            owned.activate();
        }
        half.update(&partitions);
        assert!(half.is_over() && half.succeeded());
        // Back again, but by another assignment.
        interrupted.update(&BTreeMap::from([(1, AssignedPartition::new(1, AssignmentNumber(2), 2, "m".into()))]));
        assert!(interrupted.is_over() && !interrupted.succeeded());
    }

    #[test]
    fn a_worker_without_a_partition_waits_for_none() {
        let pending = PendingAssignment::new(1, Vec::new());
        assert!(pending.is_over() && pending.succeeded());
    }
}
