//! How partitions are shared out, and who answers for them.

use crate::harness::{SOON, Traffic, eventually, fleet, stream};

#[test]
fn one_worker_holds_six_two_share_three_each_three_two_each_and_of_eight_two_are_idle() {
    let stream = stream("sharing");
    let mut fleet = fleet(&stream, 8, &[]);
    for (size, shares) in [(1, &[6][..]), (2, &[3, 3]), (3, &[2, 2, 2]), (6, &[1; 6]), (8, &[1, 1, 1, 1, 1, 1, 0, 0])] {
        while fleet.size() < size {
            fleet.start(fleet.size());
        }
        fleet.await_shares(shares);
    }
    for idle in fleet.workers().filter(|worker| worker.partitions() == Ok(vec![])) {
        eventually(SOON, || match idle.get("/readyz")? {
            (200, _) => Ok(()),
            (_, body) => Err(format!("an idle worker is not ready: {body}")),
        });
        assert_eq!(idle.metrics().unwrap()["status"], "Running");
    }
}

#[test]
fn any_worker_answers_for_the_whole_fleet() {
    let stream = stream("fleet-reads");
    let mut traffic = Traffic::new(1, 50);
    traffic.send(&stream, 3000);
    let mut fleet = fleet(&stream, 3, &[]);
    fleet.start_all(0..3);
    fleet.await_shares(&[2, 2, 2]);
    fleet.await_balances(&traffic.oracle, SOON);
}

#[test]
fn partitions_that_need_not_move_stay_and_go_on() {
    let stream = stream("sticky");
    let mut fleet = fleet(&stream, 2, &[]);
    fleet.start(0);
    fleet.await_shares(&[6]);
    fleet.start(1);
    fleet.await_shares(&[3, 3]);
    let kept = fleet.get(0).partitions().unwrap();
    let history = fleet.get(0).json("/api/Balance/rebalancing-history").unwrap();
    let revoked: Vec<_> =
        history["history"].as_array().unwrap().iter().filter(|event| event["eventType"] == "Revoked").collect();
    assert_eq!(revoked.len(), 1, "{history}");
    let moved: Vec<i32> = serde_json::from_value(revoked[0]["partitions"].clone()).unwrap();
    assert!(moved.len() == 3 && kept.iter().all(|partition| !moved.contains(partition)), "{history}");
    fleet.get(0).await_log("Offsets committed before revocation");
}

#[test]
fn everything_is_committed_with_the_offsets_that_other_tools_read() {
    let stream = stream("committed");
    let mut fleet = fleet(&stream, 1, &[]);
    fleet.start(0);
    // Also partitions without a record have a committed start, so that every tool sees the whole group.
    eventually(SOON, || stream.is_committed());
    Traffic::new(2, 10).send(&stream, 500);
    eventually(SOON, || stream.is_committed());
    assert!(
        stream.committed().values().all(|(_, metadata)| metadata.starts_with("bf1 base=0 ")),
        "{:?}",
        stream.committed()
    );
}
