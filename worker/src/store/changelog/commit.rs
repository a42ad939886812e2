//! One commit: a transaction, and what is done when its outcome is not told.
//!
//! | outcome | then |
//! |---|---|
//! | success | the changes are durable |
//! | a definite refusal, but not for size, and the abort succeeded | nothing is durable; the same changes go with the next commit |
//! | anything else | a new producer of the same id settles the old one's transaction; the group's offsets then tell which of the two it was, or that others have gone on |

use std::time::{Duration, Instant};

use balancefleet_kafka::{Refusal, TransactionError, TransactionalProducer};

use super::{
    Changelog,
    found::Found,
    producer::{Letters, Producer},
    writer::{Share, Writer, Written},
};
use crate::{
    store::{Batch, CommitError, Progress},
    throttle::Throttle,
};

/// Between two tries to learn what became of a commit.
const AGAIN: Duration = Duration::from_millis(100);
/// How often it is said that this does not come on.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// How a transaction ended that was not committed.
enum Ended {
    /// The worker cannot go on.
    Aborted(CommitError),
    /// Nothing of it is durable, and the producer can go on.
    Refused(Refusal, CommitError),
    /// Nobody knows. With what the ledgers are if it happened.
    Unknown(TransactionError, Vec<Written>),
}

impl Changelog {
    pub(super) fn transact(&self, batch: &Batch) -> Result<(), CommitError> {
        let mut producer = self.producer.lock();
        producer.ready()?;
        // Looked at last thing before the first record: what has left meanwhile is not written.
        let shares = self.shares(batch);
        if shares.is_empty() {
            // Not a success: no coordinator has said that this worker is a member.
            return Err(CommitError::Unavailable("the partitions have left".to_owned()));
        }
        let began = Instant::now();
        let (letters, time) = (producer.letters(), producer.time());
        match self.attempt(producer.ready()?, batch, &shares, letters, time) {
            Ok(written) => {
                self.accept(&shares, &written);
                producer.succeeded(began.elapsed());
                Ok(())
            }
            Err(Ended::Aborted(error)) => Err(error),
            Err(Ended::Refused(why, error)) => Err(self.learn(&mut producer, why, &shares).unwrap_or(error)),
            Err(Ended::Unknown(error, written)) => {
                tracing::warn!(%error, "the outcome of a commit is not known: finding out");
                let why = if let TransactionError::Refused { why, .. } = error { Some(why) } else { None };
                let named = why.and_then(|why| self.learn(&mut producer, why, &shares));
                producer.discard();
                let error = producer.note(error);
                if matches!(error, CommitError::Fatal(_)) {
                    return Err(error);
                }
                self.find_out(&mut producer, &shares, &written, named.unwrap_or(error))
            }
        }
    }

    /// What the next try does differently after a refusal; if nothing helps, why.
    fn learn(&self, producer: &mut Producer, why: Refusal, shares: &[Share<'_>]) -> Option<CommitError> {
        if why != Refusal::TooLarge {
            producer.learn(why);
            return None;
        }
        let (largest, has_long_letters) = self.largest(shares, producer.letters());
        producer.cut(has_long_letters, &largest).err().map(|oversized| CommitError::TooLarge(oversized.to_string()))
    }

    fn shares<'a>(&self, batch: &'a Batch) -> Vec<Share<'a>> {
        let standings = self.standings.lock();
        let share = |progress: &'a Progress| {
            let standing = standings.get(&progress.assignment.partition)?;
            let is_current = standing.epoch == progress.assignment.epoch && !progress.cell.is_released();
            is_current.then(|| Share { progress, standing: standing.clone() })
        };
        batch.parts.iter().filter_map(share).collect()
    }

    fn accept(&self, shares: &[Share<'_>], written: &[Written]) {
        let mut standings = self.standings.lock();
        for (share, written) in shares.iter().zip(written) {
            let assignment = share.progress.assignment;
            if let Some(standing) = standings.get_mut(&assignment.partition).filter(|it| it.epoch == assignment.epoch) {
                (standing.seal, standing.rules) = (written.seal, written.rules.clone());
                share.progress.cell.show_rules(&written.rules);
            }
        }
    }

    /// The transaction. Gives what the shares' ledgers are with their changes.
    fn attempt(
        &self,
        producer: &TransactionalProducer,
        batch: &Batch,
        shares: &[Share<'_>],
        letters: Letters,
        time: Duration,
    ) -> Result<Vec<Written>, Ended> {
        let deadline = Instant::now() + time;
        let writer = Writer { store: self, producer, deadline, letters };
        let mut written = Vec::new();
        let outcome =
            writer.write(batch, shares, &mut written).and_then(|()| producer.commit(writer.left().max(AGAIN)));
        match outcome {
            Ok(()) => Ok(written),
            Err(error) => Err(end(producer, error, written, time)),
        }
    }

    /// Asks until it is known what became of a commit.
    ///
    /// The new producer's registration ends the old one's transaction, one way or the other; after that the group's
    /// stable offsets are those from before the commit, those it wrote, or somebody else's.
    fn find_out(
        &self,
        producer: &mut Producer,
        shares: &[Share<'_>],
        written: &[Written],
        error: CommitError,
    ) -> Result<(), CommitError> {
        let mut told = Throttle::new(TELL_EVERY);
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
        let shares_left: Vec<_> = shares.iter().filter(|share| !share.progress.cell.is_released()).collect();
        let assigned: Vec<_> = shares_left.iter().map(|share| share.progress.assignment).collect();
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
        match Found::compare(shares_left.iter().map(|share| share.progress).zip(&committed)) {
            Found::Written => {
                // Only a commit of this very transaction moves them there.
                if written.len() == shares.len() {
                    self.accept(shares, written);
                }
                Ok(())
            }
            Found::Untouched => Err(error),
            // One transaction moves them all, so no single one says what became of the others.
            Found::Others => Err(CommitError::Superseded {
                partitions: assigned.iter().map(|assignment| assignment.partition).collect(),
                reason: format!("the group stands at {committed:?}"),
            }),
        }
    }
}

/// Brings a failed transaction to an end, if that can be known.
fn end(producer: &TransactionalProducer, error: TransactionError, written: Vec<Written>, time: Duration) -> Ended {
    match error {
        TransactionError::Fatal { .. } => Ended::Aborted(CommitError::Fatal(error.to_string())),
        // The broker misses a record of this producer now: the next one ends what it has open. An abort would wait for
        // records that are not sent any more.
        TransactionError::Refused { why: Refusal::TooLarge, .. } => Ended::Unknown(error, written),
        TransactionError::Refused { why, .. } => {
            let aborted = producer.abort(time);
            if aborted.is_ok() && !producer.was_disturbed() {
                Ended::Refused(why, refused(why, &error))
            } else {
                Ended::Unknown(error, written)
            }
        }
        unknown => Ended::Unknown(unknown, written),
    }
}

fn refused(why: Refusal, error: &TransactionError) -> CommitError {
    match why {
        Refusal::StaleMembership => CommitError::NotAMember(error.to_string()),
        _ => CommitError::Unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        consumer::offline::offline,
        ledger_rules::LedgerRules,
        store::{Epoch, Seal, changelog::Standing},
    };

    fn standing(store: &Changelog, epoch: u64, checksum: u64) -> Standing {
        let rules = Arc::new(LedgerRules::begin(&store.book, 0));
        Standing { epoch: Epoch(epoch), base: 0, seal: Seal { customers: 1, checksum }, rules }
    }

    #[test]
    fn nothing_is_written_of_a_partition_that_has_left_or_was_assigned_anew() {
        let parts = offline(&[]);
        let store =
            Changelog::new(&parts.config, "i", parts.admin.clone(), parts.consumer.clone(), parts.runtime.handle());
        let standing = standing(&store, 5, 0);
        store.standings.lock().extend((0..3).map(|partition| (partition, standing.clone())));
        let batch =
            parts.batch(&[(0, Epoch(5), false), (1, Epoch(5), true), (2, Epoch(4), false), (3, Epoch(5), false)]);
        let written: Vec<_> = store.shares(&batch).iter().map(|it| it.progress.assignment.partition).collect();
        assert_eq!(written, [0], "1 has left, 2 was assigned anew, of 3 it is not known where it stands");
    }

    #[test]
    fn a_commit_that_is_heard_of_too_late_says_nothing_of_the_next_assignment() {
        let parts = offline(&[]);
        let store =
            Changelog::new(&parts.config, "i", parts.admin.clone(), parts.consumer.clone(), parts.runtime.handle());
        store.standings.lock().insert(0, standing(&store, 4, 1));
        let batch = parts.batch(&[(0, Epoch(4), false)]);
        let shares = store.shares(&batch);
        let next = standing(&store, 5, 2);
        let written = Written { seal: Seal { customers: 1, checksum: 3 }, rules: next.rules.clone() };
        store.standings.lock().insert(0, next);
        store.accept(&shares, &[written]);
        assert_eq!(store.standings.lock()[&0].seal.checksum, 2);
    }
}
