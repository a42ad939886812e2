//! The candidates: which numbers of replicas are worth considering, and what each would mean. Takes the estimates and
//! the present owners, gives a [`Candidate`] per number.
//!
//! With P partitions assigned evenly, the busiest of r workers has ⌈P/r⌉ of them. That number falls only at the values
//! of ⌈P/k⌉, so only these are candidates, and the
//! limits. With 6 partitions they are 1, 2, 3 and 6: of 4 or 5 workers, the busiest has
//! two partitions, as it has of 3.

use std::time::Duration;

use crate::assignor::{Prediction, predict};
use crate::decision::Candidate;
use crate::policy::Assignor;
use crate::tuning::{REBALANCE_TIME, START_TIME};

/// What is known of the load.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// Records per second, per partition.
    pub(crate) rates: Vec<f64>,
    /// Records to catch up with, per partition.
    pub(crate) backlogs: Vec<f64>,
    /// The partitions of each present worker.
    pub(crate) owners: Vec<Vec<i32>>,
    pub(crate) assignor: Assignor,
    /// Records per second of one worker.
    pub(crate) capacity: f64,
    pub(crate) drain_within: Duration,
    /// The replicas last asked for.
    pub(crate) desired: i32,
}

/// {⌈P/k⌉: k = 1 …} and the two limits themselves, ascending.
pub(crate) fn candidate_counts(partitions: i32, floor: i32, ceiling: i32) -> Vec<i32> {
    let mut counts: Vec<i32> = (1..=partitions.max(1)).map(|k| (partitions.max(1) + k - 1) / k).collect();
    counts.extend([floor, ceiling]);
    counts.sort_unstable();
    counts.dedup();
    counts
}

/// A candidate, and how heavily it loads its workers.
#[derive(Debug, Clone)]
pub(crate) struct Evaluation {
    pub(crate) candidate: Candidate,
    /// Records per second that the busiest worker has to process: arrivals, and its backlog in the drain time.
    pub(crate) required_rate: f64,
    /// The load of the busiest worker divided by what one worker may carry; the candidate is feasible up to 1. Arrivals
    /// alone may take the planned utilization of a worker's capacity, arrivals and backlog together all of it.
    pub(crate) load_ratio: f64,
}

impl Load {
    /// What `replicas` would mean if arrivals may take at most `utilization` of a worker's capacity.
    pub(crate) fn candidate(&self, replicas: i32, utilization: f64) -> Candidate {
        self.evaluate(replicas, utilization).candidate
    }

    /// The same, with the figures that say how heavily the workers are loaded.
    pub(crate) fn evaluate(&self, replicas: i32, utilization: f64) -> Evaluation {
        let count = i32::try_from(self.rates.len()).unwrap_or(i32::MAX);
        let prediction = predict(self.assignor, &self.owners, count, replicas);
        let backlogs = self.backlogs_after(&prediction, replicas);
        let drain_within = self.drain_within.as_secs_f64();
        let (mut max_required_rate, mut load_ratio): (f64, f64) = (0.0, 0.0);
        let mut candidate = Candidate {
            replicas,
            busiest_rate: 0.0,
            busiest_partition: None,
            drained_after: Some(Duration::ZERO),
            feasible: true,
        };
        for owned in &prediction.workers {
            let rate = sum(&self.rates, owned);
            let backlog = sum(&backlogs, owned);
            if rate > candidate.busiest_rate {
                candidate.busiest_rate = rate;
                candidate.busiest_partition = self.largest(owned);
            }
            candidate.drained_after =
                candidate.drained_after.and_then(|longest| Some(longest.max(self.drain(rate, backlog)?)));
            let required_rate = rate + backlog / drain_within.max(1.0);
            max_required_rate = max_required_rate.max(required_rate);
            candidate.feasible &= rate <= utilization * self.capacity && required_rate <= self.capacity;
            load_ratio = load_ratio.max((rate / utilization).max(required_rate) / self.capacity);
        }
        Evaluation { candidate, required_rate: max_required_rate, load_ratio }
    }

    /// The backlog per partition once the change has taken effect. Until new workers run, the present owners go on
    /// processing; during the rebalance, the partitions that move are not processed.
    fn backlogs_after(&self, prediction: &Prediction, replicas: i32) -> Vec<f64> {
        if replicas == self.desired {
            return self.backlogs.clone();
        }
        let start = if replicas > self.desired { START_TIME } else { Duration::ZERO };
        let growth = self.growth();
        let after = |(partition, backlog): (usize, &f64)| {
            let stands = i32::try_from(partition).is_ok_and(|number| prediction.stopped.contains(&number));
            let standing = if stands { self.rates[partition] } else { growth[partition] };
            backlog + growth[partition] * start.as_secs_f64() + standing * REBALANCE_TIME.as_secs_f64()
        };
        self.backlogs.iter().enumerate().map(after).collect()
    }

    /// Records per second by which each partition falls behind under its present owner.
    fn growth(&self) -> Vec<f64> {
        // A partition without an owner falls behind by all that arrives.
        let mut growth = self.rates.clone();
        for owned in &self.owners {
            let rate = sum(&self.rates, owned);
            let part = if rate > 0.0 { ((rate - self.capacity) / rate).max(0.0) } else { 0.0 };
            for index in owned.iter().filter_map(|partition| usize::try_from(*partition).ok()) {
                if let Some(grows) = growth.get_mut(index) {
                    *grows = self.rates[index] * part;
                }
            }
        }
        growth
    }

    fn drain(&self, rate: f64, backlog: f64) -> Option<Duration> {
        if backlog <= 0.0 {
            return Some(Duration::ZERO);
        }
        let spare = self.capacity - rate;
        // More than a day is as good as never, and larger quotients need not be representable.
        (spare > 0.0 && backlog / spare < 86_400.0).then(|| Duration::from_secs_f64(backlog / spare))
    }

    fn largest(&self, owned: &[i32]) -> Option<i32> {
        let rate = |partition: &i32| usize::try_from(*partition).ok().and_then(|index| self.rates.get(index)).copied();
        owned.iter().copied().max_by(|a, b| rate(a).unwrap_or(0.0).total_cmp(&rate(b).unwrap_or(0.0)))
    }
}

fn sum(values: &[f64], partitions: &[i32]) -> f64 {
    partitions.iter().filter_map(|partition| values.get(usize::try_from(*partition).ok()?)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(rates: &[f64], capacity: f64) -> Load {
        Load {
            rates: rates.to_vec(),
            backlogs: vec![0.0; rates.len()],
            owners: vec![(0..rates.len() as i32).collect()],
            assignor: Assignor::CooperativeSticky,
            capacity,
            drain_within: Duration::from_secs(60),
            desired: 1,
        }
    }

    #[test]
    fn every_count_that_lowers_the_busiest_share_is_a_candidate() {
        assert_eq!(candidate_counts(6, 1, 6), [1, 2, 3, 6]);
        assert_eq!(candidate_counts(10, 1, 10), [1, 2, 3, 4, 5, 10]);
        assert_eq!(candidate_counts(24, 1, 24), [1, 2, 3, 4, 5, 6, 8, 12, 24]);
        assert_eq!(candidate_counts(6, 4, 5), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn the_busiest_worker_decides_not_the_mean() {
        let mut load = load(&[90.0, 10.0, 10.0, 10.0], 140.0);
        load.owners = vec![vec![0, 1], vec![2, 3]];
        load.desired = 2;
        let two = load.candidate(2, 0.9);
        assert_eq!((two.busiest_rate, two.busiest_partition, two.feasible), (100.0, Some(0), true));
        assert!(!load.candidate(2, 0.7).feasible);
    }

    #[test]
    fn a_backlog_needs_spare_capacity_beyond_the_arrivals() {
        let mut load = load(&[50.0; 2], 140.0);
        load.backlogs = vec![1_000.0; 2];
        let one = load.candidate(1, 0.9);
        assert_eq!((one.drained_after, one.feasible), (Some(Duration::from_secs(50)), true));
        load.backlogs = vec![1_300.0; 2];
        assert!(!load.candidate(1, 0.9).feasible);
    }

    #[test]
    fn while_workers_start_the_present_ones_go_on() {
        let load = load(&[50.0; 6], 140.0);
        let three = load.candidate(3, 0.9);
        assert!(three.feasible, "{three:?}");
        // 300 arrive and 140 are processed for 15 s; then 4 of 6 partitions stand still for 4 s, the others grow on.
        let backlog = 160.0 * 15.0 + 4.0 * 50.0 * 4.0 + 2.0 * (50.0 * 160.0 / 300.0) * 4.0;
        let drained = three.drained_after.unwrap().as_secs_f64();
        assert!(drained > backlog / 3.0 / 40.0 && drained < backlog / 3.0 / 40.0 * 1.1, "{drained}");
    }

    #[test]
    fn a_worker_without_spare_capacity_never_drains() {
        let mut load = load(&[150.0], 140.0);
        load.backlogs = vec![10.0];
        assert_eq!(load.candidate(1, 0.9).drained_after, None);
    }
}
