//! What the tests share: the brokers, topics of their own, records, commits and consumers that keep polling.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use balancefleet_kafka::{Admin, At, Connection, GroupMetadata, Isolation, TopicPartition};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::OwnedMessage;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// Generous: the machine may be busy, and no test measures it unless it says so.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

fn address(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: these tests need a broker, run `make integration`"))
}

/// The plain listener.
pub(crate) fn broker() -> Connection {
    Connection::plaintext(address("BALANCEFLEET_TEST_KAFKA"))
}

/// The address of the listener that wants a login.
pub(crate) fn login_broker() -> Connection {
    Connection::plaintext(address("BALANCEFLEET_TEST_KAFKA_SASL"))
}

pub(crate) fn admin() -> Admin {
    Admin::connect(&broker(), "balancefleet-test").expect("the settings are fine")
}

/// A name nobody else has: the broker outlives the test.
pub(crate) fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_micros();
    format!("{name}-{now}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn partition(topic: &str, partition: i32) -> TopicPartition {
    (topic.to_owned(), partition)
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts").block_on(future)
}

fn topic_admin() -> AdminClient<DefaultClientContext> {
    broker().client_config().create().expect("the settings are fine")
}

/// Creates a topic; it is there, with leaders, when this returns.
pub(crate) fn create_topic(name: &str, partitions: i32) {
    create_configured_topic(name, partitions, &[]);
}

fn create_configured_topic(name: &str, partitions: i32, settings: &[(&str, &str)]) {
    assert_eq!(admin().create_topic(name, partitions, Some(1), settings, TIMEOUT), Ok(true));
    wait_until("the topic has leaders", || {
        let known = admin().describe_topics(&[name], TIMEOUT).expect("the broker answers").remove(0).1;
        known.is_ok_and(|topic| topic.partitions.iter().filter(|it| it.leader.is_some()).count() == partitions as usize)
    });
}

pub(crate) fn new_topic(name: &str, partitions: i32) -> String {
    let name = unique(name);
    create_topic(&name, partitions);
    name
}

/// A topic with settings of its own.
pub(crate) fn configured_topic(name: &str, partitions: i32, settings: &[(&str, &str)]) -> String {
    let name = unique(name);
    create_configured_topic(&name, partitions, settings);
    name
}

pub(crate) fn delete_topic(name: &str) {
    let results = block_on(topic_admin().delete_topics(&[name], &AdminOptions::new())).expect("the broker answers");
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    wait_until("the topic is gone", || {
        admin().describe_topics(&[name], TIMEOUT).expect("the broker answers").remove(0).1.is_err()
    });
}

pub(crate) fn add_partitions(name: &str, total: i32) {
    assert_eq!(admin().create_partitions(name, total, TIMEOUT), Ok(()));
}

/// Deletes the records below `offset`.
pub(crate) fn delete_records(topic: &str, partition: i32, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("the offset is fine");
    block_on(topic_admin().delete_records(&list, &AdminOptions::new())).expect("the broker answers");
}

pub(crate) fn produce(topic: &str, partition: i32, count: usize) {
    let producer: BaseProducer = broker().client_config().create().expect("the settings are fine");
    send(&producer, topic, partition, count);
    producer.flush(TIMEOUT).expect("the records are accepted");
}

pub(crate) fn send(producer: &BaseProducer, topic: &str, partition: i32, count: usize) {
    for _ in 0..count {
        producer.send(BaseRecord::<(), str>::to(topic).partition(partition).payload("{}")).expect("there is room");
    }
}

/// The settings of a transactional producer, with the worker's short time-outs.
pub(crate) fn producer_config(connection: &Connection, id: &str) -> ClientConfig {
    let mut config = connection.client_config();
    config.set("transactional.id", id).set("transaction.timeout.ms", "10000").set("message.timeout.ms", "10000");
    config.set("linger.ms", "0").set("socket.timeout.ms", "1000").set("connections.max.idle.ms", "5000");
    config
}

/// All records of partition 0, once no transaction is open there.
pub(crate) fn read(topic: &str, isolation: &str) -> Vec<OwnedMessage> {
    read_partition(topic, 0, isolation)
}

pub(crate) fn read_partition(topic: &str, partition: i32, isolation: &str) -> Vec<OwnedMessage> {
    settled_end(topic, partition);
    let mut config = broker().client_config();
    config.set("group.id", "reader").set("enable.auto.commit", "false");
    config.set("isolation.level", isolation).set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().expect("the settings are fine");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Beginning).expect("the offset is fine");
    consumer.assign(&list).expect("the list is fine");
    let mut records = Vec::new();
    loop {
        match consumer.poll(TIMEOUT) {
            Some(Ok(record)) => records.push(record.detach()),
            Some(Err(KafkaError::PartitionEOF(_))) => return records,
            other => panic!("{other:?} instead of a record or the end"),
        }
    }
}

/// The high watermark, once no transaction is open below it.
pub(crate) fn settled_end(topic: &str, partition: i32) -> i64 {
    let (admin, asked) = (admin(), [(topic.to_owned(), partition)]);
    let end = |isolation| {
        let ends = admin.list_offsets(&asked, At::Latest, isolation, TIMEOUT).expect("the broker answers");
        ends[0].offset.clone().expect("the partition is there")
    };
    wait_until("no transaction is open", || end(Isolation::ReadCommitted) == end(Isolation::ReadUncommitted));
    end(Isolation::ReadUncommitted)
}

pub(crate) fn consumer(group: &str, client_id: &str) -> BaseConsumer {
    let mut config = broker().client_config();
    config.set("group.id", group).set("client.id", client_id).set("enable.auto.commit", "false");
    config.set("partition.assignment.strategy", "cooperative-sticky").set("session.timeout.ms", "6000");
    config.create().expect("the settings are fine")
}

/// Commits as a worker does: an offset with a text.
pub(crate) fn commit(group: &str, topic: &str, partition: i32, offset: i64, metadata: &str) {
    let mut list = TopicPartitionList::new();
    let mut element = list.add_partition(topic, partition);
    element.set_offset(Offset::Offset(offset)).expect("the offset is fine");
    element.set_metadata(metadata);
    let consumer = consumer(group, "committer");
    wait_until("the commit is accepted", || consumer.commit(&list, CommitMode::Sync).is_ok());
}

/// A member of a group that polls on a thread of its own until it is dropped.
pub(crate) struct Running {
    pub(crate) consumer: Arc<BaseConsumer>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(group: &str, client_id: &str, topic: &str) -> Self {
        let consumer = Arc::new(consumer(group, client_id));
        consumer.subscribe(&[topic]).expect("the topic's name is fine");
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (consumer, stop) = (Arc::clone(&consumer), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    drop(consumer.poll(Duration::from_millis(50)));
                }
            }
        });
        Self { consumer, stop, thread: Some(thread) }
    }

    pub(crate) fn assignment(&self) -> HashSet<TopicPartition> {
        let list = self.consumer.assignment().expect("the consumer runs");
        list.elements().iter().map(|it| (it.topic().to_owned(), it.partition())).collect()
    }

    pub(crate) fn membership(&self) -> GroupMetadata {
        GroupMetadata::capture(&self.consumer).expect("the consumer has a group")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the poll thread ends well");
        }
    }
}

/// Waits until `condition` holds; what is waited for has no event to wait on.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
