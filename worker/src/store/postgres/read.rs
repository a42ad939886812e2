//! Balances for readers: one statement gives every partition of the group with its offset and its customers, all from the
//! same moment, whichever worker is asked.

use std::{fmt, time::Duration};

use futures::TryStreamExt;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_postgres::{
    Client,
    types::{ToSql, Type},
};

use super::{
    error::DatabaseError,
    link::Link,
    rows::{COLUMNS, CustomerRow, escape},
    target::Target,
};
use crate::{
    config::Config,
    exponents::Exponents,
    money::Amount,
    view::{BalanceRow, PartitionBalances, Selection},
};

/// A session for single customers, or for the whole list.
const FOR_ONE: &[&str] = &["SET statement_timeout = '2s'", "SET default_transaction_read_only = on"];
const FOR_ALL: &[&str] = &["SET statement_timeout = '8s'", "SET default_transaction_read_only = on"];
const ONE_WITHIN: Duration = Duration::from_secs(2);
const ALL_WITHIN: Duration = Duration::from_secs(8);

/// Connections at a time.
const READERS_OF_ONE: usize = 2;
const READERS_OF_ALL: usize = 1;

/// What a row takes beside its texts.
const ROW_BYTES: usize = 120;

/// Reads the balances of one group. Shared; every method may be called by any task.
pub struct Reader {
    group: String,
    topic: String,
    rules: String,
    exponents: Exponents,
    one: Pool,
    all: Pool,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("group", &self.group).field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("the balances in the database are not what this release writes: {0}")]
    Unreadable(String),
    #[error("the list is larger than one answer may be")]
    TooLarge,
}

impl Reader {
    /// No connection is made yet.
    pub(crate) fn new(config: &Config, target: &Target) -> Self {
        Self {
            group: config.group_id.clone(),
            topic: config.topic.clone(),
            rules: config.rules.hash(),
            exponents: config.rules.exponents.clone(),
            one: Pool::new(target, FOR_ONE, READERS_OF_ONE),
            all: Pool::new(target, FOR_ALL, READERS_OF_ALL),
        }
    }

    /// The partitions with this worker's rules on the topic with that id, in their order. One that has no row yet, or whose
    /// rows do not add up, is not among them.
    pub(crate) async fn read(
        &self,
        topic_id: &str,
        selection: Selection<'_>,
        bytes: usize,
    ) -> Result<Vec<PartitionBalances>, ReadError> {
        let (pool, limit) = match selection {
            Selection::All => (&self.all, ALL_WITHIN),
            Selection::Customer(_) => (&self.one, ONE_WITHIN),
        };
        let read = async {
            let mut turn = pool.turn().await?;
            let read = self.select(turn.client().await?, topic_id, selection, bytes).await;
            if read.is_ok() {
                turn.give_back();
            }
            read
        };
        // A connection whose answer is not waited for is closed.
        tokio::time::timeout(limit, read).await.map_err(|_| DatabaseError::Late(limit))?
    }

    async fn select(
        &self,
        client: &Client,
        topic_id: &str,
        selection: Selection<'_>,
        mut bytes: usize,
    ) -> Result<Vec<PartitionBalances>, ReadError> {
        let customer = match selection {
            Selection::All => None,
            Selection::Customer(id) => Some(escape(id)),
        };
        let mut params: Vec<(&(dyn ToSql + Sync), Type)> = vec![
            (&self.group, Type::TEXT),
            (&self.topic, Type::TEXT),
            (&topic_id, Type::TEXT),
            (&self.rules, Type::TEXT),
        ];
        let mut only = "";
        if let Some(id) = &customer {
            params.push((id, Type::TEXT));
            only = "AND b.customer = $5";
        }
        let select = format!(
            "SELECT p.partition, p.generation, p.next_offset, b.customer IS NOT NULL, {COLUMNS} \
             FROM balancefleet.part AS p LEFT JOIN balancefleet.bal AS b \
                 ON b.group_id = p.group_id AND b.topic = p.topic AND b.partition = p.partition {only} \
             WHERE p.group_id = $1 AND p.topic = $2 AND p.topic_id = $3 AND p.rules = $4 AND NOT p.torn \
             ORDER BY p.partition, b.customer, b.place"
        );
        let rows = client.query_typed_raw(&select, params).await.map_err(DatabaseError::from)?;
        let mut rows = std::pin::pin!(rows);
        let mut partitions: Vec<PartitionBalances> = Vec::new();
        while let Some(row) = rows.try_next().await.map_err(DatabaseError::from)? {
            let partition: i32 = row.get(0);
            if partitions.last().is_none_or(|last| last.partition != partition) {
                let (generation, next_offset) = (row.get(1), row.get(2));
                partitions.push(PartitionBalances { partition, generation, next_offset, rows: Vec::new() });
            }
            if let Some(held) = partitions.last_mut().filter(|_| row.get(3)) {
                let row = CustomerRow::read(&row, 4).map_err(ReadError::Unreadable)?;
                let taken = ROW_BYTES + row.customer.len() + row.last_transaction_id.len();
                bytes = bytes.checked_sub(taken).ok_or(ReadError::TooLarge)?;
                self.add(&mut held.rows, row)?;
            }
        }
        Ok(partitions)
    }

    /// The rows of one customer follow each other.
    fn add(&self, rows: &mut Vec<BalanceRow>, row: CustomerRow) -> Result<(), ReadError> {
        let CustomerRow { customer, currency, minor_units, count, last_transaction_id, last_updated, last_offset } =
            row;
        let unknown = || ReadError::Unreadable(format!("{currency} has no decimals here"));
        let amount = Amount { currency, minor_units, exponent: self.exponents.of(currency).ok_or_else(unknown)? };
        match rows.last_mut() {
            Some(last) if last.customer == customer => last.amounts.push(amount),
            _ => rows.push(BalanceRow {
                customer,
                amounts: vec![amount],
                count,
                last_transaction_id,
                last_updated,
                last_offset,
            }),
        }
        Ok(())
    }
}

/// A few connections, each used by one read at a time.
struct Pool {
    target: Target,
    settings: &'static [&'static str],
    idle: Mutex<Vec<Link>>,
    turns: Semaphore,
}

/// The use of one connection. Dropped before it is given back, it is closed: an answer may be on its way.
struct Turn<'a> {
    pool: &'a Pool,
    link: Option<Link>,
    _permit: tokio::sync::SemaphorePermit<'a>,
}

impl Pool {
    fn new(target: &Target, settings: &'static [&'static str], size: usize) -> Self {
        let idle = (0..size).map(|_| Link::new(target.clone(), settings)).collect();
        Self { target: target.clone(), settings, idle: Mutex::new(idle), turns: Semaphore::new(size) }
    }

    async fn turn(&self) -> Result<Turn<'_>, DatabaseError> {
        let closed = |_| DatabaseError::Lost { detail: "the worker ends".to_owned() };
        let permit = self.turns.acquire().await.map_err(closed)?;
        let link = self.idle.lock().pop().unwrap_or_else(|| Link::new(self.target.clone(), self.settings));
        Ok(Turn { pool: self, link: Some(link), _permit: permit })
    }
}

impl Turn<'_> {
    async fn client(&mut self) -> Result<&Client, DatabaseError> {
        let new = || Link::new(self.pool.target.clone(), self.pool.settings);
        self.link.get_or_insert_with(new).now().await
    }

    fn give_back(&mut self) {
        self.pool.idle.lock().extend(self.link.take());
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(mut link) = self.link.take() {
            link.give_up();
            self.pool.idle.lock().push(link);
        }
    }
}
