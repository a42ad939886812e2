//! Whether a group's lag grows: the only evidence while nothing is known about a worker's capacity.

use std::collections::VecDeque;
use std::time::Duration;

use crate::tuning::{MAX_TREND_SPAN, MIN_GROWTH_FRACTION, MIN_TREND_SPAN, SAWTOOTH_FACTOR};

/// The lag of the last polls that knew it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trend {
    points: VecDeque<(Duration, i64)>,
}

impl Trend {
    /// Adds the lag of a poll; a poll with unknown lag starts the series again.
    pub(crate) fn push(&mut self, now: Duration, lag: Option<i64>) {
        let Some(lag) = lag else {
            self.points.clear();
            return;
        };
        self.points.push_back((now, lag));
        while self.points.front().is_some_and(|(at, _)| now.saturating_sub(*at) > MAX_TREND_SPAN) {
            self.points.pop_front();
        }
    }

    /// Whether lag grows by more than a commit every `commit_interval` explains.
    pub(crate) fn is_growing(&self, commit_interval: Duration, arrival_rate: f64) -> bool {
        let jitter = SAWTOOTH_FACTOR * arrival_rate * commit_interval.as_secs_f64();
        self.since_older_than(MIN_TREND_SPAN.max(commit_interval * 2))
            .any(|(span, growth)| growth > 0.0 && growth > jitter + MIN_GROWTH_FRACTION * arrival_rate * span)
    }

    /// Whether lag shrank over the shortest time that can be judged.
    pub(crate) fn is_shrinking(&self, commit_interval: Duration) -> bool {
        self.since_older_than(MIN_TREND_SPAN.max(commit_interval * 2)).next().is_some_and(|(_, growth)| growth < 0.0)
    }

    /// (seconds, records) by which lag grew since each of the polls that are at least `window` old, the newest first.
    fn since_older_than(&self, window: Duration) -> impl Iterator<Item = (f64, f64)> {
        let newest = self.points.back().copied();
        self.points.iter().rev().filter_map(move |(then, before)| {
            let (now, lag) = newest?;
            let span = now.saturating_sub(*then);
            (span >= window).then(|| (span.as_secs_f64(), (lag - before) as f64))
        })
    }
}
