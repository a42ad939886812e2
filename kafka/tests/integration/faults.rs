//! Answers a healthy broker cannot be made to give, from librdkafka's mock cluster; everything else is asked for real.

use std::time::Duration;

use balancefleet_kafka::{Admin, At, Connection, ErrorKind, Isolation};
use rdkafka::mocking::{MockCluster, MockCoordinator};
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::support::{TIMEOUT, partition};

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster(brokers: i32) -> (Cluster, Admin) {
    let cluster = MockCluster::new(brokers).expect("the mock starts");
    let connection = Connection::plaintext(cluster.bootstrap_servers());
    let admin = Admin::connect(&connection, "balancefleet-test").expect("the settings are fine");
    (cluster, admin)
}

#[test]
fn a_broker_that_is_not_the_coordinator_is_a_transient_error_and_not_the_end_of_the_process() {
    let (cluster, admin) = cluster(1);
    cluster.request_errors(RDKafkaApiKey::OffsetFetch, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR]);

    let error = admin.committed_offsets("g", None, false, TIMEOUT).expect_err("the mock refuses once");

    assert_eq!(error.kind(), ErrorKind::Transient);
    assert_eq!(admin.committed_offsets("g", None, false, TIMEOUT), Ok(Vec::new()));
}

#[test]
fn a_coordinator_that_moved_while_its_old_broker_stays_is_found_again() {
    let (cluster, admin) = cluster(2);
    let group = |broker| cluster.coordinator(MockCoordinator::Group("g".into()), broker).expect("the mock obeys");
    group(1);
    assert_eq!(admin.committed_offsets("g", None, false, TIMEOUT), Ok(Vec::new()));

    group(2);

    cluster.request_errors(RDKafkaApiKey::OffsetFetch, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR]);
    let misled = admin.committed_offsets("g", None, false, TIMEOUT).expect_err("the old broker is asked first");
    assert_eq!(misled.kind(), ErrorKind::Transient);

    // From here on only the new coordinator can answer.
    cluster.broker_round_trip_time(1, 2 * TIMEOUT).expect("the mock obeys");
    assert_eq!(admin.committed_offsets("g", None, false, TIMEOUT), Ok(Vec::new()));
}

#[test]
fn a_group_that_may_not_be_read_is_an_authorization_error_of_that_group_alone() {
    let (cluster, admin) = cluster(1);
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::OffsetFetch, &[refusal]);

    let answers = admin.committed_offsets_of_groups(&["first", "second"], false, TIMEOUT);

    let kinds: Vec<_> = answers.iter().map(|(_, it)| it.as_ref().err().map(balancefleet_kafka::Error::kind)).collect();
    let refused = kinds.iter().filter(|kind| **kind == Some(ErrorKind::Authorization)).count();
    assert_eq!((refused, kinds.iter().filter(|kind| kind.is_none()).count()), (1, 1), "{kinds:?}");
}

#[test]
fn a_leader_that_does_not_answer_leaves_its_partitions_unknown_and_never_zero() {
    let (cluster, admin) = cluster(2);
    cluster.create_topic("t", 2, 1).expect("the mock obeys");
    cluster.partition_leader("t", 0, Some(1)).expect("the mock obeys");
    cluster.partition_leader("t", 1, Some(2)).expect("the mock obeys");
    let both = [partition("t", 0), partition("t", 1)];
    let list = |wait| admin.list_offsets(&both, At::Latest, Isolation::ReadUncommitted, wait);
    assert!(list(TIMEOUT).expect("both answer").iter().all(|it| it.offset == Ok(0)));

    cluster.broker_round_trip_time(2, Duration::from_secs(20)).expect("the mock obeys");
    let listed = list(Duration::from_secs(2)).expect("one answers");

    assert_eq!(listed[0].offset, Ok(0));
    let error = listed[1].offset.clone().expect_err("its leader is silent");
    assert!(error.is_transient(), "{error:?}");
}

#[test]
fn brokers_that_are_up_but_slow_are_a_timeout_and_not_unreachable() {
    let (cluster, admin) = cluster(1);
    assert_eq!(admin.committed_offsets("g", None, false, TIMEOUT), Ok(Vec::new()));

    cluster.broker_round_trip_time(1, Duration::from_secs(20)).expect("the mock obeys");
    let error = admin.committed_offsets("g", None, false, Duration::from_secs(2)).expect_err("nobody answers in time");

    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[test]
fn brokers_that_go_down_are_unreachable_and_usable_again_when_they_return() {
    let (cluster, admin) = cluster(1);
    cluster.create_topic("t", 1, 1).expect("the mock obeys");
    let all = |wait| {
        let committed = admin.committed_offsets("g", None, false, wait).map(|_| ());
        let partitions = [partition("t", 0)];
        let listed = admin.list_offsets(&partitions, At::Latest, Isolation::ReadUncommitted, wait);
        [committed, listed.and_then(|mut all| all.remove(0).offset).map(|_| ())].map(|it| it.map_err(|it| it.kind()))
    };
    assert_eq!(all(TIMEOUT), [Ok(()); 2]);
    for _ in 0..3 {
        cluster.broker_down(1).expect("the mock obeys");
        assert_eq!(all(Duration::from_secs(2)), [Err(ErrorKind::Unreachable); 2]);
        assert_eq!(all(Duration::from_secs(2)), [Err(ErrorKind::Unreachable); 2]);

        cluster.broker_up(1).expect("the mock obeys");
        assert_eq!(all(TIMEOUT), [Ok(()); 2]);
    }
}
