//! A copy of a ledger as it stands at one moment, made a few customers at a time while the ledger changes.
//!
//! Nobody may wait for a copy of all customers. So what a change replaces is kept aside if the copy has not come to that
//! slot yet.

use std::ops::Range;

use foldhash::quality::RandomState;
use hashbrown::HashMap;

use super::Customer;

/// The most customers that may change before a copy has come to them; with usual ids they take some 6 MB.
const MOST_KEPT: usize = 65_536;

/// A copy under way.
#[derive(Clone, Debug)]
pub(super) struct Copying {
    /// The slots that are to be copied: those before are, those after are newer than the copy.
    left: Range<usize>,
    /// The states at the beginning of slots that have changed since; `None` of those that had none.
    kept: HashMap<usize, Option<Customer>, RandomState>,
}

/// Too much has changed for the copy to go on, or the ledger is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overtaken;

impl Copying {
    /// A copy of so many slots.
    pub(super) fn of(slots: usize) -> Self {
        Self { left: 0..slots, kept: HashMap::default() }
    }

    /// The next slots to copy, at most so many.
    pub(super) fn advance(&mut self, at_most: usize) -> Range<usize> {
        let end = self.left.end.min(self.left.start + at_most);
        std::mem::replace(&mut self.left.start, end)..end
    }

    /// Whether there are no more slots to copy.
    pub(super) fn is_over(&self) -> bool {
        self.left.is_empty()
    }

    /// Whether the state of a slot must be kept before it changes.
    pub(super) fn needs(&self, slot: usize) -> bool {
        self.left.contains(&slot) && !self.kept.contains_key(&slot)
    }

    /// Keeps a state that is about to change.
    ///
    /// # Errors
    /// Too many have changed: the copy is to end.
    pub(super) fn keep(&mut self, slot: usize, state: Option<Customer>) -> Result<(), Overtaken> {
        self.kept.insert(slot, state);
        if self.kept.len() > MOST_KEPT { Err(Overtaken) } else { Ok(()) }
    }

    /// The state that was kept of a slot, if it has changed.
    pub(super) fn kept(&mut self, slot: usize) -> Option<Option<Customer>> {
        self.kept.remove(&slot)
    }
}
