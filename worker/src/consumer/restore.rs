//! The thread that brings newly assigned partitions to where the group has committed.
//!
//! In go assignments, out comes one [`Report::Restored`] for each, in the order in which they get done. One reader
//! serves all of them; it lives only while there is something to read.

mod job;
mod reader;

use std::{
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use balancefleet_kafka::ErrorKind;
use rdkafka::ClientConfig;

use super::{SAME_ERROR_EVERY, client::Complaints, partition::Restored, report::Report};
use crate::{
    failure::Failure,
    rules::Rules,
    store::{Epoch, Obstacle, Plan, Store},
    throttle::Throttle,
    view::Cell,
    vital_thread,
};
use job::Job;
use reader::{Reader, Seen};

/// Between two tries to learn from the brokers what is to be restored.
const PLAN_AGAIN: Duration = Duration::from_millis(500);
/// How long records are read before looking at the inbox again.
const SLICE: Duration = Duration::from_millis(50);

/// A partition to restore.
pub(crate) struct Assigned {
    pub(crate) partition: i32,
    pub(crate) epoch: Epoch,
    /// Gets the progress; also says when the partition has left and nobody waits any more.
    pub(crate) cell: Arc<Cell>,
}

/// What the thread needs.
pub(crate) struct Restorer {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) topic: String,
    pub(crate) reader_config: ClientConfig,
    pub(crate) reports: mpsc::Sender<Report>,
}

/// Starts the thread.
pub(crate) fn start(restorer: Restorer) -> std::io::Result<mpsc::Sender<Vec<Assigned>>> {
    let (requests, inbox) = mpsc::channel();
    let work = Work {
        restorer,
        unplanned: Vec::new(),
        plan_after: Instant::now(),
        obstacles: Throttle::new(SAME_ERROR_EVERY),
        complaints: Arc::new(Complaints::of("restore reader")),
        jobs: Vec::new(),
        reader: None,
    };
    vital_thread::start("restore", move || work.run(&inbox))?;
    Ok(requests)
}

struct Work {
    restorer: Restorer,
    unplanned: Vec<Assigned>,
    /// Not before this, while the brokers cannot tell.
    plan_after: Instant,
    obstacles: Throttle<ErrorKind>,
    /// Of all readers.
    complaints: Arc<Complaints>,
    jobs: Vec<Job>,
    reader: Option<Reader>,
}

/// The poll thread has ended, and with it the reason to restore.
struct Ended;

impl Work {
    fn run(mut self, inbox: &mpsc::Receiver<Vec<Assigned>>) {
        while self.take(inbox).is_ok() && self.turn().is_ok() {}
    }

    /// Waits for requests when there is nothing to do, and for a moment when the brokers could not answer.
    fn take(&mut self, inbox: &mpsc::Receiver<Vec<Assigned>>) -> Result<(), Ended> {
        if self.jobs.is_empty() {
            self.reader = None;
            let wait = if self.unplanned.is_empty() { Duration::MAX } else { PLAN_AGAIN };
            match inbox.recv_timeout(wait) {
                Ok(assigned) => self.expect(assigned),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Ended),
            }
        }
        inbox.try_iter().for_each(|assigned| self.expect(assigned));
        self.unplanned.retain(|assigned| !assigned.cell.is_released());
        self.jobs.retain(|job| !job.assigned.cell.is_released());
        Ok(())
    }

    fn expect(&mut self, assigned: Vec<Assigned>) {
        // Of one partition, the later assignment stands.
        self.unplanned.retain(|older| assigned.iter().all(|newer| newer.partition != older.partition));
        self.unplanned.extend(assigned);
        self.plan_after = Instant::now();
    }

    fn turn(&mut self) -> Result<(), Ended> {
        if !self.unplanned.is_empty() && Instant::now() >= self.plan_after {
            self.plan()?;
        }
        if !self.jobs.is_empty() {
            self.read()?;
        }
        Ok(())
    }

    fn plan(&mut self) -> Result<(), Ended> {
        self.plan_after = Instant::now() + PLAN_AGAIN;
        let partitions: Vec<_> = self.unplanned.iter().map(|assigned| assigned.partition).collect();
        let plans = match self.restorer.store.plan(&partitions) {
            Ok(plans) => plans,
            Err(error) => {
                self.note_obstacle(None, &error);
                return Ok(());
            }
        };
        for (partition, plan) in plans {
            let Some(index) = self.unplanned.iter().position(|assigned| assigned.partition == partition) else {
                continue;
            };
            match plan {
                Ok(plan) => {
                    let assigned = self.unplanned.swap_remove(index);
                    self.begin(assigned, plan)?;
                }
                Err(Obstacle::Passing(error)) => self.note_obstacle(Some(partition), &error),
                Err(Obstacle::Final(failure)) => {
                    let assigned = self.unplanned.swap_remove(index);
                    self.report(&assigned, Err(failure))?;
                }
            }
        }
        Ok(())
    }

    fn note_obstacle(&mut self, partition: Option<i32>, error: &balancefleet_kafka::Error) {
        if let Some(held_back) = self.obstacles.admit(error.kind(), Instant::now()) {
            tracing::warn!(partition, %error, held_back, "cannot look up where to restore from yet; trying again");
        }
    }

    fn begin(&mut self, assigned: Assigned, plan: Plan) -> Result<(), Ended> {
        let job = Job::new(assigned, plan);
        if job.is_done() {
            let (assigned, restored) = job.finish();
            return self.report(&assigned, Ok(restored));
        }
        tracing::info!(partition = job.assigned.partition, from = job.next, to = job.target(), "restoring a partition");
        self.jobs.push(job);
        self.reader = None;
        Ok(())
    }

    /// Reads for a while; the reader is made anew whenever the set of jobs has grown.
    fn read(&mut self) -> Result<(), Ended> {
        let starts = self.jobs.iter().map(|job| (job.assigned.partition, job.next));
        if self.reader.is_none() {
            match Reader::open(&self.restorer.reader_config, &self.restorer.topic, self.complaints.clone(), starts) {
                Ok(reader) => self.reader = Some(reader),
                Err(error) => {
                    tracing::error!(%error, "cannot start the restore reader; trying again");
                    std::thread::sleep(PLAN_AGAIN);
                    return Ok(());
                }
            }
        }
        let Some(reader) = &self.reader else { return Ok(()) };
        let (jobs, rules) = (&mut self.jobs, &self.restorer.rules);
        let out_of_range = match reader.read(SLICE, |seen| note(jobs, rules, &seen)) {
            Ok(()) => false,
            Err(error) => {
                tracing::warn!(%error, "the restore reader lost its place; looking it up again");
                true
            }
        };
        for (partition, position) in reader.positions() {
            note(&mut self.jobs, &self.restorer.rules, &Seen::Position { partition, position });
        }
        self.report_done()?;
        if out_of_range {
            // Retention has overtaken the restore, or the log was cut: a new plan says which.
            let again = self.jobs.drain(..).map(|job| job.assigned).collect();
            self.expect(again);
            self.reader = None;
        }
        Ok(())
    }

    fn report_done(&mut self) -> Result<(), Ended> {
        let (done, going_on) = std::mem::take(&mut self.jobs).into_iter().partition(Job::is_done);
        self.jobs = going_on;
        let done: Vec<Job> = done;
        if let Some(reader) = self.reader.as_ref().filter(|_| !done.is_empty()) {
            reader.pause(done.iter().map(|job| job.assigned.partition));
        }
        for job in done {
            let (assigned, restored) = job.finish();
            self.report(&assigned, Ok(restored))?;
        }
        self.jobs.iter_mut().for_each(|job| job.show_progress(Instant::now()));
        Ok(())
    }

    fn report(&self, assigned: &Assigned, outcome: Result<Restored, Failure>) -> Result<(), Ended> {
        let report = Report::Restored { partition: assigned.partition, epoch: assigned.epoch, outcome };
        self.restorer.reports.send(report).map_err(|_| Ended)
    }
}

fn note(jobs: &mut [Job], rules: &Rules, seen: &Seen<'_>) {
    let (Seen::Record { partition, .. } | Seen::Position { partition, .. }) = *seen;
    let Some(job) = jobs.iter_mut().find(|job| job.assigned.partition == partition) else { return };
    match *seen {
        Seen::Record { offset, value, .. } => job.fold(rules, offset, value),
        Seen::Position { position, .. } => job.reached(position),
    }
}
