//! The peers `bare` and `bare-batch`: count what librdkafka gives, as fast as one thread can take it. They bound what any
//! consumer can reach that polls one by one, or takes batches.

use std::io::{self, BufRead};
use std::time::Duration;

use balancefleet_e2e::oracle::Topic;
use balancefleet_kafka::BatchReader;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::error::BenchError;

/// The settings under which the worker fetches (worker/src/kafka_clients.rs).
const SETTINGS: [(&str, &str); 9] = [
    ("group.id", "balancefleet-bench-bare"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.metrics.push", "false"),
    ("isolation.level", "read_committed"),
    ("check.crcs", "true"),
    ("fetch.wait.max.ms", "100"),
    ("fetch.queue.backoff.ms", "2"),
    ("queued.max.messages.kbytes", "4096"),
];

/// Reads the topic to the end that it has now, in the words of `peer.rs`.
pub(crate) fn count(brokers: &str, topic: &str, batch: bool) -> Result<(), BenchError> {
    let ends = Topic::new(brokers, topic).ends()?;
    let wanted: u64 = ends.values().map(|end| end.unsigned_abs()).sum();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    for (key, value) in SETTINGS {
        config.set(key, value);
    }
    let (records, bytes) = if batch {
        let mut reader = BatchReader::open(&config, topic, ends.keys().map(|partition| (*partition, 0)))?;
        read_all(&mut reader, wanted)?
    } else {
        let consumer: BaseConsumer = config.create()?;
        let mut all = TopicPartitionList::new();
        for partition in ends.keys() {
            all.add_partition_offset(topic, *partition, Offset::Beginning)?;
        }
        consumer.assign(&all)?;
        poll_all(&consumer, wanted)?
    };
    println!(r#"{{"event":"done","records":{records}}}"#);
    // Alive until it was looked at.
    io::stdin().lock().read_line(&mut String::new())?;
    println!(r#"{{"event":"check","records":{records},"bytes":{bytes}}}"#);
    Ok(())
}

fn read_all(reader: &mut BatchReader, wanted: u64) -> Result<(u64, u64), BenchError> {
    let (mut records, mut bytes) = (0, 0);
    while records < wanted {
        let read =
            reader.read(Duration::from_millis(100), |record| bytes += record.value.map_or(0, <[u8]>::len) as u64)?;
        if records == 0 && read > 0 {
            println!(r#"{{"event":"first"}}"#);
        }
        records += read as u64;
    }
    Ok((records, bytes))
}

fn poll_all(consumer: &BaseConsumer, wanted: u64) -> Result<(u64, u64), BenchError> {
    let (mut records, mut bytes) = (0, 0);
    while records < wanted {
        let Some(polled) = consumer.poll(Duration::from_millis(100)) else { continue };
        bytes += polled?.payload().map_or(0, <[u8]>::len) as u64;
        if records == 0 {
            println!(r#"{{"event":"first"}}"#);
        }
        records += 1;
    }
    Ok((records, bytes))
}
