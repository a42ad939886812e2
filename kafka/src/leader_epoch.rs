//! Leader epochs on the safe crate's types, which have them and do not show them.
//!
//! The epoch says under which leader a record was written. Sent along with an offset it lets the brokers tell whether
//! their log still is the one that was read (KIP-320), or was cut off meanwhile and grew again to something else.

use std::collections::HashSet;
use std::ffi::CString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use rdkafka_sys as sys;

use crate::Error;
use crate::error::partition_name;
use crate::native::{Fetched, RecordQueue};

/// Where a partition was read to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Its number.
    pub partition: i32,
    /// The offset after the last record read.
    pub offset: i64,
    /// The leader epoch of that record.
    pub leader_epoch: i32,
}

/// How long the client is waited for at a time.
const SLICE: Duration = Duration::from_millis(50);
/// So many records are taken at a time; the first of a partition is enough.
const AT_ONCE: usize = 256;

/// Gives a partition of `list` the leader epoch of the last record read before its offset.
///
/// An assignment asks no broker about it, unless the client has not seen the topic's leaders before; a seek does, see
/// [`validate`].
///
/// # Errors
/// Of kind [`Invalid`](crate::ErrorKind::Invalid) when the list does not have the partition.
pub fn set_leader_epoch(list: &mut TopicPartitionList, topic: &str, partition: i32, epoch: i32) -> Result<(), Error> {
    let missing = || Error::invalid(format!("the list does not have {}", partition_name(topic, partition)));
    let name = CString::new(topic).map_err(|_| missing())?;
    // SAFETY: the list is live and borrowed exclusively; what is found is one of its elements, and nothing is added to
    // it before the epoch is set.
    unsafe {
        let element = sys::rd_kafka_topic_partition_list_find(list.ptr(), name.as_ptr(), partition);
        if element.is_null() {
            return Err(missing());
        }
        sys::rd_kafka_topic_partition_set_leader_epoch(element, epoch);
    }
    Ok(())
}

/// Lets `consumer` go to `positions` of partitions that it is assigned, and ask their leaders first whether the log still
/// holds that offset under that epoch. Says which partitions have begun with it: not those that the client does not fetch
/// yet, or not any more. Waits at most as long as `within`.
///
/// Of a partition that has begun, what was fetched before is dropped, and nothing comes before the leader has answered.
/// With `auto.offset.reset=error` a position that is not in the log is a failure of kind
/// [`OutOfRange`](crate::ErrorKind::OutOfRange), once; so is one that retention has passed. That it is in the log shows by the
/// next record, or by the partition's end where `enable.partition.eof` is set. A broker that knows no epochs is not asked,
/// and without an available leader there is no answer.
///
/// # Errors
/// Only of kind [`Invalid`](crate::ErrorKind::Invalid).
pub fn validate<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    positions: &[Position],
    within: Duration,
) -> Result<Vec<i32>, Error> {
    let sought = consumer.seek_partitions(list_of(topic, positions)?, within);
    // Too late for some is too late for all: they are sought again.
    let begun = sought.map(|list| {
        let begun = |element: &TopicPartitionListElem<'_>| element.error().is_ok();
        list.elements().iter().filter(|element| begun(element)).map(|element| element.partition()).collect()
    });
    Ok(begun.unwrap_or_default())
}

/// What the leader of a partition says about a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Its log is the one that was read.
    InLog,
    /// Retention has passed it, or the log was cut off below it.
    NotInLog,
    /// Nothing in time.
    Unanswered,
}

/// Asks the leaders about `positions` by a client of its own, which joins no group, and waits for all answers at most as
/// long as `within`; in the order asked. `config` is a whole librdkafka configuration with a `group.id`.
///
/// # Errors
/// Only of kind [`Invalid`](crate::ErrorKind::Invalid): settings that cannot work.
pub fn look_up_positions(
    config: &ClientConfig,
    topic: &str,
    positions: &[Position],
    within: Duration,
) -> Result<Vec<(i32, Validity)>, Error> {
    let mut config = config.clone();
    config.set("auto.offset.reset", "error").set("enable.partition.eof", "true").set("enable.auto.commit", "false");
    let consumer: Arc<BaseConsumer> = Arc::new(config.create().map_err(invalid)?);
    let records = RecordQueue::new(consumer.clone(), topic)?;
    let mut found: Vec<_> = positions.iter().map(|position| (position.partition, Validity::Unanswered)).collect();
    let partitions = || positions.iter().map(|position| position.partition);
    records.route(partitions())?;
    consumer.assign(&list_of(topic, positions)?).map_err(invalid)?;
    // Waits until the client has begun with it.
    drop(consumer.assignment().map_err(invalid)?);
    records.route(partitions())?;
    let (mut asked, deadline) = (HashSet::new(), Instant::now() + within);
    while found.iter().any(|(_, validity)| *validity == Validity::Unanswered) && Instant::now() < deadline {
        let unasked: Vec<_> = positions.iter().filter(|it| !asked.contains(&it.partition)).copied().collect();
        if !unasked.is_empty() {
            asked.extend(validate(&consumer, topic, &unasked, SLICE)?);
        }
        records.wake_fetchers(&partitions().collect::<Vec<_>>())?;
        drop(consumer.poll(Duration::ZERO));
        for fetched in records.take(SLICE, AT_ONCE).iter() {
            let (partition, validity) = match fetched {
                Fetched::Record(record) => (record.partition, Validity::InLog),
                Fetched::End { partition, .. } => (partition, Validity::InLog),
                Fetched::Failed { partition, error: Error::OutOfRange { .. } } => (partition, Validity::NotInLog),
                Fetched::Failed { .. } => continue,
            };
            // What came before it was asked is no answer.
            let is_answer = |(it, known): &&mut (i32, Validity)| *it == partition && *known == Validity::Unanswered;
            if let Some((_, known)) = found.iter_mut().find(is_answer).filter(|_| asked.contains(&partition)) {
                *known = validity;
            }
        }
    }
    Ok(found)
}

fn list_of(topic: &str, positions: &[Position]) -> Result<TopicPartitionList, Error> {
    let mut list = TopicPartitionList::new();
    for Position { partition, offset, leader_epoch } in positions {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).map_err(invalid)?;
        set_leader_epoch(&mut list, topic, *partition, *leader_epoch)?;
    }
    Ok(list)
}

fn invalid(error: KafkaError) -> Error {
    Error::invalid(error.to_string())
}
