//! How many records arrive per second and partition: an exponentially weighted mean that jumps when the rate does.
//!
//! The jump (change point) needs two polls that agree. Because of it, one decision of the right size answers a new
//! rate: a mean with a time constant of 15 s alone would creep towards the new rate, one scaling step after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::tuning::{
    ARRIVAL_TIME_CONSTANT, JUMP_DEVIATIONS, JUMP_FRACTION, MIN_CONFIRMED_FRACTION, MIN_RATE_INTERVAL,
    SAME_RATE_DEVIATIONS,
};

/// The estimate for all partitions of one topic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrival {
    partitions: BTreeMap<i32, Partition>,
    polled_at: Option<Duration>,
    change_point: Option<ChangePoint>,
}

#[derive(Debug, Clone, Copy)]
struct Partition {
    end: i64,
    end_at: Duration,
    rate: Option<f64>,
    /// End of the log and rate before the suspected change point.
    base: Option<(i64, f64)>,
}

/// A suspected change point: one poll that looks like a jump and is not confirmed yet.
#[derive(Debug, Clone, Copy)]
struct ChangePoint {
    since: Duration,
    upward: bool,
}

/// What one poll saw of one partition.
#[derive(Clone, Copy)]
struct Sample {
    partition: i32,
    /// The rate since the last poll that knew the partition.
    raw: f64,
    /// The smoothed rate so far.
    known: f64,
}

impl Arrival {
    /// Records the ends of the logs that a poll at `now` saw. Partitions without an end keep their rate.
    pub(crate) fn update(&mut self, ends: &[(i32, i64)], now: Duration) {
        let span = self.polled_at.map(|before| now.saturating_sub(before));
        if span.is_some_and(|span| span < MIN_RATE_INTERVAL) {
            return;
        }
        self.polled_at = Some(now);
        let samples = self.samples(ends, now);
        let change_point = self.change_point.take();
        if let (Some(span), false) = (span, samples.is_empty()) {
            let jumped = change_point.is_some_and(|change_point| self.jump(change_point, ends, &samples, now));
            if !jumped {
                self.change_point = detect_change_point(&samples, span, now.saturating_sub(span));
                self.smooth(&samples, now);
            }
        }
        self.record_ends(ends, now);
    }

    /// Records per second of one partition; 0 until two polls have seen it.
    pub(crate) fn rate_of(&self, partition: i32) -> f64 {
        self.partitions.get(&partition).and_then(|partition| partition.rate).unwrap_or(0.0)
    }

    /// Records per second of all partitions; `None` until two polls were recorded.
    pub(crate) fn total(&self) -> Option<f64> {
        let mut rates = self.partitions.values().filter_map(|partition| partition.rate).peekable();
        rates.peek()?;
        Some(rates.sum())
    }

    /// Whether the last poll looked like a jump upwards that another poll should confirm.
    pub(crate) fn suspects_rise(&self) -> bool {
        self.change_point.is_some_and(|change_point| change_point.upward)
    }

    fn samples(&self, ends: &[(i32, i64)], now: Duration) -> Vec<Sample> {
        let sample = |(partition, end): &(i32, i64)| {
            let before = self.partitions.get(partition)?;
            let span = now.saturating_sub(before.end_at).as_secs_f64();
            // A log that became shorter was truncated: what arrived in between is unknown.
            let raw = (*end >= before.end && span > 0.0).then(|| end.saturating_sub(before.end) as f64 / span)?;
            Some(Sample { partition: *partition, raw, known: before.rate.unwrap_or(raw) })
        };
        ends.iter().filter_map(sample).collect()
    }

    fn smooth(&mut self, samples: &[Sample], now: Duration) {
        for sample in samples {
            let Some(partition) = self.partitions.get_mut(&sample.partition) else { continue };
            let span = now.saturating_sub(partition.end_at).as_secs_f64();
            let weight = 1.0 - (-span / ARRIVAL_TIME_CONSTANT.as_secs_f64()).exp();
            if self.change_point.is_some() {
                partition.base = Some((partition.end, sample.known));
            }
            partition.rate = Some(sample.known + weight * (sample.raw - sample.known));
        }
    }

    /// Moves to the new rate if this poll confirms the change that the poll before suspected.
    fn jump(&mut self, change_point: ChangePoint, ends: &[(i32, i64)], samples: &[Sample], now: Duration) -> bool {
        let since = now.saturating_sub(change_point.since).as_secs_f64();
        let ends: BTreeMap<i32, i64> = ends.iter().copied().collect();
        let grown = |partition: i32, end: i64| ends.get(&partition).map_or(0.0, |now| now.saturating_sub(end) as f64);
        let last = self.span_of(samples, now);
        let (mut base_total, mut total_since_change, mut raw_total) = (0.0, 0.0, 0.0);
        for sample in samples {
            let Some((end, rate)) = self.base_of(sample.partition) else { return false };
            base_total += rate;
            total_since_change += grown(sample.partition, end) / since;
            raw_total += sample.raw;
        }
        let change = total_since_change - base_total;
        if !is_jump(base_total, total_since_change, since)
            || (change > 0.0) != change_point.upward
            || (raw_total - base_total) / change < MIN_CONFIRMED_FRACTION
        {
            return false;
        }
        // The first poll may cover some time at the old rate, and then its rate is too close to the old one. If the
        // last poll is further from the old rate, by more than its own noise, it alone counts.
        let further = (raw_total - total_since_change) * change.signum();
        let newest_only = further > (total_since_change.max(1.0 / last) / last).sqrt();
        let (total, window) = if newest_only { (raw_total, last) } else { (total_since_change, since) };
        for sample in samples {
            let Some((end, rate)) = self.base_of(sample.partition) else { continue };
            let seen = if newest_only { sample.raw } else { grown(sample.partition, end) / since };
            let scaled = if base_total > 0.0 { rate * total / base_total } else { seen };
            // The records of one partition in one second are noisy: it keeps its share of the total unless it clearly
            // differs.
            let differs = (seen - scaled).abs() > SAME_RATE_DEVIATIONS * (scaled.max(1.0 / window) / window).sqrt();
            if let Some(partition) = self.partitions.get_mut(&sample.partition) {
                partition.rate = Some(if differs { seen } else { scaled });
            }
        }
        true
    }

    fn base_of(&self, partition: i32) -> Option<(i64, f64)> {
        self.partitions.get(&partition)?.base
    }

    fn span_of(&self, samples: &[Sample], now: Duration) -> f64 {
        let longest = samples.iter().filter_map(|sample| Some(self.partitions.get(&sample.partition)?.end_at)).min();
        longest.map_or(1.0, |before| now.saturating_sub(before).as_secs_f64())
    }

    fn record_ends(&mut self, ends: &[(i32, i64)], now: Duration) {
        let is_suspected = self.change_point.is_some();
        for (number, end) in ends {
            let new = Partition { end: *end, end_at: now, rate: None, base: None };
            let partition = self.partitions.entry(*number).or_insert(new);
            (partition.end, partition.end_at) = (*end, now);
            if !is_suspected {
                partition.base = None;
            }
        }
    }
}

/// Whether `seen` over `span` seconds cannot be a stream of the rate `known`.
fn is_jump(known: f64, seen: f64, span: f64) -> bool {
    let deviation = (known.max(1.0 / span) / span).sqrt();
    let distance = (seen - known).abs();
    distance > JUMP_DEVIATIONS * deviation && distance > JUMP_FRACTION * known
}

fn detect_change_point(samples: &[Sample], span: Duration, since: Duration) -> Option<ChangePoint> {
    let known: f64 = samples.iter().map(|sample| sample.known).sum();
    let raw: f64 = samples.iter().map(|sample| sample.raw).sum();
    is_jump(known, raw, span.as_secs_f64()).then_some(ChangePoint { since, upward: raw > known })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six equal partitions that have had `rate` records per second in all, polled every 5 s.
    struct Stream {
        arrival: Arrival,
        ends: [f64; 6],
        now: f64,
    }

    impl Stream {
        fn steady(rate: f64) -> Self {
            let mut stream = Self { arrival: Arrival::default(), ends: [0.0; 6], now: 0.0 };
            (0..20).for_each(|_| stream.poll(5.0, [rate / 6.0; 6]));
            stream
        }

        fn flow(&mut self, seconds: f64, rates: [f64; 6]) {
            self.now += seconds;
            self.ends.iter_mut().zip(rates).for_each(|(end, rate)| *end += rate * seconds);
        }

        fn poll(&mut self, seconds: f64, rates: [f64; 6]) {
            self.flow(seconds, rates);
            let ends: Vec<(i32, i64)> = (0..).zip(self.ends.map(|end| end as i64)).collect();
            self.arrival.update(&ends, Duration::from_secs_f64(self.now));
        }

        fn total(&self) -> f64 {
            self.arrival.total().expect("a rate")
        }
    }

    #[test]
    fn the_rate_is_unknown_until_two_polls() {
        let mut arrival = Arrival::default();
        arrival.update(&[(0, 100)], Duration::from_secs(1));
        assert_eq!(arrival.total(), None);
        arrival.update(&[(0, 150)], Duration::from_secs(6));
        assert_eq!(arrival.total(), Some(10.0));
    }

    #[test]
    fn a_jump_needs_two_polls_that_agree() {
        let mut stream = Stream::steady(100.0);
        stream.poll(5.0, [50.0; 6]);
        assert!(stream.arrival.suspects_rise());
        assert!((150.0..170.0).contains(&stream.total()), "{}", stream.total());
        stream.poll(1.0, [50.0; 6]);
        assert!(!stream.arrival.suspects_rise());
        assert!((stream.total() - 300.0).abs() < 3.0, "{}", stream.total());
    }

    #[test]
    fn a_first_poll_that_saw_the_old_rate_for_a_part_of_its_time_does_not_blur_the_new_one() {
        let mut stream = Stream::steady(100.0);
        stream.flow(3.0, [100.0 / 6.0; 6]);
        stream.poll(2.0, [50.0; 6]);
        stream.poll(1.0, [50.0; 6]);
        assert!((stream.total() - 300.0).abs() < 10.0, "{}", stream.total());
    }

    #[test]
    fn one_batch_is_no_new_rate() {
        let mut stream = Stream::steady(100.0);
        stream.poll(5.0, [50.0; 6]);
        stream.poll(1.0, [100.0 / 6.0; 6]);
        assert!(stream.total() < 170.0, "{}", stream.total());
        (0..12).for_each(|_| stream.poll(5.0, [100.0 / 6.0; 6]));
        assert!((stream.total() - 100.0).abs() < 5.0, "{}", stream.total());
    }

    #[test]
    fn a_partition_that_becomes_hot_alone_is_told_from_the_others() {
        let mut stream = Stream::steady(120.0);
        for seconds in [5.0, 1.0] {
            stream.poll(seconds, [200.0, 20.0, 20.0, 20.0, 20.0, 20.0]);
        }
        assert!((stream.arrival.rate_of(0) - 200.0).abs() < 5.0, "{}", stream.arrival.rate_of(0));
        assert!((stream.arrival.rate_of(1) - 20.0).abs() < 5.0, "{}", stream.arrival.rate_of(1));
    }

    #[test]
    fn a_fall_is_seen_as_fast_as_a_rise_but_asks_for_no_extra_poll() {
        let mut stream = Stream::steady(600.0);
        stream.poll(5.0, [2.0; 6]);
        assert!(!stream.arrival.suspects_rise());
        stream.poll(5.0, [2.0; 6]);
        assert!(stream.total() < 15.0, "{}", stream.total());
    }

    #[test]
    fn a_truncated_log_is_no_negative_rate() {
        let mut arrival = Arrival::default();
        for (second, end) in [(0, 1_000), (5, 1_100), (10, 30), (15, 130)] {
            arrival.update(&[(0, end)], Duration::from_secs(second));
            assert!(arrival.total().is_none_or(|rate| (rate - 20.0).abs() < 0.1), "{:?}", arrival.total());
        }
    }
}
