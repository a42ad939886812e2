//! Workers that end without a word.

use std::thread::sleep;
use std::time::Duration;

use balancefleet_e2e::proxy::{Api, Direction, Proxy, Which};
use balancefleet_e2e::stream::Draws;

use crate::scene::{SOON, Scene, commits_in_transactions};

#[test]
fn workers_killed_by_chance_every_one_to_three_seconds_lose_nothing() {
    let mut scene = Scene::new("kills");
    (0..3).for_each(|place| scene.start(place));
    scene.await_fresh();
    let mut draws = Draws::new(17, 1, 1);
    for _ in 0..6 {
        sleep(Duration::from_millis(draws.between(1000, 3000)));
        let place = *draws.one_of(&scene.places());
        scene.kill(place);
        scene.start(place);
    }
    scene.await_fresh();
    scene.finish();
}

#[test]
fn a_fleet_killed_as_a_whole_comes_back_with_what_was_committed() {
    let mut scene = Scene::new("all-killed");
    (0..2).for_each(|place| scene.start(place));
    scene.await_fresh();
    (0..2).for_each(|place| scene.kill(place));
    (2..4).for_each(|place| scene.start(place));
    scene.await_fresh();
    scene.finish();
}

/// What a transaction has sent when its worker is killed; the rest never comes.
fn killed_while(name: &str, api: Api, direction: Direction) {
    if !commits_in_transactions() {
        return;
    }
    let mut scene = Scene::new(name);
    scene.start(0);
    scene.place_proxy(1);
    scene.start(1);
    scene.await_shares(&[0, 1]);
    scene.await_fresh();
    let held = scene.proxy(1).hold(api, direction, Which::Nth(1));
    held.wait_for(1, SOON).unwrap();
    scene.kill(1);
    held.discard();
    scene.await_fresh();
    assert_quiet(scene.proxy(1));
    scene.finish();
}

fn assert_quiet(proxy: &Proxy) {
    assert_eq!(proxy.trouble(), None);
}

#[test]
fn a_worker_killed_before_its_records_are_written_leaves_nothing_behind() {
    killed_while("killed-produce", Api::Produce, Direction::Request);
}

#[test]
fn a_worker_killed_between_records_and_offsets_leaves_nothing_behind() {
    killed_while("killed-offsets", Api::TxnOffsetCommit, Direction::Request);
}

#[test]
fn a_worker_killed_before_the_end_of_its_transaction_leaves_nothing_behind() {
    killed_while("killed-end", Api::EndTxn, Direction::Request);
}

#[test]
fn a_worker_killed_before_it_hears_that_its_transaction_is_committed_has_committed_it() {
    killed_while("killed-ended", Api::EndTxn, Direction::Response);
}
