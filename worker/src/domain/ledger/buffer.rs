//! What was applied to a partition beyond its last accepted commit: changes that a running commit carries, and newer
//! ones.
//!
//! Readers see the [`Ledger`], and nothing of this. Each customer's newest state is in one of three places: in the
//! ledger, among the changes of the running commit, or among those that the next commit will carry. The first change
//! after a commit was sent copies the state from the place where it is.

use std::{mem, sync::Arc};

use super::{Change, Changes, Customer, DeadLetter, Found, Ledger, Posting, changes::DeadLetters};
use crate::domain::{id::Id, money::Overflow};

/// The first change after a take makes room for at most this many: what was taken may be a whole ledger.
const MOST_ROOM: usize = 16_384;

/// The changes over a ledger.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// By slot number of the ledger: where the newest state is.
    newest: Vec<Mark>,
    /// Changes that are in no commit yet.
    pending: Vec<Change>,
    /// For so many of them, the first one makes room: the next commit may have as many as the last one.
    room: usize,
    dead_letters: DeadLetters,
    in_flight: Option<Arc<Changes>>,
    /// The half that marks of pending changes name. Those of changes in flight name the other one.
    pending_half: Half,
}

/// Where a customer's newest state is: 0 in the ledger, otherwise in one of two halves. A commit takes the pending half
/// over with all marks that name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark(u32);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Half {
    #[default]
    Even,
    Odd,
}

impl Half {
    const fn other(self) -> Self {
        match self {
            Self::Even => Self::Odd,
            Self::Odd => Self::Even,
        }
    }
}

impl Mark {
    const LEDGER: Self = Self(0);

    /// At `index` of a half. No memory holds 2^31 changes.
    const fn at(index: usize, half: Half) -> Self {
        Self((index as u32 + 1) << 1 | half as u32)
    }

    /// The index and the half; `None` if it is in the ledger.
    const fn get(self) -> Option<(usize, Half)> {
        match self.0 {
            0 => None,
            mark => Some(((mark >> 1) as usize - 1, if mark & 1 == 0 { Half::Even } else { Half::Odd })),
        }
    }
}

impl Buffer {
    /// With changes of the whole `ledger`, of which nothing is durable: readers see none of it.
    pub(crate) fn all_of(ledger: &mut Ledger) -> Self {
        let mut buffer = Self { pending: Change::all_of(ledger), ..Self::default() };
        for index in 0..buffer.pending.len() {
            buffer.mark(buffer.pending[index].slot, Mark::at(index, buffer.pending_half));
        }
        buffer
    }

    fn mark(&mut self, slot: usize, mark: Mark) {
        if slot >= self.newest.len() {
            self.newest.resize(slot + 1, Mark::LEDGER);
        }
        self.newest[slot] = mark;
    }

    /// Loads the newest state of what was found into the processor's cache. Loads that are issued together overlap.
    pub(crate) fn touch(&self, found: Found, ledger: &Ledger) {
        match found.slot.and_then(|slot| self.change_of(slot)) {
            Some(change) => change.now.touch(),
            None => ledger.touch(found),
        }
    }

    /// The newest change of a slot that the ledger does not have yet.
    fn change_of(&self, slot: usize) -> Option<&Change> {
        let (index, half) = self.newest.get(slot)?.get()?;
        if half == self.pending_half { self.pending.get(index) } else { self.in_flight.as_ref()?.customers.get(index) }
    }

    /// Applies the record at `offset` over what is in the `ledger`, where the customer gets a slot. An error changes
    /// nothing.
    pub(crate) fn apply(
        &mut self,
        ledger: &mut Ledger,
        found: Found,
        posting: &Posting<'_>,
        offset: i64,
    ) -> Result<(), Overflow> {
        let slot = ledger.slot(found, &posting.customer);
        let mark = self.newest.get(slot).and_then(|mark| mark.get());
        if let Some((index, half)) = mark
            && half == self.pending_half
            && let Some(change) = self.pending.get_mut(index)
        {
            return change.now.apply(posting, offset);
        }
        let before = self.change_of(slot).map(|change| &change.now).or_else(|| ledger.state(slot));
        let now = match before.cloned() {
            None => Customer::opened_by(posting, offset),
            Some(mut now) => {
                now.apply(posting, offset)?;
                now
            }
        };
        self.push(Change { id: ledger.id(slot).clone(), now, digest_before: 0, slot });
        Ok(())
    }

    fn push(&mut self, change: Change) {
        self.mark(change.slot, Mark::at(self.pending.len(), self.pending_half));
        if self.pending.is_empty() {
            self.pending.reserve(self.room);
        }
        self.pending.push(change);
    }

    pub(crate) fn add_dead_letter(&mut self, letter: DeadLetter) {
        self.dead_letters.push(letter);
    }

    /// Moves what is pending into a commit, with `at_most` so many customers. `digest` computes the digest of a durable
    /// state for which the ledger has none.
    pub(crate) fn take_for_commit(
        &mut self,
        ledger: &Ledger,
        at_most: usize,
        mut digest: impl FnMut(&Id, &Customer) -> u64,
    ) -> Arc<Changes> {
        let half = self.pending_half.other();
        let mut taken = if self.pending.len() <= at_most {
            self.pending_half = half;
            self.room = self.pending.len().min(MOST_ROOM);
            mem::take(&mut self.pending)
        } else {
            let taken = self.pending.split_off(self.pending.len() - at_most);
            if self.pending.capacity() > 4 * self.pending.len() {
                self.pending.shrink_to(2 * self.pending.len());
            }
            for (index, change) in taken.iter().enumerate() {
                self.mark(change.slot, Mark::at(index, half));
            }
            taken
        };
        for change in &mut taken {
            let compute = || ledger.state(change.slot).map_or(0, |state| digest(&change.id, state));
            change.digest_before = ledger.digest(change.slot).unwrap_or_else(compute);
        }
        let changes = Arc::new(Changes::new(taken, mem::take(&mut self.dead_letters)));
        self.in_flight = Some(changes.clone());
        changes
    }

    /// The commit was accepted: its changes belong into the ledger. `None` if there is none.
    pub(crate) fn accepted(&mut self) -> Option<AcceptedChanges> {
        let changes = Arc::unwrap_or_clone(self.in_flight.take()?);
        let half = self.pending_half.other();
        for (index, change) in changes.customers.iter().enumerate() {
            if self.newest[change.slot] == Mark::at(index, half) {
                self.newest[change.slot] = Mark::LEDGER;
            }
        }
        Some(AcceptedChanges(changes))
    }

    /// The commit was refused, and nothing of it is durable: its changes go with the next one.
    pub(crate) fn refused(&mut self) {
        let Some(changes) = self.in_flight.take() else { return };
        let half = self.pending_half.other();
        let Changes { customers, dead_letters, .. } = Arc::unwrap_or_clone(changes);
        for (index, change) in customers.into_iter().enumerate() {
            // A newer change has the whole state.
            if self.newest[change.slot] == Mark::at(index, half) {
                self.push(change);
            }
        }
        let later = mem::replace(&mut self.dead_letters, dead_letters);
        self.dead_letters.append(later);
    }

    /// How many customers, and how many bytes of dead letters, the next commit would write.
    pub(crate) fn pending(&self) -> (usize, usize) {
        (self.pending.len(), self.dead_letters.bytes)
    }

    /// [`Self::pending`], and what the running commit writes.
    pub(crate) fn uncommitted(&self) -> (usize, usize) {
        let in_flight = self.in_flight.as_ref().map_or((0, 0), |changes| (changes.len(), changes.dead_letters.bytes));
        (in_flight.0 + self.pending.len(), in_flight.1 + self.dead_letters.bytes)
    }
}

/// The changes of a commit that was accepted.
#[must_use]
pub(crate) struct AcceptedChanges(Changes);

impl AcceptedChanges {
    /// Puts them into the `ledger`, where readers see them. What they replace is dropped with the value that is returned:
    /// others wait for the ledger meanwhile.
    pub(crate) fn publish(self, ledger: &mut Ledger) -> Vec<Option<Customer>> {
        let Self(changes) = self;
        let digests = changes.digests();
        let mut replaced = Vec::with_capacity(changes.len());
        for (index, change) in changes.customers.into_iter().enumerate() {
            let digest = digests.get(index).copied().unwrap_or_default();
            replaced.push(ledger.write(change.slot, change.now, digest));
        }
        replaced
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use proptest::{prelude::*, test_runner::TestCaseResult};

    use super::*;
    use crate::domain::money::Currency;

    fn posting(customer: &str, minor_units: i64) -> Posting<'_> {
        let currency = Currency::parse("EUR").unwrap();
        let (customer, transaction_id) = (customer.into(), "T".into());
        Posting { customer, currency, minor_units, transaction_id, timestamp: Timestamp::UNIX_EPOCH }
    }

    /// What may happen to a partition between records.
    #[derive(Clone, Debug)]
    enum Step {
        Record(u8, i32),
        /// With so many customers at most.
        Commit(usize),
        Accepted,
        Refused,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0..6_u8, any::<i32>()).prop_map(|(customer, amount)| Step::Record(customer, amount)),
            2 => prop_oneof![2 => Just(usize::MAX), 1 => 1..4_usize].prop_map(Step::Commit),
            1 => Just(Step::Accepted),
            1 => Just(Step::Refused),
        ];
        prop::collection::vec(step, 0..80)
    }

    /// Sum and count of each customer.
    type Sums = BTreeMap<String, (i128, u64)>;

    fn sums(ledger: &Ledger) -> Sums {
        ledger.customers().map(|(id, it)| (id.to_string(), (it.balances()[0].1, it.count))).collect()
    }

    /// A digest that two states hardly share, never 0.
    fn digest(id: &Id, customer: &Customer) -> u64 {
        let mut digest = 1;
        for byte in format!("{id} {customer:?}").bytes() {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3) | 1;
        }
        digest
    }

    fn run(steps: Vec<Step>, mut ledger: Ledger, mut buffer: Buffer, mut model: Sums) -> TestCaseResult {
        let (mut sent, mut visible) = (None, sums(&ledger));
        let mut durable = 0_u64;
        for (offset, step) in (0..).zip(steps) {
            match step {
                Step::Record(customer, amount) => {
                    let id = format!("C{customer}");
                    let found = ledger.find(&id);
                    buffer.touch(found, &ledger);
                    buffer.apply(&mut ledger, found, &posting(&id, amount.into()), offset).unwrap();
                    let sum = model.entry(id).or_default();
                    *sum = (sum.0 + i128::from(amount), sum.1 + 1);
                }
                Step::Commit(at_most) if sent.is_none() => {
                    let changes = buffer.take_for_commit(&ledger, at_most, |_, _| panic!("every digest is known"));
                    prop_assert!(changes.len() <= at_most);
                    let mut after = visible.clone();
                    for Change { id, now, .. } in changes.customers() {
                        after.insert(id.to_string(), (now.balances()[0].1, now.count));
                    }
                    if at_most == usize::MAX {
                        prop_assert_eq!(&after, &model, "all that is pending");
                    }
                    sent = Some((changes, after));
                }
                Step::Accepted => {
                    if let Some((changes, after)) = sent.take() {
                        let digests: Vec<_> = changes.customers().iter().map(|it| digest(&it.id, &it.now)).collect();
                        for (change, digest) in changes.customers().iter().zip(&digests) {
                            durable = durable.wrapping_sub(change.digest_before).wrapping_add(*digest);
                        }
                        changes.set_digests(digests);
                        drop(buffer.accepted().unwrap().publish(&mut ledger));
                        visible = after;
                    }
                }
                Step::Refused if sent.take().is_some() => buffer.refused(),
                Step::Commit(_) | Step::Refused => {}
            }
            prop_assert_eq!(&sums(&ledger), &visible);
            prop_assert_eq!(ledger.len(), visible.len());
            let found = ledger.customers().map(|(id, it)| digest(id, it)).fold(0, u64::wrapping_add);
            prop_assert_eq!(found, durable);
        }
        Ok(())
    }

    proptest! {
        /// The model is a plain sum per customer, and a copy of it as of the last accepted commit.
        #[test]
        fn readers_see_exactly_what_was_accepted_and_nothing_is_lost_or_doubled(steps in steps()) {
            run(steps, Ledger::default(), Buffer::default(), Sums::new())?;
        }

        #[test]
        fn a_whole_ledger_is_written_piece_by_piece(records in prop::collection::vec((0..6_u8, any::<i32>()), 1..9), steps in steps()) {
            let mut ledger = Ledger::default();
            for (offset, (customer, amount)) in (0..).zip(records) {
                ledger.fold(&posting(&format!("C{customer}"), amount.into()), offset).unwrap();
            }
            let model = sums(&ledger);
            let buffer = Buffer::all_of(&mut ledger);
            prop_assert!(ledger.is_empty() && buffer.pending().0 == model.len());
            run(steps, ledger, buffer, model)?;
        }
    }

    #[test]
    fn a_digest_that_is_not_known_is_computed_from_the_durable_state() {
        let (mut ledger, mut buffer) = (Ledger::default(), Buffer::default());
        ledger.fold(&posting("A", 5), 0).unwrap();
        for customer in ["A", "B"] {
            let found = ledger.find(customer);
            buffer.apply(&mut ledger, found, &posting(customer, 7), 1).unwrap();
        }
        let changes = buffer.take_for_commit(&ledger, usize::MAX, |id, before| {
            assert_eq!((id.to_string().as_str(), before.balances()[0].1), ("A", 5));
            9
        });
        let before: Vec<_> = changes.customers().iter().map(|it| (it.id.to_string(), it.digest_before)).collect();
        assert_eq!(before, [("A".to_owned(), 9), ("B".to_owned(), 0)]);
    }
}
