//! Sends records through an idempotent producer and counts what the broker acknowledged.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};

use super::interrupt::Interrupt;
use super::progress::Progress;
use crate::stream::{Pace, Record, Stream};

/// What a message's key is, and so which partition it goes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Keying {
    /// `transactionId`: a customer's transactions are spread over all partitions.
    Transaction,
    /// `customerId`: a customer's transactions are in one partition.
    Customer,
    /// No key: partitions take turns.
    None,
}

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The client's own words.
    #[error("kafka: {0}; is the broker up, --bootstrap-servers right, and the topic still there?")]
    Kafka(#[from] KafkaError),
    /// The broker refused to create the topic.
    #[error("cannot create topic {topic}: {code}; create it by hand, or choose another name")]
    Create {
        /// The topic.
        topic: String,
        /// Kafka's error code.
        code: RDKafkaErrorCode,
    },
    /// The topic exists but some of its partitions cannot be written.
    #[error("only {led} of {partitions} partitions of {topic} have a leader; look at the brokers")]
    NoLeader {
        /// The topic.
        topic: String,
        /// Partitions that have a leader.
        led: usize,
        /// Partitions there should be.
        partitions: u32,
    },
    /// No runtime for the admin client.
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
    /// Records were lost on the way, so that the run cannot be told again from its indexes.
    #[error(
        "{failed} records were not delivered, the first because of: {first}; the topic holds a part of the run only"
    )]
    Undelivered {
        /// How many.
        failed: u64,
        /// The first one's error.
        first: String,
    },
}

/// How far a run has come. `sent` records are those of the first `sent` indexes of the run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sent {
    /// Given to the client.
    pub sent: u64,
    /// Written by the broker.
    pub acknowledged: u64,
    /// Given up by the client.
    pub failed: u64,
    /// Whether a signal ended the run early.
    pub interrupted: bool,
}

#[derive(Default)]
struct Deliveries {
    acknowledged: AtomicU64,
    failed: AtomicU64,
    first_error: Mutex<Option<String>>,
}

#[derive(Clone, Default)]
struct Counting(Arc<Deliveries>);

impl ClientContext for Counting {}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => self.0.acknowledged.fetch_add(1, Ordering::Relaxed),
            Err((error, _)) => {
                let mut first = self.0.first_error.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| error.to_string());
                self.0.failed.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

/// An idempotent producer for one topic.
pub struct Sender {
    producer: ThreadedProducer<Counting>,
    deliveries: Arc<Deliveries>,
    topic: String,
    keying: Keying,
}

impl Sender {
    /// A sender to that topic, which must exist.
    pub fn new(brokers: &str, topic: &str, keying: Keying) -> Result<Self, SendError> {
        Self::with_settings(brokers, topic, keying, &[])
    }

    /// The same with settings of librdkafka over its own.
    pub fn with_settings(
        brokers: &str,
        topic: &str,
        keying: Keying,
        settings: &[(&str, &str)],
    ) -> Result<Self, SendError> {
        let counting = Counting::default();
        let deliveries = Arc::clone(&counting.0);
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("client.id", "balancefleet-traffic")
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("compression.type", "zstd")
            // The partitioner of Kafka's own clients: a key goes where any other producer puts it.
            .set("partitioner", "murmur2_random");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        let producer = config.create_with_context(counting)?;
        Ok(Self { producer, deliveries, topic: topic.to_owned(), keying })
    }

    /// Sends the records of these indexes at that pace, until all are sent or the interrupt is raised; then waits for
    /// all acknowledgements. A pace with the rate 0 sends as fast as the broker takes them.
    pub fn run(
        &self,
        stream: &Stream,
        indexes: Range<u64>,
        pace: &Pace,
        interrupt: &Interrupt,
        mut progress: Option<Progress>,
    ) -> Result<Sent, SendError> {
        let (began, total) = (Instant::now(), indexes.end - indexes.start);
        let unpaced = pace.count() == 0;
        let mut sent = 0;
        while sent < total && !interrupt.is_raised() {
            let elapsed = began.elapsed();
            let due = if unpaced { sent + 1_000 } else { pace.due(elapsed) };
            while sent < due.min(total) && !interrupt.is_raised() {
                self.send(&stream.record(indexes.start + sent))?;
                sent += 1;
            }
            if let Some(progress) = &mut progress {
                progress.update(elapsed, pace.phase(elapsed), self.sent(sent));
            }
            if !unpaced {
                thread::sleep(Duration::from_millis(1));
            }
        }
        self.producer.flush(Duration::from_secs(60))?;
        let sent = Sent { interrupted: interrupt.is_raised(), ..self.sent(sent) };
        match &*self.deliveries.first_error.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(first) => Err(SendError::Undelivered { failed: sent.failed, first: first.clone() }),
            None => Ok(sent),
        }
    }

    /// Sends records that no generator made; waits for their acknowledgements.
    pub fn send_all<'a>(&self, values: impl IntoIterator<Item = &'a str>) -> Result<(), SendError> {
        for value in values {
            let record = BaseRecord::<str, str>::to(&self.topic).payload(value);
            self.producer.send(record).map_err(|(error, _)| error)?;
        }
        Ok(self.producer.flush(Duration::from_secs(60))?)
    }

    fn send(&self, record: &Record) -> Result<(), SendError> {
        let mut message = BaseRecord::to(&self.topic).payload(record.value.as_str());
        message = match self.keying {
            Keying::Transaction => message.key(record.transaction_id.as_str()),
            Keying::Customer => message.key(record.customer_id.as_str()),
            Keying::None => message,
        };
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                // The broker is slower than we are: the queue empties itself on the client's own threads.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    message = again;
                    thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    fn sent(&self, sent: u64) -> Sent {
        let acknowledged = self.deliveries.acknowledged.load(Ordering::Relaxed);
        let failed = self.deliveries.failed.load(Ordering::Relaxed);
        Sent { sent, acknowledged, failed, interrupted: false }
    }
}
