//! When to commit, and the thread that commits.
//!
//! At most one commit runs at a time, so outcomes arrive in order. The commit thread blocks for the coordinator's
//! answer. The poll thread continues meanwhile; only a revocation waits for the outcome.

use std::{
    collections::VecDeque,
    ops::RangeInclusive,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use super::messages::{Committed, Report, Reporter};
use crate::{
    critical_thread,
    store::{ApplyMode, Batch, Store},
};

/// The commit interval of a store that commits offsets only; the visible lag is at most this old.
const INTERVAL: Duration = Duration::from_millis(250);
/// The shortest commit interval of a store with balances. Balances become visible by their commit, so a worker near the
/// end of the log commits soon.
const SOONEST: Duration = Duration::from_millis(15);
/// Near the end of the log, the pause after a commit is at least this part of how long it took: brokers that are slow get
/// more rest.
const PAUSE_PER_COMMIT: f64 = 0.5;
/// The commit interval of a worker that is behind: one commit covers many records.
const LATEST: Duration = Duration::from_secs(1);

/// About how long the customers of one commit may take, besides what every commit takes. A partition that is revoked waits
/// for that.
const COMMIT_TIME: Duration = Duration::from_millis(400);
/// So many changed customers make a commit due until some commits have shown the store's pace.
const FIRST_SIZE: usize = 50_000;
/// The bounds of that number.
const SIZES: RangeInclusive<usize> = 10_000..=100_000;
/// So many commits show the pace.
const PACE_SAMPLES: usize = 8;

/// The pause after a commit that was not accepted. It doubles with each further one.
const TRY_AGAIN: Duration = Duration::from_millis(50);
/// How many times the pause doubles at most.
const MAX_DOUBLINGS: u32 = 6;

/// The poll thread's end of the commit thread.
pub(crate) struct Commits {
    requests: mpsc::Sender<(Batch, Instant)>,
    cadence: Cadence,
    size: CommitSize,
    running: Option<Running>,
    backoff: Backoff,
    last_sent: Option<Instant>,
    /// How often a worker without progress commits, to check that it is still a member.
    empty_commit_interval: Duration,
    /// Whether such an empty commit has a part of every partition, because the store needs that.
    empty_commits_have_all_partitions: bool,
    last_with_all_partitions: Option<Instant>,
    postponed_until: Option<Instant>,
}

/// How often to commit.
struct Cadence {
    apply_mode: ApplyMode,
    latest: Duration,
    last_took: Duration,
}

impl Cadence {
    fn interval(&self, is_near_head: bool) -> Duration {
        match self.apply_mode {
            ApplyMode::Direct => INTERVAL.min(self.latest),
            ApplyMode::Buffered if is_near_head => {
                SOONEST.max(self.last_took.mul_f64(1.0 + PAUSE_PER_COMMIT)).min(self.latest)
            }
            ApplyMode::Buffered => self.latest,
        }
    }
}

/// A commit under way: when it was sent, and with how many customers.
#[derive(Clone, Copy)]
struct Running {
    began: Instant,
    customers: usize,
}

/// How many changed customers make a commit due, so that it takes about [`COMMIT_TIME`].
struct CommitSize {
    due_at: usize,
    /// Customers and seconds of the last commits.
    samples: VecDeque<(f64, f64)>,
}

impl CommitSize {
    fn new() -> Self {
        Self { due_at: FIRST_SIZE, samples: VecDeque::with_capacity(PACE_SAMPLES) }
    }

    /// Notes that a commit of so many customers took so long. One commit at most doubles or halves the size.
    fn note(&mut self, customers: usize, took: Duration, is_accepted: bool) {
        let sample = (customers as f64, took.as_secs_f64().max(1e-6));
        if is_accepted {
            if self.samples.len() == PACE_SAMPLES {
                self.samples.pop_front();
            }
            self.samples.push_back(sample);
        }
        // Of a smaller commit, it was not the size that decided how long it took.
        if customers < self.due_at / 2 {
            return;
        }
        let fitting = match is_accepted {
            true => COMMIT_TIME.as_secs_f64() / self.seconds_per_customer(sample),
            false if took > COMMIT_TIME => 0.0,
            false => return,
        };
        self.due_at = (fitting as usize).clamp(self.due_at / 2, self.due_at * 2).clamp(*SIZES.start(), *SIZES.end());
    }

    /// The slope of the line through the samples (least squares): what every commit takes is left out. If they are all
    /// alike they say nothing of that, and the whole time is the customers'.
    fn seconds_per_customer(&self, newest: (f64, f64)) -> f64 {
        let count = self.samples.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| self.samples.iter().map(of).sum::<f64>() / count;
        let (customers, seconds) = (mean(|sample| sample.0), mean(|sample| sample.1));
        let sum = |of: &dyn Fn(&(f64, f64)) -> f64| self.samples.iter().map(of).sum::<f64>();
        let variance = sum(&|sample| (sample.0 - customers).powi(2));
        let covariance = sum(&|sample| (sample.0 - customers) * (sample.1 - seconds));
        let whole = newest.1 / newest.0.max(1.0);
        let are_alike = variance < count * (customers / 5.0).powi(2);
        if are_alike { whole } else { (covariance / variance).clamp(whole / 100.0, whole) }
    }
}

/// The growing pause after commits that were not accepted: how many in a row, and when the last one ended.
#[derive(Default)]
struct Backoff(Option<(u32, Instant)>);

impl Backoff {
    fn note(&mut self, is_accepted: bool, now: Instant) {
        let times = self.0.map_or(0, |(times, _)| times);
        self.0 = (!is_accepted).then_some((times + 1, now));
    }

    fn left(&self, now: Instant) -> Duration {
        let Some((times, ended)) = self.0 else { return Duration::ZERO };
        let pause = TRY_AGAIN * (1 << (times - 1).min(MAX_DOUBLINGS));
        (ended + pause).saturating_duration_since(now)
    }
}

impl Commits {
    /// Starts the thread. `ceiling` bounds how long progress waits for its commit.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        reporter: Reporter,
        session_timeout: Duration,
        ceiling: Option<Duration>,
    ) -> std::io::Result<Self> {
        let cadence =
            Cadence { apply_mode: store.apply_mode(), latest: ceiling.unwrap_or(LATEST), last_took: Duration::ZERO };
        let empty_commits_have_all_partitions = store.empty_commits_have_all_partitions();
        let (requests, inbox) = mpsc::channel::<(Batch, Instant)>();
        critical_thread::start("commit", move || {
            for (batch, sent) in inbox {
                let outcome = store.commit(&batch);
                let progress = batch.parts.into_iter().map(|part| (part.assignment, part.next_offset)).collect();
                if !reporter.send(Report::Committed(Committed { progress, outcome, sent })) {
                    return;
                }
            }
        })?;
        Ok(Self {
            requests,
            cadence,
            size: CommitSize::new(),
            running: None,
            backoff: Backoff::default(),
            last_sent: None,
            empty_commit_interval: session_timeout / 3,
            empty_commits_have_all_partitions,
            last_with_all_partitions: None,
            postponed_until: None,
        })
    }

    /// Whether an outcome is awaited.
    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// How long the commit under way has taken so far.
    pub(crate) fn running_for(&self, now: Instant) -> Duration {
        self.running.map_or(Duration::ZERO, |running| now.saturating_duration_since(running.began))
    }

    /// How many changed customers make a commit due at once.
    pub(crate) fn most_customers(&self) -> usize {
        self.size.due_at
    }

    /// The time from `now` until progress should be committed, zero if it `cannot_wait`; `None` while a commit runs.
    pub(crate) fn due_in(&self, is_near_head: bool, cannot_wait: bool, now: Instant) -> Option<Duration> {
        let left = |sent: Instant| (sent + self.cadence.interval(is_near_head)).saturating_duration_since(now);
        let due_in = if cannot_wait { Duration::ZERO } else { self.last_sent.map_or(Duration::ZERO, left) };
        let postponed = self.postponed_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        (!self.is_running()).then(|| due_in.max(self.backoff.left(now)).max(postponed))
    }

    /// Whether an empty commit is due at `now`, to check the membership.
    pub(crate) fn is_empty_commit_due(&self, now: Instant) -> bool {
        let is_old = |sent| now.saturating_duration_since(sent) >= self.empty_commit_interval;
        let last = if self.empty_commits_have_all_partitions { self.last_with_all_partitions } else { self.last_sent };
        !self.is_running() && self.backoff.left(now).is_zero() && last.is_none_or(is_old)
    }

    /// Whether an empty commit has a part of every partition.
    pub(crate) fn empty_commits_have_all_partitions(&self) -> bool {
        self.empty_commits_have_all_partitions
    }

    /// When the last commit was sent to the thread.
    pub(crate) fn last_sent(&self) -> Option<Instant> {
        self.last_sent
    }

    /// Sends a commit to the thread; `is_whole` if it has a part of every active partition.
    pub(crate) fn send(&mut self, batch: Batch, is_whole: bool) {
        let sent = Instant::now();
        self.last_sent = Some(sent);
        if is_whole {
            self.last_with_all_partitions = Some(sent);
        }
        let customers = batch.parts.iter().map(|part| part.changes.len()).sum();
        // The thread ends only with the process.
        let is_sent = self.requests.send((batch, sent)).is_ok();
        self.running = is_sent.then_some(Running { began: sent, customers });
    }

    /// Notes that a commit was due at `now` but nothing may be committed, because the group is about to rebalance.
    pub(crate) fn postpone(&mut self, now: Instant) {
        self.postponed_until = Some(now + SOONEST);
    }

    /// Notes that the outcome of the running commit has arrived.
    pub(crate) fn ended(&mut self, is_accepted: bool) {
        self.backoff.note(is_accepted, Instant::now());
        if let Some(Running { began, customers }) = self.running.take() {
            self.cadence.last_took = began.elapsed();
            self.size.note(customers, self.cadence.last_took, is_accepted);
        }
    }

    /// Makes the next commit due at once: a partition has just been restored or activated.
    pub(crate) fn make_due(&mut self) {
        self.last_sent = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balances_are_committed_soon_near_the_head_and_seldom_behind_it() {
        let millis = Duration::from_millis;
        let mut cadence = Cadence { apply_mode: ApplyMode::Buffered, latest: millis(1000), last_took: millis(5) };
        assert_eq!([true, false].map(|near| cadence.interval(near)), [millis(15), millis(1000)]);
        cadence.last_took = millis(20);
        assert_eq!(cadence.interval(true), millis(30));
        cadence.latest = millis(25);
        assert_eq!([true, false].map(|near| cadence.interval(near)), [millis(25); 2]);
        cadence.apply_mode = ApplyMode::Direct;
        assert_eq!(cadence.interval(true), millis(25));
    }

    /// The size after so many commits, each as large as the size allows, on a store with these times.
    fn settled(commits: usize, fixed: Duration, per_customer: Duration) -> usize {
        let mut size = CommitSize::new();
        for _ in 0..commits {
            let customers = size.due_at;
            size.note(customers, fixed + per_customer * u32::try_from(customers).unwrap(), true);
        }
        size.due_at
    }

    #[test]
    fn a_commit_is_as_large_as_the_store_writes_in_its_time() {
        let (millis, micros) = (Duration::from_millis, Duration::from_micros);
        assert_eq!(settled(30, millis(0), micros(8)), 50_000);
        assert_eq!(settled(30, millis(0), micros(20)), 20_000);
        assert_eq!(settled(30, millis(5), micros(1)), 100_000, "never more");
        assert_eq!(settled(30, millis(5), micros(500)), 10_000, "never less");
    }

    #[test]
    fn what_every_commit_takes_does_not_make_them_small() {
        for fixed in [500, 1500, 4500] {
            let size = settled(40, Duration::from_millis(fixed), Duration::from_micros(5));
            assert!(size >= 30_000, "{fixed} ms: {size}");
        }
    }

    #[test]
    fn a_small_commit_changes_nothing_and_a_large_one_that_fails_late_halves_the_size() {
        let (mut size, millis) = (CommitSize::new(), Duration::from_millis);
        let mut after = |customers, took, is_accepted| {
            size.note(customers, millis(took), is_accepted);
            size.due_at
        };
        assert_eq!(after(600, 2_000, true), 50_000);
        assert_eq!(after(0, 10_000, false), 50_000);
        assert_eq!(after(50_000, 10, false), 50_000, "refused at once");
        assert_eq!(after(50_000, 10_000, false), 25_000);
    }

    #[test]
    fn refused_commits_are_tried_again_ever_more_seldom_until_one_is_accepted() {
        let (now, mut backoff) = (Instant::now(), Backoff::default());
        assert_eq!(backoff.left(now), Duration::ZERO);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            backoff.note(false, now);
            pauses.push(backoff.left(now).as_millis());
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 3200, 3200, 3200]);
        assert_eq!(backoff.left(now + Duration::from_secs(4)), Duration::ZERO);
        backoff.note(true, now);
        assert_eq!(backoff.left(now), Duration::ZERO);
    }
}
