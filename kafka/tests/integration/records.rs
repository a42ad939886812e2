//! What a member's record queue promises.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use balancefleet_kafka::{ErrorKind, Fetched, RecordQueue};
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::support::{TIMEOUT, broker, new_topic, produce, unique, wait_until};

const SLICE: Duration = Duration::from_millis(50);
const BATCH: usize = 256;

type Records = RecordQueue<DefaultConsumerContext>;

fn config() -> ClientConfig {
    let mut config = broker().client_config();
    config.set("group.id", unique("records")).set("auto.offset.reset", "error").set("fetch.wait.max.ms", "50");
    config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    config
}

/// A consumer, and the queue for its records of `topic`.
fn open(topic: &str) -> (Arc<BaseConsumer>, Records) {
    let consumer: Arc<BaseConsumer> = Arc::new(config().create().expect("the settings are fine"));
    let records = RecordQueue::new(Arc::clone(&consumer), topic).expect("it has a group");
    (consumer, records)
}

fn list(topic: &str, starts: &[(i32, i64)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (partition, start) in starts {
        list.add_partition_offset(topic, *partition, Offset::Offset(*start)).expect("the offset is fine");
    }
    list
}

/// As a worker does it.
fn assign(consumer: &BaseConsumer, records: &Records, topic: &str, starts: &[(i32, i64)]) {
    let partitions = || starts.iter().map(|(partition, _)| *partition);
    records.forward(partitions()).expect("the topic has a name");
    consumer.incremental_assign(&list(topic, starts)).expect("the list is fine");
    records.forward(partitions()).expect("the topic has a name");
}

/// Takes what comes within `wait`: partition and offset. Nothing may come by the consumer's own queue.
fn take(consumer: &BaseConsumer, records: &Records, wait: Duration) -> Vec<(i32, i64)> {
    let batch = records.take(wait, BATCH);
    let taken = batch.iter().map(|fetched| match fetched {
        Fetched::Record(record) => (record.partition, record.offset),
        Fetched::End { partition, .. } => panic!("{partition}: nobody has asked for ends"),
        Fetched::Failed { partition, error } => panic!("{partition}: {error}"),
    });
    assert!(consumer.poll(Duration::ZERO).is_none());
    taken.collect()
}

#[test]
fn every_record_comes_once_and_in_order_however_often_its_partition_comes_and_goes() {
    const RECORDS: usize = 3000;
    let topic = new_topic("comes-and-goes", 3);
    (0..3).for_each(|partition| produce(&topic, partition, RECORDS));
    let (consumer, records) = open(&topic);
    let mut next = BTreeMap::from([(0, 0), (1, 0), (2, 0)]);
    let starts = |next: &BTreeMap<i32, i64>, from: i32| {
        next.range(from..).map(|(partition, next)| (*partition, *next)).collect::<Vec<_>>()
    };
    assign(&consumer, &records, &topic, &starts(&next, 0));
    let mut round = 0;
    wait_until("all of them have come", || {
        for (partition, offset) in take(&consumer, &records, SLICE) {
            let next = next.get_mut(&partition).expect("it was asked for");
            assert_eq!(offset, *next, "of partition {partition} in round {round}");
            *next += 1;
        }
        // Records are on their way, in the client and in the queue. The first partition stays.
        let moved = starts(&next, 1);
        consumer.incremental_unassign(&list(&topic, &moved)).expect("they are assigned");
        assign(&consumer, &records, &topic, &moved);
        round += 1;
        next.values().all(|next| *next == RECORDS as i64)
    });
}

#[test]
fn what_was_not_asked_for_waits_for_the_next_call() {
    let topic = new_topic("at-most", 1);
    produce(&topic, 0, 100);
    let (consumer, records) = open(&topic);
    assign(&consumer, &records, &topic, &[(0, 0)]);
    let mut seen = Vec::new();
    wait_until("all of them have come", || {
        let batch = records.take(SLICE, 7);
        assert!(batch.len() <= 7);
        seen.extend(batch.iter().map(|fetched| match fetched {
            Fetched::Record(record) => record.offset,
            Fetched::End { partition, .. } => panic!("{partition}: nobody has asked for ends"),
            Fetched::Failed { partition, error } => panic!("{partition}: {error}"),
        }));
        seen.len() == 100
    });
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
}

#[test]
fn whoever_waits_is_woken_up_by_what_comes_to_the_consumer_itself() {
    let topic = new_topic("wakes", 1);
    let (consumer, records) = open(&topic);
    consumer.subscribe(&[&topic]).expect("the name is fine");
    consumer.poll(Duration::ZERO);
    let begun = Instant::now();
    // What comes first is its assignment.
    while !records.has_events() && begun.elapsed() < TIMEOUT {
        assert!(records.take(TIMEOUT, BATCH).is_empty());
    }
    assert!(begun.elapsed() < TIMEOUT);
    assert!(records.has_events());
}

#[test]
fn whoever_comes_to_wait_after_a_wake_up_does_not_wait() {
    let (_consumer, records) = open(&new_topic("woken", 1));
    let begun = Instant::now();
    records.wake();
    assert!(records.take(TIMEOUT, BATCH).is_empty());
    assert!(begun.elapsed() < TIMEOUT / 2);
}

#[test]
fn every_record_comes_once_when_all_partitions_are_assigned_again_and_again() {
    const RECORDS: usize = 3000;
    let topic = new_topic("again", 3);
    (0..3).for_each(|partition| produce(&topic, partition, RECORDS));
    let (consumer, records) = open(&topic);
    let mut next = [(0, 0), (1, 0), (2, 0)];
    let mut round = 0;
    wait_until("all of them have come", || {
        // As an eager group does it: now with, now without the last one.
        let assigned = &next[..2 + round % 2];
        let partitions = || assigned.iter().map(|(partition, _)| *partition);
        records.forward(partitions()).expect("the topic has a name");
        consumer.assign(&list(&topic, assigned)).expect("the list is fine");
        drop(consumer.assignment().expect("it runs"));
        records.forward(partitions()).expect("the topic has a name");
        for (partition, offset) in take(&consumer, &records, SLICE) {
            let (_, next) = &mut next[partition as usize];
            assert_eq!(offset, *next, "of partition {partition} in round {round}");
            *next += 1;
        }
        round += 1;
        next.iter().all(|(_, next)| *next == RECORDS as i64)
    });
}

#[test]
fn an_offset_that_the_log_does_not_have_is_told_with_its_partition() {
    let topic = new_topic("beyond", 2);
    produce(&topic, 0, 10);
    let (consumer, records) = open(&topic);
    assign(&consumer, &records, &topic, &[(0, 3), (1, 7)]);
    let (mut read, mut failed) = (0, Vec::new());
    wait_until("both have given something", || {
        for fetched in records.take(SLICE, BATCH).iter() {
            match fetched {
                Fetched::Record(record) => read += i32::from(record.partition == 0),
                Fetched::End { partition, .. } => panic!("{partition}: nobody has asked for ends"),
                Fetched::Failed { partition, error } => failed.push((partition, error.kind())),
            }
        }
        read == 7 && !failed.is_empty()
    });
    assert_eq!(failed, [(1, ErrorKind::OutOfRange)]);
    // It goes on from exactly where it is told to, and not one record later.
    produce(&topic, 1, 20);
    consumer.incremental_unassign(&list(&topic, &[(1, 0)])).expect("it is assigned");
    assign(&consumer, &records, &topic, &[(1, 7)]);
    let mut offsets = Vec::new();
    wait_until("the rest has come", || {
        offsets.extend(take(&consumer, &records, SLICE));
        offsets.len() == 13
    });
    assert_eq!(offsets, (7..20).map(|offset| (1, offset)).collect::<Vec<_>>());
}

#[test]
fn a_partition_whose_offset_was_not_there_loses_no_record_to_a_pause() {
    let topic = new_topic("pauses", 1);
    let (consumer, records) = open(&topic);
    assign(&consumer, &records, &topic, &[(0, 3)]);
    let mut failed = false;
    wait_until("it is told", || {
        failed |= records.take(SLICE, BATCH).iter().any(|fetched| matches!(fetched, Fetched::Failed { .. }));
        failed
    });
    produce(&topic, 0, 10);
    let partition = list(&topic, &[(0, 3)]);
    consumer.pause(&partition).expect("it is assigned");
    consumer.resume(&partition).expect("it is assigned");
    let first = take(&consumer, &records, Duration::from_secs(3)).first().copied();
    assert!(first.is_none_or(|first| first == (0, 3)), "{first:?}");
}

/// A name as another client may write it.
#[allow(unsafe_code, reason = "the safe crate offers no other way to write such a name")]
fn name(bytes: &[u8]) -> &str {
    // SAFETY: it is only handed on to librdkafka, which takes bytes and a length.
    unsafe { str::from_utf8_unchecked(bytes) }
}

#[test]
fn every_header_is_read_whatever_its_name() {
    let topic = new_topic("headers", 1);
    let producer: BaseProducer = broker().client_config().create().expect("the settings are fine");
    let written = OwnedHeaders::new()
        .insert(Header { key: "trace", value: Some("abc") })
        .insert(Header { key: name(&[b'x', 0xff, 0xfe]), value: Some("not text") })
        .insert(Header { key: "none", value: None::<&str> })
        .insert(Header { key: "trace", value: Some("") });
    let record = BaseRecord::<str, str>::to(&topic).partition(0).payload("v").headers(written);
    producer.send(record).map_err(|(error, _)| error).expect("there is room");
    producer.flush(TIMEOUT).expect("it is written");

    let (consumer, records) = open(&topic);
    assign(&consumer, &records, &topic, &[(0, 0)]);
    let mut headers = Vec::new();
    wait_until("it comes", || {
        let batch = records.take(SLICE, 1);
        let Some(Fetched::Record(record)) = batch.iter().next() else { return false };
        assert_eq!((record.value, record.key), (Some(b"v".as_slice()), None));
        headers = record.headers();
        true
    });
    let expected =
        [("trace", Some("abc")), ("x\u{fffd}\u{fffd}", Some("not text")), ("none", None), ("trace", Some(""))];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.map(|value| value.as_bytes().to_vec())));
    assert_eq!(headers, expected);
}
