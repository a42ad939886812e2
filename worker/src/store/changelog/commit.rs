//! One commit: a transaction, and what is done when its outcome is not told.
//!
//! | outcome | then |
//! |---|---|
//! | success | the changes are durable |
//! | a definite refusal, but not for size, and the abort succeeded | nothing is durable; the same changes go with the next commit |
//! | anything else | a new producer of the same id settles the old one's transaction; the group's offsets then tell which of the two it was, or that others have gone on |

use std::time::{Duration, Instant};

use balancefleet_kafka::{AbortReason, TransactionError, TransactionalProducer};

use super::{
    Changelog,
    commit_fate::CommitFate,
    producer::{DeadLetterLimits, Producer},
    writer::{PartitionCommit, Writer, Written},
};
use crate::{
    store::{Batch, CommitError, Progress},
    throttle::Throttle,
};

/// Between two tries to learn what became of a commit.
const AGAIN: Duration = Duration::from_millis(100);
/// How often it is said that this does not come on.
const WARN_EVERY: Duration = Duration::from_secs(30);

/// How a transaction ended that was not committed.
enum TransactionFailure {
    /// The worker cannot go on.
    Aborted(CommitError),
    /// Nothing of it is durable, and the producer can go on.
    Refused(AbortReason, CommitError),
    /// Nobody knows. With what the ledgers are if it happened.
    Unknown(TransactionError, Vec<Written>),
}

impl Changelog {
    pub(super) fn transact(&self, batch: &Batch) -> Result<(), CommitError> {
        let mut producer = self.producer.lock();
        producer.ready()?;
        // Looked at last thing before the first record: what has left meanwhile is not written.
        let commits = self.partition_commits(batch);
        if commits.is_empty() {
            // Not a success: no coordinator has said that this worker is a member.
            return Err(CommitError::Unavailable("the partitions have left".to_owned()));
        }
        let began = Instant::now();
        let (limits, time) = (producer.dead_letter_limits(), producer.time());
        match self.attempt(producer.ready()?, batch, &commits, limits, time) {
            Ok(written) => {
                self.accept(&commits, &written);
                producer.succeeded(began.elapsed());
                Ok(())
            }
            Err(TransactionFailure::Aborted(error)) => Err(error),
            Err(TransactionFailure::Refused(why, error)) => {
                Err(self.learn(&mut producer, why, &commits).unwrap_or(error))
            }
            Err(TransactionFailure::Unknown(error, written)) => {
                tracing::warn!(%error, "commit outcome unknown, resolving");
                let why = if let TransactionError::Refused { why, .. } = error { Some(why) } else { None };
                let named = why.and_then(|why| self.learn(&mut producer, why, &commits));
                producer.discard();
                let error = producer.note(error);
                if matches!(error, CommitError::Fatal(_)) {
                    return Err(error);
                }
                self.resolve_outcome(&mut producer, &commits, &written, named.unwrap_or(error))
            }
        }
    }

    /// What the next try does differently after a refusal; if nothing helps, why.
    fn learn(&self, producer: &mut Producer, why: AbortReason, commits: &[PartitionCommit<'_>]) -> Option<CommitError> {
        if why != AbortReason::TooLarge {
            producer.learn(why);
            return None;
        }
        let (largest, has_long_dead_letters) = self.largest(commits, producer.dead_letter_limits());
        producer
            .cut(has_long_dead_letters, &largest)
            .err()
            .map(|oversized| CommitError::TooLarge(oversized.to_string()))
    }

    fn partition_commits<'a>(&self, batch: &'a Batch) -> Vec<PartitionCommit<'a>> {
        let durable_states = self.durable_states.lock();
        let commit = |progress: &'a Progress| {
            let durable_state = durable_states.get(&progress.assignment.partition)?;
            let is_current = durable_state.epoch == progress.assignment.epoch && !progress.cell.is_released();
            is_current.then(|| PartitionCommit { progress, durable_state: durable_state.clone() })
        };
        batch.parts.iter().filter_map(commit).collect()
    }

    fn accept(&self, commits: &[PartitionCommit<'_>], written: &[Written]) {
        let mut durable_states = self.durable_states.lock();
        for (commit, written) in commits.iter().zip(written) {
            let assignment = commit.progress.assignment;
            if let Some(durable_state) =
                durable_states.get_mut(&assignment.partition).filter(|it| it.epoch == assignment.epoch)
            {
                (durable_state.checksum, durable_state.rules) = (written.checksum, written.rules.clone());
                commit.progress.cell.show_rules(&written.rules);
            }
        }
    }

    /// The transaction. Gives what the partitions' ledgers are with their changes.
    fn attempt(
        &self,
        producer: &TransactionalProducer,
        batch: &Batch,
        commits: &[PartitionCommit<'_>],
        limits: DeadLetterLimits,
        time: Duration,
    ) -> Result<Vec<Written>, TransactionFailure> {
        let deadline = Instant::now() + time;
        let writer = Writer { store: self, producer, deadline, limits };
        let mut written = Vec::new();
        let outcome =
            writer.write(batch, commits, &mut written).and_then(|()| producer.commit(writer.left().max(AGAIN)));
        match outcome {
            Ok(()) => Ok(written),
            Err(error) => Err(end(producer, error, written, time)),
        }
    }

    /// Asks until it is known what became of a commit.
    ///
    /// The new producer's registration ends the old one's transaction, one way or the other; after that the group's
    /// stable offsets are those from before the commit, those it wrote, or somebody else's.
    fn resolve_outcome(
        &self,
        producer: &mut Producer,
        commits: &[PartitionCommit<'_>],
        written: &[Written],
        error: CommitError,
    ) -> Result<(), CommitError> {
        let mut told = Throttle::new(WARN_EVERY);
        loop {
            match producer.ready() {
                Ok(_) => break,
                Err(fatal @ CommitError::Fatal(_)) => return Err(fatal),
                Err(passing) => {
                    if told.admit("settle", Instant::now()).is_some() {
                        tracing::warn!(error = %passing, "cannot settle a transaction yet");
                    }
                }
            }
            std::thread::sleep(AGAIN);
        }
        // What has left meanwhile may have been moved on by its next owner.
        let commits_left: Vec<_> = commits.iter().filter(|commit| !commit.progress.cell.is_released()).collect();
        let assigned: Vec<_> = commits_left.iter().map(|commit| commit.progress.assignment).collect();
        let committed = loop {
            match self.offsets.committed(&assigned) {
                Ok(committed) => break committed,
                Err(passing) => {
                    if told.admit("read", Instant::now()).is_some() {
                        tracing::warn!(error = %passing, "cannot read the committed offsets yet");
                    }
                }
            }
            std::thread::sleep(AGAIN);
        };
        match CommitFate::compare(commits_left.iter().map(|commit| commit.progress).zip(&committed)) {
            CommitFate::Written => {
                // Only a commit of this very transaction moves them there.
                if written.len() == commits.len() {
                    self.accept(commits, written);
                }
                Ok(())
            }
            CommitFate::Untouched => Err(error),
            // One transaction moves them all, so no single one says what became of the others.
            CommitFate::Others => Err(CommitError::Fenced {
                partitions: assigned.iter().map(|assignment| assignment.partition).collect(),
                reason: format!("the group stands at {committed:?}"),
            }),
        }
    }
}

/// Brings a failed transaction to an end, if that can be known.
fn end(
    producer: &TransactionalProducer,
    error: TransactionError,
    written: Vec<Written>,
    time: Duration,
) -> TransactionFailure {
    match error {
        TransactionError::Fatal { .. } => TransactionFailure::Aborted(CommitError::Fatal(error.to_string())),
        // The broker misses a record of this producer now: the next one ends what it has open. An abort would wait for
        // records that are not sent any more.
        TransactionError::Refused { why: AbortReason::TooLarge, .. } => TransactionFailure::Unknown(error, written),
        TransactionError::Refused { why, .. } => {
            let aborted = producer.abort(time);
            if aborted.is_ok() && !producer.was_disturbed() {
                TransactionFailure::Refused(why, refused(why, &error))
            } else {
                TransactionFailure::Unknown(error, written)
            }
        }
        unknown => TransactionFailure::Unknown(unknown, written),
    }
}

fn refused(why: AbortReason, error: &TransactionError) -> CommitError {
    match why {
        AbortReason::StaleMembership => CommitError::NotAMember(error.to_string()),
        _ => CommitError::Unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        domain::ledger_rules::LedgerRules,
        poll::test_support::offline,
        store::{Epoch, LedgerChecksum, changelog::DurableState},
    };

    fn durable_state(store: &Changelog, epoch: u64, checksum: u64) -> DurableState {
        let rules = Arc::new(LedgerRules::begin(&store.book, 0));
        DurableState {
            epoch: Epoch(epoch),
            base: 0,
            checksum: LedgerChecksum { customers: 1, digest_sum: checksum },
            rules,
        }
    }

    #[test]
    fn nothing_is_written_of_a_partition_that_has_left_or_was_assigned_anew() {
        let parts = offline(&[]);
        let store = Changelog::new(&parts.config, "i", parts.admin.clone(), parts.consumer.clone());
        let durable_state = durable_state(&store, 5, 0);
        store.durable_states.lock().extend((0..3).map(|partition| (partition, durable_state.clone())));
        let batch =
            parts.batch(&[(0, Epoch(5), false), (1, Epoch(5), true), (2, Epoch(4), false), (3, Epoch(5), false)]);
        let written: Vec<_> =
            store.partition_commits(&batch).iter().map(|it| it.progress.assignment.partition).collect();
        assert_eq!(written, [0], "1 has left, 2 was assigned anew, of 3 it is not known where it stands");
    }

    #[test]
    fn a_commit_that_is_heard_of_too_late_says_nothing_of_the_next_assignment() {
        let parts = offline(&[]);
        let store = Changelog::new(&parts.config, "i", parts.admin.clone(), parts.consumer.clone());
        store.durable_states.lock().insert(0, durable_state(&store, 4, 1));
        let batch = parts.batch(&[(0, Epoch(4), false)]);
        let commits = store.partition_commits(&batch);
        let next = durable_state(&store, 5, 2);
        let written = Written { checksum: LedgerChecksum { customers: 1, digest_sum: 3 }, rules: next.rules.clone() };
        store.durable_states.lock().insert(0, next);
        store.accept(&commits, &[written]);
        assert_eq!(store.durable_states.lock()[&0].checksum.digest_sum, 2);
    }
}
