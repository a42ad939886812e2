//! The tables under random schedules: all the SQL of claims, batches and loads on a real PostgreSQL.

use std::{
    rc::Rc,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::runtime::{Builder, Runtime};

use super::{
    claim::claim,
    durable_state::{DurableState, PartitionCommit, plan_claim, replacing},
    load::{LoadOutcome, load},
    schema::prepare,
    session::LedgerKey,
    write::{BatchFate, CommitFailure, read_outcome, write},
};
use crate::{
    domain::{
        ledger::Ledger,
        ledger_rules::{LedgerRules, WorkerRules, tests::worker_rules},
    },
    postgres_target::{DatabaseTarget, Session},
    store::{
        ApplyMode, Assignment, AssignmentNumber, BatchPart, RecordEncoder, RestorePlan, Restored,
        offsets::PartitionOffsets,
        schedules::{Flight, Group, SimulatedStore, Verdict, Worker, try_all},
    },
};

const TOPIC_ID: &str = "i";

static WORKER_RULES: LazyLock<Arc<WorkerRules>> = LazyLock::new(|| Arc::new(worker_rules(&[])));
static GROUPS: AtomicU64 = AtomicU64::new(0);

/// One session per worker, and one that looks.
struct Database {
    runtime: Runtime,
    sessions: [Session; 3],
}

impl Database {
    fn new() -> Self {
        let url =
            std::env::var("BALANCEFLEET_TEST_POSTGRES").expect("make integration sets BALANCEFLEET_TEST_POSTGRES");
        let target = DatabaseTarget::parse(&format!("{url}?sslmode=disable"), None).unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let sessions = [(); 3].map(|()| {
            let session = runtime.block_on(target.connect()).unwrap();
            // What a crash of its machine would lose is not the matter here.
            runtime.block_on(session.batch_execute("SET synchronous_commit = off")).unwrap();
            session
        });
        runtime.block_on(prepare(&sessions[0], true)).unwrap();
        Self { runtime, sessions }
    }
}

/// One group's rows.
struct Rows {
    database: Rc<Database>,
    ledger_keys: [LedgerKey; 2],
}

impl Rows {
    fn new(database: Rc<Database>) -> Self {
        let group = format!("schedule-{}", GROUPS.fetch_add(1, Ordering::Relaxed));
        let ledger_key = |owner: &str| LedgerKey {
            group: group.clone(),
            topic: "t".to_owned(),
            worker_rules: WORKER_RULES.clone(),
            owner: owner.to_owned(),
        };
        Self { database, ledger_keys: [ledger_key("one"), ledger_key("other")] }
    }

    fn load(&self, worker: Worker, epoch: i64) -> Ledger {
        let Database { runtime, sessions } = &*self.database;
        match runtime
            .block_on(load(&sessions[worker], &self.ledger_keys[worker], (0, epoch), &mut |_, _| true))
            .unwrap()
        {
            LoadOutcome::Ledger(ledger) => ledger,
            LoadOutcome::Failed(failure) => panic!("{failure}"),
            LoadOutcome::Moved => panic!("nobody has claimed it since"),
        }
    }

    /// Epoch and next offset.
    fn row(&self) -> Option<(i64, i64)> {
        let row = self.database.runtime.block_on(self.database.sessions[2].query_opt(
            "SELECT epoch, next_offset FROM balancefleet.part WHERE group_id = $1",
            &[&self.ledger_keys[0].group],
        ));
        row.unwrap().map(|row| (row.get(0), row.get(1)))
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        let Database { runtime, sessions } = &*self.database;
        for table in ["part", "bal", "dead_letter"] {
            let delete = format!("DELETE FROM balancefleet.{table} WHERE group_id = $1");
            runtime.block_on(sessions[2].execute(&delete, &[&self.ledger_keys[0].group])).unwrap();
        }
    }
}

impl From<BatchFate> for Verdict {
    fn from(fate: BatchFate) -> Self {
        match fate {
            BatchFate::Written => Self::Written,
            BatchFate::Untouched => Self::Untouched,
            BatchFate::Others(_) => Self::Others,
        }
    }
}

fn commit(Flight { part, sent: durable_state, .. }: &Flight<DurableState>) -> PartitionCommit<'_> {
    PartitionCommit::new(part, durable_state.clone(), &WORKER_RULES, &mut RecordEncoder::default())
}

impl SimulatedStore for Rows {
    const APPLY_MODE: ApplyMode = ApplyMode::Buffered;
    type DurableState = DurableState;
    /// As it was when the commit set out.
    type Sent = DurableState;

    fn rebuilt(&mut self, ledger: &Ledger, next_offset: i64) {
        let Database { runtime, sessions } = &*self.database;
        let (assignment, rules) = (
            Assignment { partition: 0, number: AssignmentNumber(0), generation: 0 },
            LedgerRules::begin(&WORKER_RULES, 0),
        );
        let part = BatchPart::whole(assignment, None, &(0..next_offset), ledger.clone());
        let durable_state = replacing(TOPIC_ID, None, 0, rules);
        let commit = PartitionCommit::new(&part, durable_state, &WORKER_RULES, &mut RecordEncoder::default());
        assert!(runtime.block_on(write(&sessions[2], &self.ledger_keys[0], &[commit])).is_ok(), "there was no row");
    }

    fn plan(
        &mut self,
        worker: Worker,
        assignment: Assignment,
        offsets: &PartitionOffsets,
    ) -> (RestorePlan, DurableState) {
        let Database { runtime, sessions } = &*self.database;
        let ledger_key = &self.ledger_keys[worker];
        let abandoned_after_millis = std::time::Duration::from_secs(600);
        let mut claims =
            runtime.block_on(claim(&sessions[worker], ledger_key, &[assignment], abandoned_after_millis)).unwrap();
        let claim = claims.remove(0).unwrap();
        let (durable_state, plan) = plan_claim(claim, assignment, ledger_key, TOPIC_ID, offsets).expect("it can go on");
        let (RestorePlan::QueryDatabase, Some(row)) = (&plan, durable_state.store_specific.row) else {
            return (plan, durable_state);
        };
        let restored = Restored {
            ledger: self.load(worker, row.epoch),
            start_offset: durable_state.start_offset,
            committed: Some(row.next_offset),
            ..Restored::empty_at(row.next_offset)
        };
        (RestorePlan::Done(restored), durable_state)
    }

    fn send(&mut self, durable_state: &DurableState, _part: &BatchPart) -> DurableState {
        durable_state.clone()
    }

    fn land(&mut self, flight: &Flight<DurableState>, _group: &mut Group) -> Verdict {
        let Database { runtime, sessions } = &*self.database;
        let (session, ledger_key) = (&sessions[flight.worker], &self.ledger_keys[flight.worker]);
        match runtime.block_on(write(session, ledger_key, &[commit(flight)])) {
            Ok(fate) => fate.into(),
            Err(CommitFailure::Failed(error) | CommitFailure::Unknown(error)) => panic!("{error}"),
        }
    }

    fn resolve_outcome(&mut self, flight: &Flight<DurableState>, _group: &Group) -> Verdict {
        let Database { runtime, sessions } = &*self.database;
        let (session, ledger_key) = (&sessions[flight.worker], &self.ledger_keys[flight.worker]);
        runtime.block_on(read_outcome(session, ledger_key, &[&commit(flight)])).unwrap().into()
    }

    /// Kafka is told without being waited for.
    fn accept(&mut self, durable_state: &mut DurableState, flight: &Flight<DurableState>, group: &mut Group) {
        *durable_state = commit(flight).after;
        if group.takes(flight) {
            group.commit(&flight.part);
        }
    }

    fn durable(&mut self, _group: &Group) -> Option<(i64, Option<Ledger>)> {
        let (epoch, next_offset) = self.row()?;
        Some((next_offset, Some(self.load(0, epoch))))
    }

    fn dead_letters(&mut self) -> Option<Vec<i64>> {
        let rows = self.database.runtime.block_on(self.database.sessions[2].query(
            "SELECT record_offset FROM balancefleet.dead_letter WHERE group_id = $1 ORDER BY record_offset",
            &[&self.ledger_keys[0].group],
        ));
        Some(rows.unwrap().iter().map(|row| row.get(0)).collect())
    }

    fn may_forget_offsets(&self) -> bool {
        true
    }
}

#[test]
#[ignore = "needs PostgreSQL: make integration"]
fn nothing_is_lost_doubled_or_seen_too_early() {
    try_all(|| {
        let database = Rc::new(Database::new());
        move || Rows::new(Rc::clone(&database))
    });
}
