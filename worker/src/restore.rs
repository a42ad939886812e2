//! The thread that restores newly assigned partitions to the group's committed offset.
//!
//! Its input is assignments. Its output is one [`Report::Restored`] for each, in the order in which they finish.
//! Records are read from the input topic or from the store's changelog; each topic has one reader, which exists only
//! while there is something to read. Rows of a database are fetched by the store itself, one partition after the other.

mod partition;
mod reader;

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

use crate::{
    cleanup_policy::CleanupPolicy,
    critical_thread,
    domain::rules::Rules,
    not_ready::NotReady,
    partition_failure::PartitionFailure,
    poll::{
        cleanup_policy_checker::CleanupPolicyChecker,
        messages::{Report, Reporter},
    },
    store::{ChangelogContents, NoRestorePlan, RestoreError, RestorePlan, Restored, Store},
    throttle::{SAME_ERROR_EVERY, Throttle},
    view::RestoreProgress,
};
pub(crate) use partition::RestoreRequest;
use partition::{PartitionRestore, RestoreOutcome};
use reader::RestoreReader;

/// How often the progress of a read by the store is shown.
const SHOW_EVERY: Duration = Duration::from_millis(100);
/// The pause between two attempts to plan.
const PLAN_AGAIN: Duration = Duration::from_millis(500);
/// The first pause before the next attempt to decide how to continue after a changelog was read. Usually a transaction
/// there is about to end. It doubles each time.
const DECIDE_AGAIN: Duration = Duration::from_millis(20);
/// The longest such pause.
const DECIDE_AT_LATEST: Duration = Duration::from_millis(320);

pub(crate) struct Restorer {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) topic: String,
    /// The topic that [`RestorePlan::ReadChangelog`] reads.
    pub(crate) log: String,
    /// Whether the input keeps every record, for a ledger that needs it.
    pub(crate) cleanup_policy: Option<Arc<CleanupPolicyChecker>>,
    pub(crate) reader_config: ClientConfig,
    pub(crate) reporter: Reporter,
}

pub(crate) fn start(restorer: Restorer) -> std::io::Result<mpsc::Sender<Vec<RestoreRequest>>> {
    let (requests, inbox) = mpsc::channel();
    let reader = |topic: &str| RestoreReader::new(topic, restorer.reader_config.clone());
    let restore_loop = RestoreLoop {
        input: reader(&restorer.topic),
        log: reader(&restorer.log),
        unplanned: Vec::new(),
        plan_after: Instant::now(),
        undecided: Vec::new(),
        decide_wait: DECIDE_AGAIN,
        unfetched: VecDeque::new(),
        not_ready: Throttle::new(SAME_ERROR_EVERY),
        restorer,
    };
    critical_thread::start("restore", move || restore_loop.run(&inbox))?;
    Ok(requests)
}

struct RestoreLoop {
    restorer: Restorer,
    unplanned: Vec<RestoreRequest>,
    /// No plan is made before this time, after an attempt that failed.
    plan_after: Instant,
    input: RestoreReader,
    log: RestoreReader,
    /// Changelogs that are read, without a decision how to continue.
    undecided: Vec<(RestoreRequest, ChangelogContents)>,
    decide_wait: Duration,
    /// Partitions that the store must read.
    unfetched: VecDeque<RestoreRequest>,
    not_ready: Throttle<&'static str>,
}

/// The poll thread has ended, so there is nothing to restore for.
struct PollThreadGone;

impl RestoreLoop {
    fn run(mut self, inbox: &mpsc::Receiver<Vec<RestoreRequest>>) {
        while self.take(inbox).is_ok() && self.run_once().is_ok() {}
    }

    /// Takes new requests. Waits for them if there is nothing else to do, or briefly if the next attempt is not due
    /// yet.
    fn take(&mut self, inbox: &mpsc::Receiver<Vec<RestoreRequest>>) -> Result<(), PollThreadGone> {
        if self.input.is_empty() && self.log.is_empty() && self.unfetched.is_empty() {
            let wait = match (self.unplanned.is_empty(), self.undecided.is_empty()) {
                (true, true) => Duration::MAX,
                (_, false) => self.decide_wait,
                (false, true) => PLAN_AGAIN,
            };
            match inbox.recv_timeout(wait) {
                Ok(assigned) => self.enqueue(assigned),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(PollThreadGone),
            }
        }
        inbox.try_iter().for_each(|assigned| self.enqueue(assigned));
        self.unplanned.retain(|assigned| !assigned.shared.is_released());
        self.undecided.retain(|(assigned, _)| !assigned.shared.is_released());
        self.unfetched.retain(|assigned| !assigned.shared.is_released());
        self.input.forget_released();
        self.log.forget_released();
        Ok(())
    }

    fn enqueue(&mut self, assigned: Vec<RestoreRequest>) {
        // A later assignment of a partition replaces an earlier one.
        let is_newer = |older: &RestoreRequest| {
            assigned.iter().all(|newer| newer.assignment.partition != older.assignment.partition)
        };
        self.unplanned.retain(is_newer);
        self.unplanned.extend(assigned);
        self.plan_after = Instant::now();
    }

    fn run_once(&mut self) -> Result<(), PollThreadGone> {
        if !self.unplanned.is_empty() && Instant::now() >= self.plan_after {
            self.plan()?;
        }
        self.fetch()?;
        self.read()?;
        self.decide()
    }

    fn plan(&mut self) -> Result<(), PollThreadGone> {
        self.plan_after = Instant::now() + PLAN_AGAIN;
        let assigned: Vec<_> = self.unplanned.iter().map(|assigned| assigned.assignment).collect();
        let plans = match self.restorer.store.plan(&assigned) {
            Ok(plans) => plans,
            Err(error) => {
                self.note_not_ready(None, &error);
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
                Err(RestoreError::Transient(error)) => self.note_not_ready(Some(assignment.partition), &error),
                Err(RestoreError::Permanent(failure)) => {
                    let assigned = self.unplanned.swap_remove(index);
                    self.report(&assigned, Err(failure))?;
                }
            }
        }
        Ok(())
    }

    /// Lets the store read one partition. The inbox is checked before the next one.
    fn fetch(&mut self) -> Result<(), PollThreadGone> {
        let Some(assigned) = self.unfetched.pop_front() else { return Ok(()) };
        let (began, mut shown) = (Instant::now(), None::<Instant>);
        let mut on_progress = |rows: u64, all: u64| {
            let now = Instant::now();
            if shown.is_none_or(|shown| now.saturating_duration_since(shown) >= SHOW_EVERY) {
                shown = Some(now);
                let progress = RestoreProgress::new(0, rows.cast_signed(), all.cast_signed(), now - began);
                assigned.shared.lock().restore = Some(progress);
            }
            !assigned.shared.is_released()
        };
        match self.restorer.store.fetch(assigned.assignment, &mut on_progress) {
            Ok(restored) => self.report(&assigned, Ok(restored)),
            Err(RestoreError::Permanent(failure)) => self.report(&assigned, Err(failure)),
            Err(RestoreError::Transient(error)) => {
                self.note_not_ready(Some(assigned.assignment.partition), &error);
                self.unplanned.push(assigned);
                Ok(())
            }
        }
    }

    fn note_not_ready(&mut self, partition: Option<i32>, error: &NotReady) {
        let is_meant = |it: &&RestoreRequest| partition.is_none_or(|partition| it.assignment.partition == partition);
        let waiting = self.unplanned.iter().chain(self.undecided.iter().map(|(assigned, _)| assigned));
        waiting.filter(is_meant).for_each(|it| it.shared.lock().blocked_by = Some(error.to_string()));
        if let Some(suppressed) = self.not_ready.admit(error.kind(), Instant::now()) {
            tracing::warn!(partition, %error, suppressed, "cannot look up where to restore from yet; trying again");
        }
    }

    fn begin(&mut self, assigned: RestoreRequest, plan: RestorePlan) -> Result<(), PollThreadGone> {
        let partition = assigned.assignment.partition;
        let (restore, reader) = match plan {
            RestorePlan::Done(restored) => return self.report(&assigned, Ok(restored)),
            RestorePlan::ReplayInput { start_offset, records } => {
                if let Some(failure) =
                    self.restorer.cleanup_policy.as_deref().and_then(|checker| folds_too_little(checker, &records))
                {
                    return self.report(&assigned, Err(failure));
                }
                (PartitionRestore::replay_input(assigned, start_offset, records), &mut self.input)
            }
            RestorePlan::ReadChangelog(records) => (PartitionRestore::read_changelog(assigned, records), &mut self.log),
            RestorePlan::QueryDatabase => {
                self.unfetched.push_back(assigned);
                return Ok(());
            }
        };
        if restore.is_done() {
            return self.done(restore);
        }
        tracing::info!(
            partition,
            topic = reader.topic(),
            from = restore.next,
            to = restore.target(),
            "restoring a partition"
        );
        reader.add(restore);
        Ok(())
    }

    fn read(&mut self) -> Result<(), PollThreadGone> {
        for reader in [&mut self.input, &mut self.log] {
            // Retention has overtaken the restore, or the log was truncated: a new plan shows which.
            let lost = reader.read(&self.restorer.rules);
            if !lost.is_empty() {
                self.unplanned.extend(lost);
                self.plan_after = Instant::now();
            }
        }
        let done: Vec<_> = self.input.take_done().into_iter().chain(self.log.take_done()).collect();
        done.into_iter().try_for_each(|restore| self.done(restore))
    }

    fn done(&mut self, restore: PartitionRestore) -> Result<(), PollThreadGone> {
        let (assigned, outcome) = restore.finish(self.restorer.store.apply_mode());
        match outcome {
            RestoreOutcome::Replayed(restored) => self.report(&assigned, Ok(restored)),
            RestoreOutcome::ChangelogRead(contents) => {
                self.undecided.push((assigned, contents));
                Ok(())
            }
        }
    }

    /// Asks the store how to continue the partitions whose changelog was read.
    fn decide(&mut self) -> Result<(), PollThreadGone> {
        if self.undecided.is_empty() {
            return Ok(());
        }
        let (assigned, contents): (Vec<_>, Vec<_>) = std::mem::take(&mut self.undecided)
            .into_iter()
            .map(|(assigned, contents)| {
                let assignment = assigned.assignment;
                (assigned, (assignment, contents))
            })
            .unzip();
        let before = assigned.len();
        for (assigned, (_, outcome)) in assigned.into_iter().zip(self.restorer.store.decide(contents)) {
            match outcome {
                Ok(plan) => self.begin(assigned, plan)?,
                Err(NoRestorePlan::Failed(failure)) => self.report(&assigned, Err(failure))?,
                Err(NoRestorePlan::RetryLater(contents, error)) => {
                    let partition = assigned.assignment.partition;
                    self.undecided.push((assigned, *contents));
                    self.note_not_ready(Some(partition), &error);
                }
            }
        }
        let came_on = self.undecided.len() < before;
        self.decide_wait = if came_on { DECIDE_AGAIN } else { (self.decide_wait * 2).min(DECIDE_AT_LATEST) };
        Ok(())
    }

    fn report(
        &self,
        assigned: &RestoreRequest,
        outcome: Result<Restored, PartitionFailure>,
    ) -> Result<(), PollThreadGone> {
        let report = Report::Restored { assignment: assigned.assignment, outcome };
        if self.restorer.reporter.send(report) { Ok(()) } else { Err(PollThreadGone) }
    }
}

/// Why records cannot be folded again: a compacted topic may have removed some of them.
fn folds_too_little(cleanup_policy: &CleanupPolicyChecker, records: &Range<i64>) -> Option<PartitionFailure> {
    match cleanup_policy.now() {
        Some(CleanupPolicy::Compacted { topic, policy }) if !records.is_empty() => {
            Some(PartitionFailure::InputCompacted { topic, policy })
        }
        _ => None,
    }
}
