//! Who processes which partition, and for how long nobody does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whoever processed nothing of a partition for so long does not have it.
const RECENTLY: Duration = Duration::from_millis(300);

/// A member of the group, by the order of starting.
pub(super) type Place = usize;

/// A member was seen to have processed up to there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) at: Instant,
    pub(super) member: Place,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// All that was seen, of all members, in the order in which it was.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Mutex<Vec<Step>>>);

impl Watch {
    /// Notes where a member is; the same place again is no step.
    pub(super) fn note(&self, step: Step) {
        let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |known: &&Step| known.member == step.member && known.partition == step.partition;
        if steps.iter().rev().find(same).is_none_or(|known| known.offset < step.offset) {
            steps.push(step);
        }
    }

    /// The partitions that the member processes now.
    pub(super) fn share(&self, member: Place) -> BTreeSet<i32> {
        let steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let recent = steps.iter().rev().take_while(|step| now.duration_since(step.at) < RECENTLY);
        recent.filter(|step| step.member == member).map(|step| step.partition).collect()
    }

    /// The partitions of which two steps were seen since: the first may be one that was made before.
    pub(super) fn moving_since(&self, since: Instant) -> BTreeSet<i32> {
        let steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut once, mut twice) = (BTreeSet::new(), BTreeSet::new());
        for step in steps.iter().filter(|step| step.at > since) {
            if !once.insert(step.partition) {
                twice.insert(step.partition);
            }
        }
        twice
    }

    /// Per partition the longest time without a step forward that ended after `since`, or has not ended.
    pub(super) fn standstills(&self, since: Instant) -> BTreeMap<i32, Duration> {
        standstills(&self.0.lock().unwrap_or_else(PoisonError::into_inner), since, Instant::now())
    }
}

/// A member that took over begins below what the one before it had reached, when that was not committed: only a record
/// that nobody had processed is a step forward.
fn standstills(steps: &[Step], since: Instant, until: Instant) -> BTreeMap<i32, Duration> {
    let mut furthest: BTreeMap<i32, (i64, Instant)> = BTreeMap::new();
    let mut longest: BTreeMap<i32, Duration> = BTreeMap::new();
    let mut note = |partition: i32, standstill: Duration| {
        let known = longest.entry(partition).or_default();
        *known = standstill.max(*known);
    };
    for step in steps {
        let (reached, at) = furthest.entry(step.partition).or_insert((step.offset, step.at));
        if step.offset > *reached {
            if step.at > since {
                note(step.partition, step.at.duration_since(*at));
            }
            (*reached, *at) = (step.offset, step.at);
        }
    }
    for (partition, (_, at)) in furthest {
        note(partition, until.saturating_duration_since(at));
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standstill of one partition, from milliseconds and offsets.
    fn standstill(steps: &[(u64, i64)], since: u64, until: u64) -> u128 {
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        let step = |(millis, offset): &(u64, i64)| Step { at: at(*millis), member: 0, partition: 0, offset: *offset };
        standstills(&steps.iter().map(step).collect::<Vec<_>>(), at(since), at(until))[&0].as_millis()
    }

    #[test]
    fn the_longest_time_without_a_step_counts() {
        assert_eq!(standstill(&[(0, 1), (10, 2), (300, 3), (320, 4)], 5, 330), 290);
    }

    #[test]
    fn what_ended_before_the_move_does_not_count() {
        assert_eq!(standstill(&[(0, 1), (500, 2), (510, 3), (520, 4)], 505, 525), 10);
    }

    #[test]
    fn records_processed_again_are_no_step_forward() {
        assert_eq!(standstill(&[(0, 8), (10, 9), (200, 5), (210, 8), (400, 10)], 5, 405), 390);
    }

    #[test]
    fn a_partition_that_nobody_took_stands_still_to_the_end() {
        assert_eq!(standstill(&[(0, 1), (10, 2)], 5, 7_010), 7_000);
    }

    #[test]
    fn one_step_may_be_seen_late_two_are_traffic() {
        let (watch, began) = (Watch::default(), Instant::now());
        let step = |partition, offset, millis| {
            watch.note(Step { at: began + Duration::from_millis(millis), member: 0, partition, offset });
        };
        step(0, 1, 0);
        step(0, 2, 10);
        step(1, 1, 10);
        step(0, 3, 20);
        assert_eq!(watch.moving_since(began), BTreeSet::from([0]));
    }

    #[test]
    fn a_member_has_what_it_goes_on_with() {
        let watch = Watch::default();
        let now = Instant::now();
        let step = |member, partition, offset, ago: u64| {
            watch.note(Step { at: now - Duration::from_millis(ago), member, partition, offset });
        };
        step(0, 5, 10, 2_000);
        step(0, 4, 10, 100);
        step(1, 3, 10, 50);
        step(0, 5, 10, 10);
        assert_eq!(watch.share(0), BTreeSet::from([4]), "of 5 the same record was seen again");
        assert_eq!(watch.share(1), BTreeSet::from([3]));
    }
}
