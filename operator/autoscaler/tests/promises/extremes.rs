//! Figures at the edge of what Kafka can say: the largest topic that is followed, and offsets that no honest group has.

use std::time::{Duration, Instant};

use balancefleet_autoscaler::{
    Committed, Current, Decision, GroupHistory, Member, Observation, PartitionReading, Policy, StartFrom, Usage, decide,
};

fn observation(partitions: i32, workers: i32, latest: i64, committed: i64, usage: Usage) -> Observation {
    let reading = |partition| PartitionReading {
        partition,
        earliest: Some(0),
        latest: Some(latest),
        committed: Committed::At(committed),
        usage: Some(usage),
    };
    let member = |worker| Member {
        id: format!("m-{worker}"),
        partitions: (0..partitions).filter(|partition| partition % workers == worker).collect(),
    };
    Observation {
        topic_id: "topic".into(),
        partition_count: partitions,
        partitions: (0..partitions).map(reading).collect(),
        members: Some((0..workers).map(member).collect()),
        stable: true,
    }
}

fn decided(history: &mut GroupHistory, seen: &Observation, desired: i32, second: u64) -> Decision {
    let (now, current) = (Duration::from_secs(second), Current { desired, ..Current::default() });
    let reading = history.observe(seen, StartFrom::Earliest, now);
    decide(&Policy::default(), history, &reading, &current, now)
}

#[test]
fn the_largest_topic_is_decided_about_within_a_part_of_a_poll() {
    for workers in [1, 100, 5_000] {
        let mut history = GroupHistory::default();
        for poll in 0..3_u8 {
            let records = i64::from(poll) * 500;
            let usage = Usage { records: records.unsigned_abs(), busy_micros: records.unsigned_abs() * 7_000 };
            let seen = observation(10_000, workers, records, records, usage);
            let started = Instant::now();
            let decision = decided(&mut history, &seen, workers, u64::from(poll) * 5);
            let took = started.elapsed();
            assert!(took < Duration::from_millis(2_500), "{workers} workers: {took:?}");
            assert!(poll < 2 || !decision.candidates.is_empty(), "{decision:#?}");
        }
    }
}

#[test]
fn no_figure_that_kafka_can_carry_makes_a_decision_panic() {
    let extremes = [0, 1, i64::MAX / 2, i64::MAX];
    let mut history = GroupHistory::default();
    let mut second = 0;
    for latest in extremes {
        for committed in extremes.into_iter().chain([-1, i64::MIN]) {
            for counted in [0, u64::MAX / 2, u64::MAX] {
                second += 5;
                let usage = Usage { records: counted, busy_micros: counted };
                decided(&mut history, &observation(3, 2, latest, committed, usage), 2, second);
            }
        }
    }
}
