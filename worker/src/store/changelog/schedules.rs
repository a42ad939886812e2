//! Random schedules of what may happen to a partition: the real ledger, rows, restore and decisions, with a log and a group
//! coordinator that are a few lines. After every step, what is stored must be the fold of the records below the committed
//! offset, and what readers see the fold of those below theirs.
//!
//! `SCHEDULES` says how many there are.

use std::{collections::BTreeMap, sync::Arc};

use balancefleet_kafka::UsageRecord;
use jiff::Timestamp;
use proptest::prelude::*;

use super::{
    Standing,
    found::Found,
    loaded::Loaded,
    progress::Ledger as Identity,
    settle::{Known, settle},
    writer::Share,
};
use crate::{
    consumer::partition::{Owned, Stage},
    ledger::{Changes, Ledger, Posting},
    money::Currency,
    store::{
        Epoch, Folding, Plan, Progress, Restored, Seal,
        offsets::{Committed, Position},
    },
    view::{Cell, Phase},
};

const IDENTITY: Identity<'static> = Identity { group: "g", topic: "t", topic_id: "i", rules: "r" };
/// Few, so that a ledger that moves takes several commits.
const LEDGER_AT_ONCE: usize = 3;

/// Customer and amount; the place is the offset.
type Input = Vec<(u8, i32)>;
/// Sum and count per customer.
type Balances = BTreeMap<String, (i128, u64)>;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many records are processed.
    Process(usize),
    /// What was done since the last commit sets out.
    Send,
    /// A commit that is under way arrives, or not, and the worker hears of it, or not.
    Land(Worker, Outcome),
    /// The partition goes to the other worker, which does not wait for what is under way.
    Move,
    /// The owner dies, and with it what it has under way; it comes back.
    Crash,
    /// The group's offsets expire.
    Forget,
}

type Worker = usize;

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Accepted,
    /// For another reason than the membership.
    Refused,
    /// Written, but the answer is lost.
    WrittenUnheard,
    /// Lost on the way, and nobody says so.
    LostUnheard,
}

/// A commit on its way.
struct Flight {
    progress: Progress,
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    seal: Seal,
    generation: i32,
}

#[derive(Default)]
struct Member {
    owned: Option<(Owned, Standing)>,
    flight: Option<Flight>,
}

struct World {
    input: Input,
    /// What a reader of committed records gets.
    log: Vec<(Vec<u8>, Vec<u8>)>,
    committed: Option<Committed>,
    generation: i32,
    owner: Worker,
    members: [Member; 2],
    epochs: u64,
}

fn customer(number: u8) -> String {
    format!("C{number}")
}

fn posting(customer: &str, amount: i32) -> Posting<'_> {
    let currency = Currency::parse("EUR").unwrap();
    Posting { customer, currency, minor_units: amount.into(), transaction_id: "T", timestamp: Timestamp::UNIX_EPOCH }
}

fn sums(ledger: &Ledger) -> Balances {
    ledger.customers().map(|(id, it)| (id.to_owned(), (it.balances()[0].1, it.count))).collect()
}

impl World {
    /// With `replayed`, the group has come so far with the replay store.
    fn new(input: Input, replayed: Option<usize>) -> Self {
        let committed = replayed.map(|offset| Committed {
            offset: i64::try_from(offset.min(input.len())).unwrap(),
            metadata: UsageRecord::beginning_at(0).to_string(),
        });
        let members = <[Member; 2]>::default();
        let mut world = Self { input, log: Vec::new(), committed, generation: 1, owner: 0, members, epochs: 0 };
        world.restore();
        world
    }

    fn folded(&self, to: i64) -> Ledger {
        let mut ledger = Ledger::default();
        for (offset, (number, amount)) in (0..to).zip(&self.input) {
            ledger.apply(&posting(&customer(*number), *amount), offset).unwrap();
        }
        ledger
    }

    fn stored(&self) -> Loaded {
        let mut loaded = Loaded::default();
        self.log.iter().for_each(|(key, value)| loaded.take(Some(key), Some(value)));
        loaded
    }

    /// What the owner's restore thread does, and the poll thread with what it found.
    fn restore(&mut self) {
        self.epochs += 1;
        let content = self.stored().finish().expect("what is stored is sound");
        let durable = content.progress.as_ref().map_or_else(Seal::default, |progress| progress.seal);
        let log_end = i64::try_from(self.input.len()).unwrap();
        let position = Position { committed: self.committed.clone(), log_start: 0, log_end };
        let plan = settle(content, &Known { identity: &IDENTITY, position: &position, beginning: None });
        let (restored, seal) = match plan.expect("it can go on") {
            Plan::Ready(restored) => (restored, durable),
            Plan::Fold { base, records } => {
                let changes = Changes::all_of(self.folded(records.end));
                let committed = Some(records.end);
                (Restored { changes, base, committed, ..Restored::empty_at(records.end) }, Seal::default())
            }
            Plan::Load(_) | Plan::Fetch => panic!("it was loaded"),
        };
        let epoch = Epoch(self.epochs);
        let standing = Standing { epoch, topic_id: IDENTITY.topic_id.to_owned(), base: restored.base, seal };
        let mut owned = Owned::new(0, epoch, self.generation, "m".into());
        owned.restored(restored, Folding::Layered);
        self.members[self.owner].owned = Some((owned, standing));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Process(count) => self.process(count),
            Step::Send => self.send(),
            Step::Land(worker, outcome) => self.land(worker, outcome),
            Step::Move => {
                self.leave();
                self.owner = 1 - self.owner;
                self.restore();
            }
            Step::Crash => {
                self.leave();
                self.members[self.owner].flight = None;
                self.restore();
            }
            Step::Forget => self.forget(),
        }
    }

    fn leave(&mut self) {
        self.generation += 1;
        if let Some((owned, _)) = self.members[self.owner].owned.take() {
            owned.cell.release();
        }
    }

    fn process(&mut self, count: usize) {
        let Some((owned, _)) = &mut self.members[self.owner].owned else { return };
        owned.activate();
        let cell = owned.cell.clone();
        let Some(active) = owned.active() else { return };
        for _ in 0..count {
            let offset = active.next_offset();
            let Some((number, amount)) = usize::try_from(offset).ok().and_then(|place| self.input.get(place)) else {
                return;
            };
            active.apply(&posting(&customer(*number), *amount), offset, &cell).unwrap();
            active.passed(offset, None);
        }
    }

    fn send(&mut self) {
        let member = &mut self.members[self.owner];
        let Some((owned, standing)) = member.owned.as_mut().filter(|_| member.flight.is_none()) else { return };
        let Some(progress) = owned.progress(false, LEDGER_AT_ONCE) else { return };
        let mut rows = Vec::new();
        let share = Share { progress: &progress, standing: standing.clone() };
        let seal = share.rows(&IDENTITY, |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            Ok::<_, std::convert::Infallible>(())
        });
        let seal = seal.unwrap();
        member.flight = Some(Flight { progress, rows, seal, generation: self.generation });
    }

    fn land(&mut self, worker: Worker, outcome: Outcome) {
        let Some(flight) = self.members[worker].flight.take() else { return };
        let arrives = matches!(outcome, Outcome::Accepted | Outcome::WrittenUnheard);
        // The coordinator takes offsets of the present generation only; with them go or fall the rows.
        let is_written = arrives && flight.generation == self.generation;
        if is_written {
            self.log.extend(flight.rows.clone());
            let (offset, metadata) = (flight.progress.next_offset, flight.progress.usage.to_string());
            self.committed = Some(Committed { offset, metadata });
        }
        if flight.progress.cell.is_released() {
            return;
        }
        let found = match outcome {
            Outcome::Accepted | Outcome::Refused if is_written => Found::Written,
            Outcome::Accepted | Outcome::Refused => Found::Untouched,
            Outcome::WrittenUnheard | Outcome::LostUnheard => {
                Found::compare(std::iter::once((&flight.progress, &self.committed)))
            }
        };
        let next_offset = flight.progress.next_offset;
        drop(flight.progress);
        let Some((owned, standing)) = &mut self.members[worker].owned else { return };
        match found {
            Found::Written => {
                standing.seal = flight.seal;
                owned.committed(next_offset);
            }
            Found::Untouched => owned.refused(),
            Found::Others => {
                owned.cell.release();
                self.restore();
            }
        }
    }

    /// Kafka forgets only groups that have no members.
    fn forget(&mut self) {
        if self.log.is_empty() {
            return; // what replay has committed says where its ledger ends
        }
        self.leave();
        self.members = <[Member; 2]>::default();
        self.committed = None;
        self.restore();
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let content = self.stored().finish().map_err(|failure| TestCaseError::fail(failure.to_string()))?;
        if let Some(progress) = content.progress.filter(|progress| !progress.partial) {
            if let Some(committed) = &self.committed {
                prop_assert_eq!(progress.next_offset, committed.offset);
            }
            prop_assert_eq!(sums(&content.ledger), sums(&self.folded(progress.next_offset)), "stored");
        }
        for (owned, _) in self.members.iter().filter_map(|member| member.owned.as_ref()) {
            let state = owned.cell.lock();
            if let (Phase::Active, Some(as_of)) = (state.phase, state.as_of) {
                prop_assert_eq!(sums(&state.ledger), sums(&self.folded(as_of)), "seen by readers");
            }
        }
        Ok(())
    }

    /// Whatever has happened: when nothing happens any more, everything is processed and stored.
    fn finish(&mut self) -> Result<(), TestCaseError> {
        self.members[1 - self.owner].flight = None;
        for _ in 0..100 {
            self.step(Step::Process(usize::MAX));
            self.step(Step::Send);
            self.step(Step::Land(self.owner, Outcome::Accepted));
            self.check()?;
        }
        let end = i64::try_from(self.input.len()).unwrap();
        prop_assert_eq!(self.committed.as_ref().map(|committed| committed.offset), Some(end));
        let (owned, _) = self.members[self.owner].owned.as_ref().unwrap();
        prop_assert!(matches!(owned.stage, Stage::Active(_)));
        prop_assert_eq!(sums(&self.stored().finish().unwrap().ledger), sums(&self.folded(end)));
        Ok(())
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        5 => Just(Outcome::Accepted),
        2 => Just(Outcome::Refused),
        2 => Just(Outcome::WrittenUnheard),
        2 => Just(Outcome::LostUnheard),
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

fn schedules() -> u32 {
    std::env::var("SCHEDULES").map_or(2000, |count| count.parse().expect("SCHEDULES is a number"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(schedules()))]

    #[test]
    fn nothing_is_lost_doubled_or_seen_too_early(
        input in prop::collection::vec((0..8_u8, any::<i32>()), 0..60),
        replayed in prop::option::of(0..40_usize),
        steps in steps(),
    ) {
        let mut world = World::new(input, replayed);
        for step in steps {
            world.step(step);
            world.check()?;
        }
        world.finish()?;
    }
}

/// The cells of the model are those that readers have.
#[test]
fn a_model_without_any_step_ends_with_everything_stored() {
    let mut world = World::new(vec![(1, 5), (2, -3), (1, 7)], None);
    world.finish().unwrap();
    let cell: &Arc<Cell> = &world.members[0].owned.as_ref().unwrap().0.cell;
    assert_eq!(sums(&cell.lock().ledger), sums(&world.folded(3)));
}
