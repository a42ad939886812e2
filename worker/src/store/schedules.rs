//! Random schedules of what may happen to a partition, run against the real ledger, decisions and store code with a
//! tiny group coordinator. After every step, what is stored must be the fold of the records below its offset, with each
//! bad record dead-lettered once, and what readers see must be the fold of the records below their offset.
//!
//! The variable `SCHEDULES` sets how many schedules run. Each store brings its durable side as a [`SimulatedStore`].

use std::{collections::BTreeMap, ops::Range};

use balancefleet_kafka::CommitMetadata;
use jiff::Timestamp;
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseResult, TestRunner},
};

use super::{
    ApplyMode, Assignment, AssignmentNumber, BatchPart, RestorePlan, Restored,
    offsets::{Committed, PartitionOffsets},
};
use crate::{
    domain::{
        id::Id,
        ledger::{Buffer, Customer, DeadLetter, Ledger, Posting},
        money::Currency,
        transaction::BadRecord,
    },
    poll::partition::{AssignedPartition, Stage},
    view::Phase,
};

/// Customer and amount per record, without an amount for a bad record; the index is the offset.
type Input = Vec<(u8, Option<i32>)>;
/// Sum and count per customer.
type Balances = BTreeMap<String, (i128, u64)>;

/// Index of one of the two workers.
pub(super) type Worker = usize;

/// The outcome of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Written,
    Untouched,
    /// Another worker has continued the partition.
    Others,
}

/// The durable side of one partition, wrapped in the code of one store.
pub(super) trait SimulatedStore {
    const APPLY_MODE: ApplyMode;
    const MAX_CUSTOMERS_PER_COMMIT: usize = usize::MAX;
    /// What a worker knows about the durable side during an assignment.
    type DurableState;
    /// What a commit carries besides its progress.
    type Sent;

    /// Stores what a rebuild leaves for a group that has used the replay store: the ledger of the records below the
    /// offset.
    fn rebuilt(&mut self, ledger: &Ledger, next_offset: i64);

    /// Plans a restore: the partition is ready, or must be folded.
    fn plan(
        &mut self,
        worker: Worker,
        assignment: Assignment,
        offsets: &PartitionOffsets,
    ) -> (RestorePlan, Self::DurableState);

    fn send(&mut self, durable_state: &Self::DurableState, part: &BatchPart) -> Self::Sent;

    /// A commit arrives, from a member of the current generation or not.
    fn land(&mut self, flight: &Flight<Self::Sent>, group: &mut Group) -> Verdict;

    /// A worker that got no answer finds out the outcome.
    fn resolve_outcome(&mut self, flight: &Flight<Self::Sent>, group: &Group) -> Verdict;

    /// The worker learns that the commit was written.
    fn accept(&mut self, durable_state: &mut Self::DurableState, flight: &Flight<Self::Sent>, group: &mut Group);

    /// The durable offset, and the stored ledger if it is complete.
    fn durable(&mut self, group: &Group) -> Option<(i64, Option<Ledger>)>;

    /// Offsets of the dead letters, in order; `None` if the store does not keep any.
    fn dead_letters(&mut self) -> Option<Vec<i64>>;

    /// Whether the group's offsets may expire without losing the ledger.
    fn may_forget_offsets(&self) -> bool;
}

/// The input and the group's state, as Kafka has them.
pub(super) struct Group {
    input: Input,
    pub(super) committed: Option<Committed>,
    pub(super) generation: i32,
}

/// A commit on its way.
pub(super) struct Flight<S> {
    pub(super) worker: Worker,
    pub(super) part: BatchPart,
    pub(super) sent: S,
    pub(super) generation: i32,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The owner processes this many records.
    Process(usize),
    /// The owner sends a commit of its progress.
    Send,
    /// A worker's commit arrives or is lost, and the worker learns the outcome or not.
    Land(Worker, CommitOutcome),
    /// The partition moves to the other worker, which does not wait for a commit on its way.
    Move,
    /// The owner crashes, loses its commit on the way, and comes back.
    Crash,
    /// The group's offsets expire.
    Forget,
}

#[derive(Clone, Copy, Debug)]
enum CommitOutcome {
    Accepted,
    /// Refused for another reason than the membership.
    Refused,
    /// Written, but the answer is lost.
    WrittenUnheard,
    /// Not written, and the answer is lost.
    LostUnheard,
}

struct SimulatedMember<M: SimulatedStore> {
    owned: Option<(AssignedPartition, M::DurableState)>,
    flight: Option<Flight<M::Sent>>,
}

struct World<M: SimulatedStore> {
    store: M,
    group: Group,
    /// Records below were processed with another store.
    begin: i64,
    owner: Worker,
    members: [SimulatedMember<M>; 2],
    assignments: u64,
}

fn customer(number: u8) -> String {
    format!("C{number}")
}

fn posting(customer: &str, amount: i32) -> Posting<'_> {
    let currency = Currency::parse("EUR").unwrap();
    let (customer, transaction_id) = (customer.into(), "T".into());
    Posting { customer, currency, minor_units: amount.into(), transaction_id, timestamp: Timestamp::UNIX_EPOCH }
}

fn dead_letter(offset: i64) -> DeadLetter {
    DeadLetter { offset, key: None, value: None, headers: Vec::new(), reason: BadRecord::Empty }
}

fn sums<'a>(customers: impl Iterator<Item = (&'a Id, &'a Customer)>) -> Balances {
    customers.map(|(id, it)| (id.to_string(), (it.balances()[0].1, it.count))).collect()
}

impl Group {
    /// The coordinator accepts offsets of the current generation only.
    pub(super) fn takes<S>(&self, flight: &Flight<S>) -> bool {
        flight.generation == self.generation
    }

    pub(super) fn commit(&mut self, part: &BatchPart) {
        self.committed = Some(Committed { offset: part.next_offset, metadata: part.metadata.to_string() });
    }

    fn end(&self) -> i64 {
        i64::try_from(self.input.len()).unwrap()
    }

    fn folded(&self, to: i64) -> Ledger {
        let mut ledger = Ledger::default();
        for (offset, (number, amount)) in (0..to).zip(&self.input) {
            if let Some(amount) = amount {
                ledger.fold(&posting(&customer(*number), *amount), offset).unwrap();
            }
        }
        ledger
    }

    fn bad(&self, offsets: Range<i64>) -> Vec<i64> {
        let is_bad = |(offset, (_, amount)): (i64, &(u8, Option<i32>))| amount.is_none().then_some(offset);
        (0..).zip(&self.input).filter_map(is_bad).filter(|offset| offsets.contains(offset)).collect()
    }
}

impl<M: SimulatedStore> World<M> {
    /// With `replayed`, the group has processed this many records with the replay store, and was rebuilt for this
    /// store.
    fn new(mut store: M, input: Input, replayed: Option<usize>) -> Self {
        let committed = replayed.map(|offset| Committed {
            offset: i64::try_from(offset.min(input.len())).unwrap(),
            metadata: CommitMetadata::beginning_at(0).to_string(),
        });
        let begin = committed.as_ref().map_or(0, |committed| committed.offset);
        let group = Group { input, committed, generation: 1 };
        if let Some(Committed { offset, .. }) = group.committed {
            store.rebuilt(&group.folded(offset), offset);
        }
        let members = [(); 2].map(|()| SimulatedMember { owned: None, flight: None });
        Self { store, group, begin, owner: 0, members, assignments: 0 }
    }

    /// Does the work of the owner's restore thread, and hands the result to its partition.
    fn restore(&mut self) {
        self.assignments += 1;
        let assignment =
            Assignment { partition: 0, number: AssignmentNumber(self.assignments), generation: self.group.generation };
        let offsets =
            PartitionOffsets { committed: self.group.committed.clone(), log_start: 0, log_end: self.group.end() };
        let (plan, durable_state) = self.store.plan(self.owner, assignment, &offsets);
        let restored = match plan {
            RestorePlan::Done(restored) => restored,
            RestorePlan::ReplayInput { start_offset, records } => {
                let mut ledger = self.group.folded(records.end);
                let buffer = match M::APPLY_MODE {
                    ApplyMode::Direct => Box::default(),
                    ApplyMode::Buffered => Box::new(Buffer::all_of(&mut ledger)),
                };
                Restored {
                    ledger,
                    buffer,
                    start_offset,
                    committed: Some(records.end),
                    ..Restored::empty_at(records.end)
                }
            }
            RestorePlan::ReadChangelog(_) | RestorePlan::QueryDatabase => {
                panic!("the simulated stores restore in one step")
            }
        };
        let mut owned = AssignedPartition::new(0, assignment.number, assignment.generation, "m".into());
        owned.restored(restored, M::APPLY_MODE);
        self.members[self.owner].owned = Some((owned, durable_state));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Process(count) => self.process(count),
            Step::Send => self.send(),
            Step::Land(worker, outcome) => self.land(worker, outcome),
            Step::Move => {
                self.leave();
                self.owner = 1 - self.owner;
            }
            Step::Crash => {
                self.leave();
                self.members[self.owner].flight = None;
            }
            Step::Forget => self.forget(),
        }
    }

    /// Takes the partition from its owner. The next owner restores it when it has something to do.
    fn leave(&mut self) {
        self.group.generation += 1;
        if let Some((owned, _)) = self.members[self.owner].owned.take() {
            owned.shared.release();
        }
    }

    fn process(&mut self, count: usize) {
        if self.members[self.owner].owned.is_none() {
            self.restore();
        }
        let Some((owned, _)) = &mut self.members[self.owner].owned else { return };
        owned.activate();
        let shared = owned.shared.clone();
        let Some(active) = owned.active() else { return };
        for _ in 0..count {
            let offset = active.next_offset();
            let Some((number, amount)) = usize::try_from(offset).ok().and_then(|place| self.group.input.get(place))
            else {
                return;
            };
            match amount {
                Some(amount) => {
                    let (id, mut state) = (customer(*number), shared.lock());
                    let found = state.ledger.find(&id);
                    active.apply(found, &posting(&id, *amount), offset, &mut state).unwrap();
                }
                None => {
                    active.skip(offset, &mut shared.lock());
                    active.add_dead_letter(dead_letter(offset));
                }
            }
            active.advance(offset, None);
        }
    }

    fn send(&mut self) {
        if self.members[self.owner].owned.is_none() {
            self.restore();
        }
        let member = &mut self.members[self.owner];
        let Some((owned, durable_state)) = member.owned.as_mut().filter(|_| member.flight.is_none()) else { return };
        let Some(part) = owned.next_batch_part(false, M::MAX_CUSTOMERS_PER_COMMIT) else { return };
        let sent = self.store.send(durable_state, &part);
        member.flight = Some(Flight { worker: self.owner, part, sent, generation: self.group.generation });
    }

    fn land(&mut self, worker: Worker, outcome: CommitOutcome) {
        let Some(flight) = self.members[worker].flight.take() else { return };
        let told = match outcome {
            CommitOutcome::Accepted | CommitOutcome::WrittenUnheard => self.store.land(&flight, &mut self.group),
            CommitOutcome::Refused | CommitOutcome::LostUnheard => Verdict::Untouched,
        };
        if flight.part.shared.is_released() {
            return;
        }
        let verdict = match outcome {
            CommitOutcome::Accepted | CommitOutcome::Refused => told,
            CommitOutcome::WrittenUnheard | CommitOutcome::LostUnheard => {
                self.store.resolve_outcome(&flight, &self.group)
            }
        };
        let Some((owned, durable_state)) = &mut self.members[worker].owned else { return };
        match verdict {
            Verdict::Written => {
                self.store.accept(durable_state, &flight, &mut self.group);
                let next_offset = flight.part.next_offset;
                drop(flight);
                owned.committed(next_offset);
            }
            Verdict::Untouched => {
                drop(flight);
                owned.refused();
            }
            Verdict::Others => {
                owned.shared.release();
                self.restore();
            }
        }
    }

    /// Kafka forgets only groups that have no members.
    fn forget(&mut self) {
        if !self.store.may_forget_offsets() {
            return;
        }
        self.leave();
        self.members = [(); 2].map(|()| SimulatedMember { owned: None, flight: None });
        self.group.committed = None;
    }

    fn check_readers(&self) -> TestCaseResult {
        for (owned, _) in self.members.iter().filter_map(|member| member.owned.as_ref()) {
            let state = owned.shared.lock();
            if let (Phase::Active, Some(as_of)) = (state.phase, state.as_of) {
                prop_assert_eq!(
                    sums(state.ledger.customers()),
                    sums(self.group.folded(as_of).customers()),
                    "seen by readers"
                );
            }
        }
        Ok(())
    }

    fn check_store(&mut self) -> TestCaseResult {
        let durable = self.store.durable(&self.group);
        if let Some(dead_letters) = self.store.dead_letters() {
            let next_offset = durable.as_ref().map_or(0, |(next_offset, _)| *next_offset);
            prop_assert_eq!(dead_letters, self.group.bad(self.begin..next_offset), "dead letters");
        }
        if let Some((next_offset, Some(ledger))) = durable {
            prop_assert_eq!(sums(ledger.customers()), sums(self.group.folded(next_offset).customers()), "stored");
        }
        Ok(())
    }

    fn run(&mut self, steps: Vec<Step>) -> TestCaseResult {
        for step in steps {
            self.step(step);
            self.check_readers()?;
            if let Step::Land(..) = step {
                self.check_store()?;
            }
        }
        self.finish()
    }

    /// Checks that everything is processed and stored once no more faults happen.
    fn finish(&mut self) -> TestCaseResult {
        self.members[1 - self.owner].flight = None;
        // The first write of a ledger takes several commits, and a fenced partition takes another claim.
        for _ in 0..100 {
            self.step(Step::Process(usize::MAX));
            self.step(Step::Send);
            if self.members[self.owner].flight.is_none() {
                break;
            }
            self.step(Step::Land(self.owner, CommitOutcome::Accepted));
        }
        self.check_readers()?;
        self.check_store()?;
        let end = self.group.end();
        let (next_offset, _) = self.store.durable(&self.group).expect("everything is stored");
        prop_assert_eq!(next_offset, end);
        prop_assert_eq!(self.group.committed.as_ref().map(|committed| committed.offset), Some(end));
        let (owned, _) = self.members[self.owner].owned.as_ref().unwrap();
        prop_assert!(matches!(owned.stage, Stage::Active(_)));
        let state = owned.shared.lock();
        prop_assert_eq!(sums(state.ledger.customers()), sums(self.group.folded(end).customers()));
        Ok(())
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        5 => Just(CommitOutcome::Accepted),
        2 => Just(CommitOutcome::Refused),
        2 => Just(CommitOutcome::WrittenUnheard),
        2 => Just(CommitOutcome::LostUnheard),
    ];
    let step = prop_oneof![
        6 => (1..8_usize).prop_map(Step::Process),
        6 => Just(Step::Send),
        6 => (0..2_usize, outcome).prop_map(|(worker, outcome)| Step::Land(worker, outcome)),
        2 => Just(Step::Move),
        1 => Just(Step::Crash),
        1 => Just(Step::Forget),
    ];
    prop::collection::vec(step, 0..60)
}

/// Tries schedules, each on a store of its own. Every thread creates its own source of stores.
pub(super) fn try_all<M: SimulatedStore, S: Fn() -> M>(source: impl Fn() -> S + Sync) {
    let cases: u32 = std::env::var("SCHEDULES").map_or(2000, |count| count.parse().expect("SCHEDULES is a number"));
    let threads = std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap());
    let config = Config { cases: cases.div_ceil(threads), ..Config::with_source_file(file!()) };
    let try_some = || {
        let new = source();
        let record = (0..8_u8, prop::option::weighted(0.9, any::<i32>()));
        let input = prop::collection::vec(record, 0..60);
        let replayed = prop::option::of(0..40_usize);
        let tried = TestRunner::new(config.clone())
            .run(&(input, replayed, steps()), |(input, replayed, steps)| World::new(new(), input, replayed).run(steps));
        if let Err(error) = tried {
            panic!("{error}");
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(try_some))));
}
