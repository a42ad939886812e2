//! Reading partitions fast and to a known place: in go partitions of one topic with the offsets to begin at, out come
//! their records, whole batches at a time, and how far each partition is read.
//!
//! Made for restoring state: no group is joined, nothing is committed, and no offset is ever replaced by another one.

mod progress;

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

use crate::error::partition_name;
use crate::failure::{Circumstances, Failure};
use crate::native::{ClientEvent, Message, Reader};
use crate::{Error, ReadRecord, client_log};
use progress::Progress;

/// A consumer that reads chosen partitions of one topic. It may move between threads; one at a time uses it.
///
/// Dropping it waits for the client's threads, usually some milliseconds.
pub struct BatchReader {
    native: Reader,
    topic: String,
    /// Sorted by partition.
    progress: Vec<(i32, Progress)>,
    failed: Option<Error>,
}

impl BatchReader {
    /// Starts to fetch each partition of `topic` at its offset. Nothing is waited for.
    ///
    /// `config` is a whole librdkafka configuration. It needs a `group.id` that this user may read: the group is looked
    /// up, but not joined. With `isolation.level=read_committed` a partition can be read up to its first open
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
        let native = Reader::open(&reader_config(config), topic, &starts)?;
        let progress = starts.into_iter().map(|(partition, start)| (partition, Progress::new(start))).collect();
        Ok(Self { native, topic: topic.to_owned(), progress, failed: None })
    }

    /// Hands the records that are there to `each`, those of one partition in the order of its log, and returns how many
    /// they were. When there are none, waits for some at most as long as `max_wait`.
    ///
    /// Trouble with connections passes by itself, and meanwhile there are no records; it is in the log.
    ///
    /// # Errors
    /// A partition could not be read on without a gap: what came before was handed out, nothing is afterwards, and every
    /// further call returns the same error. [`OutOfRange`](crate::ErrorKind::OutOfRange) when the log does not hold the
    /// offset to be read next.
    pub fn read(&mut self, max_wait: Duration, mut each: impl FnMut(ReadRecord<'_>)) -> Result<usize, Error> {
        self.serve_client();
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        // That a partition does not exist is no message; librdkafka tells it between two.
        let outcome = self.read_batch(max_wait, &mut each).and_then(|records| match self.native.take_error() {
            Some(failure) => Err(other_error(&format!("a partition of topic {}", self.topic), failure)),
            None => Ok(records),
        });
        self.failed = outcome.as_ref().err().cloned();
        outcome
    }

    fn read_batch(&mut self, max_wait: Duration, each: &mut impl FnMut(ReadRecord<'_>)) -> Result<usize, Error> {
        let mut records = 0;
        let batch = self.native.batch(max_wait);
        for message in batch.iter() {
            match message {
                Message::Record(record, _) => {
                    each(record);
                    records += 1;
                    if let Some(progress) = progress_of(&mut self.progress, record.partition) {
                        progress.record(record.offset);
                    }
                }
                Message::End { partition, offset } => {
                    if let Some(progress) = progress_of(&mut self.progress, partition) {
                        progress.end(offset);
                    }
                }
                Message::Failed { partition, failure, .. } => {
                    let next = progress_of(&mut self.progress, partition).map_or(-1, |progress| progress.position());
                    return Err(error_of(&self.topic, partition, next, failure));
                }
            }
        }
        Ok(records)
    }

    /// How far each partition is read, sorted: everything below is handed out, and what lies between the last record and
    /// the position are transaction markers, aborted records or gaps of compaction.
    pub fn positions(&mut self) -> Vec<(i32, i64)> {
        // After a failure the client's own count may have gone past what could not be read.
        if self.failed.is_none() {
            let known = self.native.positions(self.progress.iter().map(|(partition, _)| *partition));
            for (partition, position) in known.unwrap_or_default() {
                if let Some(progress) = progress_of(&mut self.progress, partition) {
                    progress.clients(position);
                }
            }
        }
        self.progress.iter().map(|(partition, progress)| (*partition, progress.position())).collect()
    }

    /// Reads partitions no further. What was fetched of them already is dropped.
    pub fn pause(&mut self, partitions: impl Iterator<Item = i32>) {
        let partitions: Vec<_> = partitions.collect();
        if let Err(error) = self.native.pause(partitions.into_iter()) {
            // Only wasteful: the caller does not need the records that still come.
            tracing::debug!(%error, topic = self.topic, "cannot stop reading partitions");
        }
    }

    /// Takes in what the client says, by a queue of its own that nobody else serves.
    fn serve_client(&mut self) {
        while let Some(event) = self.native.next_event() {
            match event {
                ClientEvent::Log { level, facility, text } => client_log::line(level, &facility, &text),
                ClientEvent::Error { code, text } if code == Code::RD_KAFKA_RESP_ERR__FATAL as i32 => {
                    self.failed.get_or_insert(Error::Other { what: format!("topic {}", self.topic), detail: text });
                }
                // The log lines say the same, and better.
                ClientEvent::Error { .. } | ClientEvent::Delivered(_) => {}
            }
        }
    }
}

fn progress_of(all: &mut [(i32, Progress)], partition: i32) -> Option<&mut Progress> {
    let at = all.binary_search_by_key(&partition, |(partition, _)| *partition).ok()?;
    all.get_mut(at).map(|(_, progress)| progress)
}

/// Replaces what positions depend on.
fn reader_config(config: &ClientConfig) -> ClientConfig {
    let mut config = config.clone();
    config
        // An offset that is not in the log must be seen, never be replaced by another one.
        .set("auto.offset.reset", "error")
        // The end says that what lies before it was read, even if there was no record in it.
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // The lines come as events and go to our own log.
        .set("log.queue", "true");
    config
}

/// Why a partition is not read any further than `next`.
pub(crate) fn error_of(topic: &str, partition: i32, next: i64, failure: Failure) -> Error {
    if failure.is(Code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) || failure.is(Code::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
    {
        return Error::OutOfRange { topic: topic.to_owned(), partition, offset: next, detail: failure.text };
    }
    other_error(&partition_name(topic, partition), failure)
}

fn other_error(what: &str, failure: Failure) -> Error {
    let circumstances =
        Circumstances { trouble: None, met_a_broker: true, last_failure_log: None, timeout: Duration::ZERO };
    circumstances.error(what, failure)
}

impl std::fmt::Debug for BatchReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchReader").field("topic", &self.topic).field("failed", &self.failed).finish_non_exhaustive()
    }
}
