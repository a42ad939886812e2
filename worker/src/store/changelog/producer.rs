//! The producer of the commits, and what its errors mean for the next one.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use balancefleet_kafka::{AbortReason, Error, TransactionError, TransactionalProducer};
use rdkafka::ClientConfig;

use super::batches::{Batches, Largest, OVERHEAD, Oversized};
use crate::store::CommitError;

/// How long a request is waited for, if that is no more than a third of its transaction's time.
const REQUEST: Duration = Duration::from_secs(1);
/// So many rows a second are written at least.
const ROWS_A_SECOND: u64 = 10_000;
/// Brokers take no transaction of more time unless they are told to (transaction.max.timeout.ms).
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// How often the time is doubled at most.
const MAX_DOUBLINGS: u32 = 3;

/// Of a record that is too large for the dead letter topic, so much is kept at most.
const KEPT_BYTES: usize = 16 << 10;
/// The headers that say where a dead letter comes from have no more: two names of 249 bytes at most are the most of it.
const HEADERS: usize = 1 << 10;

/// How dead letters are written.
#[derive(Clone, Copy)]
pub(super) struct DeadLetterLimits {
    /// Whether those that are long are cut before they are sent.
    pub(super) are_truncated: bool,
    /// Those that have more bytes are long.
    pub(super) whole_bytes: usize,
    /// Of one that is cut, so many bytes of its key and of its value are kept.
    pub(super) kept_bytes: usize,
}

/// A producer that is fenced twice within this time has a twin.
const TWIN: Duration = Duration::from_secs(60);

/// How much time the brokers get: twice as much after every try whose outcome they did not tell, or while they are slow no
/// commit would ever come to its end; the usual again after one that was quick.
#[derive(Clone, Copy, Debug)]
pub(super) struct TransactionTimeouts {
    session: Duration,
    doublings: u32,
    /// What a transaction of many rows needs.
    least: Duration,
}

impl TransactionTimeouts {
    pub(super) fn new(session: Duration) -> Self {
        Self { session, doublings: 0, least: Duration::ZERO }
    }

    /// A producer that waits so long.
    pub(super) fn producer(self, config: &ClientConfig) -> Result<TransactionalProducer, Error> {
        let mut config = config.clone();
        let (transaction, request) = (self.transaction().as_millis(), self.request().as_millis());
        config
            .set("transaction.timeout.ms", transaction.to_string())
            .set("message.timeout.ms", transaction.to_string())
            .set("socket.timeout.ms", request.to_string());
        TransactionalProducer::new(&config)
    }

    /// For a transaction. That of a dead worker holds its successor up for so long.
    fn transaction(self) -> Duration {
        let twice = 1 << self.doublings;
        (self.session / 2 * twice).max((self.least * twice).min(LONGEST))
    }

    /// For an answer. Without one the request is in doubt, and the producer with it.
    fn request(self) -> Duration {
        REQUEST.min(self.session / 6) * (1 << self.doublings)
    }

    fn back_off(&mut self) {
        self.doublings = (self.doublings + 1).min(MAX_DOUBLINGS);
    }
}

/// The one transactional producer of this process, recreated whenever it is in doubt, or its batches are to be smaller.
pub(super) struct Producer {
    config: ClientConfig,
    timeouts: TransactionTimeouts,
    current: Option<TransactionalProducer>,
    batches: Batches,
    /// The brokers refused a dead letter for its size: the next try sends them short.
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

    /// Under another transactional id than this worker's own.
    pub(super) fn rename(&mut self, transactional_id: &str) {
        self.config.set("transactional.id", transactional_id);
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

    /// A transaction follows that replaces a ledger by so many rows, 0 if it does not do that.
    pub(super) fn make_time_for(&mut self, rows: usize) {
        let before = self.timeouts.transaction();
        self.timeouts.least = Duration::from_secs(rows as u64 / ROWS_A_SECOND);
        if self.timeouts.transaction() != before {
            self.discard();
        }
    }

    /// How long a transaction may take.
    pub(super) fn time(&self) -> Duration {
        self.timeouts.transaction()
    }

    /// A commit was accepted after `took`.
    pub(super) fn succeeded(&mut self, took: Duration) {
        self.truncate_dead_letters = false;
        // One of its requests may have been sent twice: an end of transaction that is still on its way could end the next.
        let is_in_doubt =
            took >= self.timeouts.request() || self.current.as_ref().is_none_or(TransactionalProducer::was_disturbed);
        let is_quick = took < REQUEST;
        if is_quick && self.timeouts.doublings > 0 {
            tracing::info!("the brokers answer in time again");
            self.timeouts.doublings = 0;
            self.discard();
        } else if is_in_doubt {
            self.discard();
        }
    }

    /// What an error means for the commits to come.
    pub(super) fn note(&mut self, error: TransactionError) -> CommitError {
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
            TransactionError::Unknown { .. } => {
                self.timeouts.back_off();
                CommitError::Unavailable(error.to_string())
            }
            refused @ TransactionError::Refused { .. } => CommitError::Unavailable(refused.to_string()),
        }
    }

    /// What the next try does differently after a refusal.
    pub(super) fn learn(&mut self, why: AbortReason) {
        // It looks for new partitions only now and then; a new one looks at once.
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

    /// A broker or the client refused a record, or a batch of them, for its size. `largest` are the largest records that
    /// were to be written, with dead letters cut; `has_long_dead_letters` if there were some that can be. One thing at a time
    /// is done differently by the next try: smaller batches where a topic says so, then shorter dead letters, then batches of
    /// half the size.
    ///
    /// # Errors
    /// There is a record that fits into no batch.
    pub(super) fn cut(&mut self, has_long_dead_letters: bool, largest: &[Largest]) -> Result<(), Oversized> {
        // Its batches have the former size.
        self.discard();
        if self.batches.look() {
            return Ok(());
        }
        if has_long_dead_letters && !self.truncate_dead_letters {
            self.truncate_dead_letters = true;
            return Ok(());
        }
        self.batches.refused(largest)
    }

    /// Gives it up: whatever it still has under way is settled by the next one.
    pub(super) fn discard(&mut self) {
        if let Some(former) = self.current.take() {
            end(former);
        }
    }
}

/// Ends a client on a thread of its own: while a broker is away that may take long, or for ever, and commits go on meanwhile.
/// Nothing it still sends counts once the next one has the transactional id.
fn end(former: TransactionalProducer) {
    let ending = std::thread::Builder::new().name("former-producer".to_owned()).spawn(move || drop(former));
    if let Err(error) = ending {
        tracing::warn!(%error, "a former producer was ended by the commit thread itself");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let times = |rows: u64, doublings: u32| {
            let least = Duration::from_secs(rows / ROWS_A_SECOND);
            let timeouts =
                TransactionTimeouts { least, doublings, ..TransactionTimeouts::new(Duration::from_secs(10)) };
            (timeouts.request().as_secs(), timeouts.transaction().as_secs())
        };
        assert_eq!([0, 40_000, 1_000_000, 90_000_000].map(|rows| times(rows, 0)), [(1, 5), (1, 5), (1, 100), (1, 900)]);
        assert_eq!([times(1_000_000, 2), times(90_000_000, 3)], [(4, 400), (8, 900)]);
    }
}
