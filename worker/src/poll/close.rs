//! The end of the poll thread: everything is committed and the group left, within the time that is left.

use std::time::{Duration, Instant};

use balancefleet_kafka::GroupMetadata;

use super::PollLoop;
use crate::{leave_group::leave, status::Status};

/// For the last commit, from the order to stop.
pub(super) const LAST_COMMIT: Duration = Duration::from_secs(2);
/// For leaving after it, at least; whoever started the worker has its own deadline above both.
const LEAVE: Duration = Duration::from_millis(700);

impl PollLoop {
    /// Commits, leaves, and gives up on whatever takes too long: a session timeout then does the rest.
    pub(super) fn close(&mut self) {
        self.view.set_status(Status::Stopped);
        let begun = self.stop.ordered_at().unwrap_or_else(Instant::now);
        let handed_back = self.unanswered.as_deref().unwrap_or_default();
        let owned: Vec<_> = self.partitions.keys().copied().filter(|it| !handed_back.contains(it)).collect();
        let generation = GroupMetadata::capture(&*self.consumer).map_or(-1, |membership| membership.generation());
        if !owned.is_empty()
            && let Err(error) = self.hand_back(&owned, generation, begun + LAST_COMMIT)
        {
            tracing::error!(%error, "the last commit failed");
        }
        self.go(begun + LAST_COMMIT + LEAVE);
    }

    /// Leaves without a commit: this worker cannot go on, but others can, and need not wait for a session timeout.
    pub(super) fn abandon(&mut self) {
        self.view.set_status(Status::FatalError);
        self.go(Instant::now() + LEAVE);
    }

    fn go(&self, deadline: Instant) {
        for partition in self.partitions.keys() {
            self.view.remove_partition(*partition);
        }
        // Also for no partitions: a member of an eager group is asked for those it has, none included.
        let is_asked = self.unanswered.is_some();
        leave(&self.consumer, &self.admin, &self.view.worker_info().group_id, is_asked, deadline);
    }
}
