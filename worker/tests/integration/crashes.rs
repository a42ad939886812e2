//! Workers that end without a word, or come back from the dead.

use std::time::Duration;

use crate::harness::{SOON, Traffic, eventually, fleet, stream, with_each_store};

with_each_store!(
    a_killed_worker_is_replaced_after_its_session_and_nothing_is_lost_or_counted_twice,
    workers_killed_one_after_the_other_under_traffic_lose_nothing,
    a_frozen_worker_answers_for_nothing_when_it_wakes_up_and_balances_stay_exact,
    a_group_that_was_killed_as_a_whole_comes_back_with_the_same_balances
);

fn a_killed_worker_is_replaced_after_its_session_and_nothing_is_lost_or_counted_twice(store: &str) {
    let stream = stream("kill");
    let mut traffic = Traffic::new(7, 60);
    let mut fleet = fleet(&stream, 2, &[("BALANCE_STORE", store)]);
    fleet.start_all(0..2);
    fleet.await_shares(&[3, 3]);
    traffic.send(&stream, 3000);
    // In the middle of the traffic, with work that is done but not committed.
    fleet.take(1).kill();
    traffic.send(&stream, 1000);
    fleet.await_shares(&[6]);
    fleet.await_balances(&traffic.oracle, SOON);
}

fn workers_killed_one_after_the_other_under_traffic_lose_nothing(store: &str) {
    let stream = stream("storm");
    let mut traffic = Traffic::new(15, 80);
    let mut fleet = fleet(&stream, 3, &[("BALANCE_STORE", store)]);
    fleet.start_all(0..3);
    for round in 0..8 {
        traffic.send(&stream, 400);
        std::thread::sleep(Duration::from_millis(700 + 137 * round));
        let place = usize::try_from(round).unwrap() % 3;
        fleet.take(place).kill();
        traffic.send(&stream, 200);
        fleet.start(place);
    }
    fleet.await_shares(&[2, 2, 2]);
    fleet.await_balances(&traffic.oracle, SOON);
}

fn a_frozen_worker_answers_for_nothing_when_it_wakes_up_and_balances_stay_exact(store: &str) {
    let stream = stream("frozen");
    let mut traffic = Traffic::new(8, 60);
    traffic.send(&stream, 1000);
    let mut fleet = fleet(&stream, 2, &[("BALANCE_STORE", store)]);
    fleet.start_all(0..2);
    fleet.await_shares(&[3, 3]);
    let frozen = fleet.take(1);
    frozen.signal("STOP");
    fleet.await_shares(&[6]);
    traffic.send(&stream, 1000);
    fleet.await_balances(&traffic.oracle, SOON);

    frozen.signal("CONT");
    frozen.await_log("Partitions LOST");
    fleet.put(1, frozen);
    fleet.await_shares(&[3, 3]);
    traffic.send(&stream, 500);
    fleet.await_balances(&traffic.oracle, SOON);
}

fn a_group_that_was_killed_as_a_whole_comes_back_with_the_same_balances(store: &str) {
    let stream = stream("all-killed");
    let mut traffic = Traffic::new(9, 60);
    traffic.send(&stream, 2000);
    let mut fleet = fleet(&stream, 2, &[("BALANCE_STORE", store)]);
    fleet.start_all(0..2);
    fleet.await_balances(&traffic.oracle, SOON);
    fleet.take(0).kill();
    fleet.take(1).kill();
    traffic.send(&stream, 500);
    std::thread::sleep(Duration::from_millis(100));
    fleet.start_all(0..2);
    fleet.await_balances(&traffic.oracle, SOON);
    eventually(SOON, || stream.is_committed());
}
