//! The balances of one partition that readers see, held so that they can be copied while they change.
//!
//! A copy takes as long as there are customers, and nobody may wait for it. So the ledger is frozen as it stands while
//! it is copied: what changes meanwhile goes into a second ledger beside it, and into the first one afterwards, a few
//! customers at a time.

use std::sync::Arc;

use crate::domain::{
    ledger::{Changes, Customer, Ledger, Posting},
    money::Overflow,
};

/// A [`Ledger`] as readers see it, for all records below one offset; it can be frozen for a copy, and changes
/// meanwhile.
pub(crate) struct VisibleLedger {
    base: Base,
    /// Customers that have changed since the base was frozen. They stand above it.
    deferred: Ledger,
    /// Changes that were committed just now and are on their way into the two below.
    publishing: Option<Arc<Changes>>,
}

enum Base {
    Own(Ledger),
    /// Shared with the one copy that reads it: nothing in it changes.
    Frozen(Arc<Ledger>),
}

/// The ledger as it was when it was frozen.
pub(super) struct FrozenLedger {
    base: Arc<Ledger>,
    publishing: Option<Arc<Changes>>,
}

impl Default for VisibleLedger {
    fn default() -> Self {
        Ledger::default().into()
    }
}

impl From<Ledger> for VisibleLedger {
    fn from(ledger: Ledger) -> Self {
        Self { base: Base::Own(ledger), deferred: Ledger::default(), publishing: None }
    }
}

impl VisibleLedger {
    /// One customer, if a record named it.
    pub(crate) fn customer(&self, id: &str) -> Option<&Customer> {
        let publishing = self.publishing.as_ref().and_then(|changes| changes.customer(id));
        publishing.or_else(|| self.deferred.customer(id)).or_else(|| self.base.ledger().customer(id))
    }

    /// Loads these customers into the processor's cache.
    pub(crate) fn prefetch<'a>(&self, ids: impl Iterator<Item = &'a str>) {
        self.base.ledger().prefetch(ids);
    }

    /// Applies the record at `offset`. An error changes no balance.
    pub(crate) fn apply(&mut self, posting: &Posting<'_>, offset: i64) -> Result<(), Overflow> {
        match &mut self.base {
            Base::Own(base) if self.deferred.customer(&posting.customer).is_none() => base.apply(posting, offset),
            Base::Own(_) => self.deferred.apply(posting, offset),
            Base::Frozen(base) => {
                let id = &*posting.customer;
                if let (None, Some(customer)) = (self.deferred.customer(id), base.customer(id)) {
                    self.deferred.insert(id, customer.clone());
                }
                self.deferred.apply(posting, offset)
            }
        }
    }

    /// How many customers there are, without those that came while the base is frozen.
    pub(super) fn len(&self) -> usize {
        self.base.ledger().len()
    }

    /// How many customers have changed since the base was frozen.
    pub(super) fn deferred(&self) -> usize {
        self.deferred.len()
    }

    /// Makes `changes` visible at once, or says that all of the last ones have arrived.
    pub(super) fn set_publishing(&mut self, changes: Option<Arc<Changes>>) {
        self.publishing = changes;
    }

    /// Merges customers of the published changes into the ledger, or beside it while it is frozen.
    pub(super) fn merge_published<'a>(&mut self, customers: impl Iterator<Item = (&'a str, &'a Customer)> + Clone) {
        self.prefetch(customers.clone().map(|(id, _)| id));
        for (id, now) in customers {
            match &mut self.base {
                Base::Own(base) if self.deferred.customer(id).is_none() => base.set(id, now),
                _ => self.deferred.set(id, now),
            }
        }
    }

    /// Freezes the base for a copy. `None` while another one is under way, or what that left to do.
    pub(super) fn freeze(&mut self) -> Option<FrozenLedger> {
        if !self.deferred.is_empty() || matches!(self.base, Base::Frozen(_)) {
            return None;
        }
        let Base::Own(ledger) = std::mem::replace(&mut self.base, Base::Own(Ledger::default())) else { return None };
        let base = Arc::new(ledger);
        self.base = Base::Frozen(base.clone());
        Some(FrozenLedger { base, publishing: self.publishing.clone() })
    }

    /// The copy of `frozen` has ended: the base may change again.
    pub(super) fn thaw(&mut self, frozen: FrozenLedger) {
        drop(frozen);
        self.base = match std::mem::replace(&mut self.base, Base::Own(Ledger::default())) {
            // Nobody else has it. If it was shared after all, a copy of it would be right as well.
            Base::Frozen(base) => Base::Own(Arc::unwrap_or_clone(base)),
            // The partition has failed meanwhile: its ledger is gone.
            own @ Base::Own(_) => own,
        };
    }

    /// Puts up to `at_most` customers that were deferred into the base; true when none is left.
    pub(super) fn catch_up(&mut self, at_most: usize) -> bool {
        if let Base::Own(base) = &mut self.base {
            self.deferred.move_into(base, at_most);
            if self.deferred.is_empty() {
                self.deferred = Ledger::default();
            }
        }
        self.deferred.is_empty()
    }

    /// Every customer, in no order.
    #[cfg(test)]
    pub(crate) fn customers(&self) -> impl Iterator<Item = (&str, &Customer)> {
        let ids: std::collections::BTreeSet<&str> = self
            .publishing
            .iter()
            .flat_map(|changes| changes.customers().map(|(id, _)| id))
            .chain(self.deferred.customers().map(|(id, _)| id))
            .chain(self.base.ledger().customers().map(|(id, _)| id))
            .collect();
        ids.into_iter().filter_map(|id| Some((id, self.customer(id)?)))
    }
}

impl Base {
    fn ledger(&self) -> &Ledger {
        match self {
            Self::Own(ledger) => ledger,
            Self::Frozen(ledger) => ledger,
        }
    }
}

impl FrozenLedger {
    /// Every customer, in no order.
    pub(super) fn customers(&self) -> impl Iterator<Item = (&str, &Customer)> {
        let publishing = self.publishing.as_deref();
        let is_publishing = move |id: &str| publishing.is_some_and(|changes| changes.customer(id).is_some());
        let others = self.base.customers().filter(move |(id, _)| !is_publishing(id));
        publishing.into_iter().flat_map(Changes::customers).map(|(id, changed)| (id, &changed.now)).chain(others)
    }

    /// As many customers at most.
    pub(super) fn at_most(&self) -> usize {
        self.base.len() + self.publishing.as_ref().map_or(0, |changes| changes.len())
    }
}
