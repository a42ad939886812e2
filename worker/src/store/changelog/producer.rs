//! The producer of the commits, and how its errors change the next one.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use balancefleet_kafka::{AbortReason, Error, TransactionError, TransactionalProducer};
use rdkafka::ClientConfig;

use super::batches::{Batches, LargestRecord, OVERHEAD, Oversized};
use crate::store::CommitError;

/// The longest wait for a request, if that is no more than a third of the transaction's time.
const REQUEST: Duration = Duration::from_secs(1);
/// The least number of records written per second.
const RECORDS_A_SECOND: u64 = 10_000;
/// The longest transaction that brokers accept by default (transaction.max.timeout.ms).
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// How often the time is doubled, at most.
const MAX_DOUBLINGS: u32 = 3;

/// The most bytes that are kept of a record that is too large for the dead letter topic.
const KEPT_BYTES: usize = 16 << 10;
/// The most bytes of the headers that say where a dead letter comes from; most of it is two names of up to 249 bytes.
const HEADERS: usize = 1 << 10;

/// How dead letters are written.
#[derive(Clone, Copy)]
pub(super) struct DeadLetterLimits {
    /// Whether long dead letters are cut before they are sent.
    pub(super) are_truncated: bool,
    /// Dead letters with more bytes are long.
    pub(super) whole_bytes: usize,
    /// The bytes that are kept of the key and of the value of one that is cut.
    pub(super) kept_bytes: usize,
}

/// If a producer is fenced twice within this time, another process uses the same transactional id.
const FENCED_TWICE_WITHIN: Duration = Duration::from_secs(60);

/// How much time the brokers get. It doubles after every attempt with an unknown outcome, because with slow brokers no
/// commit would ever finish otherwise. It returns to the usual time after a quick commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct TransactionTimeouts {
    session: Duration,
    doublings: u32,
    /// The time that a transaction of many records needs.
    least: Duration,
}

impl TransactionTimeouts {
    pub(super) fn new(session: Duration) -> Self {
        Self { session, doublings: 0, least: Duration::ZERO }
    }

    /// Creates a producer with these times.
    pub(super) fn producer(self, config: &ClientConfig) -> Result<TransactionalProducer, Error> {
        let mut config = config.clone();
        let (transaction, request) = (self.transaction().as_millis(), self.request().as_millis());
        config
            .set("transaction.timeout.ms", transaction.to_string())
            .set("message.timeout.ms", transaction.to_string())
            .set("socket.timeout.ms", request.to_string());
        TransactionalProducer::new(&config)
    }

    /// The transaction timeout. The open transaction of a dead worker blocks its successor for this long.
    fn transaction(self) -> Duration {
        let twice = 1 << self.doublings;
        (self.session / 2 * twice).max((self.least * twice).min(LONGEST))
    }

    /// The wait for an answer. Without one, the request is in doubt, and with it the producer.
    fn request(self) -> Duration {
        REQUEST.min(self.session / 6) * (1 << self.doublings)
    }

    fn back_off(&mut self) {
        self.doublings = (self.doublings + 1).min(MAX_DOUBLINGS);
    }
}

/// The one transactional producer of this process. It is recreated when it is in doubt, or when its batches must be
/// smaller.
pub(super) struct Producer {
    config: ClientConfig,
    timeouts: TransactionTimeouts,
    current: Option<TransactionalProducer>,
    batches: Batches,
    /// The brokers refused a dead letter for its size: the next attempt cuts long ones.
    truncate_dead_letters: bool,
    fenced: VecDeque<Instant>,
}

impl Producer {
    pub(super) fn new(config: ClientConfig, session_timeout: Duration, batches: Batches) -> Self {
        Self {
            config,
            timeouts: TransactionTimeouts::new(session_timeout),
            current: None,
            batches,
            truncate_dead_letters: false,
            fenced: VecDeque::new(),
        }
    }

    /// Uses another transactional id than this worker's own.
    pub(super) fn set_transactional_id(&mut self, transactional_id: &str) {
        self.config.set("transactional.id", transactional_id);
    }

    /// A producer without an open transaction. A new one first ends the transaction of the former one.
    pub(super) fn ready(&mut self) -> Result<&TransactionalProducer, CommitError> {
        let producer = match self.current.take() {
            Some(producer) => producer,
            None => self.start()?,
        };
        Ok(self.current.insert(producer))
    }

    fn start(&mut self) -> Result<TransactionalProducer, CommitError> {
        self.batches.apply(&mut self.config);
        let producer = self.timeouts.producer(&self.config).map_err(|error| CommitError::Fatal(error.to_string()))?;
        match producer.init(self.timeouts.transaction()) {
            Ok(()) => Ok(producer),
            Err(error) => {
                end(producer);
                Err(self.note(error))
            }
        }
    }

    /// Prepares for a transaction that replaces a ledger with this many records, 0 for any other transaction.
    pub(super) fn extend_timeout_for(&mut self, records: usize) {
        let before = self.timeouts.transaction();
        self.timeouts.least = Duration::from_secs(records as u64 / RECORDS_A_SECOND);
        if self.timeouts.transaction() != before {
            self.discard();
        }
    }

    /// How long a transaction may take.
    pub(super) fn time(&self) -> Duration {
        self.timeouts.transaction()
    }

    /// Notes that a commit was accepted after `took`, and the request that ended it answered within `ended_within`.
    pub(super) fn succeeded(&mut self, took: Duration, ended_within: Duration) {
        self.truncate_dead_letters = false;
        // That request may have been sent twice, and one that is still in flight could end the next transaction.
        let is_in_doubt = ended_within >= self.timeouts.request()
            || self.current.as_ref().is_none_or(TransactionalProducer::take_in_doubt);
        let is_quick = took < REQUEST;
        if is_quick && self.timeouts.doublings > 0 {
            tracing::info!("the brokers answer in time again");
            self.timeouts.doublings = 0;
            self.discard();
        } else if is_in_doubt {
            self.discard();
        }
    }

    /// Turns an error into that of the commit, and gives the next attempt more time if the outcome is unknown.
    pub(super) fn note(&mut self, error: TransactionError) -> CommitError {
        match error {
            TransactionError::Fenced { detail } => {
                let now = Instant::now();
                self.fenced.push_back(now);
                self.fenced.retain(|at| now.saturating_duration_since(*at) < FENCED_TWICE_WITHIN);
                if self.fenced.len() < 2 {
                    return CommitError::Unavailable(detail);
                }
                CommitError::Fatal(format!("another process uses this worker's transactional id: {detail}"))
            }
            fatal @ TransactionError::Fatal { .. } => CommitError::Fatal(fatal.to_string()),
            TransactionError::Unknown { .. } => {
                self.timeouts.back_off();
                CommitError::Unavailable(error.to_string())
            }
            refused @ TransactionError::Refused { .. } => CommitError::Unavailable(refused.to_string()),
        }
    }

    /// Changes what the next attempt does after a refusal.
    pub(super) fn adapt(&mut self, why: AbortReason) {
        // The client refreshes its list of partitions only now and then; a new one reads it at once.
        if why == AbortReason::UnknownPartition {
            self.discard();
        }
    }

    /// How dead letters are written.
    pub(super) fn dead_letter_limits(&self) -> DeadLetterLimits {
        let kept_bytes = KEPT_BYTES.min(self.batches.size() / 4);
        let fits = |limit: usize| limit.saturating_sub(OVERHEAD + HEADERS).max(kept_bytes);
        let whole_bytes = self.batches.limit_for_dead_letters().map_or(kept_bytes, fits);
        DeadLetterLimits { are_truncated: self.truncate_dead_letters, whole_bytes, kept_bytes }
    }

    /// Handles a record or batch that a broker or the client refused for its size. `largest` has the largest records of
    /// the attempt, with dead letters cut; `has_long_dead_letters` tells whether any can be cut. The next attempt
    /// changes one thing: smaller batches if a topic's limit is lower, then shorter dead letters, then batches of half
    /// the size.
    ///
    /// # Errors
    /// A record fits into no batch.
    pub(super) fn cut(&mut self, has_long_dead_letters: bool, largest: &[LargestRecord]) -> Result<(), Oversized> {
        // The batch size is fixed when a producer is created.
        self.discard();
        if self.batches.refresh_limits() {
            return Ok(());
        }
        if has_long_dead_letters && !self.truncate_dead_letters {
            self.truncate_dead_letters = true;
            return Ok(());
        }
        self.batches.refused(largest)
    }

    /// Gives the producer up: the next one ends whatever it still has in flight.
    pub(super) fn discard(&mut self) {
        if let Some(former) = self.current.take() {
            end(former);
        }
    }
}

/// Closes a client on a thread of its own. Without a broker that may take long, or forever, and commits continue
/// meanwhile. Nothing that it still sends counts once the next one has the transactional id.
fn end(former: TransactionalProducer) {
    let ending = std::thread::Builder::new().name("former-producer".to_owned()).spawn(move || drop(former));
    if let Err(error) = ending {
        tracing::warn!(%error, "a former producer was ended by the commit thread itself");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kafka_clients::transaction_config, poll::test_support::offline};

    /// Whether the producer stays after a commit that took so long, of which the end took so long.
    fn stays_after(took: Duration, ended_within: Duration) -> bool {
        let worker = offline(&[]);
        let settings = transaction_config(&worker.config);
        let batches = Batches::for_topics(&worker.admin, []);
        let mut producer = Producer::new(settings.clone(), Duration::from_secs(10), batches);
        producer.current = Some(producer.timeouts.producer(&settings).unwrap());
        producer.succeeded(took, ended_within);
        producer.current.is_some()
    }

    #[test]
    fn a_producer_stays_after_a_slow_commit_unless_the_end_of_it_was_slow() {
        let (slow, quick) = (Duration::from_secs(3), Duration::from_millis(5));
        assert!(stays_after(quick, quick) && stays_after(slow, quick));
        assert!(!stays_after(slow, slow));
    }

    #[test]
    fn the_time_doubles_up_to_a_bound_and_an_answer_gets_a_third_of_it_at_most() {
        let mut timeouts = TransactionTimeouts::new(Duration::from_secs(10));
        let mut times = Vec::new();
        for _ in 0..5 {
            times.push((timeouts.request().as_secs(), timeouts.transaction().as_secs()));
            timeouts.back_off();
        }
        assert_eq!(times, [(1, 5), (2, 10), (4, 20), (8, 40), (8, 40)]);
        let short = TransactionTimeouts::new(Duration::from_secs(3));
        assert_eq!((short.request().as_millis(), short.transaction().as_millis()), (500, 1500));
    }

    #[test]
    fn many_rows_get_more_time_up_to_what_brokers_take() {
        let times = |records: u64, doublings: u32| {
            let least = Duration::from_secs(records / RECORDS_A_SECOND);
            let timeouts =
                TransactionTimeouts { least, doublings, ..TransactionTimeouts::new(Duration::from_secs(10)) };
            (timeouts.request().as_secs(), timeouts.transaction().as_secs())
        };
        assert_eq!(
            [0, 40_000, 1_000_000, 90_000_000].map(|records| times(records, 0)),
            [(1, 5), (1, 5), (1, 100), (1, 900)]
        );
        assert_eq!([times(1_000_000, 2), times(90_000_000, 3)], [(4, 400), (8, 900)]);
    }
}
