//! What a transactional producer promises, on a broker that is well.

use std::time::{Duration, Instant};

use balancefleet_kafka::{
    AbortReason, At, Connection, GroupMetadata, Isolation, OffsetToCommit, Record, TransactionError,
    TransactionalProducer,
};
use rdkafka::Message;
use rdkafka::message::Headers;

use crate::support::{
    Running, TIMEOUT, admin, broker, consumer, new_topic, partition, producer_config, read, settled_end, unique,
    wait_until,
};

pub(crate) fn deadline() -> Instant {
    Instant::now() + TIMEOUT
}

pub(crate) fn registered(connection: &Connection, id: &str) -> TransactionalProducer {
    let producer = TransactionalProducer::new(&producer_config(connection, id)).expect("the settings are fine");
    producer.init(TIMEOUT).expect("the coordinator answers");
    producer
}

/// One with a setting of its own.
pub(crate) fn registered_with(key: &str, setting: &str) -> TransactionalProducer {
    let mut config = producer_config(&broker(), &unique("id"));
    config.set(key, setting);
    let producer = TransactionalProducer::new(&config).expect("the settings are fine");
    producer.init(TIMEOUT).expect("the coordinator answers");
    producer
}

pub(crate) fn value<'a>(topic: &'a str, partition: i32, value: &'a str) -> Record<'a> {
    Record { topic, partition: Some(partition), key: Some(b"k"), value: Some(value.as_bytes()), headers: &[] }
}

pub(crate) fn offset<'a>(topic: &'a str, offset: i64, metadata: &'a str) -> OffsetToCommit<'a> {
    OffsetToCommit { topic, partition: 0, offset, leader_epoch: Some(0), metadata }
}

pub(crate) fn why(outcome: Result<(), TransactionError>) -> AbortReason {
    match outcome {
        Err(TransactionError::Refused { why, .. }) => why,
        other => panic!("{other:?} is no refusal"),
    }
}

/// A group of one: what a worker has when it commits.
pub(crate) fn member(group: &str, topic: &str) -> (Running, GroupMetadata) {
    let running = Running::start(group, "worker", topic);
    wait_until("it has its partitions", || !running.assignment().is_empty());
    let membership = running.membership();
    (running, membership)
}

#[test]
fn readers_of_committed_records_see_a_committed_transaction_and_never_an_aborted_one() {
    let topic = new_topic("transactions", 1);
    let producer = registered(&broker(), &unique("id"));
    for (text, is_committed) in [("first", true), ("second", false), ("third", true)] {
        producer.begin().expect("it begins");
        producer.send(&value(&topic, 0, text), deadline()).expect("there is room");
        producer.flush(deadline()).expect("it is acknowledged");
        if is_committed {
            producer.commit(TIMEOUT).expect("it commits");
        } else {
            producer.abort(TIMEOUT).expect("it aborts");
        }
    }
    let values = |isolation| read(&topic, isolation).into_iter().map(|it| it.payload().map(<[u8]>::to_vec));
    let committed: Vec<_> = values("read_committed").flatten().collect();
    assert_eq!(committed, [b"first".to_vec(), b"third".to_vec()]);
    assert_eq!(values("read_uncommitted").count(), 3);
    assert!(!producer.take_in_doubt());
}

#[test]
fn a_record_arrives_as_it_was_sent() {
    let topic = new_topic("content", 1);
    let producer = registered(&broker(), &unique("id"));
    producer.begin().expect("it begins");
    let headers = [("reason", Some(b"poison".as_slice())), ("reason", None), ("empty", Some(b"".as_slice()))];
    let bytes = [0, 255, 7];
    for record in [
        Record { topic: &topic, partition: Some(0), key: Some(&bytes), value: Some(&bytes), headers: &headers },
        Record { topic: &topic, partition: None, key: Some(b""), value: Some(b""), headers: &[] },
        Record { topic: &topic, partition: Some(0), key: None, value: None, headers: &[] },
    ] {
        producer.send(&record, deadline()).expect("there is room");
    }
    producer.commit(TIMEOUT).expect("it commits");

    let records = read(&topic, "read_committed");
    let content: Vec<_> = records.iter().map(|it| (it.key(), it.payload())).collect();
    let bytes = Some(bytes.as_slice());
    assert_eq!(content, [(bytes, bytes), (Some([].as_slice()), Some([].as_slice())), (None, None)]);
    let found = records[0].headers().expect("there are headers");
    let found: Vec<_> = found.iter().map(|header| (header.key, header.value)).collect();
    assert_eq!(found, headers);
    assert!(records[1].headers().is_none());
}

#[test]
fn offsets_land_in_the_group_with_the_transaction_and_not_before() {
    let (topic, group) = (new_topic("offsets", 1), unique("offsets"));
    let (_running, membership) = member(&group, &topic);
    let producer = registered(&broker(), &unique("id"));
    let (admin, asked) = (admin(), [partition(&topic, 0)]);
    let committed = || admin.committed_offsets(&group, Some(&asked), false, TIMEOUT).expect("an answer").remove(0);
    let begun = |at, text: &str| {
        producer.begin().expect("it begins");
        producer.send(&value(&topic, 0, text), deadline()).expect("there is room");
        producer.flush(deadline()).expect("it is acknowledged");
        producer.send_offsets(&[offset(&topic, at, text)], &membership, TIMEOUT).expect("a member may");
    };

    begun(7, "base=3");
    assert_eq!(committed().offset, None);
    producer.commit(TIMEOUT).expect("it commits");
    wait_until("the offset is there", || committed().offset == Some(7));
    assert_eq!((committed().metadata.as_str(), committed().leader_epoch), ("base=3", Some(0)));

    begun(9, "never");
    producer.abort(TIMEOUT).expect("it aborts");
    assert_eq!((committed().offset, committed().metadata.as_str()), (Some(7), "base=3"));
}

#[test]
fn a_membership_from_before_another_member_joined_is_refused_and_the_next_transaction_works() {
    let (topic, group) = (new_topic("stale", 2), unique("stale"));
    let (first, stale) = member(&group, &topic);
    let second = Running::start(&group, "second", &topic);
    wait_until("they share", || first.assignment().len() == 1 && second.assignment().len() == 1);
    let producer = registered(&broker(), &unique("id"));
    let commit_as = |membership: &GroupMetadata| {
        producer.begin().expect("it begins");
        producer.send(&value(&topic, 0, "x"), deadline()).expect("there is room");
        producer.flush(deadline()).expect("it is acknowledged");
        producer.send_offsets(&[offset(&topic, 1, "")], membership, TIMEOUT)?;
        producer.commit(TIMEOUT)
    };

    assert_eq!(why(commit_as(&stale)), AbortReason::StaleMembership);
    assert!(!producer.take_in_doubt(), "it was a plain answer");
    let more = producer.send(&value(&topic, 0, "y"), deadline());
    assert_eq!(why(more), AbortReason::StaleMembership, "librdkafka says no more than that it is too late");
    producer.abort(TIMEOUT).expect("it aborts");

    assert_eq!(commit_as(&first.membership()), Ok(()));
    assert_eq!(read(&topic, "read_committed").len(), 1);
}

#[test]
fn a_member_that_has_left_is_refused() {
    let (topic, group) = (new_topic("left", 1), unique("left"));
    let (running, membership) = member(&group, &topic);
    drop(running);
    let (_successor, _) = member(&group, &topic);
    let producer = registered(&broker(), &unique("id"));
    producer.begin().expect("it begins");
    let outcome = producer.send_offsets(&[offset(&topic, 1, "")], &membership, TIMEOUT);
    assert_eq!(why(outcome), AbortReason::StaleMembership);
}

#[test]
fn offsets_of_a_consumer_that_is_no_member_are_refused_although_a_broker_would_take_them() {
    let (topic, group) = (new_topic("outsider", 1), unique("outsider"));
    let outsider = GroupMetadata::capture(&consumer(&group, "outsider")).expect("the consumer has a group");
    let producer = registered(&broker(), &unique("id"));
    producer.begin().expect("it begins");
    let outcome = producer.send_offsets(&[offset(&topic, 1, "")], &outsider, TIMEOUT);
    assert_eq!(why(outcome), AbortReason::StaleMembership);
    producer.abort(TIMEOUT).expect("it aborts");
}

#[test]
fn a_second_producer_with_the_same_id_ends_the_transaction_of_the_first_and_fences_it() {
    type Step = fn(&TransactionalProducer, &str) -> Result<(), TransactionError>;
    let commits: Step = |producer, _| producer.commit(TIMEOUT);
    let sends_on: Step = |producer, topic| {
        producer.send(&value(topic, 0, "zombie"), deadline())?;
        producer.flush(deadline())
    };
    let sends_elsewhere: Step = |producer, topic| {
        producer.send(&value(topic, 1, "zombie"), deadline())?;
        producer.flush(deadline())
    };
    let aborts: Step = |producer, _| producer.abort(TIMEOUT);
    for step in [commits, sends_on, sends_elsewhere, aborts] {
        let (topic, id) = (new_topic("fenced", 2), unique("id"));
        let first = registered(&broker(), &id);
        first.begin().expect("it begins");
        first.send(&value(&topic, 0, "first"), deadline()).expect("there is room");
        first.flush(deadline()).expect("it is acknowledged");

        let second = registered(&broker(), &id);

        let outcome = step(&first, &topic);
        assert!(matches!(outcome, Err(TransactionError::Fenced { .. })), "{outcome:?}");
        assert!(matches!(first.begin(), Err(TransactionError::Fenced { .. })), "there is no way back");
        second.begin().expect("it begins");
        second.send(&value(&topic, 0, "second"), deadline()).expect("there is room");
        second.commit(TIMEOUT).expect("it commits");
        let values: Vec<_> = read(&topic, "read_committed").iter().map(|it| it.payload().map(<[u8]>::to_vec)).collect();
        assert_eq!(values, [Some(b"second".to_vec())]);
    }
}

#[test]
fn a_transaction_that_outlives_its_time_out_is_fenced() {
    let topic = new_topic("expired", 1);
    let mut config = producer_config(&broker(), &unique("id"));
    config.set("transaction.timeout.ms", "1000").set("message.timeout.ms", "1000");
    let producer = TransactionalProducer::new(&config).expect("the settings are fine");
    producer.init(TIMEOUT).expect("the coordinator answers");
    producer.begin().expect("it begins");
    producer.send(&value(&topic, 0, "late"), deadline()).expect("there is room");
    producer.flush(deadline()).expect("it is acknowledged");

    let asked = [partition(&topic, 0)];
    let stable_end = || admin().list_offsets(&asked, At::Latest, Isolation::ReadCommitted, TIMEOUT);
    wait_until("the coordinator has ended it", || {
        stable_end().is_ok_and(|mut ends| ends.remove(0).offset.is_ok_and(|end| end == 2))
    });

    let outcome = producer.commit(TIMEOUT);
    assert!(matches!(outcome, Err(TransactionError::Fenced { .. })), "{outcome:?}");
    assert!(read(&topic, "read_committed").is_empty());
}

#[test]
fn a_transaction_without_records_may_carry_offsets_or_nothing() {
    let (topic, group) = (new_topic("bare", 1), unique("bare"));
    let (_running, membership) = member(&group, &topic);
    let producer = registered(&broker(), &unique("id"));
    producer.begin().expect("it begins");
    producer.commit(TIMEOUT).expect("it commits");
    producer.begin().expect("it begins");
    producer.send_offsets(&[offset(&topic, 4, "")], &membership, TIMEOUT).expect("a member may");
    producer.commit(TIMEOUT).expect("it commits");
    wait_until("the offset is there", || {
        let all = admin().committed_offsets(&group, None, true, TIMEOUT).expect("an answer");
        all.first().is_some_and(|committed| committed.offset == Some(4))
    });
}

#[test]
fn settings_a_broker_refuses_are_fatal_and_those_nobody_could_use_are_invalid() {
    let mut config = producer_config(&broker(), &unique("id"));
    config.set("transaction.timeout.ms", "2000000000").set("message.timeout.ms", "1000");
    let outcome = TransactionalProducer::new(&config).expect("the client takes it").init(TIMEOUT);
    assert!(matches!(outcome, Err(TransactionError::Fatal { .. })), "{outcome:?}");

    config.remove("transactional.id");
    assert!(TransactionalProducer::new(&config).is_err());
}

#[test]
fn a_second_begin_is_an_error_and_harms_nothing() {
    let topic = new_topic("twice", 1);
    let producer = registered(&broker(), &unique("id"));
    producer.begin().expect("it begins");
    assert_eq!(producer.begin().expect_err("it has begun").category(), "Unknown");
    producer.send(&value(&topic, 0, "x"), deadline()).expect("there is room");
    producer.commit(TIMEOUT).expect("it commits");
    assert_eq!(producer.commit(TIMEOUT).expect_err("it is over").category(), "Unknown");
}

#[test]
fn a_commit_does_not_wait_for_a_look_every_100_ms() {
    let (topic, group) = (new_topic("latency", 6), unique("latency"));
    let (_running, membership) = member(&group, &topic);
    let producer = registered(&broker(), &unique("id"));
    let mut took: Vec<Duration> = (0..50)
        .map(|round| {
            // Until the markers of the last one are written a broker puts off the next transaction.
            for partition in 0..6 {
                settled_end(&topic, partition);
            }
            producer.begin().expect("it begins");
            for partition in 0..6 {
                producer.send(&value(&topic, partition, "x"), deadline()).expect("there is room");
            }
            let begun = Instant::now();
            producer.flush(deadline()).expect("they are acknowledged");
            producer.send_offsets(&[offset(&topic, round, "")], &membership, TIMEOUT).expect("a member may");
            producer.commit(TIMEOUT).expect("it commits");
            begun.elapsed()
        })
        .collect();
    took.sort_unstable();
    let (quartile, median, worst) = (took[took.len() / 4], took[took.len() / 2], took[took.len() - 1]);
    println!(
        "flush, send_offsets and commit with 6 partitions: p25 {quartile:?}, p50 {median:?}, worst of 50 {worst:?}"
    );
    // With the wait none of them would take less than 100 ms, on whatever machine.
    assert!(quartile < Duration::from_millis(60), "{took:?}");
}

#[test]
fn a_producer_can_move_to_the_thread_that_commits() {
    let producer = registered(&broker(), &unique("id"));
    let moved = std::thread::spawn(move || producer.begin().and_then(|()| producer.commit(TIMEOUT)));
    assert_eq!(moved.join().expect("the thread ends well"), Ok(()));
}
