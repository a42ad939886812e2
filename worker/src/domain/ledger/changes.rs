//! What one commit writes of a partition.

use std::sync::OnceLock;

use super::{Customer, Ledger};
use crate::domain::{id::Id, transaction::BadRecord};

/// Customers with their new state, and records that could not be applied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    pub(super) customers: Vec<Change>,
    /// The digests of the new states, in the same order, once the store has computed them.
    digests: OnceLock<Vec<u64>>,
    pub(super) dead_letters: DeadLetters,
}

/// One customer's change.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) id: Id,
    /// The whole new state.
    pub(crate) now: Customer,
    /// The digest of its durable state, 0 if there is none. The partition's checksum is the sum of digests, and so
    /// follows from this one and the new one.
    pub(crate) digest_before: u64,
    pub(super) slot: usize,
}

/// Records that could not be applied, in the order of their offsets.
#[derive(Clone, Debug, Default)]
pub(super) struct DeadLetters {
    pub(super) letters: Vec<DeadLetter>,
    pub(super) bytes: usize,
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
    pub(crate) fn all_of(mut ledger: Ledger) -> Self {
        Self { customers: Change::all_of(&mut ledger), ..Self::default() }
    }

    pub(super) fn new(customers: Vec<Change>, dead_letters: DeadLetters) -> Self {
        Self { customers, digests: OnceLock::new(), dead_letters }
    }

    /// In no order, but always the same one.
    pub(crate) fn customers(&self) -> &[Change] {
        &self.customers
    }

    /// In the order of their offsets.
    pub(crate) fn dead_letters(&self) -> &[DeadLetter] {
        &self.dead_letters.letters
    }

    /// How many customers have changed.
    pub(crate) fn len(&self) -> usize {
        self.customers.len()
    }

    /// Notes the digests of the new states, in the order of [`Self::customers`].
    pub(crate) fn set_digests(&self, digests: Vec<u64>) {
        // A second attempt computes the same ones.
        let _ = self.digests.set(digests);
    }

    /// The digests of the new states, in the order of [`Self::customers`]; empty if the store has not computed them.
    pub(super) fn digests(&self) -> Vec<u64> {
        self.digests.get().cloned().unwrap_or_default()
    }
}

impl Change {
    /// Takes every state out of `ledger`.
    pub(super) fn all_of(ledger: &mut Ledger) -> Vec<Self> {
        let mut all = Vec::with_capacity(ledger.len());
        for slot in 0..ledger.slots() {
            all.extend(ledger.take(slot).map(|(id, now)| Self { id, now, digest_before: 0, slot }));
        }
        all
    }
}

impl DeadLetters {
    pub(super) fn push(&mut self, letter: DeadLetter) {
        self.bytes += letter.size();
        self.letters.push(letter);
    }

    pub(super) fn append(&mut self, later: Self) {
        self.letters.extend(later.letters);
        self.bytes += later.bytes;
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
