//! What a transactional producer says of records and metadata that are too large, too many, or for nowhere.

use balancefleet_kafka::AbortReason;

use crate::producer::{deadline, member, offset, registered, registered_with, value, why};
use crate::support::{TIMEOUT, broker, configured_topic, new_topic, read, unique};

#[test]
fn a_record_too_large_for_the_topic_is_refused_and_wears_the_producer_out() {
    let (topic, id) = (configured_topic("small", 1, &[("max.message.bytes", "2000")]), unique("id"));
    let producer = registered(&broker(), &id);
    let large = "x".repeat(10_000);
    producer.begin().expect("it begins");
    producer.send(&value(&topic, 0, "fits"), deadline()).expect("there is room");
    producer.flush(deadline()).expect("it is acknowledged");
    producer.send(&value(&topic, 0, &large), deadline()).expect("the client does not know the topic's limit");
    let refused = producer.flush(deadline());
    let text = refused.as_ref().expect_err("it is refused").to_string();
    assert_eq!(why(refused), AbortReason::TooLarge);
    assert!(text.contains(&format!("partition 0 of topic {topic}")), "{text}");
    assert_eq!(why(producer.commit(TIMEOUT)), AbortReason::TooLarge, "there is no way but back");
    producer.abort(TIMEOUT).expect("it aborts");
    assert!(producer.take_in_doubt(), "the broker waits for a record with the number of the refused one");

    let successor = registered(&broker(), &id);
    successor.begin().expect("it begins");
    successor.send(&value(&topic, 0, "next"), deadline()).expect("there is room");
    successor.commit(TIMEOUT).expect("it commits");
    assert_eq!(read(&topic, "read_committed").len(), 1);
}

/// The broker counts the records of a producer, and the refused one is missing: a producer that is in doubt is not to
/// be used again.
#[test]
fn after_an_abort_for_size_the_next_transaction_on_that_partition_fails_too() {
    let topic = configured_topic("small", 2, &[("max.message.bytes", "2000")]);
    let producer = registered(&broker(), &unique("id"));
    let transaction = |partition, text: &str| {
        producer.begin().expect("it begins");
        producer.send(&value(&topic, partition, text), deadline()).expect("there is room");
        producer.commit(TIMEOUT)
    };
    assert_eq!(transaction(0, "fits"), Ok(()));
    assert_eq!(why(transaction(0, &"x".repeat(10_000))), AbortReason::TooLarge);
    producer.abort(TIMEOUT).expect("it aborts");
    assert!(producer.take_in_doubt());
    assert_eq!(transaction(1, "fits"), Ok(()), "other partitions are not hurt");
    assert!(!producer.take_in_doubt());
    let next = transaction(0, "fits, too").expect_err("a record before it is missing");
    assert!(next.category() == "Unknown" && next.to_string().contains("sequence"), "{next}");
    assert!(producer.take_in_doubt());
}

#[test]
fn a_batch_too_large_for_the_topic_is_refused_although_its_records_are_not_and_cut_batches_are_taken() {
    let topic = configured_topic("batches", 1, &[("max.message.bytes", "20000")]);
    let outcome = |batch_size: &str| {
        let producer = registered_with("batch.size", batch_size);
        producer.begin().expect("it begins");
        for _ in 0..1000 {
            producer.send(&value(&topic, 0, &"x".repeat(200)), deadline()).expect("there is room");
        }
        producer.commit(TIMEOUT)
    };
    assert_eq!(why(outcome("1000000")), AbortReason::TooLarge);
    assert_eq!(outcome("20000"), Ok(()));
    assert_eq!(read(&topic, "read_committed").len(), 1000);
}

#[test]
fn a_record_too_large_for_the_client_is_refused_alone() {
    let topic = new_topic("large", 1);
    let producer = registered_with("message.max.bytes", "2000");
    producer.begin().expect("it begins");
    let large = "x".repeat(10_000);
    assert_eq!(why(producer.send(&value(&topic, 0, &large), deadline())), AbortReason::TooLarge);
    producer.send(&value(&topic, 0, &large[..1000]), deadline()).expect("there is room");
    producer.commit(TIMEOUT).expect("the transaction was not harmed");
    assert_eq!(read(&topic, "read_committed").len(), 1);
}

#[test]
fn a_partition_that_is_not_there_is_refused() {
    let topic = new_topic("narrow", 1);
    let producer = registered(&broker(), &unique("id"));
    producer.begin().expect("it begins");
    // At first the client does not know how many there are, and finds out later.
    let outcome = producer.send(&value(&topic, 7, "nowhere"), deadline()).and_then(|()| producer.flush(deadline()));
    assert_eq!(why(outcome), AbortReason::UnknownPartition);
    producer.abort(TIMEOUT).expect("it aborts");
}

#[test]
fn metadata_too_large_for_an_offset_is_refused() {
    let (topic, group) = (new_topic("wordy", 1), unique("wordy"));
    let (_running, membership) = member(&group, &topic);
    let producer = registered(&broker(), &unique("id"));
    producer.begin().expect("it begins");
    let metadata = "x".repeat(5000);
    let outcome = producer.send_offsets(&[offset(&topic, 1, &metadata)], &membership, TIMEOUT);
    assert_eq!(why(outcome), AbortReason::MetadataTooLarge);
    producer.abort(TIMEOUT).expect("it aborts");
}

#[test]
fn more_records_than_the_queue_takes_wait_for_their_turn() {
    let topic = new_topic("queue", 1);
    let producer = registered_with("queue.buffering.max.messages", "100");
    producer.begin().expect("it begins");
    for _ in 0..2_000 {
        producer.send(&value(&topic, 0, "x"), deadline()).expect("there is room in time");
    }
    producer.commit(TIMEOUT).expect("it commits");
    assert_eq!(read(&topic, "read_committed").len(), 2_000);
}
