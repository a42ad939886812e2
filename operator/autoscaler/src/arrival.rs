//! How many records arrive per second and partition: an exponentially weighted mean that jumps when the rate does.
//!
//! The jump (change point) needs two polls that agree. It is what makes one right-sized decision possible: a mean with a
//! time constant of 15 s would creep towards the new rate and take one step after the other.

use std::collections::BTreeMap;
use std::time::Duration;

/// Time constant of the mean: long enough to hide Poisson noise at tens of records per second, short enough for ramps.
const TIME_CONSTANT: Duration = Duration::from_secs(15);

/// A jump is further than this many standard deviations of a Poisson stream of the known rate …
const JUMP_DEVIATIONS: f64 = 6.0;

/// … and further than this part of the known rate.
const JUMP_PART: f64 = 0.15;

/// Deviations within which two figures are taken for the same rate.
const SAME_DEVIATIONS: f64 = 3.0;

/// Polls closer together than this say nothing about a rate; the next one covers their time too.
const SHORTEST: Duration = Duration::from_millis(500);

/// The estimate for all partitions of one topic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrival {
    partitions: BTreeMap<i32, Partition>,
    polled_at: Option<Duration>,
    suspicion: Option<Suspicion>,
}

#[derive(Debug, Clone, Copy)]
struct Partition {
    end: i64,
    end_at: Duration,
    rate: Option<f64>,
    /// End and rate when the present suspicion began.
    base: Option<(i64, f64)>,
}

/// A first poll that looks like a jump.
#[derive(Debug, Clone, Copy)]
struct Suspicion {
    since: Duration,
    upward: bool,
}

/// What one poll saw of one partition: rate since the last poll that knew the partition.
#[derive(Clone, Copy)]
struct Sample {
    partition: i32,
    raw: f64,
    known: f64,
}

impl Arrival {
    /// Takes the ends of the log over that a poll at `now` saw. Partitions that are not among them keep their rate.
    pub(crate) fn update(&mut self, ends: &[(i32, i64)], now: Duration) {
        let span = self.polled_at.map(|before| now.saturating_sub(before));
        if span.is_some_and(|span| span < SHORTEST) {
            return;
        }
        self.polled_at = Some(now);
        let samples = self.samples(ends, now);
        let suspicion = self.suspicion.take();
        if let (Some(span), false) = (span, samples.is_empty()) {
            let jumped = suspicion.is_some_and(|suspicion| self.jump(suspicion, ends, &samples, now));
            if !jumped {
                self.suspicion = suspect(&samples, span, now.saturating_sub(span));
                self.blend(&samples, now);
            }
        }
        self.take_over(ends, now);
    }

    /// Records per second of one partition; 0 until two polls have seen it.
    pub(crate) fn rate_of(&self, partition: i32) -> f64 {
        self.partitions.get(&partition).and_then(|partition| partition.rate).unwrap_or(0.0)
    }

    /// Records per second of all partitions; `None` until two polls have been taken over.
    pub(crate) fn total(&self) -> Option<f64> {
        let mut rates = self.partitions.values().filter_map(|partition| partition.rate).peekable();
        rates.peek()?;
        Some(rates.sum())
    }

    /// Whether the last poll looked like a jump upwards that another poll should confirm.
    pub(crate) fn suspects_more(&self) -> bool {
        self.suspicion.is_some_and(|suspicion| suspicion.upward)
    }

    fn samples(&self, ends: &[(i32, i64)], now: Duration) -> Vec<Sample> {
        let sample = |(partition, end): &(i32, i64)| {
            let before = self.partitions.get(partition)?;
            let span = now.saturating_sub(before.end_at).as_secs_f64();
            // A log that became shorter was truncated: nothing is known of what arrived meanwhile.
            let raw = (*end >= before.end && span > 0.0).then(|| (*end - before.end) as f64 / span)?;
            Some(Sample { partition: *partition, raw, known: before.rate.unwrap_or(raw) })
        };
        ends.iter().filter_map(sample).collect()
    }

    fn blend(&mut self, samples: &[Sample], now: Duration) {
        for sample in samples {
            let Some(partition) = self.partitions.get_mut(&sample.partition) else { continue };
            let span = now.saturating_sub(partition.end_at).as_secs_f64();
            let weight = 1.0 - (-span / TIME_CONSTANT.as_secs_f64()).exp();
            if self.suspicion.is_some() {
                partition.base = Some((partition.end, sample.known));
            }
            partition.rate = Some(sample.known + weight * (sample.raw - sample.known));
        }
    }

    /// Moves to the new rate if this poll agrees with the one before that something has changed.
    fn jump(&mut self, suspicion: Suspicion, ends: &[(i32, i64)], samples: &[Sample], now: Duration) -> bool {
        let since = now.saturating_sub(suspicion.since).as_secs_f64();
        let last = self.span_of(samples, now);
        let (mut base_total, mut pooled_total, mut raw_total) = (0.0, 0.0, 0.0);
        for sample in samples {
            let Some((end, rate)) = self.base_of(sample.partition) else { return false };
            base_total += rate;
            pooled_total += self.grown(ends, sample.partition, end) / since;
            raw_total += sample.raw;
        }
        let change = pooled_total - base_total;
        if !is_jump(base_total, pooled_total, since)
            || (change > 0.0) != suspicion.upward
            || (raw_total - base_total) / change < 0.5
        {
            return false;
        }
        // The first poll may have seen the old rate for a part of its time and then errs towards it: if the last one lies
        // further from the old rate, beyond its own noise, it alone counts.
        let further = (raw_total - pooled_total) * change.signum();
        let newest_only = further > (pooled_total.max(1.0 / last) / last).sqrt();
        let (total, window) = if newest_only { (raw_total, last) } else { (pooled_total, since) };
        for sample in samples {
            let Some((end, rate)) = self.base_of(sample.partition) else { continue };
            let seen = if newest_only { sample.raw } else { self.grown(ends, sample.partition, end) / since };
            let scaled = if base_total > 0.0 { rate * total / base_total } else { seen };
            // A second's worth of one partition is noisy: it keeps its share of the total unless it clearly differs.
            let differs = (seen - scaled).abs() > SAME_DEVIATIONS * (scaled.max(1.0 / window) / window).sqrt();
            if let Some(partition) = self.partitions.get_mut(&sample.partition) {
                partition.rate = Some(if differs { seen } else { scaled });
            }
        }
        true
    }

    fn base_of(&self, partition: i32) -> Option<(i64, f64)> {
        self.partitions.get(&partition)?.base
    }

    fn grown(&self, ends: &[(i32, i64)], partition: i32, since_end: i64) -> f64 {
        ends.iter().find(|(number, _)| *number == partition).map_or(0.0, |(_, end)| (end - since_end) as f64)
    }

    fn span_of(&self, samples: &[Sample], now: Duration) -> f64 {
        let longest = samples.iter().filter_map(|sample| Some(self.partitions.get(&sample.partition)?.end_at)).min();
        longest.map_or(1.0, |before| now.saturating_sub(before).as_secs_f64())
    }

    fn take_over(&mut self, ends: &[(i32, i64)], now: Duration) {
        let suspects = self.suspicion.is_some();
        for (number, end) in ends {
            let new = Partition { end: *end, end_at: now, rate: None, base: None };
            let partition = self.partitions.entry(*number).or_insert(new);
            (partition.end, partition.end_at) = (*end, now);
            if !suspects {
                partition.base = None;
            }
        }
    }
}

/// Whether `seen` over `span` seconds cannot be a stream of the rate `known`.
fn is_jump(known: f64, seen: f64, span: f64) -> bool {
    let deviation = (known.max(1.0 / span) / span).sqrt();
    let distance = (seen - known).abs();
    distance > JUMP_DEVIATIONS * deviation && distance > JUMP_PART * known
}

fn suspect(samples: &[Sample], span: Duration, since: Duration) -> Option<Suspicion> {
    let known: f64 = samples.iter().map(|sample| sample.known).sum();
    let raw: f64 = samples.iter().map(|sample| sample.raw).sum();
    is_jump(known, raw, span.as_secs_f64()).then_some(Suspicion { since, upward: raw > known })
}
