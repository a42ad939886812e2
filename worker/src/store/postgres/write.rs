//! One batch: one SQL transaction, and how an unknown outcome is resolved.
//!
//! | outcome | then |
//! |---|---|
//! | COMMIT was answered | the changes are durable |
//! | a compare-and-set missed | another worker has continued that partition, which is claimed again; nothing is written |
//! | an error before COMMIT was sent | the server rolls back; the same changes go with the next batch |
//! | anything else | a new connection locks the rows, which waits for the old transaction to end, and then reads the outcome |

use futures::future::try_join_all;
use tokio_postgres::{
    Client,
    types::{ToSql, Type},
};

use super::{
    claim::{LedgerMark, PartitionRow, rule_columns},
    copy::{stage_balances, stage_dead_letters, write_balances, write_dead_letters},
    durable_state::PartitionCommit,
    reconnecting_client::within,
    replace::delete_replaced,
    rows::{BalanceRow, in_order, rows_of},
    session::{ANSWER_WITHIN, LedgerKey},
};
use crate::postgres_error::DatabaseError;

/// A partition's first row. If two workers write it, one waits for the other and then writes nothing.
const FIRST: &str = "\
INSERT INTO balancefleet.part (group_id, topic, partition, epoch, next_offset, leader_epoch, customers, checksum, rules,
                               rule_details, topic_id, base_offset, generation, owner)
VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING";

/// The compare-and-set.
const ADVANCE: &str = "\
UPDATE balancefleet.part
   SET next_offset = $4, leader_epoch = $5, customers = $6, checksum = $7, rules = $8, rule_details = $9,
       touched = clock_timestamp(), torn = torn AND next_offset = $4
 WHERE group_id = $1 AND topic = $2 AND partition = $3 AND epoch = $10 AND next_offset = $11";

/// Locks in the order of the partitions, as every batch does. The lock waits for the former session's transaction; a
/// plain read would see the rows as they were before it.
const READ_OUTCOME: &str = "\
SELECT partition, epoch, next_offset, owner FROM balancefleet.part
 WHERE group_id = $1 AND topic = $2 AND partition = ANY ($3) ORDER BY partition FOR UPDATE";

/// How a batch failed.
pub(super) enum CommitFailure {
    /// Nothing of it is durable.
    Failed(DatabaseError),
    /// The outcome is unknown.
    Unknown(DatabaseError),
}

impl From<DatabaseError> for CommitFailure {
    fn from(error: DatabaseError) -> Self {
        Self::Failed(error)
    }
}

/// Writes the batch if the rows of its partitions are as this worker left them. After an error, the connection must not
/// be used any more.
pub(super) async fn write(
    client: &Client,
    ledger_key: &LedgerKey,
    commits: &[PartitionCommit<'_>],
) -> Result<BatchFate, CommitFailure> {
    let rows = sorted_rows(commits);
    within(ANSWER_WITHIN, client.batch_execute("BEGIN")).await?;
    // While the rows are sent, which may take long, no other session waits for this transaction.
    stage_balances(client, &rows).await?;
    stage_dead_letters(client, commits).await?;
    // All are sent at once, in the order of the partitions; the server runs them one after the other.
    let advances = commits.iter().map(|commit| advance(client, ledger_key, commit));
    let moved = within(ANSWER_WITHIN, try_join_all(advances)).await?;
    let lost: Vec<_> =
        commits.iter().zip(moved).filter(|(_, rows)| *rows != 1).map(|(commit, _)| commit.partition()).collect();
    if !lost.is_empty() {
        within(ANSWER_WITHIN, client.batch_execute("ROLLBACK")).await?;
        return Ok(BatchFate::Others(lost));
    }
    for commit in commits.iter().filter(|commit| commit.before.store_specific.replaces) {
        delete_replaced(client, ledger_key, commit).await?;
    }
    write_balances(client, ledger_key, &rows).await?;
    write_dead_letters(client, ledger_key, commits).await?;
    // After an error from here on, the batch may have been committed.
    within(ANSWER_WITHIN, client.batch_execute("COMMIT")).await.map_err(CommitFailure::Unknown)?;
    Ok(BatchFate::Written)
}

async fn advance(
    client: &Client,
    ledger_key: &LedgerKey,
    commit: &PartitionCommit<'_>,
) -> Result<u64, tokio_postgres::Error> {
    let PartitionCommit { part, before, after } = commit;
    let (assignment, topic_id) = (&part.assignment, &before.store_specific.topic_id);
    let (customers, checksum) = PartitionRow::checksum_columns(after.checksum);
    let (start_offset, next_offset) = (before.start_offset, part.next_offset);
    let (rules, rule_details) = rule_columns(&after.rules, LedgerMark { topic_id, start_offset, next_offset });
    let common: [(&(dyn ToSql + Sync), Type); 9] = [
        (&ledger_key.group, Type::TEXT),
        (&ledger_key.topic, Type::TEXT),
        (&assignment.partition, Type::INT4),
        (&part.next_offset, Type::INT8),
        (&part.leader_epoch, Type::INT4),
        (&customers, Type::INT8),
        (&checksum, Type::TEXT),
        (&rules, Type::TEXT),
        (&rule_details, Type::TEXT),
    ];
    match &before.store_specific.row {
        Some(row) => {
            let expected: [(&(dyn ToSql + Sync), Type); 2] = [(&row.epoch, Type::INT8), (&row.next_offset, Type::INT8)];
            client.execute_typed(ADVANCE, &[&common[..], &expected].concat()).await
        }
        None => {
            let new: [(&(dyn ToSql + Sync), Type); 4] = [
                (topic_id, Type::TEXT),
                (&before.start_offset, Type::INT8),
                (&assignment.generation, Type::INT4),
                (&ledger_key.owner, Type::TEXT),
            ];
            client.execute_typed(FIRST, &[&common[..], &new].concat()).await
        }
    }
}

fn sorted_rows<'a>(commits: &'a [PartitionCommit<'a>]) -> Vec<BalanceRow<'a>> {
    let rows_of_commit = |commit: &'a PartitionCommit<'a>| {
        let partition = commit.part.assignment.partition;
        commit.part.changes.customers().iter().flat_map(move |change| rows_of(partition, &change.id, &change.now))
    };
    in_order(commits.iter().flat_map(rows_of_commit))
}

/// The fate of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BatchFate {
    Written,
    /// Nothing of it is durable.
    Untouched,
    /// Another worker has continued these partitions; nothing of the remaining ones is durable.
    Others(Vec<i32>),
}

/// What one row says about a batch whose outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowFate {
    Written,
    Untouched,
    Others,
}

/// Locks the rows of `commits` and compares.
pub(super) async fn read_outcome(
    client: &Client,
    ledger_key: &LedgerKey,
    commits: &[&PartitionCommit<'_>],
) -> Result<BatchFate, DatabaseError> {
    let partitions: Vec<i32> = commits.iter().map(|commit| commit.partition()).collect();
    let params: [(&(dyn ToSql + Sync), Type); 3] =
        [(&ledger_key.group, Type::TEXT), (&ledger_key.topic, Type::TEXT), (&partitions, Type::INT4_ARRAY)];
    let rows = within(ANSWER_WITHIN, client.query_typed(READ_OUTCOME, &params)).await?;
    let fates = commits.iter().map(|commit| {
        let before = commit.before.store_specific.row.map(|row| (row.epoch, row.next_offset));
        let row = rows.iter().find(|row| row.get::<_, i32>(0) == commit.partition());
        // Two workers' first rows may look the same.
        if before.is_none() && row.is_some_and(|row| row.get::<_, &str>(3) != ledger_key.owner) {
            return (commit.partition(), Some(RowFate::Others));
        }
        let now = row.map(|row| (row.get::<_, i64>(1), row.get::<_, i64>(2)));
        (commit.partition(), RowFate::of(before, commit.part.next_offset, now))
    });
    Ok(BatchFate::of(&fates.collect::<Vec<_>>()))
}

impl RowFate {
    /// Compares one row: its epoch and offset before, the offset it was to get, and what it has. `None` if that says
    /// nothing.
    fn of(before: Option<(i64, i64)>, to: i64, now: Option<(i64, i64)>) -> Option<Self> {
        let epoch = before.map_or(1, |(epoch, _)| epoch);
        Some(match now {
            Some((found, _)) if found != epoch => Self::Others,
            // A row that the batch did not move says nothing.
            Some((_, offset)) if before == Some((epoch, to)) && offset == to => return None,
            Some((_, offset)) if offset == to => Self::Written,
            now if now == before => Self::Untouched,
            _ => Self::Others,
        })
    }
}

impl BatchFate {
    /// Combines what the rows say. A transaction is written completely or not at all; if the rows do not agree on that,
    /// all partitions are restored again.
    fn of(fates: &[(i32, Option<RowFate>)]) -> Self {
        let partitions = |which: fn(&Option<RowFate>) -> bool| {
            fates.iter().filter(|(_, found)| which(found)).map(|(partition, _)| *partition).collect::<Vec<_>>()
        };
        let written = partitions(|found| *found == Some(RowFate::Written));
        let untouched = partitions(|found| *found == Some(RowFate::Untouched));
        let others = partitions(|found| *found == Some(RowFate::Others));
        match (written.is_empty(), untouched.is_empty(), others.is_empty()) {
            (true, _, true) => Self::Untouched,
            (false, true, true) => Self::Written,
            (true, false, false) => Self::Others(others),
            _ => Self::Others(partitions(|_| true)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_tells_what_became_of_a_batch() {
        assert_eq!(RowFate::of(Some((3, 5)), 9, Some((3, 9))), Some(RowFate::Written));
        assert_eq!(RowFate::of(Some((3, 5)), 9, Some((3, 5))), Some(RowFate::Untouched));
        assert_eq!(RowFate::of(None, 9, Some((1, 9))), Some(RowFate::Written));
        assert_eq!(RowFate::of(None, 9, None), Some(RowFate::Untouched));
    }

    #[test]
    fn a_row_that_is_neither_is_somebody_elses() {
        for now in [None, Some((3, 4)), Some((3, 7)), Some((4, 5)), Some((4, 9)), Some((2, 9))] {
            assert_eq!(RowFate::of(Some((3, 5)), 9, now), Some(RowFate::Others), "{now:?}");
        }
        assert_eq!(RowFate::of(None, 9, Some((2, 9))), Some(RowFate::Others));
        assert_eq!(RowFate::of(None, 9, Some((1, 8))), Some(RowFate::Others));
    }

    #[test]
    fn a_row_that_was_not_to_move_does_not_speak_for_the_others() {
        assert_eq!(RowFate::of(Some((3, 9)), 9, Some((3, 9))), None);
        assert_eq!(RowFate::of(Some((3, 9)), 9, Some((4, 9))), Some(RowFate::Others));
    }

    #[test]
    fn a_batch_is_whole_or_not_at_all() {
        let of = |found: &[Option<RowFate>]| BatchFate::of(&(0..).zip(found.iter().copied()).collect::<Vec<_>>());
        let [written, untouched] = [RowFate::Written, RowFate::Untouched].map(Some);
        assert_eq!(of(&[written, None, written]), BatchFate::Written);
        assert_eq!(of(&[untouched, None, untouched]), BatchFate::Untouched);
        assert_eq!(of(&[None]), BatchFate::Untouched);
        assert_eq!(of(&[written, None, untouched]), BatchFate::Others(vec![0, 1, 2]));
    }

    #[test]
    fn what_others_have_gone_on_with_is_told_apart_from_what_is_certainly_untouched() {
        let of = |found: &[Option<RowFate>]| BatchFate::of(&(0..).zip(found.iter().copied()).collect::<Vec<_>>());
        let [written, untouched, others] = [RowFate::Written, RowFate::Untouched, RowFate::Others].map(Some);
        assert_eq!(of(&[untouched, others, None]), BatchFate::Others(vec![1]));
        // The batch may have been written before others went on.
        assert_eq!(of(&[None, others]), BatchFate::Others(vec![0, 1]));
        assert_eq!(of(&[written, others]), BatchFate::Others(vec![0, 1]));
    }
}
