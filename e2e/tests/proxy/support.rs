//! Clients through the proxy, and readers that go past it.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use balancefleet_e2e::proxy::Proxy;
use balancefleet_e2e::traffic::create_topic;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Message, Offset, TopicPartitionList};

/// A time nothing that works should need, even on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(45);

/// A request of the oldest version, with correlation id 1.
pub(crate) const API_VERSIONS: &[u8] = b"\0\0\0\x0a\0\x12\0\0\0\0\0\x01\xff\xff";

/// The address of the single broker.
pub(crate) fn broker() -> String {
    std::env::var("BALANCEFLEET_TEST_KAFKA").expect("make integration sets BALANCEFLEET_TEST_KAFKA")
}

/// A name nobody else has: the brokers outlive the test.
pub(crate) fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = jiff::Timestamp::now().as_millisecond();
    format!("{name}-{now}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A proxy before the single broker, with a topic of the test's own.
pub(crate) struct Fixture {
    pub(crate) proxy: Proxy,
    pub(crate) topic: Topic,
}

impl Fixture {
    pub(crate) fn new(name: &str) -> Self {
        let broker = broker();
        Self { proxy: Proxy::start(&broker).unwrap(), topic: Topic::new(&broker, name, 1) }
    }

    /// A producer through the proxy that has begun a transaction.
    pub(crate) fn transaction(&self, settings: &[(&str, &str)]) -> BaseProducer {
        let producer = transactional(self.proxy.bootstrap(), settings);
        producer.begin_transaction().unwrap();
        producer
    }

    pub(crate) fn committed(&self) -> Vec<String> {
        self.topic.values("read_committed")
    }

    /// Waits until a reader that goes past the proxy sees these values committed.
    #[track_caller]
    pub(crate) fn await_committed(&self, expected: &[&str]) {
        eventually(|| {
            let committed = self.committed();
            if committed == expected { Ok(()) } else { Err(format!("{committed:?} instead of {expected:?}")) }
        });
    }
}

/// A topic as it is without the proxy.
pub(crate) struct Topic {
    brokers: String,
    pub(crate) name: String,
    pub(crate) partitions: i32,
}

impl Topic {
    pub(crate) fn new(brokers: &str, name: &str, partitions: u32) -> Self {
        let name = unique(name);
        assert_eq!(create_topic(brokers, &name, partitions).unwrap(), partitions as usize);
        Self { brokers: brokers.to_owned(), name, partitions: partitions.try_into().unwrap() }
    }

    /// What a reader of that isolation sees up to its end.
    pub(crate) fn values(&self, isolation: &str) -> Vec<String> {
        let settings = [("isolation.level", isolation), ("enable.partition.eof", "true")];
        let reader = consumer(&self.brokers, "reader", &settings);
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions {
            list.add_partition_offset(&self.name, partition, Offset::Beginning).unwrap();
        }
        reader.assign(&list).unwrap();
        let (mut values, mut ended) = (Vec::new(), 0);
        while ended < self.partitions {
            match reader.poll(SOON).expect("the broker answers") {
                Ok(message) => values.push(text(&message)),
                Err(KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => panic!("{error}"),
            }
        }
        values
    }

    /// Writes past the proxy.
    pub(crate) fn write(&self, value: &str) {
        let producer: BaseProducer = config(&self.brokers, &[]).create().unwrap();
        send(&producer, &self.name, 0, value);
        producer.flush(SOON).unwrap();
    }
}

pub(crate) fn config(brokers: &str, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config
}

pub(crate) fn transactional(brokers: &str, settings: &[(&str, &str)]) -> BaseProducer {
    let mut config = config(brokers, settings);
    let producer: BaseProducer = config.set("transactional.id", unique("transactional")).create().unwrap();
    producer.init_transactions(SOON).unwrap();
    producer
}

pub(crate) fn consumer(brokers: &str, group: &str, settings: &[(&str, &str)]) -> BaseConsumer {
    let mut config = config(brokers, settings);
    config.set("group.id", group).set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    config.create().unwrap()
}

pub(crate) fn send(producer: &BaseProducer, topic: &str, partition: i32, value: &str) {
    let record = BaseRecord::<(), str>::to(topic).partition(partition).payload(value);
    producer.send(record).map_err(|(error, _)| error).unwrap();
}

/// The next `count` values, in the order of their names.
#[track_caller]
pub(crate) fn read(consumer: &BaseConsumer, count: usize) -> Vec<String> {
    let deadline = Instant::now() + SOON;
    let mut values = Vec::new();
    while values.len() < count {
        assert!(Instant::now() < deadline, "{values:?} only");
        // Errors are the brokers' coming and going.
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            values.push(text(&message));
        }
    }
    values.sort();
    values
}

fn text(message: &impl Message) -> String {
    String::from_utf8(message.payload().unwrap().to_vec()).unwrap()
}

/// Runs one of Kafka's own tools; what it says.
#[track_caller]
pub(crate) fn kafka_tool(class: &str, brokers: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/kafka/cli.sh"));
    let output = command.arg(class).args(arguments).args(["--bootstrap-server", brokers]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Asks until `check` gives a value; panics with its last complaint.
#[track_caller]
pub(crate) fn eventually<T>(mut check: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        match check() {
            Ok(value) => return value,
            Err(complaint) => assert!(Instant::now() < deadline, "not within {SOON:?}: {complaint}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
