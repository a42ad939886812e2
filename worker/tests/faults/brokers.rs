//! Brokers that end, halt and come back under their clients.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use balancefleet_e2e::brokers::{Brokers, Use};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigSource, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::harness::{Stream, Traffic, folded};
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

/// The settings that a topic was given itself.
fn own_settings(stream: &Stream, topic: &str) -> BTreeMap<String, String> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &stream.bootstrap).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asked = [ResourceSpecifier::Topic(topic)];
    let described = runtime.block_on(admin.describe_configs(&asked, &AdminOptions::new())).unwrap();
    let entries = described.into_iter().flat_map(|resource| resource.unwrap().entries);
    let own = entries.filter(|entry| entry.source == ConfigSource::DynamicTopic);
    own.filter_map(|entry| Some((entry.name, entry.value?))).collect()
}

/// Its maker ended before it knew how many replicas the topic got; what somebody has made by hand is left as it is.
#[test]
fn a_changelog_that_its_maker_left_unfinished_is_finished_by_the_next_worker() {
    let as_made = [
        ("cleanup.policy", "compact"),
        ("delete.retention.ms", "60000"),
        ("segment.bytes", "16777216"),
        ("min.cleanable.dirty.ratio", "0.3"),
        ("max.compaction.lag.ms", "600000"),
    ];
    let by_hand = &as_made[..1];
    for (settings, replicas) in [(&as_made[..], Some("2")), (by_hand, None)] {
        let brokers = Brokers::take(Use::Shared).unwrap();
        let stream = Stream::unmade_at(brokers.bootstrap().to_owned(), "unfinished", 1);
        stream.make(&[]);
        let log = format!("{}-log", stream.topic);
        stream.make_beside(&log, 1, settings);
        folded(&stream, &mut Traffic::new(61, 10), 20, &[("BALANCE_CHANGELOG_TOPIC", log.as_str())]);
        let own = own_settings(&stream, &log);
        assert_eq!(own.get("min.insync.replicas").map(String::as_str), replicas);
        for (name, value) in settings {
            assert_eq!(own.get(*name).map(String::as_str), Some(*value), "{name}");
        }
        assert_eq!(own.len(), settings.len() + usize::from(replicas.is_some()), "{own:?}");
    }
}
