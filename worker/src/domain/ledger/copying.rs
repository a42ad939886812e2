//! A copy of a ledger as it stands at one moment, made a few customers at a time while the ledger changes.
//!
//! Nobody may wait for a copy of all customers. So what a change replaces is kept aside if the copy has not come to that
//! slot yet.

use foldhash::quality::RandomState;
use hashbrown::HashMap;

use super::{Customer, Ledger};
use crate::domain::id::Id;

/// The most customers that may change before a copy has come to them; with usual ids they take some 6 MB.
const MOST_KEPT: usize = 65_536;

/// A copy under way.
#[derive(Clone, Debug)]
pub(super) struct Copying {
    /// Slots below are copied.
    next: usize,
    /// Slots from here on are newer than the copy.
    end: usize,
    /// The states at the beginning of slots that have changed since; `None` of those that had none.
    kept: HashMap<usize, Option<Customer>, RandomState>,
}

/// Too much has changed for the copy to go on, or the ledger is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overtaken;

impl Ledger {
    /// Begins a copy; false while another one is under way.
    pub(crate) fn begin_copy(&mut self) -> bool {
        if self.copying.is_some() {
            return false;
        }
        self.copying = Some(Copying { next: 0, end: self.slots().len(), kept: HashMap::default() });
        true
    }

    /// Gives `take` the next customers, from at most `at_most` slots, as they were when the copy began. True when there
    /// are no more.
    ///
    /// # Errors
    /// The copy cannot be completed.
    pub(crate) fn copy_some(
        &mut self,
        at_most: usize,
        mut take: impl FnMut(&Id, &Customer),
    ) -> Result<bool, Overtaken> {
        let mut copying = self.copying.take().ok_or(Overtaken)?;
        let end = copying.end.min(copying.next + at_most);
        for (number, slot) in self.slots().iter().enumerate().take(end).skip(copying.next) {
            match copying.kept.remove(&number) {
                Some(kept) => kept.iter().for_each(|state| take(&slot.id, state)),
                None => slot.state.iter().for_each(|state| take(&slot.id, state)),
            }
        }
        copying.next = end;
        let is_over = end == copying.end;
        self.copying = Some(copying);
        Ok(is_over)
    }

    /// Ends the copy, complete or not.
    pub(crate) fn end_copy(&mut self) {
        self.copying = None;
    }

    /// Keeps the state of a slot that is about to change.
    pub(super) fn keep_for_copy(&mut self, slot: usize) {
        let Some(copying) = &self.copying else { return };
        if !(copying.next..copying.end).contains(&slot) || copying.kept.contains_key(&slot) {
            return;
        }
        let state = self.state(slot).cloned();
        if let Some(copying) = &mut self.copying {
            copying.kept.insert(slot, state);
        }
        if self.copying.as_ref().is_some_and(|copying| copying.kept.len() > MOST_KEPT) {
            self.copying = None;
        }
    }
}
