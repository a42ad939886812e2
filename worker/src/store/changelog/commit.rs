//! One commit: a transaction, and how an unknown outcome is resolved.
//!
//! | outcome | then |
//! |---|---|
//! | success | the changes are durable |
//! | a definite refusal, but not for size, and the abort succeeded | nothing is durable; the same changes go with the next commit |
//! | anything else | a new producer with the same id ends the old one's transaction; then the group's offsets show which of the two it was, or that another worker has continued |

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

/// The pause between two attempts to find out the outcome of a commit.
const AGAIN: Duration = Duration::from_millis(100);
/// How often a lack of progress is logged.
const WARN_EVERY: Duration = Duration::from_secs(30);

/// How a transaction ended without a commit.
enum TransactionFailure {
    /// The worker cannot continue.
    Aborted(CommitError),
    /// Nothing of it is durable, and the producer can continue.
    Refused(AbortReason, CommitError),
    /// Unknown; with the durable states in case it was committed.
    Unknown(TransactionError, Vec<DurableState>),
}

impl Changelog {
    pub(super) fn transact(&self, batch: &Batch) -> Result<(), CommitError> {
        let mut producer = self.producer.lock();
        producer.ready()?;
        // Checked just before the first record: partitions that have left meanwhile are not written.
        let commits = self.durable_states.still_ours(batch);
        let commit = |(part, durable_state)| PartitionCommit { part, durable_state };
        let commits: Vec<_> = commits.map(commit).collect();
        if commits.is_empty() {
            // Not a success: no coordinator has confirmed the worker's membership.
            return Err(CommitError::Unavailable("the partitions have left".to_owned()));
        }
        producer.extend_timeout_for(commits.iter().filter_map(PartitionCommit::records_if_replacing).sum());
        let began = Instant::now();
        let (limits, time) = (producer.dead_letter_limits(), producer.time());
        match self.attempt(producer.ready()?, batch, &commits, limits, time) {
            Ok((written, ended_within)) => {
                self.accept(&commits, written);
                producer.succeeded(began.elapsed(), ended_within);
                Ok(())
            }
            Err(TransactionFailure::Aborted(error)) => Err(error),
            Err(TransactionFailure::Refused(why, error)) => {
                Err(self.adapt(&mut producer, why, &commits).unwrap_or(error))
            }
            Err(TransactionFailure::Unknown(error, written)) => {
                tracing::warn!(%error, "commit outcome unknown, resolving");
                let why = if let TransactionError::Refused { why, .. } = error { Some(why) } else { None };
                let named = why.and_then(|why| self.adapt(&mut producer, why, &commits));
                producer.discard();
                let error = producer.note(error);
                if matches!(error, CommitError::Fatal(_)) {
                    return Err(error);
                }
                self.resolve_outcome(&mut producer, &commits, written, named.unwrap_or(error))
            }
        }
    }

    /// Changes what the next attempt does after a refusal; an error if nothing would help.
    fn adapt(&self, producer: &mut Producer, why: AbortReason, commits: &[PartitionCommit<'_>]) -> Option<CommitError> {
        if why != AbortReason::TooLarge {
            producer.adapt(why);
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
            self.durable_states.accept(commit.part, after);
        }
    }

    /// Runs the transaction. Returns the durable states of the partitions with their changes, and how long the request
    /// that ends it took.
    fn attempt(
        &self,
        producer: &TransactionalProducer,
        batch: &Batch,
        commits: &[PartitionCommit<'_>],
        limits: DeadLetterLimits,
        time: Duration,
    ) -> Result<(Vec<DurableState>, Duration), TransactionFailure> {
        let deadline = Instant::now() + time;
        let writer = Writer { store: self, producer, deadline, limits };
        let mut written = Vec::new();
        let commit = || {
            let began = Instant::now();
            producer.commit(writer.time_left().max(AGAIN)).map(|()| began.elapsed())
        };
        match writer.write(batch, commits, &mut written).and_then(|()| commit()) {
            Ok(ended_within) => Ok((written, ended_within)),
            Err(error) => Err(end(producer, error, written, time)),
        }
    }

    /// Asks until the outcome of a commit is known.
    ///
    /// The registration of the new producer ends the old one's transaction, committed or aborted. After that the
    /// group's stable offsets are those from before the commit, those that it wrote, or another worker's.
    fn resolve_outcome(
        &self,
        producer: &mut Producer,
        commits: &[PartitionCommit<'_>],
        written: Vec<DurableState>,
        error: CommitError,
    ) -> Result<(), CommitError> {
        let mut warnings = Throttle::new(WARN_EVERY);
        loop {
            match producer.ready() {
                Ok(_) => break,
                Err(fatal @ CommitError::Fatal(_)) => return Err(fatal),
                Err(transient) => {
                    if warnings.admit("settle", Instant::now()).is_some() {
                        tracing::warn!(error = %transient, "cannot settle a transaction yet");
                    }
                }
            }
            std::thread::sleep(AGAIN);
        }
        // The next owner may have moved on partitions that have left meanwhile.
        let remaining: Vec<_> = commits.iter().filter(|commit| !commit.part.shared.is_released()).collect();
        let assigned: Vec<_> = remaining.iter().map(|commit| commit.part.assignment).collect();
        let committed = loop {
            match self.offsets.committed(&assigned) {
                Ok(committed) => break committed,
                Err(transient) => {
                    if warnings.admit("read", Instant::now()).is_some() {
                        tracing::warn!(error = %transient, "cannot read the committed offsets yet");
                    }
                }
            }
            std::thread::sleep(AGAIN);
        };
        match CommitFate::compare(remaining.iter().map(|commit| commit.part).zip(&committed)) {
            CommitFate::Written => {
                // Only a commit of this very transaction moves them there.
                if written.len() == commits.len() {
                    self.accept(commits, written);
                }
                Ok(())
            }
            CommitFate::Untouched => Err(error),
            // One transaction moves all offsets, so it is not known which partitions the other worker has: all are
            // fenced.
            CommitFate::Others => Err(CommitError::Fenced {
                partitions: assigned.iter().map(|assignment| assignment.partition).collect(),
                reason: format!("the group stands at {committed:?}"),
            }),
        }
    }
}

/// Ends a failed transaction, if its end can be known.
fn end(
    producer: &TransactionalProducer,
    error: TransactionError,
    written: Vec<DurableState>,
    time: Duration,
) -> TransactionFailure {
    match error {
        TransactionError::Fatal { .. } => TransactionFailure::Aborted(CommitError::Fatal(error.to_string())),
        // The broker now misses a record of this producer. An abort would wait for records that are no longer sent, so
        // the next producer ends the transaction.
        TransactionError::Refused { why: AbortReason::TooLarge, .. } => TransactionFailure::Unknown(error, written),
        TransactionError::Refused { why, .. } => {
            let aborted = producer.abort(time);
            if aborted.is_ok() && !producer.take_in_doubt() {
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
