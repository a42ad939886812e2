//! Logs records that cannot be applied: once per kind and partition, then at a bounded rate.
//!
//! Offset and reason only: the record itself is personal data.

use std::time::{Duration, Instant};

use crate::{throttle::Throttle, transaction::BadRecord};

const SAME_KIND_EVERY: Duration = Duration::from_secs(60);

/// What was logged lately.
pub(super) struct BadRecords(Throttle<(i32, BadRecord)>);

impl Default for BadRecords {
    fn default() -> Self {
        Self(Throttle::new(SAME_KIND_EVERY))
    }
}

impl BadRecords {
    pub(super) fn note(&mut self, topic: &str, partition: i32, offset: i64, reason: BadRecord) {
        if let Some(held_back) = self.0.admit((partition, reason), Instant::now()) {
            tracing::warn!(
                topic,
                partition,
                offset,
                category = reason.category(),
                held_back,
                "a record was not applied: {reason}"
            );
        }
    }
}
