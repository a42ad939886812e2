//! One partition under restore.

use std::time::{Duration, Instant};

use super::Assigned;
use crate::{consumer::partition::Restored, ledger::Ledger, rules::Rules, store::Plan, view::RestoreProgress};

/// Folds the records of a plan into a fresh ledger.
pub(super) struct Job {
    pub(super) assigned: Assigned,
    plan: Plan,
    ledger: Ledger,
    /// The next offset to read.
    pub(super) next: i64,
    started: Instant,
}

impl Job {
    pub(super) fn new(assigned: Assigned, plan: Plan) -> Self {
        let next = plan.fold.start;
        Self { assigned, plan, ledger: Ledger::default(), next, started: Instant::now() }
    }

    /// Where the restore ends and processing begins.
    pub(super) fn target(&self) -> i64 {
        self.plan.fold.end
    }

    /// A record was read. What could not be applied when it was processed cannot be applied now: the same rules say so.
    pub(super) fn fold(&mut self, rules: &Rules, offset: i64, value: Option<&[u8]>) {
        if offset < self.next || offset >= self.target() {
            return self.reached(offset);
        }
        let ledger = &mut self.ledger;
        if let Err(bad) = rules.fold(value, |posting| ledger.apply(posting, offset)) {
            tracing::debug!(partition = self.assigned.partition, offset, reason = bad.category(), "bad record");
        }
        self.next = offset + 1;
    }

    /// Everything below `position` was read: what lies between the last record and it are transaction markers.
    pub(super) fn reached(&mut self, position: i64) {
        self.next = self.next.max(position.min(self.target()));
    }

    pub(super) fn is_done(&self) -> bool {
        self.next >= self.target()
    }

    pub(super) fn finish(self) -> (Assigned, Restored) {
        let restored = Restored { ledger: self.ledger, base: self.plan.base, next_offset: self.plan.fold.end };
        (self.assigned, restored)
    }

    /// Tells readers how far it is.
    pub(super) fn show_progress(&self, now: Instant) {
        let start = self.plan.fold.start;
        let progress = RestoreProgress { start, current: self.next, target: self.target(), eta: self.eta(now) };
        self.assigned.cell.lock().restore = Some(progress);
    }

    fn eta(&self, now: Instant) -> Option<Duration> {
        let done = u32::try_from(self.next - self.plan.fold.start).ok().filter(|done| *done > 0)?;
        let left = u32::try_from(self.target() - self.next).ok()?;
        Some((now.saturating_duration_since(self.started) / done).saturating_mul(left))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;
    use crate::{
        exponents::Exponents,
        rules::{LedgerKind, Signs},
        store::Epoch,
        view::Cell,
    };

    fn job(fold: std::ops::Range<i64>) -> Job {
        let assigned = Assigned { partition: 0, epoch: Epoch(1), cell: Arc::new(Cell::new(0, 1)) };
        Job::new(assigned, Plan { base: fold.start, fold })
    }

    fn deposit(customer: &str) -> Vec<u8> {
        format!(
            r#"{{"transactionId":"T","amount":1.00,"currency":"EUR","type":3,"customerId":"{customer}","timestamp":"2026-02-08T22:00:00Z"}}"#
        )
        .into_bytes()
    }

    fn rules() -> Rules {
        let exponents = Exponents::iso_4217(&BTreeMap::new());
        Rules { ledger: LedgerKind::Balances, signs: Signs::labs(&BTreeMap::new()), exponents }
    }

    #[test]
    fn exactly_the_planned_records_are_folded_each_once() {
        let (mut job, rules) = (job(5..8), rules());
        for offset in [4, 5, 6, 6, 5, 7, 8, 9] {
            job.fold(&rules, offset, Some(&deposit("A")));
        }
        assert!(job.is_done());
        assert_eq!(job.finish().1.ledger.customer("A").unwrap().count, 3);
    }

    #[test]
    fn a_tail_of_markers_ends_it_by_position() {
        let (mut job, rules) = (job(0..3), rules());
        job.fold(&rules, 0, Some(&deposit("A")));
        job.reached(2);
        assert!(!job.is_done());
        job.reached(7);
        assert!(job.is_done());
        assert_eq!(job.finish().1.next_offset, 3);
    }

    #[test]
    fn a_record_beyond_the_target_is_left_for_processing() {
        let (mut job, rules) = (job(0..3), rules());
        job.fold(&rules, 5, Some(&deposit("A")));
        assert!(job.is_done());
        assert!(job.finish().1.ledger.is_empty());
    }

    #[test]
    fn bad_records_are_passed_over() {
        let (mut job, rules) = (job(0..2), rules());
        job.fold(&rules, 0, Some(b"not json"));
        job.fold(&rules, 1, None);
        assert!(job.is_done());
    }
}
