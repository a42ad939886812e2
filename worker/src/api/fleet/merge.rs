//! From what the workers answer to the balances of the fleet: pure functions on values.
//!
//! In: one worker's answer after another, each about the partitions it owns. Out: a [`FleetSnapshot`] that holds every
//! partition exactly once, or the partitions still missing; then the customers' sums over the snapshot.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use crate::domain::id::Id;
use crate::domain::ledger_rules::WorkerRules;
use crate::domain::money::{Amount, Currency};
use crate::view::{BalanceRow, PartitionBalances};

/// No topic has more; an answer beyond it is not believed, so that it cannot make the list of missing ones huge.
pub(crate) const MAX_PARTITIONS: i32 = 100_000;

/// What two workers must agree on before their partitions may be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LedgerIdentity {
    pub(crate) group_id: String,
    pub(crate) topic: String,
    /// Changes when a topic of the same name is created anew.
    pub(crate) topic_id: String,
    /// [`Rules::non_default_rules`](crate::domain::rules::Rules::non_default_rules): kind and signs.
    pub(crate) non_default_rules: String,
    /// Only with a store that keeps no ledger: [`WorkerRules::full_rules_hash`].
    pub(crate) full_rules_hash: Option<String>,
}

/// One worker's answer about the partitions it owns.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) identity: LedgerIdentity,
    /// Decimals of the currencies that its partitions hold.
    pub(crate) exponents: BTreeMap<Currency, u8>,
    pub(crate) partition_count: i32,
    pub(crate) partitions: Vec<PartitionBalances>,
}

impl Answer {
    /// The asking worker's own answer: its ledgers use its own decimals.
    pub(crate) fn own(identity: LedgerIdentity, partition_count: i32, partitions: Vec<PartitionBalances>) -> Self {
        Self { identity, exponents: BTreeMap::new(), partition_count, partitions }
    }
}

/// Collects the answers of workers with the same [`LedgerIdentity`] and keeps the newest per partition.
pub(crate) struct SnapshotBuilder {
    identity: LedgerIdentity,
    worker_rules: Arc<WorkerRules>,
    partition_count: i32,
    best: BTreeMap<i32, PartitionBalances>,
}

/// Every partition of the topic, exactly once.
#[derive(Debug)]
pub(crate) struct FleetSnapshot {
    partitions: BTreeMap<i32, PartitionBalances>,
}

/// The sums over a snapshot, and what they are true for. They are made one by one, out of the rows of the partitions.
#[derive(Debug, Default)]
pub(crate) struct FleetBalances {
    /// Partition → the next offset: every record below it is in the sums, none from it on.
    pub(crate) as_of: BTreeMap<i32, i64>,
    pub(crate) count: usize,
    /// Ordered by partition, the rows of each by customer.
    partitions: Vec<Vec<BalanceRow>>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SumError {
    #[error("{currency} of customer {customer_id} exceeds the range of an amount")]
    Overflow { customer_id: String, currency: Currency },
    #[error("the transactions of customer {customer_id} exceed the range of a count")]
    Count { customer_id: String },
    #[error("partitions disagree on the decimals of {currency}; restart the workers with one set of rules")]
    Exponents { currency: Currency },
}

impl SnapshotBuilder {
    /// An empty builder; `worker_rules` and `partition_count` are the asking worker's own.
    pub(crate) fn new(identity: LedgerIdentity, worker_rules: Arc<WorkerRules>, partition_count: i32) -> Self {
        Self { identity, worker_rules, partition_count, best: BTreeMap::new() }
    }

    /// Keeps the partitions that are newer than those collected so far. Returns false if the answer is for another
    /// ledger and was ignored.
    pub(crate) fn add(&mut self, answer: Answer) -> bool {
        let known = 0..MAX_PARTITIONS;
        let believable = answer.partition_count <= MAX_PARTITIONS
            && answer.partitions.iter().all(|partition| known.contains(&partition.partition));
        // A currency that this worker does not know comes with its decimals.
        let ours = &self.worker_rules.rules().exponents;
        let agrees = answer.exponents.iter().all(|(currency, it)| ours.of(*currency).is_none_or(|ours| ours == *it));
        if answer.identity != self.identity || !agrees || !believable {
            return false;
        }
        self.partition_count = self.partition_count.max(answer.partition_count);
        for candidate in answer.partitions {
            self.partition_count = self.partition_count.max(candidate.partition + 1);
            let is_newer = self.best.get(&candidate.partition).is_none_or(|best| age(&candidate) > age(best));
            if is_newer {
                self.best.insert(candidate.partition, candidate);
            }
        }
        true
    }

    /// Partitions nobody answered for, ascending.
    pub(crate) fn missing(&self) -> Vec<i32> {
        (0..self.partition_count).filter(|partition| !self.best.contains_key(partition)).collect()
    }

    /// The snapshot, once nothing is missing. A topic without partitions is not known yet, so it has no snapshot.
    pub(crate) fn take_snapshot(&mut self) -> Option<FleetSnapshot> {
        let is_complete = self.missing().is_empty() && self.partition_count > 0;
        is_complete.then(|| FleetSnapshot { partitions: std::mem::take(&mut self.best) })
    }
}

/// A stale owner's generation is lower; with equal generations (one owner, asked twice) more applied is newer.
fn age(partition: &PartitionBalances) -> (i32, i64) {
    (partition.generation, partition.next_offset)
}

impl FleetSnapshot {
    /// Adds up each customer over all partitions; currencies stay apart. Takes no more memory than the rows have.
    pub(crate) fn sum(self) -> Result<FleetBalances, SumError> {
        let as_of = self.partitions.values().map(|held| (held.partition, held.next_offset)).collect();
        let mut partitions: Vec<_> = self.partitions.into_values().map(|held| held.rows).collect();
        for rows in &mut partitions {
            rows.iter_mut().for_each(|row| row.amounts.sort_unstable_by_key(|amount| amount.currency));
            rows.sort_unstable_by(|a, b| a.customer.cmp(&b.customer));
        }
        let mut count = 0;
        for (first, others) in Merged::of(partitions.iter().map(|rows| rows.iter())) {
            count += 1;
            if !others.is_empty() {
                summed(first.clone(), others.into_iter().cloned())?;
            }
        }
        Ok(FleetBalances { as_of, count, partitions })
    }
}

impl FleetBalances {
    /// One row each, ordered by customer id; the last transaction of all partitions names partition and offset.
    pub(crate) fn into_customers(self) -> impl Iterator<Item = Result<BalanceRow, SumError>> {
        Merged::of(self.partitions.into_iter().map(Vec::into_iter)).map(|(first, others)| summed(first, others))
    }
}

/// Customer after customer, each with its rows in the order of partitions, out of rows that are ordered by customer.
struct Merged<I: Iterator> {
    cursors: BinaryHeap<RowCursor<I>>,
}

/// The next row of a partition.
struct RowCursor<I: Iterator> {
    row: I::Item,
    rest: I,
}

impl<I: Iterator<Item: Borrow<BalanceRow>>> Merged<I> {
    fn of(partitions: impl Iterator<Item = I>) -> Self {
        let cursor = |mut rest: I| Some(RowCursor { row: rest.next()?, rest });
        Self { cursors: partitions.filter_map(cursor).collect() }
    }

    fn pop(&mut self) -> Option<I::Item> {
        let mut cursor = self.cursors.peek_mut()?;
        match cursor.rest.next() {
            Some(next) => Some(std::mem::replace(&mut cursor.row, next)),
            None => Some(PeekMut::pop(cursor).row),
        }
    }
}

impl<I: Iterator<Item: Borrow<BalanceRow>>> Iterator for Merged<I> {
    type Item = (I::Item, Vec<I::Item>);

    fn next(&mut self) -> Option<Self::Item> {
        let (first, mut others) = (self.pop()?, Vec::new());
        while self.cursors.peek().is_some_and(|cursor| cursor.row.borrow().customer == first.borrow().customer) {
            others.extend(self.pop());
        }
        Some((first, others))
    }
}

impl<I: Iterator<Item: Borrow<BalanceRow>>> RowCursor<I> {
    /// By partition as well, so that of two rows with equal timestamps the higher one names the last transaction.
    fn order(&self) -> (&Id, i32) {
        let row = self.row.borrow();
        (&row.customer, row.partition)
    }
}

/// The heap gives the greatest one first.
impl<I: Iterator<Item: Borrow<BalanceRow>>> Ord for RowCursor<I> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.order().cmp(&self.order())
    }
}

impl<I: Iterator<Item: Borrow<BalanceRow>>> PartialOrd for RowCursor<I> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<I: Iterator<Item: Borrow<BalanceRow>>> PartialEq for RowCursor<I> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<I: Iterator<Item: Borrow<BalanceRow>>> Eq for RowCursor<I> {}

/// The rows of one customer, added up.
fn summed(mut sum: BalanceRow, others: impl IntoIterator<Item = BalanceRow>) -> Result<BalanceRow, SumError> {
    others.into_iter().try_for_each(|row| add(&mut sum, row))?;
    Ok(sum)
}

/// Adds the row of a further partition.
fn add(sum: &mut BalanceRow, row: BalanceRow) -> Result<(), SumError> {
    for amount in row.amounts {
        add_amount(sum, amount)?;
    }
    sum.count =
        sum.count.checked_add(row.count).ok_or_else(|| SumError::Count { customer_id: sum.customer.to_string() })?;
    if row.last_updated >= sum.last_updated {
        sum.last_updated = row.last_updated;
        sum.last_transaction_id = row.last_transaction_id;
        (sum.last_offset, sum.partition) = (row.last_offset, row.partition);
    }
    Ok(())
}

fn add_amount(sum: &mut BalanceRow, amount: Amount) -> Result<(), SumError> {
    match sum.amounts.binary_search_by_key(&amount.currency, |held| held.currency) {
        Err(place) => sum.amounts.insert(place, amount),
        Ok(place) => {
            let held = &mut sum.amounts[place];
            if held.exponent != amount.exponent {
                return Err(SumError::Exponents { currency: amount.currency });
            }
            held.minor_units = held.minor_units.checked_add(amount.minor_units).ok_or_else(|| SumError::Overflow {
                customer_id: sum.customer.to_string(),
                currency: amount.currency,
            })?;
        }
    }
    Ok(())
}
