//! A client of a real cluster whose brokers come and go.

use std::time::Duration;

use balancefleet_e2e::brokers::{Brokers, Use};
use balancefleet_e2e::proxy::{Api, Proxy};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};

use crate::support::{SOON, Topic, config, consumer, eventually, read, send, unique};

const PARTITIONS: u32 = 6;

/// A group's member and a producer, both through one proxy.
struct Fixture {
    brokers: Brokers,
    proxy: Proxy,
    topic: Topic,
    member: BaseConsumer,
    producer: BaseProducer,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let brokers = Brokers::take(Use::Alone).unwrap();
        let topic = Topic::new(brokers.bootstrap(), name, PARTITIONS);
        // The others are found through the first one.
        let proxy = Proxy::start(brokers.bootstrap().split(',').next().unwrap()).unwrap();
        let member = consumer(proxy.bootstrap(), &unique("group"), &[]);
        member.subscribe(&[&topic.name]).unwrap();
        let producer = config(proxy.bootstrap(), &[("enable.idempotence", "true")]).create().unwrap();
        Self { brokers, proxy, topic, member, producer }
    }

    /// Sends one value to each partition and reads them all.
    #[track_caller]
    fn send_and_read(&self, name: &str) {
        self.send(name);
        self.producer.flush(SOON).unwrap();
        self.read(name);
    }

    fn send(&self, name: &str) {
        for partition in 0..self.topic.partitions {
            send(&self.producer, &self.topic.name, partition, &format!("{name} {partition}"));
        }
    }

    #[track_caller]
    fn read(&self, name: &str) {
        let expected: Vec<_> = (0..self.topic.partitions).map(|partition| format!("{name} {partition}")).collect();
        assert_eq!(read(&self.member, expected.len()), expected);
    }

    /// The broker that leads the first partition.
    fn leader(&self) -> i32 {
        let metadata = self.member.fetch_metadata(Some(&self.topic.name), SOON).unwrap();
        metadata.topics()[0].partitions()[0].leader()
    }

    /// Waits until every partition has all its replicas again.
    #[track_caller]
    fn await_replicas(&self) {
        eventually(|| {
            let metadata =
                self.member.fetch_metadata(Some(&self.topic.name), SOON).map_err(|error| error.to_string())?;
            let in_sync: Vec<_> = metadata.topics()[0].partitions().iter().map(|it| it.isr().len()).collect();
            if in_sync == [3; PARTITIONS as usize] { Ok(()) } else { Err(format!("{in_sync:?}")) }
        });
    }
}

#[test]
fn all_brokers_are_reached_through_the_proxy_and_the_client_goes_on_without_one() {
    let fixture = Fixture::new("killed");
    fixture.send_and_read("before");
    let reached: Vec<_> = fixture.proxy.connections().into_keys().collect();
    let mut expected: Vec<_> = fixture.brokers.bootstrap().split(',').collect();
    expected.sort_unstable();
    assert_eq!(reached, expected);

    let leader = fixture.leader();
    fixture.brokers.kill(leader).unwrap();
    fixture.send_and_read("without");
    fixture.brokers.start(leader).unwrap();
    fixture.await_replicas();
    fixture.send_and_read("again");
    assert_eq!(fixture.proxy.trouble(), None);
}

/// A broker that is no leader any more tells its clients who is, and where.
#[test]
fn a_client_that_is_told_of_new_leaders_stays_behind_the_proxy() {
    let fixture = Fixture::new("moved");
    fixture.send_and_read("before");
    let leader = fixture.leader();
    fixture.brokers.stop(leader).unwrap();
    fixture.send_and_read("without");
    assert!(fixture.proxy.redirected(Api::Fetch) + fixture.proxy.redirected(Api::Produce) > 0);

    fixture.proxy.black_hole(true);
    fixture.send("behind");
    assert!(fixture.producer.flush(Duration::from_secs(1)).is_err());
    assert!(fixture.member.poll(Duration::from_secs(1)).is_none());
    fixture.proxy.black_hole(false);
    fixture.producer.flush(SOON).unwrap();
    fixture.read("behind");
    assert_eq!(fixture.proxy.trouble(), None);
}

#[test]
fn a_frozen_broker_keeps_its_clients_waiting_until_it_is_thawed() {
    let fixture = Fixture::new("frozen");
    fixture.send_and_read("before");
    let leader = fixture.leader();
    fixture.brokers.freeze(leader).unwrap();
    fixture.send("frozen");
    assert!(fixture.producer.flush(Duration::from_secs(1)).is_err());
    fixture.brokers.thaw(leader).unwrap();
    fixture.producer.flush(SOON).unwrap();
    fixture.read("frozen");
}
