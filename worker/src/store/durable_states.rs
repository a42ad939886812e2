//! The durable state of this worker's partitions, as far as it knows. Its next commits build on it.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use super::{Assignment, AssignmentNumber, Batch, BatchPart, LedgerChecksum, RecordEncoder};
use crate::domain::{
    ledger::Change,
    ledger_rules::{LedgerRules, WorkerRules},
};

/// The durable state of a partition, without its customers.
#[derive(Clone, Debug)]
pub(super) struct DurableState<S> {
    /// First offset that belongs to the ledger.
    pub(super) start_offset: i64,
    pub(super) checksum: LedgerChecksum,
    pub(super) rules: Arc<LedgerRules>,
    /// What one store alone keeps.
    pub(super) store_specific: S,
}

impl<S> DurableState<S> {
    /// Applies the change of one customer and returns its new digest; its new record is left in `encoder`.
    pub(super) fn change(&mut self, change: &Change, encoder: &mut RecordEncoder, rules: &WorkerRules) -> u64 {
        let digest = encoder.encode_and_digest(&change.id, &change.now);
        self.checksum = self.checksum.changed(change.digest_before, digest);
        LedgerRules::note_currencies(&mut self.rules, &change.now, rules);
        digest
    }
}

/// The states by partition, each of its newest assignment.
pub(super) struct DurableStates<S>(Mutex<BTreeMap<i32, (AssignmentNumber, DurableState<S>)>>);

impl<S: Clone> DurableStates<S> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    pub(super) fn insert(&self, Assignment { partition, number, .. }: Assignment, durable_state: DurableState<S>) {
        self.0.lock().insert(partition, (number, durable_state));
    }

    pub(super) fn get(&self, assignment: Assignment) -> Option<DurableState<S>> {
        self.with(assignment, |durable_state| durable_state.clone())
    }

    /// Reads or changes the state of an assignment; `None` if there is a newer one.
    pub(super) fn with<T>(&self, assignment: Assignment, look: impl FnOnce(&mut DurableState<S>) -> T) -> Option<T> {
        let mut newest = self.0.lock();
        let found = newest.get_mut(&assignment.partition).filter(|(number, _)| *number == assignment.number);
        found.map(|(_, durable_state)| look(durable_state))
    }

    /// The parts of `batch` that still belong to this worker, each with the state that it builds on.
    pub(super) fn still_ours<'a>(&self, batch: &'a Batch) -> impl Iterator<Item = (&'a BatchPart, DurableState<S>)> {
        let remaining = batch.parts.iter().filter(|part| !part.shared.is_released());
        remaining.filter_map(|part| Some((part, self.get(part.assignment)?)))
    }

    /// Notes that `part` was written: `after` is durable now.
    pub(super) fn accept(&self, part: &BatchPart, after: DurableState<S>) {
        self.with(part.assignment, |durable_state| {
            part.shared.show_rules(&after.rules);
            *durable_state = after;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::ledger_rules::tests::worker_rules, poll::test_support::offline};

    fn durable_state(digest_sum: u64) -> DurableState<()> {
        let checksum = LedgerChecksum { customers: 1, digest_sum };
        DurableState {
            start_offset: 0,
            checksum,
            rules: Arc::new(LedgerRules::begin(&worker_rules(&[]), 0)),
            store_specific: (),
        }
    }

    fn assignment(partition: i32, number: u64) -> Assignment {
        Assignment { partition, number: AssignmentNumber(number), generation: 1 }
    }

    #[test]
    fn nothing_is_written_of_a_partition_that_has_left_or_was_assigned_anew() {
        let durable_states = DurableStates::new();
        (0..3).for_each(|partition| durable_states.insert(assignment(partition, 5), durable_state(0)));
        let batch = offline(&[]).batch(&[
            (0, AssignmentNumber(5), false),
            (1, AssignmentNumber(5), true),
            (2, AssignmentNumber(4), false),
            (3, AssignmentNumber(5), false),
        ]);
        let written: Vec<_> = durable_states.still_ours(&batch).map(|(part, _)| part.assignment.partition).collect();
        assert_eq!(written, [0], "1 has left, 2 was assigned anew, of 3 it is not known where it stands");
    }

    #[test]
    fn a_commit_that_is_heard_of_too_late_says_nothing_of_the_next_assignment() {
        let durable_states = DurableStates::new();
        let digest_sum = |number| durable_states.get(assignment(0, number)).map(|it| it.checksum.digest_sum);
        let batch = offline(&[]).batch(&[(0, AssignmentNumber(4), false)]);
        durable_states.insert(assignment(0, 4), durable_state(1));
        durable_states.accept(&batch.parts[0], durable_state(2));
        assert_eq!(digest_sum(4), Some(2));
        durable_states.insert(assignment(0, 5), durable_state(3));
        durable_states.accept(&batch.parts[0], durable_state(4));
        assert_eq!((digest_sum(4), digest_sum(5)), (None, Some(3)));
    }
}
