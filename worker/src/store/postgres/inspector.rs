//! Reads the tables for the tools; writes nothing.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_postgres::types::Type;

use super::{
    claim::{Claim, find},
    durable_state::plan_claim,
    load,
    reconnecting_client::within,
    schema::{has_tables, may_delete},
    session::{ANSWER_WITHIN, LedgerKey, SESSION},
};
use crate::{
    config::Config,
    domain::ledger_rules::WorkerRules,
    partition_failure::PartitionFailure,
    postgres_error::DatabaseError,
    postgres_target::{DatabaseTarget, Session},
    store::{Assignment, AssignmentNumber, PartitionOffsets, RestoreError, StoredPartition},
};

const HAS_ROWS: &str = "SELECT EXISTS (SELECT FROM balancefleet.part WHERE group_id = $1 AND topic = $2)";

/// A row as a worker would find it when it claims the partition.
pub(crate) struct FoundRow(Claim);

impl FoundRow {
    /// Whether a worker would continue it, and whether that is certain without reading the customers.
    pub(crate) fn check(
        self,
        config: &Config,
        rules: &Arc<WorkerRules>,
        topic_id: &str,
        offsets: &PartitionOffsets,
    ) -> Result<bool, PartitionFailure> {
        let is_withheld = matches!(&self.0, Claim::Ours(part) if part.is_withheld);
        let assignment = Assignment { partition: 0, number: AssignmentNumber(0), generation: 0 };
        match plan_claim(self.0, assignment, &LedgerKey::of(config, rules.clone()), topic_id, offsets) {
            Err(RestoreError::Permanent(failure)) => Err(failure),
            Ok((durable_state, _)) => Ok(durable_state.rules.agrees_on_every_currency() && !is_withheld),
            Err(RestoreError::Transient(_)) => Ok(true),
        }
    }
}

pub(crate) struct StoreInspector {
    runtime: Handle,
    ledger_key: LedgerKey,
    /// `None` if there are no tables.
    session: Option<Session>,
}

impl StoreInspector {
    pub(crate) fn connect(
        config: &Config,
        rules: Arc<WorkerRules>,
        target: &DatabaseTarget,
        runtime: &Handle,
    ) -> Result<Self, DatabaseError> {
        let session = runtime.block_on(async {
            let session = target.connect().await?;
            session.batch_execute(SESSION).await?;
            session.batch_execute("SET default_transaction_read_only = on").await?;
            let is_there = has_tables(&session).await?;
            Ok::<_, DatabaseError>(is_there.then_some(session))
        })?;
        Ok(Self { runtime: runtime.clone(), ledger_key: LedgerKey::of(config, rules), session })
    }

    /// Whether there are tables.
    pub(crate) fn has_tables(&self) -> bool {
        self.session.is_some()
    }

    /// Checks that this user may replace balances, if there are tables.
    pub(crate) fn may_replace(&self) -> Result<(), DatabaseError> {
        let Some(session) = &self.session else { return Ok(()) };
        self.runtime.block_on(may_delete(session))
    }

    /// One more than the highest partition that has a row.
    pub(crate) fn partitions(&self) -> Result<i32, DatabaseError> {
        let Some(session) = &self.session else { return Ok(0) };
        self.runtime.block_on(load::partitions(session, &self.ledger_key))
    }

    /// The number of customers of a partition without a row.
    pub(crate) fn orphans(&self, partition: i32) -> Result<usize, DatabaseError> {
        let Some(session) = &self.session else { return Ok(0) };
        self.runtime.block_on(load::orphans(session, &self.ledger_key, partition))
    }

    /// What a claim would find, without reading the customers.
    pub(crate) fn row(&self, partition: i32) -> Result<FoundRow, DatabaseError> {
        let Some(session) = &self.session else { return Ok(FoundRow(Claim::Free)) };
        self.runtime.block_on(find(session, &self.ledger_key, partition)).map(FoundRow)
    }

    /// What the database has stored of a partition.
    pub(crate) fn inspect(&self, partition: i32, topic_id: &str) -> Result<StoredPartition, DatabaseError> {
        let Some(session) = &self.session else { return Ok(StoredPartition::default()) };
        self.runtime.block_on(load::inspect(session, &self.ledger_key, partition, topic_id))
    }
}

/// Whether the database has a row for any partition of the group's topic.
pub(crate) fn has_progress(config: &Config, target: &DatabaseTarget, runtime: &Handle) -> Result<bool, DatabaseError> {
    let StoreInspector { session, ledger_key, .. } =
        StoreInspector::connect(config, Arc::new(WorkerRules::new(config.rules.clone())), target, runtime)?;
    let Some(session) = session else { return Ok(false) };
    let params = [(&ledger_key.group as _, Type::TEXT), (&ledger_key.topic as _, Type::TEXT)];
    let found = runtime.block_on(within(ANSWER_WITHIN, session.query_typed_one(HAS_ROWS, &params)))?;
    Ok(found.try_get(0)?)
}
