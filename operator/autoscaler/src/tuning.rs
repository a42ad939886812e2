//! Every number that the estimates and the decision are tuned by, with its unit, the reason for it and where it is from.
//! *Chosen* means: by judgement, held by the tests of this crate, not by a published result.

use std::time::Duration;

// Polls.

/// How often a group is polled; callers add jitter. Chosen: a decision within two polls answers a burst within 10 s, and
/// Kafka has five calls a cluster to answer meanwhile.
pub const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// How soon a poll that is to confirm another one follows it. Chosen: short enough that a burst is answered within
/// seconds, long enough that a second's worth of records says what the rate is.
pub const CONFIRM_AFTER: Duration = Duration::from_secs(1);

// Lag and its age.

/// Samples (time, end of the log) kept per partition. Chosen: with thinning they reach back hours, at a resolution that
/// stays a part of the age.
pub(crate) const END_SAMPLES: usize = 60;

/// Records that can be nothing but transaction markers: the commit marker of the last transaction, and one of an aborted
/// transaction. From Kafka's log format: a marker takes an offset and no consumer is given it.
pub(crate) const MAX_MARKERS: i64 = 2;

/// How long such a span must lie untouched. Kafka's default `transaction.timeout.ms`: by then every transaction that
/// could have put a record there has ended, and a live consumer would have read it.
pub(crate) const MARKERS_AFTER: Duration = Duration::from_secs(60);

/// Commit gaps kept per partition. Chosen: enough for a median that one slow commit does not move.
pub(crate) const COMMIT_GAP_SAMPLES: usize = 20;

/// The shortest commit gap that is assumed. The poll interval: polls cannot tell shorter ones apart.
pub(crate) const MIN_COMMIT_GAP: Duration = POLL_INTERVAL;

/// The longest commit gap that is assumed. Chosen: a consumer that has not committed for longer does not merely commit
/// seldom.
pub(crate) const MAX_COMMIT_GAP: Duration = Duration::from_secs(60);

// Arrival rate.

/// Time constant of the exponentially weighted mean. Chosen: long enough to hide Poisson noise at tens of records per
/// second, short enough for ramps.
pub(crate) const ARRIVAL_TIME_CONSTANT: Duration = Duration::from_secs(15);

/// A change point is further than this many standard deviations of a Poisson stream of the known rate … Six: by chance
/// once in 10⁹ polls.
pub(crate) const JUMP_DEVIATIONS: f64 = 6.0;

/// … and further than this fraction of the known rate. Chosen: at high rates the Poisson deviation is far below what real
/// traffic varies by.
pub(crate) const JUMP_FRACTION: f64 = 0.15;

/// Standard deviations within which two figures are taken for the same rate. Three: 99.7 % of a normal distribution.
pub(crate) const SAME_RATE_DEVIATIONS: f64 = 3.0;

/// Polls closer together than this say nothing about a rate; the next one covers their time too. Chosen.
pub(crate) const MIN_RATE_INTERVAL: Duration = Duration::from_millis(500);

// Capacity of a worker.

/// Busy-time samples older than this, seen from the newest, are forgotten. Chosen: a store that became slower is believed
/// within a quarter of it (the estimate is the first quartile), while an idle night forgets nothing.
pub(crate) const BUSY_WINDOW: Duration = Duration::from_secs(120);

/// Busy-time samples kept at most. Chosen: a large group costs no more memory than a small one.
pub(crate) const BUSY_SAMPLES: usize = 256;

/// Below this fraction of busy time what is not measured (fetching, waiting) outweighs what is. Chosen.
pub(crate) const MIN_BUSY_FRACTION: f64 = 0.1;

/// Records below which a sample is too small to divide by. Chosen.
pub(crate) const MIN_SAMPLE_RECORDS: u64 = 10;

/// A span of consumption is at least this long, and at least two commit gaps: polls see commits only with a delay. Three
/// polls.
pub(crate) const MIN_CONSUMPTION_SPAN: Duration = Duration::from_secs(15);

/// Samples of saturated workers that are kept. Chosen.
pub(crate) const SATURATED_SAMPLES: usize = 20;

/// Busy time that promises more than this times what saturated workers show is not believed: the store blocks outside it.
/// Chosen: above the noise of two medians.
pub(crate) const MAX_BUSY_OVER_SATURATED: f64 = 1.15;

// Trend of the lag.

/// Shortest time over which growth is judged. Two polls.
pub(crate) const MIN_TREND_SPAN: Duration = Duration::from_secs(10);

/// Longest time that is kept. Chosen.
pub(crate) const MAX_TREND_SPAN: Duration = Duration::from_secs(120);

/// Between two commits lag rises by the arrivals of that time and falls back; this many times of it are never taken for
/// growth. Chosen: one commit that comes half a gap late is no growth.
pub(crate) const SAWTOOTH_FACTOR: f64 = 1.5;

/// Beyond that, lag that grows by less than this fraction of the arrivals is noise. Chosen.
pub(crate) const MIN_GROWTH_FRACTION: f64 = 0.1;

// What a number of replicas would mean.

/// Time from asking for a worker until it consumes. A constant until it is learned: scheduling, image start and the
/// restore of its partitions took 5 to 15 s on a small cluster; too long only sees a little more backlog than will be.
pub(crate) const START_TIME: Duration = Duration::from_secs(15);

/// Time for which a moved partition stands still: the two rounds of a cooperative rebalance. Measured: docs/benchmarks.md,
/// hand-over.
pub(crate) const REBALANCE_TIME: Duration = Duration::from_secs(4);

/// Utilization to plan with when only a lower bound of the capacity is known. Chosen.
pub(crate) const LOWER_BOUND_UTILIZATION: f64 = 0.7;

// The decision.

/// Fewer workers must stay below the target by this fraction of it, so that a need that swings around the target does not
/// swing the workers. A fraction, since a low target must leave room below it: 90 % gives 75 %, 12 % gives 10 %. Chosen.
pub(crate) const SHRINK_MARGIN: f64 = 1.0 / 6.0;

/// The present workers may be above the target by this fraction of it: 90 % gives 95 %. Chosen.
pub(crate) const GROW_MARGIN: f64 = 1.0 / 18.0;

/// What the load is multiplied by to see which limit is in its way: what is said of it stays as long as it holds in one of
/// these cases. The margins of growing and shrinking, so that a load that hovers at a limit makes no news.
pub(crate) const LIMIT_MARGINS: [f64; 3] = [1.0 / (1.0 + GROW_MARGIN), 1.0, 1.0 / (1.0 - SHRINK_MARGIN)];

/// Without a known capacity, lag older than this fraction of the objective is evidence that workers are missing. Chosen:
/// it leaves the other half to add them.
pub(crate) const LAG_AGE_EVIDENCE: f64 = 0.5;

/// Polls in a row that must find the present number too small, or a limit in the way or no longer. Chosen: one poll may be
/// an outlier.
pub(crate) const CONFIRMATIONS: u32 = 2;

/// Before the last change has taken effect only a need of at least this many times the present number is acted on, and
/// only once the objective is missed: what a group in motion shows is not what it can do. Chosen.
pub(crate) const URGENT_FACTOR: f64 = 1.5;

/// How long the need must stay lower before workers are taken away. Chosen: an unneeded worker for half a minute costs
/// about what two rebalances cost a worker that is taken away too early.
pub const DOWN_WINDOW: Duration = Duration::from_secs(30);
