//! The view's methods for the consumer's threads.

use std::{sync::Arc, time::Instant};

use jiff::Timestamp;

use super::{Counters, RebalanceEvent, SharedPartition, View};
use crate::{cleanup_policy::CleanupPolicy, not_ready::NotReady, status::Status, topic_facts::TopicFacts};

impl View {
    /// Sets the status. A worker that is stopping stays in that status, whatever its threads still do.
    pub(crate) fn set_status(&self, status: Status) {
        let mut current = self.status.lock();
        if *current != Status::Stopped {
            *current = status;
        }
    }

    pub(crate) fn counting(&self) -> &Counters {
        &self.counters
    }

    /// Adds an assigned partition; an older assignment of it is no longer readable.
    pub(crate) fn add_partition(&self, partition: i32, shared: Arc<SharedPartition>) {
        self.partitions.write().insert(partition, shared);
    }

    /// Removes a partition: from here on, no reader gets answers from it.
    pub(crate) fn remove_partition(&self, partition: i32) {
        self.partitions.write().remove(&partition);
    }

    /// Adds an event to the history; returns its number, under which its restore can be noted.
    pub(crate) fn record(&self, event: RebalanceEvent) -> u64 {
        self.counters.rebalanced(event.timestamp);
        self.history.lock().record(event)
    }

    /// Notes that the partitions of event `number`, assigned at `since`, are all active after `records` read records.
    pub(crate) fn restored(&self, number: u64, since: Instant, records: u64) {
        self.history.lock().restored(number, since.elapsed(), records);
    }

    pub(crate) fn set_topic(&self, facts: TopicFacts) {
        *self.topic.lock() = Some(facts);
    }

    /// Sets what the worker waits for, `None` for nothing. It is logged when the kind changes, because the text of one
    /// kind differs between attempts.
    pub(crate) fn set_waiting_for(&self, what: Option<&NotReady>) {
        let mut waiting_for = self.waiting_for.lock();
        if waiting_for.as_ref().map(NotReady::kind) != what.map(NotReady::kind) {
            match what {
                Some(what) => tracing::warn!(kind = what.kind(), "waiting: {what}"),
                None => tracing::info!("dependency recovered"),
            }
        }
        *waiting_for = what.cloned();
    }

    /// Sets whether the topic keeps every record.
    pub(crate) fn set_cleanup_policy(&self, policy: CleanupPolicy) {
        *self.cleanup_policy.lock() = Some(policy);
    }

    /// Sets why the last commit was not accepted, `None` if it was.
    pub(crate) fn set_uncommitted(&self, why: Option<String>) {
        *self.uncommitted.lock() = why;
    }

    /// Notes that the first assignment is restored, or was empty.
    pub(crate) fn set_ready(&self) {
        *self.ready.lock() = true;
    }

    /// Notes that the poll thread is running.
    pub(crate) fn mark_alive(&self) {
        *self.last_alive.lock() = Instant::now();
    }

    /// Notes that the coordinator accepted a commit sent at `sent`: the worker was a member at that time.
    pub(crate) fn confirm_membership(&self, sent: Instant) {
        *self.membership_confirmed_at.lock() = Some(sent);
    }

    /// Notes that the worker may no longer be a member.
    pub(crate) fn lost_membership(&self) {
        *self.membership_confirmed_at.lock() = None;
    }

    /// Notes that the poll thread has just processed a record.
    pub(crate) fn message_processed(&self) {
        self.counters.message_at(Timestamp::now());
    }
}
