//! Balances for the REST API: one statement returns every partition of the group with its offset and its customers, all
//! from the same moment. Any worker can answer.
//!
//! A partition is shown if this worker could continue it, with the decimals in its row. A currency's decimals do not
//! change while the row's epoch stays the same, so they are cached. The rules are selected again only for a new epoch
//! or currency.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use futures::{TryStreamExt, future::select_all};
use smallvec::smallvec;
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::{
    Client, Row,
    types::{ToSql, Type},
};

use super::{
    claim::{LedgerMark, RuleColumn},
    reconnecting_client::ReconnectingClient,
    rows::{COLUMNS, CustomerRow, escape},
};
use crate::{
    config::Config,
    domain::{
        exponents::DecimalsByCurrency,
        id::{Id, IdRef},
        ledger_rules::{LedgerRules, StoredRules, WorkerRules},
        money::{Amount, Currency},
    },
    postgres_error::DatabaseError,
    postgres_target::DatabaseTarget,
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

/// Reads the balances of one group. Shared; every method may be called by any task.
pub(crate) struct DatabaseReader {
    group: String,
    topic: String,
    worker_rules: WorkerRules,
    known: parking_lot::Mutex<BTreeMap<i32, Arc<Known>>>,
    one: Pool,
    all: Pool,
}

/// The cached rules of a partition.
#[derive(Clone)]
struct Known {
    epoch: i64,
    /// Decimals of its currencies; `None` when its balances were made by other rules.
    decimals: Option<DecimalsByCurrency>,
}

impl fmt::Debug for DatabaseReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseReader").field("group", &self.group).field("topic", &self.topic).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseReadError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("the balances in the database are not what this release writes: {0}")]
    Unreadable(String),
    #[error("there is no room for more rows")]
    NoRoom,
}

impl DatabaseReader {
    /// No connection is made yet.
    pub(crate) fn new(config: &Config, target: &DatabaseTarget) -> Self {
        Self {
            group: config.group_id.clone(),
            topic: config.topic.clone(),
            worker_rules: WorkerRules::new(config.rules.clone()),
            known: parking_lot::Mutex::default(),
            one: Pool::new(target, FOR_ONE, READERS_OF_ONE),
            all: Pool::new(target, FOR_ALL, READERS_OF_ALL),
        }
    }

    /// The partitions with this worker's rules on the topic with that id, in order. A partition without a row, or whose
    /// rows do not add up, is left out. Every row asks `may_take` for its bytes first.
    pub(crate) async fn read(
        &self,
        topic_id: &str,
        selection: Selection<'_>,
        may_take: &mut (dyn FnMut(usize) -> bool + Send),
    ) -> Result<Vec<PartitionBalances>, DatabaseReadError> {
        let (pool, limit) = match selection {
            Selection::All => (&self.all, ALL_WITHIN),
            Selection::Customer(_) => (&self.one, ONE_WITHIN),
        };
        let select = async |client: &Client| {
            let mut charged = 0;
            for with_rules in [WithRules::No, WithRules::Yes] {
                // The second attempt is charged only for what exceeds the first.
                let mut wanted: usize = 0;
                let mut may_take = |bytes: usize| {
                    wanted = wanted.saturating_add(bytes);
                    let is_granted = wanted <= charged || may_take(wanted - charged);
                    if is_granted {
                        charged = charged.max(wanted);
                    }
                    is_granted
                };
                if let Some(read) = self.select(client, topic_id, selection, &mut may_take, with_rules).await? {
                    return Ok(read);
                }
            }
            Ok(Vec::new())
        };
        let read = async { pool.get().await.ask_now(select).await };
        tokio::time::timeout(limit, read).await.map_err(|_| DatabaseError::Late(limit))?
    }

    /// `None` if the cached rules are not enough, which cannot happen with [`WithRules::Yes`].
    async fn select(
        &self,
        client: &Client,
        topic_id: &str,
        selection: Selection<'_>,
        may_take: &mut (dyn FnMut(usize) -> bool + Send),
        with_rules: WithRules,
    ) -> Result<Option<Vec<PartitionBalances>>, DatabaseReadError> {
        let customer = match selection {
            Selection::All => None,
            Selection::Customer(id) => Some(escape(id)),
        };
        let mut params: Vec<(&(dyn ToSql + Sync), Type)> =
            vec![(&self.group, Type::TEXT), (&self.topic, Type::TEXT), (&topic_id, Type::TEXT)];
        let mut only = "";
        if let Some(id) = &customer {
            params.push((id, Type::TEXT));
            only = "AND b.customer = $4";
        }
        let also = if with_rules == WithRules::Yes { ", p.rules, p.rule_details, p.base_offset" } else { "" };
        let select = format!(
            "SELECT p.partition, p.generation, p.next_offset, b.customer IS NOT NULL, {COLUMNS}, p.epoch{also} \
             FROM balancefleet.part AS p LEFT JOIN balancefleet.bal AS b \
                 ON b.group_id = p.group_id AND b.topic = p.topic AND b.partition = p.partition {only} \
             WHERE p.group_id = $1 AND p.topic = $2 AND p.topic_id = $3 AND NOT p.torn \
             ORDER BY p.partition, b.customer, b.place"
        );
        let rows = client.query_typed_raw(&select, params).await.map_err(DatabaseError::from)?;
        let mut rows = std::pin::pin!(rows);
        let (mut partitions, mut known): (Vec<PartitionBalances>, Option<PartitionRules>) = (Vec::new(), None);
        while let Some(row) = rows.try_next().await.map_err(DatabaseError::from)? {
            let partition: i32 = row.get(0);
            if known.as_ref().is_none_or(|known| known.partition != partition) {
                self.remember(known.take());
                let Some(next) = self.partition_rules((partition, topic_id), &row, with_rules)? else {
                    return Ok(None);
                };
                if next.known.decimals.is_some() {
                    let (generation, next_offset) = (row.get(1), row.get(2));
                    partitions.push(PartitionBalances { partition, generation, next_offset, rows: Vec::new() });
                }
                known = Some(next);
            }
            let (Some(known), Some(held)) = (&mut known, partitions.last_mut()) else { continue };
            if row.get(3) && held.partition == partition {
                let row = CustomerRow::read(&row, 4).map_err(DatabaseReadError::Unreadable)?;
                // A further currency of the same customer takes less.
                let taken = BalanceRow::LEAST_BYTES + row.customer.len() + row.last_transaction_id.len();
                if !may_take(taken) {
                    return Err(DatabaseReadError::NoRoom);
                }
                match known.exponent(row.currency, &self.worker_rules) {
                    Some(exponent) => add(partition, &mut held.rows, row, exponent),
                    None if with_rules == WithRules::No => return Ok(None),
                    None => drop(partitions.pop()),
                }
            }
        }
        self.remember(known);
        Ok(Some(partitions))
    }

    /// The rules of a partition whose first row this is; `None` if they are neither cached nor selected.
    fn partition_rules(
        &self,
        (partition, topic_id): (i32, &str),
        row: &Row,
        with_rules: WithRules,
    ) -> Result<Option<PartitionRules>, DatabaseReadError> {
        let epoch: i64 = row.get(EPOCH);
        let known = self.known.lock().get(&partition).filter(|known| known.epoch == epoch).cloned();
        if with_rules == WithRules::No {
            return Ok(known.map(|known| PartitionRules { partition, known, is_news: false, rules: None }));
        }
        let (hash, column): (&str, Option<&str>) = (row.get(EPOCH + 1), row.get(EPOCH + 2));
        let unreadable = |error| DatabaseReadError::Unreadable(format!("rule_details: {error}"));
        let (start_offset, next_offset) = (row.get(EPOCH + 3), row.get(2));
        let ledger = LedgerMark { topic_id, start_offset, next_offset };
        let details = RuleColumn::read(column, hash, ledger).map_err(unreadable)?;
        let stored = StoredRules { hash, details: details.as_ref(), start_offset, next_offset };
        let rules = LedgerRules::take_over(stored, &self.worker_rules).ok();
        let decimals = rules.as_ref().map(|rules| rules.counted().collect());
        Ok(Some(PartitionRules { partition, known: Arc::new(Known { epoch, decimals }), is_news: true, rules }))
    }

    fn remember(&self, read: Option<PartitionRules>) {
        // Cached rules need not be stored again.
        let Some(PartitionRules { partition, known, is_news: true, .. }) = read else { return };
        let mut all = self.known.lock();
        match all.get_mut(&partition).filter(|before| before.epoch == known.epoch).map(Arc::make_mut) {
            Some(before) => match (&mut before.decimals, &known.decimals) {
                (Some(before), Some(now)) => before.extend(now),
                (before, now) => before.clone_from(now),
            },
            None => drop(all.insert(partition, known)),
        }
    }
}

/// Whether the statement also selects the rules that made the balances.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WithRules {
    No,
    Yes,
}

/// Where the columns begin that follow those of [`CustomerRow`].
const EPOCH: usize = 12;

/// The rules of the partition whose rows are being read.
struct PartitionRules {
    partition: i32,
    known: Arc<Known>,
    /// Whether they were selected just now, and are not from the cache.
    is_news: bool,
    /// Set if they were selected and this worker may continue with them.
    rules: Option<LedgerRules>,
}

impl PartitionRules {
    /// Decimals of a currency that a customer holds; `None` if they are unknown, or differ from this worker's.
    fn exponent(&mut self, currency: Currency, worker_rules: &WorkerRules) -> Option<u8> {
        let known = self.known.decimals.as_ref()?.get(&currency).copied();
        if known.is_some() {
            return known;
        }
        // The first release counted it, and keeps no details.
        let rules = self.rules.as_mut()?;
        rules.note_found([currency], worker_rules).ok()?;
        let exponent = rules.counted_exponent(currency)?;
        Arc::make_mut(&mut self.known).decimals.as_mut()?.insert(currency, exponent);
        Some(exponent)
    }
}

/// The rows of one customer follow each other.
fn add(partition: i32, rows: &mut Vec<BalanceRow>, row: CustomerRow, exponent: u8) {
    let CustomerRow { customer, currency, minor_units, count, last_transaction_id, last_updated, last_offset } = row;
    let amount = Amount { currency, minor_units, exponent };
    match rows.last_mut() {
        Some(last) if last.customer.as_ref() == IdRef::from(&*customer) => last.amounts.push(amount),
        _ => rows.push(BalanceRow {
            customer: Id::from(&*customer),
            amounts: smallvec![amount],
            count,
            last_transaction_id: Id::from(&*last_transaction_id),
            last_updated,
            last_offset,
            partition,
        }),
    }
}

/// A few connections, each used by one read at a time.
struct Pool(Vec<Mutex<ReconnectingClient>>);

impl Pool {
    fn new(target: &DatabaseTarget, settings: &'static [&'static str], size: usize) -> Self {
        Self((0..size).map(|_| Mutex::new(ReconnectingClient::new(target.clone(), settings))).collect())
    }

    /// The first connection that is free.
    async fn get(&self) -> MutexGuard<'_, ReconnectingClient> {
        select_all(self.0.iter().map(|connection| Box::pin(connection.lock()))).await.0
    }
}
