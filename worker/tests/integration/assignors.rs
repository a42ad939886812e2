//! Range and round-robin, for comparison: they stop everything at every rebalance.

use serde_json::Value;

use crate::harness::{SOON, Traffic, fleet, stream};

/// How many partitions were taken from the first worker when the second one came.
fn revoked_when_one_joins(assignor: &str) -> usize {
    let stream = stream(assignor);
    let mut traffic = Traffic::new(13, 30);
    traffic.send(&stream, 500);
    let mut fleet = fleet(&stream, 2, &[("KAFKA_ASSIGNOR", assignor)]);
    fleet.start(0);
    fleet.await_shares(&[6]);
    fleet.start(1);
    fleet.await_shares(&[3, 3]);
    traffic.send(&stream, 500);
    fleet.await_balances(&traffic.oracle, SOON);
    assert_eq!(fleet.take(1).stop().0.code(), Some(0));
    fleet.await_shares(&[6]);
    fleet.await_balances(&traffic.oracle, SOON);
    let history = fleet.get(0).json("/api/Balance/rebalancing-history").unwrap();
    let events = history["history"].as_array().unwrap();
    let first = events.iter().rfind(|event| event["eventType"] == "Revoked").unwrap();
    first["partitions"].as_array().map_or(0, Vec::<Value>::len)
}

#[test]
fn cooperative_sticky_moves_only_what_must_move() {
    assert_eq!(revoked_when_one_joins("cooperative-sticky"), 3);
}

#[test]
fn range_stops_all() {
    assert_eq!(revoked_when_one_joins("range"), 6);
}

#[test]
fn round_robin_stops_all() {
    assert_eq!(revoked_when_one_joins("roundrobin"), 6);
}
