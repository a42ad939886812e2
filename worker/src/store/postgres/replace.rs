//! Replacing the balances of a partition as a whole, in one SQL transaction with what its row says of them: whoever looks
//! finds the former ones or the new ones.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio_postgres::{
    Client,
    types::{ToSql, Type},
};

use super::{
    Book, SESSION,
    claim::{ANSWER_WITHIN, Part},
    copy::{stage_balances, write_balances},
    error::DatabaseError,
    link::{Link, within},
    rows::{in_order, rows_of},
    schema::may_delete,
    target,
};
use crate::{
    config::Config,
    ledger::Ledger,
    store::{Seal, Target},
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
   SET epoch = epoch + 1, topic_id = $5, base_offset = $6, next_offset = $7, rules = $8, customers = $9, checksum = $10,
       leader_epoch = NULL, torn = false
 WHERE group_id = $1 AND topic = $2 AND partition = $3 AND next_offset = $4";

const DELETE: &str = "DELETE FROM balancefleet.bal WHERE group_id = $1 AND topic = $2 AND partition = $3";

const HAS_ROW: &str =
    "SELECT EXISTS (SELECT FROM balancefleet.part WHERE group_id = $1 AND topic = $2 AND partition = $3)";

/// See the module.
pub(crate) struct Replacer {
    runtime: Handle,
    book: Book,
    topic_id: String,
    link: Link,
}

impl Replacer {
    /// Connects, and looks whether this user may delete.
    pub(crate) fn connect(
        config: &Config,
        database: &target::Target,
        topic_id: &str,
        runtime: &Handle,
    ) -> Result<Self, DatabaseError> {
        let mut link = Link::new(database.clone(), &[SESSION]);
        runtime.block_on(async { may_delete(link.ready().await?).await })?;
        Ok(Self { runtime: runtime.clone(), book: Book::of(config), topic_id: topic_id.to_owned(), link })
    }

    /// Replaces what there is of a partition whose row stood at `found` by `ledger`; without a row, deletes what there is.
    /// False if the row stands elsewhere, or there is one now: then nothing has changed.
    ///
    /// # Errors
    /// Unless the connection was lost in the very end, nothing has changed.
    pub(crate) fn replace(
        &mut self,
        target: &Target,
        found: Option<i64>,
        ledger: &Ledger,
    ) -> Result<bool, DatabaseError> {
        let Self { runtime, book, topic_id, link } = self;
        let replaced = runtime.block_on(async {
            let client = link.ready().await?;
            match found {
                Some(found) => replace(client, book, topic_id, target, found, ledger).await,
                None => delete_orphans(client, book, target.partition).await,
            }
        });
        if !matches!(replaced, Ok(true)) {
            link.give_up();
        }
        replaced
    }
}

async fn replace(
    client: &Client,
    book: &Book,
    topic_id: &str,
    target: &Target,
    found: i64,
    ledger: &Ledger,
) -> Result<bool, DatabaseError> {
    let rows = in_order(ledger.customers().flat_map(|(id, customer)| rows_of(target.partition, id, customer)));
    let (customers, checksum) = Part::seal_columns(Seal::of_ledger(ledger));
    within(ANSWER_WITHIN, client.batch_execute(BEGIN)).await?;
    stage_balances(client, &rows).await?;
    let params: [(&(dyn ToSql + Sync), Type); 10] = [
        (&book.group, Type::TEXT),
        (&book.topic, Type::TEXT),
        (&target.partition, Type::INT4),
        (&found, Type::INT8),
        (&topic_id, Type::TEXT),
        (&target.base, Type::INT8),
        (&target.next_offset, Type::INT8),
        (&book.rules, Type::TEXT),
        (&customers, Type::INT8),
        (&checksum, Type::TEXT),
    ];
    if within(ANSWER_WITHIN, client.execute_typed(ADVANCE, &params)).await? != 1 {
        return Ok(false);
    }
    delete(client, book, target.partition).await?;
    write_balances(client, book, &rows).await?;
    within(ANSWER_WITHIN, client.batch_execute("COMMIT")).await.map(|()| true)
}

async fn delete_orphans(client: &Client, book: &Book, partition: i32) -> Result<bool, DatabaseError> {
    within(ANSWER_WITHIN, client.batch_execute(BEGIN)).await?;
    delete(client, book, partition).await?;
    // A first row may have been written meanwhile: then these were its balances, and stay.
    let is_alone =
        !within(ANSWER_WITHIN, client.query_typed_one(HAS_ROW, &whose(book, &partition))).await?.get::<_, bool>(0);
    if is_alone {
        within(ANSWER_WITHIN, client.batch_execute("COMMIT")).await?;
    }
    Ok(is_alone)
}

async fn delete(client: &Client, book: &Book, partition: i32) -> Result<(), DatabaseError> {
    within(DELETE_WITHIN, client.execute_typed(DELETE, &whose(book, &partition))).await.map(drop)
}

fn whose<'a>(book: &'a Book, partition: &'a i32) -> [(&'a (dyn ToSql + Sync), Type); 3] {
    [(&book.group, Type::TEXT), (&book.topic, Type::TEXT), (partition, Type::INT4)]
}
