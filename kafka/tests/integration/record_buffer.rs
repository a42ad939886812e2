//! Records that are written together, on a broker that is well.

use balancefleet_kafka::{AbortReason, RecordBuffer};
use rdkafka::Message;

use crate::producer::{deadline, registered_with, why};
use crate::support::{TIMEOUT, new_topic, read, read_partition};

fn records(of: impl Iterator<Item = usize>, size: usize) -> RecordBuffer {
    let mut records = RecordBuffer::default();
    of.for_each(|number| records.push(format!("k{number}").as_bytes(), format!("{number:0size$}").as_bytes()));
    records
}

#[test]
fn records_arrive_once_each_in_their_order_however_few_the_queue_takes() {
    let topic = new_topic("records", 3);
    let producer = registered_with("queue.buffering.max.messages", "100");
    producer.begin().expect("it begins");
    for (partition, first) in [(2, 0), (1, 1000), (2, 1000)] {
        let mut records = records(first..first + 1000, 8);
        producer.send_records(&topic, partition, &mut records, deadline()).expect("there is room in time");
        assert_eq!(records.size(), 0);
        producer.send_records(&topic, partition, &mut records, deadline()).expect("none is not too many");
    }
    producer.commit(TIMEOUT).expect("it commits");
    for (partition, expected) in [(0, 0..0), (1, 1000..2000), (2, 0..2000)] {
        let found = read_partition(&topic, partition, "read_committed");
        let found: Vec<_> = found.iter().map(|record| (record.key(), record.payload())).collect();
        let expected: Vec<_> = expected.map(|number| (format!("k{number}"), format!("{number:08}"))).collect();
        let expected = expected.iter().map(|(key, value)| (Some(key.as_bytes()), Some(value.as_bytes())));
        assert_eq!(found, expected.collect::<Vec<_>>());
    }
}

#[test]
fn refused_records_are_told_and_the_rest_goes_with_an_abort() {
    let topic = new_topic("records", 1);
    let producer = registered_with("message.max.bytes", "2000");
    let send = |partition, mut records| {
        producer.begin().expect("it begins");
        let sent = producer.send_records(&topic, partition, &mut records, deadline());
        let outcome = sent.and_then(|()| producer.flush(deadline()));
        producer.abort(TIMEOUT).expect("it aborts");
        why(outcome)
    };
    let mut with_a_large_one = records(0..3, 8);
    with_a_large_one.push(b"k", &[b'x'; 10_000]);
    with_a_large_one.push(b"k", b"after it");
    assert_eq!(send(0, with_a_large_one), AbortReason::TooLarge);
    assert_eq!(send(7, records(0..3, 8)), AbortReason::UnknownPartition);
    assert!(read(&topic, "read_committed").is_empty());
    let outside = producer.send_records(&topic, 0, &mut records(0..1, 8), deadline());
    assert!(outside.is_err(), "records outside a transaction");
}
