//! The table of a partition's customers as readers see them.

use std::{collections::BTreeSet, hash::BuildHasher as _};

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::{
    Customer, Posting,
    copying::{Copying, Overtaken},
};
use crate::domain::{
    id::{Id, IdRef},
    money::{Currency, Overflow},
};

/// So many look-ups need no allocation.
const AT_ONCE: usize = 32;

/// The customers of one partition, each in a slot of a table. A slot number stays valid: customers are only added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Slot numbers by id.
    index: HashTable<u32>,
    // Customer ids come from outside: a seeded hasher cannot be flooded with collisions.
    hasher: RandomState,
    slots: Vec<Slot>,
    /// How many slots have a state.
    len: usize,
    copying: Option<Box<Copying>>,
}

#[derive(Clone, Debug)]
struct Slot {
    id: Id,
    /// `None` while all records of the customer are uncommitted.
    state: Option<Customer>,
    /// The digest of the stored state, as the store computes it; 0 if not known.
    digest: u64,
}

impl Slot {
    /// Loads its id into the processor's cache.
    fn touch(&self) {
        std::hint::black_box(matches!(self.id, Id::Uuid(_)));
    }
}

/// A customer looked up by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    hash: u64,
    /// `None` if it had no slot.
    pub(super) slot: Option<usize>,
}

impl Ledger {
    /// Looks a customer up.
    pub(crate) fn find(&self, id: &str) -> Found {
        let id = IdRef::from(id);
        let hash = self.hasher.hash_one(id);
        Found { hash, slot: self.slot_with(hash, id) }
    }

    /// Looks many customers up; `None` stays `None`. Each look-up waits for memory several times. Here, those of all
    /// customers wait together: no load of a step depends on another one of it.
    pub(crate) fn find_all<'a>(
        &self,
        ids: impl Iterator<Item = Option<&'a str>>,
    ) -> SmallVec<[Option<Found>; AT_ONCE]> {
        let hashed = ids.map(|id| id.map(IdRef::from).map(|id| (id, self.hasher.hash_one(id))));
        let hashed: SmallVec<[_; AT_ONCE]> = hashed.collect();
        // The first slot with the bits of the hash that the index keeps, nearly always the right one.
        let guess = |(_, hash): (IdRef<'_>, u64)| self.index.find(hash, |_| true).copied();
        let guesses: SmallVec<[_; AT_ONCE]> = hashed.iter().map(|it| it.and_then(guess)).collect();
        for slot in guesses.iter().flatten() {
            self.slots[*slot as usize].touch();
        }
        let find = |((id, hash), guess): ((IdRef<'_>, u64), Option<u32>)| {
            let is_it = |slot: &usize| self.slots[*slot].id.as_ref() == id;
            let guess = guess.map(|slot| slot as usize);
            Found { hash, slot: guess.filter(is_it).or_else(|| guess.and_then(|_| self.slot_with(hash, id))) }
        };
        hashed.into_iter().zip(guesses).map(|(it, guess)| it.map(|it| find((it, guess)))).collect()
    }

    fn slot_with(&self, hash: u64, id: IdRef<'_>) -> Option<usize> {
        self.index.find(hash, |slot| self.slots[*slot as usize].id.as_ref() == id).map(|slot| *slot as usize)
    }

    /// The slot of the customer that was `found`, a new one if it has none.
    pub(super) fn slot(&mut self, found: Found, id: &str) -> usize {
        if let Some(slot) = found.slot {
            return slot;
        }
        let id = IdRef::from(id);
        // It may have got one since.
        self.slot_with(found.hash, id).unwrap_or_else(|| self.add(found.hash, id.into()))
    }

    fn add(&mut self, hash: u64, id: Id) -> usize {
        let (slot, slots, hasher) = (self.slots.len(), &self.slots, &self.hasher);
        // No memory holds 2^32 customers.
        self.index.insert_unique(hash, slot as u32, |slot| hasher.hash_one(slots[*slot as usize].id.as_ref()));
        self.slots.push(Slot { id, state: None, digest: 0 });
        slot
    }

    /// Loads what was found into the processor's cache. Loads that are issued together overlap.
    pub(crate) fn touch(&self, found: Found) {
        if let Some(state) = found.slot.and_then(|slot| self.slots[slot].state.as_ref()) {
            state.touch();
        }
    }

    /// Applies the record at `offset`; readers see it. An error leaves the ledger as it was.
    pub(crate) fn apply(&mut self, found: Found, posting: &Posting<'_>, offset: i64) -> Result<(), Overflow> {
        let slot = self.slot(found, &posting.customer);
        self.keep_for_copy(slot);
        let Slot { state, digest, .. } = &mut self.slots[slot];
        match state {
            Some(customer) => customer.apply(posting, offset)?,
            None => {
                *state = Some(Customer::opened_by(posting, offset));
                self.len += 1;
            }
        }
        *digest = 0;
        Ok(())
    }

    /// [`Self::apply`], of a customer that was not looked up before.
    pub(crate) fn fold(&mut self, posting: &Posting<'_>, offset: i64) -> Result<(), Overflow> {
        self.apply(self.find(&posting.customer), posting, offset)
    }

    /// Sets a customer to a known state with its digest, 0 if that is not known.
    pub(crate) fn insert(&mut self, id: &str, state: Customer, digest: u64) {
        let slot = self.slot(self.find(id), id);
        drop(self.write(slot, state, digest));
    }

    /// Sets the state of a slot; returns the one before.
    pub(super) fn write(&mut self, slot: usize, state: Customer, digest: u64) -> Option<Customer> {
        self.keep_for_copy(slot);
        let it = &mut self.slots[slot];
        self.len += usize::from(it.state.is_none());
        it.digest = digest;
        it.state.replace(state)
    }

    /// Takes the state of a slot out; readers no longer see the customer.
    pub(super) fn take(&mut self, slot: usize) -> Option<(Id, Customer)> {
        let it = self.slots.get_mut(slot)?;
        let taken = it.state.take()?;
        it.digest = 0;
        self.len -= 1;
        Some((it.id.clone(), taken))
    }

    /// Removes a customer. The last slot gets its number, so only a ledger that is being loaded may do that.
    pub(crate) fn remove(&mut self, id: &str) {
        let Found { hash, slot: Some(slot) } = self.find(id) else { return };
        if let Ok(entry) = self.index.find_entry(hash, |it| *it as usize == slot) {
            entry.remove();
        }
        let last = self.slots.len() - 1;
        if slot != last {
            let hash = self.hasher.hash_one(self.slots[last].id.as_ref());
            if let Some(moved) = self.index.find_mut(hash, |it| *it as usize == last) {
                *moved = slot as u32;
            }
        }
        self.len -= usize::from(self.slots.swap_remove(slot).state.is_some());
    }

    /// One customer, if a record named it.
    pub(crate) fn customer(&self, id: &str) -> Option<&Customer> {
        self.state(self.find(id).slot?)
    }

    pub(super) fn state(&self, slot: usize) -> Option<&Customer> {
        self.slots[slot].state.as_ref()
    }

    pub(super) fn id(&self, slot: usize) -> &Id {
        &self.slots[slot].id
    }

    /// The digest of a slot's state: 0 if it has none, `None` if it is not known.
    pub(super) fn digest(&self, slot: usize) -> Option<u64> {
        let Slot { state, digest, .. } = &self.slots[slot];
        (state.is_none() || *digest != 0).then_some(*digest)
    }

    /// How many slots there are, those without a state too.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// All customers, in no order.
    pub(crate) fn customers(&self) -> impl Iterator<Item = (&Id, &Customer)> {
        self.slots.iter().filter_map(|slot| Some((&slot.id, slot.state.as_ref()?)))
    }

    /// All customers, with the digest of each, 0 if that is not known.
    pub(crate) fn digests(&self) -> impl Iterator<Item = (&Id, &Customer, u64)> {
        self.slots.iter().filter_map(|slot| Some((&slot.id, slot.state.as_ref()?, slot.digest)))
    }

    /// Begins a copy; false while another one is under way.
    pub(crate) fn begin_copy(&mut self) -> bool {
        let is_free = self.copying.is_none();
        self.copying.get_or_insert_with(|| Box::new(Copying::of(self.slots.len())));
        is_free
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
        let copying = self.copying.as_mut().ok_or(Overtaken)?;
        for slot in copying.advance(at_most) {
            let Slot { id, state, .. } = &self.slots[slot];
            match copying.kept(slot) {
                Some(kept) => kept.iter().for_each(|state| take(id, state)),
                None => state.iter().for_each(|state| take(id, state)),
            }
        }
        Ok(copying.is_over())
    }

    /// Ends the copy, complete or not.
    pub(crate) fn end_copy(&mut self) {
        self.copying = None;
    }

    /// Keeps the state of a slot that is about to change, for a copy that has not come to it.
    fn keep_for_copy(&mut self, slot: usize) {
        let Some(copying) = self.copying.as_mut().filter(|copying| copying.needs(slot)) else { return };
        if copying.keep(slot, self.slots[slot].state.clone()).is_err() {
            self.copying = None;
        }
    }

    /// The number of transactions in it.
    pub(crate) fn transactions(&self) -> u64 {
        self.customers().map(|(_, customer)| customer.count).sum()
    }

    pub(crate) fn currencies(&self) -> BTreeSet<Currency> {
        let (mut found, mut last) = (BTreeSet::new(), None);
        for (_, customer) in self.customers() {
            for &(currency, _) in &*customer.balances() {
                // Most hold the same one.
                if last != Some(currency) {
                    found.insert(currency);
                    last = Some(currency);
                }
            }
        }
        found
    }

    /// How many customers there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}
