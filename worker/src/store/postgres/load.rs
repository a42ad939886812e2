//! Reads a partition's balances back.
//!
//! All of them are loaded into memory, as with the other stores; otherwise every record would wait for the database.
//! Row and balances are read in one snapshot, so they belong together whoever writes meanwhile. Rows are processed as
//! they arrive, and nothing is held twice.

use std::time::Duration;

use futures::TryStreamExt;
use tokio_postgres::{
    Client,
    types::{ToSql, Type},
};

use super::{
    claim::PartitionRow,
    reconnecting_client::within,
    rows::{COLUMNS, CustomerRow, LedgerBuilder},
    session::{ANSWER_WITHIN, LedgerKey},
};
use crate::{
    domain::{
        ledger::Ledger,
        ledger_rules::{LedgerRules, WorkerRules},
    },
    partition_failure::PartitionFailure,
    postgres_error::DatabaseError,
    store::{LedgerChecksum, OnProgress, StoredPartition, StoredProgress},
};

/// One snapshot, with a statement timeout for a large one: the session's own is meant for writing.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '10min'";

/// Longer than that limit.
const LOAD_WITHIN: Duration = Duration::from_secs(610);

/// Readers see only some rows, so whether the balances may be used is stored for them.
const SET_WITHHELD: &str = "UPDATE balancefleet.part SET torn = $5 \
                    WHERE group_id = $1 AND topic = $2 AND partition = $3 AND epoch = $4 AND torn <> $5";

pub(super) enum LoadOutcome {
    Ledger(Ledger),
    /// The balances cannot be what was written.
    Failed(PartitionFailure),
    /// Another session has claimed the partition since.
    Moved,
}

/// Reads the balances of a partition that was claimed with `epoch`.
pub(super) async fn load(
    client: &Client,
    ledger_key: &LedgerKey,
    (partition, epoch): (i32, i64),
    on_progress: &mut OnProgress<'_>,
) -> Result<LoadOutcome, DatabaseError> {
    let Some((part, ledger)) = snapshot(client, ledger_key, partition, |part| part.epoch == epoch, on_progress).await?
    else {
        return Ok(LoadOutcome::Moved);
    };
    match ledger.and_then(|ledger| check(ledger, part.checksum)) {
        Ok(ledger) => {
            // With a leader epoch, the position can be validated, and readers wait for that: they get the partition
            // with the first applied record.
            if part.leader_epoch.is_none() {
                set_withheld(client, ledger_key, partition, epoch, false).await?;
            }
            Ok(LoadOutcome::Ledger(ledger))
        }
        Err(failure) => {
            set_withheld(client, ledger_key, partition, epoch, true).await?;
            Ok(LoadOutcome::Failed(failure))
        }
    }
}

/// Reads a partition whoever owns it; changes nothing.
pub(super) async fn inspect(
    client: &Client,
    ledger_key: &LedgerKey,
    partition: i32,
    topic_id: &str,
) -> Result<StoredPartition, DatabaseError> {
    let found = snapshot(client, ledger_key, partition, |_| true, &mut |_, _| true).await?;
    Ok(found.map_or_else(StoredPartition::default, |(part, ledger)| {
        stored_partition(part, ledger, &ledger_key.worker_rules, topic_id)
    }))
}

/// Judges a row with its balances.
fn stored_partition(
    part: PartitionRow,
    ledger: Result<Ledger, PartitionFailure>,
    worker_rules: &WorkerRules,
    topic_id: &str,
) -> StoredPartition {
    let (not_ours, is_readable) = (part.check_topic(topic_id).err(), ledger.is_ok());
    let (ledger, unsound) = match ledger {
        Ok(ledger) => {
            let flaw = verify_checksum(&ledger, part.checksum).err();
            (ledger, flaw)
        }
        Err(unreadable) => (Ledger::default(), Some(unreadable)),
    };
    let examined = part.stored_rules(|stored| LedgerRules::examine(stored, &ledger, worker_rules));
    let (rules, other_settings, unreadable_rules) = match examined {
        Ok((rules, other_settings)) => (rules, other_settings, None),
        Err(failure) => (None, None, Some(failure)),
    };
    let is_as_here = not_ours.is_none() && other_settings.is_none() && unreadable_rules.is_none();
    let stored_progress = StoredProgress {
        rules,
        topic_id: part.topic_id,
        start_offset: part.start_offset,
        next_offset: part.next_offset,
        is_comparable: is_as_here && is_readable,
    };
    StoredPartition {
        ledger,
        stored_progress: Some(stored_progress),
        not_ours,
        unsound: unsound.or(unreadable_rules),
        other_settings,
    }
}

/// Counts the customers of a partition that has no row.
const ORPHANS: &str = "\
SELECT count(DISTINCT customer) FROM balancefleet.bal WHERE group_id = $1 AND topic = $2 AND partition = $3
   AND NOT EXISTS (SELECT FROM balancefleet.part WHERE group_id = $1 AND topic = $2 AND partition = $3)";

pub(super) async fn orphans(client: &Client, ledger_key: &LedgerKey, partition: i32) -> Result<usize, DatabaseError> {
    let params =
        [(&ledger_key.group as _, Type::TEXT), (&ledger_key.topic as _, Type::TEXT), (&partition as _, Type::INT4)];
    let count: i64 = within(ANSWER_WITHIN, client.query_typed_one(ORPHANS, &params)).await?.try_get(0)?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// One more than the highest partition that has a row.
const PARTITIONS: &str =
    "SELECT coalesce(max(partition) + 1, 0) FROM balancefleet.part WHERE group_id = $1 AND topic = $2";

/// The result of [`PARTITIONS`].
pub(super) async fn partitions(client: &Client, ledger_key: &LedgerKey) -> Result<i32, DatabaseError> {
    let params = [(&ledger_key.group as _, Type::TEXT), (&ledger_key.topic as _, Type::TEXT)];
    Ok(within(ANSWER_WITHIN, client.query_typed_one(PARTITIONS, &params)).await?.try_get(0)?)
}

/// Row and balances, if the row exists and `is_wanted`. In place of balances that this release cannot have written,
/// why.
async fn snapshot(
    client: &Client,
    ledger_key: &LedgerKey,
    partition: i32,
    is_wanted: impl FnOnce(&PartitionRow) -> bool,
    on_progress: &mut OnProgress<'_>,
) -> Result<Option<(PartitionRow, Result<Ledger, PartitionFailure>)>, DatabaseError> {
    within(ANSWER_WITHIN, client.batch_execute(BEGIN)).await?;
    let select = format!(
        "SELECT {} FROM balancefleet.part WHERE group_id = $1 AND topic = $2 AND partition = $3",
        PartitionRow::COLUMNS
    );
    let params =
        [(&ledger_key.group as _, Type::TEXT), (&ledger_key.topic as _, Type::TEXT), (&partition as _, Type::INT4)];
    let row = within(ANSWER_WITHIN, client.query_typed_opt(&select, &params)).await?;
    let part = row.as_ref().map(PartitionRow::read).transpose()?.filter(is_wanted);
    let found = match part {
        Some(part) => {
            let customers = part.checksum.customers;
            Some((part, read(client, ledger_key, partition, |rows| on_progress(rows, customers.max(rows))).await?))
        }
        None => None,
    };
    within(ANSWER_WITHIN, client.batch_execute("COMMIT")).await?;
    let unreadable = |reason| PartitionFailure::UnreadableProgress { reason };
    Ok(found.map(|(part, ledger)| (part, ledger.map_err(unreadable))))
}

/// Reads the balances; `goes_on` gets the number of rows so far and can stop the read.
async fn read(
    client: &Client,
    ledger_key: &LedgerKey,
    partition: i32,
    mut goes_on: impl FnMut(u64) -> bool,
) -> Result<Result<Ledger, String>, DatabaseError> {
    let select = format!(
        "SELECT {COLUMNS} FROM balancefleet.bal AS b \
         WHERE b.group_id = $1 AND b.topic = $2 AND b.partition = $3 ORDER BY b.customer, b.place"
    );
    let params: [(&(dyn ToSql + Sync), Type); 3] =
        [(&ledger_key.group, Type::TEXT), (&ledger_key.topic, Type::TEXT), (&partition, Type::INT4)];
    let mut stream = std::pin::pin!(within(LOAD_WITHIN, client.query_typed_raw(&select, params)).await?);
    let (mut builder, mut rows) = (LedgerBuilder::default(), 0);
    // The server sorts before it sends the first row.
    let mut limit = LOAD_WITHIN;
    while let Some(row) = within(limit, stream.try_next()).await? {
        limit = ANSWER_WITHIN;
        rows += 1;
        if !goes_on(rows) {
            return Err(DatabaseError::PartitionMoved { detail: "this worker no longer has it" });
        }
        match CustomerRow::read(&row, 0) {
            Ok(row) => builder.take(row),
            Err(reason) => return Ok(Err(reason)),
        }
    }
    Ok(Ok(builder.finish()))
}

fn check(ledger: Ledger, checksum: LedgerChecksum) -> Result<Ledger, PartitionFailure> {
    verify_checksum(&ledger, checksum).map(|()| ledger)
}

fn verify_checksum(ledger: &Ledger, checksum: LedgerChecksum) -> Result<(), PartitionFailure> {
    let found = LedgerChecksum::of_ledger(ledger);
    if found == checksum {
        Ok(())
    } else {
        Err(PartitionFailure::Torn { expected: checksum.customers, found: found.customers })
    }
}

/// Withholds the partition, as it was claimed with `epoch`, from readers, or ends that (column `torn`).
pub(super) async fn set_withheld(
    client: &Client,
    ledger_key: &LedgerKey,
    partition: i32,
    epoch: i64,
    is_withheld: bool,
) -> Result<(), DatabaseError> {
    let params = [
        (&ledger_key.group as _, Type::TEXT),
        (&ledger_key.topic as _, Type::TEXT),
        (&partition as _, Type::INT4),
        (&epoch as _, Type::INT8),
        (&is_withheld as _, Type::BOOL),
    ];
    within(ANSWER_WITHIN, client.execute_typed(SET_WITHHELD, &params)).await.map(drop)
}
