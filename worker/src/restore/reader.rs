//! The reader of one topic, shared by the partitions that are restored from it.

use std::time::{Duration, Instant};

use balancefleet_kafka::BatchReader;
use rdkafka::ClientConfig;

use super::partition::{PartitionRestore, RestoreRequest};
use crate::domain::rules::Rules;

/// The longest wait for records before the inbox is checked again.
const SLICE: Duration = Duration::from_millis(50);
/// The pause after a reader could not be created.
const OPEN_AGAIN: Duration = Duration::from_millis(500);
/// A restore that is stalled for this long is logged.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// Restores, and a reader while there are any.
pub(super) struct RestoreReader {
    topic: String,
    config: ClientConfig,
    restores: Vec<PartitionRestore>,
    reader: Option<BatchReader>,
    warned: Option<Instant>,
}

impl RestoreReader {
    pub(super) fn new(topic: &str, config: ClientConfig) -> Self {
        Self { topic: topic.to_owned(), config, restores: Vec::new(), reader: None, warned: None }
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    pub(super) fn is_empty(&self) -> bool {
        self.restores.is_empty()
    }

    /// The reader is recreated whenever the set of restores has grown.
    pub(super) fn add(&mut self, restore: PartitionRestore) {
        self.restores.push(restore);
        self.end_reader();
    }

    pub(super) fn forget_released(&mut self) {
        self.restores.retain(|restore| !restore.assigned.shared.is_released());
        if self.restores.is_empty() {
            self.end_reader();
        }
    }

    /// Reads for a while. Returns the partitions whose offset is no longer in the log.
    pub(super) fn read(&mut self, rules: &Rules) -> Vec<RestoreRequest> {
        if self.restores.is_empty() {
            return Vec::new();
        }
        if self.reader.is_none() {
            let starts = self.restores.iter().map(|restore| (restore.assigned.assignment.partition, restore.next));
            match BatchReader::open(&self.config, &self.topic, starts) {
                Ok(reader) => self.reader = Some(reader),
                Err(error) => {
                    tracing::error!(%error, "cannot start the restore reader; trying again");
                    std::thread::sleep(OPEN_AGAIN);
                    return Vec::new();
                }
            }
        }
        let Some(reader) = &mut self.reader else { return Vec::new() };
        let restores = &mut self.restores;
        let outcome = reader.read(SLICE, |record| {
            if let Some(restore) = restore_of(restores, record.partition) {
                restore.take(rules, &record);
            }
        });
        for (partition, position) in reader.positions() {
            if let Some(restore) = restore_of(restores, partition) {
                restore.set_position(position);
            }
        }
        match outcome {
            Ok(_) => Vec::new(),
            Err(error) => {
                tracing::warn!(%error, topic = self.topic, "the restore reader lost its place; looking it up again");
                self.end_reader();
                let (done, lost) = std::mem::take(&mut self.restores).into_iter().partition(PartitionRestore::is_done);
                self.restores = done;
                let lost: Vec<PartitionRestore> = lost;
                lost.into_iter().map(|restore| restore.assigned).collect()
            }
        }
    }

    fn end_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.end();
        }
    }

    /// Takes the restores that have read everything; the others show their progress.
    pub(super) fn take_done(&mut self) -> Vec<PartitionRestore> {
        let (done, going_on) = std::mem::take(&mut self.restores).into_iter().partition(PartitionRestore::is_done);
        self.restores = going_on;
        let done: Vec<PartitionRestore> = done;
        if let Some(reader) = self.reader.as_mut().filter(|_| !done.is_empty()) {
            reader.pause(done.iter().map(|restore| restore.assigned.assignment.partition));
        }
        let now = Instant::now();
        self.restores.iter_mut().for_each(|restore| restore.show_progress(now));
        self.warn_stalled(now);
        done
    }

    /// A restore that stalls for so long nearly always waits for a transaction that nobody ends.
    fn warn_stalled(&mut self, now: Instant) {
        let is_due = self.warned.is_none_or(|warned| now.saturating_duration_since(warned) >= STALLED_AFTER);
        for restore in self.restores.iter().filter(|restore| restore.stalled_for(now) >= STALLED_AFTER) {
            let (topic, partition, at, to) =
                (&self.topic, restore.assigned.assignment.partition, restore.next, restore.target());
            let since = restore.stalled_for(now).as_secs();
            let words = format!(
                "OpenTransaction: nothing of partition {partition} of topic {topic} can be read beyond offset {at} of {to} \
                 for {since} s: a transaction has not ended; a worker that was killed in one leaves it to the brokers' \
                 time-out"
            );
            if is_due {
                self.warned = Some(now);
                tracing::warn!("{words}");
            }
            restore.set_blocked_by(words);
        }
    }
}

fn restore_of(restores: &mut [PartitionRestore], partition: i32) -> Option<&mut PartitionRestore> {
    restores.iter_mut().find(|restore| restore.assigned.assignment.partition == partition)
}
