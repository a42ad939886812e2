//! Customers and what one transaction does to them.

use std::{borrow::Cow, collections::BTreeSet};

use compact_str::CompactString;
use foldhash::quality::RandomState;
use hashbrown::HashMap;
use jiff::Timestamp;
use smallvec::{SmallVec, smallvec};

use crate::domain::money::{Currency, Overflow};

/// One transaction as the ledger sees it: checked, signed, in minor units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Posting<'a> {
    pub(crate) customer: Cow<'a, str>,
    pub(crate) currency: Currency,
    /// By how many minor units; negative for a debit.
    pub(crate) minor_units: i128,
    pub(crate) transaction_id: Cow<'a, str>,
    pub(crate) timestamp: Timestamp,
}

/// One customer's state in one partition.
///
/// Usual ids and a single currency are stored inline, not behind pointers: applying a record is mostly waiting for
/// memory, and each pointer adds a wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Customer {
    pub(crate) balances: Balances,
    /// How many transactions were applied.
    pub(crate) count: u64,
    /// Id of the transaction with the highest offset.
    pub(crate) last_transaction_id: CompactString,
    pub(crate) last_updated: Timestamp,
    pub(crate) last_offset: i64,
}

/// In the order of first use.
type Balances = SmallVec<[(Currency, i128); 1]>;

impl Customer {
    /// The balance in minor units per currency, in the order of first use.
    pub(crate) fn balances(&self) -> &[(Currency, i128)] {
        &self.balances
    }
}

impl Clone for Customer {
    fn clone(&self) -> Self {
        let Self { balances, count, last_transaction_id, last_updated, last_offset } = self;
        Self {
            balances: balances.clone(),
            count: *count,
            last_transaction_id: last_transaction_id.clone(),
            last_updated: *last_updated,
            last_offset: *last_offset,
        }
    }

    /// Reuses the memory of both lists: this is how a commit becomes visible, customer after customer.
    fn clone_from(&mut self, source: &Self) {
        self.balances.clone_from(&source.balances);
        self.count = source.count;
        self.last_transaction_id.clone_from(&source.last_transaction_id);
        self.last_updated = source.last_updated;
        self.last_offset = source.last_offset;
    }
}

/// Customers of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    // Customer ids come from outside: a seeded hasher cannot be flooded with collisions.
    pub(super) customers: HashMap<CompactString, Customer, RandomState>,
}

impl Ledger {
    /// Applies the record at `offset`. An error leaves the ledger as it was.
    pub(crate) fn apply(&mut self, posting: &Posting<'_>, offset: i64) -> Result<(), Overflow> {
        let Some(customer) = self.customers.get_mut(&*posting.customer) else {
            self.customers.insert((&*posting.customer).into(), Customer::opened_by(posting, offset));
            return Ok(());
        };
        customer.apply(posting, offset)
    }

    /// Loads these customers into the processor's cache. The loads overlap.
    pub(crate) fn prefetch<'a>(&self, ids: impl Iterator<Item = &'a str>) {
        ids.filter_map(|id| self.customers.get(id)).for_each(Customer::touch);
    }

    /// Sets a customer to a known state, taking over the memory of the one before.
    pub(crate) fn set(&mut self, id: &str, state: &Customer) {
        match self.customers.get_mut(id) {
            Some(customer) => customer.clone_from(state),
            None => self.insert(id, state.clone()),
        }
    }

    /// Sets a customer to an owned state.
    pub(crate) fn insert(&mut self, id: &str, state: Customer) {
        self.customers.insert(id.into(), state);
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.customers.remove(id);
    }

    /// Moves up to `at_most` customers into `other`, over what that has of them.
    pub(crate) fn move_into(&mut self, other: &mut Self, at_most: usize) {
        let moved: Vec<_> = self.customers.extract_if(|_, _| true).take(at_most).collect();
        other.prefetch(moved.iter().map(|(id, _): &(CompactString, Customer)| id.as_str()));
        other.customers.extend(moved);
    }

    /// One customer, if a record named it.
    pub(crate) fn customer(&self, id: &str) -> Option<&Customer> {
        self.customers.get(id)
    }

    /// All customers, in no order.
    pub(crate) fn customers(&self) -> impl Iterator<Item = (&str, &Customer)> {
        self.customers.iter().map(|(id, customer)| (id.as_str(), customer))
    }

    /// The number of transactions in it.
    pub(crate) fn transactions(&self) -> u64 {
        self.customers().map(|(_, customer)| customer.count).sum()
    }

    pub(crate) fn currencies(&self) -> BTreeSet<Currency> {
        let (mut found, mut last) = (BTreeSet::new(), None);
        for &(currency, _) in self.customers.values().flat_map(|customer| &customer.balances) {
            // Most hold the same one.
            if last != Some(currency) {
                found.insert(currency);
                last = Some(currency);
            }
        }
        found
    }

    pub(crate) fn len(&self) -> usize {
        self.customers.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.customers.is_empty()
    }
}

impl Customer {
    pub(super) fn opened_by(posting: &Posting<'_>, offset: i64) -> Self {
        Self {
            balances: smallvec![(posting.currency, posting.minor_units)],
            count: 1,
            last_transaction_id: (&*posting.transaction_id).into(),
            last_updated: posting.timestamp,
            last_offset: offset,
        }
    }

    /// Loads both ends of the struct into the processor's cache.
    pub(super) fn touch(&self) {
        std::hint::black_box((self.balances.len(), self.last_transaction_id.len(), self.last_offset));
    }

    /// Applies one more record. An error leaves the customer as it was.
    pub(super) fn apply(&mut self, posting: &Posting<'_>, offset: i64) -> Result<(), Overflow> {
        self.add(posting.currency, posting.minor_units)?;
        self.count += 1;
        self.last_transaction_id.clear();
        self.last_transaction_id.push_str(&posting.transaction_id);
        self.last_updated = posting.timestamp;
        self.last_offset = offset;
        Ok(())
    }

    fn add(&mut self, currency: Currency, minor_units: i128) -> Result<(), Overflow> {
        match self.balances.iter_mut().find(|(known, _)| *known == currency) {
            Some((_, balance)) => *balance = balance.checked_add(minor_units).ok_or(Overflow)?,
            None => self.balances.push((currency, minor_units)),
        }
        Ok(())
    }
}
