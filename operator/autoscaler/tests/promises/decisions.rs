//! What a decision respects: limits, holds, partial knowledge, changes in progress; and how it explains itself.

use std::time::Duration;

use crate::world::{Settings, World};
use balancefleet_autoscaler::{
    BlockedBy, Committed, Current, Decision, FreezeReason, GroupHistory, LagReading, Limit, Member, Observation,
    PartitionReading, Policy, Reason, SavedHistory, StartFrom, Usage, decide,
};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn world(policy: Policy) -> World {
    World::new(Settings::default(), policy)
}

#[test]
fn the_maximum_is_never_passed_and_named_as_the_limit() {
    let mut world = world(Policy { max_replicas: Some(2), ..Policy::default() });
    world.run(100.0, secs(60));
    world.run(600.0, secs(60));
    let decision = world.last.expect("a decision");
    assert_eq!((decision.replicas, decision.limited_by), (2, Some(Limit::MaxReplicas)));
}

#[test]
fn more_than_the_partitions_is_never_asked_for_and_they_are_named_as_the_limit() {
    let mut world = world(Policy { max_replicas: Some(50), ..Policy::default() });
    world.run(100.0, secs(60));
    world.run(1_200.0, secs(60));
    let decision = world.last.expect("a decision");
    assert_eq!((decision.replicas, decision.limited_by), (6, Some(Limit::Partitions)));
}

#[test]
fn the_minimum_holds_at_night_and_is_named_as_the_limit() {
    let mut world = world(Policy { min_replicas: 4, ..Policy::default() });
    world.run(100.0, secs(120));
    let decision = world.last.expect("a decision");
    assert_eq!((decision.replicas, decision.limited_by), (4, Some(Limit::MinReplicas)));
}

#[test]
fn a_limit_that_moves_is_followed_at_once() {
    let mut world = world(Policy::default());
    world.run(600.0, secs(90));
    assert_eq!(world.desired(), 6);
    world.policy.max_replicas = Some(3);
    world.run(600.0, secs(6));
    assert_eq!(world.desired(), 3);
    assert_eq!(world.changes.last().unwrap().explanation, "6 → 3: 3 is the maximum");
    world.policy = Policy { min_replicas: 5, ..Policy::default() };
    world.run(600.0, secs(6));
    assert_eq!(world.changes.last().unwrap().explanation, "3 → 5: 5 is the minimum");
}

#[test]
fn a_frozen_group_is_left_alone_but_its_need_is_computed() {
    for (frozen_by, reason) in [
        (FreezeReason::Pinned, Reason::Pinned),
        (FreezeReason::Paused, Reason::Paused),
        (FreezeReason::RollingUpdate, Reason::RollingUpdate),
    ] {
        let mut world = world(Policy { expected_rate_per_replica: Some(140), ..Policy::default() });
        world.run(100.0, secs(60));
        world.current.frozen_by = Some(frozen_by);
        world.run(600.0, secs(60));
        let decision = world.last.expect("a decision");
        assert_eq!((decision.replicas, decision.reason, decision.needed), (1, reason, Some(6)));
    }
}

#[test]
fn a_dry_run_keeps_saying_what_it_would_do() {
    let mut world = world(Policy::default());
    world.run(100.0, secs(60));
    world.dry_run = true;
    for _ in 0..2 {
        world.run(300.0, secs(7));
        let decision = world.last.clone().expect("a decision");
        assert_eq!((world.current.desired, decision.replicas, decision.reason), (1, 3, Reason::ArrivalRate));
    }
}

#[test]
fn one_hot_partition_is_given_a_worker_of_its_own_and_nothing_beyond() {
    let settings = Settings { weights: vec![30.0, 1.0, 1.0, 1.0, 1.0, 1.0], ..Settings::default() };
    let mut world = World::new(settings, Policy::default());
    world.run(70.0, secs(60));
    world.run(180.0, secs(120));
    let decision = world.last.expect("a decision");
    assert_eq!((decision.replicas, decision.limited_by), (6, Some(Limit::Partitions)), "{:#?}", world.changes);
    assert!(world.changes[0].explanation.contains("the owner of partition 0 "), "{:?}", world.changes);
}

#[test]
fn a_new_template_forgets_what_the_old_one_could_do() {
    let mut world = world(Policy::default());
    world.run(100.0, secs(60));
    assert!(world.last.as_ref().unwrap().capacity.is_some());
    world.current.template = "b".into();
    world.settings.speed = 70.0;
    world.run(100.0, secs(60));
    let capacity = world.last.as_ref().unwrap().capacity.expect("a capacity");
    assert!((capacity.rate - 70.0).abs() < 7.0, "{capacity:?}");
}

#[test]
fn workers_that_became_slower_are_noticed_within_five_minutes() {
    let mut world = world(Policy::default());
    world.run(300.0, secs(120));
    assert_eq!(world.desired(), 3);
    world.settings.speed = 84.0;
    world.run(300.0, secs(300));
    assert_eq!(world.desired(), 6, "{:#?}", world.changes);
    let capacity = world.last.as_ref().unwrap().capacity.expect("a capacity");
    assert!((capacity.rate - 84.0).abs() < 8.4, "{capacity:?}");
}

/// Two partitions, one worker that has always done 100/s, 120 records per second; partition 1 unreadable or not.
fn two_partitions(second: u64, blind: bool) -> Observation {
    let at = i64::try_from(second * 60).unwrap();
    let usage = Usage { records: second * 40, busy_micros: second * 400_000 };
    let reading = |partition, latest| PartitionReading {
        partition,
        earliest: Some(0),
        latest,
        committed: Committed::At(at * 2 / 3),
        usage: Some(usage),
    };
    Observation {
        topic_id: "topic".into(),
        partition_count: 2,
        partitions: vec![reading(0, Some(at)), reading(1, (!blind).then_some(at))],
        members: Some(vec![Member { id: "worker".into(), partitions: vec![0, 1] }]),
        stable: true,
    }
}

#[test]
fn partial_lag_may_bring_workers_but_never_takes_any() {
    let (mut history, policy) = (GroupHistory::default(), Policy::default());
    let mut decide_at = |second: u64, blind: bool, desired: i32| {
        let current = Current { desired, ..Current::default() };
        let reading = history.observe(&two_partitions(second, blind), StartFrom::Earliest, secs(second));
        assert_eq!(matches!(reading, LagReading::Partial(_)), blind);
        decide(&policy, &mut history, &reading, &current, secs(second))
    };
    decide_at(0, false, 1);
    decide_at(5, false, 1);
    decide_at(10, true, 1);
    let grown = decide_at(15, true, 1);
    assert_eq!((grown.replicas, grown.reason), (2, Reason::ArrivalRate), "{grown:#?}");
    for second in (20..200).step_by(5) {
        let kept = decide_at(second, true, 2);
        assert_eq!((kept.replicas, kept.blocked_by.is_some()), (2, true), "{kept:#?}");
    }
}

#[test]
fn unknown_lag_takes_no_worker_away_but_the_users_maximum_does() {
    let (mut history, mut policy) = (GroupHistory::default(), Policy::default());
    history.observe(&two_partitions(0, false), StartFrom::Earliest, secs(0));
    // Eight were asked for by a pin on two partitions; it goes while Kafka is away.
    let current = Current { desired: 8, ..Current::default() };
    let blind = decide(&policy, &mut history, &LagReading::Unknown, &current, secs(5));
    assert_eq!((blind.replicas, blind.reason), (8, Reason::LagUnknown), "{blind:#?}");
    policy.max_replicas = Some(4);
    let limited = decide(&policy, &mut history, &LagReading::Unknown, &current, secs(10));
    assert_eq!((limited.replicas, limited.reason), (4, Reason::LagUnknown), "{limited:#?}");
    let reading = history.observe(&two_partitions(15, false), StartFrom::Earliest, secs(15));
    let known = decide(&policy, &mut history, &reading, &current, secs(15));
    assert_eq!((known.replicas, known.reason), (2, Reason::OutOfBounds), "{known:#?}");
}

#[test]
fn a_low_target_still_lets_workers_go() {
    let mut world = world(Policy { target_utilization: 12, ..Policy::default() });
    world.run(80.0, secs(60));
    assert_eq!(world.desired(), 6, "{:#?}", world.changes);
    world.run(10.0, secs(90));
    assert_eq!(world.desired(), 1, "{:#?}", world.changes);
}

#[test]
fn an_unknown_poll_restarts_the_stabilization_window() {
    let mut world = world(Policy::default());
    world.run(600.0, secs(90));
    world.run(20.0, secs(25));
    assert_eq!(world.last.as_ref().unwrap().blocked_by, Some(BlockedBy::StabilizationWindow));
    world.unreadable = true;
    world.run(20.0, secs(6));
    world.unreadable = false;
    world.run(20.0, secs(20));
    assert_eq!(world.desired(), 6, "{:#?}", world.changes);
    world.run(20.0, secs(30));
    assert_eq!(world.desired(), 1);
}

#[test]
fn the_sentence_has_the_numbers_of_the_decision() {
    let mut world = world(Policy::default());
    world.run(100.0, secs(60));
    let calm = world.last.as_ref().unwrap().explanation.clone();
    assert!(calm.starts_with("1 kept: 10"), "{calm}");
    assert!(
        calm.ends_with(
            " one worker does 140/s (126/s at 90 % utilization), 1 is the smallest number of replicas that carries that"
        ),
        "{calm}"
    );
    world.run(500.0, secs(10));
    let sentence = &world.changes[0].explanation;
    let (numbers, choice) = sentence.rsplit_once(" utilization); ").expect("a plan");
    assert!(
        numbers.starts_with("1 → 6: ") && numbers.ends_with(" records/s arrive, one worker does 140/s (126/s at 90 %"),
        "{numbers}"
    );
    assert!(choice.starts_with("with fewer than 6, the owner of partition "), "{choice}");
    assert!(
        choice.contains(" would get 1") && choice.contains("/s; 6 work off ") && choice.ends_with(" s"),
        "{choice}"
    );
    world.run(500.0, secs(90));
    world.run(20.0, secs(60));
    let sentence = &world.changes.last().unwrap().explanation;
    assert!(sentence.starts_with("6 → 1: ") && sentence.ends_with("1 has been enough for 30 s"), "{sentence}");
}

/// How often a part of the decision changed while a load hovered at a limit for a quarter of an hour.
fn turns<T: PartialEq>(mut world: World, rate: f64, part: impl Fn(&Decision) -> T) -> usize {
    let mut said = Vec::new();
    for _ in 0..180 {
        world.run(rate, secs(5));
        said.extend(world.last.as_ref().map(&part));
    }
    said.windows(2).filter(|two| two[0] != two[1]).count()
}

#[test]
fn a_load_that_hovers_at_a_limit_makes_no_news() {
    for seed in 1..6 {
        let at = |policy| World::new(Settings { seed, ..Settings::default() }, policy);
        // One worker carries 126 a second of 140: the minimum is in the way of fewer, or just not.
        let minimum = at(Policy { min_replicas: 2, ..Policy::default() });
        assert!(turns(minimum, 126.0, |decision| decision.limited_by) <= 2, "minimum, seed {seed}");
        let maximum = at(Policy { max_replicas: Some(1), ..Policy::default() });
        assert!(turns(maximum, 126.0, |decision| decision.limited_by) <= 2, "maximum, seed {seed}");
        // All of it on one partition, of which a worker carries 140.
        let weights = vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let hot = World::new(Settings { seed, weights, ..Settings::default() }, Policy::default());
        assert!(turns(hot, 138.0, |decision| decision.hot_partition) <= 2, "hot partition, seed {seed}");
    }
}

#[test]
fn a_partition_that_no_single_worker_carries_is_hot_until_one_does() {
    let settings = Settings { weights: vec![30.0, 1.0, 1.0, 1.0, 1.0, 1.0], ..Settings::default() };
    let mut world = World::new(settings, Policy::default());
    world.run(70.0, secs(60));
    assert_eq!(world.last.as_ref().and_then(|decision| decision.hot_partition), None);
    world.run(230.0, secs(60));
    assert_eq!(world.last.as_ref().and_then(|decision| decision.hot_partition), Some(0));
    world.run(70.0, secs(120));
    assert_eq!(world.last.as_ref().and_then(|decision| decision.hot_partition), None);
}

/// What a status says of the last decision.
fn saved_history(decision: &Decision) -> SavedHistory {
    SavedHistory {
        decision: Some((decision.replicas, decision.reason, decision.explanation.clone())),
        capacity: decision.capacity,
        limited_by: decision.limited_by,
        hot_partition: decision.hot_partition,
    }
}

#[test]
fn a_restart_takes_no_decision_back_and_forgets_nothing_learned() {
    for (policy, rate) in [
        (Policy::default(), 300.0),
        (Policy { min_replicas: 4, ..Policy::default() }, 100.0),
        (Policy { max_replicas: Some(2), ..Policy::default() }, 200.0),
    ] {
        let mut world = world(policy);
        world.run(100.0, secs(60));
        world.run(rate, secs(240));
        let before = world.last.clone().expect("a decision");
        world.history = GroupHistory::resume(saved_history(&before));
        for _ in 0..12 {
            world.run(rate, secs(5));
            let after = world.last.clone().expect("a decision");
            assert_eq!(saved_history(&after).decision, saved_history(&before).decision);
            assert_eq!((after.limited_by, after.hot_partition), (before.limited_by, before.hot_partition));
            let source = |decision: &Decision| decision.capacity.map(|capacity| capacity.source);
            assert_eq!(source(&after), source(&before));
        }
    }
}

#[test]
fn an_idle_fleet_shrinks_after_a_restart_although_no_worker_reports() {
    let mut world = world(Policy::default());
    world.run(600.0, secs(90));
    assert_eq!(world.desired(), 6);
    let capacity = world.last.as_ref().and_then(|decision| decision.capacity);
    world.run(0.0, secs(20));
    world.history = GroupHistory::resume(SavedHistory { capacity, ..SavedHistory::default() });
    let restarted = world.now;
    world.run(0.0, secs(45));
    assert_eq!(world.desired(), 1, "{:?}", world.changes);
    assert!(world.changes.iter().all(|change| change.at < restarted || change.to < 6));
}
