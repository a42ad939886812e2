//! What a worker has applied of a partition beyond what is committed: changes that a running commit carries, and newer
//! ones over them.

use std::sync::Arc;

use crate::{
    domain::{
        ledger::{Changes, Customer, DeadLetter, Posting},
        money::Overflow,
    },
    store::RecordEncoder,
    view::VisibleLedger,
};

/// The changes over the ledger, which is in the partition's [`SharedPartition`](crate::view::SharedPartition) for
/// readers.
pub(super) struct BufferedChanges {
    pending: Changes,
    in_flight: Option<Arc<Changes>>,
    encoder: RecordEncoder,
}

impl BufferedChanges {
    /// With changes that are not in any commit yet.
    pub(super) fn new(pending: Changes) -> Self {
        Self { pending, in_flight: None, encoder: RecordEncoder::default() }
    }

    /// Loads these customers into the processor's cache, wherever their state is.
    pub(super) fn prefetch<'a>(&self, customers: impl Iterator<Item = &'a str> + Clone, ledger: &VisibleLedger) {
        self.pending.prefetch(customers.clone());
        if let Some(changes) = &self.in_flight {
            changes.prefetch(customers.clone());
        }
        ledger.prefetch(customers);
    }

    /// Applies the record at `offset` over what is in the `ledger`. An error changes nothing.
    pub(super) fn apply(&mut self, posting: &Posting<'_>, offset: i64, ledger: &VisibleLedger) -> Result<(), Overflow> {
        let Self { pending, in_flight, encoder } = self;
        pending.apply(posting, offset, |id| {
            let under_way = in_flight.as_ref().and_then(|changes| changes.customer(id));
            let customer: &Customer = under_way.or_else(|| ledger.customer(id))?;
            Some((customer.clone(), encoder.encode_and_digest(id, customer)))
        })
    }

    pub(super) fn add_dead_letter(&mut self, letter: DeadLetter) {
        self.pending.add_dead_letter(letter);
    }

    /// Moves what is pending into a commit, with `at_most` so many customers.
    pub(super) fn take_for_commit(&mut self, at_most: usize) -> Arc<Changes> {
        let changes = Arc::new(self.pending.take(at_most));
        self.in_flight = Some(changes.clone());
        changes
    }

    /// The commit was accepted: its changes belong into the ledger.
    pub(super) fn accepted(&mut self) -> Option<Arc<Changes>> {
        self.in_flight.take()
    }

    /// The commit was refused, and nothing of it is durable: its changes go with the next one.
    pub(super) fn refused(&mut self) {
        if let Some(changes) = self.in_flight.take() {
            let earlier = Arc::unwrap_or_clone(changes);
            self.pending = earlier.followed_by(std::mem::take(&mut self.pending));
        }
    }

    /// How many customers a next commit would write.
    pub(super) fn pending_customers(&self) -> usize {
        self.pending.len()
    }

    /// Customers and bytes of dead letters, the commit under way included.
    pub(super) fn size(&self) -> (usize, usize) {
        let (customers, bytes) =
            self.in_flight.as_ref().map_or((0, 0), |changes| (changes.len(), changes.dead_letter_bytes()));
        (customers + self.pending.len(), bytes + self.pending.dead_letter_bytes())
    }

    /// Bytes of the dead letters that the next commit would write.
    pub(super) fn dead_letter_bytes(&self) -> usize {
        self.pending.dead_letter_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::{domain::money::Currency, view::SharedPartition};

    fn posting(customer: &str, minor_units: i128) -> Posting<'_> {
        let currency = Currency::parse("EUR").unwrap();
        let (customer, transaction_id) = (customer.into(), "T".into());
        Posting { customer, currency, minor_units, transaction_id, timestamp: Timestamp::UNIX_EPOCH }
    }

    /// What may happen to a partition between records.
    #[derive(Clone, Debug)]
    enum Step {
        Record(u8, i32),
        Commit,
        Accepted,
        Refused,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0..6_u8, any::<i32>()).prop_map(|(customer, amount)| Step::Record(customer, amount)),
            2 => Just(Step::Commit),
            1 => Just(Step::Accepted),
            1 => Just(Step::Refused),
        ];
        prop::collection::vec(step, 0..60)
    }

    fn sums(ledger: &VisibleLedger) -> BTreeMap<String, (i128, u64)> {
        ledger.customers().map(|(id, it)| (id.to_owned(), (it.balances()[0].1, it.count))).collect()
    }

    /// The digests of a ledger, as the changelog keeps them.
    fn checksum(digests: impl Iterator<Item = u64>) -> u64 {
        digests.fold(0, u64::wrapping_add)
    }

    proptest! {
        /// The model is a plain sum per customer, and a copy of it as of the last accepted commit.
        #[test]
        fn readers_see_exactly_what_was_accepted_and_nothing_is_lost_or_doubled(steps in steps()) {
            let (shared, mut buffered) = (SharedPartition::new(0, 1), BufferedChanges::new(Changes::default()));
            let mut model: BTreeMap<String, (i128, u64)> = BTreeMap::new();
            let (mut sent, mut visible, mut durable) = (None, BTreeMap::new(), 0_u64);
            for (offset, step) in (0..).zip(steps) {
                match step {
                    Step::Record(customer, amount) => {
                        let id = format!("C{customer}");
                        buffered.apply(&posting(&id, amount.into()), offset, &shared.lock().ledger).unwrap();
                        let sum = model.entry(id).or_default();
                        *sum = (sum.0 + i128::from(amount), sum.1 + 1);
                    }
                    Step::Commit if sent.is_none() => sent = Some((buffered.take_for_commit(usize::MAX), model.clone())),
                    Step::Accepted => if let Some((changes, model)) = sent.take() {
                        let mut encoder = RecordEncoder::default();
                        for (id, changed) in changes.customers() {
                            durable = durable.wrapping_sub(changed.digest_before).wrapping_add(encoder.encode_and_digest(id, &changed.now));
                        }
                        drop(changes);
                        shared.publish(&buffered.accepted().unwrap(), 0);
                        visible = model;
                    }
                    Step::Refused => if sent.take().is_some() {
                        buffered.refused();
                    }
                    Step::Commit => {}
                }
                prop_assert_eq!(&sums(&shared.lock().ledger), &visible);
                let mut encoder = RecordEncoder::default();
                let found = checksum(shared.lock().ledger.customers().map(|(id, it)| encoder.encode_and_digest(id, it)));
                prop_assert_eq!(found, durable);
            }
        }
    }
}
