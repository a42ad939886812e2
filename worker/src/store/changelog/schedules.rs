//! The changelog under random schedules: the real records, restore and decisions, with a log that is a list.

use std::sync::LazyLock;

use super::{
    DurableState,
    commit_fate::CommitFate,
    contents::ChangelogContents,
    decide,
    progress::{ChangelogContext, ProgressRecord},
    records::{PROGRESS, RecordEncoder},
    restore_plan::Known,
    writer::PartitionCommit,
};
use crate::{
    config::StartFrom,
    domain::{
        ledger::Ledger,
        ledger_rules::{LedgerRules, WorkerRules, tests::worker_rules},
    },
    store::{
        ApplyMode, Assignment, BatchPart, LedgerChecksum, RestorePlan,
        offsets::PartitionOffsets,
        schedules::{Flight, Group, SimulatedStore, Verdict, Worker, try_all},
    },
};

static WORKER_RULES: LazyLock<WorkerRules> = LazyLock::new(|| worker_rules(&[]));
static CONTEXT: LazyLock<ChangelogContext<'static>> =
    LazyLock::new(|| ChangelogContext { group: "g", topic: "t", topic_id: "i", worker_rules: &WORKER_RULES });

type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// What a reader of committed records gets.
#[derive(Default)]
struct Log {
    records: Records,
    /// Offsets of the dead letters.
    dead_letters: Vec<i64>,
}

impl Log {
    fn contents(&self) -> ChangelogContents {
        let mut contents = ChangelogContents::default();
        self.records.iter().for_each(|(key, value)| contents.take(Some(key), Some(value)));
        contents
    }
}

impl From<CommitFate> for Verdict {
    fn from(found: CommitFate) -> Self {
        match found {
            CommitFate::Written => Self::Written,
            CommitFate::Untouched => Self::Untouched,
            CommitFate::Others => Self::Others,
        }
    }
}

impl SimulatedStore for Log {
    const APPLY_MODE: ApplyMode = ApplyMode::Buffered;
    /// Few, so that a ledger that moves takes several commits.
    const MAX_CUSTOMERS_PER_COMMIT: usize = 3;
    type DurableState = DurableState;
    type Sent = (Records, DurableState);

    /// A ledger of more customers than go into one commit is left half written, as a release before this one did when
    /// it was interrupted.
    fn rebuilt(&mut self, ledger: &Ledger, next_offset: i64) {
        let (mut encoder, mut checksum) = (RecordEncoder::default(), LedgerChecksum::default());
        for (id, customer) in ledger.customers().take(Self::MAX_CUSTOMERS_PER_COMMIT) {
            checksum = checksum.changed(0, encoder.encode_and_digest(id, customer));
            self.records.push((encoder.key().to_vec(), encoder.value().to_vec()));
        }
        let rules = LedgerRules::begin(&WORKER_RULES, 0);
        let progress = ProgressRecord::new(&CONTEXT, &rules, 0, next_offset, None, checksum);
        let progress = ProgressRecord { partial: ledger.len() > Self::MAX_CUSTOMERS_PER_COMMIT, ..progress };
        self.records.push((PROGRESS.to_vec(), progress.to_json()));
    }

    fn plan(
        &mut self,
        _worker: Worker,
        _assignment: Assignment,
        offsets: &PartitionOffsets,
    ) -> (RestorePlan, DurableState) {
        let contents = self.contents().finish().expect("what is stored is sound");
        let known = Known { context: &CONTEXT, offsets, start_from: StartFrom::Earliest, initial_offsets: None };
        decide(contents, &known).expect("it can go on")
    }

    fn send(&mut self, durable_state: &DurableState, part: &BatchPart) -> (Records, DurableState) {
        let mut records = Records::new();
        let written = PartitionCommit { part, durable_state: durable_state.clone() }.records(&CONTEXT, |key, value| {
            records.push((key.to_vec(), value.to_vec()));
            Ok::<_, std::convert::Infallible>(())
        });
        (records, written.unwrap())
    }

    /// With the offsets go or fall the records.
    fn land(&mut self, flight: &Flight<(Records, DurableState)>, group: &mut Group) -> Verdict {
        if !group.takes(flight) {
            return Verdict::Untouched;
        }
        self.records.extend(flight.sent.0.clone());
        self.dead_letters.extend(flight.part.changes.dead_letters().iter().map(|dead_letter| dead_letter.offset));
        group.commit(&flight.part);
        Verdict::Written
    }

    fn resolve_outcome(&mut self, flight: &Flight<(Records, DurableState)>, group: &Group) -> Verdict {
        CommitFate::compare(std::iter::once((&flight.part, &group.committed))).into()
    }

    fn accept(
        &mut self,
        durable_state: &mut DurableState,
        flight: &Flight<(Records, DurableState)>,
        _group: &mut Group,
    ) {
        *durable_state = flight.sent.1.clone();
    }

    fn durable(&mut self, group: &Group) -> Option<(i64, Option<Ledger>)> {
        let contents = self.contents().finish().expect("what is stored is sound");
        let progress = contents.progress?;
        if progress.partial {
            return Some((progress.next_offset, None));
        }
        if let Some(committed) = &group.committed {
            assert_eq!(progress.next_offset, committed.offset, "records and offsets are apart");
        }
        Some((progress.next_offset, Some(contents.ledger)))
    }

    fn dead_letters(&mut self) -> Option<Vec<i64>> {
        Some(self.dead_letters.clone())
    }

    fn may_forget_offsets(&self) -> bool {
        true
    }
}

#[test]
fn nothing_is_lost_doubled_or_seen_too_early() {
    try_all(|| Log::default);
}
