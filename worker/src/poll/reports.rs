//! Handles the reports of the other threads.

use std::time::Instant;

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer as _};

use super::{
    Fatal, PollLoop,
    messages::{Committed, Inspection, Report},
    partition::{AssignedPartition, Stage},
    truncation::{Diagnosis, FetchState, Log, MaybeTruncated},
};
use crate::{
    partition_failure::PartitionFailure,
    store::{Assignment, AssignmentNumber, CommitError},
    view::count,
};

impl PollLoop {
    /// The oldest report that was not handled yet.
    pub(super) fn next_report(&mut self) -> Option<Report> {
        self.deferred_reports.pop_front().or_else(|| self.reports.try_recv().ok())
    }

    pub(super) fn handle(&mut self, report: Report) -> Result<(), Fatal> {
        match report {
            Report::Restored { assignment, outcome } => {
                if outcome.as_ref().is_ok_and(|restored| restored.records > 0) {
                    self.spare_memory.note_use();
                }
                let apply_mode = self.apply_mode;
                let restoring = |owned: &&mut AssignedPartition| matches!(owned.stage, Stage::Restoring);
                if let Some(owned) = self.current(assignment).filter(restoring) {
                    match outcome {
                        Ok(restored) => owned.restored(restored, apply_mode),
                        Err(failure) => owned.fail(failure),
                    }
                    self.commits.make_due();
                }
                self.update_pending_assignments();
            }
            Report::Committed(committed) => self.committed(committed)?,
            Report::Inspected(Ok(inspection)) => self.inspected(inspection)?,
            Report::Inspected(Err(error)) => self.view.set_waiting_for(Some(&error.into())),
        }
        Ok(())
    }

    /// Waits for a report until `deadline`. Reports about commits and the topic are handled at once, restored
    /// partitions are kept for later. Returns false at the deadline.
    pub(super) fn await_report(&mut self, deadline: Instant) -> Result<bool, Fatal> {
        let Ok(report) = self.reports.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
            return Ok(false);
        };
        match report {
            Report::Restored { .. } => self.deferred_reports.push_back(report),
            report => self.handle(report)?,
        }
        Ok(true)
    }

    /// The partition, if it still has that assignment.
    fn current(&mut self, assignment: Assignment) -> Option<&mut AssignedPartition> {
        self.current_at(assignment.partition, assignment.number)
    }

    fn current_at(&mut self, partition: i32, assignment_number: AssignmentNumber) -> Option<&mut AssignedPartition> {
        self.partitions.get_mut(&partition).filter(|owned| owned.assignment_number == assignment_number)
    }

    fn committed(&mut self, committed: Committed) -> Result<(), Fatal> {
        self.commits.ended(committed.outcome.is_ok());
        let counters = self.view.counting();
        match committed.outcome {
            Ok(()) => {
                count(&counters.commits, 1);
                self.view.set_uncommitted(None);
                self.view.confirm_membership(committed.sent);
                for (assignment, next_offset) in committed.progress {
                    if let Some(owned) = self.current(assignment) {
                        owned.committed(next_offset);
                    }
                }
                if self.partitions.values().any(AssignedPartition::awaits_first_commit) {
                    self.commits.make_due();
                }
                Ok(())
            }
            Err(error) => {
                count(&counters.commit_failures, 1);
                self.view.set_uncommitted(Some(format!("nothing is committed: {error}")));
                if let Some(suppressed) = self.commit_errors.admit(error.category(), Instant::now()) {
                    tracing::warn!(%error, suppressed, "commit failed, will retry");
                }
                self.not_committed(&committed.progress, error)
            }
        }
    }

    fn not_committed(&mut self, progress: &[(Assignment, i64)], error: CommitError) -> Result<(), Fatal> {
        let fenced = match error {
            CommitError::Fatal(reason) => return Err(Fatal::Store(reason)),
            CommitError::Fenced { partitions, .. } => partitions,
            CommitError::Rebalancing | CommitError::TooLarge(_) => Vec::new(),
            CommitError::NotAMember(_) => {
                self.view.lost_membership();
                Vec::new()
            }
            // The topic may have been deleted and recreated.
            CommitError::Unavailable(_) => {
                self.inspect_topic();
                Vec::new()
            }
        };
        let mut again = Vec::new();
        for (assignment, _) in progress {
            let Some(owned) = self.current(*assignment) else { continue };
            owned.refused();
            if fenced.contains(&assignment.partition) {
                again.push(assignment.partition);
            }
        }
        self.restore_again(&again)
    }

    fn inspected(&mut self, inspection: Inspection) -> Result<(), Fatal> {
        self.view.set_waiting_for(None);
        let (expected, found) = (&self.topic_id, &inspection.topic.topic_id);
        if expected != found {
            let failure = PartitionFailure::TopicRecreated { expected: expected.clone(), found: found.clone() };
            let all: Vec<_> = self.partitions.keys().copied().collect();
            // Set first, so that the balances of the former topic in a database are not served for this one.
            self.view.set_topic(inspection.topic);
            return self.fail(&all, &failure);
        }
        self.view.set_topic(inspection.topic);
        inspection.logs.iter().try_for_each(|log| self.measured(log))?;
        inspection.looked_up.into_iter().try_for_each(|(overdue, validity)| self.looked_up(overdue, validity))
    }

    /// Handles a measured log that may have been truncated.
    pub(super) fn measured(&mut self, log: &Log) -> Result<(), Fatal> {
        let MaybeTruncated { partition, assignment_number, next_offset: offset } = log.of;
        let active = self.current_at(partition, assignment_number).and_then(AssignedPartition::active);
        let fetch_state = active.map(|active| (active.next_offset(), active.leader_epoch()));
        if let Some((next_offset, Some(leader_epoch))) = fetch_state
            && next_offset == offset
        {
            return self.refused(log, leader_epoch);
        }
        let next_offset = fetch_state.map(|(next_offset, _)| next_offset);
        let fetch_state = FetchState { next_offset, read_to: self.read_to(partition, offset), idle_at: self.idle_at };
        match self.truncation_watch.diagnose(log, fetch_state, Instant::now()) {
            Diagnosis::MovedOn | Diagnosis::Open => Ok(()),
            Diagnosis::OutOfRange => self.fail(&[partition], &PartitionFailure::OffsetOutOfRange { offset }),
            Diagnosis::FetchPositionLost => self.fail(&[partition], &PartitionFailure::FetchPositionLost { offset }),
        }
    }

    /// The client's position, which moves past transaction markers too; `at_least` while it has none.
    fn read_to(&self, partition: i32, at_least: i64) -> i64 {
        let position = self.consumer.position().ok().and_then(|all| {
            let offset = all.find_partition(&self.topic, partition)?.offset();
            if let Offset::Offset(position) = offset { Some(position) } else { None }
        });
        position.map_or(at_least, |position| position.max(at_least))
    }

    /// Fails partitions with the reason; the others continue.
    pub(super) fn fail(&mut self, partitions: &[i32], failure: &PartitionFailure) -> Result<(), Fatal> {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            let Some(owned) = self.partitions.get_mut(partition) else { continue };
            if matches!(owned.stage, Stage::Failed) {
                continue;
            }
            owned.fail(failure.clone());
            if failure.is_of_stored_balances() {
                self.store.withhold(owned.assignment(), &owned.shared);
            }
            if owned.is_fetched {
                list.add_partition(&self.topic, owned.partition);
            }
        }
        self.update_pending_assignments();
        if list.count() == 0 { Ok(()) } else { self.consumer.pause(&list).map_err(Fatal::Rebalance) }
    }

    /// Ends the pending assignments whose partitions are all active, failed or gone. The first one that succeeded makes
    /// the worker ready.
    pub(super) fn update_pending_assignments(&mut self) {
        let partitions = &self.partitions;
        self.pending_assignments.iter_mut().for_each(|pending| pending.update(partitions));
        for pending in self.pending_assignments.extract_if(.., |pending| pending.is_over()) {
            // An assignment whose partitions all left early says nothing about this worker.
            if pending.succeeded() {
                self.view.restored(pending.event, pending.since, pending.records);
                self.view.set_ready();
            }
        }
    }
}
