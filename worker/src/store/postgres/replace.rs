//! Replacing the balances of a partition as a whole, in one SQL transaction with what its row says of them: whoever looks
//! finds the former ones or the new ones.

use std::{sync::Arc, time::Duration};

use tokio::runtime::Handle;
use tokio_postgres::{
    Client,
    types::{ToSql, Type},
};

use super::{
    claim::{LedgerMark, Part, rule_columns},
    copy::{stage_balances, write_balances},
    reconnecting_client::{ReconnectingClient, within},
    rows::{in_order, rows_of},
    schema::{add_column, may_delete},
    session::{ANSWER_WITHIN, LedgerKey, SESSION},
};
use crate::{
    config::Config,
    domain::{
        ledger::Ledger,
        ledger_rules::{LedgerRules, Rulebook},
    },
    postgres_error::DatabaseError,
    postgres_target::DatabaseTarget,
    store::{LedgerChecksum, Target},
};

/// With time for the deletion of a large partition, which ends soon, where the server can tell, when nobody waits for it any
/// more.
const BEGIN: &str = "\
BEGIN; SET LOCAL statement_timeout = '10min';
SELECT set_config(name, '5s', true) FROM pg_catalog.pg_settings WHERE name = 'client_connection_check_interval'";
/// Longer than that limit.
const DELETE_WITHIN: Duration = Duration::from_secs(610);

/// The balances were made for the row as it was found. Raising the epoch keeps out whoever still takes the partition for
/// his. The log may be another one than when its leader's epoch was noted.
const ADVANCE: &str = "\
UPDATE balancefleet.part
   SET epoch = epoch + 1, topic_id = $4, base_offset = $5, next_offset = $6, rules = $7, customers = $8, checksum = $9,
       rule_details = $10, leader_epoch = NULL, torn = false
 WHERE group_id = $1 AND topic = $2 AND partition = $3 AND next_offset = $11";

const DELETE: &str = "DELETE FROM balancefleet.bal WHERE group_id = $1 AND topic = $2 AND partition = $3";

/// Of a partition without a row. Every generation of the group is a later one.
const INSERT: &str = "\
INSERT INTO balancefleet.part (group_id, topic, partition, topic_id, base_offset, next_offset, rules, customers, checksum,
                               rule_details, owner, epoch, generation)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, 0) ON CONFLICT DO NOTHING";

pub(crate) struct Replacer {
    runtime: Handle,
    ledger_key: LedgerKey,
    topic_id: String,
    connection: ReconnectingClient,
}

impl Replacer {
    /// Connects, and looks whether this user may delete.
    pub(crate) fn connect(
        config: &Config,
        rules: &Arc<Rulebook>,
        database: &DatabaseTarget,
        topic_id: &str,
        runtime: &Handle,
    ) -> Result<Self, DatabaseError> {
        let mut connection = ReconnectingClient::new(database.clone(), &[SESSION]);
        runtime.block_on(async { may_delete(connection.ready().await?).await })?;
        Ok(Self {
            runtime: runtime.clone(),
            ledger_key: LedgerKey::of(config, rules.clone()),
            topic_id: topic_id.to_owned(),
            connection,
        })
    }

    /// Replaces what there is of a partition whose row stood at `found`, or that had none, by `ledger`, made by `rules`. False
    /// if the row stands elsewhere, or there is one now: then nothing has changed.
    ///
    /// # Errors
    /// Unless the connection was lost in the very end, nothing has changed.
    pub(crate) fn replace(
        &mut self,
        target: &Target,
        found: Option<i64>,
        ledger: &Ledger,
        rules: &LedgerRules,
    ) -> Result<bool, DatabaseError> {
        let Self { runtime, ledger_key, topic_id, connection } = self;
        let replaced = runtime.block_on(async {
            replace(connection.ready().await?, ledger_key, topic_id, target, found, (ledger, rules)).await
        });
        if !matches!(replaced, Ok(true)) {
            connection.disconnect();
        }
        replaced
    }
}

/// See [`Replacer::replace`]. Unless it gives true, the connection is of no use any more.
pub(super) async fn replace(
    client: &Client,
    ledger_key: &LedgerKey,
    topic_id: &str,
    target: &Target,
    found: Option<i64>,
    (ledger, rules): (&Ledger, &LedgerRules),
) -> Result<bool, DatabaseError> {
    let rows = in_order(ledger.customers().flat_map(|(id, customer)| rows_of(target.partition, id, customer)));
    let (customers, checksum) = Part::checksum_columns(LedgerChecksum::of_ledger(ledger));
    add_column(client, true).await?;
    within(ANSWER_WITHIN, client.batch_execute(BEGIN)).await?;
    stage_balances(client, &rows).await?;
    let (base, next_offset) = (target.base, target.next_offset);
    let (rules, rule_details) = rule_columns(rules, LedgerMark { topic_id, base, next_offset });
    let whose: [(&(dyn ToSql + Sync), Type); 3] = whose(ledger_key, &target.partition);
    let what: [(&(dyn ToSql + Sync), Type); 7] = [
        (&topic_id, Type::TEXT),
        (&target.base, Type::INT8),
        (&target.next_offset, Type::INT8),
        (&rules, Type::TEXT),
        (&customers, Type::INT8),
        (&checksum, Type::TEXT),
        (&rule_details, Type::TEXT),
    ];
    let moved = match &found {
        Some(found) => {
            let params = [&whose[..], &what, &[(found, Type::INT8)]].concat();
            within(ANSWER_WITHIN, client.execute_typed(ADVANCE, &params)).await?
        }
        None => {
            let params = [&whose[..], &what, &[(&ledger_key.owner, Type::TEXT)]].concat();
            within(ANSWER_WITHIN, client.execute_typed(INSERT, &params)).await?
        }
    };
    if moved != 1 {
        return Ok(false);
    }
    delete(client, ledger_key, target.partition).await?;
    write_balances(client, ledger_key, &rows).await?;
    within(ANSWER_WITHIN, client.batch_execute("COMMIT")).await.map(|()| true)
}

async fn delete(client: &Client, ledger_key: &LedgerKey, partition: i32) -> Result<(), DatabaseError> {
    within(DELETE_WITHIN, client.execute_typed(DELETE, &whose(ledger_key, &partition))).await.map(drop)
}

fn whose<'a>(ledger_key: &'a LedgerKey, partition: &'a i32) -> [(&'a (dyn ToSql + Sync), Type); 3] {
    [(&ledger_key.group, Type::TEXT), (&ledger_key.topic, Type::TEXT), (partition, Type::INT4)]
}
