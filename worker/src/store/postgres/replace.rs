//! Replacing the balances of a partition as a whole: in the SQL transaction that writes the new ones, so that whoever looks
//! finds the former ones or the new ones.

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

/// The new balances are made for the row as it was found. Raising the epoch keeps out whoever still takes the partition for
/// his.
const TAKE: &str = "\
UPDATE balancefleet.part SET epoch = epoch + 1, generation = $4, owner = $5
 WHERE group_id = $1 AND topic = $2 AND partition = $3 AND next_offset = $6 RETURNING epoch";

/// With time for the deletion of a large partition, which ends soon, where the server can tell, when nobody waits for it any
/// more.
const LIMITS: &str = "\
SET LOCAL statement_timeout = '10min';
SELECT set_config(name, '5s', true) FROM pg_catalog.pg_settings WHERE name = 'client_connection_check_interval'";
/// Longer than that limit.
const DELETE_WITHIN: Duration = Duration::from_secs(610);

/// What no batch changes.
const RESET_ROW: &str = "\
UPDATE balancefleet.part SET topic_id = $4, base_offset = $5, torn = false
 WHERE group_id = $1 AND topic = $2 AND partition = $3";
const DELETE: &str = "DELETE FROM balancefleet.bal WHERE group_id = $1 AND topic = $2 AND partition = $3";

/// Takes the row of a partition that stands at `next_offset`; its epoch, if it still does.
pub(super) async fn take(
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
    let row = within(ANSWER_WITHIN, client.query_typed_opt(TAKE, &params)).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Inside the transaction of `commit`, which has moved the row of a partition that it replaces: makes room for the balances.
pub(super) async fn clear(
    client: &Client,
    ledger_key: &LedgerKey,
    commit: &PartitionCommit<'_>,
) -> Result<(), DatabaseError> {
    let (before, partition) = (&commit.before, commit.partition());
    let whose: [(&(dyn ToSql + Sync), Type); 3] =
        [(&ledger_key.group, Type::TEXT), (&ledger_key.topic, Type::TEXT), (&partition, Type::INT4)];
    let what: [(&(dyn ToSql + Sync), Type); 2] = [(&before.stored.topic_id, Type::TEXT), (&before.base, Type::INT8)];
    within(ANSWER_WITHIN, client.batch_execute(LIMITS)).await?;
    within(ANSWER_WITHIN, client.execute_typed(RESET_ROW, &[&whose[..], &what].concat())).await?;
    within(DELETE_WITHIN, client.execute_typed(DELETE, &whose)).await.map(drop)
}
