//! What is kept of one consumer group from poll to poll. Recording a poll takes an [`Observation`], gives the
//! [`LagReading`], and updates the estimates of arrivals and capacity.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::age::Age;
use crate::arrival::Arrival;
use crate::capacity::{CapacityEstimate, UsageDelta, WorkerSample};
use crate::decision::{Capacity, Decision, Limit, Reason};
use crate::lag::{Lag, LagReading, PartitionLag, Start, backlog};
use crate::observation::{Committed, Member, Observation, PartitionReading, Usage};
use crate::partition::PartitionState;
use crate::policy::StartFrom;
use crate::trend::Trend;
use crate::tuning::CONFIRMATIONS;

/// Everything known of one consumer group from earlier polls. Starts empty; losing it costs a few polls of caution, no
/// more. Kafka's own state of the group is not in it, but for [`Observation::stable`].
#[derive(Debug, Clone, Default)]
pub struct GroupHistory {
    topic_id: String,
    pub(crate) partition_count: i32,
    pub(crate) partitions: BTreeMap<i32, PartitionState>,
    pub(crate) arrival: Arrival,
    pub(crate) capacity: CapacityEstimate,
    pub(crate) trend: Trend,
    pub(crate) members: Option<Vec<Member>>,
    pub(crate) stable: bool,
    pub(crate) decision_state: DecisionState,
}

/// What the next decision needs to know about earlier ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct DecisionState {
    pub(crate) template: Option<String>,
    /// The desired replicas at the last decision, to detect a change of them.
    pub(crate) desired: Option<i32>,
    /// When the desired replicas were changed; `None` once the change has taken effect.
    pub(crate) settling: Option<Duration>,
    /// Polls in a row that found the present replicas too few.
    pub(crate) under_provisioned_polls: u32,
    /// Since when fewer than the present replicas have been enough, and the most that were needed in that time.
    pub(crate) scale_down: Option<(Duration, i32)>,
    /// Whether the last decision asked for another poll at once.
    pub(crate) confirming: bool,
    pub(crate) last: Option<Decision>,
    pub(crate) limited_by: Debounced<Option<Limit>>,
    pub(crate) hot_partition: Debounced<Option<i32>>,
}

/// A reported value that changes only when [`CONFIRMATIONS`] polls in a row contradict it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Debounced<T> {
    pub(crate) reported: T,
    contradicted: u32,
}

impl<T: Copy> Debounced<T> {
    const fn new(reported: T) -> Self {
        Self { reported, contradicted: 0 }
    }

    /// Records a poll and gives the value to report. `holds` says whether the poll agrees with the reported value;
    /// `found` is the value that the poll itself would report.
    pub(crate) fn update(&mut self, holds: bool, found: T) -> T {
        self.contradicted = if holds { 0 } else { self.contradicted + 1 };
        if self.contradicted >= CONFIRMATIONS {
            *self = Self::new(found);
        }
        self.reported
    }
}

/// What an earlier process left about a group in the status of the custom resource: [`GroupHistory::resume`] goes on
/// from it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SavedHistory {
    /// The replicas it decided, the reason, and the explanation.
    pub decision: Option<(i32, Reason, String)>,
    /// What one worker can process.
    pub capacity: Option<Capacity>,
    /// The limit that kept the replicas from the number that the load needs.
    pub limited_by: Option<Limit>,
    /// The partition that gets more than one worker can process.
    pub hot_partition: Option<i32>,
}

impl GroupHistory {
    /// Resumes from an earlier process, so that a restart revokes no decision that still holds.
    pub fn resume(saved_history: SavedHistory) -> Self {
        let last = saved_history.decision.map(|(replicas, reason, explanation)| Decision {
            replicas,
            reason,
            explanation,
            needed: None,
            blocked_by: None,
            limited_by: saved_history.limited_by,
            hot_partition: saved_history.hot_partition,
            confirm: false,
            candidates: Vec::new(),
            capacity: saved_history.capacity,
            arrival_rate: None,
        });
        let (limited_by, hot_partition) =
            (Debounced::new(saved_history.limited_by), Debounced::new(saved_history.hot_partition));
        let decision_state = DecisionState { last, limited_by, hot_partition, ..DecisionState::default() };
        let capacity = saved_history.capacity.map(CapacityEstimate::resume).unwrap_or_default();
        Self { decision_state, capacity, ..Self::default() }
    }

    /// Records what a poll at `now` saw. `now` counts from any epoch, the same for all calls, and never falls.
    pub fn observe(&mut self, seen: &Observation, start_from: StartFrom, now: Duration) -> LagReading {
        if self.topic_id != seen.topic_id {
            // The topic was recreated: offsets, ends and rates of the old one mean nothing for the new one.
            let decision_state = std::mem::take(&mut self.decision_state);
            let capacity = std::mem::take(&mut self.capacity);
            *self = Self { topic_id: seen.topic_id.clone(), decision_state, capacity, ..Self::default() };
        }
        // A topic never loses partitions: a lower count is a broker's stale view. The missing partitions are unknown.
        self.partition_count = self.partition_count.max(seen.partition_count);
        self.members.clone_from(&seen.members);
        self.stable = seen.stable;
        let readings: BTreeMap<i32, &PartitionReading> =
            seen.partitions.iter().map(|reading| (reading.partition, reading)).collect();
        let ends: Vec<(i32, i64)> =
            seen.partitions.iter().filter_map(|reading| Some((reading.partition, reading.latest?))).collect();
        self.arrival.update(&ends, now);
        let progress = seen.partitions.iter().any(|reading| matches!(reading.committed, Committed::At(_)));
        let partitions: Vec<PartitionLag> = (0..self.partition_count)
            .map(|number| match readings.get(&number) {
                Some(reading) => self.record_partition(reading, start_from, progress, now),
                None => unknown(number),
            })
            .collect();
        self.measure_workers(&readings, now);
        let reading = classify(Lag { partitions });
        self.trend.push(now, reading.records());
        reading
    }

    fn record_partition(
        &mut self,
        reading: &PartitionReading,
        from: StartFrom,
        progress: bool,
        now: Duration,
    ) -> PartitionLag {
        let Some(latest) = reading.latest else { return unknown(reading.partition) };
        let live = self.members.as_ref().is_some_and(|members| !members.is_empty());
        let partition = self.partitions.entry(reading.partition).or_insert_with(|| PartitionState::new(now, latest));
        partition.update(reading, now);
        let start = Start { from, first_end: partition.first_end, group_has_progress: progress };
        let Some(backlog) = backlog(reading, start) else { return unknown(reading.partition) };
        let markers = live && partition.only_markers(backlog.records, now);
        let lag = if markers { 0 } else { backlog.records };
        partition.lag = lag;
        let age = if lag == 0 { Some(Age::Exactly(Duration::ZERO)) } else { partition.ends.age_of(backlog.from, now) };
        PartitionLag {
            partition: reading.partition,
            lag: Some(lag),
            age,
            lost: backlog.lost,
            ahead_of_log: backlog.ahead_of_log,
        }
    }

    fn measure_workers(&mut self, readings: &BTreeMap<i32, &PartitionReading>, now: Duration) {
        let Some(members) = self.members.clone() else { return };
        let samples: Vec<WorkerSample> =
            members.iter().map(|member| self.worker_sample(member, readings, now)).collect();
        self.capacity.update(&samples, now);
    }

    fn worker_sample(
        &mut self,
        member: &Member,
        readings: &BTreeMap<i32, &PartitionReading>,
        now: Duration,
    ) -> WorkerSample {
        let mut sample = WorkerSample {
            id: member.id.clone(),
            partitions: member.partitions.clone(),
            committed: (!member.partitions.is_empty()).then_some(0),
            moved: false,
            lag: 0,
            arrival_rate: 0.0,
            commit_interval: Duration::ZERO,
            usage: None,
        };
        for number in &member.partitions {
            let reading = readings.get(number);
            let partition = self.partitions.get_mut(number).filter(|_| reading.is_some());
            let (Some(partition), Some(reading)) = (partition, reading) else {
                sample.committed = None;
                continue;
            };
            sample.committed = match (sample.committed, reading.committed) {
                (Some(sum), Committed::At(committed)) => Some(sum.saturating_add(committed)),
                _ => None,
            };
            sample.moved |= partition.committed_at == Some(now);
            sample.lag = sample.lag.saturating_add(partition.lag);
            sample.arrival_rate += self.arrival.rate_of(*number);
            sample.commit_interval = sample.commit_interval.max(partition.commit_interval());
            sample.usage = add(sample.usage, usage_delta(partition, reading.usage, now));
        }
        sample
    }

    /// The backlog of a partition, without the records that merely wait for the next commit: a healthy consumer that
    /// commits every `g` seconds shows half of the arrivals of `g` as lag, on average.
    pub(crate) fn backlog_of(&self, number: i32) -> f64 {
        let Some(partition) = self.partitions.get(&number) else { return 0.0 };
        let allowance = self.arrival.rate_of(number) * partition.commit_interval().as_secs_f64() / 2.0;
        (partition.lag as f64 - allowance).max(0.0)
    }

    /// Whether a partition has more unread than a healthy consumer shows just before it commits.
    pub(crate) fn is_behind(&self, number: i32) -> bool {
        self.partitions.get(&number).is_some_and(|partition| {
            partition.lag as f64 > 1.0 + self.arrival.rate_of(number) * partition.commit_interval().as_secs_f64()
        })
    }

    /// The longest commit interval (time between two commits) of any partition; `None` while no partition was seen to
    /// be committed twice.
    pub(crate) fn commit_interval(&self) -> Option<Duration> {
        self.partitions.values().filter_map(PartitionState::known_commit_interval).max()
    }
}

const fn unknown(partition: i32) -> PartitionLag {
    PartitionLag { partition, lag: None, age: None, lost: 0, ahead_of_log: false }
}

fn classify(lag: Lag) -> LagReading {
    let missing = lag.missing().len();
    if missing == lag.partitions.len() {
        LagReading::Unknown
    } else if missing > 0 {
        LagReading::Partial(lag)
    } else {
        LagReading::Known(lag)
    }
}

/// The usage reported for one partition since its last report.
fn usage_delta(partition: &mut PartitionState, usage: Option<Usage>, now: Duration) -> Option<UsageDelta> {
    let usage = usage?;
    let before = partition.usage;
    match before {
        Some((_, known)) if known == usage && partition.lag > 0 => return None,
        _ => partition.usage = Some((now, usage)),
    }
    let (at, known) = before?;
    // Falling figures are a new assignment, which counts from zero.
    let records = usage.records.checked_sub(known.records).filter(|records| *records > 0)?;
    let busy = Duration::from_micros(usage.busy_micros.checked_sub(known.busy_micros)?);
    Some(UsageDelta { records, busy, elapsed: now.saturating_sub(at) })
}

fn add(sum: Option<UsageDelta>, delta: Option<UsageDelta>) -> Option<UsageDelta> {
    match (sum, delta) {
        (Some(sum), Some(delta)) => Some(UsageDelta {
            records: sum.records.saturating_add(delta.records),
            busy: sum.busy.saturating_add(delta.busy),
            elapsed: sum.elapsed.max(delta.elapsed),
        }),
        (one, None) | (None, one) => one,
    }
}
