//! Predicts which partitions each worker will own after the replicas change. Takes the present owners and the new
//! number of replicas, gives the partitions per worker.
//!
//! The number of partitions per worker is exact; which partition moves follows librdkafka's assignors. Kubernetes
//! chooses the worker that leaves; the operator's deletion costs make it choose one with the fewest partitions.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use crate::policy::Assignor;

/// The predicted owners, and the partitions that stop for the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prediction {
    /// The partitions of each worker, ascending.
    pub(crate) workers: Vec<Vec<i32>>,
    /// Partitions that stop for the rebalance.
    pub(crate) stopped: BTreeSet<i32>,
}

/// The assignment of `partitions` partitions (0 …) over `replicas` workers, starting from `current`.
pub(crate) fn predict(assignor: Assignor, current: &[Vec<i32>], partitions: i32, replicas: i32) -> Prediction {
    let count = usize::try_from(replicas.max(1)).unwrap_or(1);
    let workers = match assignor {
        Assignor::CooperativeSticky => sticky(current, partitions, count),
        Assignor::Range => range(partitions, count),
        Assignor::RoundRobin => round_robin(partitions, count),
    };
    let stopped = if !assignor.is_eager() {
        moved(current, &workers)
    } else if count == current.len() {
        BTreeSet::new()
    } else {
        (0..partitions).collect()
    };
    Prediction { workers, stopped }
}

fn range(partitions: i32, workers: usize) -> Vec<Vec<i32>> {
    let total = usize::try_from(partitions).unwrap_or(0);
    let mut numbers = 0..partitions;
    (0..workers)
        .map(|worker| numbers.by_ref().take(total / workers + usize::from(worker < total % workers)).collect())
        .collect()
}

fn round_robin(partitions: i32, workers: usize) -> Vec<Vec<i32>> {
    let mut dealt = vec![Vec::new(); workers];
    for (partition, worker) in (0..partitions).zip((0..workers).cycle()) {
        dealt[worker].push(partition);
    }
    dealt
}

/// Every worker keeps its partitions. Partitions without an owner go to the worker with the fewest. Then the fullest
/// workers give to the emptiest, until no two differ by more than one.
fn sticky(current: &[Vec<i32>], partitions: i32, workers: usize) -> Vec<Vec<i32>> {
    let mut owned: Vec<Vec<i32>> = current.to_vec();
    owned.sort_by_key(|partitions| Reverse(partitions.len()));
    owned.truncate(workers);
    owned.resize(workers, Vec::new());
    let mut seen = vec![false; usize::try_from(partitions).unwrap_or(0)];
    for partitions_of_one in &mut owned {
        // A member may claim a partition that another member also claims, or that the topic does not have.
        partitions_of_one
            .retain(|partition| slot(&mut seen, *partition).is_some_and(|seen| !std::mem::replace(seen, true)));
    }
    let mut emptiest: BinaryHeap<_> = owned.iter().map(Vec::len).zip(0..).map(Reverse).collect();
    for (partition, _) in (0..).zip(&seen).filter(|(_, seen)| !**seen) {
        let Some(Reverse((count, least))) = emptiest.pop() else { break };
        owned[least].push(partition);
        emptiest.push(Reverse((count + 1, least)));
    }
    balance(owned)
}

fn slot<T>(slots: &mut [T], partition: i32) -> Option<&mut T> {
    slots.get_mut(usize::try_from(partition).ok()?)
}

fn balance(owned: Vec<Vec<i32>>) -> Vec<Vec<i32>> {
    let in_order = |mut partitions: Vec<i32>| {
        partitions.sort_unstable();
        VecDeque::from(partitions)
    };
    let mut owned: Vec<VecDeque<i32>> = owned.into_iter().map(in_order).collect();
    // Heaps, because a scan of all workers for each partition is too slow with thousands of them. A worker that gives
    // always stays at least as full as one that receives. So a giver never becomes a receiver, nor the reverse, and
    // each heap is up to date for the workers that matter to it. Among equals the first comes first, so that the
    // prediction does not depend on how many follow.
    let counts = || owned.iter().map(VecDeque::len).zip(0..);
    let mut emptiest: BinaryHeap<_> = counts().map(Reverse).collect();
    let mut fullest: BinaryHeap<_> = counts().map(|(count, worker)| (count, Reverse(worker))).collect();
    while let (Some((most, Reverse(giver))), Some(Reverse((least, receiver)))) = (fullest.pop(), emptiest.pop()) {
        if most <= least + 1 {
            break;
        }
        // librdkafka lists the candidates of the fullest worker from its lowest partition on.
        let Some(partition) = owned[giver].pop_front() else { break };
        owned[receiver].push_back(partition);
        fullest.push((most - 1, Reverse(giver)));
        emptiest.push(Reverse((least + 1, receiver)));
    }
    owned.into_iter().map(|partitions| in_order(partitions.into()).into()).collect()
}

/// Partitions that do not stay with their present worker. The prediction lists workers by the number of partitions they
/// have now, so `current` is put in the same order first.
fn moved(current: &[Vec<i32>], predicted: &[Vec<i32>]) -> BTreeSet<i32> {
    let mut before: Vec<&Vec<i32>> = current.iter().collect();
    before.sort_by_key(|partitions| Reverse(partitions.len()));
    let mut owner: Vec<Option<usize>> = vec![None; predicted.iter().map(Vec::len).sum()];
    for (worker, partitions) in before.iter().enumerate() {
        for partition in *partitions {
            if let Some(owner) = slot(&mut owner, *partition) {
                *owner = Some(worker);
            }
        }
    }
    let stays = |worker: usize, partition: i32| {
        usize::try_from(partition).is_ok_and(|index| owner.get(index) == Some(&Some(worker)))
    };
    let all = predicted.iter().enumerate().flat_map(|(worker, owned)| owned.iter().map(move |one| (worker, *one)));
    all.filter(|(worker, partition)| !stays(*worker, *partition)).map(|(_, partition)| partition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sticky_workers(current: &[Vec<i32>], partitions: i32, replicas: i32) -> Prediction {
        predict(Assignor::CooperativeSticky, current, partitions, replicas)
    }

    #[test]
    fn growing_moves_only_what_must_move() {
        let one = sticky_workers(&[vec![0, 1, 2, 3, 4, 5]], 6, 3);
        assert_eq!(one.workers.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2]);
        assert_eq!(one.stopped, BTreeSet::from([0, 1, 2, 3]));
        let three = sticky_workers(&one.workers, 6, 6);
        assert!(three.workers.iter().all(|partitions| partitions.len() == 1));
        assert_eq!(three.stopped.len(), 3);
    }

    #[test]
    fn shrinking_hands_out_only_what_the_leaving_had() {
        let current = vec![vec![0], vec![1, 2], vec![3, 4]];
        let two = sticky_workers(&current, 5, 2);
        assert_eq!(two.workers, [vec![0, 1, 2], vec![3, 4]]);
        assert_eq!(two.stopped, BTreeSet::from([0]));
    }

    #[test]
    fn an_unchanged_number_moves_nothing() {
        for assignor in [Assignor::CooperativeSticky, Assignor::Range, Assignor::RoundRobin] {
            let current = predict(assignor, &[], 7, 3).workers;
            let again = predict(assignor, &current, 7, 3);
            assert_eq!(again.stopped, BTreeSet::new(), "{assignor:?}");
            assert_eq!(again.workers.iter().map(Vec::len).collect::<BTreeSet<_>>(), BTreeSet::from([2, 3]));
        }
    }

    #[test]
    fn eager_assignors_stop_everybody_at_each_change() {
        for assignor in [Assignor::Range, Assignor::RoundRobin] {
            let current = predict(assignor, &[], 6, 2).workers;
            assert_eq!(predict(assignor, &current, 6, 3).stopped.len(), 6);
        }
    }

    #[test]
    fn range_deals_blocks_and_round_robin_deals_in_turn() {
        assert_eq!(range(5, 2), [vec![0, 1, 2], vec![3, 4]]);
        assert_eq!(round_robin(5, 2), [vec![0, 2, 4], vec![1, 3]]);
        assert_eq!(range(2, 3), [vec![0], vec![1], vec![]]);
    }

    #[test]
    fn partitions_added_later_are_dealt_out_too() {
        let more = sticky_workers(&[vec![0, 1], vec![2]], 6, 2);
        assert_eq!(more.workers.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3]);
        assert_eq!(more.stopped, BTreeSet::from([3, 4, 5]));
    }
}
