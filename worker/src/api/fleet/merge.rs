//! From what the workers answer to the balances of the fleet: pure functions on values.
//!
//! In: one worker's answer after another, each about the partitions it owns. Out: a [`Cover`] that holds every
//! partition exactly once, or the partitions still missing; then the customers' sums over the cover.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::ledger_rules::Rulebook;
use crate::money::{Amount, Currency};
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
    /// Kind and signs of the ledger.
    pub(crate) rules: String,
    /// Of a store that keeps no ledger, everything else that it counts by.
    pub(crate) table: Option<String>,
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

/// The answers of workers with one identity, the best one per partition.
pub(crate) struct Gathering {
    identity: LedgerIdentity,
    book: Arc<Rulebook>,
    partition_count: i32,
    best: BTreeMap<i32, PartitionBalances>,
}

/// Every partition of the topic, exactly once.
#[derive(Debug)]
pub(crate) struct Cover {
    partitions: BTreeMap<i32, PartitionBalances>,
}

/// One customer over the whole fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CustomerBalance {
    pub(crate) customer_id: String,
    /// Ordered by currency, one entry each.
    pub(crate) amounts: Vec<Amount>,
    pub(crate) transaction_count: u64,
    pub(crate) last_transaction_id: String,
    pub(crate) last_updated: Timestamp,
}

/// The sums over a cover, and what they are true for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FleetBalances {
    /// Partition → the next offset: every record below it is in the sums, none from it on.
    pub(crate) as_of: BTreeMap<i32, i64>,
    /// Ordered by customer id.
    pub(crate) customers: Vec<CustomerBalance>,
}

/// Why partitions of one identity cannot be added.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SumError {
    #[error("{currency} of customer {customer_id} exceeds the range of an amount")]
    Overflow { customer_id: String, currency: Currency },
    #[error("the transactions of customer {customer_id} exceed the range of a count")]
    Count { customer_id: String },
    #[error("partitions disagree on the decimals of {currency}; restart the workers with one set of rules")]
    Exponents { currency: Currency },
}

impl Gathering {
    /// Nothing gathered yet; `book` and `partition_count` are what the asking worker knows itself.
    pub(crate) fn new(identity: LedgerIdentity, book: Arc<Rulebook>, partition_count: i32) -> Self {
        Self { identity, book, partition_count, best: BTreeMap::new() }
    }

    /// Takes what is newer than what is there; false if the answer speaks of another ledger and was ignored.
    pub(crate) fn add(&mut self, answer: Answer) -> bool {
        let known = 0..MAX_PARTITIONS;
        let believable = answer.partition_count <= MAX_PARTITIONS
            && answer.partitions.iter().all(|partition| known.contains(&partition.partition));
        // A currency that this worker does not know comes with its decimals.
        let ours = &self.book.rules().exponents;
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

    /// The cover, once nothing is missing. A topic without partitions is not known yet, so it has no cover.
    pub(crate) fn take_cover(&mut self) -> Option<Cover> {
        let is_complete = self.missing().is_empty() && self.partition_count > 0;
        is_complete.then(|| Cover { partitions: std::mem::take(&mut self.best) })
    }
}

/// A stale owner's generation is lower; with equal generations (one owner, asked twice) more applied is newer.
fn age(partition: &PartitionBalances) -> (i32, i64) {
    (partition.generation, partition.next_offset)
}

impl Cover {
    /// Adds up each customer over all partitions; currencies stay apart.
    pub(crate) fn sum(self) -> Result<FleetBalances, SumError> {
        let as_of = self.partitions.values().map(|held| (held.partition, held.next_offset)).collect();
        let mut customers: BTreeMap<String, CustomerBalance> = BTreeMap::new();
        // Ascending, so that of two partitions with equal timestamps the higher one names the last transaction.
        for row in self.partitions.into_values().flat_map(|held| held.rows) {
            match customers.get_mut(&row.customer) {
                Some(balance) => balance.add(row)?,
                None => {
                    customers.insert(row.customer.clone(), CustomerBalance::from_row(row));
                }
            }
        }
        Ok(FleetBalances { as_of, customers: customers.into_values().collect() })
    }
}

impl CustomerBalance {
    fn from_row(row: BalanceRow) -> Self {
        let mut amounts = row.amounts;
        amounts.sort_unstable_by_key(|amount| amount.currency);
        Self {
            customer_id: row.customer,
            amounts,
            transaction_count: row.count,
            last_transaction_id: row.last_transaction_id,
            last_updated: row.last_updated,
        }
    }

    fn add(&mut self, row: BalanceRow) -> Result<(), SumError> {
        for amount in row.amounts {
            self.add_amount(amount)?;
        }
        self.transaction_count = self
            .transaction_count
            .checked_add(row.count)
            .ok_or_else(|| SumError::Count { customer_id: self.customer_id.clone() })?;
        if row.last_updated >= self.last_updated {
            self.last_updated = row.last_updated;
            self.last_transaction_id = row.last_transaction_id;
        }
        Ok(())
    }

    fn add_amount(&mut self, amount: Amount) -> Result<(), SumError> {
        match self.amounts.binary_search_by_key(&amount.currency, |held| held.currency) {
            Err(place) => self.amounts.insert(place, amount),
            Ok(place) => {
                let held = &mut self.amounts[place];
                if held.exponent != amount.exponent {
                    return Err(SumError::Exponents { currency: amount.currency });
                }
                held.minor_units = held.minor_units.checked_add(amount.minor_units).ok_or_else(|| {
                    SumError::Overflow { customer_id: self.customer_id.clone(), currency: amount.currency }
                })?;
            }
        }
        Ok(())
    }
}
