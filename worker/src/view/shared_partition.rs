//! One assignment of one partition, shared between the poll thread and the readers.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;

use super::facts::{Amounts, BalanceRow, PartitionBalances, PartitionInfo, Phase, RestoreProgress};
use crate::{
    domain::{
        exponents::Exponents,
        id::Id,
        ledger::{Customer, Ledger},
        ledger_rules::LedgerRules,
        money::{Amount, Currency},
    },
    partition_failure::PartitionFailure,
};

/// The shared part of an assigned partition. A new assignment makes a new one, so nothing of an old one can leak in.
pub(crate) struct SharedPartition {
    partition: i32,
    generation: i32,
    released: AtomicBool,
    state: Mutex<State>,
}

/// What changes while the partition is assigned.
pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) ledger: Ledger,
    /// The visible balances include exactly the records below this offset.
    pub(crate) as_of: Option<i64>,
    pub(crate) next_offset: Option<i64>,
    pub(crate) last_offset: Option<i64>,
    pub(crate) committed_offset: Option<i64>,
    pub(crate) restore: Option<RestoreProgress>,
    /// What blocks the restore or, while the partition is active, the next records (a position that is not validated
    /// yet).
    pub(crate) blocked_by: Option<String>,
    pub(crate) failure: Option<PartitionFailure>,
    /// The rules that made its ledger, if the store keeps them.
    rules: Option<Arc<LedgerRules>>,
}

impl State {
    /// Moves past the record at `offset`, whose effect is in the ledger.
    pub(crate) fn advance(&mut self, offset: i64) {
        self.set_position(offset + 1);
        self.as_of = Some(offset + 1);
    }

    /// Moves to `next_offset`: all records below are processed.
    pub(crate) fn set_position(&mut self, next_offset: i64) {
        self.next_offset = Some(next_offset);
        self.last_offset = Some(next_offset - 1);
    }
}

impl SharedPartition {
    /// A partition that was just assigned: restoring.
    pub(crate) fn new(partition: i32, generation: i32) -> Self {
        let state = State {
            phase: Phase::Restoring,
            ledger: Ledger::default(),
            as_of: None,
            next_offset: None,
            last_offset: None,
            committed_offset: None,
            restore: None,
            blocked_by: None,
            failure: None,
            rules: None,
        };
        Self { partition, generation, released: AtomicBool::new(false), state: Mutex::new(state) }
    }

    pub(crate) fn partition(&self) -> i32 {
        self.partition
    }

    pub(super) fn generation(&self) -> i32 {
        self.generation
    }

    /// Locks the state. Hold the lock for some records, or for the customers of one commit, and never while waiting.
    pub(crate) fn lock(&self) -> parking_lot::MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Shows the rules that made the durable balances.
    pub(crate) fn show_rules(&self, rules: &Arc<LedgerRules>) {
        self.lock().rules = Some(rules.clone());
    }

    /// The rules last shown.
    pub(super) fn rules(&self) -> Option<Arc<LedgerRules>> {
        self.lock().rules.clone()
    }

    /// Marks the partition as gone from this worker, so that a restore of it can stop.
    pub(crate) fn release(&self) {
        self.released.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_released(&self) -> bool {
        self.released.load(Ordering::Relaxed)
    }

    pub(super) fn is_active(&self) -> bool {
        self.lock().phase == Phase::Active
    }

    pub(super) fn info(&self) -> PartitionInfo {
        let state = self.lock();
        PartitionInfo {
            partition: self.partition,
            phase: state.phase,
            generation: self.generation,
            next_offset: state.next_offset,
            last_offset: state.last_offset,
            committed_offset: state.committed_offset,
            customers: state.ledger.len(),
            restore: state.restore,
            blocked_by: state.blocked_by.clone(),
            failure: state.failure.as_ref().map(ToString::to_string),
        }
    }

    /// One customer, if there; `None` unless the partition is active.
    pub(super) fn customer(&self, id: &str, exponents: &Exponents) -> Option<PartitionBalances> {
        let state = self.lock();
        let next_offset = state.as_of.filter(|_| state.phase == Phase::Active)?;
        let rows = state.ledger.customer(id).map(|customer| row(self.partition, id.into(), customer, exponents));
        let (partition, generation) = (self.partition, self.generation);
        Some(PartitionBalances { partition, generation, next_offset, rows: rows.into_iter().collect() })
    }
}

pub(super) fn row(partition: i32, id: Id, customer: &Customer, exponents: &Exponents) -> BalanceRow {
    let amount = |&(currency, minor_units): &(Currency, i128)| {
        // Only currencies with a known exponent get into a ledger.
        Some(Amount { currency, minor_units, exponent: exponents.of(currency)? })
    };
    let mut amounts: Amounts = customer.balances().iter().filter_map(amount).collect();
    amounts.sort_unstable_by_key(|amount| amount.currency);
    BalanceRow {
        customer: id,
        amounts,
        count: customer.count,
        last_transaction_id: customer.last_transaction_id.clone(),
        last_updated: customer.last_updated(),
        last_offset: customer.last_offset,
        partition,
    }
}
