//! The hot path: record after record into the ledgers.

use std::time::{Duration, Instant};

use balancefleet_kafka::{headers, leader_epoch};
use rdkafka::{Message, error::KafkaResult, message::BorrowedMessage};

use super::{
    Consumer, Fatal, GroupConsumer, Owned,
    partition::{Place, Stage},
};
use crate::{
    ledger::DeadLetter,
    transaction::BadRecord,
    view::{View, count},
};

/// A batch ends after this much work, so that a rebalance never waits longer.
const BATCH: Duration = Duration::from_millis(50);
/// After so many records it is looked whether a commit must not wait.
const LOOK_EVERY: u64 = 256;
/// Simulated work is done in pieces of this length.
const PAUSE: Duration = Duration::from_millis(100);

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
            records += u64::from(self.polled(polled)?);
            if begun.elapsed() >= BATCH || (records % LOOK_EVERY == 0 && self.is_full()) {
                break;
            }
            next = consumer.poll(Duration::ZERO);
            if next.is_none() {
                self.had_nothing_to_deliver();
            }
        }
        self.end_batch(begun.elapsed(), records);
        Ok(())
    }

    /// Notes what processing `records` took.
    fn end_batch(&mut self, busy: Duration, records: u64) {
        if records == 0 {
            return;
        }
        self.view.message_processed();
        count(&self.view.counting().busy_micros, u64::try_from(busy.as_micros()).unwrap_or(u64::MAX));
        for owned in self.partitions.values_mut() {
            let cell = owned.cell.clone();
            if let Some(active) = owned.active() {
                active.end_batch(busy, records, &cell);
            }
        }
    }

    /// Applies one record, if it is the turn of its offset; false if it is not.
    pub(super) fn process(&mut self, record: &BorrowedMessage<'_>) -> bool {
        let (partition, offset) = (record.partition(), record.offset());
        let Some(Owned { cell, stage: Stage::Active(active), .. }) = self.partitions.get_mut(&partition) else {
            return false;
        };
        let counters = self.view.counting();
        match active.place(offset) {
            Place::Next => {}
            Place::AfterGap => count(&counters.gaps, 1),
            Place::Behind => {
                count(&counters.skipped, 1);
                return false;
            }
        }
        simulate_work(self.simulated_work, &self.view);
        let applied = self.rules.fold(record.payload(), |posting| active.apply(posting, offset, cell));
        if applied == Ok(true) {
            count(&counters.balance_updates, 1);
        } else {
            active.passed_over(offset, cell);
        }
        if let Err(reason) = applied {
            count(&counters.processing_errors, 1);
            self.bad_records.note(&self.topic, partition, offset, reason);
            if self.puts_aside {
                active.put_aside(dead_letter(record, reason));
            }
        }
        count(&counters.messages_consumed, 1);
        active.passed(offset, leader_epoch(record));
        true
    }
}

/// The record as it came, with the reason.
fn dead_letter(record: &BorrowedMessage<'_>, reason: BadRecord) -> DeadLetter {
    DeadLetter {
        offset: record.offset(),
        key: record.key().map(<[u8]>::to_vec),
        value: record.payload().map(<[u8]>::to_vec),
        headers: headers(record),
        reason,
    }
}

/// Pauses, but is seen to live: a pause as long as a tick may be old would take the worker's answers away.
fn simulate_work(mut left: Duration, view: &View) {
    while !left.is_zero() {
        let pause = left.min(PAUSE);
        std::thread::sleep(pause);
        view.tick();
        left -= pause;
    }
}
