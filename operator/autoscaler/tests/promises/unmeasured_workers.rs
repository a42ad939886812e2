//! Consumers that do not report how busy they are: what is learned from lag and saturation alone, and what is refused
//! while nothing is known.

use std::time::Duration;

use crate::world::{Settings, World};
use balancefleet_autoscaler::{BlockedBy, CapacitySource, Policy, Reason};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn silent(seed: u64) -> Settings {
    Settings { seed, reports_usage: false, ..Settings::default() }
}

#[test]
fn lag_that_grows_brings_more_workers_although_their_capacity_is_unknown() {
    for seed in 1..=20 {
        let mut world = World::new(silent(seed), Policy::default());
        world.run(100.0, secs(60));
        assert_eq!(world.desired(), 1, "seed {seed}: {:#?}", world.changes);
        world.run(600.0, secs(240));
        assert_eq!(world.desired(), 6, "seed {seed}: {:#?}", world.changes);
        assert!(world.lag() < 1_500, "seed {seed}: {}", world.lag());
    }
}

#[test]
fn workers_with_a_standing_backlog_show_what_they_can_do() {
    for seed in 1..=10 {
        let mut world = World::new(silent(seed), Policy { max_replicas: Some(1), ..Policy::default() });
        world.run(300.0, secs(300));
        let capacity = world.last.clone().expect("a decision").capacity.expect("a capacity");
        assert_eq!(capacity.source, CapacitySource::Saturation);
        assert!((capacity.rate - 140.0).abs() < 14.0, "seed {seed}: {capacity:?}");
    }
}

#[test]
fn what_was_only_seen_is_given_up_one_rung_at_a_time() {
    let mut world = World::new(silent(4), Policy { min_replicas: 6, ..Policy::default() });
    world.run(600.0, secs(120));
    world.policy.min_replicas = 1;
    world.run(20.0, secs(400));
    let steps: Vec<i32> = world.changes.iter().map(|change| change.to).collect();
    assert_eq!(steps, [6, 3, 2, 1]);
}

#[test]
fn a_group_that_was_never_seen_working_keeps_its_workers() {
    let mut world = World::new(silent(5), Policy { min_replicas: 3, ..Policy::default() });
    world.run(0.0, secs(60));
    world.policy.min_replicas = 1;
    world.run(0.0, secs(300));
    let decision = world.last.expect("a decision");
    assert_eq!((decision.replicas, decision.reason), (3, Reason::Measuring));
    assert_eq!(decision.blocked_by, Some(BlockedBy::CapacityUnknown));
}

#[test]
fn a_rate_the_user_expects_serves_until_something_is_measured() {
    let policy = Policy { expected_rate_per_replica: Some(140), ..Policy::default() };
    let mut world = World::new(silent(6), policy);
    world.run(100.0, secs(60));
    let burst = world.now;
    world.run(300.0, secs(10));
    let (after, workers) = world.first_change_after(burst).expect("an answer");
    assert_eq!(workers, 3);
    assert!(after <= secs(7), "{after:?}");
    assert!(
        world.changes[0].explanation.contains("is expected to do 140/s (126/s at 90 % utilization)"),
        "{:?}",
        world.changes
    );
}

#[test]
fn slow_commits_look_neither_like_lag_nor_like_a_standstill() {
    for commit_every in [5, 15, 30] {
        for reports_usage in [false, true] {
            let commit_every = secs(commit_every);
            let mut world =
                World::new(Settings { commit_every, reports_usage, ..Settings::default() }, Policy::default());
            world.run(100.0, secs(900));
            assert_eq!(world.changes.len(), 0, "{commit_every:?} {reports_usage}: {:#?}", world.changes);
        }
    }
}
