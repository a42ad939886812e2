//! Headers with names that are no text.

use balancefleet_kafka::headers;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{TIMEOUT, broker, new_topic, unique};

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

    let mut config = broker().client_config();
    let consumer: BaseConsumer = config.set("group.id", unique("headers")).create().expect("the settings are fine");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Beginning).expect("the offset is fine");
    consumer.assign(&list).expect("the list is fine");
    let record = consumer.poll(TIMEOUT).expect("it comes").expect("it is there");
    let expected =
        [("trace", Some("abc")), ("x\u{fffd}\u{fffd}", Some("not text")), ("none", None), ("trace", Some(""))];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.map(|value| value.as_bytes().to_vec())));
    assert_eq!(headers(&record), expected);
}
