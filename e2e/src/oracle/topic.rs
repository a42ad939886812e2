//! Reads a topic from its first record up to given offsets, and what a group has committed of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use super::{Ledger, Signs};

/// Every call to the broker ends after this.
const DEADLINE: Duration = Duration::from_secs(30);

/// Per partition the offset of the next record: records below it are in, it and later ones are not.
pub type Offsets = BTreeMap<i32, i64>;

/// Why a topic could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The client's own words.
    #[error("{what} at {brokers}: {source}; is the broker up and the name right?")]
    Kafka {
        /// What was tried.
        what: String,
        /// The bootstrap servers.
        brokers: String,
        /// The client's error.
        source: Box<KafkaError>,
    },
    /// The topic does not exist.
    #[error("topic {0} does not exist")]
    Unknown(String),
    /// Records stopped coming before the wanted offset.
    #[error("topic {topic} gave no record for {DEADLINE:?}; still missing, partition → offset: {missing:?}")]
    Stalled {
        /// The topic.
        topic: String,
        /// Where the reading should have got to.
        missing: Offsets,
    },
}

/// A topic on a broker.
pub struct Topic {
    brokers: String,
    name: String,
}

impl Topic {
    /// No connection is made yet.
    pub fn new(brokers: &str, name: &str) -> Self {
        Self { brokers: brokers.to_owned(), name: name.to_owned() }
    }

    /// The end of every partition: the offset that the next record will get.
    pub fn ends(&self) -> Result<Offsets, TopicError> {
        let consumer = self.consumer("balancefleet-oracle")?;
        let end = |partition| {
            let watermarks = consumer.fetch_watermarks(&self.name, partition, DEADLINE);
            watermarks.map(|(_, end)| (partition, end)).map_err(|error| self.error("ask for ends", error))
        };
        self.partitions(&consumer)?.into_iter().map(end).collect()
    }

    /// What the group has committed; partitions without a commit are absent.
    pub fn committed(&self, group: &str) -> Result<Offsets, TopicError> {
        let consumer = self.consumer(group)?;
        let mut wanted = TopicPartitionList::new();
        for partition in self.partitions(&consumer)? {
            wanted.add_partition(&self.name, partition);
        }
        let committed = consumer
            .committed_offsets(wanted, DEADLINE)
            .map_err(|error| self.error(&format!("ask for the offsets of {group}"), error))?;
        let elements = committed.elements();
        Ok(elements
            .iter()
            .filter_map(|it| Some((it.partition(), it.offset().to_raw().filter(|at| *at >= 0)?)))
            .collect())
    }

    /// Folds all records below `ends`; `progress` hears how many were read, now and then.
    pub fn fold(&self, ends: &Offsets, signs: &Signs, mut progress: impl FnMut(u64)) -> Result<Ledger, TopicError> {
        let mut missing: Offsets = ends.iter().filter(|(_, end)| **end > 0).map(|(it, end)| (*it, *end)).collect();
        let consumer = self.consumer_from_first(missing.keys().copied())?;
        let (mut ledger, mut read, mut last) = (Ledger::default(), 0, Instant::now());
        while !missing.is_empty() {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    last = Instant::now();
                    if take(&message, &mut missing) {
                        ledger.add_message(message.partition(), message.payload().unwrap_or_default(), signs);
                        read += 1;
                        if read % 50_000 == 0 {
                            progress(read);
                        }
                    }
                }
                // The log's last offsets can be no records (transaction markers): its end is the end as well.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    missing.remove(&partition);
                }
                Some(Err(error)) if last.elapsed() > DEADLINE => return Err(self.error("read", error)),
                _ if last.elapsed() > DEADLINE => {
                    return Err(TopicError::Stalled { topic: self.name.clone(), missing });
                }
                _ => {}
            }
        }
        progress(read);
        Ok(ledger)
    }

    fn consumer_from_first(&self, partitions: impl Iterator<Item = i32>) -> Result<BaseConsumer, TopicError> {
        let consumer = self.consumer("balancefleet-oracle")?;
        let mut from_first = TopicPartitionList::new();
        for partition in partitions {
            from_first
                .add_partition_offset(&self.name, partition, Offset::Beginning)
                .map_err(|error| self.error("choose partitions", error))?;
        }
        consumer.assign(&from_first).map_err(|error| self.error("assign partitions", error))?;
        Ok(consumer)
    }

    fn partitions(&self, consumer: &BaseConsumer) -> Result<Vec<i32>, TopicError> {
        let metadata = consumer
            .fetch_metadata(Some(&self.name), DEADLINE)
            .map_err(|error| self.error("ask for the topic", error))?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|partition| partition.id());
        let partitions: Vec<i32> = partitions.collect();
        if partitions.is_empty() { Err(TopicError::Unknown(self.name.clone())) } else { Ok(partitions) }
    }

    fn consumer(&self, group: &str) -> Result<BaseConsumer, TopicError> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", group)
            .set("client.id", "balancefleet-oracle")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed");
        config.create().map_err(|error| self.error("set up a client", error))
    }

    fn error(&self, what: &str, source: KafkaError) -> TopicError {
        let what = format!("{what} of topic {}", self.name);
        TopicError::Kafka { what, brokers: self.brokers.clone(), source: Box::new(source) }
    }
}

/// Whether the message lies below its partition's end; strikes the partition off once its last record is there.
fn take(message: &impl Message, missing: &mut Offsets) -> bool {
    let (partition, next) = (message.partition(), message.offset() + 1);
    let Some(end) = missing.get(&partition).copied() else { return false };
    if next >= end {
        missing.remove(&partition);
    }
    next <= end
}
