//! What is durable of this worker's partitions, as far as it knows: what its next compare-and-set has to find.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use super::{
    claim::{Claim, may_go_on},
    session::LedgerKey,
};
use crate::{
    config::StartFrom,
    domain::{
        ledger::Ledger,
        ledger_rules::{LedgerRules, Rulebook},
    },
    not_ready::NotReady,
    partition_failure::{PartitionFailure, SettingsChange},
    store::{
        Assignment, Batch, Epoch, LedgerChecksum, Progress, RestoreError, RestorePlan, RowWriter, offsets::Position,
    },
};

#[derive(Clone, Debug)]
pub(super) struct DurableState {
    epoch: Epoch,
    pub(super) topic_id: String,
    pub(super) base: i64,
    pub(super) leader_epoch: Option<i32>,
    checksum: LedgerChecksum,
    pub(super) rules: Arc<LedgerRules>,
    /// `None` before the first batch.
    pub(super) row: Option<Row>,
    /// Whether the next batch replaces all there is.
    pub(super) replaces: bool,
}

/// What a compare-and-set has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) epoch: i64,
    pub(super) next_offset: i64,
}

/// What a batch commits of one partition.
pub(super) struct PartitionCommit<'a> {
    pub(super) progress: &'a Progress,
    pub(super) durable_state: DurableState,
    /// Of its ledger with its changes.
    pub(super) checksum: LedgerChecksum,
    pub(super) rules: Arc<LedgerRules>,
}

impl PartitionCommit<'_> {
    pub(super) fn partition(&self) -> i32 {
        self.progress.assignment.partition
    }
}

/// What follows from a claim, and with it how the partition goes on.
pub(super) fn plan_claim(
    claim: Claim,
    Assignment { partition, epoch, generation }: Assignment,
    ledger_key: &LedgerKey,
    topic_id: &str,
    position: &Position,
) -> Result<(DurableState, RestorePlan), RestoreError> {
    let (base, part, rules, plan) = match claim {
        Claim::Held { owner, generation: theirs } => {
            return Err(NotReady::Held { partition, owner, theirs, ours: generation }.into());
        }
        Claim::Orphaned => return Err(PartitionFailure::CustomersWithoutProgress.into()),
        Claim::Ours(part) => {
            let rules = may_go_on(&part, ledger_key, topic_id, position)?;
            (part.base_offset, Some(part), Some(rules), RestorePlan::QueryDatabase)
        }
        // This store begins with the first record alone.
        Claim::Free => (position.log_start, None, None, position.begin(StartFrom::Earliest, None)?),
    };
    let durable_state = DurableState {
        epoch,
        topic_id: topic_id.to_owned(),
        base,
        leader_epoch: part.as_ref().and_then(|part| part.leader_epoch),
        checksum: part.as_ref().map_or_else(LedgerChecksum::default, |part| part.checksum),
        rules: Arc::new(rules.unwrap_or_else(|| LedgerRules::begin(&ledger_key.rules, base))),
        row: part.map(|part| Row { epoch: part.epoch, next_offset: part.next_offset }),
        replaces: false,
    };
    Ok((durable_state, plan))
}

impl DurableState {
    /// Of a partition whose next batch replaces all there is of it, if it still finds this `row`, by a ledger that begins at
    /// `base` and was made by `rules`.
    pub(super) fn anew(epoch: Epoch, topic_id: &str, row: Option<Row>, base: i64, rules: LedgerRules) -> Self {
        let (topic_id, checksum, rules) = (topic_id.to_owned(), LedgerChecksum::default(), Arc::new(rules));
        Self { epoch, topic_id, base, leader_epoch: None, checksum, rules, row, replaces: true }
    }

    /// What `progress` adds to it.
    pub(super) fn partition_commit<'a>(
        &self,
        progress: &'a Progress,
        book: &Rulebook,
        writer: &mut RowWriter,
    ) -> PartitionCommit<'a> {
        let (mut checksum, mut rules) = (self.checksum, self.rules.clone());
        for (id, changed) in progress.changes.customers() {
            checksum = checksum.changed(changed.before, writer.write(id, &changed.now));
            LedgerRules::hold_all(&mut rules, &changed.now, book);
        }
        PartitionCommit { progress, durable_state: self.clone(), checksum, rules }
    }

    /// After `commit`, which began here, was written.
    pub(super) fn advance(&mut self, commit: &PartitionCommit<'_>) {
        let epoch = commit.durable_state.row.map_or(1, |row| row.epoch);
        self.row = Some(Row { epoch, next_offset: commit.progress.next_offset });
        self.replaces = false;
        self.checksum = commit.checksum;
        self.rules = commit.rules.clone();
    }
}

#[derive(Default)]
pub(super) struct DurableStates(Mutex<BTreeMap<i32, DurableState>>);

impl DurableStates {
    pub(super) fn insert(&self, assignment: Assignment, durable_state: DurableState) {
        self.0.lock().insert(assignment.partition, durable_state);
    }

    pub(super) fn get(&self, assignment: Assignment) -> Option<DurableState> {
        self.0.lock().get(&assignment.partition).filter(|it| it.epoch == assignment.epoch).cloned()
    }

    /// The ledger was read: it may hold currencies that a worker of the first release has counted.
    pub(super) fn found(&self, assignment: Assignment, ledger: &Ledger, book: &Rulebook) -> Result<(), SettingsChange> {
        let mut durable_states = self.0.lock();
        let durable_state = durable_states.get_mut(&assignment.partition).filter(|it| it.epoch == assignment.epoch);
        durable_state
            .map_or(Ok(()), |durable_state| Arc::make_mut(&mut durable_state.rules).found(ledger.currencies(), book))
    }

    /// What of `batch` is still this worker's.
    pub(super) fn partition_commits<'a>(&self, batch: &'a Batch, book: &Rulebook) -> Vec<PartitionCommit<'a>> {
        let mut writer = RowWriter::default();
        let mut commit = |progress: &'a Progress| {
            let durable_state = self.get(progress.assignment).filter(|_| !progress.cell.is_released())?;
            Some(durable_state.partition_commit(progress, book, &mut writer))
        };
        let mut commits: Vec<_> = batch.parts.iter().filter_map(&mut commit).collect();
        // Rows are locked in this order by everybody.
        commits.sort_unstable_by_key(|commit| commit.progress.assignment.partition);
        commits
    }

    pub(super) fn accept(&self, commits: &[PartitionCommit<'_>]) {
        let mut durable_states = self.0.lock();
        for commit in commits {
            let Assignment { partition, epoch, .. } = commit.progress.assignment;
            if let Some(durable_state) = durable_states.get_mut(&partition).filter(|it| it.epoch == epoch) {
                durable_state.advance(commit);
                commit.progress.cell.show_rules(&commit.rules);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::ledger_rules::tests::book, poll::test_support::offline};

    fn durable_state(epoch: u64) -> DurableState {
        let (topic_id, checksum) = ("i".to_owned(), LedgerChecksum::default());
        let rules = Arc::new(LedgerRules::begin(&book(&[]), 0));
        let (epoch, leader_epoch) = (Epoch(epoch), None);
        DurableState { epoch, topic_id, base: 0, leader_epoch, checksum, rules, row: None, replaces: false }
    }

    fn assignment(partition: i32, epoch: u64) -> Assignment {
        Assignment { partition, epoch: Epoch(epoch), generation: 1 }
    }

    #[test]
    fn nothing_is_written_of_a_partition_that_has_left_or_was_assigned_anew() {
        let durable_states = DurableStates::default();
        (0..3).for_each(|partition| durable_states.insert(assignment(partition, 5), durable_state(5)));
        let batch = offline(&[]).batch(&[
            (0, Epoch(5), false),
            (1, Epoch(5), true),
            (2, Epoch(4), false),
            (3, Epoch(5), false),
        ]);
        let written: Vec<_> = durable_states
            .partition_commits(&batch, &book(&[]))
            .iter()
            .map(|it| it.progress.assignment.partition)
            .collect();
        assert_eq!(written, [0], "1 has left, 2 was assigned anew, of 3 it is not known where it stands");
    }

    #[test]
    fn a_commit_that_is_heard_of_too_late_says_nothing_of_the_next_assignment() {
        let durable_states = DurableStates::default();
        durable_states.insert(assignment(0, 4), durable_state(4));
        let batch = offline(&[]).batch(&[(0, Epoch(4), false)]);
        let book = book(&[]);
        let commits = durable_states.partition_commits(&batch, &book);
        durable_states.insert(assignment(0, 5), durable_state(5));
        durable_states.accept(&commits);
        assert_eq!(durable_states.get(assignment(0, 5)).unwrap().row, None);
    }
}
