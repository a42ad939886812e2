//! The hot path: record after record into the ledgers.

use std::time::{Duration, Instant};

use rdkafka::{Message, error::KafkaResult, message::BorrowedMessage};

use super::{
    Consumer, Fatal, GroupConsumer, Owned,
    partition::{Place, Stage},
};
use crate::view::count;

/// A batch ends after this much work, so that a rebalance never waits longer.
const BATCH: Duration = Duration::from_millis(50);

impl Consumer {
    /// Deals with `first` and with what follows without waiting.
    pub(super) fn batch<'a>(
        &mut self,
        consumer: &'a GroupConsumer,
        first: KafkaResult<BorrowedMessage<'a>>,
    ) -> Result<(), Fatal> {
        let begun = Instant::now();
        let mut next = Some(first);
        let mut records = 0;
        // A rebalance ends the batch by itself: the poll that brings it gives no record.
        while let Some(polled) = next {
            records += u64::from(polled.is_ok());
            self.polled(polled)?;
            if begun.elapsed() >= BATCH {
                break;
            }
            next = consumer.poll(Duration::ZERO);
        }
        self.end_batch(begun.elapsed(), records);
        Ok(())
    }

    fn end_batch(&mut self, busy: Duration, records: u64) {
        if records == 0 {
            return;
        }
        self.view.message_processed();
        count(&self.view.counting().busy_micros, u64::try_from(busy.as_micros()).unwrap_or(u64::MAX));
        for active in self.partitions.values_mut().filter_map(|owned| owned.active()) {
            active.end_batch(busy, records);
        }
    }

    /// Applies one record, if it is the turn of its offset.
    pub(super) fn process(&mut self, record: &BorrowedMessage<'_>) {
        let (partition, offset) = (record.partition(), record.offset());
        let Some(Owned { cell, stage: Stage::Active(active), .. }) = self.partitions.get_mut(&partition) else {
            return;
        };
        let counters = self.view.counting();
        match active.place(offset) {
            Place::Next => {}
            Place::AfterGap => count(&counters.gaps, 1),
            Place::Behind => return count(&counters.skipped, 1),
        }
        if !self.simulated_work.is_zero() {
            std::thread::sleep(self.simulated_work);
        }
        // Parsed before the lock is taken; ledger and offset change under the same one, so no reader sees one alone.
        let applied = self.rules.fold(record.payload(), |posting| {
            let mut state = cell.lock();
            state.passed(offset);
            state.ledger.apply(posting, offset)
        });
        if applied == Ok(true) {
            count(&counters.balance_updates, 1);
        } else {
            cell.lock().passed(offset);
        }
        if let Err(reason) = applied {
            count(&counters.processing_errors, 1);
            self.bad_records.note(&self.topic, partition, offset, reason);
        }
        count(&counters.messages_consumed, 1);
        active.passed(offset);
    }
}
