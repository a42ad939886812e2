//! Workers that are halted in the middle of a commit, for twice their session, and then go on as if nothing had
//! happened.

use std::thread::sleep;

use balancefleet_e2e::proxy::{Api, Direction, Which};

use crate::scene::{SESSION, SOON, Scene, commits_in_transactions};

fn halted_at(name: &str, api: Api, direction: Direction) {
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
    scene.freeze(1);
    sleep(2 * SESSION);
    scene.await_fresh();
    // What it had sent arrives only now.
    held.release();
    scene.thaw(1);
    scene.await_shares(&[0, 1]);
    scene.await_fresh();
    scene.finish();
}

#[test]
fn a_worker_halted_before_it_writes_writes_nothing_afterwards() {
    halted_at("halted-produce", Api::Produce, Direction::Request);
}

#[test]
fn a_worker_halted_after_its_offsets_were_taken_commits_nothing_afterwards() {
    halted_at("halted-offsets", Api::TxnOffsetCommit, Direction::Response);
}

#[test]
fn a_worker_halted_before_the_end_of_its_transaction_commits_nothing_afterwards() {
    halted_at("halted-end", Api::EndTxn, Direction::Request);
}

/// With the store that has no transactions, too.
#[test]
fn a_worker_halted_at_any_moment_answers_for_nothing_that_others_have_taken_over() {
    let mut scene = Scene::new("halted");
    (0..2).for_each(|place| scene.start(place));
    scene.await_shares(&[0, 1]);
    scene.await_fresh();
    for place in [1, 0] {
        scene.freeze(place);
        sleep(2 * SESSION);
        scene.await_fresh();
        scene.thaw(place);
        scene.await_shares(&[0, 1]);
        scene.await_fresh();
    }
    scene.finish();
}
