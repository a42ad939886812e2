//! Replaces the balances of a whole partition in the SQL transaction that writes the new ones. So every reader finds
//! either the former balances or the new ones.

use std::time::Duration;

use tokio_postgres::{
    Client,
    types::{ToSql, Type},
};

use super::{
    durable_state::PartitionCommit,
    reconnecting_client::within,
    session::{ANSWER_WITHIN, LedgerKey},
};
use crate::{postgres_error::DatabaseError, store::Assignment};

/// The new balances were computed for the row as it was found. Raising the epoch keeps out a worker that still believes
/// it owns the partition.
const CLAIM: &str = "\
UPDATE balancefleet.part SET epoch = epoch + 1, generation = $4, owner = $5
 WHERE group_id = $1 AND topic = $2 AND partition = $3 AND next_offset = $6 RETURNING epoch";

/// Gives the deletion of a large partition enough time. If the server can detect a lost client, the deletion then ends
/// soon.
const LIMITS: &str = "\
SET LOCAL statement_timeout = '10min';
SELECT set_config(name, '5s', true) FROM pg_catalog.pg_settings WHERE name = 'client_connection_check_interval'";
/// Longer than that limit.
const DELETE_WITHIN: Duration = Duration::from_secs(610);

/// Sets the columns that no batch changes.
const RESET_ROW: &str = "\
UPDATE balancefleet.part SET topic_id = $4, base_offset = $5, torn = false
 WHERE group_id = $1 AND topic = $2 AND partition = $3";
const DELETE: &str = "DELETE FROM balancefleet.bal WHERE group_id = $1 AND topic = $2 AND partition = $3";

/// Claims the row of a partition if it is still at `next_offset`; returns its new epoch.
pub(super) async fn claim_for_replacement(
    client: &Client,
    ledger_key: &LedgerKey,
    Assignment { partition, generation, .. }: Assignment,
    next_offset: i64,
) -> Result<Option<i64>, DatabaseError> {
    let params: [(&(dyn ToSql + Sync), Type); 6] = [
        (&ledger_key.group, Type::TEXT),
        (&ledger_key.topic, Type::TEXT),
        (&partition, Type::INT4),
        (&generation, Type::INT4),
        (&ledger_key.owner, Type::TEXT),
        (&next_offset, Type::INT8),
    ];
    let row = within(ANSWER_WITHIN, client.query_typed_opt(CLAIM, &params)).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Deletes the former balances inside the transaction of `commit`, which has already moved the row.
pub(super) async fn delete_replaced(
    client: &Client,
    ledger_key: &LedgerKey,
    commit: &PartitionCommit<'_>,
) -> Result<(), DatabaseError> {
    let (before, partition) = (&commit.before, commit.partition());
    let whose: [(&(dyn ToSql + Sync), Type); 3] =
        [(&ledger_key.group, Type::TEXT), (&ledger_key.topic, Type::TEXT), (&partition, Type::INT4)];
    let what: [(&(dyn ToSql + Sync), Type); 2] =
        [(&before.store_specific.topic_id, Type::TEXT), (&before.start_offset, Type::INT8)];
    within(ANSWER_WITHIN, client.batch_execute(LIMITS)).await?;
    within(ANSWER_WITHIN, client.execute_typed(RESET_ROW, &[&whose[..], &what].concat())).await?;
    within(DELETE_WITHIN, client.execute_typed(DELETE, &whose)).await.map(drop)
}
