//! A snapshot of one partition at one offset, which can be copied while processing continues.

use super::{
    facts::{BalanceRow, Phase},
    shared_partition::{SharedPartition, row},
    visible::FrozenLedger,
};
use crate::domain::exponents::Exponents;

/// After this many customers, the copy checks whether it may continue.
const SLICE: usize = 4096;
/// The most customers that may change during a copy: with usual ids they take some 15 MB.
const MOST_DEFERRED: usize = 65_536;

/// Why a partition was not copied; a later attempt may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CopyError {
    /// Copies of other partitions took too long.
    #[error("other partitions are being copied")]
    Turn,
    /// Too many customers changed during the copy.
    #[error("too much has changed while the partition was copied")]
    Overtaken,
}

/// Every customer of one partition at one moment. While it exists, changes of the partition are kept beside its ledger.
pub(crate) struct Snapshot<'a> {
    shared: &'a SharedPartition,
    exponents: &'a Exponents,
    next_offset: i64,
    /// Taken when it is dropped.
    frozen: Option<FrozenLedger>,
}

impl SharedPartition {
    /// Freezes what readers see; `None` unless the partition is active. The caller lets one copy run at a time.
    pub(super) fn snapshot<'a>(&'a self, exponents: &'a Exponents) -> Option<Snapshot<'a>> {
        let mut state = self.lock();
        let next_offset = state.as_of.filter(|_| state.phase == Phase::Active)?;
        let frozen = state.ledger.freeze()?;
        Some(Snapshot::new(self, exponents, next_offset, frozen))
    }
}

impl<'a> Snapshot<'a> {
    fn new(shared: &'a SharedPartition, exponents: &'a Exponents, next_offset: i64, frozen: FrozenLedger) -> Self {
        Self { shared, exponents, next_offset, frozen: Some(frozen) }
    }

    /// The partition's number.
    pub(crate) fn partition(&self) -> i32 {
        self.shared.partition()
    }

    /// The group's generation at its assignment.
    pub(crate) fn generation(&self) -> i32 {
        self.shared.generation()
    }

    /// Exactly the records below this are in the balances.
    pub(crate) fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// The most customers that it can have.
    pub(crate) fn at_most(&self) -> usize {
        self.frozen.as_ref().map_or(0, FrozenLedger::at_most)
    }

    /// The customers, in no order; an error ends them.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Result<BalanceRow, CopyError>> {
        let customers = self.frozen.iter().flat_map(FrozenLedger::customers);
        let partition = self.shared.partition();
        customers.enumerate().map(move |(number, (id, customer))| {
            if number % SLICE == SLICE - 1 && self.shared.lock().ledger.deferred() > MOST_DEFERRED {
                return Err(CopyError::Overtaken);
            }
            Ok(row(partition, id, customer, self.exponents))
        })
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        if let Some(frozen) = self.frozen.take() {
            self.shared.thaw(frozen);
        }
    }
}
