//! The durable state of a partition in the tables, which the next compare-and-set must find.

use std::sync::Arc;

use super::{
    claim::{Claim, check_resumable},
    session::LedgerKey,
};
use crate::{
    config::StartFrom,
    domain::ledger_rules::{LedgerRules, WorkerRules},
    not_ready::NotReady,
    partition_failure::PartitionFailure,
    store::{
        Assignment, BatchPart, LedgerChecksum, RecordEncoder, RestoreError, RestorePlan, durable_states,
        offsets::PartitionOffsets,
    },
};

pub(super) type DurableState = durable_states::DurableState<RowState>;

/// What this store knows about a partition besides its ledger.
#[derive(Clone, Debug)]
pub(super) struct RowState {
    pub(super) topic_id: String,
    pub(super) leader_epoch: Option<i32>,
    /// `None` before the first batch.
    pub(super) row: Option<Row>,
    /// Whether the next batch replaces the whole stored partition.
    pub(super) replaces: bool,
}

/// The values that a compare-and-set must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) epoch: i64,
    pub(super) next_offset: i64,
}

/// One partition's part of a batch.
pub(super) struct PartitionCommit<'a> {
    pub(super) part: &'a BatchPart,
    pub(super) before: DurableState,
    /// The durable state once the batch is written.
    pub(super) after: DurableState,
}

impl<'a> PartitionCommit<'a> {
    pub(super) fn new(
        part: &'a BatchPart,
        before: DurableState,
        worker_rules: &WorkerRules,
        encoder: &mut RecordEncoder,
    ) -> Self {
        let mut after = before.clone();
        let change = |change| after.change(change, encoder, worker_rules);
        part.changes.set_digests(part.changes.customers().iter().map(change).collect());
        let epoch = before.store_specific.row.map_or(1, |row| row.epoch);
        after.store_specific.row = Some(Row { epoch, next_offset: part.next_offset });
        after.store_specific.replaces = false;
        Self { part, before, after }
    }

    pub(super) fn partition(&self) -> i32 {
        self.part.assignment.partition
    }
}

/// The state of a partition whose next batch replaces everything that is stored, if it still finds this `row`. The new
/// ledger begins at `start_offset` and was made by `rules`.
pub(super) fn replacing(topic_id: &str, row: Option<Row>, start_offset: i64, rules: LedgerRules) -> DurableState {
    DurableState {
        start_offset,
        checksum: LedgerChecksum::default(),
        rules: Arc::new(rules),
        store_specific: RowState { topic_id: topic_id.to_owned(), leader_epoch: None, row, replaces: true },
    }
}

/// Decides after a claim how the partition continues, and with which durable state.
pub(super) fn plan_claim(
    claim: Claim,
    Assignment { partition, generation, .. }: Assignment,
    ledger_key: &LedgerKey,
    topic_id: &str,
    offsets: &PartitionOffsets,
) -> Result<(DurableState, RestorePlan), RestoreError> {
    let (start_offset, part, rules, plan) = match claim {
        Claim::Held { owner, generation: theirs } => {
            return Err(NotReady::Held { partition, owner, theirs, ours: generation }.into());
        }
        Claim::Orphaned => return Err(PartitionFailure::CustomersWithoutProgress.into()),
        Claim::Ours(part) => {
            let rules = check_resumable(&part, ledger_key, topic_id, offsets)?;
            (part.start_offset, Some(part), Some(rules), RestorePlan::QueryDatabase)
        }
        // With this store, a group can only begin with the first record.
        Claim::Free => (offsets.log_start, None, None, offsets.plan_beginning(StartFrom::Earliest, None)?),
    };
    let durable_state = DurableState {
        start_offset,
        checksum: part.as_ref().map_or_else(LedgerChecksum::default, |part| part.checksum),
        rules: Arc::new(rules.unwrap_or_else(|| LedgerRules::begin(&ledger_key.worker_rules, start_offset))),
        store_specific: RowState {
            topic_id: topic_id.to_owned(),
            leader_epoch: part.as_ref().and_then(|part| part.leader_epoch),
            row: part.map(|part| Row { epoch: part.epoch, next_offset: part.next_offset }),
            replaces: false,
        },
    };
    Ok((durable_state, plan))
}
