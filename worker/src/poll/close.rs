//! The end of the poll thread: it commits everything and leaves the group within the remaining time.

use std::time::{Duration, Instant};

use balancefleet_kafka::GroupMetadata;

use super::PollLoop;
use crate::{leave_group::leave, status::Status};

/// The time for the last commit, counted from the order to stop.
pub(super) const LAST_COMMIT: Duration = Duration::from_secs(2);
/// The least time for leaving the group after it. The pod's grace period must be longer than both.
const LEAVE: Duration = Duration::from_millis(700);

impl PollLoop {
    /// Commits and leaves the group. What takes too long is given up: the group then waits for a session timeout.
    pub(super) fn close(&mut self) {
        self.view.set_status(Status::Stopped);
        let begun = self.stop.ordered_at().unwrap_or_else(Instant::now);
        let handed_back = self.unanswered_revocation.as_deref().unwrap_or_default();
        let owned: Vec<_> = self.partitions.keys().copied().filter(|it| !handed_back.contains(it)).collect();
        let generation = GroupMetadata::capture(&*self.consumer).map_or(-1, |membership| membership.generation());
        if !owned.is_empty()
            && let Err(error) = self.hand_back(&owned, generation, begun + LAST_COMMIT)
        {
            tracing::error!(%error, "the last commit failed");
        }
        self.leave_group(begun + LAST_COMMIT + LEAVE);
    }

    /// Leaves the group without a commit, so that the other workers need not wait for a session timeout.
    pub(super) fn abandon(&mut self) {
        self.view.set_status(Status::FatalError);
        self.leave_group(Instant::now() + LEAVE);
    }

    fn leave_group(&self, deadline: Instant) {
        for partition in self.partitions.keys() {
            self.view.remove_partition(*partition);
        }
        // Even without partitions: an eager group asks a member for all that it has, including none.
        let is_asked = self.unanswered_revocation.is_some();
        leave(&self.consumer, &self.admin, &self.view.worker_info().group_id, is_asked, deadline);
    }
}
