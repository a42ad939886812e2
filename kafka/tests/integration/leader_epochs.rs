//! Leader epochs on records and on positions.

use std::time::Duration;

use balancefleet_kafka::set_leader_epoch;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::support::{TIMEOUT, broker, new_topic, produce, settle, unique};

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
        settle("the partition can be sought", || {
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

#[test]
fn a_partition_the_list_does_not_have_gets_no_epoch() {
    let mut list = TopicPartitionList::new();
    list.add_partition("t", 1);
    for (topic, partition) in [("t", 0), ("u", 1), ("t\0", 1)] {
        assert!(set_leader_epoch(&mut list, topic, partition, 3).is_err(), "{topic} {partition}");
    }
    assert_eq!(set_leader_epoch(&mut list, "t", 1, 3), Ok(()));
}
