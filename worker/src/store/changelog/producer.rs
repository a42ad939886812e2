//! The producer of the commits, and what its errors mean for the next one.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use balancefleet_kafka::{Refusal, TransactionError, TransactionalProducer};
use rdkafka::ClientConfig;

use crate::store::CommitError;

/// A producer that is fenced twice within this time has a twin.
const TWIN: Duration = Duration::from_secs(60);

/// The one transactional producer of this process, made anew whenever it is in doubt.
pub(super) struct Producer {
    config: ClientConfig,
    timeout: Duration,
    current: Option<TransactionalProducer>,
    /// The brokers refused a dead letter for its size: the next try sends them short.
    pub(super) cuts_letters: bool,
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
            other => CommitError::Unavailable(other.to_string()),
        }
    }

    /// What the next try does differently after a refusal.
    pub(super) fn learn(&mut self, why: Refusal) {
        match why {
            Refusal::TooLarge => self.cuts_letters = true,
            // It looks for new partitions only now and then; a new one looks at once.
            Refusal::UnknownPartition => self.discard(),
            _ => {}
        }
    }

    /// Gives it up: whatever it still has under way is settled by the next one.
    pub(super) fn discard(&mut self) {
        self.current = None;
    }
}
