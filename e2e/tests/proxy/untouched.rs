//! Without rules, a client sees no difference but the address.

use std::io::{Read, Write};
use std::net::TcpStream;

use balancefleet_e2e::proxy::{Api, Direction, Proxy};
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::producer::Producer;

use crate::support::{
    API_VERSIONS, Fixture, SOON, broker, consumer, eventually, kafka_tool, read, send, transactional, unique,
};

#[test]
fn transactions_and_groups_work_through_the_proxy() {
    let fixture = Fixture::new("untouched");
    let (proxy, topic) = (&fixture.proxy, &fixture.topic.name);
    let group = unique("group");
    let member = consumer(proxy.bootstrap(), &group, &[("isolation.level", "read_committed")]);
    member.subscribe(&[topic]).unwrap();
    // A response larger than any buffer on the way.
    let large = "x".repeat(800_000);
    let producer = fixture.transaction(&[]);
    send(&producer, topic, 0, &large);
    producer.flush(SOON).unwrap();
    producer.abort_transaction(SOON).unwrap();
    producer.begin_transaction().unwrap();
    send(&producer, topic, 0, "one");
    send(&producer, topic, 0, &large);
    producer.commit_transaction(SOON).unwrap();
    assert_eq!(read(&member, 2), ["one", &large]);

    producer.begin_transaction().unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(topic, 0, Offset::Offset(5)).unwrap();
    producer.send_offsets_to_transaction(&offsets, &member.group_metadata().unwrap(), SOON).unwrap();
    producer.commit_transaction(SOON).unwrap();
    let committed = member.committed(SOON).unwrap();
    assert_eq!(committed.find_partition(topic, 0).unwrap().offset(), Offset::Offset(5));

    // While the list lives, the end of the consumer waits for it.
    drop(committed);
    drop(member);
    proxy.wait_for(Api::LeaveGroup, Direction::Response, 1, SOON).unwrap();
    let expected = [
        Api::Produce,
        Api::Fetch,
        Api::ListOffsets,
        Api::Metadata,
        Api::OffsetFetch,
        Api::FindCoordinator,
        Api::JoinGroup,
        Api::LeaveGroup,
        Api::SyncGroup,
        Api::ApiVersions,
        Api::InitProducerId,
        Api::AddPartitionsToTxn,
        Api::AddOffsetsToTxn,
        Api::EndTxn,
        Api::TxnOffsetCommit,
    ];
    let seen = proxy.apis();
    assert_eq!(expected.iter().filter(|api| !seen.contains(api)).collect::<Vec<_>>(), Vec::<&Api>::new());
    assert_eq!(proxy.trouble(), None);
}

#[test]
fn a_client_is_told_no_address_but_the_proxy_s() {
    let fixture = Fixture::new("addresses");
    let producer = transactional(fixture.proxy.bootstrap(), &[]);
    let metadata = producer.client().fetch_metadata(None, SOON).unwrap();
    let addresses = metadata.brokers().iter().map(|broker| format!("{}:{}", broker.host(), broker.port()));
    assert_eq!(addresses.collect::<Vec<_>>(), [fixture.proxy.bootstrap()]);
}

#[test]
fn a_login_works_through_the_proxy() {
    let proxy = Proxy::start(&std::env::var("BALANCEFLEET_TEST_KAFKA_SASL").unwrap()).unwrap();
    let login = [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "SCRAM-SHA-256"),
        ("sasl.username", "balance"),
        ("sasl.password", "balance-secret"),
    ];
    let client = consumer(proxy.bootstrap(), "group", &login);
    assert_eq!(client.fetch_metadata(None, SOON).unwrap().brokers().len(), 1);
    assert!(proxy.seen(Api::SaslAuthenticate, Direction::Response) > 0);
    assert_eq!(proxy.trouble(), None);
}

/// Another client, with versions of its own: it asks for the cluster's description, and newer metadata.
#[test]
fn kafkas_own_tools_are_told_no_address_but_the_proxy_s() {
    let proxy = Proxy::start(&broker()).unwrap();
    let said = kafka_tool("org.apache.kafka.tools.ClusterTool", proxy.bootstrap(), &["list-endpoints"]);
    let (_, port) = proxy.bootstrap().split_once(':').unwrap();
    assert!(said.contains(port), "{said}");
    assert!(proxy.seen(Api::DescribeCluster, Direction::Response) > 0);
    assert_eq!(proxy.trouble(), None);
}

#[test]
fn many_connections_are_served_at_once() {
    let proxy = Proxy::start(&broker()).unwrap();
    let mut connections: Vec<_> = (0..200).map(|_| TcpStream::connect(proxy.bootstrap()).unwrap()).collect();
    for connection in &mut connections {
        connection.write_all(API_VERSIONS).unwrap();
    }
    for connection in &mut connections {
        let mut answer = [0; 10];
        connection.read_exact(&mut answer).unwrap();
        assert_eq!(answer[4..], [0, 0, 0, 1, 0, 0]);
    }
    assert_eq!(proxy.seen(Api::ApiVersions, Direction::Response), 200);
    assert_eq!(proxy.connections().into_iter().collect::<Vec<_>>(), [(broker(), 200)]);
}

#[test]
fn what_is_not_kafka_is_refused_and_said() {
    let proxy = Proxy::start(&broker()).unwrap();
    let mut connection = TcpStream::connect(proxy.bootstrap()).unwrap();
    connection.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    eventually(|| proxy.trouble().ok_or_else(|| "no complaint".to_owned()));
    // The end, be it in order or not.
    assert!(!connection.read(&mut [0]).is_ok_and(|read| read > 0));
}
