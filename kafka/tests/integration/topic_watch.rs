//! Noticing that a topic was recreated: before the first of its records.

use std::sync::Arc;
use std::time::Duration;

use balancefleet_kafka::{Fetched, RecordQueue, TopicWatch};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use crate::support::{TIMEOUT, admin, broker, create_topic, delete_topic, new_topic, produce, unique, wait_until};

struct Watching(TopicWatch);

impl ClientContext for Watching {
    fn log(&self, level: RDKafkaLogLevel, _: &str, line: &str) {
        self.0.heard(level, line);
    }
}

impl ConsumerContext for Watching {}

fn id_of(topic: &str) -> Option<String> {
    let described = admin().describe_topics(&[topic], TIMEOUT).ok()?.pop()?.1;
    described.ok().map(|described| described.id.to_string())
}

#[test]
fn records_of_a_topic_that_was_made_again_come_only_after_its_id() {
    let topic = new_topic("made-again", 1);
    produce(&topic, 0, 10);
    let old = id_of(&topic);
    let mut config = broker().client_config();
    config.set("group.id", unique("watching")).set("auto.offset.reset", "error");
    let watch = TopicWatch::new(&mut config, &topic);
    let consumer: Arc<BaseConsumer<Watching>> =
        Arc::new(config.create_with_context(Watching(watch)).expect("the settings are fine"));
    assert_eq!(consumer.context().0.id(), None);
    let records = RecordQueue::new(Arc::clone(&consumer), &topic).expect("it has a group");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(5)).expect("the offset is fine");
    records.forward([0]).expect("the topic has a name");
    consumer.assign(&list).expect("the list is fine");
    // The next offset with the id that is known when there are no more events.
    let next = || {
        let mut offset = None;
        wait_until("a record comes", || {
            let batch = records.take(Duration::from_millis(50), 1);
            while records.has_events() {
                drop(consumer.poll(Duration::ZERO));
            }
            offset = batch.iter().find_map(|fetched| match fetched {
                Fetched::Record(record) => Some(record.offset),
                Fetched::End { .. } | Fetched::Failed { .. } => None,
            });
            offset.is_some()
        });
        (offset.expect("it was just there"), consumer.context().0.id())
    };
    for offset in 5..10 {
        assert_eq!(next(), (offset, old.clone()));
    }

    delete_topic(&topic);
    wait_until("the topic is gone", || id_of(&topic).is_none());
    create_topic(&topic, 1);
    produce(&topic, 0, 100);
    let new = id_of(&topic);
    assert!(new.is_some() && new != old);
    // Perhaps it complains on the way, but then it goes on where it stood.
    assert_eq!(next(), (10, new));
}
