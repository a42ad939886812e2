//! The numbers that tune the estimates and the decision, with unit, reason and origin. *Chosen* means: by
//! judgement and checked by the tests of this crate, not taken from a published result.

use std::time::Duration;

// Polls.

/// How often a group is polled; callers add jitter. Chosen: a decision takes two polls, so a burst is answered within
/// 10 s, at the cost of five kinds of calls per cluster and poll.
pub const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Time until a poll that confirms another one. Chosen: short enough to answer a burst within seconds, long enough for
/// the records of that time to show the rate.
pub const CONFIRM_AFTER: Duration = Duration::from_secs(1);

// Lag and its age.

/// Samples (time, end of the log) kept per partition. Chosen: with thinning they reach back hours, and the resolution
/// is always a small part of the age.
pub(crate) const END_SAMPLES: usize = 60;

/// Up to this many records at the end of a log may be transaction markers alone: the commit marker of the last
/// transaction, and one of an aborted transaction. From Kafka's log format: a marker takes an offset, and no consumer
/// receives it.
pub(crate) const MAX_MARKERS: i64 = 2;

/// Time without a change after which such records count as markers. Kafka's default `transaction.timeout.ms`: by then
/// every transaction that could have written a record there has ended, and a live consumer would have read it.
pub(crate) const MARKERS_AFTER: Duration = Duration::from_secs(60);

/// Commit intervals kept per partition. Chosen: enough for a median that one slow commit does not move.
pub(crate) const COMMIT_INTERVAL_SAMPLES: usize = 20;

/// The shortest commit interval that is assumed. The poll interval: polls cannot tell shorter ones apart.
pub(crate) const MIN_COMMIT_INTERVAL: Duration = POLL_INTERVAL;

/// The longest commit interval that is assumed. Chosen: a consumer that has not committed for longer is not just one
/// that commits rarely.
pub(crate) const MAX_COMMIT_INTERVAL: Duration = Duration::from_secs(60);

// Arrival rate.

/// Time constant of the exponentially weighted mean. Chosen: long enough to hide Poisson noise at tens of records per
/// second, short enough for ramps.
pub(crate) const ARRIVAL_TIME_CONSTANT: Duration = Duration::from_secs(15);

/// A change point differs from the known rate by more than this many standard deviations of a Poisson stream, and by
/// more than [`JUMP_FRACTION`]. Six: by chance once in 10⁹ polls.
pub(crate) const JUMP_DEVIATIONS: f64 = 6.0;

/// A change point differs from the known rate by more than this fraction of it. Chosen: at high rates, real traffic
/// varies far more than a Poisson stream.
pub(crate) const JUMP_FRACTION: f64 = 0.15;

/// Of what the rate has changed since a suspected change point, the last poll alone must show at least this fraction.
/// Chosen: a burst that is over does not move the rate.
pub(crate) const MIN_CONFIRMED_FRACTION: f64 = 0.5;

/// Two figures within this many standard deviations count as the same rate. Three: 99.7 % of a normal distribution.
pub(crate) const SAME_RATE_DEVIATIONS: f64 = 3.0;

/// Polls closer together than this say nothing about a rate; the next one covers their time too. Chosen.
pub(crate) const MIN_RATE_INTERVAL: Duration = Duration::from_millis(500);

// Capacity of a worker.

/// Busy-time samples that are older than the newest one by more than this are forgotten. Chosen: the estimate is the
/// first quartile, so it follows a store that became slower within a quarter of this time; an idle night forgets
/// nothing.
pub(crate) const BUSY_WINDOW: Duration = Duration::from_secs(120);

/// The quantile of the busy-time samples that is the estimate. The first quartile: see [`BUSY_WINDOW`].
pub(crate) const BUSY_QUANTILE: f64 = 0.25;

/// Busy-time samples kept at most. Chosen: a large group costs no more memory than a small one.
pub(crate) const BUSY_SAMPLES: usize = 256;

/// Below this fraction of busy time, the time that is not measured (fetching, waiting) outweighs the busy time. Chosen.
pub(crate) const MIN_BUSY_FRACTION: f64 = 0.1;

/// A sample with fewer records is too small to give a rate. Chosen.
pub(crate) const MIN_SAMPLE_RECORDS: u64 = 10;

/// A span of consumption is at least this long, and at least two commit intervals: polls see commits only with a delay.
/// Three polls.
pub(crate) const MIN_CONSUMPTION_SPAN: Duration = Duration::from_secs(15);

/// A worker was saturated if its lag never fell below this many commit intervals of its work: less may only wait for
/// the next commit. Chosen: above the sawtooth of commits that come late.
pub(crate) const SATURATED_INTERVALS: f64 = 3.0;

/// Samples of saturated workers that are kept. Chosen.
pub(crate) const SATURATED_SAMPLES: usize = 20;

/// If busy time suggests more than this many times the rate of saturated workers, the saturated rate is used: workers
/// spend time that busy time does not count, for example blocked by the store. Chosen: above the noise of two medians.
pub(crate) const MAX_BUSY_OVER_SATURATED: f64 = 1.15;

// Trend of the lag.

/// Shortest time over which growth is judged. Two polls.
pub(crate) const MIN_TREND_SPAN: Duration = Duration::from_secs(10);

/// Longest time that is kept. Chosen.
pub(crate) const MAX_TREND_SPAN: Duration = Duration::from_secs(120);

/// Between two commits lag rises by the arrivals of that time, then falls back. A rise of up to this many times those
/// arrivals is not growth. Chosen: one commit that comes half an interval late must not look like growth.
pub(crate) const SAWTOOTH_FACTOR: f64 = 1.5;

/// Beyond that, lag that grows by less than this fraction of the arrivals is noise. Chosen.
pub(crate) const MIN_GROWTH_FRACTION: f64 = 0.1;

// What a number of replicas would mean.

/// Time from asking for a worker until it consumes. Not learned yet, so a constant: scheduling, image start and the
/// restore of its partitions took 5 to 15 s on a small cluster. A value that is too long overestimates the backlog a
/// little.
pub(crate) const START_TIME: Duration = Duration::from_secs(15);

/// Time for which a moved partition is not processed: the two rounds of a cooperative rebalance. Measured:
/// docs/benchmarks.md, hand-over.
pub(crate) const REBALANCE_TIME: Duration = Duration::from_secs(4);

/// Utilization to plan with when only a lower bound of the capacity is known. Chosen.
pub(crate) const LOWER_BOUND_UTILIZATION: f64 = 0.7;

// The decision.

/// Hysteresis (the HPA's tolerance) on the way down: after a reduction, workers must stay below the target by this
/// fraction of it, so that a load that swings around the target does not swing the replicas. A fraction, so that a low
/// target leaves room below it: 90 % gives 75 %, 12 % gives 10 %. Chosen.
pub(crate) const SCALE_DOWN_MARGIN: f64 = 1.0 / 6.0;

/// Hysteresis on the way up: present workers may exceed the target by this fraction of it before replicas are added:
/// 90 % gives 95 %. Chosen.
pub(crate) const SCALE_UP_MARGIN: f64 = 1.0 / 18.0;

/// Factors on the load for finding the limit that it runs into: a margin lower, as it is, a margin higher. A reported
/// limit stays while it is right for one of the three, so that a load that hovers at a limit does not change the report
/// again and again. The margins are those of growing and shrinking.
pub(crate) const LIMIT_MARGINS: [f64; 3] = [1.0 / (1.0 + SCALE_UP_MARGIN), 1.0, 1.0 / (1.0 - SCALE_DOWN_MARGIN)];

/// Without a known capacity, lag older than this fraction of the lag SLO is evidence that workers are missing.
/// Chosen: it leaves the other half to add them.
pub(crate) const LAG_AGE_EVIDENCE: f64 = 0.5;

/// If no number of replicas is enough, required rates up to this many times the lowest count as equal. Chosen: a
/// difference of 1 % is not worth more workers.
pub(crate) const EQUAL_RATES: f64 = 1.01;

/// Unread records younger than the lag SLO divided by this are no backlog that would suffer from fewer workers. Chosen.
pub(crate) const YOUNG_DIVISOR: u32 = 4;

/// Polls in a row that must agree before replicas are added, or a reported limit or hot partition changes. Chosen: one
/// poll may be an outlier.
pub(crate) const CONFIRMATIONS: u32 = 2;

/// Until the last change has taken effect, replicas are added only if at least this many times the present number are
/// needed and the lag SLO is missed: a group that is rebalancing shows less than it can do. Chosen.
pub(crate) const URGENT_FACTOR: f64 = 1.5;

/// How long fewer workers must be enough before workers are removed (the HPA's stabilization window). Chosen: keeping
/// an unneeded worker for half a minute costs about as much as the two rebalances of a worker that is removed too
/// early.
pub const SCALE_DOWN_STABILIZATION_WINDOW: Duration = Duration::from_secs(30);
