//! What one worker can process, in records per second. The best source that is available wins: reported busy time, then
//! the rate of workers with a standing backlog, then `expectedRatePerReplica` or, if higher or alone, the highest rate
//! observed. The rate under a backlog also wins over a busy time that claims much more ([`MAX_BUSY_OVER_SATURATED`]).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::decision::{Capacity, CapacitySource};
use crate::partition::KeepNewest;
use crate::tuning::{
    BUSY_QUANTILE, BUSY_SAMPLES, BUSY_WINDOW, MAX_BUSY_OVER_SATURATED, MIN_BUSY_FRACTION, MIN_CONSUMPTION_SPAN,
    MIN_SAMPLE_RECORDS, SATURATED_INTERVALS, SATURATED_SAMPLES,
};

/// What one poll saw one worker do.
#[derive(Debug, Clone)]
pub(crate) struct WorkerSample {
    pub(crate) id: String,
    pub(crate) partitions: Vec<i32>,
    /// Sum of the committed offsets; `None` if one of them is unknown or absent.
    pub(crate) committed: Option<i64>,
    /// Whether one of the committed offsets moved at this poll.
    pub(crate) moved: bool,
    /// Unread records.
    pub(crate) lag: i64,
    /// Records per second that arrive in its partitions.
    pub(crate) arrival_rate: f64,
    /// The longest commit interval of its partitions.
    pub(crate) commit_interval: Duration,
    /// Work reported since the last report; `None` if the worker does not report.
    pub(crate) usage: Option<UsageDelta>,
}

/// What a worker reported since its last report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UsageDelta {
    pub(crate) records: u64,
    pub(crate) busy: Duration,
    pub(crate) elapsed: Duration,
}

/// A stretch of time over which a worker's consumption is measured.
#[derive(Debug, Clone)]
struct Span {
    since: Duration,
    committed: i64,
    partitions: Vec<i32>,
    least_lag: i64,
    most_arrivals: f64,
}

/// Everything learned about a worker's capacity under the present pod template.
#[derive(Debug, Clone, Default)]
pub(crate) struct CapacityEstimate {
    busy: VecDeque<(Duration, f64)>,
    saturated: VecDeque<f64>,
    max_observed_rate: Option<f64>,
    spans: BTreeMap<String, Span>,
}

impl CapacityEstimate {
    /// Begins with what was learned before. `expectedRatePerReplica` is not learned.
    pub(crate) fn resume(learned: Capacity) -> Self {
        let mut estimate = Self::default();
        match learned.source {
            CapacitySource::BusyTime => estimate.busy.push_back((Duration::ZERO, learned.rate)),
            CapacitySource::Saturation => estimate.saturated.push_back(learned.rate),
            CapacitySource::LowerBound => estimate.max_observed_rate = Some(learned.rate),
            CapacitySource::Expected => {}
        }
        estimate
    }

    /// Records what a poll at `now` saw of every live worker.
    pub(crate) fn update(&mut self, workers: &[WorkerSample], now: Duration) {
        self.spans.retain(|id, _| workers.iter().any(|worker| worker.id == *id));
        for worker in workers {
            if let Some(usage) = worker.usage {
                self.record_usage(usage, now);
            }
            self.record_consumption(worker, now);
        }
    }

    /// The best estimate; `expected` is `expectedRatePerReplica`.
    pub(crate) fn estimate(&self, expected: Option<f64>) -> Option<Capacity> {
        let saturated = quantile(self.saturated.iter().copied(), 0.5);
        let busy = quantile(self.busy.iter().map(|(_, rate)| *rate), BUSY_QUANTILE);
        let capacity = |rate, source| Some(Capacity { rate, source });
        match (busy, saturated) {
            (Some(busy), Some(saturated)) if busy > MAX_BUSY_OVER_SATURATED * saturated => {
                capacity(saturated, CapacitySource::Saturation)
            }
            (Some(busy), _) => capacity(busy, CapacitySource::BusyTime),
            (None, Some(saturated)) => capacity(saturated, CapacitySource::Saturation),
            (None, None) => match (expected, self.max_observed_rate) {
                (Some(expected), seen) => capacity(expected.max(seen.unwrap_or(0.0)), CapacitySource::Expected),
                (None, Some(seen)) => capacity(seen, CapacitySource::LowerBound),
                (None, None) => None,
            },
        }
    }

    fn record_usage(&mut self, usage: UsageDelta, now: Duration) {
        let (busy, elapsed) = (usage.busy.as_secs_f64(), usage.elapsed.as_secs_f64());
        if usage.records < MIN_SAMPLE_RECORDS || busy <= 0.0 || elapsed <= 0.0 {
            return;
        }
        let rate = usage.records as f64 / busy;
        if busy / elapsed < MIN_BUSY_FRACTION {
            // Hardly busy: it could do more, but at most ten times as much is assumed.
            self.record_rate(rate.min(usage.records as f64 / elapsed / MIN_BUSY_FRACTION));
            return;
        }
        self.busy.push_back((now, rate));
        self.busy.keep_newest(BUSY_SAMPLES);
        while self.busy.front().is_some_and(|(at, _)| now.saturating_sub(*at) > BUSY_WINDOW) {
            self.busy.pop_front();
        }
    }

    fn record_consumption(&mut self, worker: &WorkerSample, now: Duration) {
        let Some(committed) = worker.committed else {
            self.spans.remove(&worker.id);
            return;
        };
        let begin = Span {
            since: now,
            committed,
            partitions: worker.partitions.clone(),
            least_lag: worker.lag,
            most_arrivals: worker.arrival_rate,
        };
        let Some(span) = self.spans.get_mut(&worker.id) else {
            // A span begins and ends with a commit: in between the worker's true position is unknown.
            if worker.moved {
                self.spans.insert(worker.id.clone(), begin);
            }
            return;
        };
        if span.partitions != worker.partitions || committed < span.committed {
            self.spans.remove(&worker.id);
            return;
        }
        span.least_lag = span.least_lag.min(worker.lag);
        span.most_arrivals = span.most_arrivals.max(worker.arrival_rate);
        let length = now.saturating_sub(span.since);
        if !worker.moved || length < MIN_CONSUMPTION_SPAN.max(worker.commit_interval * 2) {
            return;
        }
        let rate = committed.saturating_sub(span.committed) as f64 / length.as_secs_f64();
        let in_flight = SATURATED_INTERVALS * worker.commit_interval.as_secs_f64() * rate.max(span.most_arrivals);
        let saturated = span.least_lag as f64 > in_flight;
        *span = begin;
        if rate > 0.0 {
            self.record_rate(rate);
        }
        if saturated && rate > 0.0 {
            self.saturated.push_back(rate);
            self.saturated.keep_newest(SATURATED_SAMPLES);
        }
    }

    fn record_rate(&mut self, rate: f64) {
        self.max_observed_rate = Some(self.max_observed_rate.map_or(rate, |most| most.max(rate)));
    }
}

/// The value below which the given part of the values lies; `None` without values.
fn quantile(values: impl Iterator<Item = f64>, part: f64) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    values.get((last as f64 * part).floor() as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(usage: Option<UsageDelta>) -> WorkerSample {
        WorkerSample {
            id: "m".into(),
            partitions: vec![0],
            committed: None,
            moved: true,
            lag: 0,
            arrival_rate: 0.0,
            commit_interval: Duration::from_secs(1),
            usage,
        }
    }

    fn usage(records: u64, busy_millis: u64, elapsed_millis: u64) -> Option<UsageDelta> {
        Some(UsageDelta {
            records,
            busy: Duration::from_millis(busy_millis),
            elapsed: Duration::from_millis(elapsed_millis),
        })
    }

    fn of(samples: &[Option<UsageDelta>]) -> CapacityEstimate {
        let mut estimate = CapacityEstimate::default();
        for (poll, sample) in (0..).zip(samples) {
            estimate.update(&[worker(*sample)], Duration::from_secs(poll * 5));
        }
        estimate
    }

    /// A worker that processes `rate` a second with `lag` unread, for a minute.
    fn consuming(estimate: &mut CapacityEstimate, rate: i64, lag: i64) {
        for poll in 0..13 {
            let sample = WorkerSample { committed: Some(poll * 5 * rate), lag, ..worker(None) };
            estimate.update(&[sample], Duration::from_secs(poll.unsigned_abs() * 5));
        }
    }

    #[test]
    fn records_by_busy_time_are_what_a_worker_can_do() {
        let estimate = of(&[usage(70, 500, 5_000), usage(140, 1_000, 5_000)]);
        assert_eq!(estimate.estimate(Some(10.0)), Some(Capacity { rate: 140.0, source: CapacitySource::BusyTime }));
    }

    #[test]
    fn an_idle_worker_is_believed_up_to_a_tenfold_of_what_it_does() {
        let estimate = of(&[usage(50, 1, 5_000)]);
        assert_eq!(estimate.estimate(None), Some(Capacity { rate: 100.0, source: CapacitySource::LowerBound }));
        assert_eq!(estimate.estimate(Some(70.0)).map(|it| it.source), Some(CapacitySource::Expected));
    }

    #[test]
    fn an_idle_night_forgets_nothing() {
        let mut estimate = of(&[usage(140, 1_000, 5_000)]);
        estimate.update(&[worker(usage(20, 1, 5_000))], Duration::from_secs(8 * 3_600));
        assert_eq!(estimate.estimate(None), Some(Capacity { rate: 140.0, source: CapacitySource::BusyTime }));
    }

    #[test]
    fn a_handful_of_records_is_no_sample() {
        assert_eq!(of(&[usage(9, 500, 5_000), usage(50, 0, 5_000), None]).estimate(None), None);
    }

    #[test]
    fn consumption_without_a_standing_backlog_is_a_lower_bound_only() {
        let mut estimate = CapacityEstimate::default();
        consuming(&mut estimate, 80, 60);
        assert_eq!(estimate.estimate(None), Some(Capacity { rate: 80.0, source: CapacitySource::LowerBound }));
    }

    #[test]
    fn consumption_under_a_standing_backlog_is_the_capacity() {
        let mut estimate = CapacityEstimate::default();
        consuming(&mut estimate, 80, 5_000);
        assert_eq!(estimate.estimate(None), Some(Capacity { rate: 80.0, source: CapacitySource::Saturation }));
    }

    #[test]
    fn busy_time_that_promises_more_than_saturated_workers_show_is_not_believed() {
        let mut estimate = of(&[usage(140, 1_000, 5_000)]);
        consuming(&mut estimate, 80, 5_000);
        assert_eq!(estimate.estimate(None), Some(Capacity { rate: 80.0, source: CapacitySource::Saturation }));
    }
}
