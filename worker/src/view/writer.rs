//! What the consumer's threads note in the view.

use std::{sync::Arc, time::Instant};

use jiff::Timestamp;

use super::{Counters, RebalanceEvent, SharedPartition, View};
use crate::{input::Input, not_ready::NotReady, status::Status, topic_facts::TopicFacts};

impl View {
    /// A worker that stops does nothing else any more, whatever its threads still have in hand.
    pub(crate) fn set_status(&self, status: Status) {
        let mut current = self.status.lock();
        if *current != Status::Stopped {
            *current = status;
        }
    }

    pub(crate) fn counting(&self) -> &Counters {
        &self.counters
    }

    /// A partition was assigned; an older assignment of it is no longer readable.
    pub(crate) fn add_partition(&self, partition: i32, shared: Arc<SharedPartition>) {
        self.partitions.write().insert(partition, shared);
    }

    /// A partition leaves: from here on nobody is answered from it.
    pub(crate) fn remove_partition(&self, partition: i32) {
        self.partitions.write().remove(&partition);
    }

    /// Adds to the history and gives the number under which its restore can be noted.
    pub(crate) fn record(&self, event: RebalanceEvent) -> u64 {
        self.counters.rebalanced(event.timestamp);
        self.history.lock().record(event)
    }

    /// The partitions of the event recorded as `number` are all active, `since` their assignment, out of `records`.
    pub(crate) fn restored(&self, number: u64, since: Instant, records: u64) {
        self.history.lock().restored(number, since.elapsed(), records);
    }

    pub(crate) fn set_topic(&self, facts: TopicFacts) {
        *self.topic.lock() = Some(facts);
    }

    /// What keeps the worker from its work, `None` when nothing does. Logged when the kind changes: the words of one
    /// kind differ from try to try.
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

    /// Whether the topic keeps every record.
    pub(crate) fn set_input(&self, input: Input) {
        *self.input.lock() = Some(input);
    }

    /// Why the last commit was not accepted, `None` when it was.
    pub(crate) fn set_uncommitted(&self, why: Option<String>) {
        *self.uncommitted.lock() = why;
    }

    /// The first assignment is restored, or was empty.
    pub(crate) fn set_ready(&self) {
        *self.ready.lock() = true;
    }

    /// The poll thread turns.
    pub(crate) fn mark_alive(&self) {
        *self.last_alive.lock() = Instant::now();
    }

    /// The group coordinator accepted a commit that was sent at `sent`: then, the worker was a member.
    pub(crate) fn confirm_membership(&self, sent: Instant) {
        *self.membership_confirmed_at.lock() = Some(sent);
    }

    /// The worker is not, or may not be, a member any more.
    pub(crate) fn lost_membership(&self) {
        *self.membership_confirmed_at.lock() = None;
    }

    /// The poll thread processed a record just now.
    pub(crate) fn message_processed(&self) {
        self.counters.message_at(Timestamp::now());
    }
}
