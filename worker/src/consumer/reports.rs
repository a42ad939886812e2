//! What the other threads report, and what follows from it.

use std::time::Instant;

use rdkafka::{TopicPartitionList, consumer::Consumer as _};

use super::{
    Consumer, Fatal,
    partition::{Owned, Stage},
    report::{Committed, Doubt, Inspection, Report},
};
use crate::{
    failure::Failure,
    store::{CommitError, Epoch},
    view::count,
};

impl Consumer {
    /// The oldest report not yet taken.
    pub(super) fn next_report(&mut self) -> Option<Report> {
        self.backlog.pop_front().or_else(|| self.reports.try_recv().ok())
    }

    pub(super) fn take(&mut self, report: Report) -> Result<(), Fatal> {
        match report {
            Report::Restored { partition, epoch, outcome } => {
                let restoring = |owned: &&mut Owned| matches!(owned.stage, Stage::Restoring);
                if let Some(owned) = self.current(partition, epoch).filter(restoring) {
                    match outcome {
                        Ok(restored) => owned.stage = Stage::Ready(restored),
                        Err(failure) => owned.fail(failure),
                    }
                }
                self.note_arrivals();
            }
            Report::Committed(committed) => self.committed(committed),
            Report::Inspected(Ok(inspection)) => self.inspected(inspection)?,
            Report::Inspected(Err(error)) => self.view.set_waiting_for(Some(&error)),
        }
        Ok(())
    }

    /// Waits for a report until `deadline` and takes those that bear on a commit; the rest is for later. False at the
    /// deadline.
    pub(super) fn await_report(&mut self, deadline: Instant) -> Result<bool, Fatal> {
        let Ok(report) = self.reports.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
            return Ok(false);
        };
        match report {
            Report::Restored { .. } => self.backlog.push_back(report),
            report => self.take(report)?,
        }
        Ok(true)
    }

    /// The partition, if it is still in the assignment that `epoch` numbers.
    fn current(&mut self, partition: i32, epoch: Epoch) -> Option<&mut Owned> {
        self.partitions.get_mut(&partition).filter(|owned| owned.epoch == epoch)
    }

    fn committed(&mut self, committed: Committed) {
        self.commits.ended();
        let counters = self.view.counting();
        match committed.outcome {
            Ok(()) => {
                count(&counters.commits, 1);
                self.view.proved_membership(committed.sent);
                for progress in committed.progress {
                    if let Some(owned) = self.current(progress.partition, progress.epoch) {
                        owned.committed(progress.next_offset);
                    }
                }
            }
            Err(error) => {
                count(&counters.commit_failures, 1);
                match error {
                    CommitError::Rebalancing => {}
                    CommitError::NotAMember(_) => self.view.lost_membership(),
                    // The topic may be gone, and another one take its place.
                    CommitError::Unavailable(_) => self.doubt(None),
                }
                if let Some(held_back) = self.commit_errors.admit(error.category(), Instant::now()) {
                    tracing::warn!(%error, held_back, "a commit was not accepted; it is tried again with the next one");
                }
            }
        }
    }

    fn inspected(&mut self, inspection: Inspection) -> Result<(), Fatal> {
        self.view.set_waiting_for(None);
        let found = &inspection.topic.topic_id;
        let expected = self.topic_id.get_or_insert_with(|| found.clone());
        if expected != found {
            let failure = Failure::TopicRecreated { expected: expected.clone(), found: found.clone() };
            let all: Vec<_> = self.partitions.keys().copied().collect();
            return self.fail(&all, &failure);
        }
        self.is_topic_in_doubt = false;
        self.view.set_topic(inspection.topic);
        for (doubt, log_start, log_end) in inspection.logs {
            let Doubt { partition, epoch, next_offset } = doubt;
            let active = self.current(partition, epoch).and_then(Owned::active);
            // Only where it still stands still: what has moved on since was not the one in trouble.
            let stands_there = active.is_some_and(|active| active.next_offset() == next_offset);
            if stands_there && !(log_start..=log_end).contains(&next_offset) {
                self.fail(&[partition], &Failure::OffsetOutOfRange { offset: next_offset })?;
            }
        }
        Ok(())
    }

    /// Lets partitions stand still, each with the reason; the others go on.
    fn fail(&mut self, partitions: &[i32], failure: &Failure) -> Result<(), Fatal> {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            let Some(owned) = self.partitions.get_mut(partition) else { continue };
            if matches!(owned.stage, Stage::Failed) {
                continue;
            }
            owned.fail(failure.clone());
            if owned.is_fetched {
                list.add_partition(&self.topic, owned.partition);
            }
        }
        self.note_arrivals();
        if list.count() == 0 { Ok(()) } else { self.consumer.pause(&list).map_err(Fatal::Rebalance) }
    }

    /// Ends the arrivals whose partitions all work, failed or left; the first one to end makes the worker ready.
    pub(super) fn note_arrivals(&mut self) {
        let partitions = &self.partitions;
        let is_waiting = |(partition, epoch): &(i32, Epoch)| {
            partitions
                .get(partition)
                .is_some_and(|owned| owned.epoch == *epoch && matches!(owned.stage, Stage::Restoring | Stage::Ready(_)))
        };
        self.arrivals.iter_mut().for_each(|arrival| arrival.waiting.retain(is_waiting));
        for arrival in self.arrivals.extract_if(.., |arrival| arrival.waiting.is_empty()) {
            self.view.restored(arrival.event, arrival.since);
            self.view.set_ready();
        }
    }
}
