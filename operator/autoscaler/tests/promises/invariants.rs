//! What holds for every sequence of observations, however absurd: lost reads, leaders gone, members that come and go,
//! offsets that jump back, topics created anew, limits that move.

use std::time::Duration;

use balancefleet_autoscaler::{
    Assignor, Committed, Current, Decision, FreezeReason, GroupHistory, LagReading, Member, Observation,
    PartitionReading, Policy, Reason, SCALE_DOWN_STABILIZATION_WINDOW, StartFrom, Usage, decide,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

/// One poll and what happened before it.
#[derive(Debug, Clone)]
struct Step {
    millis: u64,
    arrivals: Vec<i64>,
    /// Records per second of one worker.
    speed: f64,
    /// 0: poll failed; 1–9: that partition cannot be read; 10 and more: everything is read.
    fault: u8,
    /// Live members, if they are not as many as were asked for.
    workers: Option<usize>,
    stable: bool,
    usage: bool,
    /// Whether the controller carries the decision out.
    obeyed: bool,
    frozen_by: Option<FreezeReason>,
    topic: u8,
}

/// A stretch of polls under one kind of traffic, so that a need lasts long enough to be acted on; now and then
/// something goes wrong in between.
fn phase() -> impl Strategy<Value = Vec<Step>> {
    let frozen_by = prop_oneof![
        60 => Just(None),
        1 => Just(Some(FreezeReason::Pinned)),
        1 => Just(Some(FreezeReason::Paused)),
        1 => Just(Some(FreezeReason::RollingUpdate)),
    ];
    let step = (
        (500..7_000_u64, prop::collection::vec(0.8..1.2_f64, 9), 0..300_u16),
        (prop::bool::weighted(0.98), prop::bool::weighted(0.9), frozen_by, 0..300_u16),
        prop_oneof![30 => Just(None), 1 => (0..8_usize).prop_map(Some)],
    );
    let rate = prop_oneof![2 => Just(0.0), 2 => 0.0..20.0_f64, 2 => 0.0..150.0, 1 => 0.0..2_000.0];
    let polls = prop::collection::vec(step, 1..40);
    (polls, rate, 1.0..400.0_f64, any::<bool>()).prop_map(|(polls, rate, speed, usage)| {
        let step = |((millis, noise, fault), (stable, obeyed, frozen_by, topic), workers): (_, _, _)| {
            let (noise, millis): (Vec<f64>, u64) = (noise, millis);
            let arrivals = noise.iter().map(|noise| (noise * rate * millis as f64 / 1e3) as i64).collect();
            let fault = u8::try_from(fault).unwrap_or(u8::MAX);
            Step {
                millis,
                arrivals,
                speed,
                fault,
                workers,
                stable,
                usage,
                obeyed,
                frozen_by,
                topic: u8::from(topic == 0),
            }
        };
        polls.into_iter().map(step).collect()
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(phase(), 1..8).prop_map(|phases| phases.concat())
}

fn policies() -> impl Strategy<Value = Policy> {
    let assignor = prop_oneof![Just(Assignor::CooperativeSticky), Just(Assignor::Range), Just(Assignor::RoundRobin)];
    (1..6_i32, prop::option::of(1..12_i32), 1..120_u64, 10..=100_i32, prop::option::of(1..500_i32), assignor).prop_map(
        |(min_replicas, max, seconds, target_utilization, expected_rate_per_replica, assignor)| Policy {
            min_replicas,
            max_replicas: max.map(|max| max.max(min_replicas)),
            lag_slo: Duration::from_secs(seconds),
            drain_within: Duration::from_secs(seconds),
            target_utilization,
            expected_rate_per_replica,
            assignor,
        },
    )
}

/// A group whose figures follow the steps.
struct Group {
    partitions: usize,
    ends: Vec<i64>,
    committed: Vec<i64>,
    usage: Vec<Usage>,
    incarnation: u32,
}

impl Group {
    fn new(partitions: usize) -> Self {
        let usage = vec![Usage { records: 0, busy_micros: 0 }; 9];
        Self { partitions, ends: vec![0; 9], committed: vec![0; 9], usage, incarnation: 0 }
    }

    fn advance(&mut self, step: &Step, workers: usize) {
        let speed = step.speed * workers as f64 / self.partitions as f64;
        if step.topic == 1 {
            self.incarnation += 1;
            self.ends.fill(0);
        }
        for partition in 0..self.partitions {
            self.ends[partition] += step.arrivals[partition];
            // The committed offset may run ahead of a log that was created anew, as it does in Kafka.
            let room = (self.ends[partition] - self.committed[partition]).max(0);
            let consumed = ((speed * step.millis as f64 / 1e3) as i64).min(room);
            self.committed[partition] += consumed;
            self.usage[partition].records += consumed.unsigned_abs();
            self.usage[partition].busy_micros += (consumed as f64 * 1e6 / step.speed) as u64;
        }
    }

    fn observe(&self, step: &Step, workers: usize) -> Observation {
        let reading = |partition: usize| PartitionReading {
            partition: partition as i32,
            earliest: Some(self.ends[partition] / 10),
            latest: (usize::from(step.fault) != partition + 1).then_some(self.ends[partition]),
            committed: Committed::At(self.committed[partition]),
            usage: step.usage.then_some(self.usage[partition]),
        };
        let member = |worker: usize| Member {
            id: format!("m-{worker}"),
            partitions: (0..self.partitions).filter(|p| p % workers == worker).map(|p| p as i32).collect(),
        };
        Observation {
            topic_id: self.incarnation.to_string(),
            partition_count: self.partitions as i32,
            partitions: (0..self.partitions).map(reading).collect(),
            members: Some((0..workers).map(member).collect()),
            stable: step.stable,
        }
    }
}

fn check(policy: &Policy, step: &Step, reading: &LagReading, current: &Current, decision: &Decision, partitions: i32) {
    // Partitions take no worker away while nothing is known; the user's maximum does.
    let most = policy.ceiling(if *reading == LagReading::Unknown { i32::MAX } else { partitions });
    let bounded = current.desired.clamp(policy.floor(partitions), most);
    if current.frozen_by.is_some() {
        assert_eq!(decision.replicas, current.desired, "a frozen group is left alone");
    } else {
        assert!(decision.replicas <= most, "above the ceiling: {decision:#?}");
        assert!(decision.replicas >= policy.floor(partitions), "below the floor: {decision:#?}");
    }
    let blind = !matches!(reading, LagReading::Known(_)) || !step.stable;
    if blind && current.frozen_by.is_none() {
        assert!(decision.replicas >= bounded, "lowered without knowing or while rebalancing: {decision:#?}");
    }
    if *reading == LagReading::Unknown && current.frozen_by.is_none() {
        assert_eq!(decision.replicas, bounded, "replicas are held while lag is unknown");
    }
    for partition in reading.lag().into_iter().flat_map(|lag| &lag.partitions) {
        assert!(partition.lag.is_none_or(|lag| lag >= 0) && partition.lost >= 0, "{partition:?}");
    }
    assert!(
        decision.needed.is_none_or(|needed| needed <= policy.ceiling(partitions).max(current.desired)),
        "{decision:#?}"
    );
    assert!(!decision.explanation.is_empty());
    assert!(decision.capacity.is_none_or(|capacity| capacity.rate.is_finite() && capacity.rate > 0.0), "{decision:#?}");
    assert!(decision.arrival_rate.is_none_or(|rate| rate.is_finite() && rate >= 0.0), "{decision:#?}");
}

fn run(policy: &Policy, partitions: usize, steps: &[Step]) -> Vec<Decision> {
    let (mut history, mut group, mut now) = (GroupHistory::default(), Group::new(partitions), Duration::ZERO);
    let mut current = Current { desired: policy.min_replicas, ..Current::default() };
    let (mut seen_partitions, mut confirmed) = (i32::MAX, false);
    let mut decisions = Vec::new();
    for step in steps {
        now += Duration::from_millis(step.millis);
        let workers = step.workers.unwrap_or(usize::try_from(current.desired).unwrap_or(0));
        group.advance(step, workers);
        current.frozen_by = step.frozen_by;
        let reading = if step.fault == 0 {
            LagReading::Unknown
        } else {
            seen_partitions = partitions as i32;
            history.observe(&group.observe(step, workers), StartFrom::Earliest, now)
        };
        let decision = decide(policy, &mut history, &reading, &current, now);
        check(policy, step, &reading, &current, &decision, seen_partitions);
        assert!(!(confirmed && decision.confirm), "a confirmation is never confirmed");
        confirmed = decision.confirm;
        if step.obeyed {
            current.desired = decision.replicas;
        }
        decisions.push(decision);
    }
    decisions
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_observations_breaks_a_limit(policy in policies(), partitions in 1..9_usize, steps in steps()) {
        run(&policy, partitions, &steps);
    }

    #[test]
    fn the_same_observations_always_give_the_same_decisions(
        policy in policies(),
        partitions in 1..9_usize,
        steps in steps(),
    ) {
        prop_assert_eq!(run(&policy, partitions, &steps), run(&policy, partitions, &steps));
    }

    #[test]
    fn a_worker_is_only_taken_away_when_the_need_was_lower_for_the_whole_window(
        policy in policies(),
        partitions in 1..9_usize,
        steps in steps(),
    ) {
        let decisions = run(&policy, partitions, &steps);
        let (mut now, mut needed_at, mut desired) = (Duration::ZERO, Duration::ZERO, policy.min_replicas);
        for (step, decision) in steps.iter().zip(&decisions) {
            now += Duration::from_millis(step.millis);
            let fell = decision.replicas < desired && decision.reason == Reason::DemandFell;
            if decision.needed.is_none_or(|needed| needed >= desired) || step.fault == 0 || step.frozen_by.is_some() {
                prop_assert!(!fell, "{decision:#?}");
                needed_at = now;
            }
            prop_assert!(!fell || now - needed_at >= SCALE_DOWN_STABILIZATION_WINDOW, "after {:?}: {decision:#?}", now - needed_at);
            if step.obeyed && decision.replicas != desired {
                (desired, needed_at) = (decision.replicas, now);
            }
        }
    }
}

#[test]
fn the_random_sequences_do_move_workers_both_ways() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut up, mut down) = (0, 0);
    for _ in 0..100 {
        let steps = steps().new_tree(&mut runner).expect("steps").current();
        let decisions = run(&Policy::default(), 6, &steps);
        up +=
            decisions.iter().filter(|decision| decision.reason == Reason::ArrivalRate && decision.replicas > 1).count();
        down += decisions.iter().filter(|decision| decision.reason == Reason::DemandFell).count();
    }
    assert!(up > 100 && down > 100, "{up} up, {down} down");
}

/// At the partition count, lag that grows asks for as many workers as there are: none of them is too many, whatever a
/// rate that was once seen of one worker would allow.
#[test]
fn lag_that_grows_takes_no_worker_away_at_the_limit() {
    let policy = Policy {
        lag_slo: Duration::from_secs(81),
        drain_within: Duration::from_secs(81),
        target_utilization: 20,
        ..Policy::default()
    };
    // Milliseconds, records per partition, speed of a worker, fault, stable, obeyed, topic.
    let steps = [
        (500, 55, 147.0, 6, false, false, 1),
        (3_241, 358, 147.0, 0, false, false, 0),
        (4_113, 454, 147.0, 1, false, false, 1),
        (500, 55, 147.0, 2, false, false, 0),
        (500, 55, 147.0, 6, false, false, 0),
        (689, 76, 147.0, 6, false, false, 0),
        (2_770, 306, 147.0, 6, false, false, 0),
        (6_541, 722, 147.0, 6, true, false, 0),
        (4_500, 497, 147.0, 6, true, true, 0),
        (4_135, 0, 358.9, 0, false, false, 0),
        (500, 0, 358.9, 6, false, false, 0),
        (500, 0, 358.9, 6, false, false, 0),
        (591, 0, 358.9, 1, false, false, 0),
        (500, 0, 358.9, 6, true, false, 0),
        (3_018, 0, 358.9, 6, true, false, 0),
        (2_929, 12, 1.55, 6, true, false, 0),
        (3_719, 16, 1.55, 6, true, false, 0),
        (3_881, 17, 1.55, 6, true, false, 0),
        (5_664, 24, 1.55, 6, true, false, 0),
        (5_004, 22, 1.55, 6, true, false, 0),
        (5_785, 25, 1.55, 6, true, false, 0),
    ]
    .map(|(millis, records, speed, fault, stable, obeyed, topic)| {
        let arrivals = vec![records; 9];
        Step { millis, arrivals, speed, fault, workers: None, stable, usage: false, obeyed, frozen_by: None, topic }
    });
    let decisions = run(&policy, 5, &steps);
    let last = decisions.last().expect("a decision");
    assert_eq!((last.needed, last.replicas), (Some(5), 5), "{last:#?}");
}
