//! Leader epochs on records and on positions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use balancefleet_kafka::{
    ErrorKind, Fetched, Position, RecordQueue, Validity, look_up_positions, set_leader_epoch, validate,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::support::{TIMEOUT, broker, new_topic, produce, unique, wait_until};

fn reader() -> BaseConsumer {
    let mut config = broker().client_config();
    config.set("group.id", unique("reader")).set("auto.offset.reset", "error");
    config.create().expect("the settings are fine")
}

fn place(topic: &str, offset: i64, epoch: i32) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(offset)).expect("the offset is fine");
    set_leader_epoch(&mut list, topic, 0, epoch).expect("the list has the partition");
    list
}

/// The offset of the next record, or why there is none.
fn next(consumer: &BaseConsumer) -> Result<i64, Code> {
    match consumer.poll(TIMEOUT).expect("something comes") {
        Ok(record) => Ok(record.offset()),
        Err(KafkaError::MessageConsumption(code)) => Err(code),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn an_assignment_under_an_epoch_the_log_does_not_have_is_told_and_not_read_over() {
    let topic = new_topic("assigned", 1);
    produce(&topic, 0, 10);
    let consumer = reader();
    consumer.assign(&place(&topic, 5, 0)).expect("the list is fine");
    assert_eq!(next(&consumer), Ok(5));

    let consumer = reader();
    consumer.assign(&place(&topic, 5, 7)).expect("the list is fine");
    let mut seen = next(&consumer);
    // Some records may be fetched before the answer is there.
    while seen.is_ok() {
        seen = next(&consumer);
    }
    assert_eq!(seen, Err(Code::AutoOffsetReset));
}

#[test]
fn seeking_under_an_epoch_the_log_does_not_have_is_told_before_anything_is_read() {
    let topic = new_topic("sought", 1);
    produce(&topic, 0, 10);
    let consumer = reader();
    consumer.assign(&place(&topic, 0, 0)).expect("the list is fine");
    assert_eq!(next(&consumer), Ok(0));
    let seek = |offset, epoch| {
        wait_until("the partition can be sought", || {
            consumer
                .seek_partitions(place(&topic, offset, epoch), Duration::from_secs(5))
                .is_ok_and(|list| list.elements().iter().all(|element| element.error().is_ok()))
        });
    };

    seek(5, 0);
    assert_eq!(next(&consumer), Ok(5));
    seek(5, 7);
    assert_eq!(next(&consumer), Err(Code::AutoOffsetReset));
}

const fn position(partition: i32, offset: i64, leader_epoch: i32) -> Position {
    Position { partition, offset, leader_epoch }
}

/// A consumer that has known the topic's leaders before its partitions are assigned, as a member of a group has.
fn acquainted(topic: &str) -> Arc<BaseConsumer> {
    let mut config = broker().client_config();
    config.set("group.id", unique("reader")).set("auto.offset.reset", "error").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().expect("the settings are fine");
    consumer.fetch_metadata(Some(topic), TIMEOUT).expect("the broker answers");
    consumer.assign(&place(topic, 0, 0)).expect("the list is fine");
    assert_eq!(next(&consumer), Ok(0));
    consumer.unassign().expect("it was assigned");
    Arc::new(consumer)
}

/// What comes first of partition 0 after its position was sought: an offset, its end, or what kind of failure.
fn first_after(topic: &str, offset: i64, epoch: i32) -> Result<Option<i64>, ErrorKind> {
    let consumer = acquainted(topic);
    let records = RecordQueue::new(consumer.clone(), topic).expect("it has a group");
    consumer.assign(&place(topic, offset, epoch)).expect("the list is fine");
    drop(consumer.assignment().expect("it has one"));
    records.forward([0]).expect("the name is fine");
    let begun = Instant::now();
    wait_until("the position is sought", || {
        validate(&consumer, topic, &[position(0, offset, epoch)], Duration::from_millis(100)).expect("it is fine")
            == [0]
    });
    assert!(begun.elapsed() < TIMEOUT);
    loop {
        assert!(consumer.poll(Duration::ZERO).is_none());
        if let Some(fetched) = records.take(Duration::from_millis(100), 1).iter().next() {
            return match fetched {
                Fetched::Record(record) => Ok(Some(record.offset)),
                Fetched::End { .. } => Ok(None),
                Fetched::Failed { error, .. } => Err(error.kind()),
            };
        }
        assert!(begun.elapsed() < TIMEOUT, "nothing comes");
    }
}

#[test]
fn a_position_that_is_validated_comes_with_its_next_record_with_the_end_or_with_a_failure() {
    let topic = new_topic("validated", 1);
    produce(&topic, 0, 10);
    assert_eq!(first_after(&topic, 5, 0), Ok(Some(5)));
    assert_eq!(first_after(&topic, 10, 0), Ok(None));
    assert_eq!(first_after(&topic, 5, 7), Err(ErrorKind::OutOfRange));
    assert_eq!(first_after(&topic, 10, 7), Err(ErrorKind::OutOfRange));
}

#[test]
fn positions_are_looked_up_without_a_group() {
    let topic = new_topic("looked-up", 5);
    (0..5).for_each(|partition| produce(&topic, partition, 10));
    let mut config = broker().client_config();
    config.set("group.id", unique("reader"));
    let positions = [position(0, 5, 0), position(1, 10, 0), position(2, 5, 7), position(3, 10, 7), position(4, 11, 0)];
    let found = look_up_positions(&config, &topic, &positions, TIMEOUT).expect("the settings are fine");
    let validity = [Validity::InLog, Validity::InLog, Validity::NotInLog, Validity::NotInLog, Validity::NotInLog];
    assert_eq!(found, (0..5).zip(validity).collect::<Vec<_>>());
}

#[test]
fn a_partition_the_list_does_not_have_gets_no_epoch() {
    let mut list = TopicPartitionList::new();
    list.add_partition("t", 1);
    for (topic, partition) in [("t", 0), ("u", 1), ("t\0", 1)] {
        assert!(set_leader_epoch(&mut list, topic, partition, 3).is_err(), "{topic} {partition}");
    }
    assert_eq!(set_leader_epoch(&mut list, "t", 1, 3), Ok(()));
}
