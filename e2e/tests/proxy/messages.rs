//! Single messages that are lost, late or held on their way.

use std::thread;
use std::time::{Duration, Instant};

use balancefleet_e2e::proxy::{Api, Direction, Which};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer};

use crate::support::{Fixture, SOON, consumer, send};

/// Commits and says how long that took; the error can only be that time was over.
fn commit_within(producer: &BaseProducer, patience: Duration) -> (Result<(), ()>, Duration) {
    let began = Instant::now();
    let outcome = producer.commit_transaction(patience).map_err(|error| {
        assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::OperationTimedOut), "{error}");
    });
    (outcome, began.elapsed())
}

const A_SECOND: Duration = Duration::from_secs(1);
/// The client gives a request up after this, longer than a test waits for the first time.
const SOCKET_TIMEOUT: (&str, &str) = ("socket.timeout.ms", "2000");

#[test]
fn a_dropped_response_leaves_the_client_waiting_for_what_the_broker_has_done() {
    let fixture = Fixture::new("drop-response");
    let producer = fixture.transaction(&[SOCKET_TIMEOUT]);
    send(&producer, &fixture.topic.name, 0, "one");
    let dropped = fixture.proxy.drop_response(Api::EndTxn, Which::Nth(1));
    let (outcome, took) = commit_within(&producer, A_SECOND);
    assert!(outcome.is_err() && took >= A_SECOND, "{outcome:?} after {took:?}");
    assert_eq!(dropped.happened(), 1);
    fixture.await_committed(&["one"]);
    // The client asks again when it has given the first request up.
    producer.commit_transaction(SOON).unwrap();
    assert!(fixture.proxy.seen(Api::EndTxn, Direction::Request) >= 2);
}

#[test]
fn a_dropped_request_never_reaches_the_broker() {
    let fixture = Fixture::new("drop-request");
    let producer = fixture.transaction(&[SOCKET_TIMEOUT]);
    send(&producer, &fixture.topic.name, 0, "one");
    let dropped = fixture.proxy.drop_request(Api::EndTxn, Which::Every);
    let (outcome, took) = commit_within(&producer, A_SECOND);
    assert!(outcome.is_err() && took >= A_SECOND, "{outcome:?} after {took:?}");
    assert_eq!(fixture.topic.values("read_uncommitted"), ["one"]);
    assert_eq!(fixture.committed(), [""; 0]);
    assert_eq!(fixture.proxy.seen(Api::EndTxn, Direction::Response), 0);
    assert!(dropped.happened() > 0);
    dropped.lift();
    producer.commit_transaction(SOON).unwrap();
    fixture.await_committed(&["one"]);
}

#[test]
fn a_later_response_alone_can_be_dropped() {
    let fixture = Fixture::new("later");
    let client = consumer(fixture.proxy.bootstrap(), "group", &[]);
    let ask = || client.fetch_watermarks(&fixture.topic.name, 0, A_SECOND);
    // One question asks twice: for the first offset and for the end.
    let dropped = fixture.proxy.drop_response(Api::ListOffsets, Which::Nth(3));
    ask().unwrap();
    assert_eq!(ask().unwrap_err().rdkafka_error_code(), Some(RDKafkaErrorCode::OperationTimedOut));
    assert_eq!(dropped.happened(), 1);
    ask().unwrap();
}

#[test]
fn delayed_responses_come_late_until_the_rule_is_lifted() {
    let fixture = Fixture::new("delay");
    let client = consumer(fixture.proxy.bootstrap(), "group", &[]);
    let ask = || {
        let began = Instant::now();
        client.fetch_watermarks(&fixture.topic.name, 0, SOON).unwrap();
        began.elapsed()
    };
    ask();
    let delayed = fixture.proxy.delay_response(Api::ListOffsets, Which::Every, A_SECOND);
    let late = ask();
    assert!(late >= A_SECOND, "{late:?}");
    delayed.lift();
    assert!(ask() < late);
}

/// The fault of KAFKA-17754: the client has long sent another one and gone on, when the first EndTxn arrives and ends
/// the next transaction.
#[test]
fn a_held_request_arrives_when_it_is_released_though_its_connection_is_closed() {
    let fixture = Fixture::new("hold-request");
    let topic = &fixture.topic.name;
    let producer = fixture.transaction(&[]);
    send(&producer, topic, 0, "one");
    let held = fixture.proxy.hold(Api::EndTxn, Direction::Request, Which::Nth(1));
    thread::scope(|scope| {
        let commit = scope.spawn(|| producer.commit_transaction(SOON));
        held.wait_for(1, SOON).unwrap();
        assert_eq!(fixture.proxy.seen(Api::EndTxn, Direction::Response), 0);
        fixture.proxy.cut();
        commit.join().unwrap().unwrap();
    });
    fixture.await_committed(&["one"]);

    producer.begin_transaction().unwrap();
    send(&producer, topic, 0, "two");
    producer.flush(SOON).unwrap();
    assert_eq!(fixture.committed(), ["one"]);
    held.release();
    fixture.await_committed(&["one", "two"]);
}

#[test]
fn a_held_request_that_is_discarded_never_arrives() {
    let fixture = Fixture::new("discard");
    let producer = fixture.transaction(&[SOCKET_TIMEOUT]);
    send(&producer, &fixture.topic.name, 0, "one");
    let held = fixture.proxy.hold(Api::EndTxn, Direction::Request, Which::Nth(1));
    assert!(commit_within(&producer, A_SECOND).0.is_err());
    assert_eq!(held.count(), 1);
    held.discard();
    assert_eq!(fixture.committed(), [""; 0]);
    // The connection goes on without it: the second request passes on the same one, or on the next.
    producer.commit_transaction(SOON).unwrap();
    let [asked, answered] = [Direction::Request, Direction::Response].map(|way| fixture.proxy.seen(Api::EndTxn, way));
    assert_eq!(answered, asked - 1);
}

#[test]
fn held_responses_reach_the_client_when_they_are_released() {
    let fixture = Fixture::new("hold-response");
    let producer = fixture.transaction(&[]);
    send(&producer, &fixture.topic.name, 0, "one");
    let held = fixture.proxy.hold(Api::EndTxn, Direction::Response, Which::Every);
    assert!(commit_within(&producer, A_SECOND).0.is_err());
    fixture.await_committed(&["one"]);
    assert_eq!(held.count(), 1);
    held.release();
    producer.commit_transaction(SOON).unwrap();
    // It was the first answer that the client was waiting for.
    assert_eq!(fixture.proxy.seen(Api::EndTxn, Direction::Request), 1);
}

#[test]
fn a_hold_that_is_forgotten_holds_nothing_up() {
    let fixture = Fixture::new("forgotten");
    let producer = fixture.transaction(&[]);
    send(&producer, &fixture.topic.name, 0, "one");
    let held = fixture.proxy.hold(Api::EndTxn, Direction::Response, Which::Every);
    assert!(commit_within(&producer, A_SECOND).0.is_err());
    drop(held);
    producer.commit_transaction(SOON).unwrap();
}

#[test]
fn waiting_in_vain_says_for_what() {
    let fixture = Fixture::new("in-vain");
    let error = fixture.proxy.wait_for(Api::EndTxn, Direction::Request, 2, Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.to_string(), "EndTxn Request: 0 instead of 2 within 50ms");
}
