//! A snapshot of one partition at one offset, which can be copied while processing continues.

use std::{collections::VecDeque, iter};

use smallvec::SmallVec;

use super::{
    facts::{BalanceRow, Phase},
    shared_partition::{SharedPartition, row},
};
use crate::domain::{exponents::Exponents, id::Id, ledger::Customer};

/// So many customers are copied under one lock. It bounds how long the poll thread and other readers wait.
const COPIED_AT_ONCE: usize = 64;

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

/// Every customer of one partition at one moment. While it exists, what changes replace is kept until it is copied.
pub(crate) struct Snapshot<'a> {
    shared: &'a SharedPartition,
    exponents: &'a Exponents,
    next_offset: i64,
    at_most: usize,
}

impl SharedPartition {
    /// A snapshot of what readers see; `None` unless the partition is active. The caller lets one copy run at a time.
    pub(super) fn snapshot<'a>(&'a self, exponents: &'a Exponents) -> Option<Snapshot<'a>> {
        let mut state = self.lock();
        let next_offset = state.as_of.filter(|_| state.phase == Phase::Active)?;
        let at_most = state.ledger.len();
        state.ledger.begin_copy().then_some(Snapshot { shared: self, exponents, next_offset, at_most })
    }
}

impl Snapshot<'_> {
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

    /// The number of customers.
    pub(crate) fn at_most(&self) -> usize {
        self.at_most
    }

    /// The customers, in no order, each once; an error ends them.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Result<BalanceRow, CopyError>> {
        let (mut copied, mut is_over) = (VecDeque::with_capacity(COPIED_AT_ONCE), false);
        iter::from_fn(move || {
            while copied.is_empty() && !is_over {
                match self.copy_some(&mut copied) {
                    Ok(over) => is_over = over,
                    Err(error) => {
                        is_over = true;
                        return Some(Err(error));
                    }
                }
            }
            copied.pop_front().map(Ok)
        })
    }

    /// Copies the next customers; true when there are no more.
    fn copy_some(&self, into: &mut VecDeque<BalanceRow>) -> Result<bool, CopyError> {
        let mut copied: SmallVec<[(Id, Customer); COPIED_AT_ONCE]> = SmallVec::new();
        let take = |id: &Id, customer: &Customer| copied.push((id.clone(), customer.clone()));
        let is_over = self.shared.lock().ledger.copy_some(COPIED_AT_ONCE, take);
        let partition = self.shared.partition();
        into.extend(copied.into_iter().map(|(id, customer)| row(partition, id, &customer, self.exponents)));
        is_over.map_err(|_| CopyError::Overtaken)
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        self.shared.lock().ledger.end_copy();
    }
}
