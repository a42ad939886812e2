//! Puts a commit together when one is due, and hands it to the commit thread.

use std::time::Instant;

use balancefleet_kafka::GroupMetadata;

use super::{PollLoop, partition::AssignedPartition};
use crate::store::Batch;

impl PollLoop {
    /// Commits progress when a commit is due. Without progress it still commits often enough to check that this worker
    /// is a member of the group.
    pub(super) fn commit_if_due(&mut self) {
        let now = Instant::now();
        let running_for = self.commits.running_for(now);
        if running_for > self.session_timeout && self.commit_errors.admit("under way", now).is_some() {
            tracing::warn!(?running_for, "a commit is still under way: what is durable stays as of the last one");
        }
        // Since the last commit the client has had nothing to deliver: this worker keeps up.
        let is_near_head = self.commits.last_sent().is_none_or(|sent| self.idle_at > sent);
        let due_in = self.commits.due_in(is_near_head, self.is_full(), now);
        if due_in.is_none_or(|due_in| !due_in.is_zero()) {
            return;
        }
        if is_near_head && !self.has_backlog() {
            self.spare_memory.give_back(now);
        } else {
            self.spare_memory.note_use();
        }
        let is_empty_commit_due = self.commits.is_empty_commit_due(now);
        if is_empty_commit_due && self.commits.empty_commits_have_all_partitions() {
            self.commit(|_| true, true, None);
        } else if self.partitions.values().any(AssignedPartition::is_dirty) {
            if !self.commit(|_| true, false, None) {
                self.commits.postpone(now);
            }
        } else if is_empty_commit_due {
            // An empty commit for any one partition checks the membership.
            let one =
                self.partitions.values_mut().find_map(|owned| owned.active().is_some().then_some(owned.partition));
            self.commit(|owned| Some(owned.partition) == one, true, None);
        }
    }

    /// Sends a commit for the chosen partitions; with `all` also for those without progress. Returns false if this
    /// worker has nothing that it may commit, if the group has left `generation`, or if the records may be of another
    /// topic.
    ///
    /// The membership is captured here, once, while no rebalance waits for this thread: a partition can change its
    /// owner only in a later generation than this one.
    pub(super) fn commit(
        &mut self,
        chosen: impl Fn(&AssignedPartition) -> bool,
        all: bool,
        generation: Option<i32>,
    ) -> bool {
        let membership = GroupMetadata::capture(&*self.consumer).filter(GroupMetadata::is_member);
        let Some(membership) = membership else {
            self.view.lost_membership();
            return false;
        };
        if generation.is_some_and(|generation| generation != membership.generation()) || self.new_topic_id().is_some() {
            return false;
        }
        let ours = |owned: &&mut AssignedPartition| *owned.member_id == *membership.member_id() && chosen(owned);
        let max_customers_per_commit = self.store.max_customers_per_commit();
        let parts: Vec<_> = self
            .partitions
            .values_mut()
            .filter(ours)
            .filter_map(|owned| owned.next_batch_part(all, max_customers_per_commit))
            .collect();
        let is_some = !parts.is_empty();
        if is_some {
            self.commits.send(Batch { membership, parts }, all);
        }
        is_some
    }
}
