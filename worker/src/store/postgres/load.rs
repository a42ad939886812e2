//! Reading a partition's balances back.
//!
//! All of them come into memory, as with the other stores: a record is applied to its customer's state at once, and would
//! otherwise wait for an answer of the database. Row and balances are read in one snapshot, so that they belong together
//! whoever writes meanwhile; rows are taken as they arrive, and nothing is held twice.

use std::time::Duration;

use futures::TryStreamExt;
use tokio_postgres::{
    Client,
    types::{ToSql, Type},
};

use super::{
    Book,
    claim::ANSWER_WITHIN,
    error::DatabaseError,
    link::within,
    rows::{COLUMNS, CustomerRow, Gathered},
};
use crate::{failure::Failure, ledger::Ledger, store::Seal};

/// One snapshot, and time for a large one: the limit of the session is meant for writing.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '10min'";

/// Longer than that limit.
const LOAD_WITHIN: Duration = Duration::from_secs(610);

const PART: &str = "SELECT epoch, customers, checksum FROM balancefleet.part \
                    WHERE group_id = $1 AND topic = $2 AND partition = $3";

/// Remembers for readers, who see no more than some rows, whether they may be believed.
const MARK: &str = "UPDATE balancefleet.part SET torn = $5 \
                    WHERE group_id = $1 AND topic = $2 AND partition = $3 AND epoch = $4 AND torn <> $5";

/// What was found.
pub(super) enum Loaded {
    Ledger(Ledger),
    /// It cannot be what was written.
    Unfit(Failure),
    /// Somebody has claimed the partition since.
    Moved,
}

/// Reads the balances of a partition that was claimed with `epoch`.
pub(super) async fn load(client: &Client, book: &Book, partition: i32, epoch: i64) -> Result<Loaded, DatabaseError> {
    within(ANSWER_WITHIN, client.batch_execute(BEGIN)).await?;
    let params = [(&book.group as _, Type::TEXT), (&book.topic as _, Type::TEXT), (&partition as _, Type::INT4)];
    let part = within(ANSWER_WITHIN, client.query_typed_opt(PART, &params)).await?;
    let Some(part) = part.filter(|part| part.get::<_, i64>(0) == epoch) else {
        within(ANSWER_WITHIN, client.batch_execute("COMMIT")).await?;
        return Ok(Loaded::Moved);
    };
    let expected = (part.get::<_, i64>(1), part.get::<_, String>(2));
    let ledger = read(client, book, partition).await?;
    within(ANSWER_WITHIN, client.batch_execute("COMMIT")).await?;
    let loaded = match ledger {
        Ok(ledger) => check(ledger, &expected),
        Err(reason) => Loaded::Unfit(Failure::UnreadableProgress { reason }),
    };
    mark(client, book, partition, epoch, matches!(loaded, Loaded::Unfit(_))).await?;
    Ok(loaded)
}

async fn read(client: &Client, book: &Book, partition: i32) -> Result<Result<Ledger, String>, DatabaseError> {
    let select = format!(
        "SELECT {COLUMNS} FROM balancefleet.bal AS b \
         WHERE b.group_id = $1 AND b.topic = $2 AND b.partition = $3 ORDER BY b.customer, b.place"
    );
    let params: [(&(dyn ToSql + Sync), Type); 3] =
        [(&book.group, Type::TEXT), (&book.topic, Type::TEXT), (&partition, Type::INT4)];
    // Sorting comes before the first row.
    let mut stream = std::pin::pin!(within(LOAD_WITHIN, client.query_typed_raw(&select, params)).await?);
    let mut gathered = Gathered::default();
    while let Some(row) = within(LOAD_WITHIN, stream.try_next()).await? {
        match CustomerRow::read(&row, 0) {
            Ok(row) => gathered.take(row),
            Err(reason) => return Ok(Err(reason)),
        }
    }
    Ok(Ok(gathered.finish()))
}

fn check(ledger: Ledger, (customers, checksum): &(i64, String)) -> Loaded {
    let found = Seal::of_ledger(&ledger);
    if found.customers.cast_signed() == *customers && format!("{:016x}", found.checksum) == *checksum {
        Loaded::Ledger(ledger)
    } else {
        Loaded::Unfit(Failure::Torn { expected: customers.cast_unsigned(), found: found.customers })
    }
}

async fn mark(client: &Client, book: &Book, partition: i32, epoch: i64, torn: bool) -> Result<(), DatabaseError> {
    let params = [
        (&book.group as _, Type::TEXT),
        (&book.topic as _, Type::TEXT),
        (&partition as _, Type::INT4),
        (&epoch as _, Type::INT8),
        (&torn as _, Type::BOOL),
    ];
    within(ANSWER_WITHIN, client.execute_typed(MARK, &params)).await.map(drop)
}
