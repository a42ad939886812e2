//! Leader epochs for the safe crate's types, which hold them but do not expose them.
//!
//! The epoch says under which leader a record was written. With an offset and its epoch, a broker can tell whether its
//! log is still the one that was read (KIP-320), or was truncated and grew again.

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

/// The position up to which a partition was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Its number.
    pub partition: i32,
    /// The offset after the last record read.
    pub offset: i64,
    /// The leader epoch of that record.
    pub leader_epoch: i32,
}

/// The longest single wait for the client.
const SLICE: Duration = Duration::from_millis(50);
/// The most records taken at a time; the first of a partition is enough.
const AT_ONCE: usize = 256;

/// Sets the leader epoch of a partition in `list` to that of the last record before its offset.
///
/// An assignment does not validate the epoch, unless the client has not seen the topic's leaders before. A seek does,
/// see [`validate`].
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

/// Makes `consumer` seek to `positions` of its assigned partitions, and first ask their leaders whether the log still
/// holds that offset under that epoch. Returns the partitions whose validation has started; partitions that the client
/// does not fetch are not among them. Waits up to `within`.
///
/// Once a validation has started, the partition's fetched records are dropped, and none is delivered before the leader
/// has answered. With `auto.offset.reset=error`, a position that is not in the log gives one failure of kind
/// [`OutOfRange`](crate::ErrorKind::OutOfRange); so does a position that retention has passed. A valid position shows
/// by the next record, or by the partition's end if `enable.partition.eof` is set. A broker without epochs is not
/// asked, and without an available leader there is no answer.
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
    // If the time is over for some, it is over for all: the caller seeks again.
    let begun = sought.map(|list| {
        let begun = |element: &TopicPartitionListElem<'_>| element.error().is_ok();
        list.elements().iter().filter(|element| begun(element)).map(|element| element.partition()).collect()
    });
    Ok(begun.unwrap_or_default())
}

/// The leader's answer about a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// The log is the one that was read.
    InLog,
    /// Retention has passed the position, or the log was truncated below it.
    NotInLog,
    /// No answer in time.
    Unanswered,
}

/// Asks the leaders about `positions` with a client of its own, which joins no group. Waits up to `within` for all
/// answers, and returns them in the order asked. `config` is a complete librdkafka configuration with a `group.id`.
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
    records.forward(partitions())?;
    consumer.assign(&list_of(topic, positions)?).map_err(invalid)?;
    // Waits until the client has started with the assignment.
    drop(consumer.assignment().map_err(invalid)?);
    records.forward(partitions())?;
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
            // A record that came before the validation started is no answer.
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
