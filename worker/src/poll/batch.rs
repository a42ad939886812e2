//! The hot path: record after record into the ledgers.

use std::time::{Duration, Instant};

use balancefleet_kafka::{Batch, Error, ErrorKind, Fetched, FetchedRecord};
use rdkafka::{Offset, consumer::Consumer as _};

use super::{
    AssignedPartition, Fatal, PollLoop, active::OffsetCheck, partition::Stage, pending_validation::Validation,
    truncation::MaybeTruncated,
};
use crate::{
    domain::{
        ledger::{DeadLetter, Posting},
        transaction::BadRecord,
    },
    throttle::Throttle,
    view::{View, count},
};

/// A batch ends after this much work, so that a rebalance never waits longer.
const BATCH: Duration = Duration::from_millis(50);
/// The most records taken at a time. After them, the clock is read, and whether a commit must not wait.
const AT_ONCE: usize = 256;
/// The most records parsed before the first is applied, and the most applied while a reader waits.
const READ_AHEAD: usize = 32;
/// Simulated work (the setting `simulatedWork`: demonstrations make a record as slow as they like) is done in pieces of
/// this length.
const PAUSE: Duration = Duration::from_millis(100);

/// The outcome of some records; skipped offsets are in neither.
#[derive(Default)]
struct Done {
    processed: u64,
    balance_updates: u64,
}

/// A record and what it does.
type Parsed<'a> = (FetchedRecord<'a>, Result<Option<Posting<'a>>, BadRecord>);

impl PollLoop {
    /// Processes the records that are there or come within `wait`, and those that follow without a wait.
    pub(super) fn batch(&mut self, wait: Duration) -> Result<(), Fatal> {
        let queue = self.records.clone();
        // Records that were taken must be processed, however long that takes.
        let at_once = if self.simulated_work.is_zero() { AT_ONCE } else { 1 };
        let (mut begun, mut processed, mut wait) = (None, 0, wait);
        loop {
            let batch = queue.take(wait, at_once);
            // By now the topic that they come from is known.
            self.events()?;
            self.fail_if_topic_recreated()?;
            if batch.is_empty() {
                self.had_nothing_to_deliver();
                break;
            }
            let begun = *begun.get_or_insert_with(Instant::now);
            processed += self.process_batch(&batch)?;
            if begun.elapsed() >= BATCH || self.is_full() {
                break;
            }
            wait = Duration::ZERO;
        }
        if let Some(begun) = begun {
            self.end_batch(begun.elapsed(), processed);
        }
        Ok(())
    }

    /// Returns the number of processed records.
    fn process_batch(&mut self, batch: &Batch<'_>) -> Result<u64, Fatal> {
        let (mut processed, mut failed, mut parsed) = (0, Vec::new(), Vec::with_capacity(READ_AHEAD));
        for fetched in batch.iter() {
            match fetched {
                Fetched::Record(record) if failed.contains(&record.partition) => {}
                Fetched::Record(record) => {
                    parsed.push((record, self.rules.read(record.value)));
                    if parsed.len() == READ_AHEAD {
                        processed += self.apply_parsed(&mut parsed);
                    }
                }
                // Never asked for.
                Fetched::End { .. } => {}
                Fetched::Failed { partition, error } => {
                    processed += self.apply_parsed(&mut parsed);
                    failed.push(partition);
                    self.fetch_failed(partition, &error)?;
                }
            }
        }
        Ok(processed + self.apply_parsed(&mut parsed))
    }

    /// Applies parsed records and returns how many were processed. Duplicates are skipped.
    fn apply_parsed(&mut self, parsed: &mut Vec<Parsed<'_>>) -> u64 {
        let mut done = Done::default();
        for of_one in parsed.chunk_by(|(one, _), (next, _)| one.partition == next.partition) {
            self.apply(of_one[0].0.partition, of_one, &mut done);
        }
        parsed.clear();
        // Counted once per batch: every update of a shared counter waits for earlier writes.
        let counters = self.view.counting();
        count(&counters.balance_updates, done.balance_updates);
        count(&counters.messages_consumed, done.processed);
        done.processed
    }

    /// Handles a fetch error of a partition. The records that follow may begin after a gap, so the partition is fetched
    /// again from its next offset. If the log does not have that offset, the log may have been truncated: it is
    /// watched.
    fn fetch_failed(&mut self, partition: i32, error: &Error) -> Result<(), Fatal> {
        if let Some(suppressed) = self.fetch_errors.admit(error.kind(), Instant::now()) {
            tracing::warn!(%error, suppressed, "a partition is not fetched");
        }
        self.inspect_topic();
        let active =
            self.partitions.get_mut(&partition).and_then(|owned| Some((owned.assignment_number, owned.active()?)));
        let Some((assignment_number, active)) = active else { return Ok(()) };
        let next_offset = active.next_offset();
        if error.kind() == ErrorKind::OutOfRange {
            self.truncation_watch.add([MaybeTruncated { partition, assignment_number, next_offset }]);
            return Ok(());
        }
        if active.position(partition).is_some() {
            active.validation = Some(Validation::new(Instant::now()));
            return Ok(());
        }
        match self.consumer.seek(&self.topic, partition, Offset::Offset(next_offset), Duration::ZERO) {
            Ok(()) => Ok(()),
            Err(refused) => {
                tracing::warn!(%refused, partition, "the partition cannot be fetched again from its next offset");
                self.restore_again(&[partition])
            }
        }
    }

    /// Shares the time that `records` took among the partitions.
    fn end_batch(&mut self, busy: Duration, records: u64) {
        if records == 0 {
            return;
        }
        self.view.message_processed();
        count(&self.view.counting().busy_micros, u64::try_from(busy.as_micros()).unwrap_or(u64::MAX));
        for owned in self.partitions.values_mut() {
            let shared = owned.shared.clone();
            if let Some(active) = owned.active() {
                active.end_batch(busy, records, &shared);
            }
        }
    }

    /// Applies records of one partition, except those that were processed before.
    fn apply(&mut self, partition: i32, records: &[Parsed<'_>], done: &mut Done) {
        let Some(owned) = self.partitions.get_mut(&partition) else { return };
        // Records fetched before the position was validated are dropped: they are fetched again.
        if !owned.is_validated() {
            return;
        }
        let AssignedPartition { shared, stage: Stage::Active(active), .. } = owned else { return };
        // Loaded into the cache before the lock is taken. Simulated work processes one record at a time.
        if records.iter().any(|(record, _)| active.check_offset(record.offset) != OffsetCheck::Duplicate) {
            simulate_work(self.simulated_work, &self.view);
        }
        let counters = self.view.counting();
        // A lock per record would be a good part of all the work (docs/benchmarks.md).
        let (mut state, mut bad) = (shared.lock(), Vec::new());
        let found = state.ledger.find_all(records.iter().map(customer));
        found.iter().flatten().for_each(|found| active.touch(*found, &state.ledger));
        for ((record, does), found) in records.iter().zip(found) {
            let offset = record.offset;
            match active.check_offset(offset) {
                OffsetCheck::Expected => {}
                OffsetCheck::Gap => count(&counters.gaps, 1),
                OffsetCheck::Duplicate => {
                    count(&counters.duplicates, 1);
                    continue;
                }
            }
            let applied = match (does, found) {
                (Ok(Some(posting)), Some(found)) => {
                    active.apply(found, posting, offset, &mut state).map(|()| true).map_err(BadRecord::from)
                }
                (Ok(_), _) => Ok(false),
                (Err(reason), _) => Err(*reason),
            };
            if applied == Ok(true) {
                done.balance_updates += 1;
            } else {
                active.skip(offset, &mut state);
            }
            if let Err(reason) = applied {
                bad.push((record, reason));
            }
            active.advance(offset, record.leader_epoch);
            done.processed += 1;
        }
        drop(state);
        for (record, reason) in bad {
            count(&counters.processing_errors, 1);
            note(&mut self.bad_records, &self.topic, partition, record.offset, reason);
            if self.dead_letters_enabled {
                active.add_dead_letter(dead_letter(record, reason));
            }
        }
    }
}

/// The customer of a record that does something.
fn customer<'a>((_, does): &'a Parsed<'_>) -> Option<&'a str> {
    Some(&does.as_ref().ok()?.as_ref()?.customer)
}

/// Logs offset and reason only: the record itself is personal data.
fn note(noted: &mut Throttle<(i32, BadRecord)>, topic: &str, partition: i32, offset: i64, reason: BadRecord) {
    if let Some(suppressed) = noted.admit((partition, reason), Instant::now()) {
        let category = reason.category();
        tracing::warn!(topic, partition, offset, category, suppressed, "a record was not applied: {reason}");
    }
}

/// The unchanged record, with the reason.
fn dead_letter(record: &FetchedRecord<'_>, reason: BadRecord) -> DeadLetter {
    DeadLetter {
        offset: record.offset,
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: record.headers(),
        reason,
    }
}

/// Sleeps in pieces and marks the thread alive between them. Otherwise a long pause would stop the worker from
/// answering.
fn simulate_work(mut left: Duration, view: &View) {
    while !left.is_zero() {
        let pause = left.min(PAUSE);
        std::thread::sleep(pause);
        view.mark_alive();
        left -= pause;
    }
}
