//! What the tests need of a broker: topics, records, a member of a group that commits, and waiting for a snapshot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use balancefleet_autoscaler::{Current, Policy, SavedHistory, StartFrom};
use balancefleet_kafka::{CommitMetadata, Connection};
use balancefleet_operator::poller::{LagRegistry, ObjectKey, PollTarget, Snapshot};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Message, Offset, TopicPartitionList};

/// Generous, for busy machines; nothing here waits longer than it must.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) fn address(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: these tests need a broker, run `make integration`"))
}

pub(crate) fn broker() -> Connection {
    Connection::plaintext(address("BALANCEFLEET_TEST_KAFKA"))
}

/// A name that no other test and no earlier run has used.
pub(crate) fn unique(name: &str) -> String {
    format!("{name}-{:08x}", rand::random::<u32>())
}

pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "bank".into(), name: name.into() }
}

pub(crate) fn target(topic: &str, group: &str) -> PollTarget {
    PollTarget {
        connection: broker(),
        topic: topic.into(),
        group: group.into(),
        start_from: StartFrom::Earliest,
        policy: Policy::default(),
        current: Current { desired: 1, ..Current::default() },
        saved_history: SavedHistory::default(),
    }
}

fn topics() -> AdminClient<DefaultClientContext> {
    broker().client_config().create().expect("an admin client")
}

pub(crate) async fn create_topic(name: &str, partitions: i32) {
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let created = topics().create_topics([&topic], &AdminOptions::new()).await.expect("an answer");
    assert!(created.iter().all(Result::is_ok), "{created:?}");
}

pub(crate) async fn add_partitions(name: &str, total: usize) {
    let more = NewPartitions::new(name, total);
    let added = topics().create_partitions([&more], &AdminOptions::new()).await.expect("an answer");
    assert!(added.iter().all(Result::is_ok), "{added:?}");
}

pub(crate) fn producer() -> BaseProducer {
    broker().client_config().set("linger.ms", "5").create().expect("a producer")
}

/// Sends `count` records to each of `partitions`.
pub(crate) fn produce(producer: &BaseProducer, topic: &str, partitions: i32, count: usize) {
    for partition in 0..partitions {
        for _ in 0..count {
            let record = BaseRecord::<(), str>::to(topic).partition(partition).payload("{}");
            producer.send(record).expect("room in the queue");
        }
    }
    producer.flush(PATIENCE).expect("accepted records");
}

/// A member of a group, driven by the test: it polls, commits, and says how busy it was, as a worker would.
pub(crate) struct Worker {
    consumer: BaseConsumer,
    topic: String,
}

impl Worker {
    pub(crate) fn join(group: &str, topic: &str, client_id: &str) -> Self {
        let mut config = broker().client_config();
        config
            .set("group.id", group)
            .set("client.id", client_id)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("heartbeat.interval.ms", "500");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        consumer.subscribe(&[topic]).expect("a topic name");
        Self { consumer, topic: topic.into() }
    }

    /// Reads `count` records, from any partition.
    pub(crate) fn read(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        let mut read = 0;
        while read < count {
            assert!(Instant::now() < deadline, "only {read} of {count} records came");
            if let Some(record) = self.consumer.poll(Duration::from_millis(100)) {
                record.expect("a record").payload().expect("a value");
                read += 1;
            }
        }
    }

    /// Commits one partition's offset with metadata that says 7 ms for each record.
    pub(crate) fn commit(&self, partition: i32, offset: i64) {
        let records = offset.unsigned_abs();
        let metadata = CommitMetadata { start_offset: 0, records, busy_micros: records * 7_000 };
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition(&self.topic, partition);
        element.set_offset(Offset::Offset(offset)).expect("an offset");
        element.set_metadata(metadata.to_string());
        self.consumer.commit(&list, CommitMode::Sync).expect("an accepted commit");
    }

    /// Stays in the group for a while.
    pub(crate) fn idle(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            drop(self.consumer.poll(Duration::from_millis(50)));
        }
    }
}

/// Waits for a snapshot that satisfies `wanted`.
pub(crate) async fn snapshot(
    registry: &LagRegistry,
    key: &ObjectKey,
    wanted: impl Fn(&Snapshot) -> bool,
) -> Arc<Snapshot> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let last = registry.snapshot(key);
        if let Some(found) = last.as_ref().filter(|found| wanted(found)) {
            return Arc::clone(found);
        }
        assert!(Instant::now() < deadline, "the wanted snapshot never came; the last one was {last:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
