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
    Changelog, DurableState,
    commit_fate::CommitFate,
    producer::{DeadLetterLimits, Producer},
    writer::{PartitionCommit, Writer},
};
use crate::{
    store::{Batch, CommitError},
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
    Unknown(TransactionError, Vec<DurableState>),
}

impl Changelog {
    pub(super) fn transact(&self, batch: &Batch) -> Result<(), CommitError> {
        let mut producer = self.producer.lock();
        producer.ready()?;
        // Looked at last thing before the first record: what has left meanwhile is not written.
        let commits = self.durable_states.still_ours(batch);
        let commit = |(progress, durable_state)| PartitionCommit { progress, durable_state };
        let commits: Vec<_> = commits.map(commit).collect();
        if commits.is_empty() {
            // Not a success: no coordinator has said that this worker is a member.
            return Err(CommitError::Unavailable("the partitions have left".to_owned()));
        }
        producer.make_time_for(commits.iter().filter_map(PartitionCommit::rows_of_whole).sum());
        let began = Instant::now();
        let (limits, time) = (producer.dead_letter_limits(), producer.time());
        match self.attempt(producer.ready()?, batch, &commits, limits, time) {
            Ok(written) => {
                self.accept(&commits, written);
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
                self.resolve_outcome(&mut producer, &commits, written, named.unwrap_or(error))
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

    fn accept(&self, commits: &[PartitionCommit<'_>], written: Vec<DurableState>) {
        for (commit, after) in commits.iter().zip(written) {
            self.durable_states.accept(commit.progress, after);
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
    ) -> Result<Vec<DurableState>, TransactionFailure> {
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
        written: Vec<DurableState>,
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
        let commits_left: Vec<_> = commits.iter().filter(|commit| !commit.progress.shared.is_released()).collect();
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
    written: Vec<DurableState>,
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
