//! Counters the poll thread raises and others read.

use std::sync::atomic::{
    AtomicI64, AtomicU64,
    Ordering::{self, Relaxed},
};

use jiff::Timestamp;

use super::facts::Counts;

/// No event happened yet.
const NEVER: i64 = i64::MIN;

/// See [`Counts`] for what each one counts.
pub(crate) struct Counters {
    pub(crate) messages_consumed: AtomicU64,
    pub(crate) balance_updates: AtomicU64,
    pub(crate) processing_errors: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) busy_micros: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) commit_failures: AtomicU64,
    rebalances: AtomicU64,
    last_rebalance_at: AtomicI64,
    last_message_at: AtomicI64,
}

impl Default for Counters {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            messages_consumed: zero(),
            balance_updates: zero(),
            processing_errors: zero(),
            duplicates: zero(),
            gaps: zero(),
            busy_micros: zero(),
            commits: zero(),
            commit_failures: zero(),
            rebalances: zero(),
            last_rebalance_at: AtomicI64::new(NEVER),
            last_message_at: AtomicI64::new(NEVER),
        }
    }
}

/// Adds to a counter that only counts: no other memory depends on it.
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn rebalanced(&self, at: Timestamp) {
        count(&self.rebalances, 1);
        self.last_rebalance_at.store(at.as_millisecond(), Relaxed);
    }

    pub(crate) fn message_at(&self, at: Timestamp) {
        self.last_message_at.store(at.as_millisecond(), Relaxed);
    }

    pub(super) fn read(&self) -> Counts {
        Counts {
            messages_consumed: self.messages_consumed.load(Relaxed),
            balance_updates: self.balance_updates.load(Relaxed),
            processing_errors: self.processing_errors.load(Relaxed),
            duplicates: self.duplicates.load(Relaxed),
            gaps: self.gaps.load(Relaxed),
            rebalances: self.rebalances.load(Relaxed),
            last_rebalance_at: timestamp(&self.last_rebalance_at),
            last_message_at: timestamp(&self.last_message_at),
            busy_micros: self.busy_micros.load(Relaxed),
            commits: self.commits.load(Relaxed),
            commit_failures: self.commit_failures.load(Relaxed),
        }
    }
}

fn timestamp(millis: &AtomicI64) -> Option<Timestamp> {
    let millis = millis.load(Relaxed);
    (millis != NEVER).then(|| Timestamp::from_millisecond(millis).ok()).flatten()
}
