//! Connections that are cut or swallow everything.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use balancefleet_e2e::proxy::{Api, Direction, Which};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{API_VERSIONS, Fixture, SOON, config, consumer, read, send};

/// A reader through the proxy that has read what there is.
fn reader(fixture: &Fixture) -> BaseConsumer {
    fixture.topic.write("zero");
    let reader = consumer(fixture.proxy.bootstrap(), "reader", &[]);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&fixture.topic.name, 0, Offset::Beginning).unwrap();
    reader.assign(&list).unwrap();
    assert_eq!(read(&reader, 1), ["zero"]);
    reader
}

fn connections(fixture: &Fixture) -> u64 {
    fixture.proxy.connections().values().sum()
}

#[test]
fn a_client_that_was_cut_off_connects_again_and_goes_on() {
    let fixture = Fixture::new("cut");
    let reader = reader(&fixture);
    let before = connections(&fixture);
    fixture.proxy.cut();
    fixture.topic.write("one");
    assert_eq!(read(&reader, 1), ["one"]);
    assert!(connections(&fixture) > before);
}

#[test]
fn a_connection_cut_after_a_request_has_brought_it_to_the_broker_but_no_answer_back() {
    let fixture = Fixture::new("cut-after");
    let producer: BaseProducer = config(fixture.proxy.bootstrap(), &[("enable.idempotence", "true")]).create().unwrap();
    let cut = fixture.proxy.cut_after(Api::Produce, Which::Nth(1));
    send(&producer, &fixture.topic.name, 0, "one");
    producer.flush(SOON).unwrap();
    assert_eq!(cut.happened(), 1);
    // The broker has answered twice, and knew the second request for what it was.
    fixture.proxy.wait_for(Api::Produce, Direction::Response, 2, SOON).unwrap();
    assert_eq!(fixture.proxy.seen(Api::Produce, Direction::Request), 2);
    assert_eq!(fixture.topic.values("read_uncommitted"), ["one"]);
}

#[test]
fn nothing_comes_out_of_a_black_hole_until_it_closes() {
    let fixture = Fixture::new("black-hole");
    let reader = reader(&fixture);
    let mut plain = TcpStream::connect(fixture.proxy.bootstrap()).unwrap();
    plain.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    fixture.proxy.black_hole(true);
    fixture.topic.write("one");
    plain.write_all(API_VERSIONS).unwrap();
    assert!(reader.poll(Duration::from_secs(2)).is_none());
    assert_eq!(plain.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);

    fixture.proxy.black_hole(false);
    assert_eq!(read(&reader, 1), ["one"]);
    plain.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(plain.read(&mut [0]).unwrap(), 1);
}
