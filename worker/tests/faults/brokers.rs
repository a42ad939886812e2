//! Brokers that end, halt and come back under their clients.

use std::thread::sleep;
use std::time::Duration;

use balancefleet_e2e::brokers::Use;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::scene::Scene;
use crate::traffic::Load;

/// The loss of a broker and of a coordinator, elections, and the clients' own time-outs.
const PATIENCE: Duration = Duration::from_secs(180);

fn scene(name: &str) -> Scene {
    let mut scene = Scene::with(name, &[], Load::default(), Use::Alone);
    (0..3).for_each(|place| scene.start(place));
    scene.await_fresh();
    scene
}

/// The broker that looks after the group: the leader of a partition that follows from its name, as Java hashes it.
fn coordinator(scene: &Scene) -> i32 {
    let topic = "__consumer_offsets";
    let hash = scene.stream.group.bytes().fold(0_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)));
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &scene.stream.bootstrap).create().unwrap();
    let metadata = client.fetch_metadata(Some(topic), Duration::from_secs(30)).unwrap();
    let partitions = metadata.topics()[0].partitions();
    let number = (hash & i32::MAX) % i32::try_from(partitions.len()).unwrap();
    partitions.iter().find(|partition| partition.id() == number).unwrap().leader()
}

#[test]
fn the_coordinator_is_killed_and_comes_back() {
    let scene = scene("coordinator-killed");
    let broker = coordinator(&scene);
    scene.brokers.kill(broker).unwrap();
    sleep(Duration::from_secs(5));
    scene.await_fresh_within(PATIENCE);
    assert_ne!(coordinator(&scene), broker);
    scene.brokers.start(broker).unwrap();
    scene.await_fresh_within(PATIENCE);
    scene.finish();
}

/// One after the other leaves in order and comes back, so that every leader and every coordinator changes.
#[test]
fn every_leader_changes_in_order() {
    let scene = scene("leaders");
    for broker in 1..=3 {
        scene.brokers.stop(broker).unwrap();
        scene.await_fresh_within(PATIENCE);
        scene.brokers.start(broker).unwrap();
        scene.await_fresh_within(PATIENCE);
    }
    scene.finish();
}

#[test]
fn a_halted_broker_loses_its_leaderships_and_gets_nothing_wrong_when_it_goes_on() {
    let scene = scene("broker-halted");
    let broker = coordinator(&scene);
    scene.brokers.freeze(broker).unwrap();
    sleep(Duration::from_secs(8));
    scene.brokers.thaw(broker).unwrap();
    scene.await_fresh_within(PATIENCE);
    scene.finish();
}
