//! The partitions of one topic that are being read.

use std::time::{Duration, Instant};

use balancefleet_kafka::BatchReader;
use rdkafka::ClientConfig;

use super::job::{Assigned, Job};
use crate::rules::Rules;

/// How long records are waited for before looking at the inbox again.
const SLICE: Duration = Duration::from_millis(50);
/// After a reader could not be made.
const OPEN_AGAIN: Duration = Duration::from_millis(500);
/// A partition that does not come on for so long is told about.
const STANDS_STILL: Duration = Duration::from_secs(5);

/// Jobs, and a reader while there are any.
pub(super) struct Lane {
    topic: String,
    config: ClientConfig,
    jobs: Vec<Job>,
    reader: Option<BatchReader>,
    warned: Option<Instant>,
}

impl Lane {
    pub(super) fn new(topic: &str, config: ClientConfig) -> Self {
        Self { topic: topic.to_owned(), config, jobs: Vec::new(), reader: None, warned: None }
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The reader is made anew whenever the set of jobs has grown.
    pub(super) fn add(&mut self, job: Job) {
        self.jobs.push(job);
        self.reader = None;
    }

    pub(super) fn forget_released(&mut self) {
        self.jobs.retain(|job| !job.assigned.cell.is_released());
        if self.jobs.is_empty() {
            self.reader = None;
        }
    }

    /// Reads for a while. Gives the assignments back whose place in the log was lost.
    pub(super) fn read(&mut self, rules: &Rules) -> Vec<Assigned> {
        if self.jobs.is_empty() {
            return Vec::new();
        }
        if self.reader.is_none() {
            let starts = self.jobs.iter().map(|job| (job.assigned.assignment.partition, job.next));
            match BatchReader::open(&self.config, &self.topic, starts) {
                Ok(reader) => self.reader = Some(reader),
                Err(error) => {
                    tracing::error!(%error, "cannot start the restore reader; trying again");
                    std::thread::sleep(OPEN_AGAIN);
                    return Vec::new();
                }
            }
        }
        let Some(reader) = &mut self.reader else { return Vec::new() };
        let jobs = &mut self.jobs;
        let outcome = reader.read(SLICE, |record| {
            if let Some(job) = job_of(jobs, record.partition) {
                job.take(rules, &record);
            }
        });
        for (partition, position) in reader.positions() {
            if let Some(job) = job_of(jobs, partition) {
                job.reached(position);
            }
        }
        match outcome {
            Ok(_) => Vec::new(),
            Err(error) => {
                tracing::warn!(%error, topic = self.topic, "the restore reader lost its place; looking it up again");
                self.reader = None;
                let (done, lost) = std::mem::take(&mut self.jobs).into_iter().partition(Job::is_done);
                self.jobs = done;
                let lost: Vec<Job> = lost;
                lost.into_iter().map(|job| job.assigned).collect()
            }
        }
    }

    /// Those that are read to their end; the others tell how far they are.
    pub(super) fn take_done(&mut self) -> Vec<Job> {
        let (done, going_on) = std::mem::take(&mut self.jobs).into_iter().partition(Job::is_done);
        self.jobs = going_on;
        let done: Vec<Job> = done;
        if let Some(reader) = self.reader.as_mut().filter(|_| !done.is_empty()) {
            reader.pause(done.iter().map(|job| job.assigned.assignment.partition));
        }
        let now = Instant::now();
        self.jobs.iter_mut().for_each(|job| job.show_progress(now));
        self.say_what_stands_still(now);
        done
    }

    /// What holds a restore up for so long is nearly always a transaction that nobody ends.
    fn say_what_stands_still(&mut self, now: Instant) {
        let is_due = self.warned.is_none_or(|warned| now.saturating_duration_since(warned) >= STANDS_STILL);
        for job in self.jobs.iter().filter(|job| job.stands_still(now) >= STANDS_STILL) {
            let (topic, partition, at, to) = (&self.topic, job.assigned.assignment.partition, job.next, job.target());
            let since = job.stands_still(now).as_secs();
            let words = format!(
                "OpenTransaction: nothing of partition {partition} of topic {topic} can be read beyond offset {at} of {to} \
                 for {since} s: a transaction has not ended; a worker that was killed in one leaves it to the brokers' \
                 time-out"
            );
            if is_due {
                self.warned = Some(now);
                tracing::warn!("{words}");
            }
            job.held_up(words);
        }
    }
}

fn job_of(jobs: &mut [Job], partition: i32) -> Option<&mut Job> {
    jobs.iter_mut().find(|job| job.assigned.assignment.partition == partition)
}
