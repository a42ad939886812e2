//! An input that is not what it was.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use balancefleet_e2e::brokers::Use;
use balancefleet_e2e::proxy::{Api, Direction, Which};
use serde_json::Value;

use crate::harness::{Worker, eventually};
use crate::scene::{SOON, Scene};
use crate::traffic::Load;

#[test]
fn partitions_added_while_the_fleet_works_are_folded_from_their_first_record() {
    let mut scene = Scene::new("growing");
    (0..2).for_each(|place| scene.start(place));
    scene.await_fresh();
    scene.stream.grow_to(12);
    scene.stream.partitions = 12;
    scene.traffic.spread(12);
    scene.await_shares(&[0, 1]);
    scene.await_fresh();
    scene.kill(0);
    scene.start(2);
    scene.await_fresh();
    scene.finish();
}

fn failed(worker: &Worker) -> Result<Vec<String>, String> {
    let (_, body) = worker.get("/readyz")?;
    let body: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
    let failed = body["failed"].as_array().ok_or_else(|| body.to_string())?;
    Ok(failed.iter().map(|one| one["reason"].to_string()).collect())
}

/// Workers let all partitions stand, give no balance and move no offset.
fn is_refused(scene: &Scene, places: &[usize], before: &BTreeMap<i32, (i64, String)>) {
    eventually(SOON, || {
        let mut reasons = Vec::new();
        for place in places {
            reasons.extend(failed(scene.worker(*place))?);
        }
        let all = reasons.len() == 6 && reasons.iter().all(|reason| reason.contains("deleted and recreated"));
        if all { Ok(()) } else { Err(format!("{reasons:?}")) }
    });
    // And so it stays, until a person has decided.
    for _ in 0..20 {
        for place in places {
            assert_ne!(scene.worker(*place).get("/api/Balance/balances").unwrap().0, 200);
        }
        sleep(Duration::from_millis(100));
    }
    // Kafka forgets the offsets of a deleted topic, sooner or later; nobody moves one.
    let after = scene.stream.committed();
    assert!(after.iter().all(|(partition, offset)| before.get(partition) == Some(offset)), "{after:?} was {before:?}");
}

/// The new topic gets `records` before anybody looks; the old one had about 300.
fn made_again(name: &str, records: usize) {
    let mut scene = Scene::new(name);
    (0..2).for_each(|place| scene.start(place));
    scene.await_shares(&[0, 1]);
    scene.await_fresh();
    scene.traffic.stop();
    scene.await_fresh();
    let before = scene.stream.committed();
    scene.stop_reading();
    scene.stream.delete();
    // The name is free a moment later.
    sleep(Duration::from_secs(2));
    scene.stream.make(&[]);
    for partition in 0..6 {
        scene.stream.produce(partition, vec!["junk"; records / 6]);
    }
    is_refused(&scene, &[0, 1], &before);
}

#[test]
fn a_topic_made_again_and_shorter_is_never_taken_for_the_old_one() {
    made_again("made-again", 6);
}

#[test]
fn a_topic_made_again_and_longer_is_never_taken_for_the_old_one() {
    made_again("made-longer", 60_000);
}

/// The client takes over the new topic without a word, and nobody has looked meanwhile.
#[test]
fn a_topic_made_again_between_two_looks_is_never_taken_for_the_old_one() {
    // A store whose commits need no metadata: one that failed would have the topic looked at.
    let mut scene = Scene::with("between-looks", &[("BALANCE_STORE", "replay")], Load::default(), Use::Shared);
    scene.place_proxy(0);
    scene.start(0);
    scene.await_fresh();
    scene.traffic.stop();
    scene.await_fresh();
    let before = scene.stream.committed();
    scene.stop_reading();
    let held = scene.proxy(0).hold(Api::Metadata, Direction::Request, Which::Every);
    scene.stream.delete();
    sleep(Duration::from_secs(2));
    scene.stream.make(&[]);
    for partition in 0..6 {
        scene.stream.produce(partition, vec!["junk"; 2000]);
    }
    // A look has come to nothing, so the next one is seconds away.
    let log = || scene.worker(0).log();
    let seen = log().len();
    eventually(
        SOON,
        || if log()[seen..].contains("waiting: ") { Ok(()) } else { Err("no look has failed".to_owned()) },
    );
    held.release();
    is_refused(&scene, &[0], &before);
}
