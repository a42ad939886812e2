//! Sends a person's own messages and says where each went.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Message};

use crate::oracle::{Topic, TopicError};

/// A message that no broker takes is given up after this.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(30);

/// Why messages could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The topic does not exist, or no broker answers.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The client's own words.
    #[error("kafka: {0}")]
    Kafka(#[from] KafkaError),
    /// Some were refused, or nobody acknowledged them.
    #[error("{acknowledged}; {failed} not, the first because of: {first}")]
    Undelivered {
        /// What was acknowledged all the same.
        acknowledged: Acknowledged,
        /// How many were not.
        failed: u64,
        /// The first one's error.
        first: String,
    },
}

/// Where acknowledged messages went: partition → how many, first and last offset.
#[derive(Clone, Debug, Default)]
pub struct Acknowledged(BTreeMap<i32, (u64, i64, i64)>);

impl Acknowledged {
    fn add(&mut self, partition: i32, offset: i64) {
        let (count, first, last) = self.0.entry(partition).or_insert((0, offset, offset));
        *count += 1;
        (*first, *last) = (offset.min(*first), offset.max(*last));
    }
}

impl fmt::Display for Acknowledged {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count: u64 = self.0.values().map(|(count, ..)| count).sum();
        write!(out, "{count} {} acknowledged", if count == 1 { "message was" } else { "messages were" })?;
        for (number, (partition, (count, first, last))) in self.0.iter().enumerate() {
            let separator = if number == 0 { ": " } else { "; " };
            match count {
                1 => write!(out, "{separator}partition {partition}, offset {first}")?,
                _ => write!(out, "{separator}partition {partition}, {count} from offset {first} to {last}")?,
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Deliveries {
    acknowledged: Acknowledged,
    failed: u64,
    first_error: Option<String>,
}

impl Deliveries {
    fn failed(&mut self, error: &KafkaError) {
        self.failed += 1;
        self.first_error.get_or_insert_with(|| error.to_string());
    }
}

#[derive(Clone, Default)]
struct Noting(Arc<Mutex<Deliveries>>);

impl Noting {
    fn lock(&self) -> MutexGuard<'_, Deliveries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Noting {}

impl ProducerContext for Noting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut deliveries = self.lock();
        match result {
            Ok(message) => deliveries.acknowledged.add(message.partition(), message.offset()),
            Err((error, _)) => deliveries.failed(error),
        }
    }
}

/// Sends the values to a topic that exists, all with the same key or without one, and waits for the acknowledgements.
pub fn send(brokers: &str, topic: &str, key: Option<&str>, values: &[String]) -> Result<Acknowledged, SendError> {
    // A producer that asks for a topic lets the broker create it.
    Topic::new(brokers, topic).ends()?;
    let noting = Noting::default();
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        // Messages without a key are spread one by one; else all that come within 10 ms go to one partition.
        .set("sticky.partitioning.linger.ms", "0")
        .set("client.id", "balancefleet-send")
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", GIVEN_UP_AFTER.as_millis().to_string())
        // The partitioner of Kafka's own clients: a key goes where any other producer puts it.
        .set("partitioner", "murmur2_random");
    let producer: ThreadedProducer<Noting> = config.create_with_context(noting.clone())?;
    for value in values {
        // A message that is too large is refused at once; the others go all the same.
        if let Err(error) = enqueue(&producer, topic, key, value) {
            noting.lock().failed(&error);
        }
    }
    producer.flush(GIVEN_UP_AFTER * 2)?;
    let deliveries = noting.lock();
    let acknowledged = deliveries.acknowledged.clone();
    match &deliveries.first_error {
        Some(first) => Err(SendError::Undelivered { acknowledged, failed: deliveries.failed, first: first.clone() }),
        None => Ok(acknowledged),
    }
}

fn enqueue(producer: &ThreadedProducer<Noting>, topic: &str, key: Option<&str>, value: &str) -> Result<(), KafkaError> {
    let mut message = BaseRecord::<str, str>::to(topic).payload(value);
    if let Some(key) = key {
        message = message.key(key);
    }
    loop {
        match producer.send(message) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                message = again;
                thread::sleep(Duration::from_millis(1));
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// What is wrong with a value that is to be a transaction: it must be a JSON object.
pub fn complaint(value: &str) -> Option<String> {
    match serde_json::from_str(value) {
        Ok(serde_json::Value::Object(_)) => None,
        Ok(_) => Some("is JSON, but no object".to_owned()),
        Err(error) => Some(format!("is no JSON ({error})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledged_messages_are_counted_by_partition() {
        let mut acknowledged = Acknowledged::default();
        assert_eq!(acknowledged.to_string(), "0 messages were acknowledged");
        acknowledged.add(3, 41);
        assert_eq!(acknowledged.to_string(), "1 message was acknowledged: partition 3, offset 41");
        for (partition, offset) in [(0, 9), (3, 43), (3, 42)] {
            acknowledged.add(partition, offset);
        }
        assert_eq!(
            acknowledged.to_string(),
            "4 messages were acknowledged: partition 0, offset 9; partition 3, 3 from offset 41 to 43"
        );
    }

    #[test]
    fn only_a_json_object_can_be_a_transaction() {
        assert_eq!(complaint(r#"{"orderId":"ORD-001","amount":99.99}"#), None);
        assert_eq!(complaint("42").unwrap(), "is JSON, but no object");
        assert!(complaint(r#"{"orderId":"#).unwrap().starts_with("is no JSON (EOF"));
        assert!(complaint("hello").is_some() && complaint("{} {}").is_some());
    }
}
