//! What is kept of one partition from poll to poll.

use std::collections::VecDeque;
use std::time::Duration;

use crate::age::EndSamples;
use crate::observation::{Committed, PartitionReading, Usage};
use crate::tuning::{COMMIT_INTERVAL_SAMPLES, MARKERS_AFTER, MAX_COMMIT_INTERVAL, MAX_MARKERS, MIN_COMMIT_INTERVAL};

/// One partition as the polls have shown it.
#[derive(Debug, Clone)]
pub(crate) struct PartitionState {
    pub(crate) ends: EndSamples,
    /// The end of the log when the partition was first seen.
    pub(crate) first_end: i64,
    /// The end of the log at the last poll that knew it, and the time of that poll.
    pub(crate) end: i64,
    pub(crate) end_at: Duration,
    pub(crate) committed: Option<i64>,
    /// The poll that saw the last commit.
    pub(crate) committed_at: Option<Duration>,
    /// The first poll that knew the partition.
    first_at: Option<Duration>,
    /// Since when neither the end nor the commit has moved.
    still_since: Duration,
    commit_intervals: VecDeque<Duration>,
    pub(crate) usage: Option<(Duration, Usage)>,
    /// The lag at the last poll that knew it.
    pub(crate) lag: i64,
}

impl PartitionState {
    pub(crate) fn new(now: Duration, end: i64) -> Self {
        Self {
            ends: EndSamples::default(),
            first_end: end,
            end,
            end_at: now,
            committed: None,
            committed_at: None,
            first_at: None,
            still_since: now,
            commit_intervals: VecDeque::new(),
            usage: None,
            lag: 0,
        }
    }

    /// Records a reading; one without a known end changes nothing.
    pub(crate) fn update(&mut self, reading: &PartitionReading, now: Duration) {
        let Some(latest) = reading.latest else { return };
        let had_work = self.committed.is_some_and(|committed| committed < self.end);
        if latest != self.end {
            self.still_since = now;
        }
        if let Committed::At(committed) = reading.committed
            && self.committed != Some(committed)
        {
            self.committed = Some(committed);
            self.still_since = now;
            // The commit that the first poll finds may be of any earlier time.
            if self.first_at.is_some() {
                let before = self.committed_at.replace(now);
                // An interval in which there was nothing to commit says nothing about how often the group commits.
                self.commit_intervals.extend(before.filter(|_| had_work).map(|before| now.saturating_sub(before)));
                self.commit_intervals.keep_newest(COMMIT_INTERVAL_SAMPLES);
            }
        }
        self.first_at.get_or_insert(now);
        self.ends.push(now, latest);
        self.end = latest;
        self.end_at = now;
    }

    /// The median time between two commits, as far as polls can see it; `None` until two were seen.
    pub(crate) fn known_commit_interval(&self) -> Option<Duration> {
        let mut intervals: Vec<Duration> = self.commit_intervals.iter().copied().collect();
        intervals.sort_unstable();
        intervals.get(intervals.len() / 2).copied()
    }

    /// The known commit interval. Until it is known: the time since the last commit that was seen, or since the first
    /// poll, from [`MIN_COMMIT_INTERVAL`] to [`MAX_COMMIT_INTERVAL`].
    pub(crate) fn commit_interval(&self) -> Duration {
        let waited_since = self.committed_at.or(self.first_at).unwrap_or(self.end_at);
        let waited = self.end_at.saturating_sub(waited_since);
        self.known_commit_interval().unwrap_or(waited.clamp(MIN_COMMIT_INTERVAL, MAX_COMMIT_INTERVAL))
    }

    /// Whether `lag` records before the end can only be transaction markers, which no consumer ever commits past.
    pub(crate) fn only_markers(&self, lag: i64, now: Duration) -> bool {
        (1..=MAX_MARKERS).contains(&lag)
            && self.committed.is_some()
            && now.saturating_sub(self.still_since) >= MARKERS_AFTER
    }
}

/// Keeping only the newest entries of a queue.
pub(crate) trait KeepNewest {
    fn keep_newest(&mut self, length: usize);
}

impl<T> KeepNewest for VecDeque<T> {
    fn keep_newest(&mut self, length: usize) {
        let surplus = self.len().saturating_sub(length);
        self.drain(..surplus);
    }
}
