//! Back-pressure: how much may be uncommitted, and what happens beyond that.

use std::time::{Duration, Instant};

use rdkafka::{TopicPartitionList, consumer::Consumer as _};

use super::{Fatal, PollLoop, active::Active, partition::Stage};

/// This many bytes of dead letters make a commit due at once, as [`Commits::most_customers`] do.
///
/// [`Commits::most_customers`]: super::commits::Commits::most_customers
const FULL_BYTES: usize = 8 << 20;
/// So many changed customers for one commit do not gather near the end of the log.
const BACKLOG: usize = 10_000;
/// How long the worker waits for the running commit before it pauses the client.
const PAUSE_AFTER: Duration = Duration::from_millis(500);

impl PollLoop {
    /// Whether the next commit is so large that it must not wait.
    pub(super) fn is_full(&self) -> bool {
        let (customers, bytes) = self.sum(Active::pending_size);
        customers >= self.commits.most_customers() || bytes >= FULL_BYTES
    }

    /// Whether the next commit is a large one, although the client may just have had nothing to deliver.
    pub(super) fn has_backlog(&self) -> bool {
        self.sum(Active::pending_size).0 >= BACKLOG
    }

    /// Whether so much is uncommitted that no more records may be processed: a commit is running and the next one is
    /// already full, or commits are refused again and again.
    fn is_overfull(&self) -> bool {
        let (customers, bytes) = self.sum(Active::uncommitted_size);
        customers >= 2 * self.commits.most_customers() || bytes >= 2 * FULL_BYTES
    }

    fn sum(&self, part: impl Fn(&Active) -> (usize, usize)) -> (usize, usize) {
        let parts = self.partitions.values().filter_map(|owned| match &owned.stage {
            Stage::Active(active) => Some(part(active)),
            _ => None,
        });
        parts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    pub(super) fn apply_backpressure(&mut self) -> Result<(), Fatal> {
        if !self.is_overfull() {
            return if self.is_paused { self.pause(false) } else { Ok(()) };
        }
        if self.is_paused {
            return Ok(());
        }
        let soon = Instant::now() + PAUSE_AFTER;
        if self.commits.is_running() && self.await_report(soon)? { Ok(()) } else { self.pause(true) }
    }

    /// Pauses or resumes fetching; failed partitions stay paused.
    pub(super) fn pause(&mut self, paused: bool) -> Result<(), Fatal> {
        let mut list = TopicPartitionList::new();
        for owned in self.partitions.values().filter(|owned| matches!(owned.stage, Stage::Active(_))) {
            list.add_partition(&self.topic, owned.partition);
        }
        let outcome = if paused { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
        outcome.map_err(Fatal::Rebalance)?;
        if paused {
            tracing::warn!("back-pressure: uncommitted changes at limit, consumption paused");
        } else {
            tracing::info!("back-pressure released, consumption resumed");
        }
        self.is_paused = paused;
        self.fetch_wakeups.begin(Instant::now());
        Ok(())
    }
}
