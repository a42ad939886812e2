//! What reading in batches promises.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use balancefleet_kafka::{BatchReader, Error, TransactionalProducer};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::forwarder::{Forwarder, Mode};
use crate::producer::{deadline, registered, value};
use crate::support::{
    TIMEOUT, broker, configured_topic, delete_records, new_topic, produce, settled_end, unique, wait_until,
};

const SLICE: Duration = Duration::from_millis(50);

/// Offsets by partition, in the order in which they were read.
type Offsets = BTreeMap<i32, Vec<i64>>;

fn config() -> ClientConfig {
    let mut config = broker().client_config();
    config.set("group.id", "restore").set("isolation.level", "read_committed").set("check.crcs", "true");
    config.set("fetch.wait.max.ms", "100").set("fetch.queue.backoff.ms", "2").set("fetch.message.max.bytes", "4194304");
    config.set("queued.max.messages.kbytes", "4096").set("enable.auto.commit", "false");
    config
}

fn open(topic: &str, starts: &[(i32, i64)]) -> BatchReader {
    BatchReader::open(&config(), topic, starts.iter().copied()).expect("the settings are fine")
}

/// Reads until each partition has reached its target, as a restore does.
fn read_to(reader: &mut BatchReader, targets: &[(i32, i64)]) -> Offsets {
    let mut offsets = Offsets::new();
    wait_until("every target is reached", || {
        let read = reader.read(SLICE, |record| offsets.entry(record.partition).or_default().push(record.offset));
        read.expect("nothing is wrong");
        reader.positions().iter().zip(targets).all(|(at, target)| at.0 == target.0 && at.1 >= target.1)
    });
    offsets
}

fn error_of(reader: &mut BatchReader) -> Error {
    let mut error = None;
    wait_until("it is told", || {
        error = reader.read(SLICE, |_| {}).err();
        error.is_some()
    });
    assert_eq!(reader.read(SLICE, |_| panic!("nothing is handed out any more")).err(), error);
    error.expect("it was just there")
}

fn transaction(producer: &TransactionalProducer, topic: &str, partition: i32, records: usize, commits: bool) {
    producer.begin().expect("it begins");
    (0..records).for_each(|_| producer.send(&value(topic, partition, "x"), deadline()).expect("there is room"));
    producer.flush(deadline()).expect("they are acknowledged");
    if commits {
        producer.commit(TIMEOUT).expect("it commits");
    } else {
        producer.abort(TIMEOUT).expect("it aborts");
    }
}

/// Partition 0 ends with a commit, 1 with an abort, 2 with many of both, 3 with plain records, 4 is empty.
fn topic_with_markers() -> String {
    let topic = new_topic("markers", 5);
    let producer = registered(&broker(), &unique("id"));
    transaction(&producer, &topic, 0, 3, false); // 0 1 2, marker 3
    transaction(&producer, &topic, 0, 2, true); // 4 5, marker 6
    transaction(&producer, &topic, 1, 2, true); // 0 1, marker 2
    transaction(&producer, &topic, 1, 1, false); // 3, marker 4
    for _ in 0..10 {
        transaction(&producer, &topic, 2, 1, true); // 0 + 4 n, marker
        transaction(&producer, &topic, 2, 1, false); // aborted, marker
    }
    produce(&topic, 3, 4);
    topic
}

#[test]
fn every_committed_record_is_read_once_and_in_order_and_positions_reach_the_high_watermark() {
    let topic = topic_with_markers();
    let targets: Vec<_> = (0..5).map(|partition| (partition, settled_end(&topic, partition))).collect();
    assert_eq!(targets, [(0, 7), (1, 5), (2, 40), (3, 4), (4, 0)]);
    let mut reader = open(&topic, &[(4, 0), (2, 0), (0, 0), (3, 0), (1, 0)]);

    let offsets = read_to(&mut reader, &targets);

    let many = (0..10).map(|at| 4 * at).collect();
    let expected = [(0, vec![4, 5]), (1, vec![0, 1]), (2, many), (3, vec![0, 1, 2, 3])];
    assert_eq!(offsets, Offsets::from(expected));
    assert_eq!(reader.positions(), targets, "reached, and not passed");
}

#[test]
fn positions_stay_at_the_end_until_what_follows_is_read() {
    let topic = topic_with_markers();
    let mut reader = open(&topic, &[(0, 0), (3, 0)]);
    let ends = [(0, 7), (3, 4)];
    read_to(&mut reader, &ends);
    // The ends themselves come a little later than the last records.
    for _ in 0..10 {
        assert_eq!(reader.read(SLICE, |record| panic!("{record:?} was read before")), Ok(0));
        assert_eq!(reader.positions(), ends);
    }

    produce(&topic, 3, 1);
    transaction(&registered(&broker(), &unique("id")), &topic, 0, 1, true);
    assert_eq!(reader.positions(), ends, "nobody has read it yet");

    let offsets = read_to(&mut reader, &[(0, 9), (3, 5)]);
    assert_eq!(offsets, Offsets::from([(0, vec![7]), (3, vec![4])]));
}

#[test]
fn a_lone_marker_where_the_end_was_is_passed_too() {
    let topic = configured_topic("lone", 1, &[("max.message.bytes", "2000")]);
    produce(&topic, 0, 3);
    let mut reader = open(&topic, &[(0, 0)]);
    read_to(&mut reader, &[(0, 3)]);
    wait_until("the end is seen", || reader.read(SLICE, |_| {}) == Ok(0));

    // The partition takes part in the transaction before its record is refused.
    let (producer, large) = (registered(&broker(), &unique("id")), "x".repeat(10_000));
    producer.begin().expect("it begins");
    producer.send(&value(&topic, 0, &large), deadline()).expect("there is room");
    assert!(producer.flush(deadline()).is_err());
    producer.abort(TIMEOUT).expect("it aborts");

    wait_until("the marker is written", || settled_end(&topic, 0) == 4);
    assert_eq!(read_to(&mut reader, &[(0, 4)]), Offsets::new());
    assert_eq!(reader.positions(), [(0, 4)]);
}

#[test]
fn an_open_transaction_holds_the_position_back_until_it_ends() {
    let topic = new_topic("held", 1);
    let producer = registered(&broker(), &unique("id"));
    produce(&topic, 0, 2);
    producer.begin().expect("it begins");
    producer.send(&value(&topic, 0, "x"), deadline()).expect("there is room");
    producer.flush(deadline()).expect("it is acknowledged");
    let mut reader = open(&topic, &[(0, 0)]);
    assert_eq!(read_to(&mut reader, &[(0, 2)])[&0], [0, 1]);
    for _ in 0..5 {
        assert_eq!(reader.read(SLICE, |record| panic!("{record:?} is not committed")), Ok(0));
        assert_eq!(reader.positions(), [(0, 2)]);
    }

    producer.commit(TIMEOUT).expect("it commits");

    assert_eq!(read_to(&mut reader, &[(0, 4)])[&0], [2]);
}

#[test]
fn what_is_read_is_what_was_written() {
    let topic = new_topic("read", 1);
    let producer: BaseProducer = broker().client_config().create().expect("the settings are fine");
    producer.send(BaseRecord::to(&topic).partition(0).key(&[1, 0]).payload("value")).expect("there is room");
    producer.send(BaseRecord::<str, str>::to(&topic).partition(0).key("gone")).expect("there is room");
    producer.send(BaseRecord::<str, str>::to(&topic).partition(0).payload("")).expect("there is room");
    producer.flush(TIMEOUT).expect("the records are accepted");
    let mut reader = open(&topic, &[(0, 0)]);
    let mut records = Vec::new();
    wait_until("all are read", || {
        let own = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        reader
            .read(SLICE, |it| records.push((it.partition, it.offset, it.leader_epoch, own(it.key), own(it.value))))
            .expect("nothing is wrong");
        records.len() == 3
    });
    let expected = [
        (0, 0, Some(0), Some(vec![1, 0]), Some(b"value".to_vec())),
        (0, 1, Some(0), Some(b"gone".to_vec()), None),
        (0, 2, Some(0), None, Some(Vec::new())),
    ];
    assert_eq!(records, expected);
}

#[test]
fn reading_begins_where_it_is_told_and_waits_no_longer_than_allowed() {
    let topic = new_topic("middle", 2);
    produce(&topic, 0, 10);
    let mut reader = open(&topic, &[(0, 6), (1, 0)]);
    assert_eq!(reader.positions(), [(0, 6), (1, 0)]);
    assert_eq!(read_to(&mut reader, &[(0, 10), (1, 0)]), Offsets::from([(0, vec![6, 7, 8, 9])]));
    wait_until("both ends are seen", || {
        let begun = Instant::now();
        let read = reader.read(SLICE, |_| {});
        assert!(begun.elapsed() < SLICE + Duration::from_secs(1));
        read == Ok(0) && begun.elapsed() >= SLICE
    });
}

#[test]
fn an_offset_below_the_log_start_or_beyond_the_end_is_told() {
    let topic = new_topic("range", 2);
    produce(&topic, 0, 10);
    produce(&topic, 1, 10);
    delete_records(&topic, 0, 4);
    for (partition, start) in [(0, 0), (1, 11)] {
        let mut reader = open(&topic, &[(partition, start)]);
        match error_of(&mut reader) {
            Error::OutOfRange { topic: named, partition: at, offset, .. } => {
                assert_eq!((named, at, offset), (topic.clone(), partition, start));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(reader.positions(), [(partition, start)]);
    }
}

#[test]
fn one_partitions_error_ends_the_reading_of_all() {
    let topic = new_topic("both", 2);
    produce(&topic, 1, 3);
    let mut reader = open(&topic, &[(0, 5), (1, 0)]);
    let error = error_of(&mut reader);
    assert!(matches!(error, Error::OutOfRange { partition: 0, offset: 5, .. }), "{error:?}");
    assert_eq!(reader.positions()[0], (0, 5));
}

#[test]
fn a_topic_that_is_not_there_is_told() {
    let mut config = config();
    // So long may a topic be known to some brokers only.
    config.set("topic.metadata.propagation.max.ms", "1000").set("topic.metadata.refresh.interval.ms", "1000");
    let mut reader = BatchReader::open(&config, &unique("nowhere"), [(0, 0)].into_iter()).expect("fine settings");
    let error = error_of(&mut reader);
    assert!(matches!(error, Error::UnknownTopic { .. }), "{error:?}");
}

#[test]
fn paused_partitions_are_read_no_further_and_the_others_are() {
    let topic = new_topic("paused", 2);
    produce(&topic, 0, 2);
    produce(&topic, 1, 2);
    let mut reader = open(&topic, &[(0, 0), (1, 0)]);
    read_to(&mut reader, &[(0, 2), (1, 2)]);

    reader.pause([0].into_iter());
    produce(&topic, 0, 5);
    produce(&topic, 1, 5);

    let mut offsets = Offsets::new();
    wait_until("the other goes on", || {
        let read = reader.read(SLICE, |record| offsets.entry(record.partition).or_default().push(record.offset));
        read.expect("nothing is wrong");
        reader.positions()[1] == (1, 7)
    });
    assert_eq!(offsets, Offsets::from([(1, vec![2, 3, 4, 5, 6])]));
    assert_eq!(reader.positions()[0], (0, 2));
}

#[test]
fn a_reader_goes_on_where_it_was_when_its_broker_returns_and_ends_at_once_without_one() {
    let topic = new_topic("interrupted", 1);
    produce(&topic, 0, 5);
    let forwarder = Forwarder::start(&broker());
    let mut through = forwarder.connection().client_config();
    through.set("group.id", "restore").set("reconnect.backoff.max.ms", "200");
    let mut reader = BatchReader::open(&through, &topic, [(0, 0)].into_iter()).expect("the settings are fine");
    assert_eq!(read_to(&mut reader, &[(0, 5)])[&0], [0, 1, 2, 3, 4]);

    forwarder.cut();
    produce(&topic, 0, 2);

    assert_eq!(read_to(&mut reader, &[(0, 7)])[&0], [5, 6]);
    forwarder.set(Mode::Silent);
    let begun = Instant::now();
    drop(reader);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());

    forwarder.set(Mode::Open);
    let mut reader = BatchReader::open(&through, &topic, [(0, 0)].into_iter()).expect("the settings are fine");
    read_to(&mut reader, &[(0, 7)]);
    let begun = Instant::now();
    reader.end();
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
    wait_until("its client has ended", || forwarder.in_use() == 0);
}

#[test]
fn settings_that_cannot_work_are_invalid() {
    let open = |starts: &[(i32, i64)]| BatchReader::open(&config(), "t", starts.iter().copied()).map(|_| ());
    assert_eq!(open(&[]), Ok(()));
    assert!(open(&[(0, 1), (0, 2)]).is_err());
    assert!(open(&[(0, -2)]).is_err());
    assert!(BatchReader::open(&broker().client_config(), "t", std::iter::empty()).is_err(), "there is no group.id");
}

/// Not a promise, a figure: how fast a million small records are read, and by polling one by one for comparison.
#[test]
fn a_million_records_are_read_whole() {
    const PARTITIONS: i32 = 6;
    const EACH: i64 = 170_000;
    let topic = new_topic("million", PARTITIONS);
    fill(&topic, PARTITIONS, EACH);
    let starts: Vec<_> = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
    let ends: Vec<_> = (0..PARTITIONS).map(|partition| (partition, EACH)).collect();

    let (mut reader, mut next) = (open(&topic, &starts), vec![0; 6]);
    let batches = timed(|| {
        while reader.positions() != ends {
            let read = reader.read(SLICE, |record| {
                let next = &mut next[record.partition as usize];
                assert_eq!(record.offset, *next);
                *next += 1;
            });
            read.expect("nothing is wrong");
        }
    });
    assert!(next.iter().all(|next| *next == EACH));

    let consumer: BaseConsumer = config().create().expect("the settings are fine");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(&topic, partition, Offset::Beginning).expect("the offset is fine");
    }
    consumer.assign(&list).expect("the list is fine");
    let mut left = EACH * i64::from(PARTITIONS);
    let polls = timed(|| {
        while left > 0 {
            left -= i64::from(consumer.poll(SLICE).is_some_and(|polled| polled.expect("a record").payload().is_some()));
        }
    });
    println!("{} records: batches {batches}, polls {polls}", EACH * i64::from(PARTITIONS));
}

fn fill(topic: &str, partitions: i32, each: i64) {
    let mut config = broker().client_config();
    config.set("linger.ms", "20").set("queue.buffering.max.messages", "2000000");
    let producer: BaseProducer = config.create().expect("the settings are fine");
    for partition in 0..partitions {
        for at in 0..each {
            let (key, payload) = (at.to_be_bytes(), [7; 32]);
            producer
                .send(BaseRecord::to(topic).partition(partition).key(&key).payload(&payload))
                .expect("there is room");
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(TIMEOUT).expect("the records are accepted");
}

/// What a piece of work took, by the clock and of the whole process's CPU time (librdkafka's threads included).
fn timed(work: impl FnOnce()) -> String {
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    work();
    format!("{:.2} s, {:.2} CPU-s", begun.elapsed().as_secs_f64(), cpu_seconds() - cpu)
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this is Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("it has fields").split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().expect("a number") + fields[12].parse::<f64>().expect("a number");
    ticks / 100.0
}
