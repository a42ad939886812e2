//! Leaving the group: at once, with everything committed, and within the time that is left.

use std::time::{Duration, Instant};

use balancefleet_kafka::GroupMetadata;
use rdkafka::consumer::Consumer as _;

use super::{Consumer, GroupConsumer};
use crate::status::Status;

/// For the last commit.
const COMMIT: Duration = Duration::from_secs(2);
/// For leaving after it; whoever started the worker has its own deadline above both.
const LEAVE: Duration = Duration::from_millis(700);

impl Consumer {
    /// Commits, leaves, and gives up on whatever takes too long: a session timeout then does the rest.
    pub(super) fn close(&mut self) {
        self.view.set_status(Status::Stopped);
        let owned: Vec<_> = self.partitions.keys().copied().collect();
        let generation = GroupMetadata::capture(&*self.consumer).map_or(-1, |membership| membership.generation());
        if !owned.is_empty()
            && let Err(error) = self.hand_back(&owned, generation, COMMIT)
        {
            tracing::error!(%error, "the last commit failed");
        }
        for partition in &owned {
            self.view.remove_partition(*partition);
        }
        leave(&self.consumer, Instant::now() + LEAVE);
    }
}

/// The client leaves only while it is polled, and only after its partitions were unassigned.
pub(crate) fn leave(consumer: &GroupConsumer, deadline: Instant) {
    if let Err(error) = consumer.close_queue() {
        tracing::warn!(%error, "cannot leave the group; it takes a session timeout to notice");
        return;
    }
    while !consumer.closed() && Instant::now() < deadline {
        drop(consumer.poll(Duration::from_millis(20)));
        while let Some(rebalance) = consumer.context().next_rebalance() {
            tracing::debug!(?rebalance, "answered by letting everything go");
            // Whatever is asked of a closing consumer, librdkafka waits for this.
            if let Err(error) = consumer.unassign() {
                tracing::debug!(%error, "the client refuses an assignment while closing");
            }
        }
    }
    if consumer.closed() {
        tracing::info!("left the group");
    } else {
        tracing::warn!("leaving the group takes too long; its session timeout does the rest");
    }
}
