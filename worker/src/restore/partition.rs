//! One partition under restore.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use balancefleet_kafka::ReadRecord;

use crate::{
    domain::{
        ledger::{Buffer, Ledger},
        rules::Rules,
    },
    store::{ApplyMode, Assignment, ChangelogContents, Restored},
    view::{RestoreProgress, SharedPartition},
};

/// A partition to restore.
pub(crate) struct RestoreRequest {
    pub(crate) assignment: Assignment,
    /// Shows the progress, and tells when the partition has left this worker.
    pub(crate) shared: Arc<SharedPartition>,
}

/// The restore of one partition from records.
pub(super) struct PartitionRestore {
    pub(super) assigned: RestoreRequest,
    kind: Kind,
    start: i64,
    /// Where the reading ends.
    target: i64,
    /// The next offset to read.
    pub(super) next: i64,
    started: Instant,
    /// When the read last made progress.
    moved: Instant,
}

enum Kind {
    /// Records of the input, folded into a fresh ledger.
    ReplayInput { start_offset: i64, ledger: Ledger, records: u64, last: Option<Last> },
    /// Records of the store's changelog.
    ReadChangelog(ChangelogContents),
}

/// The last record that was folded.
#[derive(Clone, Copy)]
struct Last {
    offset: i64,
    leader_epoch: Option<i32>,
}

/// What a restore has read.
pub(super) enum RestoreOutcome {
    Replayed(Restored),
    ChangelogRead(ChangelogContents),
}

impl PartitionRestore {
    pub(super) fn replay_input(assigned: RestoreRequest, start_offset: i64, records: std::ops::Range<i64>) -> Self {
        let kind = Kind::ReplayInput { start_offset, ledger: Ledger::default(), records: 0, last: None };
        Self::new(assigned, kind, records)
    }

    pub(super) fn read_changelog(assigned: RestoreRequest, records: std::ops::Range<i64>) -> Self {
        Self::new(assigned, Kind::ReadChangelog(ChangelogContents::default()), records)
    }

    fn new(assigned: RestoreRequest, kind: Kind, records: std::ops::Range<i64>) -> Self {
        let now = Instant::now();
        Self {
            assigned,
            kind,
            start: records.start,
            target: records.end,
            next: records.start,
            started: now,
            moved: now,
        }
    }

    /// Where the restore ends and, after a fold, processing begins.
    pub(super) fn target(&self) -> i64 {
        self.target
    }

    /// A record was read.
    pub(super) fn take(&mut self, rules: &Rules, record: &ReadRecord<'_>) {
        let ReadRecord { offset, leader_epoch, key, value, .. } = *record;
        if offset < self.next || offset >= self.target {
            return self.set_position(offset);
        }
        match &mut self.kind {
            Kind::ReplayInput { ledger, records, last, .. } => {
                *records += 1;
                *last = Some(Last { offset, leader_epoch });
                // A record that was bad when it was processed is bad now, by the same rules.
                if let Err(bad) = rules.fold(value, |posting| ledger.fold(posting, offset)) {
                    let partition = self.assigned.assignment.partition;
                    tracing::debug!(partition, offset, reason = bad.category(), "bad record");
                }
            }
            Kind::ReadChangelog(contents) => contents.take(key, value),
        }
        self.next = offset + 1;
    }

    /// Moves to `position`: only transaction markers lie between the last record and it.
    pub(super) fn set_position(&mut self, position: i64) {
        self.next = self.next.max(position.min(self.target));
    }

    pub(super) fn is_done(&self) -> bool {
        self.next >= self.target()
    }

    /// For how long nothing was read although there is more.
    pub(super) fn stalled_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.moved)
    }

    /// Shows readers what blocks it.
    pub(super) fn set_blocked_by(&self, by: String) {
        self.assigned.shared.lock().blocked_by = Some(by);
    }

    pub(super) fn finish(self, apply_mode: ApplyMode) -> (RestoreRequest, RestoreOutcome) {
        let outcome = match self.kind {
            Kind::ReadChangelog(contents) => RestoreOutcome::ChangelogRead(contents),
            Kind::ReplayInput { start_offset, mut ledger, records, last } => {
                // A store that keeps balances does not have this ledger yet, so all of it is a change.
                let buffer = match apply_mode {
                    ApplyMode::Direct => Box::default(),
                    ApplyMode::Buffered => Box::new(Buffer::all_of(&mut ledger)),
                };
                let (committed, restored) = (Some(self.target), Restored::empty_at(self.target));
                // Markers and aborted records after it may have a later epoch, which is unknown.
                let last = last.filter(|last| last.offset + 1 == self.target);
                let leader_epoch = last.and_then(|last| last.leader_epoch);
                RestoreOutcome::Replayed(Restored {
                    ledger,
                    buffer,
                    committed,
                    start_offset,
                    records,
                    leader_epoch,
                    ..restored
                })
            }
        };
        (self.assigned, outcome)
    }

    /// Shows readers its progress.
    pub(super) fn show_progress(&mut self, now: Instant) {
        let progress =
            RestoreProgress::new(self.start, self.next, self.target, now.saturating_duration_since(self.started));
        let mut state = self.assigned.shared.lock();
        if state.restore.is_none_or(|before| before.current != self.next) {
            self.moved = now;
            state.blocked_by = None;
        }
        state.restore = Some(progress);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        domain::{
            exponents::Exponents,
            rules::{LedgerKind, Signs},
        },
        store::AssignmentNumber,
    };

    fn restore(fold: std::ops::Range<i64>) -> PartitionRestore {
        let assignment = Assignment { partition: 0, number: AssignmentNumber(1), generation: 1 };
        PartitionRestore::replay_input(
            RestoreRequest { assignment, shared: Arc::new(SharedPartition::new(0, 1)) },
            fold.start,
            fold,
        )
    }

    fn record(offset: i64, value: Option<&[u8]>) -> ReadRecord<'_> {
        ReadRecord { partition: 0, offset, leader_epoch: None, key: None, value }
    }

    fn folded(restore: PartitionRestore, apply_mode: ApplyMode) -> Restored {
        let RestoreOutcome::Replayed(restored) = restore.finish(apply_mode).1 else { panic!("it was loaded") };
        restored
    }

    fn deposit(customer: &str) -> Vec<u8> {
        format!(
            r#"{{"transactionId":"T","amount":1.00,"currency":"EUR","type":3,"customerId":"{customer}","timestamp":"2026-02-08T22:00:00Z"}}"#
        )
        .into_bytes()
    }

    fn rules() -> Rules {
        let exponents = Exponents::iso_4217(&BTreeMap::new());
        Rules { ledger: LedgerKind::Balances, signs: Signs::with_overrides(&BTreeMap::new()), exponents }
    }

    #[test]
    fn exactly_the_planned_records_are_folded_each_once() {
        let (mut restore, rules) = (restore(5..8), rules());
        for offset in [4, 5, 6, 6, 5, 7, 8, 9] {
            restore.take(&rules, &record(offset, Some(&deposit("A"))));
        }
        assert!(restore.is_done());
        assert_eq!(folded(restore, ApplyMode::Direct).ledger.customer("A").unwrap().count, 3);
    }

    #[test]
    fn a_tail_of_markers_ends_it_by_position() {
        let (mut restore, rules) = (restore(0..3), rules());
        restore.take(&rules, &record(0, Some(&deposit("A"))));
        restore.set_position(2);
        assert!(!restore.is_done());
        restore.set_position(7);
        assert!(restore.is_done());
        assert_eq!(folded(restore, ApplyMode::Direct).next_offset, 3);
    }

    #[test]
    fn a_record_beyond_the_target_is_left_for_processing() {
        let (mut restore, rules) = (restore(0..3), rules());
        restore.take(&rules, &record(5, Some(&deposit("A"))));
        assert!(restore.is_done());
        assert!(folded(restore, ApplyMode::Direct).ledger.is_empty());
    }

    #[test]
    fn the_epoch_of_the_record_before_the_target_is_handed_on_and_no_other() {
        let rules = rules();
        let epoch = |records: i64| {
            let mut restore = restore(0..3);
            for offset in 0..records {
                restore.take(&rules, &ReadRecord { leader_epoch: Some(7), ..record(offset, Some(&deposit("A"))) });
            }
            restore.set_position(3);
            folded(restore, ApplyMode::Direct).leader_epoch
        };
        assert_eq!([3, 2, 0].map(epoch), [Some(7), None, None]);
    }

    #[test]
    fn bad_records_are_passed_over() {
        let (mut restore, rules) = (restore(0..2), rules());
        restore.take(&rules, &record(0, Some(b"not json")));
        restore.take(&rules, &record(1, None));
        assert!(restore.is_done());
    }

    #[test]
    fn a_store_with_a_ledger_of_its_own_has_yet_to_write_what_was_folded() {
        let (mut restore, rules) = (restore(0..1), rules());
        restore.take(&rules, &record(0, Some(&deposit("A"))));
        let restored = folded(restore, ApplyMode::Buffered);
        assert!(restored.ledger.is_empty());
        assert_eq!(restored.buffer.pending(), (1, 0));
    }
}
