//! A small deterministic world for scenario tests: partitions that fill, workers that process at a fixed speed and
//! commit now and then, a Deployment that follows the decision, and the poll loop with its confirmation polls. Time is
//! a number; nothing sleeps.

use std::collections::BTreeMap;
use std::time::Duration;

use balancefleet_autoscaler::{
    CONFIRM_AFTER, Committed, Current, Decision, GroupHistory, LagReading, Member, Observation, POLL_INTERVAL,
    PartitionReading, Policy, StartFrom, Usage, decide,
};

pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Numbers without a library, the same on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A Poisson number of events; `mean` is small here.
    pub(crate) fn poisson(&mut self, mean: f64) -> i64 {
        let (mut events, mut product, limit) = (0, self.unit(), (-mean).exp());
        while product > limit {
            events += 1;
            product *= self.unit();
        }
        events
    }
}

#[derive(Debug, Clone, Default)]
struct Log {
    end: i64,
    position: i64,
    committed: Option<i64>,
    usage: Reported,
    reported: Reported,
}

#[derive(Debug, Clone, Copy, Default)]
struct Reported {
    records: u64,
    busy_micros: u64,
}

#[derive(Debug, Clone)]
struct Worker {
    id: String,
    ready_at: Duration,
    partitions: Vec<i32>,
    budget: f64,
}

/// The knobs of a world.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) partitions: usize,
    /// Records per second of one worker.
    pub(crate) speed: f64,
    pub(crate) start: Duration,
    pub(crate) rebalance: Duration,
    pub(crate) commit_every: Duration,
    /// Workers that say how busy they were.
    pub(crate) reports_usage: bool,
    pub(crate) weights: Vec<f64>,
    pub(crate) seed: u64,
}

impl Default for Settings {
    /// The demo: 6 partitions, 7 ms per record.
    fn default() -> Self {
        Self {
            partitions: 6,
            speed: 140.0,
            start: Duration::from_secs(6),
            rebalance: Duration::from_secs(3),
            commit_every: Duration::from_millis(1_000),
            reports_usage: true,
            weights: vec![1.0; 6],
            seed: 1,
        }
    }
}

/// A change of the replicas.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) at: Duration,
    pub(crate) to: i32,
    pub(crate) explanation: String,
}

pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) policy: Policy,
    pub(crate) history: GroupHistory,
    pub(crate) now: Duration,
    pub(crate) current: Current,
    pub(crate) changes: Vec<Change>,
    pub(crate) last: Option<Decision>,
    pub(crate) unreadable: bool,
    pub(crate) dry_run: bool,
    logs: Vec<Log>,
    workers: Vec<Worker>,
    members: Vec<String>,
    stopped_until: BTreeMap<i32, Duration>,
    unstable_until: Duration,
    commit_at: Duration,
    poll_at: Duration,
    regular_at: Duration,
    random: Random,
    named: u32,
}

impl World {
    pub(crate) fn new(settings: Settings, policy: Policy) -> Self {
        let mut world = Self {
            policy,
            history: GroupHistory::default(),
            now: Duration::ZERO,
            current: Current { desired: 1, frozen_by: None, template: "a".into() },
            changes: Vec::new(),
            last: None,
            unreadable: false,
            dry_run: false,
            logs: vec![Log::default(); settings.partitions],
            workers: Vec::new(),
            members: Vec::new(),
            stopped_until: BTreeMap::new(),
            unstable_until: Duration::ZERO,
            commit_at: settings.commit_every,
            poll_at: Duration::from_millis(1_700),
            regular_at: Duration::from_millis(1_700),
            random: Random(settings.seed),
            named: 0,
            settings,
        };
        world.scale(1);
        world.workers[0].ready_at = Duration::ZERO;
        world
    }

    /// Lets `rate` records per second arrive for a time.
    pub(crate) fn run(&mut self, rate: f64, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += TICK;
            self.produce(rate);
            self.join_and_leave();
            self.process();
            if self.now >= self.commit_at {
                self.commit();
            }
            if self.now >= self.poll_at {
                self.poll();
            }
        }
    }

    pub(crate) fn lag(&self) -> i64 {
        self.logs.iter().map(|log| log.end - log.committed.unwrap_or(0)).sum()
    }

    pub(crate) fn desired(&self) -> i32 {
        self.current.desired
    }

    /// How long after `since` the replicas first changed.
    pub(crate) fn first_change_after(&self, since: Duration) -> Option<(Duration, i32)> {
        self.changes.iter().find(|change| change.at > since).map(|change| (change.at - since, change.to))
    }

    fn produce(&mut self, rate: f64) {
        let total: f64 = self.settings.weights.iter().sum();
        for (log, weight) in self.logs.iter_mut().zip(&self.settings.weights) {
            log.end += self.random.poisson(rate * weight / total * TICK.as_secs_f64());
        }
    }

    /// Lets the group rebalance when its members changed: cooperatively, what moves stands still for a while.
    fn join_and_leave(&mut self) {
        let live = |worker: &&Worker| worker.ready_at <= self.now;
        let present: Vec<String> = self.workers.iter().filter(live).map(|worker| worker.id.clone()).collect();
        if present == self.members {
            return;
        }
        self.commit();
        self.members = present;
        self.unstable_until = self.now + self.settings.rebalance;
        for partition in self.assign() {
            self.stopped_until.insert(partition, self.unstable_until);
            let log = &mut self.logs[partition as usize];
            log.position = log.committed.unwrap_or(0);
            log.usage = Reported::default();
        }
    }

    /// Deals the partitions out evenly over the live workers, moving as few as possible; returns those that moved.
    fn assign(&mut self) -> Vec<i32> {
        let live = (0..self.workers.len()).filter(|worker| self.workers[*worker].ready_at <= self.now);
        let mut owned: Vec<(usize, Vec<i32>)> =
            live.map(|worker| (worker, self.workers[worker].partitions.clone())).collect();
        let is_free = |partition: &i32| !owned.iter().any(|(_, partitions)| partitions.contains(partition));
        let mut moved: Vec<i32> = (0..self.settings.partitions as i32).filter(is_free).collect();
        let mut free = moved.clone();
        loop {
            owned.sort_by_key(|(worker, partitions)| (partitions.len(), *worker));
            let last = owned.len() - 1;
            if let Some(partition) = free.pop() {
                owned[0].1.push(partition);
            } else if owned[last].1.len() > owned[0].1.len() + 1 {
                let partition = owned[last].1.remove(0);
                owned[0].1.push(partition);
                moved.push(partition);
            } else {
                break;
            }
        }
        for (worker, mut partitions) in owned {
            partitions.sort_unstable();
            self.workers[worker].partitions = partitions;
        }
        moved
    }

    fn process(&mut self) {
        for worker in &mut self.workers {
            worker.budget = (worker.budget + self.settings.speed * TICK.as_secs_f64()).min(self.settings.speed);
            let ready: Vec<i32> = worker
                .partitions
                .iter()
                .copied()
                .filter(|partition| self.stopped_until.get(partition).is_none_or(|until| *until <= self.now))
                .collect();
            loop {
                let mut worked = false;
                for partition in &ready {
                    let log = &mut self.logs[*partition as usize];
                    if worker.budget >= 1.0 && log.position < log.end {
                        worker.budget -= 1.0;
                        log.position += 1;
                        log.usage.records += 1;
                        log.usage.busy_micros += (1e6 / self.settings.speed) as u64;
                        worked = true;
                    }
                }
                if !worked {
                    break;
                }
            }
            // Idle time is lost, not saved.
            worker.budget = worker.budget.min(1.0);
        }
    }

    fn commit(&mut self) {
        self.commit_at = self.now + self.settings.commit_every;
        for (partition, log) in self.logs.iter_mut().enumerate() {
            let stopped = self.stopped_until.get(&(partition as i32)).is_some_and(|until| *until > self.now);
            if !stopped {
                log.committed = Some(log.position);
                log.reported = log.usage;
            }
        }
    }

    fn poll(&mut self) {
        if self.now >= self.regular_at {
            let jitter = POLL_INTERVAL.mul_f64(0.9 + 0.2 * self.random.unit());
            self.regular_at = self.now + jitter;
        }
        let reading = if self.unreadable {
            LagReading::Unknown
        } else {
            let seen = self.observe();
            self.history.observe(&seen, StartFrom::Earliest, self.now)
        };
        let decision = decide(&self.policy, &mut self.history, &reading, &self.current, self.now);
        self.poll_at = if decision.confirm { self.regular_at.min(self.now + CONFIRM_AFTER) } else { self.regular_at };
        if decision.replicas != self.current.desired && !self.dry_run {
            self.changes.push(Change {
                at: self.now,
                to: decision.replicas,
                explanation: decision.explanation.clone(),
            });
            self.scale(decision.replicas);
            self.current.desired = decision.replicas;
        }
        self.last = Some(decision);
    }

    fn scale(&mut self, replicas: i32) {
        while (self.workers.len() as i32) < replicas {
            self.named += 1;
            self.workers.push(Worker {
                id: format!("worker-{}", self.named),
                ready_at: self.now + self.settings.start,
                partitions: Vec::new(),
                budget: 0.0,
            });
        }
        self.workers.truncate(replicas as usize);
    }

    fn observe(&self) -> Observation {
        let partitions = self.logs.iter().enumerate().map(|(partition, log)| PartitionReading {
            partition: partition as i32,
            earliest: Some(0),
            latest: Some(log.end),
            committed: log.committed.map_or(Committed::None, Committed::At),
            usage: self
                .settings
                .reports_usage
                .then_some(Usage { records: log.reported.records, busy_micros: log.reported.busy_micros }),
        });
        let members = self.workers.iter().filter(|worker| worker.ready_at <= self.now);
        Observation {
            topic_id: "topic".into(),
            partition_count: self.settings.partitions as i32,
            partitions: partitions.collect(),
            members: Some(members.map(|w| Member { id: w.id.clone(), partitions: w.partitions.clone() }).collect()),
            stable: self.now >= self.unstable_until,
        }
    }
}
