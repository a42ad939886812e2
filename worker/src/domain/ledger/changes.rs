//! What a partition's records have changed since the last commit that was accepted.
//!
//! The first change of a customer copies its state from below (the changes of the running commit, or the ledger), so
//! every value here is a whole state. Nothing here is visible to readers, and all of it can be dropped.

use compact_str::CompactString;
use foldhash::quality::RandomState;
use hashbrown::HashMap;

use super::{Customer, Ledger, Posting};
use crate::domain::{money::Overflow, transaction::BadRecord};

/// After a take, there is room for at most this many customers in advance: what was taken may be a whole ledger.
const MOST_ROOM: usize = 16_384;

/// Customers with their new state, and records that could not be applied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    customers: HashMap<CompactString, Changed, RandomState>,
    dead_letters: Vec<DeadLetter>,
    dead_letter_bytes: usize,
}

/// One customer's change.
#[derive(Clone, Debug)]
pub(crate) struct Changed {
    /// The whole new state.
    pub(crate) now: Customer,
    /// The digest of its state before, 0 if there was none. The partition's checksum is the sum of digests, and so
    /// follows from this one and the new one.
    pub(crate) digest_before: u64,
}

/// A record that could not be applied, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) reason: BadRecord,
}

impl Changes {
    /// A whole ledger of which nothing is durable.
    pub(crate) fn all_of(ledger: Ledger) -> Self {
        let changed = |(id, now)| (id, Changed { now, digest_before: 0 });
        Self { customers: ledger.customers.into_iter().map(changed).collect(), ..Self::default() }
    }

    /// Applies the record at `offset`; `below` gives the customer's state so far, with its digest. An error changes
    /// nothing.
    pub(crate) fn apply(
        &mut self,
        posting: &Posting<'_>,
        offset: i64,
        below: impl FnOnce(&str) -> Option<(Customer, u64)>,
    ) -> Result<(), Overflow> {
        if let Some(changed) = self.customers.get_mut(&*posting.customer) {
            return changed.now.apply(posting, offset);
        }
        let changed = match below(&posting.customer) {
            Some((mut now, digest_before)) => {
                now.apply(posting, offset)?;
                Changed { now, digest_before }
            }
            None => Changed { now: Customer::opened_by(posting, offset), digest_before: 0 },
        };
        self.customers.insert((&*posting.customer).into(), changed);
        Ok(())
    }

    /// Loads what has changed of these customers into the processor's cache.
    pub(crate) fn prefetch<'a>(&self, ids: impl Iterator<Item = &'a str>) {
        ids.filter_map(|id| self.customers.get(id)).for_each(|changed| changed.now.touch());
    }

    pub(crate) fn add_dead_letter(&mut self, letter: DeadLetter) {
        self.dead_letter_bytes += letter.size();
        self.dead_letters.push(letter);
    }

    /// Takes all of it, or `at_most` so many customers.
    pub(crate) fn take(&mut self, at_most: usize) -> Self {
        if self.len() <= at_most {
            // The next ones may be as many, and a map that grows moves all that it has, again and again.
            let room = HashMap::with_capacity_and_hasher(self.len().min(MOST_ROOM), RandomState::default());
            return std::mem::replace(self, Self { customers: room, ..Self::default() });
        }
        Self { customers: self.customers.extract_if(|_, _| true).take(at_most).collect(), ..Self::default() }
    }

    /// Merges `later` changes into these, which a refused commit had.
    pub(crate) fn followed_by(mut self, mut later: Self) -> Self {
        // What is durable is still the state before the earlier change. Whichever is smaller is put into the other.
        if self.len() < later.len() {
            for (id, earlier) in self.customers {
                match later.customers.get_mut(&id) {
                    Some(change) => change.digest_before = earlier.digest_before,
                    None => drop(later.customers.insert(id, earlier)),
                }
            }
            self.customers = later.customers;
        } else {
            for (id, change) in later.customers {
                match self.customers.get_mut(&id) {
                    Some(earlier) => earlier.now = change.now,
                    None => drop(self.customers.insert(id, change)),
                }
            }
        }
        self.dead_letters.extend(later.dead_letters);
        self.dead_letter_bytes += later.dead_letter_bytes;
        self
    }

    pub(crate) fn customer(&self, id: &str) -> Option<&Customer> {
        self.customers.get(id).map(|changed| &changed.now)
    }

    /// In no order.
    pub(crate) fn customers(&self) -> impl Iterator<Item = (&str, &Changed)> {
        self.customers.iter().map(|(id, changed)| (id.as_str(), changed))
    }

    /// In the order of their offsets.
    pub(crate) fn dead_letters(&self) -> &[DeadLetter] {
        &self.dead_letters
    }

    /// How many customers have changed.
    pub(crate) fn len(&self) -> usize {
        self.customers.len()
    }

    /// Bytes of the dead letters.
    pub(crate) fn dead_letter_bytes(&self) -> usize {
        self.dead_letter_bytes
    }
}

/// Lengths of name and value take as much at most.
const HEADER_FRAME: usize = 10;

impl DeadLetter {
    /// Bytes of key, value and headers, each header with what frames it.
    pub(crate) fn size(&self) -> usize {
        let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers = self.headers.iter().map(|(name, value)| name.len() + len(value) + HEADER_FRAME);
        len(&self.key) + len(&self.value) + headers.sum::<usize>()
    }
}
