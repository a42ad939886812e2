//! Topics of a test's own, and what is in them.

use std::{
    collections::BTreeMap,
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rdkafka::{
    ClientConfig, TopicPartitionList,
    admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{Header, OwnedHeaders, OwnedMessage},
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::{SOON, eventually};

/// The brokers' own: one replica on a single broker, three on three.
const REPLICATION: TopicReplication<'_> = TopicReplication::Fixed(-1);

/// How long a test that is over waits for the brokers.
const AT_THE_END: Duration = Duration::from_secs(10);

/// A topic and a group nobody else uses.
pub(crate) struct Stream {
    pub(crate) bootstrap: String,
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) partitions: i32,
    producer: BaseProducer,
}

/// A stream of 6 partitions, as the .NET consumers that the worker replaces have.
pub(crate) fn stream(name: &str) -> Stream {
    stream_of(name, 6, &[])
}

/// A stream with `partitions` and topic settings of its own.
pub(crate) fn stream_of(name: &str, partitions: i32, settings: &[(&str, &str)]) -> Stream {
    let stream = Stream::unmade(name, partitions);
    stream.make(settings);
    stream
}

/// Deletes the topics: whatever a broker does at intervals or for each fetch, it does for every partition there is.
/// Those of a test that failed stay.
impl Drop for Stream {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let delete = || -> Result<(), KafkaError> {
            let metadata = self.producer.client().fetch_metadata(None, AT_THE_END)?;
            let names = metadata.topics().iter().map(|topic| topic.name());
            let names: Vec<_> = names.filter(|name| name.starts_with(&self.topic)).collect();
            if names.is_empty() {
                return Ok(());
            }
            let options = AdminOptions::new().request_timeout(Some(AT_THE_END));
            let deleted = block_on(self.admin().delete_topics(&names, &options))?;
            deleted.into_iter().find_map(Result::err).map_or(Ok(()), |(_, code)| Err(KafkaError::AdminOp(code)))
        };
        if let Err(error) = delete() {
            eprintln!("topics of {} are left: {error}", self.topic);
        }
    }
}

impl Stream {
    /// The names alone: the topic does not exist yet.
    pub(crate) fn unmade(name: &str, partitions: i32) -> Self {
        let bootstrap =
            std::env::var("BALANCEFLEET_TEST_KAFKA").expect("make integration sets BALANCEFLEET_TEST_KAFKA");
        Self::unmade_at(bootstrap, name, partitions)
    }

    /// The same at other brokers.
    pub(crate) fn unmade_at(bootstrap: String, name: &str, partitions: i32) -> Self {
        let unique = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &bootstrap)
            .set("enable.idempotence", "true")
            .set("linger.ms", "2")
            // Partitions that a test adds are to be seen soon.
            .set("topic.metadata.refresh.interval.ms", "1000")
            .create()
            .unwrap();
        let topic = format!("{name}-{unique}");
        Self { bootstrap, group: format!("{topic}-group"), topic, partitions, producer }
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.bootstrap).create().unwrap()
    }

    pub(crate) fn make(&self, settings: &[(&str, &str)]) {
        let topic = NewTopic::new(&self.topic, self.partitions, REPLICATION);
        let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let made = block_on(self.admin().create_topics([&topic], &AdminOptions::new())).unwrap();
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }

    pub(crate) fn delete(&self) {
        self.delete_topic(&self.topic);
    }

    /// Deletes any topic, and waits until its name is free.
    pub(crate) fn delete_topic(&self, name: &str) {
        let deleted = block_on(self.admin().delete_topics(&[name], &AdminOptions::new())).unwrap();
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
        std::thread::sleep(Duration::from_secs(2));
    }

    /// Removes every record below `offset`, as retention would.
    pub(crate) fn delete_records_before(&self, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, rdkafka::Offset::Offset(offset)).unwrap();
        block_on(self.admin().delete_records(&list, &AdminOptions::new())).unwrap();
    }

    /// Appends values to one partition and waits until they are there.
    pub(crate) fn produce<'a>(&self, partition: i32, values: impl IntoIterator<Item = &'a str>) {
        for value in values {
            self.send(partition, Some(value));
        }
        self.flush();
    }

    /// Appends one value, `None` for a tombstone, without waiting.
    pub(crate) fn send(&self, partition: i32, value: Option<&str>) {
        let mut record = BaseRecord::<[u8], str>::to(&self.topic).partition(partition);
        record.payload = value;
        while let Err((_, back)) = self.producer.send(record) {
            self.producer.poll(Duration::from_millis(20));
            record = back;
        }
    }

    pub(crate) fn flush(&self) {
        self.producer.flush(Duration::from_secs(30)).unwrap();
    }

    /// Adds partitions to the input.
    pub(crate) fn grow_to(&self, partitions: usize) {
        let more = NewPartitions::new(&self.topic, partitions);
        let grown = block_on(self.admin().create_partitions([&more], &AdminOptions::new())).unwrap();
        assert!(grown.iter().all(Result::is_ok), "{grown:?}");
    }

    /// Another topic beside the input.
    pub(crate) fn make_beside(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let topic = NewTopic::new(name, partitions, REPLICATION);
        let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let made = block_on(self.admin().create_topics([&topic], &AdminOptions::new())).unwrap();
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }

    /// Gives a topic these settings, and the brokers' own for all others.
    pub(crate) fn configure(&self, topic: &str, settings: &[(&str, &str)]) {
        let all = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let all = settings.iter().fold(all, |all, (key, value)| all.set(key, value));
        let altered = block_on(self.admin().alter_configs([&all], &AdminOptions::new())).unwrap();
        assert!(altered.iter().all(Result::is_ok), "{altered:?}");
    }

    /// A setting of a topic.
    pub(crate) fn setting_of(&self, topic: &str, name: &str) -> String {
        let asked = [ResourceSpecifier::Topic(topic)];
        let described = block_on(self.admin().describe_configs(&asked, &AdminOptions::new())).unwrap();
        described.into_iter().next().unwrap().unwrap().get(name).and_then(|entry| entry.value.clone()).unwrap()
    }

    /// Writes one record to any topic, and waits.
    pub(crate) fn write(&self, topic: &str, partition: i32, key: &[u8], value: Option<&[u8]>) {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition).key(key);
        record.payload = value;
        self.producer.send(record).unwrap();
        self.flush();
    }

    /// One input record with key and headers.
    pub(crate) fn send_whole(&self, partition: i32, key: &str, headers: &[(&str, &str)], value: &[u8]) {
        let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value.as_bytes()) })
        });
        let record = BaseRecord::<str, [u8]>::to(&self.topic).partition(partition).key(key).headers(headers);
        self.producer.send(record.payload(value)).unwrap();
        self.flush();
    }

    /// Everything committed in a topic.
    pub(crate) fn read(&self, topic: &str) -> Vec<OwnedMessage> {
        let reader: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", format!("{}-reader", self.group))
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let known = reader.fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
        let count = known.topics()[0].partitions().len();
        let mut list = TopicPartitionList::new();
        for partition in 0..i32::try_from(count).unwrap() {
            list.add_partition_offset(topic, partition, rdkafka::Offset::Beginning).unwrap();
        }
        reader.assign(&list).unwrap();
        let (mut ends, mut found) = (0, Vec::new());
        while ends < count {
            match reader.poll(Duration::from_secs(10)).expect("records or the end") {
                Ok(record) => found.push(record.detach()),
                Err(KafkaError::PartitionEOF(_)) => ends += 1,
                Err(error) => panic!("{error}"),
            }
        }
        found
    }

    /// As Kafka does a week after the last member has left.
    pub(crate) fn forget_group(&self) {
        let deleted = block_on(self.admin().delete_groups(&[&self.group], &AdminOptions::new())).unwrap();
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    }

    fn observer(&self) -> BaseConsumer {
        ClientConfig::new().set("bootstrap.servers", &self.bootstrap).set("group.id", &self.group).create().unwrap()
    }

    /// Waits until a partition of any topic has more than `count` records, or gives up.
    #[track_caller]
    pub(crate) fn await_records(&self, topic: &str, partition: i32, count: i64) {
        let observer = self.observer();
        eventually(SOON, || match observer.fetch_watermarks(topic, partition, Duration::from_secs(1)) {
            Ok((_, end)) if end > count => Ok(()),
            found => Err(format!("{found:?}")),
        });
    }

    /// The end of every partition.
    pub(crate) fn ends(&self) -> BTreeMap<i32, i64> {
        (0..self.partitions).map(|partition| (partition, self.end_of(&self.topic, partition))).collect()
    }

    /// The end of one partition of `topic`. Of a young topic a broker does not know all partitions at once.
    #[track_caller]
    pub(crate) fn end_of(&self, topic: &str, partition: i32) -> i64 {
        let (observer, patience) = (self.observer(), Duration::from_secs(10));
        let ends = || observer.fetch_watermarks(topic, partition, patience).map_err(|error| error.to_string());
        eventually(SOON, ends).1
    }

    /// What the group has committed, with metadata; partitions without are absent.
    pub(crate) fn committed(&self) -> BTreeMap<i32, (i64, String)> {
        self.try_committed().unwrap()
    }

    /// The same; a young broker has no coordinator yet.
    fn try_committed(&self) -> Result<BTreeMap<i32, (i64, String)>, String> {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.topic, 0, self.partitions - 1);
        let found = self.observer().committed_offsets(list, Duration::from_secs(10));
        let found = found.map_err(|error| error.to_string())?;
        let elements = found.elements();
        let entry = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            let offset = element.offset().to_raw().filter(|offset| *offset >= 0)?;
            Some((element.partition(), (offset, element.metadata().to_owned())))
        };
        Ok(elements.iter().filter_map(entry).collect())
    }

    /// Commits the same offset everywhere, without our metadata.
    pub(crate) fn commit_as_another_program(&self, offset: i64) {
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions {
            list.add_partition_offset(&self.topic, partition, rdkafka::Offset::Offset(offset)).unwrap();
        }
        self.observer().commit(&list, rdkafka::consumer::CommitMode::Sync).unwrap();
    }

    /// Commits an offset of one partition with this metadata.
    pub(crate) fn commit_with(&self, partition: i32, offset: i64, metadata: &str) {
        let mut list = TopicPartitionList::new();
        let mut entry = list.add_partition(&self.topic, partition);
        entry.set_offset(rdkafka::Offset::Offset(offset)).unwrap();
        entry.set_metadata(metadata);
        self.observer().commit(&list, rdkafka::consumer::CommitMode::Sync).unwrap();
    }

    /// Kafka's own tool, as the worker's sentences advise it. A worker that was killed is a member until its session
    /// ends.
    #[track_caller]
    pub(crate) fn delete_offsets(&self) {
        let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/../e2e/kafka/cli.sh");
        let mut words = vec!["ConsumerGroups", "--bootstrap-server", self.bootstrap.as_str(), "--delete-offsets"];
        words.extend(["--group", self.group.as_str(), "--topic", self.topic.as_str()]);
        eventually(SOON, || {
            let output = Command::new(tool).args(&words).output().unwrap();
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            if self.committed().is_empty() { Ok(()) } else { Err(said) }
        });
    }

    /// Whether everything there is was committed.
    pub(crate) fn is_committed(&self) -> Result<(), String> {
        let committed: BTreeMap<_, _> =
            self.try_committed()?.into_iter().map(|(partition, (offset, _))| (partition, offset)).collect();
        let ends = self.ends();
        if committed == ends { Ok(()) } else { Err(format!("committed {committed:?}, ends {ends:?}")) }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
