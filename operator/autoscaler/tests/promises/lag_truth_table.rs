//! Every way in which the offsets of a partition can stand to each other, and what that means for lag.

use std::time::Duration;

use balancefleet_autoscaler::{
    Age, Committed, GroupHistory, Lag, LagReading, Member, Observation, PartitionLag, PartitionReading, StartFrom,
};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn reading(partition: i32, earliest: i64, latest: i64, committed: Committed) -> PartitionReading {
    PartitionReading { partition, earliest: Some(earliest), latest: Some(latest), committed, usage: None }
}

fn seen(partitions: Vec<PartitionReading>) -> Observation {
    Observation {
        topic_id: "first".into(),
        partition_count: partitions.len() as i32,
        members: Some(vec![Member {
            id: "worker".into(),
            partitions: partitions.iter().map(|reading| reading.partition).collect(),
        }]),
        partitions,
        stable: true,
    }
}

fn observe(start_from: StartFrom, partitions: Vec<PartitionReading>) -> LagReading {
    GroupHistory::default().observe(&seen(partitions), start_from, secs(0))
}

/// The only partition's lag, read once.
fn one(start_from: StartFrom, earliest: i64, latest: i64, committed: Committed) -> PartitionLag {
    let LagReading::Known(lag) = observe(start_from, vec![reading(0, earliest, latest, committed)]) else {
        panic!("known")
    };
    lag.partitions[0].clone()
}

fn known(reading: LagReading) -> Lag {
    match reading {
        LagReading::Known(lag) => lag,
        other => panic!("{other:?}"),
    }
}

#[test]
fn lag_is_the_distance_from_the_commit_to_the_end() {
    let lag = one(StartFrom::Earliest, 10, 100, Committed::At(40));
    assert_eq!((lag.lag, lag.lost, lag.ahead_of_log), (Some(60), 0, false));
}

#[test]
fn a_group_at_the_end_has_no_lag_and_no_age() {
    let lag = one(StartFrom::Earliest, 10, 100, Committed::At(100));
    assert_eq!((lag.lag, lag.age), (Some(0), Some(Age::Exactly(secs(0)))));
}

#[test]
fn a_commit_before_the_start_of_the_log_counts_what_was_deleted_apart() {
    let lag = one(StartFrom::Earliest, 70, 100, Committed::At(40));
    assert_eq!((lag.lag, lag.lost, lag.ahead_of_log), (Some(30), 30, false));
}

#[test]
fn a_log_deleted_to_its_end_leaves_no_lag_but_a_loss() {
    let lag = one(StartFrom::Earliest, 100, 100, Committed::At(40));
    assert_eq!((lag.lag, lag.lost), (Some(0), 60));
}

#[test]
fn a_commit_beyond_the_end_is_a_truncation_and_never_negative_lag() {
    let lag = one(StartFrom::Earliest, 0, 100, Committed::At(140));
    assert_eq!((lag.lag, lag.lost, lag.ahead_of_log), (Some(0), 0, true));
}

#[test]
fn without_a_commit_a_group_that_starts_at_the_earliest_has_all_that_the_log_holds() {
    let lag = one(StartFrom::Earliest, 70, 100, Committed::None);
    assert_eq!((lag.lag, lag.lost), (Some(30), 0));
}

#[test]
fn without_a_commit_a_group_that_starts_at_the_latest_has_what_came_since_it_was_first_seen() {
    let mut history = GroupHistory::default();
    let mut lag_at = |end, seconds| {
        let observation = seen(vec![reading(0, 0, end, Committed::None)]);
        known(history.observe(&observation, StartFrom::Latest, secs(seconds))).partitions[0].lag
    };
    assert_eq!(lag_at(1_000_000, 0), Some(0));
    assert_eq!(lag_at(1_000_025, 5), Some(25));
}

#[test]
fn a_partition_without_a_commit_in_a_group_that_has_some_is_read_from_its_first_record() {
    let partitions = vec![reading(0, 0, 100, Committed::At(100)), reading(1, 5, 50, Committed::None)];
    assert_eq!(known(observe(StartFrom::Latest, partitions)).known_records(), 45);
}

#[test]
fn transaction_markers_at_the_end_are_no_lag_once_they_lie_still() {
    let mut history = GroupHistory::default();
    let mut lag_at = |end, seconds| {
        let observation = seen(vec![reading(0, 0, end, Committed::At(99))]);
        known(history.observe(&observation, StartFrom::Earliest, secs(seconds))).partitions[0].lag
    };
    assert_eq!(lag_at(100, 0), Some(1));
    assert_eq!(lag_at(100, 59), Some(1));
    assert_eq!(lag_at(100, 60), Some(0));
    assert_eq!(lag_at(103, 65), Some(4));
}

#[test]
fn two_unread_records_that_nobody_reads_are_lag_for_ever() {
    let mut history = GroupHistory::default();
    for seconds in [0, 100, 1_000] {
        let mut observation = seen(vec![reading(0, 0, 100, Committed::At(98))]);
        observation.members = Some(Vec::new());
        assert_eq!(history.observe(&observation, StartFrom::Earliest, secs(seconds)).records(), Some(2));
    }
}

#[test]
fn an_offset_that_cannot_be_read_makes_the_partition_unknown_and_never_zero() {
    let good = reading(0, 0, 100, Committed::At(90));
    for bad in [
        PartitionReading { latest: None, ..reading(1, 0, 100, Committed::At(100)) },
        PartitionReading { earliest: None, ..reading(1, 0, 100, Committed::At(100)) },
        reading(1, 0, 100, Committed::Unknown),
    ] {
        let read = observe(StartFrom::Earliest, vec![good.clone(), bad]);
        let LagReading::Partial(lag) = &read else { panic!("{read:?}") };
        assert_eq!((lag.known_records(), lag.missing()), (10, vec![1]));
        assert_eq!((read.records(), read.age()), (None, None));
        assert_eq!((lag.records_of(&[0]), lag.records_of(&[0, 1])), (Some(10), None));
    }
}

#[test]
fn a_partition_that_is_not_reported_at_all_makes_the_reading_partial() {
    let mut observation = seen(vec![reading(0, 0, 100, Committed::At(90)), reading(1, 0, 10, Committed::At(10))]);
    observation.partition_count = 3;
    let read = GroupHistory::default().observe(&observation, StartFrom::Earliest, secs(0));
    assert!(matches!(read, LagReading::Partial(lag) if lag.missing() == [2]));
}

#[test]
fn when_no_partition_can_be_read_lag_is_unknown() {
    let blind = PartitionReading { latest: None, ..reading(0, 0, 0, Committed::None) };
    assert_eq!(observe(StartFrom::Earliest, vec![blind]), LagReading::Unknown);
    assert_eq!(observe(StartFrom::Earliest, Vec::new()), LagReading::Unknown);
}

#[test]
fn partitions_added_while_running_count_from_their_first_record() {
    let mut history = GroupHistory::default();
    let two = seen(vec![reading(0, 0, 10, Committed::At(10)), reading(1, 0, 10, Committed::At(10))]);
    history.observe(&two, StartFrom::Latest, secs(0));
    let mut partitions = two.partitions.clone();
    partitions.extend([reading(2, 0, 7, Committed::None), reading(3, 0, 0, Committed::None)]);
    let four = seen(partitions);
    let lag = known(history.observe(&four, StartFrom::Latest, secs(5)));
    assert_eq!((lag.partitions.len(), lag.known_records()), (4, 7));
}

#[test]
fn partitions_that_seem_to_be_gone_are_unknown_because_kafka_never_takes_any_away() {
    let mut history = GroupHistory::default();
    let two = seen(vec![reading(0, 0, 10, Committed::At(10)), reading(1, 0, 10, Committed::At(10))]);
    history.observe(&two, StartFrom::Earliest, secs(0));
    let one = seen(vec![reading(0, 0, 10, Committed::At(10))]);
    let read = history.observe(&one, StartFrom::Earliest, secs(5));
    assert!(matches!(read, LagReading::Partial(lag) if lag.missing() == [1]));
}

#[test]
fn a_topic_created_anew_starts_from_scratch() {
    let mut history = GroupHistory::default();
    let old = seen(vec![reading(0, 0, 1_000, Committed::At(900)), reading(1, 0, 10, Committed::At(10))]);
    history.observe(&old, StartFrom::Earliest, secs(0));
    let mut new = seen(vec![reading(0, 0, 3, Committed::At(900))]);
    new.topic_id = "second".into();
    let lag = known(history.observe(&new, StartFrom::Earliest, secs(5)));
    assert_eq!((lag.partitions.len(), lag.ahead_of_log(), lag.known_records()), (1, vec![0], 0));
}

#[test]
fn the_age_of_the_group_is_that_of_its_oldest_unread_record() {
    let mut history = GroupHistory::default();
    let mut age_at = |seconds, ends: [i64; 2], committed: [i64; 2]| {
        let partitions = (0..2).map(|p| reading(p as i32, 0, ends[p], Committed::At(committed[p]))).collect::<Vec<_>>();
        history.observe(&seen(partitions), StartFrom::Earliest, secs(seconds)).age()
    };
    // Written before the first poll: all that is known is that it is not younger than the first poll.
    assert_eq!(age_at(0, [100, 100], [50, 100]), Some(Age::AtLeast(secs(0))));
    assert_eq!(age_at(10, [200, 200], [150, 200]), Some(Age::Exactly(secs(5))));
    assert_eq!(age_at(20, [300, 300], [300, 210]), Some(Age::Exactly(secs(9))));
}
