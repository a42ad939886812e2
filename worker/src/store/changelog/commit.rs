//! One commit: a transaction, and what is done when its outcome is not told.
//!
//! | outcome | then |
//! |---|---|
//! | success | the changes are durable |
//! | a definite refusal, and the abort succeeded | nothing is durable; the same changes go with the next commit |
//! | anything else | a new producer of the same id settles the old one's transaction; the group's offsets then tell which of the two it was, or that others have gone on |

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use balancefleet_kafka::{OffsetToCommit, Record, Refusal, TransactionError, TransactionalProducer, UsageRecord};
use rdkafka::ClientConfig;

use super::{
    Changelog, Standing,
    progress::ProgressRecord,
    rows::{PROGRESS, RowWriter},
};
use crate::{
    ledger::DeadLetter,
    store::{Batch, CommitError, Progress, Seal, offsets::Committed},
    throttle::Throttle,
};

/// Between two tries to learn what became of a commit.
const AGAIN: Duration = Duration::from_millis(100);
/// How often it is said that this does not come on.
const TELL_EVERY: Duration = Duration::from_secs(30);
/// A producer that is fenced twice within this time has a twin.
const TWIN: Duration = Duration::from_secs(60);
/// A success that took longer may have a delayed end of transaction under way, which could end the next one.
const SUSPICIOUS: Duration = Duration::from_secs(1);

/// Of a record that is too large for the dead letter topic, so much is kept.
const KEPT_BYTES: usize = 16 << 10;
/// Says that a dead letter is not whole: part of the value, no headers of its own, and a key only if that is small.
const TRUNCATED: (&str, Option<&[u8]>) = ("balancefleet.truncated", Some(b"true"));

/// The one transactional producer of this process, made anew whenever it is in doubt.
pub(super) struct Producer {
    config: ClientConfig,
    timeout: Duration,
    current: Option<TransactionalProducer>,
    /// The brokers refused a dead letter for its size: the next try sends them short.
    cuts_letters: bool,
    fenced: VecDeque<Instant>,
}

impl Producer {
    pub(super) fn new(config: ClientConfig, session_timeout: Duration) -> Self {
        Self { config, timeout: session_timeout / 2, current: None, cuts_letters: false, fenced: VecDeque::new() }
    }

    /// A producer that has nothing open. A new one settles what the former left.
    pub(super) fn ready(&mut self) -> Result<&TransactionalProducer, CommitError> {
        let producer = match self.current.take() {
            Some(producer) => producer,
            None => self.start()?,
        };
        Ok(self.current.insert(producer))
    }

    fn start(&mut self) -> Result<TransactionalProducer, CommitError> {
        let producer =
            TransactionalProducer::new(&self.config).map_err(|error| CommitError::Fatal(error.to_string()))?;
        producer.init(self.timeout).map_err(|error| self.note(error))?;
        Ok(producer)
    }

    /// What an error means for the commits to come.
    fn note(&mut self, error: TransactionError) -> CommitError {
        match error {
            TransactionError::Fenced { detail } => {
                let now = Instant::now();
                self.fenced.push_back(now);
                self.fenced.retain(|at| now.saturating_duration_since(*at) < TWIN);
                if self.fenced.len() < 2 {
                    return CommitError::Unavailable(detail);
                }
                CommitError::Fatal(format!("another process uses this worker's transactional id: {detail}"))
            }
            fatal @ TransactionError::Fatal { .. } => CommitError::Fatal(fatal.to_string()),
            other => CommitError::Unavailable(other.to_string()),
        }
    }

    /// What the next try does differently after a refusal.
    fn learn(&mut self, why: Refusal) {
        match why {
            Refusal::TooLarge => self.cuts_letters = true,
            // It looks for new partitions only now and then; a new one looks at once.
            Refusal::UnknownPartition => self.discard(),
            _ => {}
        }
    }

    /// Gives it up: whatever it still has under way is settled by the next one.
    fn discard(&mut self) {
        self.current = None;
    }
}

/// How a transaction ended that was not committed.
enum Ended {
    /// The worker cannot go on.
    Aborted(CommitError),
    /// Nothing of it is durable, and the producer can go on.
    Refused(Refusal, CommitError),
    /// Nobody knows. With the seals of the ledgers if it happened.
    Unknown(TransactionError, Vec<Seal>),
}

/// One partition's share of a transaction.
struct Share<'a> {
    progress: &'a Progress,
    standing: Standing,
}

impl Changelog {
    pub(super) fn transact(&self, batch: &Batch) -> Result<(), CommitError> {
        let mut producer = self.producer.lock();
        producer.ready()?;
        // Looked at last thing before the first record: what has left meanwhile is not written.
        let shares = self.shares(batch);
        if shares.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let cuts_letters = producer.cuts_letters;
        match self.attempt(producer.ready()?, batch, &shares, cuts_letters) {
            Ok(seals) => {
                self.accept(&shares, &seals);
                producer.cuts_letters = false;
                if began.elapsed() >= SUSPICIOUS || producer.ready()?.was_disturbed() {
                    producer.discard();
                }
                Ok(())
            }
            Err(Ended::Aborted(error)) => Err(error),
            Err(Ended::Refused(why, error)) => {
                producer.learn(why);
                Err(error)
            }
            Err(Ended::Unknown(error, seals)) => {
                tracing::warn!(%error, "the outcome of a commit is not known: finding out");
                if let TransactionError::Refused { why, .. } = error {
                    producer.learn(why);
                }
                producer.discard();
                let error = producer.note(error);
                if matches!(error, CommitError::Fatal(_)) {
                    return Err(error);
                }
                self.find_out(&mut producer, &shares, &seals, error)
            }
        }
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

    fn accept(&self, shares: &[Share<'_>], seals: &[Seal]) {
        let mut standings = self.standings.lock();
        for (share, seal) in shares.iter().zip(seals) {
            let assignment = share.progress.assignment;
            if let Some(standing) = standings.get_mut(&assignment.partition).filter(|it| it.epoch == assignment.epoch) {
                standing.seal = *seal;
            }
        }
    }

    /// The transaction. Gives the seals of the shares' ledgers with their changes.
    fn attempt(
        &self,
        producer: &TransactionalProducer,
        batch: &Batch,
        shares: &[Share<'_>],
        cuts_letters: bool,
    ) -> Result<Vec<Seal>, Ended> {
        let deadline = Instant::now() + self.session_timeout / 2;
        let writer = Writer { store: self, producer, deadline, cuts_letters };
        let mut seals = Vec::new();
        let outcome = writer.write(batch, shares, &mut seals).and_then(|()| producer.commit(writer.left().max(AGAIN)));
        match outcome {
            Ok(()) => Ok(seals),
            Err(error) => Err(self.end(producer, error, seals)),
        }
    }

    /// Brings a failed transaction to an end, if that can be known.
    fn end(&self, producer: &TransactionalProducer, error: TransactionError, seals: Vec<Seal>) -> Ended {
        match error {
            TransactionError::Fatal { .. } => Ended::Aborted(CommitError::Fatal(error.to_string())),
            TransactionError::Refused { why, .. } => {
                let aborted = producer.abort(self.session_timeout / 2);
                if aborted.is_ok() && !producer.was_disturbed() {
                    Ended::Refused(why, refused(why, &error))
                } else {
                    Ended::Unknown(error, seals)
                }
            }
            unknown => Ended::Unknown(unknown, seals),
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
        seals: &[Seal],
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
                if seals.len() == shares.len() {
                    self.accept(shares, seals);
                }
                Ok(())
            }
            Found::Untouched => Err(error),
            Found::Others => Err(CommitError::Superseded(format!("the group stands at {committed:?}"))),
        }
    }
}

fn refused(why: Refusal, error: &TransactionError) -> CommitError {
    match why {
        Refusal::StaleMembership => CommitError::NotAMember(error.to_string()),
        _ => CommitError::Unavailable(error.to_string()),
    }
}

/// Writes one transaction.
struct Writer<'a> {
    store: &'a Changelog,
    producer: &'a TransactionalProducer,
    deadline: Instant,
    cuts_letters: bool,
}

impl Writer<'_> {
    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Everything but its end; offsets only after every record is acknowledged.
    fn write(&self, batch: &Batch, shares: &[Share<'_>], seals: &mut Vec<Seal>) -> Result<(), TransactionError> {
        self.producer.begin()?;
        for share in shares {
            seals.push(self.write_share(share)?);
        }
        self.producer.settle(self.deadline)?;
        let topic = &self.store.topic;
        let metadata: Vec<_> = shares.iter().map(|share| share.progress.usage.to_string()).collect();
        let offsets = shares.iter().zip(&metadata).map(|(share, metadata)| OffsetToCommit {
            topic,
            partition: share.progress.assignment.partition,
            offset: share.progress.next_offset,
            leader_epoch: share.progress.leader_epoch,
            metadata,
        });
        let others: Vec<_> = shares.iter().flat_map(|share| &share.progress.others).collect();
        let others = others
            .iter()
            .map(|(partition, offset)| (*partition, *offset, UsageRecord::beginning_at(*offset).to_string()));
        let others: Vec<_> = others.collect();
        let begun = others.iter().map(|(partition, offset, metadata)| OffsetToCommit {
            topic,
            partition: *partition,
            offset: *offset,
            leader_epoch: None,
            metadata,
        });
        self.producer.send_offsets(&offsets.chain(begun).collect::<Vec<_>>(), &batch.membership, self.left())
    }

    fn write_share(&self, share: &Share<'_>) -> Result<Seal, TransactionError> {
        let Share { progress, standing } = share;
        let partition = progress.assignment.partition;
        let (mut row, mut seal) = (RowWriter::default(), standing.seal);
        for (id, changed) in progress.changes.customers() {
            seal = seal.changed(changed.before, row.write(id, &changed.now));
            self.send(partition, row.key(), row.value())?;
        }
        for letter in progress.changes.dead_letters() {
            self.write_dead_letter(partition, letter)?;
        }
        let identity = self.store.identity(&standing.topic_id);
        let written = ProgressRecord::new(&identity, standing.base, progress.next_offset, progress.leader_epoch, seal);
        let written = ProgressRecord { partial: progress.is_partial, ..written };
        self.send(partition, PROGRESS, &written.to_json())?;
        Ok(seal)
    }

    /// A record of the changelog.
    fn send(&self, partition: i32, key: &[u8], value: &[u8]) -> Result<(), TransactionError> {
        let topic = &self.store.log.name;
        let record = Record { topic, partition: Some(partition), key: Some(key), value: Some(value), headers: &[] };
        self.producer.send(&record, self.deadline)
    }

    fn write_dead_letter(&self, partition: i32, letter: &DeadLetter) -> Result<(), TransactionError> {
        let Some(topic) = &self.store.dead_letter_topic else { return Ok(()) };
        let (partition, offset) = (partition.to_string(), letter.offset.to_string());
        let (category, message) = (letter.reason.category(), letter.reason.to_string());
        let ours: [(&str, &str); 8] = [
            ("__connect.errors.topic", &self.store.topic),
            ("__connect.errors.partition", &partition),
            ("__connect.errors.offset", &offset),
            ("__connect.errors.connector.name", &self.store.group),
            ("__connect.errors.task.id", &partition),
            ("__connect.errors.stage", "VALUE_CONVERTER"),
            ("__connect.errors.exception.class.name", category),
            ("__connect.errors.exception.message", &message),
        ];
        let ours = ours.map(|(name, value)| (name, Some(value.as_bytes())));
        if !(self.cuts_letters && letter.size() > KEPT_BYTES) {
            let kept = letter.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
            let headers: Vec<_> = kept.chain(ours).collect();
            let (key, value) = (letter.key.as_deref(), letter.value.as_deref());
            let whole = Record { topic, partition: None, key, value, headers: &headers };
            match self.producer.send(&whole, self.deadline) {
                Err(TransactionError::Refused { why: Refusal::TooLarge, .. }) => {}
                outcome => return outcome,
            }
        }
        // One letter must never hold up a partition: what is left of it says so.
        let headers: Vec<_> = ours.into_iter().chain([TRUNCATED]).collect();
        let key = letter.key.as_deref().filter(|key| key.len() <= KEPT_BYTES);
        let value = letter.value.as_deref().map(|value| &value[..value.len().min(KEPT_BYTES)]);
        self.producer.send(&Record { topic, partition: None, key, value, headers: &headers }, self.deadline)
    }
}

/// What the group's offsets say about a commit whose outcome was not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Written,
    Untouched,
    Others,
}

impl Found {
    fn compare<'a>(shares: impl Iterator<Item = (&'a Progress, &'a Option<Committed>)>) -> Self {
        // One that was not to move says nothing.
        let moved = shares.filter(|(progress, _)| progress.from != Some(progress.next_offset));
        let found = moved.map(|(Progress { from, next_offset, .. }, committed)| {
            let committed = committed.as_ref().map(|committed| committed.offset);
            if committed == Some(*next_offset) {
                Self::Written
            } else if committed == *from {
                Self::Untouched
            } else {
                Self::Others
            }
        });
        found.reduce(Self::and).unwrap_or(Self::Untouched)
    }

    fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Others }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        ledger::Changes,
        store::{Assignment, Epoch},
        view::Cell,
    };

    fn progress(from: Option<i64>, next_offset: i64) -> Progress {
        Progress {
            assignment: Assignment { partition: 0, epoch: Epoch(1), generation: 1 },
            cell: Arc::new(Cell::new(0, 1)),
            from,
            next_offset,
            leader_epoch: None,
            changes: Arc::new(Changes::default()),
            is_partial: false,
            usage: UsageRecord::beginning_at(0),
            others: Vec::new(),
        }
    }

    /// Each share with where it came from, where it went, and what the group has committed now.
    fn found(shares: &[(Option<i64>, i64, Option<i64>)]) -> Found {
        let committed = |offset| Committed { offset, metadata: String::new() };
        let shares: Vec<_> = shares.iter().map(|(from, to, now)| (progress(*from, *to), now.map(committed))).collect();
        Found::compare(shares.iter().map(|(progress, now)| (progress, now)))
    }

    #[test]
    fn the_groups_offsets_tell_what_became_of_a_commit() {
        assert_eq!(found(&[(Some(5), 9, Some(9))]), Found::Written);
        assert_eq!(found(&[(Some(5), 9, Some(5))]), Found::Untouched);
        assert_eq!(found(&[(None, 9, None)]), Found::Untouched);
        assert_eq!(found(&[(None, 9, Some(9))]), Found::Written);
    }

    #[test]
    fn an_offset_that_is_neither_is_somebody_elses() {
        for now in [None, Some(4), Some(7), Some(11)] {
            assert_eq!(found(&[(Some(5), 9, now)]), Found::Others, "{now:?}");
        }
        assert_eq!(found(&[(None, 9, Some(3))]), Found::Others);
    }

    #[test]
    fn a_partition_that_was_not_to_move_does_not_speak_for_the_others() {
        assert_eq!(found(&[(Some(20), 20, Some(20)), (Some(5), 9, Some(5))]), Found::Untouched);
        assert_eq!(found(&[(Some(20), 20, Some(20)), (Some(5), 9, Some(9))]), Found::Written);
        assert_eq!(found(&[(Some(20), 20, Some(20))]), Found::Untouched);
    }

    #[test]
    fn a_transaction_is_whole_or_not_at_all() {
        assert_eq!(found(&[(Some(1), 2, Some(2)), (Some(5), 9, Some(5))]), Found::Others);
    }
}
