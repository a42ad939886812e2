//! Reads partitions of one topic from given offsets, in batches, and tells how far each partition is read.
//!
//! It is made for restoring state: it joins no group, commits nothing, and never replaces an offset by another one.

mod client;
mod read_position;

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::native::{Fetched, RecordQueue};
use crate::{Error, ReadRecord};
use client::ReaderContext;
use read_position::ReadPosition;

/// The most records of one batch: some milliseconds of work.
const BATCH: usize = 4096;

/// A consumer that reads chosen partitions of one topic. It may move between threads; one at a time uses it.
///
/// Dropping it waits for the client's threads, usually a tenth of a second; see [`end`](Self::end).
pub struct BatchReader {
    records: RecordQueue<ReaderContext>,
    /// Sorted by partition.
    read_positions: Vec<(i32, ReadPosition)>,
    /// All partitions, for the client to fill in their positions.
    positions: TopicPartitionList,
    failed: Option<Error>,
}

impl BatchReader {
    /// Starts to fetch each partition of `topic` at its offset, without a wait.
    ///
    /// `config` is a complete librdkafka configuration. It needs a `group.id` that this user may read: the group is
    /// looked up, but not joined. With `isolation.level=read_committed` a partition can be read up to its first open
    /// transaction. The settings that positions depend on are replaced.
    ///
    /// # Errors
    /// Only of kind [`Invalid`](crate::ErrorKind::Invalid): settings that cannot work.
    pub fn open(config: &ClientConfig, topic: &str, starts: impl Iterator<Item = (i32, i64)>) -> Result<Self, Error> {
        if config.get("group.id").is_none_or(str::is_empty) {
            return Err(Error::invalid("a reader needs a group.id, although it never joins"));
        }
        let mut starts: Vec<_> = starts.collect();
        starts.sort_unstable();
        if starts.windows(2).any(|pair| pair[0].0 == pair[1].0) || starts.iter().any(|(_, offset)| *offset < 0) {
            return Err(Error::invalid("a partition to read is given twice or has a negative offset"));
        }
        let mut list = TopicPartitionList::with_capacity(starts.len());
        for (partition, offset) in &starts {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).map_err(invalid)?;
        }
        let consumer = client::start(config, topic).map_err(invalid)?;
        let records = RecordQueue::new(Arc::new(consumer), topic)?;
        // Before the assignment, so that nothing is fetched to another queue. No earlier assignment exists that could
        // undo it.
        records.forward(starts.iter().map(|(partition, _)| *partition))?;
        records.consumer().assign(&list).map_err(invalid)?;
        let read_positions =
            starts.into_iter().map(|(partition, start)| (partition, ReadPosition::new(start))).collect();
        Ok(Self { records, read_positions, positions: list, failed: None })
    }

    /// Passes the available records to `each`, those of one partition in the order of its log, and returns their
    /// number. If there are none, waits up to `max_wait`.
    ///
    /// Connection errors pass by themselves; they are logged, and meanwhile there are no records.
    ///
    /// # Errors
    /// A partition cannot be read further without a gap. Earlier records were passed on, later ones are not, and every
    /// further call returns the same error. [`OutOfRange`](crate::ErrorKind::OutOfRange) if the log does not hold the
    /// next offset.
    pub fn read(&mut self, max_wait: Duration, mut each: impl FnMut(ReadRecord<'_>)) -> Result<usize, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        // An event that arrives while a batch is taken may concern that batch.
        let outcome = self.read_batch(max_wait, &mut each).and_then(|records| self.serve_client().map(|()| records));
        self.failed = outcome.as_ref().err().cloned();
        outcome
    }

    fn read_batch(&mut self, max_wait: Duration, each: &mut impl FnMut(ReadRecord<'_>)) -> Result<usize, Error> {
        let mut records = 0;
        for fetched in self.records.take(max_wait, BATCH).iter() {
            match fetched {
                Fetched::Record(record) => {
                    each(*record);
                    records += 1;
                    if let Some(read_position) = read_position_of(&mut self.read_positions, record.partition) {
                        read_position.record(record.offset);
                    }
                }
                Fetched::End { partition, offset } => {
                    if let Some(read_position) = read_position_of(&mut self.read_positions, partition) {
                        read_position.end(offset);
                    }
                }
                Fetched::Failed { error, .. } => return Err(error),
            }
        }
        Ok(records)
    }

    /// Handles the client's own events, which nobody else polls.
    fn serve_client(&self) -> Result<(), Error> {
        let consumer = self.records.consumer();
        while self.records.has_events() {
            if let Some(Err(KafkaError::MessageConsumptionFatal(code))) = consumer.poll(Duration::ZERO) {
                let what = format!("topic {}", self.records.topic());
                return Err(Error::Other { what, detail: code.to_string() });
            }
        }
        let missing = consumer.context().take_missing();
        missing.map_or(Ok(()), |it| Err(it.error(&format!("a partition of topic {}", self.records.topic()))))
    }

    /// The position of each partition, sorted. All records below were passed on. Between the last record and the
    /// position lie only transaction markers, aborted records or gaps of compaction.
    pub fn positions(&mut self) -> Vec<(i32, i64)> {
        // After a failure, the client's own position may be past the records that could not be read.
        if self.failed.is_none() {
            self.records.look_up_positions(&mut self.positions);
            for element in self.positions.elements() {
                let read_position = read_position_of(&mut self.read_positions, element.partition());
                if let (Offset::Offset(position), Some(read_position)) = (element.offset(), read_position) {
                    read_position.client_position(position);
                }
            }
        }
        self.read_positions.iter().map(|(partition, read_position)| (*partition, read_position.position())).collect()
    }

    /// Stops reading partitions, and drops their records that are already fetched.
    pub fn pause(&mut self, partitions: impl Iterator<Item = i32>) {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(self.records.topic(), partition);
        }
        if let Err(error) = self.records.consumer().pause(&list) {
            // Only wasteful: the caller does not need the records that still come.
            tracing::debug!(%error, topic = self.records.topic(), "cannot stop reading partitions");
        }
    }

    /// Ends without a wait: the safe crate checks only ten times a second whether its consumer has closed.
    pub fn end(self) {
        // If no thread can be started, it ends here.
        drop(std::thread::Builder::new().name("kafka-client-end".into()).spawn(move || drop(self)));
    }
}

fn read_position_of(all: &mut [(i32, ReadPosition)], partition: i32) -> Option<&mut ReadPosition> {
    let at = all.binary_search_by_key(&partition, |(partition, _)| *partition).ok()?;
    all.get_mut(at).map(|(_, read_position)| read_position)
}

fn invalid(error: KafkaError) -> Error {
    match error {
        KafkaError::ClientCreation(reason) => Error::invalid(reason),
        other => Error::invalid(other.to_string()),
    }
}

impl std::fmt::Debug for BatchReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let topic = self.records.topic();
        f.debug_struct("BatchReader").field("topic", &topic).field("failed", &self.failed).finish_non_exhaustive()
    }
}
