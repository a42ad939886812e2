//! Workers that are asked to stop at a bad time: they end in time and well, and whoever is left goes on.

use balancefleet_e2e::brokers::Use;
use balancefleet_e2e::proxy::{Api, Direction, Which};

use crate::harness::eventually;
use crate::scene::{SOON, Scene};
use crate::traffic::Load;

#[test]
fn a_worker_that_stops_during_a_rebalance_hands_over_everything() {
    let mut scene = Scene::new("stop-rebalance");
    (0..2).for_each(|place| scene.start(place));
    scene.await_shares(&[0, 1]);
    scene.await_fresh();
    // The newcomer's join is on its way to the others, who are asked to give partitions back.
    scene.place_proxy(2);
    let joining = scene.proxy(2).hold(Api::SyncGroup, Direction::Request, Which::Nth(1));
    scene.start(2);
    joining.wait_for(1, SOON).unwrap();
    scene.stop(1);
    joining.release();
    scene.await_shares(&[0, 2]);
    scene.await_fresh();
    scene.finish();
}

#[test]
fn a_worker_that_stops_during_its_restore_leaves_no_trace() {
    let mut scene = Scene::new("stop-restore");
    scene.start(0);
    scene.await_fresh();
    scene.place_proxy(1);
    let restoring = scene.proxy(1).hold(Api::Fetch, Direction::Response, Which::Every);
    scene.start(1);
    restoring.wait_for(1, SOON).unwrap();
    eventually(SOON, || if scene.worker(1).partitions()?.is_empty() { Err("nothing came".to_owned()) } else { Ok(()) });
    scene.stop(1);
    drop(restoring);
    scene.await_fresh();
    scene.finish();
}

#[test]
fn a_worker_that_stops_while_no_broker_answers_ends_in_time() {
    let mut scene = Scene::new("stop-unheard");
    scene.start(0);
    scene.place_proxy(1);
    scene.start(1);
    scene.await_shares(&[0, 1]);
    scene.await_fresh();
    scene.proxy(1).black_hole(true);
    scene.stop(1);
    scene.proxy(1).black_hole(false);
    scene.await_fresh();
    scene.finish();
}

#[test]
fn a_worker_that_stops_while_the_brokers_are_down_ends_in_time() {
    let mut scene = Scene::with("stop-down", &[], Load::default(), Use::Alone);
    (0..2).for_each(|place| scene.start(place));
    scene.await_fresh();
    (1..=3).for_each(|broker| scene.brokers.freeze(broker).unwrap());
    scene.stop(1);
    (1..=3).for_each(|broker| scene.brokers.thaw(broker).unwrap());
    scene.await_fresh();
    scene.finish();
}
