//! The thread that brings newly assigned partitions to where the group has committed.
//!
//! In go assignments, out comes one [`Report::Restored`] for each, in the order in which they get done. What has to be read
//! is in the input or in the store's own log; each has one reader, which lives only while there is something to read. What
//! is in a database the store itself fetches, one partition after the other.

mod job;
mod lane;

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use rdkafka::ClientConfig;

use super::{
    input_watch::Watch,
    report::{Report, Reporter},
};
use crate::{
    failure::Failure,
    hindrance::Hindrance,
    input::Input,
    rules::Rules,
    store::{Loaded, Obstacle, Plan, Restored, Store, Unsettled},
    throttle::{SAME_ERROR_EVERY, Throttle},
    view::RestoreProgress,
    vital_thread,
};
pub(crate) use job::Assigned;
use job::{Job, Outcome};
use lane::Lane;

/// How often readers are told how far a read by the store is.
const SHOW_EVERY: Duration = Duration::from_millis(100);
/// Between two tries to learn from the brokers what is to be restored.
const PLAN_AGAIN: Duration = Duration::from_millis(500);
/// Between two tries to learn what follows from a log: a transaction is about to end there, as a rule. Twice as long
/// each time,
const SETTLE_AGAIN: Duration = Duration::from_millis(20);
/// but at most this.
const SETTLE_AT_LATEST: Duration = Duration::from_millis(320);

pub(crate) struct Restorer {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) topic: String,
    /// The topic that [`Plan::Load`] speaks of.
    pub(crate) log: String,
    /// Whether the input keeps every record, for a ledger that needs it.
    pub(crate) input: Option<Arc<Watch>>,
    pub(crate) reader_config: ClientConfig,
    pub(crate) reporter: Reporter,
}

pub(crate) fn start(restorer: Restorer) -> std::io::Result<mpsc::Sender<Vec<Assigned>>> {
    let (requests, inbox) = mpsc::channel();
    let lane = |topic: &str| Lane::new(topic, restorer.reader_config.clone());
    let work = Work {
        input: lane(&restorer.topic),
        log: lane(&restorer.log),
        unplanned: Vec::new(),
        plan_after: Instant::now(),
        unsettled: Vec::new(),
        settle_wait: SETTLE_AGAIN,
        unfetched: VecDeque::new(),
        obstacles: Throttle::new(SAME_ERROR_EVERY),
        restorer,
    };
    vital_thread::start("restore", move || work.run(&inbox))?;
    Ok(requests)
}

struct Work {
    restorer: Restorer,
    unplanned: Vec<Assigned>,
    /// Not before this, while the brokers cannot tell.
    plan_after: Instant,
    input: Lane,
    log: Lane,
    /// Logs that are read, of which it is not known yet what follows.
    unsettled: Vec<(Assigned, Loaded)>,
    settle_wait: Duration,
    /// To be read by the store.
    unfetched: VecDeque<Assigned>,
    obstacles: Throttle<&'static str>,
}

/// The poll thread has ended, and with it the reason to restore.
struct Ended;

impl Work {
    fn run(mut self, inbox: &mpsc::Receiver<Vec<Assigned>>) {
        while self.take(inbox).is_ok() && self.turn().is_ok() {}
    }

    /// Waits for requests when there is nothing to do, and for a moment when the brokers could not answer.
    fn take(&mut self, inbox: &mpsc::Receiver<Vec<Assigned>>) -> Result<(), Ended> {
        if self.input.is_empty() && self.log.is_empty() && self.unfetched.is_empty() {
            let wait = match (self.unplanned.is_empty(), self.unsettled.is_empty()) {
                (true, true) => Duration::MAX,
                (_, false) => self.settle_wait,
                (false, true) => PLAN_AGAIN,
            };
            match inbox.recv_timeout(wait) {
                Ok(assigned) => self.expect(assigned),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Ended),
            }
        }
        inbox.try_iter().for_each(|assigned| self.expect(assigned));
        self.unplanned.retain(|assigned| !assigned.cell.is_released());
        self.unsettled.retain(|(assigned, _)| !assigned.cell.is_released());
        self.unfetched.retain(|assigned| !assigned.cell.is_released());
        self.input.forget_released();
        self.log.forget_released();
        Ok(())
    }

    fn expect(&mut self, assigned: Vec<Assigned>) {
        // Of one partition, the later assignment stands.
        let is_newer =
            |older: &Assigned| assigned.iter().all(|newer| newer.assignment.partition != older.assignment.partition);
        self.unplanned.retain(is_newer);
        self.unplanned.extend(assigned);
        self.plan_after = Instant::now();
    }

    fn turn(&mut self) -> Result<(), Ended> {
        if !self.unplanned.is_empty() && Instant::now() >= self.plan_after {
            self.plan()?;
        }
        self.fetch()?;
        self.read()?;
        self.settle()
    }

    fn plan(&mut self) -> Result<(), Ended> {
        self.plan_after = Instant::now() + PLAN_AGAIN;
        let assigned: Vec<_> = self.unplanned.iter().map(|assigned| assigned.assignment).collect();
        let plans = match self.restorer.store.plan(&assigned) {
            Ok(plans) => plans,
            Err(error) => {
                self.note_obstacle(None, &error);
                return Ok(());
            }
        };
        for (assignment, plan) in plans {
            let Some(index) = self.unplanned.iter().position(|assigned| assigned.assignment == assignment) else {
                continue;
            };
            match plan {
                Ok(plan) => {
                    let assigned = self.unplanned.swap_remove(index);
                    self.begin(assigned, plan)?;
                }
                Err(Obstacle::Passing(error)) => self.note_obstacle(Some(assignment.partition), &error),
                Err(Obstacle::Final(failure)) => {
                    let assigned = self.unplanned.swap_remove(index);
                    self.report(&assigned, Err(failure))?;
                }
            }
        }
        Ok(())
    }

    /// Lets the store read one partition; the inbox is looked at before the next one.
    fn fetch(&mut self) -> Result<(), Ended> {
        let Some(assigned) = self.unfetched.pop_front() else { return Ok(()) };
        let (began, mut shown) = (Instant::now(), None::<Instant>);
        let mut watch = |rows: u64, all: u64| {
            let now = Instant::now();
            if shown.is_none_or(|shown| now.saturating_duration_since(shown) >= SHOW_EVERY) {
                shown = Some(now);
                let progress = RestoreProgress::new(0, rows.cast_signed(), all.cast_signed(), now - began);
                assigned.cell.lock().restore = Some(progress);
            }
            !assigned.cell.is_released()
        };
        match self.restorer.store.fetch(assigned.assignment, &mut watch) {
            Ok(restored) => self.report(&assigned, Ok(restored)),
            Err(Obstacle::Final(failure)) => self.report(&assigned, Err(failure)),
            Err(Obstacle::Passing(error)) => {
                self.note_obstacle(Some(assigned.assignment.partition), &error);
                self.unplanned.push(assigned);
                Ok(())
            }
        }
    }

    fn note_obstacle(&mut self, partition: Option<i32>, error: &Hindrance) {
        let is_meant = |it: &&Assigned| partition.is_none_or(|partition| it.assignment.partition == partition);
        let waiting = self.unplanned.iter().chain(self.unsettled.iter().map(|(assigned, _)| assigned));
        waiting.filter(is_meant).for_each(|it| it.cell.lock().held_up = Some(error.to_string()));
        if let Some(held_back) = self.obstacles.admit(error.kind(), Instant::now()) {
            tracing::warn!(partition, %error, held_back, "cannot look up where to restore from yet; trying again");
        }
    }

    fn begin(&mut self, assigned: Assigned, plan: Plan) -> Result<(), Ended> {
        let partition = assigned.assignment.partition;
        let (job, lane) = match plan {
            Plan::Ready(restored) => return self.report(&assigned, Ok(restored)),
            Plan::Fold { base, records } => {
                if let Some(failure) =
                    self.restorer.input.as_deref().and_then(|input| folds_too_little(input, &records))
                {
                    return self.report(&assigned, Err(failure));
                }
                (Job::fold(assigned, base, records), &mut self.input)
            }
            Plan::Load(records) => (Job::load(assigned, records), &mut self.log),
            Plan::Fetch => {
                self.unfetched.push_back(assigned);
                return Ok(());
            }
        };
        if job.is_done() {
            return self.done(job);
        }
        tracing::info!(partition, topic = lane.topic(), from = job.next, to = job.target(), "restoring a partition");
        lane.add(job);
        Ok(())
    }

    fn read(&mut self) -> Result<(), Ended> {
        for lane in [&mut self.input, &mut self.log] {
            // Retention has overtaken the restore, or the log was cut: a new plan says which.
            let lost = lane.read(&self.restorer.rules);
            if !lost.is_empty() {
                self.unplanned.extend(lost);
                self.plan_after = Instant::now();
            }
        }
        let done: Vec<_> = self.input.take_done().into_iter().chain(self.log.take_done()).collect();
        done.into_iter().try_for_each(|job| self.done(job))
    }

    fn done(&mut self, job: Job) -> Result<(), Ended> {
        let (assigned, outcome) = job.finish(self.restorer.store.folding());
        match outcome {
            Outcome::Folded(restored) => self.report(&assigned, Ok(restored)),
            Outcome::Loaded(loaded) => {
                self.unsettled.push((assigned, loaded));
                Ok(())
            }
        }
    }

    /// Asks the store what follows from the logs that were read.
    fn settle(&mut self) -> Result<(), Ended> {
        if self.unsettled.is_empty() {
            return Ok(());
        }
        let (assigned, loaded): (Vec<_>, Vec<_>) = std::mem::take(&mut self.unsettled)
            .into_iter()
            .map(|(assigned, loaded)| {
                let assignment = assigned.assignment;
                (assigned, (assignment, loaded))
            })
            .unzip();
        let before = assigned.len();
        for (assigned, (_, outcome)) in assigned.into_iter().zip(self.restorer.store.settle(loaded)) {
            match outcome {
                Ok(plan) => self.begin(assigned, plan)?,
                Err(Unsettled::Never(failure)) => self.report(&assigned, Err(failure))?,
                Err(Unsettled::Later(loaded, error)) => {
                    let partition = assigned.assignment.partition;
                    self.unsettled.push((assigned, *loaded));
                    self.note_obstacle(Some(partition), &error.into());
                }
            }
        }
        let came_on = self.unsettled.len() < before;
        self.settle_wait = if came_on { SETTLE_AGAIN } else { (self.settle_wait * 2).min(SETTLE_AT_LATEST) };
        Ok(())
    }

    fn report(&self, assigned: &Assigned, outcome: Result<Restored, Failure>) -> Result<(), Ended> {
        let report = Report::Restored { assignment: assigned.assignment, outcome };
        if self.restorer.reporter.send(report) { Ok(()) } else { Err(Ended) }
    }
}

/// Why records cannot be folded again: some that were may be gone.
fn folds_too_little(input: &Watch, records: &Range<i64>) -> Option<Failure> {
    match input.now() {
        Some(Input::Compacted { topic, policy }) if !records.is_empty() => {
            Some(Failure::InputCompacted { topic, policy })
        }
        _ => None,
    }
}
