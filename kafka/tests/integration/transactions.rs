use balancefleet_kafka::{At, ErrorKind, Isolation};
use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{
    TIMEOUT, admin, broker, commit, consumer, new_topic, partition, produce, send, unique, wait_until,
};

#[test]
fn an_open_transaction_hides_its_records_and_offsets_only_from_those_who_ask_for_stable_ones() {
    let (topic, group) = (new_topic("open", 1), unique("open"));
    produce(&topic, 0, 3);
    commit(&group, &topic, 0, 1, "before");
    let producer: BaseProducer = broker()
        .client_config()
        .set("transactional.id", unique("open"))
        .set("transaction.timeout.ms", "60000")
        .create()
        .expect("the settings are fine");
    producer.init_transactions(TIMEOUT).expect("the coordinator answers");
    producer.begin_transaction().expect("it begins");
    send(&producer, &topic, 0, 2);
    producer.flush(TIMEOUT).expect("the records are accepted");
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&topic, 0, Offset::Offset(3)).expect("the offset is fine");
    let membership = consumer(&group, "outsider").group_metadata().expect("the consumer has a group");
    producer.send_offsets_to_transaction(&offsets, &membership, TIMEOUT).expect("the coordinator accepts");

    let (admin, asked) = (admin(), [partition(&topic, 0)]);
    let end =
        |isolation| admin.list_offsets(&asked, At::Latest, isolation, TIMEOUT).expect("an answer")[0].offset.clone();
    let read = |stable| admin.committed_offsets(&group, Some(&asked), stable, TIMEOUT).expect("an answer").remove(0);

    assert_eq!(end(Isolation::ReadUncommitted), Ok(5));
    assert_eq!(end(Isolation::ReadCommitted), Ok(3));
    assert_eq!((read(false).offset, read(false).metadata.as_str()), (Some(1), "before"));
    let unstable = read(true);
    assert_eq!(unstable.offset, None);
    assert_eq!(unstable.error.map(|error| error.kind()), Some(ErrorKind::Transient));

    producer.commit_transaction(TIMEOUT).expect("it commits");
    wait_until("the end is past both records and the marker", || end(Isolation::ReadCommitted) == Ok(6));
    wait_until("the offset is stable", || read(true).offset == Some(3));
}
