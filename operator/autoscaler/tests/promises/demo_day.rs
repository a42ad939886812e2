//! The demo's table as a day of traffic: one worker at 100 transactions per second, three at 300, six at 600, and back.

use std::time::Duration;

use crate::world::{Settings, World};
use balancefleet_autoscaler::{CapacitySource, Policy, Reason};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn world(seed: u64) -> World {
    World::new(Settings { seed, ..Settings::default() }, Policy::default())
}

#[test]
fn a_normal_day_needs_one_worker_rush_hour_three_and_black_friday_six() {
    let mut in_one_jump_each = 0;
    for seed in 1..=100 {
        let mut world = world(seed);
        for (rate, workers) in [(100.0, 1), (300.0, 3), (600.0, 6), (20.0, 1)] {
            world.run(rate, secs(120));
            assert_eq!(world.desired(), workers, "seed {seed}, {rate}/s: {:#?}", world.changes);
        }
        in_one_jump_each += usize::from(world.changes.len() == 3);
    }
    // A second of random arrivals is now and then so far off that a jump must be corrected.
    assert!(in_one_jump_each >= 95, "{in_one_jump_each} of 100");
}

#[test]
fn a_burst_is_answered_within_seven_seconds_by_the_right_number_at_once() {
    let mut slowest = Duration::ZERO;
    for seed in 1..=100 {
        let mut world = world(seed);
        // The burst begins anywhere between two polls.
        world.run(100.0, secs(60) + Duration::from_millis(seed * 53));
        let burst = world.now;
        world.run(600.0, secs(10));
        let (after, workers) = world.first_change_after(burst).expect("an answer");
        assert_eq!(workers, 6, "seed {seed}: {:#?}", world.changes);
        slowest = slowest.max(after);
    }
    assert!(slowest <= secs(7), "{slowest:?}");
}

#[test]
fn the_capacity_of_a_worker_is_learned_from_its_own_reports() {
    let mut world = world(3);
    world.run(100.0, secs(60));
    let capacity = world.last.expect("a decision").capacity.expect("a capacity");
    assert_eq!(capacity.source, CapacitySource::BusyTime);
    assert!((capacity.rate - 140.0).abs() < 14.0, "{capacity:?}");
}

#[test]
fn the_backlog_of_a_burst_is_gone_within_the_objective_after_the_workers_started() {
    for seed in 1..=10 {
        let mut world = world(seed);
        world.run(100.0, secs(60));
        world.run(300.0, secs(90));
        assert!(world.lag() < 900, "seed {seed}: {}", world.lag());
    }
}

#[test]
fn steady_traffic_moves_nothing_and_keeps_the_sentence() {
    let mut world = world(5);
    world.run(300.0, secs(300));
    let (changes, sentence) = (world.changes.len(), world.last.as_ref().unwrap().explanation.clone());
    world.run(300.0, secs(1_200));
    assert_eq!(world.changes.len(), changes, "{:#?}", world.changes);
    assert_eq!(world.last.unwrap().explanation, sentence);
}

#[test]
fn no_worker_is_taken_away_before_the_backlog_is_gone() {
    let mut world = world(7);
    world.run(100.0, secs(60));
    world.run(900.0, secs(60));
    assert_eq!(world.desired(), 6);
    let lag = world.lag();
    world.run(0.0, secs(10));
    assert!(lag > 5_000 && world.lag() > 0, "{lag}");
    assert_eq!(world.desired(), 6);
    world.run(0.0, secs(120));
    assert_eq!(world.desired(), 1);
    assert_eq!(world.last.unwrap().reason, Reason::DemandFell);
}

#[test]
fn a_night_without_reads_keeps_the_workers() {
    let mut world = world(9);
    world.run(600.0, secs(120));
    assert_eq!(world.desired(), 6);
    world.unreadable = true;
    world.run(0.0, secs(600));
    assert_eq!(world.desired(), 6);
    assert_eq!(world.last.as_ref().unwrap().reason, Reason::LagUnknown);
    world.unreadable = false;
    world.run(0.0, secs(60));
    assert_eq!(world.desired(), 1);
}
